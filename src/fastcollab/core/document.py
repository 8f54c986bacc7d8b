"""A room's document: one order of operations, and a window of history to transform late ones over.

An operation comes with the version that its author saw. If others were committed since, it is transformed over
each of them, in their order and on the left side, as if it had been made after them: so every copy that has
applied the same number of operations is the same (TP1; the theory is told in :mod:`fastcollab.ot`). The
committed order is the only truth: clients transform what they have not yet had acknowledged, the gateway never
takes back what it has committed.

Two windows bound what is kept. The *history* holds the last operations, by count and by bytes: an operation
against an older version cannot be transformed any more (OT6). The *results* hold which version each message
became, for as long as the history and at least `history_seconds`: the same message again is answered from there
and not applied twice (OT5).

A document also is the place where an operation is judged: :meth:`Document.submit` either commits it whole or
raises and leaves everything as it was.
"""

from __future__ import annotations

import secrets
from collections import deque
from dataclasses import dataclass
from typing import Any

import orjson

from fastcollab.checksums import checksum
from fastcollab.core.limits import SECOND
from fastcollab.errors import ChecksumFailed, InvalidMessage, VersionMismatch
from fastcollab.ot import DocumentType, OperationError
from fastcollab.ot.live import open_document

#: How many parts of operations one submission may be transformed over: some 0.1 s of work.
MAX_TRANSFORMS = 2_000_000

Author = tuple[str, str]
"""A user's id, and the id of the message: together the idempotency key of an operation."""


@dataclass(frozen=True, slots=True)
class HistoryLimits:
    """How much of a document is kept, and how large it and its operations may be: text in bytes of UTF-8, all else in
    bytes of JSON.
    """

    operations: int = 10_000
    bytes: int = 67_108_864
    seconds: float = 86_400
    max_operation_bytes: int = 1_048_576
    max_document_bytes: int = 16_777_216


@dataclass(frozen=True, slots=True)
class Submission:
    """An operation as it came; `size` is the length of its message as JSON, in bytes."""

    user_id: str
    numeric_id: int
    message_id: str
    operation: Any
    version: int
    size: int
    checksum: str | None = None

    @property
    def author(self) -> Author:
        return self.user_id, self.message_id


@dataclass(frozen=True, slots=True)
class Committed:
    """An operation in the document's order: `operation` leads from version `version - 1` to `version`."""

    version: int
    operation: Any
    inverse: Any
    submission: Submission


class Document:
    """The document of one room, in its newest version, with its history window."""

    def __init__(
        self,
        document_type: DocumentType,
        limits: HistoryLimits,
        content: Any = None,
        epoch: str | None = None,
    ) -> None:
        self.type = document_type
        self.epoch = epoch or secrets.token_hex(8)
        self.version = 0
        self._live = open_document(document_type, document_type.create(content))
        self._limits = limits
        self._history: deque[Committed] = deque()
        self._history_bytes = 0
        self._results: dict[Author, tuple[int, int]] = {}

    @property
    def content(self) -> Any:
        """The document in its newest version."""
        return self._live.content()

    @property
    def oldest(self) -> int:
        """The oldest version that an operation may have been written against."""
        return self.version - len(self._history)

    def submit(self, submission: Submission, now: int) -> Committed | int:
        """Commits the operation; or, if it has been before, gives the version that it became then.

        Raises :class:`VersionMismatch`, :class:`ChecksumFailed` or :class:`InvalidMessage`, and then nothing
        has changed.
        """
        if (result := self._results.get(submission.author)) is not None:
            return result[0]
        self._check_version(submission.version)
        try:
            self.type.check(submission.operation)
            self._check_operation_size(submission)
            if submission.checksum is not None:
                self._check_checksum(submission)
            operation = submission.operation
            self._check_lateness(submission)
            for earlier in self.since(submission.version):
                operation = self.type.transform(operation, earlier.operation, "left")
            inverse = self._live.apply(operation)
        except OperationError as error:
            raise InvalidMessage(error.reason, path=_path_in_operation(error)) from None
        if (size := self._live.size()) > self._limits.max_document_bytes:
            self._live.apply(inverse)
            raise InvalidMessage(
                "the document would become too large",
                path="payload.operation",
                limit=self._limits.max_document_bytes,
                size=size,
            )
        return self._commit(submission, operation, inverse, now)

    def since(self, version: int) -> list[Committed]:
        """The operations that lead from `version` to the newest; raises :class:`VersionMismatch` if they are not
        known.
        """
        self._check_version(version)
        missed = self.version - version
        return [self._history[index] for index in range(len(self._history) - missed, len(self._history))]

    def content_at(self, version: int) -> Any:
        """The content at an older version, by taking back what was done since; raises :class:`VersionMismatch`."""
        undoing = [later.inverse for later in reversed(self.since(version))]
        # Each application copies the document, so they are made one first: neighbours with neighbours, since a
        # composition costs as much as both of its parts. (To apply a composition is safe, to transform over it not.)
        while len(undoing) > 1:
            composed = list(map(self.type.compose, undoing[::2], undoing[1::2]))
            undoing = composed + undoing[2 * len(composed) :]
        return self.type.apply(self.content, undoing[0]) if undoing else self.content

    def _check_version(self, version: int) -> None:
        if not self.oldest <= version <= self.version:
            raise VersionMismatch(
                "the version is newer than the document" if version > self.version else "the version is too old",
                version=self.version,
                oldest=self.oldest,
            )

    def _check_checksum(self, submission: Submission) -> None:
        expected = checksum(self.content_at(submission.version))
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
        missed = self.version - submission.version
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

    def _commit(self, submission: Submission, operation: Any, inverse: Any, now: int) -> Committed:
        self.version += 1
        committed = Committed(self.version, operation, inverse, submission)
        self._history.append(committed)
        self._history_bytes += submission.size
        self._results[submission.author] = (self.version, now)
        self._trim(now)
        return committed

    def _trim(self, now: int) -> None:
        limits = self._limits
        while len(self._history) > limits.operations or (self._history_bytes > limits.bytes and len(self._history) > 1):
            self._history_bytes -= self._history.popleft().submission.size
        kept_since = now - int(limits.seconds * SECOND)
        while self._results:
            author = next(iter(self._results))
            version, committed_at = self._results[author]
            if version > self.oldest or committed_at >= kept_since:
                break
            del self._results[author]


def _parts(operation: Any) -> int:
    """How many values there are in an operation, at all depths. Its type has checked its depth."""
    if isinstance(operation, list):
        return sum(map(_parts, operation), 1)
    if isinstance(operation, dict):
        return sum(map(_parts, operation.values()), 1)
    return 1


def _path_in_operation(error: OperationError) -> str:
    return "payload.operation" + "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in error.path)
