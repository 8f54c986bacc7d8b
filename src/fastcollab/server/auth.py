"""Tokens: JSON Web Tokens, verified with the configured keys and nothing else (rules S2 and S13).

The algorithms are pinned by the configuration, which does not allow keyed hashes and signatures side by side:
the header of a token chooses among them only, so that neither `alg: none` nor a public key used as a secret
gets anywhere. Where there are many keys, it chooses among those by their id, and what else it has (`jku`, `x5u`, `jwk`)
is not looked at.

To verify is to compute, and waits for nothing. Only if a token names a key that is not known, the keys may have
changed: then :meth:`TokenVerifier.authenticate` waits for the newest.
"""

from __future__ import annotations

import base64
import hashlib
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Protocol

import jwt
import msgspec
from msgspec import Meta, Struct

from fastcollab.config import AuthConfig
from fastcollab.core.display import UNNAMED, display_name, display_picture
from fastcollab.core.permissions import Permission
from fastcollab.core.revocation import MAX_SUBJECT, TokenMarks
from fastcollab.errors import InvalidToken
from fastcollab.messages import Color, DisplayName, UserId, explain

#: Characters; a longer one is not looked into.
_MAX_TOKEN = 16_384

#: A token may say that it is good for ever; this is the last second that can be told in milliseconds as a double.
_LAST_SECOND = float((2**53 - 1) // 1000)

_PALETTE = (
    "#d9480f", "#c92a2a", "#a61e4d", "#862e9c", "#5f3dc4", "#364fc7",
    "#1864ab", "#0b7285", "#087f5b", "#2b8a3e", "#5c940d", "#e67700",
)  # fmt: skip

_Mark = Annotated[str, Meta(min_length=1, max_length=MAX_SUBJECT)]


class _Claims(Struct, frozen=True):
    sub: UserId
    exp: float
    iat: float | None = None
    jti: _Mark | None = None
    sid: _Mark | None = None
    name: Annotated[DisplayName, Meta(min_length=1)] | None = None
    color: Color | None = None
    #: Whatever an identity provider has there: what cannot be shown is no reason to refuse the token.
    picture: Any = None
    rooms: dict[Annotated[str, Meta(max_length=256)], str] | None = None


@dataclass(frozen=True, slots=True)
class Claims:
    """What a token says: `rooms` are permissions by pattern, `token` is what it can be revoked by. Name, colour and
    picture are fit to be shown (P6).
    """

    user_id: str
    name: str
    color: str
    rooms: Mapping[str, Permission] | None
    token: TokenMarks
    picture: str | None = None


class UnknownKey(InvalidToken):
    """The token is signed with a key that is not known; the newest keys may have it."""


class Keys(Protocol):
    """Where the keys come from."""

    def find(self, token: str, algorithms: list[str]) -> Any:
        """The key that this token, of which nothing is sure, has to be verified with.

        Raises :class:`UnknownKey`, or :class:`InvalidToken` if there cannot be one.
        """
        ...

    async def renew(self) -> bool:
        """Waits for newer keys. Whether they were fetched after this was called: a key that is not among them then is
        none.

        Raises :class:`~fastcollab.errors.ServiceUnavailable` if they cannot be had now.
        """
        ...


class _OneKey:
    """The key of the configuration. Raises OSError if that is a file that cannot be read."""

    def __init__(self, config: AuthConfig) -> None:
        self._key: str | bytes
        if config.public_key_file is not None and not config.uses_shared_secret:
            self._key = config.public_key_file.read_bytes()
        else:
            self._key = config.secret.get_secret_value() if config.secret is not None else ""

    def find(self, _token: str, _algorithms: list[str]) -> str | bytes:
        return self._key

    async def renew(self) -> bool:
        """There is no other."""
        return True


class TokenVerifier:
    """Verifies tokens with the key of the configuration, or those of `keys`."""

    def __init__(self, config: AuthConfig, keys: Keys | None = None) -> None:
        self._keys: Keys = _OneKey(config) if keys is None else keys
        self._algorithms = list(config.algorithms)
        self._issuer = config.issuer
        self._audience = config.audience
        self._leeway = config.leeway
        self._max_lifetime = config.max_token_lifetime
        self._required = ["sub", "exp", "iat"] if self._max_lifetime else ["sub", "exp"]

    async def authenticate(self, token: str) -> Claims:
        """As :meth:`verify`, with the newest keys if need be.

        Raises :class:`~fastcollab.errors.ServiceUnavailable` if a key that may be the right one cannot be had now.
        """
        newest = False
        while True:
            try:
                return self.verify(token)
            except UnknownKey:
                if newest:
                    raise
            newest = await self._keys.renew()

    def verify(self, token: str) -> Claims:
        """The claims of a token that is good; raises :class:`InvalidToken` with the reason."""
        if len(token) > _MAX_TOKEN:
            raise InvalidToken("the token is too long", reason="invalid", limit=_MAX_TOKEN, size=len(token))
        try:
            payload: dict[str, Any] = jwt.decode(
                token,
                self._keys.find(token, self._algorithms),
                algorithms=self._algorithms,
                issuer=self._issuer,
                audience=self._audience,
                leeway=self._leeway,
                options={"require": self._required},
            )
        except InvalidToken:
            raise
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
            (claims.sub + (claims.name or "") + (claims.jti or "") + (claims.sid or "")).encode()
            rooms = None
            if claims.rooms is not None:
                rooms = {pattern: Permission.of_word(word) for pattern, word in claims.rooms.items()}
        except msgspec.ValidationError as error:
            reason, path = explain(error)
            raise InvalidToken(f"the token's claim {path} is not valid: {reason}", reason="claims") from None
        except ValueError as error:
            raise InvalidToken(f"the token's claim rooms is not valid: {error}", reason="claims") from None
        if self._max_lifetime and claims.exp - (claims.iat or 0) > self._max_lifetime:
            raise InvalidToken("the token is valid for too long", reason="claims", limit=self._max_lifetime)
        return Claims(
            user_id=claims.sub,
            name=display_name(claims.name, claims.sub) or UNNAMED,
            color=claims.color or color_of(claims.sub),
            rooms=rooms,
            token=TokenMarks(
                claims.sub,
                claims.jti or _hash(token),
                claims.sid,
                claims.iat,
                # It is compared as a whole number by who verifies it, so that it ends with the second.
                min(float(int(claims.exp)), _LAST_SECOND),
            ),
            picture=display_picture(claims.picture),
        )


def _hash(token: str) -> str:
    """A name for a token that has none. What is signed is hashed: the signature itself can be written in other ways, by
    which one that was revoked would be good again.
    """
    digest = hashlib.blake2b(token.rpartition(".")[0].encode(), digest_size=16).digest()
    return base64.urlsafe_b64encode(digest).decode()


def color_of(user_id: str) -> str:
    """A colour for a user whose token names none: always the same for the same user."""
    return _PALETTE[zlib.crc32(user_id.encode()) % len(_PALETTE)]
