"""A real Prometheus scrapes gateways under load, and answers what dashboard and alerts ask."""

from __future__ import annotations

import asyncio
import math
import shutil
import socket
import subprocess
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import yaml
from tests.monitoring.expressions import ALERTS, alerts, panels
from tests.server.conftest import MakeToken
from tests.server.gateway_process import assignments, serving_with

from fastcollab.client import CollaborativeClient

PATIENCE = 60.0
#: Of each rate there have to be two samples.
SCRAPE_INTERVAL = 1

pytestmark = pytest.mark.skipif(
    shutil.which("prometheus") is None, reason="Prometheus is not installed (Debian's package prometheus)"
)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


class Prometheus:
    def __init__(self, url: str, http: aiohttp.ClientSession) -> None:
        self._url = url
        self._http = http

    async def ask(self, path: str, **query: str) -> Any:
        async with self._http.get(f"{self._url}/api/v1/{path}", params=query) as response:
            answer = await response.json()
            assert answer["status"] == "success", answer
            return answer["data"]

    async def values(self, query: str) -> list[float]:
        return [float(series["value"][1]) for series in (await self.ask("query", query=query))["result"]]


@asynccontextmanager
async def prometheus(folder: Path, target: str) -> AsyncIterator[Prometheus]:
    port = free_port()
    configuration = {
        "global": {"scrape_interval": f"{SCRAPE_INTERVAL}s", "evaluation_interval": f"{SCRAPE_INTERVAL}s"},
        "rule_files": [str(ALERTS)],
        "scrape_configs": [{"job_name": "fastcollab", "static_configs": [{"targets": [target]}]}],
    }
    file = folder / "prometheus.yaml"
    file.write_text(yaml.safe_dump(configuration))
    arguments = (
        f"--config.file={file}",
        f"--storage.tsdb.path={folder}/data",
        f"--web.listen-address=127.0.0.1:{port}",
    )
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(["prometheus", *arguments], stdout=log, stderr=log)
        try:
            async with aiohttp.ClientSession() as http:
                server = Prometheus(f"http://127.0.0.1:{port}", http)
                async with asyncio.timeout(PATIENCE):
                    while True:
                        assert process.poll() is None, (folder / "log").read_text()
                        try:
                            await server.ask("status/runtimeinfo")
                            break
                        except aiohttp.ClientError:
                            await asyncio.sleep(0.05)
                yield server
        finally:
            process.kill()
            process.wait()


async def live(url: str, token: str) -> None:
    """Somebody who moves and writes."""
    async with CollaborativeClient(url, token) as client:
        room = await client.join_room("plans", "text")
        while True:
            room.move_cursor(time.monotonic() % 1000, 1)
            room.insert(0, "a")
            await room.saved()
            await asyncio.sleep(0.05)


async def without_data(server: Prometheus, queries: dict[str, str]) -> dict[str, str]:
    """Those of the queries that are answered with nothing, or with what is no number."""
    lacking = {}
    for name, query in queries.items():
        values = await server.values(query)
        if not values or all(map(math.isnan, values)):
            lacking[name] = query
    return lacking


async def test_every_panel_and_every_alert_has_data(tmp_path: Path, make_token: MakeToken) -> None:
    ops = free_port()
    settings = assignments("client.heartbeat_interval=1", "limits.operations=10000", "limits.connections_per_user=100")
    arguments = ("--engine", "memory://", "--workers", "2", "--ops-port", str(ops), *settings)
    queries = {f"{panel.title}: {panel.expression}": panel.query for panel in panels()}
    queries |= {alert.name: alert.measured.replace("[5m]", "[30s]") for alert in alerts()}
    async with serving_with(*arguments) as gateway, prometheus(tmp_path, f"127.0.0.1:{ops}") as server:
        people = [asyncio.create_task(live(gateway.url, make_token(f"user-{each}"))) for each in range(8)]
        # One that says nothing is pinged.
        async with CollaborativeClient(gateway.url, make_token("silent")):
            lacking = queries
            async with asyncio.timeout(PATIENCE):
                while lacking := await without_data(server, lacking):
                    assert not any(task.done() for task in people)
                    await asyncio.sleep(SCRAPE_INTERVAL)
        (target,) = (await server.ask("targets"))["activeTargets"]
        assert (target["health"], target["lastError"]) == ("up", "")
        (group,) = (await server.ask("rules"))["groups"]
        assert {rule["name"]: rule["health"] for rule in group["rules"]} == {alert.name: "ok" for alert in alerts()}
        for task in people:
            task.cancel()
        await asyncio.gather(*people, return_exceptions=True)
        assert await gateway.end() == 0
