"""The SQLite engine: the contract of its port, and what it does beyond it."""

import re
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from fastcollab.core.document import Committed
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


STORAGE = Path(__file__).parents[3] / "docs" / "storage.md"


async def test_new_epochs_as_the_documentation_gives_them(tmp_path: Path) -> None:
    """What is to be done when a copy has been put back (docs/storage.md)."""
    (command,) = re.findall(r'sqlite3 documents\.db "(UPDATE [^"]*)"', STORAGE.read_text(encoding="utf-8"))
    path = tmp_path / "documents.db"
    documents = await SqliteDocuments.open(path)
    epochs = [(await documents.create(room, "text", "")).epoch for room in ("a", "b")]
    await documents.append("a", epochs[0], [Committed(1, ["x"], "ada", 1, "m", 0, 0, 10)])
    await documents.close()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(command)
        connection.commit()
    documents = await SqliteDocuments.open(path)
    found = [await documents.load(room) for room in ("a", "b")]
    await documents.close()
    assert [stored and len(stored.entries) for stored in found] == [1, 0]
    assert len({*epochs, *(stored.epoch for stored in found if stored)}) == 4
