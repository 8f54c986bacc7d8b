"""When a process that dies is started again, and when not."""

from __future__ import annotations

from fastcollab.core.revival import MOST_DEATHS, Revival


def test_the_wait_doubles_with_each_death_in_a_row_up_to_a_bound() -> None:
    revival = Revival()
    assert [revival.died(1000 + each) for each in range(MOST_DEATHS)] == [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0]


def test_one_death_too_many_within_a_minute_is_the_last() -> None:
    revival = Revival()
    for each in range(MOST_DEATHS):
        assert revival.died(each) is not None
    assert revival.died(59.9) is None


def test_deaths_of_more_than_a_minute_ago_do_not_count() -> None:
    revival = Revival()
    for each in range(MOST_DEATHS):
        revival.died(each)
    assert revival.died(60.0 + MOST_DEATHS - 1) == 0.1
    for each in range(100):  # now and then, for ever
        assert revival.died(200.0 + 61 * each) == 0.1
