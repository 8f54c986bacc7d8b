"""Rooms and permissions: rules R1 to R7, P1 and P2."""

from __future__ import annotations

import asyncio
import time

import pytest
from tests.server.clients import Clients, HasUrl, StartGateway, settled
from tests.server.spec_client import SpecClient, cursor_frame, cursor_move
from tests.server.spec_shapes import (
    INVALID_OPERATION,
    NO_PERMISSION,
    RATE_LIMIT,
    ROOM_FULL,
    ROOM_NOT_FOUND,
)


def users(participants: list[dict[str, object]]) -> list[object]:
    return [participant["userId"] for participant in participants]


async def test_joining_makes_a_room_and_tells_the_others_R1_R2(gateway: HasUrl, clients: Clients) -> None:
    alice = await clients.enter(gateway, "alice", claims={"name": "Alice A.", "color": "#ff0000"})
    joined = await alice.join("r", documentType="text")
    assert joined["version"] == joined["documentState"]["version"] == 0
    assert joined["documentState"]["type"] == "text"
    assert joined["documentState"]["data"] == ""
    assert joined["permission"] == "write"
    assert "recovery" not in joined
    (me,) = joined["participants"]
    assert me == {
        "userId": "alice",
        "numericId": alice.number,
        "name": "Alice A.",
        "color": "#ff0000",
        "presence": {},
    }
    bob = await clients.enter(gateway, "bob", "r")
    announced = (await alice.expect("user_joined")).payload
    assert announced["roomId"] == "r"
    assert announced["participant"]["userId"] == "bob"
    assert announced["participant"]["numericId"] == bob.number
    assert announced["participant"] in bob.rooms["r"]["participants"]
    assert sorted(map(str, users(bob.rooms["r"]["participants"]))) == ["alice", "bob"]
    await settled(alice, bob)
    assert not alice.take("user_joined")
    assert not bob.take("user_joined")


@pytest.mark.parametrize("room", ["r", "r" * 128, "é" * 128, "a/b", "../etc", "*", "a b", "<script>", "房间", "0"])
async def test_a_name_of_a_room_R1(gateway: HasUrl, clients: Clients, room: str) -> None:
    alice = await clients.enter(gateway, "alice", room)
    bob = await clients.enter(gateway, "bob", room)
    await bob.send("event", {"name": "hello"}, roomId=room)
    assert (await alice.expect("event")).room == room


@pytest.mark.parametrize(
    "room",
    ["", "r" * 129, " r", "r ", "\tr", "r\n", "a\0b", "a\x1fb", "a\x7fb", "a\x85b", "\u00a0r", "r\u3000"],
)
async def test_what_is_no_name_of_a_room_R1(gateway: HasUrl, clients: Clients, room: str) -> None:
    alice = await clients.enter(gateway, "alice")
    details = await alice.refusal(INVALID_OPERATION, "join_room", {"roomId": room})
    assert details["path"] == "payload.roomId"


async def test_joining_again_gives_the_full_state_and_nobody_notices_R2(gateway: HasUrl, clients: Clients) -> None:
    alice = await clients.enter(gateway, "alice", "r")
    bob = await clients.enter(gateway, "bob", "r")
    await alice.expect("user_joined")
    await bob.operate(["text"], 0)
    again = await bob.join("r")
    assert again["documentState"]["data"] == "text"
    assert again["version"] == 1
    assert again["handle"] == bob.rooms["r"]["handle"]
    await bob.leave("r")
    await alice.expect("user_left")
    await settled(alice, bob)
    assert not alice.take("user_joined", "user_left")


async def test_a_user_may_be_in_so_many_rooms_R3(start_gateway: StartGateway, clients: Clients) -> None:
    gateway = await start_gateway({"limits.rooms_per_user": 2})
    alice = await clients.enter(gateway, "alice", "r")
    other = await clients.enter(gateway, "alice", "r", "s")
    for client in (alice, other):
        details = await client.refusal(RATE_LIMIT, "join_room", {"roomId": "t"})
        assert (details["limit"], details["remaining"]) == (2, 0)
    await alice.join("s")
    await other.leave("s")
    await alice.refusal(RATE_LIMIT, "join_room", {"roomId": "t"})
    await alice.leave("s")
    await alice.join("t")
    # What could not be joined counts for nothing, and neither does a connection that is gone.
    await alice.leave("t")
    await alice.refusal(INVALID_OPERATION, "join_room", {"roomId": "t", "documentType": "no such type"})
    await alice.join("u")
    await alice.close()
    # At another gateway that is known a moment later.
    for _ in range(50):
        await other.send("join_room", {"roomId": "v"})
        await other.expect_any("room_joined", "error")
        if not other.take("error"):
            break
    await other.expect("room_joined", room="v")
    await clients.enter(gateway, "bob", "r", "s")


