"""What the writer does beside calls, in portions, so that calls do not wait for long.

Everything here is a few statements a portion, however many rows they move: SQLite works without the interpreter's lock
then, and the event loop is not disturbed.
"""

from __future__ import annotations

import sqlite3

from fastcollab.engines.sqlite.schema import SEGMENT

#: So many operations, of so many bytes, gather before they are packed.
GATHERED = 2_048
GATHERED_BYTES = 4_194_304

#: About so many operations are packed in one portion: those of as many documents as fit, and of one at least.
_PORTION = 256

_LAST_OF_PORTION = """
    SELECT max(document) FROM (
        SELECT document, total, count, min(document) OVER () AS first FROM (
            SELECT document, count(*) AS count, sum(count(*)) OVER (ORDER BY document) AS total
            FROM recent WHERE document > :after GROUP BY document
        )
    )
    WHERE total <= :portion OR document = first
"""

_PACKED = (
    "FROM recent JOIN documents ON number = document AND version > packed WHERE document > :after AND document <= :last"
)

_PACK = (
    # What is packed into a segment that has been begun goes behind what it has.
    f"""
    INSERT INTO segments
    SELECT document, (version - 1) / {SEGMENT}, max(version), min(committed_at), max(committed_at), sum(size),
           group_concat(author), CAST(group_concat(entry) AS BLOB)
    {_PACKED} GROUP BY 1, 2
    ON CONFLICT DO UPDATE SET
        version = excluded.version,
        began_at = min(began_at, excluded.began_at),
        ended_at = max(ended_at, excluded.ended_at),
        size = size + excluded.size,
        authors = authors || ',' || excluded.authors,
        entries = CAST(entries || ',' || excluded.entries AS BLOB)
    """,
    f"INSERT OR REPLACE INTO results SELECT document, author, version {_PACKED} ORDER BY 1, 2",
    f"""
    UPDATE documents SET packed = newest, changed_at = ended_at, packed_bytes = packed_bytes + bytes
    FROM (
        SELECT document, max(version) AS newest, max(committed_at) AS ended_at,
               sum(CASE WHEN version > oldest THEN size ELSE 0 END) AS bytes
        {_PACKED} GROUP BY document
    )
    WHERE number = document
    """,
)

#: What is left of dropped documents is removed for so many at a time, and so many rows of each table.
_DROPPED = "SELECT document FROM dropped ORDER BY document LIMIT 64"
_LEFT_BEHIND = (("segments", "block", 64), ("results", "author", 2_048), ("snapshots", "version", 64))


class Keeper:
    """Packs what has gathered in `recent`, and removes what is left of documents that were dropped."""

    def __init__(self, gathered: int) -> None:
        self._limit = gathered
        self.start(0, dropped=True)

    def start(self, gathered: int, *, dropped: bool) -> None:
        """Begins from nothing: with so many operations in `recent`, and perhaps with documents that were dropped."""
        self._gathered = gathered
        self._gathered_bytes = 0
        self._dropped = dropped
        #: While packing: `recent` as it was then ends with `_last`, and documents up to `_done` are packed.
        self._last: int | None = None
        self._done = 0

    @property
    def due(self) -> bool:
        return self.packing or self.has_gathered or self._dropped

    @property
    def packing(self) -> bool:
        return self._last is not None

    @property
    def has_gathered(self) -> bool:
        return self._gathered >= self._limit or self._gathered_bytes >= GATHERED_BYTES

    @property
    def behind(self) -> bool:
        """Whether so much has gathered meanwhile that calls have to wait until more of it is packed."""
        return self._gathered >= 4 * self._limit or self._gathered_bytes >= 4 * GATHERED_BYTES

    def gather(self, operations: int, size: int) -> None:
        self._gathered += operations
        self._gathered_bytes += size

    def drop(self) -> None:
        self._dropped = True

    def begin_packing(self, connection: sqlite3.Connection) -> None:
        (self._last,) = connection.execute("SELECT ifnull(max(sequence), 0) FROM recent").fetchone()
        self._done = self._gathered = self._gathered_bytes = 0

    def pack(self, connection: sqlite3.Connection) -> None:
        """Packs a portion; after the last one `packing` is false, and `recent` has only what has come meanwhile."""
        portion = {"after": self._done, "portion": _PORTION}
        (last,) = connection.execute(_LAST_OF_PORTION, portion).fetchone()
        if last is None:
            connection.execute("DELETE FROM recent WHERE sequence <= ?", (self._last,))
            self._last = None
            return
        for statement in _PACK:
            connection.execute(statement, {"after": self._done, "last": last})
        self._done = last

    def remove_dropped(self, connection: sqlite3.Connection) -> None:
        done = True
        for table, key, limit in _LEFT_BEHIND:
            removed = connection.execute(
                f"""
                DELETE FROM {table} WHERE (document, {key}) IN (
                    SELECT document, {key} FROM {table} WHERE document IN ({_DROPPED}) LIMIT {limit}
                )
                """
            ).rowcount
            done = done and removed < limit
        if done:
            self._dropped = connection.execute(f"DELETE FROM dropped WHERE document IN ({_DROPPED})").rowcount > 0
