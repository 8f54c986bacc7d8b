"""permessage-deflate: what is agreed upon, what clients may send, and what they may not."""

from __future__ import annotations

import asyncio
import random
import time
from contextlib import AsyncExitStack
from typing import Any

import pytest
from tests.server.bystanders import Bystanders
from tests.server.clients import Clients, StartGateway
from tests.server.compressed import COMPRESSED, HISTORY, LIMIT, OFFER, bomb, event, masked_packed, noise
from tests.server.conftest import GENEROUS, MakeToken
from tests.server.peers import BATCHED, Peer, client
from tests.server.raw_client import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, deflated, frame
from tests.server.spec_client import cursor_frame
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory

from fastcollab import Gateway

# --- what is agreed upon ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("overrides", "offer", "answer"),
    [
        ({}, OFFER, "permessage-deflate; server_no_context_takeover; client_no_context_takeover"),
        ({}, {}, ""),
        ({}, {"Sec-WebSocket-Extensions": "permessage-deflate; server_max_window_bits=8"}, ""),
        ({}, {"Sec-WebSocket-Extensions": "permessage-deflate; ;"}, ""),
        ({"compression.enabled": False}, OFFER, ""),
        (HISTORY, OFFER, "permessage-deflate"),
        (
            {**HISTORY, "compression.window_bits": 10},
            OFFER,
            "permessage-deflate; server_max_window_bits=10; client_max_window_bits=10",
        ),
    ],
)
async def test_the_answer_of_the_handshake_Z1_Z2(
    start_gateway: StartGateway, clients: Clients, overrides: dict[str, object], offer: dict[str, str], answer: str
) -> None:
    gateway = await start_gateway(overrides)
    eve = await clients.raw(gateway, "eve", "r", headers=offer)
    assert eve.extensions == answer
    await eve.alive()


@pytest.mark.parametrize("server_history", [False, True])
@pytest.mark.parametrize("client_history", [False, True])
@pytest.mark.parametrize("bits", [9, 12, 15])
async def test_who_compresses_and_who_does_not_get_the_same_Z2_Z6_Z8(
    start_gateway: StartGateway, make_token: MakeToken, server_history: bool, client_history: bool, bits: int
) -> None:
    """Messages of all sizes, so that some are too short to be compressed and some are compressed on a thread."""
    gateway = await start_gateway(
        {
            **GENEROUS,
            "limits.burst": 60,
            "compression.threshold": 200,
            "compression.large_bytes": 3000,
            "compression.server_context_takeover": server_history,
            "compression.client_context_takeover": client_history,
            "compression.window_bits": bits,
        }
    )
    chance = random.Random(bits)
    asks_for: dict[str, dict[str, Any]] = {
        "plain": {},
        "usual": {"compression": "deflate"},
        "no history": {"extensions": [ClientPerMessageDeflateFactory(True, True)]},
        "small": {"extensions": [ClientPerMessageDeflateFactory(False, False, 9, 9)]},
    }
    async with AsyncExitStack() as stack:
        peers: dict[str, Peer] = {}
        for user, options in asks_for.items():
            peers[user] = await stack.enter_async_context(
                client(gateway, make_token(user), protocol=BATCHED, room="r", **options)
            )
        expected: dict[str, list[tuple[str, Any]]] = {user: [] for user in peers}
        for turn in range(120):
            sender = chance.choice(list(peers))
            data = noise(chance.choice([0, 50, 300, 1500, 4000, 20_000]), turn) + "abc" * chance.randrange(500)
            await peers[sender].send("event", {"name": str(turn), "data": data})
            await peers[sender].move(turn + 1)
            for user, events in expected.items():
                if user != sender:
                    events.append((sender, data))
            if turn % 10 == 9:
                for peer in peers.values():
                    await peer.socket.ping()
            await asyncio.sleep(0)
        for user, events in expected.items():
            found: list[tuple[str, Any]] = []
            async with asyncio.timeout(20):
                while len(found) < len(events):
                    payload = (await peers[user].until("event"))["payload"]
                    found.append((payload["userId"], payload["data"]))
            for sender in peers:  # what different people send has no order
                assert [one for one in found if one[0] == sender] == [one for one in events if one[0] == sender]


