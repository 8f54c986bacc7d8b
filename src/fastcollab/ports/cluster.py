"""What gateways on many machines, the *nodes* of a cluster, need of what is between them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from typing import Any, Literal, NamedTuple, Protocol

import msgspec

from fastcollab.core.permissions import Permission
from fastcollab.core.roster import Person, RosterEntry


class Roster(NamedTuple):
    """Who takes part in a room, in the whole cluster.

    Where `settled_in` is not 0 the engine may have forgotten who took part through other nodes. These enter them again,
    and after so many seconds whoever is missing takes part no more. `new` are those who were declared and had not been
    known to take part here.
    """

    entries: Sequence[RosterEntry]
    settled_in: float = 0.0
    new: Collection[str] = ()


class Turn(NamedTuple):
    """Whether somebody takes part in a room; `at` is Unix time in ms, by one clock for all nodes."""

    occupied: bool
    at: int


class Rosters(Protocol):
    """Who takes part in which room, through which node.

    The engine knows of which node it is; what is called "here" is that node. Each call is atomic, and what one has
    returned from every later call sees, from whichever node it comes. Calls about one room are not made at once by one
    node, but :meth:`show`.
    """

    async def enter(self, room_id: str, person: Person, limit: int) -> Roster:
        """Has the user take part here, as this person, and returns the whole roster.

        Raises :class:`~fastcollab.errors.RoomFull` if the user does not take part anywhere yet, and `limit` others do;
        then nothing has changed.
        """
        ...

    async def leave(self, room_id: str, user_id: str) -> None:
        """The user takes part here no more; with its last node its presence is forgotten."""
        ...

    async def declare(self, room_id: str, persons: Sequence[Person]) -> Roster:
        """Has exactly these take part here, whatever was known before, and returns the whole roster."""
        ...

    def show(self, room_id: str, user_id: str, presence: Mapping[str, Any]) -> Awaitable[None]:
        """Keeps the presence of a participant, in place of what was kept; of a user who does not take part here nothing
        is kept. Nobody has to wait for it, and it may fail without a word; but only what is published after it was
        waited for finds it kept.
        """
        ...

    def subscribe(self, told: Callable[[Callable[[str], bool]], None]) -> Callable[[], None]:
        """Has `told` called when the engine may have forgotten what this node has entered, with what says of a room, by
        its id, whether it is among those: these are to be declared. To call what is returned ends that.
        """
        ...

    async def read(self, room_id: str) -> Sequence[RosterEntry]:
        """The whole roster; empty if nobody takes part."""
        ...

    async def turned(self, room_id: str) -> Turn | None:
        """Whether somebody takes part in the room now and nobody did, or the other way round, since this was last asked
        by any node; None: neither. Of all nodes one is told of each change.
        """
        ...

    def watch_buried(self, told: Callable[[str], None]) -> None:
        """Has `told` called with each room in which a dead node's participants were buried by this one."""
        ...

    async def sizes(self, room_ids: Sequence[str]) -> Sequence[int]:
        """How many users take part in each of these rooms. (That they are looked at at once is not promised.)"""
        ...


class NodeLoad(msgspec.Struct, frozen=True, rename="camel"):
    """How much a node has to do, over about the last ten seconds.

    `cpu` is processor time as a share of one core; all others are per second, but for the `memory` of the process in
    bytes (None where the system does not say) and for what all but a hundredth of fan-outs and commits took at most, in
    ms (None: there were none). `deliveries` are of cursors.
    """

    cpu: float
    messages_in: float
    messages_out: float
    bytes_in: float
    bytes_out: float
    cursors_in: float
    deliveries: float
    operations: float
    errors: float
    refusals: float
    memory: int | None = None
    fanout_p99: float | None = None
    commit_p99: float | None = None


class NodeInfo(msgspec.Struct, frozen=True, rename="camel"):
    """What a node tells of itself. `started_at` is Unix time in ms; `faults` keep it from serving as it should. One of
    an older version does not tell its `load`.
    """

    node: str
    version: str
    started_at: int
    connections: int
    users: int
    rooms: int
    faults: Sequence[str]
    load: NodeLoad | None = None


