"""When documents are handed back: debounced, a few at once, and again after failures."""

from __future__ import annotations

from dataclasses import dataclass, field

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from fastcollab.core.hand_back import HandBackSchedule, HandBackSettings
from fastcollab.core.limits import SECOND

SETTINGS = HandBackSettings(
    delay=2 * SECOND,
    max_delay=10 * SECOND,
    at_once=3,
    backoff=SECOND,
    max_backoff=8 * SECOND,
    retry_interval=SECOND // 10,
)


def schedule(luck: float = 1.0) -> HandBackSchedule:
    return HandBackSchedule(SETTINGS, lambda: luck)


def test_a_document_is_due_after_a_quiet_while() -> None:
    due = schedule()
    assert due.next_due() is None
    for second in range(4):
        due.changed("a", second * SECOND)
        assert due.take(second * SECOND + SECOND - 1) == []
    assert due.next_due() == 5 * SECOND
    assert due.take(5 * SECOND - 1) == []
    assert due.take(5 * SECOND) == ["a"]
    assert due.take(100 * SECOND) == []
    assert len(due) == 1
    due.saved("a", 100 * SECOND)
    assert len(due) == 0 and due.next_due() is None


def test_who_never_pauses_is_not_put_off_for_ever() -> None:
    due = schedule()
    for second in range(10):
        due.changed("a", second * SECOND)
    assert due.next_due() == 10 * SECOND
    due.changed("a", 9 * SECOND + 1)
    assert due.take(10 * SECOND - 1) == []
    assert due.take(10 * SECOND) == ["a"]


def test_what_changes_while_it_is_under_way_waits_from_then_on() -> None:
    due = schedule()
    due.changed("a", 0)
    assert due.take(2 * SECOND) == ["a"]
    due.changed("a", 3 * SECOND)
    assert due.take(99 * SECOND) == [], "one at a time for each document"
    due.saved("a", 4 * SECOND)
    assert due.next_due() == 5 * SECOND
    assert due.take(5 * SECOND) == ["a"]


def test_a_deserted_room_does_not_wait() -> None:
    due = schedule()
    due.deserted("a")
    assert len(due) == 0, "of what has not changed there is nothing to hand back"
    due.changed("a", SECOND)
    due.deserted("a")
    assert due.take(SECOND) == ["a"]
    due.changed("a", SECOND + 1)
    due.deserted("a")
    due.saved("a", SECOND + 2)
    assert due.take(SECOND + 2) == ["a"]
    due.saved("a", SECOND + 3)
    due.changed("a", SECOND + 4)
    assert due.next_due() == 3 * SECOND + 4, "someone is there again"


def test_a_few_at_once_and_the_longest_due_first() -> None:
    due = schedule()
    for number, name in enumerate("fedcba"):
        due.changed(name, number)
    assert due.take(10 * SECOND) == ["f", "e", "d"]
    assert due.next_due() is None
    due.saved("e", 10 * SECOND)
    assert due.take(10 * SECOND) == ["c"]
    due.failed("f", 10 * SECOND)
    assert due.take(10 * SECOND) == ["b"]


def test_the_backoff_doubles_up_to_a_limit_and_is_random() -> None:
    for luck in (0.0, 0.25, 1.0):
        due = schedule(luck)
        due.changed("a", 0)
        now = 2 * SECOND
        for seconds in (1, 2, 4, 8, 8, 8):
            assert due.take(now) == ["a"]
            # What is under way may take its time, and what is changed meanwhile makes no difference.
            now += 100 * SECOND
            due.changed("a", now)
            due.failed("a", now)
            due.changed("a", now)
            assert due.next_due() == now + int(luck * seconds * SECOND)
            assert due.take(now + int(luck * seconds * SECOND) - 1) == []
            now += int(luck * seconds * SECOND)
        for _ in range(100):
            due.take(now)
            due.failed("a", now)
            now += 100 * SECOND
        due.take(now)
        due.saved("a", now)
        assert len(due) == 0
        due.changed("a", now)
        assert due.next_due() == now + 2 * SECOND, "failures of old are forgotten"


