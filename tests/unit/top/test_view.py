"""Keys."""

from __future__ import annotations

import pytest
from tests.unit.top.scenes import answer, connection, room

from fastcollab.core.concern import Concern
from fastcollab.top.scene import Album
from fastcollab.top.view import ORDERS, PANES, Pane, View


def press(*keys: str) -> View:
    view = View()
    for key in keys:
        view = view.press(key)
    return view


@pytest.mark.parametrize(
    ("keys", "pane"),
    [
        ("1", Pane.OVERVIEW),
        ("2", Pane.NODES),
        ("5", Pane.LATENCIES),
        ("\t\t", Pane.ROOMS),
        (["right", "left", "left"], Pane.LATENCIES),
        ("\t" * len(PANES), Pane.OVERVIEW),
        ("6", Pane.OVERVIEW),
        ("0", Pane.OVERVIEW),
        ("²", Pane.OVERVIEW),
        ("x", Pane.OVERVIEW),
    ],
)
def test_panes_are_chosen_by_number_or_in_turn(keys: str, pane: Pane) -> None:
    assert press(*keys).pane is pane


def test_q_ends_and_space_stops_and_goes_on() -> None:
    assert press("q").over
    assert press(" ").paused
    assert not press(" ", " ").paused


def test_each_pane_keeps_its_order() -> None:
    view = press("3", "s", "s", "4", "s")
    assert view.order(Pane.ROOMS)[0] == "operations"
    assert view.order(Pane.CONNECTIONS)[0] == "bytes out"
    assert view.order(Pane.NODES)[0] == "node"
    assert press("1", "s") == View(), "an overview has none of its own"
    assert press("3", *"s" * len(ORDERS[Pane.ROOMS])).order(Pane.ROOMS)[0] == "sent"


def test_every_order_is_one() -> None:
    rooms = [room("b", 1, 9), room("a", 5, 0)]
    connections = [
        connection("b", out=9),
        connection("a", Concern.SLOW, waiting=5, refusals={"operations": 3}, out=1),
        connection(""),
    ]
    scene = Album().take({"u": answer(rooms=rooms, connections=connections)}, 0.0)
    items = {
        Pane.NODES: scene.nodes,
        Pane.ROOMS: scene.rooms,
        Pane.CONNECTIONS: scene.connections,
        Pane.LATENCIES: scene.latencies,
    }
    first = {(pane, name): sorted(items[pane], key=key)[0] for pane, orders in ORDERS.items() for name, key in orders}
    assert first[Pane.ROOMS, "cursors"] is scene.rooms[1]
    assert first[Pane.ROOMS, "operations"] is scene.rooms[0]
    assert first[Pane.ROOMS, "room"] is scene.rooms[1]
    for order in ("concern", "waiting", "refused"):
        assert first[Pane.CONNECTIONS, order] is scene.connections[1]
    assert first[Pane.LATENCIES, "p99"].name == "ping"
