"""The document type ``json1``: what each part of an operation does, and what is refused."""

import copy
import json
import pickle
from typing import Any

import pytest

from fastcollab import ot
from fastcollab.ot import ABSENT, ConflictKind, OperationError

json1: Any = ot.types["json1"]

DEEPEST = 200


# -- absence ------------------------------------------------------------------------------------------------


def test_absent_is_one_object_that_is_false_and_no_null() -> None:
    assert not ABSENT and ABSENT is not None
    assert copy.deepcopy(ABSENT) is copy.copy(ABSENT) is pickle.loads(pickle.dumps(ABSENT)) is ABSENT
    assert repr(ABSENT) == "ABSENT"


def test_a_new_document_is_an_empty_object_unless_told_otherwise() -> None:
    given = {"a": [1]}
    assert json1.create() == {}
    assert json1.create(ABSENT) is ABSENT
    created = json1.create(given)
    assert created == given and created is not given and created["a"] is not given["a"]


@pytest.mark.parametrize("value", [{1: 2}, {"__proto__": 1}, float("nan"), 2**64, b"", "\ud800", (1,), {"a": {1, 2}}])
def test_a_document_must_be_json(value: Any) -> None:
    with pytest.raises(OperationError):
        json1.create(value)
    with pytest.raises(OperationError):
        json1.check(["a", {"i": value}])


# -- apply --------------------------------------------------------------------------------------------------

APPLIED: list[tuple[Any, Any, Any]] = [
    ({"a": 1}, None, {"a": 1}),
    (ABSENT, [{"i": None}], None),
    ({"a": 1}, [{"r": True}], ABSENT),
    ({"a": 1}, [{"r": None}], ABSENT),
    ({}, ["a", {"i": [1]}, 0, {"i": 2}], {"a": [2, 1]}),
    ({"a": "hé👧"}, ["a", {"es": [3, "!"]}], {"a": "hé👧!"}),
    ({"a": "x"}, ["a", {"et": "text-unicode", "e": [{"d": 1}]}], {"a": ""}),
    ({"a": 1.5}, ["a", {"ena": 0.5}], {"a": 2}),
    ({"a": 1}, ["a", {"et": "number", "e": -3}], {"a": -2}),
    ([0, 1, 2, 3], [[0, {"r": True}], [2, {"r": True}]], [1, 3]),
    ([1, 3], [[0, {"i": 0}], [2, {"i": 2}]], [0, 1, 2, 3]),
    ([0, 1, 2], [[0, {"p": 0}], [2, {"d": 0}]], [1, 2, 0]),
    ([0, 1, 2], [[0, {"d": 0}], [2, {"p": 0}]], [2, 0, 1]),
    ({"x": 1, "y": 2}, [["x", {"p": 0, "d": 1}], ["y", {"p": 1, "d": 0}]], {"x": 2, "y": 1}),
    ({"a": {"b": {"c": 1}}}, [["a", {"r": True}, "b", {"p": 0}], ["z", {"d": 0}]], {"z": {"c": 1}}),
    ({"a": {"b": 1}}, [{"p": 0}, "in", {"d": 0}], None),
    ({"a": {"b": 1}}, [{"p": 0, "i": {}}, "in", {"d": 0}], {"in": {"a": {"b": 1}}}),
    ({"a": "t"}, [["a", {"p": 0}], ["b", {"d": 0, "es": ["!"]}]], {"b": "!t"}),
    ({"a": {}}, ["b", {"r": True}], None),
    ({}, ["missing", "deeper", {"es": ["x"]}], None),
    ({"a": "x"}, ["a", "b", {"i": 1}], None),
    ([], [1, {"i": 0}], None),
    ({"a": 1}, ["a", {"i": 2}], None),
    ({"a": True}, ["a", {"ena": 1}], None),
    ({"a": "x"}, ["a", {"ena": 1}], None),
    ({"a": 1e308}, ["a", {"ena": 1e308}], None),
    ({"a": 1}, ["a", {"es": ["x"]}], None),
    ({"a": {}}, ["a", 0, {"i": 1}], None),
    ([], ["a", {"i": 1}], None),
]


