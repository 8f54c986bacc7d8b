"""What is done to documents beside appending to them: functions of a connection in a transaction."""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Collection
from typing import Any

import orjson

from fastcollab.core.document import Committed, new_epoch
from fastcollab.engines.sqlite.reading import Head, find
from fastcollab.engines.sqlite.rows import decode_entries, encode_content
from fastcollab.engines.sqlite.schema import SEGMENT
from fastcollab.ports import Retention, StoredDocument

#: By so many versions a log is trimmed at a time, if there is a snapshot so near; and results of so many segments are
#: forgotten at a time.
_TRIMMED_AT_ONCE = 16_384
_FORGOTTEN_AT_ONCE = 64

#: So many documents that were never written to are forgotten in one transaction.
FORGOTTEN_DOCUMENTS = 512


def create(
    connection: sqlite3.Connection, room_id: str, document_type: str, content: Any, unix: int
) -> StoredDocument | None:
    """Makes the document; None if there is one."""
    epoch = new_epoch()
    cursor = connection.execute(
        """
        INSERT INTO documents (room_id, type, epoch, created_at, changed_at) VALUES (?, ?, ?, ?, ?)
        ON CONFLICT DO NOTHING
        """,
        (room_id, document_type, epoch, unix, unix),
    )
    if not cursor.rowcount:
        return None
    connection.execute("INSERT INTO snapshots VALUES (?, 0, ?)", (cursor.lastrowid, encode_content(content)))
    return StoredDocument(document_type, epoch, 0, 0, content, [])


def replace(
    connection: sqlite3.Connection, room_id: str, document_type: str, content: Any, unix: int
) -> StoredDocument:
    delete(connection, room_id)
    made = create(connection, room_id, document_type, content, unix)
    assert made is not None
    connection.execute("UPDATE documents SET replaced = 1, handed_back = -1 WHERE room_id = ?", (room_id,))
    return made


def delete(connection: sqlite3.Connection, room_id: str) -> bool:
    connection.execute("INSERT INTO dropped SELECT number FROM documents WHERE room_id = ?", (room_id,))
    return connection.execute("DELETE FROM documents WHERE room_id = ?", (room_id,)).rowcount > 0


def forget_unwritten(connection: sqlite3.Connection, before: int, keep: Collection[str]) -> int:
    """Forgets up to `FORGOTTEN_DOCUMENTS` of them."""
    connection.execute(
        f"""
        INSERT INTO dropped
        SELECT number FROM documents
        WHERE packed = 0 AND NOT replaced AND created_at < ? AND number NOT IN (SELECT document FROM recent)
              AND room_id NOT IN (SELECT value FROM json_each(?))
        LIMIT {FORGOTTEN_DOCUMENTS}
        """,
        (before, orjson.dumps(list(keep)).decode()),
    )
    return connection.execute("DELETE FROM documents WHERE number IN (SELECT document FROM dropped)").rowcount


def handed_back(connection: sqlite3.Connection, room_id: str, epoch: str, version: int) -> None:
    connection.execute(
        "UPDATE documents SET handed_back = max(handed_back, ?) WHERE room_id = ? AND epoch = ?",
        (version, room_id, epoch),
    )


def snapshot(
    connection: sqlite3.Connection,
    room_id: str,
    epoch: str,
    version: int,
    content: Any,
    retention: Retention,
    unix: int,
) -> int:
    head = find(connection, room_id)
    if head is None or head.epoch != epoch:
        return version
    if head.oldest <= version <= head.version:
        connection.execute(
            "INSERT OR REPLACE INTO snapshots VALUES (?, ?, ?)", (head.number, version, encode_content(content))
        )
    oldest = _new_oldest(connection, head, retention, unix)
    if oldest > head.oldest:
        _trim(connection, head, oldest)
    _forget_results(connection, head.number, oldest, _horizon(unix, retention.results_seconds))
    return oldest


