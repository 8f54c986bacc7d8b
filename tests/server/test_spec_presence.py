"""Presence: who is where, what they select, what they are doing; rules V1 to V5."""

from __future__ import annotations

import asyncio
import json
from itertools import pairwise
from typing import Any

import pytest
from tests.server.clients import Clients, HasUrl, StartGateway, settled
from tests.server.spec_client import SpecClient, cursor_frame, cursor_move
from tests.server.spec_shapes import INVALID_OPERATION, ROOM_NOT_FOUND

RANGE = {"anchor": 0, "head": 0}


def presence_of(client: SpecClient, user: str, room: str = "r") -> Any:
    """What ``room_joined`` said about a user."""
    (presence,) = [one["presence"] for one in client.rooms[room]["participants"] if one["userId"] == user]
    return presence


async def test_an_update_carries_only_what_changed_V1(gateway: HasUrl, clients: Clients) -> None:
    alice = await clients.enter(gateway, "alice", "r")
    bob = await clients.enter(gateway, "bob", "r")
    for change in (
        {"status": "writing"},
        {"data": {"tool": ["pen", 1, None]}},
        {"status": None},
        {"status": "reading", "data": 0},
        {"data": None},
    ):
        await alice.send("presence_update", {"presence": change})
        update = await bob.expect("presence_update")
        assert update.room == "r"
        assert update.payload["presence"] == change
        assert (update.payload["userId"], update.payload["numericId"]) == ("alice", alice.number)
    carol = await clients.enter(gateway, "carol", "r")
    presence = presence_of(carol, "alice")
    assert presence["status"] == "reading"
    assert presence.get("data") is None


async def test_presence_is_not_sent_to_the_user_whom_it_is_about_V1(gateway: HasUrl, clients: Clients) -> None:
    alice = await clients.enter(gateway, "alice", "r")
    other = await clients.enter(gateway, "alice", "r")
    bob = await clients.enter(gateway, "bob", "r")
    await alice.send("presence_update", {"presence": {"status": "writing"}})
    await alice.send("selection_change", {"ranges": [RANGE], "color": "red"})
    await alice.send("cursor_move", cursor_move(1, 2))
    told: set[str] = set()
    while told < {"status", "selection", "cursor"}:
        told |= (await bob.expect("presence_update")).payload["presence"].keys()
    await settled(alice, other, bob)
    assert not alice.take("presence_update")
    assert not other.take("presence_update")


async def test_who_joins_sees_what_each_is_doing_V1_R2(gateway: HasUrl, clients: Clients) -> None:
    alice = await clients.enter(gateway, "alice", "r")
    await alice.operate(["text"], 0)
    await alice.send("presence_update", {"presence": {"status": "writing", "data": [1]}})
    await alice.send("selection_change", {"ranges": [{"anchor": 1, "head": 3}], "color": "#00ff00"})
    await alice.send("cursor_move", cursor_move(1.5, -2, viewport=(0, 640)))
    await alice.barrier()
    bob = await clients.enter(gateway, "bob", "r")
    assert presence_of(bob, "alice") == {
        "cursor": {"x": 1.5, "y": -2, "viewportX": 0, "viewportY": 640},
        "selection": {"ranges": [{"anchor": 1, "head": 3}], "color": "#00ff00", "version": 1},
        "status": "writing",
        "data": [1],
    }
    await alice.send_frame(cursor_frame(7, 8))
    await alice.barrier()
    carol = await clients.enter(gateway, "carol", "r")
    assert presence_of(carol, "alice")["cursor"] == {"x": 7, "y": 8}


async def test_presence_belongs_to_one_room_V1(gateway: HasUrl, clients: Clients) -> None:
    alice = await clients.enter(gateway, "alice", "r", "s")
    bob = await clients.enter(gateway, "bob", "r", "s")
    await alice.send("presence_update", {"presence": {"status": "writing"}}, roomId="r")
    assert (await bob.expect("presence_update")).room == "r"
    carol = await clients.enter(gateway, "carol", "r", "s")
    assert presence_of(carol, "alice", "r") == {"status": "writing"}
    assert presence_of(carol, "alice", "s") == {}