@pytest.mark.parametrize(("document", "operation", "expected"), APPLIED)
@pytest.mark.parametrize("share", [False, True])
def test_apply(document: Any, operation: Any, expected: Any, share: bool) -> None:
    before = copy.deepcopy(document)
    if expected is None and operation != [{"i": None}]:
        with pytest.raises(OperationError) as caught:
            json1.apply(document, operation, share=share)
        assert caught.value.path
    else:
        result = json1.apply(document, operation, share=share)
        assert result == expected and type(result) is type(expected)
    assert document == before


def test_numbers_are_added_as_in_javascript() -> None:
    def total(one: Any, other: Any) -> Any:
        return json1.apply([one], [0, {"ena": other}])[0]

    assert total(0.5, 0.5) == 1 and isinstance(total(0.5, 0.5), int)
    assert total(2**53, 1) == 2**53
    assert total(2**53 - 1, 1) == 2**53
    assert total(-0.5, 0.5) == 0 and isinstance(total(-0.5, 0.5), int)
    assert isinstance(total(2**60, 2**60), float)


def test_with_sharing_only_the_way_to_the_change_is_copied() -> None:
    document = {"kept": {"a": 1}, "changed": {"b": [1], "c": []}}
    result = json1.apply(document, ["changed", "c", 0, {"i": 1}], share=True)
    assert result["kept"] is document["kept"]
    assert result["changed"]["b"] is document["changed"]["b"]
    assert result["changed"] is not document["changed"]
    assert document["changed"]["c"] == []


def test_a_live_document_changes_and_tells_how_to_undo_it() -> None:
    document = {"kept": [1], "t": "é", "gone": {"n": 1}}
    operation = [["gone", {"r": True}], ["t", {"es": [1, "!"]}]]
    live = json1.open(document)
    inverse = live.apply(operation)
    assert inverse == json1.invert(operation, document)
    assert live.content() == {"kept": [1], "t": "é!"} and live.content()["kept"] is document["kept"]
    assert live.size() == len(json.dumps(live.content(), ensure_ascii=False, separators=(",", ":")).encode())
    with pytest.raises(OperationError):
        live.apply([["kept", 0, {"r": True}], ["missing", {"r": True}]])
    assert live.content() == {"kept": [1], "t": "é!"}
    live.apply(inverse)
    assert live.content() == document == {"kept": [1], "t": "é", "gone": {"n": 1}}
    assert live.apply(None) is None
    live.apply([{"r": True}])
    assert (live.content(), live.size()) == (ABSENT, 0)
    assert json1.open("é").size() == 2


# -- form ---------------------------------------------------------------------------------------------------

