"""Has the operations of rooms stored, one batch of a room at a time.

The batches of different rooms are under way at once, so that the store can commit them together. What comes for a room
while its batch is under way makes the next one.

What is usual goes without a task, which would cost more than an operation does. When the last socket has been read the
operations of all rooms are staged and given to the store; they are committed at once if it says that it has stored them
(:class:`~fastcollab.ports.Settled`), and by a callback if it gives a future. A task begins where more has to be waited
for: operations so late that history has to be fetched for them, refusals that have to be looked up, and a store that
fails, knows more than this process, or has a coroutine of its own.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from contextlib import nullcontext
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from fastcollab.core.commits import Errand, Refusal
from fastcollab.core.document import Committed
from fastcollab.core.effects import Effect
from fastcollab.core.room import Room
from fastcollab.core.session import Session
from fastcollab.errors import InternalError, ProtocolError, ServiceUnavailable, VersionMismatch
from fastcollab.logs import get_logger
from fastcollab.ports import AlreadyCommitted, LogMoved, Settled
from fastcollab.server._pump import now_ns
from fastcollab.server.clock import instant
from fastcollab.server.documents import Documents
from fastcollab.server.tallies import Tallies
from fastcollab.trace_context import NO_TRACES, log_fields

if TYPE_CHECKING:
    from fastcollab.server.tracing import Tracing

log = get_logger(__name__)


class _Batch(NamedTuple):
    """Operations of a room that are staged. `appending` ends when they are stored; None: there are none to be stored.

    `refusals` have not been looked up yet.
    """

    refusals: list[Refusal]
    appending: Awaitable[None] | None

    @property
    def is_stored(self) -> bool:
        """Whether it can be committed now, and nothing is to be done beside that."""
        if self.refusals:
            return False
        return self.appending is None or (isinstance(self.appending, Settled) and self.appending.error is None)


class _Told(NamedTuple):
    """What another node tells of a document (:meth:`Committer.follow`)."""

    epoch: str
    newest: int
    mark: str
    entries: Sequence[Committed]
    traceparents: Mapping[int, str]


class Committer:
    """Carries out :class:`~fastcollab.core.effects.Commit`.

    `carry_out` takes the effects of what was committed; `run` runs a coroutine to its end in the background; `retire`
    is told of rooms that have nothing under way any more, and `changed` of those, by id, whose document has changed.
    `committed` is given what was committed here, with the mark of the entry before it and with the places in traces of
    those entries that have one, for those who have the room open elsewhere, and is None if nobody can; what they have
    committed comes by :meth:`follow`. `tracing` follows operations, if any are to be traced.
    `when_read` calls a function when all that comes in together has been read, by default in the next round of the
    loop, so that it is one batch.
    """

    def __init__(
        self,
        documents: Documents,
        *,
        carry_out: Callable[[list[Effect]], None],
        run: Callable[[Coroutine[Any, Any, None]], None],
        retire: Callable[[Room], None],
        changed: Callable[[str], None],
        tallies: Tallies,
        committed: Callable[[Room, str, Sequence[Committed], dict[int, str]], None] | None = None,
        tracing: Tracing | None = None,
        when_read: Callable[[Callable[[], None]], object] | None = None,
    ) -> None:
        self._documents = documents
        self._carry_out = carry_out
        self._run = run
        self._retire = retire
        self._changed = changed
        self._tallies = tallies
        self._committed = committed
        self._tracing = tracing
        self._when_read = when_read or (lambda function: asyncio.get_running_loop().call_soon(function))
        #: The rooms whose first batch begins when all has been read.
        self._due: list[Room] = []
        #: The rooms with operations under way, each with what is done at the end of its batch, if anyone waits for it.
        self._busy: dict[Room, asyncio.Future[None] | None] = {}
        #: Of each room when the first of those operations came that wait, and of those that are staged (ns).
        self._waiting_since: dict[Room, int] = {}
        self._staged_since: dict[Room, int] = {}
        #: The rooms of whose document the store has more, or another.
        self._behind: set[Room] = set()
        #: What was told of rooms that had a batch under way.
        self._told: dict[Room, list[_Told]] = {}
        self._appending: set[asyncio.Future[None]] = set()
        self.idle = asyncio.Event()
        self.idle.set()

    def commit(self, room: Room) -> None:
        """The room has operations that wait."""
        self._waiting_since.setdefault(room, now_ns())
        if room not in self._busy:
            self._busy[room] = None
            self.idle.clear()
            if not self._due:
                self._when_read(self._begin)
            self._due.append(room)

    def follow(
        self,
        room: Room,
        epoch: str,
        newest: int,
        mark: str,
        entries: Sequence[Committed],
        traceparents: Mapping[int, str] = NO_TRACES,
    ) -> bool:
        """Another node has committed `entries`, which follow the one with this mark, and has the document at version
        `newest`. False: what is missing has to be read from the store first; the room is as it was. `traceparents` are
        the places in traces of those entries that have one, by version.

        While a batch is under way it has to wait: the store will tell whether that came too late.
        """
        told = _Told(epoch, newest, mark, entries, traceparents)
        if room in self._busy:
            self._told.setdefault(room, []).append(told)
            return True
        return self._follow(room, told)

    def _follow(self, room: Room, told: _Told) -> bool:
        document = room.document
        if told.epoch == document.epoch and told.newest <= document.version:
            return True
        fresh = [entry for entry in told.entries if entry.version > document.version]
        if told.epoch != document.epoch or not fresh or fresh[0].version != document.version + 1:
            return False
        if len(fresh) == len(told.entries) and told.mark != document.mark:
            return False
        traceparents = told.traceparents
        with (
            nullcontext(traceparents)
            if self._tracing is None or not traceparents
            else self._tracing.following(room.id, fresh, traceparents)
        ) as traceparents:
            document.follow(fresh)
            self._carry_out(room.followed(fresh, traceparents))
        return True

    def catch_up(self, room: Room) -> None:
        """The store has more of the room's document, or another."""
        self._behind.add(room)
        if room not in self._busy:
            self._busy[room] = None
            self.idle.clear()
            self._run(self._work(room, None))

    async def answered(self, room: Room, session: Session) -> None:
        """Waits until all operations are answered that the session has sent to the room."""
        while room.commits.has(session):
            await self._batch_ended(room)

    async def reach(self, room: Room, version: int) -> None:
        """Has the document be at this version, if it can be: who knows of it may have heard of it elsewhere."""
        if self._committed is None or version <= room.document.version:
            return
        self.catch_up(room)
        while room in self._behind:
            await self._batch_ended(room)

    async def _batch_ended(self, room: Room) -> None:
        if (end := self._busy[room]) is None:
            end = self._busy[room] = asyncio.get_running_loop().create_future()
        await asyncio.shield(end)

    def close(self) -> None:
        """Waits no longer for what the store has not answered yet."""
        for appending in self._appending:
            appending.cancel()

    def _begin(self) -> None:
        due, self._due = self._due, []
        for room in due:
            self._begin_batch(room)

    def _begin_batch(self, room: Room) -> None:
        """Has those that wait stored, and commits them if they are at once."""
        try:
            batch = None if self._lacks(room) or self._trails(room) else self._stage(room)
            if batch is None or not batch.is_stored:
                self._wait(room, batch)
                return
            self._stored(room)
        except Exception:
            self._fail(room)
        self._ended(room)

    def _wait(self, room: Room, batch: _Batch | None) -> None:
        """Goes on when the store has answered: in a task, unless to store the batch is all there is to do."""
        if batch is None or batch.refusals or not isinstance(batch.appending, asyncio.Future):
            self._run(self._work(room, batch))
            return
        self._appending.add(batch.appending)
        batch.appending.add_done_callback(partial(self._appended, room, batch))

    def _appended(self, room: Room, batch: _Batch, appending: asyncio.Future[None]) -> None:
        self._appending.discard(appending)
        if appending.cancelled():
            self._end(room)
        elif appending.exception() is not None:
            self._run(self._work(room, batch))
        else:
            try:
                self._stored(room)
            except Exception:
                self._fail(room)
            self._ended(room)

    def _ended(self, room: Room) -> None:
        """A batch of the room has ended, and the next begins if there is one."""
        self._tell_waiting(room)
        if room.commits or room in self._behind:
            self._begin_batch(room)
        else:
            self._end(room)

    async def _work(self, room: Room, batch: _Batch | None) -> None:
        """Brings `batch`, if it is staged already, and those after it to their end."""
        try:
            while batch is not None or room.commits or room in self._behind:
                await self._commit_batch(room, batch)
                batch = None
                self._tell_waiting(room)
        finally:
            self._end(room)

    def _tell_waiting(self, room: Room) -> None:
        """A batch of the room has ended."""
        for told in self._told.pop(room, ()):
            if not self._follow(room, told):
                self._behind.add(room)
        if (end := self._busy[room]) is not None:
            end.set_result(None)
            self._busy[room] = None

    def _end(self, room: Room) -> None:
        """The room has nothing under way any more."""
        if (end := self._busy.pop(room)) is not None:
            end.cancel()
        self._behind.discard(room)
        self._told.pop(room, None)
        self._waiting_since.pop(room, None)
        self._staged_since.pop(room, None)
        if not self._busy:
            self.idle.set()
        self._retire(room)

    async def _commit_batch(self, room: Room, batch: _Batch | None) -> None:
        refusals: list[Refusal] = []
        try:
            if batch is None:
                if self._trails(room):
                    await self._read_on(room)
                await self._recall(room)
                batch = self._stage(room)
            refusals = batch.refusals
            await self._append(room, batch)
        except ProtocolError as error:
            self._staged_since.pop(room, None)
            self._carry_out(room.failed(error))
        except Exception:
            self._fail(room)
        if refusals:
            self._carry_out(await self._judged(room, refusals))

    def _lacks(self, room: Room) -> bool:
        """Whether history has to be fetched before those that wait can be staged."""
        base = room.commits.oldest_base
        return base is not None and room.document.lacks(base)

    def _trails(self, room: Room) -> bool:
        """Whether the store has more of the document, by what is known. Who comes from another node may have written
        against a version of which this one has not heard yet.
        """
        newest = 0 if self._committed is None else room.commits.newest_base
        return room in self._behind or newest > room.document.version

    async def _recall(self, room: Room) -> None:
        """Brings back what those who wait have to be transformed over, and those who have come meanwhile."""
        while (base := room.commits.oldest_base) is not None and room.document.lacks(base):
            try:
                await self._documents.recall(room.id, room.document, base)
            except LogMoved:
                await self._read_on(room)

    def _stage(self, room: Room) -> _Batch:
        """Stages those that wait, and has them stored."""
        if self._tracing is not None:
            self._tracing.reached("stage", room.commits.waiting)
        refusals = room.commits.stage(instant().unix)
        # Those that have been staged before, and have to be again, have come before the others.
        if (since := self._waiting_since.pop(room, None)) is not None:
            self._staged_since.setdefault(room, since)
        document = room.document
        if not document.staged:
            return _Batch(refusals, None)
        if self._tracing is not None:
            self._tracing.reached("append", (entry.author for entry in document.staged))
        appending = self._documents.store.append(room.id, document.epoch, document.staged, document.mark)
        return _Batch(refusals, appending)

    async def _append(self, room: Room, batch: _Batch) -> None:
        if batch.appending is not None:
            try:
                await batch.appending
            except AlreadyCommitted as known:
                room.commits.restage(known.results)
                return
            except LogMoved as moved:
                if moved.pause:
                    await asyncio.sleep(moved.pause)
                await self._read_on(room, moved.entries)
                return
        self._stored(room)

    def _stored(self, room: Room) -> None:
        document = room.document
        mark, entries, traceparents = document.mark, document.staged, room.commits.traceparents
        self._carry_out(room.committed())
        since = self._staged_since.pop(room, None)
        if entries:
            self._tallies.operations[document.type.name] += len(entries)
            if since is not None:
                self._tallies.commit_seconds.observe((now_ns() - since) / 1e9)
            self._changed(room.id)
            if self._committed is not None:
                self._committed(room, mark, entries, traceparents)
        if document.snapshot_due:
            self._run(self._documents.keep_snapshot(room.id, document))

    def _fail(self, room: Room) -> None:
        """Tells the senders of a failure that nobody has foreseen."""
        log.exception("operations could not be committed", room_id=room.id)
        self._staged_since.pop(room, None)
        self._carry_out(room.failed(InternalError("the gateway failed to store the operation")))

    async def _judged(self, room: Room, refusals: list[Refusal]) -> list[Effect]:
        """Looks whether operations that were refused have been committed before."""
        for refusal in refusals:
            if refusal.error.__cause__ is not None:
                log.error(
                    "an operation could not be carried out",
                    room_id=room.id,
                    **_who_sent(refusal),
                    exc_info=refusal.error.__cause__,
                )
        authors = [refusal.submission.author for refusal in refusals]
        try:
            results = await self._documents.store.results(room.id, room.document.epoch, authors)
            if max(results.values(), default=0) > room.document.version:
                # By a batch of which the store has not said that it was stored: what came before it is told first.
                await self._read_on(room)
        except Exception as fault:
            results = {}
            if not isinstance(fault, ServiceUnavailable):
                log.exception("operations could not be looked up", room_id=room.id)
            error = fault if isinstance(fault, ProtocolError) else InternalError("the gateway failed to look it up")
            refusals = [refusal._replace(error=error) for refusal in refusals]
        return room.refused(refusals, results)

    async def _read_on(self, room: Room, entries: Sequence[Committed] = ()) -> None:
        """Another has written to the document: takes that in, and has the batch wait again. `entries` are what it has
        written, if they are known.
        """
        document = room.document
        self._behind.discard(room)
        room.commits.restage({})
        try:
            if not entries:
                version, mark = document.version, document.mark
                entries = await self._documents.store.history(room.id, document.epoch, version, mark=mark)
        except (LogMoved, VersionMismatch):  # another epoch; or an older state of this one, put back under the gateway
            renewed = await self._documents.reopen(room.id, document)
            self._carry_out(room.renewed(renewed))
            self._changed(room.id)
        else:
            document.follow(entries)
            self._carry_out(room.followed(entries))


def _who_sent(refusal: Refusal) -> dict[str, str]:
    """What a log event says of where an operation came from."""
    sender, submission, _ = refusal
    connection = {} if isinstance(sender, Errand) else {"connection_id": sender.connection_id}
    return {**connection, "message_id": submission.message_id, **log_fields(submission.traceparent)}
