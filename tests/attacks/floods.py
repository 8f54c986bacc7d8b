"""Attacks by quantity: each limit crossed, as fast as a client can; by one who reads the answers, or who does not."""

from __future__ import annotations

import asyncio
import json
import re
import time
import uuid
from contextlib import suppress

from tests.attacks.target import MIB, Target, attack
from tests.server.raw_client import BINARY, CLOSE, CONTINUATION, PING, TEXT, RawClient, frame
from tests.server.spec_client import cursor_frame, cursor_move, envelope

#: How long (s) one connection goes on.
_A_FLOOD = 1.0
_ERROR = re.compile(rb'"type":"error".*?"code":(\d+)')


def text(kind: str, payload: object) -> bytes:
    """A message of a client as a frame."""
    return frame(TEXT, json.dumps(envelope(kind, payload)).encode())


def _batch() -> bytes:
    messages = [envelope("event", {"name": str(index)}) for index in range(100)]
    return text("batch", {"messages": messages, "compressed": False})


#: What is sent over and over, and how it is refused; what is not refused is read more slowly, or coalesced.
_FLOODS = {
    "cursors": (frame(BINARY, cursor_frame(1, 2)) * 500, None),
    "cursors_as_json": (text("cursor_move", cursor_move(1, 2)) * 100, None),
    "operations": (text("operation", {"operation": ["x"], "version": 0}) * 100, "1003"),
    "messages": (text("event", {"name": "e"}) * 100, "1003"),
    "batches": (_batch(), "1003"),
    "rooms": (b"".join(text("join_room", {"roomId": f"flooded {index}"}) for index in range(100)), "1003"),
    "pings": (frame(PING) * 1000, None),
    "texts_that_are_no_messages": (frame(TEXT, b"{}") * 500, "3001"),
    "binary_messages_that_are_no_frames": (frame(BINARY) * 500, "3001"),
    "empty_fragments": (
        frame(TEXT, fin=False) + frame(CONTINUATION, fin=False) * 1000 + frame(CONTINUATION),
        "3001",
    ),
    "large_messages": (text("event", {"name": "e", "data": "x" * (MIB - 1000)}), None),
    "messages_that_are_too_large": (frame(TEXT, b"x" * (2 * MIB - 1000)), "3001"),
}

#: One of each kind: coalesced, refused, many in one, control frames, and long ones.
_IN_SHORT = ("cursors", "operations", "batches", "pings", "large_messages")


def _register(name: str, data: bytes, refusal: str | None, *, reads: bool) -> None:
    async def flood(target: Target) -> None:
        async with await target.enter(str(uuid.uuid4()), "flooded", receive_buffer=4096) as client:
            if not reads:
                client.pause_reading()
            answers = asyncio.create_task(_read(client, target))
            deadline = time.monotonic() + _A_FLOOD
            with suppress(TimeoutError, ConnectionError):  # held back, as it is to be; or closed, who does not read
                while (left := deadline - time.monotonic()) > 0:
                    client.send(data)
                    await client.drain(left)
            if refusal in target.met or not reads:
                answers.cancel()
            with suppress(asyncio.CancelledError, TimeoutError):  # there may be no answer at all
                await answers
        target.met["flooded"] += 1

    async def _read(client: RawClient, target: Target) -> None:
        while (answer := await client.receive(_A_FLOOD)) is not None:
            if found := _ERROR.search(answer.payload):
                target.met[found[1].decode()] += 1
                assert found[1].decode() == refusal, answer

    flood.__name__ = f"flood_of_{name}" + ("" if reads else "_that_reads_nothing")
    expected = [refusal] if refusal is not None and reads else ["flooded"]
    like_others = name not in _IN_SHORT
    attack(*expected, memory=32, like_others=like_others, client__max_outbound_bytes=2 * MIB)(flood)


for _name, (_data, _refusal) in _FLOODS.items():
    _register(_name, _data, _refusal, reads=True)
for _name in ("operations", "pings", "texts_that_are_no_messages"):
    _register(_name, *_FLOODS[_name], reads=False)


@attack("4503", at_once=3, memory=32, client__max_outbound_bytes=2 * MIB)
async def readers_that_stop(target: Target) -> None:
    """What waits for one is bounded, and who has written it is not held up."""
    room = str(uuid.uuid4())
    async with (
        await target.enter(str(uuid.uuid4()), room, receive_buffer=4096) as reader,
        await target.enter(str(uuid.uuid4()), room) as writer,
    ):
        reader.pause_reading()
        event = text("event", {"name": "large", "data": "x" * 60_000})
        writer.send(*[event] * 150)
        await writer.drain(30)
        await writer.answers(30)
        reader.resume_reading()
        while (received := await reader.receive(30)) is not None and received.opcode != CLOSE:
            pass
        assert received is not None
        assert received.close_code == 4503
    target.met["4503"] += 1
