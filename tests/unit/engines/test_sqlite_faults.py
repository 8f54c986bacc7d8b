"""What the SQLite engine does when something is wrong with its file, its disk, or its neighbours; all of it is real.

A full disk and a disk that can only be read are a small file system in memory, where the tests may mount one; elsewhere
a limit of the file's size and a directory without the permission to write stand for them.
"""

import asyncio
import fcntl
import gc
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

from fastcollab.core.document import Author
from fastcollab.engines.sqlite import SqliteDocuments, schema
from fastcollab.engines.sqlite.schema import MIGRATIONS
from fastcollab.engines.sqlite.worker import Call
from fastcollab.engines.sqlite.writing import Append, Writer
from fastcollab.errors import ServiceUnavailable, StoreError
from fastcollab.ports import AlreadyCommitted, StoredDocument
from fastcollab.testing.document_model import entry, text_at

LARGE = ["x" * 100_000]


async def append(documents: SqliteDocuments, made: StoredDocument, first: int, last: int | None = None) -> None:
    entries = [entry(version) for version in range(first, (last or first) + 1)]
    await documents.append("plans", made.epoch, entries)


async def version_of(documents: SqliteDocuments, room_id: str = "plans") -> int:
    found = await documents.load(room_id)
    assert found is not None
    return found.version + len(found.entries)


def refusal(error: ServiceUnavailable) -> str:
    assert error.code == 5002 and error.details == {"retryAfterMs": 1_000}
    return error.message.removeprefix("documents cannot be stored: ")


def faults_in(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.message for record in caplog.records if record.name == "fastcollab.engines.sqlite.faults"]


@pytest.fixture(autouse=True)
def everything_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "documents.db"


@pytest.fixture
async def documents(path: Path) -> AsyncIterator[SqliteDocuments]:
    documents = await SqliteDocuments.open(path, gathered=100)
    yield documents
    await documents.close()


# --- opening ----------------------------------------------------------------------------------------------------------


async def refused(path: Path) -> str:
    """Why the file cannot be opened. No lock is left behind."""
    with pytest.raises(StoreError) as refusal:
        await SqliteDocuments.open(path)
    assert "\n" not in str(refusal.value)
    lock = path.with_name(path.name + ".lock")
    if lock.exists():
        with lock.open() as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    return str(refusal.value)


async def test_a_directory_is_no_file(path: Path) -> None:
    path.mkdir()
    assert await refused(path) == f"{path} is a directory, and documents are stored in a file"


async def test_the_directory_must_be_there(tmp_path: Path) -> None:
    path = tmp_path / "nowhere" / "documents.db"
    assert await refused(path) == f"{path.parent}, where documents.db is to be stored, is no directory"


async def test_a_file_that_is_no_database(path: Path) -> None:
    path.write_text("what somebody has written down\n" * 100)
    assert (await refused(path)).startswith(f"{path} cannot be used: the file is damaged (file is not a database)")
    assert path.read_text().startswith("what somebody")


