"""Operations on their way into a document: they wait, are staged as one batch, and are committed or fail together.

::

    add ──▶ waiting ── stage ──▶ batch ──┬── commit ──▶ outcomes      the store has it
                         │               ├── restage ─▶ waiting       the store knows more than this process
                         ▼               └── fail                     the store could not take it
                      refusals

While the store is busy with a batch what comes meanwhile waits, and makes the next one: so the more there is to do, the
less often the store has to be asked.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, NamedTuple

from fastcollab.core.document import Author, Committed, Document, Submission
from fastcollab.errors import InternalError, ProtocolError, ServiceUnavailable

if TYPE_CHECKING:
    from fastcollab.core.session import Session


class Errand:
    """The sender of an operation that comes from the server's side and by no connection. `answered` is for whoever
    carries out :class:`~fastcollab.core.effects.Answer`.
    """

    __slots__ = ("answered",)

    def __init__(self, answered: Callable[[int | ProtocolError], None]) -> None:
        self.answered = answered


class Refusal(NamedTuple):
    """An operation that the document has refused. It may have been committed so long ago that only the store knows."""

    sender: Session | Errand
    submission: Submission
    error: ProtocolError


class Outcome(NamedTuple):
    """What became of an operation: its version, and, unless it is a repetition, what was committed."""

    sender: Session | Errand
    submission: Submission
    version: int
    committed: Committed | None


class CommitQueue:
    """The operations of one room that are not committed yet."""

    def __init__(self, document: Document, max_bytes: int) -> None:
        self.document = document
        self._max_bytes = max_bytes
        self._waiting: list[tuple[Session | Errand, Submission]] = []
        self._waiting_bytes = 0
        self._batch: list[tuple[Session | Errand, Submission, int]] = []
        self._refused: list[Refusal] = []

    def __len__(self) -> int:
        return len(self._waiting) + len(self._batch)

    def has(self, session: Session) -> bool:
        """Whether an operation of the session is on its way, or refused and not answered yet."""
        on_their_way = (self._waiting, self._batch, self._refused)
        return any(entry[0] is session for entries in on_their_way for entry in entries)

    @property
    def oldest_base(self) -> int | None:
        """The oldest version in the history that one of those who wait was written against; None: there is none."""
        versions = (submission.version for _, submission in self._waiting)
        return min((version for version in versions if version >= self.document.oldest), default=None)

    @property
    def newest_base(self) -> int:
        """The newest version that one of those who wait was written against; 0: nobody waits."""
        return max((submission.version for _, submission in self._waiting), default=0)

    @property
    def waiting(self) -> Iterator[Author]:
        """Who those are that wait to be staged."""
        return (submission.author for _, submission in self._waiting)

    @property
    def traceparents(self) -> dict[int, str]:
        """Where those of the batch are in their traces that are part of one, by the versions that they make."""
        return {
            version: submission.traceparent
            for _, submission, version in reversed(self._batch)  # the first with a version is the one that made it
            if submission.traceparent is not None
        }

    def add(self, sender: Session | Errand, submission: Submission) -> None:
        """Raises :class:`ServiceUnavailable` if too many wait, and then nothing was taken."""
        if self._waiting and self._waiting_bytes + submission.size > self._max_bytes:
            raise ServiceUnavailable("too many operations wait to be stored", retryAfterMs=1_000)
        self._waiting.append((sender, submission))
        self._waiting_bytes += submission.size

    def stage(self, unix: int) -> list[Refusal]:
        """Stages all that wait, as one batch, and returns what was refused. Nothing is staged, and nothing has to be
        stored, if they are repetitions.
        """
        assert not self._batch, "one batch at a time"
        refusals = []
        waiting, self._waiting, self._waiting_bytes = self._waiting, [], 0
        for sender, submission in waiting:
            try:
                version = self.document.stage(submission, unix)
            except ProtocolError as error:
                refusals.append(Refusal(sender, submission, error))
            except Exception as fault:
                # A document type of the user's own may have faults; they must not take other operations with them.
                failure = InternalError("the gateway failed to carry this out")
                failure.__cause__ = fault
                refusals.append(Refusal(sender, submission, failure))
            else:
                self._batch.append((sender, submission, version))
        self._refused = refusals
        return refusals

    def refused(self) -> None:
        """What was refused is answered."""
        self._refused = []

    def commit(self) -> list[Outcome]:
        """The batch is stored: commits it, and returns what became of each operation, in order."""
        next_version = self.document.version + 1
        committed = iter(self.document.commit())
        batch, self._batch = self._batch, []
        outcomes = []
        for sender, submission, version in batch:
            # The first with a version is the one that made it, and others with the same are repetitions.
            entry = None
            if version == next_version:
                entry = next(committed)
                next_version += 1
            outcomes.append(Outcome(sender, submission, version, entry))
        return outcomes

    def restage(self, results: Mapping[Author, int]) -> None:
        """The batch could not be stored since some of it has been before, as `results` say: has it wait again."""
        self.document.abandon()
        self.document.recognise(results)
        self._waiting[:0] = [(sender, submission) for sender, submission, _ in self._batch]
        self._waiting_bytes += sum(submission.size for _, submission, _ in self._batch)
        self._batch = []

    def fail(self) -> list[tuple[Session | Errand, Submission]]:
        """The store cannot be used: the batch and those who wait are as if they had never come. Returns them."""
        self.restage({})
        failed, self._waiting, self._waiting_bytes = self._waiting, [], 0
        return failed
