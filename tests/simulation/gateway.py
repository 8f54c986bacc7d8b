"""One gateway process: the gateway's own dispatcher, committer, documents, rooms and core, without its sockets.

Put together as `server.gateway.Gateway` does it. Tokens are names of users, and verifying them is not simulated; what
rooms fan out to members past the core, which is cursors, is not either.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from tests.builders import LIMITS
from tests.simulation.world import Machine, World

from fastcollab.core.document import DocumentLimits
from fastcollab.core.limit_guard import LimitGuard
from fastcollab.core.limits import SECOND
from fastcollab.core.permissions import Permission
from fastcollab.core.revocation import TokenMarks
from fastcollab.core.room import Room, RoomSettings
from fastcollab.core.session import SessionSettings
from fastcollab.engines.memory import MemoryRegistry, MemoryRevocations
from fastcollab.ports import DocumentStore, Retention
from fastcollab.server._fanout import FlushPacer
from fastcollab.server._outbox import Cork
from fastcollab.server._pump import Pump
from fastcollab.server.access import Access
from fastcollab.server.auth import Claims
from fastcollab.server.committer import Committer
from fastcollab.server.dispatcher import Dispatcher
from fastcollab.server.documents import Documents
from fastcollab.server.rooms import Rooms
from fastcollab.server.tallies import Tallies
from fastcollab.server.validation import Validation

#: Seconds for which a lost participant is waited for.
GRACE = 10.0

_PLENTY = {"operations": 10**6, "messages": 10**6, "connections": 100}


class _Verifier:
    async def authenticate(self, token: str) -> Claims:
        return Claims(
            token, token.title(), "#c92a2a", {"*": Permission.WRITE}, TokenMarks(token, token, None, 0, 2**43)
        )


def _nobody(room_id: str) -> None:
    """In the place of a back end, to be told of rooms."""


class _NoFanOut:
    """A room's channel, to whose members no cursors are sent."""

    def add(self, *_: Any) -> SimpleNamespace:
        return SimpleNamespace(channel=self)

    def remove(self, _: Any) -> None:
        pass


class _Rooms(Rooms):
    def channel(self, room: Room) -> Any:
        assert self._live[room.id].room is room, "nobody enters a room that is forgotten"
        return _NoFanOut()


class GatewayProcess:
    """A gateway from its start to its crash."""

    def __init__(self, world: World, store: DocumentStore, limits: DocumentLimits, retention: Retention) -> None:
        self.machine = machine = Machine(world)
        cork = Cork()
        tallies = Tallies()
        self._pump = Pump(machine, cork)
        in_force = {field: getattr(LIMITS, field) for field in LIMITS.__struct_fields__} | _PLENTY
        access = Access(Permission.WRITE)
        self.dispatcher = dispatcher = Dispatcher(
            _Verifier(),  # type: ignore[arg-type]
            SessionSettings(type(LIMITS)(**in_force), heartbeat_interval=25_000),
            access=access,
            guard=LimitGuard(),
            default_document_type="text",
            cork=cork,
            tallies=tallies,
            grace_period=int(GRACE * SECOND),
            run=machine.run,
        )
        dispatcher.registry = MemoryRegistry()
        dispatcher.validation = Validation(
            access, MemoryRevocations(), sessions=tuple, carry_out=dispatcher.carry_out, run=machine.run
        )
        self.documents = dispatcher.documents = Documents(store, limits, retention)
        self.rooms = dispatcher.rooms = _Rooms(
            self.documents,
            RoomSettings(grace_period=int(GRACE * SECOND)),
            self._pump,
            FlushPacer(1_000_000, 16_670_000),
            16_670_000,
            carry_out=dispatcher.carry_out,
            send_updates=dispatcher.send_updates,
            run=machine.run,
            deserted=_nobody,
        )
        dispatcher.committer = Committer(
            self.documents,
            carry_out=dispatcher.carry_out,
            run=machine.run,
            retire=self.rooms.retire,
            changed=_nobody,
            tallies=tallies,
            when_read=machine.call_soon,
        )

    def room(self, room_id: str) -> Room | None:
        """The room, if it is live."""
        live = self.rooms._live.get(room_id)
        return None if live is None else live.room

    def crash(self) -> None:
        """The process ends in the middle of whatever it does."""
        self.machine.switch_off()
        self._pump.close()
