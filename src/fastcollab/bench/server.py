"""Starts the server that a load run drives, waits until it accepts connections, and ends it again."""

from __future__ import annotations

import json
import os
import resource
import secrets
import selectors
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from fastcollab.bench.connect import LoadError

ConfigSections = Mapping[str, Mapping[str, str | int | float | bool]]

_START_TIMEOUT = 20.0
_STOP_TIMEOUT = 20.0


@dataclass(frozen=True, slots=True)
class Cores:
    """The processor cores of server and generator; None: wherever the system likes."""

    server: int | None
    generator: int | None

    @classmethod
    def available(cls) -> Cores:
        """Two different cores of those that this process may use, if there are two."""
        cores = sorted(os.sched_getaffinity(0)) if sys.platform == "linux" else []
        return cls(cores[0], cores[1]) if len(cores) >= 2 else cls(None, None)


@contextmanager
def pinned(core: int | None) -> Iterator[None]:
    """Keeps this process, and what it starts meanwhile, on one core."""
    if core is None or sys.platform != "linux":
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def raise_file_limit(files: int) -> None:
    """Lets this process and its children have so many open files; LoadError if the hard limit forbids it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < files:
        raise LoadError(f"{files} open files are needed, and the system allows {hard} (ulimit -Hn)")
    if soft != resource.RLIM_INFINITY and soft < files:
        resource.setrlimit(resource.RLIMIT_NOFILE, (files, hard))


@contextmanager
def server_process(
    command: Sequence[str], *, core: int | None = None, environment: Mapping[str, str] | None = None
) -> Iterator[tuple[int, str]]:
    """Runs a server and gives its process id and the line that it prints when it accepts connections.

    Without an `environment` it has that of this process. It is ended by SIGTERM. LoadError if it ends by itself, prints
    nothing for 20 s, or does not stop.
    """
    with tempfile.TemporaryFile() as log:
        with pinned(core):
            process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, env=environment)
        try:
            line = _first_line(process)
            if line is None:
                process.kill()
                process.wait()
                log.seek(0)
                said = log.read()[-2000:].decode(errors="replace").strip()
                raise LoadError(f"`{' '.join(command)}` did not start: {said or 'it said nothing'}")
            yield process.pid, line
            died = process.poll()
        finally:
            _stop(process)
        if died is not None:
            log.seek(0)
            said = log.read()[-2000:].decode(errors="replace").strip()
            raise LoadError(f"the server ended during the run with status {died}: {said}")


def _first_line(process: subprocess.Popen[bytes]) -> str | None:
    assert process.stdout is not None
    deadline = time.monotonic() + _START_TIMEOUT
    text = b""
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        while not text.endswith(b"\n"):
            if not selector.select(max(0.0, deadline - time.monotonic())):
                return None
            received = os.read(process.stdout.fileno(), 1)
            if not received:
                return None
            text += received
    return text.decode(errors="replace").strip()


def _stop(process: subprocess.Popen[bytes]) -> None:
    assert process.stdout is not None
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(_STOP_TIMEOUT)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        raise LoadError(f"the server did not stop within {_STOP_TIMEOUT:g} s of SIGTERM") from None
    finally:
        process.stdout.close()


@dataclass(frozen=True, slots=True)
class Server:
    """A server that is driven: where it listens, its process if that is known, and how it is spoken to.

    `secret` signs tokens for a gateway; a server of another kind needs none.
    """

    host: str
    port: int
    path: str = "/ws"
    pid: int | None = None
    secret: str | None = None

    @property
    def url(self) -> str:
        return f"ws://{self.host}:{self.port}{self.path}"

    @classmethod
    def at(cls, url: str, pid: int | None, secret: str | None) -> Server:
        """The server at a ``ws://`` address; LoadError for any other address."""
        address = urlsplit(url)
        if address.scheme != "ws" or not address.hostname:
            raise LoadError(f"the load generator speaks ws:// only, not {url}")
        return cls(address.hostname, address.port or 80, address.path or "/ws", pid, secret)


@contextmanager
def gateway(
    config: ConfigSections, *, core: int | None = None, python: Sequence[str] = (sys.executable,)
) -> Iterator[Server]:
    """A gateway of its own on a free port, with a secret of its own, documents in memory, and `config` instead or
    besides. Settings in the environment, which may be there for `load` itself, are not for it. `python` is the command
    of the interpreter that runs it.
    """
    secret = str(config.get("auth", {}).get("secret", secrets.token_hex(32)))
    own: ConfigSections = {
        "server": {"host": "127.0.0.1", "port": 0},
        "auth": {"secret": secret},
        "engine": {"url": "memory://"},
        "limits": {"connection_rate": 0},  # all come from this machine
    }
    lines = []
    for section in {**own, **config}:
        lines.append(f"[{section}]")
        for name, value in {**own.get(section, {}), **config.get(section, {})}.items():
            lines.append(f"{name} = {json.dumps(value)}")
    with tempfile.TemporaryDirectory(prefix="fastcollab-load-") as folder:
        path = Path(folder) / "gateway.toml"
        path.touch(mode=0o600)
        path.write_text("\n".join(lines) + "\n")
        command = [*python, "-m", "fastcollab", "serve", "--config", str(path)]
        environment = {name: value for name, value in os.environ.items() if not name.startswith("FASTCOLLAB_")}
        with server_process(command, core=core, environment=environment) as (pid, line):
            yield Server.at(line.split()[-1], pid, secret)