MALFORMED: list[tuple[Any, tuple[int | str, ...]]] = [
    ([], ()),
    ("x", ()),
    ({}, ()),
    (ABSENT, ()),
    (["a"], ()),
    (["a", {}], (1,)),
    ([{"r": True}, {"i": 1}], (1,)),
    ([["a", {"r": True}]], ()),
    ([["b", {"r": True}], ["a", {"r": True}]], (1,)),
    ([["a", {"r": True}], ["a", {"i": 1}]], (1, 1)),
    ([["a", {"r": True}], ["a", "b", {"i": 1}]], (1,)),
    ([["a", {"r": True}], [0, {"r": True}]], (1,)),
    ([["\uffff", {"r": True}], ["\U00010000", {"r": True}]], (1,)),
    ([["a", {"r": True}], ["b", {"r": True}], "c", {"r": True}], (2,)),
    ([["a", {"r": True}], [["b", {"r": True}], ["c", {"r": True}]]], (1, 0)),
    ([["a", {"r": True}], [{"r": True}]], (1, 0)),
    (["a", ["b", {"r": True}], []], (2,)),
    ([-1, {"r": True}], (0,)),
    ([True, {"r": True}], (0,)),
    ([1.0, {"r": True}], (0,)),
    ([2**31, {"r": True}], (0,)),
    ([None, {"r": True}], (0,)),
    (["__proto__", {"r": True}], (0,)),
    (["\ud800", {"r": True}], (0,)),
    (["a", {"x": 1}], (1,)),
    (["a", {1: 1}], (1,)),
    (["a", {"p": 0}], ()),
    ([["a", {"p": 1}], ["b", {"d": 1}]], (0, 1, "p")),
    ([["a", {"p": 0}], ["b", {"p": 0}], ["c", {"d": 0}], ["d", {"d": 1}]], (1, 1, "p")),
    ([["a", {"p": 0}], ["b", {"d": 1}]], (1, 1, "d")),
    ([["a", {"p": "0"}], ["b", {"d": 0}]], (0, 1, "p")),
    ([["a", {"p": True}], ["b", {"d": 0}]], (0, 1, "p")),
    ([["a", {"p": 0, "r": True}], ["b", {"d": 0}]], (0, 1)),
    ([["a", {"p": 0}], ["b", {"d": 0, "i": 1}]], (1, 1)),
    (["a", {"es": 5}], (1, "es")),
    (["a", {"es": ["a", "b"]}], (1, "es", 1)),
    (["a", {"es": [1]}], (1, "es", 0)),
    (["a", {"ena": "1"}], (1, "ena")),
    (["a", {"ena": True}], (1, "ena")),
    (["a", {"ena": float("inf")}], (1, "ena")),
    (["a", {"ena": 2**64}], (1, "ena")),
    (["a", {"es": [], "ena": 1}], (1,)),
    (["a", {"es": [], "et": "number", "e": 1}], (1,)),
    (["a", {"e": 1}], (1,)),
    (["a", {"et": "number"}], (1,)),
    (["a", {"et": "nothing", "e": 1}], (1, "et")),
    (["a", {"et": ["number"], "e": 1}], (1, "et")),
    (["a", {"et": "json1", "e": ["b", {}]}], (1, "e", 1)),
]


@pytest.mark.parametrize(("operation", "path"), MALFORMED)
def test_a_malformed_operation_is_refused_with_its_place(operation: Any, path: tuple[int | str, ...]) -> None:
    with pytest.raises(OperationError) as caught:
        json1.check(operation)
    assert caught.value.path == path
    with pytest.raises(OperationError, match="argument 'other'"):
        json1.transform(None, operation, "left")


WELL_FORMED: list[Any] = [
    None,
    [{"r": True}],
    ["a", {"es": []}],
    ["a", {"ena": 0}],
    [[0, {"r": 0}], [1, {"r": 0}], ["", {"r": 0}], ["a", {"r": 0}], ["\U00010000", {"r": 0}], ["\uffff", {"r": 0}]],
    ["a", {"r": None, "i": None}, "b", {"i": 2**64 - 1}],
    [["a", {"p": 0, "d": 1}], ["b", {"p": 1, "d": 0}]],
    ["a", {"et": "json1", "e": ["b", {"et": "json1", "e": None}]}],
    [2**31 - 1, {"i": {"": {"__proto": -(2**63)}}}],
]


@pytest.mark.parametrize("operation", WELL_FORMED)
def test_a_well_formed_operation_passes(operation: Any) -> None:
    json1.check(operation)
    assert json1.transform(operation, None, "left") == operation


def test_normalize_takes_more_and_gives_normal_form() -> None:
    loose = [["b", {"d": 7}], ["a", {}, [["x", {"p": 7}]]], ["c", {"es": []}], ["d", {"es": ["a", "b", 0]}]]
    assert json1.normalize(loose) == [["a", "x", {"p": 0}], ["b", {"d": 0}], ["d", {"es": ["ab"]}]]
    assert json1.normalize([["a", {"et": "number", "e": 1}]]) == ["a", {"ena": 1}]
    assert json1.normalize([["a", {"es": []}]]) is None
    for refused in ([["a", {"p": 0}]], [["a", {"p": 0}], ["b", {"p": 0}], ["c", {"d": 0}]], ["a", {"r": 1}, {"i": 1}]):
        with pytest.raises(OperationError):
            json1.normalize(refused)


