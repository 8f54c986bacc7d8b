"""Frames that lie or break RFC 6455: the connection ends with the right code, or lives where the protocol says so.

Beside each hostile connection, in its room and in another one, two users write together and must not notice.
"""

from __future__ import annotations

import asyncio
import json
import struct

import pytest
from tests.server.bystanders import Bystanders
from tests.server.clients import Clients, HasUrl, StartGateway, settled
from tests.server.raw_client import (
    BINARY,
    CLOSE,
    CONTINUATION,
    PING,
    PONG,
    TEXT,
    Frame,
    close_frame,
    frame,
)
from tests.server.spec_client import cursor_frame, envelope

EVENT = json.dumps(envelope("event", {"name": "unheard"})).encode()

# What breaks the protocol, and the codes with which that may be answered.
FAULTS: dict[str, tuple[bytes, set[int]]] = (
    {
        f"opcode {opcode:#x}": (frame(opcode, b"x"), {1002})
        for opcode in (0x3, 0x4, 0x5, 0x6, 0x7, 0xB, 0xC, 0xD, 0xE, 0xF)
    }
    | {
        f"reserved bits {rsv:03b} on {opcode:#x}": (frame(opcode, b"{}", rsv=rsv), {1002})
        for rsv in (1, 2, 3, 4, 7)
        for opcode in (TEXT, BINARY, PING)
    }
    | {f"unmasked {opcode:#x}": (frame(opcode, EVENT[:100], masked=False), {1002}) for opcode in (1, 2, 8, 9, 10)}
    | {f"a fragment of {opcode:#x}": (frame(opcode, b"", fin=False), {1002}) for opcode in (CLOSE, PING, PONG)}
    | {f"{opcode:#x} of 126 bytes": (frame(opcode, b"\x03\xe8" + b"x" * 124), {1002}) for opcode in (8, 9, 10)}
    | {
        f"{opcode:#x} that claims {claim}": (frame(opcode, b"xx", claimed_length=claim), {1002})
        for opcode in (CLOSE, PING, PONG)
        for claim in (1 << 16, 1 << 40, (1 << 63) + 5)
    }
    | {
        f"{opcode:#x} that claims {claim:#x}": (frame(opcode, b"xx", claimed_length=claim), {1002, 1009})
        for opcode in (TEXT, BINARY)
        for claim in (1 << 63, (1 << 63) + 5, (1 << 64) - 1, (1 << 64) - 14, 1 << 40, 1 << 32, (1 << 31) + 1)
    }
    | {
        f"close code {code}": (close_frame(code), {1002})
        for code in (0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 1999, 2000, 2999, 5000, 65535)
    }
    | {
        "close of one byte": (frame(CLOSE, b"\x03"), {1002}),
        "close with a reason that is not UTF-8": (close_frame(1000, b"bye \xff"), {1002, 1007}),
        "close with half a character": (close_frame(1000, "é".encode()[:1]), {1002, 1007}),
        "continuation of nothing": (frame(CONTINUATION, b"{}"), {1002}),
        "open continuation of nothing": (frame(CONTINUATION, b"{}", fin=False), {1002}),
        "continuation after a whole message": (frame(TEXT, EVENT) + frame(CONTINUATION, b"{}"), {1002}),
        "text in a fragmented text": (frame(TEXT, b"{", fin=False) + frame(TEXT, EVENT), {1002}),
        "frame in a fragmented text": (frame(TEXT, b"{", fin=False) + frame(BINARY, cursor_frame(1, 2)), {1002}),
        "fragment in a fragmented frame": (frame(BINARY, b"", fin=False) + frame(BINARY, b"", fin=False), {1002}),
        "reserved bit on a continuation": (
            frame(TEXT, b"{", fin=False) + frame(CONTINUATION, b"}", rsv=4),
            {1002},
        ),
        "text that is not UTF-8": (frame(TEXT, b'"\xff"'), {1007}),
        "text that ends in a character": (frame(TEXT, b'"\xf0\x9f\x98'), {1007}),
        "fragments that are not UTF-8": (
            frame(TEXT, b'"\xf0\x9f', fin=False) + frame(CONTINUATION, b'\x98"'),
            {1007},
        ),
        "a surrogate in fragments": (
            frame(TEXT, b'"\xed', fin=False) + frame(CONTINUATION, b'\xa0\x80"'),
            {1007},
        ),
        "a continuation that claims 1 TB": (
            frame(TEXT, b"{", fin=False) + frame(CONTINUATION, b"xx", claimed_length=1 << 40),
            {1009},
        ),
    }
)