async def test_a_file_of_another_program(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE bookmarks (url TEXT)")
    connection.close()
    assert await refused(path) == f"{path} is a database of another program"


async def test_a_file_of_a_newer_schema(path: Path) -> None:
    await (await SqliteDocuments.open(path)).close()
    newer = len(MIGRATIONS) + 1
    connection = sqlite3.connect(path)
    connection.execute(f"PRAGMA user_version = {newer}")
    connection.close()
    known = f"this one knows schemas up to {newer - 1}"
    assert await refused(path) == f"{path} has schema {newer}, made by a newer fastcollab; {known}"


async def test_an_empty_file_is_a_new_one(path: Path) -> None:
    path.touch()
    documents = await SqliteDocuments.open(path)
    assert await documents.list() == []
    await documents.close()


async def test_a_name_that_could_be_a_uri(tmp_path: Path) -> None:
    path = tmp_path / "a %41?mode=memory#é.db"
    documents = await SqliteDocuments.open(path)
    await documents.create("plans", "text", "")
    await documents.close()
    assert {file.name for file in tmp_path.iterdir()} == {path.name, path.name + ".lock"}


# --- neighbours -------------------------------------------------------------------------------------------------------


async def test_one_gateway_for_one_file(documents: SqliteDocuments, path: Path) -> None:
    with pytest.raises(StoreError) as refusal:
        await SqliteDocuments.open(path)
    assert str(refusal.value) == f"{path} is in use by another gateway, process {os.getpid()}"
    await documents.close()
    await (await SqliteDocuments.open(path)).close()


async def test_a_second_gateway_does_not_start_by_another_name_of_the_file(path: Path) -> None:
    first = await SqliteDocuments.open(path)
    link = path.with_name("link.db")
    link.symlink_to(path)
    with pytest.raises(StoreError, match="in use by another gateway"):
        await SqliteDocuments.open(link)
    await first.close()


async def test_a_tool_on_the_same_file(documents: SqliteDocuments, path: Path) -> None:
    made = await documents.create("plans", "text", "")
    await append(documents, made, 1)
    tool = await SqliteDocuments.open(path, exclusive=False)
    await append(tool, made, 2)
    await append(documents, made, 3)
    with pytest.raises(AlreadyCommitted) as refusal:
        await documents.append("plans", made.epoch, [entry(4, message_id="m2")])
    assert refusal.value.results == {Author("ada", "m2"): 2}
    # Both pack, in turns.
    for version in range(4, 400, 2):
        await append(documents, made, version)
        await append(tool, made, version + 1)
    assert [each.version for each in await tool.history("plans", made.epoch, 0)] == list(range(1, 400))
    replaced = await tool.replace("plans", "text", "new")
    await append(documents, replaced, 1)
    await tool.close()
    assert await version_of(documents) == 1


async def test_a_neighbour_that_holds_the_file(
    path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(schema, "BUSY_SECONDS", 0.01)
    documents = await SqliteDocuments.open(path)
    made = await documents.create("plans", "text", "")
    neighbour = sqlite3.connect(path, isolation_level=None)
    neighbour.execute("BEGIN IMMEDIATE")
    for _ in range(2):
        with pytest.raises(ServiceUnavailable) as error:
            await append(documents, made, 1)
        assert refusal(error.value) == "the file is locked by another process"
    assert await version_of(documents) == 0
    neighbour.execute("ROLLBACK")
    neighbour.close()
    await append(documents, made, 1)
    assert faults_in(caplog) == [
        "documents cannot be stored: the file is locked by another process",
        "documents can be stored again",
    ]
    await documents.close()


async def test_packing_that_fails_takes_nothing_from_the_durability(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schema, "BUSY_SECONDS", 0.01)
    documents = await SqliteDocuments.open(path)
    made = await documents.create("plans", "text", "")
    await append(documents, made, 1, 10)
    await documents.close()
    writer = Writer(path, "full", 5)
    append_more = Call(Append("plans", made.epoch, [entry(11)]), None)
    writer.handle([append_more])
    assert append_more.error is None and writer.patience == 0
    neighbour = sqlite3.connect(path, isolation_level=None)
    neighbour.execute("BEGIN IMMEDIATE")
    writer.tidy()
    # It is left until a call has succeeded.
    assert writer.patience is None
    neighbour.close()
    assert writer.connect().execute("PRAGMA synchronous").fetchone() == (2,)
    append_more = Call(Append("plans", made.epoch, [entry(12)]), None)
    writer.handle([append_more])
    assert append_more.error is None and writer.patience == 0
    writer.tidy()
    assert writer.connect().execute("PRAGMA synchronous").fetchone() == (2,)
    writer.disconnect()


WRITER = """
import asyncio, sys
from pathlib import Path
from fastcollab.engines.sqlite import SqliteDocuments
from fastcollab.testing.document_model import entry

async def room(documents, room_id):
    made = await documents.create(room_id, "text", "")
    version = 0
    while True:
        count = 1 + version % 3
        await documents.append(room_id, made.epoch, [entry(version + 1 + index) for index in range(count)])
        version += count
        sys.stdout.write(f"{room_id} {version}\\n")
        sys.stdout.flush()

async def main():
    documents = await SqliteDocuments.open(Path(sys.argv[1]), sys.argv[2], gathered=50)
    await asyncio.gather(*(room(documents, f"room {index}") for index in range(5)))

asyncio.run(main())
"""


@pytest.mark.parametrize("durability", ["full", "relaxed"])
@pytest.mark.parametrize("lines", [20, 300, 1_000])
async def test_what_was_appended_outlives_a_killed_process(path: Path, durability: str, lines: int) -> None:
    acknowledged: dict[str, int] = {}
    with subprocess.Popen(
        [sys.executable, "-c", WRITER, str(path), durability], stdout=subprocess.PIPE, text=True
    ) as writer:
        assert writer.stdout is not None
        for line in range(10**9):
            if line == lines:
                writer.send_signal(signal.SIGKILL)
            if not (text := writer.stdout.readline()).endswith("\n"):
                break
            room_id, _, version = text.strip().rpartition(" ")
            acknowledged[room_id] = int(version)
    documents = await SqliteDocuments.open(path)
    summaries = {summary.room_id: summary for summary in await documents.list()}
    for room_id, version in acknowledged.items():
        found = await documents.load(room_id)
        assert found is not None and text_at(found) == "".join(f"[{n}]" for n in range(len(found.entries), 0, -1))
        # What was being appended when the process was killed is there, or is not, as a whole.
        assert len(found.entries) in (version, version + 1 + version % 3)
        known = await documents.results(room_id, found.epoch, [each.author for each in found.entries])
        assert known == {each.author: each.version for each in found.entries}
        await documents.append(room_id, found.epoch, [entry(summaries[room_id].version + 1)])
    await documents.close()


# --- the disk ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 4 MB."""
    mounted = tmp_path / "disk"
    mounted.mkdir()
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(mounted)], capture_output=True, check=False
    )
    if made.returncode:
        pytest.skip("file systems cannot be mounted here")
    yield mounted
    subprocess.run(["umount", "-l", str(mounted)], check=True)


