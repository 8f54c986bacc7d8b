"""``fastcollab top`` at gateways that run, on a terminal that is one."""

from __future__ import annotations

import asyncio
import fcntl
import io
import os
import pty
import re
import signal
import struct
import sys
import termios
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from tests.server.admin_client import KEY, WITH_API
from tests.server.clients import Clients
from tests.server.conftest import StartGateway
from tests.server.gateway_process import environment

from fastcollab import Gateway
from fastcollab.top.source import Unanswered
from fastcollab.top.watch import print_once

needs_linux = pytest.mark.skipif(sys.platform != "linux", reason="the generator needs epoll")


def url_of(gateway: Gateway) -> str:
    assert gateway.operations_url is not None
    return gateway.operations_url


async def printed(*urls: str, width: int = 80, key: str = KEY) -> str:
    console = Console(file=io.StringIO(), width=width)
    with console.capture() as capture:
        await print_once(urls, key, console)
    return capture.get()


def rooms_of(text: str) -> list[tuple[float, float]]:
    """How many cursors move in the three rooms under load, and how many positions are sent; 0 where there is none."""
    lines = [re.search(rf"^load-{number} .* 4 +4 +(\d+) +([\d.]+k?) ", text, re.MULTILINE) for number in range(3)]
    return [
        (float(line[1]), float(line[2].replace("k", "")) * (1000 if "k" in line[2] else 1)) if line else (0.0, 0.0)
        for line in lines
    ]


@needs_linux
async def test_it_shows_what_goes_on_under_load(start_gateway: StartGateway, clients: Clients) -> None:
    gateway = await start_gateway(WITH_API)
    writer = await clients.enter(gateway, "writer", "written", claims={"name": "\x1b[31mred"})
    load = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "fastcollab", "load", "--url", gateway.url),
        *("--rooms", "3", "--members", "4", "--hz", "30", "--seconds", "60"),
        env=environment(),
    )
    try:
        async with asyncio.timeout(30):
            while not all(moves > 40 for moves, _ in rooms_of(await printed(url_of(gateway)))):  # noqa: ASYNC110
                await asyncio.sleep(0.1)
        for version in range(10):
            await writer.operate(["a"], version)
        for width in (80, 200):
            text = await printed(url_of(gateway), width=width)
            assert all(line.isprintable() and len(line) <= width for line in text.splitlines())
            assert "1 node · 13 connections · 13 users · 4 rooms" in text
            assert "● ready" in text
            # Each member is sent where the three others are.
            assert [sent / moves for moves, sent in rooms_of(text)] == [pytest.approx(3, rel=0.2)] * 3
            assert re.search(r"^written .* 1\b", text, re.MULTILINE)
            assert "fanout" in text
            assert "store.append" in text
    finally:
        load.terminate()
        await load.wait()


async def test_several_gateways_in_one_picture(start_gateway: StartGateway, clients: Clients) -> None:
    one, two = [await start_gateway(WITH_API) for _ in range(2)]
    await clients.enter(one, "ada", "of-one")
    await clients.enter(two, "bob", "of-two")
    text = await printed(url_of(one), url_of(two))
    assert "2 nodes · 2 connections" in text
    assert "all nodes are ready" in text
    for gateway, room in ((one, "of-one"), (two, "of-two")):
        assert re.search(rf"^{room} +{gateway.describe().node[:8]} ", text, re.MULTILINE)
    console = Console(file=io.StringIO(), width=80)
    with console.capture() as capture, pytest.raises(Unanswered, match="cannot be reached"):
        await print_once([url_of(one), "http://127.0.0.1:9"], KEY, console)
    assert "of-one" in capture.get()


