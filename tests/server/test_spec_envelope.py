"""The envelope, batches of messages, keep-alive: rules E1 to E7, D1, K1."""

from __future__ import annotations

import asyncio
import json
import time
import uuid
from typing import Any

import pytest
from tests.server.clients import Clients, HasUrl, StartGateway, settled
from tests.server.raw_client import BINARY, CONTINUATION, TEXT, frame
from tests.server.spec_client import cursor_move, envelope
from tests.server.spec_shapes import INVALID_OPERATION, ROOM_NOT_FOUND

MISSING = object()
PING: dict[str, Any] = {"timestamp": 1}
JOIN: dict[str, Any] = {"roomId": "r"}
SELECTION: dict[str, Any] = {"ranges": [{"anchor": 0, "head": 0}], "color": "#123456"}

# One fault each: the type, a payload that is right, and where in the envelope which value is wrong.
FAULTS: list[tuple[str, dict[str, Any], str, Any]] = [
    ("ping", PING, "id", MISSING),
    ("ping", PING, "id", 5),
    ("ping", PING, "id", None),
    ("ping", PING, "id", ""),
    ("ping", PING, "id", "not-a-uuid"),
    ("ping", PING, "id", "6ba7b810-9dad-11d1-80b4-00c04fd430c8"),  # a UUID, but of version 1
    ("ping", PING, "id", "{0d1f2c1e-5c5a-4b7e-9d53-2f6c1f0a8b11}"),
    ("ping", PING, "id", "0d1f2c1e5c5a4b7e9d532f6c1f0a8b11"),
    ("ping", PING, "type", MISSING),
    ("ping", PING, "type", 5),
    ("ping", PING, "type", None),
    ("ping", PING, "type", ""),
    ("ping", PING, "type", "PING"),
    ("ping", PING, "type", "pong"),
    ("ping", PING, "type", "connected"),
    ("ping", PING, "type", "teleport"),
    ("ping", PING, "version", MISSING),
    ("ping", PING, "version", 0),
    ("ping", PING, "version", 2),
    ("ping", PING, "version", "1"),
    ("ping", PING, "version", True),
    ("ping", PING, "timestamp", MISSING),
    ("ping", PING, "timestamp", "now"),
    ("ping", PING, "timestamp", None),
    ("ping", PING, "timestamp", True),
    ("ping", PING, "payload", MISSING),
    ("ping", PING, "payload", None),
    ("ping", PING, "payload", []),
    ("ping", PING, "payload", "{}"),
    ("ping", PING, "sessionId", 5),
    ("ping", PING, "sessionId", "s" * 129),
    ("ping", PING, "roomId", 5),
    ("ping", PING, "targetUserId", 5),
    ("ping", PING, "acknowledgment", "yes"),
    ("ping", PING, "acknowledgment", 1),
    ("ping", PING, "payload.timestamp", MISSING),
    ("ping", PING, "payload.timestamp", "1"),
    ("ping", PING, "payload.timestamp", -1),
    ("ping", PING, "payload.timestamp", 2**53),
    ("connect", {"token": "", "deviceId": "d", "clientVersion": "1"}, "payload.token", MISSING),
    ("connect", {"token": "", "deviceId": "d", "clientVersion": "1"}, "payload.token", 5),
    ("connect", {"token": "", "deviceId": "d", "clientVersion": "1"}, "payload.deviceId", MISSING),
    ("connect", {"token": "", "deviceId": "d", "clientVersion": "1"}, "payload.deviceId", None),
    ("connect", {"token": "", "deviceId": "d", "clientVersion": "1"}, "payload.clientVersion", MISSING),
    ("join_room", JOIN, "payload.roomId", MISSING),
    ("join_room", JOIN, "payload.roomId", 5),
    ("join_room", JOIN, "payload.roomId", ""),
    ("join_room", JOIN, "payload.lastSyncVersion", "1"),
    ("join_room", JOIN, "payload.lastSyncVersion", -1),
    ("join_room", JOIN, "payload.lastSyncVersion", 1.5),
    ("join_room", JOIN, "payload.epoch", 5),
    ("join_room", JOIN, "payload.documentType", 5),
    ("join_room", JOIN, "payload.documentType", "spreadsheet"),
    ("leave_room", JOIN, "payload.roomId", MISSING),
    ("leave_room", JOIN, "payload.roomId", None),
    ("activate_room", JOIN, "payload.roomId", MISSING),
    ("activate_room", JOIN, "payload.roomId", {}),
    ("cursor_move", cursor_move(1, 2), "payload.x", MISSING),
    ("cursor_move", cursor_move(1, 2), "payload.x", "1"),
    ("cursor_move", cursor_move(1, 2), "payload.y", None),
    ("cursor_move", cursor_move(1, 2), "payload.y", 1e300),
    ("cursor_move", cursor_move(1, 2), "payload.viewportX", MISSING),
    ("cursor_move", cursor_move(1, 2), "payload.viewportY", []),
    ("cursor_move", cursor_move(1, 2), "payload.timestamp", MISSING),
    ("cursor_move", cursor_move(1, 2), "payload.timestamp", "soon"),
    ("selection_change", SELECTION, "payload.ranges", MISSING),
    ("selection_change", SELECTION, "payload.ranges", {"anchor": 0, "head": 0}),
    ("selection_change", SELECTION, "payload.ranges[0]", None),
    ("selection_change", SELECTION, "payload.ranges[0].head", MISSING),
    ("selection_change", SELECTION, "payload.ranges[0].head", "0"),
    ("selection_change", SELECTION, "payload.ranges[0].head", -1),
    ("selection_change", SELECTION, "payload.ranges[0].anchor", 0.5),
    ("selection_change", SELECTION, "payload.color", MISSING),
    ("selection_change", SELECTION, "payload.color", 5),
    ("selection_change", SELECTION, "payload.version", "0"),
    ("selection_change", SELECTION, "payload.version", -1),
    ("presence_update", {"presence": {}}, "payload.presence", MISSING),
    ("presence_update", {"presence": {}}, "payload.presence", "here"),
    ("presence_update", {"presence": {}}, "payload.presence.status", 5),
    ("operation", {"operation": ["a"], "version": 0}, "payload.operation", MISSING),
    ("operation", {"operation": ["a"], "version": 0}, "payload.version", MISSING),
    ("operation", {"operation": ["a"], "version": 0}, "payload.version", "0"),
    ("operation", {"operation": ["a"], "version": 0}, "payload.version", -1),
    ("operation", {"operation": ["a"], "version": 0}, "payload.version", 0.5),
    ("operation", {"operation": ["a"], "version": 0}, "payload.version", None),
    ("operation", {"operation": ["a"], "version": 0}, "payload.checksum", 5),
    ("operation", {"operation": ["a"], "version": 0}, "payload.checksum", "2e5a7dd"),
    ("operation", {"operation": ["a"], "version": 0}, "payload.checksum", "2E5A7DD1"),
    ("operation", {"operation": ["a"], "version": 0}, "payload.checksum", "0x5a7dd1"),
    ("event", {"name": "e"}, "payload.name", MISSING),
    ("event", {"name": "e"}, "payload.name", 5),
    ("event", {"name": "e"}, "payload.name", ""),
    ("event", {"name": "e"}, "payload.name", "e" * 129),
    ("batch", {"messages": [], "compressed": False}, "payload.messages", MISSING),
    ("batch", {"messages": [], "compressed": False}, "payload.messages", {}),
    ("batch", {"messages": [], "compressed": False}, "payload.compressed", MISSING),
    ("batch", {"messages": [], "compressed": False}, "payload.compressed", "no"),
]


