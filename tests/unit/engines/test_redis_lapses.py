"""When servers may have forgotten something, and what."""

from __future__ import annotations

from math import inf

import pytest
from redis.crc import key_slot

from fastcollab.engines.redis.lapses import Concerns, Lapses
from fastcollab.engines.redis.link import Address

ONE, OTHER = Address("one", 1), Address("other", 2)
HERE, THERE = b"{here}:x", b"{there}:x"


class Told:
    def __init__(self) -> None:
        self.owners = {HERE: ONE, THERE: OTHER}
        self.lapses = Lapses(lambda key: self.owners.get(key))
        self.concerned: list[tuple[bool, bool]] = []
        self.end = self.lapses.watch(self.hear)

    def hear(self, concerns: Concerns) -> None:
        self.concerned.append((concerns(HERE), concerns(THERE)))

    @property
    def ages(self) -> tuple[bool, bool]:
        """Whether there has been a lapse for each."""
        ages = self.lapses.age(HERE), self.lapses.age(THERE)
        assert all(age == inf or age < 1 for age in ages)
        return ages[0] != inf, ages[1] != inf


@pytest.fixture
async def told() -> Told:
    return Told()


async def test_the_same_server_has_what_it_had(told: Told) -> None:
    for address in (ONE, ONE, OTHER, ONE, OTHER):
        told.lapses.linked(address, b"as before")
    assert (told.concerned, told.ages) == ([], (False, False))


async def test_another_behind_the_same_address_may_not(told: Told) -> None:
    for identity in (b"first", b"second", b"second"):
        told.lapses.linked(ONE, identity)
    assert (told.concerned, told.ages) == ([(True, False)], (True, False))
    # Nor one that does not say who it is, and each time it does not.
    for identity in (b"", b"", b"second"):
        told.lapses.linked(ONE, identity)
    assert told.concerned == [(True, False)] * 3


async def test_one_that_was_emptied_has_nothing(told: Told) -> None:
    told.lapses.emptied(THERE)
    assert (told.concerned, told.ages) == ([(False, True)], (False, True))
    told.owners.clear()
    told.lapses.emptied(THERE)
    assert len(told.concerned) == 1


async def test_who_has_slots_that_others_had_may_not_have_all(told: Told) -> None:
    told.lapses.moved({key_slot(THERE)})
    assert (told.concerned, told.ages) == ([(False, True)], (False, True))
    told.lapses.replaced()
    assert (told.concerned[1:], told.ages) == ([(True, True)], (True, True))


async def test_what_was_removed_is_all_that_is_missing(told: Told) -> None:
    told.lapses.removed()
    assert (told.concerned, told.ages) == ([(True, True)], (False, False))
    told.end()
    told.lapses.removed()
    assert len(told.concerned) == 1


async def test_what_nobody_has_is_of_no_age(told: Told) -> None:
    told.owners.clear()
    assert told.lapses.age(HERE) == inf