# -- limits -------------------------------------------------------------------------------------------------


def nested(depth: int) -> Any:
    value: Any = []
    for _ in range(depth - 1):
        value = [value]
    return value


def test_operations_and_documents_have_a_greatest_depth() -> None:
    json1.check([*["a"] * DEEPEST, {"r": True}])
    json1.check(["a", {"i": nested(DEEPEST - 1)}])
    json1.create(nested(DEEPEST))
    for call in (
        lambda: json1.check([*["a"] * (DEEPEST + 1), {"r": True}]),
        lambda: json1.check(["a", {"i": nested(DEEPEST)}]),
        lambda: json1.check(["a", {"i": nested(100_000)}]),
        lambda: json1.check(["a"] * 1_000_000),
        lambda: json1.normalize(nested(100_000)),
        lambda: json1.create(nested(DEEPEST + 1)),
        lambda: json1.check_position([0] * (DEEPEST + 2)),
    ):
        with pytest.raises(OperationError):
            call()


def test_moves_cannot_make_a_document_deeper_than_that() -> None:
    document = {"deep": nested(150), "other": nested(60)}
    target: list[Any] = ["other", *[0] * 59, 0]
    with pytest.raises(OperationError, match="too deeply"):
        json1.apply(document, [["deep", {"p": 0}], [*target, {"d": 0}]])


def test_edits_within_edits_within_edits_are_refused_at_some_depth() -> None:
    operation: Any = None
    for _ in range(50_000):
        operation = [{"et": "json1", "e": operation}]
    with pytest.raises(OperationError):
        json1.check(operation)
    while operation:  # freed from the outside in, or Python would recurse
        operation = operation[0].pop("e")


def test_the_number_of_components_is_limited() -> None:
    operation = [[index, {"r": True}] for index in range(1_000)]
    json1.check(operation)
    with pytest.raises(OperationError, match="at most 999 components"):
        json1.check(operation, max_components=999)
    with pytest.raises(OperationError, match="at most 1000 components"):
        json1.check([*operation, [1_000, {"r": True}]])


@pytest.mark.parametrize("side", ["left", "right"])
def test_the_number_of_conflicts_is_limited(side: str) -> None:
    def inserts(count: int, value: int) -> Any:
        return [[f"{index:03}", {"i": value}] for index in range(count)]

    resolved = json1.transform(inserts(256, 1), inserts(256, 2), side)
    assert resolved is None if side == "right" else len(resolved) == 256
    with pytest.raises(OperationError, match="more than 256 conflicts"):
        json1.transform(inserts(257, 1), inserts(257, 2), side)


# -- transform ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("side", ["left", "right"])
def test_transform_of_what_does_not_meet(side: str) -> None:
    def transform(operation: Any, other: Any) -> Any:
        return json1.transform(operation, other, side)

    assert transform([3, {"r": True}], [1, {"i": 0}]) == [4, {"r": True}]
    assert transform([3, {"es": ["x"]}], [1, {"r": True}]) == [2, {"es": ["x"]}]
    assert transform(["a", "b", {"ena": 1}], [["a", {"p": 0}], ["z", {"d": 0}]]) == ["z", "b", {"ena": 1}]
    assert transform(["a", {"r": True}], [["a", {"p": 0}], ["z", {"d": 0}]]) == ["z", {"r": True}]
    assert transform(["a", "b", {"i": 1}], ["a", {"r": True}]) is None
    assert transform(["a", {"r": True}], ["a", {"r": True}]) is None


def test_the_left_side_goes_first_in_lists_and_texts() -> None:
    assert json1.transform([1, {"i": "mine"}], [1, {"i": "theirs"}], "left") == [1, {"i": "mine"}]
    assert json1.transform([1, {"i": "mine"}], [1, {"i": "theirs"}], "right") == [2, {"i": "mine"}]
    assert json1.transform(["a", {"es": ["x"]}], ["a", {"es": ["y"]}], "left") == ["a", {"es": ["x"]}]
    assert json1.transform(["a", {"es": ["x"]}], ["a", {"es": ["y"]}], "right") == ["a", {"es": [1, "x"]}]