# Events -----------------------------------------------------------------------------------------------------


async def test_an_event_reaches_every_other_connection_in_the_room_V2(gateway: HasUrl, clients: Clients) -> None:
    alice = await clients.enter(gateway, "alice", "r")
    own = await clients.enter(gateway, "alice", "r")
    bob = await clients.enter(gateway, "bob", "r", batched=True)
    outside = await clients.enter(gateway, "carol", "s")
    payloads: list[Any] = [{"any": ["thing", 1.5, None, "é😀\u2028"]}, None, 0, "", False, []]
    for data in payloads:
        await alice.send("event", {"name": "n" * 128, "data": data})
        for receiver in (own, bob):
            event = await receiver.expect("event")
            expected = {"name": "n" * 128, "data": data, "userId": "alice", "numericId": alice.number}
            assert event.payload == expected
            assert event.room == "r"
    await alice.send("event", {"name": "without"})
    assert "data" not in (await bob.expect("event")).payload
    await own.expect("event")
    await settled(alice, own, bob, outside)
    assert not alice.take("event")
    assert not outside.take("event")


async def test_an_event_for_one_user_reaches_that_users_connections_only_V2(gateway: HasUrl, clients: Clients) -> None:
    alice = await clients.enter(gateway, "alice", "r")
    bob = [await clients.enter(gateway, "bob", "r") for _ in range(2)]
    bob_elsewhere = await clients.enter(gateway, "bob", "s")
    carol = await clients.enter(gateway, "carol", "r")
    await alice.send("event", {"name": "psst", "data": 1}, targetUserId="bob")
    for connection in bob:
        event = await connection.expect("event")
        assert event.payload == {"name": "psst", "data": 1, "userId": "alice", "numericId": alice.number}
    await settled(alice, *bob, bob_elsewhere, carol)
    assert not alice.take("event")
    assert not carol.take("event")
    assert not bob_elsewhere.take("event")


@pytest.mark.parametrize("target", ["dave", "", "carol"])
async def test_a_target_who_is_not_in_the_room_is_refused_V2(gateway: HasUrl, clients: Clients, target: str) -> None:
    alice = await clients.enter(gateway, "alice", "r")
    await clients.enter(gateway, "carol", "s")
    details = await alice.refusal(INVALID_OPERATION, "event", {"name": "psst"}, targetUserId=target)
    assert details["path"] == "targetUserId"


