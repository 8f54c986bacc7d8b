"""Binary frames and the batch that gathers them: every byte, every bound, and what must not get lost."""

from __future__ import annotations

import locale
import math
import struct
from array import array

import pytest

from fastcollab._binary import RecordBatch, RecordSlot, decode_frames, encode_frame, fault_reason

CURSOR, SELECTION = 1, 2
MILLISECOND = 1_000_000
SECOND = 1_000_000_000
BOUND = float(2**24)


def exact(data: bytes) -> array[int]:
    """The bytes in a buffer without a byte behind it, so that a sanitizer sees a read past its end."""
    return array("B", data)


def frame(
    x: float, y: float, *, kind: int = CURSOR, timestamp: int = 0, viewport: tuple[float, float] | None = None
) -> array[int]:
    packed = struct.pack(">HIffI", kind, 0xDEADBEEF, x, y, timestamp)
    return exact(packed + (b"" if viewport is None else struct.pack(">ff", *viewport)))


def batch_of(
    count: int, *, kind: int = CURSOR, period: int = 0, tolerance: int = 0
) -> tuple[RecordBatch, list[RecordSlot]]:
    batch = RecordBatch(kind, 3, period, tolerance)
    slots = [RecordSlot(f"user {index}", index) for index in range(count)]
    for slot in slots:
        batch.add_slot(slot)
    return batch, slots


def flushed(batch: RecordBatch, now: int, interval: int = 0) -> dict[int, tuple[float, float]]:
    """One flush: the positions in it by user."""
    data = batch.flush(now, interval)
    if not data:
        return {}
    kind, handle, records = decode_frames(exact(data))
    assert (kind, handle) == (batch.kind, 3)
    assert len({record[0] for record in records}) == len(records)
    return {user: (x, y) for user, x, y, _, _ in records}


# --- the examples of the protocol -------------------------------------------------------------------------------------

PLAIN = bytes.fromhex("0001 00000007 3fc00000 c0000000 000003e8")
WITH_VIEWPORT = bytes.fromhex("0001 00000007 3fc00000 c0000000 000003e8 00000000 44200000")
BATCHED = bytes.fromhex(
    "0101 0002 00000003"
    "00000007 3fc00000 c0000000 000003e8 7fc00000 7fc00000"
    "00000008 3fc00000 c0000000 000003e8 00000000 44200000"
)


def test_frames_are_written_as_the_protocol_shows() -> None:
    assert encode_frame(CURSOR, 7, 1.5, -2, 1000) == PLAIN
    assert encode_frame(CURSOR, 7, 1.5, -2, 1000, (0, 640)) == WITH_VIEWPORT


def test_frames_are_read_as_the_protocol_shows() -> None:
    assert decode_frames(exact(PLAIN)) == (CURSOR, None, [(7, 1.5, -2, 1000, None)])
    assert decode_frames(exact(WITH_VIEWPORT)) == (CURSOR, None, [(7, 1.5, -2, 1000, (0, 640))])
    records = [(7, 1.5, -2, 1000, None), (8, 1.5, -2, 1000, (0, 640))]
    assert decode_frames(exact(BATCHED)) == (CURSOR, 3, records)


def test_a_batch_is_flushed_as_the_protocol_shows() -> None:
    """B2 as well: the users in the frames that come in are others."""
    batch = RecordBatch(CURSOR, 3)
    seven, eight = RecordSlot("seven", 7), RecordSlot("eight", 8)
    batch.add_slot(seven)
    batch.add_slot(eight)
    batch.put_frame(seven, exact(encode_frame(CURSOR, 99, 1.5, -2, 1000)), 0)
    batch.put_frame(eight, exact(encode_frame(CURSOR, 7, 1.5, -2, 1000, (0, 640))), 0)
    assert batch.flush(0) == BATCHED


def test_a_batch_of_selections_says_so() -> None:
    batch, [slot] = batch_of(1, kind=SELECTION)
    batch.put_frame(slot, frame(3, 9, kind=SELECTION), 0)
    assert batch.flush(0) == bytes.fromhex("0102 0001 00000003 00000000 40400000 41100000 00000000 7fc00000 7fc00000")


def test_the_largest_numbers_have_room() -> None:
    slot = RecordSlot("last", 2**32 - 1)
    batch = RecordBatch(CURSOR, 2**32 - 1)
    batch.add_slot(slot)
    batch.put_frame(slot, frame(-BOUND, BOUND, timestamp=2**32 - 1, viewport=(BOUND, -BOUND)), 0)
    record = (2**32 - 1, -BOUND, BOUND, 2**32 - 1, (BOUND, -BOUND))
    assert decode_frames(exact(batch.flush(0))) == (CURSOR, 2**32 - 1, [record])


