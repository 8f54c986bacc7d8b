"""What is done in rooms from the server's side, by no connection: operations, restorations, events.

A room in which something is to be done is opened if it is not open, as when somebody joins, and put away again; so that
an operation goes the way of every operation, with the same checks, and is told to all who have the room open, at
whichever node. Its author is a *service user*, named by whoever asks. It has a number like every user, but no
connection, and takes part in no room.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from msgspec import UNSET

from fastcollab import messages
from fastcollab.core import elsewhere
from fastcollab.core.commits import Errand
from fastcollab.core.document import Submission
from fastcollab.core.effects import Commit
from fastcollab.core.notices import Announced
from fastcollab.core.room import Room
from fastcollab.errors import InvalidMessage, ProtocolError, RoomNotFound, ServiceUnavailable
from fastcollab.server.cluster import Cluster
from fastcollab.server.dispatcher import Dispatcher
from fastcollab.server.past import restoration
from fastcollab.server.rooms import check_document_type

#: Bytes of an event's data, which other nodes are told by one notice.
_LARGEST_EVENT = 262_144


class Errands:
    """Those of one gateway. All methods raise :class:`~fastcollab.errors.ProtocolError`, as a client would be told."""

    def __init__(self, dispatcher: Dispatcher, cluster: Cluster | None) -> None:
        self._dispatcher = dispatcher
        self._cluster = cluster

    async def operate(
        self,
        room_id: str,
        user_id: str,
        message_id: str,
        operation: Any,
        version: int,
        *,
        checksum: str | None = None,
        document_type: str | None = None,
    ) -> int:
        """Has the operation committed, and returns the version that it became; the same `message_id` of the same user
        again is the same operation (OT5). Where there is no document one is made if `document_type` says of which type.
        """
        size = len(bytes(messages.pass_on(operation, "operation")))
        number = await self._number(user_id)
        submission = Submission(user_id, number, message_id, operation, version, size, checksum)
        async with self._open(room_id, document_type) as room:
            await self._dispatcher.committer.reach(room, version)
            return await self._commit(room, submission)

    async def restore(self, room_id: str, user_id: str, message_id: str, version: int) -> int:
        """Brings the document back to what it was at a version, and returns the version that it has then."""
        author = user_id, await self._number(user_id), message_id
        async with self._open(room_id, None) as room:
            submission = await restoration(self._dispatcher.documents, room, version, *author)
            return version if submission is None else await self._commit(room, submission)

    async def announce(self, room_id: str, user_id: str, name: str, data: Any, target: str | None) -> None:
        """Tells an event to all in the room, or to one user's connections there, at whichever node. It is told at most
        once.
        """
        told = data if data is UNSET else messages.pass_on(data, "data")
        if told is not UNSET and (size := len(bytes(told))) > _LARGEST_EVENT:
            raise InvalidMessage("the event is too large", path="data", limit=_LARGEST_EVENT, size=size)
        notice = Announced(room_id, name, user_id, await self._number(user_id), told, target)
        if (room := self._dispatcher.rooms.get(room_id)) is not None:
            self._dispatcher.carry_out(elsewhere.announced(room, notice))
        if self._cluster is not None:
            self._cluster.announce(notice)

    async def delete(self, room_id: str) -> bool:
        """Deletes the room's document with its past; False if there is none. Who has it open begins an empty one."""
        found = await self._dispatcher.documents.store.delete(room_id)
        if found:
            if (room := self._dispatcher.rooms.get(room_id)) is not None:
                self._dispatcher.committer.catch_up(room)
            if self._cluster is not None:
                self._cluster.deleted(room_id)
        return found

    @asynccontextmanager
    async def _open(self, room_id: str, document_type: str | None) -> AsyncIterator[Room]:
        """The room, which stays open inside."""
        rooms = self._dispatcher.rooms
        if document_type is not None:
            check_document_type(document_type, "documentType")
        elif rooms.get(room_id) is None and (await self._dispatcher.documents.store.load(room_id)) is None:
            raise RoomNotFound(f"there is no room {room_id!r}", roomId=room_id)
        async with rooms.hold(room_id, document_type or self._dispatcher.default_document_type) as room:
            room.check_document_type(document_type)
            yield room

    async def _commit(self, room: Room, submission: Submission) -> int:
        if self._dispatcher.draining:
            raise ServiceUnavailable("the gateway is stopping", retryAfterMs=1_000)
        answered: asyncio.Future[int | ProtocolError] = asyncio.get_running_loop().create_future()

        def take(result: int | ProtocolError) -> None:
            if not answered.done():  # else nobody waits for it any more
                answered.set_result(result)

        room.commits.add(Errand(take), submission)
        self._dispatcher.carry_out([Commit(room)])
        result = await answered
        if isinstance(result, ProtocolError):
            raise result
        return result

    async def _number(self, user_id: str) -> int:
        """The service user's number: it is known by the registry like those of others, which forgets it later."""
        registry, visit = self._dispatcher.registry, messages.new_id()
        try:
            return await registry.register(user_id, visit, sys.maxsize)
        finally:
            await registry.unregister(user_id, visit)
