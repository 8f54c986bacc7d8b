"""A client's way to the gateway: one connection after the other, with the requests that wait on each.

::

             connect                    connected
    CLOSED ───────────▶ CONNECTING ────────────────▶ CONNECTED
       ▲                  │    ▲                        │
       │  given up, or    │    │   lost, and may be     │
       ├──────────────────┘    └────────────────────────┤
       │  disconnect                                    │
       └────────────────────────────────────────────────┘   lost for good, or disconnect

The first connection is made by ``connect``, within which it succeeds or fails. A connection that is lost is made again
by a task, as ``reconnection`` says. Whatever is under way, ``disconnect`` ends it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from abc import abstractmethod
from typing import Any, Self
from uuid import uuid4

import orjson

from fastcollab import __version__
from fastcollab.client.events import Emitter
from fastcollab.client.handshake import HandshakeOptions, Token, fetch, open_socket
from fastcollab.client.reconnection import Reconnection, ReconnectPolicy, as_closed
from fastcollab.client.requests import Request, Requests
from fastcollab.client.session import Retry, Session, Traffic
from fastcollab.client.socket import MessageSocket
from fastcollab.client.status import Status
from fastcollab.errors import CloseCode, ConnectionClosed

CLOSE_TIMEOUT = 2.0  # seconds that the gateway has to answer a close frame

_logger = logging.getLogger(__name__)


class Link(Emitter):
    """Connections to one gateway; a subclass makes sense of the messages.

    ``policy`` None: a connection that is lost is not made again.
    """

    def __init__(
        self, handshake: HandshakeOptions, token: Token, policy: ReconnectPolicy | None, *, token_in_handshake: bool
    ) -> None:
        super().__init__()
        self.traffic = Traffic()
        self._token = token
        self._token_in_handshake = token_in_handshake
        self._handshake = handshake
        self._reconnection = None if policy is None else Reconnection(policy, fresh_tokens=callable(token))
        self._requests = Requests()
        self._status = Status.CLOSED
        self._socket: MessageSocket | None = None
        self._session: Session | None = None
        self._lost_session: Session | None = None  # of the connection before this one, if it was lost
        self._retry_after: float | None = None  # what the gateway has said in an error that ends the connection
        self._connecting: asyncio.Task[Any] | None = None
        self._refreshing: asyncio.Task[None] | None = None
        self._closed: asyncio.Future[ConnectionClosed] | None = None

    # For subclasses

    @abstractmethod
    def _dispatch(self, message: dict[str, Any]) -> None:
        """A message has arrived."""

    @abstractmethod
    def binary_received(self, payload: bytes) -> None:
        """A binary message has arrived."""

    @abstractmethod
    def _reconnected(self) -> None:
        """A connection that was lost is made again; nothing has been sent on it yet."""

    @abstractmethod
    def _connection_ended(self) -> None:
        """What belongs to the last connection alone is void."""

    @abstractmethod
    def _interrupted(self) -> None:
        """The connection is lost, and is going to be made again."""

    @abstractmethod
    def _ended(self, reason: ConnectionClosed) -> None:
        """The connection has ended for good."""

    # The connection

    async def __aenter__(self) -> Self:
        await self.connect()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.disconnect()

    @property
    def status(self) -> Status:
        """``connecting``, ``connected`` or ``closed``; while a lost connection is made again, ``connecting``."""
        return self._status

    @property
    def session(self) -> Session:
        """What the gateway said on connecting."""
        if self._session is None:
            raise ConnectionClosed(CloseCode.ABNORMAL, "not connected")
        return self._session

    @property
    def is_connected(self) -> bool:
        return self._session is not None

    @property
    def closed(self) -> asyncio.Future[ConnectionClosed]:
        """Has a result, the code and the reason, once the connection has ended for good."""
        if self._closed is None:
            raise ConnectionClosed(CloseCode.ABNORMAL, "not connected")
        return self._closed

    async def connect(self) -> Session:
        """Connects, and waits until the token is accepted. A first attempt that fails is not repeated.

        Raises HandshakeRefused, InvalidToken, ConnectionLimit, OSError if there is nobody at that address, and
        TimeoutError.
        """
        if self._status is not Status.CLOSED:
            raise RuntimeError("the client is connected already")
        closed = self._closed = asyncio.get_running_loop().create_future()
        self._set_status(Status.CONNECTING)
        connecting = asyncio.get_running_loop().create_task(self._establish())
        self._connecting = connecting
        try:
            return await connecting
        except BaseException as error:
            is_disconnected = closed.done()
            self._end(ConnectionClosed(CloseCode.ABNORMAL, "the connection was not made"))
            if is_disconnected and isinstance(error, asyncio.CancelledError):
                raise ConnectionClosed(CloseCode.NORMAL, "disconnected while connecting") from None
            raise

    async def disconnect(self) -> None:
        """Says good-bye: the others see this participant leave at once. Does nothing if the client is closed.

        It ends everything, at any moment: a ``connect`` that is under way raises ConnectionClosed, and so does whoever
        waits for a connection to be made again.
        """
        if self._status is Status.CLOSED:
            return
        if self._session is not None and self._socket is not None:
            self._socket.close(CloseCode.NORMAL)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(CLOSE_TIMEOUT):
                    await asyncio.shield(self.closed)
        connecting = self._connecting
        self._end(ConnectionClosed(CloseCode.NORMAL, "disconnected"))
        if connecting is not None and connecting is not asyncio.current_task():
            connecting.cancel()
            await asyncio.wait([connecting])

    async def _establish(self) -> Session:
        """Makes a connection, which is then there until ``connection_closed``."""
        token = await fetch(self._token)
        socket = self._socket = MessageSocket(self, self._handshake.max_message_bytes)
        self._retry_after = None
        resumes = None if self._lost_session is None else self._lost_session.connection_id
        welcome = self._requests.expect("connected")
        try:
            async with asyncio.timeout(self._handshake.timeout):
                await open_socket(socket, self._handshake, token if self._token_in_handshake else None, resumes)
                if not self._token_in_handshake:
                    payload = {"token": token, "deviceId": self._handshake.device_id, "clientVersion": __version__}
                    if resumes is not None:
                        payload["connectionId"] = resumes
                    self._transmit(socket, "connect", payload, message_id=welcome.message_id)
                return Session.from_wire(await welcome.future)
        except BaseException:
            welcome.future.cancel()
            socket.abort()
            if socket is self._socket:
                self._let_go(ConnectionClosed(CloseCode.ABNORMAL, "the connection was not made"))
            raise

    async def _reestablish(self, reconnection: Reconnection, failure: Exception, delay: float | None) -> None:
        """Makes a new connection after ``delay``, and tries until that succeeds or is of no use."""
        while delay is not None:
            _logger.info("no connection to %s (%s); the next attempt is in %.1f s", self._handshake.url, failure, delay)
            self.emit("reconnecting", Retry(failure, delay))
            await asyncio.sleep(delay)
            try:
                await self._establish()
            except Exception as error:
                failure, delay = error, reconnection.failed(error, _clock())
            else:
                return
        self._end(as_closed(failure))

    def connection_closed(self, socket: MessageSocket, reason: ConnectionClosed) -> None:
        if socket is not self._socket:
            return  # an attempt to connect that was given up
        reason.retry_after = self._retry_after
        session = self._session
        self._let_go(reason)
        if session is not None:  # otherwise whoever makes the connection sees to it
            self._lost_session = session
            self._lost(reason)

    def _lost(self, reason: ConnectionClosed) -> None:
        reconnection = self._reconnection
        delay = None if reconnection is None else reconnection.failed(reason, _clock())
        if reconnection is None or delay is None:
            self._end(reason)
            return
        self._interrupted()
        self._set_status(Status.CONNECTING)
        self._connecting = asyncio.get_running_loop().create_task(self._reestablish(reconnection, reason, delay))

    def _let_go(self, reason: ConnectionClosed) -> None:
        self._socket = self._session = None
        if self._refreshing is not None:
            self._refreshing.cancel()
            self._refreshing = None
        self._connection_ended()
        self._requests.fail(reason)

    def _end(self, reason: ConnectionClosed) -> None:
        """The client is closed, until somebody calls ``connect``."""
        if self._status is Status.CLOSED:
            return
        if self._socket is not None:
            self._socket.abort()
        if reason.code == CloseCode.NORMAL:
            self._lost_session = None  # a farewell: there is nothing to resume
        self._let_go(reason)
        self._ended(reason)
        if not self.closed.done():  # whoever waited for it may have cancelled it
            self.closed.set_result(reason)
        self._set_status(Status.CLOSED)
        self.emit("closed", reason)
        self.close_streams()

    def _set_status(self, status: Status) -> None:
        if status is not self._status:
            self._status = status
            self.emit("status", status)

    # Sending

    def send(
        self,
        kind: str,
        payload: Any,
        *,
        room_id: str | None = None,
        target_user_id: str | None = None,
        message_id: str | None = None,
        acknowledgment: bool = False,
    ) -> str:
        """Sends a message and returns its id. Raises ConnectionClosed."""
        socket = self._open_socket()
        return self._transmit(socket, kind, payload, room_id, target_user_id, message_id, acknowledgment)

    async def request(
        self,
        kind: str,
        payload: Any,
        *,
        answer: str = "ack",
        room_id: str | None = None,
        target_user_id: str | None = None,
    ) -> dict[str, Any]:
        """Sends a message and returns the payload of its answer; raises the error that answers it."""
        await self._drain()
        return await self._ask(kind, payload, answer, room_id, target_user_id).future

    async def ping(self) -> float:
        """The time that a message needs to the gateway and back, in milliseconds."""
        started = time.perf_counter()
        await self.request("ping", {"timestamp": _now()}, answer="pong")
        return (time.perf_counter() - started) * 1000

    def _ask(
        self, kind: str, payload: Any, answer: str, room_id: str | None = None, target_user_id: str | None = None
    ) -> Request:
        """Sends a message at once, and returns the request that waits for its answer."""
        socket = self._open_socket()
        request = self._requests.expect(answer, room_id)
        try:
            self._transmit(socket, kind, payload, room_id, target_user_id, request.message_id, answer == "ack")
        except BaseException:
            self._requests.withdraw(request)
            raise
        return request

    def _transmit(
        self,
        socket: MessageSocket,
        kind: str,
        payload: Any,
        room_id: str | None = None,
        target_user_id: str | None = None,
        message_id: str | None = None,
        acknowledgment: bool = False,
    ) -> str:
        message_id = message_id or str(uuid4())
        envelope = {"id": message_id, "type": kind, "version": 1, "timestamp": _now(), "payload": payload}
        if room_id is not None:
            envelope["roomId"] = room_id
        if target_user_id is not None:
            envelope["targetUserId"] = target_user_id
        if acknowledgment:
            envelope["acknowledgment"] = True
        socket.send_text(orjson.dumps(envelope))
        return message_id

    def _open_socket(self) -> MessageSocket:
        if self._socket is None or self._session is None:
            raise ConnectionClosed(CloseCode.ABNORMAL, "not connected")
        return self._socket

    async def _drain(self) -> None:
        """Waits until the gateway has read enough that more may be sent."""
        await self._open_socket().drain()

    # The token

    async def refresh_token(self, token: str) -> float:
        """Has the connection go on with another token of the same user, and returns when that expires (Unix time, s).

        Raises NotAuthenticated if it is not good: the connection goes on with the one that it has.
        """
        answer = await self.request("refresh_token", {"token": token}, answer="token_refreshed")
        expires_at: int = answer["expiresAt"]
        return expires_at / 1000

    def _token_expiring(self, expires_at: float) -> None:
        if not callable(self._token):
            self.emit("token_expiring", expires_at)
        elif self._refreshing is None or self._refreshing.done():
            self._refreshing = asyncio.get_running_loop().create_task(self._refresh())

    async def _refresh(self) -> None:
        try:
            await self.refresh_token(await fetch(self._token))
        except Exception as error:
            # The gateway ends the connection when the time has come, and the next one asks for a token again.
            _logger.warning("no new token for %s: %r", self._handshake.url, error)

    # Receiving

    def text_received(self, payload: bytes) -> None:
        self.traffic.messages += 1
        self.traffic.bytes += len(payload)
        try:
            message = orjson.loads(payload)
        except orjson.JSONDecodeError:
            payload.decode()  # UnicodeDecodeError, where that is the cause, has a close code of its own
            raise
        self._dispatch(message)

    def _connected(self, payload: dict[str, Any]) -> None:
        is_first_answer = self._session is None
        self._session = Session.from_wire(payload)
        self._requests.answer("connected", None, payload)
        if not is_first_answer:
            return
        self._set_status(Status.CONNECTED)
        if self._reconnection is not None:
            self._reconnection.connected(_clock())
            if self._lost_session is not None:
                self._reconnected()


def _now() -> int:
    return int(time.time() * 1000)


def _clock() -> float:
    return asyncio.get_running_loop().time()
