"""One room of a replay: plays the script with performers of its own, by the clock.

The plot is played in order, each cue at its time or, if the one before has taken longer, as soon as that is done; only
joining takes its time beside the rest. Frames are played by the clock alone. What cannot be done, since it is refused
or its user's connection is gone, is counted, and the rest goes on; but without one operation those that follow do not
fit any more, and are not sent.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine, Sequence
from typing import Any

from fastcollab.bench._audience import Audience
from fastcollab.bench.connect import LoadError
from fastcollab.bench.load import FIRST_USER, load_token
from fastcollab.bench.performer import Performer, Tally
from fastcollab.bench.script import CURSORS, Cue, Enter, Leave, Point, Say, Script, Select, Show, Write
from fastcollab.bench.server import Server
from fastcollab.errors import FastcollabError
from fastcollab.ot import ABSENT


class Stage:
    """The room `room_id` of a number, whose users are spread over the servers by turns."""

    def __init__(self, script: Script, room_id: str, number: int, servers: Sequence[Server], tally: Tally) -> None:
        first_user = FIRST_USER + number * len(script.actors)
        self.audience = Audience(len(script.actors), first_user, tally.latency)
        self.performers: list[Performer] = []
        for place in range(len(script.actors)):
            server = servers[place % len(servers)]
            token = load_token(server, first_user + place)
            self.performers.append(
                Performer(server.url, token, room_id, script.document_type, self.audience, place, tally)
            )
        self.written = 0  # operations that were acknowledged
        self.unsent = 0
        self._script = script
        self._room_id = room_id
        self._tally = tally
        self._version = 0
        self._entering: dict[int, asyncio.Task[None]] = {}  # by actor

    async def set(self) -> None:
        """Makes the room what it was when the recording began. LoadError if that is not possible."""
        performer = self.performers[0]
        try:
            await performer.enter()
            if performer.version:
                raise LoadError(f"room {self._room_id} has a document already")
            for operation in self._script.setting:
                self._version = await performer.write(operation, self._version)
            await performer.leave()
            await asyncio.gather(*(self.performers[actor].enter() for actor in self._script.cast))
        except (FastcollabError, TimeoutError) as error:
            raise LoadError(f"the room could not be made what it was in the recording: {error!r}") from None

    async def play(self, began: float, speed: float) -> None:
        """Plays all cues; `began` is the moment of the first, on the monotonic clock."""
        await asyncio.gather(self._play_plot(began, speed), self._play_frames(began, speed))

    @property
    def has_arrived(self) -> bool:
        """Whether everybody in the room has got what was sent last."""
        return not self.missing_operations and not self.audience.lacking()

    @property
    def missing_operations(self) -> int:
        """Pairs of operations and participants who have not been told of them."""
        return sum(self._version - performer.version for performer in self.performers if performer.present)

    async def differs(self) -> bool:
        """Whether the room's document is another one than that at the recording's end, or cannot be had."""
        performer = next((each for each in self.performers if each.is_connected), None)
        if performer is None:
            return True
        try:
            state = await performer.document()
        except (FastcollabError, TimeoutError) as error:
            self._tally.failed(error)
            return True
        return bool(state.get("data", ABSENT) != self._script.content)

    async def _play_plot(self, began: float, speed: float) -> None:
        for cue in self._script.plot:
            await self._until(began + cue.at / speed)
            await self._counting_failure(self._perform(cue))
        await asyncio.gather(*self._entering.values())

    async def _play_frames(self, began: float, speed: float) -> None:
        for frames in self._script.frames:
            await self._until(began + frames.at / speed)
            for actor, x, y, viewport in frames.records:
                self.performers[actor].point(frames.kind, x, y, viewport)

    async def _counting_failure(self, doing: Coroutine[Any, Any, None]) -> None:
        try:
            await doing
        except (FastcollabError, TimeoutError) as error:
            self._tally.failed(error)

    async def _perform(self, cue: Cue) -> None:
        performer = self.performers[cue.actor]
        if (entering := self._entering.pop(cue.actor, None)) is not None:
            await entering
        match cue.action:
            case Write() as write:
                await self._write(performer, write)
            case Enter():
                # Who joins keeps nobody else waiting: after a meeting has been announced, all join at once.
                self._entering[cue.actor] = asyncio.create_task(self._counting_failure(performer.enter()))
            case _ if not performer.present:
                pass  # the connection is lost, and counted, or the room was refused
            case Leave():
                await performer.leave()
            case Point(x, y, viewport):
                performer.point(CURSORS, x, y, viewport)
            case Show(presence):
                performer.tell("presence_update", {"presence": presence})
            case Say(payload):
                performer.tell("event", payload)
            case Select(payload):
                if payload["version"] <= self._version:
                    performer.tell("selection_change", payload)

    async def _write(self, performer: Performer, write: Write) -> None:
        if self._version != write.version - 1 or not performer.present:
            self.unsent += 1
            return
        self._version = await performer.write(write.operation, write.base)
        self.written += 1

    async def _until(self, due: float) -> None:
        """Waits until it is time, and notes how late it is then."""
        if (wait := due - time.monotonic()) > 0:
            await asyncio.sleep(wait)
        self._tally.lateness.record(max(0, round((time.monotonic() - due) * 1e6)))
