"""The reference that the clients of the tests transform with has to converge itself."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from tests.server.reference_text import Operation, apply, transform

TEXTS = st.text(alphabet="abcé😀", max_size=12)


@st.composite
def text_and_operations(draw: st.DrawFn) -> tuple[str, Operation, Operation]:
    text = draw(TEXTS)

    def operation() -> Operation:
        parts: Operation = []
        position = 0
        last = ""
        while True:
            kind = draw(st.sampled_from([choice for choice in "kids" if choice != last]))  # in normal form
            last = kind
            left = len(text) - position
            if kind == "s" or (kind in "kd" and not left):
                return parts
            if kind == "i":
                parts.append(draw(st.text(alphabet="xyz", min_size=1, max_size=3)))
                continue
            length = draw(st.integers(1, left))
            if kind == "k":
                parts.append(length)
            else:
                parts.append({"d": length if draw(st.booleans()) else text[position : position + length]})
            position += length

    return text, operation(), operation()


@given(text_and_operations())
def test_both_orders_end_at_one_text(example: tuple[str, Operation, Operation]) -> None:
    text, left, right = example
    left_first = apply(apply(text, left), transform(right, left, "right"))
    right_first = apply(apply(text, right), transform(left, right, "left"))
    assert left_first == right_first


def test_left_goes_first_at_one_place() -> None:
    assert transform([1, "L"], [1, "R"], "left") == [1, "L"]
    assert transform([1, "R"], [1, "L"], "right") == [2, "R"]
    assert apply(apply("ab", [1, "L"]), transform([1, "R"], [1, "L"], "right")) == "aLRb"
