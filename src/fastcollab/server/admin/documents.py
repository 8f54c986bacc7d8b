"""Documents: their newest and earlier versions, and who wrote them."""

from __future__ import annotations

from collections.abc import Sequence
from http import HTTPStatus
from typing import Annotated

from msgspec import UNSET, Meta, UnsetType

from fastcollab.errors import VersionMismatch
from fastcollab.messages import DocumentState, PastOperation, RoomId, Version, document_state
from fastcollab.server.admin.desk import Desk
from fastcollab.server.admin.endpoint import Group
from fastcollab.server.admin.forms import Answer, Limit, Parameters
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
