"""Answers about the past of documents, and bringing it back (rules PV1 to PV3)."""

from __future__ import annotations

from collections.abc import Sequence

import orjson

from fastcollab import messages
from fastcollab.core.document import Committed, Submission
from fastcollab.core.effects import Commit, Effect, Send
from fastcollab.core.room import Room
from fastcollab.core.session import Session
from fastcollab.errors import RoomNotFound
from fastcollab.server.documents import Documents

#: The most that one answer holds of a history, in bytes of its operations' messages.
_HISTORY_BYTES = 1_048_576


async def look_back(documents: Documents, session: Session, room: Room, message: messages.PastMessage) -> list[Effect]:
    """Carries out `message`; raises the :class:`~fastcollab.errors.ProtocolError` that its sender is to be told."""
    match message:
        case messages.GetDocument():
            state = await _document(documents, room, message.payload.version)
            return [Send([session], messages.DocumentSent(message.id, state), room.id)]
        case messages.GetHistory():
            return [Send([session], await _history(documents, room, message), room.id)]
        case messages.Restore():
            return await _restore(documents, session, room, message)


async def _document(documents: Documents, room: Room, version: int | None) -> messages.DocumentState:
    document = room.document
    if version is None or version == document.version:
        content, version, epoch = document.content, document.version, document.epoch
    else:
        stored, content = await documents.at(room.id, version)
        epoch = stored.epoch
    return messages.document_state(document.type.name, version, epoch, content)


async def _history(documents: Documents, room: Room, message: messages.GetHistory) -> messages.HistorySent:
    document, payload = room.document, message.payload
    entries = await documents.history(room.id, document.epoch, payload.after, limit=payload.limit)
    return messages.HistorySent(message.id, history_page(entries), document.log_begins, document.version)


def history_page(entries: Sequence[Committed]) -> list[messages.PastOperation]:
    """As much of a history as one answer holds."""
    told: list[messages.PastOperation] = []
    size = 0
    for entry in entries:
        size += entry.size
        if told and size > _HISTORY_BYTES:
            break
        told.append(past_operation(entry))
    return told


async def _restore(documents: Documents, session: Session, room: Room, message: messages.Restore) -> list[Effect]:
    _require_writer(session, room)
    identity, version = session.identity, message.payload.version
    author = identity.user_id, identity.numeric_id, message.id
    if (submission := await restoration(documents, room, version, *author)) is None:
        return [Send([session], messages.Ack(message.id, version), room.id)]
    _require_writer(session, room)  # it may have left, or lost the right to write, meanwhile
    room.commits.add(session, submission)
    return [Commit(room)]


async def restoration(
    documents: Documents, room: Room, version: int, user_id: str, numeric_id: int, message_id: str
) -> Submission | None:
    """What brings the room's document back to a version, by this author; None: it is as it was then."""
    operation, written_against = await documents.restoring(room.id, room.document, version)
    if written_against == version:
        return None
    size = len(orjson.dumps(operation))
    return Submission(user_id, numeric_id, message_id, operation, written_against, size, made_here=True)


def _require_writer(session: Session, room: Room) -> None:
    if session not in room.members:
        raise RoomNotFound(f"the connection is not in the room {room.id!r}", roomId=room.id)
    room.require_writer(session, "restoring a version")


def past_operation(entry: Committed) -> messages.PastOperation:
    """What is told of a committed operation."""
    return messages.PastOperation(
        operation=entry.operation,
        user_id=entry.user_id,
        numeric_id=entry.numeric_id,
        message_id=entry.message_id,
        version=entry.written_against,
        transformed_version=entry.version,
        timestamp=entry.committed_at,
    )
