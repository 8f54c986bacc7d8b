"""Who is in the rooms while things go wrong: people who write and point, some who come and go, one who is cut off.

The name of a room begins with the type of its document. Each edit inserts a mark that is used once
(`tests.durability`).
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Iterator
from random import Random

from tests.chaos.history import Lost, Record, RecordingClient
from tests.chaos.judge import Screen
from tests.durability.writers import EDITS

from fastcollab.client import ReconnectPolicy, Room
from fastcollab.errors import ChecksumFailed, FastcollabError, VersionMismatch

_POLICY = ReconnectPolicy(base=0.1, cap=1.0)
COLOR = "#c92a2a"


class Writer:
    """Writes and points until told to stop, connected or not. `pace` is the mean time (s) between two edits, `pointing`
    that between two cursors.
    """

    def __init__(
        self,
        url: str,
        user: str,
        name: str,
        room: str,
        random: Random,
        marks: Iterator[str],
        *,
        pace: float,
        pointing: float = 0.1,
    ) -> None:
        self.user = user
        self.record = Record(name, room, [])
        self.client = RecordingClient(url, user, self.record, reconnect=_POLICY)
        #: When (s, monotonic) an edit was made and when it was saved, of all that were.
        self.waits: list[tuple[float, float]] = []
        #: The longest time (s) without another's cursor.
        self.darkness = 0.0
        #: Whoever was seen to leave, as often as that was seen.
        self.departures: list[str] = []
        self.written: set[str] = set()
        self.saved: set[str] = set()
        self.handed_back: set[str] = set()
        self._random = random
        self._marks = marks
        self._pace = pace
        self._pointing = pointing
        self._type = room.split()[0]
        self._is_writing = True
        self._cursor_at = 0.0
        self._room: Room | None = None

    @property
    def room(self) -> Room:
        assert self._room is not None
        return self._room

    async def join(self) -> None:
        await self.client.connect()
        self._room = await self.client.join_room(self.record.room, self._type)
        self._room.on("cursor", lambda _: self._saw_cursor())
        self._room.on("participant_left", lambda participant: self.departures.append(participant.user_id))

    async def live(self) -> None:
        """Until :meth:`stop`, and then until nothing is pending."""
        self._cursor_at = time.monotonic()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._point())
            while self._is_writing:
                tasks.create_task(self._edit())
                await asyncio.sleep(self._random.uniform(0.0, 2 * self._pace))

    def stop(self) -> None:
        self._is_writing = False
        self._saw_cursor()

    def screen(self) -> Screen:
        document = self.room.document
        return Screen(
            self.record,
            document.epoch,
            document.version,
            document.content,
            self.written,
            self.saved,
            self.handed_back,
        )

    async def _edit(self) -> None:
        mark, begun = next(self._marks), time.monotonic()
        self.written.add(mark)
        try:
            await self.room.submit(EDITS[self._type](self._random, self.room.document.content, mark))
        except (VersionMismatch, ChecksumFailed):
            self.handed_back.add(mark)
        else:
            self.saved.add(mark)
            self.waits.append((begun, time.monotonic()))

    async def _point(self) -> None:
        step = 0
        while self._is_writing:
            self.room.move_cursor(step % 1000, self._random.uniform(0, 1000))
            step += 1
            if step % 10 == 0:
                # What cannot be said now is said later; that it was refused is in the record.
                with contextlib.suppress(FastcollabError):
                    await self.room.set_presence(data=step)
                    await self.room.select([(0, 0)] if self._type != "json1" else [], COLOR)
            await asyncio.sleep(self._pointing)

    def _saw_cursor(self) -> None:
        now = time.monotonic()
        self.darkness = max(self.darkness, now - self._cursor_at)
        self._cursor_at = now


class Visitor:
    """Comes to a room through one node or another, looks, and goes, again and again: the record has what was seen."""

    def __init__(self, url: str, user: str, room: str, random: Random) -> None:
        self.record = Record(user, room, [])
        self.visits = 0
        self._url = url
        self._user = user
        self._random = random
        self._is_coming = True

    async def live(self) -> None:
        while self._is_coming:
            client = RecordingClient(self._url, self._user, self.record, reconnect=False)
            try:
                await client.connect()
                await client.join_room(self.record.room)
                self.visits += 1
                await asyncio.sleep(self._random.uniform(0.0, 0.5))
            except (FastcollabError, OSError) as error:
                self.record.entries.append(Lost(error))
            finally:
                await client.disconnect()
            await asyncio.sleep(self._random.uniform(0.1, 0.5))

    def stop(self) -> None:
        self._is_coming = False


class Mortal:
    """Is in a room until the connection is lost, and then never comes back: whom the others must not see for ever."""

    def __init__(self, url: str, user: str, room: str) -> None:
        self.user = user
        self.record = Record(user, room, [])
        self.client = RecordingClient(url, user, self.record, reconnect=False)

    async def join(self) -> None:
        await self.client.connect()
        await self.client.join_room(self.record.room)

    @property
    def is_there(self) -> bool:
        return self.client.is_connected