@pytest.mark.parametrize("fault", FAULTS)
async def test_what_breaks_the_protocol_closes_and_nothing_after_it_is_heard_E6_E7_X3(
    gateway: HasUrl, clients: Clients, fault: str
) -> None:
    data, codes = FAULTS[fault]
    bob = await clients.enter(gateway, "bob", "r")
    eve = await clients.raw(gateway, "eve", "r")
    eve.send(data, frame(TEXT, EVENT))
    await eve.closed(*codes)
    await settled(bob)
    heard = bob.take("event")
    assert len(heard) == (fault == "continuation after a whole message")


async def test_nobody_else_notices_a_broken_connection_E6_X3(gateway: HasUrl, clients: Clients) -> None:
    bystanders = await Bystanders.enter(gateway, clients, "r", "s")
    for data, _ in FAULTS.values():
        eve = await clients.raw(gateway, "eve", "r")
        eve.send(data)
        await eve.closed()
    await bystanders.notice_nothing()


@pytest.mark.parametrize("code", [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999])
async def test_a_close_is_echoed_X3(gateway: HasUrl, clients: Clients, code: int) -> None:
    eve = await clients.raw(gateway, "eve", "r")
    eve.send(close_frame(code, "because of é".encode()))
    received = await eve.receive()
    assert received is not None
    assert (received.opcode, received.close_code) == (CLOSE, code)
    await eve.ended()


async def test_a_close_without_a_code_is_answered_X3(gateway: HasUrl, clients: Clients) -> None:
    eve = await clients.raw(gateway, "eve")
    eve.send(frame(CLOSE))
    received = await eve.receive()
    assert received is not None
    assert received.opcode == CLOSE
    assert received.payload in (b"", struct.pack("!H", 1000))
    await eve.ended()


async def test_after_a_close_nothing_is_heard_or_answered_X3(gateway: HasUrl, clients: Clients) -> None:
    bob = await clients.enter(gateway, "bob", "r")
    eve = await clients.raw(gateway, "eve", "r")
    eve.send(
        close_frame(1000),
        frame(TEXT, EVENT),
        frame(BINARY, cursor_frame(1, 2)),
        frame(PING, b"there?"),
        close_frame(1001),
        frame(0x3),
    )
    received = await eve.receive()
    assert received is not None
    assert (received.opcode, received.close_code) == (CLOSE, 1000)
    await eve.ended()
    await bob.expect("user_left")
    assert not bob.take("event")
    assert not bob.take("presence_update")


async def test_a_client_that_never_answers_a_close_is_let_go_X3(gateway: HasUrl, clients: Clients) -> None:
    """The gateway closes; the client neither answers nor hangs up, and its connection ends all the same."""
    eve = await clients.raw(gateway, "eve", "r")
    eve.send(frame(0x3))
    received = await eve.receive()
    assert received is not None
    assert received.close_code == 1002
    async with asyncio.timeout(30):
        while await eve.receive(within=30) is not None:
            pass


# What RFC 6455 allows -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("payload", [b"", b"x", b"\xff\x00" * 62, b"x" * 125])
async def test_a_ping_is_answered_with_its_payload_K1(gateway: HasUrl, clients: Clients, payload: bytes) -> None:
    eve = await clients.raw(gateway, "eve")
    eve.send(frame(PING, payload))
    assert await eve.receive() == Frame(PONG, payload)
    nobody = await clients.raw(gateway)
    nobody.send(frame(PING, payload))
    assert await nobody.receive() == Frame(PONG, payload)


async def test_a_pong_that_nobody_asked_for_is_ignored_K1(gateway: HasUrl, clients: Clients) -> None:
    eve = await clients.raw(gateway, "eve")
    eve.send(frame(PONG, b"hello"), frame(PONG))
    assert await eve.alive() == []


