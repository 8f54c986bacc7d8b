"""Tokens: JSON Web Tokens, verified with the configured key and nothing else (rule S2).

The algorithms are pinned by the configuration, which does not allow keyed hashes and signatures side by side:
the header of a token chooses among them only, so that neither `alg: none` nor a public key used as a secret
gets anywhere.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

import jwt
import msgspec
from msgspec import Meta, Struct

from fastcollab.config import AuthConfig
from fastcollab.core.display import UNNAMED, display_name, display_picture
from fastcollab.core.permissions import Permission
from fastcollab.errors import InvalidToken
from fastcollab.messages import Color, DisplayName, UserId, explain

#: Characters; a longer one is not looked into.
_MAX_TOKEN = 16_384

_PALETTE = (
    "#d9480f", "#c92a2a", "#a61e4d", "#862e9c", "#5f3dc4", "#364fc7",
    "#1864ab", "#0b7285", "#087f5b", "#2b8a3e", "#5c940d", "#e67700",
)  # fmt: skip


class _Claims(Struct, frozen=True):
    sub: UserId
    exp: float
    name: Annotated[DisplayName, Meta(min_length=1)] | None = None
    color: Color | None = None
    #: Whatever an identity provider has there: what cannot be shown is no reason to refuse the token.
    picture: Any = None
    rooms: dict[Annotated[str, Meta(max_length=256)], str] | None = None


@dataclass(frozen=True, slots=True)
class Claims:
    """What a token says: `rooms` are permissions by pattern, `expires_at` is Unix time in seconds. Name, colour and
    picture are fit to be shown (P6).
    """

    user_id: str
    name: str
    color: str
    rooms: Mapping[str, Permission] | None
    expires_at: float
    picture: str | None = None


class TokenVerifier:
    """Verifies tokens with the key of the configuration; raises OSError if that is a file that cannot be read."""

    def __init__(self, config: AuthConfig) -> None:
        key: str | bytes
        if config.public_key_file is not None and not config.uses_shared_secret:
            key = config.public_key_file.read_bytes()
        else:
            key = config.secret.get_secret_value() if config.secret is not None else ""
        self._key = key
        self._algorithms = list(config.algorithms)
        self._issuer = config.issuer
        self._audience = config.audience
        self._leeway = config.leeway

    def verify(self, token: str) -> Claims:
        """The claims of a token that is good; raises :class:`InvalidToken` with the reason."""
        if len(token) > _MAX_TOKEN:
            raise InvalidToken("the token is too long", reason="invalid", limit=_MAX_TOKEN, size=len(token))
        try:
            payload: dict[str, Any] = jwt.decode(
                token,
                self._key,
                algorithms=self._algorithms,
                issuer=self._issuer,
                audience=self._audience,
                leeway=self._leeway,
                options={"require": ["sub", "exp"]},
            )
        except jwt.ExpiredSignatureError:
            raise InvalidToken("the token has expired", reason="expired") from None
        except jwt.PyJWTError as error:
            raise InvalidToken(f"the token is not valid: {error}", reason="invalid") from None
        except Exception:
            # The library reads the header before the signature, and does not expect all that may be in it: JSON
            # nested too deeply, or an algorithm for another kind of key.
            raise InvalidToken("the token is not valid", reason="invalid") from None
        try:
            claims = msgspec.convert(payload, _Claims)
            # A token may carry half of a surrogate pair in an escape; nobody could be told such a name.
            (claims.sub + (claims.name or "")).encode()
            rooms = None
            if claims.rooms is not None:
                rooms = {pattern: Permission.of_word(word) for pattern, word in claims.rooms.items()}
        except msgspec.ValidationError as error:
            reason, path = explain(error)
            raise InvalidToken(f"the token's claim {path} is not valid: {reason}", reason="claims") from None
        except ValueError as error:
            raise InvalidToken(f"the token's claim rooms is not valid: {error}", reason="claims") from None
        return Claims(
            user_id=claims.sub,
            name=display_name(claims.name, claims.sub) or UNNAMED,
            color=claims.color or color_of(claims.sub),
            rooms=rooms,
            expires_at=claims.exp,
            picture=display_picture(claims.picture),
        )


def color_of(user_id: str) -> str:
    """A colour for a user whose token names none: always the same for the same user."""
    return _PALETTE[zlib.crc32(user_id.encode()) % len(_PALETTE)]
