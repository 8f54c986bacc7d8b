"""The laws of the document type ``text``, for operations that nobody wrote by hand."""

import copy
from typing import Any

import pytest
from hypothesis import Phase, find, given, settings
from hypothesis import strategies as st

from fastcollab import ot
from fastcollab.ot import OperationError

text: Any = ot.types["text"]

# To look for any example, without the effort of making it small.
SEARCH = settings(max_examples=2_000, phases=[Phase.generate], database=None)

Operation = list[Any]
Pair = tuple[str, Operation, Operation]

# Every width of `str` and of UTF-8, combining marks, joiners, and the borders of what text may be.
CHARACTERS = st.sampled_from(
    "ab \n\0\x7f\x80éÿĀж漢\u0301\u200d\ufe0f\ud7ff\ue000\uffff\U00010000👩👧🌈\U000f0000\U0010ffff"
)
TEXTS = st.text(CHARACTERS, max_size=12) | st.text(st.characters(exclude_categories=["Cs"]), max_size=6)
SIDES: st.SearchStrategy[ot.Side] = st.sampled_from(["left", "right"])


@st.composite
def loose_operations(draw: st.DrawFn, document: str) -> Operation:
    """Operations that fit the document but need not be in normal form."""
    operation: Operation = []
    position = 0
    for kind in draw(st.lists(st.sampled_from(["skip", "insert", "delete", "named delete"]), max_size=10)):
        if kind == "insert":
            operation.append(draw(TEXTS))
            continue
        length = draw(st.integers(0, min(5, len(document) - position)))
        named = document[position : position + length]
        operation.append(length if kind == "skip" else {"d": length if kind == "delete" else named})
        position += length
    return operation


@st.composite
def operations(draw: st.DrawFn, document: str) -> Operation:
    return text.normalize(draw(loose_operations(document)))


@st.composite
def concurrent(draw: st.DrawFn) -> Pair:
    """A document and two operations made against it."""
    document = draw(TEXTS)
    return document, draw(operations(document)), draw(operations(document))


@st.composite
def consecutive(draw: st.DrawFn) -> Pair:
    """A document, an operation, and one that follows it."""
    document = draw(TEXTS)
    first = draw(operations(document))
    return document, first, draw(operations(text.apply(document, first)))


def apply_literally(document: str, operation: Operation) -> str:
    """What `apply` is to do, in the plainest terms."""
    result = ""
    for component in operation:
        if isinstance(component, int):
            result, document = result + document[:component], document[component:]
        elif isinstance(component, str):
            result += component
        else:
            deleted = component["d"]
            document = document[deleted if isinstance(deleted, int) else len(deleted) :]
    return result + document


def assert_normal(operation: Operation) -> None:
    text.check(operation)
    assert text.normalize(operation) == operation


def ends(document: str, a: Operation, b: Operation, side_of_a: ot.Side, side_of_b: ot.Side) -> tuple[str, str]:
    """The document by way of `a` first, and by way of `b` first."""
    by_a = text.apply(text.apply(document, a), text.transform(b, a, side_of_b))
    by_b = text.apply(text.apply(document, b), text.transform(a, b, side_of_a))
    return by_a, by_b


@given(st.data())
def test_apply_does_what_the_components_say(data: st.DataObject) -> None:
    document = data.draw(TEXTS)
    operation = data.draw(loose_operations(document))
    result = text.apply(document, text.normalize(operation))
    assert result == apply_literally(document, operation)
    assert result.encode() == apply_literally(document, operation).encode()


@given(st.data())
def test_normalize_gives_normal_form_and_is_idempotent(data: st.DataObject) -> None:
    operation = data.draw(loose_operations(data.draw(TEXTS)))
    before = copy.deepcopy(operation)
    normal = text.normalize(operation)
    assert_normal(normal)
    assert operation == before


@given(concurrent())
@settings(max_examples=500)
def test_both_orders_converge(pair: Pair) -> None:
    document, a, b = pair
    before = copy.deepcopy(pair)
    for side_of_a, side_of_b in (("left", "right"), ("right", "left")):
        by_a, by_b = ends(document, a, b, side_of_a, side_of_b)
        assert by_a == by_b
    for side in ("left", "right"):
        assert_normal(text.transform(a, b, side))
    assert pair == before


@pytest.mark.parametrize("side", ["left", "right"])
def test_the_law_would_notice_equal_sides(side: ot.Side) -> None:
    def diverges(pair: Pair) -> bool:
        by_a, by_b = ends(*pair, side, side)
        return by_a != by_b

    # Raises NoSuchExample if nothing tells the two apart.
    find(concurrent(), diverges, settings=SEARCH)


