"""A room, as one of its members sees it: who is there, where they point, and the document that they write together.

Events (``on``, ``events``) and their values:

==================== ============================================================
status               ``Status``: that of the room, when it changes
participant_joined   ``Participant``
participant_left     ``Participant``
cursor               ``Participant``, whose ``cursor`` moved
selection            ``Participant``, whose ``selection`` changed
presence             ``Participant``, whose ``status`` or ``data`` changed
operation            ``RemoteOperation``: how others changed ``document.content``
rejected             ``Rejection``: own operations that were given up
reset                ``ClientDocument``, whose content was replaced as a whole
event                ``CustomEvent``
permission           ``str``: what one may do here from now on, ``none`` if the room is lost
error                ``ProtocolError`` about this room that no call waits for
==================== ============================================================

The selections of others move with the text when ``document.content`` changes, and that is told by ``operation`` alone.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Mapping
from contextlib import nullcontext
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from fastcollab._binary import encode_frame
from fastcollab.client.document import ClientDocument, Operation, Submission
from fastcollab.client.events import Emitter
from fastcollab.client.pacing import Pacer, Throttle
from fastcollab.client.participants import UINT32_MAX, Cursor, Participant, Position, Record
from fastcollab.client.past import PastOperation, content_from_wire
from fastcollab.client.roster import CURSOR, Roster
from fastcollab.client.status import Status
from fastcollab.client.synchronizer import Synchronizer
from fastcollab.errors import FastcollabError, NoPermission, ProtocolError, VersionMismatch

if TYPE_CHECKING:
    from fastcollab.client.tracing import RoomTracing

MAX_COORDINATE = 2.0**24

_UNCHANGED: Any = object()


class Connection(Protocol):
    """What a room needs of the connection that it lives on."""

    def send(self, kind: str, payload: Any, *, room_id: str, message_id: str | None = None) -> str: ...

    async def request(
        self, kind: str, payload: Any, *, answer: str = "ack", room_id: str, target_user_id: str | None = None
    ) -> Any: ...

    def send_frame(self, room_id: str, frame: bytes) -> bool: ...

    def rejoin(self, room_id: str) -> None: ...


class CustomEvent(NamedTuple):
    """An event of the program's own, and who sent it."""

    name: str
    data: Any
    user_id: str