def with_fault(message: dict[str, Any], path: str, value: Any) -> dict[str, Any]:
    """A copy of the message in which the place that the path names holds the value, or is missing."""
    copy: dict[str, Any] = json.loads(json.dumps(message))
    names = path.replace("[", ".").replace("]", "").split(".")
    steps: list[Any] = [int(name) if name.isdigit() else name for name in names]
    place: Any = copy
    for step in steps[:-1]:
        place = place[step]
    if value is MISSING:
        del place[steps[-1]]
    else:
        place[steps[-1]] = value
    return copy


@pytest.mark.parametrize(("type", "payload", "path", "value"), FAULTS)
async def test_the_path_names_the_field_that_is_wrong_E1_X2(
    gateway: HasUrl,
    clients: Clients,
    type: str,  # noqa: A002
    payload: dict[str, Any],
    path: str,
    value: Any,
) -> None:
    alice = await clients.enter(gateway, "alice", "r")
    message = with_fault(envelope(type, payload), path, value)
    await alice.send_text(json.dumps(message))
    details = await alice.refused(INVALID_OPERATION)
    assert details["path"] == path
    if path != "id":
        assert details["messageId"] == message["id"]
    await alice.barrier()
    assert not alice.inbox


async def test_a_fault_deep_in_a_list_is_named_E1(gateway: HasUrl, clients: Clients) -> None:
    alice = await clients.enter(gateway, "alice", "r")
    payload = SELECTION | {"ranges": [{"anchor": 0, "head": 0}, {"anchor": 0, "head": 0}, {"anchor": 0}]}
    assert (await alice.refusal(INVALID_OPERATION, "selection_change", payload))["path"] == "payload.ranges[2].head"


