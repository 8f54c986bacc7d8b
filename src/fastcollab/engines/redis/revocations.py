"""Revocations in Redis, and of those that this node has made or heard of also in memory.

Each is a key of its own, which the server drops when no token can be covered by it any more. Whether a token is revoked
the server is asked each time; what is in memory is known even while there is none, and is written again when a server
may have forgotten it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from itertools import islice

from fastcollab.core.revocation import Revocation, RevocationKind, TokenMarks
from fastcollab.engines.memory import MemoryRevocations
from fastcollab.engines.redis.lapses import Concerns
from fastcollab.engines.redis.orders import RedisOrders
from fastcollab.engines.redis.scripts import load
from fastcollab.engines.redis.servers import Servers
from fastcollab.errors import ServiceUnavailable
from fastcollab.logs import get_logger

log = get_logger(__name__)

_REVOKE = load("revoke")

#: How long (ms) a revocation is kept beyond its time, since the server's clock may be ahead of ours.
_SKEW = 60_000

#: How many are written at once.
_AT_ONCE = 64

#: Seconds after which a server that could not be reached is tried again, at first and at most.
_PAUSE, _LONGEST_PAUSE = 0.1, 5.0


class RedisRevocations:
    """Those of a cluster; the orders tell of those that are made by other nodes."""

    def __init__(self, servers: Servers, orders: RedisOrders, *, skew: int = _SKEW) -> None:
        self._servers = servers
        self._orders = orders
        self._skew = skew
        self._known = MemoryRevocations()
        #: What is to be written again.
        self._unwritten: set[Revocation] = set()
        self._restoring: asyncio.Task[None] | None = None
        self._unwatch = servers.lapses.watch(self._lapsed)
        orders.subscribe_revocations(self._known.add)

    async def revoke(self, revocation: Revocation) -> None:
        # Whatever becomes of the server, nobody gets in here with it from now on.
        self._known.add(revocation)
        await self._store(revocation)
        await self._orders.give_revocation(revocation)

    async def is_revoked(self, token: TokenMarks) -> bool:
        if await self._known.is_revoked(token):
            return True
        named: tuple[tuple[RevocationKind, str | None], ...] = (
            ("token", token.token_id),
            ("user", token.user_id),
            ("session", token.login),
        )
        return any(await asyncio.gather(*(self._covers(kind, name, token) for kind, name in named if name is not None)))

    def subscribe(self, told: Callable[[Revocation], None]) -> Callable[[], None]:
        return self._known.subscribe(told)

    async def forget(self, now: int) -> None:
        await self._known.forget(now)

    async def close(self) -> None:
        self._unwatch()
        if self._restoring is not None:
            self._restoring.cancel()
            with suppress(asyncio.CancelledError):
                await self._restoring

    def _lapsed(self, concerns: Concerns) -> None:
        self._unwritten.update(each for each in self._known.all() if concerns(self._key(each.kind, each.subject)))
        if self._unwritten and self._restoring is None:
            self._restoring = asyncio.create_task(self._restore())

    async def _restore(self) -> None:
        pause = _PAUSE
        while some := list(islice(self._unwritten, _AT_ONCE)):
            try:
                await asyncio.gather(*map(self._write_again, some))
                pause = _PAUSE
            except ServiceUnavailable:
                await asyncio.sleep(pause)
                pause = min(2 * pause, _LONGEST_PAUSE)
        self._restoring = None

    async def _write_again(self, revocation: Revocation) -> None:
        """It stays to be written if this fails, or if there is another lapse meanwhile."""
        self._unwritten.remove(revocation)
        try:
            await self._store(revocation)
        except BaseException:
            self._unwritten.add(revocation)
            raise

    async def _covers(self, kind: RevocationKind, subject: str, token: TokenMarks) -> bool:
        key = self._key(kind, subject)
        kept: bytes | None = await self._servers.call(key, "GET", key)
        if kept is None:
            return False
        before, until = kept.decode().split(" ")
        return Revocation(kind, subject, int(before), int(until) if until else None).covers(token)

    async def _store(self, revocation: Revocation) -> None:
        until = "" if revocation.until is None else revocation.until
        key = self._key(revocation.kind, revocation.subject)
        await self._servers.run(_REVOKE, [key], revocation.before, until, self._skew)

    def _key(self, kind: RevocationKind, subject: str) -> bytes:
        # The subject need not be a user; it has a tag like one.
        return self._servers.names.user(subject, f"revoked-{kind}")[0]
