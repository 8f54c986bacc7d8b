"""Random messages, frames and sequences of frames: each is taken, refused, or ends its own connection, and no other.

Several go over each connection: 1,200 in the usual run, 12,000 and more with ``--hypothesis-profile=full``. After each
example two pairs of users, one in the room that is attacked and one in another, write together and see each other's
cursors.
"""

from __future__ import annotations

import codecs
import json
import math
import struct
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.server.bystanders import Bystanders
from tests.server.clients import Clients, HasUrl
from tests.server.raw_client import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, Frame, frame
from tests.server.spec_client import cursor_frame, envelope
from tests.server.spec_shapes import INTERNAL_ERROR, INVALID_OPERATION, Message, parse_frame

PER_EXAMPLE = 4
KEPT = settings(
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@pytest.fixture
async def bystanders(gateway: HasUrl, clients: Clients) -> Bystanders:
    return await Bystanders.enter(gateway, clients, "r", "s")


def answers(frames: list[Frame]) -> list[Message]:
    """The messages among what the gateway sent, each checked for its shape; none is about a fault of the gateway."""
    messages = []
    for received in frames:
        if received.opcode == TEXT:
            message = Message.checked(json.loads(received.payload), None, 0)
            messages.append(message)
        elif received.opcode == BINARY:
            parse_frame(received.payload, 0, batched=False)
    for message in messages:
        if message.type == "error":
            assert message.payload["code"] != INTERNAL_ERROR, message
            assert message.payload["recoverable"], message
    return messages


JSON_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-3, 3)
    | st.sampled_from([2**31, 2**32, 2**53, 2**63, 2**64, -(2**63) - 1, 2**70, 1.5, -0.0, 1e-300, 1e300, 1e39])
    | st.text(max_size=8)
    | st.sampled_from(["", "r", "s", "eve", "text", "\0", "é😀", "a" * 129, "#fff", "<script>", "json1"]),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.text(max_size=4) | st.sampled_from(["d", "anchor", "head", "id", "type"]), inner, max_size=4
        )
    ),
    max_leaves=12,
)
TEXT_OPERATIONS = st.lists(
    st.integers(0, 4) | st.text(max_size=3) | st.fixed_dictionaries({"d": st.integers(0, 3) | st.text(max_size=3)}),
    max_size=5,
)
FEW_NUMBERS = st.integers(-2, 5)
PAYLOADS: dict[str, st.SearchStrategy[Any]] = {
    "connect": st.fixed_dictionaries(
        {"token": st.sampled_from(["", "a.b.c", "x"]), "deviceId": st.text(max_size=3), "clientVersion": st.just("1")}
    ),
    "join_room": st.fixed_dictionaries(
        {"roomId": st.sampled_from(["r", "t", "t2"])},
        optional={"lastSyncVersion": FEW_NUMBERS, "epoch": st.text(max_size=2), "documentType": st.just("text")},
    ),
    "leave_room": st.fixed_dictionaries({"roomId": st.sampled_from(["r", "t", "nowhere"])}),
    "activate_room": st.fixed_dictionaries({"roomId": st.sampled_from(["r", "t", "nowhere"])}),
    "cursor_move": st.fixed_dictionaries(
        dict.fromkeys(("x", "y", "viewportX", "viewportY", "timestamp"), st.floats(-1e8, 1e8) | FEW_NUMBERS)
    ),
    "selection_change": st.fixed_dictionaries(
        {
            "ranges": st.lists(st.fixed_dictionaries({"anchor": FEW_NUMBERS, "head": FEW_NUMBERS}), max_size=3),
            "color": st.sampled_from(["#fff", "red", "no colour", ""]),
        },
        optional={"version": FEW_NUMBERS},
    ),
    "presence_update": st.fixed_dictionaries(
        {"presence": st.fixed_dictionaries({}, optional={"status": st.text(max_size=70), "data": JSON_VALUES})}
    ),
    "operation": st.fixed_dictionaries(
        {"operation": TEXT_OPERATIONS, "version": st.integers(0, 40)},
        optional={"checksum": st.sampled_from(["00000000", "2e5a7dd1", "zz"])},
    ),
    "event": st.fixed_dictionaries({"name": st.text(max_size=3)}, optional={"data": JSON_VALUES}),
    "ping": st.fixed_dictionaries({"timestamp": FEW_NUMBERS}),
}
KINDS = sorted(PAYLOADS)


