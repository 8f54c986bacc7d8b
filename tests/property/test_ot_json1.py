"""The laws of the document type ``json1``, for operations that nobody wrote by hand."""

import copy
import json
import math
from collections import Counter
from collections.abc import Iterator
from random import Random
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, Phase, find, given, settings
from hypothesis import strategies as st
from tests.generators import json1 as generator

from fastcollab import ot
from fastcollab.ot import ABSENT, OperationError
from fastcollab.ot._json1 import Json1Type
from fastcollab.ot.live import open_document

json1: Any = ot.types["json1"]

Case = dict[str, Any]

LAWS = settings(max_examples=400, suppress_health_check=[HealthCheck.too_slow], deadline=None)
SEARCH = settings(max_examples=2_000, phases=[Phase.generate], database=None, deadline=None)

SIDE_NAMES: tuple[ot.Side, ot.Side] = ("left", "right")
SIDES: st.SearchStrategy[ot.Side] = st.sampled_from(SIDE_NAMES)
# Seeds, not draws: a case is small already, and its seed is all that is needed to see it again.
CASES: st.SearchStrategy[Case] = st.integers(0, 2**32).map(lambda seed: generator.case(Random(seed)))

UNRESOLVED = "contradict each other beyond resolution"


def document_of(case: Case) -> Any:
    return case.get("document", ABSENT)


