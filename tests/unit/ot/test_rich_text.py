"""The document type ``rich-text``: its functions on operations written by hand, and what they refuse."""

import copy
import json
import math
import pickle
from typing import Any

import pytest

from fastcollab import ot
from fastcollab.ot import OperationError
from fastcollab.ot._rich_text import MAX_LENGTH
from fastcollab.ot._rich_values import MAX_DEPTH

rich: Any = ot.types["rich-text"]

Delta = list[dict[str, Any]]

WOMAN = "\U0001f469"  # two units of UTF-16
CAT = {"image": "cat.png"}
BOLD = {"bold": True}
PLAIN = {"bold": None}


def insert(content: Any, **attributes: Any) -> dict[str, Any]:
    return {"insert": content, "attributes": attributes} if attributes else {"insert": content}


def retain(length: Any, **attributes: Any) -> dict[str, Any]:
    return {"retain": length, "attributes": attributes} if attributes else {"retain": length}


def delete(length: Any) -> dict[str, Any]:
    return {"delete": length}


def nested(depth: int) -> Any:
    """A value of `depth` lists inside each other."""
    value: Any = []
    for _ in range(depth - 1):
        value = [value]
    return value


# Operations in normal form, the document that they are made against, and what they make of it.
GOOD: list[tuple[Delta, Delta, Delta]] = [
    ([], [], []),
    ([insert("abc")], [], [insert("abc")]),
    ([], [insert("abc")], [insert("abc")]),
    ([insert("abc")], [insert("x")], [insert("xabc")]),
    ([insert("abc")], [retain(3), insert("x")], [insert("abcx")]),
    ([insert("abc")], [delete(3)], []),
    ([insert("abc")], [retain(1), delete(1)], [insert("ac")]),
    ([insert("abc")], [retain(1), insert("x", bold=True)], [insert("a"), insert("x", bold=True), insert("bc")]),
    ([insert("abc")], [retain(2, bold=True)], [insert("ab", bold=True), insert("c")]),
    ([insert("ab", bold=True), insert("c")], [retain(2, bold=None)], [insert("abc")]),
    ([insert("ab", bold=True), insert("c")], [retain(2), retain(1, bold=True)], [insert("abc", bold=True)]),
    ([insert("a", bold=True, indent=1)], [retain(1, bold=None)], [insert("a", indent=1)]),
    ([insert("a")], [retain(1, bold=None)], [insert("a")]),
    # A value is set as a whole, whatever is in it; only a null of its own takes an attribute away.
    ([insert("a", list={"a": 1})], [retain(1, list={"b": None})], [insert("a", list={"b": None})]),
    # Embeds count one, are never merged, and have attributes.
    ([insert(CAT)], [retain(1), insert(CAT)], [insert(CAT), insert(CAT)]),
    ([insert("a"), insert(CAT), insert("b")], [retain(1), delete(1)], [insert("ab")]),
    ([insert(CAT)], [retain(1, alt="cat")], [insert(CAT, alt="cat")]),
    # Positions count UTF-16 units.
    ([insert(WOMAN * 3)], [retain(2), delete(2)], [insert(WOMAN * 2)]),
    ([insert(WOMAN + "b" + WOMAN)], [retain(3), insert("x")], [insert(WOMAN + "bx" + WOMAN)]),
    (
        [insert("b" + WOMAN * 2)],
        [retain(1), retain(2, bold=True)],
        [insert("b"), insert(WOMAN, bold=True), insert(WOMAN)],
    ),
    ([insert("\uffff\ue000é")], [retain(2), delete(1)], [insert("\uffff\ue000")]),
    ([insert("a\0b")], [retain(1), insert("\0"), delete(1)], [insert("a\0b")]),
]

