"""What a node tells others of its rooms, when, and what it takes from them."""

from __future__ import annotations

import asyncio
import logging
import time
from array import array
from collections.abc import Iterator

import pytest
from tests.builders import text_document
from tests.relays import SHORTEST, Node, RoomHere, records

from fastcollab._binary import RecordSlot, encode_frame
from fastcollab._bundle import LARGEST_NOTICE, decode_bundle, encode_bundle
from fastcollab.core.room import Room, RoomSettings
from fastcollab.server._fanout import Channel, FlushPacer
from fastcollab.server._outbox import Cork
from fastcollab.server._pump import Pump, now_ns
from fastcollab.server._relay import Relay

HERE, THERE = b"here".ljust(16), b"there".ljust(16)


@pytest.fixture
def node() -> Iterator[Node]:
    node = Node(HERE)
    yield node
    node.close()


@pytest.fixture
def room(node: Node) -> RoomHere:
    room = node.open("room", 5)
    for number in (1, 2, 3):
        room.add(number, local=True)
    return room


def sections(node: Node) -> list[object]:
    """What was in the bundles since the last call, without the records' form."""
    found: list[object] = []
    for channel, bundle in node.take():
        origin, _, _, parts = decode_bundle(bundle)
        assert origin == HERE
        for part in parts:
            if isinstance(part, bytes):
                found.append((channel, part))
            else:
                kind, room_id, version, lines = part
                frame = b"\x01\x01" + len(lines).to_bytes(2) + bytes(4) + b"".join(lines)
                found.append(
                    (channel, kind, room_id, version, {user: line[0] for user, line in records(frame).items()})
                )
    return found


def bundle_of(*parts: object, number: int = 1, node: bytes = THERE) -> bytes:
    return encode_bundle(node, number, 0, parts)  # type: ignore[arg-type]


def record(number: int, x: float, y: float = 0, kind: int = 1) -> bytes:
    return encode_frame(kind, number, x, y, 9)[2:] + bytes.fromhex("7fc00000 7fc00000")


# --- outwards: what -----------------------------------------------------------------------------------------------


def test_the_first_record_leaves_at_once_and_the_newest_of_each_later(node: Node, room: RoomHere) -> None:
    room.move(1, 1)
    assert sections(node) == [(5, 1, "room", 0, {1: 1})]
    for x in (2, 3):
        for number in (2, 3):
            room.move(number, x)
    assert sections(node) == []
    node.loop.fire()
    assert sections(node) == [(5, 1, "room", 0, {2: 3, 3: 3})]


def test_no_more_than_two_records_of_a_user_leave_per_flush_of_the_room_L1() -> None:
    """The limit counts those that join the room's batch; a client may replace its record there a thousand times."""
    node = Node(HERE)
    # A relay that sends at once whatever it is given, and a room that waits.
    fast = Relay(
        HERE,
        node.pump,
        FlushPacer(0, 0),
        publish=node.published.append,
        notice=print,
        doubt=print,
        echoed=print,
        selected=print,
    )
    room = node.open("room", 5)
    room.relay.close()
    room.relay = fast.open("room", 5, room.cursors, room.selections, room.fanout)
    room.relay.shared = True
    room.add(1, local=True)
    room.move(1, 1)
    assert sections(node) == [(5, 1, "room", 0, {1: 1})]
    for x in range(2, 50):
        room.move(1, x)
    assert sections(node) == [(5, 1, "room", 0, {1: 2})]
    room.cursors.flush(now_ns(), 1)
    room.fanout.expect(now_ns() + SHORTEST)
    assert sections(node) == [(5, 1, "room", 0, {1: 49})]
    room.cursors.flush(now_ns(), 1)
    room.fanout.expect(now_ns() + SHORTEST)
    assert sections(node) == []
    fast.close()
    node.close()


def test_records_over_the_limit_follow_when_their_time_has_come_L1() -> None:
    node = Node(HERE, RoomSettings(cursor_updates=1, cursor_burst=0))
    room = node.open("room", 5)
    room.add(1, local=True)
    room.move(1, 1)
    assert sections(node) == [(5, 1, "room", 0, {1: 1})]
    for x in (2, 3, 4):
        room.move(1, x)
    assert room.cursors.count == 0
    while not (found := sections(node)):
        assert node.loop.fire()
    assert found == [(5, 1, "room", 0, {1: 4})]
    node.close()


