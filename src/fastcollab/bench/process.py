"""What another process of this machine costs: processor time and memory, as Linux accounts for them."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path


def cpu_seconds(pid: int) -> float:
    """Processor time that process `pid` has used so far, all threads, user and system, to the nanosecond.

    This is the clock that clock_getcpuclockid(3) names. OSError if there is no such process.
    """
    return time.clock_gettime((~pid << 3) | 2)


def user_and_system_seconds(pid: int) -> tuple[float, float]:
    """User and system time of process `pid` so far, in seconds, to the clock tick (commonly 10 ms)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    tick = os.sysconf("SC_CLK_TCK")
    return int(fields[11]) / tick, int(fields[12]) / tick


def wait_seconds(pid: int) -> float:
    """Time for which the living threads of process `pid` were ready to run and had no core; OSError without one."""
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return sum(int((task / "schedstat").read_text().split()[1]) for task in tasks) / 1e9


@dataclass(frozen=True, slots=True)
class Memory:
    """A process's memory in bytes: resident, its proportional share, and what it shares with nobody."""

    rss: int
    pss: int
    private: int

    @classmethod
    def of(cls, pid: int) -> Memory:
        """Reads /proc/PID/smaps_rollup; OSError if there is no such process."""
        sizes: dict[str, int] = {}
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]:
            name, size, _ = line.split()
            sizes[name.rstrip(":")] = int(size) * 1024
        return cls(sizes["Rss"], sizes["Pss"], sizes["Private_Clean"] + sizes["Private_Dirty"])
