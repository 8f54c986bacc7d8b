"""Histograms with fixed bounds."""

from __future__ import annotations

from math import inf

import pytest

from fastcollab.server._meter import SIZES, TIMES, Histogram


def test_a_value_counts_up_to_its_bound() -> None:
    histogram = Histogram((1.0, 2.0, 5.0))
    for value in (0, 1, 1.5, 2, 5, 5.1, 100):
        histogram.observe(value)
    assert histogram.buckets() == [(1.0, 2), (2.0, 4), (5.0, 5), (inf, 7)]
    assert histogram.count == 7
    assert histogram.sum == pytest.approx(114.6)


@pytest.mark.parametrize("bounds", [(), (1.0, 1.0), (2.0, 1.0), tuple(map(float, range(17)))])
def test_bounds_that_are_none(bounds: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="up to 16 ascending"):
        Histogram(bounds)


def test_as_many_as_there_may_be() -> None:
    histogram = Histogram(tuple(map(float, range(16))))
    histogram.observe(15.5)
    assert histogram.buckets()[-2:] == [(15.0, 0), (inf, 1)]
    for bounds in (TIMES, SIZES):
        assert Histogram(bounds).count == 0


def test_what_was_counted_since_a_copy() -> None:
    histogram = Histogram((1.0, 2.0, 5.0))
    histogram.observe(1.5)
    earlier = histogram.copy()
    assert histogram.since(earlier).count == 0
    histogram.observe(4)
    histogram.observe(100)
    recent = histogram.since(earlier)
    assert recent.buckets() == [(1.0, 0), (2.0, 0), (5.0, 1), (inf, 2)]
    assert recent.sum == pytest.approx(104)
    assert histogram.since(None).buckets() == histogram.buckets()
    assert earlier.count == 1, "a copy counts no more"


def test_quantiles_lie_evenly_between_bounds() -> None:
    histogram = Histogram((1.0, 2.0, 5.0))
    assert histogram.quantile(0.5) is None
    for _ in range(4):
        histogram.observe(1.5)
    assert [histogram.quantile(share) for share in (0.0, 0.25, 0.5, 1.0)] == [1.0, 1.25, 1.5, 2.0]
    for _ in range(4):
        histogram.observe(3)
    assert [histogram.quantile(share) for share in (0.5, 0.75, 1.0)] == [2.0, 3.5, 5.0]
    for _ in range(92):
        histogram.observe(100)
    assert histogram.quantile(0.99) == 5.0, "no more is known"
    for share in (-0.1, 1.1):
        with pytest.raises(ValueError, match="from 0 to 1"):
            histogram.quantile(share)
