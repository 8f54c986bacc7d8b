"""The text type of OT, written a second time, as simply as possible, for the clients of the tests.

An operation is a list of components that walks through the document: a number keeps so many code points, a
string is inserted, ``{"d": n}`` or ``{"d": "text"}`` deletes; what is left of the document is kept. Nothing here
is shared with the package: where its transformation and this one disagree, a test ends with two different texts.
"""

from __future__ import annotations

from typing import Literal

Component = int | str | dict[str, int | str]
Operation = list[Component]


def _deleted(component: dict[str, int | str]) -> int:
    what = component["d"]
    return what if isinstance(what, int) else len(what)


def apply(text: str, operation: Operation) -> str:
    """The text after the operation; ValueError if the operation reaches beyond its end."""
    result: list[str] = []
    position = 0
    for component in operation:
        if isinstance(component, str):
            result.append(component)
            continue
        length = component if isinstance(component, int) else _deleted(component)
        if position + length > len(text):
            raise ValueError(f"{component!r} at {position} reaches beyond a text of {len(text)}")
        if isinstance(component, int):
            result.append(text[position : position + length])
        elif isinstance(component["d"], str) and component["d"] != text[position : position + length]:
            raise ValueError(f"{component!r} at {position} deletes what is not there")
        position += length
    return "".join(result) + text[position:]


def transform(operation: Operation, over: Operation, side: Literal["left", "right"]) -> Operation:
    """The operation as it reads after ``over``, both written against one text; at one place left goes first."""
    # One element per kept, deleted or inserted run, taken apart as `over` demands; the end keeps without end.
    rest: list[tuple[str, int | str]] = [
        (("d", _deleted(part)) if isinstance(part, dict) else ("i", part) if isinstance(part, str) else ("k", part))
        for part in operation
    ]
    result: list[tuple[str, int | str]] = []

    def take(length: int) -> int:
        """Copies inserts up to the next run that is kept or deleted, and returns how much of it counts."""
        while rest and rest[0][0] == "i":
            result.append(rest.pop(0))
        return min(length, int(rest[0][1])) if rest else length

    def consume(length: int, *, copy: bool) -> None:
        if not rest:
            if copy:
                result.append(("k", length))
            return
        kind, available = rest[0]
        if copy:
            result.append((kind, length))
        if length == available:
            rest.pop(0)
        else:
            rest[0] = (kind, int(available) - length)

    for component in over:
        if isinstance(component, str):
            if side == "left" and rest and rest[0][0] == "i":
                result.append(rest.pop(0))
            result.append(("k", len(component)))
            continue
        left_over = component if isinstance(component, int) else _deleted(component)
        while left_over:
            length = take(left_over)
            consume(length, copy=isinstance(component, int))
            left_over -= length
    return _normal(result + rest)


def _normal(parts: list[tuple[str, int | str]]) -> Operation:
    """Neighbours of one kind are one component, and nothing is kept at the end."""
    merged: list[tuple[str, int | str]] = []
    for kind, value in parts:
        if not value:
            continue
        if merged and merged[-1][0] == kind:
            merged[-1] = (kind, merged[-1][1] + value)  # type: ignore[operator]
        else:
            merged.append((kind, value))
    if merged and merged[-1][0] == "k":
        merged.pop()
    return [{"d": value} if kind == "d" else value for kind, value in merged]
