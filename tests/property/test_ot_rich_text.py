"""The laws of the document type ``rich-text``, for operations that nobody wrote by hand."""

import copy
from collections.abc import Callable
from random import Random
from typing import Any

import orjson
import pytest
from hypothesis import Phase, find, given, settings
from hypothesis import strategies as st
from tests.generators import rich_text as generator

from fastcollab import ot
from fastcollab.ot import OperationError

rich: Any = ot.types["rich-text"]

# To look for any example, without the effort of making it small.
SEARCH = settings(max_examples=2_000, phases=[Phase.generate], database=None)

Delta = list[dict[str, Any]]
Pair = tuple[Delta, Delta, Delta]

# Every width of `str` and of UTF-8, surrogate pairs, joiners, and the borders of what text may be.
CHARACTERS = st.sampled_from("ab \n\0\x7fé漢\u200d\ud7ff\ue000\uffff\U00010000👩🌈\U0010ffff")
TEXTS = st.text(CHARACTERS, min_size=1, max_size=6)
VALUES = st.sampled_from([True, False, 0, 1, 1.5, "", "1", "red", [], {}, [1, None], {"a": {"b": None}}])
NAMES = st.sampled_from(["a", "b", "цвет👩"])
ATTRIBUTES = st.dictionaries(NAMES, VALUES, max_size=2)
CHANGES = st.dictionaries(NAMES, VALUES | st.none(), max_size=2)
EMBEDS = st.dictionaries(st.sampled_from(["image", "👩"]), VALUES | st.none(), min_size=1, max_size=2)
# What is inserted may have nulls: they take nothing away and stay in the document.
INSERTS = st.builds(
    lambda content, attributes: {"insert": content, "attributes": attributes}, TEXTS | EMBEDS, ATTRIBUTES | CHANGES
)
DOCUMENTS = st.lists(INSERTS, max_size=6).map(lambda inserts: rich.create(inserts))
SIDES: st.SearchStrategy[ot.Side] = st.sampled_from(["left", "right"])


def borders(document: Delta) -> list[int]:
    """All positions in the document: before, between and behind its characters and embeds."""
    positions = [0]
    for component in document:
        content = component["insert"]
        for unit in [""] if isinstance(content, dict) else content:
            positions.append(positions[-1] + (2 if unit > "\uffff" else 1))
    return positions


@st.composite
def loose_operations(draw: st.DrawFn, document: Delta) -> Delta:
    """Operations that fit the document but need not be in normal form."""
    positions = borders(document)
    operation: Delta = []
    at = 0
    for kind in draw(st.lists(st.sampled_from(["retain", "format", "insert", "delete"]), max_size=8)):
        if kind == "insert":
            operation.append(draw(INSERTS))
            continue
        end = draw(st.integers(at, min(at + 5, len(positions) - 1)))
        length = positions[end] - positions[at]
        at = end
        if kind == "format":
            operation.append({"retain": length, "attributes": draw(CHANGES)})
        else:
            operation.append({kind: length})
    return operation


@st.composite
def operations(draw: st.DrawFn, document: Delta) -> Delta:
    normal: Delta = rich.normalize(draw(loose_operations(document)))
    return normal


@st.composite
def concurrent(draw: st.DrawFn) -> Pair:
    """A document and two operations made against it."""
    document = draw(DOCUMENTS)
    return document, draw(operations(document)), draw(operations(document))


@st.composite
def consecutive(draw: st.DrawFn) -> Pair:
    """A document, an operation, and one that follows it."""
    document = draw(DOCUMENTS)
    first = draw(operations(document))
    return document, first, draw(operations(rich.apply(document, first)))


def same(one: Any, other: Any) -> bool:
    """Whether two values are the same JSON: to Python alone, ``True`` equals ``1``."""
    return generator.canonical(one) == generator.canonical(other)


def units_of(document: Delta) -> list[generator.Unit]:
    """The document as the generator's plain model of it."""
    units: list[generator.Unit] = []
    for component in document:
        content = component["insert"]
        formats = component.get("attributes", {})
        units += [(unit, formats) for unit in ([content] if isinstance(content, dict) else content)]
    return units


def apply_literally(document: Delta, operation: Delta) -> Delta:
    """What `apply` is to do, in the plainest terms."""
    return generator.document_of(generator.applied(units_of(document), operation))


def assert_normal(operation: Delta) -> None:
    rich.check(operation)
    assert same(rich.normalize(operation), operation)


def ends(document: Delta, a: Delta, b: Delta, side_of_a: ot.Side, side_of_b: ot.Side) -> tuple[Delta, Delta]:
    """The document by way of `a` first, and by way of `b` first."""
    by_a = rich.apply(rich.apply(document, a), rich.transform(b, a, side_of_b))
    by_b = rich.apply(rich.apply(document, b), rich.transform(a, b, side_of_a))
    return by_a, by_b


