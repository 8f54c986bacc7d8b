"""Settings of the edge: where clients arrive, what they may send, and how much of it."""

import re
from collections.abc import Callable
from ipaddress import ip_network
from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationInfo, field_validator

from fastcollab.config.section import Section, at_least
from fastcollab.tls import CertificateError, check_pem, server_context

ShadowedLimit = Literal[
    "operations", "messages", "connections_per_user", "rooms_per_user", "connections", "connection_rate"
]
"""A limit that can be in shadow mode."""

_ORIGIN = re.compile(r"\*|null|[a-z*][a-z0-9+.*-]*://[^/?#\s]+")


class ServerConfig(Section):
    """Where the gateway listens, and how it stops."""

    host: str = Field(default="127.0.0.1", min_length=1)
    """Address to listen on; `0.0.0.0` is every IPv4 interface."""

    port: int = Field(default=8080, ge=0, le=65_535)
    """TCP port; 0 takes any free one."""

    workers: int = Field(default=1, ge=1, le=256)
    """Processes that `fastcollab serve` has serve the port. With more than one, `limits.connections`,
    `limits.handshakes`, `limits.connection_rate` and `server.reconnect_rate` are divided among them.
    """

    path: str = Field(default="/ws", pattern=r"^/[^\s?#]*$")
    """Path of the WebSocket end point."""

    handshake_timeout: float = Field(default=10.0, gt=0, le=300)
    """Seconds that a client has from its TCP connection to the end of its upgrade request, TLS included."""

    trusted_proxies: tuple[str, ...] = ()
    """Addresses or networks, such as `10.0.0.0/8`, of proxies that are believed when they say whose connection or
    request they pass on. What others say about that is ignored.
    """

    forwarded_header: Literal["x-forwarded-for", "forwarded"] = "x-forwarded-for"
    """The header in which the trusted proxies do so. The other one is ignored: clients can write into it."""

    proxy_protocol: bool = False
    """Connections come from the trusted proxies alone, and begin with a header of the PROXY protocol, version 1
    or 2.
    """

    shutdown_timeout: float = Field(default=10.0, ge=0, le=3600)
    """Seconds that stopping may take in all: storing what was sent, closing connections, and handing documents
    back. A Redis that does not answer is not waited for any longer; a disk that does not, for a second.
    """

    reconnect_rate: float = Field(default=500.0, gt=0, le=1_000_000)
    """Clients per second that are told to come back when the gateway stops: each is given a time of its own, within
    30 seconds in any case.
    """

    @field_validator("trusted_proxies")
    @classmethod
    def _check_networks(cls, networks: tuple[str, ...]) -> tuple[str, ...]:
        for network in networks:
            try:
                ip_network(network)
            except ValueError as error:
                raise ValueError(f"has {network!r}, which is no address and no network: {error}") from None
        return networks

    @field_validator("proxy_protocol")
    @classmethod
    def _check_proxies(cls, expected: bool, info: ValidationInfo) -> bool:
        if expected and info.data.get("trusted_proxies") == ():
            raise ValueError("needs server.trusted_proxies: the header is taken from nobody else")
        return expected


class TlsConfig(Section):
    """TLS (1.2 and 1.3) on the gateway's own port, where no proxy in front of it takes care of that. The files are read
    again when they change and on SIGHUP.
    """

    certificate_file: Path | None = None
    """PEM file with the certificate, and the chain behind it; not set: no TLS."""

    key_file: Path | None = None
    """PEM file with its private key, not encrypted. It may be the same file."""

    reload_interval: float = Field(default=60.0, ge=0, le=86_400)
    """Seconds after which the gateway looks whether the files have changed; 0: only on SIGHUP."""

    @field_validator("certificate_file")
    @classmethod
    def _check_certificate(cls, certificate: Path | None) -> Path | None:
        if certificate is not None:
            _usable(lambda: check_pem(certificate, "CERTIFICATE"))
        return certificate

    @field_validator("key_file")
    @classmethod
    def _check_files(cls, key: Path | None, info: ValidationInfo) -> Path | None:
        if "certificate_file" not in info.data:
            return key
        certificate: Path | None = info.data["certificate_file"]
        if key is None and certificate is not None:
            raise ValueError("must be set, since tls.certificate_file is")
        if key is not None and certificate is None:
            raise ValueError("is set, and tls.certificate_file is not")
        if key is not None and certificate is not None:
            _usable(lambda: server_context(certificate, key))
        return key


