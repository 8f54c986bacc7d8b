"""Connections that were lost a moment ago: which of them a new connection may take up (S7)."""

from __future__ import annotations

from typing import NamedTuple


class Departure(NamedTuple):
    """`reconnections` is how often the connection had been made again before it was lost."""

    user_id: str
    lost_at: int
    reconnections: int


class Departures:
    """Remembers lost connections for `grace_period` (ns), in which their users count as present (R7)."""

    def __init__(self, grace_period: int) -> None:
        self._grace_period = grace_period
        self._departures: dict[str, Departure] = {}

    def __len__(self) -> int:
        return len(self._departures)

    def add(self, connection_id: str, user_id: str, now: int, reconnections: int = 0) -> None:
        """The connection was lost at `now` (ns, monotonic), no earlier than those before it."""
        self._forget(now)
        self._departures[connection_id] = Departure(user_id, now, reconnections)

    def take(self, connection_id: str, user_id: str, now: int) -> Departure | None:
        """What is known of a connection of the user that was lost not long ago, which can be taken up once; None: there
        was no such connection.
        """
        self._forget(now)
        departure = self._departures.get(connection_id)
        if departure is None or departure.user_id != user_id:
            return None
        del self._departures[connection_id]
        return departure

    def _forget(self, now: int) -> None:
        while self._departures:
            oldest = next(iter(self._departures))
            if now - self._departures[oldest].lost_at < self._grace_period:
                break
            del self._departures[oldest]
