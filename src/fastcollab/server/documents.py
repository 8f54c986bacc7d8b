"""Documents between the rooms, which change them, and the store, which keeps them.

A room's document is opened from its newest snapshot and what the log has after it, and put away when the room is
deserted. In between only the newest part of its history is in memory; what late operations and returning clients need
beyond that is fetched (:meth:`Documents.recall`). Earlier versions are made from the nearest snapshot.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from typing import Any

from fastcollab import ot
from fastcollab.core.document import Committed, Document, DocumentLimits
from fastcollab.errors import FastcollabError, ServiceUnavailable, VersionMismatch
from fastcollab.logs import get_logger
from fastcollab.ot.live import open_document
from fastcollab.ports import DocumentStore, LogMoved, Retention, StoredDocument
from fastcollab.server.clock import instant
from fastcollab.server.first_content import FirstContent

log = get_logger(__name__)


class Documents:
    """The documents of a gateway."""

    def __init__(
        self,
        store: DocumentStore,
        limits: DocumentLimits,
        retention: Retention,
        first_content: FirstContent | None = None,
    ) -> None:
        self.store = store
        self._first_content = first_content
        self._limits = limits
        self._retention = retention

    async def open(self, room_id: str, document_type: str) -> Document:
        """The room's document in its newest version. If there is none it is made: with what the back end gives for it,
        else empty and of this type.
        """
        stored = await self.store.load(room_id)
        if stored is None:
            if self._first_content is None:
                content = ot.types[document_type].create()
            else:
                document_type, content = await self._first_content.of(room_id, document_type)
            stored = await self.store.create(room_id, document_type, content)
        document = Document(
            _type(stored),
            self._limits,
            stored.content,
            epoch=stored.epoch,
            version=stored.version,
            oldest=stored.oldest,
            mark=stored.mark,
        )
        document.follow(stored.entries)
        return document

    async def reopen(self, room_id: str, document: Document) -> Document:
        """The room's document as it is in the store, which does not continue what is here. If that is because the store
        has lost some of it, what is here may be put back (:meth:`~fastcollab.ports.DocumentStore.mend`).
        """
        version, content = document.version, document.content
        known = StoredDocument(document.type.name, document.epoch, version, version, content, (), document.mark)
        if await self.store.mend(room_id, known, document.newest_entries):
            log.warning("the store had lost operations of a document", room_id=room_id, version=version)
        return await self.open(room_id, document.type.name)

    async def close(self, room_id: str, document: Document) -> None:
        """Puts a document away that no room has open any more, so that it is opened quickly the next time."""
        if document.operations_since_snapshot * 10 > self._limits.snapshot_operations:
            await self.keep_snapshot(room_id, document)

    async def keep_snapshot(self, room_id: str, document: Document) -> None:
        """Stores the newest version as a snapshot, and trims the log. A failure is no harm: there will be another."""
        version, content = document.take_snapshot()
        try:
            oldest = await self.store.snapshot(room_id, document.epoch, version, content, self._retention)
        except FastcollabError as error:
            log.warning("a snapshot could not be stored", room_id=room_id, version=version, error=str(error))
        else:
            document.trimmed(oldest)

    async def forget_unwritten(self, in_use: Collection[str]) -> None:
        """Forgets the documents of rooms that were joined and never written to, and are not `in_use`.

        They are kept for a while, since a client that comes back with its first edit names their epoch.
        """
        before = instant().unix - int(self._retention.results_seconds * 1000)
        try:
            await self.store.forget_unwritten(before, in_use)
        except FastcollabError as error:
            log.warning("documents without content could not be looked through", error=str(error))

    async def recall(self, room_id: str, document: Document, version: int) -> None:
        """Brings back the history since `version`, as far as the log has it; raises :class:`LogMoved` if the document
        has been made anew.
        """
        while document.lacks(version):
            known_since = document.known_since
            try:
                entries = await self.store.history(room_id, document.epoch, version, known_since)
            except VersionMismatch as error:
                document.trimmed(error.details["oldest"])
            else:
                # Meanwhile some may have been forgotten, and then more have to be fetched.
                if document.known_since == known_since:
                    document.recall(entries)

    # --- the past -----------------------------------------------------------------------------------------------------

    async def at(self, room_id: str, version: int | None = None) -> tuple[StoredDocument, Any]:
        """A version of the document, by default the newest that is stored, and its content.

        Raises :class:`VersionMismatch` if the log does not reach back to it, or there is no document.
        """
        stored = await self.store.load(room_id, version)
        if stored is None:
            raise VersionMismatch("there is no document", version=0, oldest=0)
        return stored, await asyncio.to_thread(_content, stored)

    async def restoring(self, room_id: str, document: Document, version: int) -> tuple[Any, int]:
        """The operation that brings the document back to what it was at `version`, and the version that it follows,
        which is `version` itself if nothing was done since; then there is no operation.

        It undoes what was done since, so that what did not change stays as it is, with the cursors in it. The store may
        know of more already, by which the document here is not changed yet. Raises :class:`VersionMismatch` if the log
        does not reach back to that version.
        """
        epoch, newest = document.epoch, document.version
        if version == newest:
            return None, version
        past, content = await self.at(room_id, version)
        entries = await self.history(room_id, epoch, version, newest)
        return await asyncio.to_thread(_undoing, _type(past), content, entries), newest

    async def history(
        self, room_id: str, epoch: str, after: int, up_to: int | None = None, limit: int | None = None
    ) -> list[Committed]:
        """The operations that follow a version; raises :class:`VersionMismatch` if the log does not have them in this
        epoch.
        """
        try:
            return await self.store.history(room_id, epoch, after, up_to, limit)
        except LogMoved:
            raise VersionMismatch("the document was made anew", version=0, oldest=0) from None


def _type(stored: StoredDocument) -> ot.DocumentType:
    if (found := ot.types.get(stored.type)) is None:
        raise ServiceUnavailable(f"the document's type, {stored.type!r}, is not known here")
    return found


def _content(stored: StoredDocument) -> Any:
    live = open_document(_type(stored), stored.content)
    for entry in stored.entries:
        live.apply(entry.operation)
    return live.content()


def _undoing(document_type: ot.DocumentType, content: Any, entries: list[Committed]) -> Any:
    """The operation that takes back all of `entries`, which were applied to `content`."""
    live = open_document(document_type, content)
    undoing = [live.apply(entry.operation) for entry in entries][::-1]
    # Neighbours with neighbours, since a composition costs as much as both of its parts.
    while len(undoing) > 1:
        composed = list(map(document_type.compose, undoing[::2], undoing[1::2]))
        undoing = composed + undoing[2 * len(composed) :]
    return undoing[0]