@pytest.mark.parametrize("text", ["", " ", "{", "null", "5", '"ping"', "[]", "[{}]", "{}", "{'id': 1}", "\ufeff{}"])
async def test_what_is_no_json_object_of_this_shape_is_refused_E1(gateway: HasUrl, clients: Clients, text: str) -> None:
    alice = await clients.enter(gateway, "alice")
    await alice.send_text(text)
    assert "messageId" not in await alice.refused(INVALID_OPERATION)
    await alice.barrier()


async def test_an_id_in_upper_case_comes_back_as_it_was_E1(gateway: HasUrl, clients: Clients) -> None:
    alice = await clients.enter(gateway, "alice")
    for message_id in (str(uuid.uuid4()).upper(), str(uuid.uuid4())):
        await alice.send("ping", PING, id=message_id, acknowledgment=True)
        assert (await alice.expect("ack")).payload == {"messageId": message_id}


async def test_unknown_fields_are_ignored_E2(gateway: HasUrl, clients: Clients) -> None:
    alice = await clients.enter(gateway, "alice", "r")
    bob = await clients.enter(gateway, "bob", "r")
    strange = {"later": {"deep": [1, {"deeper": None}]}}
    selection = {**SELECTION, "ranges": [{"anchor": 0, "head": 0, **strange}], **strange}
    await alice.send("selection_change", selection, **strange)
    update = await bob.expect("presence_update")
    assert update.payload["presence"]["selection"]["ranges"] == [{"anchor": 0, "head": 0}]


async def test_the_longest_session_id_is_taken_E1(gateway: HasUrl, clients: Clients) -> None:
    alice = await clients.enter(gateway, "alice")
    await alice.send("ping", PING, sessionId="s" * 128)
    await alice.expect("pong")


async def test_what_concerns_a_room_names_it_E3(gateway: HasUrl, clients: Clients) -> None:
    alice = await clients.enter(gateway, "alice", "r", "s")
    bob = await clients.enter(gateway, "bob", "r", "s")
    for room in ("r", "s"):
        await bob.send("event", {"name": "hello"}, roomId=room)
        await bob.operate(["x"], 0, roomId=room)
        await bob.send("presence_update", {"presence": {"status": "busy"}}, roomId=room)
        await bob.leave(room)
        for kind in ("user_joined", "event", "operation_broadcast", "presence_update", "user_left"):
            assert (await alice.expect(kind)).room == room


