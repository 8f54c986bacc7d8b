"""Operations in traces of OpenTelemetry: from the client that sends one to those that apply it.

::

    client's span
      └─ operation              here, from its arrival to its ack or error
           ├─ stage             checked, transformed, applied
           ├─ append            until the store has it
           ├─ broadcast         acknowledged, and told to the others
           ├─ apply             at each client that traces, at this gateway
           └─ follow            at each other node where the room is open
                └─ apply        at each client there that traces

What is told of an operation has the place of this gateway's span in it, in place of the sender's, so that all that
comes after is below it. Operations of one batch take each step together, and each has a span for it.

A client that traces says of each operation whether it is recorded (the *sampled* flag), and the sampler follows that if
it is one of the parent-based, as it is by default. As many as any client likes would be too many: unless clients are
trusted, no more of those are recorded per second than the configuration says, and the others are marked as not recorded
for all who come after. What begins here, since its client does not trace, is up to the sampler, and ends here.

This module imports OpenTelemetry, and is imported only where tracing is on.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from threading import Thread
from typing import Any

from msgspec.structs import replace
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Span, SpanKind, Status, StatusCode, Tracer

import fastcollab
from fastcollab import messages, spans, trace_context
from fastcollab.config import TracingConfig
from fastcollab.core.document import Author, Committed
from fastcollab.core.effects import Effect, Send
from fastcollab.core.limits import TokenBucket
from fastcollab.core.session import Session
from fastcollab.errors import ProtocolError, RateLimited
from fastcollab.server._pump import now_ns
from fastcollab.server.drain import Deadline

#: How long (s) the collector has to take the last spans, when the gateway stops.
_LAST_SPANS = 2.0


class _Traced:
    """An operation on its way, with the span of the step that it is in, if it is in one."""

    __slots__ = ("_step", "span")

    def __init__(self, span: Span) -> None:
        self.span = span
        self._step: Span | None = None

    def reached(self, tracer: Tracer, step: str) -> None:
        if self._step is not None:
            self._step.end()
        self._step = tracer.start_span(step, trace.set_span_in_context(self.span, Context()))

    def ended(self) -> None:
        if self._step is not None:
            self._step.end()
        self.span.end()


class Tracing:
    """The spans of one gateway, `node`. They go to the program's tracer provider if it has set one, and otherwise to
    one of this gateway's own, which takes its settings from the environment (``OTEL_*``).
    """

    def __init__(self, config: TracingConfig, node: str) -> None:
        provider = trace.get_tracer_provider()
        self._provider = _own_provider(node) if isinstance(provider, trace.ProxyTracerProvider) else None
        self._tracer = (self._provider or provider).get_tracer("fastcollab", fastcollab.__version__)
        self._node = node
        self._trusts_clients = config.trust_clients
        self._bucket = TokenBucket("traces", config.client_rate, 1.0)
        self._bucket_full_at = 0
        #: The operations that are recorded and not answered yet.
        self._open: dict[Author, _Traced] = {}

    async def close(self, deadline: Deadline) -> None:
        """Exports what there is, if that can be done in time."""
        for traced in self._open.values():
            traced.ended()
        self._open.clear()
        if self._provider is not None:
            loop, ended, provider = asyncio.get_running_loop(), asyncio.Event(), self._provider

            def end() -> None:
                provider.shutdown()
                with contextlib.suppress(RuntimeError):  # the loop has not waited for it
                    loop.call_soon_threadsafe(ended.set)

            # In a thread that the process does not wait for either, should there be no collector.
            Thread(target=end, name="last spans", daemon=True).start()
            await deadline.wait(ended, _LAST_SPANS)

    # --- an operation that a client sends -----------------------------------------------------------------------------

    @contextmanager
    def received(self, session: Session, message: messages.Operation) -> Iterator[messages.Operation]:
        """Inside, the operation is carried out, as the message that this gives; if that fails it has ended, and
        otherwise it ends when it is answered (:meth:`answering`).
        """
        given = trace_context.canonical(message.payload.traceparent)
        author = Author(session.identity.user_id if session.registered else "", message.id)
        if not session.authenticated or author in self._open:
            yield message
        elif given is not None and trace_context.is_recorded(given) and not self._believes():
            yield _placed(message, trace_context.unrecorded(given))
        elif not (span := self._begun(session, message, given)).is_recording():
            yield message
        else:
            traced = self._open[author] = _Traced(span)
            try:
                yield message if given is None else _placed(message, spans.traceparent_of(span))
            except Exception as error:
                self._open.pop(author, None)
                _failed(span, error)
                traced.ended()
                raise

    def reached(self, step: str, authors: Iterable[Author]) -> None:
        """These have come to the next step of their way."""
        if self._open:
            for author in authors:
                if (traced := self._open.get(author)) is not None:
                    traced.reached(self._tracer, step)

    def answering(self, carry_out: Callable[[list[Effect]], None]) -> Callable[[list[Effect]], None]:
        """`carry_out` for effects among which are the answers to operations: the ways of those end there."""

        def traced(effects: list[Effect]) -> None:
            answered = list(self._answered(effects)) if self._open else ()
            carry_out(effects)
            for each in answered:
                each.ended()

        return traced

    def _answered(self, effects: list[Effect]) -> Iterator[_Traced]:
        for effect in effects:
            match effect:
                case Send([Session() as sender], messages.Ack(message_id=message_id, version=version)):
                    if (traced := self._open.pop(Author(sender.identity.user_id, message_id), None)) is not None:
                        traced.reached(self._tracer, "broadcast")
                        traced.span.set_attribute(spans.VERSION, version or 0)
                        yield traced
                case Send([Session() as sender], messages.ErrorSent(details=dict() as details) as refusal):
                    author = Author(sender.identity.user_id, details.get("messageId", ""))
                    if (traced := self._open.pop(author, None)) is not None:
                        spans.refused(traced.span, refusal.code, refusal.message)
                        yield traced

    def _begun(self, session: Session, message: messages.Operation, given: str | None) -> Span:
        room = session.active_room
        room_id = message.room_id or (None if room is None else room.id)
        return self._tracer.start_span(
            "operation",
            spans.below(given),
            SpanKind.SERVER,
            {
                **({} if room_id is None else {spans.ROOM: room_id}),
                spans.CONNECTION: session.connection_id,
                spans.USER: session.identity.user_id,
                spans.MESSAGE: message.id,
                spans.NODE: self._node,
                spans.WRITTEN_AGAINST: message.payload.version,
            },
        )

    # --- operations that another node tells of ------------------------------------------------------------------------

    @contextmanager
    def following(
        self, room_id: str, entries: Sequence[Committed], traceparents: Mapping[int, str]
    ) -> Iterator[Mapping[int, str]]:
        """Inside, `entries` are taken in, which are there in their traces; gives the places below which clients are."""
        told, followed = dict(traceparents), []
        for entry in entries:
            given = traceparents.get(entry.version)
            if given is None or not trace_context.is_recorded(given):
                continue
            if not self._believes():
                told[entry.version] = trace_context.unrecorded(given)
                continue
            attributes: dict[str, str | int] = {
                spans.ROOM: room_id,
                spans.MESSAGE: entry.message_id,
                spans.NODE: self._node,
                spans.VERSION: entry.version,
            }
            span = self._tracer.start_span("follow", spans.below(given), SpanKind.CONSUMER, attributes)
            followed.append(span)
            told[entry.version] = spans.traceparent_of(span) or given
        try:
            yield told
        finally:
            for span in followed:
                span.end()

    def _believes(self) -> bool:
        """Whether one more may be recorded because a client says so, here or at another node."""
        if not self._trusts_clients:
            try:
                self._bucket_full_at = self._bucket.take(self._bucket_full_at, now_ns())
            except RateLimited:
                return False
        return True


def _own_provider(node: str) -> TracerProvider:
    """A provider as the environment wants it; what that does not say of the service is said here."""
    ours: dict[str, Any] = {
        "service.name": "fastcollab",
        "service.version": fastcollab.__version__,
        "service.instance.id": node,
    }
    provider = TracerProvider(resource=Resource.create(ours).merge(OTELResourceDetector().detect()))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return provider


def _placed(message: messages.Operation, traceparent: str | None) -> messages.Operation:
    """The message, as one of this place in its trace."""
    return replace(message, payload=replace(message.payload, traceparent=traceparent))


def _failed(span: Span, error: Exception) -> None:
    if isinstance(error, ProtocolError):
        spans.refused(span, int(error.code), error.message)
    else:
        span.record_exception(error)
        span.set_status(Status(StatusCode.ERROR))
