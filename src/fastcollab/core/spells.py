"""Spells: something is the matter with somebody for a while, which is told once when it has lasted, and once when it is
over.

A log that says each second what is wrong drowns what else it has to say, and one that says it at the first sign cries
wolf. What comes and goes within `calm` is one spell: a client that floods is held back for a second, read for one, and
held back again.

::

     found  ▪▪▪▪▪▪▪▪▪▪▪▪▪ ▪▪ ▪▪▪▪▪▪▪▪
            ├─ patience ─┤            ├─ calm ─┤
                         began                 ended
"""

from __future__ import annotations

from collections.abc import Collection, Hashable
from typing import Generic, NamedTuple, TypeVar

from fastcollab.core.limits import SECOND

Subject = TypeVar("Subject", bound=Hashable)
Matter = TypeVar("Matter", bound=Hashable)

#: For how long (ns) something has to be the matter before it is told, and for how long nothing before it is over.
PATIENCE, CALM = 3 * SECOND, 10 * SECOND


class Spell(NamedTuple, Generic[Subject, Matter]):
    """`lasted` (ns) is from when it was found first until it was found last."""

    subject: Subject
    matter: Matter
    lasted: int


class News(NamedTuple, Generic[Subject, Matter]):
    """What is to be told: spells that have lasted, and such that were told and are over."""

    began: list[Spell[Subject, Matter]]
    ended: list[Spell[Subject, Matter]]


class _Course:
    """Of a spell: when it was found first and last (ns), and whether it was told."""

    __slots__ = ("first", "last", "told")

    def __init__(self, now: int) -> None:
        self.first = self.last = now
        self.told = False


class Spells(Generic[Subject, Matter]):
    """Those of all subjects. Remembers no more of them than had something the matter with them within `calm`."""

    def __init__(self, patience: int = PATIENCE, calm: int = CALM) -> None:
        self._patience = patience
        self._calm = calm
        self._courses: dict[tuple[Subject, Matter], _Course] = {}

    def look(self, found: Collection[tuple[Subject, Matter]], now: int) -> News[Subject, Matter]:
        """What is the matter with whom at `now` (ns, monotonic); to be called every second or so."""
        for each in found:
            course = self._courses.setdefault(each, _Course(now))
            course.last = now
        began, ended = [], []
        for (subject, matter), course in list(self._courses.items()):
            spell = Spell(subject, matter, course.last - course.first)
            if now - course.last >= self._calm:
                del self._courses[subject, matter]
                if course.told:
                    ended.append(spell)
            elif not course.told and spell.lasted >= self._patience:
                course.told = True
                began.append(spell)
        return News(began, ended)
