"""A room's document: one order of operations, and a window of history to transform late ones over.

An operation comes with the version that its author saw. If others were committed since, it is transformed over
each of them, in their order and on the left side, as if it had been made after them: so every copy that has
applied the same number of operations is the same (TP1; the theory is told in :mod:`fastcollab.ot`). The
committed order is the only truth: clients transform what they have not yet had acknowledged, the gateway never
takes back what it has committed.

Committing takes two steps, since what is acknowledged must be stored before, and storing takes time::

    stage, stage, …  ──▶  the store appends what is staged  ──▶  commit     it is the document's history now
                                                            └──▶  abandon    it was never there

A *staged* operation has its place and its version already: those staged after it are transformed over it. But nobody
is shown it: `version`, `content` and `since` speak of what is committed, however long the store takes. One batch is
staged at a time. :meth:`Document.stage` is also the place where an operation is judged: it stages it whole or raises
and leaves everything as it was.

The log of a document is long, and lives in the store; what is here is its newest part. Whoever asks for more has it
brought back first (:meth:`Document.lacks`, :meth:`Document.recall`). So it is with *results*, which say what version a
message became (OT5): the newest are known here, and the store knows them all.

What is kept of each operation is kept from the garbage collector (``gc=False``), which walks through all that lives
again and again: operations are JSON, which has no cycles.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import msgspec
import orjson

from fastcollab.checksums import checksum
from fastcollab.errors import ChecksumFailed, InvalidMessage, VersionMismatch
from fastcollab.ot import DocumentType, OperationError, inverts_exactly
from fastcollab.ot.live import open_document

#: How many parts of operations one submission may be transformed over: some 0.1 s of work.
MAX_TRANSFORMS = 2_000_000


#: Stands for the content of a document that nobody has written to; None is a document of JSON.
_NEW: Any = object()


class Author(msgspec.Struct, frozen=True, gc=False):
    """The idempotency key of an operation (OT5)."""

    user_id: str
    message_id: str


@dataclass(frozen=True, slots=True)
class DocumentLimits:
    """How much of a document is kept, and how large it and its operations may be: text in bytes of UTF-8, all else in
    bytes of JSON.

    `operations` bounds the history that operations may be written against; the last `cached_operations` of it, of at
    most `cached_bytes`, are held in memory. A snapshot is due after `snapshot_operations`, or after so many bytes of
    them as the document has and at least `snapshot_bytes`.
    """

    operations: int = 10_000
    cached_operations: int = 1_000
    cached_bytes: int = 1_048_576
    snapshot_operations: int = 1_000
    snapshot_bytes: int = 262_144
    max_operation_bytes: int = 1_048_576
    max_document_bytes: int = 16_777_216


class Submission(msgspec.Struct, frozen=True, gc=False):
    """An operation as it came; `size` is the length of its message as JSON, in bytes.

    One that was `made_here` for its sender has to be told to the sender too. `traceparent` says where it is in a trace,
    and is told to whoever is told of the operation now; it is no part of the document's history.
    """

    user_id: str
    numeric_id: int
    message_id: str
    operation: Any
    version: int
    size: int
    checksum: str | None = None
    made_here: bool = False
    traceparent: str | None = None

    @property
    def author(self) -> Author:
        return Author(self.user_id, self.message_id)


class Committed(msgspec.Struct, frozen=True, gc=False):
    """An operation in the document's order: `operation` leads from version `version - 1` to `version`.

    It was written against version `written_against`; `committed_at` is Unix time in ms, and `size` the length of its
    message in bytes.
    """

    version: int
    operation: Any
    user_id: str
    numeric_id: int
    message_id: str
    written_against: int
    committed_at: int
    size: int

    @property
    def author(self) -> Author:
        return Author(self.user_id, self.message_id)

    @property
    def mark(self) -> str:
        """What tells this entry from any other that could stand in its place, should a store lose it and go on."""
        return f"{self.committed_at}:{self.message_id}"


class Document:
    """The document of one room, in its newest version, with the newest part of its history.

    `content` is the document at `version`, a value of the type `document_type`, and `oldest` the first version of which
    the log knows what came after, which is `log_begins`. `mark` is that of the entry which made `version`.
    """

    def __init__(
        self,
        document_type: DocumentType,
        limits: DocumentLimits,
        content: Any = _NEW,
        *,
        epoch: str | None = None,
        version: int = 0,
        oldest: int | None = None,
        mark: str = "",
    ) -> None:
        self.type = document_type
        self.epoch = epoch or new_epoch()
        self.version = version
        #: The mark of the entry that made `version`; empty if the store keeps none, or there was none.
        self.mark = mark
        self.staged: list[Committed] = []
        self._live = open_document(document_type, document_type.create() if content is _NEW else content)
        self._limits = limits
        self.log_begins = version if oldest is None else oldest
        self._history: list[Committed] = []
        self._history_bytes = 0
        #: What takes back the last operations, the staged ones included; fewer than `_history` after a recall.
        self._inverses: list[Any] = []
        self._inverts_exactly = inverts_exactly(document_type)
        #: The document at `version`, while something is staged that inverses do not take back to the last digit.
        self._before_staged: Any = None
        self._results: dict[Author, int] = {}
        self._snapshot_version = version
        self._bytes_since_snapshot = 0

    @property
    def content(self) -> Any:
        """The document at `version`."""
        if not self.staged:
            return self._live.content()
        return self.content_at(self.version) if self._inverts_exactly else self._before_staged

    @property
    def oldest(self) -> int:
        """The oldest version that an operation may have been written against."""
        return max(self.log_begins, self.version - self._limits.operations)

    @property
    def snapshot_due(self) -> bool:
        """Whether a snapshot would save much of the work of opening the document."""
        operations, size = self.operations_since_snapshot, self._bytes_since_snapshot
        limits = self._limits
        if operations >= limits.snapshot_operations:
            # Of a document that is large beside its operations only so often that its log can be trimmed.
            return size * 8 >= self._live.size() or operations >= limits.operations // 2
        return size >= limits.snapshot_bytes and size >= self._live.size()

    @property
    def operations_since_snapshot(self) -> int:
        return self.version - self._snapshot_version

    # --- committing ---------------------------------------------------------------------------------------------------

    def stage(self, submission: Submission, unix: int) -> int:
        """Gives the operation its place after what is committed and staged, and returns the version that it makes; or,
        if it has been committed or staged before, the version that it made then.

        `unix` is the time in ms. Raises :class:`VersionMismatch`, :class:`ChecksumFailed` or :class:`InvalidMessage`,
        and then nothing has changed.
        """
        author = submission.author
        if (known := self._results.get(author)) is not None:
            return known
        # A client that is alone may have sent more before it has heard of the first.
        newest = self._newest
        self._check_version(submission.version, newest)
        try:
            self.type.check(submission.operation)
            self._check_operation_size(submission)
            if submission.checksum is not None:
                self._check_checksum(submission)
            operation = submission.operation
            if submission.version < newest:
                self._check_lateness(submission)
                for earlier in self._since(submission.version):
                    operation = self.type.transform(operation, earlier.operation, "left")
            before = None if self._inverts_exactly else self._live.content()
            inverse = self._live.apply(operation)
        except OperationError as error:
            raise InvalidMessage(error.reason, path=_path_in_operation(error)) from None
        try:
            self._check_document_size()
        except BaseException:
            self._take_back([inverse], before)
            raise
        version = newest + 1
        if not self.staged:
            self._before_staged = before
        self.staged.append(
            Committed(
                version,
                operation,
                submission.user_id,
                submission.numeric_id,
                submission.message_id,
                submission.version,
                unix,
                submission.size,
            )
        )
        self._inverses.append(inverse)
        self._results[author] = version
        return version

    def commit(self) -> list[Committed]:
        """What is staged has been stored: it is part of the document from now on."""
        committed, self.staged, self._before_staged = self.staged, [], None
        self.version += len(committed)
        self._remember(committed)
        return committed

    def abandon(self) -> None:
        """What is staged has not been stored: takes it back, as if it had never come."""
        if not self.staged:
            return
        inverses = self._inverses[-len(self.staged) :]
        del self._inverses[-len(self.staged) :]
        self._take_back(inverses, self._before_staged)
        for entry in self.staged:
            del self._results[entry.author]
        self.staged, self._before_staged = [], None

    def _take_back(self, inverses: Sequence[Any], before: Any) -> None:
        """Has the document as it was before the operations with these inverses, which was `before`."""
        if self._inverts_exactly:
            for inverse in reversed(inverses):
                self._live.apply(inverse)
        else:
            self._live = open_document(self.type, before)

    def follow(self, entries: Iterable[Committed]) -> None:
        """Takes in operations that the log has after `version`: those of an opened document, or committed by others.

        Nothing may be staged.
        """
        assert not self.staged
        entries = list(entries)
        for entry in entries:
            assert entry.version == self.version + 1, "the operations of a log have no gaps"
            self._inverses.append(self._live.apply(entry.operation))
            self._results[entry.author] = entry.version
            self.version += 1
        self._remember(entries)

    @property
    def newest_entries(self) -> Sequence[Committed]:
        """The newest part of the history, as far as it is here."""
        return self._history

    def recognise(self, results: Mapping[Author, int]) -> None:
        """These messages became these versions, as the store knows."""
        self._results.update(results)

    # --- history ------------------------------------------------------------------------------------------------------

    def lacks(self, version: int) -> bool:
        """Whether operations since that version are not here, and :meth:`recall` has to bring them back."""
        return version < self.known_since and self.oldest <= version

    @property
    def known_since(self) -> int:
        """The version after which the operations are here."""
        return self.version - len(self._history)

    def recall(self, entries: Sequence[Committed]) -> None:
        """Puts back older operations, which end where those begin that are here; they stay until the next commits."""
        entries = [entry for entry in entries if entry.version <= self.known_since]
        assert not entries or entries[-1].version == self.known_since, "the operations of a log have no gaps"
        self._history[:0] = entries
        self._history_bytes += sum(entry.size for entry in entries)

    def since(self, version: int) -> list[Committed]:
        """The operations that lead from `version` to the newest; raises :class:`VersionMismatch` if the log does not
        have them. They must be here (:meth:`lacks`).
        """
        self._check_version(version, self.version)
        missed = self.version - version
        assert missed <= len(self._history), "the operations have not been recalled"
        return self._history[len(self._history) - missed :]

    def _since(self, version: int) -> list[Committed]:
        """Those, and the staged ones."""
        if version > self.version:
            return self.staged[version - self.version :]
        return self.since(version) + self.staged

    def content_at(self, version: int) -> Any:
        """The content at an older version, or a staged one, by taking back what was done since; raises
        :class:`VersionMismatch` if that cannot be done from what is here, to the last digit.
        """
        newest = self._newest
        oldest = newest - len(self._inverses) if self._inverts_exactly else newest
        if not oldest <= version <= newest:
            raise VersionMismatch("the version is not known any more", version=self.version, oldest=self.oldest)
        undoing = self._inverses[len(self._inverses) - (newest - version) :][::-1]
        # Each application copies the document, so they are made one first: neighbours with neighbours, since a
        # composition costs as much as both of its parts. (To apply a composition is safe, to transform over it not.)
        while len(undoing) > 1:
            composed = list(map(self.type.compose, undoing[::2], undoing[1::2]))
            undoing = composed + undoing[2 * len(composed) :]
        content = self._live.content()
        return self.type.apply(content, undoing[0]) if undoing else content

    def take_snapshot(self) -> tuple[int, Any]:
        """The newest version and its content, from which the next snapshot is as far away as after an opening."""
        self._snapshot_version = self.version
        self._bytes_since_snapshot = 0
        return self.version, self.content

    def trimmed(self, oldest: int) -> None:
        """The log has been trimmed to what came after `oldest`."""
        self.log_begins = max(self.log_begins, oldest)

    def _remember(self, entries: Iterable[Committed]) -> None:
        for entry in entries:
            self.mark = entry.mark
            self._history.append(entry)
            self._history_bytes += entry.size
            self._bytes_since_snapshot += entry.size
        # Much is forgotten at a time, since what is kept has to be moved.
        if (
            len(self._history) > self._limits.cached_operations * 5 // 4
            or self._history_bytes > self._limits.cached_bytes
        ):
            self._forget()

    def _forget(self) -> None:
        """Leaves no more of the history here than the limits allow, but the newest operation in any case."""
        forgotten = max(0, len(self._history) - self._limits.cached_operations)
        size = self._history_bytes - sum(entry.size for entry in self._history[:forgotten])
        while size > self._limits.cached_bytes * 3 // 4 and forgotten < len(self._history) - 1:
            size -= self._history[forgotten].size
            forgotten += 1
        del self._history[:forgotten]
        self._history_bytes = size
        del self._inverses[: max(0, len(self._inverses) - len(self._history))]
        excess = max(0, len(self._results) - len(self._history) - self._limits.cached_operations)
        # In one go: to look for the first key means to pass all that were deleted before it.
        for author in list(islice(self._results, excess)):
            del self._results[author]

    # --- judging ------------------------------------------------------------------------------------------------------

    @property
    def _newest(self) -> int:
        return self.version + len(self.staged)

    def _check_version(self, version: int, newest: int) -> None:
        if not self.oldest <= version <= newest:
            raise VersionMismatch(
                "the version is newer than the document" if version > newest else "the version is too old",
                version=self.version,
                oldest=self.oldest,
            )

    def _check_checksum(self, submission: Submission) -> None:
        """Compares the checksum, if the document can still be seen as it was at the submission's version."""
        try:
            at_once = submission.version == self.version
            expected = checksum(self.content if at_once else self.content_at(submission.version))
        except VersionMismatch:
            return
        if submission.checksum != expected:
            raise ChecksumFailed(
                f"the document at version {submission.version} has another checksum",
                expected=expected,
                version=self.version,
            )

    def _check_lateness(self, submission: Submission) -> None:
        """Bounds the work of transforming, which is that of each part of the operation with each it has missed.

        The sender can do the same work: with the newest version it transforms, and submits again.
        """
        missed = self._newest - submission.version
        # An operation has no more parts than bytes, so that most need not be counted.
        if missed * submission.size > MAX_TRANSFORMS and missed * _parts(submission.operation) > MAX_TRANSFORMS:
            raise VersionMismatch(
                "the version is too old for so large an operation", version=self.version, oldest=self.oldest
            )

    def _check_operation_size(self, submission: Submission) -> None:
        # An operation is no longer than its message, so that most need not be measured.
        limit = self._limits.max_operation_bytes
        if submission.size > limit and (size := len(orjson.dumps(submission.operation))) > limit:
            raise InvalidMessage("the operation is too large", path="payload.operation", limit=limit, size=size)

    def _check_document_size(self) -> None:
        limit = self._limits.max_document_bytes
        if (size := self._live.size()) > limit:
            reason = "the document would become too large"
            raise InvalidMessage(reason, path="payload.operation", limit=limit, size=size)


def new_epoch() -> str:
    """A name for one life of a document."""
    return secrets.token_hex(8)


def _parts(operation: Any) -> int:
    """How many values there are in an operation, at all depths. Its type has checked its depth."""
    if isinstance(operation, list):
        return sum(map(_parts, operation), 1)
    if isinstance(operation, dict):
        return sum(map(_parts, operation.values()), 1)
    return 1


def _path_in_operation(error: OperationError) -> str:
    return "payload.operation" + "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in error.path)