async def fill(documents: SqliteDocuments, made: StoredDocument) -> tuple[int, ServiceUnavailable]:
    """Appends large operations until that fails; returns the last version that did not."""
    for version in range(await version_of(documents) + 1, 1_000):
        try:
            await documents.append("plans", made.epoch, [entry(version, operation=LARGE)])
        except ServiceUnavailable as error:
            return version - 1, error
    raise AssertionError("the disk is larger than it is")


async def test_a_full_disk(small_disk: Path, caplog: pytest.LogCaptureFixture) -> None:
    ballast = small_disk / "ballast"
    ballast.write_bytes(bytes(2_000_000))
    documents = await SqliteDocuments.open(small_disk / "documents.db")
    made = await documents.create("plans", "text", "")
    stored, error = await fill(documents, made)
    assert refusal(error) == "the disk is full"
    for _ in range(3):
        with pytest.raises(ServiceUnavailable):
            await documents.append("plans", made.epoch, [entry(stored + 1, operation=LARGE)])
    assert await version_of(documents) == stored
    assert faults_in(caplog) == ["documents cannot be stored: the disk is full"]
    ballast.unlink()
    await documents.append("plans", made.epoch, [entry(stored + 1, operation=LARGE)])
    assert await version_of(documents) == stored + 1
    assert faults_in(caplog)[1:] == ["documents can be stored again"]
    await documents.close()


async def test_a_disk_that_can_only_be_read(small_disk: Path, caplog: pytest.LogCaptureFixture) -> None:
    documents = await SqliteDocuments.open(small_disk / "documents.db")
    made = await documents.create("plans", "text", "")
    await append(documents, made, 1)
    await documents.close()
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    assert "Read-only file system" in await refused(small_disk / "documents.db")
    subprocess.run(["mount", "-o", "remount,rw", str(small_disk)], check=True)
    await (await SqliteDocuments.open(small_disk / "documents.db")).close()


LIMITED = """
import asyncio, resource, sys
from pathlib import Path
from fastcollab.engines.sqlite import SqliteDocuments
from fastcollab.errors import ServiceUnavailable
from fastcollab.testing.document_model import entry

async def main():
    documents = await SqliteDocuments.open(Path(sys.argv[1]))
    made = await documents.create("plans", "text", "")
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, resource.RLIM_INFINITY))
    operation, version = ["x" * 100_000], 0
    try:
        while version < 100:
            await documents.append("plans", made.epoch, [entry(version + 1, operation=operation)])
            version += 1
    except ServiceUnavailable as error:
        print(error.message)
    found = await documents.load("plans")
    assert len(found.entries) == version
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    await documents.append("plans", made.epoch, [entry(version + 1, operation=operation)])
    assert len((await documents.load("plans")).entries) == version + 1
    await documents.close()

asyncio.run(main())
"""


async def test_a_file_that_must_not_grow(path: Path) -> None:
    """As on a full disk, which not everyone can have."""
    limited = await asyncio.to_thread(
        subprocess.run, [sys.executable, "-c", LIMITED, str(path)], capture_output=True, text=True, check=True
    )
    assert limited.stdout == "documents cannot be stored: the disk cannot be read or written\n"


