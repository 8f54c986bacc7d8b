"""The SQLite engine: the contract of its port, and what it does beyond it."""

import re
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from fastcollab.core.document import Committed
from fastcollab.core.revocation import Revocation, TokenMarks
from fastcollab.engines.sqlite import SqliteDocuments
from fastcollab.engines.sqlite.revoking import SqliteRevocations
from fastcollab.engines.sqlite.rows import encode_content
from fastcollab.engines.sqlite.schema import APPLICATION_ID, MIGRATIONS
from fastcollab.errors import ServiceUnavailable
from fastcollab.testing import DocumentStoreContract, RevocationsContract
from fastcollab.testing.revocations import Close


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


class TestRevocations(RevocationsContract):
    async def open_revocations(self, directory: Path) -> tuple[SqliteRevocations, Close]:
        documents = await SqliteDocuments.open(directory / "documents.db")
        return await documents.open_revocations(), documents.close


async def test_a_file_of_the_first_schema_is_taken_along(tmp_path: Path) -> None:
    path = tmp_path / "documents.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(MIGRATIONS[0])
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute("PRAGMA user_version = 1")
        connection.execute("INSERT INTO documents VALUES (1, 'plans', 'text', 'e', 0, 0, 0, 0, 0, 1, 0)")
        connection.execute("INSERT INTO snapshots VALUES (1, 0, ?)", (encode_content("hello"),))
        connection.commit()
    documents = await SqliteDocuments.open(path)
    stored = await documents.load("plans")
    assert stored is not None
    assert stored.content == "hello"
    revocations = await documents.open_revocations()
    await revocations.revoke(Revocation("user", "ada", 1_000, None))
    await documents.close()
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (len(MIGRATIONS),)
        assert connection.execute("SELECT * FROM revocations").fetchall() == [("user", "ada", 1_000, None)]


async def test_s12_what_cannot_be_stored_holds_in_this_process_all_the_same(tmp_path: Path) -> None:
    documents = await SqliteDocuments.open(tmp_path / "documents.db")
    revocations = await documents.open_revocations()
    told: list[Revocation] = []
    revocations.subscribe(told.append)
    with closing(sqlite3.connect(tmp_path / "documents.db")) as connection:
        connection.execute("DROP TABLE revocations")
        revocation = Revocation("token", "t1", 0, None)
        with pytest.raises(ServiceUnavailable):
            await revocations.revoke(revocation)
        assert told == [revocation]
        assert await revocations.is_revoked(TokenMarks("ada", "t1", None, 0, 1))
        # As soon as it can be stored it is, by the same call.
        connection.executescript(MIGRATIONS[1])
        await revocations.revoke(revocation)
        assert connection.execute("SELECT count(*) FROM revocations").fetchone() == (1,)
    await documents.close()


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
