"""What a gateway tells Prometheus: each metric is described once, in `FAMILIES`, with where its values come from.

Nothing is kept here. Whoever asks has everything read that is counted elsewhere: by the compiled parts
(:mod:`fastcollab.server._meter`), in Python (:mod:`fastcollab.server.tallies`), and what there is at that moment. So
metrics cost nothing while nobody asks, but for the counting.

Labels have few values, which are known before: types, codes, names of limits. Nobody makes a time series by what he
sends, and none is by room or user. A series whose values are known is there from the start, at 0, since a counter that
appears with its first event shows no increase.

Several processes of one gateway (:mod:`fastcollab.serving`) tell each its own, with a label `worker`.
"""

from __future__ import annotations

import platform
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import version
from math import inf
from typing import Any, Generic, Literal, TypeVar

from prometheus_client import ProcessCollector
from prometheus_client.metrics_core import Metric

from fastcollab import messages, ot
from fastcollab.core.limit_guard import Excess, LimitGuard
from fastcollab.core.session import SessionState
from fastcollab.errors import CloseCode, ErrorCode
from fastcollab.server._listener import Census, take_census
from fastcollab.server._meter import Histogram, Meter, Stream
from fastcollab.server.dispatcher import Dispatcher
from fastcollab.server.tallies import INVALID, Amounts, Tallies

T = TypeVar("T")

#: Values by label values, in the order of the labels.
Values = Mapping[tuple[str, ...], float | Histogram]

#: A close frame without a code, which counts as one (RFC 6455, 7.1.5).
_NO_STATUS = 1005
_CLOSE_CODES = (*(int(code) for code in CloseCode), _NO_STATUS)
_STATUSES = (400, 403, 404, 408, 414, 426, 429, 431, 500, 503)
_STORE_CALLS = ("append", "create", "history", "load", "results", "snapshot")
_LANES = ("commits", "queries")
_LIMITS = ("connections", "connections_per_user", "connection_rate", "messages", "operations", "rooms_per_user")
_VERSION = version("fastcollab")


@dataclass(frozen=True, slots=True)
class Family(Generic[T]):
    """One metric: its name, what it tells, and how it is read. `labels` are those of the keys that `read` gives."""

    kind: Literal["counter", "gauge", "histogram"]
    name: str
    help: str
    read: Callable[[T], Values]
    labels: tuple[str, ...] = ()

    def tell(self, look: T) -> Metric:
        # The library adds the ending of counters to their samples.
        metric = Metric(self.name.removesuffix("_total"), self.help, self.kind)
        for values, value in self.read(look).items():
            labels = dict(zip(self.labels, values, strict=True))
            if isinstance(value, Histogram):
                _tell_histogram(metric, labels, value)
            else:
                metric.add_sample(self.name, labels, value)
        return metric


def _tell_histogram(metric: Metric, labels: dict[str, str], histogram: Histogram) -> None:
    buckets = histogram.buckets()
    for bound, count in buckets:
        metric.add_sample(f"{metric.name}_bucket", {**labels, "le": "+Inf" if bound == inf else str(bound)}, count)
    metric.add_sample(f"{metric.name}_count", labels, buckets[-1][1])
    metric.add_sample(f"{metric.name}_sum", labels, histogram.sum)


@dataclass(frozen=True)
class Look:
    """One look at a gateway. `engine` is the kind of its store."""

    dispatcher: Dispatcher
    meter: Meter
    tallies: Tallies
    guard: LimitGuard
    faults: Sequence[str]
    engine: str

    @cached_property
    def census(self) -> Census:
        return take_census(self.dispatcher.connections.values())

    @property
    def users(self) -> int:
        sessions = (connection.session for connection in self.dispatcher.connections.values())
        return len({session.identity.user_id for session in sessions if session.registered})

    @property
    def states(self) -> Counter[str]:
        return Counter(connection.session.state.value for connection in self.dispatcher.connections.values())


def collect(look: Look) -> Iterator[Metric]:
    """All metrics of the gateway, and those of its process."""
    for family in FAMILIES:
        yield family.tell(look)
    yield from of_process()


def of_process() -> Iterable[Metric]:
    """Processor time, memory and descriptors of this process; nothing where there is no /proc."""
    return ProcessCollector(registry=None).collect()


# --- how values are read ----------------------------------------------------------------------------------------------


def _one(read: Callable[[Look], float | Histogram]) -> Callable[[Look], Values]:
    """A metric without labels."""
    return lambda look: {(): read(look)}


def _each(known: Iterable[Any], read: Callable[[Look], Mapping[Any, float]]) -> Callable[[Look], Values]:
    """A metric with one label, whose values are these; whatever else there is counts as "other"."""
    names = tuple(known)

    def values(look: Look) -> Values:
        found: dict[tuple[str, ...], float] = {(str(name),): 0 for name in names}
        for name, value in read(look).items():
            key = (str(name) if name in names else "other",)
            found[key] = found.get(key, 0) + value
        return found

    return values


