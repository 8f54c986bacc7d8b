"""Who may do what in which room (rules P1 and P2)."""

from __future__ import annotations

from fastcollab.core.permissions import Permission, granted
from fastcollab.core.session import Identity


class Access:
    """Knows permissions from the claims of tokens; `default` is for those that have none."""

    def __init__(self, default: Permission) -> None:
        self._default = default

    async def permission(self, identity: Identity, room_id: str) -> Permission:
        """What the user may do in the room at present."""
        return granted(identity.rooms, room_id, self._default)
