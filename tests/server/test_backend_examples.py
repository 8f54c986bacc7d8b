"""The receivers in ``docs/backend.md`` do what the page says, with a gateway that really uses them."""

from __future__ import annotations

import asyncio
import os
import re
import socket
import sqlite3
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

import aiohttp
import orjson
import pytest
from tests.server.receiver import SECRET

from fastcollab.server.http_backend import SIGNATURE, TIMESTAMP, sign

PAGE = (Path(__file__).parents[2] / "docs" / "backend.md").read_text(encoding="utf-8")
LANGUAGES = {"python": ("receiver.py", sys.executable), "javascript": ("receiver.mjs", "node")}


@asynccontextmanager
async def example(language: str, directory: Path, **environment: str) -> AsyncIterator[str]:
    """The receiver in that language, running; gives its address."""
    name, program = LANGUAGES[language]
    file = directory / name
    if not file.exists():
        file.write_text(re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)[-1], encoding="utf-8")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    process = await asyncio.create_subprocess_exec(
        program,
        name,
        cwd=directory,
        env={**os.environ, "PORT": str(port), "FASTCOLLAB_BACKEND__SECRET": SECRET, **environment},
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        async with asyncio.timeout(20):
            while True:
                try:
                    _, writer = await asyncio.open_connection("127.0.0.1", port)
                except ConnectionRefusedError:
                    await asyncio.sleep(0.05)
                else:
                    writer.close()
                    break
        yield f"http://127.0.0.1:{port}/"
    finally:
        process.kill()
        await process.wait()


async def post(url: str, request: dict[str, Any], timestamp: str, *, secret: str = SECRET) -> tuple[int, Any]:
    body = orjson.dumps(request)
    headers = {TIMESTAMP: timestamp, SIGNATURE: sign(secret, timestamp, body)}
    async with aiohttp.ClientSession() as session, session.post(url, data=body, headers=headers) as response:
        text = await response.read()
        return response.status, orjson.loads(text) if response.status == 200 else None


@pytest.mark.parametrize("language", LANGUAGES)
async def test_a_document_outlives_the_gateway(start_gateway, clients, tmp_path, language: str) -> None:
    async with example(language, tmp_path) as url:
        settings = {"backend.load_url": url, "backend.save_url": url, "backend.secret": SECRET}
        first = await start_gateway(settings)
        ada = await clients.enter(first, "ada", "note")
        await ada.operate(["grüß dich 🦆"], 0)
        await ada.join("plan", documentType="json1")
        await ada.operate(["todo", {"i": ["write"]}], 0)
        await first.stop()
        ada.take("error")
        second = await start_gateway(settings)
        bob = await clients.enter(second, "bob")
        assert (await bob.join("note"))["documentState"]["data"] == "grüß dich 🦆"
        state = (await bob.join("plan"))["documentState"]
        assert (state["type"], state["data"], state["version"]) == ("json1", {"todo": ["write"]}, 0)
        await bob.operate([{"r": True}], 0)
        await second.stop()
        bob.take("error")
        third = await start_gateway(settings)
        cyd = await clients.enter(third, "cyd")
        assert "data" not in (await cyd.join("plan"))["documentState"]


MEMBERS = {"plan": {"ada": "admin", "bob": "read"}}
USERS = {"ada": {"name": "Ada L.", "color": "#123456", "picture": "https://example.com/ada.png"}}


@pytest.mark.parametrize("language", LANGUAGES)
async def test_members_of_rooms_and_users(start_gateway, clients, tmp_path: Path, language: str) -> None:
    people = tmp_path / "people.json"
    people.write_bytes(orjson.dumps({"members": MEMBERS, "users": USERS}))
    async with example(language, tmp_path, PEOPLE=str(people)) as url:
        if language == "python":
            with closing(sqlite3.connect(tmp_path / "documents.db", isolation_level=None)) as database:
                for room, rights in MEMBERS.items():
                    database.executemany(
                        "INSERT INTO members VALUES (?, ?, ?)", [(room, *right) for right in rights.items()]
                    )
                database.executemany(
                    "INSERT INTO users VALUES (?, ?, ?, ?)", [(user, *shown.values()) for user, shown in USERS.items()]
                )
        gateway = await start_gateway(
            {"backend.permission_url": url, "backend.profile_url": url, "backend.secret": SECRET}
        )
        ada = await clients.enter(gateway, "ada")
        joined = await ada.join("plan")
        assert joined["permission"] == "write", "that of the token"
        (shown,) = joined["participants"]
        assert {name: shown[name] for name in ("name", "color", "picture")} == USERS["ada"]
        bob = await clients.enter(gateway, "bob")
        assert (await bob.join("plan"))["permission"] == "read"
        cyd = await clients.enter(gateway, "cyd")
        await cyd.refusal(2003, "join_room", {"roomId": "plan"})
        for room in ("elsewhere", "__proto__", "constructor"):
            await cyd.refusal(2001, "join_room", {"roomId": room})
        assert await post(url, {"event": "toString", "roomId": "plan"}, str(int(time.time()))) == (400, None)


@pytest.mark.parametrize("language", LANGUAGES)
async def test_older_states_and_forged_requests_are_ignored(tmp_path: Path, language: str) -> None:
    now = int(time.time())

    def save(epoch: str, version: int) -> dict[str, Any]:
        data = f"{epoch}{version}"
        return {"event": "save", "roomId": "note", "type": "text", "epoch": epoch, "version": version, "data": data}

    async with example(language, tmp_path) as url:

        async def has() -> str:
            _, answer = await post(url, {"event": "load", "roomId": "note", "documentType": "text"}, str(now))
            return str(answer["data"])

        for epoch, version, sent_at, expected in (
            ("a", 3, now - 20, "a3"),
            ("a", 2, now - 20, "a3"),  # late, or sent again by somebody else
            ("a", 2, now - 21, "a3"),
            ("a", 4, now - 25, "a4"),  # the gateway's clock was put back
            ("a", 2, now - 10, "a2"),  # its store was put back
            ("b", 7, now - 15, "a2"),  # from an earlier life
            ("b", 0, now - 10, "b0"),
            ("b", 1, now - 10, "b1"),
        ):
            status, _ = await post(url, save(epoch, version), str(sent_at))
            assert (status, await has()) == (204, expected)
        for timestamp, secret in ((now - 301, SECRET), (now + 310, SECRET), (now, SECRET[::-1])):
            assert await post(url, save("c", 9), str(timestamp), secret=secret) == (401, None)
        for timestamp in ("", "soon", "-1"):
            assert await post(url, save("c", 9), timestamp) == (401, None)
        assert await has() == "b1"


def test_the_example_of_a_signature() -> None:
    found = re.search(r"secret `(.*)`, the timestamp `(\d+)` and the body `(.*)` the signature is\n`(.*)`", PAGE)
    assert found
    secret, timestamp, body, signature = found.groups()
    assert sign(secret, timestamp, body.encode()) == signature
