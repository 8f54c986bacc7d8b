"""Rates and latencies of the last seconds, of counts that only grow."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from fastcollab.core.limit_guard import LimitGuard
from fastcollab.core.limits import SECOND
from fastcollab.errors import RateLimited
from fastcollab.server._meter import Meter
from fastcollab.server.activity import INTERVAL, Activity, Lately, load_of
from fastcollab.server.tallies import Tallies

START = 10**15  # clocks do not begin with the process


class Life:
    """A gateway's counts, and the time that goes by: a snapshot is kept as often as it is in a gateway."""

    def __init__(self) -> None:
        self.tallies = Tallies()
        self.guard = LimitGuard()
        dispatcher: Any = SimpleNamespace(connections={})
        self.activity = Activity(dispatcher, Meter(), self.tallies, self.guard)
        self.now = START
        self.activity.keep(self.now)

    def receive(self, count: int) -> None:
        self.tallies.received.add("ping", 100, count)

    def live(self, seconds: float, messages: int = 0) -> None:
        """So many seconds, with so many messages in each."""
        end = self.now + int(seconds * SECOND)
        while self.now < end:
            self.now += SECOND
            self.receive(messages)
            if (self.now - START) % int(INTERVAL * SECOND) == 0:
                self.activity.keep(self.now)

    def lately(self) -> Lately:
        return self.activity.lately(self.now)


@pytest.fixture
def life() -> Life:
    return Life()


def test_there_is_an_answer_from_the_first_moment(life: Life) -> None:
    life.now += 1
    assert set(life.lately().rates[1:]) == {0}
    assert life.lately().latencies == life.lately().errors == life.lately().refusals == {}
    assert Activity(SimpleNamespace(connections={}), Meter(), Tallies(), LimitGuard()).lately(START).rates[1:]  # type: ignore[arg-type]


@pytest.mark.parametrize("age", [1, 3, 5, 10, 12, 61, 300])
def test_a_steady_rate_is_told_at_any_age(life: Life, age: int) -> None:
    life.live(age, messages=7)
    assert life.lately().rates.messages_in == pytest.approx(7)
    assert min(age, 10) <= life.lately().seconds < 10 + INTERVAL


def test_what_is_over_is_forgotten_after_some_seconds(life: Life) -> None:
    life.live(60, messages=100)
    life.live(10 + INTERVAL)
    assert life.lately().rates.messages_in == 0


def test_errors_and_refusals_are_told_for_a_minute(life: Life) -> None:
    life.live(100)
    for _ in range(5):
        life.tallies.errors[1003] += 1
        with pytest.raises(RateLimited) as refused:
            life.guard.refuse("operations", RateLimited("too many"))
        assert refused.value.exceeded == "operations"
    life.live(30)
    assert life.lately().errors == {1003: pytest.approx(5)}
    assert life.lately().refusals == {"operations": pytest.approx(5)}
    life.live(61)
    assert life.lately().errors == life.lately().refusals == {}


def test_latencies_are_of_late_if_there_were_enough(life: Life) -> None:
    def commit(seconds: float, count: int) -> None:
        for _ in range(count):
            life.tallies.commit_seconds.observe(seconds)

    commit(0.4, 100)
    life.live(20)
    commit(0.0005, 100)
    quick = life.lately().latencies["commit"]
    assert quick.p99 < 1
    assert quick.rate == pytest.approx(100 / life.lately().seconds)
    life.live(20)
    commit(0.0005, 3)
    assert life.lately().latencies["commit"].p99 > 250, "three say little, so the last minute is told"
    life.live(120)
    assert "commit" not in life.lately().latencies


def test_calls_are_told_by_name_from_the_first_on(life: Life) -> None:
    life.live(30)
    life.tallies.store_seconds["append"].observe(0.003)
    life.tallies.redis_called("commits", 0.3, False)
    assert life.lately().latencies.keys() == {"store.append", "redis.commits"}
    assert 250 <= life.lately().latencies["redis.commits"].p50 <= 500


def test_no_more_is_kept_than_a_minute_needs(life: Life) -> None:
    life.live(1000)
    assert len(life.activity._kept) == 13


def test_the_load_of_a_node(life: Life) -> None:
    life.live(20, messages=7)
    life.tallies.commit_seconds.observe(0.3)
    load = load_of(life.lately())
    assert load.messages_in == pytest.approx(7)
    assert load.commit_p99 is not None
    assert 250 < load.commit_p99 <= 500
    assert load.fanout_p99 is None
    assert load.memory is None or load.memory > 10_000_000
