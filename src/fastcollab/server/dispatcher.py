"""Between connections and the core: messages in, effects out.

A text message is decoded and given to its session; the effects that come back are carried out in their order.
Some of them take time, as letting somebody in does (:mod:`~fastcollab.server.admission`): while one is under way for a
connection, what it sends next waits in its inbox, so that the messages of a connection are carried out in their order
(E5). An inbox that grows long stops the reading of its socket. Operations take time too, but nobody waits for them:
the :class:`~fastcollab.server.committer.Committer` has them stored, and answered when they are.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from typing import TYPE_CHECKING, Any

from msgspec import Raw

from fastcollab import _binary, messages
from fastcollab.core.effects import (
    Activated,
    Answer,
    Close,
    Commit,
    Effect,
    Enter,
    Entered,
    Flush,
    Left,
    LookBack,
    Placed,
    Relay,
    Send,
    Validate,
    Verify,
    Wake,
)
from fastcollab.core.limit_guard import LimitGuard, UserRates
from fastcollab.core.limits import SECOND
from fastcollab.core.room import Room
from fastcollab.core.session import Session, SessionSettings, SessionState, unpack
from fastcollab.errors import (
    CloseCode,
    InternalError,
    InvalidMessage,
    NotAuthenticated,
    ProtocolError,
    RateLimited,
    RoomNotFound,
    ServiceUnavailable,
)
from fastcollab.logs import get_logger
from fastcollab.ports import ConnectionRegistry, Disconnect, Order, Permit
from fastcollab.server._fanout import MODE_BATCHED, MODE_JSON, MODE_PLAIN, Channel, Member
from fastcollab.server._listener import Connection, deliver
from fastcollab.server._outbox import Cork
from fastcollab.server.access import Access
from fastcollab.server.admission import Admission
from fastcollab.server.auth import TokenVerifier
from fastcollab.server.clock import instant, unix_ms
from fastcollab.server.cluster import Cluster
from fastcollab.server.committer import Committer
from fastcollab.server.documents import Documents
from fastcollab.server.past import look_back
from fastcollab.server.profiles import Profiles
from fastcollab.server.rooms import Rooms
from fastcollab.server.tallies import INVALID, Tallies
from fastcollab.server.validation import Validation
from fastcollab.server.webhooks import Webhooks
from fastcollab.trace_context import canonical, log_fields

if TYPE_CHECKING:
    from fastcollab.server.tracing import Tracing

log = get_logger(__name__)

#: Messages in an inbox beyond which the connection's socket is not read.
_INBOX_LIMIT = 64
#: How long (s) a client has to answer a close frame, and one that broke the protocol.
_CLOSE_TIMEOUT = 5.0
_FAIL_TIMEOUT = 0.05

_Item = str | tuple[messages.ClientMessage, int] | ProtocolError | messages.Ack


class Dispatcher:
    """The handler of all connections of a gateway (see :mod:`fastcollab.server._listener`)."""

    registry: ConnectionRegistry
    rooms: Rooms
    documents: Documents
    committer: Committer
    validation: Validation
    #: What the user's back end knows of users; None: it is not asked.
    profiles: Profiles | None = None
    #: What is told of events; None: nobody.
    webhooks: Webhooks | None = None
    #: The other nodes; None: there can be none.
    cluster: Cluster | None = None
    #: What follows operations; None: they are not traced.
    tracing: Tracing | None = None

    def __init__(
        self,
        verifier: TokenVerifier,
        settings: SessionSettings,
        *,
        access: Access,
        default_document_type: str,
        guard: LimitGuard,
        cork: Cork,
        tallies: Tallies,
        grace_period: int,
        run: Callable[[Coroutine[Any, Any, None]], None],
    ) -> None:
        self.connections: dict[str, Connection] = {}
        self.draining = False
        self.all_closed = asyncio.Event()
        self.all_closed.set()
        self._settings = settings
        self._rates = UserRates(settings.limits, guard, lambda user: self.registry.spread(user))
        self._access = access
        self.default_document_type = default_document_type
        self._cork = cork
        self._tallies = tallies
        self._run = run
        self._grace_period = grace_period
        self._admission = Admission(self, verifier, access, settings.limits, guard, tallies, grace_period)
        self._ending: dict[Connection, asyncio.TimerHandle] = {}

    # --- called by connections ----------------------------------------------------------------------------------------

    def opened(self, connection: Connection) -> None:
        self.all_closed.clear()
        self._tallies.opened += 1
        session = connection.session = Session(messages.new_id(), self._settings, self._rates, connection)
        self.connections[session.connection_id] = connection
        token, connection.token = connection.token, None
        if token is not None:
            self._begin(connection, self._admission.verify(session, token, connection.previous, None))

    def text(self, connection: Connection, message: str) -> None:
        inbox = connection.inbox
        if inbox is None:
            self._take(connection, message)
            return
        inbox.append(message)
        if len(inbox) >= _INBOX_LIMIT:
            connection.pause_reading()

    def refused_frame(self, connection: Connection, fault: int, size: int) -> None:
        self._tallies.received.add(INVALID, size)
        self._tell(connection.session, InvalidMessage(_binary.fault_reason(fault), path="frame"))

    def no_active_room(self, connection: Connection) -> None:
        if connection.inbox is not None:
            return  # a token or a room is on its way; a cursor before it is of no use to anyone
        if connection.session.authenticated:
            self._tell(connection.session, RoomNotFound("the connection is in no room"))
        else:
            self._tell(connection.session, NotAuthenticated("the connection has no token yet: send connect"))

    def began_binary(self, connection: Connection) -> None:
        self._set_modes(connection)

    def selected(self, connection: Connection, anchor: int, head: int) -> bool:
        room = connection.session.active_room
        assert room is not None
        try:
            room.select_by_frame(connection.session, anchor, head)
        except InvalidMessage as error:
            self._tell(connection.session, error)
            return False
        return True

    def too_long(self, connection: Connection, size: int) -> None:
        self._tallies.received.add(INVALID, size)
        limit = self._settings.limits.max_message_bytes
        self._tell(connection.session, InvalidMessage("the message is too long", path="", limit=limit, size=size))

    def writable(self, connection: Connection) -> None:
        for member in connection.members.values():
            member.channel.catch_up(member)

    def closing(self, connection: Connection, failed: bool) -> None:
        if connection in self._ending:
            return
        timeout = _FAIL_TIMEOUT if failed else _CLOSE_TIMEOUT
        loop = asyncio.get_running_loop()
        self._ending[connection] = loop.call_later(timeout, connection.abort)

    def closed(self, connection: Connection, farewell: bool) -> None:
        self.connections.pop(connection.session.connection_id, None)
        self._tallies.closed[connection.close_code] += 1
        if (timer := self._ending.pop(connection, None)) is not None:
            timer.cancel()
        session = connection.session
        registered = session.registered
        if session.resumable and not farewell:
            self._admission.lost(connection)
        try:
            self.carry_out(session.closed(farewell, instant()))
        finally:
            session.shell = None
            if not self.connections:
                self.all_closed.set()
            if registered:
                if self.webhooks is not None:
                    self.webhooks.disconnected(connection, farewell)
                resumable = 0 if farewell else self._grace_period / SECOND
                self._run(self.registry.unregister(session.identity.user_id, session.connection_id, resumable))

    # --- messages -----------------------------------------------------------------------------------------------------

    def _take(self, connection: Connection, item: _Item) -> None:
        session = connection.session
        if isinstance(item, str):
            self._take_text(connection, item)
        elif isinstance(item, ProtocolError):
            self._tell(session, item)
        elif isinstance(item, messages.Ack):
            self._send([session], item, None)
        else:
            self._attempt(session, item[0], self._take_message, session, *item)

    def _take_text(self, connection: Connection, text: str) -> None:
        session = connection.session
        size = len(text) if text.isascii() else len(text.encode())
        try:
            message = messages.decode(text)
        except InvalidMessage as error:
            self._tallies.received.add(INVALID, size)
            self._tell(session, error)
            return
        self._tallies.received.add(messages.type_of(message), size)
        if isinstance(message, messages.Batch):
            self._attempt(session, message, self._take_batch, connection, message)
        else:
            self._attempt(session, message, self._take_message, session, message, size)

    def _take_message(self, session: Session, message: messages.ClientMessage, size: int) -> None:
        if self.draining and isinstance(message, messages.Operation):
            self._check_draining()
        if self.tracing is not None and isinstance(message, messages.Operation):
            with self.tracing.received(session, message) as placed:
                self.carry_out(session.receive(placed, size, instant()))
        else:
            self.carry_out(session.receive(message, size, instant()))

    def _take_batch(self, connection: Connection, batch: messages.Batch) -> None:
        items: list[_Item] = [*unpack(batch, self._settings.limits.max_messages_per_batch)]
        connection.charge(len(items))
        for item in items:
            # Their bytes are the batch's.
            self._tallies.received.add(messages.type_of(item[0]) if isinstance(item, tuple) else INVALID, 0)
        if batch.acknowledgment:
            items.append(messages.Ack(batch.id))
        while items and connection.inbox is None:
            self._take(connection, items.pop(0))
        if connection.inbox is not None:
            connection.inbox.extend(items)

    def _attempt(
        self, session: Session, message: messages.ClientMessage, deed: Callable[..., None], *arguments: Any
    ) -> None:
        """Does what `message` asks for, and tells its sender if it fails."""
        try:
            deed(*arguments)
        except ProtocolError as error:
            self._tell(session, error, message)
        except Exception:
            log.exception("a message could not be carried out", **_about(session, message))
            self._tell(session, InternalError("the gateway failed to carry this out"), message)

    def _tell(self, session: Session, error: ProtocolError, message: messages.ClientMessage | None = None) -> None:
        if isinstance(error, RateLimited) and error.exceeded is not None and session.shell is not None:
            session.shell.refuse(error.exceeded)
        message_id = None if message is None else message.id
        room_id = None if message is None else message.room_id
        self._send([session], messages.ErrorSent.of(error, message_id), room_id)

    def _begin(
        self, connection: Connection, step: Coroutine[Any, Any, None], message: messages.ClientMessage | None = None
    ) -> None:
        """Runs a step that takes time, for `message`; the connection's next messages wait for its end."""
        connection.inbox = deque()

        async def run() -> None:
            try:
                await step
            except ProtocolError as error:
                self._tell(connection.session, error, message)
            except Exception:
                log.exception("a step could not be carried out", **_about(connection.session, message))
                self._tell(connection.session, InternalError("the gateway failed to carry this out"), message)
            finally:
                self._end(connection)

        self._run(run())

    def _end(self, connection: Connection) -> None:
        inbox, connection.inbox = connection.inbox, None
        assert inbox is not None
        while inbox and connection.open and connection.inbox is None:
            self._take(connection, inbox.popleft())
        if connection.inbox is not None:
            connection.inbox.extend(inbox)
        if connection.inbox is None or len(connection.inbox) < _INBOX_LIMIT:
            connection.resume_reading()

    async def _look_back(self, session: Session, room: Room, message: messages.PastMessage) -> None:
        if isinstance(message, messages.Restore):
            self._check_draining()
        effects = await look_back(self.documents, session, room, message)
        if session not in room.members:
            raise RoomNotFound(f"the connection is not in the room {room.id!r} any more", roomId=room.id)
        # What is restored is acknowledged as an operation, with its version.
        self.carry_out(effects if isinstance(message, messages.Restore) else session.answered(message, effects))

    def _check_draining(self) -> None:
        if self.draining:
            raise ServiceUnavailable("the gateway is stopping", retryAfterMs=1_000)

    def obey(self, order: Order) -> None:
        """Does here what all nodes are to do."""
        match order:
            case Disconnect():
                self._disconnect(order)
            case Permit(room_id, user_id):
                self._access.permit(order)
                for connection in list(self.connections.values()):
                    if connection.session.is_of(user_id) and room_id in connection.session.rooms:
                        self.validation.begin(connection.session)

    def _disconnect(self, order: Disconnect) -> None:
        """Closes the connections here that are meant."""
        if order.kind == "connection":
            meant = [self.connections.get(order.subject)]
        else:
            meant = [each for each in self.connections.values() if each.session.is_of(order.subject)]
        for connection in meant:
            if connection is not None:
                connection.close(order.code, order.reason)

    def dismiss(self, connection: Connection, error: ProtocolError) -> None:
        """Tells the client of an error that ends its connection, and ends it (X3)."""
        self._tell(connection.session, error)
        connection.close(CloseCode.for_error(error.code), error.message)

    # --- effects ------------------------------------------------------------------------------------------------------

    def carry_out(self, effects: list[Effect]) -> None:
        """Does what the core wants done, in order. What one connection is sent by all of it leaves with one write."""
        with self._cork:
            self._carry_out(effects)

    def _carry_out(self, effects: list[Effect]) -> None:
        for effect in effects:
            match effect:
                case Send(recipients, payload, room_id):
                    self._send(recipients, payload, room_id)
                case Answer(errand, result):
                    errand.answered(result)
                case Commit(room):
                    self.committer.commit(room)
                case LookBack(session, room, message):
                    self._begin(session.shell, self._look_back(session, room, message), message)
                case Flush(room, due):
                    self.rooms.channel(room).expect(due)
                case Wake(room, at):
                    self.rooms.wake(room, at)
                case Entered(session, room):
                    self._entered(session.shell, room)
                case Activated(session, room):
                    self._activate(session.shell, room)
                case Left(session, room):
                    self._left(session.shell, room)
                case Verify(session, message):
                    self._begin(session.shell, self._admission.connect(session, message), message)
                case Placed(room, participant):
                    if self.cluster is not None:
                        self.cluster.placed(room, participant)
                    elif self.webhooks is not None:
                        self.webhooks.occupancy(room.id, bool(room.participants))
                case Relay(room, notice, participant):
                    if self.cluster is not None:
                        self.cluster.relay(room, notice, participant)
                case Validate(session):
                    self.validation.begin(session)
                case Enter(session, message):
                    self._begin(session.shell, self._admission.enter(session, message), message)
                case Close(session, code, reason):
                    if session.shell is not None:
                        session.shell.close(code, reason)

    def _send(self, recipients: Sequence[Session], payload: messages.ServerPayload, room_id: str | None) -> None:
        if recipients:
            data = messages.encode(payload, unix_ms(), room_id)
            self._tallies.sending(recipients, payload, len(data))
            self._send_encoded(recipients, data)

    def _send_encoded(self, recipients: Sequence[Session], data: bytes) -> None:
        for connection in deliver(recipients, data):
            connection.close(CloseCode.SLOW_CONSUMER, "too much waits to be read")

    def _entered(self, connection: Connection, room: Room) -> None:
        if room not in connection.members:
            session = connection.session
            participant = room.participants[session.identity.user_id]
            connection.members[room] = self.rooms.channel(room).add(
                session, connection.outbox, participant.cursor, participant.selection_frame, _mode(connection, room)
            )
        self._activate(connection, room)

    def _activate(self, connection: Connection, room: Room) -> None:
        connection.activate(connection.members[room])
        self._set_modes(connection)

    def _left(self, connection: Connection, room: Room) -> None:
        member = connection.members.pop(room)
        member.channel.remove(member)
        if not connection.members:
            connection.activate(None)
        self.rooms.retire(room)
        session = connection.session
        if session.state is not SessionState.CLOSED:  # else it is counted out as a whole
            self._run(self.registry.leave(session.identity.user_id, session.connection_id, room.id))

    def _set_modes(self, connection: Connection) -> None:
        for room, member in connection.members.items():
            member.mode = _mode(connection, room)

    def send_updates(self, channel: Channel, members: list[Member], changed: bool) -> None:
        """Sends cursors and selection frames as JSON: what has changed, or to a member that missed some, all that
        is known.
        """
        room = channel.room
        now = instant()
        updates = room.record_updates(now) if changed else room.known_records(now)
        encoded = {
            participant.user_id: Raw(messages.encode(update, now.unix, room.id)) for participant, update in updates
        }
        others: list[Session] = []
        for member in members:
            user_id = member.session.identity.user_id
            if encoded.keys() <= {user_id} or not member.accepts_updates(len(encoded)):
                continue
            if user_id not in encoded:
                others.append(member.session)
                continue
            rest = [update for who, update in encoded.items() if who != user_id]
            self._send([member.session], messages.BatchSent(rest, compressed=False), room.id)
        if others:
            self._send(others, messages.BatchSent(list(encoded.values()), compressed=False), room.id)


def _mode(connection: Connection, room: Room) -> int:
    """In which form the connection gets the cursors of a room (B5 to B7)."""
    if connection.batched:
        return MODE_BATCHED
    return MODE_PLAIN if connection.sends_binary and room is connection.session.active_room else MODE_JSON


def _about(session: Session, message: messages.ClientMessage | None) -> dict[str, str]:
    """What a log event says of a message: by which connection it came, for which room, and in which trace."""
    fields = {"connection_id": session.connection_id}
    if message is not None:
        fields["message_id"] = message.id
        if isinstance(message, messages.JoinRoom | messages.LeaveRoom | messages.ActivateRoom):
            fields["room_id"] = message.payload.room_id
        elif message.room_id is not None:
            fields["room_id"] = message.room_id
        elif session.active_room is not None:
            fields["room_id"] = session.active_room.id
    if isinstance(message, messages.Operation):
        fields |= log_fields(canonical(message.payload.traceparent))
    return fields