@st.composite
def envelopes(draw: st.DrawFn, *, batches: bool = True) -> dict[str, Any]:
    """A message that is valid or nearly so."""
    kind = draw(st.sampled_from([*KINDS, "batch"] if batches else KINDS))
    if kind == "batch":
        inner = st.lists(envelopes(batches=False), max_size=4)
        payload: Any = {"messages": draw(inner), "compressed": draw(st.booleans())}
    else:
        payload = draw(PAYLOADS[kind])
    fields = draw(
        st.fixed_dictionaries(
            {},
            optional={
                "roomId": st.sampled_from(["r", "t", "nowhere"]),
                "targetUserId": st.sampled_from(["eve", "binary in r", "nobody"]),
                "acknowledgment": st.booleans(),
                "sessionId": st.text(max_size=3),
            },
        )
    )
    return envelope(kind, payload, **fields)


def places(value: Any) -> list[tuple[Any, Any]]:
    """All (container, key) in a JSON value."""
    found: list[tuple[Any, Any]] = []
    for key, inner in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        found.append((value, key))
        found += places(inner)
    return found


@st.composite
def mutated_texts(draw: st.DrawFn) -> bytes:
    """A message with up to three changes to its JSON, and perhaps one to its bytes."""
    message = json.loads(json.dumps(draw(envelopes())))
    for _ in range(draw(st.integers(0, 3))):
        if not (found := places(message)):
            break
        container, key = draw(st.sampled_from(found))
        match draw(st.sampled_from(["replace", "delete", "wrap"])):
            case "replace":
                container[key] = draw(JSON_VALUES)
            case "delete":
                del container[key]
            case "wrap":
                container[key] = draw(st.sampled_from([[container[key]], {"a": container[key]}]))
    text = json.dumps(message, ensure_ascii=draw(st.booleans())).encode("utf-8", "surrogatepass")
    if draw(st.integers(0, 3)) == 0:
        start = draw(st.integers(0, len(text)))
        end = start + draw(st.integers(0, 3))
        text = text[:start] + draw(st.binary(max_size=3)) + text[end:]
    return text


TEXTS = mutated_texts() | JSON_VALUES.map(lambda value: json.dumps(value).encode()) | st.binary(max_size=40)


def is_json_object(data: bytes) -> bool:
    try:
        return isinstance(json.loads(data), dict)
    except (ValueError, RecursionError):
        return False


@KEPT
@given(texts=st.lists(TEXTS, min_size=PER_EXAMPLE, max_size=PER_EXAMPLE))
async def test_random_texts_E1_E6(
    gateway: HasUrl, clients: Clients, bystanders: Bystanders, texts: list[bytes]
) -> None:
    eve = await clients.raw(gateway, "eve", "r")
    for text in texts:
        eve.send(frame(TEXT, text))
        try:
            text.decode()
        except UnicodeDecodeError:
            await eve.closed(1007)
            eve = await clients.raw(gateway, "eve", "r")
            continue
        told = answers(await eve.answers())
        if not is_json_object(text):
            # The refusal of an operation that was sent before may come later (E5), and has that one's id.
            errors = [message.payload for message in told if message.type == "error"]
            codes = [error["code"] for error in errors if "messageId" not in error.get("details", {})]
            assert codes == [INVALID_OPERATION]
    eve.abort()
    await bystanders.notice_nothing()


def is_valid_frame(data: bytes) -> bool:
    """B1, and for selections B4."""
    if len(data) not in (18, 26) or data[:2] not in (b"\0\1", b"\0\2"):
        return False
    coordinates = struct.unpack_from("!ff", data, 6) + struct.unpack(f"!{(len(data) - 18) // 4}f", data[18:])
    if not all(math.isfinite(value) and abs(value) <= 2**24 for value in coordinates):
        return False
    return data[1] == 1 or all(value >= 0 and value == int(value) for value in coordinates[:2])


@st.composite
def nearly_valid_frames(draw: st.DrawFn) -> bytes:
    coordinate = st.floats(width=32) | st.sampled_from([0.0, 1.0, 5.0, 2.0**24, 2.0**24 + 2, -1.0, 0.5])
    viewport = draw(st.none() | st.tuples(coordinate, coordinate))
    data = cursor_frame(
        draw(coordinate),
        draw(coordinate),
        timestamp=draw(st.integers(0, 2**32 - 1)),
        viewport=viewport,
        user=draw(st.integers(0, 2**32 - 1)),
        kind=draw(st.sampled_from([1, 1, 2, 2, 0, 3, 0x0101, 0x0102])),
    )
    return data[: draw(st.sampled_from([100, 100, 100, 25, 18, 17, 2, 0]))]


