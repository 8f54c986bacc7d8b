"""Answers of gateways, as `fastcollab top` gets them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from msgspec import UNSET

from fastcollab.core.concern import Concern
from fastcollab.ports import NodeInfo, NodeLoad
from fastcollab.server.admin.activity_forms import ActivityFound, BusyRoom, Latency, WatchedConnection
from fastcollab.server.admin.nodes import NodeList
from fastcollab.server.connection_metrics import Bandwidth, ConnectionMetrics
from fastcollab.top.source import Answer

LATENCIES = {
    "fanout": Latency(900, 0.4, 1.9),
    "commit": Latency(30, 2.1, 60),
    "eventLoop": Latency(4, 0.2, 3),
    "ping": Latency(1, 12, 380),
    "store.append": Latency(30, 1.8, 55),
    "redis.commits": Latency(30, 1.5, 50),
    "redis.queries": Latency(3, 0.8, 2),
}


def node(name: str = "a" * 32, *, faults: Sequence[str] = (), cpu: float = 0.34, connections: int = 1204) -> NodeInfo:
    load = NodeLoad(cpu, 3100, 52_000, 80_000, 2_400_000, 2900, 51_000, 28, 0.1, 12, 94_000_000, 1.9, 60)
    return NodeInfo(name, "1.0", 1_700_000_000_000, connections, 811, 93, faults, load)


def room(name: str = "board-1", cursors: float = 480, operations: float = 3) -> BusyRoom:
    return BusyRoom(name, "json1", 4711, 9, 8, cursors, 8 * cursors, operations)


def connection(
    user: str = "ada",
    concern: Concern | None = None,
    *,
    name: str = "Ada",
    waiting: int = 0,
    behind: float = 0,
    refusals: Mapping[str, int] | None = None,
    out: float = 21_000,
    rooms: Sequence[str] = ("board-1",),
    node: str = "a" * 32,
) -> WatchedConnection:
    return WatchedConnection(
        f"id-of-{user}"[:36],
        node,
        "203.0.113.77",
        rooms,
        ConnectionMetrics(12.3, 61, 0, 0, Bandwidth(1500, out)),
        waiting,
        behind,
        17 if behind else 0,
        refusals or {},
        user or UNSET,
        name,
        concern or UNSET,
    )


def answer(
    info: NodeInfo | None = None,
    *,
    others: Sequence[NodeInfo] = (),
    rooms: Sequence[BusyRoom] = (),
    connections: Sequence[WatchedConnection] = (),
    errors: Mapping[str, float] | None = None,
    refusals: Mapping[str, float] | None = None,
) -> Answer:
    info = info or node()
    found = ActivityFound(
        info, 3600.0, 1, 1, errors or {}, refusals or {}, LATENCIES, rooms or [room()], connections or [connection()]
    )
    return Answer(found, NodeList([info, *others]))


def busy_answer() -> Answer:
    """With one of everything that is amiss, and much of what is not."""
    return answer(
        node(faults=["Redis cannot be reached"]),
        others=[node("b" * 32, cpu=0.92)],
        rooms=[room(f"board-{number}", 500 - number) for number in range(20)],
        connections=[
            connection("mallory", Concern.ABUSIVE, refusals={"operations": 1312, "frames": 4}),
            connection("sleepy", Concern.SLOW, waiting=1_300_000, behind=14, refusals={}),
            connection("far", Concern.DISTANT),
            connection("wrong", Concern.FAILING),
            *(connection(f"user-{number}") for number in range(16)),
        ],
        errors={"1003": 900, "3001": 2},
        refusals={"operations": 900},
    )
