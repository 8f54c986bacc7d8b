"""What goes on in a gateway now: rates and latencies of the last seconds, made of counts that only grow.

What is counted is never set back (:mod:`fastcollab.server.metrics`), so that how much there was of late is what there
is now without what there was then. Every five seconds a :class:`Snapshot` is kept, for a minute: some twenty numbers
and copies of histograms, for which no message and no room is looked at. That is all it costs while nobody asks.

Whoever asks has now compared with two of them. Rates are over the last ten seconds or a little more, latencies too if
there were enough values, and else over the last minute; so are errors and refusals, which are told per minute.
"""

from __future__ import annotations

import os
import time
from collections import Counter, deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, TypeVar

from fastcollab.core.limit_guard import LimitGuard
from fastcollab.core.limits import SECOND
from fastcollab.ports import NodeLoad
from fastcollab.server._listener import take_census
from fastcollab.server._meter import Histogram, Meter
from fastcollab.server.dispatcher import Dispatcher
from fastcollab.server.tallies import Tallies

Key = TypeVar("Key")

#: How often (s) a snapshot is kept.
INTERVAL = 5.0
#: Over how long (ns) rates are, at least; and errors and refusals, at most.
_SHORT = 10 * SECOND
_LONG = 60 * SECOND
#: How many values say how quick a thing is; with fewer, older ones are looked at too.
_ENOUGH = 20


class Totals(NamedTuple):
    """How much there was since the gateway was made: processor time (s), and numbers of what is called so."""

    cpu: float
    messages_in: float
    messages_out: float
    bytes_in: float
    bytes_out: float
    cursors_in: float
    deliveries: float
    operations: float
    errors: float
    refusals: float


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What was counted at a time (ns, monotonic); `errors` by code, `refusals` by limit, latencies (s) by name."""

    at: int
    totals: Totals
    errors: Mapping[int, int]
    refusals: Mapping[str, int]
    latencies: Mapping[str, Histogram]


class Latency(NamedTuple):
    """How often something happened per second, and what half and all but a hundredth of it took, in ms."""

    rate: float
    p50: float
    p99: float


@dataclass(frozen=True, slots=True)
class Lately:
    """What there was from `then`, and from the older `before`, until `now`."""

    now: Snapshot
    then: Snapshot
    before: Snapshot

    @property
    def seconds(self) -> float:
        """Over how long rates are."""
        return _seconds(self.then, self.now)

    @property
    def rates(self) -> Totals:
        """Per second."""
        pairs = zip(self.now.totals, self.then.totals, strict=True)
        return Totals._make((now - then) / self.seconds for now, then in pairs)

    @property
    def errors(self) -> dict[int, float]:
        """Per minute, by code; those that there were."""
        return self._per_minute(self.now.errors, self.before.errors)

    @property
    def refusals(self) -> dict[str, float]:
        """Per minute, by limit; those that there were."""
        return self._per_minute(self.now.refusals, self.before.refusals)

    @property
    def latencies(self) -> dict[str, Latency]:
        """By name; those of what has happened."""
        return dict(self._latencies())

    def _latencies(self) -> Iterator[tuple[str, Latency]]:
        for name, histogram in self.now.latencies.items():
            since = self.then
            recent = histogram.since(since.latencies.get(name))
            if recent.count < _ENOUGH:
                since = self.before
                recent = histogram.since(since.latencies.get(name))
            p50, p99 = recent.quantile(0.5), recent.quantile(0.99)
            if p50 is not None and p99 is not None:
                yield name, Latency(recent.count / _seconds(since, self.now), 1000 * p50, 1000 * p99)

    def _per_minute(self, now: Mapping[Key, int], before: Mapping[Key, int]) -> dict[Key, float]:
        minutes = _seconds(self.before, self.now) / 60
        found = {key: count - before.get(key, 0) for key, count in now.items()}
        return {key: count / minutes for key, count in found.items() if count}


def _seconds(then: Snapshot, now: Snapshot) -> float:
    return max(now.at - then.at, 1) / SECOND


class Activity:
    """That of one gateway, of what it counts. There is something to compare with after the first :meth:`keep`, which is
    to be called every :data:`INTERVAL`.
    """

    def __init__(self, dispatcher: Dispatcher, meter: Meter, tallies: Tallies, guard: LimitGuard) -> None:
        self._dispatcher = dispatcher
        self._meter = meter
        self._tallies = tallies
        self._guard = guard
        self._kept: deque[Snapshot] = deque(maxlen=int(_LONG / SECOND / INTERVAL) + 1)

    def keep(self, now: int) -> None:
        """Keeps a snapshot; `now` in ns, monotonic."""
        self._kept.append(self._snapshot(now))

    def lately(self, now: int) -> Lately:
        """What there was of late, until `now` (ns, monotonic)."""
        newest = self._snapshot(now)
        old_enough = (each for each in reversed(self._kept) if now - each.at >= _SHORT)
        before = self._kept[0] if self._kept else newest
        return Lately(newest, next(old_enough, before), before)

    def _snapshot(self, now: int) -> Snapshot:
        meter, tallies = self._meter, self._tallies
        census = take_census(self._dispatcher.connections.values())
        refusals = Counter({limit: excess.refused for limit, excess in self._guard.counts().items()})
        refusals["frames"] = meter.throttled
        frames_in = meter.cursors_received.messages + meter.selections_received.messages
        frames_out = meter.cursors_sent.messages + meter.selections_sent.messages
        totals = Totals(
            cpu=time.process_time(),
            messages_in=tallies.received.messages.total() + frames_in,
            messages_out=tallies.sent.messages.total() + frames_out,
            bytes_in=meter.received_bytes + census.received_bytes,
            bytes_out=meter.sent_bytes + census.sent_bytes,
            cursors_in=meter.cursors_received.messages + tallies.received.messages["cursor_move"],
            deliveries=meter.cursors_sent.records,
            operations=tallies.operations.total(),
            errors=tallies.errors.total(),
            refusals=refusals.total(),
        )
        latencies = {
            "fanout": meter.fanout_seconds,
            "commit": tallies.commit_seconds,
            "eventLoop": tallies.loop_lag_seconds,
            "ping": meter.ping_seconds,
            "bus": meter.bus_seconds,
            **{f"store.{call}": histogram for call, histogram in tallies.store_seconds.items()},
            **{f"redis.{lane}": histogram for lane, histogram in tallies.redis_seconds.items()},
        }
        copies = {name: histogram.copy() for name, histogram in latencies.items()}
        return Snapshot(now, totals, dict(tallies.errors), refusals, copies)


def load_of(lately: Lately) -> NodeLoad:
    """What a node tells others of how much it has to do."""
    latencies = lately.latencies
    return NodeLoad(
        **{name: round(rate, 3) for name, rate in lately.rates._asdict().items()},
        memory=resident_bytes(),
        fanout_p99=_p99(latencies, "fanout"),
        commit_p99=_p99(latencies, "commit"),
    )


def _p99(latencies: Mapping[str, Latency], name: str) -> float | None:
    return round(latencies[name].p99, 2) if name in latencies else None


def resident_bytes() -> int | None:
    """How much memory this process has; None where there is no /proc."""
    try:
        pages = Path("/proc/self/statm").read_text(encoding="ascii").split()[1]
    except OSError:
        return None
    return int(pages) * os.sysconf("SC_PAGE_SIZE")
