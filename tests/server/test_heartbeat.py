"""Connections that say nothing: no sign of life (K1), no token (S1)."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from tests.server.peers import CLOSE, PING, PONG, client, masked, raw_client

from fastcollab import Gateway

StartGateway = Callable[..., Awaitable[Gateway]]

INTERVAL = 0.4


@pytest.fixture(params=["pump", "event loop"])
async def gateway(request: pytest.FixtureRequest, start_gateway: StartGateway) -> Gateway:
    gateway = await start_gateway({"client.heartbeat_interval": INTERVAL, "auth.connect_timeout": INTERVAL})
    if request.param == "event loop":
        gateway._parts.pump.close()
    return gateway


async def test_a_silent_connection_is_pinged_and_then_closed(gateway: Gateway, make_token: Any) -> None:
    async with raw_client(gateway, make_token("ada")) as silent:
        begun = time.monotonic()
        assert (await silent.read_message("connected"))["heartbeatInterval"] == INTERVAL * 1000
        assert await silent.read_frame() == (PING, b"")
        assert INTERVAL * 0.9 < time.monotonic() - begun < INTERVAL * 1.7
        opcode, payload = await silent.read_frame()
        assert (opcode, payload[:2]) == (CLOSE, (4504).to_bytes(2, "big"))
        assert INTERVAL * 1.9 < time.monotonic() - begun < INTERVAL * 3
        silent.writer.write(masked(CLOSE, payload[:2]))
        assert await asyncio.wait_for(silent.reader.read(), 2) == b""
    assert gateway.connection_count == 0


@pytest.mark.parametrize("sign", ["pong", "own ping", "message", "frame"])
async def test_any_sign_of_life_keeps_a_connection(sign: str, gateway: Gateway, make_token: Any) -> None:
    async with raw_client(gateway, make_token("ada")) as alive:
        await alive.read_message("connected")
        end = time.monotonic() + 4 * INTERVAL
        pings = 0
        while time.monotonic() < end:
            opcode, _ = await alive.read_frame()
            assert opcode != CLOSE
            if opcode != PING:
                continue
            pings += 1
            if sign == "pong":
                alive.writer.write(masked(PONG))
            elif sign == "own ping":
                alive.writer.write(masked(PING, b"alive"))
                assert await alive.read_frame() == (PONG, b"alive")
            elif sign == "message":
                alive.send("ping", {"timestamp": 1})
                await alive.read_message("pong")
            else:
                alive.writer.write(masked(2, b"no cursor"))
                assert (await alive.read_message("error"))["code"] == 3001
        assert pings >= 3
        assert gateway.connection_count == 1


async def test_who_is_busy_is_not_pinged(gateway: Gateway, make_token: Any) -> None:
    async with raw_client(gateway, make_token("ada")) as busy:
        await busy.read_message("connected")
        for number in range(30):
            busy.send("ping", {"timestamp": number})
            assert (await busy.read_message("pong"))["timestamp"] == number
            await asyncio.sleep(INTERVAL / 10)


async def test_a_client_that_answers_pings_lives(gateway: Gateway, make_token: Any) -> None:
    async with client(gateway, make_token("ada")) as peer:
        await asyncio.sleep(4 * INTERVAL)
        await peer.settle()


async def test_a_connection_without_a_token_is_closed(gateway: Gateway) -> None:
    async with raw_client(gateway) as unknown:
        begun = time.monotonic()
        unknown.send("ping", {"timestamp": 1})
        await unknown.read_message("pong")
        error = await unknown.read_message("error")
        assert (error["code"], error["recoverable"]) == (1001, False)
        assert INTERVAL * 0.9 < time.monotonic() - begun < INTERVAL * 1.7
        opcode, payload = await unknown.read_frame()
        assert (opcode, payload[:2]) == (CLOSE, (4101).to_bytes(2, "big"))
        unknown.writer.write(masked(CLOSE, payload[:2]))
        assert await asyncio.wait_for(unknown.reader.read(), 2) == b""
    assert gateway.connection_count == 0


async def test_a_token_in_time_is_in_time(gateway: Gateway, make_token: Any) -> None:
    async with raw_client(gateway) as late:
        await asyncio.sleep(INTERVAL / 2)
        late.send("connect", {"token": make_token("ada"), "deviceId": "d", "clientVersion": "1"})
        await late.read_message("connected")
        await asyncio.sleep(INTERVAL)
        opcode, _ = await late.read_frame()
        assert opcode == PING
        late.writer.write(masked(PONG))
        late.send("ping", {"timestamp": 1})
        await late.read_message("pong")
