"""Who is in a room, and what each of them shows: cursor, selection, status and data.

These are the shapes of the protocol's section "Presence", as Python values; ``Participant.update`` takes in what a
``presence_update`` says has changed, ``selections`` where a selection is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

UINT32_MAX = 2**32 - 1

Record = tuple[int, float, float, int, tuple[float, float] | None]  # the fields of Cursor
Position = int | list[str | int]  # an offset, or a path that ends in one


class Cursor(NamedTuple):
    """Where somebody's pointer is. The fields are those of a record in a binary frame, in its order.

    ``timestamp`` is the sender's own, in milliseconds modulo 2**32, and 0 where it is not known.
    """

    numeric_id: int
    x: float
    y: float
    timestamp: int
    viewport: tuple[float, float] | None


class SelectionRange(NamedTuple):
    anchor: Position
    head: Position


class Selection(NamedTuple):
    """What somebody has selected, in terms of ``document.content``: it moves when that changes."""

    ranges: tuple[SelectionRange, ...]
    color: str


@dataclass(slots=True, eq=False)
class Participant:
    """A user in a room, however many connections they have. ``numeric_id`` is their number in binary frames."""

    user_id: str
    numeric_id: int
    name: str
    color: str
    picture: str | None = None
    cursor: Cursor | None = None
    selection: Selection | None = None
    status: str | None = None
    data: Any = None

    @classmethod
    def from_wire(cls, message: dict[str, Any]) -> Participant:
        """Who it is; what they show is still to be taken in."""
        return cls(message["userId"], message["numericId"], message["name"], message["color"], message.get("picture"))

    def hide(self) -> None:
        """Nothing is known of what the participant shows."""
        self.cursor = self.selection = self.status = self.data = None

    def update(self, presence: dict[str, Any], timestamp: int = 0) -> set[str]:
        """Takes in the fields that ``presence`` has, and says what changed: ``cursor``, ``presence``.

        A selection is not taken in here: where it is depends on the document.
        """
        changed = set()
        if "cursor" in presence:
            changed.add("cursor")
            self.cursor = _cursor(self.numeric_id, presence["cursor"], timestamp)
        if "status" in presence:
            changed.add("presence")
            self.status = presence["status"]
        if "data" in presence:
            changed.add("presence")
            self.data = presence["data"]
        return changed


def _cursor(numeric_id: int, cursor: dict[str, float] | None, timestamp: int) -> Cursor | None:
    if cursor is None:
        return None
    viewport = (cursor["viewportX"], cursor["viewportY"]) if "viewportX" in cursor else None
    return Cursor(numeric_id, cursor["x"], cursor["y"], timestamp & UINT32_MAX, viewport)


def selection_from_wire(selection: dict[str, Any] | None) -> tuple[Selection | None, int | None]:
    """A selection in terms of the version that it was made in, and that version."""
    if selection is None:
        return None, None
    ranges = tuple(SelectionRange(entry["anchor"], entry["head"]) for entry in selection["ranges"])
    return Selection(ranges, selection["color"]), selection["version"]
