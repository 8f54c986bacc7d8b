"""Who takes part in which room, in Redis.

Of each room three hashes by user: persons, nodes (incarnations, with a space between them), and presence as last kept.
They have no expiry, and all fields of a user go with its last node: so a room that is deserted has no key. Of each
node, and each of the slots that rooms are spread over, a hash of its rooms with the number of its participants there:
by that a dead node is buried, whoever does it. And of each of these slots, since when there is anything of all this.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from fastcollab.core.roster import Person, RosterEntry
from fastcollab.engines.redis.incarnations import Incarnation, node_of
from fastcollab.engines.redis.scripts import load
from fastcollab.engines.redis.servers import Servers
from fastcollab.errors import RoomFull, ServiceUnavailable
from fastcollab.logs import get_logger
from fastcollab.ports import Roster, Turn

log = get_logger(__name__)

_ENTER = load("roster_enter", "_keeping")
_LEAVE = load("roster_leave")
_DECLARE = load("roster_declare", "_keeping")
_SHOW = load("roster_show")
_READ = load("roster_read")
_TURN = load("roster_turn")
_BURY = load("roster_bury")

#: How many rooms of a dead node are seen to at once.
_AT_ONCE = 64

_person = msgspec.json.Decoder(Person)
_presence = msgspec.json.Decoder(dict[str, Any])


class RedisRosters:
    """Those of the node of this incarnation, and of nodes with this lease (s).

    Presence that is to be kept is gathered while what was gathered before is under way, so that a room costs one call
    for however many participants, and a server that is slow is not flooded.
    """

    def __init__(self, servers: Servers, incarnation: Incarnation, lease: float) -> None:
        self._servers = servers
        self._incarnation = incarnation
        self._lease = lease
        self._shown: dict[str, dict[str, bytes]] = {}
        self._kept: asyncio.Future[None] | None = None
        self._keeping: asyncio.Task[None] | None = None
        self._buried: Callable[[str], None] = lambda _room_id: None

    async def enter(self, room_id: str, person: Person, limit: int) -> Roster:
        keys, kept = self._keys(room_id, self._kept_since(room_id)), msgspec.json.encode(person)
        found = await self._servers.run(_ENTER, keys, str(self._incarnation), room_id, person.user_id, kept, limit)
        if found is None:
            raise RoomFull(f"the room {room_id!r} takes {limit} participants", limit=limit, remaining=0)
        *roster, kept_for = found
        return Roster(_entries(roster), self._settled_in(room_id, kept_for))

    async def leave(self, room_id: str, user_id: str) -> None:
        self._shown.get(room_id, {}).pop(user_id, None)
        await self._servers.run(_LEAVE, self._keys(room_id), str(self._incarnation), room_id, user_id)

    async def declare(self, room_id: str, persons: Sequence[Person]) -> Roster:
        declared = [each for person in persons for each in (person.user_id, msgspec.json.encode(person))]
        keys = self._keys(room_id, self._kept_since(room_id))
        *roster, kept_for, new = await self._servers.run(_DECLARE, keys, str(self._incarnation), room_id, *declared)
        return Roster(
            _entries(roster), self._settled_in(room_id, kept_for), frozenset(user_id.decode() for user_id in new)
        )

    def show(self, room_id: str, user_id: str, presence: Mapping[str, Any]) -> asyncio.Future[None]:
        self._shown.setdefault(room_id, {})[user_id] = msgspec.json.encode(presence)
        if self._kept is None:
            self._kept = asyncio.get_running_loop().create_future()
        if self._keeping is None:
            self._keeping = asyncio.create_task(self._keep())
        return self._kept

    def subscribe(self, told: Callable[[Callable[[str], bool]], None]) -> Callable[[], None]:
        names = self._servers.names
        return self._servers.lapses.watch(lambda concerns: told(lambda room_id: concerns(names.roster(room_id))))

    async def read(self, room_id: str) -> Sequence[RosterEntry]:
        return _entries(await self._servers.run(_READ, self._keys(room_id)[:3]))

    async def turned(self, room_id: str) -> Turn | None:
        names = self._servers.names
        keys = [names.roster(room_id), *names.beside(room_id, "occupied")]
        turn = await self._servers.run(_TURN, keys, room_id)
        return None if turn is None else Turn(bool(turn[0]), int(turn[1]))

    def watch_buried(self, told: Callable[[str], None]) -> None:
        self._buried = told

    async def sizes(self, room_ids: Sequence[str]) -> Sequence[int]:
        keys = map(self._servers.names.roster, room_ids)
        return list(await asyncio.gather(*(self._servers.call(key, "HLEN", key) for key in keys)))

    async def bury(self, incarnation: str) -> None:
        """Has nobody take part anywhere through this incarnation."""
        indexes = self._servers.names.shared(_index(incarnation))
        found = await asyncio.gather(*(self._servers.call(index, "HKEYS", index) for index in indexes))
        rooms = [room.decode() for some in found for room in some]
        for begin in range(0, len(rooms), _AT_ONCE):
            some = rooms[begin : begin + _AT_ONCE]
            await asyncio.gather(
                *(self._servers.run(_BURY, self._keys(room, of=incarnation), incarnation, room) for room in some)
            )
            for room in some:
                self._buried(room)

    async def close(self) -> None:
        """Keeps what is still to be kept."""
        if self._keeping is not None:
            await self._keeping

    async def _keep(self) -> None:
        while self._shown:
            shown, self._shown = self._shown, {}
            kept, self._kept = self._kept, None
            await asyncio.gather(*(self._keep_room(room_id, presences) for room_id, presences in shown.items()))
            if kept is not None and not kept.done():
                kept.set_result(None)
        self._keeping = None

    async def _keep_room(self, room_id: str, presences: Mapping[str, bytes]) -> None:
        _, nodes, presence, _ = self._keys(room_id)
        pairs = [each for pair in presences.items() for each in pair]
        try:
            await self._servers.run(_SHOW, [nodes, presence], str(self._incarnation), *pairs)
        except ServiceUnavailable as error:
            log.debug("presence was not kept", room_id=room_id, error=error.message)
        except Exception:
            log.exception("presence could not be kept", room_id=room_id)

    def _settled_in(self, room_id: str, kept_for: int) -> float:
        """Of a roster that was read; the server says for how long (ms) it has not been emptied."""
        undisturbed = min(kept_for / 1000, self._servers.lapses.age(self._servers.names.roster(room_id)))
        return max(0.0, self._lease - undisturbed)

    def _keys(self, room_id: str, *more: bytes, of: str | None = None) -> list[bytes]:
        names = self._servers.names
        index = _index(of or str(self._incarnation))
        return [*names.room(room_id, "persons", "roster", "presence"), *names.beside(room_id, index), *more]

    def _kept_since(self, room_id: str) -> bytes:
        [key] = self._servers.names.beside(room_id, "rosters-kept-since")
        return key


def _index(incarnation: str) -> str:
    """What the rooms of a node are kept as."""
    return f"rooms-of:{incarnation}"


def _entries(roster: Sequence[Sequence[bytes]]) -> list[RosterEntry]:
    """Of the three hashes of a room, in the form in which a server lists them."""
    persons, nodes, presences = (dict(zip(fields[::2], fields[1::2], strict=True)) for fields in roster)
    return [
        RosterEntry(
            _person.decode(persons[user]),
            frozenset(map(node_of, incarnations.decode().split())),
            _presence.decode(presences[user]) if user in presences else {},
        )
        for user, incarnations in nodes.items()
    ]
