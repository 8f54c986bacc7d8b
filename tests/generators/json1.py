"""Generated documents and operations of the type ``json1``.

An operation is made as an author would make it, by small steps: insert, remove, replace, move, edit, each against
what the document is by then; and the steps are composed. Since the steps of one operation meet in few places of a
small document, they move into what they have inserted, remove what they have moved, edit what they move, and so on;
and two operations against one document contend for most of it. What would still be rare, `entangled` makes: moves
into each other, moves into removed parents, and list moves among removals.

Some values are documents of a type of their own, edited with ``et`` and ``e`` alone: rich text, which is known by its
inserts, and json1 within json1, which is an object with the key `WITHIN`. No step looks into them, since an edit does
not follow what others do inside of the value that it edits.
"""

import random as random_module
from typing import Any

from tests.generators import rich_text

from fastcollab import ot

json1: Any = ot.types["json1"]
text: Any = ot.types["text"]
rich: Any = ot.types["rich-text"]

Path = list[str | int]

# Few keys, so that operations meet; with each border of the order by UTF-16 units.
KEYS = ["a", "b", "x", "é", "\uffff", "\U00010000"]
TEXTS = ["", "a", "hello", "e\u0301", "👩👧", "\ud7ff\ue000", "漢字\n"]
WITHIN = "§"
NUMBERS = [0, 1, -1, 7, 0.5, -2.25, 1e10, 2**31, 2**53, 2**53 - 1]


def value(random: random_module.Random, depth: int = 2) -> Any:
    """A small JSON value."""
    kind = random.randrange(10 if depth else 5)
    if kind == 0:
        return random.choice(NUMBERS)
    if kind <= 2:
        return random.choice(TEXTS)
    if kind <= 4:
        return random.choice([None, True, False, 1, 0, 1.5])
    if kind <= 6:
        return [value(random, depth - 1) for _ in range(random.randrange(5))]
    if kind == 7:
        return rich_document(random) if random.random() < 0.8 else {WITHIN: value(random, 1)}
    return {key: value(random, depth - 1) for key in random.sample(KEYS, random.randrange(4))}


def rich_document(random: random_module.Random) -> Any:
    """A document of rich text, not empty."""
    return without_nulls([{"insert": "z"}, *rich_text.document_of(rich_text.units(random, random.randrange(3)))])


def without_nulls(delta: Any) -> Any:
    """The inserts without attributes that are null: quill-delta's inverse loses these, see the tests of rich text."""
    for component in delta:
        if "insert" in component and None in component.get("attributes", {}).values():
            del component["attributes"]
    return rich.normalize(delta)


def is_rich(node: Any) -> bool:
    return isinstance(node, list) and bool(node) and all(isinstance(each, dict) and "insert" in each for each in node)


def is_opaque(node: Any) -> bool:
    """Whether the value is edited as a whole."""
    return is_rich(node) or (isinstance(node, dict) and WITHIN in node)


def document(random: random_module.Random) -> Any:
    """A document; mostly an object or a list, and now and then none."""
    if random.random() < 0.03:
        return ot.ABSENT
    if random.random() < 0.1:
        return value(random, 1)
    if random.random() < 0.5:
        return [value(random) for _ in range(random.randrange(1, 6))]
    return {key: value(random) for key in random.sample(KEYS, random.randrange(1, 5))}


def places(node: Any, path: Path | None = None) -> list[Path]:
    """The paths of all values in the document."""
    path = path or []
    if node is ot.ABSENT:
        return []
    found = [path]
    if is_opaque(node):
        return found
    if isinstance(node, list):
        for index, inner in enumerate(node):
            found += places(inner, [*path, index])
    elif isinstance(node, dict):
        for key, inner in node.items():
            found += places(inner, [*path, key])
    return found


def at(node: Any, path: Path) -> Any:
    """The value that the path leads to."""
    for key in path:
        node = node[key]
    return node


def gap(random: random_module.Random, node: Any) -> Path | None:
    """A place where something can be put: a free key, an index of a list, or the root of no document."""
    if node is ot.ABSENT:
        return []
    candidates: list[Path] = []
    for path in places(node):
        container = at(node, path)
        if is_opaque(container):
            continue
        if isinstance(container, list):
            candidates.append([*path, random.randrange(len(container) + 1)])
        elif isinstance(container, dict):
            free = [key for key in KEYS if key not in container]
            if free:
                candidates.append([*path, random.choice(free)])
    return random.choice(candidates) if candidates else None


def text_edit(random: random_module.Random, string: str) -> list[Any]:
    """An edit of the text; seldom one that says nothing."""
    edit: list[Any] = []
    rest = len(string)
    for _ in range(random.randrange(4)):
        if rest and random.random() < 0.6:
            length = random.randrange(1, rest + 1)
            edit.append(length if random.random() < 0.6 else {"d": length})
            rest -= length
        else:
            edit.append(random.choice(["x", "yz", "👧", "\uffff"]))
    return text.normalize(edit)


def rich_edit(random: random_module.Random, delta: Any) -> Any:
    """An edit of the rich text, which does not leave it empty."""
    units = [(each, c.get("attributes", {})) for c in delta for each in unit_contents(c["insert"])]
    edit = without_nulls(rich_text.operation(random, units))
    return edit if rich.apply(delta, edit) else rich.normalize([{"insert": "z"}, *edit])


def unit_contents(inserted: Any) -> list[Any]:
    return [inserted] if isinstance(inserted, dict) else list(inserted)


def edit_within(random: random_module.Random, node: Any) -> Any:
    """An edit of the document of json1 within a document, which does not remove it."""
    edit = steps(random, node, random.randrange(3))
    if edit is None or json1.apply(node, edit) is ot.ABSENT:
        return None
    return [WITHIN, *edit]


