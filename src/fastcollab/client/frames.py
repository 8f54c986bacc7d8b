"""The binary frames of the protocol, as a client writes and reads them (section "Binary frames").

Numbers are big endian. A record is ``(user, x, y, timestamp, viewport x, viewport y)``; where there is no viewport both
of its numbers are NaN.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterable
from typing import NamedTuple

from fastcollab.errors import InvalidMessage

CURSOR = 1
SELECTION = 2
MAX_COORDINATE = 2.0**24

Record = tuple[int, float, float, int, float, float]

_FRAME = struct.Struct(">HIffI")
_FRAME_WITH_VIEWPORT = struct.Struct(">HIffIff")
_BATCH_HEADER = struct.Struct(">HHI")
_BATCH_RECORD = struct.Struct(">IffIff")
_BATCHED = 0x0100  # added to the type of the records
_NAN = math.nan


class Frame(NamedTuple):
    """What a binary message says: ``count`` records of one kind; ``handle`` names the room, None the active one."""

    kind: int
    handle: int | None
    count: int
    records: Iterable[Record]


def encode(
    kind: int, x: float, y: float, timestamp: int, viewport: tuple[float, float] | None = None
) -> bytes:
    """A frame to the gateway, which fills in the user (B2). Raises ValueError for coordinates that it would refuse."""
    for coordinate in (x, y, *(viewport or ())):
        if not abs(coordinate) <= MAX_COORDINATE:  # NaN is not, either
            raise ValueError(f"{coordinate} is no coordinate between -2**24 and 2**24")
    if viewport is None:
        return _FRAME.pack(kind, 0, x, y, timestamp & 0xFFFFFFFF)
    return _FRAME_WITH_VIEWPORT.pack(kind, 0, x, y, timestamp & 0xFFFFFFFF, *viewport)


def decode(payload: bytes | memoryview) -> Frame:
    """Reads a binary message from the gateway, plain or batched. Raises InvalidMessage for anything else."""
    size = len(payload)
    if size == _FRAME.size:
        kind, user, x, y, timestamp = _FRAME.unpack(payload)
        if kind in (CURSOR, SELECTION):
            return Frame(kind, None, 1, ((user, x, y, timestamp, _NAN, _NAN),))
    elif size == _FRAME_WITH_VIEWPORT.size:
        kind, user, x, y, timestamp, viewport_x, viewport_y = _FRAME_WITH_VIEWPORT.unpack(payload)
        if kind in (CURSOR, SELECTION):
            return Frame(kind, None, 1, ((user, x, y, timestamp, viewport_x, viewport_y),))
    elif size >= _BATCH_HEADER.size:
        kind, count, handle = _BATCH_HEADER.unpack_from(payload)
        body = size - _BATCH_HEADER.size
        if kind - _BATCHED in (CURSOR, SELECTION) and body == count * _BATCH_RECORD.size:
            records = _BATCH_RECORD.iter_unpack(payload[_BATCH_HEADER.size :])
            return Frame(kind - _BATCHED, handle, count, records)
    raise InvalidMessage(f"no frame of the protocol, {size} bytes long")
