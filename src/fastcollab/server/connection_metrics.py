"""How a connection does, in the terms of the specification's `ConnectionMetrics`."""

from __future__ import annotations

from msgspec import Struct

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
