"""What is to be done when a node remembers a document otherwise than the store has it.

A Redis may come back empty, or without what was written last, and be written to before those who know more come back to
it. So lives of documents are numbered, in front of their epochs (``3-9f2c…``): whatever replaces, deletes or mends a
document, makes a higher number, and what a fault has brought back has a lower one. Of two with the same number, which
begin when an empty store is written to, the one that was written to more stays.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from enum import Enum
from typing import Any, NamedTuple

from fastcollab.core.document import Committed
from fastcollab.engines.redis.rows import mark_of
from fastcollab.ports import StoredDocument


class Verdict(Enum):
    #: The store has what is known, or something newer.
    NOTHING = "nothing"
    #: The document goes on as the node remembers it.
    RESTORE = "restore"
    #: The document goes on as the store has it, in another epoch.
    RENEW = "renew"


class Found(NamedTuple):
    """What the store has. `entry` is the one that made the version which the node remembers, if it has it; `gone` the
    generation of a document that was deleted. What was mended was so from an epoch, at a version with that mark.
    """

    epoch: str | None
    version: int
    replaced: bool
    mended_epoch: str | None
    mended_version: int
    mended_mark: str
    gone: int | None
    entry: bytes

    @classmethod
    def from_reply(cls, reply: Sequence[Any]) -> Found:
        epoch, version, replaced, mended_epoch, mended_version, mended_mark, gone, entry = reply
        return cls(
            epoch and epoch.decode(),
            int(version or 0),
            replaced is not None,
            mended_epoch and mended_epoch.decode(),
            int(mended_version or 0),
            (mended_mark or b"").decode(),
            None if gone is None else int(gone),
            entry or b"",
        )


def judge(found: Found, known: StoredDocument, recent: Sequence[Committed]) -> Verdict:
    """What is to be done about a document that a node knows as `known`, with the newest operations before it."""
    generation = generation_of(known.epoch)
    if found.epoch is None:
        was_deleted = found.gone is not None and found.gone >= generation
        return Verdict.NOTHING if was_deleted else Verdict.RESTORE
    if found.epoch == known.epoch:
        if found.version < known.version:
            return Verdict.RESTORE
        # Of a version that the log has been trimmed beyond there is no entry, and nothing to be said.
        differs = known.mark and found.entry and mark_of(found.entry) != known.mark
        return Verdict.RENEW if differs else Verdict.NOTHING
    if _is_mended_with_less(found, known, recent):
        return Verdict.RESTORE
    stored = generation_of(found.epoch)
    if stored == generation and not found.replaced:
        return Verdict.RESTORE if found.version < known.version else Verdict.NOTHING
    return Verdict.RESTORE if stored < generation else Verdict.NOTHING


def _is_mended_with_less(found: Found, known: StoredDocument, recent: Sequence[Committed]) -> bool:
    """Whether another node, which knew less of the same, was here first, and nothing was written since."""
    if found.mended_epoch != known.epoch or not found.version == found.mended_version < known.version:
        return False
    return any(entry.version == found.version and entry.mark == found.mended_mark for entry in recent)


def generation_of(epoch: str) -> int:
    number, separator, _ = epoch.partition("-")
    return int(number) if separator and number.isdecimal() else 0


def epoch_after(*epochs: str | None, gone: int | None = None) -> str:
    """A name for a life that follows all of these."""
    generations = [generation_of(epoch) for epoch in epochs if epoch is not None]
    if gone is not None:
        generations.append(gone)
    return f"{max(generations, default=-1) + 1}-{epoch_name()}"


def epoch_name() -> str:
    """What stands behind the number."""
    return secrets.token_hex(8)
