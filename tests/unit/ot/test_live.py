"""Live documents have the content, and give the inverses, that their type's own functions give."""

from random import Random
from typing import Any

import orjson
import pytest
from tests.builders import submit
from tests.generators import text as cases

from fastcollab import ot
from fastcollab.core.document import Document, DocumentLimits, Submission
from fastcollab.errors import InvalidMessage
from fastcollab.ot.live import LiveDocument, open_document

text: Any = ot.types["text"]

# A text of this length is cut into ten chunks that end at its multiples of this.
CHUNK = 4096
LONG = 10 * CHUNK

Operation = list[Any]


class WholeText:
    """``text`` as a type that has no live documents of its own."""

    apply = staticmethod(text.apply)
    invert = staticmethod(text.invert)


def some_text(random: Random, length: int) -> str:
    return "".join(random.choices(cases.CHARACTERS + 'x\\"\b\t\f\r\x0b', k=length))


def long_operation(random: Random, length: int) -> Operation:
    """An operation on a text of `length` characters, with edits at, across and between the ends of chunks."""
    ends = [position for chunk in range(0, length + 1, CHUNK) for position in (chunk - 1, chunk, chunk + 1)]
    places = [random.choice((random.choice(ends), random.randint(0, length))) for _ in range(random.randint(0, 4))]
    operation: Operation = []
    position = 0
    for place in sorted(places):
        if not position <= place <= length:
            continue
        deleted = min(random.choice((0, 1, 5, CHUNK, 3 * CHUNK)), length - place)
        inserted = some_text(random, random.choice((0, 1, 1, 5, CHUNK, 5 * CHUNK)))
        operation += [place - position, inserted, {"d": deleted}]
        position = place + deleted
    return text.normalize(operation)


@pytest.mark.parametrize("seed", range(12))
def test_a_long_text_is_what_its_operations_make_of_it(seed: int) -> None:
    random = Random(seed)
    content = some_text(random, random.choice((0, 5, CHUNK, LONG, LONG)))
    live = text.open(content)
    past: list[tuple[str, Operation]] = []
    longest = shortest = len(content)
    for _ in range(150):
        if len(content) > 2 * LONG:
            operation: Operation = text.normalize([3, {"d": len(content) - 6}])  # towards nothing
        else:
            operation = long_operation(random, len(content))
        inverse = live.apply(operation)
        assert inverse == text.invert(operation, content)
        past.append((content, inverse))
        content = text.apply(content, operation)
        assert live.content() == content
        assert live.size() == len(content.encode())
        longest, shortest = max(longest, len(content)), min(shortest, len(content))
    assert longest > LONG > CHUNK > shortest
    for content, inverse in reversed(past):
        live.apply(inverse)
        assert live.content() == content


@pytest.mark.parametrize("seed", range(3))
def test_short_texts_too(seed: int) -> None:
    random = Random(seed)
    for _ in range(300):
        case = cases.case(random)
        live = text.open(case["document"])
        assert live.apply(case["a"]) == text.invert(case["a"], case["document"])
        after_a = text.apply(case["document"], case["a"])
        assert live.content() == after_a
        assert live.apply(case["c"]) == text.invert(case["c"], after_a)
        assert live.content() == text.apply(after_a, case["c"])
        assert live.size() == len(live.content().encode())


def test_a_text_typed_and_deleted_a_character_at_a_time() -> None:
    live = text.open("")
    for position in range(3 * CHUNK):
        live.apply([position, "é"] if position else ["é"])
    assert live.content() == "é" * 3 * CHUNK
    for position in reversed(range(3 * CHUNK)):
        live.apply([position, {"d": 1}] if position else [{"d": 1}])
    assert live.content() == ""
    assert live.size() == 0


def test_a_text_of_which_little_is_left_in_each_chunk() -> None:
    content = some_text(Random(2), LONG)
    live = text.open(content)
    for chunk in range(10):
        operation = text.normalize([chunk, {"d": CHUNK - 1}])
        live.apply(operation)
        content = text.apply(content, operation)
        assert live.content() == content
    live.apply([5, "in the middle", {"d": 5}])
    assert live.content() == content[:5] + "in the middle"


@pytest.mark.parametrize("length", [0, 3, LONG])
@pytest.mark.parametrize(
    "operation",
    [
        lambda length: [length + 1, "x"],
        lambda length: [{"d": length + 1}],
        lambda length: ["first", {"d": length + 1}],
        lambda length: [length, "first", {"d": 1}],
        lambda length: ["first", length + 1, {"d": 1}],
        lambda length: ["first", "second"],
        lambda length: ["\ud800"],
        lambda length: None,
    ],
)
def test_what_is_refused_changes_nothing(length: int, operation: Any) -> None:
    content = some_text(Random(1), length)
    live = text.open(content)
    with pytest.raises(ot.OperationError) as refused:
        live.apply(operation(length))
    with pytest.raises(ot.OperationError) as refused_whole:
        text.apply(content, operation(length))
    assert refused.value.args == refused_whole.value.args
    assert live.content() == content
    assert live.size() == len(content.encode())


@pytest.mark.parametrize("content", [None, b"", 1, "\ud800"])
def test_only_texts_are_opened(content: Any) -> None:
    with pytest.raises(ot.OperationError):
        text.open(content)


def test_a_type_without_live_documents_gets_whole_ones() -> None:
    whole: Any = WholeText()
    live: LiveDocument = open_document(whole, "abc")
    assert live.apply([1, {"d": 1}, "é"]) == text.invert([1, {"d": 1}, "é"], "abc")
    assert live.content() == "aéc"
    assert live.size() == 4
    with pytest.raises(ot.OperationError):
        live.apply([9, "x"])
    assert live.content() == "aéc"


def test_what_does_not_exist_has_no_size() -> None:
    whole: Any = WholeText()
    assert open_document(whole, ot.ABSENT).size() == 0
    assert open_document(whole, [1, 2]).size() == 5


@pytest.mark.parametrize("length", [20, LONG])
def test_a_document_that_would_become_too_large_stays_as_it_was(length: int) -> None:
    content = "é" * length
    limits = DocumentLimits(max_document_bytes=2 * length + 5)
    document = Document(text, limits, content)
    with pytest.raises(InvalidMessage) as refused:
        submit(document, submission("1", ["123", length, "456"], 0))
    assert (refused.value.details["limit"], refused.value.details["size"]) == (2 * length + 5, 2 * length + 6)
    assert (document.content, document.version, document.oldest) == (content, 0, 0)
    submit(document, submission("2", ["123", length, "45"], 0))
    assert document.content == "123" + content + "45"
    assert document.content_at(0) == content


def submission(message_id: str, operation: Operation, version: int) -> Submission:
    return Submission("ann", 1, message_id, operation, version, len(orjson.dumps(operation)))