async def test_an_acknowledgment_is_sent_if_asked_for_E4(gateway: HasUrl, clients: Clients) -> None:
    alice = await clients.enter(gateway, "alice", "r")
    messages: list[tuple[str, dict[str, Any]]] = [
        ("connect", {"token": "", "deviceId": "d", "clientVersion": "1"}),
        ("join_room", {"roomId": "s"}),
        ("activate_room", {"roomId": "r"}),
        ("leave_room", {"roomId": "s"}),
        ("cursor_move", cursor_move(1, 2)),
        ("selection_change", SELECTION),
        ("presence_update", {"presence": {"status": "here"}}),
        ("event", {"name": "e"}),
        ("ping", PING),
    ]
    for kind, payload in messages:
        message_id = await alice.send(kind, payload, acknowledgment=True)
        assert (await alice.expect("ack")).payload == {"messageId": message_id}
        await alice.send(kind, payload, acknowledgment=False)
        await alice.send(kind, payload)
        await alice.barrier()
        assert not alice.take("ack")
        if kind == "leave_room":  # twice more, of a room that was left
            assert [error.payload["code"] for error in alice.take("error")] == [ROOM_NOT_FOUND] * 2


async def test_a_failure_is_answered_with_an_error_alone_E4(gateway: HasUrl, clients: Clients) -> None:
    alice = await clients.enter(gateway, "alice", "r")
    await alice.refusal(ROOM_NOT_FOUND, "leave_room", {"roomId": "s"}, acknowledgment=True)
    await alice.refusal(INVALID_OPERATION, "event", {"name": ""}, acknowledgment=True)
    assert not alice.take("ack")


async def test_messages_are_carried_out_and_answered_in_their_order_E5(gateway: HasUrl, clients: Clients) -> None:
    alice = await clients.enter(gateway, "alice")
    alice.take()
    expected: list[tuple[str, Any]] = []
    for index in range(40):
        room = f"room-{index % 3}"
        if index % 4 == 0:
            await alice.send("join_room", {"roomId": room})
            expected.append(("room_joined", room))
            await alice.send("leave_room", {"roomId": room})
            expected.append(("room_left", room))
        elif index % 4 == 1:
            await alice.send("ping", {"timestamp": index})
            expected.append(("pong", index))
        elif index % 4 == 2:
            await alice.send("leave_room", {"roomId": "never"})
            expected.append(("error", ROOM_NOT_FOUND))
        else:
            await alice.send("teleport", {})
            expected.append(("error", INVALID_OPERATION))
    await alice.barrier()
    answers = [
        (message.type, payload.get("roomId") or payload.get("code") or payload.get("timestamp"))
        for message in alice.take()
        if (payload := message.payload)
    ]
    assert answers == expected


@pytest.mark.parametrize("bad", [b"\xff", b"\xc3\x28", b"\xed\xa0\x80", b"\xf5\x80\x80\x80", b"\xc0\x80", b"\xe2\x82"])
async def test_text_that_is_not_utf8_closes_E6(gateway: HasUrl, clients: Clients, bad: bytes) -> None:
    alice = await clients.raw(gateway, "alice")
    good = json.dumps(envelope("ping", PING) | {"later": "@"}).encode()
    alice.send(frame(TEXT, good.replace(b"@", bad)))
    await alice.closed(1007)


# Length -----------------------------------------------------------------------------------------------------

LIMIT = 4096


def ping_of(length: int) -> str:
    """A ping of so many bytes."""
    message = envelope("ping", PING, later="")
    return json.dumps(message | {"later": "x" * (length - len(json.dumps(message)))})


async def test_a_message_of_the_greatest_length_is_carried_out_E7(
    start_gateway: StartGateway, clients: Clients
) -> None:
    gateway = await start_gateway({"client.max_message_bytes": LIMIT})
    alice = await clients.enter(gateway, "alice")
    await alice.send_text(ping_of(LIMIT))
    await alice.expect("pong")
    text = ping_of(LIMIT)
    await alice.send_fragments(text[:1000], text[1000:1001], text[1001:])
    await alice.expect("pong")


