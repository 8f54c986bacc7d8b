"""What is amiss with a connection, in a word, and how badly."""

from __future__ import annotations

import pytest

from fastcollab.core.concern import (
    MOST_BEHIND,
    MOST_ERRORS,
    MOST_LATENCY,
    MOST_REFUSALS,
    MOST_SKIPPED,
    Concern,
    Signs,
    judge,
)


@pytest.mark.parametrize(
    ("sign", "bound", "concern"),
    [
        ("behind", MOST_BEHIND, Concern.SLOW),
        ("skipped", MOST_SKIPPED, Concern.SLOW),
        ("refusals", MOST_REFUSALS, Concern.ABUSIVE),
        ("errors", MOST_ERRORS, Concern.FAILING),
        ("latency", MOST_LATENCY, Concern.DISTANT),
    ],
)
def test_each_sign_is_of_concern_from_its_bound_on(sign: str, bound: float, concern: Concern) -> None:
    assert judge(Signs(**{sign: 0.99 * bound})) == (None, 0)
    assert judge(Signs(**{sign: bound})) == (concern, 1)
    assert judge(Signs(**{sign: 3 * bound})) == (concern, pytest.approx(3))


def test_of_one_that_shows_nothing_there_is_nothing_to_tell() -> None:
    assert judge(Signs()) == (None, 0)


def test_the_worst_gives_the_concern_its_name() -> None:
    """Who does not read does not answer pings soon either."""
    assert judge(Signs(behind=5 * MOST_BEHIND, latency=2 * MOST_LATENCY))[0] is Concern.SLOW
    assert judge(Signs(behind=MOST_BEHIND, latency=2 * MOST_LATENCY))[0] is Concern.DISTANT


def test_refusals_are_no_other_errors() -> None:
    assert judge(Signs(refusals=1000, errors=1000))[0] is Concern.ABUSIVE
    assert judge(Signs(refusals=10, errors=10 + MOST_ERRORS))[0] is Concern.FAILING
    # A connection that is not read is refused, and told nothing.
    assert judge(Signs(refusals=1000, errors=0))[0] is Concern.ABUSIVE
