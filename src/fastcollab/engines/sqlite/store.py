"""The store as the gateway sees it: each call goes to one of two threads.

One writes, so that what many rooms have to write is written together and waited for once; the other reads, and waits
for no disk that is being written to.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
import time
import weakref
from collections.abc import Callable, Collection, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

from fastcollab.core.document import Author, Committed
from fastcollab.core.revocation import Revocation
from fastcollab.engines.lock import take_lock
from fastcollab.engines.sqlite import changes, faults, reading, revoking
from fastcollab.engines.sqlite.keeping import GATHERED
from fastcollab.engines.sqlite.reading import Reader
from fastcollab.engines.sqlite.revoking import SqliteRevocations
from fastcollab.engines.sqlite.schema import Durability, connect
from fastcollab.engines.sqlite.worker import Worker
from fastcollab.engines.sqlite.writing import Append, Change, Writer
from fastcollab.errors import StoreError
from fastcollab.ports import DocumentSummary, Retention, StoredDocument

#: How many calls are written in one transaction.
_GROUP = 256


class SqliteDocuments:
    """The documents in one SQLite file. Made by :meth:`open`."""

    def __init__(
        self, path: Path, durability: Durability, clock: Callable[[], float], gathered: int, lock: int | None
    ) -> None:
        self._clock = clock
        writer, reader = Writer(path, durability, gathered), Reader(path, durability)
        at_end: list[Callable[[], None]] = [] if lock is None else [partial(os.close, lock)]
        self._writer = Worker("documents-writer", writer, _GROUP, *at_end)
        self._reader = Worker("documents-reader", reader, 1)
        writer.disconnect_other = self._reader.disconnect_soon
        reader.disconnect_other = self._writer.disconnect_soon
        # Of a store that is forgotten no thread stays.
        self._finalizer = weakref.finalize(self, _abandon, self._reader, self._writer)

    @classmethod
    async def open(
        cls,
        path: Path,
        durability: Durability = "full",
        *,
        exclusive: bool = True,
        clock: Callable[[], float] = time.time,
        gathered: int = GATHERED,
    ) -> SqliteDocuments:
        """Opens the file, which is made if there is none; raises :class:`~fastcollab.errors.StoreError`.

        Only one process may have it open with `exclusive`, as a gateway has; a tool does without. `gathered` is how
        many operations gather before they are packed.
        """
        path, lock = await asyncio.to_thread(_prepare, path, durability, exclusive)
        return cls(path, durability, clock, gathered, lock)

    async def load(self, room_id: str, version: int | None = None) -> StoredDocument | None:
        found: StoredDocument | None = await self._read(reading.load, room_id, version)
        return found

    async def create(self, room_id: str, document_type: str, content: Any) -> StoredDocument:
        while (document := await self.load(room_id)) is None:
            made: StoredDocument | None = await self._change(
                changes.create, room_id, document_type, content, self._unix()
            )
            if made is not None:
                return made
        return document

    def append(self, room_id: str, epoch: str, entries: Sequence[Committed], mark: str = "") -> asyncio.Future[None]:
        return self._writer.call(Append(room_id, epoch, entries))

    async def history(
        self,
        room_id: str,
        epoch: str,
        after: int,
        up_to: int | None = None,
        limit: int | None = None,
        *,
        mark: str = "",
    ) -> list[Committed]:
        entries: list[Committed] = await self._read(reading.history, room_id, epoch, after, up_to, limit)
        return entries

    async def mend(self, room_id: str, known: StoredDocument, recent: Sequence[Committed]) -> bool:
        return False

    async def results(self, room_id: str, epoch: str, authors: Sequence[Author]) -> dict[Author, int]:
        results: dict[Author, int] = await self._read(reading.results, room_id, epoch, authors)
        return results

    async def snapshot(self, room_id: str, epoch: str, version: int, content: Any, retention: Retention) -> int:
        oldest: int = await self._change(changes.snapshot, room_id, epoch, version, content, retention, self._unix())
        return oldest

    async def replace(self, room_id: str, document_type: str, content: Any) -> StoredDocument:
        document: StoredDocument = await self._change(
            changes.replace, room_id, document_type, content, self._unix(), drops=True
        )
        return document

    async def delete(self, room_id: str) -> bool:
        deleted: bool = await self._change(changes.delete, room_id, drops=True)
        return deleted

    async def list(self, after: str = "", limit: int = 1_000) -> list[DocumentSummary]:
        summaries: list[DocumentSummary] = await self._read(reading.summaries, after, limit)
        return summaries

    async def forget_unwritten(self, before: int, keep: Collection[str]) -> int:
        forgotten = 0
        while True:
            portion: int = await self._change(changes.forget_unwritten, before, keep, drops=True)
            forgotten += portion
            if portion < changes.FORGOTTEN_DOCUMENTS:
                return forgotten

    async def handed_back(self, room_id: str, epoch: str, version: int) -> None:
        await self._change(changes.handed_back, room_id, epoch, version)

    async def awaiting_hand_back(self, after: str = "", limit: int = 1_000) -> Sequence[str]:
        rooms: Sequence[str] = await self._read(reading.awaiting_hand_back, after, limit)
        return rooms

    async def open_revocations(self) -> SqliteRevocations:
        """The revocations in the same file; of no use after :meth:`close`."""
        known: list[Revocation] = await self._read(revoking.known)
        return SqliteRevocations(known, self._change)

    async def close(self) -> None:
        self._finalizer.detach()
        # The writer is the last to close its connection, which takes the write-ahead log into the file and removes it.
        await self._reader.close()
        await self._writer.close()

    async def _read(self, function: Callable[..., Any], *arguments: Any) -> Any:
        return await self._reader.call(lambda connection: function(connection, *arguments))

    async def _change(self, function: Callable[..., Any], *arguments: Any, drops: bool = False) -> Any:
        return await self._writer.call(Change(lambda connection: function(connection, *arguments), drops))

    def _unix(self) -> int:
        return int(self._clock() * 1000)


def _prepare(path: Path, durability: Durability, exclusive: bool) -> tuple[Path, int | None]:
    """Makes the file if there is none, and sees to it that it can be written to. Returns it with its lock."""
    path = path.absolute()
    if path.is_dir():
        raise StoreError(f"{path} is a directory, and documents are stored in a file")
    if not path.parent.is_dir():
        raise StoreError(f"{path.parent}, where {path.name} is to be stored, is no directory")
    # By whatever links others come to the file, they come to the same lock.
    resolved = path.resolve()
    lock = take_lock(resolved, resolved.with_name(resolved.name + ".lock")) if exclusive else None
    try:
        with closing(connect(path, durability, create=True)) as connection:
            # SQLite opens a file that can only be read all the same, until somebody writes.
            connection.execute("BEGIN")
            connection.execute("DELETE FROM dropped WHERE document < 0")
    except BaseException as error:
        if lock is not None:
            os.close(lock)
        if isinstance(error, sqlite3.Error):
            raise StoreError(f"{path} cannot be used: {faults.reason(error)} ({error})") from error
        raise
    return path, lock


def _abandon(*workers: Worker) -> None:
    for worker in workers:
        worker.abandon()
