"""Permissions as the user's back end has them: asked for each user and room, and kept for a while (rules P3, P4 and
R9).

Nobody gets in on a guess: while the back end does not say, a join is refused, and may be tried again later.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import NamedTuple

from fastcollab.core.permissions import Permission
from fastcollab.errors import RoomNotFound, ServiceUnavailable
from fastcollab.logs import get_logger
from fastcollab.ports import AskPermission, BackendFailed, Grant
from fastcollab.server.inquiry import RETRY_AFTER_MS, Inquiry, NotAsked
from fastcollab.server.kept_answers import KeptAnswers

log = get_logger(__name__)

#: Seconds: no answer is kept for longer, whatever a back end says, so that a right that was taken away ends.
_LONGEST_TTL = 300.0
#: Seconds for which a refusal is kept, at most: it is what people ask their administrator to change.
_REFUSAL_TTL = 5.0


class _Question(NamedTuple):
    """All that the back end is told. What it says holds for no other question."""

    user_id: str
    room_id: str
    claimed: Permission | None


class Grants:
    """Asks `ask` by `inquiry`, and keeps answers for `ttl` seconds unless they say otherwise."""

    def __init__(
        self, ask: AskPermission, inquiry: Inquiry, ttl: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._ask = ask
        self._inquiry = inquiry
        self._ttl = ttl
        self._answers: KeptAnswers[_Question, Grant | None] = KeptAnswers(self._asked, self._keep, clock=clock)

    async def of(self, user_id: str, room_id: str, claimed: Permission | None) -> Grant:
        """What the user may do in the room; `claimed` is what the token says of it, None: nothing.

        Raises :class:`RoomNotFound` if there is no such room, and :class:`ServiceUnavailable` if nobody can say.
        """
        grant = await self._answers.of(_Question(user_id, room_id, claimed))
        if grant is None:
            raise RoomNotFound(f"there is no room {room_id!r}", roomId=room_id)
        return grant

    async def _asked(self, question: _Question) -> Grant | None:
        try:
            grant = await self._inquiry.ask(lambda: self._ask(*question))
            if not isinstance(grant, Grant):
                raise TypeError(f"a permission must be told by a Grant, not by {type(grant).__name__}")
            return grant
        except RoomNotFound:
            return None
        except NotAsked:
            raise
        except Exception as error:
            log.warning(
                "a permission could not be asked for",
                user_id=question.user_id,
                room_id=question.room_id,
                error=str(error),
                exc_info=None if isinstance(error, BackendFailed) else error,
            )
            raise ServiceUnavailable("permissions cannot be asked for now", retryAfterMs=RETRY_AFTER_MS) from None

    def _keep(self, grant: Grant | None) -> float:
        if grant is None:
            return min(self._ttl, _REFUSAL_TTL)
        ttl = self._ttl if grant.ttl is None else grant.ttl
        return min(ttl, _REFUSAL_TTL if grant.permission is Permission.NONE else _LONGEST_TTL)