# Components that no function takes, where the error points in them, and a word of what it says.
BAD_COMPONENTS: list[tuple[Any, tuple[int | str, ...], str]] = [
    (None, (), "must be an object, not NoneType"),
    ("abc", (), "not str"),
    (5, (), "not int"),
    ([], (), "not list"),
    ({}, (), "one of the keys"),
    ({"attributes": BOLD}, (), "one of the keys"),
    ({"insert": "a", "delete": 1}, (), "one of the keys"),
    ({"insert": "a", "other": 1}, (), "must not have the key 'other'"),
    ({"inserts": "a"}, (), "must not have the key 'inserts'"),
    ({"insėrt": "a"}, (), "must not have the key"),
    ({1: "a"}, (), "a key must be a string, not int"),
    ({"insert": ""}, (), "must not be empty"),
    ({"insert": {}}, ("insert",), "embed must not be empty"),
    ({"insert": 1}, ("insert",), "string or an object, not int"),
    ({"insert": None}, ("insert",), "string or an object, not NoneType"),
    ({"insert": True}, ("insert",), "string or an object, not bool"),
    ({"insert": ["a"]}, ("insert",), "string or an object, not list"),
    ({"insert": b"a"}, ("insert",), "string or an object, not bytes"),
    ({"insert": "\ud83d"}, ("insert",), "lone surrogates"),
    ({"insert": WOMAN + "\udc69"}, ("insert",), "lone surrogates"),
    ({"insert": {"image": "\ud83d"}}, ("insert", "image"), "lone surrogates"),
    ({"insert": {"\ud83d": 1}}, ("insert",), "key must not have lone surrogates"),
    ({"insert": {"a": {"__proto__": 1}}}, ("insert", "a"), "__proto__"),
    ({"insert": {"a": [1, (2,)]}}, ("insert", "a", 1), "tuple is no type of JSON"),
    ({"insert": {"a": nested(MAX_DEPTH)}}, ("insert", "a", *[0] * (MAX_DEPTH - 1)), "nested deeper"),
    ({"insert": "a", "attributes": {}}, ("attributes",), "must not be empty"),
    ({"insert": "a", "attributes": None}, ("attributes",), "must be an object, not NoneType"),
    ({"insert": "a", "attributes": ["bold"]}, ("attributes",), "must be an object, not list"),
    ({"insert": "a", "attributes": {1: True}}, ("attributes",), "key must be a string, not int"),
    ({"retain": 1, "attributes": {"a": math.nan}}, ("attributes", "a"), "finite"),
    ({"retain": 1, "attributes": {"a": [-math.inf]}}, ("attributes", "a", 0), "finite"),
    ({"retain": 1, "attributes": {"a": 2**64}}, ("attributes", "a"), "64 bits"),
    ({"retain": 1, "attributes": {"a": -(2**63) - 1}}, ("attributes", "a"), "64 bits"),
    ({"retain": 1, "attributes": {"a": ot}}, ("attributes", "a"), "module is no type of JSON"),
    ({"retain": 1, "attributes": {"a": {"b": "\udc69"}}}, ("attributes", "a", "b"), "lone surrogates"),
    ({"retain": 1, "attributes": {"\udc69": 1}}, ("attributes",), "lone surrogates"),
    ({"retain": 1, "attributes": {"__proto__": 1}}, ("attributes",), "__proto__"),
    ({"retain": 1, "attributes": {"constructor": 1}}, ("attributes",), "'constructor'"),
    ({"retain": 1, "attributes": {"valueOf": None}}, ("attributes",), "'valueOf'"),
    ({"retain": 1, "attributes": {"a": nested(MAX_DEPTH)}}, ("attributes", "a", *[0] * (MAX_DEPTH - 1)), "deeper"),
    ({"retain": 0, "attributes": BOLD}, (), "must not be empty"),
    ({"retain": -1}, ("retain",), "positive integer"),
    ({"retain": 1.0}, ("retain",), "positive integer"),
    ({"retain": True}, ("retain",), "positive integer"),
    ({"retain": "1"}, ("retain",), "positive integer"),
    ({"retain": 2**53}, ("retain",), "at most 9007199254740991"),
    ({"retain": -(2**70)}, ("retain",), "positive integer"),
    ({"retain": {"image": {"src": 1}}}, ("retain",), "inside an embed are not supported"),
    ({"delete": 0}, (), "must not be empty"),
    ({"delete": -1}, ("delete",), "positive integer"),
    ({"delete": None}, ("delete",), "positive integer"),
    ({"delete": "a"}, ("delete",), "positive integer"),
    ({"delete": 2**64 + 1}, ("delete",), "at most"),
    ({"delete": 1, "attributes": BOLD}, ("attributes",), "delete must not have attributes"),
]

