"""What the gateway needs from outside, as interfaces; ``engines`` has the implementations.

All methods are coroutines, since an engine may have to ask another machine, and may be called from one event loop only.
"""

from __future__ import annotations

from typing import Protocol

from fastcollab.core.document import Document


class ConnectionRegistry(Protocol):
    """Who is connected, and by which number.

    A user's number is a uint32 that no other user holds at the same time (rule S6). It is held for as long as
    the user has a connection, at least, and the same user is given the same number again as long as no other
    has taken it.
    """

    async def register(self, user_id: str, connection_id: str, limit: int) -> int:
        """Counts a connection in and returns the user's number.

        Raises :class:`~fastcollab.errors.ConnectionLimit` if the user has `limit` connections already, and then
        nothing was counted. Atomic: of several at once, no more than the limit allows succeed.
        """
        ...

    async def unregister(self, user_id: str, connection_id: str) -> None:
        """Counts a connection out. What was not counted in, or has been counted out, is no error."""
        ...


class DocumentStore(Protocol):
    """The documents of all rooms."""

    async def open(self, room_id: str, document_type: str) -> Document:
        """The document of the room, in its newest version; it is made, with this type, if there is none.

        For one room the same object is returned to all callers until it is closed, so that there is one order
        of commits.
        """
        ...

    async def close(self, room_id: str) -> None:
        """The room is deserted: the document may be put away, to be found again by `open`. Closing twice is no
        error.
        """
        ...
