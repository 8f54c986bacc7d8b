"""The code of the guides to migration runs: what one migrates from, and what it becomes, with the same outcome.

Each example of a client is run by two people, Ada and then Ben, and what both are told is compared. The packages
come by the lock file in this folder, and the TypeScript client from `sdk`.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import jwt
import pytest
from tests.server.conftest import SECRET
from tests.server.gateway_process import PATIENCE, command, serving

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
CLIENT = ROOT / "sdk" / "packages" / "client"


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One in which Node finds what the guides import."""
    npm = shutil.which("npm")
    assert npm, "the guides need Node 20 or later, with npm"
    lock, installed = HERE / "package-lock.json", HERE / "node_modules" / ".package-lock.json"
    if not installed.exists() or installed.stat().st_mtime < lock.stat().st_mtime:
        subprocess.run([npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"], cwd=HERE, check=True, timeout=300)
    assert (CLIENT / "dist").exists(), "make sdk builds the client"
    above = tmp_path_factory.mktemp("guides")
    (above / "node_modules" / "@fastcollab").mkdir(parents=True)
    (above / "node_modules" / "@fastcollab" / "client").symlink_to(CLIENT)
    code = above / "code"
    code.mkdir()
    (code / "node_modules").symlink_to(HERE / "node_modules")
    for file in HERE.glob("*.mjs"):
        shutil.copy(file, code)
    return code


class Guide:
    """A page of docs/, whose code becomes files in `folder`."""

    def __init__(self, page: str, folder: Path) -> None:
        self.text = (ROOT / "docs" / page).read_text(encoding="utf-8")
        self._folder = folder

    def code(self, words: str, *replacements: tuple[str, str]) -> Path:
        """The one block that has these words in it."""
        (block,) = [block for block in re.findall(r"```js\n(.*?)```", self.text, re.DOTALL) if words in block]
        for old, new in replacements:
            assert old in block
            block = block.replace(old, new)
        file = self._folder / f"{re.sub(r'[^a-z]+', '-', words.lower())}.mjs"
        file.write_text(block, encoding="utf-8")
        return file


class Program:
    """Node, which prints lines."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def line(self) -> str:
        assert self._process.stdout is not None
        return (await asyncio.wait_for(self._process.stdout.readline(), PATIENCE)).decode().rstrip("\n")

    async def until(self, last: str) -> list[str]:
        """All lines up to this one."""
        lines = [await self.line()]
        while lines[-1] != last:
            assert lines[-1], f"it has ended, and not said {last}"
            lines.append(await self.line())
        return lines


@asynccontextmanager
async def node(file: Path, user: str = "nobody") -> AsyncIterator[Program]:
    """Runs the file in the name of a user, up to the end of the block."""
    token = jwt.encode({"sub": user, "exp": 2**32, "rooms": {"*": "write"}}, SECRET, "HS256")
    process = await asyncio.create_subprocess_exec(
        *("node", "--import", "./environment.mjs", file),
        cwd=file.parent,
        env={**os.environ, "TOKEN": token, "SECRET": SECRET},
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        yield Program(process)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def shown(client: Path, last: str, remote: int) -> list[str]:
    """Has Ada and then Ben run the client, each up to its last line: what Ada is told before Ben comes, and the so
    many lines that she is told because of him, in the order of the alphabet.
    """
    async with node(client, "ada") as ada:
        alone = await ada.until(last)
        async with node(client, "ben") as ben:
            await ben.until(last)
            return alone + sorted([await ada.line() for _ in range(remote)])


async def test_a_document_of_sharedb(folder: Path, tmp_path: Path) -> None:
    guide = Guide("migrating-from-sharedb.md", folder)
    listens = ("server.listen(8080)", "server.listen(0, () => console.log(server.address().port))")
    async with node(guide.code("backend.listen", listens)) as sharedb:
        client = guide.code("ShareDB.Connection", ("ws://localhost:8080", f"ws://127.0.0.1:{await sharedb.line()}"))
        before = await shown(client, "saved", remote=1)
    async with serving(tmp_path / "fastcollab.db") as gateway:
        client = guide.code("CollaborativeClient", ("ws://localhost:8080/ws", gateway.url))
        after = await shown(client, "saved", remote=1)
    assert before == after == [r'own "Agenda\n"', "saved", r'remote "Agenda\nAgenda\n"']


async def test_events_and_cursors_of_socketio(folder: Path, tmp_path: Path) -> None:
    guide = Guide("migrating-from-socketio.md", folder)
    listens = ("new Server(8080,", "new Server(0,")
    server = guide.code("io.use", listens)
    with server.open("a", encoding="utf-8") as code:
        code.write("io.httpServer.on('listening', () => console.log(io.httpServer.address().port));\n")
    async with node(server) as socketio:
        address = ("http://localhost:8080", f"http://127.0.0.1:{await socketio.line()}")
        before = await shown(guide.code("socket.io-client", address), "heard", remote=3)
    async with serving(tmp_path / "fastcollab.db") as gateway:
        client = guide.code("updateCursor", ("ws://localhost:8080/ws", gateway.url))
        after = await shown(client, "heard", remote=3)
    assert before == after == ["heard", "ben claps 2", "ben is here", "ben points at 120 80"]


async def test_shared_state_in_place_of_events(folder: Path, tmp_path: Path) -> None:
    guide = Guide("migrating-from-socketio.md", folder)
    async with serving(tmp_path / "fastcollab.db") as gateway:
        client = guide.code("replaceOp", ("ws://localhost:8080/ws", gateway.url))
        seen = await shown(client, "saved", remote=1)
    assert seen.pop(2) == "saved"
    boards = [json.loads(line)["board"] for line in seen]
    assert boards == [
        {"title": "Plan", "tasks": ["Call Ben"]},
        {"title": "Plan of today", "tasks": ["Call Ben"]},
        {"title": "Plan of today", "tasks": ["Call Ben", "Call Ben"]},
    ]


def test_operations_of_json0(folder: Path) -> None:
    page = Guide("migrating-from-sharedb.md", folder).text
    pairs = re.findall(r"^\| `(\{ p: .*?)` \| `(\w+Op\(.*?)` \|$", page, re.MULTILINE)
    assert len(pairs) == page.count("| `{ p: ") == 9
    done = subprocess.run(
        ["node", "json0.mjs"], cwd=folder, input=json.dumps(pairs), capture_output=True, text=True, timeout=PATIENCE
    )
    assert done.returncode == 0, done.stderr
    for pair, (before, after) in zip(pairs, json.loads(done.stdout), strict=True):
        assert before == after, pair
        assert before != {"title": "Old", "list": ["a", "b", "c"], "count": 4}, pair


def exported(folder: Path, *more: str, **variables: str) -> subprocess.CompletedProcess[str]:
    export = Guide("migrating-from-sharedb.md", folder).code("// export.mjs")
    return subprocess.run(
        ["node", export, "./database.mjs", "notes", *more],
        cwd=folder,
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )


@pytest.mark.parametrize("more", [(), ("history",)])
def test_documents_move_from_sharedb(folder: Path, tmp_path: Path, more: tuple[str, ...]) -> None:
    lines = exported(folder, *more)
    assert (lines.returncode, lines.stderr) == (0, "")
    file = tmp_path / "notes.jsonl"
    file.write_text(lines.stdout, encoding="utf-8")
    engine = ("--engine", f"sqlite:{tmp_path / 'fastcollab.db'}")
    imported = command("import", str(file), *engine)
    assert imported.stdout == "documents imported: 4\n", imported.stderr

    back = command("export", "--all", "--history", *engine).stdout.splitlines()
    documents = {each["roomId"]: each for each in map(json.loads, back)}
    assert {room: (each["type"], each["content"]) for room, each in documents.items()} == {
        "notes/board": ("json1", {"tasks": ["b", "a"], "done": True}),
        "notes/letter": ("rich-text", [{"insert": "Dear", "attributes": {"bold": True}}, {"insert": "\n"}]),
        "notes/minutes": ("text", "Plan 👩\nLunch\n"),
        "notes/old": ("json1", {"list": [2], "title": "Old"}),
    }
    past = {room: (each["history"]["content"], each["version"]) for room, each in documents.items()}
    assert past["notes/old"] == ({"list": [2], "title": "Old"}, 0)
    if more:
        assert past["notes/minutes"] == ("Agenda 👩\n", 2)
        assert past["notes/board"] == ({"tasks": ["a", "b"]}, 2)
        assert past["notes/letter"] == ([{"insert": "Dear\n"}], 1)


def test_what_cannot_move_from_sharedb_is_told(folder: Path) -> None:
    lines = exported(folder, UNKNOWN_TYPE="yes")
    assert lines.returncode == 1
    assert lines.stderr == "notes/count is left out: there is no type http://example.com/tally\n"
    assert len(lines.stdout.splitlines()) == 4
