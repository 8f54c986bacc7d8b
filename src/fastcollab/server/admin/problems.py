"""What is answered when something cannot be done: problem details (RFC 9457), with the protocol's codes."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

import msgspec
from aiohttp import web

from fastcollab.errors import ErrorCode, FastcollabError, ProtocolError

MEDIA_TYPE = "application/problem+json"

_STATUS = {
    ErrorCode.INVALID_TOKEN: HTTPStatus.UNPROCESSABLE_ENTITY,
    ErrorCode.CONNECTION_LIMIT: HTTPStatus.CONFLICT,
    ErrorCode.RATE_LIMIT: HTTPStatus.TOO_MANY_REQUESTS,
    ErrorCode.ROOM_NOT_FOUND: HTTPStatus.NOT_FOUND,
    ErrorCode.ROOM_FULL: HTTPStatus.CONFLICT,
    ErrorCode.NO_PERMISSION: HTTPStatus.FORBIDDEN,
    ErrorCode.INVALID_OPERATION: HTTPStatus.UNPROCESSABLE_ENTITY,
    ErrorCode.VERSION_MISMATCH: HTTPStatus.CONFLICT,
    ErrorCode.CHECKSUM_FAILED: HTTPStatus.CONFLICT,
    ErrorCode.INTERNAL_ERROR: HTTPStatus.INTERNAL_SERVER_ERROR,
    ErrorCode.SERVICE_UNAVAILABLE: HTTPStatus.SERVICE_UNAVAILABLE,
}


class Problem(msgspec.Struct, frozen=True, omit_defaults=True):
    """Why a request was not carried out. `type` is always about:blank, so that `title` is that of the status; `code` is
    one of the protocol's error codes, and `details` are for programs, by name.
    """

    title: str
    status: int
    detail: str = ""
    type: str = "about:blank"
    code: int | msgspec.UnsetType = msgspec.UNSET
    details: dict[str, Any] | msgspec.UnsetType = msgspec.UNSET


class Refused(FastcollabError):
    """A request that is answered with this status; `details` are as those of a protocol's error."""

    def __init__(self, status: HTTPStatus, message: str, **details: Any) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.details = details


def refusal(error: Refused | ProtocolError, status: HTTPStatus | None = None) -> web.Response:
    """The answer that tells of `error`, by default with the status that its code stands for."""
    code: int | msgspec.UnsetType = msgspec.UNSET
    if isinstance(error, Refused):
        status = error.status
    else:
        status, code = status or _STATUS[error.code], int(error.code)
    headers = {}
    if (wait := error.details.get("retryAfterMs")) is not None:
        headers["Retry-After"] = str(-(-int(wait) // 1000))
    if status is HTTPStatus.UNAUTHORIZED:
        headers["WWW-Authenticate"] = "Bearer"
    return problem(status, error.message, code, error.details, headers)


def problem(
    status: HTTPStatus,
    detail: str = "",
    code: int | msgspec.UnsetType = msgspec.UNSET,
    details: dict[str, Any] | None = None,
    headers: dict[str, str] | None = None,
) -> web.Response:
    body = Problem(status.phrase, status, detail, code=code, details=details or msgspec.UNSET)
    return web.Response(status=status, body=msgspec.json.encode(body), content_type=MEDIA_TYPE, headers=headers)
