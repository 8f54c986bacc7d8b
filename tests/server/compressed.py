"""Compressed messages, as the tests of compression make and read them."""

from __future__ import annotations

import base64
import json
import random
import zlib
from functools import cache
from typing import Any

from tests.server.peers import masked
from tests.server.raw_client import CLOSE, TEXT, Frame, RawClient, frame, inflated
from tests.server.spec_client import envelope

OFFER = {"Sec-WebSocket-Extensions": "permessage-deflate; client_max_window_bits"}
BATCHED_OFFER = {**OFFER, "Sec-WebSocket-Protocol": "fastcollab.v1.batch"}
LIMIT = 1 << 20
COMPRESSED = 0b100  # of the reserved bits
HISTORY = {"compression.server_context_takeover": True, "compression.client_context_takeover": True}


def event(name: str, data: object = None, **fields: Any) -> bytes:
    return json.dumps(envelope("event", {"name": name, "data": data}, **fields)).encode()


@cache
def noise(size: int, seed: int = 1) -> str:
    """Text that compresses badly."""
    return base64.b64encode(random.Random(seed).randbytes(size)).decode()[:size]


def bomb(size: int) -> bytes:
    """So many spaces, as small as they get."""
    compressor = zlib.compressobj(9, wbits=-15)
    spaces = b" " * (1 << 20)
    parts = [compressor.compress(spaces) for _ in range(size >> 20)]
    return b"".join(parts) + compressor.flush(zlib.Z_SYNC_FLUSH)[:-4]


def server_frame(kind: int, payload: bytes, *, fin: bool = True) -> bytes:
    """A compressed frame of a gateway."""
    return frame(kind, payload, fin=fin, rsv=COMPRESSED, masked=False)


def message_of(received: Frame | None) -> bytes:
    assert received is not None
    return inflated(received.payload) if received.compressed else received.payload


async def event_frame(client: RawClient) -> Frame:
    """The frame of the next event."""
    while True:
        received = await client.receive()
        assert received is not None
        assert received.opcode != CLOSE, received
        if received.opcode == TEXT and b'"event"' in message_of(received):
            return received


def masked_packed(kind: int, data: bytes) -> bytes:
    """A compressed message as a frame, made quickly."""
    whole = masked(kind, data)
    return bytes([whole[0] | COMPRESSED << 4]) + whole[1:]
