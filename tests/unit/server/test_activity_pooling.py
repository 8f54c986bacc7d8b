"""What goes on at several workers, as at one gateway."""

from __future__ import annotations

from msgspec.structs import replace
from tests.unit.top.scenes import answer, connection, node, room

from fastcollab.core.concern import Concern
from fastcollab.server.admin.activity_forms import Latency
from fastcollab.server.admin.activity_pooling import as_one

A, B = "a" * 32, "b" * 32


def test_what_is_added_up() -> None:
    one = answer(node(A, faults=["f", "g"], connections=3), errors={"1003": 2}, refusals={"frames": 1}).activity
    other = answer(node(B, faults=["g"], connections=4), errors={"1003": 3, "3001": 1}).activity
    told = as_one(None, [one, other])
    assert (told.node.connections, told.node.faults, told.node.node) == (7, ["f", "g"], A)
    assert told.workers == [one.node, other.node]
    assert (told.errors, told.refusals) == ({"1003": 5, "3001": 1}, {"frames": 1})
    assert (told.slow, told.throttled) == (2, 2)
    load = told.node.load
    assert load is not None
    assert (load.cpu, load.deliveries, load.memory) == (0.68, 102_000, 188_000_000)
    assert (load.fanout_p99, load.commit_p99) == (1.9, 60), "the worst of them"


def test_what_is_not_known_of_one() -> None:
    older = replace(node(B), load=None)
    alone = as_one(None, [answer(node(A)).activity, answer(older).activity])
    assert alone.node.load == node(A).load
    load = node(A).load
    assert load is not None
    silent = replace(node(A), load=replace(load, memory=None, commit_p99=None))
    both = as_one(None, [answer(silent).activity, answer(silent).activity])
    assert both.node.load is not None
    assert both.node.load.memory is None
    assert both.node.load.commit_p99 is None
    assert as_one(None, [answer(older).activity]).node.load is None


def test_latencies() -> None:
    one = replace(answer().activity, latencies={"commit": Latency(30, 1.0, 5.0), "ping": Latency(0, 2.0, 3.0)})
    other = replace(answer().activity, latencies={"commit": Latency(10, 5.0, 50.0), "bus": Latency(1, 1.0, 1.0)})
    told = as_one(None, [one, other]).latencies
    assert told["commit"] == Latency(40, 5.0, 50.0)
    assert (told["ping"], told["bus"]) == (Latency(0, 2.0, 3.0), Latency(1, 1.0, 1.0))


def test_a_room_at_two_workers_is_one() -> None:
    """Both know of all cursors that move in it, and each sends them to its own members."""
    shared = room("shared", cursors=100)
    others = [room(f"r{number}", cursors=number) for number in range(15)]
    told = as_one(
        None,
        [
            answer(rooms=[replace(shared, connections=4, version=8), *others]).activity,
            answer(rooms=[replace(shared, connections=5), *(room(f"s{number}", 50) for number in range(15))]).activity,
        ],
    ).rooms
    assert len(told) == 20
    first = told[0]
    assert (first.room_id, first.connections, first.cursors, first.deliveries) == ("shared", 9, 100, 1600)
    assert first.version == 4711
    assert [each.sent for each in told] == sorted((each.sent for each in told), reverse=True)


def test_connections_of_concern_come_first_by_turns() -> None:
    one = [connection("a1", Concern.SLOW), connection("a2", Concern.FAILING), connection("a3", out=5)]
    other = [connection("b1", Concern.ABUSIVE), *(connection(f"b{number}", out=number) for number in range(10, 30))]
    told = as_one(None, [answer(connections=one).activity, answer(connections=other).activity]).connections
    assert [each.user_id for each in told[:5]] == ["a1", "b1", "a2", "b29", "b28"]
    assert len(told) == 20