def _new_oldest(connection: sqlite3.Connection, head: Head, retention: Retention, unix: int) -> int:
    """The version of the snapshot at which to trim the log."""
    wanted = max(head.version - retention.operations, _last_in_excess(connection, head, retention, unix))
    near = min(wanted, head.oldest + _TRIMMED_AT_ONCE)
    (oldest,) = connection.execute(
        """
        SELECT coalesce(
            (SELECT max(version) FROM snapshots WHERE document = :number AND version > :oldest AND version <= :near),
            (SELECT min(version) FROM snapshots WHERE document = :number AND version > :oldest AND version <= :wanted),
            :oldest
        )
        """,
        {"number": head.number, "oldest": head.oldest, "near": near, "wanted": wanted},
    ).fetchone()
    assert isinstance(oldest, int)
    return oldest


def _last_in_excess(connection: sqlite3.Connection, head: Head, retention: Retention, unix: int) -> int:
    """The newest version that is too old to be kept, or too much together with those that follow; 0: there is none."""
    horizon = _horizon(unix, retention.seconds)
    row = connection.execute(
        f"""
        SELECT version, block, total - size FROM (
            SELECT *, sum(size) OVER (ORDER BY version DESC) AS total FROM (
                SELECT version, NULL AS block, size, committed_at AS began_at
                FROM recent WHERE document = :document AND version > :packed
                UNION ALL
                SELECT version, block, size, began_at FROM segments
                WHERE document = :document AND block >= :oldest / {SEGMENT}
            )
        )
        WHERE total > :bytes OR began_at < :horizon ORDER BY version DESC LIMIT 1
        """,
        {
            "document": head.number,
            "packed": head.packed,
            "oldest": head.oldest,
            "bytes": retention.bytes,
            "horizon": horizon,
        },
    ).fetchone()
    if row is None:
        return 0
    version, block, size = row
    if block is None:
        return int(version)
    segment = int(block)
    for entry in reversed(_segment(connection, head.number, segment)):
        size += entry.size
        if size > retention.bytes or entry.committed_at < horizon:
            return entry.version
    return segment * SEGMENT


def _trim(connection: sqlite3.Connection, head: Head, oldest: int) -> None:
    # A segment that has not been filled yet is left alone.
    trimmed = oldest // SEGMENT
    key = {"document": head.number, "oldest": oldest, "trimmed": trimmed, "before": head.oldest // SEGMENT}
    connection.execute("DELETE FROM snapshots WHERE document = :document AND version < :oldest", key)
    connection.execute(
        """
        UPDATE segments SET entries = NULL WHERE document = :document AND block >= :before AND block < :trimmed
        """,
        key,
    )
    gone = sum(entry.size for entry in _segment(connection, head.number, trimmed) if entry.version <= oldest)
    connection.execute(
        """
        UPDATE documents SET oldest = :oldest, packed_bytes = (
            SELECT ifnull(sum(size), 0) - :gone FROM segments WHERE document = :document AND block >= :trimmed
        )
        WHERE number = :document
        """,
        {**key, "gone": gone},
    )


def _segment(connection: sqlite3.Connection, number: int, block: int) -> list[Committed]:
    row = connection.execute(
        "SELECT entries FROM segments WHERE document = ? AND block = ?", (number, block)
    ).fetchone()
    return [] if row is None else decode_entries(row[0])


def _forget_results(connection: sqlite3.Connection, number: int, oldest: int, horizon: int) -> None:
    """Forgets results that are older than `horizon`, of the oldest segments that have been trimmed."""
    (last,) = connection.execute(
        f"""
        SELECT max(block) FROM (
            SELECT block, max(ended_at) OVER (ORDER BY block) AS newest FROM segments
            WHERE document = ? AND block < ? ORDER BY block LIMIT {_FORGOTTEN_AT_ONCE}
        )
        WHERE newest < ?
        """,
        (number, oldest // SEGMENT, horizon),
    ).fetchone()
    if last is None:
        return
    connection.execute(
        """
        DELETE FROM results WHERE document = :document AND author IN (
            SELECT value FROM segments, json_each('[' || authors || ']') WHERE document = :document AND block <= :last
        )
        """,
        {"document": number, "last": last},
    )
    connection.execute("DELETE FROM segments WHERE document = ? AND block <= ?", (number, last))


def _horizon(unix: int, seconds: float) -> int:
    """The time in ms before which something is older than that."""
    return 0 if math.isinf(seconds) else int(unix - seconds * 1000)
