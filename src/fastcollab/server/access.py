"""Who may do what in which room: what tokens claim and what the user's back end says (rules P1 to P4)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from fastcollab.core.permissions import Permission, granted
from fastcollab.core.session import Identity
from fastcollab.ports import Grant

if TYPE_CHECKING:
    from fastcollab.server.grants import Grants


class Access:
    """A back end, where there is one, decides, and what a token claims only narrows that. Where there is none the token
    decides; `default` is for tokens that claim nothing.
    """

    def __init__(self, default: Permission, grants: Grants | None = None) -> None:
        self._default = default
        #: What the back end says; None: it is not asked.
        self.grants = grants

    async def permission(self, identity: Identity, room_id: str) -> Permission:
        """What the user may do in the room at present; raises as :meth:`grant` does."""
        return (await self.grant(identity, room_id)).permission

    async def grant(self, identity: Identity, room_id: str) -> Grant:
        """The same, with what else the back end says of it.

        Raises :class:`RoomNotFound` if there is no such room, and :class:`ServiceUnavailable` if nobody can say.
        """
        claimed = None if identity.rooms is None else granted(identity.rooms, room_id)
        if self.grants is None:
            return Grant(self._default if claimed is None else claimed)
        if claimed is Permission.NONE:
            return Grant(claimed)  # nothing that the back end could say would change it
        grant = await self.grants.of(identity.user_id, room_id, claimed)
        if claimed is None or grant.permission <= claimed:
            return grant
        return msgspec.structs.replace(grant, permission=claimed)
