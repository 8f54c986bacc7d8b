"""One scenario with one seed: people in rooms, a fault, and what is left of it when all has calmed down."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from tests.chaos.history import Record
from tests.chaos.judge import judge, judge_roster, lost
from tests.chaos.people import Mortal, Visitor, Writer
from tests.chaos.scenarios import Scenario
from tests.chaos.site import GRACE, Site, open_site
from tests.durability.writers import EDITS, MARKS

#: How long (s) the cluster has for what is pending to be saved and for all copies to be equal.
PATIENCE = 45.0
#: What a busy machine may add (s) to the time within which participants have to be right.
SLACK = 5.0
#: How long (s) people write before the fault, and after it.
CALM = 1.0


@dataclass(slots=True)
class Verdict:
    """`findings` say what was wrong; times are in seconds.

    `fault` is how long the fault lasted, `back` how long it took from its end until every writer had an edit saved that
    was made since, `waited` the longest that an edit waited to be saved, `rosters` how long until everybody saw who was
    there, `absences` how often somebody was seen to leave who was there, `dark` the longest that anybody was without
    cursors of others.
    """

    scenario: str
    seed: int
    findings: list[str] = field(default_factory=list)
    saved: int = 0
    lost: int = 0
    handed_back: int = 0
    losses: int = 0
    visits: int = 0
    fault: float = 0.0
    back: float = 0.0
    waited: float = 0.0
    rosters: float = 0.0
    absences: int = 0
    dark: float = 0.0

    def __str__(self) -> str:
        verdict = "; ".join(self.findings[:5]) if self.findings else "ok"
        return (
            f"{self.scenario:36} seed {self.seed}: "
            f"{self.saved:5} saved, {self.lost} lost, {self.handed_back} handed back, "
            f"{self.losses:3} connections lost, {self.visits:3} visits, {self.absences:2} absences, "
            f"fault {self.fault:5.1f} s, back {self.back:4.1f}, waited {self.waited:4.1f}, "
            f"rosters {self.rosters:4.1f}, dark {self.dark:4.1f}: {verdict}"
        )


async def run(
    scenario: Scenario, seed: int, directory: Path, *, lease: float, long: float, pace: float = 0.15
) -> Verdict:
    """`lease` and `long` are those of the site, `pace` is that of the writers."""
    random = Random(f"{scenario.name} {seed}")
    verdict = Verdict(scenario.name, seed)
    async with open_site(scenario.setup, directory, random, lease, long) as site:
        crowd = Crowd(site.doors, random, pace)
        try:
            await crowd.join()
            await crowd.through(lambda: scenario.fault(site), verdict)
            await crowd.settle(verdict, lease)
            await crowd.judge(site, scenario, verdict)
        except TimeoutError:
            verdict.findings.append("it did not calm down")
        finally:
            await crowd.leave()
    return verdict


class Crowd:
    """All who are in the rooms. In each: a writer at each node, one of them with a second connection elsewhere."""

    def __init__(self, doors: list[str], random: Random, pace: float) -> None:
        marks = iter(MARKS)
        self.writers = []
        self.mortals = []
        self.visitors = []
        for room in EDITS:
            for number, user in enumerate(("ada", "bob", "eve", "ada")):
                name = f"{user} of {room}, {number}"
                door = doors[number % len(doors)]
                self.writers.append(Writer(door, f"{user} of {room}", name, room, random, marks, pace=pace))
            self.mortals += [Mortal(door, f"mortal {number} of {room}", room) for number, door in enumerate(doors)]
            self.visitors.append(Visitor(random.choice(doors), f"visitor of {room}", room, random))

    async def join(self) -> None:
        for each in (*self.writers, *self.mortals):
            await each.join()

    async def through(self, fault: Callable[[], Awaitable[None]], verdict: Verdict) -> None:
        """People write before, during and after the fault, until each has seen that all is well again."""
        async with asyncio.timeout(PATIENCE + 120), asyncio.TaskGroup() as lives:
            for each in (*self.writers, *self.visitors):
                lives.create_task(each.live())
            await asyncio.sleep(CALM)
            begun = time.monotonic()
            await fault()
            ended = time.monotonic()
            verdict.fault = ended - begun
            await until(lambda: all(writer.waits[-1:] and writer.waits[-1][0] > ended for writer in self.writers))
            verdict.back = time.monotonic() - ended
            await asyncio.sleep(CALM)
            for each in (*self.writers, *self.visitors):
                each.stop()
        verdict.waited = max(saved - made for writer in self.writers for made, saved in writer.waits)
        verdict.dark = max(writer.darkness for writer in self.writers)

    async def settle(self, verdict: Verdict, lease: float) -> None:
        """All copies become equal, and everybody sees who is there."""
        begun = time.monotonic()
        async with asyncio.timeout(PATIENCE):
            for room in EDITS:
                here = [writer for writer in self.writers if writer.record.room == room]
                await until(lambda here=here: len({(w.screen().epoch, w.screen().version) for w in here}) == 1)
        try:
            async with asyncio.timeout(max(0.0, lease + GRACE + SLACK - (time.monotonic() - begun))):
                await until(lambda: not self._wrong_rosters())
        except TimeoutError:
            verdict.findings += self._wrong_rosters()
        verdict.rosters = time.monotonic() - begun

    async def judge(self, site: Site, scenario: Scenario, verdict: Verdict) -> None:
        for room in EDITS:
            log = await site.log(room)
            screens = [writer.screen() for writer in self.writers if writer.record.room == room]
            verdict.findings += judge(log, screens, list(self._records(room)), scenario.allowed)
            verdict.lost += lost(log, screens)
        writers = {writer.user for writer in self.writers}
        verdict.absences = sum(user in writers for writer in self.writers for user in writer.departures)
        if verdict.absences and not scenario.allowed.absence:
            verdict.findings.append(f"{verdict.absences} times somebody was seen to leave who was there")
        verdict.saved = sum(len(writer.saved) for writer in self.writers)
        verdict.handed_back = sum(len(writer.handed_back) for writer in self.writers)
        verdict.losses = sum(writer.record.losses for writer in self.writers)
        verdict.visits = sum(visitor.visits for visitor in self.visitors)

    async def leave(self) -> None:
        for each in (*self.writers, *self.mortals):
            await each.client.disconnect()

    def _records(self, room: str) -> Iterable[Record]:
        return (each.record for each in (*self.mortals, *self.visitors) if each.record.room == room)

    def _wrong_rosters(self) -> list[str]:
        findings = []
        for writer in self.writers:
            room = writer.record.room
            there = {each.user for each in self.writers if each.record.room == room}
            there |= {mortal.user for mortal in self.mortals if mortal.record.room == room and mortal.is_there}
            findings += judge_roster(writer.record.name, writer.room.participants.keys(), there)
        return findings


async def until(condition: Callable[[], bool]) -> None:
    while not condition():  # noqa: ASYNC110 - what is waited for happens in many places
        await asyncio.sleep(0.02)