def same(one: Any, other: Any) -> bool:
    """Equal as JSON values, but for what the order of additions does to a float."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, int | float):
        return isinstance(other, int | float) and math.isclose(one, other, rel_tol=1e-9, abs_tol=1e-9)
    if isinstance(one, list):
        return isinstance(other, list) and len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, dict):
        return isinstance(other, dict) and one.keys() == other.keys() and all(same(one[k], other[k]) for k in one)
    return bool(one == other)


def ends(case: Case, side_of_a: ot.Side, side_of_b: ot.Side) -> tuple[Any, Any]:
    """The document by way of `a` first, and by way of `b` first."""
    document, a, b = document_of(case), case["a"], case["b"]
    by_a = json1.apply(json1.apply(document, a), json1.transform(b, a, side_of_b))
    by_b = json1.apply(json1.apply(document, b), json1.transform(a, b, side_of_a))
    return by_a, by_b


def containers(value: Any) -> set[int]:
    """The identities of all lists and dicts in the value."""
    if isinstance(value, list):
        return {id(value)}.union(*map(containers, value))
    if isinstance(value, dict):
        return {id(value)}.union(*map(containers, value.values()))
    return set()


@given(CASES, SIDES)
@LAWS
def test_both_orders_end_in_the_same_document(case: Case, side: ot.Side) -> None:
    try:
        by_a, by_b = ends(case, side, "right" if side == "left" else "left")
    except OperationError as error:
        assert UNRESOLVED in error.reason
        return
    assert same(by_a, by_b)


@pytest.mark.parametrize("side", ["left", "right"])
def test_a_wrong_side_would_be_noticed(side: ot.Side) -> None:
    def diverges(case: Case) -> bool:
        try:
            by_a, by_b = ends(case, side, side)
        except OperationError:
            return True
        return not same(by_a, by_b)

    find(CASES, diverges, settings=SEARCH)


def test_a_wrong_side_within_an_edit_would_be_noticed() -> None:
    rich: Any = ot.types["rich-text"]

    class OtherSides:
        def __getattr__(self, name: str) -> Any:
            return getattr(rich, name)

        def transform(self, operation: Any, other: Any, side: ot.Side) -> Any:
            return rich.transform(operation, other, "right" if side == "left" else "left")

    sabotaged: Any = Json1Type({"rich-text": OtherSides(), "json1": json1})

    def diverges(case: Case) -> bool:
        document, a, b = document_of(case), case["a"], case["b"]
        try:
            theirs = json1.apply(json1.apply(document, a), sabotaged.transform(b, a, "right"))
        except OperationError:
            return True
        return not same(theirs, ends(case, "left", "right")[1])

    find(CASES, diverges, settings=SEARCH)


def features(case: Case) -> Iterator[str]:
    """What occurs in the case of what is rare, or would be without care."""
    a, b, c = case["a"], case["b"], case["c"]
    everything = json.dumps([a, b, c], ensure_ascii=False)
    for side in SIDE_NAMES:
        conflict = json1.try_transform(a, b, side)[1]
        if conflict is not None:
            yield conflict.kind.name
            moves = [json.dumps(each) for each in (conflict.operation, conflict.other) if '"p"' in json.dumps(each)]
            if conflict.kind is ot.ConflictKind.REMOVED and moves:
                yield "a move into what is removed"
    for name in ("rich-text", "json1", "number", "text-unicode"):
        if f'"et": "{name}"' in everything:
            yield f"an edit of {name}"
        if name in ("rich-text", "json1") and all(f'"et": "{name}"' in json.dumps(each) for each in (a, b)):
            yield f"edits of {name} against each other"
    if isinstance(document_of(case), list) and all(isinstance(each, list) for each in (a, b)):
        tops = [[part for part in each if isinstance(part, list)] or [each] for each in (a, b)]
        moving = [any(len(part) == 2 and isinstance(part[0], int) and "p" in part[1] for part in each) for each in tops]
        removing = [
            any(len(part) == 2 and isinstance(part[0], int) and "r" in part[1] for part in each) for each in tops
        ]
        if (moving[0] and removing[1]) or (moving[1] and removing[0]):
            yield "moves in a list among removals"
    if any(ord(character) > 0xFFFF for character in everything):
        yield "a surrogate pair"
    if '"es": []' in everything or '"e": []' in everything:
        yield "an edit that says nothing"
    if None in (a, b, c):
        yield "an empty operation"
    if "document" not in case:
        yield "no document"


def test_the_cases_have_what_is_rare() -> None:
    random = Random(5)
    found = Counter(feature for _ in range(4_000) for feature in set(features(generator.case(random))))
    assert len(found) == 15 and min(found.values()) >= 10, found


@given(CASES)
@LAWS
def test_a_composed_operation_does_what_its_parts_do(case: Case) -> None:
    document, a, c = document_of(case), case["a"], case["c"]
    composed = json1.compose(a, c)
    json1.check(composed)
    assert same(json1.apply(document, composed), json1.apply(json1.apply(document, a), c))


@given(CASES)
@LAWS
def test_an_inverse_takes_its_operation_back(case: Case) -> None:
    document, a = document_of(case), case["a"]
    inverse = json1.invert(a, document)
    json1.check(inverse)
    assert same(json1.apply(json1.apply(document, a), inverse), document)


@given(CASES, SIDES)
@LAWS
def test_results_are_operations_and_transform_agrees_with_its_trial(case: Case, side: ot.Side) -> None:
    a, b = case["a"], case["b"]
    tried, conflict = json1.try_transform(a, b, side)
    if conflict is None:
        assert json1.transform(a, b, side) == tried
        json1.check(tried)
        return
    assert tried is None
    mirrored = json1.try_transform(b, a, "right" if side == "left" else "left")[1]
    assert mirrored is not None and mirrored.kind in tuple(ot.ConflictKind)
    for part in (conflict.operation, conflict.other):
        json1.check(part)


@given(CASES)
@LAWS
def test_normal_form_is_reached_at_once_and_does_the_same(case: Case) -> None:
    document, a = document_of(case), case["a"]
    normal = json1.normalize(a)
    json1.check(normal)
    assert json1.normalize(normal) == normal
    assert same(json1.apply(document, normal), json1.apply(document, a))


@given(CASES)
@LAWS
def test_nothing_given_is_changed_and_nothing_returned_is_shared(case: Case) -> None:
    before = copy.deepcopy(case)
    document, a, b, c = document_of(case), case["a"], case["b"], case["c"]
    given_containers = containers(case)
    results = [json1.apply(document, a), json1.compose(a, c), json1.invert(a, document), json1.normalize(a)]
    results.append(json1.try_transform(a, b, "left")[0])
    results += [json1.transform_position(position, a) for position in case["positions"]]
    json1.apply(document, a, share=True)
    for result in results:
        assert not containers(result) & given_containers
    assert case == before


@given(CASES)
@LAWS
def test_sharing_changes_nothing_but_what_is_shared(case: Case) -> None:
    document, a = document_of(case), case["a"]
    assert json1.apply(document, a, share=True) == json1.apply(document, a)


@given(CASES)
@LAWS
def test_a_position_stays_on_its_value(case: Case) -> None:
    document, a = document_of(case), case["a"]
    after = json1.apply(document, a)
    for path in generator.places(document):
        value = generator.at(document, path)
        position = json1.transform_position(path, a)
        # Only what cannot be edited is sure to be the same afterwards.
        if position is not None and (value is None or isinstance(value, bool)):
            assert generator.at(after, position) is value


KEYS = st.sampled_from(["a", "b", "p", "__proto__", "\ud800", "\U00010000"]) | st.integers(-1, 3) | st.just(2**31)
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats()
    | st.text(st.characters(), max_size=2)
    | KEYS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["a", "__proto__"]), inner, max_size=2),
    max_leaves=5,
)
COMPONENTS = st.dictionaries(
    st.sampled_from(["p", "d", "r", "i", "e", "et", "es", "ena", "x"]),
    st.integers(0, 1) | JSON | st.sampled_from(["text-unicode", "number", "json1", "none"]),
    max_size=3,
)
ALMOST = st.recursive(
    st.lists(KEYS | COMPONENTS, max_size=4),
    lambda inner: st.lists(KEYS | COMPONENTS | inner, max_size=4),
    max_leaves=6,
)


@given(ALMOST | JSON, st.sampled_from([ABSENT, {"a": [1, "text"], "b": {}}, [[], 0]]))
@settings(max_examples=1_000, deadline=None)
def test_any_json_is_an_operation_or_refused(value: Any, document: Any) -> None:
    try:
        json1.check(value)
    except OperationError as error:
        assert all(isinstance(step, int | str) for step in error.path)
        for call in (
            lambda: json1.apply(document, value),
            lambda: json1.transform(value, ["a", {"r": True}], "left"),
            lambda: json1.transform(["a", {"r": True}], value, "right"),
            lambda: json1.compose(value, None),
            lambda: json1.compose(None, value),
            lambda: json1.invert(value, document),
            lambda: json1.transform_position([], value),
        ):
            with pytest.raises(OperationError):
                call()
    else:
        assert json1.transform(value, None, "left") == json1.compose(value, None) == value
        for call in (lambda: json1.apply(document, value), lambda: json1.invert(value, document)):
            try:
                call()
            except OperationError as error:
                assert all(isinstance(step, int | str) for step in error.path)


@LAWS
@given(seed=st.integers(0, 2**32))
def test_a_live_document_knows_its_size(seed: int) -> None:
    """It does not encode what an operation has left alone."""
    random = Random(seed)
    content = generator.document(random)
    live = open_document(json1, content)
    for _ in range(6):
        inverse = live.apply(generator.operation(random, live.content()))
        if random.random() < 0.3:
            live.apply(inverse)
        if random.random() < 0.8:
            assert live.size() == _size(live.content())


def _size(content: Any) -> int:
    if content is ABSENT:
        return 0
    return len(content.encode() if isinstance(content, str) else orjson.dumps(content))
