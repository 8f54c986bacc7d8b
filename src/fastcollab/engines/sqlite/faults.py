"""What can be wrong with the file or its disk, and how it is told.

A client hears that the documents cannot be reached and when to try again; which file it is, and what SQLite says, is
for the log, once per fault and not per operation that meets it.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path

from fastcollab.errors import ServiceUnavailable, StoreError
from fastcollab.logs import get_logger

log = get_logger(__name__)

RETRY_AFTER_MS = 1_000

_REASONS = {
    sqlite3.SQLITE_FULL: "the disk is full",
    sqlite3.SQLITE_READONLY: "the file is read-only",
    sqlite3.SQLITE_PERM: "the file is read-only",
    sqlite3.SQLITE_IOERR: "the disk cannot be read or written",
    sqlite3.SQLITE_CANTOPEN: "the file cannot be opened",
    sqlite3.SQLITE_CORRUPT: "the file is damaged",
    sqlite3.SQLITE_NOTADB: "the file is damaged",
    sqlite3.SQLITE_BUSY: "the file is locked by another process",
    sqlite3.SQLITE_LOCKED: "the file is locked by another process",
    sqlite3.SQLITE_TOOBIG: "a document is larger than the store can keep",
}

#: What is not the fault of a single call, so that others need not try.
_OF_THE_DISK = {
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_BUSY,
}

#: After these the connection is as good as before.
_HARMLESS = {sqlite3.SQLITE_FULL, sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_TOOBIG}


def primary_code(error: Exception) -> int:
    """SQLite's code of the error, without what is told beside it; 0: it has none."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF


def reason(error: Exception) -> str:
    """What is wrong, for people who do not know SQLite."""
    return _REASONS.get(primary_code(error), "the file cannot be used")


def concerns_all(error: Exception) -> bool:
    """Whether every call must be expected to fail alike."""
    return isinstance(error, StoreError) or primary_code(error) in _OF_THE_DISK


def spoils_connection(error: Exception) -> bool:
    """Whether to go on with another connection: the file may have been replaced, or is about to be."""
    return primary_code(error) not in _HARMLESS


def unavailable(error: Exception) -> ServiceUnavailable:
    """The error for whoever has called."""
    return ServiceUnavailable(f"documents cannot be stored: {reason(error)}", retryAfterMs=RETRY_AFTER_MS)


class FaultLog:
    """Tells the log when a fault begins and when it is over."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._current: str | None = None

    def met(self, error: Exception) -> None:
        if self._current != (current := reason(error)):
            self._current = current
            log.error(f"documents cannot be stored: {current}", file=str(self._path), error=str(error))

    def over(self) -> None:
        if self._current is not None:
            self._current = None
            log.info("documents can be stored again", file=str(self._path))
