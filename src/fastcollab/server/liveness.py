"""Whether this node lives for the others, and they for it.

Two things are done all the time. The node's lease is renewed, which tells who else lives, and whether this node had
been taken for dead. And an empty bundle goes out on each channel that the node hears, if nobody has said anything there
for a moment, or what this node has said last has not come back: when it comes back, the way through the bus is open;
when it does not, the subscription is dead, however well its connection looks, and is made anew.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Sequence

from fastcollab.errors import FastcollabError
from fastcollab.logs import get_logger
from fastcollab.ports import Beat, Bus, Nodes

log = get_logger(__name__)

#: Every how many seconds a bundle goes out on each channel that needs one.
_PROBE_INTERVAL = 1.0
#: After how many seconds in which no bundle of its own comes back a node does not believe a subscription any more.
_PROBE_TIMEOUT = 3.0
#: How long (s) connections that were made anew have, before they are made anew once more.
_PATIENCE = 5.0


class Liveness:
    """`beaten` is called with what each beat has told; `probe` has a bundle go out on those of the channels that need
    one, and `owes` says whether a bundle of this node has gone out on a channel and not come back.
    """

    def __init__(
        self,
        nodes: Nodes,
        bus: Bus,
        *,
        channels: Callable[[], Collection[int]],
        probe: Callable[[Collection[int]], None],
        owes: Callable[[int], bool],
        beaten: Callable[[Beat], None],
    ) -> None:
        self._nodes = nodes
        self._bus = bus
        self._channels = channels
        self._probe = probe
        self._owes = owes
        self._beaten = beaten
        self._clock = asyncio.get_running_loop().time
        #: Of each channel when a bundle of this node has come last, or none was awaited.
        self._echoed: dict[int, float] = {}
        self._beat_at = self._clock()
        self._fault: str | None = None
        self._silent: Collection[int] = ()
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def faults(self) -> Sequence[str]:
        """What keeps this node from working with the others; nothing: it is ready."""
        faults = []
        if self._fault is not None and self._clock() - self._beat_at > self._nodes.lease / 2:
            faults.append(self._fault)
        if self._silent:
            faults.append("what this node publishes does not come back to it")
        return faults

    async def start(self) -> None:
        """Says for the first time that this node lives; raises :class:`~fastcollab.errors.ServiceUnavailable`."""
        self._beaten(await self._nodes.beat())
        loop = asyncio.get_running_loop()
        self._tasks = [loop.create_task(self._beat()), loop.create_task(self._watch())]

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def echoed(self, channel: int) -> None:
        """A bundle of this node has come back."""
        self._echoed[channel] = self._clock()

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(self._nodes.lease / 3 if self._fault is None else min(1.0, self._nodes.lease / 10))
            try:
                beat = await self._nodes.beat()
            except FastcollabError as error:
                if self._fault is None:
                    log.warning("this node could not say that it lives", error=str(error))
                self._fault = str(error)
                continue
            if self._fault is not None:
                log.info("this node can say again that it lives")
            self._fault = None
            self._beat_at = self._clock()
            self._beaten(beat)
            for node in beat.dead:
                if node not in beat.alive:
                    log.warning("a node is dead", node=node)
                await self._bury(node)

    async def _bury(self, node: str) -> None:
        try:
            await self._nodes.bury(node)
        except FastcollabError as error:  # it is named again by a later beat
            log.warning("what a dead node had entered could not be forgotten", node=node, error=str(error))

    async def _watch(self) -> None:
        renewed_at = -_PATIENCE
        while True:
            heard = self._channels()
            self._probe(heard)
            await asyncio.sleep(_PROBE_INTERVAL)
            now = self._clock()
            self._echoed = {
                channel: self._echoed.get(channel, now) if self._owes(channel) else now for channel in heard
            }
            silent = [channel for channel, at in self._echoed.items() if now - at > _PROBE_TIMEOUT]
            if silent and not self._silent:
                log.warning("the bus is silent", channels=len(silent))
            elif self._silent and not silent:
                log.info("the bus is heard again")
            self._silent = silent
            if silent and now - renewed_at > _PATIENCE:
                renewed_at = now
                try:
                    await self._bus.renew()
                except FastcollabError as error:
                    log.warning("the bus could not be reached", error=str(error))