# --- what is refused (B1, B4) -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", range(65))
def test_only_two_lengths_are_frames(size: int) -> None:
    batch, [slot] = batch_of(1)
    data = exact((bytes(frame(1, 2, viewport=(3, 4))) + bytes(64))[:size])
    if size in (18, 26):
        batch.put_frame(slot, data, 0)
        assert batch.count == 1
    else:
        with pytest.raises(ValueError, match="18 or 26 bytes"):
            batch.put_frame(slot, data, 0)
        assert batch.count == 0
        assert slot.position() is None


@pytest.mark.parametrize("kind", [0, SELECTION, 3, 0x0100, 0x0101, 0x0201, 0xFFFF])
def test_a_frame_of_another_type_is_refused(kind: int) -> None:
    batch, [slot] = batch_of(1)
    with pytest.raises(ValueError, match="type 1"):
        batch.put_frame(slot, frame(1, 2, kind=kind), 0)


BEYOND = struct.unpack(">f", struct.pack(">I", 0x4B800001))[0]  # the float32 after 2**24
SIGNALLING = struct.unpack(">f", bytes.fromhex("7f800001"))[0]


@pytest.mark.parametrize("place", range(4))
@pytest.mark.parametrize(
    "value", [math.inf, -math.inf, math.nan, -math.nan, SIGNALLING, BEYOND, -BEYOND, 3.4e38, -3.4e38]
)
def test_a_coordinate_out_of_bounds_is_refused(place: int, value: float) -> None:
    batch, [slot] = batch_of(1)
    coordinates = [1.0, 2.0, 3.0, 4.0]
    coordinates[place] = value
    x, y, *viewport = coordinates
    with pytest.raises(ValueError, match="finite"):
        batch.put_frame(slot, frame(x, y, viewport=(viewport[0], viewport[1])), 0)
    if place < 2:
        with pytest.raises(ValueError, match="finite"):
            batch.put_frame(slot, frame(x, y), 0)
    assert batch.count == 0
    assert slot.position() is None


@pytest.mark.parametrize("value", [0.0, -0.0, BOUND, -BOUND, 1e-45, -1e-45, 0.5])
def test_a_coordinate_within_bounds_is_taken(value: float) -> None:
    batch, [slot] = batch_of(1)
    batch.put_frame(slot, frame(value, value, viewport=(value, value)), 0)
    single = struct.unpack(">f", struct.pack(">f", value))[0]
    assert decode_frames(exact(batch.flush(0)))[2] == [(0, single, single, 0, (single, single))]


@pytest.mark.parametrize("value", [-1.0, 0.5, 1e-45, -1e-45, 8_388_607.5])
@pytest.mark.parametrize("place", range(2))
def test_an_end_of_a_selection_is_a_whole_number(place: int, value: float) -> None:
    batch, [slot] = batch_of(1, kind=SELECTION)
    ends = [7.0, 7.0]
    ends[place] = value
    with pytest.raises(ValueError, match="whole numbers"):
        batch.put_frame(slot, frame(ends[0], ends[1], kind=SELECTION), 0)


@pytest.mark.parametrize("value", [0.0, 1.0, BOUND - 1, BOUND])
def test_an_end_of_a_selection_within_bounds_is_taken(value: float) -> None:
    batch, [slot] = batch_of(1, kind=SELECTION)
    batch.put_frame(slot, frame(value, 0, kind=SELECTION), 0)
    assert flushed(batch, 0) == {0: (value, 0)}


def test_an_end_of_a_selection_beyond_2_24_is_refused() -> None:
    batch, [slot] = batch_of(1, kind=SELECTION)
    with pytest.raises(ValueError, match="magnitude"):
        batch.put_frame(slot, frame(BOUND + 2, 0, kind=SELECTION), 0)


def test_each_fault_has_a_reason() -> None:
    assert len({fault_reason(fault) for fault in (1, 2, 3, 4)}) == 4
    with pytest.raises(KeyError):
        fault_reason(0)


@pytest.mark.parametrize("size", range(65))
def test_messages_of_no_frame_size_are_not_decoded(size: int) -> None:
    if size not in (18, 26):
        with pytest.raises(ValueError, match="bytes"):
            decode_frames(exact(WITH_VIEWPORT.ljust(64, b"\0")[:size]))
    count = (size - 8) / 24
    batched = exact((struct.pack(">HHI", 0x0101, max(int(count), 0), 3) + bytes(64))[:size])
    if size >= 8 and count == int(count):
        assert len(decode_frames(batched)[2]) == count
    else:
        with pytest.raises(ValueError, match="bytes"):
            decode_frames(batched)


