"""The load generator against servers that run: what it counts has to be right, however fast they are."""

import json
import shutil
import socket
import sys
from collections.abc import Callable
from contextlib import ExitStack

import pytest
import typer
from benchmarks.fanout import PEERS, build_cursor_loop
from typer.testing import CliRunner

from fastcollab.bench._load import Fleet
from fastcollab.bench.cli import load
from fastcollab.bench.connect import Dial, LoadError, open_connections
from fastcollab.bench.load import BARE_RELAY, IdleOptions, LoadOptions, run_idle, run_load
from fastcollab.bench.server import server_process

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the generator needs epoll")

needs_compiler = pytest.mark.skipif(not (shutil.which("cc") or shutil.which("gcc")), reason="no C compiler")

SERVERS: list[object] = [
    pytest.param(lambda: [str(build_cursor_loop())], marks=needs_compiler, id="C loop"),
    pytest.param(lambda: [sys.executable, str(PEERS / "relay_picows.py")], id="picows relay"),
    pytest.param(lambda: [sys.executable, str(PEERS / "relay_websockets.py")], id="websockets relay"),
]


@pytest.mark.parametrize("burst", [False, True])
@pytest.mark.parametrize("command", SERVERS)
def test_a_bare_relay_delivers_everything_in_the_end(command: Callable[[], list[str]], burst: bool) -> None:
    with server_process(command()) as (pid, line):
        url = f"ws://{line.split()[-1]}"
        times = {"hz": 30, "seconds": 0.5, "warmup": 0.2, "drain": 20}
        report = run_load(LoadOptions(2, 5, **times, burst=burst, peer=BARE_RELAY, urls=[url], server_pids=[pid]))
    assert report.sound, report.as_json()
    assert report.deliveries > 0
    assert report.updates_sent > 0
    assert report.finals_missing == 0
    assert 0 <= report.coalesced_or_lost < report.updates_sent * 4
    assert report.server is not None
    assert report.server.cpu_seconds > 0
    assert report.server.memory_after.private > 0
    latency = report.latency_ms
    assert 0 < latency.p50 <= latency.p90 <= latency.p99 <= latency.max
    assert json.loads(report.as_json())["deliveries"] == report.deliveries


def test_updates_that_never_arrive_are_found_out() -> None:
    """One of three members is in another room of the relay: nothing gets from it to the others, nor back."""
    fleet = Fleet(1, 3, 50.0, 1)
    with ExitStack() as cleanup:
        command = [sys.executable, str(PEERS / "relay_picows.py")]
        _, line = cleanup.enter_context(server_process(command))
        host, port = line.split()[-1].split(":")

        def attach(index: int, connection: socket.socket, received: bytes, inflater: object) -> None:
            assert inflater is None
            cleanup.callback(connection.close)
            fleet.attach(index, connection.fileno(), received)

        dials = [Dial("/room/0"), Dial("/room/0"), Dial("/room/1")]
        open_connections((host, int(port)), dials, subprotocol="fastcollab.v1", on_open=attach)
        fleet.drive(0.2)
        assert fleet.drain(0.3) >= 0.3
        assert fleet.finals_missing() == 4
        assert fleet.delivered > 0


@pytest.mark.parametrize("plain", [False, True])
def test_the_gateway_delivers_everything_in_the_end(plain: bool) -> None:
    report = run_load(LoadOptions(2, 4, seconds=0.5, warmup=0.2, drain=20, plain=plain))
    assert report.sound, report.as_json()
    assert report.deliveries > 0
    assert report.finals_missing == 0


@pytest.mark.parametrize("history", [False, True])
def test_the_gateway_delivers_everything_compressed(history: bool) -> None:
    settings = {"compression": {"server_context_takeover": history, "threshold": 30}}
    times = {"seconds": 0.5, "warmup": 0.2, "drain": 20}
    plain = run_load(LoadOptions(1, 30, **times, config=settings))
    report = run_load(LoadOptions(1, 30, **times, compression=True, config=settings))
    assert report.sound, report.as_json()
    assert report.received_bytes / report.deliveries < 0.9 * plain.received_bytes / plain.deliveries


def test_idle_connections_are_weighed() -> None:
    report = run_idle(IdleOptions(50))
    assert (report.connections, report.lost) == (50, 0)
    assert report.memory_after.rss >= report.memory_after.private > 0
    assert json.loads(report.as_json())["bytes_per_connection"] == report.bytes_per_connection


def test_the_command_prints_json_and_a_table() -> None:
    app = typer.Typer()
    app.command()(load)
    arguments = ["--members", "3", "--seconds", "0.3", "--warmup", "0.1"]
    done = CliRunner().invoke(app, [*arguments, "--json"])
    assert done.exit_code == 0, done.output
    assert json.loads(done.output)["finals_missing"] == 0
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0, done.output
    assert "final updates missing" in done.output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--hz", "0"], "hz"),
        (["--seconds", "0"], "seconds"),
        (["--url", "wss://localhost", "--secret", "s" * 32], "ws:// only"),
        (["--url", "ws://127.0.0.1:1/ws", "--secret", "s" * 32], "cannot connect"),
        (["--url", "ws://127.0.0.1:1/ws"], "secret"),
        (["--idle", "5", "--url", "ws://127.0.0.1:1/ws", "--secret", "s" * 32], "server_pid"),
        (["--idle", "5", "--url", "ws://127.0.0.1:1/ws", "--url", "ws://127.0.0.1:2/ws"], "one gateway"),
        (["--members", "2", *["--url", "ws://127.0.0.1:1/ws"] * 3, "--secret", "s" * 32], "spread"),
    ],
)
def test_what_the_command_cannot_do_is_one_line(arguments: list[str], message: str) -> None:
    app = typer.Typer()
    app.command()(load)
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 2
    assert message in done.output
    assert "Traceback" not in done.output


def test_a_server_that_does_not_start_says_why() -> None:
    with (
        pytest.raises(LoadError, match="no such thing"),
        server_process([sys.executable, "-c", "import sys; sys.exit('no such thing')"]),
    ):
        pass
