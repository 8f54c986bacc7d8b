"""A circuit breaker: who does not answer is left alone for a while, so that nobody waits for a time-out in vain.

::

            `threshold` failures in a row                 the back-off is over
    CLOSED ──────────────────────────────▶ OPEN ──────────────────────────────▶ HALF-OPEN
       ▲                                    ▲                                      │   │
       │                                    └─────── the probe has failed ─────────┘   │
       └──────────────────────────── the probe has succeeded ──────────────────────────┘

While it is closed everyone may call. While it is open nobody may: who wants to is refused at once, with the time after
which it is worth trying. When it is half-open, one caller is let through as a probe, and all others are refused until
its outcome is known. The back-off doubles with each probe that fails; half of it is by chance, so that many gateways do
not probe at the same time.

Calls overlap, so that outcomes of calls from before a change of state come after it. They say nothing of the state
after it, and are told apart by the `ticket` that each call was admitted with.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from fastcollab.core.limits import SECOND
from fastcollab.errors import ServiceUnavailable

#: From so many probes on the back-off does not grow any more, whatever its limit is.
_DOUBLINGS = 32
_MILLISECOND = 1_000_000


@dataclass(frozen=True, slots=True)
class BreakerSettings:
    """`threshold` is a number of failures, the back-offs are in ns."""

    threshold: int = 5
    backoff: int = SECOND
    max_backoff: int = 30 * SECOND


class CircuitBreaker:
    """Begins closed. Times are in ns, of a monotonic clock; `random` gives numbers from 0 to 1."""

    def __init__(self, settings: BreakerSettings, random: Callable[[], float]) -> None:
        self._settings = settings
        self._random = random
        #: Failures in a row while it is closed, and probes in a row that have failed.
        self._failures = 0
        self._probes_failed = 0
        self._open_until: int | None = None
        self._probing = False
        self._ticket = 0

    @property
    def closed(self) -> bool:
        return self._open_until is None

    def admit(self, now: int) -> int:
        """Lets a call through, whose outcome is to be told with the ticket that is returned.

        Raises :class:`ServiceUnavailable` with `retryAfterMs` unless one may be made now.
        """
        if self._open_until is not None:
            # What a probe takes is not known, so others may ask again after the shortest back-off.
            wait = self._settings.backoff if self._probing else self._open_until - now
            if wait > 0:
                raise ServiceUnavailable("the back end does not answer", retryAfterMs=-(-wait // _MILLISECOND))
            self._probing = True
        return self._ticket

    def succeeded(self, ticket: int) -> None:
        """There was an answer, whatever it was."""
        if ticket != self._ticket:
            return
        self._failures = 0
        if self._open_until is not None:
            self._change(None)
            self._probes_failed = 0

    def failed(self, ticket: int, now: int) -> None:
        """There was no answer."""
        if ticket != self._ticket:
            return
        settings = self._settings
        if self._open_until is None:
            self._failures += 1
            if self._failures < settings.threshold:
                return
            self._failures = 0
        else:
            self._probes_failed += 1
        longest = min(settings.max_backoff, settings.backoff << min(self._probes_failed, _DOUBLINGS))
        self._change(now + int(longest * (1 + self._random()) / 2))

    def withdrawn(self, ticket: int) -> None:
        """The call was given up before there was an outcome: the next one is the probe, if this was it."""
        if ticket == self._ticket:
            self._probing = False

    def _change(self, open_until: int | None) -> None:
        self._open_until = open_until
        self._probing = False
        self._ticket += 1
