"""What the servers of a run use while it is measured."""

from __future__ import annotations

from collections.abc import Sequence

from fastcollab.bench.process import Memory, cpu_seconds, user_and_system_seconds, wait_seconds
from fastcollab.bench.report import ServerCost


class CostMeter:
    """What processes use together from the meter's creation to its reading."""

    def __init__(self, pids: Sequence[int]) -> None:
        self._pids = pids
        self._memory = self._memory_now()
        self._user, self._system = self._user_and_system()
        self._wait = sum(map(wait_seconds, pids))
        self._cpu = sum(map(cpu_seconds, pids))

    def read(self, seconds: float, deliveries: int) -> ServerCost:
        cpu = sum(map(cpu_seconds, self._pids)) - self._cpu
        user, system = self._user_and_system()
        return ServerCost(
            cpu_seconds=cpu,
            user_seconds=user - self._user,
            system_seconds=system - self._system,
            cpu_share=cpu / seconds,
            wait_share=(sum(map(wait_seconds, self._pids)) - self._wait) / seconds,
            cpu_us_per_delivery=cpu / deliveries * 1e6 if deliveries else None,
            memory_before=self._memory,
            memory_after=self._memory_now(),
        )

    def _user_and_system(self) -> tuple[float, float]:
        user, system = zip(*map(user_and_system_seconds, self._pids), strict=True)
        return sum(user), sum(system)

    def _memory_now(self) -> Memory:
        each = [Memory.of(pid) for pid in self._pids]
        return Memory(sum(it.rss for it in each), sum(it.pss for it in each), sum(it.private for it in each))
