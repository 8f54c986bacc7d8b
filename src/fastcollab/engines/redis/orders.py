"""Orders to all nodes, as a stream in Redis that each reads from where it began.

A node that could not be reached goes on where it was, if the stream, of about :data:`_LENGTH` orders, still has that;
what else it has missed is found out later: by the next validation of a token that was revoked, for instance. The stream
is read with a command that waits, so it has a lane of its own; it waits for a bounded time, so that a connection which
is silently dead is noticed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

import msgspec

from fastcollab.core.revocation import Revocation, RevocationKind
from fastcollab.engines.redis.incarnations import Incarnation
from fastcollab.engines.redis.servers import Lane, Servers
from fastcollab.errors import ServiceUnavailable
from fastcollab.logs import get_logger
from fastcollab.ports import Disconnect, Order, Permit

log = get_logger(__name__)

#: About how many orders the stream keeps.
_LENGTH = 10_000

#: How many orders are read at once.
_AT_ONCE = 1_000

#: Seconds after which a server that could not be reached is tried again, at first and at most.
_PAUSE, _LONGEST_PAUSE = 0.1, 2.0


class _Revoke(msgspec.Struct, frozen=True, tag="revoke", rename="camel"):
    """A revocation was made by the node `by`, where it is known already."""

    by: str
    kind: RevocationKind
    subject: str
    before: int
    until: int | None


_order = msgspec.json.Decoder(Disconnect | Permit | _Revoke)


class RedisOrders:
    """Those that this node gives and hears; to be opened, on the event loop that calls it, and closed."""

    def __init__(self, servers: Servers, incarnation: Incarnation) -> None:
        self._servers = servers
        self._node = incarnation.node
        self._stream = servers.names.cluster("orders")
        self._heard = b"0-0"
        # Milliseconds for which the server waits for an order before it says that there is none.
        self._wait = max(1, int(servers.timeout * 500))
        self._told: list[Callable[[Order], None]] = []
        self._told_revocations: list[Callable[[Revocation], object]] = []
        self._listening: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Hears what is given from when this returns."""
        self._heard = await self._newest()
        self._listening = asyncio.create_task(self._listen())

    async def close(self) -> None:
        if self._listening is not None:
            self._listening.cancel()
            with suppress(asyncio.CancelledError):
                await self._listening

    async def give(self, order: Order) -> None:
        await self._add(order)

    def subscribe(self, told: Callable[[Order], None]) -> Callable[[], None]:
        self._told.append(told)
        return partial(self._told.remove, told)

    async def give_revocation(self, revocation: Revocation) -> None:
        """Has the other nodes told."""
        await self._add(_Revoke(self._node, *revocation))

    def subscribe_revocations(self, told: Callable[[Revocation], object]) -> None:
        """Has `told` called with each revocation that another node has made."""
        self._told_revocations.append(told)

    async def _add(self, order: Order | _Revoke) -> None:
        encoded = msgspec.json.encode(order)
        await self._servers.call(self._stream, "XADD", self._stream, "MAXLEN", "~", _LENGTH, "*", "order", encoded)

    async def _newest(self) -> bytes:
        """The id of the newest order that there is."""
        newest = await self._servers.call(self._stream, "XREVRANGE", self._stream, "+", "-", "COUNT", 1)
        return bytes(newest[0][0]) if newest else b"0-0"

    async def _listen(self) -> None:
        pause = _PAUSE
        while True:
            try:
                for order in await self._next():
                    self._hear(order)
                pause = _PAUSE
            except ServiceUnavailable:
                await asyncio.sleep(pause)
                pause = min(2 * pause, _LONGEST_PAUSE)
                with suppress(ServiceUnavailable):
                    # A server that has lost orders may give new ones an id which is not after that of the last one.
                    self._heard = min(self._heard, await self._newest(), key=_moment)

    async def _next(self) -> list[bytes]:
        """Orders that have not been heard; none if there are none for a while."""
        command = ("XREAD", "COUNT", _AT_ONCE, "BLOCK", self._wait, "STREAMS", self._stream, self._heard)
        streams = await self._servers.call(self._stream, *command, lane=Lane.WAITING)
        if not streams:
            return []
        [(_, entries)] = streams
        self._heard = bytes(entries[-1][0])
        return [fields[1] for _, fields in entries]

    def _hear(self, encoded: bytes) -> None:
        try:
            order = _order.decode(encoded)
        except msgspec.DecodeError:
            log.warning("an order is none that this version knows", order=encoded.decode(errors="replace"))
            return
        told: Sequence[Callable[[Any], object]] = self._told
        news: Order | Revocation
        if isinstance(order, _Revoke):
            if order.by == self._node:
                return
            told = self._told_revocations
            news = Revocation(order.kind, order.subject, order.before, order.until)
        else:
            news = order
        for each in tuple(told):
            try:
                each(news)
            except Exception:
                log.exception("an order could not be carried out")


def _moment(entry_id: bytes) -> tuple[int, int]:
    """An id of the stream as what it is ordered by."""
    milliseconds, number = entry_id.split(b"-")
    return int(milliseconds), int(number)
