"""Tokens that are good, and every way in which they are not (S2, P1)."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
import time
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from fastcollab import Config
from fastcollab.core.permissions import Permission
from fastcollab.core.revocation import TokenMarks
from fastcollab.errors import InvalidToken
from fastcollab.server.auth import Claims, TokenVerifier, color_of

SECRET = "a secret of the tests, and of nobody else"

PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey

KEYS: dict[str, PrivateKey] = {
    "RS256": rsa.generate_private_key(public_exponent=65_537, key_size=2048),
    "ES256": ec.generate_private_key(ec.SECP256R1()),
    "EdDSA": ed25519.Ed25519PrivateKey.generate(),
}


def public_pem(key: PrivateKey) -> bytes:
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def verifier(**auth: object) -> TokenVerifier:
    return TokenVerifier(Config.model_validate({"auth": {"secret": SECRET} | auth}).auth)


def key_verifier(folder: Path, key: PrivateKey, *algorithms: str) -> TokenVerifier:
    path = folder / "public.pem"
    path.write_bytes(public_pem(key))
    return TokenVerifier(Config.model_validate({"auth": {"algorithms": algorithms, "public_key_file": path}}).auth)


def token(*, key: Any = SECRET, algorithm: str = "HS256", without: str = "", **claims: Any) -> str:
    given = {"sub": "ada", "exp": time.time() + 60} | claims
    given.pop(without, None)
    return jwt.encode(given, key, algorithm)


def handmade(header: bytes, payload: bytes, secret: bytes = SECRET.encode()) -> str:
    """A token of any bytes, signed with HMAC-SHA256 whatever its header says."""
    parts = [base64.urlsafe_b64encode(part).rstrip(b"=") for part in (header, payload)]
    signature = hmac.digest(secret, b".".join(parts), hashlib.sha256)
    return b".".join([*parts, base64.urlsafe_b64encode(signature).rstrip(b"=")]).decode()


def reason(made: str, by: TokenVerifier) -> str:
    with pytest.raises(InvalidToken) as refused:
        by.verify(made)
    assert not refused.value.recoverable
    assert SECRET not in str(refused.value)
    return str(refused.value.details["reason"])


# --- good tokens ------------------------------------------------------------------------------------------------------


def test_a_token_says_who_the_user_is() -> None:
    expires_at = time.time() + 60
    rooms = {"team-*": "write", "lobby": "read", "secret": "none", "own": "admin"}
    made = token(
        exp=expires_at, name="Ada Lovelace", color="#364fc7", rooms=rooms, jti="t1", sid="s1", iat=int(expires_at) - 60
    )
    assert verifier().verify(made) == Claims(
        "ada",
        "Ada Lovelace",
        "#364fc7",
        {
            "team-*": Permission.WRITE,
            "lobby": Permission.READ,
            "secret": Permission.NONE,
            "own": Permission.ADMIN,
        },
        TokenMarks("ada", "t1", "s1", int(expires_at) - 60, int(expires_at)),
    )


def test_what_a_token_leaves_out_is_made_up() -> None:
    claims = verifier().verify(token())
    assert (claims.name, claims.rooms, claims.color) == ("ada", None, color_of("ada"))
    made = token(name=None, color=None, rooms=None)
    assert (verifier().verify(made).name, verifier().verify(made).color) == ("ada", color_of("ada"))
    assert verifier().verify(made).rooms is None
    assert color_of("ada") == color_of("ada")
    assert len({color_of(f"user {index}") for index in range(200)}) == 12


def test_an_empty_claim_of_rooms_is_not_the_same_as_none() -> None:
    assert verifier().verify(token(rooms={})).rooms == {}


def test_claims_that_mean_nothing_here_are_ignored() -> None:
    made = token(scope="x", admin=True, iat=int(time.time()), jti="1", rooms={"a": "read"})
    assert verifier().verify(made).rooms == {"a": Permission.READ}


@pytest.mark.parametrize("algorithm", KEYS)
def test_each_kind_of_key_works(algorithm: str, tmp_path: Path) -> None:
    key = KEYS[algorithm]
    by = key_verifier(tmp_path, key, algorithm)
    assert by.verify(token(key=key, algorithm=algorithm)).user_id == "ada"


@pytest.mark.parametrize("algorithm", ["HS384", "HS512", "PS256", "RS512"])
def test_other_algorithms_of_a_key_work_where_they_are_configured(algorithm: str, tmp_path: Path) -> None:
    if algorithm.startswith("HS"):
        secret = SECRET * 2
        made = token(key=secret, algorithm=algorithm)
        assert verifier(secret=secret, algorithms=[algorithm]).verify(made).user_id == "ada"
        assert reason(made, verifier(secret=secret, algorithms=["HS256"])) == "invalid"
    else:
        made = token(key=KEYS["RS256"], algorithm=algorithm)
        assert key_verifier(tmp_path, KEYS["RS256"], "RS256", algorithm).verify(made).user_id == "ada"
        assert reason(made, key_verifier(tmp_path, KEYS["RS256"], "RS256")) == "invalid"


# --- forgeries --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("word", ["none", "None", "NONE", "nOnE", ""])
def test_a_token_that_nobody_signed_is_refused(word: str) -> None:
    payload = json.dumps({"sub": "ada", "exp": time.time() + 60}).encode()
    signed = handmade(json.dumps({"alg": word, "typ": "JWT"}).encode(), payload)
    assert reason(signed, verifier()) == "invalid"
    assert reason(signed.rpartition(".")[0] + ".", verifier()) == "invalid"


@pytest.mark.parametrize("algorithm", KEYS)
def test_the_public_key_is_no_secret(algorithm: str, tmp_path: Path) -> None:
    """The oldest of JWT forgeries: an HMAC with the public key, which everyone has, as its secret."""
    key = KEYS[algorithm]
    by = key_verifier(tmp_path, key, algorithm)
    payload = json.dumps({"sub": "ada", "exp": time.time() + 60}).encode()
    for secret in (public_pem(key), public_pem(key).strip(), public_pem(key).decode().replace("\n", "\r\n").encode()):
        assert reason(handmade(b'{"alg":"HS256","typ":"JWT"}', payload, secret), by) == "invalid"
        assert reason(handmade(json.dumps({"alg": algorithm}).encode(), payload, secret), by) == "invalid"


@pytest.mark.parametrize("algorithm", ["HS256", *KEYS])
def test_another_key_is_refused(algorithm: str, tmp_path: Path) -> None:
    if algorithm == "HS256":
        assert reason(token(key=SECRET + "."), verifier()) == "invalid"
        return
    others: dict[str, PrivateKey] = {
        "RS256": rsa.generate_private_key(public_exponent=65_537, key_size=2048),
        "ES256": ec.generate_private_key(ec.SECP256R1()),
        "EdDSA": ed25519.Ed25519PrivateKey.generate(),
    }
    made = token(key=others[algorithm], algorithm=algorithm)
    assert reason(made, key_verifier(tmp_path, KEYS[algorithm], algorithm)) == "invalid"


@pytest.mark.parametrize("signed_with", KEYS)
@pytest.mark.parametrize("configured", KEYS)
def test_an_algorithm_for_another_kind_of_key_is_refused(configured: str, signed_with: str, tmp_path: Path) -> None:
    """All three may be configured with a key of one kind; the token's header is the attacker's."""
    by = key_verifier(tmp_path, KEYS[configured], *KEYS)
    made = token(key=KEYS[signed_with], algorithm=signed_with)
    if configured == signed_with:
        assert by.verify(made).user_id == "ada"
    else:
        assert reason(made, by) == "invalid"


@pytest.mark.parametrize("part", range(3))
def test_a_token_with_a_changed_part_is_refused(part: int) -> None:
    parts = token().split(".")
    other = token(sub="eve", key=SECRET + ".").split(".")
    parts[part] = "" if parts[part] == other[part] else other[part]
    assert reason(".".join(parts), verifier()) == "invalid"


NESTED = b"[" * 4000 + b"]" * 4000


@pytest.mark.parametrize(
    "made",
    [
        *("", ".", "..", "...", "a.b.c", "a.b.c.d", "ada", " ", "\0", "é.é.é", "\udcff.a.b", "💥"),
        handmade(b"", b"{}"),
        handmade(b"[]", b"{}"),
        handmade(b"\xff", b"{}"),
        handmade(b'{"alg":null}', b"{}"),
        handmade(b'{"alg":["HS256"]}', b"{}"),
        handmade(b'{"alg":{"HS256":1}}', b"{}"),
        handmade(b'{"alg":256}', b"{}"),
        handmade(b'{"alg":"HS256","crit":["exp"]}', b"{}"),
        handmade(b'{"alg":"HS256","b64":false}', b"{}"),
        handmade(b'{"alg":"HS256","kid":1}', b"{}"),
        handmade(NESTED, b"{}"),
        handmade(b'{"alg":"HS256"}', b""),
        handmade(b'{"alg":"HS256"}', b"[]"),
        handmade(b'{"alg":"HS256"}', b"\xff"),
        handmade(b'{"alg":"HS256"}', NESTED),
        handmade(b'{"alg":"HS256"}', b'{"sub":"ada","exp":1e999}'),
        handmade(b'{"alg":"HS256"}', b'{"sub":"ada","exp":NaN}'),
        handmade(b'{"alg":"HS256"}', b'{"sub":"ada","exp":"soon"}'),
        handmade(b'{"alg":"HS256"}', b'{"sub":"ada","exp":[]}'),
        handmade(b'{"alg":"HS256"}', b'{"sub":"ada","exp":null}'),
        handmade(b'{"alg":"HS256"}', b'{"sub":"ada","exp":' + b"9" * 5000 + b"}"),
    ],
)
def test_what_is_no_token_is_refused(made: str) -> None:
    assert reason(made, verifier()) in ("invalid", "claims")


def test_a_huge_token_is_not_looked_into() -> None:
    fits = token(padding="x" * 12_000)
    assert 16_000 < len(fits) <= 16_384
    assert verifier().verify(fits).user_id == "ada"
    for size in (12_400, 1_000_000):
        made = token(padding="x" * size)
        with pytest.raises(InvalidToken, match="too long") as refused:
            verifier().verify(made)
        assert refused.value.details["limit"] == 16_384
        assert refused.value.details["size"] == len(made)


# --- claims -----------------------------------------------------------------------------------------------------------


def test_an_expired_token_is_refused() -> None:
    assert reason(token(exp=time.time() - 2), verifier()) == "expired"
    assert reason(token(exp=0), verifier()) == "expired"
    assert reason(token(exp=-1), verifier()) == "expired"
    assert verifier(leeway=10).verify(token(exp=time.time() - 5)).user_id == "ada"
    assert reason(token(exp=time.time() - 15), verifier(leeway=10)) == "expired"


def test_a_token_is_not_good_before_its_time() -> None:
    assert reason(token(nbf=time.time() + 20), verifier()) == "invalid"
    assert reason(token(iat=time.time() + 20), verifier()) == "invalid"
    assert verifier().verify(token(nbf=time.time() - 1)).user_id == "ada"
    assert verifier(leeway=30).verify(token(nbf=time.time() + 20)).user_id == "ada"


@pytest.mark.parametrize("claim", ["sub", "exp"])
def test_a_claim_that_is_missing_is_named(claim: str) -> None:
    with pytest.raises(InvalidToken, match=f'"{claim}"'):
        verifier().verify(token(without=claim))


@pytest.mark.parametrize(
    "claims",
    [
        *({"sub": sub} for sub in ("", " ada", "ada ", "a\0b", "a\nb", "\x7f", "x" * 129, "\ud800")),
        *({"name": name} for name in ("", "x" * 129, 7, ["Ada"], "half \udc00 pair")),
        *({"color": color} for color in ("", "#12345", "url(evil)", "red;", 7)),
        *({"rooms": rooms} for rooms in ("a", ["a"], {"a": 1}, {"a": None}, {"a": ["read"]}, {"x" * 257: "read"})),
        *({"rooms": {"a": word}} for word in ("", "owner", "read,write", "read ", "*", "1")),
        {"exp": "99999999999"},
    ],
)
def test_claims_out_of_bounds_are_refused(claims: dict[str, Any]) -> None:
    assert reason(token(**claims), verifier()) == "claims"


@pytest.mark.parametrize("sub", [7, None, ["ada"], {"id": "ada"}, True])
def test_a_user_is_a_text(sub: Any) -> None:
    made = handmade(b'{"alg":"HS256"}', json.dumps({"sub": sub, "exp": time.time() + 60}).encode())
    assert reason(made, verifier()) in ("invalid", "claims")


@pytest.mark.parametrize(
    "claims", [{"sub": "x" * 128}, {"name": "é" * 128}, {"sub": "Ada 👩‍💻"}, {"sub": "4294967295"}]
)
def test_claims_within_bounds_are_taken(claims: dict[str, str]) -> None:
    found = verifier().verify(token(**claims))
    assert found.user_id == claims.get("sub", "ada")
    assert found.name == claims.get("name", found.user_id)


def test_s12_what_a_token_is_known_by() -> None:
    now = int(time.time())
    marks = verifier().verify(token(jti="t1", sid="s1", iat=now, exp=now + 60.9)).token
    assert marks == TokenMarks("ada", "t1", "s1", now, now + 60)
    plain, other = token(), token(scope="x")
    assert verifier().verify(plain).token.token_id == verifier().verify(plain).token.token_id
    assert verifier().verify(plain).token.token_id != verifier().verify(other).token.token_id
    assert re.fullmatch(r"[\w-]{22}==", verifier().verify(plain).token.token_id)
    assert (verifier().verify(plain).token.login, verifier().verify(plain).token.issued_at) == (None, None)


@pytest.mark.parametrize(
    "claims",
    [
        *({claim: value} for claim in ("jti", "sid") for value in ("", "x" * 257, "half \udc00 pair")),
        *({"sid": value} for value in (7, ["s"], True)),
        *({"iat": value} for value in ("1", True)),
    ],
)
def test_s12_marks_out_of_bounds_are_refused(claims: dict[str, Any]) -> None:
    assert reason(token(**claims), verifier()) == "claims"


def test_s12_marks_within_bounds_are_taken() -> None:
    marks = verifier().verify(token(jti="x" * 256, sid="é\0" * 128, iat=0)).token
    assert (len(marks.token_id), len(marks.login or ""), marks.issued_at) == (256, 256, 0)


def test_s12_a_limit_to_the_life_of_tokens() -> None:
    by, now = verifier(max_token_lifetime=100), int(time.time())
    assert by.verify(token(iat=now - 50, exp=now + 50)).user_id == "ada"
    assert reason(token(iat=now - 50, exp=now + 51), by) == "claims"
    assert reason(token(exp=now + 50), by) == "invalid"


@pytest.mark.parametrize("exp", [2**40, 2**53, 10**18, 1e300])
def test_s8_a_token_for_ever_has_an_end_that_can_be_told(exp: float) -> None:
    expires_at = verifier().verify(token(exp=exp)).token.expires_at
    assert expires_at == min(exp, (2**53 - 1) // 1000)
    assert int(expires_at * 1000) <= 2**53 - 1


def test_of_claims_that_come_twice_the_last_counts_everywhere() -> None:
    """The parser takes one of them, and all who look at the claims see that one."""
    now = int(time.time())
    twice = f'{{"sub":"eve","sub":"ada","exp":{now + 60},"exp":{now - 60}}}'.encode()
    assert reason(handmade(b'{"alg":"HS256"}', twice), verifier()) == "expired"
    twice = f'{{"sub":"eve","exp":{now - 60},"sub":"ada","exp":{now + 60}}}'.encode()
    assert verifier().verify(handmade(b'{"alg":"HS256"}', twice)).user_id == "ada"
    assert reason(handmade(b'{"alg":"HS256","alg":"none"}', twice), verifier()) == "invalid"


@pytest.mark.parametrize(
    "header",
    [
        *(b'{"alg":"HS256","crit":["exp"],"exp":1}', b'{"alg":"HS256","crit":["jku"],"jku":"x"}'),
        *(b'{"alg":"HS256","crit":[]}', b'{"alg":"HS256","crit":"b64"}', b'{"alg":"HS256","crit":["b64"],"b64":false}'),
    ],
)
def test_what_a_header_calls_critical_and_is_not_known_is_refused(header: bytes) -> None:
    payload = json.dumps({"sub": "ada", "exp": time.time() + 60}).encode()
    assert reason(handmade(header, payload), verifier()) == "invalid"


def test_the_issuer_is_checked_where_one_is_configured() -> None:
    by = verifier(issuer="https://id.example.com")
    assert by.verify(token(iss="https://id.example.com")).user_id == "ada"
    assert reason(token(iss="https://evil.example.com"), by) == "invalid"
    assert reason(token(iss="https://id.example.com/"), by) == "invalid"
    assert reason(token(), by) == "invalid"
    assert verifier().verify(token(iss="anyone")).user_id == "ada"


def test_the_audience_is_checked_where_one_is_configured() -> None:
    by = verifier(audience=["collab", "docs"])
    assert by.verify(token(aud="docs")).user_id == "ada"
    assert by.verify(token(aud=["other", "collab"])).user_id == "ada"
    assert reason(token(aud="other"), by) == "invalid"
    assert reason(token(aud=[]), by) == "invalid"
    assert reason(token(), by) == "invalid"
    # A token for some other service is not for this one, which has no name.
    assert reason(token(aud="other"), verifier()) == "invalid"


def test_a_key_file_that_has_gone_is_an_os_error(tmp_path: Path) -> None:
    path = tmp_path / "public.pem"
    path.write_bytes(public_pem(KEYS["ES256"]))
    config = Config.model_validate({"auth": {"algorithms": ["ES256"], "public_key_file": path}})
    path.unlink()
    with pytest.raises(FileNotFoundError):
        TokenVerifier(config.auth)
