"""What the gateway may send, field by field, written down from the specification alone.

A message with a field too many, too few, or of another type than documented fails the test that receives it.
"""

from __future__ import annotations

import math
import re
import struct
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

PLAIN = "fastcollab.v1"
BATCHED = "fastcollab.v1.batch"
CURSOR, SELECTION = 1, 2

INVALID_TOKEN, CONNECTION_LIMIT, RATE_LIMIT = 1001, 1002, 1003
ROOM_NOT_FOUND, ROOM_FULL, NO_PERMISSION = 2001, 2002, 2003
INVALID_OPERATION, VERSION_MISMATCH, CHECKSUM_FAILED = 3001, 3002, 3003
INTERNAL_ERROR, SERVICE_UNAVAILABLE = 5001, 5002
ERROR_CODES = frozenset(
    {INVALID_TOKEN, CONNECTION_LIMIT, RATE_LIMIT, ROOM_NOT_FOUND, ROOM_FULL, NO_PERMISSION}
    | {INVALID_OPERATION, VERSION_MISMATCH, CHECKSUM_FAILED, INTERNAL_ERROR, SERVICE_UNAVAILABLE}
)


def _number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _integer(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _uint32(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 32


def _text(value: object) -> bool:
    return isinstance(value, str)


def _flag(value: object) -> bool:
    return isinstance(value, bool)


def _anything(value: object) -> bool:
    return True


def _traceparent(value: object) -> bool:
    return isinstance(value, str) and re.fullmatch("00-[0-9a-f]{32}-[0-9a-f]{16}-0[0-3]", value) is not None


def _uuid4(value: object) -> bool:
    try:
        return isinstance(value, str) and uuid.UUID(value).version == 4 and len(value) == 36
    except ValueError:
        return False


@dataclass(frozen=True)
class Shape:
    """An object with these fields and no others."""

    required: dict[str, Callable[[object], bool] | Shape]
    optional: dict[str, Callable[[object], bool] | Shape] = field(default_factory=dict)

    def __call__(self, value: object) -> bool:
        return not self.faults(value)

    def faults(self, value: object, path: str = "") -> list[str]:
        if not isinstance(value, dict):
            return [f"{path} is no object: {value!r}"]
        found = [f"{path}.{name} is missing" for name in self.required if name not in value]
        for name, inner in value.items():
            shape = self.required.get(name) or self.optional.get(name)
            if shape is None:
                found.append(f"{path}.{name} is not documented")
            elif isinstance(shape, Shape):
                found += shape.faults(inner, f"{path}.{name}")
            elif not shape(inner):
                found.append(f"{path}.{name} is {inner!r}")
        return found


def _each(shape: Callable[[object], bool]) -> Callable[[object], bool]:
    return lambda value: isinstance(value, list) and all(shape(inner) for inner in value)


def _or_null(shape: Callable[[object], bool]) -> Callable[[object], bool]:
    return lambda value: value is None or shape(value)


def _position(value: object) -> bool:
    return _integer(value) or (isinstance(value, list) and all(_integer(step) or _text(step) for step in value))


_CURSOR = Shape({"x": _number, "y": _number}, {"viewportX": _number, "viewportY": _number})
_RANGE = Shape({"anchor": _position, "head": _position})
_SELECTION = Shape({"ranges": _each(_RANGE), "color": _text, "version": _integer})
_PRESENCE = Shape(
    {}, {"cursor": _CURSOR, "selection": _or_null(_SELECTION), "status": _or_null(_text), "data": _anything}
)
_PARTICIPANT = Shape(
    {"userId": _text, "numericId": _uint32, "name": _text, "color": _text, "presence": _PRESENCE},
    {"picture": lambda value: isinstance(value, str) and value.startswith("https://")},
)
_LIMIT_NAMES = (
    *("cursorUpdates", "operations", "messages", "burst", "connections", "rooms", "participants"),
    *("maxMessageBytes", "maxOperationBytes", "maxMessagesPerBatch"),
)
_ABOUT_ONE = Shape({"roomId": _text, "participant": _PARTICIPANT})

_DOCUMENT_STATE = Shape({"type": _text, "version": _integer, "epoch": _text}, {"data": _anything})
_OPERATION = {
    "operation": _anything,
    "userId": _text,
    "numericId": _uint32,
    "messageId": _text,
    "version": _integer,
    "transformedVersion": _integer,
}

PAYLOADS: dict[str, Shape] = {
    "connected": Shape(
        {
            "connectionId": _text,
            "userId": _text,
            "serverTime": _number,
            "protocol": lambda value: value == 1,
            "numericId": _uint32,
            "heartbeatInterval": _number,
            "resumed": _flag,
            "limits": Shape(dict.fromkeys(_LIMIT_NAMES, _number)),
        }
    ),
    "token_expiring": Shape({"expiresAt": _integer}),
    "token_refreshed": Shape({"expiresAt": _integer}),
    "permission_changed": Shape({"roomId": _text, "permission": lambda value: value in ("read", "write", "admin")}),
    "room_joined": Shape(
        {
            "roomId": _text,
            "handle": _uint32,
            "participants": _each(_PARTICIPANT),
            "documentState": _DOCUMENT_STATE,
            "version": _integer,
            "permission": lambda value: value in ("read", "write", "admin"),
        },
        {
            "recovery": Shape(
                {"recovered": _flag},
                {"missed": _integer, "reason": lambda value: value in ("epoch_changed", "gap_trimmed")},
            )
        },
    ),
    "room_left": Shape({"roomId": _text}),
    "user_joined": _ABOUT_ONE,
    "user_left": _ABOUT_ONE,
    "presence_update": Shape({"userId": _text, "numericId": _uint32, "presence": _PRESENCE, "timestamp": _number}),
    "event": Shape({"name": _text, "userId": _text, "numericId": _uint32}, {"data": _anything}),
    "ack": Shape({"messageId": _text}, {"version": _integer}),
    "operation_broadcast": Shape(_OPERATION, {"traceparent": _traceparent}),
    "document": Shape({"messageId": _text, "documentState": _DOCUMENT_STATE}),
    "history": Shape(
        {
            "messageId": _text,
            "operations": _each(Shape(_OPERATION | {"timestamp": _number})),
            "oldest": _integer,
            "version": _integer,
        }
    ),
    "batch": Shape({"messages": lambda value: isinstance(value, list), "compressed": _flag}),
    "pong": Shape({"timestamp": _number, "serverTime": _number}),
    "error": Shape(
        {"code": lambda value: value in ERROR_CODES, "message": _text, "recoverable": _flag},
        {"details": lambda value: isinstance(value, dict)},
    ),
}
CONCERNING_A_ROOM = frozenset(
    (
        "room_joined",
        "room_left",
        "permission_changed",
        "user_joined",
        "user_left",
        "presence_update",
        "event",
        "operation_broadcast",
        "document",
        "history",
    )
)
_ENVELOPE = Shape(
    {
        "id": _uuid4,
        "type": lambda value: value in PAYLOADS,
        "version": lambda value: value == 1 and not isinstance(value, bool),
        "timestamp": lambda value: _number(value) and abs(value / 1000 - time.time()) < 60,  # type: ignore[operator]
        "payload": lambda value: isinstance(value, dict),
    },
    {"sessionId": _text, "roomId": _text, "targetUserId": _text, "acknowledgment": _flag},
)


@dataclass(frozen=True)
class Message:
    """A message from the gateway."""

    type: str
    payload: dict[str, Any]
    room: str | None
    batch: int | None  # the messages that came in one batch share this number
    at: float  # when it arrived, in seconds of a monotonic clock
    after_records: int  # how many binary records had come before it

    @classmethod
    def checked(cls, envelope: object, batch: int | None, after_records: int) -> Message:
        faults = _ENVELOPE.faults(envelope, "envelope")
        assert not faults, (faults, envelope)
        assert isinstance(envelope, dict)
        kind, payload = envelope["type"], envelope["payload"]
        faults = PAYLOADS[kind].faults(payload, kind)
        assert not faults, (faults, envelope)
        assert kind not in CONCERNING_A_ROOM or "roomId" in envelope, f"no roomId: {envelope}"
        return cls(kind, payload, envelope.get("roomId"), batch, time.monotonic(), after_records)


@dataclass(frozen=True)
class Record:
    """One cursor or selection out of a binary frame."""

    kind: int
    user: int
    x: float
    y: float
    timestamp: int
    viewport: tuple[float, float] | None
    handle: int | None  # the room's, in a batched frame
    frame: int  # the records that came in one frame share this number
    at: float


def parse_frame(data: bytes, number: int, *, batched: bool) -> list[Record]:
    """The records of a binary frame from the gateway; AssertionError if its layout is not documented."""
    now = time.monotonic()
    kind = int.from_bytes(data[:2], "big")
    if not batched:
        assert len(data) in (18, 26), f"a frame of {len(data)} bytes"
        assert kind in (CURSOR, SELECTION), f"a frame of type {kind:#x}"
        user, x, y, timestamp = struct.unpack_from("!IffI", data, 2)
        viewport = struct.unpack_from("!ff", data, 18) if len(data) == 26 else None
        return [Record(kind, user, x, y, timestamp, viewport, None, number, now)]
    assert kind in (0x0101, 0x0102), f"a batched frame of type {kind:#x}"
    count, handle = struct.unpack_from("!HI", data, 2)
    assert len(data) == 8 + 24 * count, f"{count} records in {len(data)} bytes"
    assert count, "an empty batch"
    records = []
    for user, x, y, timestamp, viewport_x, viewport_y in struct.iter_unpack("!IffIff", data[8:]):
        assert math.isnan(viewport_x) == math.isnan(viewport_y), "half a viewport"
        viewport = None if math.isnan(viewport_x) else (viewport_x, viewport_y)
        records.append(Record(kind - 0x0100, user, x, y, timestamp, viewport, handle, number, now))
    users = [record.user for record in records]
    assert len(users) == len(set(users)), f"a user twice in one batch: {users}"
    return records
