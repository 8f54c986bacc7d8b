"""The life of a gateway as its embedder sees it."""

from __future__ import annotations

import asyncio
import json

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from fastcollab import Config, ConfigError, Gateway
from fastcollab.core.room import Room


async def test_a_gateway_needs_a_key() -> None:
    with pytest.raises(ConfigError, match=r"auth\.secret"):
        Gateway(Config())


async def test_stopping_tells_the_clients(gateway, make_token) -> None:
    async with connect(gateway.url, additional_headers={"Authorization": f"Bearer {make_token('ada')}"}) as client:
        assert json.loads(await client.recv())["type"] == "connected"
        assert gateway.connection_count == 1
        gateway.close_soon()
        gateway.close_soon()
        error = json.loads(await client.recv())["payload"]
        assert (error["code"], error["recoverable"]) == (5002, False)
        with pytest.raises(ConnectionClosed) as closed:
            await client.recv()
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 4502
    await gateway.wait_closed()


async def test_a_taken_port_is_an_os_error(gateway, start_gateway) -> None:
    with pytest.raises(OSError, match="in use"):
        await start_gateway({"server.port": gateway.port})


async def test_a_fault_at_the_end_of_a_connection_does_not_keep_the_gateway(
    gateway, clients, monkeypatch, caplog
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("a fault")

    ada = await clients.enter(gateway, "ada", "r")
    with monkeypatch.context() as faulty:
        faulty.setattr(Room, "lose", fail)
        await ada.close(1001)
        async with asyncio.timeout(5):
            await gateway.stop()
    assert len(gateway._dispatcher.registry) == 0
    caplog.clear()