def test_of_two_moves_of_one_thing_the_left_one_counts() -> None:
    mine, theirs = [["a", {"p": 0}], ["x", {"d": 0}]], [["a", {"p": 0}], ["y", {"d": 0}]]
    assert json1.transform(mine, theirs, "left") == [["x", {"d": 0}], ["y", {"p": 0}]]
    assert json1.transform(mine, theirs, "right") is None


# The resolution removes what was inserted, and then what it was inserted into.
REMOVED = ["a", {"r": True}, "b", {"r": True}]

CONFLICTS: list[tuple[ConflictKind, Any, Any, Any, Any]] = [
    # kind, mine, theirs, mine on the left and on the right
    (ConflictKind.REMOVED, ["a", {"r": True}], ["a", "b", {"i": 1}], REMOVED, REMOVED),
    (ConflictKind.REMOVED, ["a", {"r": True}], ["a", {"es": ["x"]}], ["a", {"r": True}], ["a", {"r": True}]),
    (ConflictKind.COLLISION, ["a", {"i": 1}], ["a", {"i": 2}], ["a", {"r": True, "i": 1}], None),
    (ConflictKind.COLLISION, ["a", {"i": True}], ["a", {"i": 1}], ["a", {"r": True, "i": True}], None),
    (
        ConflictKind.BLACK_HOLE,
        [["a", {"p": 0}], ["b", "c", {"d": 0}]],
        [["a", "c", {"d": 0}], ["b", {"p": 0}]],
        ["a", {"r": True}, "c", {"r": True}],
        ["a", {"r": True}, "c", {"r": True}],
    ),
]


@pytest.mark.parametrize(("kind", "mine", "theirs", "on_left", "on_right"), CONFLICTS)
def test_conflicts_are_reported_and_resolved(
    kind: ConflictKind, mine: Any, theirs: Any, on_left: Any, on_right: Any
) -> None:
    for side, expected in (("left", on_left), ("right", on_right)):
        result, conflict = json1.try_transform(mine, theirs, side)
        assert result is None and conflict.kind is kind
        assert (conflict.operation, conflict.other) == (mine, theirs)
        assert json1.transform(mine, theirs, side) == expected


def test_identical_inserts_are_one_insert() -> None:
    assert json1.transform(["a", {"i": {"n": 1}}], ["a", {"i": {"n": 1.0}}], "right") is None
    assert json1.transform(["a", {"i": 2**53}], ["a", {"i": 2**53 + 1}], "right") is None


def test_conflicts_bring_all_edits_into_normal_form() -> None:
    edit = ["y", {"et": "json1", "e": ["t", {"et": "text-unicode", "e": ["x"]}]}]
    normal = ["y", {"et": "json1", "e": ["t", {"es": ["x"]}]}]
    assert json1.transform(edit, ["x", {"r": True}], "left") == edit
    assert json1.transform([["x", "in", {"i": 1}], edit], ["x", {"r": True}], "left") == normal
    assert json1.transform([["x", "in", {"i": 1}], ["z", {"es": []}]], ["x", {"r": True}], "left") is None


def test_many_conflicts_are_resolved_one_by_one() -> None:
    keys = [f"key {index:03}" for index in range(200)]
    mine, theirs = ([[key, {"i": f"{author} {key}"}] for key in keys] for author in ("Ann's", "Ben's"))
    resolved = [[key, {"r": True, "i": f"Ann's {key}"}] for key in keys]
    assert json1.transform(mine, theirs, "left") == resolved
    assert json1.transform(mine, theirs, "right") is None


def test_what_cannot_be_resolved_is_refused_at_once() -> None:
    mine = [["a", {"d": 0}], ["b", {"p": 0}, 0, {"p": 1}], ["c", "c", {"d": 1, "ena": -1}]]
    theirs = [{"p": 0, "d": 0}, ["b", [0, {"d": 1}], [1, {"ena": 1.5}]], ["c", {"p": 1}]]
    with pytest.raises(OperationError, match="beyond resolution"):
        json1.transform(theirs, mine, "left")