# --- what clients send ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cuts", [1, 2, 7])
async def test_a_compressed_message_in_fragments_with_pings_between_Z3(
    gateway: Gateway, clients: Clients, cuts: int
) -> None:
    bob = await clients.enter(gateway, "bob", "r")
    eve = await clients.raw(gateway, "eve", "r", headers=OFFER)
    data = deflated(event("in pieces", noise(5000)))
    size = len(data) // cuts
    pieces = [data[at : at + size] for at in range(0, len(data), size)]
    eve.send(frame(TEXT, pieces[0], fin=False, rsv=COMPRESSED))
    for index, piece in enumerate(pieces[1:]):
        eve.send(frame(PING, str(index).encode()), frame(CONTINUATION, piece, fin=False))
    eve.send(frame(CONTINUATION))
    assert (await bob.expect("event")).payload["data"] == noise(5000)
    pongs = [received.payload for received in await eve.alive() if received.opcode == PONG]
    assert pongs == [str(index).encode() for index in range(len(pieces) - 1)]


async def test_compressed_and_plain_messages_may_alternate_Z3(gateway: Gateway, clients: Clients) -> None:
    bob = await clients.enter(gateway, "bob", "r", batched=True)
    eve = await clients.raw(gateway, "eve", "r", headers=OFFER)
    for turn in range(10):
        eve.send(frame(TEXT, deflated(event(f"packed {turn}")), rsv=COMPRESSED), frame(TEXT, event(f"plain {turn}")))
        eve.send(frame(BINARY, deflated(cursor_frame(turn, 1)), rsv=COMPRESSED), frame(PING))
        eve.send(frame(TEXT, event(f"in pieces {turn}"), fin=False), frame(CONTINUATION))
    for turn in range(10):
        for kind in ("packed", "plain", "in pieces"):
            assert (await bob.expect("event")).payload["name"] == f"{kind} {turn}"
    assert (await bob.expect_record(lambda record: record.x == 9)).y == 1


async def test_a_compressed_cursor_in_fragments_Z3(gateway: Gateway, clients: Clients) -> None:
    bob = await clients.enter(gateway, "bob", "r", batched=True)
    eve = await clients.raw(gateway, "eve", "r", headers=OFFER)
    data = deflated(cursor_frame(1.5, -2))
    eve.send(frame(BINARY, data[:3], fin=False, rsv=COMPRESSED), frame(PING), frame(CONTINUATION, data[3:]))
    record = await bob.expect_record()
    assert (record.x, record.y) == (1.5, -2)


async def test_a_compressed_cursor_counts_like_another_L3(start_gateway: StartGateway, clients: Clients) -> None:
    gateway = await start_gateway({"limits.frames": 200, "limits.burst": 1})
    fast = await clients.raw(gateway, "fast", "t", headers=OFFER)
    cursor = cursor_frame(-1234.567, 2345.678, timestamp=0xFEDCBA98, viewport=(-987.654, -876.543), user=0xDEADBEEF)
    packed = deflated(cursor)
    assert len(packed) > len(cursor)
    began = time.monotonic()
    fast.send(*[frame(BINARY, packed, rsv=COMPRESSED)] * 1500)
    await fast.alive()
    assert time.monotonic() - began < 3  # seven, if each were a frame like any other


