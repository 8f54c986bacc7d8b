"""Selections that stay on their text while others write (V5)."""

from __future__ import annotations

from collections.abc import Iterable

from fastcollab.core.document import Committed
from fastcollab.messages import Selection, SelectionRange
from fastcollab.ot import DocumentType, OperationError, Side


def moved(
    selection: Selection, document_type: DocumentType, entries: Iterable[Committed], user_id: str
) -> Selection | None:
    """The selection of that user after operations that follow its version, in order; None: what it was on is gone.

    Who inserts at an end of one's own selection moves it along; what others insert there goes behind it.
    """
    ranges = selection.ranges
    version = selection.version
    for entry in entries:
        side: Side = "right" if entry.user_id == user_id else "left"
        ranges = [
            SelectionRange(anchor, head)
            for anchor, head in (
                (
                    _moved_position(selected.anchor, document_type, entry, side),
                    _moved_position(selected.head, document_type, entry, side),
                )
                for selected in ranges
            )
            if anchor is not None and head is not None
        ]
        version = entry.version
    return Selection(ranges, selection.color, version) if ranges or not selection.ranges else None


def _moved_position(
    position: int | list[str | int], document_type: DocumentType, entry: Committed, side: Side
) -> int | list[str | int] | None:
    try:
        moved_to: int | list[str | int] | None = document_type.transform_position(position, entry.operation, side)
    except OperationError:
        # Nobody has checked that the position is in the document at all.
        return None
    return moved_to
