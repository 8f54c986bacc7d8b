"""What the gateway needs from outside, as interfaces; ``engines`` has the implementations.

All methods are waited for, since an engine may have to ask a disk or another machine, and may be called from one event
loop only. What can be wrong with the outside (a full disk, a server that is gone) is raised as
:class:`~fastcollab.errors.ServiceUnavailable`: nothing was changed then, or it is not known whether it was, and the
same call may be made again.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import msgspec

from fastcollab.core.document import Author, Committed
from fastcollab.core.permissions import Permission
from fastcollab.core.revocation import Revocation, TokenMarks
from fastcollab.errors import FastcollabError


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
        """Counts a connection out, and of its rooms. What was not counted in, or has been counted out, is no error."""
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


class LogMoved(FastcollabError):
    """Operations were to be appended to a log that is not where they begin: another has written to it, or the document
    has begun another life, or there is none.
    """


class AlreadyCommitted(FastcollabError):
    """Some of the operations to be appended have been before; `results` says which version each became."""

    def __init__(self, results: Mapping[Author, int]) -> None:
        super().__init__(f"{len(results)} operations have been committed before")
        self.results = dict(results)


class Settled:
    """What has been done without waiting, or has failed with `error`: it can be awaited, and looked at before."""

    __slots__ = ("error",)

    def __init__(self, error: FastcollabError | None = None) -> None:
        self.error = error

    def __await__(self) -> Generator[Any, None, None]:
        if self.error is not None:
            raise self.error
        return
        yield


@dataclass(frozen=True, slots=True)
class Retention:
    """How much of a document's log is kept: what exceeds one of these may be trimmed. `results_seconds` is for how long
    it is remembered, at least, which version a message became (OT5).
    """

    operations: int = 10_000
    bytes: int = 67_108_864
    seconds: float = float("inf")
    results_seconds: float = 86_400


class StoredDocument(msgspec.Struct, frozen=True):
    """A document as a store has it: the content at `version`, and the operations that follow, without a gap.

    `oldest` is the first version of which the log knows what came after. `content` may be `ot.ABSENT`.
    """

    type: str
    epoch: str
    oldest: int
    version: int
    content: Any
    entries: Sequence[Committed]

    @property
    def newest(self) -> int:
        """The version that `entries` lead to."""
        return self.version + len(self.entries)


class DocumentSummary(msgspec.Struct, frozen=True, rename="camel"):
    """What a list says of each document; `changed_at` is Unix time in ms, `log_bytes` the size of its operations."""

    room_id: str
    type: str
    epoch: str
    version: int
    oldest: int
    changed_at: int
    log_bytes: int


class DocumentStore(Protocol):
    """The documents of all rooms: of each its snapshots, and the log of its operations.

    A document has an *epoch*, which names one life of it. What an append has returned from is durable, as far as the
    engine is configured to be, and every later call sees it, from whichever process it comes. Calls for different
    rooms do not wait for each other's rooms, only for the engine. Contents and operations are JSON values, which
    neither side changes afterwards.
    """

    async def load(self, room_id: str, version: int | None = None) -> StoredDocument | None:
        """The document in its newest version, or in that one: a snapshot with the operations that lead there.

        None if there is no document. Raises :class:`~fastcollab.errors.VersionMismatch` for a version that is newer
        than the document, or that the log does not reach back to.
        """
        ...

    async def create(self, room_id: str, document_type: str, content: Any) -> StoredDocument:
        """Makes the document, at version 0 and with an epoch of its own, and returns it; if there is one already, that
        one is returned. Atomic: of several at once, one makes it.
        """
        ...

    def append(self, room_id: str, epoch: str, entries: Sequence[Committed]) -> Awaitable[None]:
        """Appends operations to the log, all or none. What spares its callers a task is to
        return a future, or :class:`Settled` from an engine that need not wait for anything.

        Raises :class:`LogMoved` unless the first one's version is the next one of the document in this epoch, and
        :class:`AlreadyCommitted` if it is, but some of their authors are known; then nothing was changed. Atomic: of
        two at once that begin with the same version, one succeeds.
        """
        ...

    async def history(
        self, room_id: str, epoch: str, after: int, up_to: int | None = None, limit: int | None = None
    ) -> list[Committed]:
        """The operations that make the versions from `after` + 1 to `up_to` (the newest), at most `limit` of them.

        Raises :class:`~fastcollab.errors.VersionMismatch` if the log does not have all of these, and
        :class:`LogMoved` if the document is in another epoch.
        """
        ...

    async def results(self, room_id: str, epoch: str, authors: Sequence[Author]) -> dict[Author, int]:
        """Which versions these messages became; those that are not known are left out."""
        ...

    async def snapshot(self, room_id: str, epoch: str, version: int, content: Any, retention: Retention) -> int:
        """Keeps the content of a version, so that opening the document can begin there, and trims the log.

        The log is trimmed at a snapshot, so that every version which it still reaches can be loaded: it keeps what
        `retention` asks for, and up to one snapshot's distance more. Returns the version after which the log begins.
        A document that is not in this epoch is left alone; then `version` is returned. A version that the log does not
        have is not kept: what makes it one day may be something else.
        """
        ...

    async def replace(self, room_id: str, document_type: str, content: Any) -> StoredDocument:
        """Makes the document anew, as version 0 of another epoch, whether there is one or not; its past is dropped."""
        ...

    async def delete(self, room_id: str) -> bool:
        """Forgets the document with its past; False if there was none."""
        ...

    async def list(self, after: str = "", limit: int = 1_000) -> list[DocumentSummary]:
        """The documents whose room ids come after `after`, in the order of these by code points."""
        ...

    async def forget_unwritten(self, before: int, keep: Collection[str]) -> int:
        """Forgets documents of version 0 that :meth:`create` made before that Unix time in ms, but not those of the
        rooms in `keep`: joining a room makes a document, and not all are written to. Returns how many were forgotten.
        """
        ...

    async def handed_back(self, room_id: str, epoch: str, version: int) -> None:
        """Takes note that the user's back end has the document as it was at that version (:data:`SaveDocument`).

        If the document is in another epoch, or a newer version has been noted, nothing is changed.
        """
        ...

    async def awaiting_hand_back(self, after: str = "", limit: int = 1_000) -> Sequence[str]:
        """The rooms after `after`, in the order of :meth:`list`, whose document has a newer version than was noted.

        Of a new document version 0 counts as handed back if it was made by :meth:`create`, since its content came from
        the back end or is empty, but not if it was put there by :meth:`replace`.
        """
        ...

    async def close(self) -> None:
        """Waits for what is under way, and lets go of files and connections. Other calls must not follow."""
        ...


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
