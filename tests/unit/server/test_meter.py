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
