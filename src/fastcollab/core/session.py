"""A session: what one connection has said so far, and what it may say next.

::

    NEW ── a token was accepted ──▶ AUTHENTICATED
     │                                   │
     └────────────▶ CLOSED ◀─────────────┘

A session is told of each valid message by :meth:`Session.receive` and answers with effects, or raises the
:class:`~fastcollab.errors.ProtocolError` that the client is to be told. It knows the rooms that it is in, in
the order in which they were named: the last is the active one (R3). Whatever concerns a room is the room's
business; whether this connection may turn to it, and how often, is the session's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any

from fastcollab import messages
from fastcollab.core.effects import Activated, Close, Effect, Enter, LookBack, Send, Verify
from fastcollab.core.instant import Instant
from fastcollab.core.limits import TokenBucket
from fastcollab.core.permissions import Permission
from fastcollab.errors import (
    CloseCode,
    InvalidMessage,
    InvalidToken,
    NotAuthenticated,
    ProtocolError,
    RateLimited,
    RoomNotFound,
)

if TYPE_CHECKING:
    from fastcollab.core.room import Room


@dataclass(frozen=True, slots=True)
class Identity:
    """Who a token says that the user is, and how the user is shown. `rooms` are the token's permissions by pattern;
    None: it has none of its own.
    """

    user_id: str
    numeric_id: int
    name: str
    color: str
    rooms: Mapping[str, Permission] | None
    expires_at: float
    picture: str | None = None


@dataclass(frozen=True, slots=True)
class SessionSettings:
    """What a client is told in `connected`; `heartbeat_interval` in ms."""

    limits: messages.LimitsInForce
    heartbeat_interval: int


class SessionState(Enum):
    NEW = "new"
    AUTHENTICATED = "authenticated"
    CLOSED = "closed"


class Session:
    """One connection, from its upgrade to its end."""

    __slots__ = (
        "_identity",
        "_messages",
        "_operations",
        "_settings",
        "connection_id",
        "resumed",
        "rooms",
        "shell",
        "state",
    )

    def __init__(self, connection_id: str, settings: SessionSettings, shell: Any = None) -> None:
        self.connection_id = connection_id
        self.state = SessionState.NEW
        self.resumed = False
        self.rooms: dict[str, Room] = {}
        #: The connection that the server keeps for this session; nothing in the core looks at it.
        self.shell = shell
        self._settings = settings
        self._identity: Identity | None = None
        # When the buckets are full (ns, monotonic).
        self._operations = 0
        self._messages = 0

    @property
    def identity(self) -> Identity:
        """Who this is; only for a session that was authenticated."""
        assert self._identity is not None
        return self._identity

    @property
    def authenticated(self) -> bool:
        return self.state is SessionState.AUTHENTICATED

    @property
    def active_room(self) -> Room | None:
        return next(reversed(self.rooms.values()), None)

    # --- authentication -----------------------------------------------------------------------------------------------

    def verified(
        self, identity: Identity, message: messages.Connect | None, now: Instant, *, resumed: bool = False
    ) -> list[Effect]:
        """The token was good: of the handshake, or of `message`. `resumed`: an earlier connection was taken up (S7)."""
        if self._identity is not None and identity.user_id != self._identity.user_id:
            raise NotAuthenticated("the token is for another user", path="payload.token")
        self._identity = identity
        self.state = SessionState.AUTHENTICATED
        self.resumed = self.resumed or resumed
        return self._greet(message, now)

    def refused(self, error: ProtocolError, message: messages.Connect | None) -> list[Effect]:
        """The token was not good, or there are too many connections: an authenticated session goes on as it was."""
        if self.authenticated:
            error = NotAuthenticated(error.message, **error.details)
        effects: list[Effect] = [Send([self], messages.ErrorSent.of(error, message.id if message else None))]
        if not error.recoverable:
            effects.append(Close(self, CloseCode.for_error(error.code), error.message))
        return effects

    def overdue(self) -> list[Effect]:
        """The time in which a token must come is over (S1)."""
        if self.state is not SessionState.NEW:
            return []
        return self.refused(InvalidToken("no token came in time"), None)

    def _greet(self, message: messages.Connect | None, now: Instant) -> list[Effect]:
        connected = messages.Connected(
            connection_id=self.connection_id,
            user_id=self.identity.user_id,
            server_time=now.unix,
            numeric_id=self.identity.numeric_id,
            heartbeat_interval=self._settings.heartbeat_interval,
            limits=self._settings.limits,
            protocol=messages.PROTOCOL_VERSION,
            resumed=self.resumed,
        )
        effects: list[Effect] = [Send([self], connected)]
        if message is not None and message.acknowledgment:
            effects.append(Send([self], messages.Ack(message.id)))
        return effects

    # --- messages -----------------------------------------------------------------------------------------------------

    def receive(self, message: messages.ClientMessage, size: int, now: Instant) -> list[Effect]:
        """Carries out one message, which was `size` bytes long as JSON. Batches are unpacked by :func:`unpack`
        before.
        """
        if not isinstance(message, _LIMITED_OTHERWISE):
            self._take_message(now)
        if isinstance(message, messages.Ping):
            return self._acknowledge(message, [Send([self], messages.Pong(message.payload.timestamp, now.unix))])
        if isinstance(message, messages.Connect):
            if self.authenticated and not message.payload.token:
                return self._greet(message, now)
            return [Verify(self, message)]
        if not self.authenticated:
            raise NotAuthenticated("the connection has no token yet: send connect")
        if isinstance(message, messages.CursorMove):
            return self._acknowledge(message, self._room(message.room_id).move(self, message.payload, now))
        if isinstance(message, messages.Operation):
            self._take_operation(now)
            return self._room(message.room_id).submit(self, message, size)
        if isinstance(message, messages.JoinRoom):
            return self._join(message)
        if isinstance(message, messages.PastMessage):
            return [LookBack(self, self._room(message.room_id), message)]
        return self._acknowledge(message, _HANDLERS[type(message)](self, message, now))

    def answered(self, message: messages.ClientMessage, effects: list[Effect]) -> list[Effect]:
        """The effects of a message that took time to carry out, with the ack if one was asked for."""
        return self._acknowledge(message, effects)

    def closed(self, farewell: bool, now: Instant) -> list[Effect]:
        """The connection is gone; `farewell`: its user has said so (R7)."""
        self.state = SessionState.CLOSED
        effects: list[Effect] = []
        for room in list(self.rooms.values()):
            effects += room.lose(self, farewell, now)
        return effects

    def entered(self, room: Room) -> None:
        """Called by the room: this session is in it, and it is the active one."""
        self.rooms.pop(room.id, None)
        self.rooms[room.id] = room

    def left(self, room: Room) -> None:
        """Called by the room: this session is not in it any more."""
        del self.rooms[room.id]

    def _join(self, message: messages.JoinRoom) -> list[Effect]:
        limit = self._settings.limits.rooms
        if message.payload.room_id not in self.rooms and len(self.rooms) >= limit:
            raise RateLimited(f"a connection may be in {limit} rooms", limit=limit, remaining=0)
        return [Enter(self, message)]

    def _leave(self, message: messages.LeaveRoom, _now: Instant) -> list[Effect]:
        effects = self._room(message.payload.room_id).leave(self)
        if self.active_room is not None:
            effects.append(Activated(self, self.active_room))
        return effects

    def _activate(self, message: messages.ActivateRoom, _now: Instant) -> list[Effect]:
        room = self._room(message.payload.room_id)
        self.entered(room)
        return [Activated(self, room)]

    def _select(self, message: messages.SelectionChange, now: Instant) -> list[Effect]:
        return self._room(message.room_id).select(self, message.payload, now)

    def _show(self, message: messages.PresenceChange, now: Instant) -> list[Effect]:
        return self._room(message.room_id).show(self, message.payload.presence, now)

    def _announce(self, message: messages.Event, _now: Instant) -> list[Effect]:
        return self._room(message.room_id).announce(self, message)

    def _room(self, room_id: str | None) -> Room:
        room = self.active_room if room_id is None else self.rooms.get(room_id)
        if room is None:
            what = "no room" if room_id is None else f"not the room {room_id!r}"
            raise RoomNotFound(f"the connection is in {what}", **({} if room_id is None else {"roomId": room_id}))
        return room

    def _acknowledge(self, message: messages.ClientMessage, effects: list[Effect]) -> list[Effect]:
        if message.acknowledgment:
            effects.append(Send([self], messages.Ack(message.id)))
        return effects

    def _take_operation(self, now: Instant) -> None:
        limits = self._settings.limits
        bucket = TokenBucket("operations", limits.operations, limits.burst)
        self._operations = bucket.take(self._operations, now.monotonic)

    def _take_message(self, now: Instant) -> None:
        limits = self._settings.limits
        bucket = TokenBucket("messages", limits.messages, limits.burst)
        self._messages = bucket.take(self._messages, now.monotonic)


#: What does not count as one of the `limits.messages` (L1).
_LIMITED_OTHERWISE = (messages.CursorMove, messages.Operation)

_Handler = Callable[[Session, Any, Instant], list[Effect]]
_HANDLERS: dict[type, _Handler] = {
    messages.LeaveRoom: Session._leave,
    messages.ActivateRoom: Session._activate,
    messages.SelectionChange: Session._select,
    messages.PresenceChange: Session._show,
    messages.Event: Session._announce,
}


def unpack(batch: messages.Batch, limit: int) -> list[tuple[messages.ClientMessage, int] | ProtocolError]:
    """The messages of a batch with their sizes in bytes, in order; for one that is malformed, the error to tell
    (D1).

    An error's path is that in the message which its `messageId` names: one that has no id of its own is a fault of
    the batch. Raises :class:`InvalidMessage` for a batch of more than `limit` messages.
    """
    if len(batch.payload.messages) > limit:
        raise InvalidMessage(
            "too many messages in a batch",
            path="payload.messages",
            limit=limit,
            size=len(batch.payload.messages),
            messageId=batch.id,
        )
    unpacked: list[tuple[messages.ClientMessage, int] | ProtocolError] = []
    for index, raw in enumerate(batch.payload.messages):
        try:
            message = messages.decode(raw)
        except InvalidMessage as error:
            if "messageId" not in error.details:
                path = f"payload.messages[{index}].{error.details['path']}".rstrip(".")
                error.details.update(path=path, messageId=batch.id)
            unpacked.append(error)
            continue
        if isinstance(message, messages.Batch):
            unpacked.append(InvalidMessage("a batch in a batch", path="type", messageId=message.id))
        else:
            unpacked.append((message, len(bytes(raw))))
    return unpacked
