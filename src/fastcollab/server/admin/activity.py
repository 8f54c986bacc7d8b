"""What goes on at a node: what an operator looks at first, in one answer."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Collection, Iterator, Mapping, Sequence
from heapq import nlargest
from itertools import chain, islice, zip_longest
from operator import attrgetter, itemgetter
from typing import Any, NamedTuple

from msgspec import UNSET, UnsetType
from msgspec.structs import replace

from fastcollab.core.concern import Concern, Signs, judge
from fastcollab.core.document import Document
from fastcollab.core.limits import SECOND
from fastcollab.core.room import Room
from fastcollab.ports import NodeInfo, NodeLoad
from fastcollab.server._listener import Connection, take_census
from fastcollab.server.admin.desk import Desk
from fastcollab.server.admin.endpoint import Group, Nothing
from fastcollab.server.admin.forms import Answer
from fastcollab.server.clock import instant
from fastcollab.server.connection_metrics import ConnectionMetrics

group = Group("activity")

#: How many rooms and connections are told.
_MOST = 20
#: Over how long (ms) the operations of a room are counted.
_OPERATIONS_SPAN = 10_000
_MANY_OPERATIONS = 100
#: Of the load of a node, what is not added up.
_LATENCIES = frozenset({"fanout_p99", "commit_p99"})


class Latency(Answer, frozen=True):
    """How often something happened per second, and what half of it, and all but a hundredth, took at most, in ms."""

    rate: float
    p50: float
    p99: float


class BusyRoom(Answer, frozen=True):
    """A room that is open here. `connections` and `participants` are those here, participants with those who are away
    for a moment and those at other nodes. Per second, over about ten: `cursors` that moved, `deliveries` of them in
    frames to members here, `operations` that were committed.
    """

    room_id: str
    type: str
    version: int
    connections: int
    participants: int
    cursors: float
    deliveries: float
    operations: float


class WatchedConnection(Answer, frozen=True):
    """A connection to this node, with what is amiss with it. `waiting` is how many bytes it has not read yet, `behind`
    for how many seconds it has not taken all that it was sent, and `skipped` how many positions of others it was not
    sent for that. `refusals` are what limits did not let through so far, by limit (frames: pauses in which it was not
    read). `concern` is slow: it does not read, or not as fast; abusive: limits refuse it again and again; failing: what
    it sends is wrong again and again; distant: its round trips are long. There is no user until a token was accepted.
    """

    connection_id: str
    address: str
    rooms: Sequence[str]
    metrics: ConnectionMetrics
    waiting: int
    behind: float
    skipped: int
    refusals: Mapping[str, int]
    user_id: str | UnsetType = UNSET
    name: str | UnsetType = UNSET
    concern: Concern | UnsetType = UNSET


class ActivityFound(Answer, frozen=True):
    """`uptime` is in seconds. `slow` connections do not take now what they are sent, `throttled` ones are not read now.
    `errors` by code and `refusals` by limit are per minute, over the last one at most. Latencies, by name, are of
    what has happened lately: fanout of cursors, commit of operations, ping round trips, bus between nodes, lag of the
    eventLoop, each kind of call to the store and of command to redis. `rooms` are the busiest, `connections` those most
    worth a look: first those of concern, the worst before the others, then those that are sent most.
    """

    node: NodeInfo
    uptime: float
    slow: int
    throttled: int
    errors: Mapping[str, float]
    refusals: Mapping[str, float]
    latencies: Mapping[str, Latency]
    rooms: Sequence[BusyRoom]
    connections: Sequence[WatchedConnection]


def _together(_asked: Nothing, answers: Sequence[ActivityFound]) -> ActivityFound:
    """Rates and counts are added up. Of latencies the longest is told, which is true of all: half of what happened took
    no longer than in the slowest of them.
    """
    found: dict[str, BusyRoom] = {}
    for room in chain.from_iterable(answer.rooms for answer in answers):
        found[room.room_id] = _one_room(found[room.room_id], room) if room.room_id in found else room
    turns = zip_longest(*(answer.connections for answer in answers))
    watched = [connection for turn in turns for connection in turn if connection is not None]
    return ActivityFound(
        _one_node([answer.node for answer in answers]),
        max(answer.uptime for answer in answers),
        sum(answer.slow for answer in answers),
        sum(answer.throttled for answer in answers),
        _summed([answer.errors for answer in answers]),
        _summed([answer.refusals for answer in answers]),
        _longest([answer.latencies for answer in answers]),
        nlargest(_MOST, found.values(), key=lambda room: room.deliveries + room.operations * room.connections),
        # Each has told the worst first; of all of them those without concern come last.
        sorted(watched, key=lambda connection: connection.concern is UNSET)[:_MOST],
    )


def _one_node(nodes: Sequence[NodeInfo]) -> NodeInfo:
    """Called by the name of the first. Users and rooms that several have count at each."""
    loads = [node.load for node in nodes if node.load is not None]
    return replace(
        nodes[0],
        started_at=min(node.started_at for node in nodes),
        connections=sum(node.connections for node in nodes),
        users=sum(node.users for node in nodes),
        rooms=sum(node.rooms for node in nodes),
        faults=list(dict.fromkeys(fault for node in nodes for fault in node.faults)),
        load=_one_load(loads) if loads else None,
    )


def _one_load(loads: Sequence[NodeLoad]) -> NodeLoad:
    fields: dict[str, Any] = {}
    for name in NodeLoad.__struct_fields__:
        told = [value for load in loads if (value := getattr(load, name)) is not None]
        fields[name] = (max(told) if name in _LATENCIES else sum(told)) if told else None
    return NodeLoad(**fields)


def _one_room(one: BusyRoom, other: BusyRoom) -> BusyRoom:
    """Participants, cursors and operations of a room are told to all who have it open."""
    return replace(
        one,
        version=max(one.version, other.version),
        connections=one.connections + other.connections,
        participants=max(one.participants, other.participants),
        cursors=max(one.cursors, other.cursors),
        deliveries=one.deliveries + other.deliveries,
        operations=max(one.operations, other.operations),
    )


def _summed(counts: Sequence[Mapping[str, float]]) -> Mapping[str, float]:
    names = sorted({name for each in counts for name in each})
    return {name: sum(each.get(name, 0.0) for each in counts) for name in names}


def _longest(latencies: Sequence[Mapping[str, Latency]]) -> Mapping[str, Latency]:
    found: dict[str, Latency] = {}
    for name, one in chain.from_iterable(each.items() for each in latencies):
        other = found.get(name, one)
        rate = one.rate if name not in found else one.rate + other.rate
        found[name] = Latency(rate, max(one.p50, other.p50), max(one.p99, other.p99))
    return found


@group.add("GET", "/activity", pooling=_together)
async def get_activity(desk: Desk, _asked: Nothing) -> ActivityFound:
    """What goes on at the gateway that answers: its load, latencies, busiest rooms, and connections worth a look.

    Rates and latencies are over ten seconds to a minute, as many as are needed to say something.
    """
    now = instant()
    node = desk.describe()
    lately = desk.activity.lately(now.monotonic)
    connections = desk.dispatcher.connections
    census = take_census(connections.values())
    rooms = [
        _Paced(room, *channel.paces(now.monotonic), _operation_rate(room.document, now.unix))
        for room, channel in desk.dispatcher.rooms.live()
    ]
    return ActivityFound(
        node,
        (now.unix - node.started_at) / 1000,
        census.slow,
        census.throttled,
        {str(code): rate for code, rate in sorted(lately.errors.items())},
        dict(sorted(lately.refusals.items())),
        {name: Latency(*latency) for name, latency in lately.latencies.items()},
        [paced.tell() for paced in nlargest(_MOST, rooms, key=attrgetter("sent"))],
        [
            _watched(connection, concern, now.monotonic)
            for connection, concern in _worth_a_look(connections.values(), now.monotonic)
        ],
    )


class _Paced(NamedTuple):
    """A room with how much goes on in it per second; most of them are not told."""

    room: Room
    cursors: float
    deliveries: float
    operations: float

    @property
    def sent(self) -> float:
        """What goes to members."""
        return self.deliveries + self.operations * len(self.room.members)

    def tell(self) -> BusyRoom:
        room = self.room
        document = room.document
        return BusyRoom(
            room.id,
            document.type.name,
            document.version,
            len(room.members),
            len(room.participants),
            self.cursors,
            self.deliveries,
            self.operations,
        )


def _operation_rate(document: Document, unix: int) -> float:
    """How many operations were committed per second of late: they are in the history, as far back as that is here."""
    recent, span = document.newest_entries, _OPERATIONS_SPAN
    count = len(recent) - bisect_left(recent, unix - span, key=lambda entry: entry.committed_at)
    if _MANY_OPERATIONS < count == len(recent):
        # More may have come in that time than is kept of it.
        span = max(1, unix - recent[0].committed_at)
    return 1000 * count / span


def _worth_a_look(connections: Collection[Connection], now: int) -> Iterator[tuple[Connection, Concern | None]]:
    judged = [(each, *judge(_signs(each, now))) for each in connections if each.troubled]
    of_concern = [found for found in judged if found[1] is not None]
    worst = nlargest(_MOST, of_concern, key=itemgetter(2))
    yield from ((connection, concern) for connection, concern, _ in worst)
    told = {connection for connection, _, _ in worst}
    busiest = nlargest(_MOST, connections, key=attrgetter("sent_rate"))
    yield from islice(((each, None) for each in busiest if each not in told), _MOST - len(worst))


def _signs(connection: Connection, now: int) -> Signs:
    skipped, refusals = connection.setbacks
    latency = connection.latency
    return Signs(
        _behind(connection, now), skipped, refusals, connection.rates[3], None if latency is None else latency * 1000
    )


def _behind(connection: Connection, now: int) -> float:
    return (now - connection.behind_since) / SECOND if connection.behind_since else 0.0


def _watched(connection: Connection, concern: Concern | None, now: int) -> WatchedConnection:
    session = connection.session
    identity = session.identity if session.registered else None
    return WatchedConnection(
        session.connection_id,
        connection.address,
        list(session.rooms),
        ConnectionMetrics.of(connection),
        connection.outbox.backlog,
        _behind(connection, now),
        connection.outbox.skipped,
        connection.refused or {},
        UNSET if identity is None else identity.user_id,
        UNSET if identity is None else identity.name,
        concern or UNSET,
    )
