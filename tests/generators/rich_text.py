"""Cases for the document type ``rich-text``: documents and operations in normal form, made without the code under test.

Documents are short, so that operations meet: inserts at one place, deletes that overlap, formats set and taken away on
the same text, operations that are empty. Surrogate pairs and embeds are among what is inserted and what is passed, and
values of attributes that a careless comparison takes for equal.
"""

import json
from random import Random
from typing import Any

Component = dict[str, Any]
Delta = list[Component]
# A character or an embed, and its attributes: a document is a list of these, too.
Unit = tuple[str | dict[str, Any], dict[str, Any]]

CHARACTERS = "aab \n\0éÿĀж漢\u0301\u200d\ufe0f\ud7ff\ue000\uffff\U00010000👩👧🌈\U0010ffff"
FORMATS: dict[str, list[Any]] = {
    "bold": [True, True, 1, "true"],
    "color": ["red", "#f00", ""],
    "indent": [0, 1, 2, -1, 1.5, False],
    "list": ["bullet", {"type": "bullet"}, {"type": "bullet", "levels": [1, 2, {"of": None}]}, []],
    "ключ👩": ["value", 2**53, 1e300],
}
EMBEDS: list[dict[str, Any]] = [
    {"image": "cat.png"},
    {"image": "👩.png"},
    {"formula": "e=mc^2"},
    {"mention": {"id": 7, "names": ["a", None, True], "nested": {}}},
    {"break": True},
    {"nothing": None},
]


def case(random: Random) -> dict[str, Any]:
    """A document, `a` and `b` made against it, `c` that follows `a`, and positions in the document."""
    before = units(random, random.choice((0, 1, 2, 3, 5, 8)))
    a = operation(random, before)
    length = sum(map(width, before))
    return {
        "document": document_of(before),
        "a": a,
        "b": operation(random, before),
        "c": operation(random, applied(before, a)),
        "positions": [0, length, *(random.randint(0, length) for _ in range(2))],
    }


def attributes(random: Random, null: float) -> dict[str, Any]:
    """Attributes, maybe none; each is null with the probability `null`."""
    names = random.sample(list(FORMATS), random.choice((0, 0, 1, 1, 2, 3)))
    return {name: None if random.random() < null else random.choice(FORMATS[name]) for name in names}


def units(random: Random, stretches: int) -> list[Unit]:
    """Embeds and characters, these in stretches of equal attributes."""
    result: list[Unit] = []
    for _ in range(stretches):
        # Seldom an insert takes an attribute away that it cannot have: the null is kept.
        formats = attributes(random, 0.05)
        if random.random() < 0.25:
            result.append((random.choice(EMBEDS), formats))
        else:
            result += [
                (character, formats) for character in random.choices(CHARACTERS, k=random.choice((1, 1, 2, 3, 8)))
            ]
    return result


def operation(random: Random, before: list[Unit]) -> Delta:
    """Up to eight components, in normal form, that fit the document `before`."""
    result: Delta = []
    position = 0
    for _ in range(random.choice((0, 1, 1, 2, 3, 5, 8))):
        kind = random.choice(("insert", "insert", "delete", "retain", "format"))
        if kind == "insert":
            for component in document_of(units(random, 1)):
                append(result, component)
            continue
        passed = before[position : position + random.choice((1, 1, 2, 3, 8))]
        length = sum(map(width, passed))
        position += len(passed)
        if length == 0:
            continue
        if kind == "delete":
            append(result, {"delete": length})
        else:
            append(result, with_attributes({"retain": length}, attributes(random, 0.4) if kind == "format" else {}))
    if result and result[-1].keys() == {"retain"}:
        result.pop()
    return result


def width(unit: Unit) -> int:
    """How many units of UTF-16 it takes; an embed is one."""
    content, _ = unit
    return len(content.encode("utf-16-le")) // 2 if isinstance(content, str) else 1


def with_attributes(component: Component, formats: dict[str, Any]) -> Component:
    return {**component, "attributes": formats} if formats else component


def append(delta: Delta, component: Component) -> None:
    """Adds the component so that the operation stays in normal form."""
    if "insert" in component and delta and "delete" in delta[-1]:
        deleted = delta.pop()
        append(delta, component)
        delta.append(deleted)
        return
    (action,) = component.keys() - {"attributes"}
    last = delta[-1] if delta else {}
    if (
        type(component[action]) is type(last.get(action))
        and not isinstance(component[action], dict)
        and canonical(component.get("attributes")) == canonical(last.get("attributes"))
    ):
        delta[-1] = {**component, action: last[action] + component[action]}
    else:
        delta.append(component)


def canonical(value: Any) -> str:
    # Python takes True for 1; as JSON they differ.
    return json.dumps(value, sort_keys=True)


def document_of(content: list[Unit]) -> Delta:
    """The document, as an operation of inserts."""
    result: Delta = []
    for inserted, formats in content:
        append(result, with_attributes({"insert": inserted}, formats))
    return result


def applied(before: list[Unit], operation: Delta) -> list[Unit]:
    """The document after the operation, in the plainest terms."""
    result: list[Unit] = []
    rest = list(before)
    for component in operation:
        formats = component.get("attributes", {})
        if "insert" in component:
            inserted = component["insert"]
            result += [(content, formats) for content in ([inserted] if isinstance(inserted, dict) else inserted)]
            continue
        length = component.get("delete") or component["retain"]
        while length > 0:
            content, old = rest.pop(0)
            length -= width((content, old))
            if "retain" in component:
                kept = {name: value for name, value in old.items() if name not in formats}
                kept |= {name: value for name, value in formats.items() if value is not None}
                result.append((content, kept))
    return result + rest