@pytest.mark.parametrize("size", [1, 2, 3, 7, 50])
async def test_fragments_are_put_together_with_pings_between_them_E1(
    gateway: HasUrl, clients: Clients, size: int
) -> None:
    bob = await clients.enter(gateway, "bob", "r")
    eve = await clients.raw(gateway, "eve", "r")
    name = "é😀\u2028 in pieces"
    text = json.dumps(envelope("event", {"name": name}), ensure_ascii=False).encode()
    pieces = [text[i : i + size] for i in range(0, len(text), size)]
    parts = [frame(TEXT, pieces[0], fin=False)]
    for index, piece in enumerate(pieces[1:]):
        parts += [frame(PING, str(index).encode()), frame(PONG), frame(CONTINUATION, fin=False)]
        parts.append(frame(CONTINUATION, piece, fin=False))
    parts.append(frame(CONTINUATION))
    eve.send(*parts)
    assert (await bob.expect("event")).payload["name"] == name
    pongs = [received.payload for received in await eve.alive() if received.opcode == PONG]
    assert pongs == [str(index).encode() for index in range(len(pieces) - 1)]


async def test_a_cursor_in_fragments_B1(gateway: HasUrl, clients: Clients) -> None:
    bob = await clients.enter(gateway, "bob", "r", batched=True)
    eve = await clients.raw(gateway, "eve", "r")
    data = cursor_frame(1.5, -2)
    eve.send(frame(BINARY, data[:1], fin=False), frame(CONTINUATION, data[1:5], fin=False), frame(PING))
    eve.send(frame(CONTINUATION, data[5:]))
    record = await bob.expect_record()
    assert (record.x, record.y) == (1.5, -2)


async def test_bytes_that_come_one_by_one_E1(gateway: HasUrl, clients: Clients) -> None:
    bob = await clients.enter(gateway, "bob", "r", batched=True)
    eve = await clients.raw(gateway, "eve", "r")
    text = json.dumps(envelope("event", {"name": "slow", "data": "x" * 200})).encode()
    for byte in frame(TEXT, text) + frame(BINARY, cursor_frame(3, 4)):
        eve.send(bytes([byte]))
        await asyncio.sleep(0)
    assert (await bob.expect("event")).payload["name"] == "slow"
    assert (await bob.expect_record()).x == 3


async def test_many_frames_in_one_segment_E5(gateway: HasUrl, clients: Clients) -> None:
    bob = await clients.enter(gateway, "bob", "r")
    eve = await clients.raw(gateway, "eve", "r")
    events = (json.dumps(envelope("event", {"name": str(index)})).encode() for index in range(1000))
    eve.send(*(frame(TEXT, event) for event in events))
    for index in range(1000):
        assert (await bob.expect("event")).payload["name"] == str(index)


@pytest.mark.parametrize("cut", [1, 2, 5, 6, 10, 40])
@pytest.mark.parametrize("ending", ["abort", "end of stream"])
async def test_a_frame_that_never_ends_is_no_message_R7(
    start_gateway: StartGateway, clients: Clients, cut: int, ending: str
) -> None:
    gateway = await start_gateway({"presence.grace_period": 0.1})
    bystanders = await Bystanders.enter(gateway, clients, "r")
    bob = await clients.enter(gateway, "bob", "r")
    eve = await clients.raw(gateway, "eve", "r")
    eve.send(frame(TEXT, EVENT)[:cut])
    await eve.drain()
    if ending == "abort":
        eve.abort()
    else:
        eve.send_eof()
    await bob.expect("user_left")
    assert not bob.take("event")
    await bystanders.notice_nothing()


async def test_what_was_promised_and_does_not_come_holds_nobody_up_E7(gateway: HasUrl, clients: Clients) -> None:
    """Many connections that announce a megabyte each and send nothing of it."""
    bystanders = await Bystanders.enter(gateway, clients, "r", "s")
    crew = [await clients.raw(gateway, f"eve-{index}", "r") for index in range(50)]
    for eve in crew:
        eve.send(frame(TEXT, b"", claimed_length=1 << 20))
    await bystanders.notice_nothing()
    for eve in crew:
        eve.abort()
    await bystanders.notice_nothing()
