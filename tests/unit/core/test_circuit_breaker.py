"""A circuit breaker: when it opens, who may probe, and how long it waits (for P4 and R8)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastcollab.core.circuit_breaker import BreakerSettings, CircuitBreaker
from fastcollab.core.limits import SECOND
from fastcollab.errors import ServiceUnavailable

SETTINGS = BreakerSettings(threshold=3, backoff=SECOND, max_backoff=8 * SECOND)


def breaker(chance: float = 1.0) -> CircuitBreaker:
    return CircuitBreaker(SETTINGS, lambda: chance)


def opened(now: int = 0, chance: float = 1.0) -> CircuitBreaker:
    made = breaker(chance)
    for _ in range(3):
        made.failed(made.admit(now), now)
    return made


def refused(breaker: CircuitBreaker, now: int) -> int:
    """After how many ms it says that a call is worth trying."""
    with pytest.raises(ServiceUnavailable) as caught:
        breaker.admit(now)
    return int(caught.value.details["retryAfterMs"])


def test_it_opens_after_so_many_failures_in_a_row() -> None:
    made = breaker()
    for _ in range(2):
        made.failed(made.admit(0), 0)
    assert made.closed
    made.failed(made.admit(0), 0)
    assert not made.closed
    assert refused(made, 0) == 1_000
    assert refused(made, SECOND // 2) == 500
    assert refused(made, SECOND - 1) == 1


def test_a_success_in_between_begins_the_row_anew() -> None:
    made = breaker()
    for _ in range(10):
        for _ in range(2):
            made.failed(made.admit(0), 0)
        made.succeeded(made.admit(0))
    assert made.closed


def test_one_probe_at_a_time_closes_it() -> None:
    made = opened()
    probe = made.admit(SECOND)
    assert refused(made, SECOND) == 1_000
    assert refused(made, 100 * SECOND) == 1_000
    assert not made.closed
    made.succeeded(probe)
    assert made.closed
    made.admit(SECOND)
    made.admit(SECOND)


def test_a_probe_that_is_given_up_makes_room_for_another() -> None:
    made = opened()
    made.withdrawn(made.admit(SECOND))
    made.succeeded(made.admit(SECOND))
    assert made.closed


def test_the_back_off_doubles_up_to_its_limit_and_begins_anew_after_a_success() -> None:
    made = opened()
    now, waits = 0, []
    for _ in range(6):
        waits.append(refused(made, now) // 1000)
        now += waits[-1] * SECOND
        made.failed(made.admit(now), now)
    assert waits == [1, 2, 4, 8, 8, 8]
    now += 8 * SECOND
    made.succeeded(made.admit(now))
    for _ in range(3):
        made.failed(made.admit(now), now)
    assert refused(made, now) == 1_000


@pytest.mark.parametrize(("chance", "wait"), [(0.0, 500), (0.5, 750), (1.0, 1_000)])
def test_half_of_the_back_off_is_by_chance(chance: float, wait: int) -> None:
    assert refused(opened(chance=chance), 0) == wait


def test_outcomes_of_earlier_calls_say_nothing_of_a_later_state() -> None:
    made = breaker()
    early = [made.admit(0) for _ in range(10)]
    for ticket in early[:3]:
        made.failed(ticket, 0)
    for ticket in early[3:6]:
        made.failed(ticket, SECOND // 2)
    made.succeeded(early[6])
    assert refused(made, SECOND // 2) == 500, "neither longer nor closed"
    probe = made.admit(SECOND)
    made.failed(early[7], SECOND)
    made.withdrawn(early[8])
    assert refused(made, SECOND) == 1_000, "the probe is still out"
    made.succeeded(probe)
    for _ in range(3):
        made.failed(early[9], SECOND)
    made.failed(probe, SECOND)
    assert made.closed


@given(
    steps=st.lists(
        st.tuples(st.integers(0, 2 * SECOND), st.sampled_from(["admit", "succeed", "fail", "withdraw"])), max_size=200
    )
)
def test_whatever_happens_it_never_stays_shut(steps: list[tuple[int, str]]) -> None:
    """There is at most one probe, a refusal says when to come again, and then one is let through."""
    made, now, out = breaker(0.5), 0, list[int]()
    for wait, step in steps:
        now += wait
        if step == "admit":
            try:
                out.append(made.admit(now))
            except ServiceUnavailable as refusal:
                assert 0 < refusal.details["retryAfterMs"] <= 8_000
        elif out:
            ticket = out.pop(0)
            if step == "succeed":
                made.succeeded(ticket)
            elif step == "fail":
                made.failed(ticket, now)
            else:
                made.withdrawn(ticket)
    for ticket in out:
        made.withdrawn(ticket)
    made.succeeded(made.admit(now + 8 * SECOND))
    assert made.closed
