"""A client's operations in traces of OpenTelemetry, where its program wants that.

An operation is in a span ``edit`` from when it is made, in the context of whoever edits, until the gateway has answered
it. What is composed into it while the one before is on its way is in the span of the first edit. When an operation of
somebody else arrives that is part of a trace, it is applied in a span ``apply`` below that place, and handlers are
called inside it.

The tracer is that of the program's provider. This module imports OpenTelemetry, and is imported only if asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from opentelemetry import trace
from opentelemetry.trace import Span, SpanKind, Status, StatusCode

from fastcollab import spans, trace_context
from fastcollab.client.document import ClientDocument, Operation, Synchronization
from fastcollab.client.synchronizer import Watcher


class RoomTracing:
    """That of one room: a watcher of its document, in front of another one. ``document`` is there once the room was
    joined.
    """

    def __init__(self, room_id: str, watcher: Watcher, document: Callable[[], ClientDocument | None]) -> None:
        self._room_id = room_id
        self._watcher = watcher
        self._document = document
        self._tracer = trace.get_tracer("fastcollab.client")
        self._message_id = ""
        self._in_flight: Span | None = None
        self._buffer: Span | None = None

    @property
    def traceparent(self) -> str | None:
        """The place of the operation in flight; None: it is in no trace."""
        return None if self._in_flight is None else spans.traceparent_of(self._in_flight)

    @contextmanager
    def applying(self, broadcast: Mapping[str, Any]) -> Iterator[None]:
        """Inside, an operation is taken in that the gateway has told."""
        given = trace_context.canonical(broadcast.get("traceparent"))
        if given is None:
            yield
            return
        attributes = {
            spans.ROOM: self._room_id,
            spans.MESSAGE: broadcast["messageId"],
            spans.VERSION: broadcast["transformedVersion"],
        }
        with self._tracer.start_as_current_span("apply", spans.below(given), SpanKind.CONSUMER, attributes):
            yield

    # As a watcher

    def content_changed(self, operation: Operation, user_id: str | None, document: ClientDocument) -> None:
        if user_id is None and self._in_flight is not None:
            self._in_flight.set_status(Status(StatusCode.ERROR, "the gateway has refused it"))
        self._look(document)
        self._watcher.content_changed(operation, user_id, document)

    def committed(self, operation: Operation, user_id: str, document: ClientDocument) -> None:
        self._look(document)
        self._watcher.committed(operation, user_id, document)

    def content_replaced(self) -> None:
        if (document := self._document()) is not None:
            self._look(document)
        self._watcher.content_replaced()

    def _look(self, document: ClientDocument) -> None:
        """Has a span for each operation that is pending, and for no other."""
        pending = document.in_flight
        message_id = "" if pending is None else pending.message_id
        if message_id != self._message_id:
            _end(self._in_flight)
            self._message_id, self._in_flight = message_id, None
            if message_id:
                self._in_flight, self._buffer = self._buffer or self._begin(), None
        if document.state is not Synchronization.AWAITING_WITH_BUFFER:
            _end(self._buffer)
            self._buffer = None
        elif self._buffer is None:
            self._buffer = self._begin()

    def _begin(self) -> Span:
        return self._tracer.start_span("edit", kind=SpanKind.PRODUCER, attributes={spans.ROOM: self._room_id})


def _end(span: Span | None) -> None:
    if span is not None:
        span.end()
