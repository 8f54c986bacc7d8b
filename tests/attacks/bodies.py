"""Attacks by form: messages that are more than they seem, or never end."""

from __future__ import annotations

import json
import uuid
import zlib

from tests.attacks.target import MIB, Target, attack
from tests.server.raw_client import BINARY, CONTINUATION, TEXT, RawClient, frame
from tests.server.spec_client import envelope

_DEFLATE = {"Sec-WebSocket-Extensions": "permessage-deflate"}


async def _enter_compressing(target: Target) -> RawClient:
    client = await RawClient.dial(target.url)
    await client.upgrade(target.url, target.token(str(uuid.uuid4())), _DEFLATE)
    return client


def _bomb(size: int) -> bytes:
    """`size` bytes of spaces, deflated, as a message."""
    deflater = zlib.compressobj(9, zlib.DEFLATED, -15)
    piece = deflater.compress(b" " * MIB) + deflater.flush(zlib.Z_FULL_FLUSH)
    return piece * (size // MIB - 1) + piece.removesuffix(b"\x00\x00\xff\xff")


_BOMB = frame(TEXT, _bomb(1024 * MIB), rsv=4)


@attack("3001", memory=32)
async def bombs(target: Target) -> None:
    """A gigabyte in one: refused, and the connection lives."""
    assert len(_BOMB) < 1.1 * MIB
    async with await _enter_compressing(target) as client:
        client.send(_BOMB)
        details = await client.refused(3001)
        assert details["limit"] == MIB, details
        await client.answers()
    target.met["3001"] += 1


@attack("1007")
async def deflate_that_is_none(target: Target) -> None:
    for kind in (TEXT, BINARY):
        async with await _enter_compressing(target) as client:
            client.send(frame(kind, b"\xff" * 1000, rsv=4))
            await client.closed(1007)
        target.met["1007"] += 1


@attack("3001")
async def deep_json(target: Target) -> None:
    async with await target.enter(str(uuid.uuid4()), "deep") as client:
        for opening, closing in (("[", "]"), ('{"a":', "}")):
            for depth in (2_000, 100_000):
                data = opening * depth + "1" + closing * depth
                for kind, payload in (
                    ("operation", '{"operation":%s,"version":0}'),
                    ("event", '{"name":"x","data":%s}'),
                ):
                    head = json.dumps(envelope(kind, None)).removesuffix("null}")
                    client.send(frame(TEXT, (head + payload % data + "}").encode()))
                    await client.refused(3001)
                    target.met["3001"] += 1


@attack("3001", memory=32)
async def fragments_without_end(target: Target) -> None:
    """More than a message may be; and then it ends after all, and is refused."""
    async with await target.enter(str(uuid.uuid4())) as client:
        client.send(frame(TEXT, b"x" * 1000, fin=False))
        for _ in range(20):
            client.send(frame(CONTINUATION, b"x" * 100_000, fin=False))
            await client.drain()
        client.send(frame(CONTINUATION, b"", fin=True))
        await client.refused(3001)
        await client.answers()
    target.met["3001"] += 1


@attack("1009")
async def frames_of_a_terabyte(target: Target) -> None:
    async with await target.enter(str(uuid.uuid4())) as client:
        client.send(frame(BINARY, b"x" * 1000, claimed_length=1 << 40))
        await client.closed(1009)
    target.met["1009"] += 1