@pytest.mark.parametrize("count", [0, 1, 3, 65_535])
def test_a_batched_frame_of_another_count_is_not_decoded(count: int) -> None:
    data = exact(BATCHED[:2] + count.to_bytes(2, "big") + BATCHED[4:])
    with pytest.raises(ValueError, match=f"of {count} records"):
        decode_frames(data)


@pytest.mark.parametrize("kind", [0, 3, 0x0100, 0x0103, 0x0201, 0x0301, 0xFFFF])
def test_a_frame_of_unknown_type_is_not_decoded(kind: int) -> None:
    with pytest.raises(ValueError, match=r"unknown|long"):
        decode_frames(exact(kind.to_bytes(2, "big") + PLAIN[2:]))
    with pytest.raises(ValueError, match=r"unknown|long"):
        decode_frames(exact(kind.to_bytes(2, "big") + BATCHED[2:]))


# --- newest wins, and nothing is lost (B8, L1) ------------------------------------------------------------------------


def test_the_newest_record_of_a_flush_wins() -> None:
    batch, [one, two] = batch_of(2)
    batch.put_frame(one, frame(1, 1, viewport=(5, 5)), 0)
    batch.put_frame(two, frame(2, 2), 0)
    batch.put_frame(one, frame(3, 3), 0)
    assert batch.count == 2
    # The viewport of the older record is gone with it.
    assert decode_frames(exact(batch.flush(0)))[2] == [(0, 3, 3, 0, None), (1, 2, 2, 0, None)]
    assert batch.flush(1) == b""


def test_the_first_update_after_a_quiet_spell_is_due_at_once_and_the_next_after_an_interval() -> None:
    batch, [slot] = batch_of(1)
    assert batch.put_frame(slot, frame(1, 1), 10 * MILLISECOND) <= 10 * MILLISECOND
    assert flushed(batch, 10 * MILLISECOND, interval=5 * MILLISECOND) == {0: (1, 1)}
    assert (
        batch.put_frame(slot, frame(2, 2), 11 * MILLISECOND) == batch.next_due() == batch.next_flush == 15 * MILLISECOND
    )
    # A late timer does not shift the flushes after it ...
    flushed(batch, 16 * MILLISECOND, interval=5 * MILLISECOND)
    assert batch.next_flush == 20 * MILLISECOND
    # ... but one that is later than an interval does.
    batch.put_frame(slot, frame(3, 3), 17 * MILLISECOND)
    flushed(batch, 26 * MILLISECOND, interval=5 * MILLISECOND)
    assert batch.next_flush == 31 * MILLISECOND


def test_nothing_is_due_where_nothing_is_gathered() -> None:
    batch, [slot] = batch_of(1)
    assert batch.next_due() is None
    batch.put_frame(slot, frame(1, 1), 0)
    assert batch.next_due() is not None
    batch.flush(0)
    assert batch.next_due() is None


def test_a_record_over_the_limit_is_deferred_and_the_last_one_arrives() -> None:
    batch, [slot] = batch_of(1, period=100, tolerance=200)
    arrived = {}
    # Three at once are within the tolerance; from there one per period.
    for step in range(20):
        due = batch.put_frame(slot, frame(step, 0), now=step)
        if due <= step:
            arrived |= {step: flushed(batch, step)[0][0]}
    assert arrived == {0: 0, 1: 1, 2: 2}
    due = batch.next_due()
    assert due == 100  # the fourth: the theoretical arrival is 300 by now, and 200 early is allowed
    assert flushed(batch, 99) == {}
    assert flushed(batch, 100) == {0: (19, 0)}
    assert batch.next_due() is None
    assert flushed(batch, 10_000) == {}


def test_a_deferred_record_is_overtaken_by_one_that_is_in_time() -> None:
    batch, [slot] = batch_of(1, period=100)
    batch.put_frame(slot, frame(1, 0), 0)
    flushed(batch, 0)
    assert batch.put_frame(slot, frame(2, 0), 50) == 100
    # The flush of the deferred one is late, and a record comes that is not over the limit.
    assert batch.put_frame(slot, frame(3, 0), 120) <= 120
    assert flushed(batch, 130) == {0: (3, 0)}
    assert batch.next_due() is None
    # It was charged once: at 220 the next one is in time.
    assert batch.put_frame(slot, frame(4, 0), 219) == 220
    assert flushed(batch, 219) == {}
    assert flushed(batch, 220) == {0: (4, 0)}


