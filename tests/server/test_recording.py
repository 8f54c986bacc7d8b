"""``fastcollab record`` and ``load --replay``: what really happened in a room, again, in another."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from random import Random
from typing import Any

import pytest
from rich.console import Console
from tests import traces
from tests.server.conftest import SECRET, StartGateway
from tests.server.gateway_process import environment
from tests.server.test_replay import delaying, replay
from typer.testing import CliRunner

from fastcollab import Gateway
from fastcollab.bench.replay import ReplayOptions, run_replay
from fastcollab.bench.script import load_script
from fastcollab.cli import app
from fastcollab.client import CollaborativeClient, Room
from fastcollab.recording import file
from fastcollab.recording.file import Header, RecordingWriter, read_recording
from fastcollab.recording.recorder import Recorder

PATIENCE = 30.0

MakeToken = Callable[..., str]


async def command(*arguments: str) -> subprocess.CompletedProcess[str]:
    """``fastcollab`` with these arguments, at its end."""
    return await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-m", "fastcollab", *arguments],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.005)


def lines(path: Path) -> list[file.Entry]:
    return [entry for _, entry in read_recording(path)[1]]


@contextlib.asynccontextmanager
async def recording(url: str, token: str, room: str, path: Path, *, anonymous: bool = False) -> AsyncIterator[Recorder]:
    """Records the room into the file for as long as the block lasts."""
    with RecordingWriter(path, Header(file.VERSION, room, 0, anonymous)) as writer:
        recorder = Recorder(url, token, room, writer, anonymous=anonymous)
        stop, joined = asyncio.Event(), asyncio.Event()
        task = asyncio.create_task(recorder.run(stop, None, joined.set))
        try:
            waiting = asyncio.create_task(joined.wait())
            await asyncio.wait([task, waiting], return_when=asyncio.FIRST_COMPLETED)
            waiting.cancel()
            yield recorder
            stop.set()
            async with asyncio.timeout(PATIENCE):
                await task
        finally:
            task.cancel()
            await asyncio.wait([task])


@contextlib.asynccontextmanager
async def two_authors(url: str, make_token: MakeToken, document_type: str = "text") -> AsyncIterator[tuple[Room, Room]]:
    async with CollaborativeClient(url, make_token("ann")) as ann, CollaborativeClient(url, make_token("bob")) as bob:
        yield await ann.join_room("board", document_type), await bob.join_room("board")


async def work(rooms: tuple[Room, Room], rounds: int, random: Random) -> None:
    """Both write, point, select, say how they are, and wave."""
    for turn in range(rounds):
        for room in rooms:
            room.move_cursor(random.random() * 1000, random.random() * 1000, (0.0, float(turn)))
            room.insert(random.randrange(len(room.text) + 1), random.choice(("a", "β", "👩‍🚀", "\n")))
            if turn % 3 == 2:
                room.delete(random.randrange(len(room.text) - 1), 1)
            if turn % 10 == 5:
                await room.select([(0, min(3, len(room.text)))], "red")
                await room.set_presence(status=f"turn {turn}")
                await room.broadcast_event("wave", {"turn": turn})
        await asyncio.sleep(0.01)
    for room in rooms:
        await room.saved()
    await until(lambda: rooms[0].text == rooms[1].text)


async def played(path: Path, gateway: Gateway, **options: Any) -> Any:
    """The report of a replay on that gateway."""
    chosen = ReplayOptions(path, urls=[gateway.url], secret=SECRET, **options)
    return await asyncio.to_thread(run_replay, chosen)


@pytest.mark.parametrize("engine", ["memory", "sqlite"])
async def test_a_session_is_recorded_and_replayed(
    start_gateway: StartGateway, make_token: MakeToken, tmp_path: Path, engine: str
) -> None:
    path = tmp_path / "session.jsonl.gz"
    gateway = await start_gateway({"limits.operations": 1000})
    async with two_authors(gateway.url, make_token) as rooms:
        await rooms[0].submit(["What there was before.\n"])
        async with recording(gateway.url, make_token("recorder"), "board", path) as recorder:
            await work(rooms, 40, Random(1))
            text = rooms[0].text
    assert {entry.user for entry in lines(path) if isinstance(entry, file.Joined)} == {"ann", "bob"}
    assert recorder.summary.cursors > 40
    assert recorder.summary.lines["Event"] == 8

    script = load_script(path)
    assert (script.complete, script.content) == (True, text)
    url = "memory://" if engine == "memory" else f"sqlite:{tmp_path / 'fresh.db'}"
    fresh = await start_gateway({"engine.url": url, "limits.operations": 1000, "rooms.default_document_type": "json1"})
    report = await played(path, fresh)
    assert report.sound, report.as_json()
    assert report.operations.acknowledged == script.operations == report.operations.recorded
    assert report.operations.broadcasts >= script.operations
    assert report.updates_sent == script.cursors
    assert 0 < report.deliveries <= script.cursors * 2
    assert report.seconds >= script.seconds * 0.95
    console = Console(width=200, file=io.StringIO(), force_terminal=False)
    console.print(report.as_table())
    assert "1 as recorded" in console.file.getvalue()


async def test_operations_are_transformed_again(gateway: Gateway, make_token: MakeToken, tmp_path: Path) -> None:
    """Two authors who are far from the gateway write past each other, and a replay asks as much of it."""
    session = traces.load(traces.OWN_SESSION)
    session = traces.Session(session.start, "", session.transactions[:400])
    path = tmp_path / "authors.jsonl"
    async with contextlib.AsyncExitStack() as stack:
        rooms = []
        for number in range(2):
            url = await stack.enter_async_context(delaying(gateway.url, Random(number), 0.002))
            client = await stack.enter_async_context(CollaborativeClient(url, make_token(f"author {number}")))
            rooms.append(await client.join_room("board", "text"))
        async with recording(gateway.url, make_token("recorder"), "board", path):
            behind = await replay(session, rooms)
        text = rooms[0].text
    assert text == traces.replay(session)
    report = await played(path, gateway, speed=1000, copies=3)
    assert report.sound, report.as_json()
    operations = report.operations
    assert operations.acknowledged == 3 * 400
    assert operations.transformed_then >= 3 * behind > 0
    assert operations.transformed_now >= 0.9 * operations.transformed_then
    async with CollaborativeClient(gateway.url, make_token("reader")) as reader:
        assert (await reader.join_room("board")).text == text


async def test_an_anonymous_recording_makes_the_same_load_and_names_nobody(
    gateway: Gateway, make_token: MakeToken, tmp_path: Path
) -> None:
    path = tmp_path / "nobody.jsonl"
    async with two_authors(gateway.url, make_token) as rooms:
        await rooms[0].submit(["Secret plan\n"])
        async with recording(gateway.url, make_token("recorder"), "board", path, anonymous=True):
            await work(rooms, 10, Random(2))
            text = rooms[0].text
    content = path.read_text()
    for word in ("ann", "bob", "Secret", "plan", "β", '"turn', "👩"):
        assert word not in content
    report = await played(path, gateway)
    assert report.sound, report.as_json()
    script = load_script(path)
    assert [len(line.encode()) for line in script.content.split("\n")] == [
        len(line.encode()) for line in text.split("\n")
    ]


async def test_a_recorder_that_is_killed_leaves_a_recording(
    gateway: Gateway, make_token: MakeToken, tmp_path: Path
) -> None:
    path = tmp_path / "killed.jsonl.gz"
    arguments = ["record", "board", "--url", gateway.url, "--output", str(path)]
    async with two_authors(gateway.url, make_token) as rooms:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "fastcollab", *arguments, env=environment(), stderr=subprocess.DEVNULL
        )
        await until(lambda: "recorder" in rooms[0].participants)
        await work(rooms, 10, Random(3))
        await asyncio.sleep(1.2)  # it is flushed every second
        known = rooms[0].document.version
        await work(rooms, 10, Random(4))
        process.send_signal(signal.SIGKILL)
        await process.wait()
    script = load_script(path)
    assert not script.complete
    assert script.operations >= known
    report = await played(path, gateway)
    assert report.sound, report.as_json()
    assert not report.complete


async def test_a_lost_connection_is_a_gap_without_operations_missing(
    gateway: Gateway, make_token: MakeToken, tmp_path: Path
) -> None:
    path = tmp_path / "gap.jsonl"
    async with two_authors(gateway.url, make_token) as rooms:
        async with recording(gateway.url, make_token("recorder"), "board", path) as recorder:
            await work(rooms, 5, Random(5))
            assert recorder._socket is not None
            recorder._socket.abort()
            await work(rooms, 5, Random(6))
            await until(lambda: recorder.rooms["board"].document.version == rooms[0].document.version)
        text = rooms[0].text
    kinds = [type(entry) for entry in lines(path)]
    assert kinds.count(file.Gap) == kinds.count(file.Resumed) == 1
    assert kinds.count(file.Document) == 1
    script = load_script(path)
    assert (script.gaps, script.content) == (1, text)


async def test_who_loses_the_room_has_recorded_up_to_there(
    gateway: Gateway, make_token: MakeToken, tmp_path: Path
) -> None:
    path = tmp_path / "lost.jsonl"
    with RecordingWriter(path, Header(file.VERSION, "board", 0)) as writer:
        recorder = Recorder(gateway.url, make_token("recorder"), "board", writer, anonymous=False)
        joined = asyncio.Event()
        task = asyncio.create_task(recorder.run(asyncio.Event(), None, joined.set))
        await asyncio.wait_for(joined.wait(), PATIENCE)
        await gateway.disconnect_user("recorder")
        with pytest.raises(Exception, match="closed with"):
            await asyncio.wait_for(task, PATIENCE)
    assert [type(entry) for entry in lines(path)] == [file.Document]


async def test_the_commands(gateway: Gateway, make_token: MakeToken, tmp_path: Path) -> None:
    path = tmp_path / "commands.jsonl"
    arguments = ("record", "board", "--url", gateway.url, "--output", str(path), "--seconds", "0.5")
    async with two_authors(gateway.url, make_token) as rooms:
        running = asyncio.create_task(command(*arguments, "--token", make_token("watcher")))
        await until(lambda: "watcher" in rooms[0].participants)
        await work(rooms, 5, Random(7))
        done = await running
    assert done.returncode == 0, done.stderr
    assert "2 users" in done.stdout
    assert "recording room 'board'" in done.stderr

    done = await command("load", "--replay", str(path), "--speed", "2", "--copies", "2", "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    report = json.loads(done.stdout)
    assert (report["copies"], report["users"], report["speed"]) == (2, 2, 2.0)
    assert report["operations"]["documents_differ"] == 0
    assert report["server"]["cpu_seconds"] > 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["record", "board", "--output", "there.jsonl"], "there.jsonl is there already"),
        (["record", "board", "--output", "no/folder.jsonl"], "no/folder.jsonl cannot be written: No such file"),
        (["record", "board", "--url", "ws://127.0.0.1:1/ws"], "no connection to ws://127.0.0.1:1/ws: Connection ref"),
        (["load", "--replay", "there.jsonl"], "there.jsonl is no recording of fastcollab"),
        (["load", "--replay", "none.jsonl"], "none.jsonl cannot be read"),
        (["load", "--replay", "there.jsonl", "--hz", "5"], "--hz does not go with --replay"),
        (["load", "--replay", "there.jsonl", "--speed", "0"], "speed: above 0"),
        (["load", "--replay", "there.jsonl", "--url", "ws://127.0.0.1:1/ws"], "secret"),
        (["load", "--speed", "2"], "--speed is for --replay"),
    ],
)
def test_what_the_commands_cannot_do_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("FASTCOLLAB_AUTH__SECRET", raising=False)
    (tmp_path / "there.jsonl").write_text("something else\n")
    token = {"FASTCOLLAB_TOKEN": "any"} if arguments[0] == "record" else {}
    done = CliRunner().invoke(app, arguments, env=token)
    assert done.exit_code == (1 if arguments[0] == "record" else 2)
    (line,) = done.stderr.splitlines()
    assert message in line
    assert [each.name for each in tmp_path.iterdir()] == ["there.jsonl"]


def test_a_recorder_needs_a_token_or_a_secret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("FASTCOLLAB_AUTH__SECRET", raising=False)
    done = CliRunner().invoke(app, ["record", "board"])
    assert done.exit_code == 1
    assert "auth.secret" in done.stderr
    assert not list(tmp_path.iterdir())
