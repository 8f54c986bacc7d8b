"""The upgrade request: what it asks for, and what it is refused for (rules H1 to H6).

picows calls the listener's factory before it has validated the upgrade headers, so that nothing is made here
but an answer: a token is taken out, not looked at. What picows then checks more narrowly than browsers keep to
is put in order first.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from http import HTTPStatus
from urllib.parse import parse_qs

from multidict import CIMultiDict
from picows import WSUpgradeRequest, WSUpgradeResponse

from fastcollab.server.extensions import Agreement, CompressionTerms, negotiate

PLAIN = "fastcollab.v1"
BATCHED = "fastcollab.v1.batch"
TOKEN_PREFIX = "fastcollab.token."
RESUME_PREFIX = "fastcollab.resume."

#: Headers that a request has at most once.
_SINGLE = ("Host", "Origin", "Authorization", "Sec-WebSocket-Key", "Sec-WebSocket-Version")


@dataclass(frozen=True, slots=True)
class HandshakeSettings:
    path: str
    allowed_origins: Sequence[str]
    allow_query_token: bool
    compression: CompressionTerms | None = None


@dataclass(frozen=True, slots=True)
class Upgrade:
    """A request that is granted. `subprotocol` is None if the client asked for none, `token` if it sent none,
    `previous` if it takes up no earlier connection, and `compression` if there is none.
    """

    subprotocol: str | None
    token: str | None
    previous: str | None = None
    compression: Agreement | None = None

    @property
    def batched(self) -> bool:
        return self.subprotocol == BATCHED

    def response(self) -> WSUpgradeResponse:
        """The answer to the request."""
        headers = {} if self.subprotocol is None else {"Sec-WebSocket-Protocol": self.subprotocol}
        if self.compression is not None:
            headers["Sec-WebSocket-Extensions"] = self.compression.header
        response: WSUpgradeResponse = WSUpgradeResponse.create_101_response(headers)
        return response


class UpgradeRefused(Exception):
    """The request is answered with an HTTP status."""

    def __init__(self, status: HTTPStatus, reason: str, **headers: str) -> None:
        super().__init__(reason)
        self.status = status
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}

    def response(self) -> WSUpgradeResponse:
        """The answer to the request."""
        body = f"{self}\n".encode()
        response: WSUpgradeResponse = WSUpgradeResponse.create_error_response(self.status, body, self.headers)
        return response


def judge(request: WSUpgradeRequest, settings: HandshakeSettings) -> Upgrade:
    """What the request asks for; raises :class:`UpgradeRefused`. Its `Connection` header is brought into picows'
    form.
    """
    if not _is_request_target(request.path):
        raise UpgradeRefused(HTTPStatus.BAD_REQUEST, "the request target is malformed")
    path, query = _split_target(request.path)
    if path != settings.path:
        raise UpgradeRefused(HTTPStatus.NOT_FOUND, f"the gateway is at {settings.path}")
    headers = request.headers
    _check_single(headers)
    _normalize_connection(headers)
    if headers.get("Sec-WebSocket-Version", "13").strip() != "13":
        raise UpgradeRefused(
            HTTPStatus.UPGRADE_REQUIRED, "WebSocket version 13 is required", Sec_WebSocket_Version="13"
        )
    _check_origin(headers.get("Origin"), settings.allowed_origins)
    offered = _elements(headers, "Sec-WebSocket-Protocol")
    token = _bearer(headers) or _offered(offered, TOKEN_PREFIX)
    if token is None and settings.allow_query_token:
        token = next(iter(parse_qs(query).get("token", [])), None)
    compression = None
    if settings.compression is not None:
        compression = negotiate(headers.getall("Sec-WebSocket-Extensions", []), settings.compression)
    return Upgrade(_choose(offered), token, _offered(offered, RESUME_PREFIX), compression)


def _is_request_target(path: bytes) -> bool:
    return all(0x21 <= byte <= 0x7E for byte in path)


def _split_target(target: bytes) -> tuple[str, str]:
    """Path and query of what is requested, which may be written with the host in front (RFC 9112, 3.2.2)."""
    text = target.decode("ascii")
    if text.lower().startswith(("http://", "https://")):
        text = "/" + text.partition("://")[2].partition("/")[2]
    path, _, query = text.partition("?")
    return path, query


def _check_single(headers: CIMultiDict[str]) -> None:
    """Whoever stands in front of the gateway may have looked at the other one."""
    for name in _SINGLE:
        if len(headers.getall(name, [])) > 1:
            raise UpgradeRefused(HTTPStatus.BAD_REQUEST, f"there may be only one {name} header")


def _normalize_connection(headers: CIMultiDict[str]) -> None:
    # Firefox sends "keep-alive, Upgrade", as it may.
    if "upgrade" in [element.lower() for element in _elements(headers, "Connection")]:
        headers["Connection"] = "Upgrade"


def _check_origin(origin: str | None, allowed: Sequence[str]) -> None:
    if origin is None:
        return
    origin = origin.lower()
    # In the origin of an IPv6 address the brackets are no pattern.
    if any(origin == pattern.lower() or fnmatchcase(origin, pattern.lower()) for pattern in allowed):
        return
    raise UpgradeRefused(HTTPStatus.FORBIDDEN, "the origin is not allowed (client.allowed_origins)")


def _choose(offered: Sequence[str]) -> str | None:
    known = [protocol for protocol in offered if protocol in (PLAIN, BATCHED)]
    if offered and not known:
        raise UpgradeRefused(HTTPStatus.BAD_REQUEST, f"the subprotocols are {PLAIN} and {BATCHED}")
    return known[0] if known else None


def _bearer(headers: CIMultiDict[str]) -> str | None:
    scheme, _, token = headers.get("Authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" and token.strip() else None


def _offered(offered: Sequence[str], prefix: str) -> str | None:
    """What follows the prefix in the first of the subprotocols that has it."""
    return next((entry.removeprefix(prefix) for entry in offered if entry.startswith(prefix)), None)


def _elements(headers: CIMultiDict[str], name: str) -> list[str]:
    """The elements of a header that is a list, however many lines it has."""
    return [element.strip() for line in headers.getall(name, []) for element in line.split(",") if element.strip()]
