"""``fastcollab serve --workers``: several processes on one port, and what becomes of them when one is killed."""

from __future__ import annotations

import asyncio
import errno
import json
import os
import pickle
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
from tests.redis_servers import VALKEY, start_server
from tests.server.certificates import Authority
from tests.server.conftest import SECRET, MakeToken
from tests.server.gateway_process import GatewayProcess, assignments, children, command, environment, serving_with
from tests.server.scraping import Samples, scrape
from tests.server.test_cli_serve import refused

from fastcollab import Config
from fastcollab.client import CollaborativeClient, ReconnectPolicy, Room
from fastcollab.serving.plan import CannotServe, worker_config
from fastcollab.serving.port import held_port
from fastcollab.serving.supervisor import Worker

PATIENCE = 20.0
FAST = ReconnectPolicy(base=0.01, cap=0.2)
SETTINGS = assignments("limits.operations=10000", "limits.connections_per_user=100", "server.shutdown_timeout=2")


# --- processes and their sockets, as the system knows them ------------------------------------------------------------


def workers_of(gateway: GatewayProcess) -> list[int]:
    return sorted(pid for pid, line in children(gateway.pid).items() if "fastcollab.serving.worker" in line)


def valkey_of(gateway: GatewayProcess) -> int:
    (pid,) = (pid for pid, line in children(gateway.pid).items() if "valkey-server" in line)
    return pid