async def test_a_file_that_can_only_be_read(path: Path) -> None:
    await (await SqliteDocuments.open(path)).close()
    path.chmod(0o444)
    if os.access(path, os.W_OK):
        pytest.skip("nothing is read-only for root")
    assert (await refused(path)).startswith(f"{path} cannot be used: the file is read-only")


def overwrite(path: Path, page: int) -> None:
    with path.open("r+b") as file:
        file.seek((page - 1) * 4096)
        file.write(b"\xde\xad\xbe\xef" * 1024)


def root_page(path: Path, table: str) -> int:
    connection = sqlite3.connect(path)
    (page,) = connection.execute("SELECT rootpage FROM sqlite_schema WHERE name = ?", (table,)).fetchone()
    connection.close()
    assert isinstance(page, int)
    return page


@pytest.mark.parametrize("table", ["documents", "recent", "segments", "results", "snapshots"])
@pytest.mark.parametrize("restore", [shutil.copyfile, shutil.move])
async def test_a_damaged_file_and_its_restored_copy(
    path: Path, tmp_path: Path, table: str, restore: Callable[[Path, Path], object], caplog: pytest.LogCaptureFixture
) -> None:
    documents = await SqliteDocuments.open(path, gathered=100)
    made = await documents.create("plans", "text", "")
    await append(documents, made, 1, 250)
    await append(documents, made, 251, 260)
    await documents.close()
    backup = tmp_path / "backup.db"
    shutil.copyfile(path, backup)

    overwrite(path, root_page(path, table))
    documents = await SqliteDocuments.open(path, gathered=100)
    outcomes = await asyncio.gather(
        documents.load("plans"),
        documents.results("plans", made.epoch, [Author("ada", "m1")]),
        append(documents, made, 261),
        return_exceptions=True,
    )
    failed = [outcome for outcome in outcomes if isinstance(outcome, Exception)]
    assert failed and all(isinstance(outcome, ServiceUnavailable) for outcome in failed)
    assert {refusal(outcome) for outcome in failed if isinstance(outcome, ServiceUnavailable)} == {
        "the file is damaged"
    }
    appended = outcomes[2] is None

    restore(backup, path)
    if not appended:
        assert await version_of(documents) == 260
        await append(documents, made, 261)
        assert await version_of(documents) == 261
        assert (await documents.results("plans", made.epoch, [Author("ada", "m1")]))[Author("ada", "m1")] == 1
    await documents.close()


async def test_a_file_that_is_gone_is_not_made_anew(documents: SqliteDocuments, path: Path) -> None:
    await documents.create("plans", "text", "")
    documents._writer.disconnect_soon()
    path.rename(path.with_name("moved.db"))
    with pytest.raises(ServiceUnavailable) as error:
        await documents.create("wiki", "text", "")
    assert refusal(error.value) in ("the file cannot be opened", "the file is read-only")
    assert not path.exists()
    path.with_name("moved.db").rename(path)


# --- ending -----------------------------------------------------------------------------------------------------------


async def test_closing_leaves_nothing_but_the_file(documents: SqliteDocuments, path: Path) -> None:
    made = await documents.create("plans", "text", "")
    await append(documents, made, 1, 250)
    await documents.close()
    assert sorted(file.name for file in path.parent.iterdir()) == [path.name, path.name + ".lock"]


def threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("documents-")]


async def test_no_thread_outlives_the_store(path: Path) -> None:
    documents = await SqliteDocuments.open(path)
    assert len(threads()) == 2
    await documents.close()
    assert not threads()


async def test_nor_one_that_is_forgotten(path: Path) -> None:
    documents = await SqliteDocuments.open(path)
    await documents.create("plans", "text", "")
    left = threads()
    del documents
    gc.collect()
    for thread in left:
        await asyncio.to_thread(thread.join)
    await (await SqliteDocuments.open(path)).close()


FORGETFUL = """
import asyncio, sys
from pathlib import Path
from fastcollab.engines.sqlite import SqliteDocuments

kept = []

async def main():
    documents = await SqliteDocuments.open(Path(sys.argv[1]))
    await documents.create("plans", "text", "")
    if sys.argv[2] == "kept":
        kept.append(documents)

asyncio.run(main())
"""


@pytest.mark.parametrize("how", ["kept", "dropped"])
def test_a_program_that_does_not_close_ends(path: Path, how: str) -> None:
    subprocess.run([sys.executable, "-W", "error", "-c", FORGETFUL, str(path), how], check=True, timeout=60)
    connection = sqlite3.connect(path)
    assert connection.execute("SELECT room_id FROM documents").fetchall() == [("plans",)]
    connection.close()
