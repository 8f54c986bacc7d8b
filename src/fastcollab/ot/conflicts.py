"""What `try_transform` of json1 reports when two operations contradict each other."""

from dataclasses import dataclass
from enum import IntEnum
from typing import Any

__all__ = ["Conflict", "ConflictKind"]


class ConflictKind(IntEnum):
    """How two operations can contradict each other; the numbers are those of ot-json1."""

    REMOVED = 1
    """One removes the place where the other inserts, drops or edits something (``RM_UNEXPECTED_CONTENT``)."""

    COLLISION = 2
    """Both insert or drop something in one place (``DROP_COLLISION``)."""

    BLACK_HOLE = 3
    """Each moves something into what the other moves (``BLACKHOLE``)."""


@dataclass(frozen=True, slots=True)
class Conflict:
    """The first contradiction met, with the parts of the two operations that make it, as operations."""

    kind: ConflictKind
    operation: Any
    other: Any