class ClientConfig(Section):
    """What a single connection may do, and what it costs."""

    allowed_origins: tuple[str, ...] = Field(default=("*",), min_length=1)
    """Origins of the web pages that may connect, such as `https://app.example.com` or
    `https://*.example.com`; `*` is every origin. Clients that are no browser send none and may connect.
    """

    max_message_bytes: int = Field(default=1_048_576, ge=1024, le=268_435_456)
    """Largest message of a client, bytes."""

    max_outbound_bytes: int = Field(default=8_388_608, ge=65_536, le=1_073_741_824)
    """Bytes that may wait for one slow connection before it is closed."""

    heartbeat_interval: float = Field(default=25.0, gt=0, le=3600)
    """Seconds of silence after which a connection is pinged."""

    read_buffer_bytes: int = Field(default=2048, ge=2048, le=1_048_576)
    """Initial read buffer of a connection, bytes: most of an idle connection's memory. It grows with
    larger messages.
    """

    @field_validator("allowed_origins")
    @classmethod
    def _check_origins(cls, origins: tuple[str, ...]) -> tuple[str, ...]:
        for origin in origins:
            if not _ORIGIN.fullmatch(origin):
                raise ValueError(
                    f"has {origin!r}, which no browser sends as an origin: write scheme://host or "
                    "scheme://host:port, in lower case and without a path or a final slash"
                )
        return origins

    @field_validator("max_outbound_bytes")
    @classmethod
    def _check_outbound(cls, size: int, info: ValidationInfo) -> int:
        return at_least(size, info, "max_message_bytes", "client")


class CompressionConfig(Section):
    """Compression of WebSocket messages (permessage-deflate), with clients that offer it."""

    enabled: bool = True
    """Agree to compression."""

    cursors: bool = True
    """Compress batched frames too, once for all members of a room, where they get shorter by a tenth."""

    threshold: int = Field(default=1024, ge=0, le=268_435_456)
    """Messages shorter than this are sent as they are, bytes."""

    level: int = Field(default=1, ge=0, le=3)
    """0 is fastest, 3 makes messages shortest."""

    memory_level: int = Field(default=8, ge=1, le=9)
    """Memory of a compressor: with more it is faster, and messages get shorter."""

    window_bits: int = Field(default=15, ge=9, le=15)
    """Largest window in either direction, as the exponent of a power of two: how far back a message may refer."""

    server_context_takeover: bool = False
    """Let messages to a client refer to its earlier ones. That makes them shorter; but each is compressed for each
    connection anew, with a compressor of its own, of 44 KiB.
    """

    client_context_takeover: bool = False
    """Let messages of a client refer to its earlier ones. That makes them shorter; but a connection that has sent a
    compressed message takes up to 24 KiB more.
    """

    large_bytes: int = Field(default=65_536, ge=1024, le=268_435_456)
    """Text messages from this length on are compressed on a thread."""

    concurrency: int = Field(default=10, ge=1, le=100)
    """How many of these are compressed at the same time."""


class LimitsConfig(Section):
    """How fast clients may send, and how much of the gateway one user may take."""

    cursor_updates: int = Field(default=60, ge=1, le=1_000_000)
    """Cursor updates per second of one participant."""

    operations: int = Field(default=30, ge=1, le=1_000_000)
    """Operations per second of one user, over all connections."""

    messages: int = Field(default=120, ge=1, le=1_000_000)
    """Other messages per second of one user, over all connections."""

    burst: float = Field(default=2.0, ge=1, le=60)
    """How many seconds' worth of each of these may come at once."""

    frames: int = Field(default=0, ge=0, le=10_000_000)
    """WebSocket frames per second that are read of one connection; what comes faster waits in its socket. 0: three
    times as many as `operations` and `messages` together.
    """

    connections_per_user: int = Field(default=5, ge=1, le=1_000_000)
    """Connections of one user at a time."""

    rooms_per_user: int = Field(default=10, ge=1, le=1_000_000)
    """Rooms that one user may be in at a time, over all connections."""

    connections: int = Field(default=0, ge=0, le=10_000_000)
    """Connections of the whole gateway; 0: no limit."""

    handshakes: int = Field(default=4096, ge=1, le=1_000_000)
    """Connections of the whole gateway whose upgrade request is not complete yet. They do not count as connections."""

    connection_rate: int = Field(default=200, ge=0, le=1_000_000)
    """Connections per second from one address, or one network of 64 bits of IPv6; `limits.burst` seconds' worth may
    come at once. 0: no limit.
    """

    shadow: tuple[ShadowedLimit, ...] = ()
    """Limits of this section that are tried out: what exceeds them is counted and logged, and let through. Of
    `operations`, `messages`, `connections_per_user`, `rooms_per_user`, `connections` and `connection_rate`.
    """


def _usable(use: Callable[[], object]) -> None:
    try:
        use()
    except CertificateError as error:
        raise ValueError(f"names {error}") from None