# The same for operations as a whole.
BAD: list[tuple[Any, tuple[int | str, ...], str]] = [
    (None, (), "must be a list"),
    ("abc", (), "must be a list"),
    (({"insert": "a"},), (), "must be a list"),
    ({}, (), 'exactly the key "ops"'),
    ({"ops": [], "more": 1}, (), 'exactly the key "ops"'),
    ({"insert": "a"}, (), 'exactly the key "ops"'),
    ({1: []}, (), 'exactly the key "ops"'),
    ({"ops": None}, ("ops",), "must be a list"),
    ({"ops": {"ops": []}}, ("ops",), "must be a list"),
    ([insert("a"), insert("b")], (1,), "merged"),
    ([insert("a", bold=True), insert("b", bold=True)], (1,), "merged"),
    ([retain(1), retain(1), delete(1)], (1,), "merged"),
    ([retain(1, a=1), retain(1, a=1.0)], (1,), "merged"),
    ([delete(1), delete(1)], (1,), "merged"),
    ([delete(1), insert("a")], (1,), "before a delete"),
    ([delete(1), insert(CAT)], (1,), "before a delete"),
    ([retain(2**53 - 1), delete(1)], (1,), "can be counted"),
    ([retain(2**53 - 1), insert("a")], (1,), "can be counted"),
    *(([retain(1), component], (1, *path), words) for component, path, words in BAD_COMPONENTS),
    *(({"ops": [retain(1), component]}, ("ops", 1, *path), words) for component, path, words in BAD_COMPONENTS[::7]),
]


@pytest.mark.parametrize(("document", "operation", "result"), GOOD)
def test_apply_gives_the_expected_document_and_its_inverse_the_one_before(
    document: Delta, operation: Delta, result: Delta
) -> None:
    before = copy.deepcopy((document, operation))
    rich.check(operation)
    assert rich.apply(document, operation) == result
    assert rich.apply(result, rich.invert(operation, document)) == document
    assert rich.normalize(operation) == operation
    assert (document, operation) == before


@pytest.mark.parametrize(("operation", "path", "words"), BAD)
def test_every_function_refuses_a_bad_operation_and_says_where(
    operation: Any, path: tuple[int | str, ...], words: str
) -> None:
    document = [insert("abc")]
    calls = [
        lambda: rich.check(operation),
        lambda: rich.apply(document, operation),
        lambda: rich.invert(operation, document),
        lambda: rich.transform_position(0, operation),
    ]
    for call in calls:
        with pytest.raises(OperationError, match=words) as caught:
            call()
        assert caught.value.path == path
    # Where there are two operations, the error also says which.
    for call, argument in [
        (lambda: rich.transform(operation, [insert("a")], "left"), None),
        (lambda: rich.transform([insert("a")], operation, "left"), "'other'"),
        (lambda: rich.compose(operation, [insert("a")]), "'first'"),
        (lambda: rich.compose([insert("a")], operation), "'second'"),
    ]:
        with pytest.raises(OperationError, match=words) as caught:
            call()
        assert caught.value.path == path
        assert argument is None or argument in caught.value.reason


def test_an_error_reads_well_and_survives_pickling() -> None:
    with pytest.raises(OperationError) as caught:
        rich.check([retain(1, list={"levels": [1, math.inf]})])
    assert str(caught.value) == "a number must be finite (at [0]['attributes']['list']['levels'][1])"
    again = pickle.loads(pickle.dumps(caught.value))
    assert (again.reason, again.path) == (caught.value.reason, caught.value.path)


@pytest.mark.parametrize(
    ("operation", "path"),
    [
        ([retain(4), insert("x")], (0,)),
        ([retain(4)], (0,)),
        ([retain(1), delete(3)], (1,)),
        ([delete(4)], (0,)),
        ([retain(2), insert("x"), delete(1), retain(1, bold=True)], (3,)),
        ([retain(MAX_LENGTH - 1), insert("x")], (0,)),
        ({"ops": [retain(1), delete(3)]}, ("ops", 1)),
    ],
)
def test_an_operation_beyond_the_end_of_the_document_is_refused(operation: Any, path: tuple[int | str, ...]) -> None:
    rich.check(operation)
    document = [insert("a"), insert(CAT), insert("b", bold=True)]
    for call in (lambda: rich.apply(document, operation), lambda: rich.invert(operation, document)):
        with pytest.raises(OperationError, match="beyond the document's end, at 3") as caught:
            call()
        assert caught.value.path == path


