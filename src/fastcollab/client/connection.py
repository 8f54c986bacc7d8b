"""The client: the rooms that are joined over a connection to a gateway, and what arrives for each.

Calls that the gateway answers (``join_room``, ``ping``, …) wait for that answer (``requests``). An error that names
their message (X2) is raised from them as its class in ``fastcollab.errors``; all others go to the handlers of
``error``. Binary frames go to the active room and come from it (``active``), unless they name their room.

When the connection is lost and going to be made again (``link``), the rooms are told to wait (``interrupt``), and are
joined again in the background before anybody can send anything else. Only when it is given up have they ended
(``suspend``).
"""

from __future__ import annotations

import logging
import ssl
from typing import Any
from uuid import uuid4

from fastcollab._binary import decode_frames
from fastcollab.client.active import ActiveRoom
from fastcollab.client.handshake import HandshakeOptions, Token
from fastcollab.client.link import Link
from fastcollab.client.reconnection import ReconnectPolicy
from fastcollab.client.rejoining import Rejoining
from fastcollab.client.requests import Request, error_from_wire
from fastcollab.client.room import Room
from fastcollab.errors import CloseCode, ConnectionClosed, FastcollabError, NoPermission, VersionMismatch

MAX_MESSAGE_BYTES = 64 * 2**20  # a whole document fits

_logger = logging.getLogger(__name__)


