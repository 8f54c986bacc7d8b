"""Canonical JSON is what Node makes of the same value: doubles, integers, strings and keys of all kinds."""

from __future__ import annotations

import json
import math
import struct
import subprocess
from random import Random
from typing import Any

from tests.twins import twins

from fastcollab.checksums import canonical_json

CHARACTERS = 'ab1 \\"/\n\x00\x1f\x7fé\u20ac\u2028\ud7ff\ue000\ufb33\uffff\U00010000👩'
VALUES = 20_000


def number(random: Random) -> float:
    match random.randrange(5):
        case 0:
            (double,) = struct.unpack(">d", random.randbytes(8))
            return double if math.isfinite(double) else 0.0
        case 1:  # where the notation changes
            return float(random.choice((1, -1)) * random.random() * 10.0 ** random.randint(-9, 24))
        case 2:
            return random.randint(-(2**63), 2**64)
        case 3:
            return random.choice((2**53, -(2**53), 10**20, 10**21)) + random.randint(-3, 3)
    return random.choice((0, -0.0, 1.0, 0.1, 100, 5e-324, 1e21, 1e-7))


def text(random: Random) -> str:
    return "".join(random.choices(CHARACTERS, k=random.randrange(5)))


def value(random: Random, depth: int = 0) -> Any:
    match random.randrange(6 if depth < 4 else 4):
        case 0 | 1:
            return number(random)
        case 2:
            return text(random)
        case 3:
            return random.choice((None, True, False))
        case 4:
            return [value(random, depth + 1) for _ in range(random.randrange(4))]
    return {text(random): value(random, depth + 1) for _ in range(random.randrange(6))}


def test_values_are_written_as_node_writes_them_OT8() -> None:
    random = Random(8785)
    values = [value(random) for _ in range(VALUES)]
    lines = "".join(json.dumps(each) + "\n" for each in values)
    command = [str(twins.install()), str(twins.FOLDER / "canonical.mjs")]
    done = subprocess.run(command, input=lines, capture_output=True, text=True, encoding="utf-8", check=True)
    theirs = done.stdout.split("\n")[:-1]
    assert len(theirs) == VALUES
    for each, line in zip(values, theirs, strict=True):
        assert canonical_json(each).decode() == line
