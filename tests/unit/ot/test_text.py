"""The document type ``text``: its functions on operations written by hand, and what they refuse."""

import copy
import pickle
from typing import Any

import pytest

from fastcollab import ot
from fastcollab.ot import OperationError
from fastcollab.ot._text import MAX_LENGTH

text: Any = ot.types["text"]

WOMAN = "\U0001f469"  # beyond the 16-bit plane
COMBINING = "e\u0301"  # one character to the reader, two code points here

# Operations in normal form, the document that they are made against, and what they make of it.
GOOD: list[tuple[str, list[Any], str]] = [
    ("", [], ""),
    ("abc", [], "abc"),
    ("", ["abc"], "abc"),
    ("abc", ["x"], "xabc"),
    ("abc", [1, "x"], "axbc"),
    ("abc", [3, "x"], "abcx"),
    ("abc", [{"d": 3}], ""),
    ("abc", [{"d": "abc"}], ""),
    ("abc", [1, {"d": 1}], "ac"),
    ("abc", [1, {"d": "zz"}], "a"),  # the text of a delete counts by its length alone
    ("abc", ["x", {"d": 1}, "y", 1, {"d": 1}, "z"], "xybz"),
    (WOMAN * 3, [1, {"d": 1}, "x"], WOMAN + "x" + WOMAN),
    (COMBINING, [1, {"d": 1}], "e"),
    ("a\0b", [1, {"d": 1}, "\0\0"], "a\0\0b"),
    # The result must be stored as narrow as its characters allow, else it would not equal the same text.
    ("é" + "a" * 20, [{"d": 1}], "a" * 20),
    ("жa", [{"d": 1}], "a"),
    ("жaé", [{"d": 1}], "aé"),
    ("жaж", [{"d": 1}], "aж"),
    ("abéc", [2, {"d": 1}], "abc"),
    ("éabcdefgж", [2, {"d": 1}, 5, {"d": 1}], "éacdefg"),
    ("a" + WOMAN, [1, {"d": 1}, "ж"], "aж"),
    ("a" + WOMAN, ["ж", 1, {"d": 1}], "жa"),
    ("\U000f0000a\U0010ffff" + WOMAN, [3, {"d": 1}], "\U000f0000a\U0010ffff"),
    ("aaaa", [2, "é", 1, WOMAN], "aaéa" + WOMAN + "a"),
]

# Operations that no function takes, where the error points, and a word of what it says.
BAD: list[tuple[Any, tuple[int | str, ...], str]] = [
    (None, (), "must be a list"),
    ({}, (), "must be a list"),
    ("abc", (), "must be a list"),
    ((1, "a"), (), "must be a list"),
    ([None], (0,), "not NoneType"),
    ([True, "a"], (0,), "not bool"),
    ([1.0, "a"], (0,), "not float"),
    (["a", 1, ["b"]], (2,), "not list"),
    ([b"a"], (0,), "not bytes"),
    ([0, "a"], (0,), "must not be empty"),
    ([-1, "a"], (0,), "positive integer"),
    ([-(2**70), "a"], (0,), "positive integer"),
    ([2**53, "a"], (0,), "at most 9007199254740991"),
    ([2**64 + 1, "a"], (0,), "at most 9007199254740991"),
    ([""], (0,), "must not be empty"),
    (["a", ""], (1,), "must not be empty"),
    (["\ud800"], (0,), "surrogates"),
    (["a\udfff"], (0,), "surrogates"),
    ([WOMAN + "\udc69"], (0,), "surrogates"),
    ([1, {"d": "\ud83d"}], (1, "d"), "surrogates"),
    ([1, {}], (1,), 'exactly the key "d"'),
    ([1, {"e": 1}], (1,), 'exactly the key "d"'),
    ([1, {"d": 1, "e": 1}], (1,), 'exactly the key "d"'),
    ([{1: 1}], (0,), 'exactly the key "d"'),
    ([{"d": 0}], (0,), "must not be empty"),
    ([{"d": ""}], (0,), "must not be empty"),
    ([{"d": -1}], (0, "d"), "positive integer"),
    ([{"d": 2**53}], (0, "d"), "at most"),
    ([{"d": True}], (0, "d"), "length or the deleted text"),
    ([{"d": None}], (0, "d"), "length or the deleted text"),
    ([{"d": 1.5}], (0, "d"), "length or the deleted text"),
    ([{"d": ["a"]}], (0, "d"), "length or the deleted text"),
    ([1, 2, "a"], (1,), "merged"),
    (["a", "b"], (1,), "merged"),
    ([{"d": 1}, {"d": "a"}], (1,), "merged"),
    ([1], (0,), "must not be a skip"),
    (["a", 1], (1,), "must not be a skip"),
    ([2**53 - 1, {"d": 1}], (1,), "can be counted"),
    ([2**53 - 1, "a"], (1,), "can be counted"),
]