def test_a_flood_of_one_does_not_hold_up_another() -> None:
    batch, [flooder, other] = batch_of(2, period=SECOND)
    batch.put_frame(flooder, frame(0, 0), 0)
    flushed(batch, 0)
    for step in range(1, 100):
        assert batch.put_frame(flooder, frame(step, 0), step) == SECOND
    assert batch.put_frame(other, frame(7, 7), 100) <= 100
    assert flushed(batch, 100) == {1: (7, 7)}
    assert batch.next_due() == SECOND
    assert flushed(batch, SECOND) == {0: (99, 0)}


# --- slots come and go ------------------------------------------------------------------------------------------------


def test_a_slot_is_in_one_batch_at_a_time() -> None:
    batch, [slot] = batch_of(1)
    other = RecordBatch(CURSOR, 4)
    for full in (batch, other):
        with pytest.raises(ValueError, match="already"):
            full.add_slot(slot)
    batch.remove_slot(slot)
    with pytest.raises(ValueError, match="not in list"):
        batch.remove_slot(slot)
    other.add_slot(slot)


@pytest.mark.parametrize("where", ["nowhere", "elsewhere", "removed"])
def test_a_slot_that_was_not_added_is_refused(where: str) -> None:
    """There is no room for its record in the buffer."""
    batch = RecordBatch(CURSOR, 3)
    slot = RecordSlot("stranger", 1)
    if where == "elsewhere":
        RecordBatch(CURSOR, 4).add_slot(slot)
    elif where == "removed":
        batch.add_slot(slot)
        batch.remove_slot(slot)
    with pytest.raises(ValueError, match="not in the batch"):
        batch.put_frame(slot, frame(1, 1), 0)
    with pytest.raises(ValueError, match="not in the batch"):
        batch.put_cursor(slot, 1, 1, 0, 1, 1, 0)
    assert batch.count == 0
    assert slot.position() is None


@pytest.mark.parametrize("gathered", range(1, 6))
@pytest.mark.parametrize("removed", range(5))
def test_a_gathered_slot_is_taken_out_of_the_batch(gathered: int, removed: int) -> None:
    batch, slots = batch_of(5)
    for slot in slots[:gathered]:
        batch.put_frame(slot, frame(slot.numeric_id, 1), 0)
    batch.remove_slot(slots[removed])
    expected = {slot.numeric_id: (slot.numeric_id, 1.0) for slot in slots[:gathered] if slot is not slots[removed]}
    # Those that stay can still be overwritten in place.
    for user in expected:
        batch.put_frame(slots[user], frame(user, 2), 0)
    assert batch.count == len(expected)
    assert flushed(batch, 0) == {user: (x, 2) for user, (x, _) in expected.items()}


def test_a_deferred_slot_is_forgotten() -> None:
    batch, [one, two] = batch_of(2, period=100)
    batch.lists_changes = True
    for slot in (one, two):
        batch.put_frame(slot, frame(1, 1), 0)
    flushed(batch, 0)
    for slot in (one, two):
        batch.put_frame(slot, frame(2, 2), 1)
    batch.remove_slot(one)
    assert batch.take_changes() == [two]
    assert flushed(batch, 100) == {1: (2, 2)}
    batch.remove_slot(two)
    assert batch.next_due() is None
    assert batch.take_changes() == []
    # A slot that comes back is not over the limit of nobody knows what.
    batch.add_slot(one)
    assert flushed(batch, 101) == {}


def test_a_listed_slot_is_forgotten() -> None:
    batch, [one, two] = batch_of(2)
    batch.lists_changes = True
    for slot in (one, two):
        batch.put_frame(slot, frame(1, 1), 0)
    batch.remove_slot(one)
    assert batch.take_changes() == [two]


def test_many_slots_have_room() -> None:
    batch, slots = batch_of(1000)
    for slot in slots:
        batch.put_frame(slot, frame(slot.numeric_id, 0), 0)
    assert flushed(batch, 0) == {user: (user, 0) for user in range(1000)}
    for slot in slots[::2]:
        batch.remove_slot(slot)
    for slot in slots[1::2]:
        batch.put_frame(slot, frame(slot.numeric_id, 1), 0)
    assert flushed(batch, 0) == {user: (user, 1) for user in range(1, 1000, 2)}


# --- changes for connections that get JSON ----------------------------------------------------------------------------


