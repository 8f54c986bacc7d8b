"""What is asked of the file: documents, their histories and results."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import orjson

from fastcollab.core.document import Author, Committed
from fastcollab.engines.sqlite.connection import FAULTS, Connected
from fastcollab.engines.sqlite.rows import author_key, decode_content, decode_entries, decode_entry
from fastcollab.engines.sqlite.schema import SEGMENT
from fastcollab.engines.sqlite.worker import Call
from fastcollab.errors import VersionMismatch
from fastcollab.ports import DocumentSummary, LogMoved, StoredDocument


class Reader(Connected):
    """Carries out calls that change nothing: functions of a connection, each in a transaction of its own.

    A transaction sees one state of the file from its first query on, however much is written meanwhile.
    """

    patience = None

    def handle(self, calls: Sequence[Call]) -> None:
        for call in calls:
            try:
                call.result = self._read(call.request)
                self._faults.over()
            except FAULTS as error:
                call.error = self.met(error)
            except Exception as error:
                call.error = error

    def tidy(self) -> None:
        """There is nothing to tidy."""

    def _read(self, query: Callable[[sqlite3.Connection], Any]) -> Any:
        connection = self.connect()
        connection.execute("BEGIN")
        try:
            return query(connection)
        finally:
            if connection.in_transaction:
                connection.execute("ROLLBACK")


class Head(NamedTuple):
    """A document without its content; see the table `documents`."""

    number: int
    type: str
    epoch: str
    oldest: int
    packed: int
    version: int

    def check(self, version: int) -> None:
        """Raises :class:`VersionMismatch` unless the log reaches there."""
        if not self.oldest <= version <= self.version:
            raise VersionMismatch("the version is not in the log", version=self.version, oldest=self.oldest)


def find(connection: sqlite3.Connection, room_id: str) -> Head | None:
    row = connection.execute(
        """
        SELECT number, type, epoch, oldest, packed,
               max(packed, ifnull((SELECT max(version) FROM recent WHERE document = number), 0))
        FROM documents WHERE room_id = ?
        """,
        (room_id,),
    ).fetchone()
    return None if row is None else Head(*row)


def find_in_epoch(connection: sqlite3.Connection, room_id: str, epoch: str) -> Head:
    head = find(connection, room_id)
    if head is None or head.epoch != epoch:
        raise LogMoved(f"the document of {room_id!r} is not in epoch {epoch}")
    return head


def load(connection: sqlite3.Connection, room_id: str, version: int | None) -> StoredDocument | None:
    head = find(connection, room_id)
    if head is None:
        return None
    if version is None:
        version = head.version
    head.check(version)
    base, content = connection.execute(
        "SELECT version, content FROM snapshots WHERE document = ? AND version <= ? ORDER BY version DESC LIMIT 1",
        (head.number, version),
    ).fetchone()
    entries = list(entries_between(connection, head, base, version))
    return StoredDocument(head.type, head.epoch, head.oldest, base, decode_content(content), entries)


def history(
    connection: sqlite3.Connection, room_id: str, epoch: str, after: int, up_to: int | None, limit: int | None
) -> list[Committed]:
    head = find_in_epoch(connection, room_id, epoch)
    head.check(after)
    up_to = head.version if up_to is None else min(up_to, head.version)
    if limit is not None:
        up_to = min(up_to, after + limit)
    return list(entries_between(connection, head, after, up_to))


def entries_between(connection: sqlite3.Connection, head: Head, after: int, up_to: int) -> Iterator[Committed]:
    """The entries of the versions from `after` + 1 to `up_to`."""
    if after < head.packed:
        for (entries,) in connection.execute(
            "SELECT entries FROM segments WHERE document = ? AND block BETWEEN ? AND ? ORDER BY block",
            (head.number, after // SEGMENT, (up_to - 1) // SEGMENT),
        ):
            for entry in decode_entries(entries):
                if after < entry.version <= up_to:
                    yield entry
    if up_to > head.packed:
        for (encoded,) in connection.execute(
            "SELECT entry FROM recent WHERE document = ? AND version > ? AND version <= ? ORDER BY version",
            (head.number, max(after, head.packed), up_to),
        ):
            yield decode_entry(encoded)


def results(connection: sqlite3.Connection, room_id: str, epoch: str, authors: Sequence[Author]) -> dict[Author, int]:
    head = find(connection, room_id)
    if head is None or head.epoch != epoch:
        return {}
    asked = {author_key(author): author for author in authors}
    rows = connection.execute(
        """
        WITH asked AS MATERIALIZED (SELECT value AS author FROM json_each(:authors))
        SELECT author, version FROM results WHERE document = :document AND author IN asked
        UNION ALL
        SELECT author, version FROM recent WHERE document = :document AND author IN asked
        """,
        {"document": head.number, "authors": orjson.dumps(list(asked)).decode()},
    )
    return {asked[key]: version for key, version in rows}


def summaries(connection: sqlite3.Connection, after: str, limit: int) -> list[DocumentSummary]:
    return [
        DocumentSummary(*row)
        for row in connection.execute(
            """
            WITH newest AS MATERIALIZED (
                SELECT document, max(recent.version) AS version, recent.committed_at AS changed_at, sum(size) AS size
                FROM recent JOIN documents ON number = document AND recent.version > max(packed, oldest)
                GROUP BY document
            )
            SELECT room_id, type, epoch, max(packed, ifnull(version, 0)), oldest,
                   ifnull(newest.changed_at, documents.changed_at),
                   packed_bytes + ifnull(size, 0)
            FROM documents LEFT JOIN newest ON document = number
            WHERE room_id > ? ORDER BY room_id LIMIT ?
            """,
            (after, limit),
        )
    ]


def awaiting_hand_back(connection: sqlite3.Connection, after: str, limit: int) -> list[str]:
    return [
        room_id
        for (room_id,) in connection.execute(
            """
            WITH newest AS MATERIALIZED (SELECT document, max(version) AS version FROM recent GROUP BY document)
            SELECT room_id FROM documents LEFT JOIN newest ON document = number
            WHERE room_id > ? AND max(packed, ifnull(version, 0)) > handed_back ORDER BY room_id LIMIT ?
            """,
            (after, limit),
        )
    ]