@pytest.mark.parametrize(("document", "operation", "result"), GOOD)
def test_apply_gives_the_expected_text_and_its_inverse_the_text_before(
    document: str, operation: list[Any], result: str
) -> None:
    before = copy.deepcopy(operation)
    text.check(operation)
    assert text.apply(document, operation) == result
    assert text.apply(result, text.invert(operation, document)) == document
    assert text.normalize(operation) == operation == before


@pytest.mark.parametrize(("operation", "path", "words"), BAD)
def test_every_function_refuses_a_bad_operation_and_says_where(
    operation: Any, path: tuple[int | str, ...], words: str
) -> None:
    calls = [
        lambda: text.check(operation),
        lambda: text.apply("abc", operation),
        lambda: text.invert(operation, "abc"),
        lambda: text.transform_position(0, operation),
    ]
    for call in calls:
        with pytest.raises(OperationError, match=words) as caught:
            call()
        assert caught.value.path == path
    # Where there are two operations, the error also says which.
    for call, argument in [
        (lambda: text.transform(operation, ["a"], "left"), None),
        (lambda: text.transform(["a"], operation, "left"), "'other'"),
        (lambda: text.compose(operation, ["a"]), "'first'"),
        (lambda: text.compose(["a"], operation), "'second'"),
    ]:
        with pytest.raises(OperationError, match=words) as caught:
            call()
        assert caught.value.path == path
        assert argument is None or argument in caught.value.reason


def test_an_error_reads_well_and_survives_pickling() -> None:
    with pytest.raises(OperationError) as caught:
        text.check(["a", 1, {"d": False}])
    assert str(caught.value) == "a delete must have a length or the deleted text (at [2]['d'])"
    again = pickle.loads(pickle.dumps(caught.value))
    assert (again.reason, again.path) == (caught.value.reason, caught.value.path)
    assert isinstance(again, ValueError)


@pytest.mark.parametrize(
    ("operation", "index"),
    [
        ([4, "x"], 0),
        ([1, {"d": 3}], 1),
        ([{"d": 4}], 0),
        ([2, {"d": 1}, "x", 1, "y"], 3),
        ([MAX_LENGTH - 1, "x"], 0),
    ],
)
def test_an_operation_beyond_the_end_of_the_document_is_refused(operation: list[Any], index: int) -> None:
    text.check(operation)
    for call in (lambda: text.apply("abc", operation), lambda: text.invert(operation, "abc")):
        with pytest.raises(OperationError, match="beyond the document's end, at 3") as caught:
            call()
        assert caught.value.path == (index,)


@pytest.mark.parametrize("document", [None, b"abc", 1, ["a"], "\ud800", "ж\udc00", WOMAN + "\udfff"])
def test_what_is_no_text_is_no_document(document: Any) -> None:
    for call in (lambda: text.apply(document, ["a"]), lambda: text.invert(["a"], document)):
        with pytest.raises(OperationError, match="text document must"):
            call()
    if document is not None:
        with pytest.raises(OperationError, match="text document must"):
            text.create(document)


def test_create() -> None:
    assert text.create() == ""
    assert text.create("\ud7ff\ue000" + WOMAN) == "\ud7ff\ue000" + WOMAN


def test_the_limits_hold_at_their_value_and_not_beyond() -> None:
    alternating: list[Any] = ["a", {"d": 1}] * 3
    text.check(alternating, max_components=6, max_text=3)
    with pytest.raises(OperationError, match="at most 5 components") as caught:
        text.check(alternating, max_components=5)
    assert caught.value.path == (5,)
    with pytest.raises(OperationError, match="at most 2 characters") as caught:
        text.check(alternating, max_text=2)
    assert caught.value.path == (4,)
    with pytest.raises(OperationError, match="at most 3 characters"):
        text.check(["aa", {"d": "bb"}], max_text=3)  # named deletes count: they are kept and sent on

    text.check(["a", {"d": 1}] * 5_000)
    with pytest.raises(OperationError, match="at most 10000 components"):
        text.check(["a", {"d": 1}] * 5_000 + ["a"])
    text.check(["a" * 2**20])
    with pytest.raises(OperationError, match="at most 1048576 characters"):
        text.check(["a" * (2**20 + 1)])


