"""Settings of what is around a gateway: the team's own back end, and those who operate it."""

import re
from importlib import import_module
from typing import Literal, get_args

from pydantic import Field, SecretStr, ValidationInfo, field_validator

from fastcollab.config.section import Section, at_least, http_url, signing_secret

WebhookEvent = Literal["room_occupied", "room_vacated", "document_changed", "connection_opened", "connection_closed"]
"""An event that a receiver can be told of."""

#: A name, a colon and a key, or a key alone: of such characters as a header may have after `Bearer` (RFC 6750).
_API_KEY = re.compile(r"(?:(?P<name>[A-Za-z0-9_.-]{1,32}):)?(?P<key>[A-Za-z0-9._~+/-]+=*)")
_API_KEY_BYTES = 32


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
        return http_url(url, "https://app.example.com/documents")

    @field_validator("secret")
    @classmethod
    def _check_secret(cls, secret: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
        return signing_secret(secret, info, "backend", "load_url", "save_url", "permission_url", "profile_url")

    @field_validator("save_max_delay")
    @classmethod
    def _check_order(cls, delay: float, info: ValidationInfo) -> float:
        return at_least(delay, info, "save_delay", "backend")

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
        return http_url(url, "https://app.example.com/events")

    @field_validator("secret")
    @classmethod
    def _check_secret(cls, secret: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
        return signing_secret(secret, info, "webhooks", "url")

    @field_validator("document_max_delay")
    @classmethod
    def _check_order(cls, delay: float, info: ValidationInfo) -> float:
        return at_least(delay, info, "document_delay", "webhooks")


class OpsConfig(Section):
    """The operations port, for those who run the gateway: `/health/live`, `/health/ready`, `/metrics`, the admin API
    and, at `/`, a page that shows what it tells, over plain HTTP.
    """

    host: str = Field(default="127.0.0.1", min_length=1)
    """Address to listen on. Whoever reaches it is answered, so that it should not be one that clients can reach."""

    port: int | None = Field(default=None, ge=0, le=65_535)
    """TCP port, 8081 by custom; 0 takes any free one. Without it there is no operations port."""

    api_keys: tuple[SecretStr, ...] = ()
    """Keys to the admin API and its page, each at least 32 bytes long, with a name for the log before it if you like:
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
