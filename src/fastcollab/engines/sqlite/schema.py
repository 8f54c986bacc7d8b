"""The file: its tables, how it is opened, and what is refused.

::

    documents   one row per life of a document; its `number` is never used again. `handed_back` is the newest version
                that the user's back end is known to have
    recent      the newest operations of all documents, in the order in which they were committed
    segments    the operations before those, by document, 64 versions in a row; the log is trimmed by taking its entries
    results     which version each message became (OT5), for all versions that segments tell of
    snapshots   contents by version; the oldest one is where the log begins
    dropped     documents that are gone, and whose rows have yet to be removed
    revocations tokens that are good no more (S12)

An operation is written twice, since what a commit costs is the pages that it changes. Those of a hundred rooms that end
up in `recent` share a page or two; in tables by document each would change a page of its own, and one more for its
result. So operations gather in `recent`, and when there are many they are packed into `segments` and `results`, where
each page takes many at once. A document is at version max(`packed`, its newest in `recent`); a row of `recent` whose
version is not above `packed` is of no use any more.

Contents and entries are JSON. A content of NULL is `ot.ABSENT`.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Literal
from urllib.parse import quote

from fastcollab.errors import StoreError

Durability = Literal["full", "relaxed"]

#: "fcol", by which a file is known to be ours.
APPLICATION_ID = 0x66636F6C

#: How many versions a segment has: those from `block` * SEGMENT + 1 on. It is part of the schema.
SEGMENT = 64

#: How long a connection waits for another process that writes.
BUSY_SECONDS = 5.0

#: The steps from an empty file to the newest schema. A released one never changes: another is added.
MIGRATIONS = (
    """
    CREATE TABLE documents (
        number INTEGER PRIMARY KEY AUTOINCREMENT,
        room_id TEXT NOT NULL UNIQUE,
        type TEXT NOT NULL,
        epoch TEXT NOT NULL,
        created_at INTEGER NOT NULL,
        changed_at INTEGER NOT NULL,
        oldest INTEGER NOT NULL DEFAULT 0,
        packed INTEGER NOT NULL DEFAULT 0,
        packed_bytes INTEGER NOT NULL DEFAULT 0,
        replaced INTEGER NOT NULL DEFAULT 0,
        handed_back INTEGER NOT NULL DEFAULT 0
    ) STRICT;
    CREATE INDEX unwritten ON documents (packed) WHERE packed = 0;
    CREATE TABLE recent (
        sequence INTEGER PRIMARY KEY,
        document INTEGER NOT NULL,
        version INTEGER NOT NULL,
        author INTEGER NOT NULL,
        committed_at INTEGER NOT NULL,
        size INTEGER NOT NULL,
        entry BLOB NOT NULL
    ) STRICT;
    CREATE TABLE segments (
        document INTEGER NOT NULL,
        block INTEGER NOT NULL,
        version INTEGER NOT NULL,
        began_at INTEGER NOT NULL,
        ended_at INTEGER NOT NULL,
        size INTEGER NOT NULL,
        authors TEXT NOT NULL,
        entries BLOB,
        PRIMARY KEY (document, block)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE results (
        document INTEGER NOT NULL,
        author INTEGER NOT NULL,
        version INTEGER NOT NULL,
        PRIMARY KEY (document, author)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE snapshots (
        document INTEGER NOT NULL,
        version INTEGER NOT NULL,
        content BLOB,
        PRIMARY KEY (document, version)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE dropped (document INTEGER PRIMARY KEY) STRICT;
    """,
    """
    CREATE TABLE revocations (
        kind TEXT NOT NULL,
        subject TEXT NOT NULL,
        before INTEGER NOT NULL,
        until INTEGER,
        PRIMARY KEY (kind, subject)
    ) STRICT, WITHOUT ROWID;
    """,
)


def connect(path: Path, durability: Durability, *, create: bool = False) -> sqlite3.Connection:
    """A connection for one thread, to a file of the newest schema. Raises :class:`sqlite3.Error`, or
    :class:`StoreError` for a file that is not ours to touch.

    Without `create` a file that is missing is not made: while the gateway runs, an empty one in its place would be a
    loss that nobody notices.
    """
    mode = "rwc" if create else "rw"
    connection = sqlite3.connect(
        f"file:{quote(str(path))}?mode={mode}",
        uri=True,
        timeout=BUSY_SECONDS,
        isolation_level=None,
        cached_statements=256,
        check_same_thread=False,
    )
    try:
        _prepare(connection, path, durability, create)
    except BaseException:
        connection.close()
        raise
    return connection


def synchronous(durability: Durability) -> str:
    """The statement that makes a connection wait for the disk when it commits, or not."""
    return f"PRAGMA synchronous = {'FULL' if durability == 'full' else 'NORMAL'}"


def _prepare(connection: sqlite3.Connection, path: Path, durability: Durability, create: bool) -> None:
    _check_origin(connection, path, create)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute(synchronous(durability))
    connection.execute("PRAGMA cache_size = -16384")
    # A page that is written often is then carried over from the write-ahead log once for many times.
    connection.execute("PRAGMA wal_autocheckpoint = 2000")
    connection.execute("PRAGMA journal_size_limit = 16777216")
    # Overwriting what is deleted with zeros would write each page once more.
    connection.execute("PRAGMA secure_delete = OFF")
    _migrate(connection)


def _check_origin(connection: sqlite3.Connection, path: Path, create: bool) -> None:
    application, version, tables = connection.execute(
        "SELECT * FROM pragma_application_id, pragma_user_version, (SELECT count(*) FROM sqlite_schema)"
    ).fetchone()
    if not tables and application in (0, APPLICATION_ID) and create:
        return
    if application != APPLICATION_ID:
        raise StoreError(f"{path} is a database of another program" if tables else f"{path} is empty")
    if version > len(MIGRATIONS):
        raise StoreError(
            f"{path} has schema {version}, made by a newer fastcollab; this one knows schemas up to {len(MIGRATIONS)}"
        )


def _migrate(connection: sqlite3.Connection) -> None:
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version == len(MIGRATIONS):
        return
    connection.execute("BEGIN IMMEDIATE")
    # Another process may have been quicker.
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    for migration in MIGRATIONS[version:]:
        for statement in migration.split(";"):
            connection.execute(statement)
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    connection.execute(f"PRAGMA user_version = {len(MIGRATIONS)}")
    connection.execute("COMMIT")
