"""The client: one connection to a gateway, the rooms joined over it, and whoever waits for an answer.

Calls that the gateway answers (``join_room``, ``ping``, …) wait for that answer (``requests``). An error that names
their message (X2) is raised from them as its class in ``fastcollab.errors``; all others go to the handlers of
``error``. Binary frames go to the active room and come from it (``active``), unless they name their room.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Any, NamedTuple, Self
from uuid import uuid4

import orjson
import picows

from fastcollab import __version__
from fastcollab._binary import decode_frames
from fastcollab.client.active import ActiveRoom
from fastcollab.client.events import Emitter
from fastcollab.client.requests import Requests
from fastcollab.client.room import Room
from fastcollab.client.socket import MessageSocket
from fastcollab.errors import (
    CloseCode,
    ConnectionClosed,
    FastcollabError,
    HandshakeRefused,
    InternalError,
    InvalidToken,
    NotAuthenticated,
    ProtocolError,
)

Token = str | Callable[[], str | Awaitable[str]]

MAX_MESSAGE_BYTES = 64 * 2**20  # a whole document fits
CLOSE_TIMEOUT = 2.0  # seconds that the gateway has to answer a close frame

_logger = logging.getLogger(__name__)
_ERRORS: dict[int, type[ProtocolError]] = {cls.code: cls for cls in ProtocolError.__subclasses__()}


class Session(NamedTuple):
    """What ``connected`` says. ``limits`` has the protocol's names; ``heartbeat_interval`` is in seconds."""

    connection_id: str
    user_id: str
    numeric_id: int
    limits: dict[str, Any]
    heartbeat_interval: float
    resumed: bool


@dataclass(slots=True)
class Traffic:
    """What a client has received since it was made."""

    messages: int = 0  # WebSocket messages
    bytes: int = 0  # of their payloads
    cursors: int = 0  # records in binary frames
    operations: int = 0  # of others


