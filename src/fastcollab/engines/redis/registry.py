"""Connections of users, their rooms and their numbers, in Redis.

Of each user there is a hash of the open connections, each with the incarnation of its node and its rooms; a sorted set
of those that can still be taken up; and the number. Of each number there is a key that names its holder. Of each node,
and each of the slots that users are spread over, there is a set of its users: by that a dead node is buried, whoever
does it.

A node has a *picture* of its own connections. Its calls about one user are carried out one after the other. A call
whose outcome is not known, or that could not be made, leaves the user *owed*: as soon as the server can be reached the
picture is declared to it, whatever it knew. So a connection that ended while the server was away counts no more, and
one that was refused for that reason was never counted. The same is done with every user of whom a server may have
forgotten something, and once a day, which is how numbers of those who stay are kept.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, suppress
from functools import partial
from math import inf

import msgspec

from fastcollab.engines.memory import NUMBERS, preferred_number
from fastcollab.engines.redis.incarnations import Incarnation, node_of
from fastcollab.engines.redis.lapses import Concerns
from fastcollab.engines.redis.scripts import load
from fastcollab.engines.redis.servers import Servers
from fastcollab.errors import ConnectionLimit, RateLimited, ServiceUnavailable
from fastcollab.logs import get_logger
from fastcollab.ports import TakenUp

log = get_logger(__name__)

_REGISTER = load("user_register")
_UNREGISTER = load("user_unregister")
_TAKE_UP = load("user_take_up")
_ENTER = load("user_enter")
_LEAVE = load("user_leave")
_DECLARE = load("user_declare")
_BURY = load("user_bury")
_NUMBER = load("user_number")
_CLAIM = load("number_claim")

#: How long (ms) a number stays its user's after it was last said that it is.
_NUMBER_KEPT = 30 * 24 * 3600 * 1000

#: After how many seconds the picture is declared anew, so that numbers of those who stay are kept.
_RENEWAL = 24 * 3600.0

#: For how long (s) it is not asked again through how many nodes a user is connected.
_SPREAD_KEPT = 5.0

#: Seconds after which a server that could not be reached is tried again, at first and at most.
_PAUSE, _LONGEST_PAUSE = 0.1, 5.0

#: How many users are declared or buried at once.
_AT_ONCE = 64


#: A connection as it is kept: the incarnation of its node, and its rooms.
_connection = msgspec.json.Decoder(list[str])


class _User:
    """One user's part of the picture.

    `open` has the rooms of each connection, `closed` when (monotonic) those whose end is owed can be taken up no more.
    `callers` is how many calls there are that have a hold of this. `spread` is through how many nodes the user was
    connected when that was `asked` last (monotonic).
    """

    __slots__ = ("asked", "callers", "closed", "lock", "number", "open", "owed", "spread")

    def __init__(self) -> None:
        self.number: int | None = None
        self.open: dict[str, set[str]] = {}
        self.closed: dict[str, float] = {}
        self.owed = False
        self.callers = 0
        self.spread = 1
        self.asked = -inf
        self.lock = asyncio.Lock()


class RedisRegistry:
    """That of the node of this incarnation; to be opened, on the event loop that calls it, and closed."""

    def __init__(self, servers: Servers, incarnation: Incarnation, *, renewal: float = _RENEWAL) -> None:
        self._servers = servers
        self._incarnation = incarnation
        self._renewal = renewal
        self._users: dict[str, _User] = {}
        self._settling: asyncio.Task[None] | None = None
        self._renewing: asyncio.Task[None] | None = None
        self._closed = False
        self._unwatch = servers.lapses.watch(self._lapsed)

    def __len__(self) -> int:
        """How many connections this node has."""
        return sum(len(user.open) for user in self._users.values())

    def open(self) -> None:
        self._renewing = asyncio.create_task(self._renew())

    async def close(self) -> None:
        """Makes a last attempt at what is owed."""
        self._closed = True
        self._unwatch()
        for task in (self._renewing, self._settling):
            if task is not None:
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task
        with suppress(ServiceUnavailable):
            await self._settle_owed()

    async def register(self, user_id: str, connection_id: str, limit: int) -> int:
        async with self._turn(user_id) as user:
            if user.owed:
                # Else connections that have ended could refuse this one.
                await self._declare(user_id, user)
            connections, index, _, number = self._keys(user_id)
            known: bytes | None = await self._servers.run(
                _REGISTER, [connections, index, number], *self._whose(user_id), connection_id, limit, _NUMBER_KEPT
            )
            if known is None:
                raise ConnectionLimit("too many connections of this user", limit=limit, remaining=0)
            user.number = await self._hold_number(user_id, int(known) if known else user.number)
            user.open[connection_id] = set()
            return user.number

    async def unregister(self, user_id: str, connection_id: str, resumable: float = 0) -> None:
        """Does not fail: if the server cannot be told now, it is as soon as it can."""
        with suppress(ServiceUnavailable):
            async with self._turn(user_id) as user:
                connections, index, closed, _ = self._keys(user_id)
                user.open.pop(connection_id, None)
                user.closed[connection_id] = time.monotonic() + resumable
                await self._servers.run(
                    _UNREGISTER,
                    [connections, index, closed],
                    *self._whose(user_id),
                    connection_id,
                    int(resumable * 1000),
                )
                del user.closed[connection_id]

    async def take_up(self, user_id: str, connection_id: str) -> TakenUp:
        async with self._turn(user_id) as user:
            if user.owed:
                await self._declare(user_id, user)
            connections, _, closed, _ = self._keys(user_id)
            incarnation: bytes | None = await self._servers.run(_TAKE_UP, [connections, closed], connection_id)
            if incarnation:
                user.open.pop(connection_id, None)
        return TakenUp(False) if incarnation is None else TakenUp(True, node_of(incarnation.decode()) or None)

    async def enter(self, user_id: str, connection_id: str, room_id: str, limit: int) -> None:
        async with self._turn(user_id) as user:
            connections, *_ = self._keys(user_id)
            if not await self._servers.run(_ENTER, [connections], connection_id, room_id, limit):
                raise RateLimited(f"a user may be in {limit} rooms", limit=limit, remaining=0)
            if connection_id in user.open:
                user.open[connection_id].add(room_id)

    async def leave(self, user_id: str, connection_id: str, room_id: str) -> None:
        """Does not fail: if the server cannot be told now, it is as soon as it can."""
        with suppress(ServiceUnavailable):
            async with self._turn(user_id) as user:
                connections, *_ = self._keys(user_id)
                user.open.get(connection_id, set()).discard(room_id)
                await self._servers.run(_LEAVE, [connections], connection_id, room_id)

    def spread(self, user_id: str) -> int:
        if (user := self._users.get(user_id)) is None:
            return 1
        now = time.monotonic()
        if now - user.asked > _SPREAD_KEPT:
            user.asked = now
            [connections] = self._servers.names.user(user_id, "connections")
            self._servers.call(connections, "HVALS", connections).add_done_callback(partial(_found_spread, user))
        return user.spread

    async def restore(self) -> None:
        """Has the server know all that this node has, whatever it knew; returns when that is so, however long that
        takes.
        """
        self._lapsed(lambda key: True)
        while self._settling is not None:
            await asyncio.shield(self._settling)

    async def bury(self, incarnation: str) -> None:
        """Counts all connections of this incarnation out."""
        indexes = self._servers.names.shared_by_users(_index(incarnation))
        found = await asyncio.gather(*(self._servers.call(index, "SMEMBERS", index) for index in indexes))
        for some in _in_groups([user.decode() for users in found for user in users]):
            await asyncio.gather(
                *(
                    self._servers.run(_BURY, self._keys(user_id, incarnation)[:2], incarnation, user_id)
                    for user_id in some
                )
            )

    @asynccontextmanager
    async def _turn(self, user_id: str) -> AsyncIterator[_User]:
        """The user's part of the picture, for one call at a time. What ends with another error than a refusal may have
        been carried out or not.
        """
        if (user := self._users.get(user_id)) is None:
            user = self._users[user_id] = _User()
        user.callers += 1
        try:
            async with user.lock:
                try:
                    yield user
                except (ConnectionLimit, RateLimited):
                    raise
                except BaseException:
                    self._owe(user)
                    raise
        finally:
            user.callers -= 1
            if not (user.callers or user.open or user.owed):
                del self._users[user_id]

    async def _hold_number(self, user_id: str, known: int | None) -> int:
        """The number that the user holds from now on; `known` is the one that it has been given before."""
        if known is not None and await self._claim(user_id, known):
            return known
        number = preferred_number(user_id)
        while not await self._claim(user_id, number):
            number = (number + 1) % NUMBERS
        # Of two nodes that look for one at once, both take what the first has found; what the other has found may be
        # another one, if one became free meanwhile, and is held in vain until it is forgotten.
        lost = "" if known is None else known
        settled = int(await self._servers.run(_NUMBER, [self._keys(user_id)[3]], number, lost, _NUMBER_KEPT))
        if settled != number:
            await self._claim(user_id, settled)
        return settled

    async def _claim(self, user_id: str, number: int) -> bool:
        """Whether the user holds this number from now on; False: another does."""
        key = self._servers.names.number(number)
        return bool(await self._servers.run(_CLAIM, [key], user_id, _NUMBER_KEPT))

    def _lapsed(self, concerns: Concerns) -> None:
        names = self._servers.names
        for user_id, user in self._users.items():
            held = [] if user.number is None else [names.number(user.number)]
            if any(map(concerns, (*self._keys(user_id), *held))):
                self._owe(user)

    def _owe(self, user: _User) -> None:
        user.owed = True
        if self._settling is None and not self._closed:
            self._settling = asyncio.create_task(self._settle())

    async def _settle(self) -> None:
        """Declares users until none is owed."""
        pause = _PAUSE
        while any(user.owed for user in self._users.values()):
            try:
                await self._settle_owed()
                pause = _PAUSE
            except ServiceUnavailable:
                await asyncio.sleep(pause)
                pause = min(2 * pause, _LONGEST_PAUSE)
            except Exception:
                log.exception("what connections there are could not be declared")
                await asyncio.sleep(_LONGEST_PAUSE)
        self._settling = None

    async def _settle_owed(self) -> None:
        for some in _in_groups([user_id for user_id, user in self._users.items() if user.owed]):
            await asyncio.gather(*map(self._settle_user, some))

    async def _settle_user(self, user_id: str) -> None:
        async with self._turn(user_id) as user:
            if user.owed:
                await self._declare(user_id, user)

    async def _declare(self, user_id: str, user: _User) -> None:
        """Has the server know what this node has of the user. To be called in the user's turn, which owes it again if
        this fails; and so does who has reason to while it is under way.
        """
        user.owed = False
        now = time.monotonic()
        opened = {connection_id: list(rooms) for connection_id, rooms in user.open.items()}
        closed = {
            connection_id: int((deadline - now) * 1000)
            for connection_id, deadline in user.closed.items()
            if deadline > now + 0.001
        }
        number = user.number if user.open else None
        await self._servers.run(
            _DECLARE,
            self._keys(user_id),
            *self._whose(user_id),
            msgspec.json.encode(opened),
            msgspec.json.encode(closed),
            "" if number is None else number,
            _NUMBER_KEPT,
        )
        if number is not None and not await self._claim(user_id, number):
            log.warning("a user's number has been given to another", user_id=user_id, number=number)
        user.closed.clear()

    async def _renew(self) -> None:
        while True:
            await asyncio.sleep(self._renewal)
            await self.restore()

    def _whose(self, user_id: str) -> tuple[str, str]:
        return str(self._incarnation), user_id

    def _keys(self, user_id: str, incarnation: str | None = None) -> list[bytes]:
        names = self._servers.names
        opened, closed, number = names.user(user_id, "connections", "closed", "number")
        return [opened, *names.beside_user(user_id, _index(incarnation or str(self._incarnation))), closed, number]


def _found_spread(user: _User, found: asyncio.Future[list[bytes]]) -> None:
    """Takes note of whose connections a user has, if that could be found out; else what was known counts."""
    if not found.cancelled() and found.exception() is None:
        incarnations = [_connection.decode(connection)[0] for connection in found.result()]
        user.spread = max(1, len({*map(node_of, incarnations)}))


def _index(incarnation: str) -> str:
    """What the users of a node are kept as."""
    return f"users-of:{incarnation}"


def _in_groups(users: Sequence[str]) -> Iterator[Sequence[str]]:
    for begin in range(0, len(users), _AT_ONCE):
        yield users[begin : begin + _AT_ONCE]
