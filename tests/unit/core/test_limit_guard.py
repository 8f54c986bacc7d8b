"""What exceeds a limit is refused, or only counted (rules L1 and L4)."""

import pytest
from tests.builders import LIMITS

from fastcollab.core.limit_guard import Excess, LimitGuard, UserRates
from fastcollab.core.limits import SECOND
from fastcollab.errors import RateLimited


def test_l1_a_user_has_rates_of_two_kinds() -> None:
    guard = LimitGuard()
    rates = UserRates(LIMITS, guard)
    for _ in range(60):
        rates.take_operation("ada", 0)
    with pytest.raises(RateLimited):
        rates.take_operation("ada", 0)
    rates.take_operation("bob", 0)
    for _ in range(240):
        rates.take_message("ada", 0)
    with pytest.raises(RateLimited):
        rates.take_message("ada", 0)
    assert guard.counts() == {"operations": Excess(1, 0), "messages": Excess(1, 0)}


def test_l1_of_who_is_connected_through_several_gateways_each_grants_its_share() -> None:
    gateways = 4

    def granted(rates: UserRates, user: str, now: int) -> int:
        count = 0
        with pytest.raises(RateLimited):
            while True:
                rates.take_operation(user, now)
                count += 1
        return count

    each = [UserRates(LIMITS, LimitGuard(), lambda _user: gateways) for _ in range(gateways)]
    assert sum(granted(rates, "ada", 0) for rates in each) == 60
    assert sum(granted(rates, "ada", SECOND) for rates in each) == pytest.approx(30, abs=gateways)


def test_l4_a_limit_in_shadow_mode_counts_and_does_not_refuse() -> None:
    guard = LimitGuard({"operations"})
    rates = UserRates(LIMITS, guard)
    for _ in range(65):
        rates.take_operation("ada", 0)
    assert guard.counts() == {"operations": Excess(refused=0, let_through=5)}
    # What was let through costs nothing later.
    rates.take_operation("ada", SECOND // 10)
    assert guard.counts() == {"operations": Excess(refused=0, let_through=5)}


def test_l4_what_was_refused_is_counted_by_limit() -> None:
    guard = LimitGuard({"messages"})
    with pytest.raises(KeyError):
        guard.refuse("operations", KeyError())
    guard.refuse("messages", KeyError())
    assert guard.counts() == {"messages": Excess(0, 1), "operations": Excess(1, 0)}


def test_l4_news_of_a_limit_come_once_a_minute_and_leave_nothing_out() -> None:
    guard = LimitGuard({"messages"})
    assert guard.news(0) == {}
    guard.refuse("messages", KeyError())
    assert guard.news(1) == {"messages": Excess(0, 1)}
    for _ in range(3):
        guard.refuse("messages", KeyError())
    assert guard.news(59 * SECOND) == {}
    assert guard.news(61 * SECOND) == {"messages": Excess(0, 3)}
    assert guard.news(200 * SECOND) == {}
