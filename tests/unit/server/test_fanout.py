"""The interval between two flushes: by the size of the room, and longer under load (B8)."""

from __future__ import annotations

import pytest

from fastcollab.server._fanout import FlushPacer

MILLISECOND = 1_000_000
SHORTEST = MILLISECOND
LONGEST = 16_670_000


@pytest.fixture
def pacer() -> FlushPacer:
    return FlushPacer(SHORTEST, LONGEST)


class Load:
    """Flushes that take a share of the time, one per millisecond."""

    def __init__(self, pacer: FlushPacer) -> None:
        self.pacer = pacer
        self.now = 10**12  # clocks do not begin with the process

    def run(self, share: float, milliseconds: int) -> float:
        for _ in range(milliseconds):
            self.pacer.tell(self.now, self.now + int(share * MILLISECOND))
            self.now += MILLISECOND
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
    load.run(0.1, 250)  # what was before the window began
    assert pacer.stretch == 1
    assert load.run(0.45, 110) == pytest.approx(1.5, rel=0.05)
    assert pacer.interval_for(2) == int(SHORTEST * pacer.stretch)
    # No more than twofold in one step, and no further than the longest interval.
    before = pacer.stretch
    assert load.run(1.0, 100) == pytest.approx(2 * before, rel=0.05)
    load.run(1.0, 2000)
    assert pacer.stretch == pytest.approx(LONGEST / SHORTEST)
    assert {pacer.interval_for(members) for members in (1, 10, 50, 100)} == {LONGEST}


def test_after_the_load_the_intervals_shrink_back(pacer: FlushPacer) -> None:
    load = Load(pacer)
    load.run(1.0, 3000)
    assert pacer.stretch > 16
    previous = pacer.stretch
    for _ in range(20):
        stretch = load.run(0.05, 101)
        assert stretch < previous or stretch == 1
        previous = stretch
    assert pacer.stretch == 1
    assert pacer.interval_for(2) == SHORTEST


def test_between_the_thresholds_nothing_changes(pacer: FlushPacer) -> None:
    load = Load(pacer)
    load.run(0.6, 250)
    stretch = pacer.stretch
    assert 1 < stretch < LONGEST / SHORTEST
    assert load.run(0.25, 1000) == stretch


def test_a_single_long_flush_after_a_quiet_spell_is_no_load(pacer: FlushPacer) -> None:
    load = Load(pacer)
    load.run(0.1, 250)
    load.now += 10_000 * MILLISECOND
    pacer.tell(load.now, load.now + 50 * MILLISECOND)
    assert pacer.stretch == 1
