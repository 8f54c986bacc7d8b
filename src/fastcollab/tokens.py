"""Signing the tokens that a gateway accepts: for the command line, the demo and the load generator.

A production system signs its tokens where its users log in, with any JWT library: the claims are ``sub`` (the
user), ``exp``, and as wanted ``name``, ``color``, ``rooms`` (glob patterns of room ids to a permission),
``iss`` and ``aud``.
"""

import re
import time
import uuid
from collections.abc import Mapping
from typing import TypeAlias

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from fastcollab.config import Config

ROOM_PERMISSIONS = ("read", "write", "admin")
"""What a token can allow in the rooms of a pattern."""

_PrivateKey: TypeAlias = (
    rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | ed448.Ed448PrivateKey
)
_CURVES = {"ES256": "secp256r1", "ES384": "secp384r1", "ES512": "secp521r1"}


def sign_token(
    config: Config,
    user: str,
    *,
    rooms: Mapping[str, str] | None = None,
    ttl: int = 3600,
    name: str | None = None,
    color: str | None = None,
    private_key: bytes | None = None,
) -> str:
    """A JWT for ``user`` that a gateway with ``config`` accepts for ``ttl`` seconds.

    ``rooms`` maps glob patterns of room ids to ``read``, ``write`` or ``admin``; without it the gateway's
    ``rooms.default_permission`` holds. ``color`` is ``#rrggbb``. ``private_key`` (PEM) is needed where
    ``auth.algorithms`` are of the public-key kind, and only there. Raises :class:`ValueError`, of which
    :class:`~fastcollab.config.ConfigError` is one kind, for what cannot be put into a token or signed.
    """
    if not user.strip():
        raise ValueError("the user's id is empty")
    if ttl < 1:
        raise ValueError(f"a token has to be valid for at least 1 second, not {ttl}")
    if color is not None and not re.fullmatch(r"#[0-9a-fA-F]{6}", color):
        raise ValueError(f"a color is written #rrggbb, not {color!r}")
    for pattern, permission in (rooms or {}).items():
        if not pattern or permission not in ROOM_PERMISSIONS:
            choices = ", ".join(ROOM_PERMISSIONS)
            raise ValueError(f"rooms are a pattern and one of {choices}, not {pattern!r} and {permission!r}")

    now = int(time.time())
    audience = config.auth.audience
    optional = {
        "name": name,
        "color": color,
        "rooms": rooms and dict(rooms),
        "iss": config.auth.issuer,
        "aud": audience[0] if audience and len(audience) == 1 else audience and list(audience),
    }
    claims = {"sub": user, "iat": now, "exp": now + ttl, "jti": str(uuid.uuid4())}
    claims |= {claim: value for claim, value in optional.items() if value is not None}
    algorithm, key = _signing_key(config, private_key)
    return jwt.encode(claims, key, algorithm=algorithm)


def _signing_key(config: Config, private_key: bytes | None) -> tuple[str, str | _PrivateKey]:
    """The first configured algorithm that there is a key for, and the key."""
    auth = config.auth
    listed = ", ".join(auth.algorithms)
    if auth.uses_shared_secret:
        if private_key is not None:
            raise ValueError(f"a private key is of no use with the shared-secret algorithms {listed}")
        config.require_key()
        assert auth.secret is not None
        return auth.algorithms[0], auth.secret.get_secret_value()
    if private_key is None:
        raise ValueError(f"signing with {listed} takes a private key, which the configuration does not have")
    try:
        key = load_pem_private_key(private_key, password=None)
    except (ValueError, TypeError) as error:
        raise ValueError(f"the private key cannot be read: {error}") from None
    for algorithm in auth.algorithms:
        if isinstance(key, _PrivateKey) and _fits(key, algorithm):
            return algorithm, key
    raise ValueError(f"the private key is not of a kind that {listed} can sign with")


def _fits(key: _PrivateKey, algorithm: str) -> bool:
    match key:
        case rsa.RSAPrivateKey():
            return algorithm.startswith(("RS", "PS"))
        case ec.EllipticCurvePrivateKey():
            return _CURVES.get(algorithm) == key.curve.name
        case _:
            return algorithm == "EdDSA"
