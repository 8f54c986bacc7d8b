"""The batch of a room against a model of it in plain Python: same records, same times, nothing lost.

The model keeps a dictionary per question where the batch keeps lists, indices and one buffer. Slots come and go,
records arrive at any time, flushes are early, late or left out.
"""

from __future__ import annotations

import struct
from array import array
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from fastcollab._binary import RecordBatch, RecordSlot, decode_frames, encode_frame

Record = tuple[float, float, int, tuple[float, float] | None]

coordinates = st.floats(-(2.0**24), 2.0**24, width=32)
uint32 = st.integers(0, 2**32 - 1)
viewports = st.none() | st.tuples(coordinates, coordinates)


@dataclass(eq=False)
class ModelSlot:
    """What is known of one slot."""

    slot: RecordSlot
    newest: Record | None = None
    gathered: bool = False
    deferred: bool = False
    listed: bool = False
    theoretical_arrival: int = 0
    last_flush: int = 0
    #: Whether the newest record has not been in a flush yet.
    pending: bool = False


@dataclass
class ModelBatch:
    period: int
    tolerance: int
    slots: list[ModelSlot] = field(default_factory=list)
    next_flush: int = 0
    flushes: int = 0

    def put(self, slot: ModelSlot, record: Record, now: int, lists: bool) -> int:
        slot.newest = record
        slot.pending = True
        if not slot.gathered:
            early = slot.theoretical_arrival - self.tolerance
            if self.period and now < early:
                slot.deferred = True
                return max(early, self.next_flush)
            slot.theoretical_arrival = max(slot.theoretical_arrival, now) + self.period
            slot.gathered = True
        slot.listed |= lists
        return self.next_flush

    def flush(self, now: int, interval: int, lists: bool) -> dict[int, Record]:
        due = self.next_flush
        for slot in self.slots:
            if slot.deferred and slot.gathered:
                slot.deferred = False
            elif slot.deferred and now >= slot.theoretical_arrival - self.tolerance:
                slot.deferred = False
                slot.gathered = True
                slot.listed |= lists
                slot.theoretical_arrival = max(slot.theoretical_arrival, now) + self.period
        sent = {}
        for slot in self.slots:
            if slot.gathered:
                assert slot.newest is not None
                sent[slot.slot.numeric_id] = slot.newest
        self.flushes += bool(sent)
        for slot in self.slots:
            if slot.gathered:
                slot.gathered = slot.pending = False
                slot.last_flush = self.flushes
        self.next_flush = (due if now - due < interval else now) + interval
        return sent

    def next_due(self) -> int | None:
        if any(slot.gathered for slot in self.slots):
            return self.next_flush
        waiting = [slot.theoretical_arrival - self.tolerance for slot in self.slots if slot.deferred]
        return max(self.next_flush, min(waiting)) if waiting else None


