"""Generated documents and operations of the type ``json1``.

An operation is made as an author would make it, by small steps: insert, remove, replace, move, edit, each against
what the document is by then; and the steps are composed. Since the steps of one operation meet in few places of a
small document, they move into what they have inserted, remove what they have moved, edit what they move, and so on;
and two operations against one document contend for most of it. What would still be rare, `entangled` makes: moves
into each other, moves into removed parents, and list moves among removals.
"""

import random as random_module
from typing import Any

from fastcollab import ot

json1: Any = ot.types["json1"]
text: Any = ot.types["text"]

Path = list[str | int]

# Few keys, so that operations meet; with each border of the order by UTF-16 units.
KEYS = ["a", "b", "x", "é", "\uffff", "\U00010000"]
TEXTS = ["", "a", "hello", "e\u0301", "👩👧", "\ud7ff\ue000", "漢字\n"]
NUMBERS = [0, 1, -1, 7, 0.5, -2.25, 1e10, 2**31, 2**53, 2**53 - 1]


def value(random: random_module.Random, depth: int = 2) -> Any:
    """A small JSON value."""
    kind = random.randrange(9 if depth else 5)
    if kind == 0:
        return random.choice(NUMBERS)
    if kind <= 2:
        return random.choice(TEXTS)
    if kind <= 4:
        return random.choice([None, True, False, 1, 0, 1.5])
    if kind <= 6:
        return [value(random, depth - 1) for _ in range(random.randrange(5))]
    return {key: value(random, depth - 1) for key in random.sample(KEYS, random.randrange(4))}


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
    edits = [path for path in present if isinstance(at(node, path), str | int | float)]
    edits = [path for path in edits if not isinstance(at(node, path), bool)]
    if not edits:
        return None
    path = random.choice(edits)
    current = at(node, path)
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
    moves items of a list while the other removes and moves its neighbours.
    """
    kind = random.randrange(3)
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
    one, other = random.sample([["a"], ["b"], ["x"], ["x", 0]], 2)
    if one[0] == other[0]:
        other = ["a"]
    inner: Path = [*other, 0 if other == ["x"] else "é"]
    a = move_to(one, inner)
    back: Path = [*one, 0 if one == ["x"] else "é"]
    b = move_to(other, back) if kind == 0 else [*other, {"r": True}]
    return node, steps(random, node, random.randrange(3), a), steps(random, node, random.randrange(3), b)


def position(random: random_module.Random, node: Any) -> Path:
    """A path to a value, or to an offset in a text."""
    candidates = places(node)
    if not candidates:
        return []
    path = random.choice(candidates)
    inner = at(node, path)
    if isinstance(inner, str):
        return [*path, random.randrange(len(inner) + 1)]
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