def test_a_back_end_that_is_down_is_asked_seldom_and_gets_all_when_it_is_back() -> None:
    due = schedule(luck=0.0)
    rooms = [f"room {number:03}" for number in range(500)]
    for room in rooms:
        due.changed(room, 0)
    now, asked = 2 * SECOND, []
    while len(set(asked)) < len(rooms):
        taken = due.take(now)
        asked += taken
        for room in taken:
            due.failed(room, now)
        now += 1
    # First all are tried once; from then on one of all in a while.
    assert len(asked) - len(rooms) <= 2
    begun, asked = now, []
    while now < begun + 10 * SECOND:
        for room in due.take(now):
            asked.append(room)
            due.failed(room, now)
        now = max(now + 1, due.next_due() or 0)
    assert 95 <= len(asked) <= 101
    begun, saved = now, []
    while due:
        for room in due.take(now):
            saved.append(room)
            due.saved(room, now)
        now = max(now, due.next_due() or 0)
    assert sorted(saved) == rooms
    assert now - begun <= SECOND


def test_a_document_that_always_fails_holds_up_no_other() -> None:
    due = schedule()
    due.changed("poison", 0)
    now = 2 * SECOND
    for number in range(100):
        room = f"room {number}"
        due.changed(room, now)
        now += 2 * SECOND
        taken = due.take(now)
        assert room in taken
        due.saved(room, now)
        if "poison" in taken:
            due.failed("poison", now)
    assert len(due) == 1


def test_when_there_is_little_time_all_is_due() -> None:
    due = schedule()
    due.changed("failed", 0)
    due.take(2 * SECOND)
    due.failed("failed", 2 * SECOND)
    due.changed("waiting", 2 * SECOND)
    due.hurry()
    assert sorted(due.take(2 * SECOND)) == ["failed", "waiting"]
    due.changed("waiting", 2 * SECOND)
    due.saved("waiting", 2 * SECOND)
    assert due.take(2 * SECOND) == ["waiting"]
    due.failed("failed", 2 * SECOND)
    assert due.next_due() == 4 * SECOND, "a failure is not repeated at once, even then"


@dataclass
class Room:
    """What the back end should have, and has."""

    state: int = 0
    saved: int = 0
    under_way: int | None = None
    changes: list[int] = field(default_factory=list)


class Machine(RuleBasedStateMachine):
    """Whatever happens: nothing is forgotten, nothing too late, nothing twice at once."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0
        self.rooms: dict[str, Room] = {}
        self.schedule = HandBackSchedule(SETTINGS, lambda: 0.5)
        self.failed = False

    @rule(room=st.sampled_from("abcdef"), desert=st.booleans())
    def change(self, room: str, desert: bool) -> None:
        known = self.rooms.setdefault(room, Room())
        known.state += 1
        known.changes.append(self.now)
        self.schedule.changed(room, self.now)
        if desert:
            self.schedule.deserted(room)

    @rule(milliseconds=st.sampled_from([1, 100, 1_000, 3_000, 20_000]))
    def wait(self, milliseconds: int) -> None:
        self.now += milliseconds * SECOND // 1000
        for room in self.schedule.take(self.now):
            known = self.rooms[room]
            assert known.under_way is None
            known.under_way = known.state
            known.changes = []
        if self.under_way < SETTINGS.at_once and not self.failed:
            for known in self.rooms.values():
                if known.under_way is None and known.changes:
                    assert self.now < known.changes[0] + SETTINGS.max_delay
                    assert self.now < known.changes[-1] + SETTINGS.delay

    @precondition(lambda self: self.under_way)
    @rule(success=st.booleans(), data=st.data())
    def end(self, success: bool, data: st.DataObject) -> None:
        under_way = sorted(room for room, known in self.rooms.items() if known.under_way is not None)
        room = data.draw(st.sampled_from(under_way))
        known = self.rooms[room]
        if success:
            assert known.under_way is not None
            known.saved = known.under_way
            self.schedule.saved(room, self.now)
        else:
            self.failed = True
            self.schedule.failed(room, self.now)
        known.under_way = None

    @property
    def under_way(self) -> int:
        return sum(known.under_way is not None for known in self.rooms.values())

    @invariant()
    def what_is_not_saved_is_known(self) -> None:
        assert self.under_way <= SETTINGS.at_once
        missing = [room for room, known in self.rooms.items() if known.saved < known.state]
        assert len(self.schedule) == len(missing)
        if missing and not self.under_way:
            assert self.schedule.next_due() is not None

    def teardown(self) -> None:
        for room, known in self.rooms.items():
            if known.under_way is not None:
                self.schedule.saved(room, self.now)
                known.saved, known.under_way = known.under_way, None
        while (due := self.schedule.next_due()) is not None:
            self.now = max(self.now, due)
            for room in self.schedule.take(self.now):
                self.rooms[room].saved = self.rooms[room].state
                self.schedule.saved(room, self.now)
        assert all(known.saved == known.state for known in self.rooms.values())


TestMachine = Machine.TestCase
TestMachine.settings = settings(max_examples=100, stateful_step_count=40, deadline=None)