def _histograms(known: Iterable[str], read: Callable[[Look], Mapping[str, Histogram]]) -> Callable[[Look], Values]:
    """Histograms with one label, of which these are there from the start."""

    def values(look: Look) -> Values:
        histograms = read(look)
        return {(name,): histograms[name] for name in sorted({*known, *histograms})}

    return values


def _flow(
    types: tuple[str, ...], amounts: Callable[[Look], Amounts], streams: Callable[[Meter], tuple[Stream, Stream]]
) -> tuple[Callable[[Look], Values], Callable[[Look], Values]]:
    """Messages and bytes one way, by type: those that are text, and frames of cursors and selections."""
    frames = ("cursor_frame", "selection_frame")
    known = (*types, *frames)

    def messages_of(look: Look) -> Mapping[str, float]:
        counted = (stream.messages for stream in streams(look.meter))
        return {**amounts(look).messages, **dict(zip(frames, counted, strict=True))}

    def bytes_of(look: Look) -> Mapping[str, float]:
        counted = (stream.bytes for stream in streams(look.meter))
        return {**amounts(look).bytes, **dict(zip(frames, counted, strict=True))}

    return _each(known, messages_of), _each(known, bytes_of)


_received, _received_bytes = _flow(
    (*messages.INBOUND_TYPES, INVALID),
    lambda look: look.tallies.received,
    lambda meter: (meter.cursors_received, meter.selections_received),
)
_sent, _sent_bytes = _flow(
    messages.OUTBOUND_TYPES,
    lambda look: look.tallies.sent,
    lambda meter: (meter.cursors_sent, meter.selections_sent),
)


def _exceeded(look: Look) -> Values:
    never = dict.fromkeys(_LIMITS, Excess(0, 0))
    return {
        (limit, outcome): count
        for limit, excess in (never | look.guard.counts()).items()
        for outcome, count in excess._asdict().items()
    }


def _records(look: Look) -> Values:
    meter = look.meter
    return {("cursor",): meter.cursors_sent.records, ("selection",): meter.selections_sent.records}


def _bundles(read: Callable[[Stream], int]) -> Callable[[Look], Values]:
    return lambda look: {
        ("in",): read(look.meter.bundles_received),
        ("out",): read(look.meter.bundles_sent),
    }


