"""Documents under any traffic: late operations, duplicates at any time, a trimmed history, limits, checksums.

A plain model goes along: every content that the document ever had, and every operation in the committed order. The
document must never differ from it, and a submission that is refused must leave no trace.
"""

from copy import deepcopy
from typing import Any

import hypothesis.strategies as st
import orjson
import pytest
from hypothesis import given, settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from fastcollab import ot
from fastcollab.checksums import checksum
from fastcollab.core.document import Committed, Document, HistoryLimits, Submission
from fastcollab.core.limits import SECOND
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
    @initialize(
        operations=st.integers(1, 6),
        size=st.integers(40, 200),
        seconds=st.sampled_from([0, 5]),
        octets=st.integers(20, 80),
    )
    def start(self, operations: int, size: int, seconds: int, octets: int) -> None:
        self.limits = HistoryLimits(
            operations=operations, bytes=size, seconds=seconds, max_operation_bytes=60, max_document_bytes=octets
        )
        self.document = Document(text, self.limits)
        self.now = 0
        self.count = 0
        self.contents = [""]
        self.committed: list[Committed] = []
        self.results: list[tuple[Submission, int, int]] = []

    @property
    def newest(self) -> int:
        return len(self.contents) - 1

    def submission(self, operation: Any, version: int, check: str | None = None) -> Submission:
        self.count += 1
        size = len(orjson.dumps(operation))
        return Submission(f"user {self.count % 3}", 1, f"m{self.count}", operation, version, size, check)

    @rule(data=st.data(), seconds=st.integers(0, 3), checked=st.booleans())
    def write(self, data: st.DataObject, seconds: int, checked: bool) -> None:
        """An operation against any version that may still be written against."""
        self.now += seconds * SECOND
        version = data.draw(st.integers(self.document.oldest, self.newest))
        operation = operation_on(data, self.contents[version])
        submission = self.submission(operation, version, checksum(self.contents[version]) if checked else None)
        expected = operation
        for earlier in self.committed[version:]:
            expected = text.transform(expected, earlier.operation, "left")
        content = text.apply(self.contents[-1], expected)
        before = state(self.document)
        try:
            outcome = self.document.submit(submission, self.now)
        except InvalidMessage as error:
            limits = {
                submission.size: self.limits.max_operation_bytes,
                len(content.encode()): self.limits.max_document_bytes,
            }
            assert error.details["size"] > error.details["limit"]
            assert limits[error.details["size"]] == error.details["limit"]
            assert state(self.document) == before
            return
        assert isinstance(outcome, Committed)
        assert submission.size <= self.limits.max_operation_bytes
        assert (outcome.version, outcome.operation, outcome.submission) == (self.newest + 1, expected, submission)
        assert len(content.encode()) <= self.limits.max_document_bytes
        self.contents.append(content)
        self.committed.append(outcome)
        self.results.append((submission, outcome.version, self.now))

    @precondition(lambda self: self.results)
    @rule(data=st.data(), now_and_then=st.integers(0, 10))
    def repeat(self, data: st.DataObject, now_and_then: int) -> None:
        """Any message again, however old."""
        submission, version, when = data.draw(st.sampled_from(self.results))
        self.now += now_and_then * SECOND
        before = state(self.document)
        known = version > self.document.oldest or self.now <= when + self.limits.seconds * SECOND
        try:
            outcome = self.document.submit(submission, self.now)
        except VersionMismatch:
            # Forgotten; but then it is too old to be written again, and is not applied twice.
            assert not known
        else:
            assert outcome == version
        assert state(self.document) == before

    @rule(data=st.data(), kind=st.sampled_from(["nonsense", "unfitting", "future", "past", "checksum", "large"]))
    def refuse(self, data: st.DataObject, kind: str) -> None:
        """Whatever must be refused leaves everything as it was."""
        version = data.draw(st.integers(self.document.oldest, self.newest))
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
            check, error = "0" * 8, ChecksumFailed
        else:
            past = kind == "past" and self.document.oldest > 0
            version = self.document.oldest - 1 if past else self.newest + 1
            error = VersionMismatch
        before = state(self.document)
        with pytest.raises(error):
            self.document.submit(self.submission(operation, version, check), self.now)
        assert state(self.document) == before

    @invariant()
    def the_document_is_what_was_committed(self) -> None:
        assert self.document.version == self.newest
        assert self.document.content == self.contents[-1]

    @invariant()
    def every_version_in_the_history_can_be_had(self) -> None:
        for version in range(self.document.oldest, self.newest + 1):
            assert self.document.content_at(version) == self.contents[version]
            assert self.document.since(version) == self.committed[version:]

    @invariant()
    def the_history_is_as_long_as_its_limits_allow(self) -> None:
        kept = 0
        size = 0
        for committed in reversed(self.committed):
            size += committed.submission.size
            if kept and (kept == self.limits.operations or size > self.limits.bytes):
                break
            kept += 1
        assert self.newest - self.document.oldest == kept

    @invariant()
    def results_are_kept_no_longer_than_they_must(self) -> None:
        assert len(self.document._results) >= len(self.document._history)
        for version, _ in self.document._results.values():
            assert version <= self.newest


class TestDocumentMachine(DocumentMachine.TestCase):  # type: ignore[misc]
    settings = settings(max_examples=60, stateful_step_count=40, deadline=None)


@given(st.data(), st.integers(1, 8))
def test_ot8_a_checksum_at_an_old_version_is_that_of_the_document_recomputed(data: st.DataObject, count: int) -> None:
    document = Document(text, HistoryLimits(), data.draw(TEXTS))
    initial = document.content
    for index in range(count):
        document.submit(Submission("ada", 1, str(index), operation_on(data, document.content), document.version, 10), 0)
    recomputed = initial
    for version, committed in enumerate(document.since(0)):
        assert checksum(document.content_at(version)) == checksum(recomputed)
        recomputed = text.apply(recomputed, committed.operation)
    assert recomputed == document.content