# Python stores an integer in digits of 30 bits, and reads those of one digit in another way.
@pytest.mark.parametrize("length", [1, 2**30 - 1, 2**30, 2**31, 2**32 + 1, MAX_LENGTH - 1])
def test_lengths_of_every_size_are_read_and_written(length: int) -> None:
    assert text.normalize([length, {"d": 1}]) == [length, {"d": 1}]
    assert text.transform([length, "b"], ["a"], "left") == [length + 1, "b"]
    assert text.compose([{"d": length}], ["a"]) == ["a", {"d": length}]


def test_lengths_that_outgrow_the_largest_integer_are_refused_not_wrapped() -> None:
    text.check([MAX_LENGTH - 1, "a"])
    with pytest.raises(OperationError, match="can be counted"):
        text.transform([MAX_LENGTH - 1, "a"], ["bb"], "left")
    with pytest.raises(OperationError, match="can be counted"):
        text.compose([{"d": MAX_LENGTH}], [{"d": 1}])
    with pytest.raises(OperationError, match="can be counted"):
        text.normalize([MAX_LENGTH] * 2000)


# a, b, a transformed over b on the left, on the right
TRANSFORMED: list[tuple[list[Any], list[Any], list[Any], list[Any]]] = [
    ([], ["a"], [], []),
    (["a"], [], ["a"], ["a"]),
    (["a"], ["b"], ["a"], [1, "a"]),
    ([2, "a"], [2, "bcd"], [2, "a"], [5, "a"]),
    ([2, "a"], [1, "bcd"], [5, "a"], [5, "a"]),
    ([2, "a"], [3, "b"], [2, "a"], [2, "a"]),
    ([5, "a"], [2, {"d": 2}], [3, "a"], [3, "a"]),
    ([3, "a"], [2, {"d": 2}], [2, "a"], [2, "a"]),
    ([2, {"d": 3}], [3, "b"], [2, {"d": 1}, 1, {"d": 2}], [2, {"d": 1}, 1, {"d": 2}]),
    ([2, {"d": "abc"}], [3, "b"], [2, {"d": "a"}, 1, {"d": "bc"}], [2, {"d": "a"}, 1, {"d": "bc"}]),
    ([2, {"d": "abc"}], [3, {"d": 1}], [2, {"d": "ac"}], [2, {"d": "ac"}]),
    ([{"d": 3}], [{"d": 3}], [], []),
    ([{"d": 3}], [1, {"d": 3}], [{"d": 1}], [{"d": 1}]),
    (["i", {"d": 2}, "j"], [1, "x", {"d": 1}], ["i", {"d": 1}, 1, "j"], ["i", {"d": 1}, 1, "j"]),
    ([WOMAN], [WOMAN * 2], [WOMAN], [2, WOMAN]),
]


@pytest.mark.parametrize(("operation", "other", "left", "right"), TRANSFORMED)
def test_transform(operation: list[Any], other: list[Any], left: list[Any], right: list[Any]) -> None:
    assert text.transform(operation, other, "left") == left
    assert text.transform(operation, other, "right") == right


def test_neighbouring_inserts_are_refused_because_they_would_not_converge() -> None:
    # Taken as two components, "a" and "b" would end on both sides of the other's text; at the other site,
    # which sees two characters inserted at one place, its own text would come behind both.
    with pytest.raises(OperationError, match="merged"):
        text.transform(["a", "b"], ["x"], "left")
    assert text.transform(text.normalize(["a", "b"]), ["x"], "left") == ["ab"]


@pytest.mark.parametrize("side", ["LEFT", "", "middle"])
def test_a_side_is_left_or_right(side: Any) -> None:
    with pytest.raises(ValueError, match="'left' or 'right'"):
        text.transform(["a"], ["b"], side)
    with pytest.raises(ValueError, match="'left' or 'right'"):
        text.transform_position(0, ["b"], side)


