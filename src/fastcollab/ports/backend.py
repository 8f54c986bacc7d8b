"""What the user's back end is asked, and given."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from fastcollab.core.permissions import Permission
from fastcollab.errors import FastcollabError


class LoadedDocument(msgspec.Struct, frozen=True):
    """What a room begins with. `type` is that of the document; None: the one that was asked for."""

    content: Any
    type: str | None = None


class SavedDocument(msgspec.Struct, frozen=True):
    """A document as it is handed back; of an `epoch` a higher `version` is newer. `content` may be `ot.ABSENT`."""

    room_id: str
    type: str
    epoch: str
    version: int
    content: Any


class Grant(msgspec.Struct, frozen=True):
    """What a user may do in a room. `ttl` is for how many seconds this may be taken for true; None: as configured.

    `max_participants` is how many the room takes, if it takes fewer than others (R9).
    """

    permission: Permission
    ttl: float | None = None
    max_participants: int | None = None

    def __post_init__(self) -> None:
        """Raises TypeError where it is made, which is in the user's own function."""
        wanted = (("permission", Permission), ("ttl", int | float | None), ("max_participants", int | None))
        for name, kind in wanted:
            if not isinstance(value := getattr(self, name), kind):
                raise TypeError(f"{name} of a grant cannot be {value!r}")


class Profile(msgspec.Struct, frozen=True):
    """How a user is shown to others; None: as the token has it. `picture` is an address of the scheme `https`."""

    name: str | None = None
    color: str | None = None
    picture: str | None = None


class BackendFailed(FastcollabError):
    """The user's back end did not answer, or not as it should."""


class BackendDown(BackendFailed):
    """The user's back end did not answer at all."""


#: A function of the user's that is asked, by room and document type, for what a room begins with: None is nothing, so
#: that the document begins empty. It raises :class:`~fastcollab.errors.RoomNotFound` if there is no such room.
#: Whatever else it raises means that it cannot say now.
LoadDocument = Callable[[str, str], Awaitable[LoadedDocument | None]]

#: A function of the user's that keeps a document. If it raises something, it is called again later, with what is the
#: newest state then. It may get a state that it has, and after a timeout one that is older than what it has.
SaveDocument = Callable[[SavedDocument], Awaitable[None]]

#: A function of the user's that says what a user may do in a room, by their ids and by what the user's token claims of
#: this room, None if it claims nothing. It raises :class:`~fastcollab.errors.RoomNotFound` if there is no such room.
#: Whatever else it raises means that it cannot say now.
AskPermission = Callable[[str, str, Permission | None], Awaitable[Grant]]

#: A function of the user's that says how a user is shown to others. If it raises something, that is as the token has
#: it.
AskProfile = Callable[[str], Awaitable[Profile | None]]
