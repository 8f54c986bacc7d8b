"""What goes on at several workers of one gateway, as that of one; pure.

Rates and counts are added up, unless all of them see the same: how many cursors move in a room is known to each that
has it open. Of latencies the longest is told, which is true of all: half of what happened took no longer than in the
slowest of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from heapq import nlargest
from itertools import chain, zip_longest
from typing import Any

from msgspec.structs import asdict, replace

from fastcollab.ports import NodeInfo, NodeLoad
from fastcollab.server.admin.activity_forms import MOST, ActivityFound, BusyRoom, Latency, WatchedConnection

#: Of the load of a node, what is not added up.
_LATENCIES = frozenset({"fanout_p99", "commit_p99"})


def as_one(_asked: object, answers: Sequence[ActivityFound]) -> ActivityFound:
    """One answer for all; there is at least one."""
    nodes = [answer.node for answer in answers]
    return ActivityFound(
        node=_one_node(nodes),
        uptime=max(answer.uptime for answer in answers),
        slow=sum(answer.slow for answer in answers),
        throttled=sum(answer.throttled for answer in answers),
        errors=_added(answer.errors for answer in answers),
        refusals=_added(answer.refusals for answer in answers),
        latencies=_latencies([answer.latencies for answer in answers]),
        rooms=_rooms(chain.from_iterable(answer.rooms for answer in answers)),
        connections=_connections([answer.connections for answer in answers]),
        workers=nodes,
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
    every = [asdict(load) for load in loads]
    found: dict[str, Any] = {}
    for name in NodeLoad.__struct_fields__:
        known = [each[name] for each in every if each[name] is not None]
        combine = max if name in _LATENCIES else sum
        found[name] = combine(known) if known else None
    return NodeLoad(**found)


def _added(rates: Iterable[Mapping[str, float]]) -> dict[str, float]:
    total: dict[str, float] = {}
    for each in rates:
        for name, rate in each.items():
            total[name] = total.get(name, 0) + rate
    return dict(sorted(total.items()))


def _latencies(told: Sequence[Mapping[str, Latency]]) -> dict[str, Latency]:
    names = dict.fromkeys(chain.from_iterable(told))
    return {name: _one_latency([each[name] for each in told if name in each]) for name in names}


def _one_latency(told: Sequence[Latency]) -> Latency:
    return Latency(sum(each.rate for each in told), max(each.p50 for each in told), max(each.p99 for each in told))


def _rooms(told: Iterable[BusyRoom]) -> list[BusyRoom]:
    found: dict[str, BusyRoom] = {}
    for room in told:
        known = found.get(room.room_id)
        found[room.room_id] = room if known is None else _one_room(known, room)
    return nlargest(MOST, found.values(), key=lambda room: room.sent)


def _one_room(one: BusyRoom, other: BusyRoom) -> BusyRoom:
    return replace(
        one,
        version=max(one.version, other.version),
        connections=one.connections + other.connections,
        participants=max(one.participants, other.participants),
        cursors=max(one.cursors, other.cursors),
        deliveries=one.deliveries + other.deliveries,
        operations=max(one.operations, other.operations),
    )


def _connections(told: Sequence[Sequence[WatchedConnection]]) -> list[WatchedConnection]:
    """Those of concern by turns, since each worker tells the worst first; then those that are sent most."""
    by_turns = [each for each in chain.from_iterable(zip_longest(*told)) if each is not None]
    of_concern = [each for each in by_turns if each.concern]
    others = [each for each in by_turns if not each.concern]
    others.sort(key=lambda each: each.metrics.bandwidth.outbound, reverse=True)
    return [*of_concern, *others][:MOST]