async def test_empty_messages_Z3(gateway: Gateway, clients: Clients) -> None:
    eve = await clients.raw(gateway, "eve", "r", headers=OFFER)
    for data in (b"", b"\0", b"\x02\0"):
        eve.send(frame(TEXT, data, rsv=COMPRESSED))
        await eve.refused(3001)
        eve.send(frame(BINARY, data, rsv=COMPRESSED))
        await eve.refused(3001)
    eve.send(frame(TEXT, b"", fin=False, rsv=COMPRESSED), frame(CONTINUATION, b""))
    await eve.refused(3001)
    await eve.alive()


@pytest.mark.parametrize(
    "parts",
    [
        [frame(TEXT, b"\0", fin=False, rsv=COMPRESSED), frame(CONTINUATION, b"\0", rsv=COMPRESSED)],
        [frame(TEXT, b"{}", fin=False), frame(CONTINUATION, b"", rsv=COMPRESSED)],
        [frame(TEXT, b"\0", fin=False, rsv=COMPRESSED), frame(TEXT, b"\0", rsv=COMPRESSED)],
        [frame(CONTINUATION, b"\0", rsv=COMPRESSED)],
        [frame(PING, b"\0", rsv=COMPRESSED)],
        [frame(PONG, b"\0", rsv=COMPRESSED)],
        [frame(CLOSE, b"\x03\xe8", rsv=COMPRESSED)],
        *([frame(kind, b"\0", rsv=bits)] for kind in (TEXT, BINARY) for bits in (1, 2, 3, 5, 6, 7)),
    ],
)
async def test_the_bit_is_nowhere_else_Z3(gateway: Gateway, clients: Clients, parts: list[bytes]) -> None:
    bystanders = await Bystanders.enter(gateway, clients, "r")
    eve = await clients.raw(gateway, "eve", "r", headers=OFFER)
    eve.send(*parts)
    await eve.closed(1002)
    await bystanders.notice_nothing()


@pytest.mark.parametrize("kind", [TEXT, BINARY])
@pytest.mark.parametrize("overrides", [{}, {"compression.enabled": False}])
async def test_without_agreement_there_is_no_bit_Z3(
    start_gateway: StartGateway, clients: Clients, overrides: dict[str, object], kind: int
) -> None:
    gateway = await start_gateway(overrides)
    eve = await clients.raw(gateway, "eve", "r", headers=OFFER if overrides else {})
    eve.send(frame(kind, deflated(event("x")), rsv=COMPRESSED))
    await eve.closed(1002)


@pytest.mark.parametrize("history", [False, True])
@pytest.mark.parametrize("data", [b"\xff\xff\xff", b"hello, world", b"\0\x05\0\0\0hello"])
@pytest.mark.parametrize("kind", [TEXT, BINARY])
async def test_corrupt_data_Z5(
    start_gateway: StartGateway, clients: Clients, data: bytes, kind: int, history: bool
) -> None:
    gateway = await start_gateway({**GENEROUS, "compression.client_context_takeover": history})
    bystanders = await Bystanders.enter(gateway, clients, "r")
    eve = await clients.raw(gateway, "eve", "r", headers=OFFER)
    eve.send(frame(kind, data, rsv=COMPRESSED))
    await eve.closed(1007)
    await bystanders.notice_nothing()


async def test_a_message_that_breaks_off_Z5(gateway: Gateway, clients: Clients) -> None:
    eve = await clients.raw(gateway, "eve", "r", headers=OFFER)
    eve.send(frame(TEXT, deflated(event("cut", "x" * 300))[:-5], rsv=COMPRESSED))
    await eve.closed(1007)


async def test_text_that_is_not_utf_8_Z3_E6(gateway: Gateway, clients: Clients) -> None:
    eve = await clients.raw(gateway, "eve", "r", headers=OFFER)
    eve.send(frame(TEXT, deflated(b'"\xff"'), rsv=COMPRESSED))
    await eve.closed(1007)


