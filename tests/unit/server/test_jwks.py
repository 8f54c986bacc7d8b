"""Key sets: which keys are of use, and which of them a token is verified with (rule S13)."""

from __future__ import annotations

import json
import time
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from hypothesis import given
from hypothesis import strategies as st
from jwt.algorithms import get_default_algorithms

from fastcollab.config import PUBLIC_KEY_ALGORITHMS, AuthConfig
from fastcollab.errors import InvalidToken
from fastcollab.server.auth import TokenVerifier, UnknownKey
from fastcollab.server.jwks import KeySet, PublicKey, header_of

RSA = rsa.generate_private_key(public_exponent=65_537, key_size=2048)
EC = ec.generate_private_key(ec.SECP256R1())
SIGNERS: dict[str, Any] = {
    "RS256": RSA,
    "PS512": RSA,
    "ES256": EC,
    "ES384": ec.generate_private_key(ec.SECP384R1()),
    "ES512": ec.generate_private_key(ec.SECP521R1()),
    "EdDSA": ed25519.Ed25519PrivateKey.generate(),
}


def jwk(algorithm: str, key: Any = None, **others: Any) -> dict[str, Any]:
    """The public half of a key, as its owner publishes it; None takes a member away."""
    kind = get_default_algorithms()[algorithm]
    given = kind.to_jwk((key or SIGNERS[algorithm]).public_key(), as_dict=True)
    given.pop("key_ops", None)
    return {name: value for name, value in {**given, **others}.items() if value is not None}


def key_set(*keys: Any, algorithms: Any = PUBLIC_KEY_ALGORITHMS) -> KeySet:
    return KeySet(json.dumps({"keys": keys}).encode(), algorithms)


class OneSet:
    """A key set that never changes, as a source of keys."""

    def __init__(self, keys: KeySet) -> None:
        self.keys = keys

    def find(self, token: str, algorithms: list[str]) -> PublicKey:
        return self.keys.find(*header_of(token, algorithms))

    async def renew(self) -> bool:
        return True


def verifier(*keys: Any, algorithms: Any = PUBLIC_KEY_ALGORITHMS) -> TokenVerifier:
    return TokenVerifier(AuthConfig(algorithms=algorithms), OneSet(key_set(*keys, algorithms=algorithms)))


def token(algorithm: str, key: Any = None, **header: Any) -> str:
    claims = {"sub": "ada", "exp": time.time() + 60}
    return jwt.encode(claims, key or SIGNERS[algorithm], algorithm, headers=header)


@pytest.mark.parametrize("algorithm", SIGNERS)
async def test_s13_each_kind_of_key_works(algorithm: str) -> None:
    by = verifier(*(jwk(each, kid=each) for each in SIGNERS))
    assert (await by.authenticate(token(algorithm, kid=algorithm))).user_id == "ada"
    for other in SIGNERS:
        if other != algorithm and {other, algorithm} != {"RS256", "PS512"}:
            with pytest.raises(UnknownKey):
                await by.authenticate(token(algorithm, kid=other))


async def test_s13_ed448_works() -> None:
    key = ed448.Ed448PrivateKey.generate()
    assert verifier(jwk("EdDSA", key, kid="1")).verify(token("EdDSA", key, kid="1")).user_id == "ada"


async def test_s13_of_the_same_kind_the_one_that_is_named() -> None:
    other = ec.generate_private_key(ec.SECP256R1())
    by = verifier(jwk("ES256", kid="old"), jwk("ES256", other, kid="new"))
    assert by.verify(token("ES256", kid="old")).user_id == "ada"
    assert by.verify(token("ES256", other, kid="new")).user_id == "ada"
    for forged in (token("ES256", kid="new"), token("ES256", other, kid="old")):
        with pytest.raises(InvalidToken) as refused:
            by.verify(forged)
        assert refused.value.details["reason"] == "invalid"


