"""Participants' descriptions, and the debouncing of what they show (rules V1 and V3)."""

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET, Raw
from tests.builders import START, identity

from fastcollab import _binary, messages
from fastcollab.core.presence import Debouncer, Participant, cursor_of

INTERVAL = 100


def participant(user_id: str = "ada") -> Participant:
    return Participant(identity(user_id, 7))


def with_cursor(x: float, y: float, viewport: tuple[float, float] | None) -> _binary.RecordSlot:
    slot = _binary.RecordSlot("ada", 7)
    batch = _binary.RecordBatch(1, 1)
    batch.add_slot(slot)
    batch.put_frame(slot, _binary.encode_frame(1, 7, x, y, 5, viewport), now=0)
    return slot


class TestDescription:
    def test_of_one_who_shows_nothing_yet(self) -> None:
        assert participant().description() == messages.Participant("ada", 7, "Ada", "#c92a2a", messages.PresenceData())

    def test_of_all_that_is_shown(self) -> None:
        ada = participant()
        batch = _binary.RecordBatch(1, 1)
        batch.add_slot(ada.cursor)
        batch.put_cursor(ada.cursor, 1, 2, 3, 4, 5, 0)
        ada.selection = messages.Selection([], "red", 3)
        ada.status, ada.data = "away", Raw(b"0")
        assert ada.description().presence == messages.PresenceData(
            cursor=messages.Cursor(1, 2, 4, 5), selection=ada.selection, status="away", data=Raw(b"0")
        )

    def test_v1_an_update_carries_only_what_changed(self) -> None:
        update = participant().update({"status": None}, START)
        assert update == messages.PresenceUpdate("ada", 7, messages.PresenceData(status=None), START.unix)
        assert update.presence.selection is UNSET

    def test_a_slot_without_a_record_is_no_cursor(self) -> None:
        assert cursor_of(_binary.RecordSlot("ada", 7)) is None

    @pytest.mark.parametrize("viewport", [None, (0.0, 640.0)])
    def test_a_record_is_a_cursor_with_a_viewport_or_none(self, viewport: tuple[float, float] | None) -> None:
        expected = messages.Cursor(0.1, -2) if viewport is None else messages.Cursor(0.1, -2, *viewport)
        assert cursor_of(with_cursor(0.1, -2, viewport)) == expected


