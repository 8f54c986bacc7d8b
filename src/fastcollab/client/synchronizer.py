"""Keeps one client's document in step with the gateway.

``ClientDocument`` says what is to be sent; the ``Synchronizer`` decides when, and who is told about it:

- One operation is on its way at a time (OT4), and no more per second than the gateway allows (L1). One that was refused
  for the rate, or because the gateway could not serve it now, is sent again, as it reads by then, with the same id.
- Whoever waits for an operation is woken by its acknowledgement, or by what became of it.
- While the connection is away, edits go on into the buffer, and whoever waits goes on waiting.
- When the room is joined again, the operations that were missed come first (OT9). What is still in flight after them is
  sent again with its id; the gateway knows it if it was committed before.
- When the copies have parted (3002, 3003, a gap in the versions, an operation that does not fit), or the document was
  made anew, the room is joined again. What arrives until the answer is ignored, since the answer contains it.
- Now and then an operation carries the checksum of the document that it was written against (OT8), and always the first
  one after a recovery. It is of ``confirmed``, which is what the gateway has at that version.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

from fastcollab import ot
from fastcollab.checksums import checksum
from fastcollab.client.document import ClientDocument, Operation, Submission, Synchronization
from fastcollab.client.pacing import Pacer
from fastcollab.client.undo import UndoHistory
from fastcollab.client.waiters import Waiters
from fastcollab.errors import (
    ChecksumFailed,
    ConnectionClosed,
    FastcollabError,
    ProtocolError,
    RateLimited,
    ServiceUnavailable,
    VersionGap,
    VersionMismatch,
)
from fastcollab.ot import OperationError

RETRY_DELAY = 1.0  # seconds, where a refusal that passes does not say how long


class RemoteOperation(NamedTuple):
    """An operation by ``user_id``, as it changed the local content, and the version that it made; and where it is in a
    trace, if it is part of one (TC1).

    An own operation that had to be undone is one too, with ``user_id`` None.
    """

    operation: Operation
    user_id: str | None
    version: int
    traceparent: str | None = None


class Rejection(NamedTuple):
    """Own operations that did not become part of the document, in order, and why."""

    operations: tuple[Operation, ...]
    error: FastcollabError


class Watcher(Protocol):
    """Who is told of every change of a document before the program is; ``user_id`` None: an operation was undone."""

    def content_changed(self, operation: Operation, user_id: str | None, document: ClientDocument) -> None: ...

    def committed(self, operation: Operation, user_id: str, document: ClientDocument) -> None: ...

    def content_replaced(self) -> None: ...


class Synchronizer:
    """The traffic of one document.

    ``send`` sends an operation, with a checksum or None; ``rejoin`` asks for the room's state with ``join_request``;
    ``emit`` tells the program of the events ``operation``, ``rejected`` and ``reset`` (see ``room``). Of every
    ``checksum_every`` operations one carries a checksum; 0: none does.
    """

    def __init__(
        self,
        user_id: str,
        send: Callable[[Submission, str | None], None],
        rejoin: Callable[[], None],
        emit: Callable[[str, Any], None],
        watcher: Watcher,
        pacer: Pacer,
        checksum_every: int,
    ) -> None:
        self.document: ClientDocument | None = None
        self.has_saved = False  # whether the gateway has ever taken an operation from here
        self._history: UndoHistory | None = None
        self._user_id = user_id
        self._watcher = watcher
        self._checksum_every = checksum_every
        self._until_checksum = checksum_every
        self._send = send
        self._rejoin = rejoin
        self._emit = emit
        self._pacer = pacer
        self._loop = asyncio.get_running_loop()
        self._is_joined = False
        self._missed = 0  # operations that a recovery has announced and that have not arrived
        self._sent_id = ""  # the operation that the gateway was sent on this connection and has not answered
        self._timer: asyncio.TimerHandle | None = None
        self._waiters = Waiters()
        self._parted: FastcollabError | None = None  # why the room is being joined again
        self._ended: FastcollabError | None = None  # why nothing will be acknowledged any more

    @property
    def is_in_step(self) -> bool:
        """Whether everything that the gateway has said of the document is in it, and what follows will be."""
        return self._is_joined and not self._missed and self._parted is None

    # What the program does

    def edit(self, operation: Operation) -> None:
        document = self._joined_document()
        operation, before = document.type.normalize(operation), document.content
        document.edit(operation)
        self.history.edited(operation, before, self._loop.time())
        self._edited(operation)

    def undo(self) -> Operation | None:
        """Takes back the newest own step; returns the operation that did it, or None if there is none."""
        return self._turned(self.history.undo(self._joined_document().content))

    def redo(self) -> Operation | None:
        """Takes back the newest undo; returns the operation that did it, or None if there is none."""
        return self._turned(self.history.redo(self._joined_document().content))

    @property
    def history(self) -> UndoHistory:
        if self._history is None:
            self._history = UndoHistory(self._joined_document().type)
        return self._history

    async def settled(self) -> int:
        """Waits until all that was edited so far is acknowledged, and returns the version that this made.

        Raises the error with which the gateway refused it, or ConnectionClosed.
        """
        document = self._joined_document()
        if document.state is Synchronization.SYNCHRONIZED:
            return document.version
        if self._ended is not None:
            raise self._ended
        return await self._waiters.add(in_buffer=document.state is Synchronization.AWAITING_WITH_BUFFER)

    # What the gateway answers

    def join_request(self) -> dict[str, Any]:
        """What ``join_room`` says about the document that is here already."""
        if self.document is None or isinstance(self._parted, ProtocolError):
            return {}  # the full state
        return {"lastSyncVersion": self.document.version, "epoch": self.document.epoch}

    def joined(self, state: dict[str, Any], recovery: dict[str, Any]) -> None:
        """``room_joined``: the full state, or an announcement of the operations missed."""
        self._is_joined = True
        self._ended = None
        self._missed = 0
        self._sent_id = ""
        if self.document is None:
            data = state.get("data", ot.ABSENT)
            self.document = ClientDocument(ot.types[state["type"]], data, state["version"], state["epoch"])
        elif recovery.get("recovered"):
            self._missed = recovery["missed"]
            self._until_checksum = min(self._checksum_every, 1)
        else:
            self._replace(self.document, state)
        self._parted = None
        self._advance()

    def received(
        self, operation: Operation, version: int, user_id: str, message_id: str, traceparent: str | None = None
    ) -> None:
        """``operation_broadcast``: somebody's operation, or in a recovery perhaps one of one's own."""
        if self._parted is not None:
            return
        document = self._joined_document()
        self._missed = max(self._missed - 1, 0)
        if document.in_flight is not None and message_id == document.in_flight.message_id:
            self.acknowledged(message_id, version)
        elif version > document.version:
            try:
                change = document.remote(operation, version)
            except (VersionGap, OperationError) as error:
                self.parted(error)
                return
            self.history.changed(change)
            self._watcher.content_changed(change, user_id, document)
            self._watcher.committed(operation, user_id, document)
            self._emit("operation", RemoteOperation(change, user_id, version, traceparent))
        # Otherwise a recovery repeats what had arrived while the room was being joined again.
        self._advance()

    def acknowledged(self, message_id: str, version: int) -> None:
        """``ack`` of an operation; one that is not in flight any more is of no interest."""
        document = self._joined_document()
        if self._parted is not None or document.in_flight is None:
            return
        if document.in_flight.message_id == message_id:
            operation = document.in_flight.operation
            try:
                document.acknowledged(version)
            except (VersionGap, OperationError) as error:
                self.parted(error)
                return
            self.has_saved = True
            if not document.pending:
                self.history.settled()
            self._watcher.committed(operation, self._user_id, document)
            self._sent_id = ""
            self._waiters.succeed(version)
            self._advance()

    def refused(self, message_id: str, error: ProtocolError) -> bool:
        """``error`` that answers a message; returns False if that was none of this document's."""
        if not message_id or message_id != self._sent_id:
            return False
        document = self._joined_document()
        self._sent_id = ""
        if self._parted is not None:
            return True  # it is sent again, as it reads when the room is joined again
        if isinstance(error, (RateLimited, ServiceUnavailable)):
            self._advance_after(error.details.get("retryAfterMs", RETRY_DELAY * 1000) / 1000)
        elif isinstance(error, (VersionMismatch, ChecksumFailed)):
            self.parted(error)
        else:
            before = document.content
            try:
                refusal = document.refused()
            except OperationError as misfit:
                self.parted(misfit)
                return True
            self.history.refused(refusal.change, before)
            self._watcher.content_changed(refusal.change, None, document)
            self._emit("operation", RemoteOperation(refusal.change, None, document.version))
            self._emit("rejected", Rejection((refusal.operation,), error))
            self._waiters.fail_flight(error)
            self._advance()
        return True

    def parted(self, reason: FastcollabError | OperationError) -> None:
        """The copies have parted, as far as can be seen from here; one that an operation does not fit is another."""
        if self._parted is None:
            self._parted = ChecksumFailed(str(reason)) if isinstance(reason, OperationError) else reason
            self._rejoin()

    def interrupt(self) -> None:
        """The room is not joined at present. What is pending stays, and is sent when it is joined again."""
        self._is_joined = False
        self._missed = 0
        self._sent_id = ""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def suspend(self, reason: FastcollabError) -> None:
        """The room is not joined any more, and will not be by itself. What is pending stays nevertheless."""
        self.interrupt()
        self._ended = reason
        self._waiters.fail_all(reason)

    # The traffic

    def _joined_document(self) -> ClientDocument:
        if self.document is None:
            raise FastcollabError("the room has not been joined yet")
        return self.document

    def _turned(self, operation: Operation | None) -> Operation | None:
        if operation is not None:
            self._joined_document().edit(operation)
            self._edited(operation)
        return operation

    def _edited(self, operation: Operation) -> None:
        self._watcher.content_changed(operation, self._user_id, self._joined_document())
        self._advance()

    def _advance(self) -> None:
        """Sends the operation in flight, unless it is on its way or its time has not come."""
        submission = self._joined_document().in_flight
        if submission is None or submission.message_id == self._sent_id:
            return
        if not self.is_in_step or self._timer is not None:
            return
        now = self._loop.time()
        if delay := self._pacer.delay(now):
            self._advance_after(delay)
            return
        self._pacer.sent(now)
        try:
            self._send(submission, self._next_checksum())
        except ConnectionClosed:
            return  # the loss is going to be told in a moment
        self._sent_id = submission.message_id

    def _next_checksum(self) -> str | None:
        """The checksum to go with the operation that is sent now, if its turn has come."""
        self._until_checksum -= 1
        if self._until_checksum != 0:
            return None
        self._until_checksum = self._checksum_every
        return checksum(self._joined_document().confirmed)

    def _advance_after(self, delay: float) -> None:
        def advance() -> None:
            self._timer = None
            self._advance()

        if self._timer is None:
            self._timer = self._loop.call_later(delay, advance)

    def _replace(self, document: ClientDocument, state: dict[str, Any]) -> None:
        given_up = document.resync(state.get("data", ot.ABSENT), state["version"], state["epoch"])
        self.history.clear()
        self._watcher.content_replaced()
        if given_up:
            error = self._parted or VersionMismatch("the document has moved on too far to continue from here")
            self._waiters.fail_all(error)
            self._emit("rejected", Rejection(given_up, error))
        self._emit("reset", document)
