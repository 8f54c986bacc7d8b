"""``fastcollab serve`` as its users run it: a process with arguments, environment, signals and exit code."""

import asyncio
import errno
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import jwt
import pytest
import websockets

from fastcollab import __version__
from fastcollab.client import CollaborativeClient

SECRET = "0123456789abcdef0123456789abcdef"
LINE = re.compile(rf"fastcollab {re.escape(__version__)} accepts connections on (ws://127\.0\.0\.1:(\d+)/ws)\n")
PATIENCE = 30  # Seconds for what takes well under one on an idle machine.

Process = subprocess.Popen[str]


@contextmanager
def serving(
    *arguments: str, secret: str | None = SECRET, folder: Path | None = None, **environment: str
) -> Iterator[Process]:
    """``python -m fastcollab serve`` with an environment of its own; it does not outlive the block.

    Its documents are in memory, or, if a `folder` is given to work in, where they are by default.
    """
    variables = {name: value for name, value in os.environ.items() if not name.startswith("FASTCOLLAB_")}
    variables |= environment
    if folder is None:
        variables.setdefault("FASTCOLLAB_ENGINE__URL", "memory://")
    if secret is not None:
        variables["FASTCOLLAB_AUTH__SECRET"] = secret
    process = subprocess.Popen(
        [sys.executable, "-m", "fastcollab", "serve", *arguments],
        cwd=folder,
        env=variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def url_of(process: Process) -> str:
    """Waits for the line that says that connections are accepted."""
    assert process.stdout is not None
    line = process.stdout.readline()
    found = LINE.fullmatch(line)
    assert found, f"{line!r}, and on the standard error stream: {process.communicate(timeout=PATIENCE)[1]}"
    return found[1]


def refused(*arguments: str, secret: str | None = SECRET, **environment: str) -> list[str]:
    """What the process says on the standard error stream, line by line, when it does not start."""
    with serving(*arguments, secret=secret, **environment) as process:
        out, err = process.communicate(timeout=PATIENCE)
        assert process.returncode == 1
        assert out == ""
        return err.splitlines()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_one_line_when_it_accepts_connections_and_a_clean_exit(number: signal.Signals) -> None:
    with serving("--port", "0") as process:
        host, port = re.fullmatch(r"ws://(.*):(\d+)/ws", url_of(process)).groups()  # type: ignore[union-attr]
        with socket.create_connection((host, int(port)), timeout=PATIENCE):
            pass
        process.send_signal(number)
        out, _err = process.communicate(timeout=PATIENCE)
        assert process.returncode == 0
        assert out == ""


def test_the_installed_command_is_the_same() -> None:
    command = Path(sys.executable).with_name("fastcollab")
    result = subprocess.run([command, "version"], capture_output=True, text=True, timeout=PATIENCE)
    assert (result.returncode, result.stdout) == (0, f"fastcollab {__version__}\n")


def test_what_it_logs_is_json_on_the_standard_error_stream() -> None:
    with serving("--port", "0", "--set", "log.level=debug") as process:
        url_of(process)
        process.terminate()
        _out, err = process.communicate(timeout=PATIENCE)
        assert process.returncode == 0
        for line in err.splitlines():
            assert {"timestamp", "level", "logger", "event"} <= set(json.loads(line))
        assert SECRET not in err


def test_flags_file_and_environment_reach_the_gateway(tmp_path: Path) -> None:
    config = tmp_path / "fastcollab.toml"
    config.write_text('[server]\nhost = "203.0.113.1"\nport = 1\n[log]\nlevel = "error"\n')
    with serving("--config", str(config), "--host", "127.0.0.1", FASTCOLLAB_SERVER__PORT="0") as process:
        assert int(url_of(process).rpartition(":")[2].partition("/")[0]) > 1
        process.terminate()
        assert process.wait(PATIENCE) == 0


def test_a_store_that_cannot_be_used_is_told(tmp_path: Path) -> None:
    missing = tmp_path / "missing" / "documents.db"
    (problem,) = refused("--port", "0", "--engine", f"sqlite:{missing}")
    assert problem.startswith(f"fastcollab: {missing.parent}, where documents.db is to be stored")
    store = tmp_path / "documents.db"
    with serving("--port", "0", "--engine", f"sqlite:{store}") as process:
        url_of(process)
        (problem,) = refused("--port", "0", "--engine", f"sqlite:{store}")
        assert problem == f"fastcollab: {store} is in use by another gateway, process {process.pid}"
        process.terminate()
        assert process.wait(PATIENCE) == 0
    assert store.exists()


def test_documents_outlive_the_process_by_default(tmp_path: Path) -> None:
    signed = jwt.encode({"sub": "ann", "exp": time.time() + 60}, SECRET, "HS256")

    async def in_room(url: str, text: str) -> str:
        async with CollaborativeClient(url, signed) as client:
            room = await client.join_room("plans", "text")
            await room.submit([text])
            return room.text

    for expected in ("a", "aa"):
        with serving("--port", "0", folder=tmp_path) as process:
            assert asyncio.run(in_room(url_of(process), "a")) == expected
            process.terminate()
            _, err = process.communicate(timeout=PATIENCE)
            assert process.returncode == 0
            assert str(tmp_path / "fastcollab.db") in err
    assert {path.name for path in tmp_path.iterdir()} <= {"fastcollab.db", "fastcollab.db.lock"}


def test_a_token_of_the_command_line_opens_a_session() -> None:
    with serving("--port", "0") as process:
        url = url_of(process)
        signed = subprocess.run(
            [sys.executable, "-m", "fastcollab", "token", "--user", "ann"],
            env={**os.environ, "FASTCOLLAB_AUTH__SECRET": SECRET},
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=True,
        ).stdout.strip()

        async def connected() -> dict[str, object]:
            async with websockets.connect(url, additional_headers={"Authorization": f"Bearer {signed}"}) as client:
                message: dict[str, object] = json.loads(await asyncio.wait_for(client.recv(), PATIENCE))
                return message

        message = asyncio.run(connected())
        assert message["type"] == "connected"
        assert message["payload"]["userId"] == "ann"  # type: ignore[index]


def test_a_port_that_is_taken() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        lines = refused("--port", str(port))
    assert lines == [f"fastcollab: cannot listen on 127.0.0.1:{port}: {os.strerror(errno.EADDRINUSE)}"]


def test_an_address_that_is_not_ours() -> None:
    (line,) = refused("--port", "0", "--host", "203.0.113.7")
    assert line.startswith("fastcollab: cannot listen on 203.0.113.7:0: ")


def test_a_host_that_does_not_exist() -> None:
    (line,) = refused("--port", "0", "--host", "nowhere.invalid")
    assert line.startswith("fastcollab: cannot listen on nowhere.invalid:0: ")


def test_no_secret() -> None:
    (line,) = refused("--port", "0", secret=None)
    assert line.startswith("fastcollab: auth.secret is not set: ")
    assert "FASTCOLLAB_AUTH__SECRET" in line


def test_a_file_that_is_no_toml(tmp_path: Path) -> None:
    config = tmp_path / "fastcollab.toml"
    config.write_text("[server]\nport = \n")
    (line,) = refused("--config", str(config))
    assert line.startswith(f"fastcollab: {config} is not valid TOML: ")


def test_each_problem_is_a_line(tmp_path: Path) -> None:
    config = tmp_path / "fastcollab.toml"
    config.write_text("[server]\nport = 70000\nprot = 1\n")
    lines = refused("--config", str(config), FASTCOLLAB_LIMITS__OPERATIONS="none")
    assert [line.split()[1] for line in lines] == ["server.prot", "server.port", "limits.operations"]
