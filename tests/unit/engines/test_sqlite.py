"""The SQLite engine: the contract of its port, and what it does beyond it."""

from collections.abc import Callable
from pathlib import Path

from fastcollab.engines.sqlite import SqliteDocuments
from fastcollab.testing import DocumentStoreContract


class TestFull(DocumentStoreContract):
    async def open_documents(self, directory: Path, clock: Callable[[], float]) -> SqliteDocuments:
        return await SqliteDocuments.open(directory / "documents.db", "full", clock=clock)


class TestRelaxed(DocumentStoreContract):
    async def open_documents(self, directory: Path, clock: Callable[[], float]) -> SqliteDocuments:
        return await SqliteDocuments.open(directory / "documents.db", "relaxed", clock=clock)


class TestPacking(DocumentStoreContract):
    """With so few operations that gather, everything is being packed all the time."""

    async def open_documents(self, directory: Path, clock: Callable[[], float]) -> SqliteDocuments:
        return await SqliteDocuments.open(directory / "documents.db", "relaxed", clock=clock, gathered=5)