# Intervals --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("field", "interval", "updates"), [("cursor", 0.01667, 100), ("selection", 0.1, 60), ("status", 0.5, 60)]
)
async def test_each_kind_is_relayed_at_once_and_then_once_per_interval_V3(
    gateway: HasUrl, clients: Clients, field: str, interval: float, updates: int
) -> None:
    alice = await clients.enter(gateway, "alice", "r")
    bob = await clients.enter(gateway, "bob", "r")
    await settled(alice, bob)
    bob.take()

    def sent(number: int) -> tuple[str, dict[str, Any]]:
        if field == "cursor":
            return "cursor_move", cursor_move(number, 0)
        if field == "selection":
            ranges = [RANGE] * (number % 100 + 1)
            return "selection_change", {"ranges": ranges, "color": "#000000", "version": 0}
        return "presence_update", {"presence": {"status": str(number)}}

    def received(presence: dict[str, Any]) -> int:
        if field == "cursor":
            return int(presence["cursor"]["x"])
        if field == "selection":
            return len(presence["selection"]["ranges"]) - 1
        return int(presence["status"])

    last = updates - 1
    clock = asyncio.get_running_loop()
    began = clock.time()
    for number in range(updates):
        await alice.send(*sent(number))
        await asyncio.sleep(began + 1.2 * (number + 1) / updates - clock.time())
    arrivals: list[tuple[int, float]] = []
    while not arrivals or arrivals[-1][0] != last:
        message = await bob.expect("presence_update")
        assert list(message.payload["presence"]) == [field]
        arrivals.append((received(message.payload["presence"]), message.at))
    numbers = [number for number, _ in arrivals]
    assert numbers == sorted(set(numbers)), "never older ones"
    assert numbers[0] == 0
    assert arrivals[0][1] - began < 0.1, "at once"
    assert arrivals[-1][1] - began < 1.2 + interval + 0.2, "the newest one always arrives"
    # A late timer here shortens the gap that follows it, so a single gap says less than all of them.
    assert len(arrivals) <= (arrivals[-1][1] - arrivals[0][1]) / interval + 2
    assert len(arrivals) >= 0.5 * 1.2 / interval
    gaps = sorted(later - earlier for (_, earlier), (_, later) in pairwise(arrivals))
    assert gaps[len(gaps) // 2] > 0.8 * interval


async def test_the_interval_is_each_users_own_V3(gateway: HasUrl, clients: Clients) -> None:
    alice = await clients.enter(gateway, "alice", "r")
    bob = await clients.enter(gateway, "bob", "r")
    carol = await clients.enter(gateway, "carol", "r")
    await alice.send("presence_update", {"presence": {"status": "1"}})
    await alice.send("presence_update", {"presence": {"status": "2"}})
    await bob.send("presence_update", {"presence": {"status": "3"}})
    await bob.expect("presence_update")
    await settled(alice, bob, carol)
    statuses = [message.payload["presence"]["status"] for message in carol.take("presence_update")]
    assert sorted(statuses) == ["1", "3"]
    assert (await carol.expect("presence_update")).payload["presence"] == {"status": "2"}


async def test_fields_that_wait_are_sent_together_V1_V3(gateway: HasUrl, clients: Clients) -> None:
    alice = await clients.enter(gateway, "alice", "r")
    bob = await clients.enter(gateway, "bob", "r")
    for presence in ({"status": "1"}, {"status": "2"}, {"data": "d"}, {"status": "3"}):
        await alice.send("presence_update", {"presence": presence})
    collected: dict[str, Any] = {}
    while collected != {"status": "3", "data": "d"}:
        collected |= (await bob.expect("presence_update")).payload["presence"]


async def test_what_was_waiting_is_not_sent_after_its_user_left_V3_R5(gateway: HasUrl, clients: Clients) -> None:
    alice = await clients.enter(gateway, "alice", "r")
    bob = await clients.enter(gateway, "bob", "r")
    for status in "12":
        await alice.send("presence_update", {"presence": {"status": status}})
    await alice.leave("r")
    await bob.expect("user_left")
    bob.take()
    await asyncio.sleep(0.7)
    await bob.barrier()
    assert not bob.take("presence_update")


# Sizes and colours ------------------------------------------------------------------------------------------

GOOD_COLORS = [
    *("#fff", "#ABCD", "#00ff00", "#00ff0080", "red", "rebeccapurple", "CornflowerBlue"),
    *(
        "rgb(1, 2, 3)",
        "rgb(1 2 3 / 50%)",
        "rgba(0,0,0,0.5)",
        "hsl(120, 100%, 50%)",
        "hsla(120deg 100% 50% / 0.3)",
    ),
]
BAD_COLORS = [
    *("", "#", "#ff", "#fffff", "#ggg", "#fff ", "f0f", "not-a-colour", "red;", "red; color: blue", "<b>"),
    *(
        "url(https://evil.example)",
        "rgb(1,2,3); x",
        "rgb(url(x))",
        "rgb(1,2",
        "expression(alert(1))",
        "var(--x)",
    ),
    *("#fff\n", "red\0", "javascript:alert(1)", "r" * 1000, "rgb(" + "1" * 1000 + ")"),
]


@pytest.mark.parametrize("color", GOOD_COLORS)
async def test_a_colour_V4(gateway: HasUrl, clients: Clients, color: str) -> None:
    alice = await clients.enter(gateway, "alice", "r")
    bob = await clients.enter(gateway, "bob", "r")
    await alice.send("selection_change", {"ranges": [], "color": color})
    selection = (await bob.expect("presence_update")).payload["presence"]["selection"]
    assert selection["color"] == color


@pytest.mark.parametrize("color", BAD_COLORS)
async def test_what_is_no_colour_V4(gateway: HasUrl, clients: Clients, color: str) -> None:
    alice = await clients.enter(gateway, "alice", "r")
    bob = await clients.enter(gateway, "bob", "r")
    details = await alice.refusal(INVALID_OPERATION, "selection_change", {"ranges": [], "color": color})
    assert details["path"] == "payload.color"
    await settled(alice, bob)
    assert not bob.take("presence_update")


async def test_the_greatest_sizes_pass_and_one_more_does_not_V4(gateway: HasUrl, clients: Clients) -> None:
    alice = await clients.enter(gateway, "alice", "r")
    bob = await clients.enter(gateway, "bob", "r")
    data = "d" * 4094  # in quotes 4096 bytes
    assert len(json.dumps(data)) == 4096
    await alice.send("selection_change", {"ranges": [RANGE] * 100, "color": "#fff"})
    await alice.send("presence_update", {"presence": {"status": "😀" * 64, "data": data}})
    collected: dict[str, Any] = {}
    while set(collected) != {"selection", "status", "data"}:
        collected |= (await bob.expect("presence_update")).payload["presence"]
    assert collected["status"] == "😀" * 64
    assert collected["data"] == data
    too_many = {"ranges": [RANGE] * 101, "color": "#fff"}
    details = await alice.refusal(INVALID_OPERATION, "selection_change", too_many)
    assert details["path"] == "payload.ranges"
    for presence, path in (
        ({"status": "s" * 65}, "payload.presence.status"),
        ({"data": data + "d"}, "payload.presence.data"),
        ({"data": "é" * 2048}, "payload.presence.data"),  # bytes, not characters
        ({"data": {"k": ["v" * 100] * 50}}, "payload.presence.data"),
    ):
        details = await alice.refusal(INVALID_OPERATION, "presence_update", {"presence": presence})
        assert details["path"] == path
    await settled(alice, bob)
    assert not bob.take("presence_update")


async def test_the_size_of_presence_data_is_configured_V4(start_gateway: StartGateway, clients: Clients) -> None:
    gateway = await start_gateway({"presence.max_data_bytes": 10})
    alice = await clients.enter(gateway, "alice", "r")
    await alice.send("presence_update", {"presence": {"data": "12345678"}}, acknowledgment=True)
    await alice.expect("ack")
    await alice.refusal(INVALID_OPERATION, "presence_update", {"presence": {"data": "123456789"}})


# Selections and versions ------------------------------------------------------------------------------------


async def test_a_selection_is_bound_to_the_newest_version_by_default_V5(gateway: HasUrl, clients: Clients) -> None:
    alice = await clients.enter(gateway, "alice", "r")
    bob = await clients.enter(gateway, "bob", "r")
    for version, text in enumerate(["one", "two"]):
        await bob.operate([text], version)
        await alice.send("selection_change", {"ranges": [{"anchor": 0, "head": 3}], "color": "#fff"})
        update = await bob.expect("presence_update")
        assert update.payload["presence"]["selection"] == {
            "ranges": [{"anchor": 0, "head": 3}],
            "color": "#fff",
            "version": version + 1,
        }


async def test_a_selection_stays_on_its_text_V5(gateway: HasUrl, clients: Clients) -> None:
    """Made at version 1, sent when the document is at 2: at whichever version it is relayed, the text is the same."""
    alice = await clients.enter(gateway, "alice", "r")
    bob = await clients.enter(gateway, "bob", "r")
    await bob.operate(["one two"], 0)
    await bob.operate(["zero "], 1)
    at_one = {"ranges": [{"anchor": 4, "head": 7}], "color": "#fff", "version": 1}
    await alice.send("selection_change", at_one)
    selection = (await bob.expect("presence_update")).payload["presence"]["selection"]
    texts = {1: "one two", 2: "zero one two"}
    (selected,) = selection["ranges"]
    assert texts[selection["version"]][selected["anchor"] : selected["head"]] == "two"


async def test_a_selection_of_a_version_that_is_not_there_is_refused_V5(gateway: HasUrl, clients: Clients) -> None:
    alice = await clients.enter(gateway, "alice", "r")
    await alice.send("selection_change", {"ranges": [RANGE], "color": "#fff", "version": 1})
    assert (await alice.expect("error")).payload["code"] in (3001, 3002)
    await alice.refusal(ROOM_NOT_FOUND, "event", {"name": "e"}, roomId="s")
