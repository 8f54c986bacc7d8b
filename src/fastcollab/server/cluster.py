"""This gateway as one node of a cluster: what it tells the others of its rooms, and what it makes of what they tell.

::

      rooms ── Placed, Relay ──▶ Cluster ── notices, records ──▶ Relay ──▶ bus
        ▲                           │                                       │
        │                           ├── Attendance ──▶ rosters              │
        └── effects ◀── Cluster ◀───┴── Reconciler ◀── doubts ◀── Relay ◀───┘

The bus is quick and may lose something; rosters and logs are slower and do not. So whatever is told by the bus is taken
at once, and whenever something may have been missed the room is read again (:mod:`fastcollab.server.reconciler`). Where
the two cross, the order is this: a channel is heard before the room's document and roster are read, and what notices
say of participants while a roster is being read is added to it, since the roster may be older.
"""

from __future__ import annotations

import asyncio
import zlib
from collections import Counter, deque
from collections.abc import Callable, Collection, Coroutine, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import msgspec

from fastcollab.core import elsewhere
from fastcollab.core.document import Committed
from fastcollab.core.effects import Effect
from fastcollab.core.notices import (
    Announced,
    Entries,
    Joined,
    Notice,
    Parted,
    Showed,
    decode_notice,
    encode_notice,
)
from fastcollab.core.presence import Participant
from fastcollab.core.room import Room
from fastcollab.core.roster import Person, RosterEntry
from fastcollab.engines import ClusterPorts
from fastcollab.errors import CloseCode, FastcollabError, VersionMismatch
from fastcollab.logs import get_logger
from fastcollab.messages import PresenceData
from fastcollab.ports import Beat, Disconnect, DocumentStore, LogMoved, NodeInfo, Order, Roster, Turn
from fastcollab.server._fanout import Channel, FlushPacer
from fastcollab.server._pump import Pump
from fastcollab.server._relay import Relay, RoomRelay
from fastcollab.server.attendance import Attendance
from fastcollab.server.clock import instant
from fastcollab.server.committer import Committer
from fastcollab.server.liveness import Liveness
from fastcollab.server.reconciler import Reconciler

log = get_logger(__name__)

#: Bytes of operations that are told over the bus; what is longer is read from the log.
_LARGEST_TOLD = 262_144
#: How long (s) a channel is heard on when none of its rooms is open any more.
_HEARD_ON = 10.0


@dataclass(slots=True)
class _Shared:
    """A room that is open here. `nodes` are those with participants in it, as far as they are known; `read`: the roster
    has been read since the room was opened.
    """

    room: Room
    relay: RoomRelay
    channel: int
    local: set[Participant] = field(default_factory=set)
    remote: set[Participant] = field(default_factory=set)
    nodes: set[str] = field(default_factory=set)
    read: bool = False


