"""Rosters in Redis against a model, while nodes die, are buried, and come to life again."""

import asyncio
from collections.abc import Iterator
from contextlib import AsyncExitStack
from itertools import count
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.redis_servers import VALKEY, start_server

from fastcollab.config import EngineConfig
from fastcollab.core.roster import Person, RosterEntry
from fastcollab.engines.redis.incarnations import Incarnation
from fastcollab.engines.redis.rosters import RedisRosters
from fastcollab.engines.redis.servers import Servers
from fastcollab.errors import RoomFull

#: Of no consequence here: nobody is taken for dead.
_LEASE = 15.0
_NODES, _ROOMS, _LIMIT = 3, ("plans", "{plans}"), 2
_prefixes = map("rosters-{}".format, count())

_node = st.integers(0, _NODES - 1)
_room = st.sampled_from(_ROOMS)
_user = st.sampled_from(["ada", "bob", "cy"])
_version = st.integers(0, 9)
_steps = st.lists(
    st.one_of(
        st.tuples(st.just("enter"), _node, _room, _user, _version),
        st.tuples(st.just("leave"), _node, _room, _user),
        st.tuples(st.just("show"), _node, _room, _user, _version),
        st.tuples(st.just("declare"), _node, _room, st.dictionaries(_user, _version)),
        # Dies, in the eyes of the others, and goes on at once, or never.
        st.tuples(st.just("revive"), _node),
        st.tuples(st.just("bury"), st.integers(0, 9)),
    ),
    max_size=40,
)


class Model:
    """What the rosters are to be: of each room and user the person, the incarnations and the presence."""

    def __init__(self) -> None:
        self.rooms: dict[str, dict[str, tuple[Person, set[tuple[int, int]], dict[str, Any]]]] = {}

    def enter(self, node: tuple[int, int], room_id: str, person: Person) -> bool:
        room = self.rooms.setdefault(room_id, {})
        if person.user_id not in room and len(room) >= _LIMIT:
            return False
        self._add(node, room_id, person)
        return True

    def leave(self, node: tuple[int, int], room_id: str, user_id: str) -> None:
        room = self.rooms.setdefault(room_id, {})
        if user_id in room:
            self._remove(room, user_id, {other for other in room[user_id][1] if other[0] == node[0]})

    def declare(self, node: tuple[int, int], room_id: str, persons: list[Person]) -> None:
        declared = {person.user_id for person in persons}
        for user_id in set(self.rooms.setdefault(room_id, {})) - declared:
            self.leave(node, room_id, user_id)
        for person in persons:
            self._add(node, room_id, person)

    def show(self, node: tuple[int, int], room_id: str, user_id: str, presence: dict[str, Any]) -> None:
        room = self.rooms.setdefault(room_id, {})
        if user_id in room and node in room[user_id][1]:
            room[user_id] = (*room[user_id][:2], presence)

    def bury(self, node: tuple[int, int]) -> None:
        for room in self.rooms.values():
            for user_id in list(room):
                self._remove(room, user_id, {node})

    def _add(self, node: tuple[int, int], room_id: str, person: Person) -> None:
        room = self.rooms.setdefault(room_id, {})
        _, through, presence = room.get(person.user_id, (person, set(), {}))
        room[person.user_id] = (person, {other for other in through if other[0] != node[0]} | {node}, presence)

    def _remove(self, room: dict[str, Any], user_id: str, nodes: set[tuple[int, int]]) -> None:
        room[user_id][1].difference_update(nodes)
        if not room[user_id][1]:
            del room[user_id]


async def follow(url: str, steps: list[tuple[Any, ...]]) -> None:
    async with AsyncExitStack() as stack:
        servers = await Servers.open(EngineConfig(url=url, prefix=next(_prefixes)))
        stack.push_async_callback(servers.close)
        nodes = [Incarnation() for _ in range(_NODES)]
        rosters = [RedisRosters(servers, node, _LEASE) for node in nodes]
        lives = [0] * _NODES
        dead: list[tuple[tuple[int, int], str]] = []
        model = Model()

        def wanted(room_id: str) -> dict[str, RosterEntry]:
            return {
                user_id: RosterEntry(person, frozenset(nodes[node].node for node, _ in through), presence)
                for user_id, (person, through, presence) in model.rooms.get(room_id, {}).items()
            }

        def person(user_id: str, version: int) -> Person:
            return Person(user_id, 7, f"{user_id} {version}", "#1565c0")

        for action, *arguments in steps:
            found = None
            match action, arguments:
                case "enter", (node, room_id, user_id, version):
                    entered = model.enter((node, lives[node]), room_id, person(user_id, version))
                    try:
                        found = (await rosters[node].enter(room_id, person(user_id, version), _LIMIT)).entries
                        assert entered
                    except RoomFull:
                        assert not entered
                case "leave", (node, room_id, user_id):
                    model.leave((node, lives[node]), room_id, user_id)
                    await rosters[node].leave(room_id, user_id)
                case "show", (node, room_id, user_id, version):
                    model.show((node, lives[node]), room_id, user_id, {"status": str(version)})
                    await rosters[node].show(room_id, user_id, {"status": str(version)})
                case "declare", (node, room_id, users):
                    persons = [person(user_id, version) for user_id, version in users.items()]
                    model.declare((node, lives[node]), room_id, persons)
                    found = (await rosters[node].declare(room_id, persons)).entries
                case "revive", (node,):
                    dead.append(((node, lives[node]), str(nodes[node])))
                    nodes[node].follow()
                    lives[node] += 1
                case "bury", (index,) if dead:
                    buried, incarnation = dead.pop(index % len(dead))
                    model.bury(buried)
                    await rosters[index % _NODES].bury(incarnation)
            if found is not None:
                assert {entry.person.user_id: entry for entry in found} == wanted(room_id)

        # A stranger who looks sees what is to be seen; and of what is left and buried nothing is left.
        stranger = RedisRosters(servers, Incarnation(), _LEASE)
        for room_id in _ROOMS:
            found = (await stranger.declare(room_id, [])).entries
            assert {entry.person.user_id: entry for entry in found} == wanted(room_id)
            for entry in found:
                for roster in rosters:
                    await roster.leave(room_id, entry.person.user_id)
        for _, incarnation in dead:
            await stranger.bury(incarnation)
        for roster in rosters:
            await roster.close()
        left = await servers.call(b"", "KEYS", f"{servers.prefix}:*")
        assert [key for key in left if not key.endswith(b"rosters-kept-since")] == []


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with start_server(VALKEY) as server:
        yield server.url


@given(_steps)
@settings(max_examples=300, deadline=None)
def test_rosters_are_as_the_model_says(url: str, steps: list[tuple[Any, ...]]) -> None:
    asyncio.run(follow(url, steps))