@pytest.mark.parametrize("size", [LIMIT + 1, 2 * LIMIT - 1, 2 * LIMIT])
async def test_an_oversized_message_is_refused_and_the_connection_lives_E7(
    start_gateway: StartGateway, clients: Clients, size: int
) -> None:
    gateway = await start_gateway({"client.max_message_bytes": LIMIT})
    alice = await clients.enter(gateway, "alice", "r")
    await alice.send_text(ping_of(size))
    details = await alice.refused(INVALID_OPERATION)
    assert (details["limit"], details["size"]) == (LIMIT, size)
    await alice.send_frame(bytes(size))
    details = await alice.refused(INVALID_OPERATION)
    assert (details["limit"], details["size"]) == (LIMIT, size)
    await alice.barrier()
    assert not alice.take()


@pytest.mark.parametrize("count", [2, 5, 40])
@pytest.mark.parametrize("opcode", [TEXT, BINARY])
async def test_fragments_that_add_up_to_too_much_are_refused_E7(
    start_gateway: StartGateway, clients: Clients, opcode: int, count: int
) -> None:
    gateway = await start_gateway({"client.max_message_bytes": LIMIT})
    alice = await clients.raw(gateway, "alice")
    size = LIMIT - 1  # of each fragment
    alice.send(frame(opcode, b"x" * size, fin=False))
    for _ in range(count - 2):
        alice.send(frame(CONTINUATION, b"x" * size, fin=False))
    assert await alice.alive() == [] or count > 2  # the refusal may come before the message has ended
    alice.send(frame(CONTINUATION, b"x" * size))
    if count == 2:
        details = await alice.refused(INVALID_OPERATION)
        assert details["limit"] == LIMIT
        assert details["size"] > LIMIT
    # The message counts as one: it is refused once, and what follows is read as usual.
    alice.send_json(envelope("ping", PING))
    assert (await alice.message())["type"] in ("pong", "error")
    await alice.alive()


async def test_a_frame_that_announces_twice_too_much_closes_E7(start_gateway: StartGateway, clients: Clients) -> None:
    gateway = await start_gateway({"client.max_message_bytes": LIMIT})
    for opcode in (TEXT, BINARY):
        alice = await clients.raw(gateway, "alice")
        alice.send(frame(opcode, b"", claimed_length=2 * LIMIT + 1))  # and not one byte of it
        await alice.closed(1009)


async def test_the_usual_limit_is_a_mebibyte_E7(gateway: HasUrl, clients: Clients) -> None:
    alice = await clients.enter(gateway, "alice")
    assert alice.connected["limits"]["maxMessageBytes"] == 1 << 20
    await alice.send_text(ping_of(1 << 20))
    await alice.expect("pong")
    await alice.send_text(ping_of((1 << 20) + 1))
    assert (await alice.refused(INVALID_OPERATION))["size"] == (1 << 20) + 1
    await alice.barrier()


# Batches ----------------------------------------------------------------------------------------------------


async def test_a_batch_is_carried_out_in_order_each_with_its_answer_D1(gateway: HasUrl, clients: Clients) -> None:
    alice = await clients.enter(gateway, "alice", "r")
    bob = await clients.enter(gateway, "bob", "r")
    alice.take()
    messages = [
        envelope("operation", {"operation": ["a"], "version": 0}),
        envelope("event", {"name": "first"}),
        envelope("teleport", {}),
        envelope("ping", {"timestamp": 7}),
        envelope("leave_room", {"roomId": "nowhere"}, acknowledgment=True),
        envelope("event", {"name": "second"}, acknowledgment=True),
        envelope("join_room", {"roomId": "s"}),
        {"id": 5},
        envelope("event", {"name": "elsewhere"}),  # to the room that was just joined
    ]
    batch_id = await alice.send("batch", {"messages": messages, "compressed": False}, acknowledgment=True)
    await alice.barrier()
    answers = alice.take()
    errors = [message.payload for message in answers if message.type == "error"]
    assert [error["details"].get("messageId") for error in errors] == [
        messages[2]["id"],
        messages[4]["id"],
        batch_id,  # the message has no id of its own
    ]
    assert errors[2]["details"]["path"].startswith("payload.messages[7]")
    assert [error["code"] for error in errors] == [INVALID_OPERATION, ROOM_NOT_FOUND, INVALID_OPERATION]
    kinds = [message.type for message in answers if message.payload.get("version") != 1]
    assert kinds == ["error", "pong", "error", "ack", "room_joined", "error", "ack"]
    await settled(alice, bob)
    assert [message.payload["name"] for message in bob.take("event")] == ["first", "second"]


