"""Recording a room as one of its participants.

A `Recorder` is a client like any other: it needs a token with ``read``, works from wherever the gateway can be reached,
and is seen in the room by those whom it watches. It says nothing there, and is not in its own recording.

It writes what the gateway tells it, as it is told. When its connection is lost, the client makes it again, and the
operations that were missed come first, so that the document has no gap where the gateway can help it; everything else
that happened meanwhile is lost, and the recording says so (`Gap`, `Resumed`). Who came or went in between is seen from
who is there then. Where operations are missing, or the document was made anew, it is written as a whole.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import msgspec

from fastcollab.client import CollaborativeClient
from fastcollab.client.handshake import Token
from fastcollab.messages import PresenceData
from fastcollab.recording.anonymity import Anonymizer
from fastcollab.recording.file import (
    Document,
    End,
    Entry,
    Event,
    Frame,
    Gap,
    Joined,
    Left,
    Operation,
    Presence,
    RecordingError,
    RecordingWriter,
    Resumed,
)

FLUSH_INTERVAL = 1.0  # seconds


@dataclass(slots=True)
class Summary:
    """What a recording has in it so far."""

    seconds: float = 0.0
    users: set[str] = field(default_factory=set)
    lines: Counter[str] = field(default_factory=Counter)  # by the name of their class
    cursors: int = 0  # records in frames, those of selections included


class Recorder(CollaborativeClient):
    """A client that writes what happens in one room, once: ``run`` is called one time."""

    def __init__(self, url: str, token: Token, room_id: str, writer: RecordingWriter, *, anonymous: bool) -> None:
        super().__init__(url, token)
        self.summary = Summary()
        self._room_id = room_id
        self._writer = writer
        self._anonymizer = Anonymizer() if anonymous else None
        self._began: float | None = None
        self._present: set[str] = set()
        self._is_away = False
        self._failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def run(
        self, stop: asyncio.Event, seconds: float | None = None, on_joined: Callable[[], None] = lambda: None
    ) -> None:
        """Joins the room and records until ``stop``, or for ``seconds`` from the moment when it was joined.

        ``on_joined`` is called when it has begun. Raises what keeps it from joining, the error with which the room is
        lost if it is, ConnectionClosed if the connection is and cannot be made again, and RecordingError if the file
        cannot be written.
        """
        async with self:
            room = await self.join_room(self._room_id)
            # Who says nothing is told of no error but that the room is lost.
            room.on("error", self._fail)
            on_joined()
            flushing, stopping = asyncio.create_task(self._keep_flushing()), asyncio.create_task(stop.wait())
            try:
                ends: list[asyncio.Future[Any]] = [stopping, self._failed, self.closed]
                await asyncio.wait(ends, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
            finally:
                flushing.cancel()
                stopping.cancel()
            if self._failed.done():
                self._failed.result()
            if self.closed.done():
                raise self.closed.result()
            self._write(End(self._now()))

    # What the connection tells

    def _dispatch(self, message: dict[str, Any]) -> None:
        kind, payload = message["type"], message["payload"]
        if kind == "room_joined":
            super()._dispatch(message)
            self._room_entered(payload)
        elif message.get("roomId") != self._room_id or kind == "batch":
            super()._dispatch(message)
        elif kind == "operation_broadcast":
            self._operation_received(message)
        else:
            super()._dispatch(message)
            self._witnessed(kind, payload)

    def binary_received(self, payload: bytes) -> None:
        self._write(Frame(self._now(), payload))
        self.summary.cursors += int.from_bytes(payload[2:4], "big")

    def _interrupted(self) -> None:
        super()._interrupted()
        if not self._is_away:
            self._is_away = True
            self._write(Gap(self._now()))

    def _room_entered(self, payload: dict[str, Any]) -> None:
        """The room was joined, for the first time, which is the moment 0, or again."""
        if self._is_away:
            self._is_away = False
            self._write(Resumed(self._now()))
        if not payload.get("recovery", {}).get("recovered"):
            state = payload["documentState"]
            data = state.get("data", msgspec.UNSET)
            self._write(Document(self._now(), state["type"], state["version"], state["epoch"], data))
        others = [each for each in payload["participants"] if each["userId"] != self.session.user_id]
        for user in self._present - {each["userId"] for each in others}:
            self._left(user)
        for participant in others:
            if participant["userId"] in self._present:
                self._shown(participant["userId"], participant["presence"])
            else:
                self._joined(participant)
        if self._began is None:
            self._began = time.monotonic()

    def _operation_received(self, message: dict[str, Any]) -> None:
        """Writes an operation that continues the document; any other has the room joined again, or is known already."""
        payload, document = message["payload"], self.rooms[self._room_id].document
        follows = payload["transformedVersion"] == document.version + 1
        super()._dispatch(message)
        if follows and document.version == payload["transformedVersion"]:
            base, version = payload["version"], payload["transformedVersion"]
            self._write(Operation(self._now(), payload["userId"], base, version, payload["operation"]))

    def _witnessed(self, kind: str, payload: dict[str, Any]) -> None:
        match kind:
            case "presence_update":
                self._shown(payload["userId"], payload["presence"])
            case "user_joined":
                self._joined(payload["participant"])
            case "user_left":
                self._left(payload["participant"]["userId"])
            case "event":
                data = payload.get("data", msgspec.UNSET)
                self._write(Event(self._now(), payload["userId"], payload["name"], data))

    # What is written

    def _joined(self, participant: dict[str, Any]) -> None:
        user, presence = participant["userId"], msgspec.convert(participant["presence"], PresenceData)
        self._present.add(user)
        self.summary.users.add(user)
        number, name, color = participant["numericId"], participant["name"], participant["color"]
        self._write(Joined(self._now(), user, number, name, color, presence))

    def _left(self, user: str) -> None:
        self._present.discard(user)
        self._write(Left(self._now(), user))

    def _shown(self, user: str, presence: dict[str, Any]) -> None:
        self._write(Presence(self._now(), user, msgspec.convert(presence, PresenceData)))

    def _now(self) -> float:
        """Milliseconds since the room was joined, to the tenth."""
        if self._began is None:
            return 0.0
        return round((time.monotonic() - self._began) * 1000, 1)

    def _write(self, entry: Entry) -> None:
        if self._failed.done():
            return
        self.summary.seconds = entry.t / 1000
        self.summary.lines[type(entry).__name__] += 1
        try:
            self._writer.write(entry if self._anonymizer is None else self._anonymizer.anonymous(entry))
        except RecordingError as error:
            self._fail(error)

    async def _keep_flushing(self) -> None:
        while True:
            await asyncio.sleep(FLUSH_INTERVAL)
            try:
                self._writer.flush()
            except RecordingError as error:
                self._fail(error)

    def _fail(self, error: Exception) -> None:
        """There is nothing more to record."""
        if not self._failed.done():
            self._failed.set_exception(error)
