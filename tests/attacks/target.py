"""What an attack is, and what it is given: a gateway's address, tokens, and a tally of the refusals that it met."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import jwt
from tests.server.raw_client import RawClient, upgrade_request

MIB = 1 << 20


@dataclass
class Target:
    """A gateway under attack. `key` signs tokens that it accepts, by `algorithm`; `known` is what an attacker may know
    of it: the public key, if there is one. `revoke` has a user's tokens revoked.
    """

    url: str
    key: str
    algorithm: str
    known: str
    revoke: Callable[[str], Awaitable[None]]
    met: Counter[str] = field(default_factory=Counter)

    def token(self, user: str, *, ttl: float = 60, **claims: Any) -> str:
        """A token that the gateway accepts, if the claims are such."""
        now = time.time()
        complete = {"sub": user, "iat": int(now), "exp": now + ttl, "rooms": {"*": "write"}, **claims}
        return jwt.encode(complete, self.key, self.algorithm)

    async def enter(self, user: str, *rooms: str, receive_buffer: int = 0, **claims: Any) -> RawClient:
        """A connection of the user, in the rooms."""
        client = await RawClient.dial(self.url, receive_buffer=receive_buffer)
        await client.upgrade(self.url, self.token(user, **claims))
        for room in rooms:
            await client.join(room)
        return client

    async def turned_away(self, token: str, **headers: str) -> None:
        """The token is told to be none, and the connection ends."""
        async with await RawClient.dial(self.url) as client:
            await client.upgrade(self.url, None, {"Authorization": f"Bearer {token}", **headers})
            await client.refused(1001)
            await client.closed(4101)
        self.met["1001"] += 1

    async def status(self, headers: Mapping[str, str | None] | None = None) -> int:
        """With what an upgrade is answered; the connection is gone after that."""
        async with await RawClient.dial(self.url) as client:
            status = (await client.request(upgrade_request(self.url, headers))).status
        self.met[str(status)] += 1
        return status


Wave = Callable[[Target], Awaitable[None]]


@dataclass(frozen=True)
class Attack:
    """One thing that somebody does to a gateway, again and again, `at_once` times at the same moment.

    A wave fails with an AssertionError if it is not refused as it should be. `refusals` are those of which there must
    be one at least; `settings` the gateway's, beyond the usual; `memory` the most that it may grow by, in MiB. One that
    is `like_others` is left to `make attacks`.
    """

    wave: Wave
    refusals: frozenset[str]
    settings: Mapping[str, object]
    at_once: int
    memory: int
    public_key: bool
    like_others: bool


ATTACKS: dict[str, Attack] = {}


def attack(
    *refusals: str,
    at_once: int = 4,
    memory: int = 24,
    public_key: bool = False,
    like_others: bool = False,
    **settings: object,
) -> Callable[[Wave], Wave]:
    """Registers a wave under its name. Settings are written with `__` for the dot."""

    def register(wave: Wave) -> Wave:
        dotted = {key.replace("__", "."): value for key, value in settings.items()}
        ATTACKS[wave.__name__] = Attack(wave, frozenset(refusals), dotted, at_once, memory, public_key, like_others)
        return wave

    return register
