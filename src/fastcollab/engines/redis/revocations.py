"""Revocations in Redis, and of those that this node has made or heard of also in memory.

Each is a key of its own, which the server drops when no token can be covered by it any more. Whether a token is revoked
the server is asked each time; what is in memory is known even while there is none, and is written again when the
server has lost its data.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from fastcollab.core.revocation import Revocation, RevocationKind, TokenMarks
from fastcollab.engines.memory import MemoryRevocations
from fastcollab.engines.redis.orders import RedisOrders
from fastcollab.engines.redis.scripts import load
from fastcollab.engines.redis.servers import Servers

_REVOKE = load("revoke")

#: How long (ms) a revocation is kept beyond its time, since the server's clock may be ahead of ours.
_SKEW = 60_000

#: How many are written at once.
_AT_ONCE = 64


class RedisRevocations:
    """Those of a cluster; the orders tell of those that are made by other nodes."""

    def __init__(self, servers: Servers, orders: RedisOrders, *, skew: int = _SKEW) -> None:
        self._servers = servers
        self._orders = orders
        self._skew = skew
        self._known = MemoryRevocations()
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

    async def restore(self) -> None:
        """Writes all that this node knows of anew, for a server that has lost it."""
        known = self._known.all()
        for begin in range(0, len(known), _AT_ONCE):
            await asyncio.gather(*map(self._store, known[begin : begin + _AT_ONCE]))

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
