"""What administrators have said that users may do, kept in Redis for as long as it holds, and known to every node.

A node reads all when it begins, and hears of what is new by the orders; a permit is kept and told by one script, so
that all nodes end with the same. Nobody asks the server when somebody joins. Of many those are forgotten first that end
first. When a server may have forgotten them, each node writes again what it knows; what is there stays.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from contextlib import suppress

import msgspec

from fastcollab.engines.redis.lapses import Concerns
from fastcollab.engines.redis.scripts import load
from fastcollab.engines.redis.servers import Servers
from fastcollab.errors import ServiceUnavailable
from fastcollab.logs import get_logger
from fastcollab.ports import Permit

log = get_logger(__name__)

_PERMIT = load("permit")

#: How many are kept.
MOST_PERMITS = 10_000

#: Seconds after which a server that could not be reached is tried again, at first and at most.
_PAUSE, _LONGEST_PAUSE = 0.1, 5.0

_permit = msgspec.json.Decoder(Permit)


class RedisPermits:
    """Those of a cluster; new ones are told over `stream`, of about `length` orders."""

    def __init__(self, servers: Servers, stream: bytes, length: int, *, most: int = MOST_PERMITS) -> None:
        self._servers = servers
        self._stream = stream
        self._length = length
        self._most = most
        self._permits = servers.names.cluster("permits")
        self._ends = servers.names.cluster("permits-end")
        self._known: dict[tuple[str, str], Permit] = {}
        self._restoring: asyncio.Task[None] | None = None
        self._unwatch = servers.lapses.watch(self._lapsed)

    async def open(self) -> None:
        """Reads those that hold."""
        for encoded in await self._servers.call(self._permits, "HVALS", self._permits):
            try:
                self.heard(_permit.decode(encoded))
            except msgspec.DecodeError:
                log.warning("a permit is none that this version knows", permit=encoded.decode(errors="replace"))

    async def close(self) -> None:
        self._unwatch()
        if self._restoring is not None:
            self._restoring.cancel()
            with suppress(asyncio.CancelledError):
                await self._restoring

    async def give(self, permit: Permit, name: bytes) -> None:
        """Keeps it, and tells all nodes, this one included, by an order of this name.

        Raises :class:`~fastcollab.errors.ServiceUnavailable`.
        """
        await self._write(permit, name)

    def heard(self, permit: Permit) -> None:
        """It holds now, in place of what was said before."""
        # What was said last comes last, and is the last to be forgotten here.
        self._known.pop((permit.user_id, permit.room_id), None)
        self._known[permit.user_id, permit.room_id] = permit
        if len(self._known) > self._most:
            self._known = {(each.user_id, each.room_id): each for each in self.holding()[-self._most :]}

    def holding(self) -> Sequence[Permit]:
        """Those whose time is not over."""
        now = time.time() * 1000
        return [permit for permit in self._known.values() if permit.until > now]

    def _lapsed(self, concerns: Concerns) -> None:
        if concerns(self._permits) and self._restoring is None:
            self._restoring = asyncio.create_task(self._restore())

    async def _restore(self) -> None:
        pause = _PAUSE
        waiting = list(self.holding())
        while waiting:
            try:
                await self._write(waiting[-1], b"")
                waiting.pop()
                pause = _PAUSE
            except ServiceUnavailable:
                await asyncio.sleep(pause)
                pause = min(2 * pause, _LONGEST_PAUSE)
        self._restoring = None

    async def _write(self, permit: Permit, order: bytes) -> None:
        name, encoded = msgspec.json.encode((permit.user_id, permit.room_id)), msgspec.json.encode(permit)
        keys = [self._permits, self._ends, self._stream]
        await self._servers.run(_PERMIT, keys, name, encoded, permit.until, self._most, order, self._length)
