"""What was true when a token came and a room was joined, asked anew (S10 to S12).

Sessions ask for it from time to time, by :class:`~fastcollab.core.effects.Validate`, and nobody waits; of many that ask
at the same time a bounded number is looked into at once, since each question may go to somebody's back end. After
another token the connection's next messages wait. What the answers mean is for the core to say.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Coroutine, Iterable
from typing import Any

from fastcollab.core.effects import Effect
from fastcollab.core.permissions import Permission
from fastcollab.core.revocation import Revocation, TokenMarks
from fastcollab.core.room import Room
from fastcollab.core.session import Session
from fastcollab.errors import InvalidToken, NoPermission, RoomNotFound, ServiceUnavailable
from fastcollab.logs import get_logger
from fastcollab.ports import Revocations
from fastcollab.server.access import Access
from fastcollab.server.clock import instant

log = get_logger(__name__)

#: How many sessions are looked into at once.
_AT_ONCE = 64


class Validation:
    """Asks `access` and `revocations`; `sessions` gives all that there are, for revocations that concern them now.
    Tokens hold for `leeway` ms beyond their time.
    """

    def __init__(
        self,
        access: Access,
        revocations: Revocations,
        *,
        sessions: Callable[[], Iterable[Session]],
        carry_out: Callable[[list[Effect]], None],
        run: Callable[[Coroutine[Any, Any, None]], None],
        leeway: int = 0,
    ) -> None:
        self._access = access
        self._revocations = revocations
        self._sessions = sessions
        self._carry_out = carry_out
        self._run = run
        self._leeway = leeway
        self._waiting: deque[Session] = deque()
        self._workers = 0
        self._told = 0
        #: Ends what it is told of revocations.
        self.close = revocations.subscribe(self._revoked)

    # --- revocations --------------------------------------------------------------------------------------------------

    async def check(self, token: TokenMarks) -> None:
        """Raises :class:`InvalidToken` if the token was revoked.

        When this returns, it was not: what is revoked meanwhile is asked for again, and what is revoked later is told.
        """
        while True:
            told = self._told
            if await self._revocations.is_revoked(token):
                raise InvalidToken("the token was revoked", reason="revoked")
            if told == self._told:
                return

    async def revoke(self, revocation: Revocation) -> int:
        """Adds a revocation, and says how many of the connections here it ends."""
        concerned = sum(session.covered_by(revocation) for session in self._sessions())
        await self._revocations.revoke(revocation)
        return concerned

    def _revoked(self, revocation: Revocation) -> None:
        self._told += 1
        for session in [session for session in self._sessions() if session.covered_by(revocation)]:
            if revocation.kind == "session" and revocation.subject == session.connection_id:
                # Another node was told to end it, and does not have its token, with which it could come again.
                self._run(self._revoke_token(session.identity.token))
            self._carry_out(session.revoked(instant()))

    async def _revoke_token(self, token: TokenMarks) -> None:
        try:
            await self._revocations.revoke(token.revocation(instant().unix, self._leeway))
        except ServiceUnavailable as error:
            log.warning("a token was revoked here only", user_id=token.user_id, error=error.message)

    # --- validation ---------------------------------------------------------------------------------------------------

    def begin(self, session: Session) -> None:
        """Has the session validated when its turn has come."""
        self._waiting.append(session)
        if self._workers < _AT_ONCE:
            self._workers += 1
            self._run(self._work())

    async def _work(self) -> None:
        try:
            while self._waiting:
                session = self._waiting.popleft()
                if not session.over:
                    await self.validate(session)
        finally:
            self._workers -= 1

    async def validate(self, session: Session) -> None:
        """Looks into one session at once; nothing is raised."""
        identity = session.identity
        try:
            await self.check(identity.token)
        except InvalidToken:
            self._carry_out(session.revoked(instant()))
            return
        except Exception as error:
            _report(error, "whether a token was revoked could not be found out", connection_id=session.connection_id)
        permissions = {room: await self._permission(session, room) for room in list(session.rooms.values())}
        self._carry_out(session.validated(identity, permissions))

    async def _permission(self, session: Session, room: Room) -> Permission | None:
        """What the user may do in the room; None: that cannot be found out now."""
        try:
            return await self._access.permission(session.identity, room.id)
        except (NoPermission, RoomNotFound):
            return Permission.NONE
        except Exception as error:
            about = {"connection_id": session.connection_id, "room_id": room.id}
            _report(error, "a permission could not be found out", **about)
            return None


def _report(error: Exception, what: str, **about: str) -> None:
    """Whatever the reason is, the session is not to blame; but one that should not be is told in full."""
    if isinstance(error, ServiceUnavailable):
        log.debug(what, error=error.message, **about)
    else:
        log.error(what, exc_info=error, **about)
