"""The room in a terminal, as the spectator's client knows it: cursors with their trails, people, text, figures.

Trails are drawn in braille, whose cells have two by four dots. Characters have the colour of whoever wrote them,
which fades while they stand there.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby, pairwise

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderResult
from rich.layout import Layout
from rich.panel import Panel
from rich.segment import Segment
from rich.style import Style
from rich.text import Text

from fastcollab.client import Participant, Room
from fastcollab.client.synchronizer import RemoteOperation
from fastcollab.demo.meter import Meter
from fastcollab.demo.people import CANVAS
from fastcollab.ot import Side

TRAIL = 0.45  # seconds for which the way of a cursor can be seen
FRESH = 6.0  # seconds until a character has lost its author's colour
BUSY = 1.2  # seconds after a character for which its author counts as writing
MOVING = 0.15
BACKGROUND = (40, 44, 52)
FOREGROUND = (222, 226, 230)
FADING_STEPS = 12
PEOPLE_WIDTH = 30
NAME_LENGTH = 16
BORDER = "grey39"

Rgb = tuple[int, int, int]

# The bits of the dots of a braille cell, by column and row.
_DOTS = ((0x01, 0x02, 0x04, 0x40), (0x08, 0x10, 0x20, 0x80))
_BRAILLE = 0x2800


@dataclass
class Character:
    author: str | None
    written: float


class AttributedText:
    """Who wrote each character of a text, and when."""

    def __init__(self, length: int) -> None:
        self.characters = [Character(None, 0.0) for _ in range(length)]

    def apply(self, change: RemoteOperation, now: float) -> None:
        """Follows an operation of the type ``text``."""
        position = 0
        for component in change.operation:
            match component:
                case int():
                    position += component
                case str():
                    fresh = [Character(change.user_id, now) for _ in component]
                    self.characters[position:position] = fresh
                    position += len(fresh)
                case {"d": deleted}:
                    count = deleted if isinstance(deleted, int) else len(deleted)
                    del self.characters[position : position + count]


class View:
    """A renderable: what the room looks like at the moment when it is rendered."""

    def __init__(self, room: Room, meter: Meter, url: str, height: int) -> None:
        self._room = room
        self._meter = meter
        self._url = url
        self._height = height
        self._trails: dict[str, deque[tuple[float, float, float]]] = {}
        self._carets: dict[str, tuple[int, int]] = {}
        self._wrote: dict[str, float] = {}
        self._text = AttributedText(len(room.text))
        room.on("cursor", self._cursor_moved)
        room.on("operation", self._operation_applied)
        room.on("selection", self._selection_changed)
        room.on("participant_left", self._participant_left)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        now = time.monotonic()
        layout = Layout()
        layout.split_column(Layout(name="body"), Layout(self._figures(), size=3))
        layout["body"].split_row(Layout(name="left"), Layout(self._people(now), size=PEOPLE_WIDTH))
        canvas = Panel(Canvas(self, now), title=f"room {self._room.room_id}", subtitle=self._url, border_style=BORDER)
        text = Panel(TextPage(self, now), title="the text that they write", border_style=BORDER)
        layout["left"].split_column(Layout(canvas, ratio=3), Layout(text, ratio=2))
        yield from console.render(layout, options.update_height(self._height))

    def trails(self, now: float) -> list[tuple[Participant, list[tuple[float, float, float]]]]:
        """Of each participant with a cursor, the places of the last moment as ``(x, y, freshness)``, newest last."""
        shown = []
        for participant in self._room.participants.values():
            trail = self._trails.get(participant.user_id)
            if trail and participant.cursor is not None:
                fresh = [(x, y, 1 - (now - when) / TRAIL) for x, y, when in trail if now - when < TRAIL]
                x, y = participant.cursor.x, participant.cursor.y
                shown.append((participant, [*fresh, (x, y, 1.0)]))
        return shown

    def styled_text(self, now: float) -> Text:
        """The text with its authors' colours, carets and selections."""
        colors = {user: rgb(member.color) for user, member in self._room.participants.items()}
        styled = Text(no_wrap=False, overflow="fold")
        position, text = 0, self._room.text
        for color, run in groupby(self._text.characters, key=lambda character: faded(character, colors, now)):
            length = sum(1 for _ in run)
            styled.append(text[position : position + length], Style(color=hexadecimal(color)))
            position += length
        styled.append(" ")
        for user, (anchor, head) in self._carets.items():
            if user not in colors:
                continue
            if anchor != head:
                styled.stylize(Style(bgcolor=hexadecimal(mix(BACKGROUND, colors[user], 0.4))), anchor, head)
            if now - self._wrote.get(user, 0.0) < FRESH:
                # On a line break or at the end there is no character that could be marked.
                styled.stylize(Style(color="black", bgcolor=hexadecimal(colors[user])), head, head + 1)
        return styled

    def _people(self, now: float) -> Panel:
        members = [member for member in self._room.participants.values() if member.cursor is not None]
        fitting = self._height - 6
        people = Text(no_wrap=True, overflow="crop")
        for member in members[:fitting]:
            activity, emphasis = self._activity(member, now)
            people.append(f"● {short_name(member)}", Style(color=hexadecimal(rgb(member.color))))
            people.append(f"{activity:>{PEOPLE_WIDTH - 6 - len(short_name(member))}}\n", emphasis)
        if len(members) > fitting:
            people.append(f"and {len(members) - fitting} more", "dim")
        return Panel(people, title=f"{len(self._room.participants)} participants", border_style=BORDER)

    def _activity(self, member: Participant, now: float) -> tuple[str, str]:
        """What somebody does, and the style in which to say it."""
        if now - self._wrote.get(member.user_id, 0.0) < BUSY:
            return "writes", "bold"
        trail = self._trails.get(member.user_id)
        if trail and now - trail[-1][2] < MOVING:
            return f"{trail[-1][0]:.0f}, {trail[-1][1]:.0f}", "dim"
        return "", "dim"

    def _figures(self) -> Panel:
        meter, document = self._meter, self._room.document
        figures = Text("  ·  ", style="dim").join(
            [
                figure(f"{meter.deliveries_per_second:,.0f}", "cursors delivered/s"),
                figure(f"{meter.operations_per_second:.0f}", "operations/s"),
                figure(f"{meter.bytes_per_second / 1000:,.0f}", "kB/s"),
                figure(f"{meter.ping:.2f}", "ms ping"),
                figure(f"{meter.latency(0.5):.0f} / {meter.latency(0.99):.0f}", "ms cursor p50 / p99"),
                figure(f"{document.version}", "versions"),
            ]
        )
        return Panel(figures, border_style=BORDER)

    def _cursor_moved(self, participant: Participant) -> None:
        if participant.cursor is not None:
            trail = self._trails.setdefault(participant.user_id, deque(maxlen=32))
            trail.append((participant.cursor.x, participant.cursor.y, time.monotonic()))

    def _operation_applied(self, change: RemoteOperation) -> None:
        now = time.monotonic()
        self._text.apply(change, now)
        if change.user_id is not None:
            self._wrote[change.user_id] = now
        for user, caret in self._carets.items():
            self._carets[user] = self._moved(caret, user, change)

    def _selection_changed(self, participant: Participant) -> None:
        selection, user = participant.selection, participant.user_id
        if selection is not None and selection.ranges:
            anchor, head = selection.ranges[0]
            if isinstance(anchor, int) and isinstance(head, int):
                self._carets[user] = anchor, head

    def _moved(self, caret: tuple[int, int], user: str, change: RemoteOperation) -> tuple[int, int]:
        """A caret after somebody's operation; it goes on behind what its owner has written."""
        side: Side = "right" if user == change.user_id else "left"
        move = self._room.document.type.transform_position
        return move(caret[0], change.operation, side), move(caret[1], change.operation, side)

    def _participant_left(self, participant: Participant) -> None:
        for shown in (self._trails, self._carets, self._wrote):
            shown.pop(participant.user_id, None)


