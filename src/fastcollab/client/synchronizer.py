"""Keeps one client's document in step with the gateway.

``ClientDocument`` says what is to be sent; the ``Synchronizer`` decides when, and who is told about it:

- One operation is on its way at a time (OT4), and no more per second than the gateway allows (L1). One that was refused
  for the rate, or because the gateway could not serve it now, is sent again, as it reads by then, with the same id.
- Whoever waits for an operation is woken by its acknowledgement, or by what became of it.
- When the room is joined again, the operations that were missed come first (OT9). What is still in flight after them is
  sent again with its id; the gateway knows it if it was committed before.
- When the copies have parted (3002, 3003, a gap in the versions), the room is joined again. What arrives until the
  answer is ignored, since the answer contains it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, NamedTuple

from fastcollab import ot
from fastcollab.client.document import ClientDocument, Operation, Submission, Synchronization
from fastcollab.client.pacing import Pacer
from fastcollab.errors import (
    ChecksumFailed,
    FastcollabError,
    ProtocolError,
    RateLimited,
    ServiceUnavailable,
    VersionGap,
    VersionMismatch,
)

RETRY_DELAY = 1.0  # seconds, where a refusal that passes does not say how long


class RemoteOperation(NamedTuple):
    """An operation by ``user_id``, as it changed the local content, and the version that it made.

    An own operation that had to be undone is one too, with ``user_id`` None.
    """

    operation: Operation
    user_id: str | None
    version: int


class Rejection(NamedTuple):
    """Own operations that did not become part of the document, in order, and why."""

    operations: tuple[Operation, ...]
    error: FastcollabError


class Synchronizer:
    """The traffic of one document.

    ``send`` sends an operation, ``rejoin`` asks for the room's state with ``join_request``, ``emit`` tells the program
    of the events ``operation``, ``rejected`` and ``reset`` (see ``room``).
    """

    def __init__(
        self,
        send: Callable[[Submission], None],
        rejoin: Callable[[], None],
        emit: Callable[[str, Any], None],
        pacer: Pacer,
    ) -> None:
        self.document: ClientDocument | None = None
        self._send = send
        self._rejoin = rejoin
        self._emit = emit
        self._pacer = pacer
        self._loop = asyncio.get_running_loop()
        self._is_joined = False
        self._missed = 0  # operations that a recovery has announced and that have not arrived
        self._sent_id = ""  # the operation that the gateway was sent on this connection and has not answered
        self._timer: asyncio.TimerHandle | None = None
        self._waiting: list[asyncio.Future[int]] = []  # for the operation in flight
        self._waiting_for_buffer: list[asyncio.Future[int]] = []
        self._parted: FastcollabError | None = None  # why the room is being joined again

    # What the program does

    def edit(self, operation: Operation) -> None:
        self._joined_document().edit(operation)
        self._advance()

    async def settled(self) -> int:
        """Waits until all that was edited so far is acknowledged, and returns the version that this made.

        Raises the error with which the gateway refused it, or ConnectionClosed.
        """
        document = self._joined_document()
        if document.state is Synchronization.SYNCHRONIZED:
            return document.version
        in_buffer = document.state is Synchronization.AWAITING_WITH_BUFFER
        future: asyncio.Future[int] = self._loop.create_future()
        (self._waiting_for_buffer if in_buffer else self._waiting).append(future)
        return await future

    # What the gateway answers

    def join_request(self) -> dict[str, Any]:
        """What ``join_room`` says about the document that is here already."""
        if self.document is None or isinstance(self._parted, ProtocolError):
            return {}
        return {"lastSyncVersion": self.document.version, "epoch": self.document.epoch}

    def joined(self, state: dict[str, Any], recovery: dict[str, Any]) -> None:
        """``room_joined``: the full state, or an announcement of the operations missed."""
        self._is_joined = True
        self._missed = 0
        self._sent_id = ""
        if self.document is None:
            self.document = ClientDocument(ot.types[state["type"]], state["data"], state["version"], state["epoch"])
        elif recovery.get("recovered"):
            self._missed = recovery["missed"]
        else:
            self._replace(self.document, state)
        self._parted = None
        self._advance()

    def received(self, operation: Operation, version: int, user_id: str, message_id: str) -> None:
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
            except VersionGap as gap:
                self._part(gap)
                return
            self._emit("operation", RemoteOperation(change, user_id, version))
        # Otherwise a recovery repeats what had arrived while the room was being joined again.
        self._advance()

    def acknowledged(self, message_id: str, version: int) -> None:
        """``ack`` of an operation; one that is not in flight any more is of no interest."""
        document = self._joined_document()
        if self._parted is not None or document.in_flight is None:
            return
        if document.in_flight.message_id == message_id:
            try:
                document.acknowledged(version)
            except VersionGap as gap:
                self._part(gap)
                return
            self._settle(lambda future: future.set_result(version))

    def refused(self, message_id: str, error: ProtocolError) -> bool:
        """``error`` that answers a message; returns False if that was none of this document's."""
        if not message_id or message_id != self._sent_id:
            return False
        document = self._joined_document()
        self._sent_id = ""
        if isinstance(error, (RateLimited, ServiceUnavailable)):
            self._advance_after(error.details.get("retryAfterMs", RETRY_DELAY * 1000) / 1000)
        elif isinstance(error, (VersionMismatch, ChecksumFailed)):
            self._part(error)
        else:
            refusal = document.refused()
            self._emit("operation", RemoteOperation(refusal.change, None, document.version))
            self._emit("rejected", Rejection((refusal.operation,), error))
            self._settle(lambda future: future.set_exception(error))
        return True

    def suspend(self, reason: FastcollabError) -> None:
        """The room is not joined any more. What is pending stays, and is sent when it is joined again."""
        self._is_joined = False
        self._parted = None
        self._sent_id = ""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._fail_all(reason)

    # The traffic

    def _joined_document(self) -> ClientDocument:
        if self.document is None:
            raise FastcollabError("the room has not been joined yet")
        return self.document

    def _advance(self) -> None:
        """Sends the operation in flight, unless it is on its way or its time has not come."""
        submission = self._joined_document().in_flight
        if submission is None or submission.message_id == self._sent_id:
            return
        if not self._is_joined or self._parted is not None or self._missed or self._timer is not None:
            return
        now = self._loop.time()
        if delay := self._pacer.delay(now):
            self._advance_after(delay)
            return
        self._pacer.sent(now)
        self._sent_id = submission.message_id
        self._send(submission)

    def _advance_after(self, delay: float) -> None:
        def advance() -> None:
            self._timer = None
            self._advance()

        if self._timer is None:
            self._timer = self._loop.call_later(delay, advance)

    def _settle(self, notify: Callable[[asyncio.Future[int]], None]) -> None:
        """The operation in flight is committed or undone, and the buffer, if there was one, has taken its place."""
        waiting, self._waiting, self._waiting_for_buffer = self._waiting, self._waiting_for_buffer, []
        self._sent_id = ""
        _notify(waiting, notify)
        self._advance()

    def _part(self, reason: FastcollabError) -> None:
        if self._parted is None:
            self._parted = reason
            self._rejoin()

    def _replace(self, document: ClientDocument, state: dict[str, Any]) -> None:
        given_up = document.resync(state["data"], state["version"], state["epoch"])
        if given_up:
            error = self._parted or VersionMismatch("the document has moved on too far to continue from here")
            self._fail_all(error)
            self._emit("rejected", Rejection(given_up, error))
        self._emit("reset", document)

    def _fail_all(self, error: FastcollabError) -> None:
        waiting = self._waiting + self._waiting_for_buffer
        self._waiting, self._waiting_for_buffer = [], []
        _notify(waiting, lambda future: future.set_exception(error))


def _notify(waiting: list[asyncio.Future[int]], notify: Callable[[asyncio.Future[int]], None]) -> None:
    for future in waiting:
        if not future.done():
            notify(future)
