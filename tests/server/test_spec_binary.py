"""Cursors and selections in binary frames, and their JSON twins: rules B1 to B10."""

from __future__ import annotations

import asyncio
import json
import math
import struct
import time
from typing import Any

import pytest
from tests.server.clients import Clients, HasUrl, settled
from tests.server.raw_client import BINARY, TEXT, RawClient, frame
from tests.server.spec_client import SpecClient, cursor_frame, cursor_move, envelope
from tests.server.spec_shapes import BATCHED, CURSOR, INVALID_OPERATION, PLAIN, SELECTION, parse_frame

LARGEST = 2.0**24


async def binary(clients: Clients, gateway: HasUrl, user: str, *rooms: str) -> SpecClient:
    """A client of ``fastcollab.v1`` that gets binary frames, having sent one."""
    client = await clients.enter(gateway, user, *rooms)
    await client.send_frame(cursor_frame(0, 0))
    await client.barrier()
    return client


async def quiet(*clients: SpecClient) -> None:
    """All cursors that were sent have arrived, and are forgotten."""
    await settled(*clients)
    await asyncio.sleep(0.1)
    for client in clients:
        client.take()
        client.records.clear()


# What may be sent -------------------------------------------------------------------------------------------

GOOD_FRAMES = [
    cursor_frame(0, 0),
    cursor_frame(-0.0, 1e-40),
    cursor_frame(LARGEST, -LARGEST, timestamp=2**32 - 1, viewport=(LARGEST, -LARGEST)),
    cursor_frame(1.5, -2, timestamp=1000, viewport=(0, 640)),
    cursor_frame(0, LARGEST, kind=SELECTION),
    cursor_frame(3, 1, kind=SELECTION, viewport=(1, 2)),
]
BEYOND = LARGEST + 2  # the float32 after it
BAD_FRAMES: dict[str, bytes] = (
    {f"{size} bytes": cursor_frame(1, 2, viewport=(3, 4)).ljust(40, b"\0")[:size] for size in range(41)}
    | {f"type {kind:#06x}": cursor_frame(1, 2, kind=kind) for kind in (0, 3, 0x0101, 0x0102, 0x0100, 0xFFFF)}
    | {
        f"{name} is {value}": cursor_frame(value, 2) if name == "x" else cursor_frame(1, value)
        for name in "xy"
        for value in (math.nan, math.inf, -math.inf, BEYOND, -BEYOND, 3e38)
    }
    | {
        f"viewport {viewport}": cursor_frame(1, 2, viewport=viewport)
        for value in (math.nan, math.inf, -math.inf, BEYOND, -BEYOND)
        for viewport in ((value, 0), (0, value))
    }
    | {
        f"selection at {x}, {y}": cursor_frame(x, y, kind=SELECTION)
        for x, y in ((0.5, 1), (1, 0.5), (-1, 1), (1, -1), (math.nan, 1), (BEYOND, 1), (1, 1e-40))
    }
)
del BAD_FRAMES["18 bytes"], BAD_FRAMES["26 bytes"]


async def test_good_frames_B1(gateway: HasUrl, clients: Clients) -> None:
    alice = await clients.enter(gateway, "alice", "r")
    bob = await clients.enter(gateway, "bob", "r", batched=True)
    for data in GOOD_FRAMES:
        await alice.send_frame(data)
        sent = parse_frame(data, 0, batched=False)[0]
        record = await bob.expect_record()
        assert (record.kind, record.x, record.y) == (sent.kind, sent.x, sent.y)
        if record.kind == CURSOR:
            assert record.viewport == sent.viewport


@pytest.mark.parametrize("bad", BAD_FRAMES)
async def test_bad_frames_are_refused_and_the_connection_lives_B1(gateway: HasUrl, clients: Clients, bad: str) -> None:
    alice = await clients.enter(gateway, "alice", "r")
    bob = await clients.enter(gateway, "bob", "r", batched=True)
    await alice.send_frame(BAD_FRAMES[bad])
    await alice.refused(INVALID_OPERATION)
    await alice.send_frame(cursor_frame(7, 7))
    record = await bob.expect_record()
    assert (record.x, record.y) == (7, 7)
    assert not bob.take("presence_update")


