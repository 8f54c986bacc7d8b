"""A room, as one of its members sees it: who is there, where they point, and the document that they write together.

Events (``on``, ``events``) and their values:

==================== ============================================================
participant_joined   ``Participant``
participant_left     ``Participant``
cursor               ``Participant``, whose ``cursor`` moved
selection            ``Participant``, whose ``selection`` changed
presence             ``Participant``, whose ``status`` or ``data`` changed
operation            ``RemoteOperation``: how others changed ``document.content``
rejected             ``Rejection``: own operations that were given up
reset                ``ClientDocument``, whose content was replaced as a whole
event                ``CustomEvent``
error                ``ProtocolError`` about this room that no call waits for
==================== ============================================================
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple, Protocol

from fastcollab._binary import encode_frame
from fastcollab.client.document import ClientDocument, Operation, Submission
from fastcollab.client.events import Emitter
from fastcollab.client.pacing import Pacer, Throttle
from fastcollab.client.participants import (
    UINT32_MAX,
    Cursor,
    Participant,
    Position,
    Record,
    Selection,
    SelectionRange,
)
from fastcollab.client.synchronizer import Synchronizer
from fastcollab.errors import FastcollabError, ProtocolError

CURSOR = 1  # types of binary frames
SELECTION = 2
MAX_COORDINATE = 2.0**24

_UNCHANGED: Any = object()


class Connection(Protocol):
    """What a room needs of the connection that it lives on."""

    def send(self, kind: str, payload: Any, *, room_id: str, message_id: str | None = None) -> str: ...

    async def request(self, kind: str, payload: Any, *, room_id: str, target_user_id: str | None = None) -> Any: ...

    def send_frame(self, room_id: str, frame: bytes) -> bool: ...

    def rejoin(self, room_id: str) -> None: ...


class CustomEvent(NamedTuple):
    """An event of the program's own, and who sent it."""

    name: str
    data: Any
    user_id: str


