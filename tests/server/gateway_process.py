"""Gateways and commands as their users run them: processes with a store in a file."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from tests.server.conftest import SECRET

PATIENCE = 30


def environment(**variables: str) -> dict[str, str]:
    others = {name: value for name, value in os.environ.items() if not name.startswith("FASTCOLLAB_")}
    return {**others, "FASTCOLLAB_AUTH__SECRET": SECRET, **variables}


class GatewayProcess:
    """A gateway that accepts connections at `url`."""

    def __init__(self, process: asyncio.subprocess.Process, url: str) -> None:
        self._process = process
        self.url = url

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def is_running(self) -> bool:
        return self._process.returncode is None

    def tell(self, number: signal.Signals) -> None:
        """Sends it the signal."""
        self._process.send_signal(number)

    async def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Sends it the signal, and returns with what it has ended."""
        self.tell(number)
        return await asyncio.wait_for(self._process.wait(), PATIENCE)

    async def output(self) -> str:
        """What it has printed, up to its end, behind the line that says that it accepts connections."""
        assert self._process.stdout is not None
        return (await asyncio.wait_for(self._process.stdout.read(), PATIENCE)).decode()


@asynccontextmanager
async def serving(store: Path, *settings: str) -> AsyncIterator[GatewayProcess]:
    """``fastcollab serve`` on the store, with settings as KEY=VALUE; it does not outlive the block. Rooms have texts,
    unless who joins asks for something else.
    """
    async with serving_with("--engine", f"sqlite:{store}", *assignments(*settings)) as process:
        yield process


def assignments(*settings: str) -> list[str]:
    """The arguments for these settings, as KEY=VALUE."""
    return [argument for setting in settings for argument in ("--set", setting)]


@asynccontextmanager
async def serving_with(*arguments: str, folder: Path | None = None) -> AsyncIterator[GatewayProcess]:
    """The same with other arguments, in a folder to work in."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "fastcollab", "serve", "--port", "0"),
        *("--set", "rooms.default_document_type=text"),
        *arguments,
        cwd=folder,
        env=environment(),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        assert process.stdout is not None
        line = (await asyncio.wait_for(process.stdout.readline(), PATIENCE)).decode()
        assert "accepts connections on" in line
        yield GatewayProcess(process, line.split()[-1])
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


def command(*arguments: str, text: str = "", folder: Path | None = None) -> subprocess.CompletedProcess[str]:
    """``fastcollab document`` with these arguments, at its end."""
    return subprocess.run(
        [sys.executable, "-m", "fastcollab", "document", *arguments],
        cwd=folder,
        env=environment(),
        input=text,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )


def children(pid: int) -> dict[int, str]:
    """The processes that `pid` has started, with their command lines."""
    found = {}
    for process in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((process / "stat").read_text().rpartition(")")[2].split()[1])
            line = (process / "cmdline").read_text().replace("\0", " ")
        except OSError:
            continue  # it has ended meanwhile
        if parent == pid and line:
            found[int(process.name)] = line
    return found
