"""What is in Redis: entries and contents as JSON, authors as digests."""

from __future__ import annotations

from hashlib import blake2b
from typing import Any

import orjson

from fastcollab.core.document import Author, Committed
from fastcollab.ot import ABSENT


def author_key(author: Author) -> bytes:
    """Stands for the author within a document."""
    return blake2b(f"{author.message_id}\0{author.user_id}".encode(), digest_size=16).digest()


def encode_entry(entry: Committed) -> bytes:
    """The time and the size come early, where scripts find them without reading all of it."""
    return orjson.dumps(
        (
            entry.version,
            entry.committed_at,
            entry.size,
            entry.written_against,
            entry.numeric_id,
            entry.user_id,
            entry.message_id,
            entry.operation,
        )
    )


def decode_entry(encoded: bytes) -> Committed:
    version, committed_at, size, written_against, numeric_id, user_id, message_id, operation = orjson.loads(encoded)
    return Committed(version, operation, user_id, numeric_id, message_id, written_against, committed_at, size)


def mark_of(encoded: bytes) -> str:
    """The mark of an entry; empty: there is no entry."""
    return decode_entry(encoded).mark if encoded else ""


def encode_content(content: Any) -> bytes:
    return b"" if content is ABSENT else orjson.dumps(content)


def decode_content(encoded: bytes) -> Any:
    return orjson.loads(encoded) if encoded else ABSENT
