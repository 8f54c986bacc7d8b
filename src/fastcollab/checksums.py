"""Checksums of documents (OT8)."""

import zlib
from typing import Any

import orjson

from fastcollab.ot import ABSENT


def checksum(content: Any) -> str:
    """The CRC-32 of the content as canonical JSON (RFC 8785) in UTF-8: eight lower-case hexadecimal digits (OT8).

    A document that does not exist is no bytes.
    """
    encoded = b"" if content is ABSENT else orjson.dumps(content, option=orjson.OPT_SORT_KEYS)
    return f"{zlib.crc32(encoded):08x}"