def test_s13_a_token_that_names_no_key_has_it_if_there_is_one_only() -> None:
    assert verifier(jwk("ES256"), jwk("RS256", kid="1")).verify(token("ES256")).user_id == "ada"
    other = ec.generate_private_key(ec.SECP256R1())
    with pytest.raises(InvalidToken, match="does not name") as refused:
        verifier(jwk("ES256"), jwk("ES256", other, kid="1")).verify(token("ES256"))
    assert not isinstance(refused.value, UnknownKey)
    with pytest.raises(UnknownKey):
        verifier(jwk("RS256")).verify(token("ES256"))


def test_s13_of_two_of_one_name_the_first() -> None:
    other = ec.generate_private_key(ec.SECP256R1())
    by = verifier(jwk("ES256", kid="1"), jwk("ES256", other, kid="1"), jwk("RS256", kid="1"))
    assert by.verify(token("ES256", kid="1")).user_id == "ada"
    assert by.verify(token("RS256", kid="1")).user_id == "ada"
    with pytest.raises(InvalidToken):
        by.verify(token("ES256", other, kid="1"))


PRIVATE = {"d": "AAAA"}
OCT = {"kty": "oct", "k": "c2VjcmV0" * 8, "kid": "1"}


@pytest.mark.parametrize(
    "key",
    [
        *(jwk("RS256", kid="1", **odd) for odd in ({"use": "enc"}, {"key_ops": ["encrypt"]}, {"alg": "RSA-OAEP"})),
        *(jwk("ES256", kid="1", **odd) for odd in ({"alg": "ES384"}, {"crv": "P-384"}, {"crv": "secp256k1"})),
        *(jwk("ES256", kid="1", **odd) for odd in (PRIVATE, {"crv": None}, {"x": "AAAA"}, {"x": 5}, {"kty": "RSA"})),
        *(jwk("ES256", kid="1", **odd) for odd in ({"kty": 5}, {"kty": None}, {"use": ["sig"]}, {"alg": {"a": 1}})),
        *(jwk("ES256", kid=kid) for kid in (5, ["1"], "x" * 257)),
        *(OCT | odd for odd in ({}, {"alg": "HS256"}, {"alg": "ES256"}, {"alg": "RS256", "use": "sig"})),
        jwk("RS256", rsa.generate_private_key(public_exponent=65_537, key_size=1024), kid="1"),
        jwk("EdDSA", kid="1", crv="X25519"),
        {},
    ],
)
def test_s13_keys_that_are_of_no_use_are_left_out(key: dict[str, Any]) -> None:
    found = key_set(key, jwk("ES384", kid="good"))
    assert len(found) == 1
    for algorithm in PUBLIC_KEY_ALGORITHMS:
        with pytest.raises(UnknownKey):
            found.find("1", algorithm)
    assert found.find("good", "ES384")


def test_s13_a_shared_secret_in_a_set_is_none() -> None:
    """Even where it could be used, it stands where everybody can read it."""
    assert len(key_set(OCT, OCT | {"alg": "HS256"}, algorithms=["HS256"])) == 0


@pytest.mark.parametrize("algorithms", [["RS256"], ["PS256", "RS512"], ["EdDSA"]])
def test_s13_a_key_is_for_what_is_configured(algorithms: list[str]) -> None:
    found = key_set(*(jwk(each, kid=each) for each in ("RS256", "ES256", "EdDSA")), algorithms=algorithms)
    assert len(found) == 1
    for each in PUBLIC_KEY_ALGORITHMS:
        if each not in algorithms:
            with pytest.raises(UnknownKey):
                found.find("RS256", each)


@pytest.mark.parametrize(
    "data",
    [
        *(b"", b"{}", b"[]", b"null", b"\xff", b'{"keys":5}', b'{"keys":["a"]}', b'{"keys":{"a":1}}', b'{"keys":[{]}'),
        b'{"keys":' + b"[" * 10_000 + b"]" * 10_000 + b"}",
    ],
)
def test_s13_what_is_no_key_set_is_told(data: bytes) -> None:
    with pytest.raises(ValueError, match="is no key set"):
        KeySet(data, ["ES256"])


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(["kty", "kid", "x", "n", "e", "crv"]), inner),
    )
)
def test_s13_whatever_a_server_writes(keys: Any) -> None:
    try:
        found = KeySet(json.dumps({"keys": keys}).encode(), PUBLIC_KEY_ALGORITHMS)
    except ValueError:
        return
    assert len(found) == 0


