"""Figures of a demonstration: what is delivered, what is written, and how long it takes."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import NamedTuple

from fastcollab.client import CollaborativeClient, Participant, Room
from fastcollab.client.participants import UINT32_MAX

INTERVAL = 0.25  # seconds between samples
WINDOW = 2.0  # seconds over which rates are taken


class Sample(NamedTuple):
    when: float
    cursors: int
    bytes: int
    version: int


class Meter:
    """Watches the traffic of all ``clients``, and the latency as the first of them sees it in ``room``.

    The latency of a cursor counts from the moment when it was moved, so that the waiting for its turn, at most
    16.67 ms at the sender and as much in the gateway, is part of it.
    """

    def __init__(self, clients: Sequence[CollaborativeClient], room: Room) -> None:
        self.ping = 0.0  # milliseconds
        self._clients = clients
        self._room = room
        self._started = time.monotonic()
        self._latencies: deque[float] = deque(maxlen=2000)
        self._samples: deque[Sample] = deque(maxlen=round(WINDOW / INTERVAL) + 1)
        self._samples.append(self._sample())
        self._first = self._samples[0]
        room.on("cursor", self._cursor_moved)

    async def measure(self) -> None:
        while True:
            self.ping = await self._clients[0].ping()
            self._samples.append(self._sample())
            await asyncio.sleep(INTERVAL)

    @property
    def deliveries_per_second(self) -> float:
        """Cursor records that reached a client, all clients together."""
        return self._rate(lambda sample: sample.cursors)

    @property
    def bytes_per_second(self) -> float:
        return self._rate(lambda sample: sample.bytes)

    @property
    def operations_per_second(self) -> float:
        return self._rate(lambda sample: sample.version)

    def latency(self, part: float) -> float:
        """The time in milliseconds that the fastest ``part`` of the last cursors took at most."""
        if not self._latencies:
            return 0.0
        return sorted(self._latencies)[min(int(part * len(self._latencies)), len(self._latencies) - 1)]

    def line(self) -> str:
        return (
            f"{time.monotonic() - self._started:7.1f} s  {self.deliveries_per_second:8,.0f} deliveries/s  "
            f"{self.operations_per_second:5.1f} operations/s  ping {self.ping:5.2f} ms  "
            f"cursors p50 {self.latency(0.5):4.1f} ms, p99 {self.latency(0.99):5.1f} ms  "
            f"version {self._room.document.version}, {len(self._room.text)} characters"
        )

    def summary(self) -> str:
        last = self._sample()
        return (
            f"{last.cursors - self._first.cursors:,} cursor updates and {last.version - self._first.version:,} "
            f"operations were delivered in {last.when - self._first.when:.1f} s"
        )

    def _sample(self) -> Sample:
        return Sample(
            time.monotonic(),
            sum(client.traffic.cursors for client in self._clients),
            sum(client.traffic.bytes for client in self._clients),
            self._room.document.version,
        )

    def _rate(self, figure: Callable[[Sample], int]) -> float:
        first, last = self._samples[0], self._samples[-1]
        passed = last.when - first.when
        return (figure(last) - figure(first)) / passed if passed else 0.0

    def _cursor_moved(self, participant: Participant) -> None:
        assert participant.cursor is not None
        # Modulo 2**32, like the timestamp; the half millisecond is what it lost in becoming a whole number.
        age = (time.time() * 1000 - participant.cursor.timestamp) % (UINT32_MAX + 1)
        self._latencies.append(max(age - 0.5, 0.0))
