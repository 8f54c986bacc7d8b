"""``fastcollab document`` as its users run it: on a store with a gateway running on it, and without."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from tests.redis_servers import VALKEY, start_server
from tests.server.gateway_process import command, serving

Line = dict[str, Any]


def succeed(store: Path, *arguments: str, text: str = "") -> str:
    result = command(*arguments, "--engine", f"sqlite:{store}", text=text)
    assert (result.returncode, result.stderr) == (0, "")
    return result.stdout


def lines(store: Path, *arguments: str) -> list[Line]:
    return [json.loads(line) for line in succeed(store, *arguments).splitlines()]


def fail(*arguments: str, engine: str) -> str:
    """The one line that says why the command has failed."""
    result = command(*arguments, "--engine", engine)
    assert (result.returncode, result.stdout) == (1, "")
    (line,) = result.stderr.splitlines()
    assert line.startswith("fastcollab: ")
    return line.removeprefix("fastcollab: ")


def write(path: Path, *documents: Line) -> Path:
    path.write_text("".join(json.dumps(each) + "\n" for each in documents), encoding="utf-8")
    return path


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """A store with some documents that somebody has imported."""
    store = tmp_path / "documents.db"
    file = write(
        tmp_path / "import.jsonl",
        {"roomId": "note", "type": "text", "content": "grüß dich\n\x1b[31mred"},
        {"roomId": "[bold]plan", "type": "json1", "content": {"todo": ["write", None]}},
        {"roomId": "page", "type": "rich-text", "content": [{"insert": "a"}, {"insert": "b"}]},
        {"roomId": "null", "type": "json1", "content": None},
        {"roomId": "gone", "type": "json1"},
    )
    assert succeed(store, "import", str(file)) == "documents imported: 5\n"
    return store


# Without a gateway


def test_what_was_imported_is_there(store: Path) -> None:
    rooms = ["[bold]plan", "gone", "note", "null", "page"]
    table = succeed(store, "list")
    assert [line.split()[:3] for line in table.splitlines()[3:-1]] == [
        [room, kind, "0"] for room, kind in zip(rooms, ("json1", "json1", "text", "json1", "rich-text"), strict=True)
    ]
    listed = lines(store, "list", "--json")
    assert [each["roomId"] for each in listed] == rooms
    assert set(listed[0]) == {"roomId", "type", "epoch", "version", "oldest", "changedAt", "logBytes"}
    assert succeed(store, "show", "note") == "grüß dich\n\x1b[31mred\n"
    assert json.loads(succeed(store, "show", "[bold]plan")) == {"todo": ["write", None]}
    # In the type's normal form.
    assert json.loads(succeed(store, "show", "page")) == [{"insert": "ab"}]
    (shown,) = lines(store, "show", "null", "--json")
    assert (shown["type"], shown["version"], shown["content"]) == ("json1", 0, None)
    (shown,) = lines(store, "show", "gone", "--json")
    assert "content" not in shown
    removed = command("show", "gone", "--engine", f"sqlite:{store}")
    assert (removed.returncode, removed.stdout) == (0, "")
    assert "removed" in removed.stderr


def test_what_is_exported_can_be_imported_elsewhere(store: Path, tmp_path: Path) -> None:
    exported = succeed(store, "export", "--all")
    (tmp_path / "export.jsonl").write_text(exported, encoding="utf-8")
    other = tmp_path / "other.db"
    succeed(other, "import", str(tmp_path / "export.jsonl"))

    def contents(store: Path) -> list[Line]:
        return [{**each, "epoch": None} for each in lines(store, "export", "--all")]

    assert contents(other) == contents(store)
    assert lines(store, "export", "note") == [
        each for each in lines(store, "export", "--all") if each["roomId"] == "note"
    ]


def test_what_there_is_is_not_overwritten_by_accident(store: Path, tmp_path: Path) -> None:
    file = write(
        tmp_path / "new.jsonl",
        {"roomId": "a new one", "type": "text", "content": "new"},
        {"roomId": "note", "type": "json1", "content": "new"},
    )
    before = lines(store, "export", "--all")
    refusal = fail("import", str(file), engine=f"sqlite:{store}")
    assert refusal == f"{file}, line 2: there is a document of room 'note'; --replace replaces it"
    assert lines(store, "export", "--all") == before, "all or nothing"
    assert succeed(store, "import", "--replace", str(file)) == "documents imported: 2\n"
    (shown,) = lines(store, "show", "note", "--json")
    assert (shown["type"], shown["content"]) == ("json1", "new")


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("{", "it is no document: "),
        ("[]", "it is no document: "),
        ('{"roomId": "", "type": "text", "content": ""}', "it is no document: "),
        ('{"roomId": "a\\u0000", "type": "text", "content": ""}', "it is no document: "),
        ('{"roomId": "a", "content": ""}', "it is no document: "),
        ('{"roomId": "a", "type": "spreadsheet", "content": ""}', "there is no document type 'spreadsheet'"),
        ('{"roomId": "a", "type": "text"}', "the content is no document of type 'text'"),
        ('{"roomId": "a", "type": "text", "content": null}', "null is no document of type 'text'"),
        ('{"roomId": "a", "type": "text", "content": [1]}', "the content is no document of type 'text'"),
        ('{"roomId": "a", "type": "rich-text", "content": [{"retain": 1}]}', "the content is no document of type"),
        ('{"roomId": "first", "type": "text", "content": "x"}', "the document of room 'first' is in line 1 already"),
    ],
)
def test_lines_that_are_no_documents(tmp_path: Path, line: str, reason: str) -> None:
    file = tmp_path / "import.jsonl"
    file.write_text('{"roomId": "first", "type": "text", "content": "x"}\n\n' + line)
    store = tmp_path / "new.db"
    refusal = fail("import", str(file), engine=f"sqlite:{store}")
    assert refusal.startswith(f"{file}, line 3: {reason}")
    assert lines(store, "list", "--json") == []


def test_deleting_asks(store: Path) -> None:
    kept = command("delete", "note", "--engine", f"sqlite:{store}", text="n\n")
    assert kept.returncode == 1
    assert "Traceback" not in kept.stderr
    assert succeed(store, "show", "note")
    assert succeed(store, "delete", "--yes", "note") == ""
    assert fail("delete", "--yes", "note", engine=f"sqlite:{store}") == "there is no document of room 'note'"


# With a gateway


async def test_beside_a_running_gateway(clients, tmp_path: Path) -> None:
    store = tmp_path / "documents.db"
    async with serving(store) as gateway:
        ada = await clients.enter(gateway, "ada", "note")
        bob = await clients.enter(gateway, "bob", "note")
        for version in range(4):
            await (ada, bob)[version % 2].operate([f"{version}"], version)

        async def run(function: Callable[..., Any], *arguments: str) -> Any:
            return await asyncio.to_thread(function, store, *arguments)

        assert await run(succeed, "show", "note") == "3210\n"
        assert await run(succeed, "show", "note", "--version", "2") == "10\n"
        (listed,) = await run(lines, "list", "--json")
        assert (listed["version"], listed["oldest"]) == (4, 0)
        history = await run(lines, "history", "note", "--json", "--after", "1", "--limit", "2")
        assert [(each["transformedVersion"], each["userId"], each["operation"]) for each in history] == [
            (2, "bob", ["1"]),
            (3, "ada", ["2"]),
        ]
        table = (await run(succeed, "history", "note")).splitlines()[3:-1]
        assert [line.split()[0::3] for line in table] == [
            [f"{version}", user] for version, user in ((1, "ada"), (2, "bob"), (3, "ada"), (4, "bob"))
        ]

        # The gateway notices a replacement when somebody writes.
        file = write(tmp_path / "import.jsonl", {"roomId": "note", "type": "text", "content": "anew"})
        await run(succeed, "import", "--replace", str(file))
        assert await ada.join("note")
        assert ada.rooms["note"]["documentState"]["data"] == "3210", "so far it has not"
        details = await ada.refusal(3002, "operation", {"operation": ["4"], "version": 4})
        assert details["version"] == 0
        await bob.refused(3002)
        ada.take("error")
        assert (await bob.join("note"))["documentState"]["data"] == "anew"
        assert await bob.operate(["b"], 0) == 1
        await run(succeed, "delete", "--yes", "note")
        await bob.refusal(3002, "operation", {"operation": ["c"], "version": 1})
        for client in (ada, bob):
            client.take("error")
        assert (await bob.join("note"))["documentState"]["data"] == ""
        assert await gateway.end() == 0
        for client in (ada, bob):
            client.take("error")


async def test_a_backup_has_the_history(clients, tmp_path: Path) -> None:
    store, other = tmp_path / "documents.db", tmp_path / "other.db"
    async with serving(store) as gateway:
        ada = await clients.enter(gateway, "ada")
        await ada.join("plan", documentType="json1")
        await ada.operate(["todo", {"i": ["write"]}], 0)
        await ada.operate(["todo", 0, {"i": "read"}], 1)
        await ada.operate([{"r": True}], 2)
        await ada.join("note")
        for version in range(30):
            await ada.operate([f"{version},"], version)
        backup = await asyncio.to_thread(succeed, store, "export", "--all", "--history")
        assert await gateway.end() == 0
        ada.take("error")
    file = tmp_path / "backup.jsonl"
    file.write_text(backup)
    succeed(other, "import", str(file))
    for room in ("plan", "note"):
        assert lines(other, "history", room, "--json") == lines(store, "history", room, "--json")
    assert json.loads(succeed(other, "show", "plan", "--version", "2")) == {"todo": ["read", "write"]}
    async with serving(other) as gateway:
        bob = await clients.enter(gateway, "bob")
        joined = await bob.join("note")
        assert (joined["version"], joined["documentState"]["data"][:6]) == (30, "29,28,")
        assert await bob.operate(["30,"], 29) == 31, "it can be written against the past"
        await gateway.end()
        bob.take("error")

    broken = [json.loads(line) for line in backup.splitlines()]
    for spoil, reason in (
        (lambda history: history["operations"].pop(), "the history does not lead to the content"),
        (lambda history: history["operations"].pop(1), "version 2 is missing in the history"),
        (lambda history: history["operations"][1].update(operation=[99, "x"]), "the operation of version 2: "),
        (lambda history: history["operations"][1].update(operation="x"), "the operation of version 2: "),
        (lambda history: history.update(content=["x"]), "the content is no document of type 'text'"),
    ):
        line = json.loads(json.dumps(next(each for each in broken if each["roomId"] == "note")))
        spoil(line["history"])
        file = write(tmp_path / "broken.jsonl", line)
        assert fail("import", "--replace", str(file), engine=f"sqlite:{other}").startswith(f"{file}, line 1: {reason}")


# What can be wrong

EVERY_COMMAND = (
    ["list"],
    ["show", "note"],
    ["export", "note"],
    ["export", "--all"],
    ["history", "note"],
    ["delete", "--yes", "note"],
)


@pytest.mark.parametrize("arguments", EVERY_COMMAND, ids=" ".join)
def test_there_is_nothing_to_look_at(tmp_path: Path, arguments: list[str]) -> None:
    assert "in the gateway's own process" in fail(*arguments, engine="memory://")
    missing = tmp_path / "missing.db"
    assert fail(*arguments, engine=f"sqlite:{missing}") == f"{missing} does not exist"
    assert not missing.exists()


def test_what_is_no_store(tmp_path: Path) -> None:
    other = tmp_path / "other.db"
    with closing(sqlite3.connect(other)) as connection:
        connection.execute("CREATE TABLE of_another_program (a)")
    assert "another program" in fail("list", engine=f"sqlite:{other}")
    noise = tmp_path / "noise.db"
    noise.write_bytes(b"no database at all" * 1000)
    assert "damaged" in fail("list", engine=f"sqlite:{noise}")
    assert "is a directory" in fail("list", engine=f"sqlite:{tmp_path}")


def test_no_such_document_or_version(store: Path, tmp_path: Path) -> None:
    engine = f"sqlite:{store}"
    for arguments in (["show", "x\x1b"], ["export", "x\x1b"], ["history", "x\x1b"], ["delete", "--yes", "x\x1b"]):
        assert fail(*arguments, engine=engine) == r"there is no document of room 'x\x1b'"
    for arguments in (["show", "note", "--version", "7"], ["history", "note", "--after", "7"]):
        assert fail(*arguments, engine=engine) == "of room 'note' the versions 0 to 0 are known, not 7"
    missing = tmp_path / "missing.jsonl"
    assert fail("import", str(missing), engine=engine) == f"{missing} cannot be read: No such file or directory"
    assert fail("import", str(tmp_path), engine=engine) == f"{tmp_path} cannot be read: Is a directory"


def test_a_store_that_is_locked(store: Path) -> None:
    with closing(sqlite3.connect(store, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        assert "locked by another process" in fail("list", engine=f"sqlite:{store}")


def test_a_store_that_is_damaged_within(store: Path) -> None:
    content = bytearray(store.read_bytes())
    content[4096:] = b"\xa5" * (len(content) - 4096)
    store.write_bytes(content)
    for arguments in EVERY_COMMAND:
        assert "damaged" in fail(*arguments, engine=f"sqlite:{store}")


# In a Redis


def test_documents_in_a_redis(tmp_path: Path) -> None:
    document = {"roomId": "note", "type": "text", "content": "grüß dich"}
    file = write(tmp_path / "import.jsonl", document)
    with start_server(VALKEY) as server:
        engine = ("--engine", server.url)
        assert command("import", str(file), *engine).stdout == "documents imported: 1\n"
        (listed,) = (json.loads(line) for line in command("list", "--json", *engine).stdout.splitlines())
        assert (listed["roomId"], listed["version"]) == ("note", 0)
        assert command("show", "note", *engine).stdout == "grüß dich\n"
        assert command("export", "--all", "--history", *engine).returncode == 0
        assert fail("import", str(file), engine=server.url).startswith(f"{file}, line 1: ")
        assert command("delete", "--yes", "note", *engine).returncode == 0
        assert fail("show", "note", engine=server.url) == "there is no document of room 'note'"
    refusal = fail("list", engine=f"redis://ada:hunter2@{server.address}")
    assert refusal.startswith(f"the Redis at {server.address} cannot be used: ") and "hunter2" not in refusal