def test_only_what_is_local_leaves_and_only_while_the_room_is_shared(node: Node, room: RoomHere) -> None:
    room.add(4, remote=True)
    room.move(4, 1)
    room.relay.remove_local(*room.slots[3])
    room.move(3, 1)
    assert sections(node) == []
    room.relay.shared = False
    room.move(1, 1)
    assert sections(node) == []
    assert not node.loop.timers or node.loop.fire()
    assert sections(node) == []
    room.relay.shared = True
    assert room.relay.shared
    room.move(2, 1)
    assert sections(node) == [(5, 1, "room", 0, {2: 1})]


def test_what_waits_is_dropped_when_the_room_is_shared_no_more(node: Node, room: RoomHere) -> None:
    room.move(1, 1)
    sections(node)
    room.move(2, 1)
    room.relay.shared = False
    room.relay.shared = True
    while node.loop.fire():
        pass
    assert sections(node) == []


def test_a_participant_who_left_sends_nothing_more(node: Node, room: RoomHere) -> None:
    room.move(1, 1)
    sections(node)
    room.move(2, 1)
    room.move(3, 1)
    room.cursors.remove_slot(room.slots[2][0])
    node.loop.fire()
    assert sections(node) == [(5, 1, "room", 0, {3: 1})]


def test_a_selection_leaves_with_the_version_of_its_time_and_not_after_one_in_another_form_B4(
    node: Node, room: RoomHere
) -> None:
    room.move(1, 1)
    sections(node)
    room.select(1, 3, 4)
    room.select(2, 5, 6)
    room.selections.withdraw(room.slots[2][1])
    node.loop.fire()
    assert sections(node) == [(5, 2, "room", 0, {1: 3})]


def test_rooms_of_one_channel_share_a_bundle(node: Node) -> None:
    for name, channel in (("a", 1), ("b", 1), ("c", 2)):
        node.open(name, channel).add(1, local=True)
    node.rooms["a"].move(1, 1)
    assert len(node.published) == 1
    node.take()
    for name in "abc":
        node.rooms[name].move(1, 2)
    node.loop.fire()
    assert len(node.published) == 1
    assert [channel for channel, _ in node.published[0]] == [1, 2]
    assert sections(node) == [(1, 1, "a", 0, {1: 2}), (1, 1, "b", 0, {1: 2}), (2, 1, "c", 0, {1: 2})]


def test_everything_known_is_announced_but_not_what_is_not_from_here(node: Node, room: RoomHere) -> None:
    room.move(1, 1)
    room.move(2, 2)
    room.select(3, 7, 8)
    room.add(4, remote=True)
    room.add(2, remote=True)
    node.hear([(5, bundle_of((1, "room", 0, [record(2, 20), record(4, 40)])))])
    while node.loop.fire():
        pass
    sections(node)
    room.relay.announce()
    while node.loop.fire():
        pass
    assert sections(node) == [(5, 1, "room", 0, {1: 1}), (5, 2, "room", 0, {3: 7})]
    room.relay.shared = False
    room.relay.announce()
    assert not node.loop.fire()


def test_a_closed_room_is_silent_and_may_be_opened_again(node: Node, room: RoomHere) -> None:
    room.move(1, 1)
    sections(node)
    room.move(2, 1)
    room.relay.close()
    room.relay.close()
    room.relay.announce()
    room.relay.shared = True
    room.move(1, 2)
    assert not room.relay.shared
    while node.loop.fire():
        pass
    assert sections(node) == []
    again = node.open("room", 5)
    again.add(1, local=True)
    again.move(1, 5)
    while node.loop.fire():
        pass
    assert sections(node) == [(5, 1, "room", 0, {1: 5})]


def test_a_room_is_opened_once(node: Node, room: RoomHere) -> None:
    with pytest.raises(ValueError, match="'room' is relayed already"):
        node.open("room", 6)


# --- outwards: when -----------------------------------------------------------------------------------------------


