"""What the rooms of the demonstration begin with.

The dashboard is one ``json1`` document, ``{"widgets": [...]}``. The order of the list is that in which widgets lie upon
each other, the topmost last, so that bringing one to the front is a move in the list. Each has ``id``, ``type``,
``title`` and ``tone``, its place ``x``, ``y``, ``w``, ``h`` in cells of the board, and what its type asks for:

=========  ==============================================================================================
number     ``value`` and ``unit``
line       ``points``, the newest last, and ``unit``
bar        ``bars``, each with ``label`` and ``value``, and ``unit``
text       ``room``, in which the note is written: a ``text`` document of its own
rich-text  ``room``, likewise
=========  ==============================================================================================
"""

from __future__ import annotations

import math
from typing import Any

from fastcollab.ports import LoadedDocument

DASHBOARD = "dashboard"
PLAN = "dashboard/plan"
AGENDA = "dashboard/agenda"

#: Cells across the board; it is as many high as its widgets need.
COLUMNS = 24
#: Size of a cell in the units of the cursors.
CELL = (50.0, 20.0)
#: Readings that a line shows.
READINGS = 40


def _dashboard() -> dict[str, Any]:
    temperatures = [round(21 + 3 * math.sin(number / 6) + math.cos(number * 2.4), 1) for number in range(READINGS)]
    harvest = {"North": 34, "East": 52, "South": 71, "West": 45, "Slope": 28, "Roof": 19}
    bars = [{"label": label, "value": value} for label, value in harvest.items()]
    return {
        "widgets": [
            _widget("climate", "line", "Greenhouse temperature", "sun", (0, 0, 12, 14), points=temperatures, unit="°C"),
            _widget("seedlings", "number", "Seedlings planted", "leaf", (12, 0, 6, 7), value=286, unit="plants"),
            _widget("water", "number", "Rain water", "sky", (18, 0, 6, 7), value=1450, unit="litres"),
            _widget("harvest", "bar", "Harvest by bed", "berry", (12, 7, 12, 12), bars=bars, unit="kg"),
            _widget("plan", "text", "Work plan", "sky", (0, 14, 12, 18), room=PLAN),
            _widget("agenda", "rich-text", "Saturday", "leaf", (12, 19, 12, 13), room=AGENDA),
        ]
    }


def _widget(
    widget_id: str, kind: str, title: str, tone: str, place: tuple[int, int, int, int], **data: Any
) -> dict[str, Any]:
    x, y, w, h = place
    return {"id": widget_id, "type": kind, "title": title, "tone": tone, "x": x, "y": y, "w": w, "h": h, **data}


_PLAN = "Write here, all at once. Everybody's words stay whole.\n\n"

_AGENDA = [
    {"insert": "Garden day"},
    {"insert": "\n", "attributes": {"header": 2}},
    {"insert": "We meet at "},
    {"insert": "nine", "attributes": {"bold": True}},
    {"insert": " by the shed. Please bring "},
    {"insert": "gloves", "attributes": {"italic": True}},
    {"insert": ".\n"},
    {"insert": "Turn the compost"},
    {"insert": "\n", "attributes": {"list": "bullet"}},
    {"insert": "Sow the second row of beans"},
    {"insert": "\n", "attributes": {"list": "bullet"}},
    {"insert": "Mend the gate, before the goat comes back"},
    {"insert": "\n", "attributes": {"list": "bullet"}},
]


async def first_content(room_id: str, _document_type: str) -> LoadedDocument | None:
    """What a room begins with; every other one begins empty."""
    if room_id == DASHBOARD:
        return LoadedDocument(_dashboard(), "json1")
    if room_id == PLAN:
        return LoadedDocument(_PLAN, "text")
    if room_id == AGENDA:
        return LoadedDocument(_AGENDA, "rich-text")
    return None
