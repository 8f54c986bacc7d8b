"""A document store that measures another: how long each call takes, and whether it failed.

What the store says of a document, such as that its log has moved, is an answer like any other. A failure is what should
not be: it cannot be used, or has met what nobody has foreseen.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Collection, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from time import perf_counter
from typing import Any

from fastcollab.core.document import Author, Committed
from fastcollab.errors import FastcollabError, ServiceUnavailable
from fastcollab.ports import DocumentStore, DocumentSummary, Retention, Settled, StoredDocument
from fastcollab.server.tallies import Tallies


class MeasuredStore:
    """`store`, in its place. Calls count by their name, in `tallies`."""

    def __init__(self, store: DocumentStore, tallies: Tallies) -> None:
        self._store = store
        self._tallies = tallies

    async def load(self, room_id: str, version: int | None = None) -> StoredDocument | None:
        with self._measured("load"):
            return await self._store.load(room_id, version)

    async def create(self, room_id: str, document_type: str, content: Any) -> StoredDocument:
        with self._measured("create"):
            return await self._store.create(room_id, document_type, content)

    def append(self, room_id: str, epoch: str, entries: Sequence[Committed], mark: str = "") -> Awaitable[None]:
        """What the store returns is returned as it is, if it is one of those that spare a task."""
        begun = perf_counter()
        appending = self._store.append(room_id, epoch, entries, mark)
        if isinstance(appending, Settled):
            self._ended("append", begun, appending.error)
        elif isinstance(appending, asyncio.Future):
            appending.add_done_callback(partial(self._appended, begun))
        else:
            return self._append(appending)
        return appending

    async def _append(self, appending: Awaitable[None]) -> None:
        with self._measured("append"):
            await appending

    def _appended(self, begun: float, appending: asyncio.Future[None]) -> None:
        if not appending.cancelled():
            self._ended("append", begun, appending.exception())

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
        with self._measured("history"):
            return await self._store.history(room_id, epoch, after, up_to, limit, mark=mark)

    async def mend(self, room_id: str, known: StoredDocument, recent: Sequence[Committed]) -> bool:
        with self._measured("mend"):
            return await self._store.mend(room_id, known, recent)

    async def results(self, room_id: str, epoch: str, authors: Sequence[Author]) -> dict[Author, int]:
        with self._measured("results"):
            return await self._store.results(room_id, epoch, authors)

    async def snapshot(self, room_id: str, epoch: str, version: int, content: Any, retention: Retention) -> int:
        with self._measured("snapshot"):
            return await self._store.snapshot(room_id, epoch, version, content, retention)

    async def replace(self, room_id: str, document_type: str, content: Any) -> StoredDocument:
        with self._measured("replace"):
            return await self._store.replace(room_id, document_type, content)

    async def delete(self, room_id: str) -> bool:
        with self._measured("delete"):
            return await self._store.delete(room_id)

    async def list(self, after: str = "", limit: int = 1_000) -> list[DocumentSummary]:
        with self._measured("list"):
            return await self._store.list(after, limit)

    async def forget_unwritten(self, before: int, keep: Collection[str]) -> int:
        with self._measured("forget_unwritten"):
            return await self._store.forget_unwritten(before, keep)

    async def handed_back(self, room_id: str, epoch: str, version: int) -> None:
        with self._measured("handed_back"):
            await self._store.handed_back(room_id, epoch, version)

    async def awaiting_hand_back(self, after: str = "", limit: int = 1_000) -> Sequence[str]:
        with self._measured("awaiting_hand_back"):
            return await self._store.awaiting_hand_back(after, limit)

    async def close(self) -> None:
        await self._store.close()

    @contextmanager
    def _measured(self, call: str) -> Iterator[None]:
        begun = perf_counter()
        try:
            yield
        except Exception as error:
            self._ended(call, begun, error)
            raise
        self._ended(call, begun, None)

    def _ended(self, call: str, begun: float, error: BaseException | None) -> None:
        self._tallies.store_seconds[call].observe(perf_counter() - begun)
        is_answer = isinstance(error, FastcollabError) and not isinstance(error, ServiceUnavailable)
        self._tallies.store_failures[call] += error is not None and not is_answer
