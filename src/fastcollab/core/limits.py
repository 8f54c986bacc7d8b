"""Rate limits as token buckets.

A bucket holds `rate × burst` tokens at most and gains `rate` of them per second; each message takes one. So a
client may send a burst after a pause, and `rate` per second in the long run. Time is an argument, in
nanoseconds of a monotonic clock.
"""

from __future__ import annotations

from fastcollab.errors import RateLimited

SECOND = 1_000_000_000


class TokenBucket:
    """At most `rate` messages per second and `rate × burst` at once; `name` is what a refusal calls the limit."""

    __slots__ = ("_capacity", "_filled_at", "_tokens", "name", "rate")

    def __init__(self, name: str, rate: int, burst: float, now: int) -> None:
        self.name = name
        self.rate = rate
        self._capacity = max(1.0, rate * burst)
        self._tokens = self._capacity
        self._filled_at = now

    def take(self, now: int) -> None:
        """Takes one token, or raises :class:`RateLimited` with the time after which there will be one."""
        self._tokens = min(self._capacity, self._tokens + (now - self._filled_at) * self.rate / SECOND)
        self._filled_at = now
        if self._tokens < 1:
            raise RateLimited(
                f"more than {self.rate} {self.name} per second",
                limit=self.rate,
                remaining=0,
                retryAfterMs=int((1 - self._tokens) / self.rate * 1000) + 1,
            )
        self._tokens -= 1
