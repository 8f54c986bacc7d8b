"""The rooms that are live in this process, each with its fan-out and its timer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from weakref import WeakValueDictionary

from fastcollab import ot
from fastcollab.core.document import Document
from fastcollab.core.effects import Effect
from fastcollab.core.room import Room, RoomSettings
from fastcollab.errors import InvalidMessage
from fastcollab.server._fanout import Channel, FlushPacer, Member
from fastcollab.server._pump import Pump
from fastcollab.server.clock import instant
from fastcollab.server.cluster import Cluster
from fastcollab.server.documents import Documents

_HANDLES = 2**32


@dataclass(slots=True)
class _Live:
    room: Room
    channel: Channel
    timer: asyncio.TimerHandle | None = None
    due: int = 0
    holders: int = 0


class Rooms:
    """Opens rooms when they are first joined and forgets them when they are deserted.

    `carry_out` takes the effects of rooms whose time has come; `send_updates` is the fan-outs' (see
    :class:`~fastcollab.server._fanout.Channel`); `run` runs a coroutine to its end in the background; `deserted` is
    told of rooms, by id, that are forgotten. `cluster` is where other nodes may have them open too.
    """

    def __init__(
        self,
        documents: Documents,
        settings: RoomSettings,
        pump: Pump,
        pacer: FlushPacer,
        update_interval: int,
        *,
        carry_out: Callable[[list[Effect]], None],
        send_updates: Callable[[Channel, list[Member], bool], None],
        run: Callable[[Coroutine[Any, Any, None]], None],
        deserted: Callable[[str], None],
        cluster: Cluster | None = None,
    ) -> None:
        self._documents = documents
        self._settings = settings
        self._pump = pump
        self._pacer = pacer
        self._update_interval = update_interval
        self._carry_out = carry_out
        self._send_updates = send_updates
        self._run = run
        self._deserted = deserted
        self._cluster = cluster
        self._live: dict[str, _Live] = {}
        #: The rooms that are being opened; done when they are live, or could not be opened.
        self._opening: dict[str, asyncio.Future[None]] = {}
        #: Held while a room's document is opened or closed, so that neither overtakes the other.
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._last_handle = 0

    def __len__(self) -> int:
        return len(self._live)

    def in_use(self) -> set[str]:
        """The ids of the rooms, and of those that are being opened."""
        return {*self._live, *self._locks}

    async def open(self, room_id: str, document_type: str) -> Room:
        """The room, which is live from now on, until :meth:`retire` finds it deserted. Who does not enter it at once
        holds it.
        """
        while (live := self._live.get(room_id)) is None:
            if (opening := self._opening.get(room_id)) is None:
                await self._open(room_id, document_type)
            else:
                await asyncio.shield(opening)
        return live.room

    @asynccontextmanager
    async def hold(self, room_id: str, document_type: str) -> AsyncIterator[Room]:
        """The room, which is live inside, whoever leaves it meanwhile."""
        room = await self.open(room_id, document_type)
        live = self._live[room_id]
        live.holders += 1
        try:
            yield room
        finally:
            live.holders -= 1
            self.retire(room)

    async def _open(self, room_id: str, document_type: str) -> None:
        """Opens the room for all who wait for it. What goes wrong is told to them all: were each to try again, one
        after the other, the last would wait for as many failures as there are others.
        """
        opening = self._opening[room_id] = asyncio.get_running_loop().create_future()
        try:
            async with self._lock(room_id):
                # What other nodes tell is heard before the document is read, so that nothing is missed in between.
                if self._cluster is not None:
                    await self._cluster.opening(room_id)
                try:
                    document = await self._documents.open(room_id, document_type)
                except BaseException:
                    if self._cluster is not None:
                        self._cluster.not_opened(room_id)
                    raise
                room = Room(room_id, self._next_handle(), document, self._settings)
                channel = Channel(room, self._pump, self._pacer, self._send_updates, self._update_interval)
                self._live[room_id] = _Live(room, channel)
                if self._cluster is not None:
                    self._cluster.opened(room, channel)
        except Exception as error:
            opening.set_exception(error)
            opening.exception()  # maybe nobody else waits
            raise
        finally:
            del self._opening[room_id]
            if not opening.done():
                opening.set_result(None)

    def __iter__(self) -> Iterator[str]:
        """The ids of the rooms that are live."""
        return iter(self._live)

    def get(self, room_id: str) -> Room | None:
        """The room, if it is live."""
        live = self._live.get(room_id)
        return None if live is None else live.room

    def live(self) -> Iterator[tuple[Room, Channel]]:
        """The rooms that are live, each with its fan-out."""
        return ((live.room, live.channel) for live in self._live.values())

    def document(self, room_id: str) -> Document | None:
        """The document of the room, if that is live."""
        room = self.get(room_id)
        return None if room is None else room.document

    def document_types(self) -> Iterator[str]:
        """The types of the documents of all rooms."""
        return (live.room.document.type.name for live in self._live.values())

    def channel(self, room: Room) -> Channel:
        """The room's fan-out."""
        return self._live[room.id].channel

    def wake(self, room: Room, at: int) -> None:
        """Has the room ticked at `at` (ns, monotonic), or earlier if that was asked for already."""
        live = self._live[room.id]
        if live.timer is not None:
            if live.due <= at:
                return
            live.timer.cancel()
        live.due = at
        delay = max(0, at - instant().monotonic) / 1e9
        live.timer = asyncio.get_running_loop().call_later(delay, self._tick, live)

    def retire(self, room: Room) -> None:
        """Forgets the room if it is deserted, and nobody holds it; its document stays where documents live."""
        live = self._live.get(room.id)
        if live is not None and live.room is room and room.deserted and not live.holders:
            self._close(live)
            self._run(self._put_away(room))

    async def close(self) -> None:
        """Forgets all rooms, with whoever is in them."""
        rooms = list(self._live.values())
        for live in rooms:
            self._close(live)
        for live in rooms:
            await self._documents.close(live.room.id, live.room.document)

    async def _put_away(self, room: Room) -> None:
        """Closes the document of a room, unless the room is live again."""
        async with self._lock(room.id):
            if room.id not in self._live:
                await self._documents.close(room.id, room.document)
                self._deserted(room.id)

    def _lock(self, room_id: str) -> asyncio.Lock:
        return self._locks.setdefault(room_id, asyncio.Lock())

    def _tick(self, live: _Live) -> None:
        live.timer = None
        now = instant()
        # A timer of the loop may be a little early by this clock, which must not cost another round.
        self._carry_out(live.room.tick(now._replace(monotonic=max(now.monotonic, live.due))))
        if live.room.deserted:
            self.retire(live.room)
        elif (due := live.room.next_due()) is not None:
            self.wake(live.room, due)

    def _close(self, live: _Live) -> None:
        del self._live[live.room.id]
        if self._cluster is not None:
            self._cluster.closed(live.room)
        live.channel.close()
        if live.timer is not None:
            live.timer.cancel()

    def _next_handle(self) -> int:
        in_use = {live.room.handle for live in self._live.values()} if self._last_handle >= _HANDLES // 2 else ()
        while True:
            self._last_handle = self._last_handle % (_HANDLES - 1) + 1
            if self._last_handle not in in_use:
                return self._last_handle


def check_document_type(name: str, path: str) -> None:
    """Raises :class:`InvalidMessage` if there is no such document type; `path` is where it was named."""
    if name not in ot.types:
        raise InvalidMessage(f"the document types are: {', '.join(sorted(ot.types))}", path=path)
