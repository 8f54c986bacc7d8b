"""How a connection does, in the terms of the specification's `ConnectionMetrics`, and what signs it shows."""

from __future__ import annotations

from msgspec import Struct

from fastcollab.core.concern import Signs
from fastcollab.core.limits import SECOND
from fastcollab.server._listener import Connection


class Bandwidth(Struct, frozen=True):
    """Bytes per second on the connection, frames with their headers, as compressed; TLS comes on top."""

    inbound: float
    outbound: float


class ConnectionMetrics(Struct, frozen=True, rename="camel"):
    """As of a second ago at most; as JSON it is what the specification calls so.

    `latency` is the round-trip time of the newest ping in ms, None before the first (K1). `message_rate` is per second,
    both ways, over about ten seconds, as is the bandwidth; `error_rate` is of errors that the client was told, per
    minute, over about one. `reconnections` is how often a lost connection was taken up (S7), in a row up to this one,
    as far as this gateway has seen it.
    """

    latency: float | None
    message_rate: float
    error_rate: float
    reconnections: int
    bandwidth: Bandwidth

    @classmethod
    def of(cls, connection: Connection) -> ConnectionMetrics:
        messages, inbound, outbound, errors = connection.rates
        latency = connection.latency
        return cls(
            latency=None if latency is None else latency * 1000,
            message_rate=messages,
            error_rate=errors,
            reconnections=connection.reconnections,
            bandwidth=Bandwidth(inbound, outbound),
        )


def signs_of(connection: Connection, now: int) -> Signs:
    """What is to be judged of it at `now` (ns, monotonic)."""
    skipped, refusals = connection.setbacks
    latency = connection.latency
    return Signs(
        behind(connection, now), skipped, refusals, connection.rates[3], None if latency is None else latency * 1000
    )


def behind(connection: Connection, now: int) -> float:
    """For how long (s) it has not taken all that it was sent."""
    return (now - connection.behind_since) / SECOND if connection.behind_since else 0.0