def test_the_law_would_notice_a_transform_that_forgets_a_deletion() -> None:
    def diverges(pair: Pair) -> bool:
        document, a, b = pair
        without = text.normalize([0 if isinstance(component, dict) else component for component in b])
        try:
            forgetful = text.apply(text.apply(document, b), text.transform(a, without, "left"))
        except OperationError:
            return True
        return bool(forgetful != text.apply(text.apply(document, a), text.transform(b, a, "right")))

    # Raises NoSuchExample if nothing tells the two apart.
    find(concurrent(), diverges, settings=SEARCH)


@given(consecutive())
@settings(max_examples=500)
def test_compose_does_both(pair: Pair) -> None:
    document, first, second = pair
    before = copy.deepcopy(pair)
    both = text.compose(first, second)
    assert_normal(both)
    assert text.apply(document, both) == text.apply(text.apply(document, first), second)
    assert pair == before


@given(st.data())
def test_compose_is_associative_in_effect(data: st.DataObject) -> None:
    document, a, b = data.draw(consecutive())
    c = data.draw(operations(text.apply(text.apply(document, a), b)))
    left = text.apply(document, text.compose(text.compose(a, b), c))
    assert left == text.apply(document, text.compose(a, text.compose(b, c)))


@given(st.data())
@settings(max_examples=500)
def test_a_client_may_compose_what_is_pending(data: st.DataObject) -> None:
    # Pending operations, one by one or composed, are on the left of a remote one: the text is the same.
    document, first, second = data.draw(consecutive())
    remote = data.draw(operations(document))
    one_by_one = text.transform(text.transform(remote, first, "right"), second, "right")
    at_once = text.transform(remote, text.compose(first, second), "right")
    content = text.apply(text.apply(document, first), second)
    assert text.apply(content, one_by_one) == text.apply(content, at_once)


def test_transforming_over_what_others_composed_can_differ() -> None:
    # Why a client that has operations pending gets the missed ones one by one.
    document, mine = "ab", [1, "y"]
    first, second = [{"d": 2}], ["X"]
    one_by_one = text.transform(text.transform(mine, first, "left"), second, "left")
    at_once = text.transform(mine, text.compose(first, second), "left")
    assert text.apply("X", one_by_one) == "yX"
    assert text.apply("X", at_once) == "Xy"
    assert text.apply(text.apply(document, first), second) == "X"


@given(st.data())
def test_the_inverse_undoes(data: st.DataObject) -> None:
    document = data.draw(TEXTS)
    operation = data.draw(operations(document))
    result = text.apply(document, operation)
    inverse = text.invert(operation, document)
    assert_normal(inverse)
    assert text.apply(result, inverse) == document
    assert text.apply(document, text.invert(inverse, result)) == result


@given(st.data(), SIDES)
def test_positions_stay_in_the_document_and_in_their_order(data: st.DataObject, side: ot.Side) -> None:
    document = data.draw(TEXTS)
    operation = data.draw(operations(document))
    moved = [text.transform_position(position, operation, side) for position in range(len(document) + 1)]
    assert moved == sorted(moved)
    assert moved[0] >= 0 and moved[-1] <= len(text.apply(document, operation))


@given(st.data())
def test_a_position_on_the_left_is_where_text_inserted_there_would_be(data: st.DataObject) -> None:
    document = data.draw(TEXTS)
    position = data.draw(st.integers(0, len(document)))
    operation = data.draw(operations(document))
    moved = text.transform_position(position, operation, "left")
    marker = text.transform(text.normalize([position, "M"]), operation, "left")
    assert marker == text.normalize([moved, "M"])


@given(st.data())
def test_a_position_on_the_right_follows_the_author_s_own_typing(data: st.DataObject) -> None:
    document = data.draw(TEXTS)
    position = data.draw(st.integers(0, len(document)))
    typed = data.draw(st.text(CHARACTERS, min_size=1, max_size=5))
    operation = text.normalize([position, typed])
    assert text.transform_position(position, operation, "right") == position + len(typed)
    assert text.transform_position(position, operation, "left") == position


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.integers(-2, 5)
    | st.floats()
    | st.text(st.characters(), max_size=4),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(["d", "e", ""]), inner, max_size=2)
        | st.fixed_dictionaries({"d": inner})
    ),
    max_leaves=12,
)


@given(st.lists(JSON, max_size=8) | JSON, TEXTS)
@settings(max_examples=500)
def test_any_json_is_an_operation_or_refused(value: Any, document: str) -> None:
    try:
        text.check(value)
    except OperationError as error:
        assert all(isinstance(step, int | str) for step in error.path)
        for call in (
            lambda: text.apply(document, value),
            lambda: text.transform(value, [], "left"),
            lambda: text.transform([], value, "right"),
            lambda: text.compose(value, []),
            lambda: text.compose([], value),
            lambda: text.invert(value, document),
            lambda: text.transform_position(0, value),
        ):
            with pytest.raises(OperationError):
                call()
    else:
        assert text.transform(value, [], "left") == text.compose(value, []) == text.normalize(value) == value