class Room(Emitter):
    """One room; made by ``CollaborativeClient.join_room``.

    ``permission`` is ``read``, ``write`` or ``admin``, and ``none`` when the room is lost; ``handle`` is the room's
    number in batched frames.
    """

    def __init__(
        self,
        connection: Connection,
        room_id: str,
        own_user_id: str,
        limits: Mapping[str, Any],
        *,
        checksum_every: int,
        tracing: bool = False,
    ) -> None:
        super().__init__()
        self.room_id = room_id
        self.permission = "read"
        self.handle = -1
        self._connection = connection
        self._status = Status.CONNECTING
        self._is_joined = False
        self._is_closed = False
        self._roster = Roster(own_user_id, self.emit, self.is_observed)
        self._cursor: Throttle[bytes] = Throttle(limits["cursorUpdates"], self._send_cursor, asyncio.get_running_loop())
        self._cursor_while_away: bytes | None = None
        self._tracing: RoomTracing | None = None
        if tracing:
            from fastcollab.client.tracing import RoomTracing

            self._tracing = RoomTracing(room_id, self._roster, lambda: self._synchronizer.document)
        self._synchronizer = Synchronizer(
            own_user_id,
            self._send_operation,
            lambda: connection.rejoin(room_id),
            self.emit,
            self._tracing or self._roster,
            Pacer(limits["operations"], limits["burst"]),
            checksum_every,
        )

    def __repr__(self) -> str:
        return f"<Room {self.room_id!r}, {self._status}, {len(self._roster.members)} participants>"

    @property
    def status(self) -> Status:
        """How far the room is in step with the gateway, and whether what was written here is safe there."""
        return self._status

    # Who is there, and what they show

    @property
    def participants(self) -> Mapping[str, Participant]:
        """Everybody in the room by user id, oneself included; a live view."""
        return MappingProxyType(self._roster.members)

    @property
    def cursors(self) -> dict[str, Cursor]:
        """The newest cursor of each participant who has shown one, by user id."""
        return {user: member.cursor for user, member in self._roster.members.items() if member.cursor is not None}

    def move_cursor(self, x: float, y: float, viewport: tuple[float, float] | None = None) -> None:
        """Shows where the pointer is. At most ``limits.cursorUpdates`` per second are sent, the newest one winning.

        This makes the room the connection's active one. While the connection is away, the newest one waits for its
        return. Raises ValueError unless all coordinates lie between -2**24 and 2**24.
        """
        for coordinate in (x, y, *(viewport or ())):
            if not abs(coordinate) <= MAX_COORDINATE:  # nor is NaN
                raise ValueError(f"{coordinate} does not lie between -2**24 and 2**24")
        timestamp = int(time.time() * 1000) & UINT32_MAX
        frame = encode_frame(CURSOR, 0, x, y, timestamp, viewport)  # the gateway knows the user
        if self._is_joined:
            self._cursor.put(frame)
        else:
            self._cursor_while_away = frame

    async def select(self, ranges: Iterable[tuple[Position, Position]], color: str) -> None:
        """Shows what is selected, as pairs of anchor and head; no ranges: nothing is.

        Positions are those of ``document.content``; the others are told where that is in the newest version that
        they can know.
        """
        document = self.document
        place = document.confirmed_position
        places = [(place(anchor), place(head)) for anchor, head in ranges]
        # What is selected in something that the others do not have yet cannot be shown to them.
        wire = [{"anchor": anchor, "head": head} for anchor, head in places if anchor is not None and head is not None]
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
        self._update_status()

    async def submit(self, operation: Operation) -> int:
        """Applies an operation, waits until it is acknowledged, and returns the document's version after it.

        If the connection is lost and made again meanwhile, it goes on waiting. Raises the refusal of the gateway, which
        undoes the operation, or ConnectionClosed, if the connection has ended for good; the operation stays pending.
        """
        self.edit(operation)
        return await self._synchronizer.settled()

    async def saved(self) -> None:
        """Waits until all that was edited so far is acknowledged; raises like ``submit``."""
        await self._synchronizer.settled()

    def undo(self) -> Operation | None:
        """Takes back the newest of one's own edits that is left, and nobody else's, as an operation like any other.

        Returns the operation, which has changed ``document.content``, for an editor to follow; None if there is nothing
        to undo. Edits that follow each other within half a second are undone together.
        """
        operation = self._synchronizer.undo()
        self._update_status()
        return operation

    def redo(self) -> Operation | None:
        """Takes back the newest ``undo``; returns like it. Any edit of one's own forgets what could be redone."""
        operation = self._synchronizer.redo()
        self._update_status()
        return operation

    @property
    def can_undo(self) -> bool:
        return self._synchronizer.history.can_undo

    @property
    def can_redo(self) -> bool:
        return self._synchronizer.history.can_redo

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

    # What they wrote

    async def content_at(self, version: int) -> Any:
        """The document as it was at ``version``. Raises VersionMismatch if the history does not reach back to it."""
        answer = await self._connection.request(
            "get_document", {"version": version}, answer="document", room_id=self.room_id
        )
        return content_from_wire(answer["documentState"])

    async def history(self, after: int, limit: int = 100) -> list[PastOperation]:
        """The operations after version ``after``, the oldest first: ``limit`` of them (1 to 1000), or fewer if they are
        large or there are no more. Raises VersionMismatch if the history does not reach back so far.
        """
        answer = await self._connection.request(
            "get_history", {"after": after, "limit": limit}, answer="history", room_id=self.room_id
        )
        return [PastOperation.from_wire(entry) for entry in answer["operations"]]

    async def restore(self, version: int) -> int:
        """Brings back the document as it was at ``version``, by an operation that undoes what was done since, and
        returns the version that it made. It reaches this client like the operations of others.

        Raises VersionMismatch, and NoPermission if this client may not write.
        """
        answer = await self._connection.request("restore", {"version": version}, room_id=self.room_id)
        restored: int = answer["version"]
        return restored

    # What the connection tells the room

    def join_request(self) -> dict[str, Any]:
        """The payload with which to join, or to join again."""
        return {"roomId": self.room_id, **self._synchronizer.join_request()}

    def joined(self, payload: dict[str, Any]) -> None:
        """``room_joined``, for the first time or again."""
        known_before = self._synchronizer.document is not None
        self.handle = payload["handle"]
        self.permission = payload["permission"]
        self._is_joined, self._is_closed = True, False
        self._roster.replace(payload["participants"], again=known_before)
        self._synchronizer.joined(payload["documentState"], payload.get("recovery") or {})
        for entry in payload["participants"]:
            self._roster.update(entry["userId"], entry["presence"], 0, self.document)
        cursor, self._cursor_while_away = self._cursor_while_away, None
        if cursor is not None:
            self._cursor.put(cursor)
        self._update_status()

    def interrupt(self) -> None:
        """The connection is lost, and will be made again."""
        self._is_joined = False
        self._cursor.cancel()
        self._synchronizer.interrupt()
        self._update_status()

    def suspend(self, reason: FastcollabError) -> None:
        """The room is not joined any more; what is pending stays in the document."""
        self._is_joined, self._is_closed = False, True
        self._cursor.cancel()
        self._synchronizer.suspend(reason)
        self._update_status()
        self.close_streams()

    def permission_changed(self, permission: str) -> None:
        """What this client may do here is something else from now on."""
        self.permission = permission
        self.emit("permission", permission)

    def expelled(self, error: NoPermission) -> None:
        """This client may not be here any more; what is pending stays in the document."""
        self.permission_changed("none")
        self.emit("error", error)
        self.suspend(error)

    def operation_received(self, payload: dict[str, Any]) -> None:
        operation, version = payload["operation"], payload["transformedVersion"]
        author = payload["userId"], payload["messageId"]
        with nullcontext() if self._tracing is None else self._tracing.applying(payload):
            self._synchronizer.received(operation, version, *author, payload.get("traceparent"))
        self._update_status()

    def operation_acknowledged(self, message_id: str, version: int) -> None:
        self._synchronizer.acknowledged(message_id, version)
        self._update_status()

    def operation_refused(self, message_id: str, error: ProtocolError) -> bool:
        """Whether ``message_id`` was an operation of this room."""
        is_own = self._synchronizer.refused(message_id, error)
        self._update_status()
        return is_own

    def made_anew(self, error: VersionMismatch) -> None:
        """The versions known here are those of an earlier life of the document (OT6)."""
        self._synchronizer.parted(error)
        self._update_status()

    def participant_joined(self, payload: dict[str, Any]) -> None:
        self._roster.add(payload["participant"])
        self.presence_received({**payload["participant"], "timestamp": 0})

    def participant_left(self, payload: dict[str, Any]) -> None:
        self._roster.remove(payload["participant"]["userId"])

    def presence_received(self, payload: dict[str, Any]) -> None:
        self._roster.update(payload["userId"], payload["presence"], payload["timestamp"], self.document)

    def event_received(self, payload: dict[str, Any]) -> None:
        self.emit("event", CustomEvent(payload["name"], payload.get("data"), payload["userId"]))

    def records_received(self, kind: int, records: Iterable[Record]) -> None:
        self._roster.records(kind, records, self.document)

    def _update_status(self) -> None:
        status = self._present_status()
        if status is not self._status:
            self._status = status
            self.emit("status", status)

    def _present_status(self) -> Status:
        if self._is_closed:
            return Status.CLOSED
        if not self._synchronizer.is_in_step:
            return Status.CONNECTING
        if self.document.pending:
            return Status.SAVING
        return Status.SAVED if self._synchronizer.has_saved else Status.CONNECTED

    def _send_operation(self, submission: Submission, checksum: str | None) -> None:
        payload = {"operation": submission.operation, "version": submission.version}
        if checksum is not None:
            payload["checksum"] = checksum
        if self._tracing is not None and (traceparent := self._tracing.traceparent) is not None:
            payload["traceparent"] = traceparent
        self._connection.send("operation", payload, room_id=self.room_id, message_id=submission.message_id)

    def _send_cursor(self, frame: bytes) -> bool:
        return self._connection.send_frame(self.room_id, frame)
