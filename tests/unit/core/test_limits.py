"""Token buckets: how many at once, how many in the long run, and when to try again (rule L1)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastcollab.core.limits import SECOND, TokenBucket
from fastcollab.errors import ErrorCode, RateLimited


def take(bucket: TokenBucket, now: int) -> bool:
    try:
        bucket.take(now)
    except RateLimited:
        return False
    return True


def test_l1_a_burst_may_come_at_once_and_no_more() -> None:
    bucket = TokenBucket("operations", rate=30, burst=2.0, now=0)
    assert [take(bucket, 0) for _ in range(61)] == [True] * 60 + [False]


def test_l1_a_refusal_says_what_when_and_how_many() -> None:
    bucket = TokenBucket("operations", rate=10, burst=0.1, now=0)
    bucket.take(0)
    with pytest.raises(RateLimited) as caught:
        bucket.take(SECOND // 20)
    assert caught.value.code is ErrorCode.RATE_LIMIT
    assert caught.value.recoverable
    assert caught.value.details == {"limit": 10, "remaining": 0, "retryAfterMs": 51}
    assert "10 operations per second" in caught.value.message


def test_l1_a_refused_message_costs_nothing() -> None:
    bucket = TokenBucket("messages", rate=1, burst=1.0, now=0)
    bucket.take(0)
    assert not any(take(bucket, moment) for moment in range(0, SECOND, SECOND // 50))
    assert take(bucket, SECOND)


def test_a_pause_saves_up_no_more_than_a_burst() -> None:
    bucket = TokenBucket("messages", rate=5, burst=2.0, now=0)
    assert sum(take(bucket, 3600 * SECOND) for _ in range(100)) == 10


@pytest.mark.parametrize("burst", [0.0, 0.001])
def test_a_bucket_holds_at_least_one(burst: float) -> None:
    bucket = TokenBucket("messages", rate=2, burst=burst, now=0)
    assert [take(bucket, now) for now in (0, 0, SECOND // 2, SECOND // 2)] == [True, False, True, False]


RATES = st.integers(1, 1000)
BURSTS = st.floats(0, 10)


@given(RATES, BURSTS, st.lists(st.integers(0, SECOND), max_size=200))
def test_l1_in_no_span_of_time_do_more_pass_than_a_burst_and_the_rate(
    rate: int, burst: float, pauses: list[int]
) -> None:
    bucket = TokenBucket("messages", rate, burst, now=0)
    passed: list[int] = []
    now = 0
    for pause in pauses:
        now += pause
        if take(bucket, now):
            passed.append(now)
    capacity = max(1.0, rate * burst)
    for first in range(0, len(passed), 10):
        span = passed[-1] - passed[first]
        assert len(passed) - first <= capacity + rate * span / SECOND + 1e-6


@given(RATES, BURSTS, st.lists(st.integers(0, SECOND // 10), min_size=1, max_size=50))
def test_l1_who_waits_as_long_as_told_is_let_through(rate: int, burst: float, pauses: list[int]) -> None:
    bucket = TokenBucket("messages", rate, burst, now=0)
    now = 0
    for pause in pauses:
        now += pause
        while take(bucket, now):
            pass
        with pytest.raises(RateLimited) as caught:
            bucket.take(now)
        wait = caught.value.details["retryAfterMs"]
        # No sooner than needed either, but for the rounding up to a millisecond.
        assert 0 < wait <= 1000 / rate + 1
        now += wait * SECOND // 1000
        assert take(bucket, now)
