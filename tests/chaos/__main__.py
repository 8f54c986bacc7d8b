"""`python -m tests.chaos`: every scenario with each of `CHAOS_SEEDS`, and a rolling restart.

`CHAOS_SCENARIOS` are parts of the names of those that are wanted: `killed,full`.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sys
import tempfile
from functools import partial
from pathlib import Path
from typing import Protocol

from tests.chaos.rolling import Roll, roll
from tests.chaos.scenarios import SCENARIOS
from tests.chaos.trial import Verdict, run

#: Seconds after which a silent gateway is taken for dead, and for which a long fault lasts.
LEASE = 6.0
LONG = 20.0
#: In the rolling restart, and how many of those of a gateway are told to come back per second.
PEOPLE, RATE = 300, 50.0


class Trial(Protocol):
    async def __call__(self, *, seed: int, directory: Path) -> Verdict | Roll: ...


async def main() -> int:
    logging.disable()  # what clients have to say of lost connections
    seeds = [int(seed) for seed in os.environ.get("CHAOS_SEEDS", "1 2 3").replace(",", " ").split()]
    parts = [part.strip() for part in os.environ.get("CHAOS_SCENARIOS", "").split(",")]
    trials: dict[str, Trial] = {scenario.name: partial(run, scenario, lease=LEASE, long=LONG) for scenario in SCENARIOS}
    trials["a rolling restart"] = partial(roll, people=PEOPLE, rate=RATE)
    failures = 0
    for name, trial in trials.items():
        for seed in seeds if any(part in name for part in parts) else []:
            directory = Path(tempfile.mkdtemp(prefix="fastcollab-chaos-"))
            verdict = await trial(seed=seed, directory=directory)
            print(verdict, flush=True)
            if verdict.findings:
                failures += 1
                print(f"  what the gateways said is in {directory}", *verdict.findings, sep="\n  ", flush=True)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