async def test_the_active_room_is_the_last_joined_or_named_R3(gateway: HasUrl, clients: Clients) -> None:
    observer = await clients.enter(gateway, "observer", "r", "s", "t", batched=True)
    alice = await clients.enter(gateway, "alice", "r", "s", "t")
    rooms = {observer.rooms[room]["handle"]: room for room in "rst"}
    step = 0

    async def active() -> str:
        """The room in which a frame and a message without a room arrive."""
        nonlocal step
        step += 1
        await alice.send("event", {"name": str(step)})
        await alice.send_frame(cursor_frame(step, 0))
        room = (await observer.expect("event", lambda payload: payload["name"] == str(step))).room
        record = await observer.expect_record(lambda record: record.x == step)
        assert record.handle is not None
        assert rooms[record.handle] == room
        return str(room)

    assert await active() == "t"
    await alice.send("activate_room", {"roomId": "r"})
    assert await active() == "r"
    await alice.send("activate_room", {"roomId": "s"})
    await alice.leave("r")
    assert await active() == "s"
    await alice.leave("s")
    assert await active() == "t"  # the one before, r having been left
    await alice.join("s")
    assert await active() == "s"
    await alice.join("t")  # once more
    assert await active() == "t"
    await alice.leave("t")
    assert await active() == "s"


async def test_without_a_room_nothing_can_be_said_R3_B1(gateway: HasUrl, clients: Clients) -> None:
    alice = await clients.enter(gateway, "alice")
    for leave in (False, True):
        if leave:
            await alice.join("r")
            await alice.leave("r")
        await alice.refusal(ROOM_NOT_FOUND, "event", {"name": "e"})
        await alice.refusal(ROOM_NOT_FOUND, "cursor_move", cursor_move(1, 2))
        await alice.refusal(ROOM_NOT_FOUND, "operation", {"operation": ["a"], "version": 0})
        await alice.send_frame(cursor_frame(1, 2))
        await alice.refused(ROOM_NOT_FOUND)


async def test_a_room_that_one_is_not_in_is_not_found_R3(gateway: HasUrl, clients: Clients) -> None:
    alice = await clients.enter(gateway, "alice", "r")
    bob = await clients.enter(gateway, "bob", "s")
    selection = {"ranges": [], "color": "#fff"}
    presence = {"presence": {"status": "here"}}
    operation = {"operation": ["a"], "version": 0}
    for room in ("s", "never", "R"):
        await alice.refusal(ROOM_NOT_FOUND, "event", {"name": "e"}, roomId=room)
        await alice.refusal(ROOM_NOT_FOUND, "cursor_move", cursor_move(1, 2), roomId=room)
        await alice.refusal(ROOM_NOT_FOUND, "selection_change", selection, roomId=room)
        await alice.refusal(ROOM_NOT_FOUND, "presence_update", presence, roomId=room)
        await alice.refusal(ROOM_NOT_FOUND, "operation", operation, roomId=room)
    for room in ("s", "never"):
        await alice.refusal(ROOM_NOT_FOUND, "leave_room", {"roomId": room})
        await alice.refusal(ROOM_NOT_FOUND, "activate_room", {"roomId": room})
    await settled(alice, bob)
    assert not bob.take()


async def test_a_room_takes_so_many_participants_R4_R6(start_gateway: StartGateway, clients: Clients) -> None:
    gateway = await start_gateway({"rooms.max_participants": 2})
    alice = await clients.enter(gateway, "alice", "r")
    bob = await clients.enter(gateway, "bob", "r")
    carol = await clients.enter(gateway, "carol")
    await carol.refusal(ROOM_FULL, "join_room", {"roomId": "r"})
    await carol.refusal(ROOM_NOT_FOUND, "event", {"name": "e"}, roomId="r")
    await clients.enter(gateway, "alice", "r")  # a second connection is no second participant
    await bob.leave("r")
    await carol.join("r")
    await alice.expect("user_joined", lambda payload: payload["participant"]["userId"] == "carol")


