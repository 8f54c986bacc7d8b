"""What can go wrong, and how each failure is named on the wire.

::

    FastcollabError
    ├── ConfigError               configuration that cannot be used (``config.py``)
    ├── StoreError                a store of documents that cannot be opened
    ├── ProtocolError             a refusal that a client is told as an ``error`` message
    │   ├── InvalidToken          1001, closes the connection
    │   ├── ConnectionLimit       1002, closes the connection
    │   ├── RateLimited           1003
    │   ├── RoomNotFound          2001
    │   ├── RoomFull              2002
    │   ├── NoPermission          2003
    │   ├── InvalidMessage        3001
    │   ├── VersionMismatch       3002
    │   ├── ChecksumFailed        3003
    │   ├── InternalError         5001
    │   └── ServiceUnavailable    5002
    │       ├── AuthenticationUnavailable   closes the connection
    │       └── GatewayStopping   closes the connection
    ├── ConnectionClosed          a client's connection ended (``client``)
    ├── HandshakeRefused          a client's upgrade was answered with another status than 101
    └── VersionGap                versions reached a client's document out of order

The codes are those of the protocol (``docs/protocol.md``, X1 to X3).
"""

from __future__ import annotations

from enum import IntEnum
from typing import Any, ClassVar


class ErrorCode(IntEnum):
    """The ``code`` of an ``error`` message."""

    INVALID_TOKEN = 1001
    CONNECTION_LIMIT = 1002
    RATE_LIMIT = 1003
    ROOM_NOT_FOUND = 2001
    ROOM_FULL = 2002
    NO_PERMISSION = 2003
    INVALID_OPERATION = 3001
    VERSION_MISMATCH = 3002
    CHECKSUM_FAILED = 3003
    INTERNAL_ERROR = 5001
    SERVICE_UNAVAILABLE = 5002


class CloseCode(IntEnum):
    """The status code in a WebSocket close frame; below 4000 those of RFC 6455, from there on the protocol's own."""

    NORMAL = 1000
    GOING_AWAY = 1001
    PROTOCOL_ERROR = 1002
    ABNORMAL = 1006
    INVALID_TEXT = 1007
    MESSAGE_TOO_BIG = 1009
    INTERNAL_FAULT = 1011
    INVALID_TOKEN = 4101
    CONNECTION_LIMIT = 4102
    RATE_LIMIT = 4103
    INTERNAL_ERROR = 4501
    SERVICE_UNAVAILABLE = 4502
    SLOW_CONSUMER = 4503
    SILENT = 4504
    REPLACED = 4505
    DISCONNECTED = 4506

    @property
    def reconnect(self) -> bool:
        """Whether a client should try again by itself, with the token that it has."""
        return self in _RECONNECT

    @classmethod
    def for_error(cls, code: ErrorCode) -> CloseCode:
        """The code that closes a connection because of an error: 4000 + 100 × family + number."""
        family, number = divmod(int(code), 1000)
        return cls(4000 + 100 * family + number)


_RECONNECT = frozenset(
    {
        CloseCode.GOING_AWAY,
        CloseCode.ABNORMAL,
        CloseCode.INTERNAL_FAULT,
        CloseCode.RATE_LIMIT,
        CloseCode.INTERNAL_ERROR,
        CloseCode.SERVICE_UNAVAILABLE,
        CloseCode.SLOW_CONSUMER,
        CloseCode.SILENT,
    }
)


class FastcollabError(Exception):
    """The root of all errors of this package."""


class StoreError(FastcollabError):
    """Documents cannot be stored where they are to be; one line says why, for who has started the gateway."""


class ProtocolError(FastcollabError):
    """A refusal, told to the client as an ``error`` message.

    ``details`` are JSON values for programs, by name; the message is for people. ``recoverable`` says whether the
    connection goes on.
    """

    code: ClassVar[ErrorCode]
    recoverable: ClassVar[bool] = True

    def __init__(self, message: str, **details: Any) -> None:
        super().__init__(message)
        self.message = message
        self.details = details


class InvalidToken(ProtocolError):
    code = ErrorCode.INVALID_TOKEN
    recoverable = False


class NotAuthenticated(InvalidToken):
    """A message that needs a token, before there was one. The connection may still send it."""

    recoverable = True


class ConnectionLimit(ProtocolError):
    code = ErrorCode.CONNECTION_LIMIT
    recoverable = False


class RateLimited(ProtocolError):
    """`exceeded` names the limit as the configuration does, if it was the guard of limits that refused."""

    code = ErrorCode.RATE_LIMIT
    exceeded: str | None = None


class RoomNotFound(ProtocolError):
    code = ErrorCode.ROOM_NOT_FOUND


class RoomFull(ProtocolError):
    code = ErrorCode.ROOM_FULL


class NoPermission(ProtocolError):
    code = ErrorCode.NO_PERMISSION


class InvalidMessage(ProtocolError):
    """A message, frame or operation that is malformed; ``details["path"]`` names the offending field."""

    code = ErrorCode.INVALID_OPERATION


class VersionMismatch(ProtocolError):
    code = ErrorCode.VERSION_MISMATCH


class ChecksumFailed(ProtocolError):
    code = ErrorCode.CHECKSUM_FAILED


class InternalError(ProtocolError):
    code = ErrorCode.INTERNAL_ERROR


class ServiceUnavailable(ProtocolError):
    code = ErrorCode.SERVICE_UNAVAILABLE


class AuthenticationUnavailable(ServiceUnavailable):
    """Whether a token is good cannot be said now; without one there is no use in the connection."""

    recoverable = False


class GatewayStopping(ServiceUnavailable):
    """The whole gateway goes away, and the connection with it."""

    recoverable = False


class ConnectionClosed(FastcollabError):
    """A client's connection has ended; ``code`` and ``reason`` are those of the close frame (1006: there was none).

    ``retry_after`` is how long the gateway asked to be left alone, in seconds, or None.
    """

    def __init__(self, code: int, reason: str = "") -> None:
        super().__init__(f"connection closed with {code}" + (f": {reason}" if reason else ""))
        self.code = code
        self.reason = reason
        self.retry_after: float | None = None


class HandshakeRefused(FastcollabError):
    """A client's upgrade was not granted; ``status`` is that of the HTTP answer, 101 if its subprotocol was wrong.

    ``retry_after`` is what a ``503`` or ``429`` asks for, in seconds, or None.
    """

    def __init__(self, status: int, reason: str, *, retry_after: float | None = None) -> None:
        super().__init__(f"handshake refused with {status}: {reason}")
        self.status = status
        self.retry_after = retry_after


class VersionGap(FastcollabError):
    """Something that makes version ``received`` reached a client's document that is not at the version before it."""

    def __init__(self, current: int, received: int) -> None:
        super().__init__(f"version {received} does not follow version {current}")
        self.current = current
        self.received = received
