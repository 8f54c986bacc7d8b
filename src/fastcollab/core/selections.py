"""Selections that stay on their text while others write (V5)."""

from __future__ import annotations

from collections.abc import Iterable

from fastcollab.core.document import Committed, Document
from fastcollab.errors import InvalidMessage, VersionMismatch
from fastcollab.messages import Selection, SelectionChangePayload, SelectionRange
from fastcollab.ot import DocumentType, OperationError, Side


def bound_version(change: SelectionChangePayload, document: Document) -> int:
    """The version that the selection is of: the newest, unless it names one.

    Raises :class:`InvalidMessage` if a position cannot be one in such a document, and :class:`VersionMismatch` if the
    document does not know the version.
    """
    for index, selected in enumerate(change.ranges):
        for end in ("anchor", "head"):
            try:
                document.type.check_position(getattr(selected, end))
            except OperationError as error:
                raise InvalidMessage(error.reason, path=f"payload.ranges[{index}].{end}") from None
    version = document.version if change.version is None else change.version
    if not document.known_since <= version <= document.version:
        raise VersionMismatch(
            "the version is newer than the document" if version > document.version else "the version is too old",
            version=document.version,
        )
    return version


def newest(selection: Selection, document: Document, user_id: str) -> Selection | None:
    """The selection of that user in the newest version; None: it is too old to be moved there, or what it was on is
    gone. One that came from another node sooner than the operations before it stays as it is.
    """
    if selection.version >= document.version:
        return selection
    if selection.version < document.known_since:
        return None
    return _moved(selection, document.type, document.since(selection.version), user_id)


def _moved(
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