class CollaborativeClient(Link):
    """A connection to a gateway, as an asynchronous context manager or through ``connect`` and ``disconnect``.

    ``token`` is a JWT, or a function, which may be a coroutine function, that returns one for each connection, and
    another one before that expires. It is sent in the handshake, or, with ``handshake_token=False``, in a ``connect``
    message. ``batch`` asks for batched
    binary frames. A gateway that is silent for ``heartbeat`` seconds is pinged, and given up after as many again.
    ``max_message_bytes`` bounds what is accepted from it; ``compression`` offers to compress long messages. One in
    ``checksum_every`` operations, in each room, carries a checksum, by which a copy that has parted is found and
    healed; 0 is for none. With ``tracing`` operations are in traces of OpenTelemetry, which has to be installed.
    ``ssl_context`` is for ``wss://``, where the certificate authorities of the system are not
    the ones to trust.

    Events: ``status`` (``Status``, when it changes), ``reconnecting`` (``Retry``, before each attempt),
    ``token_expiring`` (the Unix time in seconds, when a token expires that is no function), ``closed``
    (``ConnectionClosed``, when it has ended for good), ``error`` (``ProtocolError`` for which no call waits).

    A connection that is lost is made again by itself, unless its close code says that this is of no use (X3); how long
    that is tried, ``reconnect`` says. All rooms are joined again where they were: the operations missed are caught up
    with, and what is pending is sent with its old ids. Calls that wait for an answer when the connection is lost raise
    ConnectionClosed, and so does what is called meanwhile, but editing goes on, and whoever waits for it to be saved
    goes on waiting. With ``reconnect=False``, ``connect`` may be called again, and ``join_room`` for each room.
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
        compression: bool = False,
        reconnect: bool | ReconnectPolicy = True,
        checksum_every: int = 50,
        tracing: bool = False,
        ssl_context: ssl.SSLContext | None = None,
    ) -> None:
        subprotocol = "fastcollab.v1.batch" if batch else "fastcollab.v1"
        policy = reconnect if isinstance(reconnect, ReconnectPolicy) else ReconnectPolicy()
        super().__init__(
            HandshakeOptions(
                url,
                subprotocol,
                device_id or str(uuid4()),
                connect_timeout,
                heartbeat,
                max_message_bytes,
                ssl_context,
                compression,
            ),
            token,
            policy if reconnect else None,
            token_in_handshake=handshake_token,
        )
        self.url = url
        self.rooms: dict[str, Room] = {}
        self._checksum_every = checksum_every
        self._tracing = tracing
        self._rejoining = Rejoining(policy, self._ask_to_join, self._not_joined)
        self._active = ActiveRoom()
        self._last_active: str | None = None  # on the connection before, if there is none now
        self._by_handle: dict[int, Room] = {}

    # Rooms

    async def join_room(self, room_id: str, document_type: str | None = None) -> Room:
        """Joins a room, or asks for its state afresh if it was joined before; the room becomes the active one.

        ``document_type`` is the type of the document if this makes one; a document of another type is
        InvalidMessage. Raises RoomFull, NoPermission, and RateLimited if that would be one room too many.
        """
        await self._drain()
        await self._ask_to_join(room_id, document_type).future
        return self.rooms[room_id]

    async def leave_room(self, room_id: str) -> None:
        """Leaves a room. Raises RoomNotFound if this client is not in it."""
        await self._drain()
        request = self._ask("leave_room", {"roomId": room_id}, "room_left", room_id)
        self._active.becomes_uncertain()
        await request.future

    def rejoin(self, room_id: str) -> None:
        """Joins a room again in the background.

        A failure that does not pass is told to the room's handlers of ``error``, and to all who wait for one of its
        operations.
        """
        self._rejoining.start(room_id)

    def _ask_to_join(self, room_id: str, document_type: str | None = None) -> Request:
        known = self.rooms.get(room_id)
        payload = {"roomId": room_id} if known is None else known.join_request()
        if document_type is not None:
            payload["documentType"] = document_type
        request = self._ask("join_room", payload, "room_joined", room_id)
        self._active.becomes_uncertain()
        return request

    def _not_joined(self, room_id: str, error: FastcollabError) -> None:
        self._tell(error, room_id)
        if room_id in self.rooms:
            self.rooms[room_id].suspend(error)

    # What becomes of the connection

    def _reconnected(self) -> None:
        for room_id in sorted(self.rooms, key=lambda room_id: room_id == self._last_active):
            self.rejoin(room_id)

    def _connection_ended(self) -> None:
        self._last_active = self._active.for_received or self._last_active
        self._active.forget()
        self._by_handle.clear()
        self._rejoining.cancel()

    def _interrupted(self) -> None:
        for room in self.rooms.values():
            room.interrupt()

    def _ended(self, reason: ConnectionClosed) -> None:
        for room in self.rooms.values():
            room.suspend(reason)

    # Sending

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

    def binary_received(self, payload: bytes) -> None:
        self.traffic.messages += 1
        self.traffic.bytes += len(payload)
        kind, handle, records = decode_frames(payload)
        self.traffic.cursors += len(records)
        active = self._active.for_received or ""
        room = self.rooms.get(active) if handle is None else self._by_handle.get(handle)
        if room is not None:  # otherwise it was left just now
            room.records_received(kind, records)

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
            case "pong" | "token_refreshed":
                self._requests.answer(kind, None, payload)
            case "token_expiring":
                self._token_expiring(payload["expiresAt"] / 1000)
            case "document" | "history":
                self._requests.acknowledge(payload["messageId"], payload)
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
            case "permission_changed":
                room.permission_changed(payload["permission"])
            # Types that this version does not know are those of a newer gateway, and harmless.

    def _room_joined(self, payload: dict[str, Any]) -> None:
        room_id = payload["roomId"]
        room = self.rooms.get(room_id)
        if room is None:
            session = self.session
            room = self.rooms[room_id] = Room(
                self,
                room_id,
                session.user_id,
                session.limits,
                checksum_every=self._checksum_every,
                tracing=self._tracing,
            )
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
        if room_id in self.rooms and "version" in payload:
            self.rooms[room_id].operation_acknowledged(message_id, payload["version"])

    def _error_received(self, payload: dict[str, Any], room_id: str | None) -> None:
        error = error_from_wire(payload)
        if not payload["recoverable"] and "retryAfterMs" in error.details:
            self._retry_after = error.details["retryAfterMs"] / 1000
        message_id = error.details.get("messageId", "")
        if self._session is None:
            # The token in the handshake is no message and has no id, but nothing else can be meant.
            message_id = self._requests.oldest_id or message_id
        if self._requests.refuse(message_id, error):
            return
        if isinstance(error, NoPermission) and not message_id and room_id in self.rooms:
            self.rooms[room_id].expelled(error)
        elif isinstance(error, VersionMismatch) and not message_id and room_id in self.rooms:
            self.rooms[room_id].made_anew(error)
        elif not any(room.operation_refused(message_id, error) for room in self.rooms.values()):
            self._active.activation_refused(message_id)
            self._tell(error, room_id)

    def _tell(self, error: FastcollabError, room_id: str | None) -> None:
        """An error that no call waits for goes to the room that it is about, and into the log if nobody listens."""
        target = self.rooms.get(room_id or "", self)
        if not target.is_observed("error"):
            _logger.warning("error from %s: %r", self.url, error)
        target.emit("error", error)
