"""Simulated participants, who behave as people do: hands that move, rest, and take hold of something.

A hand moves from one place to another with minimum jerk, the course that describes human reaching best: position
``10 s^3 - 15 s^4 + 6 s^5`` of the way at the part ``s`` of the time. Everybody points; the first few also move widgets,
count and write, and the very first one reads the thermometer. A widget that is moved is put back, so that the board
stays as its visitors want it.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from random import Random
from typing import NamedTuple

from fastcollab.client import CollaborativeClient, Room
from fastcollab.demo import board
from fastcollab.demo.content import CELL, COLUMNS, DASHBOARD, PLAN
from fastcollab.demo.writing import Writer

BOARD = (COLUMNS * CELL[0], 32 * CELL[1])  # the plane that the cursors move in
FRAME = 1 / 60  # seconds between two positions of a moving hand
HANDS = 4  # that many do more than point
READING_INTERVAL = 1.5  # seconds

_NAMES = "Ada Bruno Chiara Dmitri Elif Femi Greta Hiro Ines Jonas Kaya Liam Mona Nils Olga Pavel Quinn Rosa Sven Tala"
#: On each of them a name is read well in white, or as text on a white page.
COLORS = (
    *("#c2255c", "#1971c2", "#287d3a", "#b35c00", "#9c36b5", "#0b7285"),
    *("#c2410c", "#4263eb", "#087f5b", "#862e9c", "#a61e4d", "#364fc7"),
)


class Persona(NamedTuple):
    user_id: str
    name: str
    color: str


def persona(number: int) -> Persona:
    """The simulated participant of that number, counted from 0."""
    names = _NAMES.split()
    repetition = number // len(names)
    name = names[number % len(names)] + (f" {repetition + 1}" if repetition else "")
    return Persona(f"person-{number + 1}", name, COLORS[number % len(COLORS)])


class Simulated:
    """The participant of a number; ``live`` runs until it is cancelled."""

    def __init__(self, number: int, client: CollaborativeClient) -> None:
        self.persona = persona(number)
        self.client = client
        self._number = number
        self._random = Random(number)
        self._x = self._random.uniform(0, BOARD[0])
        self._y = self._random.uniform(0, BOARD[1])

    @property
    def room(self) -> Room:
        return self.client.rooms[DASHBOARD]

    async def enter(self) -> None:
        await self.client.connect()
        if self._writes:
            await self.client.join_room(PLAN, "text")
        await self.client.join_room(DASHBOARD, "json1")  # the last one is where the cursor is

    async def live(self) -> None:
        async with asyncio.TaskGroup() as doing:
            doing.create_task(self._move())
            if self._writes:
                writer = Writer(self.client.rooms[PLAN], self.persona.user_id, self.persona.color, self._random)
                doing.create_task(writer.write())
            if self._number == 0:
                doing.create_task(self._read_thermometer())

    @property
    def _writes(self) -> bool:
        return self._number < HANDS and self._number % 2 == 0

    async def _move(self) -> None:
        """Moves the cursor from place to place, and now and then does something there."""
        random = self._random
        while True:
            deed = random.random() if self._number < HANDS else 1.0
            if deed < 0.15:
                await self._move_a_widget()
            elif deed < 0.45:
                await self._count()
            else:
                await self._reach(random.uniform(0.03, 0.97) * BOARD[0], random.uniform(0.05, 0.95) * BOARD[1])
            await asyncio.sleep(random.expovariate(2.5))

    async def _reach(self, to_x: float, to_y: float, moved: Callable[[], None] | None = None) -> None:
        """Moves the hand there; `moved` is called at every step."""
        random = self._random
        x, y = self._x, self._y
        bend = random.uniform(-0.25, 0.25)  # hands do not move along a ruler
        duration = 0.5 + math.hypot(to_x - x, to_y - y) / random.uniform(500, 900)
        loop = asyncio.get_running_loop()
        started = loop.time()
        part = 0.0
        while part < 1:
            part = min((loop.time() - started) / duration, 1.0)
            way = part**3 * (10 - 15 * part + 6 * part * part)
            aside = bend * math.sin(math.pi * way)
            self._x = x + way * (to_x - x) - aside * (to_y - y)
            self._y = y + way * (to_y - y) + aside * (to_x - x)
            self.room.move_cursor(self._x, self._y)
            if moved is not None:
                moved()
            await asyncio.sleep(FRAME)

    async def _move_a_widget(self) -> None:
        """Tries out another place for a widget, and puts it back unless somebody else has moved it meanwhile."""
        random = self._random
        widget = await self._take(lambda _widget: True)
        if widget is None:
            return
        home = widget["x"], widget["y"]
        away = (
            min(max(home[0] + random.randint(-4, 4), 0), COLUMNS - widget["w"]),
            max(home[1] + random.randint(-3, 4), 0),
        )
        await self._drag(widget["id"], *away)
        await asyncio.sleep(random.uniform(0.5, 1.5))
        found = board.find(self.room.document.content, widget["id"])
        if found is not None and (found.widget["x"], found.widget["y"]) == away:
            await self._drag(widget["id"], *home)
        await self.room.select([], self.persona.color)

    async def _drag(self, widget_id: str, x: int, y: int) -> None:
        """Moves a widget with the hand, which is at its handle, to a cell."""
        room = self.room
        found = board.find(room.document.content, widget_id)
        if found is None:
            return
        aside = self._x - found.widget["x"] * CELL[0], self._y - found.widget["y"] * CELL[1]

        def moved() -> None:
            found = board.find(room.document.content, widget_id)
            if found is None:
                return
            column = min(max(round((self._x - aside[0]) / CELL[0]), 0), COLUMNS - found.widget["w"])
            operation = board.place(found, column, max(round((self._y - aside[1]) / CELL[1]), 0))
            if operation is not None:
                room.edit(operation)

        await self._reach(x * CELL[0] + aside[0], y * CELL[1] + aside[1], moved)

    async def _count(self) -> None:
        """Adds to a number, or to a bar, or takes from it."""
        random, room = self._random, self.room
        widget = await self._take(lambda widget: widget["type"] in ("number", "bar"))
        if widget is None:
            return
        for _ in range(random.randint(1, 4)):
            found = board.find(room.document.content, widget["id"])
            if found is None:
                return
            amount = random.choice((-1, 1, 1, 2))
            if found.widget["type"] == "number":
                room.edit(board.count(found, amount))
            elif bars := found.widget["bars"]:
                bar = random.randrange(len(bars))
                room.edit(board.count_bar(found, bar, amount if bars[bar]["value"] + amount >= 0 else -amount))
            await asyncio.sleep(random.uniform(0.2, 0.6))
        await room.select([], self.persona.color)

    async def _take(self, wanted: Callable[[board.Widget], bool]) -> board.Widget | None:
        """Goes to a widget that nobody else has selected and selects it; None if there is none, or not any more."""
        room = self.room
        taken = {board.selected(member) for member in room.participants.values()}
        widgets = room.document.content["widgets"]
        free = [widget for index, widget in enumerate(widgets) if index not in taken and wanted(widget)]
        if not free:
            return None
        chosen = self._random.choice(free)
        await self._reach(*board.handle(chosen))
        found = board.find(room.document.content, chosen["id"])
        if found is None:
            return None
        await room.select([(board.path(found), board.path(found))], self.persona.color)
        return found.widget

    async def _read_thermometer(self) -> None:
        random, room = self._random, self.room
        while True:
            await asyncio.sleep(READING_INTERVAL)
            found = board.find(room.document.content, "climate")
            if found is None:
                continue
            points = found.widget["points"]
            last = points[-1] if points else 21.0
            room.edit(board.read(found, round(last + (21 - last) * 0.1 + random.gauss(0, 0.5), 1)))
