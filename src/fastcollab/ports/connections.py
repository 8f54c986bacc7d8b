"""Who is connected, and which tokens are good no more."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, Protocol

from fastcollab.core.revocation import Revocation, TokenMarks


class TakenUp(NamedTuple):
    """Whether a connection was known as one of its user's; `node`: it is open there, or was when the node was last
    heard of. None: it is closed, or unknown.
    """

    known: bool
    node: str | None = None


class ConnectionRegistry(Protocol):
    """Who is connected, and by which number.

    A user's number is a uint32 that no other user holds at the same time (rule S6). It is held for as long as
    the user has a connection, at least, and the same user is given the same number again as long as no other
    has taken it. An engine that may have forgotten connections which were counted in here counts them in again by
    itself, with their rooms and numbers; limits do not matter then.
    """

    async def register(self, user_id: str, connection_id: str, limit: int) -> int:
        """Counts a connection in and returns the user's number.

        Raises :class:`~fastcollab.errors.ConnectionLimit` if the user has `limit` connections already, and then
        nothing was counted. Atomic: of several at once, no more than the limit allows succeed.
        """
        ...

    async def unregister(self, user_id: str, connection_id: str, resumable: float = 0) -> None:
        """Counts a connection out, and of its rooms. What was not counted in, or has been counted out, is no error.

        For `resumable` seconds it can be taken up.
        """
        ...

    async def take_up(self, user_id: str, connection_id: str) -> TakenUp:
        """Has another connection take the place of this one, which is counted out, and can be taken up once (S7)."""
        ...

    async def enter(self, user_id: str, connection_id: str, room_id: str, limit: int) -> None:
        """Counts a connection into a room (rule R3); into one that it is in, once. Of one that is not counted in,
        nothing is counted.

        Raises :class:`~fastcollab.errors.RateLimited` if the user's connections are in `limit` other rooms already, and
        then nothing was counted. Atomic: of several at once, no more than the limit allows succeed.
        """
        ...

    async def leave(self, user_id: str, connection_id: str, room_id: str) -> None:
        """Counts a connection out of a room. That it is not in there is no error."""
        ...

    def spread(self, user_id: str) -> int:
        """Through how many gateways the user is connected, this one included, as far as is known: at least 1. To be
        asked with each message, so it answers at once, and may be behind by some seconds.
        """
        ...


class Revocations(Protocol):
    """Which tokens were revoked before they expired (S12).

    Whoever asks after :meth:`revoke` has returned is told so: in this process, in others, and after a restart, as far
    as the engine is durable. Until then it may be either.
    """

    async def revoke(self, revocation: Revocation) -> None:
        """Adds a revocation; one of the same subject is joined with those before it, and never taken back.

        If it raises :class:`~fastcollab.errors.ServiceUnavailable`, it holds in this process already, and the call is
        to be made again.
        """
        ...

    async def is_revoked(self, token: TokenMarks) -> bool:
        """Whether a revocation covers the token."""
        ...

    def subscribe(self, told: Callable[[Revocation], None]) -> Callable[[], None]:
        """Has `told` called for each revocation from now on, wherever it was made, on the event loop, and not before
        :meth:`is_revoked` knows of it; for one that is made in this process, before :meth:`revoke` returns. To call
        what is returned ends that.
        """
        ...

    async def forget(self, now: int) -> None:
        """Forgets revocations whose `until` is before `now` (Unix time, ms)."""
        ...
