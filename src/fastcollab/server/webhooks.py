"""Tells the user's own program of events: rooms that are occupied and vacated, changed documents, connections.

What is sent when, and how often again, is for :mod:`fastcollab.core.deliveries` to say; the changes of one document are
gathered as those that are handed back (:mod:`fastcollab.core.hand_back`). Requests are signed like those to the back
end (``docs/webhooks.md``).

A room is occupied as long as somebody takes part in it at any node, be it one who has lost the connection and may come
back. Where there are several nodes, the engine says which of them is to tell of it.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Callable
from typing import Any

from fastcollab.config import WebhooksConfig
from fastcollab.core.deliveries import Deliveries, DeliverySettings
from fastcollab.core.document import Document
from fastcollab.core.hand_back import HandBackSchedule, HandBackSettings
from fastcollab.core.limits import SECOND
from fastcollab.logs import get_logger
from fastcollab.messages import new_id
from fastcollab.ports import BackendFailed, Turn
from fastcollab.server._listener import Connection
from fastcollab.server.clock import instant, unix_ms
from fastcollab.server.http_backend import SignedPosts

log = get_logger(__name__)

#: After how many ns to tell again that something is wrong.
_TELL_AGAIN = 10 * SECOND

_Event = dict[str, Any]


class Webhooks:
    """Made in a running event loop. `live` gives the document of a room that is open here, and `node` is this one."""

    def __init__(self, config: WebhooksConfig, node: str, live: Callable[[str], Document | None]) -> None:
        assert config.url is not None and config.secret is not None, "the configuration sees to that"
        self._url = config.url
        self._wanted = frozenset(config.events)
        self._timeout = config.timeout
        self._node = node
        self._live = live
        self._posts = SignedPosts(config.secret.get_secret_value())
        self._deliveries: Deliveries[_Event] = Deliveries(
            DeliverySettings(
                most=config.most_waiting,
                at_once=config.at_once,
                give_up_after=int(config.give_up_after * SECOND),
            ),
            random.random,
        )
        #: When the changes of documents are told; here nothing can fail, since what is due is only put into a lane.
        self._changes = HandBackSchedule(
            HandBackSettings(
                delay=int(config.document_delay * SECOND), max_delay=int(config.document_max_delay * SECOND)
            ),
            random.random,
        )
        #: Of documents whose change is still to be told: type, epoch and version.
        self._changed: dict[str, _Event] = {}
        #: Rooms that somebody takes part in, where this is the only node.
        self._occupied: set[str] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._news = asyncio.Event()
        #: When it was said last that something is wrong, by what.
        self._told_at: dict[str, int] = {}

    # --- what has happened --------------------------------------------------------------------------------------------

    def occupancy(self, room_id: str, occupied: bool) -> None:
        """Whether somebody takes part in the room, where this is the only node."""
        if occupied != (room_id in self._occupied):
            (self._occupied.add if occupied else self._occupied.remove)(room_id)
            self.turned(room_id, Turn(occupied, unix_ms()))

    def turned(self, room_id: str, turn: Turn) -> None:
        """A room is occupied that was vacant, or the other way round."""
        event = "room_occupied" if turn.occupied else "room_vacated"
        self._tell(event, f"room {room_id}", turn.at, roomId=room_id)

    def changed(self, room_id: str) -> None:
        """A change of the room's document has been stored."""
        document = self._live(room_id)
        if document is None or "document_changed" not in self._wanted:
            return
        state = {"type": document.type.name, "epoch": document.epoch, "version": document.version}
        self._changed[room_id] = {"roomId": room_id, **state}
        self._changes.changed(room_id, instant().monotonic)
        self._proceed()

    def deserted(self, room_id: str) -> None:
        """The room is not open here any more."""
        self._changes.deserted(room_id)
        self._proceed()

    def connected(self, connection: Connection) -> None:
        """A connection has a user from now on."""
        self._tell_of(connection, "connection_opened")

    def disconnected(self, connection: Connection, farewell: bool) -> None:
        """A connection that has had a user is gone; `farewell`: its user has said so."""
        seconds = (instant().monotonic - connection.opened_at) / SECOND
        self._tell_of(connection, "connection_closed", farewell=farewell, seconds=round(seconds, 3))

    def _tell_of(self, connection: Connection, event: str, **details: Any) -> None:
        session = connection.session
        who = {"connectionId": session.connection_id, "userId": session.identity.user_id}
        self._tell(event, f"connection {session.connection_id}", unix_ms(), **who, **details)

    def _tell(self, name: str, lane: str, at: int, **details: Any) -> None:
        if name not in self._wanted:
            return
        event = {"event": name, "id": new_id(), "at": at, "node": self._node, **details}
        if not self._deliveries.add(lane, event, instant().monotonic):
            self._complain("an event was dropped, since too many wait", event)
        self._proceed()

    # --- sending ------------------------------------------------------------------------------------------------------

    async def close(self, patience: float) -> None:
        """Sends what is left, for at most `patience` seconds; what is left then is lost."""
        for room_id in list(self._occupied):
            self.occupancy(room_id, False)
        self._changes.hurry()
        self._deliveries.hurry(instant().monotonic)
        self._proceed()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(patience):
                while self._deliveries or self._changes:
                    self._news.clear()
                    await self._news.wait()
        if self._timer is not None:
            self._timer.cancel()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._posts.close()
        if self._deliveries:
            log.warning("events have not been delivered", count=len(self._deliveries))

    def _proceed(self) -> None:
        """Begins what is due, and sees to it that the rest is begun when it is."""
        now = instant().monotonic
        for room_id in self._changes.take(now):
            self._changes.saved(room_id, now)
            self._tell("document_changed", f"room {room_id}", unix_ms(), **self._changed.pop(room_id))
        for lane, event in self._deliveries.take(now):
            task = asyncio.ensure_future(self._send(lane, event))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        dues = [due for due in (self._changes.next_due(), self._deliveries.next_due()) if due is not None]
        if dues:
            delay = max(0, min(dues) - now) / SECOND
            self._timer = asyncio.get_running_loop().call_later(delay, self._proceed)
        self._news.set()

    async def _send(self, lane: str, event: _Event) -> None:
        try:
            async with asyncio.timeout(self._timeout), self._posts.post(self._url, event) as response:
                if not 200 <= response.status < 300:
                    raise BackendFailed(f"the receiver answered with {response.status}")
        except Exception as error:
            reason = str(error) or f"there was no answer within {self._timeout:g} s"
            foreseen = isinstance(error, (TimeoutError, BackendFailed))
            self._complain("an event could not be delivered", event, reason, None if foreseen else error)
            for given_up in self._deliveries.failed(lane, instant().monotonic):
                log.error("an event is given up", id=given_up["id"], **_about(given_up))
        else:
            self._deliveries.delivered(lane, instant().monotonic)
        self._proceed()

    def _complain(self, what: str, event: _Event, reason: str = "", error: Exception | None = None) -> None:
        """Logs a failure, but not each: there may be many until the receiver is there again."""
        now = instant().monotonic
        told_at = self._told_at.get(what)
        if told_at is None or now - told_at >= _TELL_AGAIN:
            self._told_at[what] = now
            waiting = len(self._deliveries)
            log.warning(what, waiting=waiting, error=reason, exc_info=error, **_about(event))


def _about(event: _Event) -> dict[str, Any]:
    """What a log event says of an event: its name, and of which room or connection it is."""
    fields = {"name": "event", "room_id": "roomId", "connection_id": "connectionId"}
    return {field: event[name] for field, name in fields.items() if name in event}