def move_to(source: Path, target: Path) -> Any:
    """The move of the value at `source` to `target`, a place in the document without it."""
    if source == target:
        return [*source, {"p": 0, "d": 0}]
    return json1.normalize([[*source, {"p": 0}], [*target, {"d": 0}]])


def move(random: random_module.Random, node: Any) -> Any:
    """A move of one value, seldom to where it was; None if there is nothing to move, or nowhere to move it."""
    sources = places(node)
    if not sources:
        return None
    source = random.choice(sources)
    target = gap(random, json1.apply(node, [*source, {"r": True}]))
    return None if target is None else move_to(source, target)


def step(random: random_module.Random, node: Any) -> Any:
    """A small operation for the document, or None."""
    kind = random.random()
    if kind < 0.3:
        return move(random, node)
    if kind < 0.5:
        target = gap(random, node)
        return None if target is None else [*target, {"i": value(random)}]
    present = places(node)
    if not present:
        return None
    path = random.choice(present)
    if kind < 0.65:
        return [*path, {"r": random.choice([True, None, 0, "why"])}]
    if kind < 0.75:
        return [*path, {"r": True, "i": value(random)}]
    edits = [path for path in present if is_opaque(at(node, path)) or isinstance(at(node, path), str | int | float)]
    edits = [path for path in edits if not isinstance(at(node, path), bool)]
    if not edits:
        return None
    path = random.choice([path for path in edits if is_opaque(at(node, path))] * 3 + edits)
    return edit_at(random, node, path)


def edit_at(random: random_module.Random, node: Any, path: Path) -> Any:
    """An edit of the text, number or opaque value at the path."""
    current = at(node, path)
    if is_rich(current):
        return [*path, {"et": "rich-text", "e": rich_edit(random, current)}]
    if isinstance(current, dict):
        return [*path, {"et": "json1", "e": edit_within(random, current[WITHIN])}]
    if isinstance(current, str):
        edit = text_edit(random, current)
        return [*path, {"es": edit} if random.random() < 0.7 else {"et": "text-unicode", "e": edit}]
    amount = random.choice([1, -1, 5, 0, 0.5, -0.25])
    return [*path, {"ena": amount} if random.random() < 0.7 else {"et": "number", "e": amount}]


def steps(random: random_module.Random, node: Any, count: int, start: Any = None) -> Any:
    """An operation of so many steps after `start`, valid for the document."""
    result = start
    node = json1.apply(node, start)
    for _ in range(count):
        small = step(random, node)
        node = json1.apply(node, small)
        result = json1.compose(result, small)
    return result


def operation(random: random_module.Random, node: Any) -> Any:
    """An operation of up to six steps, valid for the document."""
    return steps(random, node, random.choice([0, 1, 1, 2, 2, 3, 4, 6]))


def entangled(random: random_module.Random) -> tuple[Any, Any, Any]:
    """A document and two operations that contradict each other by what they move.

    Either each moves one container into the other's; or one removes the container that the other moves into; or one
    moves items of a list while the other removes and moves its neighbours; or both edit the same.
    """
    kind = random.randrange(4)
    if kind == 3:
        edited: Any = {"a": rich_document(random), "b": {WITHIN: {"x": "e", "é": [1]}}, "x": "👩👧", "é": 7}
        path: Path = [random.choice(["a", "a", "b", "x", "é"])]
        one, other = edit_at(random, edited, path), edit_at(random, edited, path)
        return (
            edited,
            steps(random, edited, random.randrange(3), one),
            steps(random, edited, random.randrange(3), other),
        )
    if kind == 2:
        node: Any = [value(random, 1) for _ in range(random.randrange(4, 8))]
        operations = []
        for _ in range(2):
            result = None
            current = node
            for _ in range(random.randrange(1, 5)):
                index = random.randrange(len(current)) if current else None
                if index is None:
                    break
                small = [index, {"r": True}]
                if random.random() < 0.6:
                    small = move_to([index], [random.randrange(len(current))])
                current = json1.apply(current, small)
                result = json1.compose(result, small)
            operations.append(result)
        return node, operations[0], operations[1]
    node = {"a": {}, "b": {}, "x": [{}, []]}
    first, second = random.sample([["a"], ["b"], ["x"], ["x", 0]], 2)
    if first[0] == second[0]:
        second = ["a"]
    inner: Path = [*second, 0 if second == ["x"] else "é"]
    a = move_to(first, inner)
    back: Path = [*first, 0 if first == ["x"] else "é"]
    b = move_to(second, back) if kind == 0 else [*second, {"r": True}]
    return node, steps(random, node, random.randrange(3), a), steps(random, node, random.randrange(3), b)


def position(random: random_module.Random, node: Any) -> Path:
    """A path to a value, or to an offset in a text, plain or rich."""
    candidates = places(node)
    if not candidates:
        return []
    path = random.choice(candidates)
    inner = at(node, path)
    if isinstance(inner, str):
        return [*path, random.randrange(len(inner) + 1)]
    if is_rich(inner):
        return [*path, random.randrange(2 * len(inner) + 1)]
    return path


def case(random: random_module.Random) -> dict[str, Any]:
    """A document, two concurrent operations `a` and `b`, `c` that follows `a`, and positions.

    A document that does not exist is left out, as JSON cannot say it.
    """
    if random.random() < 0.15:
        node, a, b = entangled(random)
        if random.random() < 0.5:
            a, b = b, a
    else:
        node = document(random)
        a, b = operation(random, node), operation(random, node)
    result = {
        "document": node,
        "a": a,
        "b": b,
        "c": operation(random, json1.apply(node, a)),
        "positions": [position(random, node) for _ in range(3)],
    }
    if node is ot.ABSENT:
        del result["document"]
    return result
