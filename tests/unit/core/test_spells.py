"""Spells: when it is told that something is the matter, and when that it is over."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from fastcollab.core.limits import SECOND
from fastcollab.core.spells import News, Spell, Spells

NOTHING: News[str, str] = News([], [])


def spells() -> Spells[str, str]:
    return Spells(patience=3 * SECOND, calm=5 * SECOND)


def test_it_is_told_once_it_has_lasted_and_once_it_is_over() -> None:
    made = spells()
    told = [made.look([("ada", "slow")] if now < 8 else [], now * SECOND) for now in range(20)]
    assert told[3] == News([Spell("ada", "slow", 3 * SECOND)], [])
    assert told[12] == News([], [Spell("ada", "slow", 7 * SECOND)])
    assert [each for each in told if each != NOTHING] == [told[3], told[12]]


def test_what_passes_is_not_told() -> None:
    made = spells()
    assert all(made.look([("ada", "slow")] if now < 3 else [], now * SECOND) == NOTHING for now in range(20))


def test_what_comes_and_goes_is_one_spell() -> None:
    made = spells()
    told = [made.look([("eve", "abusive")] if now % 4 == 0 else [], now * SECOND) for now in range(40)]
    assert [each for each in told if each != NOTHING] == [News([Spell("eve", "abusive", 4 * SECOND)], [])]


def test_subjects_and_matters_are_told_apart() -> None:
    made = spells()
    found = [("ada", "slow"), ("eve", "slow"), ("eve", "abusive")]
    made.look(found, 0)
    began = made.look(found, 3 * SECOND).began
    assert [(each.subject, each.matter) for each in began] == found


@given(st.lists(st.sets(st.sampled_from(["ada", "eve"])), max_size=60))
def test_beginnings_and_ends_alternate_and_all_is_forgotten(looks: list[set[str]]) -> None:
    made = spells()
    going_on: set[str] = set()
    for second, names in enumerate([*looks, *[set[str]()] * 5]):
        news = made.look([(name, "slow") for name in sorted(names)], second * SECOND)
        began, ended = ({each.subject for each in spells} for spells in news)
        assert not began & going_on
        assert ended <= going_on
        going_on = (going_on | began) - ended
    assert not going_on
    assert not made._courses
