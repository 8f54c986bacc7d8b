"""What is sent to a receiver when, and how often again."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from fastcollab.core.deliveries import Deliveries, DeliverySettings
from fastcollab.core.limits import SECOND

SETTINGS = DeliverySettings(
    most=5, at_once=2, backoff=SECOND, max_backoff=4 * SECOND, retry_interval=SECOND // 10, give_up_after=60 * SECOND
)


def deliveries(settings: DeliverySettings = SETTINGS) -> Deliveries[int]:
    return Deliveries(settings, lambda: 1.0)


def test_a_lane_keeps_its_order_and_holds_up_no_other() -> None:
    those = deliveries()
    for lane, event in (("a", 1), ("a", 2), ("b", 3)):
        assert those.add(lane, event, 0)
    assert those.take(0) == [("a", 1), ("b", 3)]
    assert those.failed("a", 0) == []
    those.delivered("b", 0)
    assert those.take(0) == []
    assert those.next_due() == SECOND
    assert those.take(SECOND) == [("a", 1)]
    those.delivered("a", SECOND)
    assert those.take(SECOND) == [("a", 2)]
    those.delivered("a", SECOND)
    assert (len(those), those.next_due()) == (0, None)


def test_so_many_are_under_way_and_no_more() -> None:
    those = deliveries()
    for lane in "abc":
        those.add(lane, 1, 0)
    assert [lane for lane, _ in those.take(0)] == ["a", "b"]
    assert those.next_due() is None
    those.delivered("a", 5)
    assert those.take(5) == [("c", 1)]


def test_so_many_wait_and_no_more() -> None:
    those = deliveries()
    assert [those.add("a", event, 0) for event in range(6)] == [True] * 5 + [False]
    those.take(0)
    assert not those.add("b", 7, 0)
    those.delivered("a", 0)
    assert those.add("b", 8, 0)


def test_the_wait_doubles_up_to_its_limit_and_begins_anew_after_a_success() -> None:
    those, now, waits = deliveries(), 0, []
    those.add("a", 1, 0)
    those.add("a", 2, 0)
    for _ in range(5):
        assert those.take(now) == [("a", 1)]
        those.failed("a", now)
        due = those.next_due()
        assert due is not None
        waits.append((due - now) // SECOND)
        now = due
    assert waits == [1, 2, 4, 4, 4]
    those.take(now)
    those.delivered("a", now)
    assert those.take(now) == [("a", 2)]
    those.failed("a", now)
    assert those.next_due() == now + SECOND


def test_what_is_too_old_is_given_up_and_the_next_is_tried() -> None:
    those, now = deliveries(), 0
    those.add("a", 1, 0)
    those.add("a", 2, 59 * SECOND)
    given_up: list[int] = []
    while not given_up:
        assert those.take(now) == [("a", 1)]
        given_up = those.failed("a", now)
        due = those.next_due()
        assert due is not None
        now = due
    assert given_up == [1]
    assert 60 * SECOND <= now <= 65 * SECOND
    assert those.take(now) == [("a", 2)]


def test_a_receiver_that_is_down_is_not_stormed() -> None:
    settings = DeliverySettings(most=1_000, at_once=1_000, retry_interval=SECOND // 10)
    those: Deliveries[int] = Deliveries(settings, lambda: 0.0)
    for lane in range(500):
        those.add(str(lane), lane, 0)
    for lane, _ in those.take(0):
        those.failed(lane, 0)
    asked, now = 0, 0
    while (due := those.next_due()) is not None and due <= 10 * SECOND:
        now = max(now, due)
        for lane, _ in those.take(now):
            asked += 1
            those.failed(lane, now)
    assert 90 <= asked <= 110
    # Once one has succeeded, it gets all that waits.
    [(lane, _)] = those.take(now + SECOND)
    those.delivered(lane, now + SECOND)
    assert those.next_due() == now + SECOND


def test_in_a_hurry_nothing_waits() -> None:
    those = deliveries()
    those.add("a", 1, 0)
    those.take(0)
    those.failed("a", 0)
    those.hurry(5)
    assert those.take(5) == [("a", 1)]
    those.hurry(6)  # what is under way is not sent twice
    assert those.take(7) == []


@given(st.data())
def test_every_event_is_delivered_once_and_in_its_order_whatever_fails(data: st.DataObject) -> None:
    those: Deliveries[int] = Deliveries(DeliverySettings(most=30, at_once=3), lambda: 0.5)
    failures = data.draw(st.integers(0, 30))
    wanted: dict[str, list[int]] = {}
    for event in range(data.draw(st.integers(1, 20))):
        lane = data.draw(st.sampled_from("abc"))
        those.add(lane, event, 0)
        wanted.setdefault(lane, []).append(event)
    got: dict[str, list[int]] = {}
    now = 0
    under_way: list[tuple[str, int]] = []
    while those:
        under_way += those.take(now)
        assert len({lane for lane, _ in under_way}) == len(under_way) <= 3
        if not under_way:
            due = those.next_due()
            assert due is not None
            now = max(now, due)
            continue
        lane, event = under_way.pop(data.draw(st.integers(0, len(under_way) - 1)))
        if failures and data.draw(st.booleans()):
            failures -= 1
            assert those.failed(lane, now) == []
        else:
            those.delivered(lane, now)
            got.setdefault(lane, []).append(event)
    assert got == wanted
