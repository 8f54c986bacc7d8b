"""permessage-deflate: what clients are sent compressed, how often it is compressed, and in which order it comes."""

from __future__ import annotations

import asyncio
import json
import random
import struct
import time
import zlib

import pytest
from tests.server.clients import Clients, StartGateway
from tests.server.compressed import BATCHED_OFFER, HISTORY, OFFER, event, event_frame, message_of, noise
from tests.server.conftest import GENEROUS, MakeToken
from tests.server.peers import BATCHED, PLAIN, client, connection_of, masked, small_socket
from tests.server.raw_client import BINARY, TEXT, Frame, RawClient, close_frame, frame, inflated
from tests.server.spec_client import cursor_frame

from fastcollab import Gateway

# --- what clients are sent --------------------------------------------------------------------------------------------


async def test_a_broadcast_is_compressed_once_Z6(gateway: Gateway, clients: Clients) -> None:
    eve = await clients.raw(gateway, "eve", "r")
    crew = [await clients.raw(gateway, f"user-{index}", "r", headers=OFFER) for index in range(3)]
    plain = await clients.raw(gateway, "plain", "r")
    for one in (*crew, plain):
        await one.alive()
    eve.send(frame(TEXT, event("x", "abc" * 1000)))
    frames = [await event_frame(one) for one in crew]
    uncompressed = await event_frame(plain)
    assert all(one.compressed for one in frames)
    assert len({one.payload for one in frames}) == 1
    assert len(frames[0].payload) < 500 < len(uncompressed.payload)
    assert not uncompressed.compressed
    assert inflated(frames[0].payload) == uncompressed.payload


async def test_only_from_the_threshold_on_Z6(start_gateway: StartGateway, clients: Clients) -> None:
    gateway = await start_gateway({**GENEROUS, "compression.threshold": 500})
    eve = await clients.raw(gateway, "eve", "r")
    bob = await clients.raw(gateway, "bob", "r", headers=OFFER)
    await bob.alive()
    sizes = set()
    for padding in range(100, 500):
        eve.send(frame(TEXT, event("x", "x" * padding)))
        received = await event_frame(bob)
        size = len(message_of(received))
        sizes.add(size)
        assert received.compressed == (size >= 500), size
    assert {499, 500} <= sizes


@pytest.mark.parametrize("history", [False, True])
async def test_only_what_gets_shorter_Z6(start_gateway: StartGateway, clients: Clients, history: bool) -> None:
    gateway = await start_gateway(
        {**GENEROUS, "compression.threshold": 0, "compression.server_context_takeover": history}
    )
    bob = await clients.raw(gateway, headers=OFFER)
    inflater = zlib.decompressobj(-15)
    compressed = []
    for turn in range(40):
        bob.send_message("ping", {"timestamp": turn})
        received = await bob.receive()
        assert received is not None
        compressed.append(received.compressed)
        if not received.compressed:
            assert json.loads(received.payload)["payload"]["timestamp"] == turn
            inflater = zlib.decompressobj(-15)
            continue
        if not history:
            inflater = zlib.decompressobj(-15)
        message = inflater.decompress(received.payload + b"\0\0\xff\xff")
        assert json.loads(message)["payload"]["timestamp"] == turn
        assert len(received.payload) < len(message)
    assert any(compressed)


async def batch_frame(client: RawClient, records: int) -> Frame:
    """The frame of the next batch with so many records."""
    while True:
        received = await client.receive()
        assert received is not None
        if received.opcode == BINARY and struct.unpack_from("!H", message_of(received), 2)[0] == records:
            return received


BATCHES = {**GENEROUS, "compression.threshold": 100, "fanout.min_interval_ms": 200, "fanout.max_interval_ms": 200}


async def test_a_batch_is_compressed_once_and_has_the_own_record_Z7_B9(
    start_gateway: StartGateway, clients: Clients
) -> None:
    gateway = await start_gateway(BATCHES)
    crew = [await clients.raw(gateway, str(1000 + index), "r", headers=BATCHED_OFFER) for index in range(10)]
    batched = {"Sec-WebSocket-Protocol": "fastcollab.v1.batch"}
    plain = await clients.raw(gateway, "7", "r", headers=batched)
    specified = await clients.raw(gateway, "8", "r", headers=OFFER)
    specified.send(frame(BINARY, cursor_frame(5, 5)))
    for one in (*crew, plain, specified):
        await one.alive()
    await asyncio.sleep(0.25)
    crew[0].send(frame(BINARY, cursor_frame(0, 0)))  # leaves at once; the others are gathered
    await crew[0].alive()
    for x, one in enumerate(crew):
        one.send(frame(BINARY, cursor_frame(x, 2, timestamp=1000)))
    frames = [await batch_frame(one, 10) for one in crew]
    assert all(one.compressed for one in frames)
    assert len({one.payload for one in frames}) == 1
    uncompressed = await batch_frame(plain, 10)
    assert not uncompressed.compressed
    assert inflated(frames[0].payload) == uncompressed.payload
    assert len(frames[0].payload) < 0.9 * len(uncompressed.payload)
    received = None
    while received is None or received.opcode != BINARY:
        received = await specified.receive()
        assert received is not None
        assert not received.compressed


