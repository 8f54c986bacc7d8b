"""What those who run a gateway are told at its operations port."""

from __future__ import annotations

import asyncio
import errno
import os
import socket

import aiohttp
import pytest
from tests.server.clients import Clients
from tests.server.conftest import GENEROUS, StartGateway
from tests.server.test_cli_serve import refused

from fastcollab import Gateway

OPS = {**GENEROUS, "ops.port": 0}


async def asked(gateway: Gateway, path: str) -> tuple[int, dict[str, object]]:
    async with aiohttp.ClientSession() as http, http.get(f"{gateway.operations_url}{path}") as response:
        return response.status, await response.json()


async def test_a_gateway_that_serves_is_live_and_ready(start_gateway: StartGateway) -> None:
    gateway = await start_gateway(OPS)
    assert await asked(gateway, "/health/live") == (200, {"status": "live"})
    assert await asked(gateway, "/health/ready") == (200, {"status": "ready", "faults": []})


async def test_a_gateway_that_stops_is_live_and_not_ready(start_gateway: StartGateway, clients: Clients) -> None:
    gateway = await start_gateway(OPS)
    # It does not answer the close, so that the gateway waits for it.
    await clients.raw(gateway, "ada", "r")
    gateway.close_soon()
    assert await asked(gateway, "/health/live") == (200, {"status": "live"})
    status, said = await asked(gateway, "/health/ready")
    assert (status, said["status"]) == (503, "not ready")
    assert said["faults"] == ["the gateway is stopping"]


async def test_nothing_else_is_there_and_nothing_of_it_on_the_public_port(start_gateway: StartGateway) -> None:
    gateway = await start_gateway(OPS)
    async with aiohttp.ClientSession() as http:
        for url in (f"{gateway.operations_url}/ws", f"http://127.0.0.1:{gateway.port}/health/live"):
            async with http.get(url) as response:
                assert response.status in (400, 404)


async def test_without_a_port_there_is_none(start_gateway: StartGateway) -> None:
    assert (await start_gateway()).operations_url is None


async def test_a_request_that_never_ends_does_not_keep_the_gateway(start_gateway: StartGateway) -> None:
    gateway = await start_gateway(OPS)
    assert gateway.operations_url is not None
    port = int(gateway.operations_url.rpartition(":")[2])
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET /health/live HTTP/1.1\r\n")
    await asyncio.wait_for(gateway.stop(), 5)
    assert await reader.read() == b""
    writer.close()


@pytest.mark.parametrize("which", ["--port", "--ops-port"])
def test_each_port_that_is_taken_is_told(which: str) -> None:
    other = {"--port": "--ops-port", "--ops-port": "--port"}[which]
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        lines = refused(which, str(port), other, "0")
    assert lines == [f"fastcollab: cannot listen on 127.0.0.1:{port}: {os.strerror(errno.EADDRINUSE)}"]
