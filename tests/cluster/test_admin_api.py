"""The admin API of a node tells of rooms, participants and nodes of the whole cluster."""

from __future__ import annotations

from tests.cluster.spread import Spread
from tests.server.admin_client import WITH_API, Api
from tests.server.clients import Clients, StartGateway
from tests.server.receiver import eventually


async def start(start_gateway: StartGateway) -> Spread:
    started = await start_gateway({**WITH_API, "engine.lease": 1})
    assert isinstance(started, Spread)
    return started


async def test_any_node_tells_of_all(start_gateway: StartGateway, clients: Clients) -> None:
    spread = await start(start_gateway)
    one, other = spread.gateways
    ada = await clients.enter(one, "ada", "r")
    bob = await clients.enter(other, "bob", "r", "s")
    await ada.send("presence_update", {"presence": {"status": "writing"}})
    await ada.barrier()
    await ada.operate(["hello"], 0)
    ids = {gateway.describe().node for gateway in spread.gateways}
    async with Api(one) as first, Api(other) as second:
        for api in (first, second):
            rooms = (await api.get("/rooms", which="live"))["rooms"]
            assert {room["roomId"]: room["participants"] for room in rooms} == {"r": 2, "s": 1}
            [told_ada, told_bob] = (await api.get("/rooms/r/participants"))["participants"]
            assert {*told_ada["nodes"], *told_bob["nodes"]} == ids
            assert (await api.get("/rooms/r/document"))["data"] == "hello"
            assert {node["node"] for node in (await api.get("/nodes"))["nodes"]} == ids
        # A node has its own connections, and those of others in its list of nodes soon.
        assert [each["userId"] for each in (await first.get("/connections"))["connections"]] == ["ada"]
        assert [room["roomId"] for room in (await first.get("/rooms", which="here"))["rooms"]] == ["r"]

        async def told_of_both() -> bool:
            return sorted(node["rooms"] for node in (await first.get("/nodes"))["nodes"]) == [1, 2]

        await eventually(told_of_both)
        # Bob goes before the gateway does, and is not told that it goes.
        await bob.close()
        await other.stop()
        assert len((await first.get("/nodes"))["nodes"]) == 1