async def test_the_interval_grows_with_the_bundles() -> None:
    left: list[tuple[int, int]] = []
    flushed = asyncio.Event()

    def publish(bundles: list[tuple[int, bytes]]) -> None:
        left.append((now_ns(), len(bundles)))
        flushed.set()

    pump = Pump(asyncio.get_running_loop(), Cork())
    pacer = FlushPacer(10_000_000, 200_000_000)
    relay = Relay(
        HERE,
        pump,
        pacer,
        publish=publish,
        notice=print,
        doubt=print,
        echoed=print,
        selected=print,
    )
    rooms = []
    for channel in range(100):
        room = Room(f"room {channel}", 1, text_document(), RoomSettings())
        slots = RecordSlot("user", 1), RecordSlot("user", 1)
        room.cursors.add_slot(slots[0])
        fanout = Channel(room, pump, pacer, print, 0)
        relayed = relay.open(room.id, channel, room.cursors, room.selections, fanout)
        relayed.shared = True
        relayed.add_local(*slots)
        room.cursors.put_cursor(slots[0], 1, 1, 1, 1, 1, now_ns())
        rooms.append(relayed)
    rooms[0].announce()
    for relayed in rooms:
        relayed.announce()
    flushed.clear()
    await flushed.wait()
    rooms[0].announce()
    flushed.clear()
    await flushed.wait()
    assert [count for _, count in left] == [1, 100, 1]
    assert left[1][0] - left[0][0] >= 10_000_000
    assert left[2][0] - left[1][0] >= 200_000_000
    relay.close()
    pump.close()


def test_notices_do_not_wait_for_long_intervals_but_leave_with_what_is_on_their_channel(node: Node) -> None:
    for channel in range(55):
        node.open(f"room {channel}", channel).add(1, local=True)
    node.rooms["room 0"].move(1, 1)
    for room in node.rooms.values():
        room.move(1, 2)
    node.loop.fire()
    node.take()
    node.rooms["room 7"].relay.announce()
    node.rooms["room 8"].relay.announce()
    node.relay.tell(7, b"notice")
    node.loop.fire()
    assert sections(node) == [(7, b"notice"), (7, 1, "room 7", 0, {1: 2})]
    while not (found := sections(node)):
        assert node.loop.fire()
    assert found == [(8, 1, "room 8", 0, {1: 2})]


def test_notices_keep_their_order_and_the_first_leaves_at_once(node: Node) -> None:
    node.relay.tell(3, b"1")
    assert sections(node) == [(3, b"1")]
    for notice in (b"2", b"3", b""):
        node.relay.tell(3, notice)
        node.relay.tell(4, notice)
    assert sections(node) == []
    node.loop.fire()
    assert sections(node) == [(3, b"2"), (3, b"3"), (3, b""), (4, b"2"), (4, b"3"), (4, b"")]


def test_bundles_that_get_large_are_divided(node: Node) -> None:
    node.relay.tell(3, b"first")
    node.take()
    for letter in (b"a", b"b", b"c"):
        node.relay.tell(3, letter * 200_000)
    node.loop.fire()
    bundles = node.take()
    assert [len(bundle) for _, bundle in bundles] == [33 + 2 * 200_005, 33 + 200_005]
    assert [decode_bundle(bundle)[1] for _, bundle in bundles] == [2, 3]


def test_a_notice_that_is_too_large_is_refused(node: Node) -> None:
    node.relay.tell(3, bytes(LARGEST_NOTICE))
    node.take()
    with pytest.raises(ValueError, match="too large"):
        node.relay.tell(3, bytes(LARGEST_NOTICE + 1))
    assert not node.loop.fire()


def test_bundles_are_numbered_by_channel_and_have_their_time(node: Node) -> None:
    for _ in range(3):
        node.relay.tell(1, b"x")
        node.relay.tell(2, b"x")
        while node.loop.fire():
            pass
    bundles = [(channel, *decode_bundle(bundle)) for channel, bundle in node.take()]
    for channel in (1, 2):
        assert [number for on, _, number, *_ in bundles if on == channel] == [1, 2, 3]
    assert all(made_at == pytest.approx(time.time() * 1e6, abs=60e6) for _, _, _, made_at, _ in bundles)


def beats(node: Node, *channels: int) -> list[tuple[int, int]]:
    """What a beat publishes on these channels: the numbers of empty bundles."""
    node.relay.beat(channels)
    bundles = [(channel, *decode_bundle(bundle)) for channel, bundle in node.take()]
    assert all(parts == [] for *_, parts in bundles)
    return [(channel, number) for channel, _, number, *_ in bundles]


def test_a_beat_follows_the_last_bundle_until_one_has_come_back(node: Node) -> None:
    node.relay.tell(1, b"x")
    [(_, told)] = node.take()
    assert beats(node, 1) == []
    assert beats(node, 1) == [(1, 2)]
    node.hear([(1, told)])
    assert beats(node, 1) == [(1, 3)]
    assert node.relay.owes_echo(1)
    node.hear([(1, encode_bundle(HERE, 3, 0, []))])
    assert not node.relay.owes_echo(1)
    assert beats(node, 1) == []
    # What was last said is said to have come back, and others speak.
    for number in range(1, 5):
        node.hear([(1, bundle_of(number=number))])
        assert beats(node, 1) == []
    node.relay.tell(1, b"y")
    node.loop.fire()
    node.take()
    node.hear([(1, bundle_of(number=5))])
    assert beats(node, 1) == []
    node.hear([(1, bundle_of(number=6))])
    assert beats(node, 1) == [(1, 5)]