class BatchMachine(RuleBasedStateMachine):
    @initialize(
        kind=st.sampled_from([1, 2]),
        period=st.sampled_from([0, 1, 100]),
        burst=st.integers(0, 5),
        lists=st.booleans(),
    )
    def make(self, kind: int, period: int, burst: int, lists: bool) -> None:
        self.kind = kind
        self.batch = RecordBatch(kind, 12, period, period * burst)
        self.batch.lists_changes = self.lists = lists
        self.model = ModelBatch(period, period * burst)
        self.gone: list[ModelSlot] = []
        self.now = 0
        self.users = 0

    def pick(self, index: int) -> ModelSlot:
        return self.model.slots[index % len(self.model.slots)]

    @rule(count=st.integers(1, 12))
    def add(self, count: int) -> None:
        for _ in range(count):
            slot = ModelSlot(RecordSlot(f"user {self.users}", self.users))
            self.users += 1
            self.batch.add_slot(slot.slot)
            self.model.slots.append(slot)

    @precondition(lambda self: self.model.slots)
    @rule(index=st.integers(0, 99))
    def remove(self, index: int) -> None:
        slot = self.pick(index)
        self.batch.remove_slot(slot.slot)
        self.model.slots.remove(slot)
        slot.gathered = slot.deferred = slot.listed = slot.pending = False
        self.gone.append(slot)

    @precondition(lambda self: self.gone)
    @rule(index=st.integers(0, 99))
    def add_again(self, index: int) -> None:
        slot = self.gone.pop(index % len(self.gone))
        self.batch.add_slot(slot.slot)
        self.model.slots.append(slot)

    @rule(time=st.integers(0, 300))
    def wait(self, time: int) -> None:
        self.now += time

    @precondition(lambda self: self.model.slots)
    @rule(index=st.integers(0, 99), x=coordinates, y=coordinates, timestamp=uint32, viewport=viewports, lie=uint32)
    def put_frame(
        self, index: int, x: float, y: float, timestamp: int, viewport: tuple[float, float] | None, lie: int
    ) -> None:
        slot = self.pick(index)
        if self.kind == 2:
            x, y = float(abs(int(x))), float(abs(int(y)))
        data = array("B", encode_frame(self.kind, lie, x, y, timestamp, viewport))
        due = self.batch.put_frame(slot.slot, data, self.now)
        assert due == self.model.put(slot, (x, y, timestamp, viewport), self.now, self.lists)

    @precondition(lambda self: self.model.slots and self.kind == 1)
    @rule(
        index=st.integers(0, 99),
        x=coordinates,
        y=coordinates,
        timestamp=uint32,
        viewport=st.tuples(coordinates, coordinates),
    )
    def put_cursor(self, index: int, x: float, y: float, timestamp: int, viewport: tuple[float, float]) -> None:
        slot = self.pick(index)
        due = self.batch.put_cursor(slot.slot, x, y, timestamp, *viewport, self.now)
        assert due == self.model.put(slot, (x, y, timestamp, viewport), self.now, self.lists)

    @rule(interval=st.sampled_from([0, 10, 100]))
    def flush(self, interval: int) -> None:
        data = self.batch.flush(self.now, interval)
        expected = self.model.flush(self.now, interval, self.lists)
        if not expected:
            assert data == b""
            return
        kind, handle, records = decode_frames(array("B", data))
        assert (kind, handle) == (self.kind, 12)
        assert len(records) == len(expected)
        assert {user: tuple(record) for user, *record in records} == expected

    @rule()
    def take_changes(self) -> None:
        taken = self.batch.take_changes()
        listed = [slot for slot in self.model.slots if slot.listed]
        assert len(taken) == len(listed)
        assert set(taken) == {slot.slot for slot in listed}
        for slot in listed:
            slot.listed = False

    @rule(lists=st.booleans())
    def list_changes(self, lists: bool) -> None:
        self.batch.lists_changes = self.lists = lists

    @rule(flush=st.integers(0, 20), own=st.integers(0, 99))
    def missed_since(self, flush: int, own: int) -> None:
        mine = self.pick(own) if self.model.slots else None
        expected = [
            slot.slot
            for slot in self.model.slots
            if slot.newest is not None and slot.last_flush >= flush and slot is not mine
        ]
        assert self.batch.missed_since(flush, mine and mine.slot) == expected

    @invariant()
    def same_times(self) -> None:
        if not hasattr(self, "batch"):
            return
        assert self.batch.next_due() == self.model.next_due()
        assert self.batch.next_flush == self.model.next_flush
        assert self.batch.flushes == self.model.flushes
        assert self.batch.count == sum(slot.gathered for slot in self.model.slots)

    @invariant()
    def same_positions(self) -> None:
        if not hasattr(self, "batch"):
            return
        for slot in self.model.slots:
            position = slot.slot.position()
            if slot.newest is None:
                assert position is None
                continue
            assert position is not None
            x, y, _, viewport = slot.newest
            for told, true in zip(position, (x, y, *(viewport or (None, None))), strict=True):
                assert told is true is None or struct.pack("f", told) == struct.pack("f", true)

    def teardown(self) -> None:
        """Whatever happened: flushing when something is due, and only then, gets the newest record of each out."""
        if not hasattr(self, "batch"):
            return
        pending = {slot.slot.numeric_id: slot.newest for slot in self.model.slots if slot.pending}
        rounds = 0
        while (due := self.batch.next_due()) is not None:
            rounds += 1
            assert rounds <= 2 * len(pending) + 1
            self.now = max(self.now, due)
            self.model.flush(self.now, 10, self.lists)
            for user, *record in decode_frames(array("B", self.batch.flush(self.now, 10)))[2]:
                assert pending.pop(user) == tuple(record)
        assert pending == {}


BatchMachine.TestCase.settings = settings(max_examples=200, stateful_step_count=60, deadline=None)
TestBatch = BatchMachine.TestCase


@given(st.sampled_from([1, 2]), uint32, coordinates, coordinates, uint32, viewports)
def test_what_is_written_is_read(
    kind: int, user: int, x: float, y: float, timestamp: int, viewport: tuple[float, float] | None
) -> None:
    data = encode_frame(kind, user, x, y, timestamp, viewport)
    assert decode_frames(array("B", data)) == (kind, None, [(user, x, y, timestamp, viewport)])


@given(st.binary(max_size=200) | st.builds(lambda rest: b"\x01\x01" + rest, st.binary(max_size=200)))
def test_any_bytes_are_decoded_or_refused(data: bytes) -> None:
    try:
        kind, handle, records = decode_frames(array("B", data))
    except ValueError:
        return
    assert kind in (1, 2)
    assert len(data) == (8 + 24 * len(records) if handle is not None else len(data))


@given(
    st.binary(max_size=40)
    | st.builds(
        lambda size, rest: (b"\0\1" + rest)[:size], st.sampled_from([18, 26]), st.binary(min_size=24, max_size=24)
    )
)
def test_any_bytes_are_a_good_frame_or_refused(data: bytes) -> None:
    """What the check lets through is sent on, byte by byte."""
    batch = RecordBatch(1, 3)
    slot = RecordSlot("user", 7)
    batch.add_slot(slot)
    try:
        batch.put_frame(slot, array("B", data), 0)
    except ValueError:
        assert batch.count == 0
        return
    assert len(data) in (18, 26)
    viewport = data[18:] or bytes.fromhex("7fc00000 7fc00000")
    assert batch.flush(0) == bytes.fromhex("0101 0001 00000003 00000007") + data[6:18] + viewport
    for (value,) in struct.iter_unpack(">f", data[6:14] + data[18:]):
        assert abs(value) <= 2**24


def test_the_model_is_not_the_batch() -> None:
    """A machine that could not fail would prove nothing: with another period in the model it does."""
    machine = BatchMachine()
    machine.make(kind=1, period=100, burst=0, lists=False)
    machine.model.period = 99
    machine.add(count=1)
    machine.put_frame(0, 1.0, 1.0, 0, None, 0)
    machine.flush(0)
    with pytest.raises(AssertionError):
        machine.put_frame(0, 1.0, 1.0, 0, None, 0)
