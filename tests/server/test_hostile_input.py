"""Messages that are wrong in every way: their sender is told, or its connection closed, and nobody else notices.

Here are the ways that are known to break programs, one by one; ``test_random_input`` tries random ones.
"""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.server.clients import Clients, HasUrl, settled
from tests.server.spec_client import cursor_move, envelope
from tests.server.spec_shapes import INVALID_OPERATION, ROOM_NOT_FOUND

from fastcollab.checksums import checksum


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
    "a selection of 20,000 ranges": json.dumps(
        envelope("selection_change", {"ranges": [{"anchor": 0, "head": 0}] * 20_000, "color": "#fff"})
    ),
    "a position of 1,000 steps": json.dumps(
        envelope("selection_change", {"ranges": [{"anchor": ["a"] * 1000, "head": 0}], "color": "#fff"})
    ),
    "4,000 messages in a batch": json.dumps(
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
    "150,000 equal keys": "{" + ",".join(['"a":0'] * 150_000) + "}",
    "100,000 digits": "1" * 100_000,
    "100,000 digits behind the point": "0." + "1" * 100_000,
    "60,000 keys": json.dumps(dict.fromkeys(map(str, range(60_000)), 0)),
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


@pytest.mark.parametrize(
    ("kind", "payload", "around"),
    [
        ("operation", {"operation": "HERE", "version": 0}, 2),
        ("event", {"name": "e", "data": "HERE"}, 2),
        ("presence_update", {"presence": {"data": "HERE"}}, 3),
        ("batch", {"messages": [envelope("event", {"name": "e", "data": "HERE"})], "compressed": False}, 5),
    ],
)
async def test_a_message_that_is_nested_too_deeply_is_refused_whole_X4(
    gateway: HasUrl, clients: Clients, kind: str, payload: dict[str, Any], around: int
) -> None:
    bob = await clients.enter(gateway, "bob", "r")
    eve = await clients.enter(gateway, "eve", "r")
    for levels in (257 - around, 1_000, 10_000, 250_000):
        for opened, closed in (("[", "]"), ('{"":', "}")):
            if len(opened) * levels < 1_000_000:
                await eve.send_text(with_raw(kind, payload, opened * levels + "1" + closed * levels))
                assert (await eve.refused(INVALID_OPERATION))["limit"] == 256
    await settled(eve, bob)
    assert not bob.take("event", "presence_update", "operation_broadcast")
    await eve.operate(["still here"], 0)


async def test_a_message_may_be_as_deep_as_that_X4(gateway: HasUrl, clients: Clients) -> None:
    bob = await clients.enter(gateway, "bob", "r")
    eve = await clients.enter(gateway, "eve", "r")
    await eve.send_text(raw_event("[" * 254 + "]" * 254))
    assert json.dumps((await bob.expect("event")).payload["data"]) == "[" * 254 + "]" * 254


def lists(levels: int) -> Any:
    return json.loads("[" * levels + "]" * levels)


@pytest.mark.parametrize(
    ("kind", "deepest", "too_deep", "next_one"),
    [
        ("json1", ["a", {"i": lists(199)}], ["b", {"i": lists(200)}], ["a", *[0] * 198, {"i": 1}]),
        ("rich-text", [{"insert": {"a": lists(63)}}], [{"insert": {"a": lists(64)}}], [{"insert": "x"}]),
    ],
)
async def test_the_deepest_documents_are_written_stored_and_opened_again_X4(
    start_gateway: Any, clients: Clients, tmp_path: Any, kind: str, deepest: Any, too_deep: Any, next_one: Any
) -> None:
    settings = {"engine.url": f"sqlite:{tmp_path}/documents.db"}
    gateway = await start_gateway(settings)
    bob = await clients.enter(gateway, "bob")
    await bob.join("r", documentType=kind)
    ada = await clients.enter(gateway, "ada")
    await ada.join("r", documentType=kind)
    await ada.operate(deepest, 0)
    await ada.refusal(INVALID_OPERATION, "operation", {"operation": too_deep, "version": 1})
    # Written against the same version, so that it is transformed.
    await ada.operate(next_one, 1)
    await bob.operate(next_one, 1)
    content = (await bob.join("r"))["documentState"]["data"]
    await ada.send("operation", {"operation": next_one, "version": 3, "checksum": checksum(content)})
    await ada.expect("ack")
    await gateway.stop()
    for client in (ada, bob):
        client.take()
    again = await clients.enter(await start_gateway(settings), "ada")
    joined = await again.join("r")
    assert joined["version"] == 4
    await again.send("get_document", {"version": 3})
    assert (await again.expect("document")).payload["documentState"]["data"] == content


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