class TestDebouncer:
    def test_v3_the_first_change_passes_at_once(self) -> None:
        debouncer = Debouncer(INTERVAL)
        assert debouncer.offer(participant(), {"status": "a"}, 0)
        assert debouncer.next_due() is None
        assert debouncer.due(10 * INTERVAL) == []

    def test_v3_after_a_quiet_spell_so_does_the_next(self) -> None:
        debouncer, ada = Debouncer(INTERVAL), participant()
        assert debouncer.offer(ada, {"status": "a"}, 0)
        assert debouncer.offer(ada, {"status": "b"}, INTERVAL)

    def test_v3_what_comes_sooner_is_held_until_the_interval_is_over(self) -> None:
        debouncer, ada = Debouncer(INTERVAL), participant()
        debouncer.offer(ada, {"status": "a"}, 0)
        assert not debouncer.offer(ada, {"status": "b"}, INTERVAL - 1)
        assert debouncer.next_due() == debouncer.due_at(ada) == INTERVAL
        assert debouncer.due(INTERVAL - 1) == []
        assert debouncer.due(INTERVAL) == [(ada, {"status": "b"})]
        assert debouncer.next_due() is None
        # And the next interval begins there.
        assert not debouncer.offer(ada, {"status": "c"}, 2 * INTERVAL - 1)
        assert debouncer.due(2 * INTERVAL) == [(ada, {"status": "c"})]

    def test_v3_the_newest_value_of_each_field_wins(self) -> None:
        debouncer, ada = Debouncer(INTERVAL), participant()
        debouncer.offer(ada, {"status": "a"}, 0)
        for changes in ({"status": "b", "data": 1}, {"status": None}, {"data": 2}):
            assert not debouncer.offer(ada, changes, 1)
        assert debouncer.due(INTERVAL) == [(ada, {"status": None, "data": 2})]

    def test_v3_what_is_late_is_not_overtaken(self) -> None:
        debouncer, ada = Debouncer(INTERVAL), participant()
        debouncer.offer(ada, {"status": "a"}, 0)
        debouncer.offer(ada, {"status": "b"}, 1)
        # The timer is late: the newer value joins the one that is held, and leaves with it.
        assert not debouncer.offer(ada, {"data": 1}, 5 * INTERVAL)
        assert debouncer.due(5 * INTERVAL) == [(ada, {"status": "b", "data": 1})]

    def test_v3_participants_do_not_wait_for_each_other(self) -> None:
        debouncer, ada, bob = Debouncer(INTERVAL), participant("ada"), participant("bob")
        assert debouncer.offer(ada, {"status": "a"}, 0)
        assert debouncer.offer(bob, {"status": "b"}, 50)
        debouncer.offer(bob, {"status": "c"}, 60)
        debouncer.offer(ada, {"status": "d"}, 70)
        assert debouncer.next_due() == INTERVAL
        assert debouncer.due(INTERVAL) == [(ada, {"status": "d"})]
        assert debouncer.next_due() == INTERVAL + 50

    def test_who_has_left_is_forgotten(self) -> None:
        debouncer, ada = Debouncer(INTERVAL), participant()
        debouncer.offer(ada, {"status": "a"}, 0)
        debouncer.offer(ada, {"status": "b"}, 1)
        debouncer.forget(ada)
        assert debouncer.next_due() is None
        assert debouncer.due(INTERVAL) == []
        assert debouncer.offer(ada, {"status": "c"}, 2)
        debouncer.forget(participant("bob"))

    def test_what_is_replaced_by_something_else_is_withdrawn_and_the_interval_goes_on(self) -> None:
        debouncer, ada = Debouncer(INTERVAL), participant()
        debouncer.offer(ada, {"status": "a"}, 0)
        debouncer.offer(ada, {"status": "b"}, 1)
        debouncer.withdraw(ada)
        assert debouncer.next_due() is None
        assert not debouncer.offer(ada, {"status": "c"}, 2)
        assert debouncer.due(INTERVAL) == [(ada, {"status": "c"})]
        debouncer.withdraw(participant("bob"))

    @given(
        st.lists(
            st.tuples(
                st.integers(0, 2),
                st.integers(0, 80),
                st.dictionaries(st.sampled_from("xy"), st.integers(), min_size=1),
            )
        )
    )
    def test_v3_never_too_often_never_too_late_and_the_newest_always(
        self, offers: list[tuple[int, int, dict[str, Any]]]
    ) -> None:
        debouncer = Debouncer(INTERVAL)
        people = [participant(str(index)) for index in range(3)]
        newest: dict[Participant, dict[str, Any]] = {who: {} for who in people}
        shown: dict[Participant, dict[str, Any]] = {who: {} for who in people}
        passed: dict[Participant, list[int]] = {who: [] for who in people}

        def show(who: Participant, changes: dict[str, Any], when: int) -> None:
            shown[who].update(changes)
            passed[who].append(when)

        def wait_until(moment: int) -> None:
            while (due := debouncer.next_due()) is not None and due <= moment:
                ready = debouncer.due(due)
                assert ready
                for who, changes in ready:
                    show(who, changes, due)

        now = 0
        for index, pause, changes in offers:
            now += pause
            wait_until(now)
            who = people[index]
            newest[who].update(changes)
            if debouncer.offer(who, changes, now):
                show(who, changes, now)
            else:
                assert now < debouncer.due_at(who) <= now + INTERVAL
        wait_until(now + INTERVAL)
        assert debouncer.next_due() is None
        assert shown == newest
        for moments in passed.values():
            assert all(later - earlier >= INTERVAL for earlier, later in pairwise(moments))
