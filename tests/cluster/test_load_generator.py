"""The load generator against a cluster: rooms that span gateways."""

import json
import secrets
import sys
from contextlib import ExitStack

import pytest
import typer
from tests.redis_servers import RedisServer
from tests.server.conftest import SECRET
from typer.testing import CliRunner

from fastcollab.bench.cli import load
from fastcollab.bench.server import gateway

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the generator needs epoll")


def test_rooms_that_span_gateways_get_everything_and_what_goes_across_is_told_apart(redis_server: RedisServer) -> None:
    config = {
        "auth": {"secret": SECRET},
        "engine": {"url": redis_server.url, "prefix": f"test-{secrets.token_hex(6)}"},
    }
    app = typer.Typer()
    app.command()(load)
    arguments = ["--rooms", "2", "--members", "4", "--seconds", "0.5", "--warmup", "0.3", "--secret", SECRET]
    with ExitStack() as cleanup:
        for _ in range(2):
            server = cleanup.enter_context(gateway(config))
            arguments += ["--url", f"ws://{server.host}:{server.port}/ws", "--server-pid", str(server.pid)]
        told = CliRunner().invoke(app, [*arguments, "--json"])
        shown = CliRunner().invoke(app, arguments)
    assert told.exit_code == 0, told.output
    report = json.loads(told.output)
    assert (report["nodes"], report["finals_missing"], report["foreign"]) == (2, 0, 0)
    assert report["deliveries"] > 0
    assert report["server"]["cpu_seconds"] > 0
    for kind in ("latency_within_ms", "latency_across_ms"):
        assert 0 < report[kind]["p50"] <= report[kind]["max"] <= report["latency_ms"]["max"]
    assert shown.exit_code == 0, shown.output
    assert "across nodes" in shown.output
