"""``fastcollab demo`` as a process, and what its view draws."""

from __future__ import annotations

import asyncio
import io
import os
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from rich.cells import cell_len
from rich.console import Console

from fastcollab.client import ClientDocument, CollaborativeClient
from fastcollab.client.synchronizer import RemoteOperation
from fastcollab.demo.meter import Meter
from fastcollab.demo.stage import Stage
from fastcollab.demo.view import AttributedText, View
from fastcollab.ot import types

PATIENCE = 30  # seconds


@contextmanager
def demo(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("FASTCOLLAB_")}
    process = subprocess.Popen(
        [sys.executable, "-m", "fastcollab", "demo", "--no-view", *arguments],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def test_it_runs_by_itself_and_the_copies_are_equal() -> None:
    with demo("--seconds", "3", "--port", "0", "--participants", "9") as process:
        out, err = process.communicate(timeout=PATIENCE)
        assert (process.returncode, err) == (0, "")
    assert re.search(r"^gateway  ws://127\.0\.0\.1:\d+/ws$", out, re.MULTILINE)
    delivered = re.search(r"^([\d,]+) cursor updates and ([\d,]+) operations were delivered", out, re.MULTILINE)
    assert delivered, out
    # Each of 9 moves at up to 60 Hz before 9 others, and three write some characters a second.
    assert int(delivered[1].replace(",", "")) > 3 * 9 * 9 * 10
    assert int(delivered[2]) > 10
    equal = re.search(r"^10 copies of the text are equal: version (\d+), (\d+) characters$", out, re.MULTILINE)
    assert equal, out
    assert int(equal[2]) > 10


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_a_guest_meets_the_others_and_a_signal_ends_it(number: signal.Signals) -> None:
    with demo("--port", "0", "--participants", "4", "--room", "garden party") as process:
        assert process.stdout is not None
        said = [await asyncio.to_thread(process.stdout.readline) for _ in range(3)]
        url, room_id, token = (line.split(maxsplit=1)[1].strip() for line in said)
        drain = threading.Thread(target=process.stdout.read, daemon=True)
        async with CollaborativeClient(url, token, reconnect=False) as guest:
            room = await guest.join_room(room_id)
            assert {member.name for member in room.participants.values()} >= {"Guest", "Ada", "Bruno", "Spectator"}
            written = room.events("operation")
            room.move_cursor(1, 1)
            room.insert(0, "Hello!\n")
            async with asyncio.timeout(PATIENCE):
                await anext(written)
                await room.saved()
                while len(room.cursors) < 4:  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
            assert "Hello!" in room.text
            drain.start()
            process.send_signal(number)
            assert (await guest.closed).code == 4502
        assert await asyncio.to_thread(process.wait, PATIENCE) == 0
        assert process.stderr is not None
        assert process.stderr.read() == ""


def test_a_port_that_is_taken_is_said_in_one_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with demo("--port", str(port)) as process:
            _, err = process.communicate(timeout=PATIENCE)
            assert process.returncode == 1
    assert err == f"fastcollab: cannot listen on port {port}: Address already in use\n"


@pytest.mark.parametrize("size", [(130, 40), (80, 24), (60, 20)])
async def test_the_view_shows_people_text_and_figures(size: tuple[int, int]) -> None:
    width, height = size
    stage = Stage(5, "garden", 0)
    async with stage.open():
        meter = Meter(stage.clients, stage.room)
        view = View(stage.room, meter, stage.url, height)
        async with stage.play() as playing:
            while len(stage.room.text) < 30 and not playing.done():  # noqa: ASYNC110
                await asyncio.sleep(0.05)
            screen = io.StringIO()
            console = Console(file=screen, width=width, height=height, color_system=None, force_terminal=True)
            console.print(view, end="")
            lines = screen.getvalue().splitlines()
            text = stage.room.text
        assert await stage.converged()
    assert len(lines) == height
    assert {cell_len(line) for line in lines} == {width}
    page = "\n".join(lines)
    for name in ("Ada", "Bruno", "Chiara", "Dmitri", "Elif"):
        assert f"● {name}" in page
        assert page.count(name) >= 1
    assert sum(f"◤ {name}" in page or f"{name} ◤" in page for name in ("Ada", "Bruno", "Chiara")) >= 1
    assert "cursors delivered/s" in page
    assert all(word in page for line in text.splitlines()[-2:] for word in line.split()[:1])


def test_who_wrote_what_follows_the_operations() -> None:
    document = ClientDocument(types["text"], "abc", 0, "epoch")
    text = AttributedText(3)
    for version, (operation, user) in enumerate([([1, "xy"], "ada"), ([2, {"d": 2}, "z"], "bob")], 1):
        document.remote(operation, version)
        text.apply(RemoteOperation(operation, user, version), now=version)
    written = [(letter, character.author) for letter, character in zip(document.content, text.characters, strict=True)]
    assert written == [("a", None), ("x", "ada"), ("z", "bob"), ("c", None)]