async def test_many_connections_of_one_user_are_one_participant_R5_R6(gateway: HasUrl, clients: Clients) -> None:
    bob = await clients.enter(gateway, "bob", "r")
    first = await clients.enter(gateway, "alice", "r")
    second = await clients.enter(gateway, "alice", "r")
    third = await clients.enter(gateway, "alice", "r")
    assert sorted(map(str, users(third.rooms["r"]["participants"]))) == ["alice", "bob"]
    await first.leave("r")
    await second.close()
    await settled(bob, third)
    assert len(bob.take("user_joined")) == 1
    assert not bob.take("user_left")
    await third.close()
    left = (await bob.expect("user_left")).payload
    assert (left["roomId"], left["participant"]["userId"]) == ("r", "alice")
    assert users((await bob.join("r"))["participants"]) == ["bob"]


async def test_leaving_is_told_to_the_others_only_R5(gateway: HasUrl, clients: Clients) -> None:
    alice = await clients.enter(gateway, "alice", "r", "s")
    bob = await clients.enter(gateway, "bob", "r", "s")
    await alice.leave("r")
    assert (await bob.expect("user_left")).payload["participant"]["numericId"] == alice.number
    await bob.send("event", {"name": "gone"}, roomId="r")
    await bob.send("event", {"name": "still here"}, roomId="s")
    await settled(bob, alice)
    assert [message.payload["name"] for message in alice.take("event")] == ["still here"]
    assert not alice.take("user_left")
    assert not bob.take("user_left")


# The grace period -------------------------------------------------------------------------------------------

GRACE = 0.5


async def lose(client: SpecClient, way: str) -> None:
    if way == "abort":
        await client.abort()
    else:
        await client.close(int(way))


@pytest.mark.parametrize("way", ["abort", "1001", "4000"])
async def test_who_is_lost_stays_for_the_grace_period_R7(
    start_gateway: StartGateway, clients: Clients, way: str
) -> None:
    gateway = await start_gateway({"presence.grace_period": GRACE})
    bob = await clients.enter(gateway, "bob", "r", "s")
    alice = await clients.enter(gateway, "alice", "r", "s")
    await settled(bob)
    bob.take()
    lost = time.monotonic()
    await lose(alice, way)
    assert sorted(map(str, users((await bob.join("r"))["participants"]))) == ["alice", "bob"]
    left = {message.room: message.at - lost for message in [await bob.expect("user_left") for _ in "rs"]}
    assert set(left) == {"r", "s"}
    assert all(GRACE * 0.9 < after < GRACE + 1 for after in left.values()), left
    assert users((await bob.join("r"))["participants"]) == ["bob"]


async def test_who_is_back_in_time_was_never_away_R7(start_gateway: StartGateway, clients: Clients) -> None:
    gateway = await start_gateway({"presence.grace_period": GRACE})
    bob = await clients.enter(gateway, "bob", "r")
    alice = await clients.enter(gateway, "alice", "r")
    await alice.send("presence_update", {"presence": {"status": "writing"}})
    await bob.expect("presence_update")
    bob.take()
    for _ in range(3):
        await alice.abort()
        await asyncio.sleep(GRACE / 2)
        alice = await clients.enter(gateway, "alice", "r")
    me = next(one for one in alice.rooms["r"]["participants"] if one["userId"] == "alice")
    assert me["presence"].get("status") == "writing"
    await asyncio.sleep(GRACE * 2)
    await settled(alice, bob)
    assert not bob.take("user_joined", "user_left")
    await alice.close()
    await bob.expect("user_left")


async def test_who_comes_back_but_not_to_the_room_has_left_it_R7(start_gateway: StartGateway, clients: Clients) -> None:
    gateway = await start_gateway({"presence.grace_period": GRACE})
    bob = await clients.enter(gateway, "bob", "r")
    alice = await clients.enter(gateway, "alice", "r")
    await alice.abort()
    await clients.enter(gateway, "alice", "s")
    await bob.expect("user_left", room="r")


