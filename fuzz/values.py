"""Values, documents and operations out of the bytes that a fuzzer makes.

The extensions are compiled without coverage for the fuzzer to see, so it is the way through these functions that
tells one input from another: each choice is a branch. They make what nearly is an operation, so that much of it gets
past the first check: the words of each type in places that they may have, with strange values among them.
"""

from __future__ import annotations

from typing import Any

import atheris

STRANGE: list[Any] = [
    None, True, False, 0, -1, 1, 2**31, 2**53 - 1, 2**53, 2**63, -(2**63), 2**70, 0.0, 1.5, -0.0, 1e308,
    float("inf"), float("nan"), "", "a", "\ud800", "é", "👩", "\U0010ffff", "__proto__", [], {}, [[]], {"": None},
    b"", (), object(),
]  # fmt: skip


class Source:
    """Choices, taken from the bytes of one input; when they are used up, the first of everything."""

    def __init__(self, data: bytes) -> None:
        self._provider = atheris.FuzzedDataProvider(data)

    def below(self, count: int) -> int:
        return int(self._provider.ConsumeIntInRange(0, count - 1)) if count > 1 else 0

    def choice(self, options: Any) -> Any:
        return options[self.below(len(options))]

    def maybe(self, one_in: int) -> bool:
        return self.below(one_in) == one_in - 1

    def data(self, longest: int) -> bytes:
        return bytes(self._provider.ConsumeBytes(self.below(longest + 1)))

    def used_up(self) -> bool:
        return self._provider.remaining_bytes() == 0

    def rest(self) -> bytes:
        """All that is left."""
        return bytes(self._provider.ConsumeBytes(self._provider.remaining_bytes()))

    def text(self, longest: int) -> str:
        return str(self._provider.ConsumeUnicodeNoSurrogates(self.below(longest + 1)))


@atheris.instrument_func
def value(source: Source, depth: int = 3) -> Any:
    """A JSON value, or something that is none."""
    kind = source.below(6 if depth else 4)
    if kind == 0:
        return source.text(6)
    if kind == 1:
        return source.below(20)
    if kind == 2:
        return source.choice([None, True, False, 1.5])
    if kind == 3:
        return source.choice(STRANGE) if source.maybe(4) else source.below(3)
    if kind == 4:
        return [value(source, depth - 1) for _ in range(source.below(4))]
    return {source.text(2): value(source, depth - 1) for _ in range(source.below(4))}


@atheris.instrument_func
def json_value(source: Source, depth: int = 3) -> Any:
    """A JSON value that a document may hold."""
    kind = source.below(5 if depth else 3)
    if kind == 0:
        return source.below(10)
    if kind == 1:
        return source.text(6)
    if kind == 2:
        return source.choice([None, True, False, 1.5])
    if kind == 3:
        return [json_value(source, depth - 1) for _ in range(source.below(4))]
    return {source.choice("abxy"): json_value(source, depth - 1) for _ in range(source.below(4))}


@atheris.instrument_func
def text_operation(source: Source) -> Any:
    if source.maybe(16):
        return value(source)
    operation: list[Any] = []
    for _ in range(source.below(8)):
        kind = source.below(8)
        if kind <= 2:
            operation.append(1 + source.below(5))
        elif kind <= 4:
            operation.append(source.text(4) or "x")
        elif kind == 5:
            operation.append({"d": 1 + source.below(5)})
        elif kind == 6:
            operation.append({"d": source.text(3) or "x"})
        else:
            operation.append(value(source, 1) if source.maybe(4) else {"d": value(source, 0)})
    return operation


@atheris.instrument_func
def attributes(source: Source) -> Any:
    if source.maybe(10):
        return value(source, 2)
    return {source.choice("bic"): source.choice([True, None, "x", 1, {"y": [1]}]) for _ in range(1 + source.below(2))}


@atheris.instrument_func
def rich_component(source: Source) -> Any:
    kind = source.below(10)
    if kind <= 3:
        component: Any = {"insert": source.text(4) or "x"}
    elif kind == 4:
        component = {"insert": {source.choice("ef"): value(source, 1)}}
    elif kind <= 6:
        component = {"retain": 1 + source.below(5)}
    elif kind <= 8:
        return {"delete": 1 + source.below(5)}
    else:
        return {source.choice(["insert", "retain", "delete", "attributes", "x"]): value(source, 2)}
    if source.maybe(3):
        component["attributes"] = attributes(source)
    return component


@atheris.instrument_func
def rich_operation(source: Source) -> Any:
    if source.maybe(16):
        return value(source)
    return [rich_component(source) for _ in range(source.below(8))]


@atheris.instrument_func
def rich_document(source: Source) -> Any:
    return [component for _ in range(source.below(5)) if "insert" in (component := rich_component(source))]


@atheris.instrument_func
def json1_component(source: Source) -> Any:
    component: dict[str, Any] = {}
    for _ in range(1 + source.below(2)):
        letter = source.choice(["r", "p", "d", "i", "es", "ena", "et", "e", "x"])
        if letter in "pd":
            component[letter] = source.below(3)
        elif letter == "es":
            component[letter] = text_operation(source)
        elif letter == "ena":
            # Small numbers, which add up exactly: numbers are floats, and what was rounded cannot be undone.
            component[letter] = source.choice([1, -1, 0, 0.5, True, None, "1", [], float("nan"), float("inf"), 2**70])
        elif letter == "et":
            component |= {"et": source.choice(["text", "rich-text", "json1", "text-unicode", "none"])}
            component |= {"e": source.choice([text_operation, rich_operation, value])(source)}
        else:
            component[letter] = json_value(source, 2) if source.maybe(2) else True
    return component


@atheris.instrument_func
def json1_descent(source: Source, depth: int) -> list[Any]:
    descent: list[Any] = []
    for _ in range(source.below(4)):
        kind = source.below(5)
        if kind <= 1:
            descent.append(source.below(4))
        elif kind == 2:
            descent.append(source.choice("abxy"))
        elif kind == 3:
            descent.append(json1_component(source))
        else:
            descent.append(value(source, 0) if source.maybe(6) else source.choice("ab"))
    if depth and source.maybe(2):
        branches = [json1_descent(source, depth - 1) for _ in range(2 + source.below(2))]
        descent.extend(branches)
    elif not descent or not isinstance(descent[-1], dict):
        descent.append(json1_component(source))
    return descent


@atheris.instrument_func
def json1_operation(source: Source) -> Any:
    if source.maybe(16):
        return value(source)
    return json1_descent(source, 2)
