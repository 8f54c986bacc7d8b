"""A point in time as the core is told it: it has no clock of its own."""

from __future__ import annotations

from typing import NamedTuple


class Instant(NamedTuple):
    """`monotonic`, in ns, is for intervals and limits; `unix`, in ms, is for what people and other machines read."""

    monotonic: int
    unix: int
