"""Who waits for which answer of the gateway.

``ack``, ``error``, ``document`` and ``history`` repeat the id of the message that they answer. ``connected``,
``room_joined``, ``room_left`` and ``pong`` do not, but come in the order of the questions (E5): each answers the oldest
request for one of its kind. A request whose caller has given up stays, and takes the answer that is meant for it.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from fastcollab.errors import ConnectionClosed, InternalError, InvalidToken, NotAuthenticated, ProtocolError

_ERRORS: dict[int, type[ProtocolError]] = {cls.code: cls for cls in ProtocolError.__subclasses__()}


@dataclass(slots=True, eq=False)
class Request:
    """A message that waits for a message of type ``answer``, about ``room_id`` if that is not None."""

    message_id: str
    answer: str
    room_id: str | None
    future: asyncio.Future[dict[str, Any]]


class Requests:
    """All that wait on one connection, the oldest first."""

    def __init__(self) -> None:
        self._waiting: dict[str, Request] = {}

    def expect(self, answer: str, room_id: str | None = None) -> Request:
        """A new request, whose message is to be sent with its ``message_id``."""
        request = Request(str(uuid4()), answer, room_id, asyncio.get_running_loop().create_future())
        self._waiting[request.message_id] = request
        return request

    def withdraw(self, request: Request) -> None:
        """The message of ``request`` was not sent after all."""
        del self._waiting[request.message_id]

    @property
    def oldest_id(self) -> str | None:
        """The message id of the request that has waited longest, if any waits."""
        return next(iter(self._waiting), None)

    def has(self, answer: str) -> bool:
        """Whether anything waits for an answer of this type."""
        return any(request.answer == answer for request in self._waiting.values())

    def answer(self, answer: str, room_id: str | None, payload: dict[str, Any]) -> None:
        """Answers the oldest request that waits for this; none does if the gateway speaks of its own accord."""
        for request in self._waiting.values():
            if request.answer == answer and request.room_id == room_id:
                self.acknowledge(request.message_id, payload)
                return

    def acknowledge(self, message_id: str, payload: dict[str, Any]) -> bool:
        """Answers the request with this id; False if there is none."""
        request = self._waiting.pop(message_id, None)
        if request is not None and not request.future.done():
            request.future.set_result(payload)
        return request is not None

    def refuse(self, message_id: str, error: ProtocolError) -> bool:
        """Raises ``error`` from the call that made the request with this id; False if there is none."""
        request = self._waiting.pop(message_id, None)
        if request is not None and not request.future.done():
            request.future.set_exception(error)
        return request is not None

    def fail(self, reason: ConnectionClosed) -> None:
        """The connection has ended, and no answer will come."""
        waiting, self._waiting = self._waiting, {}
        for request in waiting.values():
            if not request.future.done():
                request.future.set_exception(ConnectionClosed(reason.code, reason.reason))


def error_from_wire(payload: dict[str, Any]) -> ProtocolError:
    """The exception for an ``error`` message; codes of a newer gateway become InternalError."""
    code, recoverable = payload["code"], payload["recoverable"]
    kind = _ERRORS.get(code, InternalError)
    if kind is InvalidToken and recoverable:
        kind = NotAuthenticated
    error = kind(payload["message"])
    error.details = payload.get("details") or {}
    if code not in _ERRORS:
        error.details["code"] = code
    return error
