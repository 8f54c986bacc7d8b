"""Cases for the document type ``text``: documents and operations in normal form, made without the code under test.

Documents are mostly short, so that operations meet: inserts at one place, deletes that overlap, operations that are
empty or delete all there is. The characters have every width of ``str``, most of UTF-16's surrogate pairs included, and
some join with their neighbours.
"""

from random import Random
from typing import Any

Operation = list[Any]

CHARACTERS = "ab \n\0\x7f\x80éÿĀж漢\u0301\u200d\ufe0f\ud7ff\ue000\uffff\U00010000👩👧🌈\U000f0000\U0010ffff"
KINDS = ("skip", "insert", "delete", "named delete")


def case(random: Random) -> dict[str, Any]:
    """A document, `a` and `b` made against it, `c` that follows `a`, and positions in the document."""
    document = some_text(random, random.choice((0, 1, 3, 6, 12, 12, 200)))
    a = operation(random, document)
    b = operation(random, document)
    return {
        "document": document,
        "a": a,
        "b": b,
        "c": operation(random, applied(document, a)),
        "positions": [random.randint(0, len(document)) for _ in range(3)],
    }


def some_text(random: Random, longest: int) -> str:
    # Now and then of ASCII alone, which strings store in another way.
    characters = CHARACTERS if random.random() < 0.8 else CHARACTERS[:4]
    return "".join(random.choices(characters, k=random.randint(0, longest)))


def operation(random: Random, document: str) -> Operation:
    """Up to twelve components of which neighbours differ in kind."""
    result: Operation = []
    position = 0
    last = ""
    for _ in range(random.choice((0, 1, 2, 3, 5, 12))):
        kind = random.choice([kind for kind in KINDS if kind.split()[-1] != last])
        if kind == "insert":
            component: Any = some_text(random, 4) or "i"
        else:
            length = min(random.choice((1, 1, 2, 5, 50)), len(document) - position)
            if length == 0:
                continue
            deleted = document[position : position + length]
            component = {"skip": length, "delete": {"d": length}, "named delete": {"d": deleted}}[kind]
            position += length
        result.append(component)
        last = kind.split()[-1]
    if last == "skip":
        result.pop()
    return result


def applied(document: str, operation: Operation) -> str:
    """The document after the operation, in the plainest terms."""
    result = ""
    for component in operation:
        if isinstance(component, str):
            result += component
            continue
        amount = component["d"] if isinstance(component, dict) else component
        length = amount if isinstance(amount, int) else len(amount)
        if isinstance(component, int):
            result += document[:length]
        document = document[length:]
    return result + document