class Cluster:
    """`carry_out` takes the effects of what other nodes tell; `obey` does what all nodes are to do; `describe` says
    what others are to know of this node; `turned`, if it is given, is told of rooms that somebody takes part in where
    nobody did, and the other way round, of each change at one node.
    """

    def __init__(
        self,
        ports: ClusterPorts,
        pump: Pump,
        pacer: FlushPacer,
        store: DocumentStore,
        committer: Committer,
        *,
        carry_out: Callable[[list[Effect]], None],
        run: Callable[[Coroutine[Any, Any, None]], None],
        obey: Callable[[Order], None],
        describe: Callable[[], NodeInfo],
        turned: Callable[[str, Turn], None] | None,
    ) -> None:
        self._ports = ports
        self._store = store
        self._committer = committer
        self._carry_out = carry_out
        self._run = run
        self._describe = describe
        self._turned = turned
        ports.rosters.watch_buried(self._roster_changed)
        self._here = ports.nodes.here
        self._ended = False
        self._unsubscribe = [ports.orders.subscribe(obey), ports.rosters.subscribe(self._forgotten)]
        self._alive: frozenset[str] = frozenset()
        self._rooms: dict[str, _Shared] = {}
        #: Of rooms whose roster was not whole when it was read, when it is read again.
        self._unsettled: dict[str, asyncio.TimerHandle] = {}
        self._users_of_channels: Counter[int] = Counter()
        self._heard: dict[int, asyncio.Future[None]] = {}
        #: Of rooms whose roster is being read, what was told of their participants meanwhile.
        self._told_meanwhile: dict[str, list[tuple[str, Joined | Parted | Showed]]] = {}
        #: By room, what is to be told, with what has to be done before.
        self._untold: dict[str, deque[tuple[asyncio.Future[None] | None, Notice]]] = {}
        self._relay = Relay(
            bytes.fromhex(self._here),
            pump,
            pacer,
            publish=ports.bus.publish,
            notice=self._hear,
            doubt=self._missed,
            echoed=lambda channel, _number, _time: self._liveness.echoed(channel),
            selected=lambda room, slot, anchor, head, version: elsewhere.selected(
                room, slot.user_id, anchor, head, version
            ),
        )
        self._attendance = Attendance(
            ports.rosters,
            live=self._live,
            reading=self._reading,
            read=self._read,
            tell=self._tell,
            doubt=lambda room_id: self._reconciler.doubt([room_id]),
            changed=self._roster_changed,
            run=run,
        )
        self._reconciler = Reconciler(self._look, lambda: self._rooms.keys())
        self._liveness = Liveness(
            ports.nodes,
            ports.bus,
            channels=self._channels,
            probe=self._relay.beat,
            owes=self._relay.owes_echo,
            beaten=self._beaten,
        )

    async def start(self) -> None:
        """Raises :class:`~fastcollab.errors.ServiceUnavailable`."""
        await self._ports.bus.open(self._relay.receive, self._lost)
        await self._liveness.start()
        self._reconciler.start()

    async def close(self, grace_period: float) -> None:
        """Leaves the cluster; users that were here are awaited elsewhere for so many seconds."""
        self._ended = True
        for unsubscribe in self._unsubscribe:
            unsubscribe()
        for timer in self._unsettled.values():
            timer.cancel()
        try:
            await self._reconciler.close()
            await self._liveness.close()
            self._relay.close()
            await self._ports.nodes.retire(grace_period)
        except FastcollabError as error:
            log.warning("the other nodes could not be told that this one ends", error=str(error))
        finally:  # Whoever closes may have no more time for the others.
            await self._ports.bus.close()

    @property
    def faults(self) -> Sequence[str]:
        """What keeps this node from working with the others; nothing: it is ready."""
        return self._liveness.faults

    # --- asked by administrators --------------------------------------------------------------------------------------

    async def nodes(self) -> Sequence[NodeInfo]:
        """What all nodes tell of themselves, this one as it is now."""
        others = [info for info in await self._ports.nodes.told() if info.node != self._here]
        return [self._describe(), *others]

    async def roster(self, room_id: str) -> Sequence[RosterEntry]:
        """Who takes part in the room, through whichever node."""
        return await self._ports.rosters.read(room_id)

    async def roster_sizes(self, room_ids: Sequence[str]) -> Sequence[int]:
        """How many users take part in each of these rooms."""
        return await self._ports.rosters.sizes(room_ids)

    async def give(self, order: Order) -> None:
        """Has all nodes do this, this one included."""
        await self._ports.orders.give(order)

    def announce(self, notice: Announced) -> None:
        """Tells the other nodes of an event in a room, whether that is open here or not."""
        self._tell(notice)

    def deleted(self, room_id: str) -> None:
        """The room's document was deleted: those that have it open are to read it again."""
        self._tell(Entries(room_id, "", 0))

    # --- called by rooms and their shell ------------------------------------------------------------------------------

    async def opening(self, room_id: str) -> None:
        """The room is to be opened: hears what is told of it from now on. To be followed by :meth:`opened` or
        :meth:`not_opened`.
        """
        channel = self._channel(room_id)
        self._users_of_channels[channel] += 1
        try:
            await self._hear_channel(channel)
        except BaseException:
            self._release(channel)
            raise

    def not_opened(self, room_id: str) -> None:
        self._release(self._channel(room_id))

    def opened(self, room: Room, fanout: Channel) -> None:
        """The room is open; what was told of its document while that was read is looked for again."""
        channel = self._channel(room.id)
        relay = self._relay.open(room.id, channel, room.cursors, room.selections, fanout)
        self._rooms[room.id] = _Shared(room, relay, channel)
        self._reconciler.doubt([room.id])

    def closed(self, room: Room) -> None:
        shared = self._rooms.pop(room.id)
        shared.relay.close()
        if not self._ended:
            self._release(shared.channel)

    async def enter(self, room: Room, person: Person, limit: int) -> None:
        """Has the user take part here, before it enters the room; raises :class:`~fastcollab.errors.RoomFull`. Who does
        not enter has to be given to :meth:`settle`.
        """
        await self._attendance.enter(room.id, person, limit)

    async def disconnect(self, kind: Literal["user", "connection"], subject: str, code: CloseCode, reason: str) -> None:
        """Has the connections of a user closed, or one, by its id, at whichever node they are."""
        await self.give(Disconnect(kind, subject, code, reason))

    def settle(self, room: Room, user_id: str) -> None:
        """Whether the user takes part here may be otherwise than it was entered."""
        self._attendance.settle(room.id, user_id)

    def placed(self, room: Room, participant: Participant) -> None:
        """Where the participant takes part has changed."""
        if (shared := self._rooms.get(room.id)) is None:
            # Closed already, since it was the last participant here.
            if not (participant.here or self._ended):
                self._attendance.settle(room.id, participant.user_id)
            return
        slots = participant.cursor, participant.selection_frame
        if participant.here and participant not in shared.local:
            shared.local.add(participant)
            shared.relay.add_local(*slots)
        elif not participant.here and participant in shared.local:
            shared.local.discard(participant)
            shared.relay.remove_local(*slots)
            self._attendance.settle(room.id, participant.user_id)
        if participant.nodes and participant not in shared.remote:
            shared.remote.add(participant)
            shared.relay.add_remote(*slots)
        elif not participant.nodes and participant in shared.remote:
            shared.remote.discard(participant)
            shared.relay.remove_remote(*slots)
        known, shared.nodes = shared.nodes, elsewhere.nodes_of(room)
        shared.relay.shared = bool(shared.nodes)
        if shared.nodes - known:
            self._welcome(shared)

    def relay(self, room: Room, notice: Notice, participant: Participant | None) -> None:
        """Other nodes are to know."""
        if isinstance(notice, Joined):  # shown otherwise than before
            self._attendance.settle(room.id, notice.person.user_id)
            return
        shared = self._rooms.get(room.id)
        has_hearers = shared is not None and bool(shared.nodes)
        if participant is not None and participant.here:
            # Told when it is kept: whoever reads the roster after having heard of it finds it there.
            keeping = self._ports.rosters.show(room.id, participant.user_id, participant.kept_presence())
            if has_hearers:
                self._tell(notice, asyncio.ensure_future(keeping))
        elif has_hearers:
            self._tell(notice)

    def committed(self, room: Room, mark: str, entries: Sequence[Committed], traceparents: dict[int, str]) -> None:
        """The operations, which follow the one with this mark, were committed here; by version, their places in
        traces.
        """
        shared = self._rooms.get(room.id)
        if shared is None or (shared.read and not shared.nodes):
            return
        if sum(entry.size for entry in entries) > _LARGEST_TOLD:
            self._tell(Entries(room.id, room.document.epoch, entries[-1].version))
        else:
            self._tell(Entries.of(room.id, room.document.epoch, mark, entries, traceparents))

    # --- what others tell ---------------------------------------------------------------------------------------------

    def _hear(self, _channel: int, node: bytes, data: bytes) -> None:
        try:
            notice = decode_notice(data)
        except msgspec.MsgspecError:
            log.warning("a notice was not understood", node=node.hex())
            return
        waiting = self._told_meanwhile.get(notice.room)
        if waiting is not None and isinstance(notice, Joined | Parted | Showed):
            waiting.append((node.hex(), notice))
        if (shared := self._rooms.get(notice.room)) is not None:
            self._take(shared.room, node.hex(), notice)

    def _take(self, room: Room, node: str, notice: Notice) -> None:
        match notice:
            case Joined(person=person):
                self._carry_out(elsewhere.joined(room, node, person))
            case Parted(user_id=user_id):
                self._carry_out(elsewhere.parted(room, node, user_id))
            case Showed(user_id=user_id, presence=presence):
                self._carry_out(elsewhere.showed(room, user_id, presence, instant()))
            case Announced():
                self._carry_out(elsewhere.announced(room, notice))
            case Entries():
                told = notice.epoch, notice.newest, notice.mark, notice.committed(), notice.traceparents
                if not self._committer.follow(room, *told):
                    self._reconciler.doubt([room.id])

    def _welcome(self, shared: _Shared) -> None:
        """Another node has its first participant in the room: what it may not have read is told."""
        shared.relay.announce()
        for participant in shared.local:
            if kept := participant.kept_presence():
                self._tell(Showed(shared.room.id, participant.user_id, PresenceData(**kept)))
        document = shared.room.document
        if document.version:
            self._tell(Entries(shared.room.id, document.epoch, document.version))

    def _tell(self, notice: Notice, kept: asyncio.Future[None] | None = None) -> None:
        """Tells the other nodes, when `kept` is done; what is told of a room later comes later."""
        waiting = self._untold.setdefault(notice.room, deque())
        waiting.append((kept, notice))
        if len(waiting) == 1:
            self._tell_next(notice.room)

    def _tell_next(self, room_id: str) -> None:
        waiting = self._untold[room_id]
        while waiting:
            kept, notice = waiting[0]
            if kept is not None and not kept.done():
                kept.add_done_callback(lambda _kept: self._tell_next(room_id))
                return
            waiting.popleft()
            self._relay.tell(self._channel(room_id), encode_notice(notice))
        del self._untold[room_id]

    # --- looking again ------------------------------------------------------------------------------------------------

    def _missed(self, channel: int, _node: bytes) -> None:
        """Of a node something may have been missed."""
        self._reconciler.doubt([room_id for room_id, shared in self._rooms.items() if shared.channel == channel])

    def _lost(self, channels: Collection[int]) -> None:
        """On these channels anything may have been missed, and what this node has published too."""
        for room_id, shared in self._rooms.items():
            if shared.channel in channels:
                shared.relay.announce()
                self._reconciler.doubt([room_id])

    async def _look(self, room_id: str) -> None:
        """Reads roster and log of a room again."""
        await self._attendance.declare(room_id)
        if (shared := self._rooms.get(room_id)) is None:
            return
        document = shared.room.document
        epoch, version, mark = document.epoch, document.version, document.mark
        try:
            entries = await self._store.history(room_id, epoch, version, mark=mark)
        except (LogMoved, VersionMismatch):
            if shared.room.document is document and document.version == version:
                self._committer.catch_up(shared.room)
        else:
            if entries and not self._committer.follow(shared.room, epoch, entries[-1].version, mark, entries):
                self._committer.catch_up(shared.room)

    def _reading(self, room_id: str) -> None:
        self._told_meanwhile[room_id] = []

    def _read(self, room_id: str, roster: Roster | None) -> None:
        """A roster was read, or could not be."""
        told = self._told_meanwhile.pop(room_id)
        if roster is None or (shared := self._rooms.get(room_id)) is None:
            return
        whole = not roster.settled_in
        shared.read = shared.read or whole
        entries = elsewhere.followed(roster.entries, told)
        self._carry_out(elsewhere.reconciled(shared.room, entries, self._here, instant(), whole=whole))
        if not (whole or room_id in self._unsettled or self._ended):
            loop = asyncio.get_running_loop()
            self._unsettled[room_id] = loop.call_later(roster.settled_in, self._settled, room_id)
        for participant in elsewhere.unkept(shared.local, roster.entries):
            self._ports.rosters.show(room_id, participant.user_id, participant.kept_presence())
        for node, notice in told:
            self._take(shared.room, node, notice)

    def _settled(self, room_id: str) -> None:
        """All that the engine had forgotten has been entered again."""
        del self._unsettled[room_id]
        self._reconciler.doubt([room_id])

    def _forgotten(self, concerns: Callable[[str], bool]) -> None:
        """What this node has entered in these rooms may be missing."""
        self._reconciler.doubt(list(filter(concerns, self._rooms)))

    def _beaten(self, beat: Beat) -> None:
        known = {node for shared in self._rooms.values() for node in shared.nodes}
        dead = known - beat.alive if beat.complete else set()
        for shared in list(self._rooms.values()):
            for node in dead & shared.nodes:
                self._carry_out(elsewhere.gone(shared.room, node))
                # It may have committed what it had no time to tell.
                self._reconciler.doubt([shared.room.id])
        if beat.complete and beat.alive != self._alive:
            self._alive = beat.alive
            self._relay.forget_others({bytes.fromhex(node) for node in beat.alive})
        if not beat.held:
            log.warning("this node had been taken for dead" if beat.complete else "this node had been forgotten")
            self._attendance.dropped()
        self._run(self._introduce())

    def _roster_changed(self, room_id: str) -> None:
        if self._turned is not None:
            self._run(self._see_whether_turned(room_id, self._turned))

    async def _see_whether_turned(self, room_id: str, told: Callable[[str, Turn], None]) -> None:
        try:
            turn = await self._ports.rosters.turned(room_id)
        except FastcollabError:
            self._reconciler.doubt([room_id])  # which will have it looked at again
        else:
            if turn is not None:
                told(room_id, turn)

    async def _introduce(self) -> None:
        try:
            await self._ports.nodes.tell(self._describe())
        except FastcollabError as error:
            log.debug("this node could not be told of", error=str(error))

    # --- channels -----------------------------------------------------------------------------------------------------

    def _channel(self, room_id: str) -> int:
        return zlib.crc32(room_id.encode()) % self._ports.bus.channels

    def _channels(self) -> Collection[int]:
        """Those that are heard."""
        return [channel for channel, hearing in self._heard.items() if hearing.done()]

    async def _hear_channel(self, channel: int) -> None:
        hearing = self._heard.get(channel)
        if hearing is None:
            hearing = self._heard[channel] = asyncio.get_running_loop().create_future()
            try:
                await self._ports.bus.hear(channel)
            except BaseException as error:
                del self._heard[channel]
                hearing.set_exception(error if isinstance(error, Exception) else FastcollabError("interrupted"))
                hearing.exception()  # maybe nobody else waits
                raise
            hearing.set_result(None)
        else:
            await asyncio.shield(hearing)

    def _release(self, channel: int) -> None:
        """A room of the channel is open no more; one of its rooms is often opened again soon."""
        self._users_of_channels[channel] -= 1
        asyncio.get_running_loop().call_later(_HEARD_ON, self._ignore_if_unused, channel)

    def _ignore_if_unused(self, channel: int) -> None:
        if not self._users_of_channels[channel] and channel in self._heard and self._heard[channel].done():
            del self._heard[channel]
            self._relay.forget_channel(channel)
            self._run(self._ports.bus.ignore(channel))

    def _live(self, room_id: str) -> Room | None:
        shared = self._rooms.get(room_id)
        return None if shared is None else shared.room
