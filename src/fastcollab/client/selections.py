"""Keeping the others' selections on their text, while everybody writes.

A selection arrives in terms of a version of the document, and is shown in terms of ``content``. So it is moved along
the operations that were committed since that version, and then along one's own that are pending; and from then on
along everything that changes the content. The last committed operations are remembered for that purpose.

On one connection a selection does not arrive long before or after its version:

- From an older version than is remembered nobody can say where it is now, and it is not shown.
- One from a version that is not here yet waits for it: joining again, one is told first who is there, and then of the
  operations that were missed.
- A selection in a binary frame has no version, and belongs to the newest that the gateway has sent (V5).
"""

from __future__ import annotations

from collections import deque
from itertools import islice
from typing import NamedTuple

from fastcollab.client.document import ClientDocument, Operation
from fastcollab.client.participants import Participant, Position, Selection, SelectionRange
from fastcollab.ot import DocumentType, OperationError, Side

REMEMBERED = 1000  # operations


class _Early(NamedTuple):
    """A selection of a version that is not here yet."""

    participant: Participant
    selection: Selection
    version: int


class Selections:
    """The selections in one room. ``own_user_id`` is the author of what is pending in the document."""

    def __init__(self, own_user_id: str) -> None:
        self._own_user_id = own_user_id
        self._committed: deque[tuple[Operation, str]] = deque(maxlen=REMEMBERED)  # with their authors
        self._early: dict[str, _Early] = {}

    def show(
        self, participant: Participant, selection: Selection | None, version: int | None, document: ClientDocument
    ) -> bool:
        """A selection has arrived, made in ``version``; False if it cannot be shown yet."""
        self._early.pop(participant.user_id, None)
        missed = 0 if version is None else document.version - version
        if selection is not None and version is not None and missed < 0:
            self._early[participant.user_id] = _Early(participant, selection, version)
            return False
        if missed > len(self._committed):
            selection = None
        else:
            owner = participant.user_id
            for operation, author in islice(self._committed, len(self._committed) - missed, None):
                selection = _moved(selection, operation, document.type, own=author == owner)
            for operation in document.pending:
                selection = _moved(selection, operation, document.type, own=self._own_user_id == owner)
        participant.selection = selection
        return True

    def forget(self, participant: Participant) -> None:
        self._early.pop(participant.user_id, None)

    def committed(self, operation: Operation, user_id: str, document: ClientDocument) -> list[Participant]:
        """``operation`` has led ``confirmed`` to its present version; returns whose selections can be shown now."""
        self._committed.append((operation, user_id))
        due = [early for early in self._early.values() if early.version <= document.version]
        for participant, selection, version in due:
            self.show(participant, selection, version, document)
        return [early.participant for early in due]

    def reset(self) -> None:
        """The document was replaced as a whole, and is told of its selections anew."""
        self._committed.clear()
        self._early.clear()


def move(participant: Participant, operation: Operation, document_type: DocumentType, *, own: bool) -> None:
    """The content was changed by ``operation``, the participant's own or another's."""
    participant.selection = _moved(participant.selection, operation, document_type, own=own)


def _moved(
    selection: Selection | None, operation: Operation, document_type: DocumentType, *, own: bool
) -> Selection | None:
    """The selection after the operation; None if nothing is left of what was selected.

    Who writes at the end of their own selection moves it along; at the end of another's they write behind it.
    """
    if selection is None or not selection.ranges:
        return selection
    side: Side = "right" if own else "left"

    def place(position: Position) -> Position | None:
        try:
            found: Position | None = document_type.transform_position(position, operation, side)
        except OperationError:
            return None
        return found

    ranges = []
    for anchor, head in selection.ranges:
        new_anchor, new_head = place(anchor), place(head)
        if new_anchor is not None and new_head is not None:
            ranges.append(SelectionRange(new_anchor, new_head))
    return Selection(tuple(ranges), selection.color) if ranges else None
