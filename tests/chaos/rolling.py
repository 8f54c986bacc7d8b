"""A rolling restart: three gateways are stopped and started, one after the other, while hundreds of people write."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from tests.chaos.judge import Allowance, judge
from tests.chaos.people import Writer
from tests.chaos.site import KEPT, open_site
from tests.chaos.trial import PATIENCE, until
from tests.durability.writers import MARKS

#: How many are in a room, and how long (s) a user who has lost connection is waited for.
ROOM_SIZE = 10
GRACE = 20.0
#: The mean time (s) between two edits of one person, and between two cursors.
PACE, POINTING = 4.0, 2.0
#: Returns are counted by this time (s).
WINDOW = 0.5


@dataclass(slots=True)
class Restart:
    """Of one gateway: how long (s) it took to stop, and after how many windows since it was told to, how many people
    were back.
    """

    stopping: float
    returns: Counter[int]

    def __str__(self) -> str:
        histogram = " ".join(str(self.returns[window]) for window in range(max(self.returns, default=0) + 1))
        return f"stopped in {self.stopping:.1f} s, {self.returns.total()} came back, per {WINDOW} s: {histogram}"


@dataclass(slots=True)
class Roll:
    findings: list[str] = field(default_factory=list)
    restarts: list[Restart] = field(default_factory=list)
    saved: int = 0
    waited: float = 0.0

    def __str__(self) -> str:
        verdict = "; ".join(self.findings[:5]) if self.findings else "ok"
        lines = [
            f"a rolling restart: {self.saved} saved, waited {self.waited:.1f} s: {verdict}",
            *map(str, self.restarts),
        ]
        return "\n  ".join(lines)


async def roll(*, people: int, rate: float, seed: int, directory: Path) -> Roll:
    """`rate` is `server.reconnect_rate`."""
    random, marks, result = Random(seed), iter(MARKS), Roll()
    settings = f"server.reconnect_rate={rate}", f"presence.grace_period={GRACE}"
    async with open_site(KEPT, directory, random, 6.0, 0.0, *settings) as site:
        writers = []
        for number in range(people):
            room, user = f"text {number // ROOM_SIZE}", f"user {number}"
            door = site.doors[number % len(site.doors)]
            writers.append(Writer(door, user, user, room, random, marks, pace=PACE, pointing=POINTING))
        for begin in range(0, people, ROOM_SIZE):
            await asyncio.gather(*(writer.join() for writer in writers[begin : begin + ROOM_SIZE]))
        try:
            async with asyncio.timeout(PATIENCE + 120), asyncio.TaskGroup() as lives:
                for writer in writers:
                    lives.create_task(writer.live())
                for node in site.nodes:
                    begun = time.monotonic()
                    await node.stop()
                    stopping = time.monotonic() - begun
                    await node.start()
                    await until(lambda: all(writer.client.is_connected for writer in writers))
                    returns = [at - begun for writer in writers for at in writer.client.returns if at > begun]
                    result.restarts.append(Restart(stopping, Counter(int(after / WINDOW) for after in returns)))
                    await asyncio.sleep(1)
                for writer in writers:
                    writer.stop()
            rooms: dict[str, list[Writer]] = {}
            for writer in writers:
                rooms.setdefault(writer.record.room, []).append(writer)
            async with asyncio.timeout(PATIENCE):
                for here in rooms.values():
                    await until(lambda here=here: len({writer.screen().version for writer in here}) == 1)
            for room, here in rooms.items():
                result.findings += judge(await site.log(room), [each.screen() for each in here], [], Allowance())
            if absences := sum(len(writer.departures) for writer in writers):
                result.findings.append(f"{absences} times somebody was seen to leave who was going to come back")
        finally:
            for writer in writers:
                await writer.client.disconnect()
    result.saved = sum(len(writer.saved) for writer in writers)
    result.waited = max(saved - made for writer in writers for made, saved in writer.waits)
    return result