@pytest.mark.parametrize(
    ("operation", "path"),
    [
        ([retain(2), insert("x")], (0,)),
        ([delete(2)], (0,)),
        ([retain(1), delete(1)], (1,)),
        ([delete(1), retain(1, bold=True)], (1,)),
        ([retain(3), insert("x"), retain(1, bold=True)], (2,)),
        ({"ops": [retain(4), delete(1)]}, ("ops", 0)),
    ],
)
def test_an_operation_that_cuts_a_surrogate_pair_is_refused(operation: Any, path: tuple[int | str, ...]) -> None:
    content = "a" + WOMAN + WOMAN
    for call in (
        lambda: rich.apply([insert(content)], operation),
        lambda: rich.invert(operation, [insert(content)]),
        lambda: rich.compose([insert(content)], operation),
    ):
        with pytest.raises(OperationError, match="inside a surrogate pair") as caught:
            call()
        assert caught.value.path == path


@pytest.mark.parametrize(
    ("document", "path"),
    [
        (None, ()),
        ("abc", ()),
        ([retain(1)], (0,)),
        ([insert("a"), delete(1)], (1,)),
        ([insert("a"), insert("b")], (1,)),
        ([insert("\ud800")], (0, "insert")),
        ({"ops": [insert("a"), retain(1, bold=True)]}, ("ops", 1)),
    ],
)
def test_what_is_no_list_of_inserts_is_no_document(document: Any, path: tuple[int | str, ...]) -> None:
    for call in (lambda: rich.apply(document, []), lambda: rich.invert([], document)):
        with pytest.raises(OperationError, match="'document'") as caught:
            call()
        assert caught.value.path == path


def test_create_takes_what_a_delta_may_be_and_gives_normal_form() -> None:
    assert rich.create() == []
    assert rich.create([insert("\n")]) == [insert("\n")]
    assert rich.create({"ops": [insert("\n")]}) == [insert("\n")]
    assert rich.create([insert("a"), insert(""), {"insert": "b", "attributes": {}}]) == [insert("ab")]
    for bad in ("abc", [delete(1)], [retain(1)], [insert(1)]):
        with pytest.raises(OperationError, match="'document'"):
            rich.create(bad)


def test_the_limits_hold_at_their_value_and_not_beyond() -> None:
    alternating = [insert("a"), delete(1), retain(1)] * 2 + [insert("b")]
    rich.check(alternating, max_components=7, max_size=3)
    with pytest.raises(OperationError, match="at most 6 components") as caught:
        rich.check(alternating, max_components=6)
    assert caught.value.path == (6,)
    with pytest.raises(OperationError, match="at most 6 components") as caught:
        rich.check({"ops": alternating}, max_components=6)
    assert caught.value.path == ("ops", 6)
    with pytest.raises(OperationError, match="at most the size 2"):
        rich.check(alternating, max_size=2)

    # Each value is one, and each unit of keys and strings.
    formatted = [retain(1, ab=True, c=[1, {"d" + WOMAN: "e"}])]
    weight = 1 + (2 + 1) + (1 + 1 + 1 + 1 + (3 + 2))
    rich.check(formatted, max_attributes=weight, max_size=weight)
    with pytest.raises(OperationError, match=f"component have at most the size {weight - 1}") as caught:
        rich.check(formatted, max_attributes=weight - 1)
    assert caught.value.path == (0, "attributes")
    with pytest.raises(OperationError, match=f"operation has at most the size {weight - 1}"):
        rich.check(formatted, max_size=weight - 1)
    rich.check([insert({"a": WOMAN})], max_size=5)
    with pytest.raises(OperationError, match="at most the size 4"):
        rich.check([insert({"a": WOMAN})], max_size=4)

    rich.check([insert("a"), delete(1), retain(1)] * 3_333 + [insert("b")])
    with pytest.raises(OperationError, match="at most 10000 components"):
        rich.check([insert("a"), delete(1), retain(1)] * 3_333 + [insert("b"), delete(1)])
    rich.check([insert("a" * 2**20)])
    with pytest.raises(OperationError, match="at most the size 1048576"):
        rich.check([insert("a" * (2**20 + 1))])
    rich.check([retain(1, a="a" * (2**14 - 3))])
    with pytest.raises(OperationError, match="at most the size 16384"):
        rich.check([retain(1, a="a" * (2**14 - 2))])


