"""Floods: each limit crossed as fast as a client can, without anyone else noticing, and how a connection is held back
(rules L1 and L3).
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from tests.server.clients import Clients, StartGateway
from tests.server.gateway_process import serving
from tests.server.latencies import quiet_and_during
from tests.server.raw_client import BINARY, CONTINUATION, PING, PONG, TEXT, Frame, RawClient, frame
from tests.server.spec_client import cursor_frame, cursor_move, envelope

from fastcollab.bench.process import Memory
from fastcollab.ports import LoadedDocument

MIB = 1 << 20


def text(kind: str, payload: dict[str, Any]) -> bytes:
    return frame(TEXT, json.dumps(envelope(kind, payload)).encode())


def batch(count: int) -> bytes:
    messages = [envelope("event", {"name": str(index)}) for index in range(count)]
    return text("batch", {"messages": messages, "compressed": False})


#: What is sent over and over on one connection, in pieces of some size.
FLOODS: dict[str, bytes] = {
    "cursors": frame(BINARY, cursor_frame(1, 2)) * 500,
    "cursors as JSON": text("cursor_move", cursor_move(1, 2)) * 100,
    "operations": text("operation", {"operation": ["x"], "version": 0}) * 100,
    "messages": text("event", {"name": "e"}) * 100,
    "batches": batch(100),
    "rooms": b"".join(text("join_room", {"roomId": f"evil {index}"}) for index in range(100)),
    "pings": frame(PING, b"") * 1000,
    "pongs": frame(PONG, b"") * 1000,
    "no JSON": frame(TEXT, b"{}") * 500,
    "no frames": frame(BINARY, b"") * 500,
    "empty fragments": frame(TEXT, b"", fin=False) + frame(CONTINUATION, b"", fin=False) * 1000 + frame(CONTINUATION),
    "large messages": text("event", {"name": "e", "data": "x" * (MIB - 1000)}),
    "too large messages": frame(TEXT, b"x" * (2 * MIB - 1000)),
}
#: Other processes of the machine may take the time of some runs, hardly of all.
RUNS = 6
#: All of a test come from one address.
SETTINGS = ("client.max_outbound_bytes=2097152", "limits.connection_rate=0")


@pytest.mark.parametrize("kind", FLOODS)
@pytest.mark.parametrize("reads", [True, False])
async def test_a_flood_costs_little_and_others_do_not_notice_L1_L2_L3(
    kind: str, reads: bool, tmp_path: Path, make_token: Callable[..., str]
) -> None:
    """Somebody who reads the answers, or one who does not: what waits is bounded too."""
    for run in range(RUNS):
        async with serving(tmp_path / f"{run}.db", *SETTINGS) as gateway:
            before = Memory.of(gateway.pid).rss
            flood = Flood(gateway.url, make_token("eve"), FLOODS[kind], reads)
            try:
                seen = await quiet_and_during(gateway.url, make_token, flood.go_on)
            finally:
                await flood.end()
            growth = Memory.of(gateway.pid).rss - before
        assert flood.sent
        assert seen.faults == 0
        assert growth < 32 * MIB
        print(f"p99 {seen.quiet:.2f} -> {seen.during:.2f} ms, {growth / MIB:.1f} MiB")
        if seen.unnoticed:
            return
    pytest.fail(f"others noticed: 99 % within {seen.quiet:.1f} ms before and {seen.during:.1f} ms meanwhile")


class Flood:
    """Sends the same again and again; where the gateway closes the connection, on another one."""

    def __init__(self, url: str, token: str, data: bytes, reads: bool) -> None:
        self._url, self._token, self._data, self._reads = url, token, data, reads
        self._client: RawClient | None = None
        self._reader: asyncio.Task[None] | None = None
        self.sent = 0

    async def go_on(self) -> None:
        if self._client is None:
            client = await RawClient.open(self._url, self._token)
            await client.join("evil")
            self._client = client
            if self._reads:
                self._reader = asyncio.create_task(self._read(client))
            else:
                client.pause_reading()
        self._client.send(self._data)
        self.sent += 1
        try:
            await self._client.drain()
        except ConnectionError:
            await self.end()
        except TimeoutError:
            pass  # held back: that is what is to happen

    async def end(self) -> None:
        if self._client is not None:
            self._client.abort()
        if self._reader is not None:
            self._reader.cancel()
            with suppress(asyncio.CancelledError):
                await self._reader
        self._client = self._reader = None

    async def _read(self, client: RawClient) -> None:
        while await client.receive(60) is not None:
            pass


async def test_connections_over_and_over_are_refused_and_others_do_not_notice_S5(
    tmp_path: Path, make_token: Callable[..., str]
) -> None:
    """One more than a user may have, again and again."""
    refused = 0

    async def try_again() -> None:
        nonlocal refused
        async with await RawClient.dial(gateway.url) as client:
            await client.upgrade(gateway.url)
            client.send_message("connect", {"token": make_token("eve"), "deviceId": "d", "clientVersion": "1"})
            details = await client.refused(1002)
            assert (details["limit"], details["remaining"]) == (5, 0)
            refused += 1

    for run in range(RUNS):
        async with serving(tmp_path / f"{run}.db", "limits.connection_rate=0") as gateway:
            held = [await RawClient.open(gateway.url, make_token("eve")) for _ in range(5)]
            before = Memory.of(gateway.pid).rss
            try:
                seen = await quiet_and_during(gateway.url, make_token, try_again)
            finally:
                for client in held:
                    client.abort()
            growth = Memory.of(gateway.pid).rss - before
        assert refused
        assert seen.faults == 0
        assert growth < 32 * MIB
        print(f"p99 {seen.quiet:.2f} -> {seen.during:.2f} ms, {growth / MIB:.1f} MiB")
        if seen.unnoticed:
            return
    pytest.fail(f"others noticed: 99 % within {seen.quiet:.1f} ms before and {seen.during:.1f} ms meanwhile")


SLOW = {"limits.frames": 100, "limits.burst": 1, "limits.messages": 10_000}


async def test_the_messages_of_a_batch_count_as_frames_L3_D1(start_gateway: StartGateway, clients: Clients) -> None:
    """One batch has all tokens and more; what follows it waits until there are some again."""
    gateway = await start_gateway(SLOW)
    eve = await clients.raw(gateway, "eve", "r")
    for _ in range(3):
        eve.send(batch(100))
    began = time.monotonic()
    await eve.answers()
    assert 0.8 < time.monotonic() - began < 6


async def test_who_is_held_back_is_not_silent_K1_L3(start_gateway: StartGateway, clients: Clients) -> None:
    gateway = await start_gateway({**SLOW, "client.heartbeat_interval": 0.3})
    eve = await clients.raw(gateway, "eve")
    eve.send(text("ping", {"timestamp": 1, "": "x" * 500_000}))  # 244 tokens: more than a second
    eve.send(frame(PING, b"last"))
    while (received := await eve.receive()) != Frame(PONG, b"last"):
        assert received is not None
        assert received.opcode in (PING, TEXT), received


@pytest.mark.parametrize("load_time", [0.3, 2.0])
async def test_two_reasons_to_wait_do_not_undo_each_other_E5_L3(
    load_time: float, start_gateway: StartGateway, clients: Clients
) -> None:
    """A join takes its time, and what follows fills the inbox; besides it is more than may be sent."""

    async def load(room_id: str, document_type: str) -> LoadedDocument:
        await asyncio.sleep(load_time)
        return LoadedDocument("")

    gateway: Any = await start_gateway(SLOW, load_document=load)
    eve = await clients.raw(gateway, "eve")
    began = time.monotonic()
    eve.send_message("join_room", {"roomId": "r"})
    eve.send(*(text("ping", {"timestamp": number}) for number in range(400)))
    (connection,) = gateway._dispatcher.connections.values()
    await _until(lambda: connection.inbox is not None and len(connection.inbox) >= 64, 1)
    while time.monotonic() - began < load_time - 0.1:
        # Both the inbox and what was read with the last of its messages are small.
        assert connection.inbox is not None
        assert len(connection.inbox) < 200
        await asyncio.sleep(0.02)
    stamps: list[int] = []
    while len(stamps) < 400:
        message = await eve.message()
        if message["type"] == "pong":
            stamps.append(message["payload"]["timestamp"])
    assert stamps == list(range(400))
    assert time.monotonic() - began > 2.0, "400 frames take 3 s, and one read of the socket less"


async def _until(holds: Callable[[], bool], seconds: float) -> None:
    async with asyncio.timeout(seconds):
        while not holds():  # noqa: ASYNC110 - the gateway has no event for it
            await asyncio.sleep(0.01)
