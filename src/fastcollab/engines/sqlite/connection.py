"""A thread's connection to the file: opened when it is needed, and given up when something is wrong with it."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path

from fastcollab.engines.sqlite import faults
from fastcollab.engines.sqlite.schema import Durability, connect
from fastcollab.errors import ServiceUnavailable, StoreError

#: What carrying out a call may meet that says something about the file.
FAULTS = (sqlite3.Error, StoreError)


class Connected:
    """The part of a handler that has a connection."""

    def __init__(self, path: Path, durability: Durability) -> None:
        self._path = path
        self._durability = durability
        self._faults = faults.FaultLog(path)
        self._connection: sqlite3.Connection | None = None
        #: Has the other thread give up its connection: the last one that is closed removes the write-ahead log, which
        #: would not fit a file that is put in place of this one.
        self.disconnect_other: Callable[[], None] = lambda: None

    def connect(self) -> sqlite3.Connection:
        if self._connection is None:
            self._connection = connect(self._path, self._durability)
        return self._connection

    def disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def met(self, error: Exception) -> ServiceUnavailable:
        """Tells of a fault, and returns what to tell the caller."""
        self._faults.met(error)
        if faults.spoils_connection(error):
            self.disconnect()
            self.disconnect_other()
        return faults.unavailable(error)