def test_depth_is_limited_everywhere_and_a_bomb_is_no_crash() -> None:
    deepest = [retain(1, a=nested(MAX_DEPTH - 1))]
    rich.check(deepest)
    assert rich.apply([insert("a")], deepest) == [insert("a", a=nested(MAX_DEPTH - 1))]
    rich.check([insert({"a": nested(MAX_DEPTH - 1)})])
    bomb = nested(100_000)
    for operation in ([retain(1, a=bomb)], [insert({"a": bomb})]):
        with pytest.raises(OperationError, match="deeper than 64"):
            rich.check(operation)
        with pytest.raises(OperationError, match="deeper than 64"):
            rich.transform([], operation, "left")


def test_lengths_that_outgrow_the_largest_integer_are_refused_not_wrapped() -> None:
    rich.check([retain(MAX_LENGTH - 1), insert("a")])
    with pytest.raises(OperationError, match="can be counted"):
        rich.transform([retain(MAX_LENGTH - 1), insert("a")], [insert("bb")], "left")
    with pytest.raises(OperationError, match="can be counted"):
        rich.compose([delete(MAX_LENGTH)], [delete(1)])
    with pytest.raises(OperationError, match="can be counted"):
        rich.normalize([retain(MAX_LENGTH)] * 2000)


# a, b, a transformed over b on the left, on the right
TRANSFORMED: list[tuple[Delta, Delta, Delta, Delta]] = [
    ([], [insert("a")], [], []),
    ([insert("a")], [], [insert("a")], [insert("a")]),
    ([insert("a")], [insert("b")], [insert("a")], [retain(1), insert("a")]),
    ([insert("a")], [insert("b", bold=True)], [insert("a")], [retain(1), insert("a")]),
    ([insert("a"), insert(CAT)], [insert("b")], [insert("a"), insert(CAT)], [retain(1), insert("a"), insert(CAT)]),
    ([insert("a")], [insert(CAT), insert(CAT)], [insert("a")], [retain(2), insert("a")]),
    ([insert("a")], [insert(WOMAN)], [insert("a")], [retain(2), insert("a")]),
    ([retain(5), insert("a")], [retain(2), delete(2)], [retain(3), insert("a")], [retain(3), insert("a")]),
    ([delete(3)], [delete(3)], [], []),
    ([delete(3)], [retain(1), insert("x")], [delete(1), retain(1), delete(2)], [delete(1), retain(1), delete(2)]),
    ([retain(1, bold=True)], [delete(1)], [], []),
    ([delete(1)], [retain(1, bold=True)], [delete(1)], [delete(1)]),
    # Of two values for one attribute, that of the left side remains; nulls are values.
    ([retain(2, a=1, b=2)], [retain(1, a=3, c=4)], [retain(2, a=1, b=2)], [retain(1, b=2), retain(1, a=1, b=2)]),
    ([retain(1, a=1)], [retain(1, a=None)], [retain(1, a=1)], []),
    ([retain(1, a=None)], [retain(1, a=1)], [retain(1, a=None)], []),
    ([retain(1, a=1)], [retain(1)], [retain(1, a=1)], [retain(1, a=1)]),
    # What comes to one place by a deletion is still put in normal form.
    ([delete(1), retain(1), insert("b")], [retain(1), delete(1)], [insert("b"), delete(1)], [insert("b"), delete(1)]),
    ([insert("a"), retain(1), insert("b")], [delete(1)], [insert("ab")], [insert("ab")]),
    ([retain(1, a=1), retain(1), retain(1, a=1)], [retain(1), delete(1)], [retain(2, a=1)], [retain(2, a=1)]),
]


@pytest.mark.parametrize(("operation", "other", "left", "right"), TRANSFORMED)
def test_transform(operation: Delta, other: Delta, left: Delta, right: Delta) -> None:
    assert rich.transform(operation, other, "left") == left
    assert rich.transform(operation, other, "right") == right


@pytest.mark.parametrize("side", ["LEFT", "", "middle"])
def test_a_side_is_left_or_right(side: Any) -> None:
    with pytest.raises(ValueError, match="'left' or 'right'"):
        rich.transform([insert("a")], [insert("b")], side)
    with pytest.raises(ValueError, match="'left' or 'right'"):
        rich.transform_position(0, [insert("b")], side)


