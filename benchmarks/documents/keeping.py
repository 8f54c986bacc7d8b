"""What it costs to have documents: the time to open one with a long log, and the memory of those that are open."""

from __future__ import annotations

import asyncio
import random
import statistics
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import uvloop

from benchmarks.documents.contenders import CONTENDERS, GATEWAYS
from benchmarks.documents.editors import Editor, next_edit
from benchmarks.documents.fleet import TEXT as CONTENT
from benchmarks.documents.fleet import connect
from fastcollab import ot
from fastcollab.bench.process import Memory
from fastcollab.bench.server import Cores
from fastcollab.core.document import Committed, DocumentLimits
from fastcollab.engines.sqlite import SqliteDocuments
from fastcollab.messages import new_id
from fastcollab.ot.live import open_document
from fastcollab.ports import Retention
from fastcollab.server.documents import Documents

OPERATIONS = 100_000
BATCH = 1_000  # operations that are appended at once
DOCUMENTS = 1_000
SMALL = CONTENT[:1000]
TURNS = 5


@dataclass(frozen=True, slots=True)
class Opening:
    """Milliseconds until a document with `operations` in its log has been read, and until it can be written to."""

    operations: int
    snapshot: bool
    load_ms: float
    open_ms: float


@dataclass(frozen=True, slots=True)
class OpenDocuments:
    """Bytes of private memory for each of so many documents of `size` characters, in rooms with one member."""

    server: str
    documents: int
    size: int
    bytes_per_document: float


def openings() -> list[Opening]:
    return uvloop.run(_openings())


async def _openings() -> list[Opening]:
    with tempfile.TemporaryDirectory(prefix="fastcollab-documents-") as folder:
        path = Path(folder) / "documents.db"
        store = await SqliteDocuments.open(path, "relaxed")
        made = await store.create("plans", "text", CONTENT)
        log = list(_log())
        for start in range(0, OPERATIONS, BATCH):
            await store.append("plans", made.epoch, log[start : start + BATCH])
        await store.close()
        without = await _opening(path, snapshot=False)
        store = await SqliteDocuments.open(path, "relaxed")
        documents = _documents(store)
        await documents.keep_snapshot("plans", await documents.open("plans", "text"))
        await store.close()
        return [without, await _opening(path, snapshot=True)]


def _log() -> Iterator[Committed]:
    live = open_document(ot.types["text"], CONTENT)
    draw = random.Random(1).random
    for version in range(1, OPERATIONS + 1):
        operation: Any = next_edit(draw, live.size())
        live.apply(operation)
        yield Committed(version, operation, "1000001", 1_000_001, new_id(), version - 1, version, 250)


def _documents(store: SqliteDocuments) -> Documents:
    retention = Retention(operations=2 * OPERATIONS)
    return Documents(store, DocumentLimits(operations=2 * OPERATIONS), retention)


async def _opening(path: Path, *, snapshot: bool) -> Opening:
    """Opens the document a few times, each time with a store that has just been opened itself."""
    load, opened = [], []
    for _ in range(TURNS):
        store = await SqliteDocuments.open(path, "relaxed")
        began = time.perf_counter()
        document = await _documents(store).open("plans", "text")
        opened.append(time.perf_counter() - began)
        assert document.version == OPERATIONS
        began = time.perf_counter()
        await store.load("plans")
        load.append(time.perf_counter() - began)
        await store.close()
    return Opening(OPERATIONS, snapshot, statistics.median(load) * 1e3, statistics.median(opened) * 1e3)


def open_documents() -> list[OpenDocuments]:
    """What each gateway takes for documents that one connection is in."""
    return [_open_documents(name) for name in GATEWAYS]


def _open_documents(name: str) -> OpenDocuments:
    with CONTENDERS[name](Cores.available().server) as endpoint:

        async def fill() -> tuple[Memory, Memory]:
            def failed(error: Exception) -> None:
                raise error

            editor: Editor = await connect(endpoint, "warm-up", 0, failed)
            await editor.enter()
            await editor.found(SMALL)
            [pid] = endpoint.pids
            before = Memory.of(pid)
            for number in range(DOCUMENTS):
                editor.document = f"small-{number}"
                await editor.enter()
                await editor.found(SMALL)
            await asyncio.sleep(0.5)
            after = Memory.of(pid)
            editor.disconnect()
            return before, after

        before, after = uvloop.run(fill())
    return OpenDocuments(name, DOCUMENTS, len(SMALL), (after.private - before.private) / DOCUMENTS)
