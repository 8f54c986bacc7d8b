"""Messages that come in together leave together: in one write to each connection, complete and in order."""

from __future__ import annotations

import asyncio
import json
import socket
import struct
import sys
import time
import uuid
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from tests.server.conftest import GENEROUS, MakeToken, StartGateway
from tests.server.peers import connection_of
from tests.server.raw_client import BINARY, CLOSE, PING, PONG, TEXT, Frame, RawClient, close_frame, frame

from fastcollab import Gateway
from fastcollab._binary import encode_frame

CURSOR = 1
BATCHED = {"Sec-WebSocket-Protocol": "fastcollab.v1.batch"}

Open = Callable[..., Awaitable[RawClient]]


@pytest.fixture
def open_client(gateway: Gateway, make_token: MakeToken) -> Open:
    """A client of that user, in the room."""

    async def opened(user: str, headers: dict[str, str] | None = None) -> RawClient:
        client = await RawClient.open(gateway.url, make_token(user), headers)
        await client.join("room")
        return client

    return opened


def message(kind: str, payload: object, **fields: Any) -> bytes:
    envelope = {"id": str(uuid.uuid4()), "type": kind, "version": 1, "timestamp": time.time() * 1000}
    return frame(TEXT, json.dumps({**envelope, "payload": payload, **fields}).encode())


def event(number: int, padding: int = 0, **fields: Any) -> bytes:
    return message("event", {"name": str(number), "data": "x" * padding}, **fields)


def names(frames: list[Frame]) -> list[str]:
    """Of the events among the frames."""
    messages = [json.loads(one.payload) for one in frames if one.opcode == TEXT]
    return [one["payload"]["name"] for one in messages if one["type"] == "event"]


async def take(client: RawClient, count: int) -> list[Frame]:
    received = [await client.receive() for _ in range(count)]
    assert None not in received
    return [one for one in received if one is not None]


def segments_received(client: RawClient) -> int:
    """How many TCP segments with data came in: over loopback, where they may be long, each write makes one."""
    end = client._writer.get_extra_info("socket")
    (segments,) = struct.unpack_from("=I", end.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 256), 152)
    return int(segments)


@pytest.mark.skipif(sys.platform != "linux", reason="TCP_INFO is read as Linux lays it out")
async def test_what_comes_in_together_leaves_with_one_write(open_client: Open) -> None:
    async with await open_client("sender") as sender, await open_client("one") as one, await open_client("two") as two:
        await one.alive()
        await two.alive()
        before = [segments_received(client) for client in (one, two)]
        sender.send(*(event(number) for number in range(30)))
        for client in (one, two):
            assert names(await take(client, 30)) == [str(number) for number in range(30)]
        assert [segments_received(client) for client in (one, two)] == [count + 1 for count in before]


async def test_answers_and_broadcasts_keep_their_order(open_client: Open) -> None:
    """OT3: without a gap on each connection, whoever sent the operations."""
    async with await open_client("writer") as writer, await open_client("reader") as reader:
        await writer.alive()
        writer.send(*(message("operation", {"operation": [str(number)], "version": 0}) for number in range(10)))
        acks = [json.loads(one.payload)["payload"]["version"] for one in await take(writer, 10)]
        assert acks == list(range(1, 11))
        await reader.join("room")
        writer.send(*(message("operation", {"operation": ["x"], "version": 10 + number}) for number in range(10)))
        received = [json.loads(one.payload)["payload"] for one in await take(reader, 10)]
        assert [payload["transformedVersion"] for payload in received] == list(range(11, 21))


async def test_a_cursor_does_not_overtake_the_text_before_it(open_client: Open) -> None:
    async with await open_client("1", BATCHED) as one, await open_client("2", BATCHED) as two:
        await one.alive()
        for step in range(20):
            two.send(event(1), frame(BINARY, encode_frame(CURSOR, 0, step, 0, 0)), event(2))
            received = await take(one, 3)
            assert names(received) == ["1", "2"]
            assert [one.opcode for one in received] == [TEXT, TEXT, BINARY]
            await asyncio.sleep(0.02)


@pytest.mark.parametrize("ending", ["close", "failure", "ping"])
async def test_what_was_sent_before_comes_before_a_control_frame(ending: str, open_client: Open) -> None:
    async with await open_client("sender") as sender:
        last = {"close": close_frame(1000), "failure": frame(PING, rsv=4), "ping": frame(PING, b"?")}[ending]
        sender.send(*(event(number, acknowledgment=True) for number in range(5)), last)
        received = await take(sender, 6)
        assert [json.loads(one.payload)["type"] for one in received[:5]] == ["ack"] * 5
        if ending == "ping":
            assert received[5] == Frame(PONG, b"?")
        else:
            assert (received[5].opcode, received[5].close_code) == (CLOSE, 1000 if ending == "close" else 1002)
            await sender.ended()


async def test_frames_of_all_sizes_arrive_whole(open_client: Open) -> None:
    async with await open_client("sender") as sender, await open_client("receiver") as receiver:
        sender.send(event(0))
        (first,) = await take(receiver, 1)
        overhead = len(first.payload)
        for size in (overhead + 1, *range(65_533, 65_539), 200_000):
            sender.send(event(0, size - overhead), event(1))
            long, short = await take(receiver, 2)
            assert (len(long.payload), len(short.payload)) == (size, overhead)
            assert names([long, short]) == ["0", "1"]


async def test_the_bound_holds_within_one_batch(start_gateway: StartGateway, make_token: MakeToken) -> None:
    """L2, for more than the bound in what is read at once, and much more than is held back."""
    bound = 65_536
    gateway = await start_gateway(GENEROUS | {"client.max_outbound_bytes": bound, "client.max_message_bytes": 16_384})
    gateway._server.sockets[0].setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    async with (
        await RawClient.open(gateway.url, make_token("sender")) as sender,
        await RawClient.dial(gateway.url, receive_buffer=4096) as slow,
    ):
        await slow.upgrade(gateway.url, make_token("slow"))
        await slow.join("room")
        await sender.join("room")
        connection = connection_of(gateway, "slow")
        slow.pause_reading()
        async with asyncio.timeout(10):
            while connection.open:
                sender.send(*(event(number, 1000) for number in range(200)))
                await sender.answers()
                # A write may be larger than what may wait after it, and is not what makes it larger still.
                assert connection.outbox.backlog <= 2 * bound
        slow.resume_reading()
        assert (await slow.closed()).close_code == 4503
        await sender.alive()


async def test_who_is_gone_while_text_is_held_back_is_no_harm(open_client: Open) -> None:
    async with await open_client("sender") as sender, await open_client("witness") as witness:
        for _ in range(20):
            leaving = await open_client("leaving")
            sender.send(*(event(number) for number in range(10)))
            leaving.abort()
            await sender.answers()
        assert len(names(await witness.answers())) == 200
