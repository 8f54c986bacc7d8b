"""Documents of the type ``json1`` in rooms: versions, history, absence and positions."""

from typing import Any

import pytest
from tests.builders import submit as commit

from fastcollab import ot
from fastcollab.checksums import checksum
from fastcollab.core.document import Document, DocumentLimits, Submission
from fastcollab.errors import ChecksumFailed, InvalidMessage, VersionMismatch


def submit(document: Document, operation: Any, version: int, message_id: str) -> Any:
    return commit(document, Submission("ann", 1, message_id, operation, version, size=100))


@pytest.fixture
def document() -> Document:
    return Document(ot.types["json1"], DocumentLimits())


def test_a_late_operation_is_transformed_over_what_was_committed(document: Document) -> None:
    submit(document, ["list", {"i": ["a", "b"]}], 0, "1")
    submit(document, ["list", 0, {"i": "first"}], 1, "2")
    late = submit(document, ["list", 1, {"es": [1, "!"]}], 1, "3")
    assert late.operation == ["list", 2, {"es": [1, "!"]}]
    assert document.content == {"list": ["first", "a", "b!"]}


def test_what_does_not_fit_is_refused_with_its_path_and_changes_nothing(document: Document) -> None:
    submit(document, ["n", {"i": 1}], 0, "1")
    with pytest.raises(InvalidMessage) as caught:
        submit(document, [["a", {"i": 1}], ["n", {"es": ["x"]}]], 1, "2")
    assert caught.value.details["path"].startswith("payload.operation[1][1]")
    assert document.version == 1 and document.content == {"n": 1}


def test_a_document_can_be_removed_and_made_again(document: Document) -> None:
    submit(document, [{"r": True}], 0, "1")
    assert document.content is ot.ABSENT
    assert checksum(document.content) == "00000000"
    submit(document, [{"i": [1]}], 1, "2")
    assert document.content == [1]


def test_sums_that_round_are_taken_back_to_the_last_digit(document: Document) -> None:
    submit(document, ["n", {"i": 0.1}], 0, "1")
    big = Submission("ann", 1, "2", ["n", {"ena": 2.0**53}], 1, size=100)
    document.stage(big, 0)
    document.stage(Submission("ann", 1, "3", ["n", {"ena": -(2.0**53)}], 1, size=100), 0)
    assert document.content == {"n": 0.1}
    document.abandon()
    assert document.content == {"n": 0.1}
    assert document.stage(big, 0) == 2
    document.commit()
    assert document.content == {"n": 2.0**53}


def test_ot8_an_older_version_cannot_be_compared_where_sums_round(document: Document) -> None:
    submit(document, ["n", {"i": 0.1}], 0, "1")
    submit(document, ["n", {"ena": 0.2}], 1, "2")
    with pytest.raises(VersionMismatch):
        document.content_at(1)
    late = Submission("ann", 1, "3", ["n", {"ena": 0.3}], 1, 100, "00000000")
    assert document.stage(late, 0) == 3
    document.commit()
    with pytest.raises(ChecksumFailed):
        document.stage(Submission("ann", 1, "4", ["n", {"ena": 1}], 3, 100, "00000000"), 0)
    document.stage(Submission("ann", 1, "5", ["n", {"ena": 1}], 3, 100, checksum(document.content)), 0)
    # While something is staged the newest version is still what is committed.
    document.stage(Submission("ann", 1, "6", ["n", {"ena": 1}], 3, 100, checksum({"n": 0.1 + 0.2 + 0.3})), 0)


def test_a_document_that_would_become_too_large_is_as_it_was_to_the_last_digit() -> None:
    document = Document(ot.types["json1"], DocumentLimits(max_document_bytes=30), {"n": 0.1})
    with pytest.raises(InvalidMessage, match="too large"):
        submit(document, [["n", {"ena": 0.2}], ["s", {"i": "x" * 40}]], 0, "1")
    assert document.content == {"n": 0.1}
