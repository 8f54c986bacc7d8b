"""The documents of rooms, and where they are kept."""

from __future__ import annotations

from collections.abc import Awaitable, Collection, Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import msgspec

from fastcollab.core.document import Author, Committed
from fastcollab.errors import FastcollabError


class LogMoved(FastcollabError):
    """Operations were to be appended to a log that is not where they begin: another has written to it, or the document
    has begun another life, or there is none.

    `entries` are what follows in the log, if the engine had it at hand: all of it, or none. Who appends again is to
    wait for `pause` seconds first, which is more than none if it is another's turn, who was overtaken for long.
    """

    def __init__(self, message: str, entries: Sequence[Committed] = (), pause: float = 0.0) -> None:
        super().__init__(message)
        self.entries = entries
        self.pause = pause


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

    `oldest` is the first version of which the log knows what came after. `content` may be `ot.ABSENT`. `mark` is that
    of the entry which made `version`, if the store keeps it.
    """

    type: str
    epoch: str
    oldest: int
    version: int
    content: Any
    entries: Sequence[Committed]
    mark: str = ""

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

    A store that others can replace under its users, by a copy which lacks the newest operations, is given the *mark* of
    the entry that a caller's newest version was made by (:attr:`~fastcollab.core.document.Committed.mark`): by it a log
    that has lost entries and gone on is told from the one that the caller knows. Other stores need not look at it.
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

    def append(self, room_id: str, epoch: str, entries: Sequence[Committed], mark: str = "") -> Awaitable[None]:
        """Appends operations to the log, after the entry with this mark, all or none. What spares its callers a task is
        to return a future, or :class:`Settled` from an engine that need not wait for anything.

        Raises :class:`LogMoved` unless the first one's version is the next one of the document in this epoch, and
        :class:`AlreadyCommitted` if it is, but some of their authors are known; then nothing was changed. Atomic: of
        two at once that begin with the same version, one succeeds.
        """
        ...

    async def history(
        self,
        room_id: str,
        epoch: str,
        after: int,
        up_to: int | None = None,
        limit: int | None = None,
        *,
        mark: str = "",
    ) -> list[Committed]:
        """The operations that make the versions from `after` + 1 to `up_to` (the newest), at most `limit` of them.
        `mark`, if it is given, is that of version `after`.

        Raises :class:`~fastcollab.errors.VersionMismatch` if the log does not have all of these, and
        :class:`LogMoved` if the document is in another epoch, or has another entry at `after`.
        """
        ...

    async def mend(self, room_id: str, known: StoredDocument, recent: Sequence[Committed]) -> bool:
        """Looks whether the store has lost operations of a document, which the caller knows as `known` and without
        `entries`, unasked; if so, the document goes on in another epoch, so that nobody takes what was lost for being
        there. `recent` are the newest operations before that version, as many as the caller has.

        If the store's document is older than the known one, or gone, it goes on as `known` is, at the same version, and
        with the results of `recent`; if its log has gone on without what is known, as the store has it. Of several
        callers at once one mends it. False: there was nothing to mend, since the store has what is known, or somebody
        has replaced or deleted the document.
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