@pytest.mark.parametrize("overrides", [{"compression.cursors": False}, {"compression.threshold": 249}])
async def test_batches_that_are_left_alone_Z7(
    start_gateway: StartGateway, clients: Clients, overrides: dict[str, object]
) -> None:
    gateway = await start_gateway({**BATCHES, **overrides})
    crew = [await clients.raw(gateway, str(1000 + index), "r", headers=BATCHED_OFFER) for index in range(10)]
    for x, one in enumerate(crew):
        one.send(frame(BINARY, cursor_frame(x, 2, timestamp=1000)))
    # The first one leaves at once, the other nine follow together, each without the record of whom it goes to.
    assert not (await batch_frame(crew[0], 9)).compressed


async def test_batches_that_do_not_get_shorter_Z7(start_gateway: StartGateway, clients: Clients) -> None:
    gateway = await start_gateway(BATCHES)
    chance = random.Random(3)
    names = [str(chance.randrange(1 << 32)) for _ in range(10)]
    crew = [await clients.raw(gateway, name, "r", headers=BATCHED_OFFER) for name in names]

    def anything() -> bytes:
        numbers = [chance.uniform(-(2**24), 2**24) for _ in range(4)]
        return cursor_frame(*numbers[:2], timestamp=chance.randrange(1 << 32), viewport=(numbers[2], numbers[3]))

    for one in crew:
        one.send(frame(BINARY, anything()))
    assert not (await batch_frame(crew[0], 9)).compressed


async def test_a_slow_reader_catches_up_compressed_Z7_B10(start_gateway: StartGateway, make_token: MakeToken) -> None:
    gateway = await start_gateway({**GENEROUS, "compression.threshold": 30})
    async with (
        client(gateway, make_token("7"), protocol=BATCHED, room="r", compression="deflate") as one,
        client(gateway, make_token("9"), protocol=BATCHED, room="r", compression="deflate") as two,
        client(
            gateway,
            make_token("slow"),
            protocol=BATCHED,
            room="r",
            sock=small_socket(gateway),
            max_queue=1,
            compression="deflate",
        ) as slow,
    ):
        outbox = connection_of(gateway, "slow").outbox
        step = 0
        while outbox.writable:
            step += 1
            assert step < 20_000, "the slow reader could not be slowed down"
            await one.send("event", {"name": "noise", "data": noise(50_000, step)})
            await one.settle()
        await one.move(77)
        await two.move(88)
        await one.settle()
        await two.settle()
        await slow.until_seen(7, 77)
        await slow.until_seen(9, 88)


# --- large messages ---------------------------------------------------------------------------------------------------

LARGE = 24 << 20  # takes long to be compressed
PATIENT = {
    **GENEROUS,
    "client.max_message_bytes": 64 << 20,
    "client.max_outbound_bytes": 128 << 20,
    "compression.level": 3,
}


async def held(gateway: Gateway, eve: RawClient, user: str) -> int:
    """Sends a large event, and returns when it is being compressed: how many bytes wait for that user's connection."""
    connection = connection_of(gateway, user)
    eve.send(masked(TEXT, event("large", noise(LARGE))))
    async with asyncio.timeout(10):
        while not connection.outbox.backlog:  # noqa: ASYNC110
            await asyncio.sleep(0)
    return connection.outbox.backlog