async def test_the_user_field_is_not_believed_B2(gateway: HasUrl, clients: Clients) -> None:
    alice = await clients.enter(gateway, "alice", "r")
    bob = await clients.enter(gateway, "bob", "r", batched=True)
    carol = await binary(clients, gateway, "carol", "r")
    dave = await clients.enter(gateway, "dave", "r")
    await quiet(bob, carol, dave)
    for claimed in (bob.number, carol.number, 0, 2**32 - 1):
        await alice.send_frame(cursor_frame(1, 2, user=claimed))
        assert (await bob.expect_record()).user == alice.number
        assert (await carol.expect_record()).user == alice.number
        update = (await dave.expect("presence_update")).payload
        assert (update["userId"], update["numericId"]) == ("alice", alice.number)


@pytest.mark.parametrize("timestamp", [0, 1, 1000, 2**31, 2**32 - 1])
async def test_the_timestamp_is_passed_on_unchanged_B3(gateway: HasUrl, clients: Clients, timestamp: int) -> None:
    alice = await clients.enter(gateway, "alice", "r")
    bob = await clients.enter(gateway, "bob", "r", batched=True)
    carol = await binary(clients, gateway, "carol", "r")
    await quiet(bob, carol)
    await alice.send_frame(cursor_frame(1, 2, timestamp=timestamp))
    assert (await bob.expect_record()).timestamp == timestamp
    assert (await carol.expect_record()).timestamp == timestamp
    await alice.send("cursor_move", cursor_move(3, 4, timestamp=timestamp))
    assert (await bob.expect_record()).timestamp == timestamp


async def test_nothing_is_ordered_by_the_timestamp_B3(gateway: HasUrl, clients: Clients) -> None:
    """It wraps; and a JSON cursor may carry the whole Unix time."""
    alice = await clients.enter(gateway, "alice", "r")
    bob = await clients.enter(gateway, "bob", "r", batched=True)
    for x, timestamp in enumerate([2**32 - 1, 0, 5, 1]):
        await alice.send_frame(cursor_frame(x, 0, timestamp=timestamp))
        record = await bob.expect_record()
        assert (record.x, record.timestamp) == (x, timestamp)
    now = int(time.time() * 1000)
    await alice.send("cursor_move", cursor_move(9, 9, timestamp=now))
    assert (await bob.expect_record()).timestamp == now % 2**32


async def test_a_selection_frame_is_shown_to_all_B4(gateway: HasUrl, clients: Clients) -> None:
    alice = await clients.enter(gateway, "alice", "r", claims={"color": "#abcdef"})
    batched = await clients.enter(gateway, "bob", "r", batched=True)
    plain = await binary(clients, gateway, "carol", "r")
    json_only = await clients.enter(gateway, "dave", "r")
    await json_only.operate(["some text"], 0)
    await quiet(batched, plain, json_only)
    await alice.send_frame(cursor_frame(7, 2, kind=SELECTION, timestamp=5))
    for receiver in (batched, plain):
        record = await receiver.expect_record()
        assert (record.kind, record.user, record.x, record.y) == (SELECTION, alice.number, 7, 2)
        assert record.timestamp == 5
    update = await json_only.expect("presence_update")
    assert update.payload["presence"] == {
        "selection": {"ranges": [{"anchor": 7, "head": 2}], "color": "#abcdef", "version": 1}
    }
    late = await clients.enter(gateway, "late", "r")
    (me,) = [one for one in late.rooms["r"]["participants"] if one["userId"] == "alice"]
    assert me["presence"]["selection"]["ranges"] == [{"anchor": 7, "head": 2}]


async def test_a_selection_message_reaches_all_as_a_message_B4(gateway: HasUrl, clients: Clients) -> None:
    alice = await clients.enter(gateway, "alice", "r", batched=True)
    batched = await clients.enter(gateway, "bob", "r", batched=True)
    plain = await binary(clients, gateway, "carol", "r")
    await quiet(alice, batched, plain)
    ranges = [{"anchor": 0, "head": 0}, {"anchor": 0, "head": 0}]
    await alice.send("selection_change", {"ranges": ranges, "color": "#123"})
    for receiver in (batched, plain):
        update = await receiver.expect("presence_update")
        assert update.payload["presence"]["selection"]["ranges"] == ranges
    await quiet(batched, plain)
    assert not [record for record in batched.records + plain.records if record.kind == SELECTION]


# Who gets what ----------------------------------------------------------------------------------------------


