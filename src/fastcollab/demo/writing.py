"""Simulated participants who write: fingers that type and pause.

A writer has a place in the text, which other writers' operations move along, and types sentences there at some eight
characters a second, with slips that are taken back, and thinks in between.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from random import Random

from fastcollab.client import Room
from fastcollab.client.synchronizer import RemoteOperation

LONGEST_TEXT = 600  # code points, beyond which a writer strikes something out

_SENTENCES = (
    "The south bed gets tomatoes this year, and basil between them.",
    "Who can bring the wheelbarrow on Saturday?",
    "We need forty metres of hose, or two people with patience.",
    "Beans climb better on hazel sticks than on wire.",
    "Rain is announced for Thursday, so let us sow on Wednesday.",
    "The compost is ready: dark, crumbly, and it smells of forest.",
    "Please close the gate, the neighbour's goat has learned to open it.",
    "Two boxes of strawberries for everyone who helps with weeding.",
    "The bees arrive in May; their hives stand behind the plum tree.",
    "Keys hang in the shed, left of the window.",
    "Pumpkins want space, so they get the slope.",
    "Let us plant garlic in October and forget about it until June.",
    "The old bench can be mended with three screws and some glue.",
    "Somebody has to talk to the slugs.",
    "Seeds are in the tin with the blue lid, sorted by month.",
    "Bring gloves, the blackberries are winning again.",
)
_SLIPS = "etaoinshrdlu"


@dataclass
class Span:
    """A piece of the text that stays what it is while others write, or a caret, if it is empty.

    What others insert at its edges is outside; at the place of a caret it goes behind it, so that two who write at
    one place do not write into each other's words.
    """

    room: Room
    start: int
    end: int

    def follow(self, change: RemoteOperation) -> None:
        move = self.room.document.type.transform_position
        self.end = move(self.end, change.operation, "left")
        self.start = min(move(self.start, change.operation, "right"), self.end)


class Writer:
    """Writes in a room's text, shown in `color`; ``write`` runs until it is cancelled."""

    def __init__(self, room: Room, user_id: str, color: str, random: Random) -> None:
        self.room = room
        self._user_id = user_id
        self._color = color
        self._random = random

    async def write(self) -> None:
        """Writes sentences into the shared text, and strikes some out when there is too much of it."""
        random = self._random
        await asyncio.sleep(random.uniform(0, 1.5))
        while True:
            if len(self.room.text) > LONGEST_TEXT:
                await self._strike_out_a_line()
            else:
                await self._write_a_sentence()
            await asyncio.sleep(random.uniform(0.4, 2.5))

    async def _write_a_sentence(self) -> None:
        random, text = self._random, self.room.text
        sentence = random.choice([sentence for sentence in _SENTENCES if sentence not in text] or _SENTENCES)
        lines = self._quiet_lines()
        if lines and random.random() < 0.35:
            place, sentence = random.choice(lines)[1], " " + sentence
        else:
            place = len(text)
            self.room.insert(place, "\n")  # and write before it
        caret = Span(self.room, place, place)
        self.room.on("operation", caret.follow)
        try:
            for character in sentence:
                if random.random() < 0.02:
                    await self._type(caret, random.choice(_SLIPS))
                    await asyncio.sleep(random.uniform(0.15, 0.35))
                    self._erase(caret)
                    await asyncio.sleep(random.uniform(0.05, 0.15))
                await self._type(caret, character)
        finally:
            self.room.off("operation", caret.follow)

    async def _type(self, caret: Span, character: str) -> None:
        self.room.insert(caret.end, character)
        caret.end += 1
        caret.start = caret.end
        await self._show(caret)
        pause = self._random.uniform(0.06, 0.18)
        await asyncio.sleep(pause + (self._random.uniform(0.3, 0.9) if character in ",.:;?!" else 0))

    def _erase(self, caret: Span) -> None:
        if caret.end:
            self.room.delete(caret.end - 1, 1)
            caret.end -= 1
            caret.start = caret.end

    async def _strike_out_a_line(self) -> None:
        lines = self._quiet_lines()
        if not lines:
            return
        start, end = self._random.choice(lines)
        span = Span(self.room, start, end + 1)
        self.room.on("operation", span.follow)
        try:
            await self._show(span)
            await asyncio.sleep(self._random.uniform(0.5, 1.0))
            if span.end > span.start:
                self.room.delete(span.start, span.end - span.start)
        finally:
            self.room.off("operation", span.follow)

    def _quiet_lines(self) -> list[tuple[int, int]]:
        """Where the lines begin and end in which nobody else is writing."""
        heads = {
            member.selection.ranges[0].head
            for member in self.room.participants.values()
            if member.selection is not None and member.user_id != self._user_id
        }
        lines, start = [], 0
        for line in self.room.text.split("\n")[:-1]:
            end = start + len(line)
            if heads.isdisjoint(range(start, end + 1)):
                lines.append((start, end))
            start = end + 1
        return lines

    async def _show(self, span: Span) -> None:
        await self.room.select([(span.start, span.end)], self._color)