class Canvas:
    """The plane with the cursors, stretched over whatever room there is."""

    def __init__(self, view: View, now: float) -> None:
        self._view = view
        self._now = now

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        width, height = options.max_width, options.height or 10
        trails = self._view.trails(self._now)
        rows: list[dict[int, Segment]] = [{} for _ in range(height)]
        for (column, row), (bits, color) in braille(trails, width, height).items():
            rows[row][column] = Segment(chr(_BRAILLE | bits), Style(color=hexadecimal(color)))
        for participant, trail in trails:
            x, y, _ = trail[-1]
            column, row = place(x, y, width, height)
            rows[row].update(label(participant, column, width))
        for cells in rows:
            end = 0
            for column in sorted(cells):
                if column > end:
                    yield Segment(" " * (column - end))
                yield cells[column]
                end = column + 1
            yield Segment.line()


class TextPage:
    """The end of the text, as much of it as fits."""

    def __init__(self, view: View, now: float) -> None:
        self._view = view
        self._now = now

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        lines = self._view.styled_text(self._now).wrap(console, options.max_width)
        yield from lines[-(options.height or 10) :]


def braille(
    trails: list[tuple[Participant, list[tuple[float, float, float]]]], width: int, height: int
) -> dict[tuple[int, int], tuple[int, Rgb]]:
    """The cells through which trails lead: their dots and their colour."""
    cells: dict[tuple[int, int], tuple[int, Rgb]] = {}
    for participant, trail in trails:
        color = rgb(participant.color)
        for (x, y, freshness), (next_x, next_y, _) in pairwise(trail):
            shade = mix(BACKGROUND, color, freshness)
            start, end = place(x, y, width * 2, height * 4), place(next_x, next_y, width * 2, height * 4)
            for column, row in line(start, end):
                cell = column // 2, row // 4
                bits = cells[cell][0] if cell in cells else 0
                cells[cell] = bits | _DOTS[column % 2][row % 4], shade
    return cells


