"""A rolling restart, in short; `make chaos` has three hundred people in it."""

from __future__ import annotations

from pathlib import Path

from tests.chaos.rolling import WINDOW, roll

PEOPLE, RATE = 90, 30.0


async def test_nobody_loses_anything_when_gateways_are_restarted_one_by_one_K2_K3(tmp_path: Path) -> None:
    result = await roll(people=PEOPLE, rate=RATE, seed=1, directory=tmp_path)
    print(result)
    assert not result.findings
    for restart in result.restarts:
        assert restart.returns.total() >= PEOPLE // 6
        assert not restart.returns[0], "nobody comes back before another process can be there"
        # Not in one go: a window has what the rate allows, and what chance and a busy machine add.
        assert max(restart.returns.values()) <= 2 * RATE * WINDOW + 10
