"""What is in a row: entries and contents as JSON, authors as numbers."""

from __future__ import annotations

from hashlib import blake2b
from operator import attrgetter
from typing import Any

import orjson

from fastcollab.core.document import Author, Committed
from fastcollab.ot import ABSENT


def author_key(author: Author) -> int:
    """A number that stands for the author within a document: 64 bits of a hash, so that a row of results is small.

    That two of a million messages of one document get the same is as likely as one in 36 million.
    """
    digest = blake2b(f"{author.message_id}{author.user_id}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, signed=True)


def encode_entry(entry: Committed) -> bytes:
    return orjson.dumps(
        (
            entry.version,
            entry.operation,
            entry.user_id,
            entry.numeric_id,
            entry.message_id,
            entry.written_against,
            entry.committed_at,
            entry.size,
        )
    )


def decode_entry(encoded: bytes) -> Committed:
    return Committed(*orjson.loads(encoded))


def decode_entries(encoded: bytes) -> list[Committed]:
    """The entries of a segment, which has them one after another with commas between."""
    return sorted((Committed(*values) for values in orjson.loads(b"[%b]" % encoded)), key=attrgetter("version"))


def encode_content(content: Any) -> bytes | None:
    return None if content is ABSENT else orjson.dumps(content)


def decode_content(encoded: bytes | None) -> Any:
    return ABSENT if encoded is None else orjson.loads(encoded)
