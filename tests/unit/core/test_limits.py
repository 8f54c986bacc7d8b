"""Token buckets: how many at once, how many in the long run, and when to try again (rule L1)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastcollab.core.limits import SECOND, RateTable, TokenBucket, address_key
from fastcollab.errors import ErrorCode, RateLimited


class Bucket:
    """One bucket with the time that is kept of it."""

    def __init__(self, name: str, rate: int, burst: float) -> None:
        self.bucket = TokenBucket(name, rate, burst)
        self.full_at = 0

    def take(self, now: int) -> None:
        self.full_at = self.bucket.take(self.full_at, now)


def take(bucket: Bucket, now: int) -> bool:
    try:
        bucket.take(now)
    except RateLimited:
        return False
    return True


def test_l1_a_burst_may_come_at_once_and_no_more() -> None:
    bucket = Bucket("operations", rate=30, burst=2.0)
    assert [take(bucket, 0) for _ in range(61)] == [True] * 60 + [False]


def test_l1_a_refusal_says_what_when_and_how_many() -> None:
    bucket = Bucket("operations", rate=10, burst=0.1)
    bucket.take(0)
    with pytest.raises(RateLimited) as caught:
        bucket.take(SECOND // 20)
    assert caught.value.code is ErrorCode.RATE_LIMIT
    assert caught.value.recoverable
    assert caught.value.details == {"limit": 10, "remaining": 0, "retryAfterMs": 51}
    assert "10 operations per second" in caught.value.message


def test_l1_a_refused_message_costs_nothing() -> None:
    bucket = Bucket("messages", rate=1, burst=1.0)
    bucket.take(0)
    assert not any(take(bucket, moment) for moment in range(0, SECOND, SECOND // 50))
    assert take(bucket, SECOND)


def test_l1_one_of_more_shares_than_a_bucket_holds_still_holds_one() -> None:
    bucket = TokenBucket("messages", 2, 1.0)
    full_at = bucket.take(0, 0, shares=10)
    with pytest.raises(RateLimited) as caught:
        bucket.take(full_at, 4 * SECOND, shares=10)
    assert caught.value.details["retryAfterMs"] == 1001
    bucket.take(full_at, 5 * SECOND, shares=10)


def test_a_pause_saves_up_no_more_than_a_burst() -> None:
    bucket = Bucket("messages", rate=5, burst=2.0)
    assert sum(take(bucket, 3600 * SECOND) for _ in range(100)) == 10


@pytest.mark.parametrize("burst", [0.0, 0.001])
def test_a_bucket_holds_at_least_one(burst: float) -> None:
    bucket = Bucket("messages", rate=2, burst=burst)
    assert [take(bucket, now) for now in (0, 0, SECOND // 2, SECOND // 2)] == [True, False, True, False]


RATES = st.integers(1, 1000)
BURSTS = st.floats(0, 10)


@given(RATES, BURSTS, st.lists(st.integers(0, SECOND), max_size=200))
def test_l1_in_no_span_of_time_do_more_pass_than_a_burst_and_the_rate(
    rate: int, burst: float, pauses: list[int]
) -> None:
    bucket = Bucket("messages", rate, burst)
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
    bucket = Bucket("messages", rate, burst)
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


def test_a_pause_of_any_length_is_no_overflow() -> None:
    bucket = Bucket("messages", rate=1_000_000, burst=60.0)
    assert take(bucket, 2**62)
    assert take(bucket, 2**62)


class TestRateTable:
    """A bucket for each key."""

    def table(self, rate: int = 1, burst: float = 2.0, capacity: int = 100) -> RateTable:
        return RateTable("connections", rate, burst, capacity)

    def takes(self, table: RateTable, key: str, now: int) -> bool:
        try:
            table.take(key, now)
        except RateLimited:
            return False
        return True

    def test_each_key_has_a_bucket_of_its_own(self) -> None:
        table = self.table()
        assert [self.takes(table, "ada", 0) for _ in range(3)] == [True, True, False]
        assert [self.takes(table, "bob", 0) for _ in range(3)] == [True, True, False]
        assert [self.takes(table, "ada", SECOND) for _ in range(2)] == [True, False]

    def test_a_refusal_says_how_many_and_when(self) -> None:
        table = self.table(rate=4, burst=1.0)
        for _ in range(4):
            table.take("ada", 0)
        with pytest.raises(RateLimited) as caught:
            table.take("ada", SECOND // 10)
        assert caught.value.details == {"limit": 4, "remaining": 0, "retryAfterMs": 151}
        assert "4 connections per second" in caught.value.message

    def test_full_buckets_are_forgotten(self) -> None:
        table = self.table()
        for index in range(50):
            table.take(f"user {index}", 0)
        assert len(table) == 50
        # A bucket is full again when its last token is back; two go each time that one is asked for.
        for moment in range(25):
            table.take("ada", SECOND + moment * SECOND)
        assert len(table) == 1

    def test_one_that_is_not_full_is_remembered(self) -> None:
        table = self.table()
        assert [self.takes(table, "ada", 0) for _ in range(3)] == [True, True, False]
        for index in range(99):
            table.take(f"user {index}", SECOND // 2)
        assert not self.takes(table, "ada", SECOND // 2)

    def test_no_more_than_the_capacity_are_kept(self) -> None:
        table = self.table(capacity=100)
        for index in range(10_000):
            table.take(f"user {index}", index)
            assert len(table) <= 100

    def test_who_goes_on_asking_in_vain_is_not_forgotten(self) -> None:
        table = self.table(capacity=100)
        assert [self.takes(table, "eve", 0) for _ in range(3)] == [True, True, False]
        for index in range(1_000):
            table.take(f"user {index}", index)
            assert not self.takes(table, "eve", index)

    @given(st.lists(st.tuples(st.sampled_from("abcdef"), st.integers(0, SECOND)), max_size=100))
    def test_a_table_is_many_buckets(self, requests: list[tuple[str, int]]) -> None:
        """With enough room, to forget changes nothing."""
        table = self.table(rate=2, burst=1.5)
        buckets = {key: Bucket("connections", 2, 1.5) for key in "abcdef"}
        now = 0
        for key, pause in requests:
            now += pause
            assert self.takes(table, key, now) == take(buckets[key], now)


@pytest.mark.parametrize(
    ("host", "key"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::9", "2001:db8:1:2::/64"),
        ("2001:DB8:1:3::9", "2001:db8:1:3::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("::1", "::/64"),
        ("", ""),
        ("/run/fastcollab.sock", "/run/fastcollab.sock"),
        ("192.0.2.256", "192.0.2.256"),
    ],
)
def test_an_address_is_counted_for_who_has_it(host: str, key: str) -> None:
    assert address_key(host) == key
