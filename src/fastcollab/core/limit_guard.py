"""What becomes of what exceeds a limit: it is refused, or, where the limit is only tried out, let through; and counted.

A limit in *shadow mode* refuses nothing. So a team sees whom a new limit would hit before it hits anyone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection
from typing import NamedTuple

from fastcollab.core.limits import SECOND, RateTable
from fastcollab.errors import RateLimited
from fastcollab.messages import LimitsInForce

#: How often (ns) at most it is told that a limit is exceeded.
_TOLD_EVERY = 60 * SECOND
#: Users whose rates are kept at the same time.
_USERS = 100_000


class Excess(NamedTuple):
    """How often a limit was exceeded: what was `refused`, and what was `let_through` in shadow mode."""

    refused: int
    let_through: int


class LimitGuard:
    """Refuses what exceeds a limit, but for the limits in `shadow`, and counts by the limit's name."""

    def __init__(self, shadow: Collection[str] = ()) -> None:
        self._shadow = frozenset(shadow)
        self._refused: Counter[str] = Counter()
        self._let_through: Counter[str] = Counter()
        self._told: dict[str, Excess] = {}
        self._told_at: dict[str, int] = {}

    def refuse(self, limit: str, error: Exception) -> None:
        """Raises `error`; or, if the limit is in shadow mode, returns."""
        if limit not in self._shadow:
            self._refused[limit] += 1
            if isinstance(error, RateLimited):
                error.exceeded = limit
            raise error
        self._let_through[limit] += 1

    def counts(self) -> dict[str, Excess]:
        """What has exceeded limits so far, by limit."""
        limits = sorted(self._refused.keys() | self._let_through.keys())
        return {limit: Excess(self._refused[limit], self._let_through[limit]) for limit in limits}

    def news(self, now: int) -> dict[str, Excess]:
        """What has exceeded limits since it was told last, for the log: of each limit once a minute at most."""
        news = {}
        for limit, count in self.counts().items():
            told = self._told.get(limit, Excess(0, 0))
            if count == told or now - self._told_at.get(limit, now - _TOLD_EVERY) < _TOLD_EVERY:
                continue
            news[limit] = Excess(count.refused - told.refused, count.let_through - told.let_through)
            self._told[limit], self._told_at[limit] = count, now
        return news


class UserRates:
    """How often each user may do what (L1), over all connections and across reconnects. Time in ns, monotonic.

    `spread` says through how many gateways a user is connected: each of them grants one share of the rates.
    """

    def __init__(
        self, limits: LimitsInForce, guard: LimitGuard, spread: Callable[[str], int] = lambda _user: 1
    ) -> None:
        self._operations = RateTable("operations", limits.operations, limits.burst, _USERS)
        self._messages = RateTable("messages", limits.messages, limits.burst, _USERS)
        self._guard = guard
        self._spread = spread

    def take_operation(self, user: str, now: int) -> None:
        """Raises :class:`RateLimited` if the user may not submit an operation now."""
        try:
            self._operations.take(user, now, self._spread(user))
        except RateLimited as error:
            self._guard.refuse("operations", error)

    def take_message(self, user: str, now: int) -> None:
        """Raises :class:`RateLimited` if the user may not send another message now."""
        try:
            self._messages.take(user, now, self._spread(user))
        except RateLimited as error:
            self._guard.refuse("messages", error)
