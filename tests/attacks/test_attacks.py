"""Each attack is refused, costs the gateway little memory, and is not noticed by others.

`docs/security.md` names the threats; these are the tests that it refers to. The bystanders' 99th percentile of latency
may double while the gateway is attacked. Below two intervals of the fan-out, which is what any room is promised,
that is not looked at: there it says how busy the machine is with attackers, who share a core with the bystanders.
`make attacks` makes all of them, and measures for longer.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import tests.attacks.bodies
import tests.attacks.doors
import tests.attacks.floods  # noqa: F401 - they register attacks
from tests.attacks.arena import attacked
from tests.attacks.target import ATTACKS, MIB

TWO_INTERVALS_MS = 2 * 16.67
SECONDS = float(os.environ.get("ATTACK_SECONDS", "0"))
MADE = [name for name, attack in ATTACKS.items() if SECONDS or not attack.like_others]
#: Other processes of the machine may take the time of one run, hardly of four.
RUNS = 4


@pytest.mark.parametrize("name", MADE)
async def test_an_attack_is_refused_bounded_and_not_noticed(name: str, tmp_path: Path) -> None:
    attack = ATTACKS[name]
    for run in range(RUNS):
        directory = tmp_path / str(run)
        directory.mkdir()
        sight = await attacked(name, attack, directory, quiet=SECONDS or 0.5, during=SECONDS or 0.5)
        print(
            f"{name:45} {sight.waves:6} waves, p99 {sight.quiet:6.2f} -> {sight.during:6.2f} ms, "
            f"{sight.growth / MIB:5.1f} MiB, {dict(sight.met)}"
        )
        assert sight.waves > 0
        assert attack.refusals <= sight.met.keys()
        assert sight.faults == 0, "bystanders lost something"
        assert sight.quiet > 0 < sight.during, "nothing was measured"
        assert sight.growth < attack.memory * MIB
        assert sight.left <= 0, "something was left open"
        if sight.during <= max(2 * sight.quiet, TWO_INTERVALS_MS):
            return
    pytest.fail(f"bystanders noticed: 99 % within {sight.quiet:.1f} ms before and {sight.during:.1f} ms meanwhile")
