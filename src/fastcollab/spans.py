"""What spans of the gateway and of the client have in common: what they are below, and the names of their attributes.

This module imports OpenTelemetry, and is imported only where tracing is on.
"""

from __future__ import annotations

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import NonRecordingSpan, Span, SpanContext, Status, StatusCode, TraceFlags

from fastcollab import trace_context

ROOM = "fastcollab.room.id"
CONNECTION = "fastcollab.connection.id"
USER = "fastcollab.user.id"
NODE = "fastcollab.node.id"
MESSAGE = "fastcollab.message.id"
#: The versions of the document that an operation was written against, and that it made.
WRITTEN_AGAINST = "fastcollab.document.written_against"
VERSION = "fastcollab.document.version"
#: An error code of the protocol.
ERROR = "error.type"


def below(traceparent: str | None) -> Context:
    """The context of spans below this place, in canonical form; or of those that begin a trace, if there is none."""
    if traceparent is None:
        return Context()
    trace_id, span_id, flags = trace_context.parts(traceparent)
    parent = SpanContext(trace_id, span_id, is_remote=True, trace_flags=TraceFlags(flags))
    return trace.set_span_in_context(NonRecordingSpan(parent), Context())


def traceparent_of(span: Span) -> str | None:
    """The span's place; None: it is in no trace."""
    context = span.get_span_context()
    if not context.is_valid:
        return None
    return trace_context.traceparent(context.trace_id, context.span_id, int(context.trace_flags))


def refused(span: Span, code: int, why: str) -> None:
    """The operation was refused with an error of the protocol."""
    span.set_attribute(ERROR, str(code))
    span.set_status(Status(StatusCode.ERROR, why))
