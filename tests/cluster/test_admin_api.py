"""The admin API of a node tells of rooms, participants and nodes of the whole cluster."""

from __future__ import annotations

import asyncio

from tests.cluster.spread import Spread
from tests.server.admin_client import WITH_API, Api
from tests.server.clients import Clients, StartGateway
from tests.server.receiver import eventually

from fastcollab.messages import new_id


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


async def test_what_is_done_at_one_node_reaches_all(start_gateway: StartGateway, clients: Clients) -> None:
    """Also where the room is not open at the node that is asked."""
    one, other = (await start(start_gateway)).gateways
    ada = await clients.enter(other, "ada", "r")
    async with Api(one) as api:
        for version in range(3):
            body = {"id": new_id(), "userId": "robot", "operation": ["x"], "version": version}
            assert await api.ask("POST", "/rooms/r/operations", body) == (200, {"version": version + 1})
            # Told at once, and not found some time later.
            told = (await ada.expect("operation_broadcast", within=2)).payload
            assert (told["userId"], told["transformedVersion"]) == ("robot", version + 1)
        assert one.room_count == 0
        for target in ({}, {"targetUserId": "ada"}):
            assert await api.ask("POST", "/rooms/r/events", {"name": "e", "data": 1, **target}) == (202, None)
            told = (await ada.expect("event")).payload
            assert (told["name"], told["userId"], told["data"]) == ("e", "service", 1)
        body = {"permission": "read", "seconds": 60}
        assert await api.ask("PUT", "/rooms/r/permissions/ada", body) == (202, None)
        assert (await ada.expect("permission_changed")).payload["permission"] == "read"
        raw = await clients.raw(other, "bob", "r")
        assert await api.ask("DELETE", "/rooms/r/document") == (204, None)
        await raw.refused(3002)
        await ada.refused(3002)
        assert (await api.get("/rooms/r/document"))["data"] == ""
        assert await api.ask("POST", "/users/ada/disconnect", {}) == (202, None)
        assert await ada.closed() == 4506


async def test_rights_that_were_changed_hold_at_a_node_that_begins_later(
    start_gateway: StartGateway, clients: Clients
) -> None:
    one, _ = (await start(start_gateway)).gateways
    async with Api(one) as api:
        for user, permission in (("ada", "read"), ("bob", "none")):
            body = {"permission": permission, "seconds": 60}
            assert await api.ask("PUT", f"/rooms/r/permissions/{user}", body) == (202, None)
    later, _ = (await start(start_gateway)).gateways
    ada = await clients.enter(later, "ada", "r")
    await ada.refusal(2003, "operation", {"operation": ["x"], "version": 0})
    bob = await clients.enter(later, "bob")
    await bob.refusal(2003, "join_room", {"roomId": "r"})


async def test_both_nodes_may_be_asked_the_same(start_gateway: StartGateway) -> None:
    one, other = (await start(start_gateway)).gateways
    async with Api(one) as first, Api(other) as second:
        bodies = [
            {"id": new_id(), "userId": "robot", "operation": ["x"], "version": 0, "documentType": "text"}
            for _ in range(10)
        ]
        answers = await asyncio.gather(
            *(api.ask("POST", "/rooms/r/operations", body) for body in bodies for api in (first, second))
        )
        assert answers[::2] == answers[1::2]
        assert sorted(answer["version"] for _, answer in answers[::2]) == [*range(1, 11)]
        assert (await first.get("/rooms/r/document"))["data"] == "x" * 10


async def test_revocations_reach_connections_at_any_node(start_gateway: StartGateway, clients: Clients) -> None:
    """How many they end is not said: no node knows that of the others."""
    one, other = (await start(start_gateway)).gateways
    adas = [await clients.enter(gateway, "ada", "r") for gateway in (one, other)]
    bob = await clients.enter(other, "bob", "r", claims={"jti": "b"})
    async with Api(one) as api:
        assert await api.ask("POST", "/revocations", {"kind": "user", "subject": "ada"}) == (202, None)
        # The node that is asked has neither this connection nor its token.
        revoked = {"kind": "session", "subject": bob.connected["connectionId"]}
        assert await api.ask("POST", "/revocations", revoked) == (202, None)
    for client in (*adas, bob):
        assert (await client.expect("error")).payload["code"] == 1001
        assert await client.closed() == 4101

    async def bob_is_kept_out() -> bool:
        again = await clients.open(one, header_token=clients.token("bob", jti="b"))
        await again.expect_any("connected", "error")
        return bool(again.take("error"))

    await eventually(bob_is_kept_out)