@pytest.mark.parametrize(
    ("first", "second", "both"),
    [
        ([], [], []),
        ([insert("a")], [], [insert("a")]),
        ([], [retain(2), insert("a")], [retain(2), insert("a")]),
        ([insert("ab")], [retain(1), insert("x")], [insert("axb")]),
        ([insert("ab")], [delete(2)], []),
        ([insert("a")], [retain(1, bold=True)], [insert("a", bold=True)]),
        ([insert("a", bold=True)], [retain(1, bold=None)], [insert("a")]),
        # On kept text a null is remembered, on inserted text it has done its work.
        ([retain(1, bold=True)], [retain(1, bold=None)], [retain(1, bold=None)]),
        ([retain(1, a=1)], [retain(1, b=None)], [retain(1, a=1, b=None)]),
        ([insert("a")], [retain(1, b=None)], [insert("a")]),
        ([retain(1, a=1)], [delete(1)], [delete(1)]),
        ([delete(2)], [insert("a")], [insert("a"), delete(2)]),
        ([retain(1), delete(1)], [retain(5), insert("a")], [retain(1), delete(1), retain(4), insert("a")]),
        ([retain(1), delete(2)], [delete(2)], [delete(4)]),
        ([insert("a"), delete(1)], [retain(1), insert("b")], [insert("ab"), delete(1)]),
        ([insert("a"), insert("b", bold=True)], [retain(1), retain(1, bold=None)], [insert("ab")]),
        ([insert("a" + WOMAN)], [retain(1), delete(2)], [insert("a")]),
    ],
)
def test_compose(first: Delta, second: Delta, both: Delta) -> None:
    assert rich.compose(first, second) == both


@pytest.mark.parametrize(
    ("operation", "document", "inverse"),
    [
        ([], [insert("abc")], []),
        ([retain(1), insert(WOMAN)], [insert("abc")], [retain(1), delete(2)]),
        (
            [retain(1), delete(2)],
            [insert("ab"), insert("c", bold=True)],
            [retain(1), insert("b"), insert("c", bold=True)],
        ),
        ([delete(1)], [insert(CAT, alt="x")], [insert(CAT, alt="x")]),
        ([retain(2, bold=True)], [insert("a"), insert("b", bold=True)], [retain(1, bold=None)]),
        ([retain(2, bold=None)], [insert("a"), insert("b", bold=True)], [retain(1, bold=None), retain(1, bold=True)]),
        ([retain(1, a=1, b=2)], [insert("x", a=3, c=4)], [retain(1, a=3, b=None)]),
        ([retain(1, a=True)], [insert("x", a=1)], [retain(1, a=1)]),
        ([retain(1, a=1.0)], [insert("x", a=1)], []),
        ([insert("x"), delete(1)], [insert("a")], [insert("a"), delete(1)]),
    ],
)
def test_invert(operation: Delta, document: Delta, inverse: Delta) -> None:
    assert rich.invert(operation, document) == inverse


def test_a_null_in_the_document_comes_back_by_inserting_the_text_again() -> None:
    # An insert may carry a null, which stays in the document; a retain could not set it again.
    document = [insert("ab", bold=None), insert("c")]
    assert rich.apply([], document) == document
    operation = [retain(1, bold=True), retain(2, indent=1)]
    inverse = rich.invert(operation, document)
    assert inverse == [insert("a", bold=None), delete(1), retain(2, indent=None)]
    assert rich.apply(rich.apply(document, operation), inverse) == document


@pytest.mark.parametrize(
    ("position", "operation", "left", "right"),
    [
        (3, [], 3, 3),
        (0, [insert("ab")], 0, 2),
        (3, [retain(3), insert("ab")], 3, 5),
        (3, [retain(3), insert("ab"), insert(CAT)], 3, 6),
        (4, [retain(3), insert(WOMAN)], 6, 6),
        (2, [retain(3), insert("ab")], 2, 2),
        (4, [retain(3), delete(5)], 3, 3),
        (9, [retain(3), delete(5)], 4, 4),
        (4, [retain(3), insert("ab"), delete(2)], 5, 5),
        (3, [retain(5, bold=True), insert("x")], 3, 3),
        (5, [delete(2), retain(3, bold=True), insert("x")], 3, 4),
    ],
)
def test_transform_position(position: int, operation: Delta, left: int, right: int) -> None:
    assert rich.transform_position(position, operation) == left
    assert rich.transform_position(position, operation, "left") == left
    assert rich.transform_position(position, operation, "right") == right


