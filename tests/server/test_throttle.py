"""How a connection is held back that sends too fast (rule L3)."""

from __future__ import annotations

import asyncio
import gc
import json
import time
from collections.abc import Callable
from typing import Any

import pytest
from tests.server.clients import Clients, StartGateway
from tests.server.raw_client import PING, PONG, TEXT, Frame, frame
from tests.server.spec_client import envelope

from fastcollab.ports import LoadedDocument
from fastcollab.server._listener import Connection


def text(kind: str, payload: dict[str, Any]) -> bytes:
    return frame(TEXT, json.dumps(envelope(kind, payload)).encode())


def batch(count: int) -> bytes:
    messages = [envelope("event", {"name": str(index)}) for index in range(count)]
    return text("batch", {"messages": messages, "compressed": False})


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


async def test_who_is_held_back_and_ends_is_let_go_L3(start_gateway: StartGateway, clients: Clients) -> None:
    gateway: Any = await start_gateway(SLOW)
    eve = await clients.raw(gateway, "eve")
    eve.send(text("ping", {"timestamp": 1, "": "x" * 900_000}))  # 439 tokens: more than three seconds
    (connection,) = gateway._dispatcher.connections.values()
    await _until(lambda held=connection: held.silent_since > held.last_heard + 200_000_000, 2)
    connection.abort()
    del connection
    await _until(lambda: not any(isinstance(each, Connection) for each in gc.get_objects()), 2)


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
