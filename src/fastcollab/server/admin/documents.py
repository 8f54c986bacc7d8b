"""Documents: their newest and earlier versions, and who wrote them."""

from __future__ import annotations

from collections.abc import Sequence
from http import HTTPStatus
from typing import Annotated, Any

from msgspec import UNSET, Meta, UnsetType

from fastcollab.errors import RoomNotFound, VersionMismatch
from fastcollab.messages import (
    Checksum,
    DocumentState,
    MessageId,
    PastOperation,
    RoomId,
    ShortText,
    UserId,
    Version,
    document_state,
)
from fastcollab.server.admin.desk import Desk
from fastcollab.server.admin.endpoint import Group
from fastcollab.server.admin.forms import Answer, InRoom, Limit, Parameters, Request
from fastcollab.server.past import history_page

group = Group("documents")

_NOT_THERE = (HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT)


class DocumentAsked(Parameters, frozen=True):
    room_id: RoomId
    version: Annotated[Version, Meta(description="by default the newest")] | UnsetType = UNSET


@group.add("GET", "/rooms/{roomId}/document", *_NOT_THERE)
async def get_document(desk: Desk, asked: DocumentAsked) -> DocumentState:
    """A room's document, in its newest version or an earlier one.

    It is what the store has: whatever was acknowledged is in there. Without `data` it is a json1 document that an
    operation has removed. A version that the log does not reach is a conflict, with `details.oldest`.
    """
    documents = desk.dispatcher.documents
    try:
        stored, content = await documents.at(asked.room_id, None if asked.version is UNSET else asked.version)
    except VersionMismatch:
        await desk.stored(asked.room_id)  # or there is no such room
        raise
    return document_state(stored.type, stored.newest, stored.epoch, content)


class HistoryAsked(Parameters, frozen=True):
    room_id: RoomId
    after: Annotated[Version, Meta(description="the version that the first operation follows")]
    limit: Limit = 100
    epoch: Annotated[str, Meta(max_length=128, description="by default the present one")] | UnsetType = UNSET


class History(Answer, frozen=True):
    """Operations in their order: each leads to `transformedVersion`, and was written against `version`. `next` is to be
    given as `after` for what follows; without it there is no more.
    """

    epoch: str
    oldest: int
    version: int
    operations: Sequence[PastOperation]
    next: int | UnsetType = UNSET


@group.add("GET", "/rooms/{roomId}/history", *_NOT_THERE)
async def get_history(desk: Desk, asked: HistoryAsked) -> History:
    """The operations after a version, with their authors.

    A page has no more than about 1 MiB of them. Versions that the log does not reach, or of another epoch, are a
    conflict.
    """
    stored = await desk.stored(asked.room_id)
    epoch = stored.epoch if asked.epoch is UNSET else asked.epoch
    entries = await desk.dispatcher.documents.history(asked.room_id, epoch, asked.after, limit=asked.limit)
    operations = history_page(entries)
    newest = max(stored.newest, asked.after + len(entries))
    reached = asked.after + len(operations)
    return History(epoch, stored.oldest, newest, operations, reached if reached < newest else UNSET)


class Operated(Answer, frozen=True):
    """The version that the document has after it."""

    version: int


class Operation(Request, frozen=True):
    """`operation` is one of the document's type, written against `version` by this user; `id` is a UUID v4."""

    id: MessageId
    user_id: UserId
    operation: Any
    version: Version
    checksum: Checksum | UnsetType = UNSET
    document_type: ShortText | UnsetType = UNSET


@group.add("POST", "/rooms/{roomId}/operations", *_NOT_THERE, HTTPStatus.UNPROCESSABLE_ENTITY)
async def apply_operation(desk: Desk, asked: InRoom, body: Operation) -> Operated:
    """Applies an operation from the server's side.

    It is checked, transformed, stored and told to all in the room like a client's. The user need not be connected, and
    what it may do is not asked. The same `id` of the same user again is the same operation, and is answered with its
    version: so it can be repeated when no answer came. A room that does not exist is made only if `documentType` is
    given.
    """
    version = await desk.errands.operate(
        asked.room_id,
        body.user_id,
        body.id,
        body.operation,
        body.version,
        checksum=body.checksum or None,
        document_type=body.document_type or None,
    )
    return Operated(version)


class Restoration(Request, frozen=True):
    """`id` is a UUID v4, as that of an operation."""

    id: MessageId
    user_id: UserId
    version: Version


@group.add("POST", "/rooms/{roomId}/restore", *_NOT_THERE)
async def restore_version(desk: Desk, asked: InRoom, body: Restoration) -> Operated:
    """Brings a document back to what it was at an earlier version.

    That is an operation of this user's, which undoes what was done since; the history stays.
    """
    return Operated(await desk.errands.restore(asked.room_id, body.user_id, body.id, body.version))


@group.add("DELETE", "/rooms/{roomId}/document", HTTPStatus.NOT_FOUND, status=HTTPStatus.NO_CONTENT)
async def delete_document(desk: Desk, asked: InRoom) -> None:
    """Deletes a document with its past.

    Whoever has it open is told that it was made anew (3002), and finds what a new room begins with.
    """
    if not await desk.errands.delete(asked.room_id):
        raise RoomNotFound(f"there is no room {asked.room_id!r}", roomId=asked.room_id)