def test_what_is_a_position() -> None:
    for position in (0, 1, MAX_LENGTH):
        rich.check_position(position)


@pytest.mark.parametrize("position", [-1, True, 1.0, "1", None, 2**53, 2**70])
def test_what_is_no_position(position: Any) -> None:
    with pytest.raises(OperationError, match="position must be an integer") as caught:
        rich.transform_position(position, [])
    assert caught.value.path == ()
    with pytest.raises(OperationError, match="position must be an integer"):
        rich.check_position(position)


@pytest.mark.parametrize(
    ("operation", "normal"),
    [
        ([], []),
        ({"ops": []}, []),
        ({"ops": [insert("a")]}, [insert("a")]),
        ([retain(1), retain(2)], []),
        ([insert("a"), insert("b"), retain(0), insert(""), insert("c")], [insert("abc")]),
        ([insert("a"), insert("b", bold=True), insert("c", bold=True)], [insert("a"), insert("bc", bold=True)]),
        ([insert("a", a=True), insert("b", a=1)], [insert("a", a=True), insert("b", a=1)]),
        ([insert("a", a=0, b=1), insert("b", b=1.0, a=-0.0)], [insert("ab", a=0, b=1)]),
        ([insert("a", a=[1, {"x": 2}]), insert("b", a=[1, {"x": 2}])], [insert("ab", a=[1, {"x": 2}])]),
        ([insert("a", a=[1]), insert("b", a=[1, 2])], [insert("a", a=[1]), insert("b", a=[1, 2])]),
        ([insert("a", a="1"), insert("b", a=1)], [insert("a", a="1"), insert("b", a=1)]),
        ([insert("a", a=None), insert("b")], [insert("a", a=None), insert("b")]),
        ([insert("a", a={}), insert("b", a=[])], [insert("a", a={}), insert("b", a=[])]),
        ([{"insert": "a", "attributes": {}}, {"retain": 1, "attributes": None}], [insert("a")]),
        ([delete(1), insert("a"), delete(1), insert("b")], [insert("ab"), delete(2)]),
        ([retain(1), delete(1), insert("a", bold=True)], [retain(1), insert("a", bold=True), delete(1)]),
        ([insert(CAT), insert(CAT)], [insert(CAT), insert(CAT)]),
        ([delete(0), insert(""), retain(0, bold=True)], []),
        ([insert("a", x=2**53), insert("b", x=2**53 + 1)], [insert("ab", x=2**53 + 1)]),  # one number to JavaScript
    ],
)
def test_normalize(operation: Any, normal: Delta) -> None:
    before = copy.deepcopy(operation)
    assert rich.normalize(operation) == normal
    assert operation == before
    assert rich.normalize(normal) == normal
    rich.check(normal)


@pytest.mark.parametrize("operation", [None, [None], [{}], [delete(-1)], [insert("\ud800")], [insert({})], [insert(1)]])
def test_normalize_refuses_what_is_no_operation_at_all(operation: Any) -> None:
    with pytest.raises(OperationError):
        rich.normalize(operation)


def test_a_retain_at_the_end_is_let_through_and_left_out() -> None:
    # Quill sends one when nothing changed.
    operation = [insert("a"), retain(2)]
    rich.check(operation)
    assert rich.apply([insert("xy")], operation) == [insert("axy")]
    assert rich.transform(operation, [insert("z")], "left") == [insert("a")]
    assert rich.compose(operation, [retain(5)]) == [insert("a")]
    assert rich.invert(operation, [insert("xy")]) == [delete(1)]
    assert rich.transform_position(1, operation) == 2


def test_a_delta_as_javascript_writes_it_is_taken_everywhere() -> None:
    document, operation = {"ops": [insert("abc")]}, {"ops": [retain(1), insert("x")]}
    rich.check(operation)
    assert rich.apply(document, operation) == [insert("axbc")]
    assert rich.invert(operation, document) == [retain(1), delete(1)]
    assert rich.transform(operation, {"ops": [delete(1)]}, "left") == [insert("x")]
    assert rich.compose(operation, operation) == [retain(1), insert("xx")]
    assert rich.transform_position(2, operation) == 3