class Beat(NamedTuple):
    """What a node learns when it says that it lives.

    `alive` are nodes that live, this one included: all of them if it is `complete`, and else the engine may have
    forgotten some, less than a lease ago. `held`: the engine knew this node from its last beat, if there was one.
    `dead` are nodes that this one is to bury, and no other. One that has come to life again meanwhile can be among
    them, and among the living: what is to be buried is what it entered before.
    """

    alive: frozenset[str]
    held: bool
    dead: Sequence[str]
    complete: bool


class Nodes(Protocol):
    """Which nodes there are. A node that has not said for `lease` seconds that it lives is dead, and has to enter
    everywhere anew. When the engine itself has stood still, or has forgotten who lives, nobody is dead for that.
    """

    @property
    def here(self) -> str:
        """The id of this node, which no other ever has."""
        ...

    @property
    def lease(self) -> float:
        """Seconds for which a node counts as alive after :meth:`beat`."""
        ...

    async def beat(self) -> Beat:
        """Says that this node lives."""
        ...

    async def bury(self, node: str) -> None:
        """Forgets all that a dead node has entered: participants, connections. May be made again after a failure."""
        ...

    async def retire(self, after: float) -> None:
        """This node ends: it counts as dead `after` so many seconds, in which its users may come back elsewhere."""
        ...

    async def tell(self, info: NodeInfo) -> None:
        """Has others know this of this node, until it is dead or ends."""
        ...

    async def told(self) -> Sequence[NodeInfo]:
        """What the nodes that live have told of themselves last."""
        ...


class Bus(Protocol):
    """Carries bundles of bytes from each node to all that hear a channel, this node included if it hears it.

    At most once; those of one node on one channel in their order. What is lost is noticed by those who number what they
    publish.
    """

    @property
    def channels(self) -> int:
        """How many channels there are, which are numbers from 0."""
        ...

    async def open(self, heard: Callable[[int, bytes], None], lost: Callable[[Collection[int]], None]) -> None:
        """Begins. `heard` is called with each bundle, on the event loop, and `lost` with channels of which bundles may
        have been missed, when they are heard again.
        """
        ...

    async def hear(self, channel: int) -> None:
        """Hears the channel from when this returns; of what is published later everything is heard.

        Raises :class:`~fastcollab.errors.ServiceUnavailable` if that cannot be had now; then the channel is not heard.
        """
        ...

    async def ignore(self, channel: int) -> None:
        """Hears the channel no longer."""
        ...

    def publish(self, bundles: Sequence[tuple[int, bytes]]) -> None:
        """Sends bundles, each on its channel. Nobody waits for it: without a connection they are lost."""
        ...

    async def renew(self) -> None:
        """Makes its connections anew, since what they should bring does not come."""
        ...

    async def close(self) -> None: ...


class Disconnect(msgspec.Struct, frozen=True, tag="disconnect", rename="camel"):
    """The connections of a user, or one connection by its id, are to be closed with `code` (a close code)."""

    kind: Literal["user", "connection"]
    subject: str
    code: int
    reason: str


class Permit(msgspec.Struct, frozen=True, tag="permit", rename="camel"):
    """A user has this permission in a room, whatever else says so, until that Unix time in ms."""

    room_id: str
    user_id: str
    permission: Permission
    until: int


Order = Disconnect | Permit


class Orders(Protocol):
    """What every node is to do. A permit is also for nodes that begin while it holds."""

    async def give(self, order: Order) -> None:
        """Reaches all nodes that live, this one included, once; those that cannot be reached now when they can be, as
        long as this one lives even if the engine has forgotten it meanwhile. Who has come back until then is meant too.

        Raises :class:`~fastcollab.errors.ServiceUnavailable` if it may not have been taken.
        """
        ...

    def subscribe(self, told: Callable[[Order], None]) -> Callable[[], None]:
        """Has `told` called with the permits that hold, and then with each order; to call what is returned ends
        that.
        """
        ...