async def test_the_path_in_a_batch_names_the_message_D1_E1(gateway: HasUrl, clients: Clients) -> None:
    alice = await clients.enter(gateway, "alice", "r")
    messages = [envelope("ping", PING), envelope("event", {"name": 5})]
    await alice.send("batch", {"messages": messages, "compressed": True})
    await alice.expect("pong")
    details = await alice.refused(INVALID_OPERATION)
    assert details["messageId"] == messages[1]["id"]
    assert details["path"].endswith("payload.name")


@pytest.mark.parametrize("compressed", [False, True])
async def test_a_batch_in_a_batch_is_refused_D1(gateway: HasUrl, clients: Clients, compressed: bool) -> None:
    alice = await clients.enter(gateway, "alice", "r")
    bob = await clients.enter(gateway, "bob", "r")
    inner = envelope("batch", {"messages": [envelope("event", {"name": "inner"})], "compressed": compressed})
    messages = [envelope("event", {"name": "before"}), inner, envelope("event", {"name": "after"})]
    await alice.send("batch", {"messages": messages, "compressed": compressed})
    await alice.refused(INVALID_OPERATION)
    await settled(alice, bob)
    assert "inner" not in [message.payload["name"] for message in bob.take("event")]


async def test_a_batch_of_too_many_is_refused_whole_D1(start_gateway: StartGateway, clients: Clients) -> None:
    gateway = await start_gateway({"rooms.max_messages_per_batch": 3})
    alice = await clients.enter(gateway, "alice")
    messages = [envelope("ping", {"timestamp": index}) for index in range(4)]
    await alice.refusal(INVALID_OPERATION, "batch", {"messages": messages, "compressed": False})
    assert not alice.take("pong")
    await alice.send("batch", {"messages": messages[:3], "compressed": False})
    assert [(await alice.expect("pong")).payload["timestamp"] for _ in range(3)] == [0, 1, 2]
    await alice.send("batch", {"messages": [], "compressed": False}, acknowledgment=True)
    await alice.expect("ack")


# Keep-alive -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("timestamp", [0, 1.5, 1_700_000_000_000, 2**53 - 1])
async def test_the_timestamp_of_a_ping_comes_back_unchanged_K1(
    gateway: HasUrl, clients: Clients, timestamp: float
) -> None:
    alice = await clients.enter(gateway, "alice")
    await alice.send("ping", {"timestamp": timestamp})
    pong = (await alice.expect("pong")).payload
    assert pong["timestamp"] == timestamp
    assert abs(pong["serverTime"] / 1000 - time.time()) < 60


async def test_a_silent_connection_is_pinged_then_closed_K1(start_gateway: StartGateway, clients: Clients) -> None:
    gateway = await start_gateway({"client.heartbeat_interval": 0.2})
    silent = await clients.raw(gateway, "alice")
    awake = await clients.enter(gateway, "bob")  # the websockets library answers pings
    assert awake.connected["heartbeatInterval"] == 200
    began = time.monotonic()
    received = await silent.receive()
    assert received is not None
    assert received.opcode == 0x9
    assert 0.15 < time.monotonic() - began < 0.5
    await silent.closed(4504)
    assert 0.3 < time.monotonic() - began < 1.0
    await asyncio.sleep(0.4)
    await awake.barrier()


async def test_a_connection_that_talks_is_not_silent_K1(start_gateway: StartGateway, clients: Clients) -> None:
    gateway = await start_gateway({"client.heartbeat_interval": 0.2})
    talker = await clients.raw(gateway, "alice")
    for _ in range(15):
        await asyncio.sleep(0.05)
        talker.send_json(envelope("ping", PING))
        assert (await talker.message())["type"] == "pong"
