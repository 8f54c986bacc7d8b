"""Documents under any traffic: late operations, duplicates at any time, batches that fail, a history that is mostly in
a store, limits, checksums.

A plain model goes along: every content that the document ever had, every operation in the committed order, and what is
staged. The document must never differ from it, and what is refused or abandoned must leave no trace.
"""

from copy import deepcopy
from typing import Any

import hypothesis.strategies as st
import orjson
import pytest
from hypothesis import given, settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from tests.builders import submit

from fastcollab import ot
from fastcollab.checksums import checksum
from fastcollab.core.document import Committed, Document, DocumentLimits, Submission
from fastcollab.errors import ChecksumFailed, InvalidMessage, VersionMismatch

text: Any = ot.types["text"]

TEXTS = st.text("ab é👩\x00", max_size=4)
NONSENSE = st.sampled_from([None, 5, "a", [0], [""], [{"d": 0}], ["a", "b"], [3], [10_000, "a"], [{"d": 10_000}], [[]]])


def operation_on(data: st.DataObject, content: str) -> Any:
    """An operation that fits the content, in normal form; it may be empty."""
    operation: list[Any] = []
    position = 0
    for kind in data.draw(st.lists(st.sampled_from(["skip", "insert", "delete"]), max_size=4)):
        if kind == "insert":
            operation.append(data.draw(TEXTS))
            continue
        length = data.draw(st.integers(0, min(4, len(content) - position)))
        operation.append(length if kind == "skip" else {"d": length})
        position += length
    return text.normalize(operation)


def state(document: Document) -> Any:
    """All that a document is, by value."""
    values = {name: value for name, value in vars(document).items() if name not in {"type", "_limits", "_live"}}
    return deepcopy(values | {"content": document.content})


