"""Key sets (RFC 7517): which of the keys in one are of use here, and which of them a token is to be verified with.

A key is used for the algorithms that fit its kind and that are configured, and if the key names one, for that alone.
Keys for other purposes than signatures are left out; so are weak ones, shared secrets (`oct`), which have no place in
what everybody can read, and private keys, whose owner has lost them.

A token's `kid` is looked up in a dictionary, and nothing else is ever done with it. A token that has none is verified
with the only key that fits its algorithm; if there are more, it is refused.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Annotated, Any

import jwt
import msgspec
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from msgspec import Meta, Struct

from fastcollab.errors import InvalidToken
from fastcollab.server.auth import UnknownKey

#: Characters; a key id that is longer names no key.
_MAX_KEY_ID = 256
#: Keys beyond these are not looked at.
_MAX_KEYS = 256
#: Bits of an RSA key (RFC 7518, 3.3); a very long one takes too long.
_RSA_BITS = range(2048, 16_384 + 1)

_CURVES = {
    ("EC", "P-256"): "ES256",
    ("EC", "P-384"): "ES384",
    ("EC", "P-521"): "ES512",
    ("OKP", "Ed25519"): "EdDSA",
    ("OKP", "Ed448"): "EdDSA",
}
_RSA_ALGORITHMS: tuple[str, ...] = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512")

PublicKey = rsa.RSAPublicKey | ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey | ed448.Ed448PublicKey


class _Jwk(Struct):
    """One key; of its parameters only the names that are looked at here."""

    kty: str
    kid: Annotated[str, Meta(max_length=_MAX_KEY_ID)] | None = None
    use: str | None = None
    key_ops: list[str] | None = None
    alg: str | None = None
    crv: str | None = None
    d: Any = None


class _Jwks(Struct):
    keys: list[dict[str, Any]]


class KeySet:
    """The keys of one set that are of use for `algorithms`. Raises ValueError if `data` is no key set."""

    def __init__(self, data: bytes, algorithms: Iterable[str]) -> None:
        try:
            keys = msgspec.json.decode(data, type=_Jwks).keys
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise ValueError(f"is no key set: {error}") from None
        #: By key id and algorithm; of two that share both, the first.
        self._named: dict[tuple[str, str], PublicKey] = {}
        self._by_algorithm: dict[str, list[PublicKey]] = {}
        self._count = 0
        for parameters in keys[:_MAX_KEYS]:
            self._add(parameters, frozenset(algorithms))

    def __len__(self) -> int:
        return self._count

    def find(self, key_id: str | None, algorithm: str) -> PublicKey:
        """The key for a token with this header.

        Raises :class:`UnknownKey` if it may be in a newer set, and :class:`InvalidToken` if the token does not say
        which it is.
        """
        if key_id is None:
            fitting = self._by_algorithm.get(algorithm, [])
            if len(fitting) > 1:
                raise InvalidToken("the token does not name its key, and there are several", reason="key")
            key = fitting[0] if fitting else None
        else:
            key = self._named.get((key_id, algorithm))
        if key is None:
            raise UnknownKey("the token's key is not known", reason="key")
        return key

    def _add(self, parameters: Mapping[str, Any], configured: frozenset[str]) -> None:
        try:
            described = msgspec.convert(parameters, _Jwk)
            fitting = [algorithm for algorithm in _fitting(described) if algorithm in configured]
            if not fitting or described.d is not None:
                return
            key = jwt.PyJWK(dict(parameters), fitting[0]).key
        except Exception:  # What a foreign server writes may be anything, and the other keys are no worse for it.
            return
        if isinstance(key, rsa.RSAPublicKey) and key.key_size not in _RSA_BITS:
            return
        if not isinstance(key, PublicKey):
            return
        self._count += 1
        for algorithm in fitting:
            if described.kid is not None:
                self._named.setdefault((described.kid, algorithm), key)
            self._by_algorithm.setdefault(algorithm, []).append(key)


def _fitting(key: _Jwk) -> Iterator[str]:
    """The algorithms that the key is for."""
    if key.use not in (None, "sig") or (key.key_ops is not None and "verify" not in key.key_ops):
        return
    algorithms = _RSA_ALGORITHMS if key.kty == "RSA" else (_CURVES.get((key.kty, key.crv or ""), ""),)
    yield from (algorithm for algorithm in algorithms if key.alg in (None, algorithm))


def header_of(token: str, algorithms: Iterable[str]) -> tuple[str | None, str]:
    """The key id and the algorithm in the header of a token, of which nothing is sure.

    Raises :class:`InvalidToken` if they cannot be right, and whatever the library raises for what is no token.
    """
    header = jwt.get_unverified_header(token)
    key_id, algorithm = header.get("kid"), header.get("alg")
    if not isinstance(algorithm, str) or algorithm not in algorithms:
        raise InvalidToken("the token's algorithm is not allowed", reason="invalid")
    if key_id is not None and (not isinstance(key_id, str) or len(key_id) > _MAX_KEY_ID):
        raise InvalidToken("the token's key id is not valid", reason="key")
    return key_id, algorithm
