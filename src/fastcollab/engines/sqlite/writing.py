"""What changes the file: appends above all, many in one transaction.

Before it writes, a transaction knows of each append whether it fits: the heads of the documents that are written to,
and the authors of what is in `recent`, are in memory. They are right as long as no other process has written to the
file, which SQLite tells by its `data_version`; otherwise they are read anew. So the appends of a group are one lookup
among older results and one insert. The group's other calls follow, each in a savepoint.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import orjson

from fastcollab.core.document import Committed
from fastcollab.engines.sqlite import faults
from fastcollab.engines.sqlite.connection import FAULTS, Connected
from fastcollab.engines.sqlite.keeping import Keeper
from fastcollab.engines.sqlite.rows import author_key, encode_entry
from fastcollab.engines.sqlite.schema import Durability, synchronous
from fastcollab.engines.sqlite.worker import Call
from fastcollab.logs import get_logger
from fastcollab.ports import AlreadyCommitted, LogMoved

log = get_logger(__name__)

#: How many heads are remembered.
_HEADS = 16_384

#: How many rows one statement inserts or looks up at most. There is a statement for each number of rows, since between
#: two statements the interpreter's lock has to be waited for.
_ROWS = 64

#: After so many seconds without calls there is time to tidy up.
_QUIET = 1.0

#: So many changes are worth a checkpoint when it is quiet.
_CHECKPOINT = 256


class Append(NamedTuple):
    room_id: str
    epoch: str
    entries: Sequence[Committed]


class Change(NamedTuple):
    """Any other call; `drops` says whether a document may be gone after it."""

    function: Callable[[sqlite3.Connection], Any]
    drops: bool


@dataclass(slots=True)
class _Head:
    number: int
    epoch: str
    version: int


@dataclass(slots=True)
class _Gathered:
    """What is in `recent`: versions by document and author, and the newest version by document."""

    versions: dict[tuple[int, int], int] = field(default_factory=dict)
    newest: dict[int, int] = field(default_factory=dict)


class Writer(Connected):
    """Carries out calls that change something: :class:`Append` and :class:`Change`."""

    def __init__(self, path: Path, durability: Durability, gathered: int) -> None:
        super().__init__(path, durability)
        self._keeper = Keeper(gathered)
        self._heads: dict[str, _Head] = {}
        #: What has come since the last packing began, and what is being packed.
        self._gathered = _Gathered()
        self._packing = _Gathered()
        self._data_version: int | None = None
        self._failing = False
        self._checkpointed = 0

    # --- the handler --------------------------------------------------------------------------------------------------

    @property
    def patience(self) -> float | None:
        if self._connection is None or self._failing:
            return None
        if self._keeper.due:
            return 0
        return _QUIET if self._connection.total_changes - self._checkpointed >= _CHECKPOINT else None

    def handle(self, calls: Sequence[Call]) -> None:
        for call in calls:
            call.error = call.result = None
        try:
            with self._transaction() as connection:
                self._append(connection, [call for call in calls if isinstance(call.request, Append)])
                for call in calls:
                    if isinstance(call.request, Change):
                        self._change(connection, call)
            self._failing = False
            self._faults.over()
        except FAULTS as error:
            if len(calls) > 1 and not faults.concerns_all(error):
                # One of them may be to blame for all.
                for call in calls:
                    self.handle([call])
                return
            for call in calls:
                call.error = self.met(error)
        except Exception as error:
            for call in calls:
                call.error = error

    def tidy(self) -> None:
        try:
            if self._keeper.due:
                self._keep()
            else:
                self.connect().execute("PRAGMA wal_checkpoint(PASSIVE)")
                self._checkpointed = self.connect().total_changes
        except FAULTS as error:
            self._failing = True
            self.met(error)
        except Exception:
            # Whatever it is, those who append must not have to do without this thread.
            self._failing = True
            log.exception("the documents' file could not be tidied up", file=str(self._path))

    def disconnect(self) -> None:
        super().disconnect()
        self._data_version = None

    # --- transactions -------------------------------------------------------------------------------------------------

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        connection = self.connect()
        try:
            connection.execute("BEGIN IMMEDIATE")
            (data_version,) = connection.execute("PRAGMA data_version").fetchone()
            if data_version != self._data_version:
                self._recall(connection)
                self._data_version = data_version
            yield connection
            connection.execute("COMMIT")
        except BaseException:
            # What is in memory may speak of what has not been written.
            self._data_version = None
            if connection.in_transaction:
                try:
                    connection.execute("ROLLBACK")
                except sqlite3.Error:
                    self.disconnect()
            raise

    def _recall(self, connection: sqlite3.Connection) -> None:
        """Reads anew what is in memory of the file, in one row: for each there is a wait for the interpreter's lock."""
        (rows,) = connection.execute(
            "SELECT json_group_array(json_array(document, author, version)) FROM recent"
        ).fetchone()
        self._heads.clear()
        self._gathered, self._packing = _Gathered(), _Gathered()
        for document, author, version in orjson.loads(rows):
            self._gathered.versions[document, author] = version
            self._gathered.newest[document] = max(version, self._gathered.newest.get(document, 0))
        self._keeper.start(len(self._gathered.versions), dropped=True)

    def _keep(self) -> None:
        """Packs a portion, or more if calls have to wait for it, or removes what is left of dropped documents."""
        connection = self.connect()
        # What is packed has been stored before, so that its second writing need not be waited for.
        connection.execute(synchronous("relaxed"))
        try:
            while True:
                with self._transaction():
                    self._keep_portion(connection)
                if not self._keeper.behind:
                    return
        finally:
            if self._connection is connection:
                connection.execute(synchronous(self._durability))

    def _keep_portion(self, connection: sqlite3.Connection) -> None:
        keeper = self._keeper
        if not keeper.packing and not keeper.has_gathered:
            keeper.remove_dropped(connection)
            return
        if not keeper.packing:
            keeper.begin_packing(connection)
            self._gathered, self._packing = _Gathered(), self._gathered
        keeper.pack(connection)
        if not keeper.packing:
            self._packing = _Gathered()

    # --- calls --------------------------------------------------------------------------------------------------------

    def _change(self, connection: sqlite3.Connection, call: Call) -> None:
        connection.execute("SAVEPOINT change")
        try:
            call.result = call.request.function(connection)
        except Exception as error:
            connection.execute("ROLLBACK TO change")
            if isinstance(error, FAULTS):
                raise
            call.error = error
        connection.execute("RELEASE change")
        if call.request.drops:
            self._heads.clear()
            self._keeper.drop()

    def _append(self, connection: sqlite3.Connection, calls: Sequence[Call]) -> None:
        heads = [self._head(connection, call.request.room_id) for call in calls]
        keys = [[author_key(entry.author) for entry in call.request.entries] for call in calls]
        authors = [(head.number, key) for head, of_call in zip(heads, keys, strict=True) if head for key in of_call]
        known = self._known(connection, authors)
        rows: list[Any] = []
        for call, head, of_call in zip(calls, heads, keys, strict=True):
            try:
                self._append_one(call.request, head, of_call, known, rows)
            except Exception as error:
                call.error = error
        for portion in _portions(rows, _ROWS * _COLUMNS):
            connection.execute(_insert_recent(len(portion) // _COLUMNS), portion)

    def _append_one(
        self,
        append: Append,
        head: _Head | None,
        keys: Sequence[int],
        known: dict[tuple[int, int], int],
        rows: list[Any],
    ) -> None:
        room_id, epoch, entries = append
        if head is None or head.epoch != epoch or head.version + 1 != entries[0].version:
            raise LogMoved(f"the log of {room_id!r} is not at version {entries[0].version - 1} of epoch {epoch}")
        number = head.number
        results = {}
        for entry, key in zip(entries, keys, strict=True):
            author = number, key
            for versions in (self._gathered.versions, self._packing.versions, known):
                if author in versions:
                    results[entry.author] = versions[author]
        if results:
            raise AlreadyCommitted(results)
        encoded = list(map(encode_entry, entries))
        size = 0
        for entry, key, line in zip(entries, keys, encoded, strict=True):
            rows += (number, entry.version, key, entry.committed_at, entry.size, line)
            self._gathered.versions[number, key] = entry.version
            size += len(line)
        head.version = self._gathered.newest[number] = entries[-1].version
        self._keeper.gather(len(entries), size)

    def _head(self, connection: sqlite3.Connection, room_id: str) -> _Head | None:
        head = self._heads.get(room_id)
        if head is None:
            row = connection.execute(
                "SELECT number, epoch, packed FROM documents WHERE room_id = ?", (room_id,)
            ).fetchone()
            if row is None:
                return None
            number, epoch, packed = row
            newest = [gathered.newest.get(number, 0) for gathered in (self._gathered, self._packing)]
            if len(self._heads) >= _HEADS:
                self._heads.clear()
            head = self._heads[room_id] = _Head(number, epoch, max(packed, *newest))
        return head

    def _known(self, connection: sqlite3.Connection, authors: Sequence[tuple[int, int]]) -> dict[tuple[int, int], int]:
        """The versions of those that are among the results."""
        known = {}
        for portion in _portions(authors, _ROWS):
            for document, author, version in connection.execute(
                _select_results(len(portion)), [value for pair in portion for value in pair]
            ):
                known[document, author] = version
        return known


_COLUMNS = 6


@cache
def _insert_recent(rows: int) -> str:
    values = ", ".join(["(?, ?, ?, ?, ?, ?)"] * rows)
    return f"INSERT INTO recent (document, version, author, committed_at, size, entry) VALUES {values}"


@cache
def _select_results(rows: int) -> str:
    values = ", ".join(["(?, ?)"] * rows)
    # A cross join is one that is carried out in this order; otherwise the whole table might be looked through.
    return f"""
        WITH asked (asked_document, asked_author) AS (VALUES {values})
        SELECT document, author, version FROM asked
        CROSS JOIN results ON document = asked_document AND author = asked_author
    """


def _portions(values: Sequence[Any], size: int) -> Iterable[Sequence[Any]]:
    return (values[start : start + size] for start in range(0, len(values), size))