def test_changes_are_listed_while_someone_wants_them() -> None:
    batch, [one, two] = batch_of(2)
    batch.put_frame(one, frame(1, 1), 0)
    batch.flush(0)
    assert batch.take_changes() == []
    batch.lists_changes = True
    batch.put_frame(two, frame(1, 1), 0)
    batch.put_frame(two, frame(2, 2), 0)
    assert batch.take_changes() == [two]
    assert batch.take_changes() == []


def test_a_change_between_listing_and_flush_is_listed_again() -> None:
    """The changes may be taken while the batch waits for its flush; a record that then replaces one in the batch
    is newer than what was told.
    """
    batch, [slot] = batch_of(1)
    batch.lists_changes = True
    batch.put_frame(slot, frame(1, 1), 0)
    assert batch.take_changes() == [slot]
    batch.put_frame(slot, frame(2, 2), 0)
    assert batch.take_changes() == [slot]
    batch.flush(0)
    assert batch.take_changes() == []


# --- what a slow reader is owed (B10) ---------------------------------------------------------------------------------


def test_who_missed_flushes_is_owed_what_was_in_them() -> None:
    batch, [one, two, three] = batch_of(3)
    for slot in (one, two, three):  # one flush each: numbers 1 to 3
        batch.put_frame(slot, frame(1, 1), 0)
        batch.flush(0)
    assert batch.flushes == 3
    assert batch.missed_since(1, None) == [one, two, three]
    assert batch.missed_since(2, None) == [two, three]
    assert batch.missed_since(3, three) == []
    assert batch.missed_since(4, None) == []
    batch.put_frame(one, frame(2, 2), 0)
    assert batch.missed_since(4, None) == []
    batch.flush(0)
    assert batch.missed_since(4, None) == [one]
    assert batch.missed_since(1, two) == [one, three]


def test_an_empty_flush_has_no_number() -> None:
    batch, [slot] = batch_of(1)
    assert batch.flush(0) == b""
    assert batch.flushes == 0
    # Of a slot without a record nobody can miss anything.
    assert batch.missed_since(0, None) == []
    batch.put_frame(slot, frame(1, 1), 0)
    batch.flush(0)
    assert batch.flushes == 1
    assert batch.missed_since(0, None) == [slot]


# --- positions as JSON has them ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "value", [0.0, 0.1, -0.1, 1 / 3, 1e-7, 16_777_216.0, 16_777_215.0, 123.456, 1e-45, 1.1754944e-38, 8_388_607.5]
)
def test_a_position_has_the_fewest_digits_that_tell_it(value: float) -> None:
    single = struct.unpack(">f", struct.pack(">f", value))[0]
    shortest = next(
        float(text)
        for text in (f"{single:.{digits}g}" for digits in range(6, 10))
        if struct.pack(">f", float(text)) == struct.pack(">f", single)
    )
    batch, [slot] = batch_of(1)
    batch.put_cursor(slot, value, -value, 0, value, value, 0)
    assert slot.position() == (shortest, -shortest, shortest, shortest)
    batch.put_frame(slot, frame(value, value), 0)
    assert slot.position() == (shortest, shortest, None, None)


def test_a_tenth_is_a_tenth() -> None:
    batch, [slot] = batch_of(1)
    assert slot.position() is None
    batch.put_frame(slot, frame(0.1, 123.456), 0)
    assert slot.position() == (0.1, 123.456, None, None)
    assert (slot.user_id, slot.numeric_id) == ("user 0", 0)


def test_a_position_does_not_depend_on_the_locale() -> None:
    before = locale.setlocale(locale.LC_NUMERIC)
    for name in ("de_DE.UTF-8", "fr_FR.UTF-8", "de_DE", "fr_FR"):
        try:
            locale.setlocale(locale.LC_NUMERIC, name)
            break
        except locale.Error:
            continue
    else:
        pytest.skip("no locale with a decimal comma is installed")
    try:
        batch, [slot] = batch_of(1)
        batch.put_frame(slot, frame(0.1, 123.456), 0)
        assert slot.position() == (0.1, 123.456, None, None)
    finally:
        locale.setlocale(locale.LC_NUMERIC, before)


@pytest.mark.parametrize("number", [-1, 2**32])
def test_numbers_are_uint32(number: int) -> None:
    with pytest.raises(OverflowError):
        RecordSlot("user", number)
    with pytest.raises(OverflowError):
        RecordBatch(CURSOR, number)
    with pytest.raises(OverflowError):
        encode_frame(CURSOR, number, 0, 0, 0)
    with pytest.raises(OverflowError):
        encode_frame(CURSOR, 0, 0, 0, number)
