"""The client's rates, on a clock that the tests move."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from itertools import count, pairwise
from typing import Any

import pytest

from fastcollab.client.pacing import Pacer, Throttle


class VirtualClock:
    """The part of an event loop that ``Throttle`` uses; ``advance`` lets time pass."""

    def __init__(self) -> None:
        self.now = 100.0
        self._order = count()
        self._timers: list[tuple[float, int, Callable[[], object], list[bool]]] = []

    def time(self) -> float:
        return self.now

    def call_at(self, when: float, callback: Callable[[], object], /) -> Any:
        cancelled = [False]
        heapq.heappush(self._timers, (when, next(self._order), callback, cancelled))

        class Handle:
            def cancel(self) -> None:
                cancelled[0] = True

        return Handle()

    def advance(self, seconds: float) -> None:
        end = self.now + seconds
        while self._timers and self._timers[0][0] <= end:
            when, _, callback, cancelled = heapq.heappop(self._timers)
            self.now = max(self.now, when)
            if not cancelled[0]:
                callback()
        self.now = end


class Recorder:
    def __init__(self, clock: VirtualClock) -> None:
        self.clock = clock
        self.sent: list[tuple[float, int]] = []
        self.accepts = True

    def __call__(self, value: int) -> bool:
        if self.accepts:
            self.sent.append((round(self.clock.now - 100.0, 6), value))
        return self.accepts

    @property
    def values(self) -> list[int]:
        return [value for _, value in self.sent]


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


@pytest.fixture
def recorder(clock: VirtualClock) -> Recorder:
    return Recorder(clock)


def test_throttle_sends_at_once_after_a_quiet_spell(clock: VirtualClock, recorder: Recorder) -> None:
    throttle = Throttle(50, recorder, clock)
    throttle.put(1)
    assert recorder.sent == [(0.0, 1)]
    clock.advance(1)
    throttle.put(2)
    assert recorder.sent == [(0.0, 1), (1.0, 2)]


def test_throttle_keeps_the_rate_and_the_newest_value(clock: VirtualClock, recorder: Recorder) -> None:
    throttle = Throttle(50, recorder, clock)
    for value in range(1000):  # a thousand a second, for a second
        throttle.put(value)
        clock.advance(0.001)
    clock.advance(1)
    times = [when for when, _ in recorder.sent]
    assert 50 <= len(times) <= 52
    assert all(later - earlier >= 0.02 - 1e-9 for earlier, later in pairwise(times))
    assert recorder.values == sorted(recorder.values)
    assert recorder.values[-1] == 999


def test_throttle_asks_again_with_the_newest_value(clock: VirtualClock, recorder: Recorder) -> None:
    throttle = Throttle(50, recorder, clock)
    recorder.accepts = False
    throttle.put(1)
    clock.advance(0.5)
    throttle.put(2)
    recorder.accepts = True
    assert recorder.sent == []
    clock.advance(0.03)
    assert recorder.values == [2]
    clock.advance(1)
    assert recorder.values == [2]


def test_cancelled_throttle_sends_nothing_more_until_asked(clock: VirtualClock, recorder: Recorder) -> None:
    throttle = Throttle(50, recorder, clock)
    throttle.put(1)
    throttle.put(2)
    throttle.cancel()
    clock.advance(1)
    assert recorder.values == [1]
    throttle.put(3)
    assert recorder.values == [1, 3]


def test_pacer_lets_a_burst_through_and_then_keeps_the_rate() -> None:
    pacer = Pacer(rate=30, burst=2)
    now, sent = 0.0, []
    while now < 10:
        if delay := pacer.delay(now):
            now += delay
        pacer.sent(now)
        sent.append(now)
    assert sum(when == 0.0 for when in sent) == pytest.approx(60, abs=1)
    assert len(sent) == pytest.approx(60 + 10 * 30, abs=2)


def test_pacer_without_burst_sends_one_at_once() -> None:
    pacer = Pacer(rate=10)
    assert pacer.delay(5.0) == 0
    pacer.sent(5.0)
    assert pacer.delay(5.0) == pytest.approx(0.1)
    assert pacer.delay(5.2) == 0


@pytest.mark.parametrize("rate", [0, -1, float("nan")])
def test_a_rate_must_be_positive(rate: float) -> None:
    with pytest.raises(ValueError, match="positive"):
        Pacer(rate)
