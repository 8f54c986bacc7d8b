"""Where an operation is in a trace, as W3C Trace Context writes it: ``traceparent``.

::

    00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01
    version   the trace's id              the span's id  flags: 1, it is recorded; 2, the trace's id is random

What comes from a client is untrusted and optional. What is no traceparent counts as none, as the recommendation has it
(https://www.w3.org/TR/trace-context/): whoever makes a mistake there loses the trace and nothing else.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType

#: Of operations none of which is part of a trace.
NO_TRACES: Mapping[int, str] = MappingProxyType({})

_RECORDED = 1
_KNOWN_FLAGS = 3

#: Of any version, of which a later one may add fields; how long they may be is bounded.
_TRACEPARENT = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-[\x21-\x7e]{0,200})?")


def canonical(value: object) -> str | None:
    """The traceparent that `value` is, in the form of version 00: 55 characters; None: it is none."""
    match = _TRACEPARENT.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        return None
    version, trace_id, span_id, flags, more = match.groups()
    if version == "ff" or (version == "00" and more is not None) or not (int(trace_id, 16) and int(span_id, 16)):
        return None
    return traceparent(int(trace_id, 16), int(span_id, 16), int(flags, 16) & _KNOWN_FLAGS)


def traceparent(trace_id: int, span_id: int, flags: int) -> str:
    return f"00-{trace_id:032x}-{span_id:016x}-{flags:02x}"


def parts(canonical: str) -> tuple[int, int, int]:
    """The ids of trace and span, and the flags, of a traceparent in canonical form."""
    _, trace_id, span_id, flags = canonical.split("-")
    return int(trace_id, 16), int(span_id, 16), int(flags, 16)


def is_recorded(canonical: str) -> bool:
    """Whether whoever made the span records it."""
    return bool(int(canonical[-2:], 16) & _RECORDED)


def unrecorded(canonical: str) -> str:
    """The same place in the trace, for whoever comes after one that does not record."""
    trace_id, span_id, flags = parts(canonical)
    return traceparent(trace_id, span_id, flags & ~_RECORDED)


def log_fields(canonical: str | None) -> dict[str, str]:
    """What a log event about an operation says of its trace: `trace_id` and `span_id`, if it is part of one."""
    if canonical is None:
        return {}
    _, trace_id, span_id, _ = canonical.split("-")
    return {"trace_id": trace_id, "span_id": span_id}