@pytest.mark.parametrize("fragments", [1, 50])
@pytest.mark.parametrize("kind", [TEXT, BINARY])
async def test_a_gigabyte_in_a_megabyte_Z4_E7(gateway: Gateway, clients: Clients, kind: int, fragments: int) -> None:
    bystanders = await Bystanders.enter(gateway, clients, "r", "s")
    eve = await clients.raw(gateway, "eve", "r", headers=OFFER)
    data = bomb(1 << 30)
    assert len(data) < 1.1 * LIMIT
    size = -(-len(data) // fragments)
    pieces = [data[at : at + size] for at in range(0, len(data), size)]
    eve.send(frame(kind, pieces[0], fin=fragments == 1, rsv=COMPRESSED))
    for index in range(1, fragments):
        eve.send(frame(CONTINUATION, pieces[index], fin=index == fragments - 1))
    details = await eve.refused(3001)
    assert details["limit"] == LIMIT < details["size"]
    await bystanders.notice_nothing()
    eve.send(frame(TEXT, deflated(event("alive")), rsv=COMPRESSED))
    await eve.alive()


async def test_what_comes_out_of_compressed_messages_is_paid_for_Z4_L3(
    start_gateway: StartGateway, clients: Clients
) -> None:
    """A flood of bombs, of which each takes a hundred times the time that it takes to be sent."""
    settings = {**GENEROUS, "limits.frames": 1000, "limits.burst": 1, "client.max_message_bytes": LIMIT}
    gateway = await start_gateway(settings)
    bystanders = await Bystanders.enter(gateway, clients, "r", "s")
    eve = await clients.raw(gateway, "eve", "r", headers=OFFER)
    began = time.monotonic()
    count = 8  # tokens for four seconds, of which one second's are there, and two may be read at once
    eve.send(*[frame(TEXT, bomb(2 << 20), rsv=COMPRESSED)] * count)
    await bystanders.notice_nothing()
    for _ in range(count):
        await eve.refused(3001)
    assert time.monotonic() - began > 0.8
    await bystanders.notice_nothing()


@pytest.mark.parametrize("fragments", [False, True])
@pytest.mark.parametrize("data", [bomb(8 << 20), noise(2 * LIMIT - 100).encode()], ids=["inflated", "as it comes"])
async def test_a_client_that_keeps_history_is_closed_Z4(
    start_gateway: StartGateway, clients: Clients, data: bytes, fragments: bool
) -> None:
    gateway = await start_gateway({**GENEROUS, "compression.client_context_takeover": True})
    bystanders = await Bystanders.enter(gateway, clients, "r")
    eve = await clients.raw(gateway, "eve", "r", headers=OFFER)
    if fragments:
        half = len(data) // 2
        eve.send(frame(TEXT, data[:half], fin=False, rsv=COMPRESSED), frame(CONTINUATION, data[half:]))
    else:
        eve.send(frame(TEXT, data, rsv=COMPRESSED))
    await eve.closed(1009)
    await bystanders.notice_nothing()


@pytest.mark.parametrize("level", [0, 1, 9])
async def test_the_limit_counts_what_comes_out_Z4_E7(gateway: Gateway, clients: Clients, level: int) -> None:
    """A message of just the limit is taken, even if compressing it made it longer; one more byte is refused."""
    bob = await clients.enter(gateway, "bob", "r")
    eve = await clients.raw(gateway, "eve", "r", headers=OFFER)
    empty = len(event("x", ""))
    for excess in (0, 1):
        message = event("x", noise(LIMIT - empty + excess))
        assert len(message) == LIMIT + excess
        data = deflated(message, level=level)
        assert (len(data) > LIMIT) == (level == 0)
        eve.send(masked_packed(TEXT, data))
    assert len((await bob.expect("event")).payload["data"]) == LIMIT - empty
    assert (await eve.refused(3001))["limit"] == LIMIT
    eve.send(masked_packed(TEXT, noise(LIMIT + LIMIT // 8 + 65).encode()))
    assert (await eve.refused(3001))["size"] == LIMIT + LIMIT // 8 + 65