def test_a_beat_breaks_the_silence_of_a_channel_and_is_not_needed_where_others_speak(node: Node) -> None:
    assert beats(node, 1, 2) == [(1, 1), (2, 1)]
    node.hear([(1, encode_bundle(HERE, 1, 0, [])), (2, encode_bundle(HERE, 1, 0, []))])
    assert beats(node, 1, 2) == []
    assert beats(node, 1) == [(1, 2)]
    node.hear([(1, encode_bundle(HERE, 2, 0, [])), (1, bundle_of()), (2, bundle_of())])
    assert beats(node, 1, 2) == []
    node.hear([(2, bundle_of(number=2))])
    assert beats(node, 1, 2) == [(1, 3)]


def test_a_node_that_hears_nothing_keeps_asking(node: Node) -> None:
    for number in range(1, 6):
        assert beats(node, 7) == [(7, number)]
        assert node.relay.owes_echo(7)


@pytest.mark.parametrize("count", [2, 30])
def test_one_node_speaks_for_all_that_hear_a_channel(count: int) -> None:
    nodes = [Node(bytes([number]) * 16) for number in range(count)]
    said = 0
    for _ in range(20):
        for node in nodes:
            node.relay.beat([5])
            for bundle in node.take():
                said += 1
                for hearer in nodes:
                    hearer.hear([bundle])
    assert 10 <= said <= 21
    for node in nodes:
        assert node.doubts == []
        node.close()


def test_what_waits_leaves_when_the_relay_is_closed(node: Node, room: RoomHere) -> None:
    node.relay.tell(5, b"1")
    node.relay.tell(5, b"2")
    room.move(1, 1)
    node.take()
    node.relay.close()
    assert sections(node) == [(5, b"2"), (5, 1, "room", 0, {1: 1})]
    node.relay.tell(5, b"3")
    node.relay.beat([5])
    room.move(1, 2)
    node.hear([(5, bundle_of(b"4"))])
    node.relay.close()
    while node.loop.fire():
        pass
    assert node.take() == []
    assert node.notices == []


# --- inwards ------------------------------------------------------------------------------------------------------


def test_records_of_others_reach_the_members_and_are_not_sent_on(node: Node, room: RoomHere) -> None:
    room.add(8, remote=True)
    room.add(9, remote=True)
    node.hear([(5, bundle_of((1, "room", 0, [record(8, 80), record(9, 90), record(8, 81)])))])
    assert (room.cursor(8), room.cursor(9)) == (81, 90)
    # They have left for the members: nothing waits.
    assert room.cursors.count == 0
    assert room.cursors.flushes == 1
    while node.loop.fire():
        pass
    assert node.take() == []


def test_all_that_had_arrived_goes_into_one_flush(node: Node, room: RoomHere) -> None:
    room.add(8, remote=True)
    for number in range(1, 6):
        node.relay.receive(5, bundle_of((1, "room", 0, [record(8, number)]), number=number))
    assert room.cursors.flushes == 0
    node.loop.run()
    assert room.cursors.flushes == 1
    assert room.cursor(8) == 5


def test_records_of_others_are_under_no_limit_here_L1() -> None:
    node = Node(HERE, RoomSettings(cursor_updates=1, cursor_burst=0))
    room = node.open("room", 5)
    room.add(8, remote=True)
    for number in range(1, 4):
        node.hear([(5, bundle_of((1, "room", 0, [record(8, number)]), number=number))])
        assert room.cursors.flush(now_ns()) or number == 1
    assert room.cursor(8) == 3
    node.close()


def test_what_is_not_known_here_is_passed_over(node: Node, room: RoomHere) -> None:
    room.add(8, remote=True)
    node.hear(
        [
            (5, bundle_of((1, "none", 0, [record(8, 1)]), (1, "room", 0, [record(7, 1), record(1, 1)]))),
            (6, bundle_of((1, "room", 0, [record(8, 1)]))),  # that room's records come over another channel
        ]
    )
    assert room.cursor(8) is room.cursor(1) is None
    room.relay.remove_remote(*room.slots[8])
    node.hear([(5, bundle_of((1, "room", 0, [record(8, 1)]), number=2))])
    assert room.cursor(8) is None


