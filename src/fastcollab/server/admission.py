"""Who comes in: whose connection it is, and into which rooms.

These are the steps that take time and hold up what their connection sends next: a token is verified, an earlier
connection of the same user taken up (S7), the user counted in (S5, R3), and a room opened and entered. Whoever is not
let in is told why by the error that ends the step, and counts nowhere. A step may outlive its connection: what it has
counted is then counted out again.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any

from fastcollab import messages
from fastcollab.core.departures import Departures
from fastcollab.core.limit_guard import LimitGuard
from fastcollab.core.permissions import Permission
from fastcollab.core.room import Room
from fastcollab.core.session import Identity, Session, TokenMessage
from fastcollab.errors import CloseCode, ConnectionLimit, InternalError, NotAuthenticated, ProtocolError, RateLimited
from fastcollab.logs import get_logger
from fastcollab.messages import LimitsInForce
from fastcollab.ports import Grant, LogMoved
from fastcollab.server._listener import Connection
from fastcollab.server.access import Access
from fastcollab.server.auth import TokenVerifier
from fastcollab.server.clock import instant
from fastcollab.server.rooms import check_document_type
from fastcollab.server.tallies import Tallies

if TYPE_CHECKING:
    from fastcollab.server.dispatcher import Dispatcher

log = get_logger(__name__)

_REPLACED = "another connection takes this one's place"


class Admission:
    """To the sessions and rooms of `dispatcher`. A connection that was lost can be taken up for `grace_period`
    (ns).
    """

    def __init__(
        self,
        dispatcher: Dispatcher,
        verifier: TokenVerifier,
        access: Access,
        limits: LimitsInForce,
        guard: LimitGuard,
        tallies: Tallies,
        grace_period: int,
    ) -> None:
        self._dispatcher = dispatcher
        self._verifier = verifier
        self._access = access
        self._limits = limits
        self._guard = guard
        self._tallies = tallies
        self._departures = Departures(grace_period)

    def lost(self, connection: Connection) -> None:
        """The connection has ended without a farewell, and may be taken up."""
        session = connection.session
        self._departures.add(
            session.connection_id, session.identity.user_id, instant().monotonic, connection.reconnections
        )

    async def verify(self, session: Session, token: str, previous: str | None, message: TokenMessage | None) -> None:
        """Makes the session that of the token's user, as `message` asks or the handshake did. `previous` is the
        connection whose place it takes.
        """
        dispatcher = self._dispatcher
        try:
            claims = await self._verifier.authenticate(token)
            if session.authenticated and claims.user_id != session.identity.user_id:
                raise NotAuthenticated("the token is for another user", path="payload.token")
            await dispatcher.validation.check(claims.token)
            if dispatcher.profiles is not None:
                claims = await dispatcher.profiles.complete(claims)
            resumed = previous is not None and await self._take_up(session, previous, claims.user_id)
            if previous is not None:
                self._tallies.resumptions["resumed" if resumed else "unknown"] += 1
            if session.authenticated:
                number = session.identity.numeric_id
            else:
                number = await self._register(claims.user_id, session.connection_id)
            try:
                # Last, since what is revoked from here on is looked for among the sessions.
                await dispatcher.validation.check(claims.token)
            except BaseException:
                if not session.registered:
                    await dispatcher.registry.unregister(claims.user_id, session.connection_id)
                raise
            if session.over:
                await dispatcher.registry.unregister(claims.user_id, session.connection_id)
                return
            identity = Identity(
                claims.user_id, number, claims.name, claims.color, claims.rooms, claims.token, claims.picture
            )
            first = not session.registered
            effects = session.verified(identity, message, instant(), resumed=resumed)
            if first and dispatcher.webhooks is not None:
                dispatcher.webhooks.connected(session.shell)
        except ProtocolError as error:
            dispatcher.carry_out(session.refused(error, message))
        except Exception:
            log.exception("a token could not be verified", connection_id=session.connection_id)
            dispatcher.carry_out(session.refused(InternalError("the gateway failed to verify the token"), message))
        else:
            dispatcher.carry_out(effects)
            if session.rooms:
                await dispatcher.validation.validate(session)

    def connect(self, session: Session, message: TokenMessage) -> Coroutine[Any, Any, None]:
        """The same, as a message has it."""
        previous = message.payload.connection_id if isinstance(message, messages.Connect) else None
        return self.verify(session, message.payload.token, previous, message)

    async def _register(self, user_id: str, connection_id: str) -> int:
        """Counts a connection in, and returns the user's number (S5)."""
        try:
            return await self._dispatcher.registry.register(user_id, connection_id, self._limits.connections)
        except ConnectionLimit as error:
            self._guard.refuse("connections_per_user", error)
            return await self._dispatcher.registry.register(user_id, connection_id, sys.maxsize)

    async def _take_up(self, session: Session, previous: str, user_id: str) -> bool:
        """Has the session take the place of an earlier connection of its user, if that is known (S7).

        One that is half open, which its client has given up before the gateway could notice, is ended, and counts no
        more.
        """
        dispatcher = self._dispatcher
        connection = dispatcher.connections.get(previous)
        if connection is None or connection.session is session:
            if dispatcher.cluster is None:
                departure = self._departures.take(previous, user_id, instant().monotonic)
                if departure is not None:
                    self._note_reconnection(session, departure.reconnections)
                return departure is not None
            taken = await dispatcher.registry.take_up(user_id, previous)
            if taken.node is not None:
                await dispatcher.cluster.disconnect("connection", previous, CloseCode.REPLACED, _REPLACED)
            if taken.known:
                self._note_reconnection(session, 0)
            return taken.known
        if not connection.session.resumable or connection.session.identity.user_id != user_id:
            return False
        await dispatcher.registry.unregister(user_id, previous)
        self._note_reconnection(session, connection.reconnections)
        connection.close(CloseCode.REPLACED, _REPLACED)
        return True

    def _note_reconnection(self, session: Session, before: int) -> None:
        """The session's connection takes the place of one that had been made again so often."""
        if session.shell is not None:
            session.shell.reconnections = before + 1

    async def enter(self, session: Session, message: messages.JoinRoom) -> None:
        """Has the session join a room, which is opened if it is not."""
        dispatcher = self._dispatcher
        request = message.payload
        grant = await self._access.grant(session.identity, request.room_id)
        grant.permission.require(Permission.READ, "joining the room")
        document_type = request.document_type or dispatcher.default_document_type
        check_document_type(document_type, "payload.documentType")
        await self._count_room(session, request.room_id)
        try:
            async with dispatcher.rooms.hold(request.room_id, document_type) as room:
                await self._enter(session, room, grant, message)
        finally:
            # If nobody entered, nobody will leave either.
            if request.room_id not in session.rooms:
                await dispatcher.registry.leave(session.identity.user_id, session.connection_id, request.room_id)

    async def _enter(self, session: Session, room: Room, grant: Grant, message: messages.JoinRoom) -> None:
        dispatcher = self._dispatcher
        request = message.payload
        try:
            # The state that it gets must say of each operation that it has sent whether it is in there.
            await dispatcher.committer.answered(room, session)
            if request.last_sync_version is not None and request.epoch == room.document.epoch:
                await dispatcher.committer.reach(room, request.last_sync_version)
                with contextlib.suppress(LogMoved):  # which shows as soon as something is committed
                    await dispatcher.documents.recall(room.id, room.document, request.last_sync_version)
            if dispatcher.cluster is not None:
                await dispatcher.cluster.enter(room, session.identity.person, room.limit(grant.max_participants))
            if not session.over:
                effects = room.enter(session, grant.permission, request, instant(), grant.max_participants)
                dispatcher.carry_out(session.answered(message, effects))
        finally:
            if dispatcher.cluster is not None and session not in room.members:
                dispatcher.cluster.settle(room, session.identity.user_id)

    async def _count_room(self, session: Session, room_id: str) -> None:
        """Counts a room among those of the session's user (R3)."""
        whose = session.identity.user_id, session.connection_id, room_id
        try:
            await self._dispatcher.registry.enter(*whose, self._limits.rooms)
        except RateLimited as error:
            self._guard.refuse("rooms_per_user", error)
            await self._dispatcher.registry.enter(*whose, sys.maxsize)
