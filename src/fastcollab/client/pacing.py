"""Keeping to the gateway's rates: when the next message may be sent, and which one it is.

Time is seconds on the clock of an event loop (``loop.time()``). A ``Pacer`` says how long to wait; a ``Throttle``
waits, and sends only the newest of the values that came meanwhile, which is what cursors want.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Generic, Protocol, TypeVar

T = TypeVar("T")


class Clock(Protocol):
    """The part of an event loop that knows time."""

    def time(self) -> float: ...

    def call_at(self, when: float, callback: Callable[[], object], /) -> asyncio.TimerHandle: ...


class Pacer:
    """A leaky bucket: ``rate`` sends per second, of which ``burst`` seconds' worth may go at once."""

    def __init__(self, rate: float, burst: float = 0.0) -> None:
        if not rate > 0:
            raise ValueError(f"the rate must be positive, and not {rate}")
        self._interval = 1.0 / rate
        # What may go at once includes the one that is always allowed after a quiet spell.
        self._tolerance = max(burst - self._interval, 0.0)
        self._due = float("-inf")  # when the bucket will have run empty

    def delay(self, now: float) -> float:
        """Seconds until the next send is allowed; 0.0 if it is allowed now."""
        return max(self._due - self._tolerance - now, 0.0)

    def sent(self, now: float) -> None:
        self._due = max(self._due, now) + self._interval


class Throttle(Generic[T]):
    """Hands values to ``send``: at once after a quiet spell, then at most ``rate`` per second, the newest one winning.

    The newest value always arrives. ``send`` may return False for "not now", and is asked again an interval later
    with what is the newest by then.
    """

    def __init__(self, rate: float, send: Callable[[T], bool], clock: Clock) -> None:
        self._pacer = Pacer(rate)
        self._send = send
        self._clock = clock
        self._newest: tuple[T] | None = None
        self._timer: asyncio.TimerHandle | None = None

    def put(self, value: T) -> None:
        self._newest = (value,)
        if self._timer is None:
            self._flush()

    def cancel(self) -> None:
        """Forgets what waits; values that come later are sent again."""
        self._newest = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _flush(self) -> None:
        self._timer = None
        if self._newest is None:
            return
        now = self._clock.time()
        delay = self._pacer.delay(now)
        if not delay:
            self._pacer.sent(now)
            (value,) = self._newest
            if self._send(value):
                self._newest = None
                return
            delay = self._pacer.delay(now)
        self._timer = self._clock.call_at(now + delay, self._flush)
