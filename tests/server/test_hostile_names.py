"""Rooms and users of any name: none reaches into paths, queries, patterns or terminals (rule R10)."""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from tests.server.gateway_process import command
from tests.server.receiver import SECRET, Receiver

NAMES = [
    *("../../etc/passwd", "..", ".", "/", "a/b", "//a", "\\..\\b", "C:", "~", "documents.db", "file:x?mode=memory"),
    *(
        "{slot}",
        "{0.__class__}",
        "%s",
        "%00",
        "%2e%2e%2f",
        "$(id)",
        "`id`",
        "|id",
        ":",
        "a:b",
        "*",
        "?",
        "[a]",
        "#",
        "&",
    ),
    *("'; DROP TABLE documents; --", '" OR ""="', "''", "%", "_", "NULL", "null", "0", "-1", "--all", "-h"),
    *("__proto__", "constructor", "<script>", "[red]a[/red]", ":smile:", "a=b", "a,b", "a\\nb", "\\u0000", "\\x1b[31m"),
    *(
        "🦆",
        "é",
        "e\u0301",
        "Ａ",
        "\u202egnp",
        "a\u2066b",
        "שלום",
        "a\u2028b",
        "a\u200bb",
        "\ufeffa",
        "\U0010ffff" * 128,
    ),
]


def contents(name: str) -> str:
    return f"of {name}"


@pytest.fixture
async def receiver(start_gateway: Any) -> AsyncIterator[Receiver]:
    receiver = Receiver()
    await receiver.start()
    yield receiver
    await receiver.stop()


async def test_rooms_and_users_of_any_name_meet_nothing_but_themselves_R10(
    start_gateway: Any, clients: Any, receiver: Receiver, tmp_path: Path
) -> None:
    folder = tmp_path / "store"
    folder.mkdir()
    store = folder / "documents.db"
    receiver.documents = dict.fromkeys(NAMES)
    receiver.rights = {(name, name): "write" for name in NAMES} | {("watch", name): "read" for name in NAMES}
    settings = {
        "engine.url": f"sqlite:{store}",
        "backend.load_url": receiver.url,
        "backend.save_url": receiver.url,
        "backend.permission_url": receiver.url,
        "backend.profile_url": receiver.url,
        "backend.secret": SECRET,
        "limits.rooms_per_user": len(NAMES),
        "limits.messages": 10_000,
    }
    gateway = await start_gateway(settings)
    watch = await clients.enter(gateway, "watch", claims={"rooms": None})
    for name in NAMES:
        client = await clients.enter(gateway, name, claims={"rooms": None})
        await client.join(name)
        await watch.join(name)
        assert await client.operate([contents(name)], 0, roomId=name) == 1
        seen = await watch.expect("operation_broadcast", room=name)
        assert (seen.payload["operation"], seen.payload["userId"]) == ([contents(name)], name)
        assert sorted(each["userId"] for each in watch.rooms[name]["participants"]) == sorted([name, "watch"])
        others = [other for other in NAMES if other != name][:3]
        for other in others:
            await client.refusal(2001, "join_room", {"roomId": other})  # not known to this user
        await client.close()
    assert gateway.room_count == len(NAMES)
    assert [each["roomId"] for each in receiver.loads] == NAMES
    assert {each["userId"] for each in receiver.profiles_asked} == {*NAMES, "watch"}
    await gateway.stop()
    watch.take()
    for name in NAMES:
        state = receiver.documents[name]
        assert state is not None
        assert (state["data"], state["version"]) == (contents(name), 1)

    again = await start_gateway({**settings, "presence.grace_period": 0})
    watch = await clients.enter(again, "watch", claims={"rooms": None})
    for name in NAMES:
        assert (await watch.join(name))["documentState"]["data"] == contents(name)
        await watch.send("get_history", {"after": 0}, roomId=name)
        (operation,) = (await watch.expect("history", room=name)).payload["operations"]
        assert operation["userId"] == name
    assert len(receiver.loads) == len(NAMES), "all of them came from the store"
    await again.stop()
    watch.take()

    assert {path.name.removeprefix("documents.db") for path in folder.iterdir()} <= {"", ".lock", "-wal", "-shm"}
    assert list(tmp_path.iterdir()) == [folder], "nothing else was made"
    with closing(sqlite3.connect(store)) as database:
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)

    engine = ("--engine", f"sqlite:{store}")
    listed = [json.loads(line)["roomId"] for line in command("list", "--json", *engine).stdout.split("\n")[:-1]]
    assert listed == sorted(NAMES)
    exported = {
        line["roomId"]: line["content"]
        for line in map(json.loads, command("export", "--all", *engine).stdout.split("\n")[:-1])
    }
    assert exported == {name: contents(name) for name in NAMES}
    table = command("list", *engine).stdout
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]", table)
    rows = [line.strip() for line in table.split("\n")[3:] if line.strip()]
    assert len(rows) == len(NAMES), "a line for each"
    assert any(row.startswith("\\u202egnp ") for row in rows)
    assert any(row.startswith("[red]a[/red] ") for row in rows)
    assert any(row.startswith(":smile: ") for row in rows)
    for name in ("../../etc/passwd", "'; DROP TABLE documents; --", "--all", "%", "\u202egnp"):
        assert command("show", *engine, "--", name).stdout == contents(name) + "\n"
        line = json.loads(command("export", *engine, "--", name).stdout)
        assert (line["roomId"], line["content"]) == (name, contents(name))
    deleted = command("delete", "--yes", *engine, "--", "%")
    assert (deleted.returncode, deleted.stderr) == (0, "")
    missing = command("show", *engine, "--", "\u202e%")
    assert (missing.returncode, missing.stdout) == (1, "")
    assert "\u202e" not in missing.stderr
    left = [json.loads(line)["roomId"] for line in command("list", "--json", *engine).stdout.split("\n")[:-1]]
    assert left == sorted(set(NAMES) - {"%"})


async def test_names_that_look_alike_are_different_rooms_R10(gateway: Any, clients: Any) -> None:
    pairs = [("é", "e\u0301"), ("a", "A"), ("a", "\u0430"), ("a", "a\u200b"), ("ﬁ", "fi"), ("1", "١"), ("a%20b", "a b")]
    for one, other in pairs:
        ada = await clients.enter(gateway, one, one)
        bob = await clients.enter(gateway, other, other)
        await ada.operate(["hers"], 0, roomId=one)
        assert (await bob.join(other))["documentState"]["data"] == ""
        assert ada.number != bob.number
        await ada.close()
        await bob.close()


@pytest.mark.parametrize(("escapes", "room"), [(r"\ud83e\udd86", "🦆"), (r"\u0061", "a"), (r"\/", "/")])
async def test_a_name_in_escapes_is_that_name_R10(gateway: Any, clients: Any, escapes: str, room: str) -> None:
    ada = await clients.enter(gateway, "ada")
    message = json.dumps(
        {"id": "0b8f6b1e-3c1d-4c62-9a5b-0f4f3b6d2c11", "type": "join_room", "version": 1, "timestamp": 1}
    )
    await ada.send_text(message[:-1] + f', "payload": {{"roomId": "{escapes}"}}}}')
    assert (await ada.expect("room_joined")).payload["roomId"] == room
