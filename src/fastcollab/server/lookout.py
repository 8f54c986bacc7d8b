"""Tells the log of what an operator has to know who: which connection is of concern, and which calls take long.

Metrics say that somebody floods, and not who, since nobody makes a series by what he does. So the log names them: once
when it has lasted for some seconds, and once when it is over (:mod:`fastcollab.core.spells`). What is looked at is what
`GET /api/v1/activity` tells too; of a connection of which nothing is amiss nothing else is looked at.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from fastcollab.core.concern import Concern, judge
from fastcollab.core.limits import SECOND
from fastcollab.core.spells import Spells
from fastcollab.logs import get_logger
from fastcollab.server._listener import Connection
from fastcollab.server._meter import Histogram
from fastcollab.server.connection_metrics import behind, signs_of
from fastcollab.server.tallies import Tallies

log = get_logger(__name__)

#: More than this (s) is long for a call to the store or to Redis, on the average of a second.
SLOW_CALLS = 0.1


class _Who(NamedTuple):
    connection_id: str
    user_id: str | None
    address: str


class Lookout:
    """Looks at connections and at what is counted; :meth:`look` is to be called every second or so."""

    def __init__(self, tallies: Tallies) -> None:
        self._tallies = tallies
        self._concerns: Spells[_Who, Concern] = Spells()
        self._slowness: Spells[str, str] = Spells()
        #: Calls and what they took in all (s), when they were looked at last.
        self._known: dict[str, tuple[int, float]] = {}

    def look(self, connections: Iterable[Connection], now: int) -> None:
        """Logs what has begun and what is over at `now` (ns, monotonic)."""
        self._look_at_connections(connections, now)
        self._look_at_calls(now)

    def _look_at_connections(self, connections: Iterable[Connection], now: int) -> None:
        # Those that have begun are among those that were found just now.
        found = {(_who(connection), concern): connection for connection, concern in _of_concern(connections, now)}
        news = self._concerns.look(found, now)
        for who, concern, _ in news.began:
            evidence = _evidence(found[who, concern], concern, now)
            log.warning("a connection is of concern", concern=concern, **who._asdict(), **evidence)
        for who, concern, lasted in news.ended:
            seconds = round(lasted / SECOND, 1)
            log.info("a connection is of no concern any more", concern=concern, **who._asdict(), seconds=seconds)

    def _look_at_calls(self, now: int) -> None:
        # Where there is a Redis the store is in it: one line for one culprit.
        redis, store = self._tallies.redis_seconds, self._tallies.store_seconds
        what, histograms = ("Redis", redis) if redis else ("the store", store)
        means = self._means(histograms)
        news = self._slowness.look([(name, what) for name, mean in means.items() if mean > SLOW_CALLS], now)
        for name, _, _ in news.began:
            log.warning(f"{what} is slow", calls=name, mean_ms=round(means[name] * 1000))
        for name, _, lasted in news.ended:
            log.info(f"{what} is as quick as before", calls=name, seconds=round(lasted / SECOND, 1))

    def _means(self, histograms: Mapping[str, Histogram]) -> dict[str, float]:
        """What a call took on the average (s) since the last look, by name; those that there were."""
        means = {}
        for name, histogram in histograms.items():
            count, total = self._known.get(name, (0, 0.0))
            if histogram.count > count:
                means[name] = (histogram.sum - total) / (histogram.count - count)
            self._known[name] = histogram.count, histogram.sum
        return means


def _of_concern(connections: Iterable[Connection], now: int) -> Iterator[tuple[Connection, Concern]]:
    for connection in connections:
        if connection.troubled:
            concern, _ = judge(signs_of(connection, now))
            # How far away somebody is is nobody's fault, and changes by the minute.
            if concern is not None and concern is not Concern.DISTANT:
                yield connection, concern


def _who(connection: Connection) -> _Who:
    session = connection.session
    return _Who(session.connection_id, session.identity.user_id if session.registered else None, connection.address)


def _evidence(connection: Connection, concern: Concern, now: int) -> dict[str, object]:
    match concern:
        case Concern.SLOW:
            return {
                "behind_seconds": round(behind(connection, now), 1),
                "waiting_bytes": connection.outbox.backlog,
                "skipped": connection.outbox.skipped,
            }
        case Concern.ABUSIVE:
            return {"refusals": connection.refused or {}}
        case _:
            return {"errors_per_minute": round(connection.rates[3], 1)}
