"""Every setting with its type, its bounds, its default and its meaning, in one model per section.

The models are the only place where a setting is described: what ``fastcollab config defaults`` prints and
what ``docs/configuration.md`` tabulates is read from them.

Text stands for any type, because the environment and flags have nothing else: numbers and ``true``/``false``
are read from it, and a list is written with commas or as a JSON array.

A validator that compares two settings belongs to the later one of the two, since pydantic checks the fields
of a model in order and shows a validator only those before it. Messages of validators continue a sentence
that begins with the key of the setting: "fanout.max_interval_ms must be at least ...".
"""

import json
import re
from collections.abc import Callable, Mapping
from importlib import import_module
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Literal, TypeVar, get_args
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationInfo, field_validator

from fastcollab.tls import CertificateError, check_pem, server_context

HMAC_KEY_BYTES: Mapping[str, int] = {"HS256": 32, "HS384": 48, "HS512": 64}
"""The algorithms with a shared secret, and the fewest bytes that RFC 7518 (section 3.2) allows for it."""

PUBLIC_KEY_ALGORITHMS: tuple[str, ...] = (
    *("RS256", "RS384", "RS512"),
    *("PS256", "PS384", "PS512"),
    *("ES256", "ES384", "ES512"),
    "EdDSA",
)

Number = TypeVar("Number", int, float)

ShadowedLimit = Literal[
    "operations", "messages", "connections_per_user", "rooms_per_user", "connections", "connection_rate"
]
"""A limit that can be in shadow mode."""

WebhookEvent = Literal["room_occupied", "room_vacated", "document_changed", "connection_opened", "connection_closed"]
"""An event that a receiver can be told of."""

#: The types of settings that are lists.
_LISTS = (
    *(tuple[str, ...], tuple[str, ...] | None, tuple[SecretStr, ...]),
    *(tuple[ShadowedLimit, ...], tuple[WebhookEvent, ...]),
)

_HTTP_URL = re.compile(r"https?://[^/?#\s]+(/[^#\s]*)?")

_SIGNING_SECRET_BYTES = 32

#: A name, a colon and a key, or a key alone: of such characters as a header may have after `Bearer` (RFC 6750).
_API_KEY = re.compile(r"(?:(?P<name>[A-Za-z0-9_.-]{1,32}):)?(?P<key>[A-Za-z0-9._~+/-]+=*)")
_API_KEY_BYTES = 32

_ORIGIN = re.compile(r"\*|null|[a-z*][a-z0-9+.*-]*://[^/?#\s]+")


def _list_from_text(text: str) -> list[str]:
    if text.lstrip().startswith("["):
        try:
            return list(json.loads(text))
        except ValueError as error:
            raise ValueError(f"begins with [ and is not a JSON array: {error}") from None
    return [item.strip() for item in text.split(",") if item.strip()]


def _at_least(value: Number, info: ValidationInfo, other: str, section: str) -> Number:
    """``value``, unless the earlier field ``other`` of the same section, where valid, is greater."""
    bound = info.data.get(other)
    if bound is not None and value < bound:
        raise ValueError(f"must be at least {section}.{other}, {bound:_}, got {value:_}")
    return value


def _http_url(url: str | None, example: str) -> str | None:
    # An address may carry a password, so it is not repeated.
    if url is not None and not _HTTP_URL.fullmatch(url):
        raise ValueError(f"must be an address such as {example}")
    return url


def _signing_secret(secret: SecretStr | None, info: ValidationInfo, section: str, *urls: str) -> SecretStr | None:
    """``secret``, if it is there and long enough to sign requests to those of the addresses that are set."""
    if secret is None:
        for name in urls:
            if info.data.get(name) is not None:
                raise ValueError(
                    f"must be set, since requests to {section}.{name} are signed with it: for example "
                    "to `openssl rand -hex 32`"
                )
    elif (size := len(secret.get_secret_value().encode())) < _SIGNING_SECRET_BYTES:
        raise ValueError(f"must have at least {_SIGNING_SECRET_BYTES} bytes, and has {size}")
    return secret


def _usable(use: Callable[[], object]) -> None:
    try:
        use()
    except CertificateError as error:
        raise ValueError(f"names {error}") from None


def _host(url: str) -> str:
    """The host that an address names; empty: it names none."""
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""


def _is_local(url: str) -> bool:
    """Whether an HTTP address is of this machine."""
    try:
        return ip_address(_host(url)).is_loopback
    except ValueError:
        return _host(url) == "localhost"


