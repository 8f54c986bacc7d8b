"""What is told of what goes on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from msgspec import UNSET, UnsetType

from fastcollab.core.concern import Concern
from fastcollab.ports import NodeInfo
from fastcollab.server.admin.forms import Answer
from fastcollab.server.connection_metrics import ConnectionMetrics

#: How many rooms and connections are told.
MOST = 20


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

    @property
    def sent(self) -> float:
        """What goes to members, per second."""
        return self.deliveries + self.operations * self.connections


class WatchedConnection(Answer, frozen=True):
    """A connection, with what is amiss with it. `waiting` is how many bytes it has not read yet, `behind`
    for how many seconds it has not taken all that it was sent, and `skipped` how many positions of others it was not
    sent for that. `refusals` are what limits did not let through so far, by limit (frames: pauses in which it was not
    read). `concern` is slow: it does not read, or not as fast; abusive: limits refuse it again and again; failing: what
    it sends is wrong again and again; distant: its round trips are long. There is no user until a token was accepted.
    """

    connection_id: str
    node: str
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

    Several workers tell this together: in `node` is how much there is in all, and in `workers` what each of them has.
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
    workers: Sequence[NodeInfo] | UnsetType = UNSET