async def test_a_large_message_keeps_its_place_and_cursors_pass_Z8(
    start_gateway: StartGateway, clients: Clients
) -> None:
    gateway = await start_gateway(PATIENT)
    eve = await clients.raw(gateway, "eve", "r")
    bob = await clients.raw(gateway, "bob", "r", headers=BATCHED_OFFER)
    plain = await clients.raw(gateway, "plain", "r", headers={"Sec-WebSocket-Protocol": "fastcollab.v1.batch"})
    for one in (eve, bob, plain):
        await one.alive()
    eve.send(frame(TEXT, event("before")))
    assert await held(gateway, eve, "bob") >= LARGE
    outbox = connection_of(gateway, "bob").outbox
    eve.send(*(frame(TEXT, event(str(index), "y" * 2000)) for index in range(20)))
    for x in range(20):
        eve.send(frame(BINARY, cursor_frame(x, 1)))
    began = time.monotonic()
    await eve.alive()
    took = time.monotonic() - began
    assert not outbox.writable, "the machine compressed faster than it could be looked at"
    assert outbox.backlog >= LARGE + 20 * 40
    frames: list[Frame] = []
    while sum(one.opcode == TEXT for one in frames) < 22 or not any(one.opcode == BINARY for one in frames):
        received = await bob.receive(20)
        assert received is not None
        frames.append(received)
    texts = [json.loads(message_of(one))["payload"]["name"] for one in frames if one.opcode == TEXT]
    assert texts == ["before", "large", *(str(index) for index in range(20))]
    [large] = [one for one in frames if len(one.payload) > 100_000]
    assert large.compressed
    # The cursor is the newest one, and came when the text was out.
    records = [one for one in frames if one.opcode == BINARY]
    assert struct.unpack_from("!f", message_of(records[-1]), 12)[0] == 19
    assert frames.index(records[-1]) > frames.index(large)
    assert outbox.writable
    assert took < 1, "the gateway was held up"


async def test_the_end_of_a_connection_waits_for_nothing_Z8(start_gateway: StartGateway, clients: Clients) -> None:
    """Before the close frame goes all that was sent before it; what is not compressed yet goes as it is."""
    gateway = await start_gateway(PATIENT)
    eve = await clients.raw(gateway, "eve", "r")
    bob = await clients.raw(gateway, "bob", "r", headers=OFFER)
    for one in (eve, bob):
        await one.alive()
    await held(gateway, eve, "bob")
    eve.send(frame(TEXT, event("behind")))
    await eve.alive()
    connection_of(gateway, "bob").close(4502, "enough")
    large = await event_frame(bob)
    assert not large.compressed
    assert len(large.payload) > LARGE
    assert json.loads((await event_frame(bob)).payload)["payload"]["name"] == "behind"
    await bob.closed(4502)


@pytest.mark.parametrize("way", ["abort", "close", "protocol error", "stop"])
async def test_a_connection_ends_while_its_message_is_compressed_Z8(
    start_gateway: StartGateway, clients: Clients, way: str
) -> None:
    gateway = await start_gateway(PATIENT)
    eve = await clients.raw(gateway, "eve", "r")
    bob = await clients.raw(gateway, "bob", "r", headers=OFFER)
    for one in (eve, bob):
        await one.alive()
    await held(gateway, eve, "bob")
    match way:
        case "abort":
            bob.abort()
        case "close":
            bob.send(close_frame(1000))
        case "protocol error":
            bob.send(frame(TEXT, b"\xff"))
        case "stop":
            await asyncio.gather(gateway.stop(), bob.closed(4502))
            return
    async with asyncio.timeout(10):
        while gateway.connection_count > 1:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    await eve.alive()


async def test_what_waits_behind_a_large_message_is_bounded_Z8_L2(
    start_gateway: StartGateway, clients: Clients
) -> None:
    bound = LARGE + (2 << 20)
    gateway = await start_gateway({**PATIENT, "client.max_message_bytes": bound, "client.max_outbound_bytes": bound})
    eve = await clients.raw(gateway, "eve", "r")
    bob = await clients.raw(gateway, "bob", "r", headers=OFFER)
    for one in (eve, bob):
        await one.alive()
    await held(gateway, eve, "bob")
    eve.send(*(masked(TEXT, event("more", "y" * (1 << 20))) for _ in range(3)))
    await bob.closed(4503)


async def test_history_begins_anew_behind_a_message_without_it_Z8_Z2(
    start_gateway: StartGateway, make_token: MakeToken
) -> None:
    gateway = await start_gateway(
        {**GENEROUS, **HISTORY, "compression.threshold": 100, "compression.large_bytes": 50_000}
    )
    async with (
        client(gateway, make_token("eve"), room="r", protocol=PLAIN) as eve,
        client(gateway, make_token("bob"), room="r", compression="deflate") as bob,
    ):
        for turn, size in enumerate([300, 300, 60_000, 300, 300, 60_000, 60_000, 300]):
            await eve.send("event", {"name": str(turn), "data": noise(size)})
        for turn, size in enumerate([300, 300, 60_000, 300, 300, 60_000, 60_000, 300]):
            assert (await bob.until("event", name=str(turn)))["payload"]["data"] == noise(size)