class CollaborativeClient(Emitter):
    """A connection to a gateway, as an asynchronous context manager or through ``connect`` and ``disconnect``.

    ``token`` is a JWT, or a function, which may be a coroutine function, that returns one for each connection. It is
    sent in the handshake, or, with ``handshake_token=False``, in a ``connect`` message. ``batch`` asks for batched
    binary frames. A gateway that is silent for ``heartbeat`` seconds is pinged, and given up after as many again.
    ``max_message_bytes`` bounds what is accepted from it.

    Events: ``error`` (``ProtocolError`` for which no call waits), ``closed`` (``ConnectionClosed``).

    After the connection is lost, ``connect`` may be called again, and ``join_room`` resumes a room where it was: the
    operations missed are caught up with, and what is pending is sent with its old ids.
    """

    def __init__(
        self,
        url: str,
        token: Token,
        *,
        batch: bool = True,
        handshake_token: bool = True,
        device_id: str = "",
        connect_timeout: float = 10.0,
        heartbeat: float = 20.0,
        max_message_bytes: int = MAX_MESSAGE_BYTES,
    ) -> None:
        super().__init__()
        self.url = url
        self.traffic = Traffic()
        self.rooms: dict[str, Room] = {}
        self._token = token
        self._subprotocol = "fastcollab.v1.batch" if batch else "fastcollab.v1"
        self._handshake_token = handshake_token
        self._device_id = device_id or str(uuid4())
        self._connect_timeout = connect_timeout
        self._heartbeat = heartbeat
        self._max_message_bytes = max_message_bytes
        self._socket: MessageSocket | None = None
        self._session: Session | None = None
        self._closed: asyncio.Future[ConnectionClosed] | None = None
        self._requests = Requests()
        self._active = ActiveRoom()
        self._by_handle: dict[int, Room] = {}
        self._background: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        await self.connect()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.disconnect()

    # The connection

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
        """Has a result, the code and the reason, once the connection has ended."""
        if self._closed is None:
            raise ConnectionClosed(CloseCode.ABNORMAL, "not connected")
        return self._closed

    async def connect(self) -> Session:
        """Connects, and waits until the token is accepted.

        Raises HandshakeRefused, InvalidToken, ConnectionLimit, OSError if there is nobody at that address, and
        TimeoutError.
        """
        if self._socket is not None:
            raise RuntimeError("the client is connected already")
        token = self._token if isinstance(self._token, str) else self._token()
        if inspect.isawaitable(token):
            token = await token
        socket = self._socket = MessageSocket(self, self._max_message_bytes)
        closed = self._closed = asyncio.get_running_loop().create_future()
        welcome = self._requests.expect("connected")
        try:
            async with asyncio.timeout(self._connect_timeout):
                await self._open(socket, token)
                if not self._handshake_token:
                    payload = {"token": token, "deviceId": self._device_id, "clientVersion": __version__}
                    self.send("connect", payload, message_id=welcome.message_id)
                await welcome.future
        except BaseException:
            self._requests.clear()
            self._socket = self._session = None
            socket.abort()
            if not closed.done():
                closed.set_result(ConnectionClosed(CloseCode.ABNORMAL, "the connection was not made"))
            raise
        return self.session

    async def disconnect(self) -> None:
        """Says good-bye: the others see this participant leave at once. Does nothing if there is no connection.

        A ``connect`` that is under way ends with ConnectionClosed.
        """
        if self._socket is not None and self._closed is not None:
            self._socket.close(CloseCode.NORMAL)
            try:
                async with asyncio.timeout(CLOSE_TIMEOUT):
                    await asyncio.shield(self._closed)
            except TimeoutError:
                self._socket.abort()
                await self._closed

    async def _open(self, socket: MessageSocket, token: str) -> None:
        def listener(request: picows.WSUpgradeRequest, response: picows.WSUpgradeResponse) -> MessageSocket:
            granted = response.headers.get("Sec-WebSocket-Protocol")
            if granted != self._subprotocol:
                raise HandshakeRefused(response.status, f"subprotocol {granted}, and not {self._subprotocol}")
            return socket

        headers = [("Sec-WebSocket-Protocol", self._subprotocol)]
        if self._handshake_token:
            headers.append(("Authorization", f"Bearer {token}"))
        try:
            _, connected = await picows.ws_connect(
                listener,
                self.url,
                extra_headers=headers,
                max_frame_size=self._max_message_bytes,
                websocket_handshake_timeout=self._connect_timeout,
                max_redirects=0,
                enable_auto_ping=True,
                auto_ping_idle_timeout=self._heartbeat,
                auto_ping_reply_timeout=self._heartbeat,
            )
        except picows.WSHandshakeError as error:
            if error.response is None:
                raise ConnectionClosed(CloseCode.ABNORMAL, str(error)) from error
            retry_after = error.response.headers.get("Retry-After", "")
            raise HandshakeRefused(
                error.response.status,
                (error.raw_body or b"").decode(errors="replace"),
                retry_after=float(retry_after) if retry_after.isdecimal() else None,
            ) from error
        if connected is None:  # what picows returns if the peer hangs up in the middle of the handshake
            raise ConnectionClosed(CloseCode.ABNORMAL, "closed during the handshake")

    # Rooms

    async def join_room(self, room_id: str, document_type: str | None = None) -> Room:
        """Joins a room, or asks for its state afresh if it was joined before; the room becomes the active one.

        ``document_type`` is the type of the document if this makes one; a document of another type is
        InvalidMessage. Raises RoomFull, NoPermission, and RateLimited if that would be one room too many.
        """
        known = self.rooms.get(room_id)
        payload = {"roomId": room_id} if known is None else known.join_request()
        if document_type is not None:
            payload["documentType"] = document_type
        await self.request("join_room", payload, answer="room_joined", room_id=room_id)
        return self.rooms[room_id]

    async def leave_room(self, room_id: str) -> None:
        """Leaves a room. Raises RoomNotFound if this client is not in it."""
        await self.request("leave_room", {"roomId": room_id}, answer="room_left", room_id=room_id)

    def rejoin(self, room_id: str) -> None:
        """Joins a room again in the background.

        A failure is told to the room's handlers of ``error``, and to all who wait for one of its operations.
        """

        async def join() -> None:
            try:
                await self.join_room(room_id)
            except FastcollabError as error:
                self._tell(error, room_id)
                self.rooms[room_id].suspend(error)

        task = asyncio.get_running_loop().create_task(join())
        self._background.add(task)
        task.add_done_callback(self._background.discard)

    async def ping(self) -> float:
        """The time that a message needs to the gateway and back, in milliseconds."""
        started = time.perf_counter()
        await self.request("ping", {"timestamp": _now()}, answer="pong")
        return (time.perf_counter() - started) * 1000

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
        if self._socket is None:
            raise ConnectionClosed(CloseCode.ABNORMAL, "not connected")
        message_id = message_id or str(uuid4())
        envelope = {"id": message_id, "type": kind, "version": 1, "timestamp": _now(), "payload": payload}
        if room_id is not None:
            envelope["roomId"] = room_id
        if target_user_id is not None:
            envelope["targetUserId"] = target_user_id
        if acknowledgment:
            envelope["acknowledgment"] = True
        self._socket.send_text(orjson.dumps(envelope))
        if kind in ("join_room", "leave_room"):
            self._active.becomes_uncertain()
        return message_id

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
        if self._socket is None:
            raise ConnectionClosed(CloseCode.ABNORMAL, "not connected")
        await self._socket.drain()
        request = self._requests.expect(answer, room_id)
        try:
            self.send(
                kind,
                payload,
                room_id=room_id,
                target_user_id=target_user_id,
                message_id=request.message_id,
                acknowledgment=answer == "ack",
            )
        except BaseException:
            self._requests.withdraw(request)
            raise
        return await request.future

    def send_frame(self, room_id: str, frame: bytes) -> bool:
        """Sends a binary frame to a room; False if that is not possible now. What is urgent is not sent this way."""
        if self._socket is None or not self._socket.is_writable or room_id not in self._active:
            return False
        if self._active.for_sending != room_id:
            message_id = self.send("activate_room", {"roomId": room_id}, room_id=room_id, acknowledgment=True)
            self._active.activation_sent(room_id, message_id)
        self._socket.send_binary(frame)
        return True

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

    def binary_received(self, payload: bytes) -> None:
        self.traffic.messages += 1
        self.traffic.bytes += len(payload)
        kind, handle, records = decode_frames(payload)
        self.traffic.cursors += len(records)
        active = self._active.for_received or ""
        room = self.rooms.get(active) if handle is None else self._by_handle.get(handle)
        if room is not None:  # otherwise it was left just now
            room.records_received(kind, records)

    def connection_closed(self, socket: MessageSocket, reason: ConnectionClosed) -> None:
        if socket is not self._socket:
            return  # an attempt to connect that was given up
        self._socket = None
        self._session = None
        self._active.forget()
        self._by_handle.clear()
        self._requests.fail(reason)
        for room in self.rooms.values():
            room.suspend(reason)
        if self._closed is not None and not self._closed.done():
            self._closed.set_result(reason)
            self.emit("closed", reason)
        self.close_streams()

    def _dispatch(self, message: dict[str, Any]) -> None:
        kind, payload = message["type"], message["payload"]
        match kind:
            case "batch":
                for member in payload["messages"]:
                    self._dispatch(member)
            case "ack":
                self._ack_received(payload, message.get("roomId"))
            case "error":
                self._error_received(payload, message.get("roomId"))
            case "connected":
                self._connected(payload)
            case "room_joined":
                self._room_joined(payload)
            case "room_left":
                self._room_left(payload["roomId"])
            case "pong":
                self._requests.answer("pong", None, payload)
            case _:
                room = self.rooms.get(message.get("roomId", ""))
                if room is not None:
                    self._room_message(room, kind, payload)

    def _room_message(self, room: Room, kind: str, payload: dict[str, Any]) -> None:
        match kind:
            case "operation_broadcast":
                self.traffic.operations += 1
                room.operation_received(payload)
            case "presence_update":
                room.presence_received(payload)
            case "user_joined":
                room.participant_joined(payload)
            case "user_left":
                room.participant_left(payload)
            case "event":
                room.event_received(payload)
            # Types that this version does not know are those of a newer gateway, and harmless.

    def _connected(self, payload: dict[str, Any]) -> None:
        self._session = Session(
            payload["connectionId"],
            payload["userId"],
            payload["numericId"],
            payload["limits"],
            payload["heartbeatInterval"] / 1000,
            payload["resumed"],
        )
        self._requests.answer("connected", None, payload)

    def _room_joined(self, payload: dict[str, Any]) -> None:
        room_id = payload["roomId"]
        room = self.rooms.get(room_id)
        if room is None:
            session = self.session
            room = self.rooms[room_id] = Room(self, room_id, session.user_id, session.limits)
        self._by_handle[payload["handle"]] = room
        self._requests.answer("room_joined", room_id, payload)
        self._active.joined(room_id, more_to_come=self._requests.has("room_joined"))
        # What follows may come in the same segment, so the room has to know before any task is woken.
        room.joined(payload)

    def _room_left(self, room_id: str) -> None:
        self._requests.answer("room_left", room_id, {})
        self._active.left(room_id)
        room = self.rooms.pop(room_id, None)
        if room is not None:
            self._by_handle.pop(room.handle, None)
            room.suspend(ConnectionClosed(CloseCode.NORMAL, f"room {room_id!r} was left"))

    def _ack_received(self, payload: dict[str, Any], room_id: str | None) -> None:
        message_id = payload["messageId"]
        if self._requests.acknowledge(message_id, payload) or self._active.activation_acknowledged(message_id):
            return
        if room_id in self.rooms:
            self.rooms[room_id].operation_acknowledged(message_id, payload["version"])

    def _error_received(self, payload: dict[str, Any], room_id: str | None) -> None:
        error = _error(payload)
        message_id = error.details.get("messageId", "")
        if self._session is None:
            # The token in the handshake is no message and has no id, but nothing else can be meant.
            message_id = self._requests.oldest_id or message_id
        if self._requests.refuse(message_id, error):
            return
        if not any(room.operation_refused(message_id, error) for room in self.rooms.values()):
            self._active.activation_refused(message_id)
            self._tell(error, room_id)

    def _tell(self, error: FastcollabError, room_id: str | None) -> None:
        """An error that no call waits for goes to the room that it is about, and into the log if nobody listens."""
        target = self.rooms.get(room_id or "", self)
        if not target.is_observed("error"):
            _logger.warning("error from %s: %r", self.url, error)
        target.emit("error", error)


def _now() -> int:
    return int(time.time() * 1000)


def _error(payload: dict[str, Any]) -> ProtocolError:
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
