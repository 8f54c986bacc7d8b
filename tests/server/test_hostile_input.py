"""Messages that are wrong in every way: their sender is told, or its connection closed, and nobody else notices.

First the ways that are known to have broken other programs, one by one; then random ones, several to a connection,
1,200 in the usual run and 12,000 with ``--hypothesis-profile=full``. Two pairs of users, one in the room that is
attacked and one in another, write together and see each other's cursors after each example.
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
from tests.server.clients import Clients, HasUrl, settled
from tests.server.raw_client import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, Frame, frame
from tests.server.spec_client import cursor_frame, cursor_move, envelope
from tests.server.spec_shapes import INTERNAL_ERROR, INVALID_OPERATION, ROOM_NOT_FOUND, Message, parse_frame

# One by one ---------------------------------------------------------------------------------------------------------


def raw_event(data: str, **fields: object) -> str:
    """An ``event`` whose ``data`` is this JSON text."""
    return json.dumps(envelope("event", {"name": "e", "data": "DATA"}, **fields)).replace('"DATA"', data)


def with_raw(kind: str, payload: dict[str, Any], text: str) -> str:
    """A message in which the string ``"HERE"`` is replaced by this JSON text."""
    return json.dumps(envelope(kind, payload)).replace('"HERE"', text)


OPERATION: dict[str, Any] = {"operation": ["a"], "version": 0}
REFUSED: dict[str, str] = {
    "10,000 levels of lists": raw_event("[" * 10_000 + "]" * 10_000),
    "10,000 levels of objects": raw_event('{"a":' * 10_000 + "1" + "}" * 10_000),
    "10,000 levels of lists in an unknown field": raw_event("1", later="HERE").replace(
        '"HERE"', "[" * 10_000 + "]" * 10_000
    ),
    "10,000 levels in an operation": with_raw(
        "operation", OPERATION | {"operation": "HERE"}, "[" * 10_000 + "]" * 10_000
    ),
    "10,000 levels and nothing else": "[" * 10_000,
    "10,000 levels in presence": with_raw(
        "presence_update", {"presence": {"data": "HERE"}}, "[" * 10_000 + "]" * 10_000
    ),
    "10,000 levels of batches": '{"payload":{"messages":[' * 10_000,
    "an infinite number": raw_event("1e400"),
    "minus infinity": raw_event("-1e400"),
    "NaN": raw_event("NaN"),
    "Infinity": raw_event("Infinity"),
    "an infinite coordinate": with_raw("cursor_move", cursor_move(0, 0) | {"x": "HERE"}, "1e400"),
    "NaN as a coordinate": with_raw("cursor_move", cursor_move(0, 0) | {"x": "HERE"}, "NaN"),
    "a huge coordinate": with_raw("cursor_move", cursor_move(0, 0) | {"y": "HERE"}, "16777218"),
    "a huge viewport": with_raw("cursor_move", cursor_move(0, 0) | {"viewportX": "HERE"}, "-1e39"),
    "a huge version": with_raw("operation", OPERATION | {"version": "HERE"}, "1" + "0" * 400),
    "a version of 2**64": with_raw("operation", OPERATION | {"version": "HERE"}, str(2**64)),
    "a huge position": with_raw("operation", OPERATION | {"operation": ["HERE", "a"]}, "9" * 100),
    "a lone surrogate in an event": raw_event(r'"\ud800"'),
    "a lone surrogate in an operation": with_raw("operation", OPERATION | {"operation": ["HERE"]}, r'"\udfff"'),
    "a lone surrogate in a room": with_raw("join_room", {"roomId": "HERE"}, r'"\ud800"'),
    "a lone surrogate in a status": with_raw("presence_update", {"presence": {"status": "HERE"}}, r'"\ud83d"'),
    "swapped surrogates": raw_event(r'"\ude00\ud83d"'),
    "NUL in a room": with_raw("join_room", {"roomId": "HERE"}, r'"a\u0000b"'),
    "a raw NUL": raw_event('"\0"'),
    "a raw NUL after the message": raw_event("1") + "\0",
    "a raw line end in a string": raw_event('"\n"'),
    "two messages": raw_event("1") * 2,
    "a comment": raw_event("1 /* one */"),
    "a trailing comma": raw_event("[1,]"),
    "a leading zero": raw_event("01"),
    "a hexadecimal number": raw_event("0x10"),
    "single quotes": raw_event("'a'"),
    "an unknown escape": raw_event(r'"\x41"'),
    "a byte order mark": "\ufeff" + raw_event("1"),
    "a list of messages": f"[{raw_event('1')}]",
    "a string of a message": json.dumps(raw_event("1")),
    "a number": "1",
    "a million digits": "1" * 1_000_000,
    "half a message": raw_event("1")[:60],
    "a selection of 100,000 ranges": json.dumps(
        envelope("selection_change", {"ranges": [{"anchor": 0, "head": 0}] * 20_000, "color": "#fff"})
    ),
    "a position of 1,000 steps": json.dumps(
        envelope("selection_change", {"ranges": [{"anchor": ["a"] * 1000, "head": 0}], "color": "#fff"})
    ),
    "10,000 messages in a batch": json.dumps(
        envelope("batch", {"messages": [envelope("ping", {"timestamp": 1})] * 4000, "compressed": False})
    ),
}


@pytest.mark.parametrize("case", REFUSED)
async def test_a_hostile_message_is_refused_and_the_connection_lives_E1(
    gateway: HasUrl, clients: Clients, case: str
) -> None:
    bob = await clients.enter(gateway, "bob", "r")
    eve = await clients.enter(gateway, "eve", "r")
    await eve.send_text(REFUSED[case])
    await eve.refused(INVALID_OPERATION)
    await settled(eve, bob)
    assert not bob.take("event", "presence_update", "operation_broadcast")
    assert not eve.inbox
    await eve.operate(["still here"], 0)
    await bob.expect("operation_broadcast")


EITHER: dict[str, str] = {
    "500 levels": "[" * 500 + "]" * 500,
    "a big integer": str(2**70),
    "a negative big integer": str(-(2**64)),
    "an integer of 400 digits": "1" * 400,
    "a tiny number": "1e-400",
    "a number with 1,000 digits": "0." + "1" * 1000,
    "100,000 keys": json.dumps(dict.fromkeys(map(str, range(60_000)), 0)),
    "a long key": json.dumps({"k" * 500_000: 1}),
    "keys with NUL": r'{"a\u0000b": "\u0000"}',
    "a key __proto__": '{"__proto__": {"polluted": true}, "constructor": 1}',
    "minus zero": "-0.0",
    "a non-character": r'"\uffff\ufdd0"',
}


@pytest.mark.parametrize("case", EITHER)
async def test_a_strange_value_is_passed_on_as_it_is_or_refused_E1_V2(
    gateway: HasUrl, clients: Clients, case: str
) -> None:
    bob = await clients.enter(gateway, "bob", "r")
    eve = await clients.enter(gateway, "eve", "r")
    await eve.send_text(raw_event(EITHER[case]))
    await settled(eve, bob)
    errors, events = eve.take("error"), bob.take("event")
    assert len(errors) + len(events) == 1
    if events:
        assert events[0].payload["data"] == json.loads(EITHER[case])
    else:
        assert errors[0].payload["code"] == INVALID_OPERATION


async def test_of_two_equal_keys_one_is_taken_for_all_purposes_E1(gateway: HasUrl, clients: Clients) -> None:
    """What is checked is what is carried out: no key passes the check with one value and acts by another."""
    bob = await clients.enter(gateway, "bob", "s")
    eve = await clients.enter(gateway, "eve", "r", claims={"rooms": {"r": "read"}})
    operation = json.dumps(envelope("operation", OPERATION))
    for text in (
        operation.replace('{"id"', '{"roomId": "r", "roomId": "s", "id"'),
        operation.replace('{"id"', '{"roomId": "s", "roomId": "r", "id"'),
        operation.replace('"type": "operation"', '"type": "ping", "type": "operation"'),
        operation.replace('"type": "operation"', '"type": "operation", "type": "event"'),
    ):
        await eve.send_text(text)
        assert (await eve.expect("error")).payload["code"] in (2001, 2003, 3001)
    await settled(eve, bob)
    assert not bob.take("operation_broadcast", "event")


async def test_another_user_is_not_spoken_for_B2(gateway: HasUrl, clients: Clients) -> None:
    """No field with which a message claims to come from somebody else is believed."""
    bob = await clients.enter(gateway, "bob", "r")
    alice = await clients.enter(gateway, "alice", "r")
    eve = await clients.enter(gateway, "eve", "r")
    claims: dict[str, Any] = {"userId": "alice", "numericId": alice.number, "sub": "alice"}
    await eve.send("event", {"name": "e", **claims}, **claims)
    await eve.send("cursor_move", cursor_move(1, 2) | claims, **claims)
    await eve.send("operation", OPERATION | claims, **claims)
    for kind in ("event", "presence_update", "operation_broadcast"):
        payload = (await bob.expect(kind)).payload
        assert (payload["userId"], payload["numericId"]) == ("eve", eve.number)


@pytest.mark.parametrize("room", ["r", None])
async def test_server_messages_are_not_taken_from_a_client_E2(
    gateway: HasUrl, clients: Clients, room: str | None
) -> None:
    bob = await clients.enter(gateway, "bob", "r")
    eve = await clients.enter(gateway, "eve", "r")
    fields = {"roomId": room} if room else {}
    for kind in ("connected", "room_joined", "user_left", "operation_broadcast", "ack", "error", "pong"):
        details = await eve.refusal(INVALID_OPERATION, kind, {"roomId": "r", "userId": "bob"}, **fields)
        assert details["path"] == "type"
    await settled(bob)
    assert [message.type for message in bob.inbox] == ["user_joined"]


async def test_a_thousand_rooms_that_nobody_is_in_R3(gateway: HasUrl, clients: Clients) -> None:
    eve = await clients.enter(gateway, "eve", "r")
    for index in range(1000):
        await eve.send("event", {"name": "e"}, roomId=f"nowhere-{index}")
    for _ in range(1000):
        await eve.refused(ROOM_NOT_FOUND)


# At random ----------------------------------------------------------------------------------------------------------

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
            assert [message.payload.get("code") for message in told if message.type == "error"] == [INVALID_OPERATION]
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