async def test_cursors_come_as_messages_until_a_frame_was_sent_B5(gateway: HasUrl, clients: Clients) -> None:
    alice = await clients.enter(gateway, "alice", "r")
    bob = await clients.enter(gateway, "bob", "r")
    await alice.send_frame(cursor_frame(1.5, -2))
    update = await bob.expect("presence_update")
    assert update.batch is not None
    assert update.payload["presence"] == {"cursor": {"x": 1.5, "y": -2}}
    await alice.send_frame(cursor_frame(1, 2, viewport=(0, 640)))
    cursor = (await bob.expect("presence_update")).payload["presence"]["cursor"]
    assert cursor == {"x": 1, "y": 2, "viewportX": 0, "viewportY": 640}
    assert not bob.records
    await bob.send_frame(cursor_frame(0, 0))
    await bob.barrier()
    await alice.send_frame(cursor_frame(3, 4))
    record = await bob.expect_record()
    assert (record.x, record.y, record.viewport) == (3, 4, None)
    await quiet(alice, bob)
    assert not bob.take("presence_update")


async def test_all_kinds_of_clients_see_each_other_B5_B6_B7(gateway: HasUrl, clients: Clients) -> None:
    json_only = await clients.enter(gateway, "json", "r")
    other_json = await clients.enter(gateway, "other", "r")
    plain = await binary(clients, gateway, "plain", "r")
    other_plain = await binary(clients, gateway, "5", "r")
    batched = await clients.enter(gateway, "batched", "r", batched=True)
    other_batched = await clients.enter(gateway, "6", "r", batched=True)
    everyone = [json_only, other_json, plain, other_plain, batched, other_batched]
    names = {client.number: client.connected["userId"] for client in everyone}

    async def seen_by(receiver: SpecClient) -> tuple[str, float, float, tuple[float, float] | None]:
        if receiver in (json_only, other_json):
            payload = (await receiver.expect("presence_update")).payload
            cursor = payload["presence"]["cursor"]
            viewport = (cursor["viewportX"], cursor["viewportY"]) if "viewportX" in cursor else None
            return payload["userId"], cursor["x"], cursor["y"], viewport
        record = await receiver.expect_record(lambda record: record.user != receiver.number)
        if receiver in (batched, other_batched):
            assert record.handle == receiver.rooms["r"]["handle"]
        return names[record.user], record.x, record.y, record.viewport

    for step, sender in enumerate(everyone):
        for form in ("frame", "frame with viewport", "message"):
            if form == "frame" and sender in (json_only, other_json):
                continue
            await quiet(*everyone)
            viewport = None if form == "frame" else (100.5 + step, -7.0)
            if form == "message" or sender in (json_only, other_json):
                await sender.send("cursor_move", cursor_move(step, -step, viewport=viewport or (0, 0)))
            else:
                await sender.send_frame(cursor_frame(step, -step, viewport=viewport))
            for receiver in everyone:
                if receiver is not sender:
                    who = sender.connected["userId"]
                    assert await seen_by(receiver) == (who, step, -step, viewport)


async def test_batched_clients_get_all_their_rooms_in_batches_B6(gateway: HasUrl, clients: Clients) -> None:
    bob = await clients.enter(gateway, "bob", "r", "s", "t", batched=True)
    handles = {bob.rooms[room]["handle"] for room in "rst"}
    assert len(handles) == 3
    alice = await clients.enter(gateway, "alice", "r", "s", "t")
    for x, room in enumerate("rst"):
        await alice.send("cursor_move", cursor_move(x, 0), roomId=room)
        record = await bob.expect_record()
        assert (record.handle, record.user, record.x) == (bob.rooms[room]["handle"], alice.number, x)
    await quiet(alice, bob)
    # Many users in one flush come in few frames.
    crew = [await clients.enter(gateway, f"user-{index}", "t") for index in range(5)]
    raw = [await clients.raw(gateway, f"raw-{index}", "t") for index in range(15)]
    await quiet(bob, *crew)
    for client in raw:
        client.send(frame(BINARY, cursor_frame(1, 1)))
    records = {(await bob.expect_record()).user: None for _ in raw}
    assert len(records) == len(raw)


