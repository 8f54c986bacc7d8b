"""Events on their way to a receiver that may be slow, away for hours, or gone: what is to be sent when.

::

    add ──▶ waiting, in its lane ── take ──▶ under way ──┬── delivered ──▶ forgotten; the next of the lane is due
                  ▲                                      └── failed ──▶ ┬─ waiting, for longer each time
                  └─────────────────────────────────────────────────────┤
                                                                        └─ given up, when it is too old

A *lane* has what must come in order, such as the events of one room: of a lane one is under way at a time, and those
behind it wait for it, however often it fails. Lanes do not wait for each other. So an event is delivered at least once,
as long as this process lives: a receiver that has it, and whose answer was lost, gets it again.

The wait after a failure is a random part (*full jitter*) of a time that doubles. And repetitions, of whichever lanes,
begin at least `retry_interval` apart until one succeeds: a receiver that is down is asked a few times a second, however
many lanes wait for it. What is older than `give_up_after`, or one too many, is dropped, and its sender told.

All times are in ns, of a monotonic clock.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from fastcollab.core.agenda import Agenda
from fastcollab.core.limits import SECOND

Event = TypeVar("Event")

#: From so many failures on the wait does not grow any more, whatever its limit is.
_DOUBLINGS = 32


@dataclass(frozen=True, slots=True)
class DeliverySettings:
    """How much may wait and be under way, and how long to try."""

    most: int = 10_000
    at_once: int = 8
    backoff: int = SECOND
    max_backoff: int = 300 * SECOND
    retry_interval: int = SECOND // 10
    give_up_after: int = 24 * 3600 * SECOND


@dataclass(slots=True)
class _Lane(Generic[Event]):
    """Events, each with when it came; the first may be under way."""

    events: deque[tuple[Event, int]] = field(default_factory=deque)
    failures: int = 0


class Deliveries(Generic[Event]):
    """What one receiver is to get. `random` gives numbers from 0 to 1."""

    def __init__(self, settings: DeliverySettings, random: Callable[[], float]) -> None:
        self._settings = settings
        self._random = random
        self._lanes: dict[str, _Lane[Event]] = {}
        #: The lanes whose first event waits: for the first time, and after a failure.
        self._waiting = Agenda()
        self._retries = Agenda()
        self._retry_from = 0
        self._under_way = 0
        self._count = 0

    def __len__(self) -> int:
        """How many events have not been delivered."""
        return self._count

    def add(self, lane: str, event: Event, now: int) -> bool:
        """False: too many wait, and this one is dropped."""
        if self._count >= self._settings.most:
            return False
        self._count += 1
        kept = self._lanes.get(lane)
        if kept is None:
            kept = self._lanes[lane] = _Lane()
            self._waiting.put(lane, now)
        kept.events.append((event, now))
        return True

    def take(self, now: int) -> list[tuple[str, Event]]:
        """What is to be sent now, by lane; it is under way until the outcome is told."""
        taken = []
        while (first := self._first()) is not None and first[0] <= now:
            lane = first[1]
            kept = self._lanes[lane]
            if kept.failures:
                self._retry_from = now + self._settings.retry_interval
            self._waiting.remove(lane)
            self._retries.remove(lane)
            self._under_way += 1
            taken.append((lane, kept.events[0][0]))
        return taken

    def delivered(self, lane: str, now: int) -> None:
        """The receiver has the event of the lane that was under way."""
        self._under_way -= 1
        self._retry_from = now
        self._drop_first(lane)
        self._begin_next(lane, now)

    def failed(self, lane: str, now: int) -> list[Event]:
        """The receiver does not have it, or nobody knows whether it has. Returns what is given up."""
        self._under_way -= 1
        settings, kept = self._settings, self._lanes[lane]
        given_up = []
        while kept.events and now - kept.events[0][1] >= settings.give_up_after:
            given_up.append(self._drop_first(lane))
        if given_up:
            self._begin_next(lane, now)
        else:
            longest = min(settings.max_backoff, settings.backoff << min(kept.failures, _DOUBLINGS))
            kept.failures += 1
            self._retries.put(lane, now + int(longest * self._random()))
        return given_up

    def hurry(self, now: int) -> None:
        """There is little time left: what waits after a failure is due now."""
        self._retry_from = 0
        for lane, kept in self._lanes.items():
            if kept.failures and self._retries.time(lane) is not None:
                self._retries.put(lane, now)

    def next_due(self) -> int | None:
        """When :meth:`take` has something; None: not as things are."""
        first = self._first()
        return None if first is None else first[0]

    def _drop_first(self, lane: str) -> Event:
        self._count -= 1
        return self._lanes[lane].events.popleft()[0]

    def _begin_next(self, lane: str, now: int) -> None:
        kept = self._lanes[lane]
        kept.failures = 0
        if kept.events:
            self._waiting.put(lane, now)
        else:
            del self._lanes[lane]

    def _first(self) -> tuple[int, str] | None:
        if self._under_way >= self._settings.at_once:
            return None
        waiting, retry = self._waiting.first(), self._retries.first()
        if retry is not None:
            retry = max(retry[0], self._retry_from), retry[1]
        return min((each for each in (waiting, retry) if each is not None), default=None)
