"""Flushes: the interval between two, by size of the room and load (B8), and which are compressed (Z7)."""

from __future__ import annotations

from itertools import pairwise

import pytest

from fastcollab.server._fanout import FlushPacer, Thrift

MILLISECOND = 1_000_000
SHORTEST = MILLISECOND
LONGEST = 16_670_000


@pytest.fixture
def pacer() -> FlushPacer:
    return FlushPacer(SHORTEST, LONGEST)


class Load:
    """Time that passes in windows of 100 ms, a share of each spent with flushing."""

    def __init__(self, pacer: FlushPacer) -> None:
        self.pacer = pacer
        self.now = 10**12  # clocks do not begin with the process
        pacer.tell(self.now, self.now)

    def run(self, share: float, windows: int = 1) -> float:
        for _ in range(windows):
            self.now += 100 * MILLISECOND
            self.pacer.tell(self.now - int(share * 100 * MILLISECOND), self.now)
        return self.pacer.stretch


def test_small_rooms_have_the_shortest_interval(pacer: FlushPacer) -> None:
    assert [pacer.interval_for(members) for members in (0, 1, 2, 10)] == [SHORTEST] * 4


def test_large_rooms_have_the_longest_interval(pacer: FlushPacer) -> None:
    assert [pacer.interval_for(members) for members in (100, 101, 65_535)] == [LONGEST] * 3


def test_in_between_the_interval_grows_with_the_members(pacer: FlushPacer) -> None:
    intervals = [pacer.interval_for(members) for members in range(10, 101)]
    assert intervals == sorted(set(intervals))
    assert pacer.interval_for(55) == pytest.approx((SHORTEST + LONGEST) / 2, abs=1)


def test_one_interval_for_all_can_be_configured() -> None:
    pacer = FlushPacer(5 * MILLISECOND, 5 * MILLISECOND)
    Load(pacer).run(0.9, 1000)
    assert {pacer.interval_for(members) for members in (1, 50, 500)} == {5 * MILLISECOND}


def test_under_load_the_intervals_are_stretched_up_to_the_longest(pacer: FlushPacer) -> None:
    load = Load(pacer)
    assert load.run(0.29) == 1
    assert load.run(0.45) == pytest.approx(1.5)
    assert pacer.interval_for(2) == pytest.approx(1.5 * SHORTEST, abs=1)
    # No more than twofold in one step, and no further than the longest interval.
    assert load.run(1.0) == pytest.approx(3)
    assert load.run(1.0, 10) == LONGEST / SHORTEST
    assert {pacer.interval_for(members) for members in (1, 10, 50, 100)} == {LONGEST}


def test_after_the_load_the_intervals_shrink_back(pacer: FlushPacer) -> None:
    load = Load(pacer)
    load.run(1.0, 10)
    stretches = [load.run(0.19) for _ in range(20)]
    assert stretches[0] == pytest.approx(0.8 * LONGEST / SHORTEST)
    assert stretches == sorted(stretches, reverse=True)
    assert stretches[-1] == 1
    assert pacer.interval_for(2) == SHORTEST


def test_between_the_thresholds_nothing_changes(pacer: FlushPacer) -> None:
    load = Load(pacer)
    stretch = load.run(0.6)
    assert stretch == pytest.approx(2)
    assert load.run(0.25, 20) == stretch


def test_many_short_flushes_are_as_much_load_as_a_long_one(pacer: FlushPacer) -> None:
    load = Load(pacer)
    for _ in range(100):
        load.now += MILLISECOND
        pacer.tell(load.now - MILLISECOND * 6 // 10, load.now)
    assert pacer.stretch == pytest.approx(2)


def test_a_single_long_flush_after_a_quiet_spell_is_no_load(pacer: FlushPacer) -> None:
    load = Load(pacer)
    load.now += 10_000 * MILLISECOND
    pacer.tell(load.now - 50 * MILLISECOND, load.now)
    assert pacer.stretch == 1


def test_a_room_whose_batches_do_not_get_shorter_is_left_alone_for_longer_and_longer_Z7() -> None:
    thrift = Thrift()
    tried = [flush for flush in range(6000) if thrift.tries() and not thrift.pays(1000, 900)]
    pauses = [later - earlier - 1 for earlier, later in pairwise(tried)]
    assert pauses == [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, *[1024] * 4]


def test_one_batch_that_gets_shorter_ends_that_Z7() -> None:
    thrift = Thrift()
    tried = [thrift.tries() and thrift.pays(1000, 900) for _ in range(1 + 1 + 1 + 2)]
    assert not any(tried)
    assert [thrift.tries() and thrift.pays(1000, 899) for _ in range(100)] == [True] * 100
    assert not thrift.pays(1000, 900)
    assert not thrift.tries()
    assert thrift.tries()
