"""Who may do what in which room: what tokens claim, what the user's back end says (rules P1 to P4), and for a while
what an administrator has said.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
from cachetools import TLRUCache

from fastcollab.core.permissions import Permission, granted
from fastcollab.core.session import Identity
from fastcollab.ports import Grant, Permit
from fastcollab.server.clock import unix_ms

if TYPE_CHECKING:
    from fastcollab.server.grants import Grants


#: Said by administrators, at a time: the longest unused go first.
_MOST_PERMITS = 10_000


class Access:
    """What an administrator has said holds, for its time. Else a back end, where there is one, decides, and what a
    token claims only narrows that. Where there is none the token decides; `default` is for tokens that claim nothing.
    """

    def __init__(self, default: Permission, grants: Grants | None = None) -> None:
        self._default = default
        #: What the back end says; None: it is not asked.
        self.grants = grants
        #: What administrators have said, by user and room, for as long as it holds.
        self._permits: TLRUCache[tuple[str, str], Permit] = TLRUCache(
            _MOST_PERMITS, lambda _key, permit, _now: permit.until, unix_ms
        )

    def permit(self, permit: Permit) -> None:
        """An administrator has said what a user may do in a room."""
        self._permits[permit.user_id, permit.room_id] = permit

    async def permission(self, identity: Identity, room_id: str) -> Permission:
        """What the user may do in the room at present; raises as :meth:`grant` does."""
        return (await self.grant(identity, room_id)).permission

    async def grant(self, identity: Identity, room_id: str) -> Grant:
        """The same, with what else the back end says of it.

        Raises :class:`RoomNotFound` if there is no such room, and :class:`ServiceUnavailable` if nobody can say.
        """
        if (permit := self._permits.get((identity.user_id, room_id))) is not None:
            return Grant(permit.permission)
        claimed = None if identity.rooms is None else granted(identity.rooms, room_id)
        if self.grants is None:
            return Grant(self._default if claimed is None else claimed)
        if claimed is Permission.NONE:
            return Grant(claimed)  # nothing that the back end could say would change it
        grant = await self.grants.of(identity.user_id, room_id, claimed)
        if claimed is None or grant.permission <= claimed:
            return grant
        return msgspec.structs.replace(grant, permission=claimed)
