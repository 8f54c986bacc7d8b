"""The systemd unit in deploy/ is valid and in agreement with the gateway, which tells systemd what it waits for.

There is no systemd here that would run it: what systemd does with a unit is left to systemd, and what it hears from the
gateway is heard by the test.
"""

from __future__ import annotations

import asyncio
import configparser
import contextlib
import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs
from tests.server.gateway_process import PATIENCE, environment

from fastcollab import Config
from fastcollab.serving.service_manager import ServiceManager

UNIT = Path(__file__).parents[1] / "deploy" / "systemd" / "fastcollab.service"

needs_systemd = pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed")


@pytest.fixture(scope="module")
def unit() -> configparser.ConfigParser:
    parser = configparser.ConfigParser(strict=False, interpolation=None)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read(UNIT, encoding="utf-8")
    return parser


@pytest.fixture
def installed(tmp_path: Path, unit: configparser.ConfigParser) -> Path:
    """The unit as it would be where its program is."""
    program = shlex.split(unit["Service"]["ExecStart"])[0]
    file = tmp_path / UNIT.name
    file.write_text(UNIT.read_text(encoding="utf-8").replace(program, "/bin/true"), encoding="utf-8")
    return file


def analyzed(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["systemd-analyze", "--no-pager", *arguments], capture_output=True, text=True, timeout=60)


@needs_systemd
def test_systemd_takes_the_unit(installed: Path) -> None:
    taken = analyzed("verify", installed)
    assert (taken.returncode, taken.stdout, taken.stderr) == (0, "", "")
    with installed.open("a", encoding="utf-8") as text:
        text.write("[Service]\nTimeoutStop=20\n")
    assert "'TimeoutStop'" in analyzed("verify", installed).stderr


@needs_systemd
def test_the_service_is_exposed_to_little(installed: Path) -> None:
    """On systemd's scale, on which a service that nobody has hardened has 9.6."""
    assert analyzed("security", "--offline=true", "--threshold=15", installed).returncode == 0
    assert analyzed("security", "--offline=true", "--threshold=10", installed).returncode != 0


def test_the_unit_agrees_with_the_gateway(unit: configparser.ConfigParser) -> None:
    service = unit["Service"]
    assert float(service["TimeoutStopSec"]) > Config().server.shutdown_timeout + 5
    # Workers would take the signal of systemd and that of their supervisor for two, and end at once.
    assert service["KillMode"] == "mixed"
    # The documents are in the working directory, unless the configuration says otherwise.
    assert service["WorkingDirectory"] == f"%S/{service['StateDirectory']}"


class Manager:
    """Hears what a process tells systemd."""

    def __init__(self, address: Path | str) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        self._socket.bind(os.fspath(address))

    async def hears(self) -> str:
        return (await asyncio.wait_for(asyncio.get_running_loop().sock_recv(self._socket, 100), PATIENCE)).decode()

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[Manager]:
    with contextlib.closing(Manager(tmp_path / "notify")) as manager:
        yield manager


@contextlib.asynccontextmanager
async def started(unit: configparser.ConfigParser, folder: Path, *more: str, **variables: str) -> AsyncIterator[int]:
    """The service, with what the unit says as far as it can be so here."""
    _, *arguments = shlex.split(unit["Service"]["ExecStart"])
    arguments[arguments.index("/etc/fastcollab/fastcollab.toml")] = str(folder / "fastcollab.toml")
    (folder / "fastcollab.toml").write_text("[server]\nport = 0\n", encoding="utf-8")
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "fastcollab", *arguments, *more),
        cwd=folder,
        env=environment(**variables),
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        yield process.pid
        process.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(process.wait(), PATIENCE) == 0
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


@pytest.mark.parametrize("more", [(), ("--workers", "2", "--engine", "memory://")], ids=["alone", "workers"])
async def test_systemd_is_told_when_clients_are_accepted(
    unit: configparser.ConfigParser, manager: Manager, tmp_path: Path, more: tuple[str, ...]
) -> None:
    variables = {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "200000"}
    async with started(unit, tmp_path, *more, **variables):
        assert unit["Service"]["Type"] == "notify"
        # Of workers nobody but the supervisor speaks, or there would be another READY among these.
        assert [await manager.hears() for _ in range(6)] == ["READY=1"] + 5 * ["WATCHDOG=1"]


async def test_a_loop_that_hangs_is_not_heard_any_more(
    unit: configparser.ConfigParser, manager: Manager, tmp_path: Path
) -> None:
    variables = {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "200000"}
    async with started(unit, tmp_path, **variables) as pid:
        assert [await manager.hears() for _ in range(2)] == ["READY=1", "WATCHDOG=1"]
        os.kill(pid, signal.SIGSTOP)
        with pytest.raises(TimeoutError):
            for _ in range(5):
                await asyncio.wait_for(manager.hears(), 0.5)
        os.kill(pid, signal.SIGCONT)
        assert await manager.hears() == "WATCHDOG=1"


async def test_an_address_that_is_no_file(unit: configparser.ConfigParser, tmp_path: Path) -> None:
    name = f"fastcollab-{os.getpid()}"
    with contextlib.closing(Manager(f"\0{name}")) as manager:
        async with started(unit, tmp_path, NOTIFY_SOCKET=f"@{name}"):
            assert await manager.hears() == "READY=1"


async def test_a_manager_that_cannot_be_told_keeps_nobody_from_serving(tmp_path: Path) -> None:
    variables = {"NOTIFY_SOCKET": str(tmp_path / "nobody"), "PATH": "/bin"}
    with capture_logs() as logs:
        ServiceManager.of(variables).ready()
    assert [(entry["event"], entry["state"]) for entry in logs] == [("the service manager cannot be told", "READY=1")]
    assert variables == {"PATH": "/bin"}