FAMILIES: tuple[Family[Look], ...] = (
    # who is there
    Family(
        "gauge",
        "fastcollab_build_info",
        "Always 1; the labels say what runs.",
        lambda look: {(_VERSION, platform.python_version(), look.engine): 1},
        ("version", "python", "engine"),
    ),
    Family(
        "gauge", "fastcollab_ready", "1 if the gateway is ready to serve, else 0.", _one(lambda look: not look.faults)
    ),
    Family(
        "gauge",
        "fastcollab_faults",
        "Faults that keep the gateway from serving as it should; /health/ready has them in words.",
        _one(lambda look: len(look.faults)),
    ),
    Family(
        "gauge",
        "fastcollab_connections",
        "Connections that are open, by the state of their session.",
        _each((state.value for state in SessionState), lambda look: look.states),
        ("state",),
    ),
    Family("gauge", "fastcollab_users", "Users who are connected here.", _one(lambda look: look.users)),
    Family(
        "gauge",
        "fastcollab_slow_connections",
        "Connections that do not take at once what they are sent.",
        _one(lambda look: look.census.slow),
    ),
    Family(
        "gauge",
        "fastcollab_throttled_connections",
        "Connections that are not read for now, since they send faster than all limits allow.",
        _one(lambda look: look.census.throttled),
    ),
    Family("gauge", "fastcollab_rooms", "Rooms that are live.", _one(lambda look: len(look.dispatcher.rooms))),
    Family(
        "gauge",
        "fastcollab_documents",
        "Documents that are open, by type.",
        _each(ot.types, lambda look: Counter(look.dispatcher.rooms.document_types())),
        ("type",),
    ),
    # how they come and go
    Family(
        "counter",
        "fastcollab_connections_opened_total",
        "Connections that were upgraded.",
        _one(lambda look: look.tallies.opened),
    ),
    Family(
        "counter",
        "fastcollab_connections_closed_total",
        "Connections that have ended, by the code of the close frame that came first; 1006: there was none.",
        _each(_CLOSE_CODES, lambda look: look.tallies.closed),
        ("code",),
    ),
    Family(
        "counter",
        "fastcollab_upgrades_refused_total",
        "Upgrade requests that were refused, by HTTP status.",
        _each(_STATUSES, lambda look: look.tallies.refused_upgrades),
        ("status",),
    ),
    Family(
        "counter",
        "fastcollab_resumptions_total",
        "Connections that named an earlier one to take its place, by verdict.",
        _each(("resumed", "unknown"), lambda look: look.tallies.resumptions),
        ("verdict",),
    ),
    Family(
        "counter",
        "fastcollab_recoveries_total",
        "Clients that came back to a document: what they had missed was sent, or all of it, and why.",
        _each(("recovered", "epoch_changed", "gap_trimmed"), lambda look: look.tallies.recoveries),
        ("verdict",),
    ),
    # what goes over the wire
    Family(
        "counter",
        "fastcollab_messages_received_total",
        "Messages from clients, by type; those in a batch count too.",
        _received,
        ("type",),
    ),
    Family(
        "counter",
        "fastcollab_message_bytes_received_total",
        "Bytes of messages from clients before compression, by type; those in a batch are the batch's.",
        _received_bytes,
        ("type",),
    ),
    Family(
        "counter",
        "fastcollab_messages_sent_total",
        "Messages to clients, by type; one to many counts for each.",
        _sent,
        ("type",),
    ),
    Family(
        "counter",
        "fastcollab_message_bytes_sent_total",
        "Bytes of messages to clients before compression, by type.",
        _sent_bytes,
        ("type",),
    ),
    Family(
        "counter",
        "fastcollab_received_bytes_total",
        "Bytes of WebSocket frames from clients as they came, within TLS if there is any.",
        _one(lambda look: look.meter.received_bytes + look.census.received_bytes),
    ),
    Family(
        "counter",
        "fastcollab_sent_bytes_total",
        "Bytes of WebSocket frames to clients as they went, within TLS if there is any.",
        _one(lambda look: look.meter.sent_bytes + look.census.sent_bytes),
    ),
    Family(
        "counter",
        "fastcollab_records_delivered_total",
        "Positions of others, of cursors or selections, that were sent in frames; one to many counts for each.",
        _records,
        ("kind",),
    ),
    # what is refused
    Family(
        "counter",
        "fastcollab_errors_total",
        "Errors that clients were told, by code.",
        _each((int(code) for code in ErrorCode), lambda look: look.tallies.errors),
        ("code",),
    ),
    Family(
        "counter",
        "fastcollab_limit_exceeded_total",
        "How often a limit was exceeded, by its name in the configuration, and whether that was refused or, in shadow "
        "mode, let through.",
        _exceeded,
        ("limit", "outcome"),
    ),
    Family(
        "counter",
        "fastcollab_throttled_total",
        "Pauses in which a connection was not read.",
        _one(lambda look: look.meter.throttled),
    ),
    # how quick it is
    Family(
        "histogram",
        "fastcollab_ping_seconds",
        "Round trips of pings to clients.",
        _one(lambda look: look.meter.ping_seconds),
    ),
    Family(
        "histogram",
        "fastcollab_flush_records",
        "Records in a flush of a room.",
        _one(lambda look: look.meter.flush_records),
    ),
    Family(
        "histogram",
        "fastcollab_flush_seconds",
        "What it took to send a flush to all members of a room.",
        _one(lambda look: look.meter.flush_seconds),
    ),
    Family(
        "histogram",
        "fastcollab_fanout_seconds",
        "From when the oldest record of a flush came in here until its members have been sent it.",
        _one(lambda look: look.meter.fanout_seconds),
    ),
    Family(
        "counter",
        "fastcollab_operations_total",
        "Operations that were committed here, by document type.",
        _each(ot.types, lambda look: look.tallies.operations),
        ("type",),
    ),
    Family(
        "histogram",
        "fastcollab_commit_seconds",
        "From when the first operation of a batch of a room came in until all of it is stored and acknowledged.",
        _one(lambda look: look.tallies.commit_seconds),
    ),
    Family(
        "histogram",
        "fastcollab_store_seconds",
        "Calls to the document store.",
        _histograms(_STORE_CALLS, lambda look: look.tallies.store_seconds),
        ("call",),
    ),
    Family(
        "counter",
        "fastcollab_store_failures_total",
        "Calls to the document store that have failed.",
        _each(_STORE_CALLS, lambda look: look.tallies.store_failures),
        ("call",),
    ),
    Family(
        "histogram",
        "fastcollab_redis_seconds",
        "Commands to Redis, with the time in which they were sent again; commits with what they wait for.",
        _histograms(_LANES, lambda look: look.tallies.redis_seconds),
        ("lane",),
    ),
    Family(
        "counter",
        "fastcollab_redis_failures_total",
        "Commands to Redis that have failed, or whose outcome is not known.",
        _each(_LANES, lambda look: look.tallies.redis_failures),
        ("lane",),
    ),
    # the others
    Family(
        "histogram",
        "fastcollab_bus_seconds",
        "How long this gateway's bundles took through the bus, until they came back to it.",
        _one(lambda look: look.meter.bus_seconds),
    ),
    Family(
        "counter",
        "fastcollab_bundles_total",
        "Bundles on the bus: out, and in from other gateways.",
        _bundles(lambda stream: stream.messages),
        ("direction",),
    ),
    Family(
        "counter",
        "fastcollab_bundle_bytes_total",
        "Bytes of bundles on the bus.",
        _bundles(lambda stream: stream.bytes),
        ("direction",),
    ),
    Family(
        "counter",
        "fastcollab_bundle_gaps_total",
        "How often bundles of another gateway were missing, after which rooms were read again.",
        _one(lambda look: look.meter.gaps),
    ),
    # the process
    Family(
        "histogram",
        "fastcollab_event_loop_lag_seconds",
        "How late the event loop is with what is due; looked at four times a second.",
        _one(lambda look: look.tallies.loop_lag_seconds),
    ),
)
