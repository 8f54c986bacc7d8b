"""Settings of authentication: which tokens are accepted, and whose keys they are verified with."""

import re
from collections.abc import Mapping
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, ValidationInfo, field_validator

from fastcollab.config.section import HTTP_URL, Section, at_least

HMAC_KEY_BYTES: Mapping[str, int] = {"HS256": 32, "HS384": 48, "HS512": 64}
"""The algorithms with a shared secret, and the fewest bytes that RFC 7518 (section 3.2) allows for it."""

PUBLIC_KEY_ALGORITHMS: tuple[str, ...] = (
    *("RS256", "RS384", "RS512"),
    *("PS256", "PS384", "PS512"),
    *("ES256", "ES384", "ES512"),
    "EdDSA",
)


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
        if not HTTP_URL.fullmatch(url) or not host_of(url):
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
        if url is not None and not allowed and url.startswith("http:") and not is_local(url):
            raise ValueError(
                "must be true for an auth.jwks_url that begins with http:// and is not of this machine; better is https"
            )
        return allowed

    @field_validator("jwks_max_age")
    @classmethod
    def _check_jwks_age(cls, age: float, info: ValidationInfo) -> float:
        return at_least(age, info, "jwks_refresh_interval", "auth")

    @property
    def uses_shared_secret(self) -> bool:
        """Whether tokens are signed and checked with ``secret``, rather than with a pair of keys."""
        return self.algorithms[0] in HMAC_KEY_BYTES


def is_local(url: str) -> bool:
    """Whether an HTTP address is of this machine."""
    try:
        return ip_address(host_of(url)).is_loopback
    except ValueError:
        return host_of(url) == "localhost"


def host_of(url: str) -> str:
    """The host that an address names; empty: it names none."""
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""