def is_there(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def connections(pid: int, port: int) -> int:
    """How many connections at this port process `pid` has."""
    established = "01"
    inodes = set()
    for line in Path(f"/proc/{pid}/net/tcp").read_text().splitlines()[1:]:
        fields = line.split()
        if int(fields[1].partition(":")[2], 16) == port and fields[3] == established:
            inodes.add(f"socket:[{fields[9]}]")
    return sum(str(each.readlink()) in inodes for each in Path(f"/proc/{pid}/fd").iterdir())


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not condition():  # noqa: ASYNC110 - nothing announces it
            await asyncio.sleep(0.02)


# --- people -----------------------------------------------------------------------------------------------------------


class Company:
    """Clients in one room, some of them at each of two workers."""

    def __init__(self, gateway: GatewayProcess, clients: list[CollaborativeClient], rooms: list[Room]) -> None:
        self.gateway = gateway
        self.clients = clients
        self.rooms = rooms
        self.written: list[str] = []

    async def write(self) -> None:
        """Each writes a character that is nobody else's, and all have all of them."""
        for room in self.rooms:
            mark = chr(0x4E00 + len(self.written))
            room.insert(0, mark)
            self.written.append(mark)
        async with asyncio.timeout(PATIENCE):
            for room in self.rooms:
                await room.saved()
        await until(lambda: len({room.text for room in self.rooms}) == 1)
        assert sorted(self.rooms[0].text) == self.written


def port_of(gateway: GatewayProcess) -> int:
    return int(gateway.url.rpartition(":")[2].partition("/")[0])


@asynccontextmanager
async def company(
    gateway: GatewayProcess, make_token: MakeToken, reconnect: bool | ReconnectPolicy = FAST
) -> AsyncIterator[Company]:
    port = port_of(gateway)
    async with AsyncExitStack() as leaving:
        clients: list[CollaborativeClient] = []
        # The kernel decides who gets whom: that one gets all of so many is as good as impossible.
        while len(clients) < 4 or min(connections(pid, port) for pid in workers_of(gateway)) == 0:
            assert len(clients) < 60, "one worker gets all connections"
            client = CollaborativeClient(gateway.url, make_token(f"user-{len(clients)}"), reconnect=reconnect)
            clients.append(await leaving.enter_async_context(client))
        rooms = [await client.join_room("plans", "text") for client in clients]
        yield Company(gateway, clients, rooms)


@pytest.fixture
def folder() -> Iterator[Path]:
    """To work in; its path is short, as that of a socket has to be."""
    with tempfile.TemporaryDirectory(prefix="fc-") as folder:
        yield Path(folder)


def stored(folder: Path) -> str:
    shown = command("show", "plans", folder=folder)
    assert (shown.returncode, shown.stderr) == (0, "")
    return shown.stdout.rstrip("\n")


# --- the tests --------------------------------------------------------------------------------------------------------


async def test_workers_share_rooms_and_keep_them_through_kill_9(folder: Path, make_token: MakeToken) -> None:
    async with serving_with("--workers", "2", *SETTINGS, folder=folder) as gateway:
        async with company(gateway, make_token) as people:
            await people.write()
            for room in people.rooms:
                room.move_cursor(3, 4)
            others = len(people.rooms) - 1
            await until(lambda: all(len(room.cursors) == others for room in people.rooms))

            killed = workers_of(gateway)[0]
            os.kill(killed, signal.SIGKILL)
            await people.write()
            await until(lambda: len(workers_of(gateway)) == 2)
            assert killed not in workers_of(gateway)

            os.kill(valkey_of(gateway), signal.SIGKILL)
            await people.write()
            # A tool beside it, and another gateway that would like to be in its place.
            assert sorted(await asyncio.to_thread(stored, folder)) == people.written
            (problem,) = await asyncio.to_thread(
                refused, "--port", "0", FASTCOLLAB_ENGINE__URL=f"valkey:{folder}/fastcollab.data"
            )
            assert problem == (
                f"fastcollab: {folder}/fastcollab.data is in use by another gateway, process {gateway.pid}"
            )
        family = children(gateway.pid)
        assert await gateway.end() == 0
        assert not any(map(is_there, family))
        assert (await gateway.output()) == ""
    assert sorted(await asyncio.to_thread(stored, folder)) == people.written
    # A single gateway takes them over, with no more than the same command.
    async with serving_with(folder=folder) as gateway, CollaborativeClient(gateway.url, make_token("ada")) as client:
        assert sorted((await client.join_room("plans", "text")).text) == people.written
        assert await gateway.end() == 0


async def test_nothing_outlives_a_supervisor_that_is_killed(make_token: MakeToken) -> None:
    async with serving_with("--engine", "memory://", "--workers", "2", *SETTINGS) as gateway:
        family = children(gateway.pid)
        assert len(family) == 3
        async with CollaborativeClient(gateway.url, make_token("ada"), reconnect=False):
            await gateway.end(signal.SIGKILL)
            await until(lambda: not any(map(is_there, family)))


async def test_a_signal_drains_all_workers_and_a_second_ends_them(make_token: MakeToken) -> None:
    waits = assignments("server.shutdown_timeout=60", "engine.timeout=0.5")
    async with (
        serving_with("--engine", "memory://", "--workers", "2", *waits) as gateway,
        company(gateway, make_token, reconnect=False) as people,
    ):
        family = children(gateway.pid)
        paused, other = workers_of(gateway)
        os.kill(paused, signal.SIGSTOP)
        gateway.tell(signal.SIGINT)
        await until(lambda: not is_there(other))
        assert any(not client.is_connected for client in people.clients)
        # It waits for the one that does not end, and so does the Valkey.
        assert is_there(valkey_of(gateway))
        assert await gateway.end(signal.SIGTERM) == -signal.SIGTERM
        os.kill(paused, signal.SIGCONT)
        await until(lambda: not any(map(is_there, family)))


async def test_sighup_renews_the_certificate_of_all_workers(folder: Path) -> None:
    authority = Authority()
    files = folder / "server.pem", folder / "server.key"
    authority.issue(*files, "first")
    tls = assignments(f"tls.certificate_file={files[0]}", f"tls.key_file={files[1]}", "tls.reload_interval=0")

    def names() -> set[str]:
        found = set()
        for _ in range(8):
            with (
                socket.create_connection(("127.0.0.1", port_of(gateway)), timeout=PATIENCE) as plain,
                authority.client_context().wrap_socket(plain, server_hostname="127.0.0.1") as secured,
            ):
                subject = (secured.getpeercert() or {})["subject"]
                found.add(str(subject[0][0][1]))  # type: ignore[index]
        return found

    async with serving_with("--engine", "memory://", "--workers", "2", *tls) as gateway:
        assert gateway.url.startswith("wss://")
        assert await asyncio.to_thread(names) == {"first"}
        authority.issue(*files, "second")
        gateway.tell(signal.SIGHUP)
        async with asyncio.timeout(PATIENCE):
            while await asyncio.to_thread(names) != {"second"}:
                pass
        assert await gateway.end() == 0


async def test_a_worker_that_cannot_live_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    with held_port("127.0.0.1", 0) as port:
        config = Config(auth={"secret": SECRET}, engine={"url": "memory://"}, server={"workers": 2})
        worker = Worker(1, pickle.dumps(worker_config(config, config.engine, port)))
        assert await worker.start() == f"ws://127.0.0.1:{port}/ws"
        waits = iter([0.01, None])
        monkeypatch.setattr(worker._revival, "died", lambda _now: next(waits))
        keeping = asyncio.create_task(worker.keep())
        worker.tell(signal.SIGKILL)
        await until(lambda: not worker.is_serving)
        await until(lambda: worker.is_serving)
        worker.tell(signal.SIGKILL)
        with pytest.raises(CannotServe) as given_up:
            await asyncio.wait_for(keeping, PATIENCE)
        assert given_up.value.lines == ("worker 1 has ended 9 times within a minute, at last with status -9",)
        await worker.end(PATIENCE)


async def test_workers_share_a_redis(make_token: MakeToken) -> None:
    with start_server(VALKEY) as server:
        async with serving_with("--engine", server.url, "--workers", "2", *SETTINGS) as gateway:
            assert len(children(gateway.pid)) == 2
            async with company(gateway, make_token) as people:
                await people.write()
            assert await gateway.end() == 0


async def test_the_operations_port_speaks_for_all_workers() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    url = f"http://127.0.0.1:{port}/health"
    arguments = ("--engine", "memory://", "--workers", "2", "--ops-port", str(port), "--set", "engine.timeout=0.5")

    async def faults_are(count: int) -> list[str]:
        async with asyncio.timeout(PATIENCE):
            while True:
                async with http.get(f"{url}/ready") as response:
                    faults: list[str] = (await response.json())["faults"]
                    assert (response.status == 200) is (not faults)
                if len(faults) == count:
                    return faults
                await asyncio.sleep(0.1)

    async with serving_with(*arguments) as gateway, aiohttp.ClientSession() as http:
        await faults_are(0)
        os.kill(valkey_of(gateway), signal.SIGSTOP)
        assert [fault.partition(":")[0] for fault in await faults_are(2)] == ["worker 1", "worker 2"]
        os.kill(valkey_of(gateway), signal.SIGCONT)
        await faults_are(0)
        assert await gateway.end() == 0


async def test_the_metrics_of_all_workers_are_told(make_token: MakeToken) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    arguments = ("--engine", "memory://", "--workers", "2", "--ops-port", str(port), *SETTINGS)
    url = f"http://127.0.0.1:{port}"

    async def told(what: Callable[[Samples], bool]) -> Samples:
        async with asyncio.timeout(PATIENCE):
            while not what(samples := await scrape(url)):  # noqa: ASYNC110 - nothing announces it
                await asyncio.sleep(0.05)
        return samples

    async with serving_with(*arguments) as gateway:
        async with company(gateway, make_token) as people:
            await people.write()
            samples = await scrape(url)
            opened = [samples[f'fastcollab_connections_opened_total{{worker="{worker}"}}'] for worker in (1, 2)]
            assert min(opened) > 0
            assert sum(opened) == len(people.clients)
            assert samples['fastcollab_bus_seconds_count{worker="1"}'] > 0
            assert samples['fastcollab_redis_seconds_count{lane="commits",worker="2"}'] > 0
            assert samples['process_resident_memory_bytes{worker="supervisor"}'] > 0
            # Several who ask at once are all told.
            several = await asyncio.gather(*(scrape(url) for _ in range(4)))
            assert all('fastcollab_ready{worker="2"}' in each for each in several)
        first, second = workers_of(gateway)
        os.kill(first, signal.SIGSTOP)
        silent = await scrape(url)
        assert (silent['fastcollab_workers{state="silent"}'], silent['fastcollab_workers{state="serving"}']) == (1, 1)
        os.kill(first, signal.SIGCONT)
        await told(lambda samples: samples['fastcollab_workers{state="serving"}'] == 2)
        os.kill(second, signal.SIGKILL)
        again = await told(
            lambda samples: (
                samples["fastcollab_worker_restarts_total"] == 1 and samples['fastcollab_workers{state="serving"}'] == 2
            )
        )
        assert sum(again[f'fastcollab_ready{{worker="{worker}"}}'] for worker in (1, 2)) == 2
        assert await gateway.end() == 0
        assert await gateway.output() == ""


# --- what cannot be served --------------------------------------------------------------------------------------------


def test_a_port_that_is_taken_is_told_once() -> None:
    for shared in (False, True):
        with socket.create_server(("127.0.0.1", 0), reuse_port=shared) as other:
            port = other.getsockname()[1]
            lines = refused("--port", str(port), "--workers", "2")
        assert lines == [f"fastcollab: cannot listen on 127.0.0.1:{port}: {os.strerror(errno.EADDRINUSE)}"]


def test_what_keeps_each_worker_from_starting_is_told_once() -> None:
    (line,) = refused("--port", "0", "--workers", "3", FASTCOLLAB_ENGINE__URL="redis://127.0.0.1:1")
    assert line.startswith("fastcollab: the Redis at 127.0.0.1:1 cannot be used: ")


def test_a_file_is_not_for_several_workers() -> None:
    (line,) = refused("--port", "0", "--workers", "2", FASTCOLLAB_ENGINE__URL="sqlite:a.db")
    assert line.startswith("fastcollab: engine.url is sqlite:a.db, and a file is one process's")


async def test_documents_of_a_file_are_not_left_behind(folder: Path) -> None:
    """Neither forgotten without a word, nor hard to take along: what the message says is done as it says it."""
    file = folder / "import.jsonl"
    file.write_text(json.dumps({"roomId": "plans", "type": "text", "content": "to do"}) + "\n")
    assert command("import", str(file), folder=folder).returncode == 0
    started = subprocess.run(
        ["fastcollab", "serve", "--port", "0", "--workers", "2"],
        cwd=folder,
        env=on_path(),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    assert (started.returncode, started.stdout) == (1, "")
    _, first, _, second, _ = started.stderr.split("`")
    subprocess.run(f"{first} && {second}", shell=True, cwd=folder, env=on_path(), check=True, timeout=PATIENCE)
    engine = started.stderr.split()[-1]
    shown = command("show", "plans", "--engine", engine, folder=folder)
    assert (shown.returncode, shown.stdout) == (0, "to do\n")
    # Which of the two places it is now has to be said.
    assert "say which" in command("show", "plans", folder=folder).stderr


def on_path() -> dict[str, str]:
    """An environment in which the command is found."""
    return environment(PATH=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
