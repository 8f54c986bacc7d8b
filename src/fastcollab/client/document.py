"""The client's half of operational transformation, over any document type.

The gateway puts all operations on a document in one order. A client does not wait for it: it applies its user's
operations at once and tells the gateway afterwards. Until all of them have come back, its copy is ahead::

    confirmed ──in flight──▶ · ──buffer──▶ content
     (version)    (a)             (b)

``confirmed`` is the document at ``version``, the newest version of which everything is known. At most one operation
``a`` is in flight: sent, with an id, and not acknowledged. What the user does meanwhile is composed into one buffer
``b``. So the document is in one of three states::

    SYNCHRONIZED ──edit──▶ AWAITING ──edit──▶ AWAITING_WITH_BUFFER ⟲ edit
          ▲                 │    ▲                   │
          └──acknowledged───┘    └───acknowledged────┘   the buffer is now in flight

When another's operation ``r`` arrives, it follows ``confirmed`` and not ``content``. It is carried along the upper side
of the diagram, and the client's own operations down to its lower side::

    confirmed ───a───▶ · ───b───▶ content           r'  = transform(r,  a, right)   a' = transform(a, r,  left)
        │r             │r'           │r''           r'' = transform(r', b, right)   b' = transform(b, r', left)
        ▼              ▼             ▼
    confirmed'───a'──▶ · ───b'──▶ content'

The sides are fixed: the gateway transforms the newcomer, which ``a`` is to it, on the left. Since both halves compute
the same squares, and each square closes, ``confirmed'`` is the same on every client and so is, once all is
acknowledged, ``content``. This also makes ``(a', version)`` as good as the operation that was sent: a client that
reconnects applies what it missed in order and sends ``a'`` again under the same id. If the gateway had committed ``a``
before, then the missed operations contain it, and seeing its id among them is the acknowledgement.

Operations are rolled back in two cases only, and are then handed back to the caller: the gateway refused the one in
flight (its inverse is carried over the buffer, which survives), or the gateway answered with a full state that does
not continue ``version`` (a different epoch, or a gap that was trimmed). Then nobody can say what the pending
operations would mean there.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import Any, NamedTuple
from uuid import uuid4

from fastcollab.errors import FastcollabError, VersionGap
from fastcollab.ot import DocumentType, OperationError, inverts_exactly

Operation = Any  # a JSON value, of the document's type


class Synchronization(Enum):
    """How far a document is ahead of what the gateway has acknowledged."""

    SYNCHRONIZED = "synchronized"
    AWAITING = "awaiting"
    AWAITING_WITH_BUFFER = "awaiting with buffer"


class Submission(NamedTuple):
    """An operation to send: ``message_id`` is its idempotency key, ``version`` what it was written against."""

    message_id: str
    operation: Operation
    version: int


class Refusal(NamedTuple):
    """What a refusal did: the operation that was undone, how the content changed, and what to send next."""

    operation: Operation
    change: Operation
    next: Submission | None


class ClientDocument:
    """One client's copy of a document, with the operations that the gateway has not acknowledged yet.

    ``data`` is the document at ``version``; ``epoch`` names the life of the document that the version belongs to.
    ``new_id`` makes the ids of operations. The document does no input or output: what its methods return is to be
    sent, and what arrives is to be told to it, in order.
    """

    def __init__(
        self,
        type: DocumentType,  # noqa: A002 - the field's word, as in documentState
        data: Any,
        version: int,
        epoch: str,
        *,
        new_id: Callable[[], str] = lambda: str(uuid4()),
    ) -> None:
        self.type = type
        self.version = version
        self.epoch = epoch
        self.content = data
        self.confirmed = data
        self._new_id = new_id
        self._is_exact = inverts_exactly(type)
        self._message_id = ""
        self._in_flight: Operation | None = None
        self._buffer: Operation | None = None

    def __repr__(self) -> str:
        return f"<ClientDocument {self.type.name} version {self.version}, {self.state.value}>"

    @property
    def state(self) -> Synchronization:
        if not self._message_id:
            return Synchronization.SYNCHRONIZED
        if self._buffer is None:
            return Synchronization.AWAITING
        return Synchronization.AWAITING_WITH_BUFFER

    @property
    def in_flight(self) -> Submission | None:
        """The operation not acknowledged, as it reads at ``version``: what to send again after a reconnect."""
        if not self._message_id:
            return None
        return Submission(self._message_id, self._in_flight, self.version)

    @property
    def pending(self) -> tuple[Operation, ...]:
        """The operations that lie between ``confirmed`` and ``content``, in order."""
        match self.state:
            case Synchronization.SYNCHRONIZED:
                return ()
            case Synchronization.AWAITING:
                return (self._in_flight,)
            case Synchronization.AWAITING_WITH_BUFFER:
                return (self._in_flight, self._buffer)

    def edit(self, operation: Operation) -> Submission | None:
        """Applies the user's operation to ``content``, and returns what to send now, if anything.

        Raises OperationError for an operation that does not fit, and then changes nothing.
        """
        operation = self.type.normalize(operation)
        content = self.type.apply(self.content, operation)
        if not self._message_id:
            self.content = content
            return self._launch(operation)
        if self._buffer is None:
            self._buffer = operation
        else:
            self._buffer = self.type.compose(self._buffer, operation)
        self.content = content
        return None

    def acknowledged(self, version: int) -> Submission | None:
        """The operation in flight was committed as ``version``; returns the next one to send, if there is one.

        Raises VersionGap if ``version`` is not the next one, and FastcollabError if nothing is in flight.
        """
        self._expect_in_flight()
        self._expect_next(version)
        if self._buffer is None and self._is_exact:
            self.confirmed = self.content
        else:
            self.confirmed = self.type.apply(self.confirmed, self._in_flight)
            if self._buffer is None:
                # The gateway has applied at once what was applied here part by part, and sums may round otherwise.
                self.content = self.confirmed
        self.version = version
        return self._advance()

    def remote(self, operation: Operation, version: int) -> Operation:
        """Takes in another's operation, which makes ``version``; returns it as it changed ``content``.

        Raises VersionGap if ``version`` is not the next one, and then changes nothing.
        """
        self._expect_next(version)
        if not self._message_id:
            self.content = self.confirmed = self.type.apply(self.confirmed, operation)
            self.version = version
            return operation
        transform = self.type.transform
        confirmed = self.type.apply(self.confirmed, operation)
        in_flight = transform(self._in_flight, operation, "left")
        change = transform(operation, self._in_flight, "right")
        buffer = self._buffer
        if buffer is not None:
            buffer, change = transform(buffer, change, "left"), transform(change, buffer, "right")
        self.content = self.type.apply(self.content, change)
        self.confirmed, self._in_flight, self._buffer, self.version = confirmed, in_flight, buffer, version
        return change

    def refused(self) -> Refusal:
        """The gateway will not commit the operation in flight: undoes it, and keeps the buffer that follows it."""
        self._expect_in_flight()
        operation = self._in_flight
        change = self.type.invert(operation, self.confirmed)
        if self._buffer is not None:
            buffer = self._buffer
            self._buffer = self.type.transform(buffer, change, "left")
            change = self.type.transform(change, buffer, "right")
        self.content = self.type.apply(self.content, change)
        return Refusal(operation, change, self._advance())

    def resync(self, data: Any, version: int, epoch: str) -> tuple[Operation, ...]:
        """Starts afresh from the gateway's full state, and returns the pending operations that were given up.

        They are kept, the one in flight with its id, if the state is the very version that they follow and they
        fit it. Of those given up, the one that was in flight may nevertheless have been committed.
        """
        pending = self.pending
        same_base = epoch == self.epoch and version == self.version
        self.confirmed, self.version, self.epoch = data, version, epoch
        if same_base:
            try:
                content = data
                for operation in pending:
                    content = self.type.apply(content, operation)
            except OperationError:
                pass
            else:
                self.content = content
                return ()
        self.content = data
        self._message_id, self._in_flight, self._buffer = "", None, None
        return pending

    def confirmed_position(self, position: Any) -> Any:
        """Where a position in ``content`` is in ``confirmed``, so that others can be told of it with ``version``."""
        before = self.confirmed
        inverses = []
        for operation in self.pending:
            inverses.append(self.type.invert(operation, before))
            before = self.type.apply(before, operation)
        for inverse in reversed(inverses):
            position = self.type.transform_position(position, inverse)
        return position

    def _launch(self, operation: Operation) -> Submission:
        self._message_id = self._new_id()
        self._in_flight = operation
        return Submission(self._message_id, self._in_flight, self.version)

    def _advance(self) -> Submission | None:
        """The operation in flight is settled: the buffer, if there is one, takes its place."""
        buffer, self._buffer = self._buffer, None
        self._message_id, self._in_flight = "", None
        return None if buffer is None else self._launch(buffer)

    def _expect_in_flight(self) -> None:
        if not self._message_id:
            raise FastcollabError("no operation is in flight")

    def _expect_next(self, version: int) -> None:
        if version != self.version + 1:
            raise VersionGap(self.version, version)
