"""Whether a node notices that what it publishes does not come back to it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest

from fastcollab.ports import Beat
from fastcollab.server import liveness
from fastcollab.server.liveness import Liveness

PATIENCE = 10.0


class Here:
    """Nodes, bus and relay of a node that hears two channels. What goes out comes back at once, unless on `dead`."""

    here, lease = "here", 15.0

    def __init__(self) -> None:
        self.dead: set[int] = set()
        self.owed: set[int] = set()
        self.quiet: set[int] = set()
        self.probes = self.renewals = 0
        self.liveness = Liveness(
            self,  # type: ignore[arg-type]
            self,  # type: ignore[arg-type]
            channels=lambda: [1, 2],
            probe=self.probe,
            owes=self.owed.__contains__,
            beaten=lambda beat: None,
        )

    async def beat(self) -> Beat:
        return Beat(frozenset({"here"}), True, [], True)

    async def renew(self) -> None:
        self.renewals += 1

    def probe(self, channels: object) -> None:
        assert channels == [1, 2]
        self.probes += 1
        for channel in {1, 2} - self.quiet:
            if channel in self.dead:
                self.owed.add(channel)
            else:
                self.owed.discard(channel)
                self.liveness.echoed(channel)

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(PATIENCE):
            while not condition():  # noqa: ASYNC110
                await asyncio.sleep(0.001)

    async def probed(self, times: int) -> None:
        enough = self.probes + times
        await self.until(lambda: self.probes >= enough)


@pytest.fixture
async def here(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Here]:
    monkeypatch.setattr(liveness, "_PROBE_INTERVAL", 0.002)
    monkeypatch.setattr(liveness, "_PROBE_TIMEOUT", 0.01)
    node = Here()
    await node.liveness.start()
    yield node
    await node.liveness.close()


async def test_a_channel_on_which_nothing_comes_back_is_a_fault_until_something_does(here: Here) -> None:
    await here.probed(20)
    assert (here.liveness.faults, here.renewals) == ([], 0)
    here.dead.add(2)
    await here.until(lambda: bool(here.liveness.faults))
    assert here.liveness.faults == ["what this node publishes does not come back to it"]
    await here.until(lambda: here.renewals == 1)
    here.dead.clear()
    await here.until(lambda: not here.liveness.faults)


async def test_where_nothing_is_awaited_nothing_is_missed(here: Here) -> None:
    """Others speak on these channels, so that this node has no need to."""
    here.quiet = {1, 2}
    await here.probed(30)
    assert (here.liveness.faults, here.renewals) == ([], 0)