async def test_the_bytes_of_the_frames_are_those_of_the_examples_B6_B7(gateway: HasUrl, clients: Clients) -> None:
    seven = await clients.raw(gateway, "7", "r")
    eight = await clients.raw(gateway, "8", "r")
    plain = await clients.raw(gateway, "9", "r")
    plain.send(frame(BINARY, cursor_frame(0, 0)))
    await plain.alive()
    await asyncio.sleep(0.1)
    batched = await clients.raw(gateway, "10", headers={"Sec-WebSocket-Protocol": BATCHED})
    batched.send_json(envelope("join_room", {"roomId": "r"}))
    handle = (await batched.message())["payload"]["handle"]

    async def next_binary(client: RawClient) -> bytes:
        while True:
            received = await client.receive()
            assert received is not None
            if received.opcode == BINARY:
                return received.payload

    without = bytes.fromhex("0001 00000007 3fc00000 c0000000 000003e8")
    seven.send(frame(BINARY, without[:2] + b"\xff\xff\xff\xff" + without[6:]))
    assert await next_binary(plain) == without
    expected = bytes.fromhex("0101 0001") + struct.pack("!I", handle)
    expected += bytes.fromhex("00000007 3fc00000 c0000000 000003e8 7fc00000 7fc00000")
    assert await next_binary(batched) == expected
    eight.send(frame(BINARY, bytes.fromhex("0001 00000008 3fc00000 c0000000 000003e8 00000000 44200000")))
    assert await next_binary(plain) == bytes.fromhex("0001 00000008 3fc00000 c0000000 000003e8 00000000 44200000")
    expected = bytes.fromhex("0101 0001") + struct.pack("!I", handle)
    expected += bytes.fromhex("00000008 3fc00000 c0000000 000003e8 00000000 44200000")
    assert await next_binary(batched) == expected


async def test_plain_clients_get_frames_of_their_active_room_only_B7(gateway: HasUrl, clients: Clients) -> None:
    bob = await binary(clients, gateway, "bob", "r", "s")
    alice = await clients.enter(gateway, "alice", "r", "s")
    for active, other in (("s", "r"), ("r", "s"), ("s", "r")):
        await bob.send("activate_room", {"roomId": active})
        await quiet(bob, alice)
        await alice.send("cursor_move", cursor_move(1, 2), roomId=other)
        update = await bob.expect("presence_update")
        assert update.room == other
        assert update.payload["presence"]["cursor"]["x"] == 1
        assert not bob.records
        await alice.send("cursor_move", cursor_move(3, 4), roomId=active)
        record = await bob.expect_record()
        assert (record.x, record.user) == (3, alice.number)
        await quiet(bob, alice)
        assert not bob.take("presence_update")


async def test_a_plain_client_does_not_get_its_own_cursor_B7_B9(gateway: HasUrl, clients: Clients) -> None:
    alice = await binary(clients, gateway, "alice", "r")
    bob = await binary(clients, gateway, "bob", "r")
    await quiet(alice, bob)
    for x in range(5):
        await alice.send_frame(cursor_frame(x, 0))
        await bob.expect_record(lambda record, x=x: record.x == x)  # type: ignore[misc]
    await asyncio.sleep(0.1)
    await settled(alice, bob)
    assert not alice.records
    assert not alice.take("presence_update")


async def test_what_comes_back_to_its_sender_is_what_it_sent_B9(gateway: HasUrl, clients: Clients) -> None:
    alice = await clients.enter(gateway, "alice", "r", batched=True)
    bob = await clients.enter(gateway, "bob", "r", batched=True)
    for x in range(20):
        await alice.send_frame(cursor_frame(x, 0))
        await bob.send_frame(cursor_frame(-x, 0))
    await alice.expect_record(lambda record: record.user == bob.number and record.x == -19)
    await bob.expect_record(lambda record: record.user == alice.number and record.x == 19)
    assert {record.user for record in alice.records + bob.records} <= {alice.number, bob.number}


# When -------------------------------------------------------------------------------------------------------


async def test_a_first_update_leaves_at_once_B8(gateway: HasUrl, clients: Clients) -> None:
    alice = await clients.enter(gateway, "alice", "r")
    crew = [await clients.enter(gateway, f"user-{index}", "r") for index in range(5)]
    bob = await clients.enter(gateway, "bob", "r", batched=True)
    latencies = []
    for x in range(9):
        await quiet(alice, bob, *crew)
        began = time.monotonic()
        await alice.send_frame(cursor_frame(x, 0))
        latencies.append((await bob.expect_record()).at - began)
    assert sorted(latencies)[4] < 0.006, latencies


async def test_within_one_flush_the_newest_replaces_the_older_B8(gateway: HasUrl, clients: Clients) -> None:
    alice = await clients.raw(gateway, "alice", "r")
    bob = await clients.enter(gateway, "bob", "r", batched=True)
    carol = await binary(clients, gateway, "carol", "r")
    dave = await clients.enter(gateway, "dave", "r")
    await quiet(bob, carol, dave)
    count = 2000
    alice.send(*(frame(BINARY, cursor_frame(x, 0)) for x in range(count)))
    seen: dict[str, list[float]] = {"bob": [], "carol": [], "dave": []}
    while not all(xs and xs[-1] == count - 1 for xs in seen.values()):
        await asyncio.sleep(0.02)
        for name, client in (("bob", bob), ("carol", carol)):
            seen[name] += [record.x for record in client.records if record.user != client.number]
            client.records.clear()
        seen["dave"] += [update.payload["presence"]["cursor"]["x"] for update in dave.take("presence_update")]
    for name, xs in seen.items():
        assert xs == sorted(set(xs)), name
        assert len(xs) < count / 4, f"{name} got {len(xs)} of {count} that were sent in one go"


