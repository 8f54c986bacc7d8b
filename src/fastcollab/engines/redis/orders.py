"""Orders to all nodes, as a stream in Redis that each reads from where it began.

A node that could not be reached goes on where it was, if the stream, of about :data:`_LENGTH` orders, still has that.
The stream is read with a command that waits, so it has a lane of its own; it waits for a bounded time, so that a
connection which is silently dead is noticed.

A server may forget orders that not all nodes have heard, as a replica does that takes over without them. So whoever has
given some lately gives them again when that may be so. And since another server may have another clock, and give new
orders earlier ids than the last ones had, a node that goes on reads the latest ones once more. Each order has a name of
its own, by which a node knows what it has heard. If who gave it ends before it can give it again, it is lost; of a
revocation the others know by the next validation of the token. Permits, which hold for a while, are kept besides
(:mod:`fastcollab.engines.redis.permits`).
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

import msgspec

from fastcollab.core.revocation import Revocation, RevocationKind
from fastcollab.engines.redis.incarnations import Incarnation
from fastcollab.engines.redis.lapses import Concerns
from fastcollab.engines.redis.permits import RedisPermits
from fastcollab.engines.redis.servers import Lane, Servers
from fastcollab.errors import ServiceUnavailable
from fastcollab.logs import get_logger
from fastcollab.ports import Disconnect, Order, Permit

log = get_logger(__name__)

#: About how many orders the stream keeps. A node remembers twice as many as heard.
_LENGTH = 10_000

#: For how long (s) an order may be lost with a server after it was given; and by how much the clock of a server may be
#: behind that of the one before it.
_LATELY = 60.0

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
        self._clock = asyncio.get_running_loop().time
        #: Ids in the stream: what this node began behind, and up to where it has read.
        self._began = self._read = b"0-0"
        #: The names of orders that were heard; the newest is the last.
        self._heard: dict[bytes, None] = {}
        #: By their names, what this node has given lately, with when that was; and what is to be given again.
        self._given: dict[bytes, tuple[float, bytes]] = {}
        self._owed: dict[bytes, bytes] = {}
        self._giving: asyncio.Task[None] | None = None
        self._permits = RedisPermits(servers, self._stream, _LENGTH)
        # Milliseconds for which the server waits for an order before it says that there is none.
        self._wait = max(1, int(servers.timeout * 500))
        self._told: list[Callable[[Order], None]] = []
        self._told_revocations: list[Callable[[Revocation], object]] = []
        self._listening: asyncio.Task[None] | None = None
        self._unwatch = servers.lapses.watch(self._lapsed)

    async def open(self) -> None:
        """Hears what is given from when this returns."""
        self._began = self._read = await self._newest()
        await self._permits.open()
        self._listening = asyncio.create_task(self._listen())

    async def close(self) -> None:
        self._unwatch()
        await self._permits.close()
        for task in (self._listening, self._giving):
            if task is not None:
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task

    async def give(self, order: Order) -> None:
        if isinstance(order, Permit):
            await self._permits.give(order, name := secrets.token_bytes(8))
            self._given[name] = self._clock(), msgspec.json.encode(order)
        else:
            await self._add(order)

    def subscribe(self, told: Callable[[Order], None]) -> Callable[[], None]:
        self._told.append(told)
        for permit in self._permits.holding():
            told(permit)
        return partial(self._told.remove, told)

    async def give_revocation(self, revocation: Revocation) -> None:
        """Has the other nodes told."""
        await self._add(_Revoke(self._node, *revocation))

    def subscribe_revocations(self, told: Callable[[Revocation], object]) -> None:
        """Has `told` called with each revocation that another node has made."""
        self._told_revocations.append(told)

    # --- giving -------------------------------------------------------------------------------------------------------

    async def _add(self, order: Order | _Revoke) -> None:
        await self._send(secrets.token_bytes(8), msgspec.json.encode(order))

    async def _send(self, name: bytes, encoded: bytes) -> None:
        fields = ("order", encoded, "name", name)
        await self._servers.call(self._stream, "XADD", self._stream, "MAXLEN", "~", _LENGTH, "*", *fields)
        self._given.pop(name, None)
        self._given[name] = self._clock(), encoded

    def _lapsed(self, concerns: Concerns) -> None:
        if not concerns(self._stream):
            return
        self._owed.update((name, encoded) for name, (_, encoded) in self._given.items())
        if self._owed and self._giving is None:
            self._giving = asyncio.create_task(self._give_again())

    async def _give_again(self) -> None:
        """Gives what is owed, in the order in which it was given."""
        pause = _PAUSE
        while self._owed:
            name, encoded = next(iter(self._owed.items()))
            try:
                await self._send(name, encoded)
            except ServiceUnavailable:
                await asyncio.sleep(pause)
                pause = min(2 * pause, _LONGEST_PAUSE)
            else:
                del self._owed[name]
                pause = _PAUSE
        self._giving = None

    def _forget_given(self) -> None:
        """Forgets what is not lost any more. To be called only when the server answers: how long it has been away does
        not count.
        """
        while self._given:
            name, (given_at, _) = next(iter(self._given.items()))
            if given_at > self._clock() - _LATELY:
                return
            del self._given[name]

    # --- hearing ------------------------------------------------------------------------------------------------------

    async def _newest(self) -> bytes:
        """The id of the newest order that there is."""
        newest = await self._servers.call(self._stream, "XREVRANGE", self._stream, "+", "-", "COUNT", 1)
        return bytes(newest[0][0]) if newest else b"0-0"

    async def _listen(self) -> None:
        pause = _PAUSE
        while True:
            try:
                for entry_id, fields in await self._next():
                    self._find(entry_id, dict(zip(fields[::2], fields[1::2], strict=True)))
                pause = _PAUSE
                self._forget_given()
            except ServiceUnavailable:
                await asyncio.sleep(pause)
                pause = min(2 * pause, _LONGEST_PAUSE)
                with suppress(ServiceUnavailable):
                    self._go_back(await self._newest())

    async def _next(self) -> Sequence[tuple[bytes, Sequence[bytes]]]:
        """Entries that have not been read; none if there are none for a while."""
        command = ("XREAD", "COUNT", _AT_ONCE, "BLOCK", self._wait, "STREAMS", self._stream, self._read)
        streams = await self._servers.call(self._stream, *command, lane=Lane.WAITING)
        if not streams:
            return []
        [(_, entries)] = streams
        self._read = bytes(entries[-1][0])
        found: Sequence[tuple[bytes, Sequence[bytes]]] = entries
        return found

    def _go_back(self, newest: bytes) -> None:
        """Has the latest orders read again, from a server whose newest one is this."""
        milliseconds, _ = _moment(self._read)
        lately = b"%d-0" % max(0, milliseconds - int(_LATELY * 1000))
        self._read = min(max(self._began, lately, key=_moment), newest, key=_moment)

    def _find(self, entry_id: bytes, entry: Mapping[bytes, bytes]) -> None:
        """Hears the order of an entry, unless it has been heard."""
        name = entry.get(b"name", entry_id)
        if name in self._heard:
            return
        self._heard[name] = None
        if len(self._heard) > 2 * _LENGTH:
            del self._heard[next(iter(self._heard))]
        self._hear(entry.get(b"order", b""))

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
            if isinstance(order, Permit):
                self._permits.heard(order)
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