def test_s13_not_more_than_so_many_keys_are_looked_at() -> None:
    many = [jwk("ES256", kid=str(index)) for index in range(300)]
    found = key_set(*many)
    assert len(found) == 256
    assert found.find("255", "ES256")
    with pytest.raises(UnknownKey):
        found.find("256", "ES256")


HOSTILE = [
    *("../../../../etc/passwd", "/dev/null", "file:///dev/null", "http://evil.example/jwks.json", "//evil.example"),
    *(
        "1' OR '1'='1",
        "1; DROP TABLE keys",
        "x\0",
        "\0",
        "%00",
        "1%0d%0aHost: evil",
        "${jndi:ldap://evil}",
        "`id`",
        "| id",
    ),
    *("", " ", "1 ", "１", "__class__", "x" * 256, "💥"),
]


@pytest.mark.parametrize("kid", HOSTILE)
async def test_s13_a_key_id_is_a_name_and_nothing_else(kid: str) -> None:
    by = verifier(jwk("ES256", kid="1"))
    with pytest.raises(UnknownKey):
        await by.authenticate(token("ES256", kid=kid))
    # The same characters name a key as well as any others.
    assert (await verifier(jwk("ES256", kid=kid)).authenticate(token("ES256", kid=kid))).user_id == "ada"


@pytest.mark.parametrize("kid", ["x" * 257, "x" * 10_000])
def test_s13_a_long_key_id_names_no_key(kid: str) -> None:
    with pytest.raises(InvalidToken, match="key id") as refused:
        verifier(jwk("ES256", kid=kid)).verify(token("ES256", kid=kid))
    assert not isinstance(refused.value, UnknownKey)


@pytest.mark.parametrize("kid", [5, ["1"], {"1": 1}, True])
def test_s13_a_key_id_is_a_text(kid: Any) -> None:
    head, _, rest = token("ES256", kid="1").partition(".")
    raw = json.dumps({"alg": "ES256", "kid": kid}).encode()
    forged = f"{jwt.utils.base64url_encode(raw).decode()}.{rest}"
    assert head != forged
    with pytest.raises(InvalidToken) as refused:
        verifier(jwk("ES256", kid="1")).verify(forged)
    assert not isinstance(refused.value, UnknownKey)


@pytest.mark.parametrize("header", ["jku", "x5u", "jwk", "x5c"])
def test_s13_a_token_does_not_bring_its_own_key(header: str) -> None:
    own = ec.generate_private_key(ec.SECP256R1())
    brought = {
        "jku": "http://evil.example/jwks.json",
        "x5u": "http://evil.example/key.pem",
        "jwk": jwk("ES256", own, kid="1"),
        "x5c": ["AAAA"],
    }
    with pytest.raises(InvalidToken) as refused:
        verifier(jwk("ES256", kid="1")).verify(token("ES256", own, kid="1", **{header: brought[header]}))
    assert refused.value.details["reason"] == "invalid"


def test_s13_no_other_algorithm_than_those_configured() -> None:
    by = verifier(jwk("RS256", kid="1"), algorithms=["RS256"])
    public = jwk("RS256")["n"]
    for made in (
        token("PS512", kid="1"),
        jwt.encode({"sub": "ada", "exp": time.time() + 60}, None, "none", headers={"kid": "1"}),
        jwt.encode({"sub": "ada", "exp": time.time() + 60}, public, "HS256", headers={"kid": "1"}),
    ):
        with pytest.raises(InvalidToken, match="not allowed") as refused:
            by.verify(made)
        assert not isinstance(refused.value, UnknownKey)
