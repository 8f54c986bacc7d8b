"""Documents of the type ``json1`` in rooms: versions, history, absence and positions."""

from typing import Any

import pytest
from tests.builders import submit as commit

from fastcollab import ot
from fastcollab.checksums import checksum
from fastcollab.core.document import Document, DocumentLimits, Submission
from fastcollab.errors import InvalidMessage


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
    assert document.content_at(1) == {"list": ["a", "b"]}


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
    assert document.content == [1] and document.content_at(0) == {}
