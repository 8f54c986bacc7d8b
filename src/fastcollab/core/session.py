"""A session: what one connection has said so far, and what it may say next.

::

    NEW ── a token was accepted ──▶ AUTHENTICATED ── the token has expired ──▶ ENDING
     │                                   │                                        │
     └────────────▶ CLOSED ◀─────────────┴────────────────────────────────────────┘

A session is told of each valid message by :meth:`Session.receive` and answers with effects, or raises the
:class:`~fastcollab.errors.ProtocolError` that the client is to be told. It knows the rooms that it is in, in
the order in which they were named: the last is the active one (R3). Whatever concerns a room is the room's
business; whether this connection may turn to it, and how often, is the session's.

A session lives no longer than its token (S8), and what its user may do is asked anew from time to time (S10). It has no
timer: whoever looks after all connections compares `due_at` with the clock, and calls :meth:`Session.tick` when it has
come. The times at which sessions ask are spread by their connections' ids, so that those that came together do not ask
together.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any

from fastcollab import messages
from fastcollab.core.effects import Activated, Close, Effect, Enter, LookBack, Send, Validate, Verify
from fastcollab.core.instant import Instant
from fastcollab.core.limit_guard import UserRates
from fastcollab.core.limits import SECOND
from fastcollab.core.permissions import Permission
from fastcollab.core.revocation import Revocation, TokenMarks
from fastcollab.core.roster import Person
from fastcollab.errors import (
    AuthenticationUnavailable,
    CloseCode,
    InvalidMessage,
    InvalidToken,
    NotAuthenticated,
    ProtocolError,
    RoomNotFound,
    ServiceUnavailable,
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
    token: TokenMarks
    picture: str | None = None

    @property
    def person(self) -> Person:
        """What the others in a room see of it."""
        return Person(self.user_id, self.numeric_id, self.name, self.color, self.picture)


@dataclass(frozen=True, slots=True)
class SessionSettings:
    """What a client is told in `connected`, and how long a token is believed.

    In ms: `heartbeat_interval`, `expiry_notice` before a token expires, and `expiry_leeway` after it; in ns:
    `validation_interval`.
    """

    limits: messages.LimitsInForce
    heartbeat_interval: int
    expiry_notice: int = 60_000
    expiry_leeway: int = 0
    validation_interval: int = 300 * SECOND


class SessionState(Enum):
    NEW = "new"
    AUTHENTICATED = "authenticated"
    ENDING = "ending"
    CLOSED = "closed"


#: When nothing is due: later than any clock will say.
_NEVER = 1 << 63

#: One for all sessions: each empty set would be one of its own.
_NO_ROOMS: frozenset[str] = frozenset()

#: The messages that bring a token.
TokenMessage = messages.Connect | messages.RefreshToken


class Session:
    """One connection, from its upgrade to its end."""

    __slots__ = (
        "_expiring_told",
        "_identity",
        "_rates",
        "_settings",
        "_unconfirmed",
        "_validation_at",
        "connection_id",
        "due_at",
        "resumed",
        "rooms",
        "shell",
        "state",
    )

    def __init__(self, connection_id: str, settings: SessionSettings, rates: UserRates, shell: Any = None) -> None:
        self.connection_id = connection_id
        self.state = SessionState.NEW
        self.resumed = False
        self.rooms: dict[str, Room] = {}
        #: The connection that the server keeps for this session; nothing in the core looks at it.
        self.shell = shell
        #: When :meth:`tick` has something to do (ns, monotonic).
        self.due_at = _NEVER
        self._settings = settings
        self._rates = rates
        self._identity: Identity | None = None
        self._expiring_told = False
        self._validation_at = _NEVER
        #: The rooms, by id, whose permissions could not be asked for at the last validation.
        self._unconfirmed: frozenset[str] = _NO_ROOMS

    @property
    def identity(self) -> Identity:
        """Who this is; only for a session that was authenticated."""
        assert self._identity is not None
        return self._identity

    @property
    def authenticated(self) -> bool:
        return self.state is SessionState.AUTHENTICATED

    @property
    def registered(self) -> bool:
        """Whether a token was ever accepted, so that the connection counts as one of its user's."""
        return self._identity is not None

    @property
    def resumable(self) -> bool:
        """Whether another connection of the user may take its place (S7)."""
        return self.state in (SessionState.AUTHENTICATED, SessionState.ENDING)

    def is_of(self, user_id: str) -> bool:
        """Whether it is one of this user's."""
        return self._identity is not None and self._identity.user_id == user_id

    @property
    def over(self) -> bool:
        """Whether nothing may be begun for it any more."""
        return self.state in (SessionState.ENDING, SessionState.CLOSED)

    @property
    def active_room(self) -> Room | None:
        return next(reversed(self.rooms.values()), None)

    @property
    def _rated_as(self) -> str:
        """Whose rates these are: the user's; or, of who is nobody yet, the connection's, which is no user's id."""
        return f" {self.connection_id}" if self._identity is None else self._identity.user_id

    # --- authentication -----------------------------------------------------------------------------------------------

    def verified(
        self, identity: Identity, message: TokenMessage | None, now: Instant, *, resumed: bool = False
    ) -> list[Effect]:
        """The token was good: of the handshake, or of `message`. `resumed`: an earlier connection was taken up (S7).

        The permissions in its rooms are those of the earlier token until :meth:`validated` says otherwise.
        """
        if self._identity is not None and identity.user_id != self._identity.user_id:
            raise NotAuthenticated("the token is for another user", path="payload.token")
        self._identity = identity
        self.state = SessionState.AUTHENTICATED
        self.resumed = self.resumed or resumed
        effects: list[Effect] = []
        for room in self.rooms.values():
            effects += room.introduce(self)
        self._expiring_told = False
        if self._validation_at == _NEVER:
            phase = zlib.crc32(self.connection_id.encode()) / 2**32
            self._validation_at = now.monotonic + int(phase * self._settings.validation_interval)
        return effects + self._greet(message, now) + self.tick(now)

    def refused(self, error: ProtocolError, message: TokenMessage | None) -> list[Effect]:
        """The token was not good, or there are too many connections: an authenticated session goes on as it was.

        A token that cannot be judged now is not a bad one: its client is asked to come back with it (S13).
        """
        if isinstance(error, ServiceUnavailable):
            kind = ServiceUnavailable if self.authenticated else AuthenticationUnavailable
            error = kind(error.message, **error.details)
        elif self.authenticated:
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

    def _greet(self, message: TokenMessage | None, now: Instant) -> list[Effect]:
        answer: messages.ServerPayload
        if isinstance(message, messages.RefreshToken):
            answer = messages.TokenRefreshed(self._expires_at)
        else:
            answer = messages.Connected(
                connection_id=self.connection_id,
                user_id=self.identity.user_id,
                server_time=now.unix,
                numeric_id=self.identity.numeric_id,
                heartbeat_interval=self._settings.heartbeat_interval,
                limits=self._settings.limits,
                protocol=messages.PROTOCOL_VERSION,
                resumed=self.resumed,
            )
        effects: list[Effect] = [Send([self], answer)]
        if message is not None and message.acknowledgment:
            effects.append(Send([self], messages.Ack(message.id)))
        return effects

    # --- the life of the token ----------------------------------------------------------------------------------------

    @property
    def _expires_at(self) -> int:
        """When the token expires (Unix time, ms)."""
        return int(self.identity.token.expires_at * 1000)

    def tick(self, now: Instant) -> list[Effect]:
        """Does what is due by now: a notice, the end of the token's time (S8), a validation (S10)."""
        if not self.authenticated:
            self.due_at = _NEVER
            return []
        ends_at = self._expires_at + self._settings.expiry_leeway
        if now.unix >= ends_at:
            self.state = SessionState.ENDING
            return self._end(InvalidToken("the token has expired", reason="expired"))
        effects: list[Effect] = []
        notice_at = self._expires_at - self._settings.expiry_notice
        if not self._expiring_told and now.unix >= notice_at:
            self._expiring_told = True
            effects.append(Send([self], messages.TokenExpiring(self._expires_at)))
        if now.monotonic >= self._validation_at:
            self._validation_at = now.monotonic + self._settings.validation_interval
            effects.append(Validate(self))
        # Should the calendar be set while it waits, it finds out at the next validation.
        next_at = ends_at if self._expiring_told else notice_at
        self.due_at = min(self._validation_at, now.monotonic + (next_at - now.unix) * (SECOND // 1000))
        return effects

    def validated(self, identity: Identity, permissions: Mapping[Room, Permission | None]) -> list[Effect]:
        """What `identity` may do in rooms, as of now; None: that could not be found out.

        What was known of such a room holds until the next validation. If that does not succeed either, the room is
        lost (S10).
        """
        if not self.authenticated or self._identity is not identity:
            return []  # Another token has come meanwhile, and has been judged itself.
        unconfirmed, self._unconfirmed = self._unconfirmed, _NO_ROOMS
        active = self.active_room
        effects: list[Effect] = []
        for room, permission in permissions.items():
            if self.rooms.get(room.id) is not room:
                continue
            if permission is not None:
                effects += room.permit(self, permission)
            elif room.id in unconfirmed:
                effects += room.permit(self, Permission.NONE, reason="unconfirmed")
            else:
                self._unconfirmed |= {room.id}
        if self.active_room is not active and self.active_room is not None:
            effects.append(Activated(self, self.active_room))
        return effects

    def revoked(self, now: Instant) -> list[Effect]:
        """Its token was revoked (S12): the others in its rooms need not wait for it to come back."""
        if not self.authenticated:
            return []
        effects = self.closed(True, now)
        return effects + self._end(InvalidToken("the token was revoked", reason="revoked"))

    def covered_by(self, revocation: Revocation) -> bool:
        """Whether it is meant, by its token or by the id of its connection."""
        if not self.authenticated:
            return False
        named = revocation.kind == "session" and revocation.subject == self.connection_id
        return named or revocation.covers(self.identity.token)

    def _end(self, error: InvalidToken) -> list[Effect]:
        self.due_at = _NEVER
        return [
            Send([self], messages.ErrorSent.of(error)),
            Close(self, CloseCode.for_error(error.code), error.message),
        ]

    # --- messages -----------------------------------------------------------------------------------------------------

    def receive(self, message: messages.ClientMessage, size: int, now: Instant) -> list[Effect]:
        """Carries out one message, which was `size` bytes long as JSON. Batches are unpacked by :func:`unpack`
        before.
        """
        if not isinstance(message, _LIMITED_OTHERWISE):
            self._rates.take_message(self._rated_as, now.monotonic)
        if isinstance(message, messages.Ping):
            return self._acknowledge(message, [Send([self], messages.Pong(message.payload.timestamp, now.unix))])
        if isinstance(message, messages.Connect):
            if self.authenticated and not message.payload.token:
                return self._greet(message, now)
            return [Verify(self, message)]
        if not self.authenticated:
            raise NotAuthenticated("the connection has no token yet: send connect")
        if isinstance(message, messages.RefreshToken):
            return [Verify(self, message)]
        if isinstance(message, messages.CursorMove):
            return self._acknowledge(message, self._room(message.room_id).move(self, message.payload, now))
        if isinstance(message, messages.Operation):
            self._rates.take_operation(self._rated_as, now.monotonic)
            return self._room(message.room_id).submit(self, message, size)
        if isinstance(message, messages.JoinRoom):
            return [Enter(self, message)]
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
        if self._unconfirmed:
            self._unconfirmed -= {room.id}

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
