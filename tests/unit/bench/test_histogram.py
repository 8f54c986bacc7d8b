import random

import pytest

from fastcollab.bench._histogram import Histogram


def histogram(values: list[int]) -> Histogram:
    filled = Histogram()
    for value in values:
        filled.record(value)
    return filled


def test_an_empty_histogram_has_no_percentiles() -> None:
    empty = Histogram()
    assert (empty.count, empty.maximum, empty.mean, empty.percentile(0.99)) == (0, 0, 0.0, 0)


def test_small_values_are_exact() -> None:
    filled = histogram(list(range(256)))
    assert [filled.percentile((value + 1) / 256) for value in range(256)] == list(range(256))
    assert filled.mean == 127.5


@pytest.mark.parametrize("exponent", range(8, 40))
def test_at_each_power_of_two_the_error_is_below_one_percent(exponent: int) -> None:
    for value in (2**exponent - 1, 2**exponent, 2**exponent + 1, 3 * 2 ** (exponent - 1)):
        # The great value keeps the percentile from being cut to the maximum.
        found = histogram([value, 2**40]).percentile(0.5)
        assert value <= found <= value * 1.01


def test_percentiles_of_random_values_are_within_one_percent_of_sorting() -> None:
    random_values = random.Random(7)
    values = sorted(int(random_values.lognormvariate(8, 2)) for _ in range(20_001))
    filled = histogram(values)
    for share in (0.01, 0.5, 0.9, 0.99, 0.999):
        exact = values[max(0, -(-int(share * 1_000_000) * len(values) // 1_000_000) - 1)]
        assert exact <= filled.percentile(share) <= exact * 1.01
    assert filled.percentile(1.0) == filled.maximum == values[-1]
    assert filled.percentile(0.0) == values[0] or filled.percentile(0.0) <= values[0] * 1.01


def test_values_beyond_the_last_bucket_are_counted_in_it() -> None:
    filled = histogram([5, 2**40, 2**63])
    assert filled.count == 3
    assert filled.maximum == 2**63
    assert 2**40 * 0.99 <= filled.percentile(1.0) <= 2**40


def test_refused_values() -> None:
    with pytest.raises(OverflowError):
        Histogram().record(-1)
    with pytest.raises(OverflowError):
        Histogram().record(2**64)
    for share in (-0.1, 1.1, float("nan")):
        with pytest.raises(ValueError, match="share"):
            Histogram().percentile(share)