@pytest.mark.parametrize(
    ("first", "second", "both"),
    [
        ([], [], []),
        (["a"], [], ["a"]),
        ([], [2, "a"], [2, "a"]),
        (["ab"], [1, "x"], ["axb"]),
        (["ab"], [{"d": 2}], []),
        (["abc"], [1, {"d": "b"}], ["ac"]),
        ([2, "ab"], [2, {"d": "a"}], [2, "b"]),
        ([{"d": 2}], ["a"], ["a", {"d": 2}]),
        ([{"d": 2}, "ab"], ["c"], ["c", {"d": 2}, "ab"]),
        ([2, {"d": "xy"}], [1, {"d": "wz"}], [1, {"d": "wxyz"}]),
        ([2, {"d": "xy"}], [1, {"d": 2}], [1, {"d": 4}]),
        ([1, {"d": 1}], [5, "a"], [1, {"d": 1}, 4, "a"]),
        (["a", {"d": 1}], [{"d": 1}], [{"d": 1}]),
        (["abcdef"], [1, {"d": 1}, 1, {"d": 1}, 1, {"d": 1}], ["ace"]),
    ],
)
def test_compose(first: list[Any], second: list[Any], both: list[Any]) -> None:
    assert text.compose(first, second) == both


@pytest.mark.parametrize(
    ("operation", "document", "inverse"),
    [
        ([], "abc", []),
        ([1, "xy"], "abc", [1, {"d": "xy"}]),
        ([1, {"d": 2}], "abc", [1, "bc"]),
        ([1, {"d": "zz"}], "abc", [1, "bc"]),  # the document's text, not the text that the delete claims
        ([1, {"d": 1}, "x", 1, {"d": 1}], "abcd", [1, "b", {"d": "x"}, 1, "d"]),
        ([1, "x", {"d": 1}], "abc", [1, {"d": "x"}, "b"]),
    ],
)
def test_invert(operation: list[Any], document: str, inverse: list[Any]) -> None:
    assert text.invert(operation, document) == inverse


@pytest.mark.parametrize(
    ("position", "operation", "left", "right"),
    [
        (3, [], 3, 3),
        (0, ["ab"], 0, 2),
        (3, [3, "ab"], 3, 5),
        (4, [3, "ab"], 6, 6),
        (2, [3, "ab"], 2, 2),
        (4, [3, {"d": 5}], 3, 3),
        (3, [3, {"d": 5}], 3, 3),
        (8, [3, {"d": 5}], 3, 3),
        (9, [3, {"d": 5}], 4, 4),
        (4, [3, {"d": 2}, "ab"], 3, 5),
        (4, [3, "ab", {"d": 2}], 5, 5),
        (1, [WOMAN * 3], 4, 4),
    ],
)
def test_transform_position(position: int, operation: list[Any], left: int, right: int) -> None:
    assert text.transform_position(position, operation) == left
    assert text.transform_position(position, operation, "left") == left
    assert text.transform_position(position, operation, "right") == right


@pytest.mark.parametrize("position", [-1, True, 1.0, "1", None, 2**53, 2**70])
def test_what_is_no_position(position: Any) -> None:
    with pytest.raises(OperationError, match="position must be an integer") as caught:
        text.transform_position(position, [])
    assert caught.value.path == ()


@pytest.mark.parametrize(
    ("operation", "normal"),
    [
        ([], []),
        ([1, 2], []),
        (["a", "b", 0, "", "c"], ["abc"]),
        ([1, "", 2, "a", 0], [3, "a"]),
        ([{"d": "a"}, {"d": "b"}], [{"d": "ab"}]),
        ([{"d": "a"}, {"d": 2}, {"d": "b"}], [{"d": 4}]),
        ([{"d": 0}, {"d": ""}, 0, ""], []),
        ([{"d": 1}, 0, {"d": 1}, 5], [{"d": 2}]),
    ],
)
def test_normalize(operation: list[Any], normal: list[Any]) -> None:
    before = copy.deepcopy(operation)
    assert text.normalize(operation) == normal
    assert operation == before


@pytest.mark.parametrize("operation", [[-1], [None], [{"d": -1}], [{}], ["\ud800"], None])
def test_normalize_refuses_what_is_no_operation_at_all(operation: Any) -> None:
    with pytest.raises(OperationError):
        text.normalize(operation)


def test_results_share_nothing_that_can_change_with_the_arguments() -> None:
    operation: list[Any] = [1, "a", {"d": "xyz"}]
    for result in (
        text.normalize(operation),
        text.transform(operation, [], "left"),
        text.compose(operation, []),
        text.compose([], operation),
    ):
        assert result == operation
        assert result is not operation
        assert result[2] is not operation[2]


def test_operations_of_any_size_go_through() -> None:
    # More components than fit in the memory that every call has at hand.
    many: list[Any] = [1, "é", {"d": "b"}] * 5_000
    document = "ab" * 5_000
    assert text.apply(document, many) == "aé" * 5_000
    assert text.transform(many, [{"d": 10_000}], "left") == ["é" * 5_000]
    assert text.apply(document, text.compose(many, text.invert(many, document))) == document
