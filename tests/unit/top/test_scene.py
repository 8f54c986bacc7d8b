"""What several gateways tell, put together."""

from __future__ import annotations

from tests.unit.top.scenes import answer, connection, node, room

from fastcollab.core.concern import Concern
from fastcollab.server.admin.activity_pooling import as_one
from fastcollab.server.admin.nodes import NodeList
from fastcollab.top.scene import Album
from fastcollab.top.source import Answer, Unanswered

A, B, C = "a" * 32, "b" * 32, "c" * 32


def test_a_node_that_is_asked_tells_of_itself() -> None:
    """What others tell of it is older."""
    scene = Album().take(
        {
            "http://a": answer(node(A, connections=10), others=[node(B, connections=1), node(C, connections=3)]),
            "http://b": answer(node(B, connections=20), others=[node(A, connections=2)]),
        },
        0.0,
    )
    assert {each.info.node: each.info.connections for each in scene.nodes} == {A: 10, B: 20, C: 3}
    assert (scene.asked, scene.faults) == (2, [])
    assert [each.node for each in scene.rooms] == [A, B]


def test_one_that_goes_away_is_shown_as_it_was_and_comes_back() -> None:
    album = Album()
    both = {"http://a": answer(node(A)), "http://b": answer(node(B), rooms=[room("of-b")])}
    album.take(both, 0.0)
    gone = Unanswered("http://b", "cannot be reached: Connection refused")
    scene = album.take({"http://a": answer(node(A), others=[node(B)]), "http://b": gone}, 1.0)
    assert [(each.info.node, bool(each.trouble)) for each in scene.nodes] == [(A, False), (B, True)]
    assert scene.faults == ["http://b cannot be reached: Connection refused; trying again"]
    assert "of-b" not in [each.room.room_id for each in scene.rooms], "what it told of rooms is over"
    assert album.take(both, 2.0).faults == []


def test_workers_are_nodes_of_their_own() -> None:
    """They answer as one, and say what each has; and they are gone together."""
    album = Album()
    told = as_one(None, [answer(node(A, connections=3)).activity, answer(node(B, connections=4)).activity])
    together = Answer(told, NodeList([node(A), node(B), node(C)]))
    scene = album.take({"http://a": together}, 0.0)
    assert {each.info.node: each.info.connections for each in scene.nodes} == {A: 3, B: 4, C: 1204}
    scene = album.take({"http://a": Unanswered("http://a", "is not there")}, 1.0)
    assert [each.info.node for each in scene.nodes] == [A, B]
    assert len(scene.faults) == 1


def test_one_that_has_never_answered_is_told() -> None:
    scene = Album().take({"http://a": answer(node(A)), "http://b": Unanswered("http://b", "is not there")}, 0.0)
    assert [each.info.node for each in scene.nodes] == [A]
    assert scene.faults == ["http://b is not there; trying again"]


def test_faults_are_told_with_their_node() -> None:
    scene = Album().take({"http://a": answer(node(A, faults=["the bus is silent"]))}, 0.0)
    assert scene.faults == ["aaaaaaaa: the bus is silent"]


def test_errors_and_refusals_are_those_of_all_nodes() -> None:
    scene = Album().take(
        {
            "http://a": answer(node(A), errors={"1003": 2}, refusals={"operations": 2}),
            "http://b": answer(node(B), errors={"1003": 3, "3001": 1}, connections=[connection("x", Concern.SLOW)]),
        },
        0.0,
    )
    assert scene.errors == {"1003": 5, "3001": 1}
    assert scene.refusals == {"operations": 2}
    assert scene.of_concern == 1


def test_trends_have_all_nodes_and_an_end() -> None:
    album = Album()
    for _ in range(500):
        album.take({"http://a": answer(node(A), others=[node(B)])}, 0.0)
    assert len(album.trends["deliveries"]) == 120
    assert album.trends["deliveries"][-1] == 2 * 51_000
    assert album.trends["commit"][-1] == 60


def test_a_node_of_an_older_version_tells_no_load() -> None:
    older = node(B)
    album = Album()
    scene = album.take({"http://a": answer(node(A), others=[type(older)(B, "0.9", 0, 3, 2, 1, [])])}, 0.0)
    assert [each.load.cpu for each in scene.nodes] == [0.34, 0]
