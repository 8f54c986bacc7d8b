"""`python -m tests.chaos`: every scenario with each of `CHAOS_SEEDS`.

`CHAOS_SCENARIOS` are parts of the names of those that are wanted: `killed,full`.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sys
import tempfile
from pathlib import Path

from tests.chaos.scenarios import SCENARIOS
from tests.chaos.trial import run

#: Seconds after which a silent gateway is taken for dead, and for which a long fault lasts.
LEASE = 6.0
LONG = 20.0


async def main() -> int:
    logging.disable()  # what clients have to say of lost connections
    seeds = [int(seed) for seed in os.environ.get("CHAOS_SEEDS", "1 2 3").replace(",", " ").split()]
    parts = [part.strip() for part in os.environ.get("CHAOS_SCENARIOS", "").split(",")]
    failures = 0
    for scenario in SCENARIOS:
        if not any(part in scenario.name for part in parts):
            continue
        for seed in seeds:
            directory = Path(tempfile.mkdtemp(prefix="fastcollab-chaos-"))
            verdict = await run(scenario, seed, directory, lease=LEASE, long=LONG)
            print(verdict, flush=True)
            if verdict.findings:
                failures += 1
                print(f"  what the gateways said is in {directory}", *verdict.findings, sep="\n  ", flush=True)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