@KEPT
@given(frames=st.lists(nearly_valid_frames() | st.binary(max_size=60), min_size=PER_EXAMPLE, max_size=PER_EXAMPLE))
async def test_random_binary_frames_B1(
    gateway: HasUrl, clients: Clients, bystanders: Bystanders, frames: list[bytes]
) -> None:
    eve = await clients.raw(gateway, "eve", "r")
    for data in frames:
        eve.send(frame(BINARY, data))
        codes = [message.payload["code"] for message in answers(await eve.answers()) if message.type == "error"]
        assert codes == ([] if is_valid_frame(data) else [INVALID_OPERATION])
    eve.abort()
    await bystanders.notice_nothing()


@dataclass(frozen=True)
class WireFrame:
    opcode: int
    payload: bytes
    fin: bool
    rsv: int
    masked: bool

    def encode(self) -> bytes:
        return frame(self.opcode, self.payload, fin=self.fin, rsv=self.rsv, masked=self.masked)


USUALLY = st.integers(0, 15).map(lambda dice: dice != 0)
CLOSE_PAYLOADS = st.sampled_from([b"", b"\x03", b"\x03\xe8", b"\x03\xe8bye", b"\x03\xe8\xff", b"\x0f\xa0"]) | st.binary(
    min_size=2, max_size=2
)
WIRE_FRAMES = st.builds(
    WireFrame,
    opcode=st.sampled_from([TEXT, TEXT, BINARY, CONTINUATION, CONTINUATION, PING, PONG]) | st.integers(0, 15),
    payload=st.binary(max_size=6)
    | st.sampled_from([b"{}", "é😀".encode(), "é😀".encode()[:4], b"x" * 125, b"x" * 126]),
    fin=USUALLY | st.booleans(),
    rsv=st.sampled_from([0] * 12 + [1, 4]),
    masked=USUALLY,
) | st.builds(
    WireFrame,
    opcode=st.just(CLOSE),
    payload=CLOSE_PAYLOADS,
    fin=USUALLY,
    rsv=st.just(0),
    masked=USUALLY,
)


def is_well_formed(one: WireFrame) -> bool:
    """Whether the head of the frame is what a client may send."""
    control = one.opcode >= CLOSE
    return (
        one.opcode in (CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG)
        and one.rsv == 0
        and one.masked
        and not (control and (len(one.payload) > 125 or not one.fin))
    )


def verdict(frames: list[WireFrame]) -> set[int]:
    """The codes with which a connection may be closed after these frames; none: it lives. RFC 6455, 5.2 to 5.6, 7.4.

    A gateway may look at a next frame before it takes in the one in front of it, and report the fault of that one.
    """
    decoder: codecs.IncrementalDecoder | None = None  # of the text message that is being received
    fragmented = False
    early: set[int] = set()  # what may already be reported, and need not before the message is complete
    for one, behind in zip(frames, [*frames[1:], None], strict=True):
        looked_ahead = {1002, 1007} if behind and (behind.opcode == CLOSE or not is_well_formed(behind)) else set()
        if not is_well_formed(one):
            return early | {1002} | looked_ahead
        if one.opcode == CLOSE:
            return early | close_verdict(one.payload) | looked_ahead
        if one.opcode > CLOSE:
            continue
        if (one.opcode == CONTINUATION) != fragmented:
            return early | {1002} | looked_ahead
        if one.opcode != CONTINUATION:
            decoder = codecs.getincrementaldecoder("utf-8")() if one.opcode == TEXT else None
        if decoder is not None:
            try:
                decoder.decode(one.payload, one.fin)
            except UnicodeDecodeError:
                early = {1007}
            if one.fin and early:
                return early | looked_ahead
        fragmented = not one.fin
    return early


def close_verdict(payload: bytes) -> set[int]:
    if not payload:
        return {0, 1000}  # no code at all, or the usual one
    code = int.from_bytes(payload[:2], "big")
    if len(payload) == 1 or not (code in (*range(1000, 1004), *range(1007, 1015)) or 3000 <= code < 5000):
        return {1002}
    try:
        payload[2:].decode()
    except UnicodeDecodeError:
        return {1002, 1007}
    return {code}


CLOSES = [WireFrame(CLOSE, b"", True, 0, True)]


@KEPT
@given(frames=st.lists(WIRE_FRAMES, min_size=PER_EXAMPLE, max_size=2 * PER_EXAMPLE))
async def test_random_sequences_of_frames_E6_X3(
    gateway: HasUrl, clients: Clients, bystanders: Bystanders, frames: list[WireFrame]
) -> None:
    eve = await clients.raw(gateway, "eve", "r")
    eve.send(*(one.encode() for one in frames))
    codes = verdict(frames)
    if not codes:
        answers(await eve.alive())
    elif verdict([*frames, *CLOSES]) == codes:
        await eve.closed(*codes)
    else:  # it may end only once the message has ended
        eve.send(frame(CLOSE))
        await eve.closed(*codes, 0, 1000)
    eve.abort()
    await bystanders.notice_nothing()