def test_edits_of_different_types_do_not_mix() -> None:
    for call in (json1.compose, lambda one, other: json1.transform(one, other, "left")):
        with pytest.raises(OperationError, match="different types"):
            call(["a", {"es": ["x"]}], ["a", {"ena": 1}])


def test_a_side_is_left_or_right() -> None:
    with pytest.raises(ValueError, match="side must be"):
        json1.transform(None, None, "middle")


# -- compose and invert -------------------------------------------------------------------------------------


def test_compose_joins_what_meets() -> None:
    insert = ["a", {"i": {"t": "x"}}]
    assert json1.compose(insert, ["a", {"r": True}]) is None
    assert json1.compose(insert, ["a", "t", {"r": True}]) == ["a", {"i": {}}]
    assert json1.compose(insert, [["a", {"p": 0}], ["b", {"d": 0}]]) == ["b", {"i": {"t": "x"}}]
    move, further = [["a", {"p": 0}], ["b", {"d": 0}]], [["b", {"p": 0}], ["c", {"d": 0}]]
    assert json1.compose(move, further) == [["a", {"p": 0}], ["c", {"d": 0}]]
    assert json1.compose(move, ["b", {"r": True}]) == ["a", {"r": True}]
    assert json1.compose(["a", {"es": ["x"]}], ["a", {"es": [1, "y"]}]) == ["a", {"es": ["xy"]}]
    assert json1.compose(["a", {"ena": 1}], ["a", {"ena": -1}]) == ["a", {"ena": 0}]


def test_invert_tells_what_was_removed() -> None:
    document = {"a": {"b": [1, 2]}, "t": "text", "n": 1}
    operation = [["a", {"r": True}, "b", {"p": 0}], ["n", {"ena": 2}], ["t", {"es": [{"d": 1}]}], ["z", {"d": 0}]]
    inverse = json1.invert(operation, document)
    assert inverse == [
        ["a", {"i": {}}, "b", {"d": 0}],
        ["n", {"ena": -2}],
        ["t", {"es": ["t"]}],
        ["z", {"p": 0}],
    ]
    assert json1.apply(json1.apply(document, operation), inverse) == document
    with pytest.raises(OperationError):
        json1.invert(["missing", {"r": True}], document)
    with pytest.raises(OperationError):
        json1.invert(["missing", {"es": ["x"]}], document)


# -- positions ----------------------------------------------------------------------------------------------


def test_positions_follow_what_they_are_on() -> None:
    def moved(position: Any, operation: Any, side: str = "left") -> Any:
        return json1.transform_position(position, operation, side)

    assert moved([2, "t", 3], [0, {"i": 1}]) == [3, "t", 3]
    assert moved([2, "t", 3], [0, {"r": True}]) == [1, "t", 3]
    assert moved([2, "t", 3], [2, {"r": True}]) is None
    assert moved([2, "t", 3], [[0, {"d": 0}], [2, "t", {"p": 0}]]) == [0, 3]
    assert moved(["t", 3], ["t", {"es": ["👧"]}]) == ["t", 4]
    assert moved(["t", 3], ["t", {"es": [3, "x"]}]) == ["t", 3]
    assert moved(["t", 3], ["t", {"es": [3, "x"]}], "right") == ["t", 4]
    assert moved([], None) == []
    assert moved(["a"], [{"p": 0, "i": {}}, "in", {"d": 0}]) == ["in", "a"]


@pytest.mark.parametrize("position", [3, "a", None, [-1], [1.0], [True], [None], ["\ud800"], [2**53]])
def test_what_is_no_path_is_no_position(position: Any) -> None:
    with pytest.raises(OperationError):
        json1.check_position(position)
    with pytest.raises(OperationError):
        json1.transform_position(position, None)


def test_text_has_numbers_for_positions() -> None:
    ot.types["text"].check_position(0)
    for position in (-1, True, [0], "0", 2**53):
        with pytest.raises(OperationError):
            ot.types["text"].check_position(position)