@pytest.mark.parametrize(
    "bad",
    [
        record(8, float("nan")),
        record(8, 1, float("inf")),
        record(8, 2.0**24 + 2),
        record(8, 1)[:16] + bytes.fromhex("7fc00001 7fc00000"),
        record(8, 1)[:16] + bytes.fromhex("00000000 7f800000"),
    ],
)
def test_a_record_that_no_client_could_have_sent_is_passed_over_B1(node: Node, room: RoomHere, bad: bytes) -> None:
    room.add(8, remote=True)
    room.add(9, remote=True)
    node.hear([(5, bundle_of((1, "room", 0, [bad, record(9, 1)])))])
    assert room.cursor(8) is None
    assert room.cursor(9) == 1


def test_selections_are_told_before_they_are_shown_B4(node: Node, room: RoomHere) -> None:
    room.add(8, remote=True)
    bad = [record(8, -1, 3, kind=2), record(8, 1.5, 3, kind=2)]
    node.hear([(5, bundle_of((2, "room", 77, [record(8, 3, 9, kind=2), *bad])))])
    assert node.selections == [(room.room, room.slots[8][1], 3, 9, 77)]
    assert room.selection(8) == (3, 9)


def test_remote_participants_are_found_by_number_however_they_come_and_go(room: RoomHere) -> None:
    numbers = [(index * 7919 + 13) % 2**32 for index in range(100)] + [0, 2**32 - 1]
    for number in numbers:
        room.add(number, remote=True)
    with pytest.raises(ValueError, match="number 13 already"):
        room.add(13, remote=True)
    for number in numbers[::2]:
        room.relay.remove_remote(*room.slots[number])
    with pytest.raises(ValueError, match="no such remote"):
        room.relay.remove_remote(*room.slots[13])
    with pytest.raises(ValueError, match="no such remote"):
        room.relay.remove_remote(room.slots[numbers[1]][1], room.slots[numbers[1]][0])
    with pytest.raises(ValueError, match="no such remote"):
        room.relay.remove_remote(*room.slots[1])
    node = room.relay
    assert node.shared


def test_a_user_at_two_nodes_is_one_and_is_not_sent_back_B9(node: Node, room: RoomHere) -> None:
    room.add(1, remote=True)
    room.move(2, 1)
    node.take()
    room.move(1, 5)
    node.hear([(5, bundle_of((1, "room", 0, [record(1, 6)])))])
    while node.loop.fire():
        pass
    assert sections(node) == []
    assert room.cursor(1) == 6
    room.move(1, 7)
    while node.loop.fire():
        pass
    assert sections(node) == [(5, 1, "room", 0, {1: 7})]


def test_notices_are_told_in_their_order(node: Node) -> None:
    node.hear([(5, bundle_of(b"1", b"2")), (6, bundle_of(b"3")), (5, bundle_of(b"4", number=2))])
    assert node.notices == [(5, THERE, b"1"), (5, THERE, b"2"), (6, THERE, b"3"), (5, THERE, b"4")]


def test_the_first_that_a_node_says_at_all_is_no_doubt(node: Node) -> None:
    node.hear([(5, bundle_of(b"1")), (6, bundle_of()), (5, bundle_of(node=b"x" * 16))])
    assert node.doubts == []
    assert node.notices == [(5, THERE, b"1")]


def test_gaps_and_first_numbers_are_doubts_and_old_numbers_nothing(node: Node) -> None:
    for number in (4, 5, 7, 6, 7, 8):
        node.hear([(5, bundle_of(str(number).encode(), number=number))])
    assert node.doubts == [(5, THERE), (5, THERE)]
    assert [notice for _, _, notice in node.notices] == [b"4", b"5", b"7", b"8"]
    node.hear([(6, bundle_of(number=9)), (5, bundle_of(node=b"x" * 16, number=9))])
    assert node.doubts[2:] == [(6, THERE), (5, b"x" * 16)]


