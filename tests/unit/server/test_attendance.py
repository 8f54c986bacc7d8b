"""Rosters as this node keeps them: what is entered, taken out, declared again, and told."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Coroutine, Mapping, Sequence
from typing import Any

import pytest
from tests.builders import enter, new_room, session_of

from fastcollab.core.notices import Joined, Notice, Parted
from fastcollab.core.room import Room
from fastcollab.core.roster import Person, RosterEntry
from fastcollab.errors import RoomFull, ServiceUnavailable
from fastcollab.ports import Roster
from fastcollab.server.attendance import Attendance

ADA = session_of("ada").identity.person


class Rosters:
    """One room's roster of one node, which can be out of reach, and waits when it is told to."""

    def __init__(self) -> None:
        self.persons: dict[str, Person] = {}
        self.calls: list[str] = []
        self.reachable = True
        self.gate = asyncio.Event()
        self.gate.set()

    async def _call(self, name: str) -> None:
        self.calls.append(name)
        await self.gate.wait()
        if not self.reachable:
            raise ServiceUnavailable("nobody answers")

    async def enter(self, room_id: str, person: Person, limit: int) -> Roster:
        await self._call(f"enter {person.user_id}")
        if person.user_id not in self.persons and len(self.persons) >= limit:
            raise RoomFull("the room is full", limit=limit)
        self.persons[person.user_id] = person
        return self._roster()

    async def leave(self, room_id: str, user_id: str) -> None:
        await self._call(f"leave {user_id}")
        self.persons.pop(user_id, None)

    async def declare(self, room_id: str, persons: Sequence[Person]) -> Roster:
        await self._call("declare")
        new = {person.user_id for person in persons} - self.persons.keys()
        self.persons = {person.user_id: person for person in persons}
        return self._roster(new)

    def show(self, room_id: str, user_id: str, presence: Mapping[str, Any]) -> None:
        raise NotImplementedError

    def subscribe(self, told: Callable[[Callable[[str], bool]], None]) -> Callable[[], None]:
        raise NotImplementedError

    def _roster(self, new: Collection[str] = ()) -> Roster:
        return Roster([RosterEntry(person, frozenset({"here"}), {}) for person in self.persons.values()], new=new)


class Node:
    def __init__(self) -> None:
        self.rosters = Rosters()
        self.room: Room | None = new_room()
        self.told: list[Notice] = []
        self.doubted: list[str] = []
        self.reads: list[Any] = []
        self.tasks: list[asyncio.Task[None]] = []
        self.changed: list[str] = []
        self.attendance = Attendance(
            self.rosters,
            live=lambda _room_id: self.room,
            reading=lambda _room_id: self.reads.append("begun"),
            read=lambda _room_id, roster: self.reads.append(
                roster and [entry.person.user_id for entry in roster.entries]
            ),
            tell=self.told.append,
            doubt=self.doubted.append,
            changed=self.changed.append,
            run=self.run,
        )

    def run(self, coroutine: Coroutine[Any, Any, None]) -> None:
        self.tasks.append(asyncio.get_running_loop().create_task(coroutine))

    async def settled(self) -> None:
        await asyncio.gather(*self.tasks)


@pytest.fixture
async def node() -> Node:
    return Node()


async def test_who_enters_is_told_once_the_roster_has_it(node: Node) -> None:
    await node.attendance.enter("plans", ADA, 5)
    await node.attendance.enter("plans", ADA, 5)
    assert node.rosters.calls == ["enter ada"]
    assert node.told == [Joined("plans", ADA)]
    assert node.reads == ["begun", ["ada"]]
    assert node.changed == ["plans"]


async def test_who_finds_the_room_full_is_not_told_of_R4(node: Node) -> None:
    with pytest.raises(RoomFull):
        await node.attendance.enter("plans", ADA, 0)
    assert (node.told, node.doubted, node.reads) == ([], [], ["begun", None])


async def test_who_entered_and_did_not_stay_is_taken_out(node: Node) -> None:
    await node.attendance.enter("plans", ADA, 5)
    node.attendance.settle("plans", "ada")
    await node.settled()
    assert node.rosters.persons == {}
    assert node.told[-1] == Parted("plans", "ada")


