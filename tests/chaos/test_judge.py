"""The judge finds what it is there to find: nothing where all is well, and something where a history is spoiled."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from tests.chaos.history import Acknowledged, Joined, Lost, Record, Refused, Told
from tests.chaos.judge import Allowance, Log, Screen, judge, judge_roster, lost

from fastcollab import ot
from fastcollab.core.document import Committed
from fastcollab.errors import CloseCode, ConnectionClosed, HandshakeRefused

EPOCH, LATER = "1-a", "2-b"


def committed(version: int, operation: Any, user: str) -> Committed:
    return Committed(version, operation, user, 1, f"id {version}", version - 1, 0, 10)


class Case:
    """Ada has written `a` and `c`, Bob `b`; Eve has joined in between and has gone."""

    def __init__(self) -> None:
        operations = [["a"], [1, "b"], [2, "c"]]
        users = ["ada", "bob", "ada"]
        entries = [committed(version, operations[version - 1], users[version - 1]) for version in (1, 2, 3)]
        self.log = Log("text", EPOCH, 0, "", entries)
        joined = Joined(EPOCH, 0, 0, False, "")
        self.ada = [joined, Acknowledged("id 1", 1), Told("id 2", 2, operations[1]), Acknowledged("id 3", 3)]
        self.bob = [joined, Told("id 1", 1, operations[0]), Acknowledged("id 2", 2), Told("id 3", 3, operations[2])]
        self.eve = [Joined(EPOCH, 1, 0, False, "a"), Told("id 2", 2, operations[1])]
        self.screens = [
            Screen(Record("Ada", "text", self.ada), EPOCH, 3, "abc", {"a", "c"}, {"a", "c"}),
            Screen(Record("Bob", "text", self.bob), EPOCH, 3, "abc", {"b"}, {"b"}),
        ]
        self.allowed = Allowance()

    def findings(self) -> list[str]:
        return judge(self.log, self.screens, [Record("Eve", "text", self.eve)], self.allowed)


def test_nothing_is_found_where_all_is_well() -> None:
    assert Case().findings() == []


def test_what_was_lost_comes_back_with_what_was_missed() -> None:
    case = Case()
    case.bob[1:1] = [Lost(ConnectionClosed(CloseCode.ABNORMAL, "gone")), Joined(EPOCH, 1, 1, True, ot.ABSENT)]
    assert case.findings() == []


def test_an_answer_may_be_repeated() -> None:
    case = Case()
    case.ada.append(Acknowledged("id 1", 1))
    assert case.findings() == []


def lost_operation(case: Case) -> None:
    case.log = replace(case.log, entries=case.log.entries[:2])
    for screen in case.screens:
        screen.version, screen.content = 2, "ab"
    case.bob.pop()


def lost_and_replaced(case: Case) -> None:
    other = Committed(3, [2, "x"], "bob", 2, "id 9", 2, 0, 10)
    case.log = replace(case.log, entries=[*case.log.entries[:2], other])
    case.screens[1].written.add("x")
    case.screens[1].saved.add("x")
    case.bob[-1] = Acknowledged("id 9", 3)
    for screen in case.screens:
        screen.content = "abx"


def applied_twice(case: Case) -> None:
    case.log = replace(case.log, entries=[*case.log.entries, committed(4, [3, "c"], "ada")])
    for screen in case.screens:
        screen.version, screen.content = 4, "abcc"
    case.bob.append(Told("id 4", 4, [3, "c"]))
    case.ada.append(Told("id 4", 4, [3, "c"]))


def in_the_log_twice(case: Case) -> None:
    again = replace_id(committed(4, [], "ada"), "id 3")
    case.log = replace(case.log, entries=[*case.log.entries, again])
    for screen in case.screens:
        screen.version = 4


def replace_id(entry: Committed, message_id: str) -> Committed:
    return Committed(entry.version, entry.operation, entry.user_id, 1, message_id, entry.written_against, 0, 10)


def swapped(case: Case) -> None:
    case.bob[1], case.bob[2] = Acknowledged("id 2", 1), Told("id 1", 2, ["a"])


def told_twice(case: Case) -> None:
    case.bob.insert(2, case.bob[1])


def left_out(case: Case) -> None:
    del case.ada[2]


def told_otherwise(case: Case) -> None:
    case.bob[3] = Told("id 3", 3, [0, "c"])


def seen_otherwise(case: Case) -> None:
    case.screens[1].content = "acb"


def left_behind(case: Case) -> None:
    case.screens[1].version, case.screens[1].content = 2, "ab"


def given_otherwise(case: Case) -> None:
    case.eve[0] = Joined(EPOCH, 1, 0, False, "b")


def pending_for_ever(case: Case) -> None:
    case.screens[0].saved.remove("c")


def handed_back(case: Case) -> None:
    case.screens[0].saved.remove("c")
    case.screens[0].handed_back.add("c")


def from_nowhere(case: Case) -> None:
    case.screens[1].written.clear()
    case.screens[1].saved.clear()


def refused(case: Case) -> None:
    case.ada.append(Refused(5001, "id 8", "a fault"))


def checksum_failed(case: Case) -> None:
    case.ada.append(Refused(3003, "id 8", "the copies differ"))


def closed_by_a_limit(case: Case) -> None:
    case.ada.append(Lost(ConnectionClosed(CloseCode.CONNECTION_LIMIT, "too many")))


def handshakes_limited(case: Case) -> None:
    case.ada.append(Lost(HandshakeRefused(429, "too many")))


def broken_client(case: Case) -> None:
    case.ada.append(Lost(KeyError("version")))


def gap(case: Case) -> None:
    first, _, last = case.log.entries
    case.log = replace(case.log, entries=[first, last])


def another_epoch(case: Case) -> None:
    case.eve.append(Joined(LATER, 3, 0, False, "abc"))


def another_epoch_in_silence(case: Case) -> None:
    case.allowed = Allowance(loss=True)
    case.eve.append(Joined(LATER, 3, 1, True, ot.ABSENT))


SABOTAGE: list[Callable[[Case], None]] = [
    lost_operation,
    lost_and_replaced,
    applied_twice,
    in_the_log_twice,
    swapped,
    told_twice,
    left_out,
    told_otherwise,
    seen_otherwise,
    left_behind,
    given_otherwise,
    pending_for_ever,
    handed_back,
    from_nowhere,
    refused,
    checksum_failed,
    closed_by_a_limit,
    handshakes_limited,
    broken_client,
    gap,
    another_epoch,
    another_epoch_in_silence,
]


@pytest.mark.parametrize("spoil", SABOTAGE, ids=lambda spoil: spoil.__name__)
def test_what_is_spoiled_is_found(spoil: Callable[[Case], None]) -> None:
    case = Case()
    spoil(case)
    assert case.findings()


def test_a_loss_that_is_allowed_needs_another_epoch() -> None:
    case = Case()
    lost_operation(case)
    case.allowed = Allowance(loss=True)
    assert case.findings(), "acknowledged in the epoch that goes on"
    case.log = replace(case.log, epoch=LATER)
    for screen, entries in zip(case.screens, (case.ada, case.bob), strict=True):
        screen.epoch = LATER
        entries += [Refused(3002, None, "made anew"), Joined(LATER, 2, 0, False, "ab")]
    assert case.findings() == []
    assert lost(case.log, case.screens) == 1


def test_a_roster_has_neither_ghosts_nor_gaps() -> None:
    assert judge_roster("Ada", {"ada", "bob"}, {"ada", "bob"}) == []
    assert judge_roster("Ada", {"ada", "bob"}, {"ada"})
    assert judge_roster("Ada", {"ada"}, {"ada", "bob"})