class Section(BaseModel):
    """What all sections have in common: no unknown key, no change, no infinity, and checked defaults."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        allow_inf_nan=False,
        validate_default=True,
        hide_input_in_errors=True,
        use_attribute_docstrings=True,
    )

    @field_validator("*", mode="before")
    @classmethod
    def _read_text(cls, value: object, info: ValidationInfo) -> object:
        assert info.field_name is not None  # It is None in validators of whole models only.
        annotation = cls.model_fields[info.field_name].annotation
        if isinstance(value, bool) and annotation is not bool:
            # Python takes True for 1; a port of `true` is a mistake all the same.
            raise ValueError(f"cannot be {str(value).lower()}")
        if isinstance(value, str) and annotation in _LISTS:
            return _list_from_text(value)
        return value


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


class AuthConfig(Section):
    """Which tokens are accepted."""

    algorithms: tuple[str, ...] = Field(default=("HS256",), min_length=1)
    """Signature algorithms accepted in tokens: either of HS256, HS384, HS512 (shared secret), or of
    RS256-512, PS256-512, ES256-512, EdDSA (public key), never both kinds. The first one signs the tokens
    of `fastcollab token`.
    """

    secret: SecretStr | None = None
    """Shared secret of the HS algorithms: at least 32 bytes (HS384: 48, HS512: 64). Keep it out of files
    that others can read; the environment variable is `FASTCOLLAB_AUTH__SECRET`.
    """

    public_key_file: Path | None = None
    """PEM file with the public key that tokens of the public-key algorithms are checked with."""

    jwks_url: str | None = None
    """Address of a JSON Web Key Set, in place of `public_key_file`: where who signs tokens publishes the public
    keys, such as `https://id.example.com/.well-known/jwks.json`.
    """

    jwks_allow_http: bool = False
    """Accept a `jwks_url` that begins with `http://` and is not of this machine: whoever can change what comes
    over that network can sign tokens.
    """

    jwks_refresh_interval: float = Field(default=300.0, ge=1, le=86_400)
    """Seconds after which the keys are fetched again, so that those which are withdrawn are not used any longer."""

    jwks_min_interval: float = Field(default=10.0, gt=0, le=3600)
    """Seconds from one fetch to the next that a token brings about which names an unknown key, however many do."""

    jwks_max_age: float = Field(default=86_400.0, ge=1, le=31_536_000)
    """Seconds for which the keys are used while they cannot be fetched again."""

    issuer: str | None = Field(default=None, min_length=1)
    """The `iss` that a token must have; not set: any."""

    audience: tuple[str, ...] | None = Field(default=None, min_length=1)
    """A token's `aud` must have one of these; not set: tokens must have no `aud`."""

    leeway: float = Field(default=0.0, ge=0, le=300)
    """Seconds by which the clock of who signs tokens may differ from this one's."""

    allow_query_token: bool = False
    """Accept a token in the query string as well, where proxies and logs may keep it."""

    connect_timeout: float = Field(default=10.0, gt=0, le=300)
    """Seconds until a connection without a token must have sent `connect`."""

    expiry_notice: float = Field(default=60.0, ge=0, le=86_400)
    """Seconds before the end of its token at which a client is told."""

    validation_interval: float = Field(default=300.0, ge=0.1, le=86_400)
    """Seconds after which it is looked again whether a connection's token was revoked, and what its user may do in
    its rooms.
    """

    max_token_lifetime: float = Field(default=0.0, ge=0, le=315_360_000)
    """Longest time in seconds from a token's `iat` to its `exp`. One that is valid for longer, or has no `iat`, is
    refused, and revocations are forgotten after this time; 0: no limit, and those of users are kept for ever.
    """

    @field_validator("algorithms")
    @classmethod
    def _check_algorithms(cls, algorithms: tuple[str, ...]) -> tuple[str, ...]:
        for name in algorithms:
            if name.lower() == "none":
                raise ValueError("cannot have 'none', which would accept tokens that nobody signed")
            if name not in HMAC_KEY_BYTES and name not in PUBLIC_KEY_ALGORITHMS:
                known = ", ".join((*HMAC_KEY_BYTES, *PUBLIC_KEY_ALGORITHMS))
                raise ValueError(f"has an unknown algorithm {name!r}; known are {known}")
        if len({name in HMAC_KEY_BYTES for name in algorithms}) > 1:
            raise ValueError(
                f"mixes shared-secret and public-key algorithms ({', '.join(algorithms)}): whoever knows the "
                "public key, which is no secret, could then sign tokens with it"
            )
        return algorithms

    @field_validator("secret")
    @classmethod
    def _check_secret(cls, secret: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
        algorithms: tuple[str, ...] = info.data.get("algorithms", ())
        needed = max((HMAC_KEY_BYTES.get(name, 0) for name in algorithms), default=0)
        if secret is not None and (size := len(secret.get_secret_value().encode())) < needed:
            raise ValueError(f"must have at least {needed} bytes for {', '.join(algorithms)}, and has {size}")
        return secret

    @field_validator("public_key_file")
    @classmethod
    def _check_public_key_file(cls, path: Path | None) -> Path | None:
        if path is None:
            return None
        try:
            text = path.read_bytes()
        except OSError as error:
            raise ValueError(f"names {path}, which cannot be read: {error.strerror}") from None
        if b"PRIVATE KEY-----" in text:
            raise ValueError(f"names {path}, which has a private key; the gateway needs the public key only")
        if not re.search(rb"-----BEGIN (RSA )?PUBLIC KEY-----", text):
            raise ValueError(f"names {path}, which has no public key in PEM form (BEGIN PUBLIC KEY)")
        return path

    @field_validator("jwks_url")
    @classmethod
    def _check_jwks_url(cls, url: str | None, info: ValidationInfo) -> str | None:
        if url is None:
            return None
        # An address may carry a password, so it is not repeated.
        if not _HTTP_URL.fullmatch(url) or not _host(url):
            raise ValueError("must be an address such as https://id.example.com/.well-known/jwks.json")
        algorithms: tuple[str, ...] = info.data.get("algorithms", ())
        if any(name in HMAC_KEY_BYTES for name in algorithms):
            raise ValueError(f"is of no use with the shared-secret algorithms {', '.join(algorithms)}")
        if info.data.get("public_key_file") is not None:
            raise ValueError("is set beside auth.public_key_file: only one of them can say which keys are good")
        return url

    @field_validator("jwks_allow_http")
    @classmethod
    def _check_jwks_scheme(cls, allowed: bool, info: ValidationInfo) -> bool:
        url = info.data.get("jwks_url")
        if url is not None and not allowed and url.startswith("http:") and not _is_local(url):
            raise ValueError(
                "must be true for an auth.jwks_url that begins with http:// and is not of this machine; better is https"
            )
        return allowed

    @field_validator("jwks_max_age")
    @classmethod
    def _check_jwks_age(cls, age: float, info: ValidationInfo) -> float:
        return _at_least(age, info, "jwks_refresh_interval", "auth")

    @property
    def uses_shared_secret(self) -> bool:
        """Whether tokens are signed and checked with ``secret``, rather than with a pair of keys."""
        return self.algorithms[0] in HMAC_KEY_BYTES


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
        return _at_least(size, info, "max_message_bytes", "client")


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


class RoomsConfig(Section):
    """Rooms and what may be done in them."""

    default_document_type: Literal["json1", "rich-text", "text"] = "json1"
    """Type of a room's document where the first to join names none."""

    default_permission: Literal["none", "read", "write", "admin"] = "write"
    """What the holder of a token without a `rooms` claim may do in every room."""

    max_participants: int = Field(default=500, ge=1, le=65_535)
    """Participants of one room."""

    max_messages_per_batch: int = Field(default=100, ge=1, le=10_000)
    """Messages in one `batch` of a client."""


class PresenceConfig(Section):
    """How participants see each other."""

    grace_period: float = Field(default=10.0, ge=0, le=3600)
    """Seconds for which a participant who lost connection counts as present."""

    cursor_interval_ms: float = Field(default=16.67, ge=0, le=60_000)
    """Least time between two cursor updates of one participant, milliseconds."""

    selection_interval_ms: float = Field(default=100.0, ge=0, le=60_000)
    """Least time between two selections of one participant, milliseconds."""

    update_interval_ms: float = Field(default=500.0, ge=0, le=60_000)
    """Least time between two other updates of one participant, milliseconds."""

    max_data_bytes: int = Field(default=4096, ge=0, le=1_048_576)
    """Largest `data` of a participant's presence, bytes of JSON."""


class FanoutConfig(Section):
    """How often a room's gathered cursor updates are sent out; larger rooms take longer intervals."""

    min_interval_ms: float = Field(default=1.0, gt=0, le=1000)
    """Time between two flushes of the smallest rooms, milliseconds."""

    max_interval_ms: float = Field(default=16.67, gt=0, le=1000)
    """Time between two flushes of the largest rooms, milliseconds."""

    @field_validator("max_interval_ms")
    @classmethod
    def _check_order(cls, interval: float, info: ValidationInfo) -> float:
        return _at_least(interval, info, "min_interval_ms", "fanout")


class DocumentsConfig(Section):
    """Shared documents and their history."""

    history_operations: int = Field(default=10_000, ge=1, le=10_000_000)
    """Latest operations kept of a document; a client that missed more gets the whole document."""

    history_bytes: int = Field(default=67_108_864, ge=1, le=1_099_511_627_776)
    """Bytes of the latest operations kept of a document, fewer than `history_operations` if they are large."""

    history_seconds: int = Field(default=0, ge=0, le=3_153_600_000)
    """Seconds after which operations are no longer kept, even if they are few; 0: no limit."""

    results_seconds: int = Field(default=86_400, ge=0, le=31_536_000)
    """Seconds for which an operation sent twice is recognised, at least."""

    cached_operations: int = Field(default=1_000, ge=1, le=10_000_000)
    """Latest operations of an open document that are held in memory; older ones are asked of the engine."""

    cached_bytes: int = Field(default=1_048_576, ge=1, le=1_099_511_627_776)
    """Bytes of these operations, fewer than `cached_operations` if they are large."""

    snapshot_operations: int = Field(default=1_000, ge=1, le=1_000_000)
    """Operations after which the engine is given a snapshot, so that opening the document begins there."""

    snapshot_bytes: int = Field(default=262_144, ge=1, le=1_099_511_627_776)
    """Bytes of operations after which it is given one earlier, unless the document is larger than they are."""

    max_operation_bytes: int = Field(default=1_048_576, ge=1, le=268_435_456)
    """Largest operation, bytes of JSON."""

    max_document_bytes: int = Field(default=16_777_216, ge=1, le=1_073_741_824)
    """Largest document, bytes: of a text in UTF-8, of any other as JSON."""

    @field_validator("max_document_bytes")
    @classmethod
    def _check_document(cls, size: int, info: ValidationInfo) -> int:
        return _at_least(size, info, "max_operation_bytes", "documents")


class BackendConfig(Section):
    """Your own back end as the place of record: what rooms begin with, where documents are handed back, who may do
    what, and how users are shown.
    """

    load_url: str | None = None
    """HTTP address that is asked what a room begins with, where there is no document; not set: every document
    begins empty.
    """

    save_url: str | None = None
    """HTTP address that documents are handed back to; not set: they are not."""

    permission_url: str | None = None
    """HTTP address that is asked what a user may do in a room; not set: tokens say it."""

    profile_url: str | None = None
    """HTTP address that is asked for a user's name, colour and picture; not set: tokens have them."""

    secret: SecretStr | None = None
    """Shared secret that these requests are signed with, at least 32 bytes; needed for each address. The
    environment variable is `FASTCOLLAB_BACKEND__SECRET`.
    """

    timeout: float = Field(default=5.0, gt=0, le=300)
    """Seconds that the back end has for an answer."""

    permission_ttl: float = Field(default=30.0, ge=0, le=300)
    """Seconds for which a permission is kept unless the answer says otherwise; a refusal for at most 5 of them."""

    profile_ttl: float = Field(default=300.0, ge=0, le=86_400)
    """Seconds for which a profile is kept."""

    profile_timeout: float = Field(default=1.0, gt=0, le=300)
    """Seconds that the back end has for a profile, since a client waits for it to be connected."""

    save_delay: float = Field(default=2.0, ge=0, le=3600)
    """Seconds without a change after which a document is handed back."""

    save_max_delay: float = Field(default=10.0, ge=0, le=86_400)
    """Seconds after which a document is handed back even if it goes on changing."""

    saves_at_once: int = Field(default=8, ge=1, le=1000)
    """How many documents are handed back at the same time."""

    @field_validator("load_url", "save_url", "permission_url", "profile_url")
    @classmethod
    def _check_url(cls, url: str | None) -> str | None:
        return _http_url(url, "https://app.example.com/documents")

    @field_validator("secret")
    @classmethod
    def _check_secret(cls, secret: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
        return _signing_secret(secret, info, "backend", "load_url", "save_url", "permission_url", "profile_url")

    @field_validator("save_max_delay")
    @classmethod
    def _check_order(cls, delay: float, info: ValidationInfo) -> float:
        return _at_least(delay, info, "save_delay", "backend")

    @property
    def addresses(self) -> tuple[str, ...]:
        """Those that are set."""
        return tuple(filter(None, (self.load_url, self.save_url, self.permission_url, self.profile_url)))


class WebhooksConfig(Section):
    """Events that your own program is told of, by signed requests."""

    url: str | None = None
    """HTTP address that events are sent to; not set: they are not."""

    secret: SecretStr | None = None
    """Shared secret that these requests are signed with, at least 32 bytes; needed for the address. The environment
    variable is `FASTCOLLAB_WEBHOOKS__SECRET`.
    """

    events: tuple[WebhookEvent, ...] = get_args(WebhookEvent)
    """Which events: of `room_occupied`, `room_vacated`, `document_changed`, `connection_opened` and
    `connection_closed`.
    """

    timeout: float = Field(default=5.0, gt=0, le=300)
    """Seconds that the receiver has for an answer."""

    at_once: int = Field(default=8, ge=1, le=1000)
    """How many events are sent at the same time."""

    most_waiting: int = Field(default=10_000, ge=1, le=10_000_000)
    """How many events may wait for a receiver that is slow or away; those that come then are dropped."""

    give_up_after: float = Field(default=86_400.0, ge=1, le=2_592_000)
    """Seconds after which an event is not sent again, but dropped."""

    document_delay: float = Field(default=2.0, ge=0, le=3600)
    """Seconds without a change after which `document_changed` is sent."""

    document_max_delay: float = Field(default=10.0, ge=0, le=86_400)
    """Seconds after which it is sent even if the document goes on changing."""

    @field_validator("url")
    @classmethod
    def _check_url(cls, url: str | None) -> str | None:
        return _http_url(url, "https://app.example.com/events")

    @field_validator("secret")
    @classmethod
    def _check_secret(cls, secret: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
        return _signing_secret(secret, info, "webhooks", "url")

    @field_validator("document_max_delay")
    @classmethod
    def _check_order(cls, delay: float, info: ValidationInfo) -> float:
        return _at_least(delay, info, "document_delay", "webhooks")


class OpsConfig(Section):
    """The operations port, for those who run the gateway: `/health/live`, `/health/ready`, `/metrics` and the admin
    API, over plain HTTP.
    """

    host: str = Field(default="127.0.0.1", min_length=1)
    """Address to listen on. Whoever reaches it is answered, so that it should not be one that clients can reach."""

    port: int | None = Field(default=None, ge=0, le=65_535)
    """TCP port, 8081 by custom; 0 takes any free one. Without it there is no operations port."""

    api_keys: tuple[SecretStr, ...] = ()
    """Keys to the admin API, each at least 32 bytes long, with a name for the log before it if you like:
    `deploy:3f9c…`. Without any there is no API. The environment variable is `FASTCOLLAB_OPS__API_KEYS`.
    """

    @field_validator("api_keys")
    @classmethod
    def _check_keys(cls, keys: tuple[SecretStr, ...]) -> tuple[SecretStr, ...]:
        for number, key in enumerate(keys, 1):
            match = _API_KEY.fullmatch(key.get_secret_value())
            if match is None:
                raise ValueError(
                    f"has a key, number {number}, that cannot be one: it has letters, digits and ._~+/-, with a name "
                    "and a colon before it if you like; for example `openssl rand -hex 32`"
                )
            if (size := len(match["key"])) < _API_KEY_BYTES:
                raise ValueError(f"has a key, number {number}, of {size} bytes: each has at least {_API_KEY_BYTES}")
        return keys

    def named_keys(self) -> list[tuple[str, str]]:
        """The keys, each after its name; what has none is called by its place."""
        matches = [_API_KEY.fullmatch(key.get_secret_value()) for key in self.api_keys]
        return [(match["name"] or f"key {number}", match["key"]) for number, match in enumerate(matches, 1) if match]


class LogConfig(Section):
    """What is written to the standard error stream."""

    level: Literal["debug", "info", "warning", "error", "critical"] = "info"
    """Least important level that is written."""

    format: Literal["auto", "console", "json"] = "auto"
    """`console` is for people, `json` has one object per line; `auto` is `console` on a terminal only."""


class TracingConfig(Section):
    """Operations in traces of OpenTelemetry. Where spans go, and which, is said by OpenTelemetry's own variables in the
    environment, such as `OTEL_EXPORTER_OTLP_ENDPOINT` and `OTEL_TRACES_SAMPLER`.
    """

    enabled: bool = False
    """Whether spans are made. That needs the extra `fastcollab[otel]`."""

    trust_clients: bool = False
    """Whether every operation is recorded that its client says is recorded."""

    client_rate: int = Field(default=10, ge=1, le=1_000_000)
    """How many operations are recorded per second on the word of clients that are not trusted."""

    @field_validator("enabled")
    @classmethod
    def _check_extra(cls, enabled: bool) -> bool:
        if enabled:
            try:
                import_module("opentelemetry.exporter.otlp.proto.http.trace_exporter")
            except ImportError:
                raise ValueError("needs OpenTelemetry; install it with: pip install 'fastcollab[otel]'") from None
        return enabled