async def test_who_is_back_before_it_was_taken_out_stays(node: Node) -> None:
    assert node.room is not None
    ada = session_of("ada")
    await node.attendance.enter("plans", ADA, 5)
    node.attendance.settle("plans", "ada")
    enter(node.room, ada)
    await node.settled()
    assert node.rosters.calls == ["enter ada"]


async def test_calls_about_a_room_do_not_overtake_each_other(node: Node) -> None:
    await node.attendance.enter("plans", ADA, 5)
    node.rosters.gate.clear()
    node.attendance.settle("plans", "ada")
    await asyncio.sleep(0)
    entering = asyncio.create_task(node.attendance.enter("plans", ADA, 5))
    await asyncio.sleep(0)
    node.rosters.gate.set()
    await entering
    await node.settled()
    assert node.rosters.calls == ["enter ada", "leave ada", "enter ada"]
    assert [type(notice) for notice in node.told] == [Joined, Parted, Joined]
    assert node.rosters.persons == {"ada": ADA}


async def test_what_nobody_knows_is_doubted_and_declared_again(node: Node) -> None:
    assert node.room is not None
    node.rosters.reachable = False
    with pytest.raises(ServiceUnavailable):
        await node.attendance.enter("plans", ADA, 5)
    assert node.doubted == ["plans"]
    node.rosters.reachable = True
    node.rosters.persons["ada"] = ADA  # it had been done
    await node.attendance.declare("plans")
    assert node.rosters.persons == {}
    assert node.told == []


async def test_who_could_not_be_taken_out_is_when_it_is_declared(node: Node) -> None:
    await node.attendance.enter("plans", ADA, 5)
    node.rosters.reachable = False
    node.attendance.settle("plans", "ada")
    await node.settled()
    assert node.doubted == ["plans"]
    node.rosters.reachable = True
    node.room = None  # everybody has gone meanwhile
    await node.attendance.declare("plans")
    assert node.rosters.persons == {}
    assert node.told == [Joined("plans", ADA), Parted("plans", "ada")]


async def test_a_roster_that_was_lost_is_filled_again(node: Node) -> None:
    assert node.room is not None
    await node.attendance.enter("plans", ADA, 5)
    enter(node.room, session_of("ada"))
    node.rosters.persons.clear()
    await node.attendance.declare("plans")
    assert node.rosters.persons == {"ada": ADA}
    # Who has read it meanwhile does not know of her.
    assert node.told == [Joined("plans", ADA)] * 2
    await node.attendance.declare("plans")
    assert len(node.told) == 2


async def test_another_name_is_entered_and_told(node: Node) -> None:
    assert node.room is not None
    ada = session_of("ada")
    await node.attendance.enter("plans", ADA, 5)
    enter(node.room, ada)
    renamed = Person("ada", ADA.numeric_id, "Countess", "#fff")
    node.room.participants["ada"].person = renamed
    node.attendance.settle("plans", "ada")
    await node.settled()
    assert node.rosters.persons == {"ada": renamed}
    assert node.told[-1] == Joined("plans", renamed)


async def test_who_was_dropped_with_the_node_is_told_of_again(node: Node) -> None:
    """The others may have read the roster before this node had declared it again."""
    assert node.room is not None
    enter(node.room, session_of("ada"))
    await node.attendance.declare("plans")
    await node.attendance.declare("plans")
    assert node.told == [Joined("plans", ADA)]
    node.attendance.dropped()
    await node.attendance.declare("plans")
    assert node.told == [Joined("plans", ADA)] * 2


async def test_who_leaves_while_the_node_is_dropped_is_taken_out(node: Node) -> None:
    await node.attendance.enter("plans", ADA, 5)
    node.rosters.gate.clear()
    node.attendance.settle("plans", "ada")
    await asyncio.sleep(0)
    node.attendance.dropped()
    node.rosters.gate.set()
    await node.settled()
    assert node.rosters.persons == {}
    assert node.told[-1] == Parted("plans", "ada")
