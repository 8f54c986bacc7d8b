"""When documents are handed back to the user's back end: not at every operation, not never, and not all at once.

::

    changed ──▶ waiting ── take ──▶ under way ──┬── saved ───▶ forgotten, or waiting if it has changed meanwhile
                   ▲                            └── failed ──▶ waiting, for longer each time
                   └─────────────────────────────────────────────┘

A document is due when nobody has changed it for a while (`delay`), but if people do not stop writing, `max_delay` after
the first change; and at once when its room is deserted. What is handed back is its state at the time of :meth:`take`,
so that a change which comes before costs nothing.

Failures are of two kinds, which cannot be told apart: the back end is down, or it does not take this one document. So
each document has a backoff of its own, a random part (*full jitter*) of a time that doubles, and a document that fails
for ever holds up no other. And repetitions, of whichever documents, begin at least `retry_interval` apart until one of
them succeeds: a back end that is down is asked a few times a second even if ten thousand documents wait for it, and
gets them as fast as it takes them when it is back.

All times are in ns, of a monotonic clock.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from fastcollab.core.agenda import Agenda
from fastcollab.core.limits import SECOND

#: From so many failures on the backoff does not grow any more, whatever its limit is.
_DOUBLINGS = 32


@dataclass(frozen=True, slots=True)
class HandBackSettings:
    """How long to wait, and how much to do at once."""

    delay: int = 2 * SECOND
    max_delay: int = 10 * SECOND
    at_once: int = 8
    backoff: int = SECOND
    max_backoff: int = 60 * SECOND
    retry_interval: int = SECOND // 10


@dataclass(slots=True)
class _Pending:
    """A document that the back end does not have in its newest state."""

    #: Since it was taken; None: it has not changed since then.
    changed_first: int | None = None
    changed_last: int = 0
    hurried: bool = False
    under_way: bool = False
    failures: int = 0
    not_before: int = 0


class HandBackSchedule:
    """Which documents, by room, are to be handed back when. `random` gives numbers from 0 to 1."""

    def __init__(self, settings: HandBackSettings, random: Callable[[], float]) -> None:
        self._settings = settings
        self._random = random
        self._pending: dict[str, _Pending] = {}
        #: Those that wait: for the first time, and after a failure.
        self._waiting = Agenda()
        self._retries = Agenda()
        self._retry_from = 0
        self._under_way = 0
        self._hurrying = False

    def __len__(self) -> int:
        """How many documents the back end does not have in their newest state."""
        return len(self._pending)

    def changed(self, room_id: str, now: int) -> None:
        """The document has changed."""
        pending = self._pending.get(room_id)
        if pending is None:
            pending = self._pending[room_id] = _Pending()
        if pending.changed_first is None:
            pending.changed_first = now
        pending.changed_last = now
        self._plan(room_id, pending)

    def deserted(self, room_id: str) -> None:
        """Nobody is in the room any more: what waits there need not wait for more."""
        if (pending := self._pending.get(room_id)) is not None:
            pending.hurried = True
            self._plan(room_id, pending)

    def hurry(self) -> None:
        """There is little time left: everything is due now, even what has just failed."""
        self._hurrying = True
        self._retry_from = 0
        for room_id, pending in self._pending.items():
            pending.not_before = 0
            self._plan(room_id, pending)

    def take(self, now: int) -> list[str]:
        """What is to be handed back now, the longest due first. It is under way until the outcome is told."""
        taken = []
        while (first := self._first()) is not None and first[0] <= now:
            _, room_id = first
            pending = self._pending[room_id]
            if pending.failures:
                self._retry_from = now + self._settings.retry_interval
            self._waiting.remove(room_id)
            self._retries.remove(room_id)
            pending.under_way, pending.hurried = True, False
            pending.changed_first = None
            self._under_way += 1
            taken.append(room_id)
        return taken

    def saved(self, room_id: str, now: int) -> None:
        """The back end has the document, as it was when it was taken."""
        pending = self._end(room_id)
        self._retry_from = now
        if pending.changed_first is None:
            del self._pending[room_id]
            return
        pending.failures = pending.not_before = 0
        self._plan(room_id, pending)

    def failed(self, room_id: str, now: int) -> None:
        """The back end does not have the document, or it is not known whether it has."""
        pending = self._end(room_id)
        settings = self._settings
        longest = min(settings.max_backoff, settings.backoff << min(pending.failures, _DOUBLINGS))
        pending.failures += 1
        pending.not_before = now + int(longest * self._random())
        self._plan(room_id, pending)

    def next_due(self) -> int | None:
        """When :meth:`take` has something; None: not as things are."""
        first = self._first()
        return None if first is None else first[0]

    def _end(self, room_id: str) -> _Pending:
        pending = self._pending[room_id]
        pending.under_way = False
        self._under_way -= 1
        return pending

    def _plan(self, room_id: str, pending: _Pending) -> None:
        if pending.under_way:
            return
        if pending.failures:
            self._retries.put(room_id, pending.not_before)
            return
        assert pending.changed_first is not None
        if self._hurrying or pending.hurried:
            self._waiting.put(room_id, pending.changed_first)
        else:
            settings = self._settings
            due = min(pending.changed_last + settings.delay, pending.changed_first + settings.max_delay)
            self._waiting.put(room_id, due)

    def _first(self) -> tuple[int, str] | None:
        if self._under_way >= self._settings.at_once:
            return None
        waiting, retry = self._waiting.first(), self._retries.first()
        if retry is not None:
            retry = max(retry[0], self._retry_from), retry[1]
        return min((each for each in (waiting, retry) if each is not None), default=None)