def test_results_share_nothing_that_can_change_with_the_arguments() -> None:
    inner = {"levels": [1, 2]}
    document = [insert("ab", list=inner), insert({"mention": inner})]
    operation = [retain(1, other=inner), insert({"mention": inner}, list=inner), delete(1)]
    before = copy.deepcopy((document, operation))
    results = [
        rich.create(document),
        rich.normalize(operation),
        rich.apply(document, operation),
        rich.transform(operation, [], "left"),
        rich.transform(operation, [retain(1, x=1)], "right"),
        rich.compose(operation, []),
        rich.compose([], operation),
        rich.compose(operation, [retain(1, x=1), retain(1, y=2)]),
        rich.invert([delete(3)], document),
        rich.invert([retain(1, list=None)], document),
    ]

    def poison(value: Any) -> None:
        if isinstance(value, list):
            for item in value:
                poison(item)
            value.append("poison")
        elif isinstance(value, dict):
            for item in value.values():
                poison(item)
            value["poison"] = True

    # What is poisoned in one result is seen neither in an argument nor twice in the result.
    for result in results:
        expected = json.loads(json.dumps(result))
        poison(result)
        poison(expected)
        assert result == expected
    assert (document, operation) == before


def test_operations_of_any_size_go_through() -> None:
    # More components than fit in the memory that every call has at hand.
    many = [retain(1), insert("é" + WOMAN, bold=True), delete(1)] * 5_000
    document = [insert("ab" * 5_000)]
    result = rich.apply(document, many)
    assert result == [insert("a"), insert("é" + WOMAN, bold=True)] * 5_000
    assert rich.transform(many, [delete(10_000)], "left") == [insert(("é" + WOMAN) * 5_000, bold=True)]
    assert rich.apply(document, rich.compose(many, rich.invert(many, document))) == document


def test_a_live_document_changes_in_place_and_gives_the_inverse() -> None:
    live = rich.open([insert("Hello\n"), insert("world", bold=True), insert(CAT), insert("!\n")])
    before = live.content()
    inverse = live.apply([retain(6), retain(5, bold=None), delete(1)])
    assert live.content() == [insert("Hello\nworld!\n")]
    assert inverse == [retain(6), retain(5, bold=True), insert(CAT)]
    assert live.apply(inverse) == [retain(6), retain(5, bold=None), delete(1)]
    assert live.content() == before
    assert before[0] == insert("Hello\n")
    assert live.size() == len(json.dumps(before, separators=(",", ":")))


def test_a_live_document_refuses_as_apply_does_and_then_is_as_it_was() -> None:
    document = [insert("abc"), insert(WOMAN, bold=True), insert("def")]
    live = rich.open(document)
    for operation in (
        [retain(9)],
        [retain(8), delete(1)],
        [retain(4), insert("x")],
        [insert("x"), retain(4), delete(1)],
        [insert("x"), insert("y")],
        {"ops": [insert("x"), retain(2), delete(2)]},
    ):
        with pytest.raises(OperationError) as caught:
            live.apply(operation)
        with pytest.raises(OperationError) as expected:
            rich.apply(document, operation)
        assert (caught.value.reason, caught.value.path) == (expected.value.reason, expected.value.path)
        assert live.content() == document
        assert live.size() == len(json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode())


def test_a_live_document_shares_nothing_with_what_it_was_opened_with() -> None:
    document = [insert("a", list={"levels": [1]})]
    live = rich.open({"ops": document})
    document[0]["attributes"]["list"]["levels"].append(2)
    assert live.content() == [insert("a", list={"levels": [1]})]
    for bad in ("abc", [retain(1)], [insert("a"), insert("b")]):
        with pytest.raises(OperationError, match="'document'"):
            rich.open(bad)


@pytest.mark.parametrize("operation", [[], {"ops": []}])
def test_a_live_document_may_be_empty(operation: Any) -> None:
    live = rich.open([])
    assert (live.content(), live.size()) == ([], 2)
    assert live.apply(operation) == []
    assert live.apply([insert("a")]) == [delete(1)]
    assert live.apply([delete(1)]) == [insert("a")]
    assert (live.content(), live.size()) == ([], 2)