@given(st.data())
@settings(max_examples=500)
def test_apply_does_what_the_components_say(data: st.DataObject) -> None:
    document = data.draw(DOCUMENTS)
    operation = data.draw(operations(document))
    result = rich.apply(document, operation)
    assert same(result, apply_literally(document, operation))
    assert_normal(result)


@given(st.data())
def test_normalize_gives_normal_form_and_keeps_the_effect(data: st.DataObject) -> None:
    document = data.draw(DOCUMENTS)
    operation = data.draw(loose_operations(document))
    before = copy.deepcopy(operation)
    normal = rich.normalize(operation)
    assert_normal(normal)
    assert same(operation, before)
    without_empty = [
        component for component in operation if component.get("retain") != 0 and component.get("delete") != 0
    ]
    assert same(rich.apply(document, normal), apply_literally(document, without_empty))


@given(st.integers(0, 2**64))
@settings(max_examples=300)
def test_the_generator_of_cases_makes_normal_operations_that_fit(seed: int) -> None:
    case = generator.case(Random(seed))
    for operation in (case["document"], case["a"], case["b"], case["c"]):
        assert_normal(operation)
    after = rich.apply(case["document"], case["a"])
    assert same(after, apply_literally(case["document"], case["a"]))
    rich.apply(case["document"], case["b"])
    rich.apply(after, case["c"])
    assert max(case["positions"]) == borders(case["document"])[-1]


@given(concurrent())
@settings(max_examples=500)
def test_both_orders_converge(pair: Pair) -> None:
    document, a, b = pair
    before = copy.deepcopy(pair)
    for side_of_a, side_of_b in (("left", "right"), ("right", "left")):
        by_a, by_b = ends(document, a, b, side_of_a, side_of_b)
        assert same(by_a, by_b)
    for side in ("left", "right"):
        assert_normal(rich.transform(a, b, side))
    assert same(pair, before)


@st.composite
def contending(draw: st.DrawFn, what: str) -> Pair:
    """A document and two operations that insert at its start, or that set attributes on all of it."""
    document = draw(DOCUMENTS.filter(bool))

    def operation() -> Delta:
        component = (
            draw(INSERTS) if what == "insert" else {"retain": borders(document)[-1], "attributes": draw(CHANGES)}
        )
        normal: Delta = rich.normalize([component])
        return normal

    return document, operation(), operation()


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("what", ["insert", "attributes"])
def test_the_law_would_notice_equal_sides(side: ot.Side, what: str) -> None:
    def diverges(pair: Pair) -> bool:
        return not same(*ends(*pair, side, side))

    # Raises NoSuchExample if nothing tells the two apart.
    find(contending(what), diverges, settings=SEARCH)


def without_attributes(operation: Delta) -> Delta:
    return [{"retain": component["retain"]} if "retain" in component else component for component in operation]


def without_deletes(operation: Delta) -> Delta:
    return [{"retain": component["delete"]} if "delete" in component else component for component in operation]


def in_code_points(operation: Delta) -> Delta:
    return [
        {"insert": "x" * len(component["insert"])} if isinstance(component.get("insert"), str) else component
        for component in operation
    ]


@pytest.mark.parametrize("forget", [without_attributes, without_deletes, in_code_points])
def test_the_law_would_notice_a_transform_that_forgets(forget: Callable[[Delta], Delta]) -> None:
    def diverges(pair: Pair) -> bool:
        document, a, b = pair
        forgetful = rich.transform(a, rich.normalize(forget(b)), "right")
        try:
            by_b = rich.apply(rich.apply(document, b), forgetful)
        except OperationError:
            return True
        return not same(by_b, rich.apply(rich.apply(document, a), rich.transform(b, a, "left")))

    # Raises NoSuchExample if nothing tells the two apart.
    find(concurrent(), diverges, settings=SEARCH)


@given(consecutive())
@settings(max_examples=500)
def test_compose_does_both(pair: Pair) -> None:
    document, first, second = pair
    before = copy.deepcopy(pair)
    both = rich.compose(first, second)
    assert_normal(both)
    assert same(rich.apply(document, both), rich.apply(rich.apply(document, first), second))
    assert same(pair, before)


@given(st.data())
def test_compose_is_associative(data: st.DataObject) -> None:
    document, a, b = data.draw(consecutive())
    c = data.draw(operations(rich.apply(rich.apply(document, a), b)))
    left = rich.apply(document, rich.compose(rich.compose(a, b), c))
    assert same(left, rich.apply(document, rich.compose(a, rich.compose(b, c))))