class Room(Emitter):
    """One room; made by ``CollaborativeClient.join_room``.

    ``permission`` is ``read``, ``write`` or ``admin``; ``handle`` is the room's number in batched frames.
    """

    def __init__(self, connection: Connection, room_id: str, own_user_id: str, limits: Mapping[str, Any]) -> None:
        super().__init__()
        self.room_id = room_id
        self.permission = "read"
        self.handle = -1
        self._connection = connection
        self._own_user_id = own_user_id
        self._participants: dict[str, Participant] = {}
        self._by_number: dict[int, Participant] = {}
        self._cursor: Throttle[bytes] = Throttle(limits["cursorUpdates"], self._send_cursor, asyncio.get_running_loop())
        self._synchronizer = Synchronizer(
            self._send_operation,
            lambda: connection.rejoin(room_id),
            self.emit,
            Pacer(limits["operations"], limits["burst"]),
        )

    def __repr__(self) -> str:
        return f"<Room {self.room_id!r}, {len(self._participants)} participants>"

    # Who is there, and what they show

    @property
    def participants(self) -> Mapping[str, Participant]:
        """Everybody in the room by user id, oneself included; a live view."""
        return MappingProxyType(self._participants)

    @property
    def cursors(self) -> dict[str, Cursor]:
        """The newest cursor of each participant who has shown one, by user id."""
        return {user: member.cursor for user, member in self._participants.items() if member.cursor is not None}

    def move_cursor(self, x: float, y: float, viewport: tuple[float, float] | None = None) -> None:
        """Shows where the pointer is. At most ``limits.cursorUpdates`` per second are sent, the newest one winning.

        This makes the room the connection's active one. Raises ValueError unless all coordinates lie between -2**24
        and 2**24.
        """
        for coordinate in (x, y, *(viewport or ())):
            if not abs(coordinate) <= MAX_COORDINATE:  # nor is NaN
                raise ValueError(f"{coordinate} does not lie between -2**24 and 2**24")
        timestamp = int(time.time() * 1000) & UINT32_MAX
        self._cursor.put(encode_frame(CURSOR, 0, x, y, timestamp, viewport))  # the gateway knows the user

    async def select(self, ranges: Iterable[tuple[Position, Position]], color: str) -> None:
        """Shows what is selected, as pairs of anchor and head; no ranges: nothing is.

        Positions are those of ``document.content``; the others are told where that is in the newest version that
        they can know.
        """
        document = self.document
        place = document.confirmed_position
        wire = [{"anchor": place(anchor), "head": place(head)} for anchor, head in ranges]
        payload = {"ranges": wire, "color": color, "version": document.version}
        await self._connection.request("selection_change", payload, room_id=self.room_id)

    async def set_presence(self, *, status: str | None = _UNCHANGED, data: Any = _UNCHANGED) -> None:
        """Shows a status, or data of the program's own; None removes it, and what is not given stays as it is."""
        fields = {"status": status, "data": data}
        presence = {name: value for name, value in fields.items() if value is not _UNCHANGED}
        await self._connection.request("presence_update", {"presence": presence}, room_id=self.room_id)

    async def broadcast_event(self, name: str, data: Any = None) -> None:
        """Sends an event of the program's own to every other connection in the room."""
        await self._connection.request("event", {"name": name, "data": data}, room_id=self.room_id)

    async def send_event(self, user_id: str, name: str, data: Any = None) -> None:
        """Sends an event to one participant's connections; InvalidMessage is raised if nobody of that id is there."""
        payload = {"name": name, "data": data}
        await self._connection.request("event", payload, room_id=self.room_id, target_user_id=user_id)

    # What they write

    @property
    def document(self) -> ClientDocument:
        """The document. It is changed through the room, which sends what is to be sent."""
        if self._synchronizer.document is None:
            raise FastcollabError(f"room {self.room_id!r} has not been joined yet")
        return self._synchronizer.document

    def edit(self, operation: Operation) -> None:
        """Applies an operation at once, and sends it when its turn has come; ``saved`` waits for that.

        Raises ``ot.OperationError`` for an operation that does not fit ``document.content``.
        """
        self._synchronizer.edit(operation)

    async def submit(self, operation: Operation) -> int:
        """Applies an operation, waits until it is acknowledged, and returns the document's version after it.

        Raises the refusal of the gateway, which undoes the operation, or ConnectionClosed, which leaves it pending.
        """
        self._synchronizer.edit(operation)
        return await self._synchronizer.settled()

    async def saved(self) -> None:
        """Waits until all that was edited so far is acknowledged; raises like ``submit``."""
        await self._synchronizer.settled()

    @property
    def text(self) -> str:
        """The content of a ``text`` document; TypeError if it is of another type."""
        if not isinstance(self.document.content, str):
            raise TypeError("the document is no text")
        return self.document.content

    def insert(self, position: int, text: str) -> None:
        """Inserts into a ``text`` document, before the code point at ``position``."""
        self.edit([position, text])

    def delete(self, position: int, count: int) -> None:
        """Deletes ``count`` code points of a ``text`` document, from ``position`` on."""
        self.edit([position, {"d": count}])

    # What the connection tells the room

    def join_request(self) -> dict[str, Any]:
        """The payload with which to join, or to join again."""
        return {"roomId": self.room_id, **self._synchronizer.join_request()}

    def joined(self, payload: dict[str, Any]) -> None:
        self.handle = payload["handle"]
        self.permission = payload["permission"]
        present = [Participant.from_wire(entry) for entry in payload["participants"]]
        self._participants = {participant.user_id: participant for participant in present}
        self._by_number = {participant.numeric_id: participant for participant in present}
        self._synchronizer.joined(payload["documentState"], payload.get("recovery") or {})

    def suspend(self, reason: FastcollabError) -> None:
        """The room is not joined any more; what is pending stays in the document."""
        self._cursor.cancel()
        self._synchronizer.suspend(reason)
        self.close_streams()

    def operation_received(self, payload: dict[str, Any]) -> None:
        operation, version = payload["operation"], payload["transformedVersion"]
        self._synchronizer.received(operation, version, payload["userId"], payload["messageId"])

    def operation_acknowledged(self, message_id: str, version: int) -> None:
        self._synchronizer.acknowledged(message_id, version)

    def operation_refused(self, message_id: str, error: ProtocolError) -> bool:
        """Whether ``message_id`` was an operation of this room."""
        return self._synchronizer.refused(message_id, error)

    def participant_joined(self, payload: dict[str, Any]) -> None:
        participant = Participant.from_wire(payload["participant"])
        self._participants[participant.user_id] = participant
        self._by_number[participant.numeric_id] = participant
        self.emit("participant_joined", participant)

    def participant_left(self, payload: dict[str, Any]) -> None:
        participant = self._participants.pop(payload["participant"]["userId"], None)
        if participant is not None:
            self._by_number.pop(participant.numeric_id, None)
            self.emit("participant_left", participant)

    def presence_received(self, payload: dict[str, Any]) -> None:
        participant = self._participants.get(payload["userId"])
        if participant is not None:
            for event in participant.update(payload["presence"], payload["timestamp"]):
                self.emit(event, participant)

    def event_received(self, payload: dict[str, Any]) -> None:
        self.emit("event", CustomEvent(payload["name"], payload.get("data"), payload["userId"]))

    def records_received(self, kind: int, records: Iterable[Record]) -> None:
        """A binary frame. Cursors come 60 times a second and participant, so little is done for each."""
        members, own = self._by_number, self._participants.get(self._own_user_id)
        event = "cursor" if kind == CURSOR else "selection"
        is_observed = self.is_observed(event)
        for record in records:
            participant = members.get(record[0])
            if participant is None or participant is own:
                continue
            if kind == CURSOR:
                participant.cursor = Cursor._make(record)
            else:
                ranges = (SelectionRange(int(record[1]), int(record[2])),)
                participant.selection = Selection(ranges, participant.color, None)
            if is_observed:
                self.emit(event, participant)

    def _send_operation(self, submission: Submission) -> None:
        payload = {"operation": submission.operation, "version": submission.version}
        self._connection.send("operation", payload, room_id=self.room_id, message_id=submission.message_id)

    def _send_cursor(self, frame: bytes) -> bool:
        return self._connection.send_frame(self.room_id, frame)
