"""The checksum of a document, by which a client and the gateway find out that their copies have parted (OT8).

Two copies are equal if they are equal JSON; so what is summed up is JSON in its one canonical form, that of RFC 8785.
It writes numbers as JavaScript does, which knows doubles only: 1.0 is ``1``, an integer beyond 2^53 is the double next
to it, 1e21 is ``1e+21``. Keys are in the order of their UTF-16 units, and strings in the shortest form of JSON.

orjson writes all but the numbers so, many times as fast as the package ``rfc8785``, which is asked only for floats and
for integers that JavaScript would round. The order of the keys is set beforehand, since orjson sorts by code points:
U+FF5E goes before U+1F600 there, and behind it in UTF-16.
"""

from __future__ import annotations

import math
import zlib
from typing import Any

import orjson
import rfc8785

from fastcollab.ot.absent import ABSENT

_EXACT = 2**53  # up to here each integer is a double of its own


def checksum(content: Any) -> str:
    """The CRC-32 (zlib) of a document as canonical JSON in UTF-8: eight lower-case hexadecimal digits.

    A document that does not exist is no bytes.
    """
    return f"{zlib.crc32(b'' if content is ABSENT else canonical_json(content)):08x}"


def canonical_json(value: Any) -> bytes:
    """A JSON value as RFC 8785 has it, in UTF-8. What is no finite double is ``null``, as in JavaScript."""
    return orjson.dumps(value if isinstance(value, str) else _in_order(value))


def _in_order(value: Any) -> Any:
    """The value with its keys in order, and with such numbers as orjson writes otherwise written already."""
    if isinstance(value, dict):
        names = sorted(value) if "".join(value).isascii() else sorted(value, key=_utf16)
        return {name: _in_order(value[name]) for name in names}
    if isinstance(value, list):
        return [_in_order(member) for member in value]
    if isinstance(value, float) or (isinstance(value, int) and not -_EXACT <= value <= _EXACT):
        return _number(value)
    return value


def _number(value: float) -> orjson.Fragment | None:
    try:
        double = float(value)
    except OverflowError:
        return None
    return orjson.Fragment(rfc8785.dumps(double)) if math.isfinite(double) else None


def _utf16(name: str) -> bytes:
    return name.encode("utf-16-be")
