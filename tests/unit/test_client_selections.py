"""Where the selections of others are: of older and newer versions, under one's own edits, and what is gone."""

from __future__ import annotations

from typing import Any

import pytest

from fastcollab import ot
from fastcollab.client import ClientDocument, Participant
from fastcollab.client.participants import Selection, SelectionRange
from fastcollab.client.selections import REMEMBERED, Selections, move

Ranges = list[tuple[Any, Any]]


class Room:
    """A document of which the selections are kept, as the room does it."""

    def __init__(self, type_name: str, content: Any, version: int = 5) -> None:
        self.document = ClientDocument(ot.types[type_name], content, version, "epoch")
        self.selections = Selections("me")
        self.participants = {name: Participant(name, 1, name, "#000") for name in ("me", "you", "her")}

    def show(self, user: str, ranges: Ranges, version: int | None) -> bool:
        selection = Selection(tuple(SelectionRange(*each) for each in ranges), "#abc")
        return self.selections.show(self.participants[user], selection, version, self.document)

    def shown(self, user: str) -> Ranges | None:
        selection = self.participants[user].selection
        return None if selection is None else [tuple(each) for each in selection.ranges]

    def edit(self, operation: Any) -> None:
        self.document.edit(operation)
        self._moved(operation, "me")

    def remote(self, operation: Any, user: str = "you") -> list[str]:
        self._moved(self.document.remote(operation, self.document.version + 1), user)
        return [shown.user_id for shown in self.selections.committed(operation, user, self.document)]

    def acknowledge(self) -> list[str]:
        assert self.document.in_flight is not None
        operation = self.document.in_flight.operation
        self.document.acknowledged(self.document.version + 1)
        return [shown.user_id for shown in self.selections.committed(operation, "me", self.document)]

    def _moved(self, operation: Any, user: str) -> None:
        for participant in self.participants.values():
            move(participant, operation, self.document.type, own=participant.user_id == user)


@pytest.fixture
def room() -> Room:
    return Room("text", "one two")


def test_a_selection_of_the_present_version_is_moved_over_what_is_pending(room: Room) -> None:
    room.edit([">"])
    room.edit([1, ">"])
    assert room.show("you", [(4, 7)], 5)
    assert room.shown("you") == [(6, 9)]
    room.acknowledge()
    room.acknowledge()
    assert room.shown("you") == [(6, 9)]


def test_a_selection_of_an_older_version_is_moved_over_what_came_since(room: Room) -> None:
    room.edit(["me "])
    room.remote(["her "], "her")
    room.acknowledge()
    room.edit(["> "])
    assert room.show("you", [(4, 7)], 5)
    (anchor, head) = room.shown("you")[0]  # type: ignore[index]
    assert room.document.content[anchor:head] == "two"


def test_a_selection_of_a_newer_version_waits_for_it(room: Room) -> None:
    room.show("you", [(0, 3)], 5)
    assert not room.show("you", [(8, 11)], 7)
    assert room.shown("you") == [(0, 3)]
    room.edit(["> "])
    assert room.remote(["ab"]) == []
    assert room.remote(["cd"]) == ["you"]
    (anchor, head) = room.shown("you")[0]  # type: ignore[index]
    assert room.document.content[anchor:head] == "two"


def test_a_selection_waits_for_an_acknowledgement_too(room: Room) -> None:
    room.edit(["> "])
    assert not room.show("you", [(6, 9)], 6)
    assert room.acknowledge() == ["you"]
    assert room.shown("you") == [(6, 9)]


def test_a_newer_selection_replaces_one_that_waits(room: Room) -> None:
    room.show("you", [(0, 1)], 7)
    room.show("you", [(4, 7)], 5)
    room.remote(["a"])
    room.remote(["b"])
    assert room.shown("you") == [(6, 9)]


def test_who_leaves_is_not_waited_for(room: Room) -> None:
    room.show("you", [(0, 1)], 6)
    room.selections.forget(room.participants["you"])
    assert room.remote(["a"]) == []


def test_a_selection_without_version_is_of_the_newest(room: Room) -> None:
    room.remote(["ab "])
    room.edit(["> "])
    assert room.show("you", [(7, 10)], None)
    assert room.shown("you") == [(9, 12)]


def test_the_owner_writes_on_and_others_write_behind(room: Room) -> None:
    room.show("you", [(3, 3)], 5)
    room.show("her", [(3, 3)], 5)
    room.remote([3, "!"], "you")
    assert (room.shown("you"), room.shown("her")) == ([(4, 4)], [(3, 3)])
    room.edit([3, "?"])
    assert room.shown("her") == [(3, 3)]


def test_a_selection_older_than_what_is_remembered_is_not_shown(room: Room) -> None:
    room.show("you", [(0, 3)], 5)
    assert room.show("you", [(4, 7)], 4)
    assert room.shown("you") is None
    for _ in range(REMEMBERED + 1):
        room.remote(["x"])
    assert room.show("you", [(4, 7)], 6)
    assert room.shown("you") == [(4 + REMEMBERED, 7 + REMEMBERED)]
    assert room.show("you", [(4, 7)], 5)
    assert room.shown("you") is None


def test_no_selection_and_an_empty_one(room: Room) -> None:
    room.show("you", [(0, 3)], 5)
    assert room.show("you", [], 5)
    room.remote(["a"])
    assert room.shown("you") == []
    room.selections.show(room.participants["you"], None, None, room.document)
    assert room.shown("you") is None


def test_positions_that_are_gone_in_a_tree() -> None:
    room = Room("json1", {"a": "text", "b": "text"})
    room.show("you", [(["a", 1], ["a", 3]), (["b", 0], ["b", 2])], 5)
    room.show("her", [(["a", 1], ["a", 3])], 5)
    room.remote(["a", {"r": True}])
    assert room.shown("you") == [(["b", 0], ["b", 2])]
    assert room.shown("her") is None


def test_positions_that_are_none_in_this_type(room: Room) -> None:
    room.show("you", [(["a", 1], ["a", 3])], 5)
    room.remote(["x"])
    assert room.shown("you") is None


def test_a_reset_remembers_nothing(room: Room) -> None:
    room.show("you", [(0, 1)], 7)
    room.remote(["a"])
    room.selections.reset()
    assert room.remote(["b"]) == []
    assert room.show("you", [(0, 1)], 6)
    assert room.shown("you") == [(1, 2)]
    assert room.show("you", [(0, 1)], 5)
    assert room.shown("you") is None
