"""Two servers with a Valkey between them, all on one core: two gateways, or two Socket.IO servers."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from tests.redis_servers import VALKEY, RedisServer, start_server

from benchmarks.cluster import socketio
from benchmarks.documents.contenders import UNLIMITED, introduced_by
from benchmarks.documents.editors import Editor, GatewayEditor
from benchmarks.documents.fleet import Endpoint
from benchmarks.peers.npm import installed
from fastcollab.bench.load import Peer
from fastcollab.bench.process import cpu_seconds
from fastcollab.bench.server import gateway, pinned, server_process

NODES = 2
SOCKETIO = Path(__file__).parent.parent / "peers" / "socketio_redis"


@dataclass(frozen=True, slots=True)
class Cluster:
    """Servers that run. `peer` is what they are if they are no gateways, `secret` signs tokens if they are."""

    urls: Sequence[str]
    pids: Sequence[int]
    redis: RedisServer
    editor: type[Editor]
    peer: Peer | None = None
    secret: str | None = None

    @property
    def endpoint(self) -> Endpoint:
        """For editors of documents."""
        headers: Callable[[int], Mapping[str, str]] = introduced_by(self.secret) if self.secret else lambda _: {}
        path = socketio.PATH if self.peer is not None else ""
        return Endpoint(self.editor, [url + path for url in self.urls], self.pids, headers)


@contextmanager
def run_gateways(durability: str, core: int | None) -> Iterator[Cluster]:
    options = ["--appendonly", "yes", "--appendfsync", "always"] if durability == "aof" else []
    secret = secrets.token_hex(32)
    with ExitStack() as cleanup:
        redis = cleanup.enter_context(start_redis(core, *options))
        config = {
            **UNLIMITED,
            "auth": {"secret": secret},
            "engine": {"url": redis.url, "durability": durability},
        }
        servers = [cleanup.enter_context(gateway(config, core=core)) for _ in range(NODES)]
        pids = [server.pid for server in servers if server.pid is not None]
        yield Cluster([server.url for server in servers], pids, redis, GatewayEditor, secret=secret)


@contextmanager
def run_workers(count: int) -> Iterator[Cluster]:
    """``serve --workers`` and a Valkey, on whichever cores there are."""
    secret = secrets.token_hex(32)
    with ExitStack() as cleanup:
        redis = cleanup.enter_context(start_redis(None))
        config = {
            **UNLIMITED,
            "auth": {"secret": secret},
            "engine": {"url": redis.url},
            "server": {"host": "127.0.0.1", "port": 0, "workers": count},
        }
        server = cleanup.enter_context(gateway(config))
        assert server.pid is not None
        children = Path(f"/proc/{server.pid}/task/{server.pid}/children").read_text().split()
        yield Cluster([server.url], [server.pid, *map(int, children)], redis, GatewayEditor, secret=secret)


@contextmanager
def run_socketio(core: int | None) -> Iterator[Cluster]:
    with ExitStack() as cleanup:
        redis = cleanup.enter_context(start_redis(core))
        command = [str(installed(SOCKETIO)), str(SOCKETIO / "server.mjs"), redis.url]
        started = [cleanup.enter_context(server_process(command, core=core)) for _ in range(NODES)]
        urls = [f"ws://{line.split()[-1]}" for _, line in started]
        yield Cluster(urls, [pid for pid, _ in started], redis, socketio.SocketioEditor, peer=socketio.PEER)


@contextmanager
def start_redis(core: int | None, *options: str) -> Iterator[RedisServer]:
    """A Valkey of its own on that core."""
    with pinned(core):
        server = start_server(VALKEY, *options)
    with server:
        yield server


Contender = Callable[[int | None], AbstractContextManager[Cluster]]

GATEWAYS = "fastcollab"
GATEWAYS_AOF = "fastcollab, aof"
PEERS = "Socket.IO"
CONTENDERS: dict[str, Contender] = {
    GATEWAYS: partial(run_gateways, "none"),
    GATEWAYS_AOF: partial(run_gateways, "aof"),
    PEERS: run_socketio,
}


@dataclass(frozen=True, slots=True)
class Usage:
    """What servers and Redis have used; commands include those within scripts."""

    server_cpu_seconds: float
    redis_cpu_seconds: float
    redis_commands: Mapping[str, int]  # by name
    redis_bytes_in: int
    redis_bytes_out: int


class Meter:
    """Says what a cluster uses while the context lasts."""

    usage: Usage

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        assert cluster.redis.process is not None
        self._redis_pid = cluster.redis.process.pid

    def __enter__(self) -> None:
        self._before = self._read()

    def __exit__(self, *_: object) -> None:
        before, after = self._before, self._read()
        commands = {
            name: calls - before.redis_commands.get(name, 0)
            for name, calls in after.redis_commands.items()
            if name != "info"
        }
        self.usage = Usage(
            after.server_cpu_seconds - before.server_cpu_seconds,
            after.redis_cpu_seconds - before.redis_cpu_seconds,
            {name: calls for name, calls in commands.items() if calls},
            after.redis_bytes_in - before.redis_bytes_in,
            after.redis_bytes_out - before.redis_bytes_out,
        )

    def _read(self) -> Usage:
        with self._cluster.redis.client() as client:
            commands: Mapping[str, Any] = client.info("commandstats")
            traffic: Mapping[str, Any] = client.info("stats")
        return Usage(
            sum(map(cpu_seconds, self._cluster.pids)),
            cpu_seconds(self._redis_pid),
            {name.removeprefix("cmdstat_"): int(told["calls"]) for name, told in commands.items()},
            int(traffic["total_net_input_bytes"]),
            int(traffic["total_net_output_bytes"]),
        )
