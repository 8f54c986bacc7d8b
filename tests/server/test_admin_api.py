"""The admin API: who may use it, and what it tells."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from tests.server.admin_client import KEY, WITH_API, Api, part
from tests.server.clients import Clients
from tests.server.conftest import GENEROUS, StartGateway

from fastcollab import Gateway
from fastcollab.messages import new_id
from fastcollab.server.admin.api import ENDPOINTS


@pytest.fixture
async def gateway(start_gateway: StartGateway) -> Gateway:
    return await start_gateway(WITH_API)


@pytest.fixture
async def api(gateway: Gateway) -> AsyncIterator[Api]:
    async with Api(gateway) as api:
        yield api


def paths() -> list[tuple[str, str]]:
    """All that there is, with something in the place of each parameter; and what there is not."""
    there = [(endpoint.method, endpoint.path.replace("{", "").replace("}", "")) for endpoint in ENDPOINTS]
    return [*there, ("GET", "/openapi.json"), ("GET", "/nothing"), ("PATCH", "/rooms")]


@pytest.mark.parametrize("key", [None, "", "a-key", KEY[:-1], f"{KEY}x", KEY.upper(), f"tests:{KEY}", "\u00e9" * 32])
async def test_a_wrong_key_gets_nothing_anywhere(start_gateway: StartGateway, key: str | None) -> None:
    """Not even what is wrong with a request, or whether there is such a thing."""
    gateway = await start_gateway(WITH_API)
    async with Api(gateway, key) as api:
        _, wanted = await api.ask("GET", "/rooms")
        for method, path in paths():
            status, problem = await api.ask(method, path, {"no": "sense"} if method != "GET" else None)
            # That there were too many in this second is all that may be told besides.
            assert status in (401, 429), (method, path)
            if status == 401:
                assert problem == wanted


async def test_guesses_are_bounded_and_keep_nobody_out(gateway: Gateway, api: Api) -> None:
    async with Api(gateway, "another") as guesser:
        statuses = [(await guesser.ask("GET", "/rooms"))[0] for _ in range(60)]
    assert statuses[:20] == [401] * 20
    assert statuses.count(429) > 20
    assert await api.get("/rooms") == {"rooms": []}


@pytest.mark.parametrize("settings", [{**GENEROUS, "ops.port": 0}])
async def test_without_a_key_there_is_no_api(start_gateway: StartGateway, settings: dict[str, object]) -> None:
    gateway = await start_gateway(settings)
    for key in (None, "", KEY):
        async with Api(gateway, key) as api:
            for method, path in paths():
                assert (await api.ask(method, path))[0] == 404


async def test_the_public_port_has_no_api(gateway: Gateway) -> None:
    async with Api(gateway) as api:
        api._base = f"http://127.0.0.1:{gateway.port}/api/v1"
        assert (await api.ask("GET", "/rooms"))[0] in (400, 404)


async def test_rooms_are_told_in_pages(api: Api, gateway: Gateway, clients: Clients) -> None:
    names = ["a/b", "b c", "é\U0001f600", "r"]
    for name in names:
        await clients.enter(gateway, "ada", name)
    await gateway._parts.documents.store.create("old", "json1", {"a": 1})
    every = sorted([*names, "old"])
    first = await api.get("/rooms", limit=3)
    assert [room["roomId"] for room in first["rooms"]] == every[:3]
    second = await api.get("/rooms", limit=3, after=first["next"])
    assert [room["roomId"] for room in second["rooms"]] == every[3:]
    assert "next" not in second
    for which in ("live", "here"):
        rooms = (await api.get("/rooms", which=which))["rooms"]
        assert [room["roomId"] for room in rooms] == sorted(names)
        assert all(room["participants"] == 1 and room["openHere"] for room in rooms)
    page = await api.get("/rooms", which="here", limit=2)
    assert (len(page["rooms"]), page["next"]) == (2, sorted(names)[1])
    for name in every:
        room = await api.get(f"/rooms/{part(name)}")
        assert (room["roomId"], room["participants"]) == (name, int(name != "old"))
    assert (await api.get("/rooms/old"))["type"] == "json1"


async def test_participants_are_told_with_what_they_show(api: Api, gateway: Gateway, clients: Clients) -> None:
    ada = await clients.enter(gateway, "ada", "r")
    await clients.enter(gateway, "ada", "r")
    await clients.enter(gateway, "bob", "r")
    await ada.send("presence_update", {"presence": {"status": "writing", "data": [1]}})
    await ada.barrier()
    [first, second] = (await api.get("/rooms/r/participants"))["participants"]
    assert (first["userId"], len(first["connections"]), first["presence"]) == (
        "ada",
        2,
        {"status": "writing", "data": [1]},
    )
    assert (second["userId"], second["presence"]) == ("bob", {})
    [node] = (await api.get("/nodes"))["nodes"]
    assert first["nodes"] == [node["node"]]
    assert (node["connections"], node["users"], node["rooms"], node["faults"]) == (3, 2, 1, [])
    assert await api.get("/rooms/nobody/participants") == {"participants": []}


async def test_connections_are_told_with_their_rooms(api: Api, gateway: Gateway, clients: Clients) -> None:
    await clients.enter(gateway, "ada", "r", "s")
    await clients.enter(gateway, "bob", "s", claims={"rooms": {"*": "read"}}, batched=True)
    await clients.open(gateway)
    every = (await api.get("/connections"))["connections"]
    assert [each["connectionId"] for each in every] == sorted(each["connectionId"] for each in every)
    assert sorted(each["state"] for each in every) == ["authenticated", "authenticated", "new"]
    [bob] = (await api.get("/connections", userId="bob"))["connections"]
    assert bob["rooms"] == [{"roomId": "s", "permission": "read"}]
    assert bob["batched"]
    assert 0 <= bob["silentFor"] <= bob["age"] < 10
    assert len((await api.get("/connections", roomId="s"))["connections"]) == 2
    assert len((await api.get("/connections", roomId="r"))["connections"]) == 1
    page = await api.get("/connections", limit=2)
    assert page["connections"] == [*map(dict, page["connections"])]
    assert len((await api.get("/connections", limit=2, after=page["next"]))["connections"]) == 1
    found = await api.get(f"/connections/{bob['connectionId']}")
    assert found["userId"] == "bob"
    assert (await api.ask("GET", f"/connections/{new_id()}"))[0] == 404


async def test_documents_and_their_past_are_told(api: Api, gateway: Gateway, clients: Clients) -> None:
    ada = await clients.enter(gateway, "ada", "r")
    for version in range(5):
        await ada.operate([version, str(version)] if version else ["0"], version)
    await ada.barrier()
    document = await api.get("/rooms/r/document")
    assert (document["type"], document["version"], document["data"]) == ("text", 5, "01234")
    assert (await api.get("/rooms/r/document", version=2))["data"] == "01"
    history = await api.get("/rooms/r/history", after=1, limit=2)
    assert [(each["userId"], each["transformedVersion"]) for each in history["operations"]] == [("ada", 2), ("ada", 3)]
    assert (history["next"], history["version"], history["oldest"]) == (3, 5, 0)
    rest = await api.get("/rooms/r/history", after=3, epoch=document["epoch"])
    assert [each["transformedVersion"] for each in rest["operations"]] == [4, 5]
    assert "next" not in rest
    for path, query, code in (
        ("/rooms/r/document", {"version": 6}, 3002),
        ("/rooms/r/history", {"after": 6}, 3002),
        ("/rooms/r/history", {"after": 0, "epoch": "another"}, 3002),
    ):
        status, problem = await api.ask("GET", path, **query)
        assert (status, problem["code"]) == (409, code)
    for path, query in (
        ("/rooms/x/document", {"version": 1}),
        ("/rooms/x/document", {}),
        ("/rooms/x/history", {"after": 0}),
    ):
        status, problem = await api.ask("GET", path, **query)
        assert (status, problem["code"], problem["details"]) == (404, 2001, {"roomId": "x"})


@pytest.mark.parametrize(
    ("path", "query", "field"),
    [
        ("/rooms", {"limit": 1001}, "limit"),
        ("/rooms", {"limit": 0}, "limit"),
        ("/rooms", {"limit": "many"}, "limit"),
        ("/rooms", {"which": "some"}, "which"),
        ("/rooms", {"after": "x" * 129}, "after"),
        ("/rooms", {"limt": 5}, "limt"),
        (f"/rooms/{'x' * 129}", {}, "roomId"),
        ("/rooms/%01", {}, "roomId"),
        ("/rooms/r", {"roomId": "s"}, "roomId"),
        ("/rooms/r/history", {}, "after"),
        ("/rooms/r/history", {"after": -1}, "after"),
        ("/rooms/r/document", {"version": 2**53}, "version"),
        ("/connections", {"userId": ""}, "userId"),
        ("/nodes", {"verbose": 1}, "verbose"),
    ],
)
async def test_what_is_asked_wrongly_is_told(api: Api, path: str, query: dict[str, Any], field: str) -> None:
    status, problem = await api.ask("GET", path, **query)
    assert status == 400
    assert field in problem["detail"]
