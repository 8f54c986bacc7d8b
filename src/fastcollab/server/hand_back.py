"""Hands documents back to the user's back end, when :mod:`fastcollab.core.hand_back` says so.

Which version the back end has is noted in the store. So what was committed and not handed back, because the back end
could not be reached or the gateway was killed, is found at the next start. A version may be handed back twice, since
the gateway can end between the two, but none is forgotten.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Callable

from fastcollab.core.document import Document
from fastcollab.core.hand_back import HandBackSchedule, HandBackSettings
from fastcollab.core.limits import SECOND
from fastcollab.errors import ServiceUnavailable, VersionMismatch
from fastcollab.logs import get_logger
from fastcollab.ports import BackendFailed, SavedDocument, SaveDocument
from fastcollab.server.clock import instant
from fastcollab.server.documents import Documents

log = get_logger(__name__)

#: Of what an earlier process has left no more is looked up while so many documents wait.
_MOST_FROM_EARLIER = 10_000
#: After how many seconds (s) to look again, and (ns) to tell again that something is wrong.
_LOOK_AGAIN = 1.0
_TELL_AGAIN = 10 * SECOND


class HandBack:
    """Gives documents to `save`, which has `timeout` seconds each time; at first those that were left by an earlier
    process.

    `live` gives the document of a room that is live; what is not is read from the store.
    """

    def __init__(
        self,
        save: SaveDocument,
        documents: Documents,
        settings: HandBackSettings,
        timeout: float,
        *,
        live: Callable[[str], Document | None],
    ) -> None:
        self._save = save
        self._documents = documents
        self._timeout = timeout
        self._live = live
        self._schedule = HandBackSchedule(settings, random.random)
        self._timer: asyncio.TimerHandle | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._idle = asyncio.Event()
        self._told_at: int | None = None
        self._earlier = asyncio.ensure_future(self._take_over())

    def changed(self, room_id: str) -> None:
        """A change of the room's document has been stored."""
        self._schedule.changed(room_id, instant().monotonic)
        self._proceed()

    def deserted(self, room_id: str) -> None:
        """The room is not live any more."""
        self._schedule.deserted(room_id)
        self._proceed()

    def hurry(self) -> None:
        """The gateway is stopping."""
        self._schedule.hurry()
        self._proceed()

    async def close(self, patience: float) -> None:
        """Waits until all is handed back, but no longer than `patience` seconds; what is left is for the next start."""
        self._earlier.cancel()
        self.hurry()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(patience):
                while self._schedule:
                    self._idle.clear()
                    await self._idle.wait()
        if self._timer is not None:
            self._timer.cancel()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(self._earlier, *self._tasks, return_exceptions=True)
        if self._schedule:
            log.warning("documents have not been handed back", count=len(self._schedule))

    # --- when ---------------------------------------------------------------------------------------------------------

    def _proceed(self) -> None:
        """Begins what is due, and sees to it that the rest is begun when it is."""
        now = instant().monotonic
        for room_id in self._schedule.take(now):
            task = asyncio.ensure_future(self._hand_back(room_id))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if (due := self._schedule.next_due()) is not None:
            self._timer = asyncio.get_running_loop().call_later(max(0, due - now) / SECOND, self._proceed)
        if not self._schedule:
            self._idle.set()

    async def _take_over(self) -> None:
        last = ""
        while True:
            if len(self._schedule) > _MOST_FROM_EARLIER:
                await asyncio.sleep(_LOOK_AGAIN)
                continue
            try:
                rooms = await self._documents.store.awaiting_hand_back(last)
            except Exception as error:
                foreseen = isinstance(error, ServiceUnavailable)
                log.warning(
                    "what is to be handed back could not be looked up",
                    error=str(error),
                    exc_info=None if foreseen else error,
                )
                await asyncio.sleep(_LOOK_AGAIN)
                continue
            if not rooms:
                return
            for room_id in rooms:
                self.changed(room_id)
            last = rooms[-1]

    # --- what ---------------------------------------------------------------------------------------------------------

    async def _hand_back(self, room_id: str) -> None:
        try:
            document = await self._newest(room_id)
            if document is not None:
                async with asyncio.timeout(self._timeout):
                    await self._save(document)
                await self._documents.store.handed_back(room_id, document.epoch, document.version)
        except asyncio.CancelledError:
            self._schedule.failed(room_id, instant().monotonic)
            raise
        except Exception as error:
            self._schedule.failed(room_id, instant().monotonic)
            self._tell(room_id, error)
        else:
            self._schedule.saved(room_id, instant().monotonic)
        self._proceed()

    async def _newest(self, room_id: str) -> SavedDocument | None:
        document = self._live(room_id)
        if document is not None:
            return SavedDocument(room_id, document.type.name, document.epoch, document.version, document.content)
        try:
            stored, content = await self._documents.at(room_id)
        except VersionMismatch:
            return None  # it has been deleted meanwhile
        return SavedDocument(room_id, stored.type, stored.epoch, stored.newest, content)

    def _tell(self, room_id: str, error: Exception) -> None:
        """Logs a failure, but not each: there may be many until the back end is there again."""
        now = instant().monotonic
        if self._told_at is None or now - self._told_at >= _TELL_AGAIN:
            self._told_at = now
            foreseen = isinstance(error, (TimeoutError, BackendFailed, ServiceUnavailable))
            log.warning(
                "a document could not be handed back",
                room_id=room_id,
                waiting=len(self._schedule),
                error=str(error) or f"there was no answer within {self._timeout:g} s",
                exc_info=None if foreseen else error,
            )
