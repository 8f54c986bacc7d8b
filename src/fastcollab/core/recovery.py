"""What a client that comes back to a room is sent: no more than it has missed, if that can be had (OT9)."""

from __future__ import annotations

from typing import NamedTuple

from msgspec import UNSET, UnsetType

from fastcollab import messages
from fastcollab.core.document import Committed, Document
from fastcollab.errors import VersionMismatch


class CatchUp(NamedTuple):
    """`recovery` is what `room_joined` says of it; `missed` follows that message. None: the whole state is in it."""

    recovery: messages.Recovery | UnsetType
    missed: list[Committed] | None


def catch_up(document: Document, request: messages.JoinRoomPayload, max_bytes: int) -> CatchUp:
    """For who joins with this request; `max_bytes` is how much a client can be sent at once."""
    version = request.last_sync_version
    if version is None:
        return CatchUp(UNSET, None)
    if request.epoch != document.epoch or version > document.version:
        return CatchUp(messages.Recovery(recovered=False, reason="epoch_changed"), None)
    missed = _missed_since(document, version, max_bytes)
    if missed is None:
        return CatchUp(messages.Recovery(recovered=False, reason="gap_trimmed"), None)
    return CatchUp(messages.Recovery(recovered=True, missed=len(missed)), missed)


def _missed_since(document: Document, version: int, max_bytes: int) -> list[Committed] | None:
    """The operations since `version`; None if they are not known, or are more than a client can be sent at once."""
    if document.lacks(version):
        return None
    try:
        missed = document.since(version)
    except VersionMismatch:
        return None
    return missed if sum(entry.size for entry in missed) <= max_bytes else None
