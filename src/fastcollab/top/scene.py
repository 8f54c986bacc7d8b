"""What is known of all gateways at a moment, put together of their answers; pure.

A node that is asked itself tells more than others tell of it, and is fresher: in `/nodes` there is what a node has said
when it last beat. One that has not answered is shown with what it said before, and why there is nothing newer.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from fastcollab.ports import NodeInfo, NodeLoad
from fastcollab.server.admin.activity_forms import BusyRoom, Latency, WatchedConnection
from fastcollab.top.source import Answer, Unanswered

#: Of how many looks trends are.
_REMEMBERED = 120


_NO_LOAD = NodeLoad(0, 0, 0, 0, 0, 0, 0, 0, 0, 0)


class SeenNode(NamedTuple):
    """A node; `trouble` is why there is nothing newer of it."""

    info: NodeInfo
    trouble: str | None = None

    @property
    def load(self) -> NodeLoad:
        """Nothing of a node that does not tell it."""
        return self.info.load or _NO_LOAD


class SeenRoom(NamedTuple):
    node: str
    room: BusyRoom


class SeenLatency(NamedTuple):
    node: str
    name: str
    latency: Latency


@dataclass(frozen=True, slots=True)
class Scene:
    """`troubles` are of those that have never answered; `asked` nodes have told their rooms and connections."""

    at: float
    nodes: Sequence[SeenNode] = ()
    troubles: Sequence[str] = ()
    asked: int = 0
    rooms: Sequence[SeenRoom] = ()
    connections: Sequence[WatchedConnection] = ()
    latencies: Sequence[SeenLatency] = ()
    errors: Mapping[str, float] = field(default_factory=dict)
    refusals: Mapping[str, float] = field(default_factory=dict)

    @property
    def faults(self) -> list[str]:
        """What is wrong with nodes, and with asking them."""
        of_nodes = [f"{short_name(each.info.node)}: {fault}" for each in self.nodes for fault in each.info.faults]
        gone = dict.fromkeys(each.trouble for each in self.nodes if each.trouble)
        return [*self.troubles, *gone, *of_nodes]

    @property
    def of_concern(self) -> int:
        return sum(bool(each.concern) for each in self.connections)


def short_name(node: str) -> str:
    """Enough of a node's id to tell it from others."""
    return node[:8]


class Album:
    """The newest answers of the gateways that are asked, by their addresses, and trends."""

    def __init__(self) -> None:
        self._answers: dict[str, Answer] = {}
        self.trends: dict[str, deque[float]] = {}

    def take(self, results: Mapping[str, Answer | Unanswered], at: float) -> Scene:
        """What is known after these have answered, or have not; `at` is Unix time in s."""
        self._answers.update({url: each for url, each in results.items() if isinstance(each, Answer)})
        failures = {url: each for url, each in results.items() if isinstance(each, Unanswered)}
        fresh = [each for url, each in self._answers.items() if url not in failures]
        scene = Scene(
            at,
            list(self._nodes(fresh, failures)),
            [f"{error}; trying again" for url, error in failures.items() if url not in self._answers],
            len(fresh),
            [SeenRoom(each.activity.node.node, room) for each in fresh for room in each.activity.rooms],
            [connection for each in fresh for connection in each.activity.connections],
            [
                SeenLatency(each.activity.node.node, name, latency)
                for each in fresh
                for name, latency in each.activity.latencies.items()
            ],
            _sum(each.activity.errors for each in fresh),
            _sum(each.activity.refusals for each in fresh),
        )
        self._note(scene)
        return scene

    def _nodes(self, fresh: Sequence[Answer], failures: Mapping[str, Unanswered]) -> Iterable[SeenNode]:
        seen = {info.node: SeenNode(info) for each in fresh for info in each.own}
        for answer in fresh:
            for info in answer.nodes.nodes:
                seen.setdefault(info.node, SeenNode(info))
        for url, error in failures.items():
            # That others still tell of it does not mean that it is well.
            for info in self._answers[url].own if url in self._answers else ():
                seen[info.node] = SeenNode(info, f"{error}; trying again")
        return seen.values()

    def _note(self, scene: Scene) -> None:
        loads = [each.load for each in scene.nodes if not each.trouble]
        now = {
            "deliveries": sum(load.deliveries for load in loads),
            "operations": sum(load.operations for load in loads),
            "fanout": max((load.fanout_p99 or 0.0 for load in loads), default=0.0),
            "commit": max((load.commit_p99 or 0.0 for load in loads), default=0.0),
        }
        for name, value in now.items():
            self.trends.setdefault(name, deque(maxlen=_REMEMBERED)).append(value)


def _sum(rates: Iterable[Mapping[str, float]]) -> dict[str, float]:
    total: dict[str, float] = {}
    for each in rates:
        for name, rate in each.items():
            total[name] = total.get(name, 0.0) + rate
    return dict(sorted(total.items()))
