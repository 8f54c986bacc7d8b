"""Has the operations of rooms stored, one batch of a room at a time.

The batches of different rooms are under way at once, so that the store can commit them together. What comes for a room
while its batch is under way makes the next one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from fastcollab.core.commits import Refusal
from fastcollab.core.effects import Effect
from fastcollab.core.room import Room
from fastcollab.core.session import Session
from fastcollab.errors import InternalError, ProtocolError, ServiceUnavailable
from fastcollab.logs import get_logger
from fastcollab.ports import AlreadyCommitted, LogMoved
from fastcollab.server.clock import instant
from fastcollab.server.documents import Documents

log = get_logger(__name__)


class Committer:
    """Carries out :class:`~fastcollab.core.effects.Commit`.

    `carry_out` takes the effects of what was committed; `run` runs a coroutine to its end in the background; `retire`
    is told of rooms that have nothing under way any more, and `changed` of those, by id, whose document has changed.
    """

    def __init__(
        self,
        documents: Documents,
        *,
        carry_out: Callable[[list[Effect]], None],
        run: Callable[[Coroutine[Any, Any, None]], None],
        retire: Callable[[Room], None],
        changed: Callable[[str], None],
    ) -> None:
        self._documents = documents
        self._carry_out = carry_out
        self._run = run
        self._retire = retire
        self._changed = changed
        #: The rooms with operations under way, each with what is done at the end of its batch.
        self._busy: dict[Room, asyncio.Future[None]] = {}
        self.idle = asyncio.Event()
        self.idle.set()

    def commit(self, room: Room) -> None:
        """The room has operations that wait."""
        if room not in self._busy:
            self._busy[room] = asyncio.get_running_loop().create_future()
            self.idle.clear()
            # The task begins in the next round of the loop, so that all that is read in this one is one batch.
            self._run(self._work(room))

    async def answered(self, room: Room, session: Session) -> None:
        """Waits until all operations are answered that the session has sent to the room."""
        while room.commits.has(session):
            await asyncio.shield(self._busy[room])

    async def _work(self, room: Room) -> None:
        try:
            while room.commits:
                await self._commit_batch(room)
                self._busy[room].set_result(None)
                self._busy[room] = asyncio.get_running_loop().create_future()
        finally:
            self._busy.pop(room).cancel()
            if not self._busy:
                self.idle.set()
            self._retire(room)

    async def _commit_batch(self, room: Room) -> None:
        refusals: list[Refusal] = []
        try:
            await self._recall(room)
            refusals = room.commits.stage(instant().unix)
            await self._append(room)
        except ProtocolError as error:
            self._carry_out(room.failed(error))
        except Exception:
            log.exception("operations could not be committed", room=room.id)
            self._carry_out(room.failed(InternalError("the gateway failed to store the operation")))
        if refusals:
            self._carry_out(await self._judged(room, refusals))

    async def _recall(self, room: Room) -> None:
        """Brings back what those who wait have to be transformed over, and those who have come meanwhile."""
        while (base := room.commits.oldest_base) is not None and room.document.lacks(base):
            try:
                await self._documents.recall(room.id, room.document, base)
            except LogMoved:
                await self._catch_up(room)

    async def _append(self, room: Room) -> None:
        document = room.document
        changes = bool(document.staged)
        if changes:
            try:
                await self._documents.store.append(room.id, document.epoch, document.staged)
            except AlreadyCommitted as known:
                room.commits.restage(known.results)
                return
            except LogMoved:
                await self._catch_up(room)
                return
        self._carry_out(room.committed())
        if changes:
            self._changed(room.id)
        if document.snapshot_due:
            self._run(self._documents.keep_snapshot(room.id, document))

    async def _judged(self, room: Room, refusals: list[Refusal]) -> list[Effect]:
        """Looks whether operations that were refused have been committed before."""
        for refusal in refusals:
            if refusal.error.__cause__ is not None:
                log.error("an operation could not be carried out", room=room.id, exc_info=refusal.error.__cause__)
        authors = [refusal.submission.author for refusal in refusals]
        try:
            results = await self._documents.store.results(room.id, room.document.epoch, authors)
            if max(results.values(), default=0) > room.document.version:
                # By a batch of which the store has not said that it was stored: what came before it is told first.
                await self._catch_up(room)
        except ServiceUnavailable as error:
            results = {}
            refusals = [refusal._replace(error=error) for refusal in refusals]
        return room.refused(refusals, results)

    async def _catch_up(self, room: Room) -> None:
        """Another has written to the document: takes that in, and has the batch wait again."""
        document = room.document
        room.commits.restage({})
        try:
            entries = await self._documents.store.history(room.id, document.epoch, document.version)
        except LogMoved:
            renewed = await self._documents.open(room.id, document.type.name)
            self._carry_out(room.renewed(renewed))
            self._changed(room.id)
        else:
            document.follow(entries)
            self._carry_out(room.followed(entries))