async def test_a_farewell_ends_the_participation_at_once_R7(start_gateway: StartGateway, clients: Clients) -> None:
    gateway = await start_gateway({"presence.grace_period": 30})
    bob = await clients.enter(gateway, "bob", "r")
    alice = await clients.enter(gateway, "alice", "r")
    await alice.close(1000)
    await bob.expect("user_left", within=2)
    assert users((await bob.join("r"))["participants"]) == ["bob"]


async def test_a_participant_in_its_grace_period_takes_a_place_R4_R7(
    start_gateway: StartGateway, clients: Clients
) -> None:
    gateway = await start_gateway({"presence.grace_period": GRACE, "rooms.max_participants": 2})
    bob = await clients.enter(gateway, "bob", "r")
    alice = await clients.enter(gateway, "alice", "r")
    carol = await clients.enter(gateway, "carol")
    await alice.abort()
    await bob.barrier()
    await carol.refusal(ROOM_FULL, "join_room", {"roomId": "r"})
    await clients.enter(gateway, "alice", "r")


# Permissions ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rooms", "room", "permission"),
    [
        ({"dash-*": "read"}, "dash-1", "read"),
        ({"dash-*": "write"}, "dash-", "write"),
        ({"dash-*": "admin"}, "dash-1/2", "admin"),
        ({"dash-1": "write"}, "dash-1", "write"),
        ({"dash-?": "read"}, "dash-1", "read"),
        ({"dash-[ab]": "write"}, "dash-b", "write"),
        ({"*": "read", "dash-*": "write", "dash-1": "none"}, "dash-1", "write"),
        ({"*": "admin", "dash-1": "read"}, "dash-1", "admin"),
        ({"dash-1": "none"}, "dash-1", None),
        ({"*": "none"}, "dash-1", None),
        ({}, "dash-1", None),
        ({"dash-?": "read"}, "dash-12", None),
        ({"dash-[ab]": "write"}, "dash-c", None),
        ({"Dash-*": "write"}, "dash-1", None),
        ({"dash-*": "write"}, "my-dash-1", None),
        ({"dash.1": "write"}, "dash-1", None),
        ({"dash-1": "write"}, "dash-12", None),
    ],
)
async def test_the_rooms_claim_says_what_is_allowed_P1_P2(
    gateway: HasUrl, clients: Clients, rooms: dict[str, str], room: str, permission: str | None
) -> None:
    alice = await clients.enter(gateway, "alice", claims={"rooms": rooms})
    if permission is None:
        await alice.refusal(NO_PERMISSION, "join_room", {"roomId": room})
        await alice.refusal(ROOM_NOT_FOUND, "event", {"name": "e"}, roomId=room)
    else:
        assert (await alice.join(room))["permission"] == permission


@pytest.mark.parametrize("default", ["none", "read", "write"])
async def test_without_the_claim_there_is_a_default_P1(
    start_gateway: StartGateway, clients: Clients, default: str
) -> None:
    gateway = await start_gateway({"rooms.default_permission": default})
    alice = await clients.open(gateway, header_token=clients.token("alice"))
    await alice.await_connected()
    if default == "none":
        await alice.refusal(NO_PERMISSION, "join_room", {"roomId": "r"})
    else:
        assert (await alice.join("r"))["permission"] == default


async def test_a_reader_may_be_seen_but_not_write_P2(gateway: HasUrl, clients: Clients) -> None:
    reader = await clients.enter(gateway, "reader", "r", claims={"rooms": {"*": "read"}})
    writer = await clients.enter(gateway, "writer", "r")
    await reader.refusal(NO_PERMISSION, "operation", {"operation": ["a"], "version": 0})
    await reader.send("cursor_move", cursor_move(1, 2))
    await writer.expect("presence_update", lambda payload: "cursor" in payload["presence"])
    await reader.send("selection_change", {"ranges": [], "color": "#fff"})
    await writer.expect("presence_update", lambda payload: "selection" in payload["presence"])
    await reader.send("presence_update", {"presence": {"status": "reading"}})
    await writer.expect("presence_update", lambda payload: "status" in payload["presence"])
    await reader.send("event", {"name": "hello"})
    await writer.expect("event")
    await writer.operate(["a"], 0)
    await reader.expect("operation_broadcast")
    assert (await reader.join("r"))["documentState"]["data"] == "a"