async def test_a_cursor_message_and_a_frame_replace_each_other_B8(gateway: HasUrl, clients: Clients) -> None:
    alice = await clients.enter(gateway, "alice", "r")
    bob = await clients.enter(gateway, "bob", "r", batched=True)
    for x in range(0, 40, 2):
        await alice.send_frame(cursor_frame(x, 0))
        await alice.send("cursor_move", cursor_move(x + 1, 0))
    seen: list[float] = []
    while not seen or seen[-1] != 39:
        seen.append((await bob.expect_record()).x)
    assert seen == sorted(seen)


@pytest.mark.parametrize("form", ["batched", "plain", "json"])
async def test_a_slow_reader_gets_fewer_and_none_older_B10(gateway: HasUrl, clients: Clients, form: str) -> None:
    slow = await clients.dial(gateway, receive_buffer=4096)
    token = clients.token("slow", rooms={"*": "write"})
    await slow.upgrade(gateway.url, token, {"Sec-WebSocket-Protocol": BATCHED if form == "batched" else PLAIN})
    await slow.join("r")
    if form != "json":
        slow.send(frame(BINARY, cursor_frame(0, 0)))
    await slow.alive()
    crew = {x: await clients.enter(gateway, f"user-{x}", "r") for x in (1, 2, 3)}
    await quiet(*crew.values())
    slow.pause_reading()
    # First its buffers are filled with what may not be dropped, then come the cursors.
    filler = {"name": "filler", "data": "x" * 100_000}
    for _ in range(60):
        await crew[1].send("event", filler)
    await settled(*crew.values())
    count = 120
    for step in range(1, count + 1):
        for x, client in crew.items():
            await client.send_frame(cursor_frame(x, step))
        await asyncio.sleep(0.005)
    seen: dict[int, list[float]] = {client.number: [] for client in crew.values()}
    fillers = 0
    slow.resume_reading()
    while any(steps[-1:] != [count] for steps in seen.values()):
        received = await slow.receive()
        assert received is not None
        if received.opcode == BINARY:
            assert form != "json"
            for record in parse_frame(received.payload, 0, batched=form == "batched"):
                if record.user in seen:
                    seen[record.user].append(record.y)
        elif received.opcode == TEXT:
            message = json.loads(received.payload)
            fillers += message["type"] == "event"
            for inner in message["payload"].get("messages", []):
                if "cursor" in inner["payload"].get("presence", {}):
                    assert form == "json"
                    seen[inner["payload"]["numericId"]].append(inner["payload"]["presence"]["cursor"]["y"])
    assert fillers == 60
    for steps in seen.values():
        assert steps == sorted(set(steps)), "older ones after newer ones"
        assert len(steps) < count / 6, f"{len(steps)} of {count} cursors waited for a slow reader"
    await slow.alive()


async def test_messages_about_cursors_name_their_user_B5(gateway: HasUrl, clients: Clients) -> None:
    """Several users' cursors in one flush are one ``batch`` of one ``presence_update`` each."""
    bob = await clients.enter(gateway, "bob", "r")
    crew = [await clients.raw(gateway, f"user-{index}", "r") for index in range(10)]
    await quiet(bob)
    for step in range(1, 6):
        for index, client in enumerate(crew):
            client.send(frame(BINARY, cursor_frame(index, step)))
        await asyncio.sleep(0.02)
    newest: dict[str, Any] = {}
    batches: dict[int | None, list[str]] = {}
    while len(newest) < 10 or any(cursor["y"] != 5 for cursor in newest.values()):
        update = await bob.expect("presence_update")
        newest[update.payload["userId"]] = update.payload["presence"]["cursor"]
        batches.setdefault(update.batch, []).append(update.payload["userId"])
    assert {user: cursor["x"] for user, cursor in newest.items()} == {f"user-{x}": x for x in range(10)}
    assert None not in batches
    assert all(len(users) == len(set(users)) for users in batches.values())
    assert max(map(len, batches.values())) > 1