async def test_why_there_is_no_picture(start_gateway: StartGateway) -> None:
    gateway = await start_gateway(WITH_API)
    keyless = await start_gateway({**WITH_API, "ops.api_keys": []})
    for url, key, why in (
        (url_of(gateway), "x" * 32, "refuses the key"),
        (url_of(keyless), KEY, "ops.api_keys"),
        (f"http://127.0.0.1:{gateway.port}", KEY, "answers with 4|has no admin API"),
    ):
        with pytest.raises(Unanswered, match=why) as error:
            await printed(url, key=key)
        assert key not in str(error.value)


class Terminal:
    """A terminal with ``fastcollab top`` on it."""

    def __init__(self, *arguments: str, columns: int = 80, lines: int = 24) -> None:
        self._arguments = arguments
        self._master, self._slave = pty.openpty()
        fcntl.ioctl(self._slave, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
        self._before = termios.tcgetattr(self._slave)
        self.text = ""

    async def __aenter__(self) -> Terminal:
        self._process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "fastcollab", "top", *self._arguments),
            env=environment(FASTCOLLAB_OPS__API_KEYS=f"tests:{KEY}", TERM="xterm-256color"),
            stdin=self._slave,
            stdout=self._slave,
            stderr=self._slave,
        )
        asyncio.get_running_loop().add_reader(self._master, self._read)
        return self

    async def __aexit__(self, *_: object) -> None:
        asyncio.get_running_loop().remove_reader(self._master)
        if self._process.returncode is None:
            self._process.kill()
            await self._process.wait()
        os.close(self._master)
        os.close(self._slave)

    def _read(self) -> None:
        self.text += os.read(self._master, 65536).decode(errors="replace")

    def press(self, keys: str) -> None:
        """What is drawn from here on is looked at."""
        self.text = ""
        os.write(self._master, keys.encode())

    def interrupt(self) -> None:
        """As Ctrl-C does."""
        self._process.send_signal(signal.SIGINT)

    async def shows(self, what: str) -> None:
        try:
            async with asyncio.timeout(15):
                while what not in self.text:  # noqa: ASYNC110 - nothing announces it
                    await asyncio.sleep(0.02)
        except TimeoutError:
            raise AssertionError(f"{what} is not in {self.text!r}") from None

    async def ends(self) -> int:
        status = await asyncio.wait_for(self._process.wait(), 15)
        assert termios.tcgetattr(self._slave) == self._before, "the terminal is not as it was"
        return status


async def test_it_is_watched_with_keys_while_gateways_come_and_go(
    start_gateway: StartGateway, clients: Clients
) -> None:
    gateway, lasting = await start_gateway(WITH_API), await start_gateway(WITH_API)
    ada = await clients.enter(gateway, "ada", "board-of-ada")
    urls = ["--url", url_of(gateway), "--url", url_of(lasting)]
    async with Terminal(*urls, "--interval", "0.2") as terminal:
        await terminal.shows("board-of-ada")
        await terminal.shows("CONNECTION")
        terminal.press("5")
        await terminal.shows("a second")
        terminal.press("\x1b[D")  # the left arrow
        await terminal.shows("by ")
        terminal.press("s")
        await terminal.shows("by bytes out")
        await ada.close()
        await gateway.stop()
        await terminal.shows("trying again")
        terminal.press("2")
        await terminal.shows("gone")
        terminal.press("q")
        assert await terminal.ends() == 0
    async with Terminal("--url", url_of(lasting)) as terminal:
        await terminal.shows("ready")
        terminal.interrupt()
        assert await terminal.ends() == 0


async def test_the_command_line(start_gateway: StartGateway, tmp_path: Path) -> None:
    gateway: Any = await start_gateway(WITH_API)
    key_file = tmp_path / "key"
    key_file.write_text(f"tests:{KEY}\n")
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "fastcollab", "top", "--once"),
        *("--url", url_of(gateway), "--key-file", str(key_file)),
        env=environment(COLUMNS="100"),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    told, complaints = await process.communicate()
    assert (process.returncode, complaints) == (0, b"")
    assert told.decode().splitlines()[0].startswith("fastcollab top   1 node")
    assert b"\x1b" not in told
