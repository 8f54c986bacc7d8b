"""Who is in a room, kept up to date by what the gateway says of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from fastcollab.client.document import ClientDocument, Operation
from fastcollab.client.participants import (
    Cursor,
    Participant,
    Record,
    Selection,
    SelectionRange,
    selection_from_wire,
)
from fastcollab.client.selections import Selections, move

CURSOR = 1  # as a type of binary frame; the other one is that of selections


class Roster:
    """The participants of one room, by user id in ``members``, oneself included.

    ``emit`` tells the program of the events ``participant_joined``, ``participant_left``, ``cursor``, ``selection`` and
    ``presence`` (see ``room``); ``is_observed`` says whether anybody would notice one.
    """

    def __init__(
        self, own_user_id: str, emit: Callable[[str, Participant], None], is_observed: Callable[[str], bool]
    ) -> None:
        self.members: dict[str, Participant] = {}
        self._by_number: dict[int, Participant] = {}
        self._own_user_id = own_user_id
        self._emit = emit
        self._is_observed = is_observed
        self._selections = Selections(own_user_id)

    # What the gateway says

    def replace(self, entries: list[dict[str, Any]], *, again: bool) -> None:
        """Who is in the room at this moment. ``again``: it was joined before, and who came or went is told."""
        present = {entry["userId"] for entry in entries}
        for user_id in [user_id for user_id in self.members if user_id not in present]:
            self.remove(user_id)
        for entry in entries:
            if (known := self.members.get(entry["userId"])) is None:
                self.add(entry, is_news=again)
            else:
                known.hide()

    def add(self, entry: dict[str, Any], *, is_news: bool = True) -> None:
        participant = Participant.from_wire(entry)
        self.members[participant.user_id] = participant
        self._by_number[participant.numeric_id] = participant
        if is_news:
            self._emit("participant_joined", participant)

    def remove(self, user_id: str) -> None:
        participant = self.members.pop(user_id, None)
        if participant is not None:
            self._by_number.pop(participant.numeric_id, None)
            self._selections.forget(participant)
            self._emit("participant_left", participant)

    def update(self, user_id: str, presence: dict[str, Any], timestamp: int, document: ClientDocument) -> None:
        """What a participant shows, as far as it has changed."""
        participant = self.members.get(user_id)
        if participant is None:
            return
        changed = participant.update(presence, timestamp)
        if "selection" in presence:
            selection, version = selection_from_wire(presence["selection"])
            if self._selections.show(participant, selection, version, document):
                changed.add("selection")
        for event in changed:
            self._emit(event, participant)

    def records(self, kind: int, records: Iterable[Record], document: ClientDocument) -> None:
        """A binary frame. Cursors come 60 times a second and participant, so little is done for each."""
        members, own = self._by_number, self.members.get(self._own_user_id)
        event = "cursor" if kind == CURSOR else "selection"
        is_observed = self._is_observed(event)
        for record in records:
            participant = members.get(record[0])
            if participant is None or participant is own:
                continue
            if kind == CURSOR:
                participant.cursor = Cursor._make(record)
            else:
                ranges = (SelectionRange(int(record[1]), int(record[2])),)
                self._selections.show(participant, Selection(ranges, participant.color), None, document)
            if is_observed:
                self._emit(event, participant)

    # What happens to the document

    def content_changed(self, operation: Operation, user_id: str | None, document: ClientDocument) -> None:
        for participant in self.members.values():
            if participant.selection is not None:
                move(participant, operation, document.type, own=participant.user_id == user_id)

    def committed(self, operation: Operation, user_id: str, document: ClientDocument) -> None:
        for participant in self._selections.committed(operation, user_id, document):
            self._emit("selection", participant)

    def content_replaced(self) -> None:
        self._selections.reset()
        for participant in self.members.values():
            participant.selection = None
