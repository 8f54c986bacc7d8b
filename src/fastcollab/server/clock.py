"""The clock, read at the rim: the core is told the time."""

from __future__ import annotations

import time

from fastcollab.core.instant import Instant
from fastcollab.server._pump import now_ns


def instant() -> Instant:
    """Now, by the clock of the fan-out and by the calendar."""
    return Instant(now_ns(), unix_ms())


def unix_ms() -> int:
    """Now, by the calendar."""
    return time.time_ns() // 1_000_000