def test_numbers_are_forgotten_with_their_node_and_their_channel(node: Node) -> None:
    node.hear([(5, bundle_of()), (6, bundle_of()), (5, bundle_of(node=b"x" * 16))])
    node.doubts.clear()
    node.relay.forget_others({b"x" * 16, b"unknown"})
    node.hear([(5, bundle_of(number=2)), (6, bundle_of(number=2)), (5, bundle_of(node=b"x" * 16, number=2))])
    assert node.doubts == [(5, THERE), (6, THERE)]
    node.doubts.clear()
    node.relay.forget_channel(5)
    node.hear([(5, bundle_of(number=3)), (6, bundle_of(number=3)), (5, bundle_of(node=b"x" * 16, number=3))])
    assert node.doubts == [(5, THERE), (5, b"x" * 16)]


def test_own_bundles_are_echoes_and_nothing_else(node: Node, room: RoomHere) -> None:
    room.add(1, remote=True)
    node.hear([(5, encode_bundle(HERE, 3, 123, [b"notice", (1, "room", 0, [record(1, 9)])]))])
    assert node.echoes == [(5, 3, 123)]
    assert node.notices == node.doubts == []
    assert room.cursor(1) is None


@pytest.mark.parametrize(
    "bundle",
    [b"", b"x", bytes(40), bundle_of(b"notice") + b"x", bundle_of(b"notice", (1, "room", 0, [record(8, 1)]))[:-1]],
)
def test_what_is_no_bundle_is_passed_over_as_a_whole(
    node: Node, room: RoomHere, bundle: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    room.add(8, remote=True)
    with caplog.at_level(logging.WARNING):
        node.hear([(5, bundle)])
    assert "heard on channel 5 is no bundle" in caplog.text
    assert node.notices == node.doubts == []
    assert room.cursor(8) is None


def test_a_function_that_fails_keeps_nothing_else_from_being_done(caplog: pytest.LogCaptureFixture) -> None:
    def fail(*_: object) -> None:
        raise ValueError("a fault of the program")

    node = Node(HERE)
    relay = Relay(HERE, node.pump, node.pacer, publish=fail, notice=fail, doubt=fail, echoed=fail, selected=fail)
    room = node.open("room", 5)
    room.relay.close()
    room.relay = relay.open("room", 5, room.cursors, room.selections, room.fanout)
    room.add(8, remote=True)
    parts = [b"notice", (2, "room", 1, [record(8, 3, 9, kind=2)]), (1, "room", 0, [record(8, 3)])]
    relay.receive(5, bundle_of(*parts, number=2))
    assert room.cursor(8) == 3
    assert room.selection(8) is None
    relay.receive(5, bundle_of(node=HERE))
    relay.tell(5, b"x")
    assert [line.message for line in caplog.records] == [
        "a doubt could not be told",
        "a notice of another node could not be taken",
        "a selection of another node could not be taken",
        "a bundle that came back could not be taken",
        "bundles could not be published",
    ]
    relay.close()
    node.close()


def test_a_room_that_is_closed_by_what_it_hears_does_no_harm(node: Node, room: RoomHere) -> None:
    closing = Relay(
        HERE,
        node.pump,
        node.pacer,
        publish=print,
        notice=lambda *_: room.relay.close(),
        doubt=print,
        echoed=print,
        selected=lambda *_: room.relay.close(),
    )
    room.add(8)
    for parts in ([b"notice"], [(2, "room", 1, [record(8, 3, 9, kind=2)] * 2)]):
        room.relay.close()
        room.relay = closing.open("room", 5, room.cursors, room.selections, room.fanout)
        room.relay.add_remote(*room.slots[8])
        closing.receive(5, bundle_of(*parts, (1, "room", 0, [record(8, 3)]), node=bytes([len(parts[0])]) * 16))
        node.loop.run()
    assert room.cursor(8) is None
    assert room.selection(8) is None
    closing.close()


def test_a_node_has_sixteen_bytes(node: Node) -> None:
    with pytest.raises(ValueError, match="16 bytes"):
        Relay(b"short", node.pump, node.pacer, publish=print, notice=print, doubt=print, echoed=print, selected=print)


def test_a_foreign_record_is_checked() -> None:
    node = Node(HERE)
    room = node.open("room", 5)
    room.add(8)
    assert room.cursors.put_foreign(room.slots[8][0], array("B", record(0, 4))) == room.cursors.next_flush
    assert room.cursor(8) == 4
    for bad in (record(0, 4)[:-1], record(0, 4) + b"x", record(0, float("nan")), b""):
        with pytest.raises(ValueError, match="no record"):
            room.cursors.put_foreign(room.slots[8][0], array("B", bad))
    with pytest.raises(ValueError, match="not in the batch"):
        room.selections.put_foreign(room.slots[8][0], array("B", record(0, 4)))
    node.close()
