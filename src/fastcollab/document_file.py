"""Documents as lines of JSON: how they are exported and imported.

A line is one document::

    {"roomId": "board-1", "type": "text", "version": 17, "epoch": "…", "content": "Agenda\\n", "history": …}

``content`` is what clients see as ``data``; a json1 document that has been removed has none. ``history`` is there if
it was asked for: ``version`` and ``content`` with which the log begins, and ``operations``, those since then as clients
see them. With it a line is a backup of all that is known of a document, without it the document as it is.

What is imported begins another life of the document, at version 0, or with its history, whose first version becomes 0.
The line's own version and epoch are for people. A line is believed no more than a client: contents must be of their
type, and the operations must lead from one to the other.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec
import orjson

from fastcollab import ot
from fastcollab.core.document import Committed
from fastcollab.errors import FastcollabError
from fastcollab.messages import PastOperation, RoomId
from fastcollab.ot import ABSENT
from fastcollab.ot.live import open_document
from fastcollab.ports import DocumentStore, Retention, StoredDocument
from fastcollab.server.first_content import checked_content
from fastcollab.server.past import past_operation


class NotImportable(FastcollabError):
    """A line that is no document; it says why."""


class _History(msgspec.Struct, rename="camel"):
    version: int
    operations: list[PastOperation]
    content: Any = ABSENT


class _Line(msgspec.Struct, rename="camel"):
    room_id: RoomId
    type: str
    content: Any = ABSENT
    history: _History | None = None


class ImportedDocument(msgspec.Struct, frozen=True):
    """A document to be stored: it begins with `first`, and `entries` lead to `content`."""

    room_id: str
    type: str
    first: Any
    entries: list[Committed]
    content: Any


def encode_document(room_id: str, stored: StoredDocument, content: Any) -> dict[str, Any]:
    """A document with its content, as a JSON object."""
    encoded = {"roomId": room_id, "type": stored.type, "version": stored.newest, "epoch": stored.epoch}
    return encoded | _encode_content(content)


def encode_history(version: int, content: Any, entries: Iterable[Committed]) -> dict[str, Any]:
    """The field `history`: what the log begins with, and what it has."""
    operations = [msgspec.to_builtins(past_operation(entry)) for entry in entries]
    return {"version": version, **_encode_content(content), "operations": operations}


def decode_document(line: bytes, max_bytes: int) -> ImportedDocument:
    """Raises :class:`NotImportable`."""
    try:
        decoded = msgspec.convert(orjson.loads(line), _Line)
    except ValueError as error:
        raise NotImportable(f"it is no document: {error}") from None
    try:
        content = checked_content(decoded.type, decoded.content, max_bytes)
        if (history := decoded.history) is None:
            return ImportedDocument(decoded.room_id, decoded.type, content, [], content)
        first = checked_content(decoded.type, history.content, max_bytes)
        entries = _replayed(ot.types[decoded.type], first, history, content)
    except ValueError as error:
        raise NotImportable(str(error)) from None
    return ImportedDocument(decoded.room_id, decoded.type, first, entries, content)


async def store_document(store: DocumentStore, document: ImportedDocument) -> None:
    """Puts the document in the place of what is there."""
    stored = await store.replace(document.room_id, document.type, document.first)
    if document.entries:
        await store.append(document.room_id, stored.epoch, document.entries)
        version = document.entries[-1].version
        await store.snapshot(document.room_id, stored.epoch, version, document.content, Retention())


def _encode_content(content: Any) -> dict[str, Any]:
    return {} if content is ABSENT else {"content": content}


def _replayed(document_type: ot.DocumentType, first: Any, history: _History, content: Any) -> list[Committed]:
    """The operations of the history, which has led from `first` to `content`, with versions from 1 on."""
    live = open_document(document_type, first)
    entries = []
    for version, past in enumerate(history.operations, 1):
        if past.transformed_version != history.version + version:
            raise NotImportable(f"version {history.version + version} is missing in the history")
        try:
            document_type.check(past.operation)
            live.apply(past.operation)
        except ot.OperationError as error:
            raise NotImportable(f"the operation of version {past.transformed_version}: {error}") from None
        entries.append(
            Committed(
                version,
                past.operation,
                past.user_id,
                past.numeric_id,
                past.message_id,
                max(0, past.version - history.version),
                past.timestamp,
                len(orjson.dumps(past.operation)),
            )
        )
    if live.content() != content:
        raise NotImportable("the history does not lead to the content")
    return entries
