"""Documents as canonical JSON (RFC 8785) and their checksums; ``tests/twins`` compares them with JavaScript's."""

from __future__ import annotations

import struct
import zlib
from typing import Any

import pytest

from fastcollab import ot
from fastcollab.checksums import canonical_json, checksum


def test_the_example_of_the_rule_OT8() -> None:
    assert checksum("abc") == "2e5a7dd1"
    assert checksum(ot.ABSENT) == "00000000"


def test_a_checksum_has_eight_digits_OT8() -> None:
    assert {len(checksum(str(number))) for number in range(1_000)} == {8}
    assert any(checksum(str(number)).startswith("0") for number in range(1_000))


# The sample of RFC 8785, 3.2.2, with the result of 3.2.3, and that of 3.2.3 for the order of keys.
SAMPLE = {
    "numbers": [333333333.33333329, 1e30, 4.50, 2e-3, 0.000000000000000000000000001],
    "string": "\u20ac$\u000f\u000aA'\u0042\u0022\u005c\\\"\u002f",
    "literals": [None, True, False],
}
CANONICAL_SAMPLE = (
    '{"literals":[null,true,false],"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27],'
    '"string":"€$\\u000f\\nA\'B\\"\\\\\\\\\\"/"}'
)
KEYS = {
    "\u20ac": "Euro Sign",
    "\r": "Carriage Return",
    "\ufb33": "Hebrew Letter Dalet With Dagesh",
    "1": "One",
    "\U0001f600": "Emoji: Grinning Face",
    "\u0080": "Control",
    "\u00f6": "Latin Small Letter O With Diaeresis",
}
KEYS_IN_ORDER = ["\r", "1", "\u0080", "\u00f6", "\u20ac", "\U0001f600", "\ufb33"]


@pytest.mark.parametrize(
    ("value", "canonical"),
    [
        (SAMPLE, CANONICAL_SAMPLE),
        (KEYS, "{" + ",".join(f'"{_}":"{KEYS[_]}"'.replace("\r", "\\r") for _ in KEYS_IN_ORDER) + "}"),
        ("", '""'),
        ("\x00\x08\t\n\x0b\x0c\r\x1f", '"\\u0000\\b\\t\\n\\u000b\\f\\r\\u001f"'),
        ('"\\/\x7f\u2028', '"\\"\\\\/\x7f\u2028"'),
        ({"b": [1, None, True], "a": {"é": "👩", "b": []}}, '{"a":{"b":[],"é":"👩"},"b":[1,null,true]}'),
        ([1.0, -0.0, 10.0, 1e20, 1e21, 1e-6, 1e-7], "[1,0,10,100000000000000000000,1e+21,0.000001,1e-7]"),
        # What JavaScript makes of integers that are no doubles.
        (
            [2**53, 2**53 + 1, 2**64, -(2**63), 10**21, 10**400],
            "[9007199254740992,9007199254740992,18446744073709552000,-9223372036854776000,1e+21,null]",
        ),
    ],
)
def test_values_in_canonical_form_OT8(value: Any, canonical: str) -> None:
    assert canonical_json(value) == canonical.encode()
    assert checksum(value) == f"{zlib.crc32(canonical.encode()):08x}"


# RFC 8785, appendix B: the bits of a double, and how it is written.
NUMBERS = """
0000000000000000 0
8000000000000000 0
0000000000000001 5e-324
8000000000000001 -5e-324
7fefffffffffffff 1.7976931348623157e+308
ffefffffffffffff -1.7976931348623157e+308
4340000000000000 9007199254740992
c340000000000000 -9007199254740992
4430000000000000 295147905179352830000
44b52d02c7e14af5 9.999999999999997e+22
44b52d02c7e14af6 1e+23
44b52d02c7e14af7 1.0000000000000001e+23
444b1ae4d6e2ef4e 999999999999999700000
444b1ae4d6e2ef4f 999999999999999900000
444b1ae4d6e2ef50 1e+21
3eb0c6f7a0b5ed8c 9.999999999999997e-7
3eb0c6f7a0b5ed8d 0.000001
41b3de4355555553 333333333.3333332
41b3de4355555554 333333333.33333325
41b3de4355555555 333333333.3333333
41b3de4355555556 333333333.3333334
41b3de4355555557 333333333.33333343
becbf647612f3696 -0.0000033333333333333333
43143ff3c1cb0959 1424953923781206.2
"""


@pytest.mark.parametrize("line", NUMBERS.split("\n")[1:-1])
def test_numbers_are_written_as_javascript_does_OT8(line: str) -> None:
    bits, written = line.split()
    (number,) = struct.unpack(">d", bytes.fromhex(bits))
    assert canonical_json([number]) == f"[{written}]".encode()
    if number.is_integer():
        assert canonical_json([int(number)]) == f"[{written}]".encode()


def test_what_is_no_number_is_null_as_in_javascript() -> None:
    assert canonical_json([float("inf"), float("-inf"), float("nan")]) == b"[null,null,null]"