class DocumentMachine(RuleBasedStateMachine):
    """`contents` and `committed` are the document's past; `staged_contents` follow the last of the contents."""

    @initialize(
        operations=st.integers(1, 8), cached=st.integers(1, 8), size=st.integers(40, 200), octets=st.integers(20, 80)
    )
    def start(self, operations: int, cached: int, size: int, octets: int) -> None:
        self.limits = DocumentLimits(
            operations=operations,
            cached_operations=cached,
            cached_bytes=size,
            max_operation_bytes=60,
            max_document_bytes=octets,
        )
        self.document = Document(text, self.limits)
        self.count = 0
        self.trimmed = 0
        self.contents = [""]
        self.committed: list[Committed] = []
        self.staged: list[Submission] = []
        self.staged_contents: list[str] = []
        self.results: list[tuple[Submission, int]] = []

    @property
    def newest(self) -> int:
        return len(self.contents) - 1

    def submission(self, operation: Any, version: int, check: str | None = None) -> Submission:
        self.count += 1
        size = len(orjson.dumps(operation))
        return Submission(f"user {self.count % 3}", 1, f"m{self.count}", operation, version, size, check)

    def recall(self, version: int) -> None:
        """Brings back from the store what the document lacks."""
        if self.document.lacks(version):
            self.document.recall(self.committed[version : self.document.known_since])
        assert not self.document.lacks(version)

    @rule(data=st.data(), checked=st.booleans())
    def write(self, data: st.DataObject, checked: bool) -> None:
        """An operation against any version that may still be written against."""
        contents = [*self.contents, *self.staged_contents]
        version = data.draw(st.integers(self.document.oldest, len(contents) - 1))
        self.recall(version)
        operation = operation_on(data, contents[version])
        submission = self.submission(operation, version, checksum(contents[version]) if checked else None)
        expected = operation
        for earlier in (*self.committed, *self.document.staged)[version:]:
            expected = text.transform(expected, earlier.operation, "left")
        content = text.apply(contents[-1], expected)
        before = state(self.document)
        try:
            outcome = self.document.stage(submission, self.count)
        except InvalidMessage as error:
            limits = {
                submission.size: self.limits.max_operation_bytes,
                len(content.encode()): self.limits.max_document_bytes,
            }
            assert error.details["size"] > error.details["limit"]
            assert limits[error.details["size"]] == error.details["limit"]
            assert state(self.document) == before
            return
        assert outcome == self.newest + len(self.staged) + 1
        assert self.document.staged[-1] == Committed(
            outcome,
            expected,
            submission.user_id,
            submission.numeric_id,
            submission.message_id,
            version,
            self.count,
            submission.size,
        )
        assert submission.size <= self.limits.max_operation_bytes
        assert len(content.encode()) <= self.limits.max_document_bytes
        self.staged.append(submission)
        self.staged_contents.append(content)

    @rule()
    def commit(self) -> None:
        staged = list(self.document.staged)
        assert self.document.commit() == staged
        self.committed += staged
        self.contents += self.staged_contents
        self.results += [(submission, entry.version) for submission, entry in zip(self.staged, staged, strict=True)]
        self.staged, self.staged_contents = [], []

    @rule()
    def abandon(self) -> None:
        self.document.abandon()
        self.staged, self.staged_contents = [], []

    @precondition(lambda self: not self.staged)
    @rule(data=st.data(), count=st.integers(1, 4))
    def follow(self, data: st.DataObject, count: int) -> None:
        """Another process commits operations."""
        entries: list[Committed] = []
        contents = [self.contents[-1]]
        for index in range(count):
            operation = operation_on(data, contents[-1])
            contents.append(text.apply(contents[-1], operation))
            entries.append(Committed(self.newest + 1 + index, operation, "else", 9, f"e{self.count}", 0, 0, 10))
            self.count += 1
        self.document.follow(entries)
        self.committed += entries
        self.contents += contents[1:]

    @precondition(lambda self: self.newest > self.trimmed)
    @rule(data=st.data())
    def trim(self, data: st.DataObject) -> None:
        self.trimmed = data.draw(st.integers(self.trimmed, self.newest))
        self.document.trimmed(self.trimmed)

    @precondition(lambda self: self.results)
    @rule(data=st.data())
    def repeat(self, data: st.DataObject) -> None:
        """A message again that is remembered here, however old the version is that it was written against."""
        submission, version = data.draw(st.sampled_from(self.results))
        # What was brought back from the store is here without its results, which the store knows.
        if version > self.newest + len(self.staged) - len(self.document._inverses):
            before = state(self.document)
            assert self.document.stage(submission, 0) == version
            assert state(self.document) == before

    @precondition(lambda self: self.staged)
    @rule(data=st.data())
    def repeat_what_is_staged(self, data: st.DataObject) -> None:
        index = data.draw(st.integers(0, len(self.staged) - 1))
        assert self.document.stage(self.staged[index], 0) == self.newest + 1 + index

    @rule(data=st.data(), kind=st.sampled_from(["nonsense", "unfitting", "future", "past", "checksum", "large"]))
    def refuse(self, data: st.DataObject, kind: str) -> None:
        """Whatever must be refused leaves everything as it was."""
        version = data.draw(st.integers(self.document.oldest, self.newest))
        self.recall(version)
        operation: Any = operation_on(data, self.contents[version])
        check = None
        error: type[Exception] = InvalidMessage
        if kind == "nonsense":
            operation = data.draw(NONSENSE)
        elif kind == "unfitting":
            operation = [len(self.contents[version]) + 1, "a"]
        elif kind == "large":
            operation = ["x" * 61]
        elif kind == "checksum":
            # What is loaded from a store, or long past, cannot be taken back any more, and is not compared.
            version = self.newest
            operation = operation_on(data, self.contents[version])
            check, error = "0" * 8, ChecksumFailed
        else:
            past = kind == "past" and self.document.oldest > 0
            version = self.document.oldest - 1 if past else self.newest + len(self.staged) + 1
            error = VersionMismatch
        before = state(self.document)
        with pytest.raises(error):
            self.document.stage(self.submission(operation, version, check), 0)
        assert state(self.document) == before

    @invariant()
    def the_document_is_what_was_committed(self) -> None:
        assert self.document.version == self.newest
        assert self.document.content == self.contents[-1]
        assert self.document.oldest == max(self.trimmed, self.newest - self.limits.operations)

    @invariant()
    def what_is_here_is_the_newest_part_of_the_past(self) -> None:
        for version in range(max(self.document.oldest, self.document.known_since), self.newest + 1):
            assert self.document.since(version) == self.committed[version:]
            try:
                assert self.document.content_at(version) == self.contents[version]
            except VersionMismatch:
                assert version < self.document.version  # recalled, and so without a way back

    @invariant()
    def memory_is_bounded(self) -> None:
        here = self.document._history
        most = self.limits.cached_operations * 5 // 4
        recalled = self.limits.operations
        assert len(here) <= max(most, recalled)
        assert len(self.document._inverses) <= len(here) + len(self.staged)
        assert len(self.document._results) <= len(here) + self.limits.cached_operations + len(self.staged)


class TestDocumentMachine(DocumentMachine.TestCase):  # type: ignore[misc]
    settings = settings(max_examples=150, stateful_step_count=40, deadline=None)


@given(st.data(), st.integers(1, 8))
def test_ot8_a_checksum_at_an_old_version_is_that_of_the_document_recomputed(data: st.DataObject, count: int) -> None:
    document = Document(text, DocumentLimits(), data.draw(TEXTS))
    initial = document.content
    for index in range(count):
        submit(document, Submission("ada", 1, str(index), operation_on(data, document.content), document.version, 10))
    recomputed = initial
    for version, committed in enumerate(document.since(0)):
        assert checksum(document.content_at(version)) == checksum(recomputed)
        recomputed = text.apply(recomputed, committed.operation)
    assert recomputed == document.content
