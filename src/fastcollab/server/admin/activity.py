"""What goes on at a gateway: what an operator looks at first, in one answer."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Collection, Iterator
from heapq import nlargest
from itertools import islice
from operator import attrgetter, itemgetter
from typing import NamedTuple

from msgspec import UNSET

from fastcollab.core.concern import Concern, judge
from fastcollab.core.document import Document
from fastcollab.core.room import Room
from fastcollab.server._listener import Connection, take_census
from fastcollab.server.admin.activity_forms import MOST, ActivityFound, BusyRoom, Latency, WatchedConnection
from fastcollab.server.admin.activity_pooling import as_one
from fastcollab.server.admin.desk import Desk
from fastcollab.server.admin.endpoint import Group, Nothing
from fastcollab.server.clock import instant
from fastcollab.server.connection_metrics import ConnectionMetrics, behind, signs_of

group = Group("activity")

#: Over how long (ms) the operations of a room are counted.
_OPERATIONS_SPAN = 10_000
_MANY_OPERATIONS = 100


@group.add("GET", "/activity", pooling=as_one)
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
        [paced.tell() for paced in nlargest(MOST, rooms, key=attrgetter("sent"))],
        [
            _watched(desk.node, connection, concern, now.monotonic)
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
    judged = [(each, *judge(signs_of(each, now))) for each in connections if each.troubled]
    of_concern = [found for found in judged if found[1] is not None]
    worst = nlargest(MOST, of_concern, key=itemgetter(2))
    yield from ((connection, concern) for connection, concern, _ in worst)
    told = {connection for connection, _, _ in worst}
    busiest = nlargest(MOST, connections, key=attrgetter("sent_rate"))
    yield from islice(((each, None) for each in busiest if each not in told), MOST - len(worst))


def _watched(node: str, connection: Connection, concern: Concern | None, now: int) -> WatchedConnection:
    session = connection.session
    identity = session.identity if session.registered else None
    return WatchedConnection(
        session.connection_id,
        node,
        connection.address,
        list(session.rooms),
        ConnectionMetrics.of(connection),
        connection.outbox.backlog,
        behind(connection, now),
        connection.outbox.skipped,
        connection.refused or {},
        UNSET if identity is None else identity.user_id,
        UNSET if identity is None else identity.name,
        concern or UNSET,
    )