def label(participant: Participant, column: int, width: int) -> dict[int, Segment]:
    """A pointer and a name beside it; at the right edge the name stands on the left."""
    color = hexadecimal(rgb(participant.color))
    name = f" {short_name(participant)} "
    start = column + 1 if column + 1 + len(name) <= width else column - len(name)
    style = Style(color="black", bgcolor=color)
    cells = {start + offset: Segment(letter, style) for offset, letter in enumerate(name) if start + offset >= 0}
    cells[column] = Segment("◤", Style(color=color, bold=True))
    return cells


def short_name(participant: Participant) -> str:
    """The name without what would take more or less than one cell for each character."""
    return "".join(letter for letter in participant.name if cell_len(letter) == 1)[:NAME_LENGTH]


def faded(character: Character, colors: dict[str, Rgb], now: float) -> Rgb:
    """The colour of a character, in a few steps from its author's to that of all."""
    steps = max(0, round(FADING_STEPS * (1 - (now - character.written) / FRESH)))
    author = colors.get(character.author or "", FOREGROUND)
    return mix(FOREGROUND, author, steps / FADING_STEPS)


def place(x: float, y: float, width: int, height: int) -> tuple[int, int]:
    """The cell of a grid in which a point of the plane lies; what lies outside the plane is put on its edge."""
    column, row = int(x / CANVAS[0] * width), int(y / CANVAS[1] * height)
    return min(max(column, 0), width - 1), min(max(row, 0), height - 1)


def line(start: tuple[int, int], end: tuple[int, int]) -> Iterator[tuple[int, int]]:
    """The cells of a grid between two of them, the first one included."""
    columns, rows = end[0] - start[0], end[1] - start[1]
    steps = max(abs(columns), abs(rows))
    for step in range(steps):
        yield start[0] + round(columns * step / steps), start[1] + round(rows * step / steps)


def figure(value: str, meaning: str) -> Text:
    return Text.assemble((value, "bold"), (f" {meaning}", "dim"))


def rgb(color: str) -> Rgb:
    """The parts of ``#rrggbb``; white for colours in other notations."""
    try:
        number = int(color[1:], 16) if len(color) == 7 else 0xFFFFFF
    except ValueError:
        number = 0xFFFFFF
    return number >> 16, number >> 8 & 0xFF, number & 0xFF


def mix(base: Rgb, color: Rgb, part: float) -> Rgb:
    """``part`` of ``color`` in ``base``."""
    red, green, blue = (round(low + (high - low) * part) for low, high in zip(base, color, strict=True))
    return red, green, blue


def hexadecimal(color: Rgb) -> str:
    return "#{:02x}{:02x}{:02x}".format(*color)