@given(consecutive())
def test_a_document_is_an_operation_on_the_empty_document(pair: Pair) -> None:
    document, operation, _ = pair
    assert same(rich.compose(document, operation), rich.apply(document, operation))
    assert same(rich.apply([], document), document)


def test_transforming_over_what_others_composed_can_differ() -> None:
    # Why a client that has operations pending gets the missed ones one by one.
    document = [{"insert": "ab"}]
    mine = [{"retain": 1}, {"insert": "y"}]
    first, second = [{"delete": 2}], [{"insert": "X"}]
    one_by_one = rich.transform(rich.transform(mine, first, "left"), second, "left")
    at_once = rich.transform(mine, rich.compose(first, second), "left")
    after = rich.apply(rich.apply(document, first), second)
    assert rich.apply(after, one_by_one) == [{"insert": "yX"}]
    assert rich.apply(after, at_once) == [{"insert": "Xy"}]


@given(st.data())
@settings(max_examples=500)
def test_the_inverse_undoes(data: st.DataObject) -> None:
    document = data.draw(DOCUMENTS)
    operation = data.draw(operations(document))
    result = rich.apply(document, operation)
    inverse = rich.invert(operation, document)
    assert_normal(inverse)
    assert same(rich.apply(result, inverse), document)
    assert same(rich.apply(document, rich.invert(inverse, result)), result)


@given(st.data())
@settings(max_examples=500)
def test_a_live_document_is_what_apply_and_invert_make_of_it(data: st.DataObject) -> None:
    document = data.draw(DOCUMENTS)
    live = rich.open(document)
    for _ in range(data.draw(st.integers(1, 4))):
        operation = data.draw(operations(document))
        assert same(live.apply(operation), rich.invert(operation, document))
        document = rich.apply(document, operation)
        assert same(live.content(), document)
        assert live.size() == len(orjson.dumps(document))
        end = borders(document)[-1]
        with pytest.raises(OperationError, match=f"beyond the document's end, at {end}"):
            live.apply([{"retain": end + 1, "attributes": {"a": 1}}])


@given(st.data(), SIDES)
def test_positions_stay_in_the_document_and_in_their_order(data: st.DataObject, side: ot.Side) -> None:
    document = data.draw(DOCUMENTS)
    operation = data.draw(operations(document))
    moved = [rich.transform_position(position, operation, side) for position in borders(document)]
    assert moved == sorted(moved)
    assert set(moved) <= set(borders(rich.apply(document, operation)))


@given(st.data())
def test_a_position_on_the_left_is_where_text_inserted_there_would_be(data: st.DataObject) -> None:
    document = data.draw(DOCUMENTS)
    position = data.draw(st.sampled_from(borders(document)))
    operation = data.draw(operations(document))
    moved = rich.transform_position(position, operation, "left")
    marker = rich.transform(rich.normalize([{"retain": position}, {"insert": "M"}]), operation, "left")
    assert marker == rich.normalize([{"retain": moved}, {"insert": "M"}])


@given(st.data())
def test_a_position_on_the_right_follows_the_author_s_own_typing(data: st.DataObject) -> None:
    document = data.draw(DOCUMENTS)
    position = data.draw(st.sampled_from(borders(document)))
    typed = data.draw(INSERTS)
    operation = rich.normalize([{"retain": position}, typed])
    assert rich.transform_position(position, operation, "left") == position
    assert rich.transform_position(position, operation, "right") == position + borders([typed])[-1]


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.integers(-2, 5)
    | st.floats()
    | st.text(st.characters(), max_size=4),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(["insert", "ops", "__proto__", "x"]), inner, max_size=2)
        | st.fixed_dictionaries({"insert": inner}, optional={"attributes": inner})
        | st.fixed_dictionaries({"retain": inner}, optional={"attributes": inner})
        | st.fixed_dictionaries({"delete": inner})
    ),
    max_leaves=12,
)


@given(st.lists(JSON, max_size=6) | JSON, DOCUMENTS)
@settings(max_examples=500)
def test_any_json_is_an_operation_or_refused(value: Any, document: Delta) -> None:
    try:
        rich.check(value)
    except OperationError as error:
        assert all(isinstance(step, int | str) for step in error.path)
        for call in (
            lambda: rich.apply(document, value),
            lambda: rich.transform(value, [], "left"),
            lambda: rich.transform([], value, "right"),
            lambda: rich.compose(value, []),
            lambda: rich.compose([], value),
            lambda: rich.invert(value, document),
            lambda: rich.transform_position(0, value),
        ):
            with pytest.raises(OperationError):
                call()
    else:
        normal = rich.normalize(value)
        assert same(rich.transform(value, [], "left"), normal)
        assert same(rich.compose(value, []), normal)
        assert same(rich.compose([], value), normal)
