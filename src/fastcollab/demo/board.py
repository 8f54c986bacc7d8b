"""What a participant may do to the dashboard: operations on its document, made from its content.

A widget is named by its id. Where it is in the list is looked up when the operation is made, and the operation is
applied at once; from then on it is moved along with what others do.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from fastcollab.client import Participant
from fastcollab.client.document import Operation
from fastcollab.demo.content import CELL, READINGS

Widget = Mapping[str, Any]

#: Where a widget is taken to be moved: so far below its upper edge, in units of the cursors.
HANDLE = 18.0


class Found(NamedTuple):
    at: int
    widget: Widget


def find(content: Any, widget_id: str) -> Found | None:
    """The widget and its place in the list; None if it is gone."""
    for at, widget in enumerate(content["widgets"]):
        if widget["id"] == widget_id:
            return Found(at, widget)
    return None


def path(found: Found) -> list[str | int]:
    """The widget as a position in the document, for selections."""
    return ["widgets", found.at]


def selected(participant: Participant) -> int | None:
    """The place in the list of what somebody has selected."""
    for selected in participant.selection.ranges if participant.selection else ():
        if isinstance(selected.head, list) and len(selected.head) > 1 and isinstance(selected.head[1], int):
            return selected.head[1]
    return None


def handle(widget: Widget) -> tuple[float, float]:
    """The point at which a widget is taken to be moved."""
    return (widget["x"] + widget["w"] / 2) * CELL[0], widget["y"] * CELL[1] + HANDLE


def place(found: Found, x: int, y: int) -> Operation | None:
    """Puts a widget to a cell; None if it is there."""
    changes = [
        [key, {"r": found.widget[key], "i": value}] for key, value in (("x", x), ("y", y)) if found.widget[key] != value
    ]
    return ["widgets", found.at, *(changes if len(changes) > 1 else changes[0])] if changes else None


def count(found: Found, amount: int) -> Operation:
    """Adds to the value of a number."""
    return ["widgets", found.at, "value", {"ena": amount}]


def count_bar(found: Found, bar: int, amount: int) -> Operation:
    """Adds to the value of one bar."""
    return ["widgets", found.at, "bars", bar, "value", {"ena": amount}]


def read(found: Found, value: float) -> Operation:
    """Adds a reading to a line, which lets go of its oldest ones."""
    points = found.widget["points"]
    surplus = max(len(points) + 1 - READINGS, 0)
    changes: list[Operation] = [[index, {"r": True}] for index in range(surplus)]
    changes.append([len(points) - surplus, {"i": value}])
    return ["widgets", found.at, "points", *(changes if len(changes) > 1 else changes[0])]
