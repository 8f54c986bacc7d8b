"""The admin API of ``serve --workers``: that of one gateway, whichever worker has what is asked for."""

from __future__ import annotations

import asyncio
import os
import signal
import stat
from pathlib import Path
from typing import Any

from tests.redis_servers import VALKEY, start_server
from tests.server.admin_client import KEY, Api
from tests.server.conftest import MakeToken
from tests.server.gateway_process import children
from tests.server.test_cli_serve import refused
from tests.server.test_workers import PATIENCE, Company, company, is_there, until, workers_of
from tests.server.workers_api import workers_with_api

from fastcollab.messages import new_id


async def all_pages(api: Api, what: str, limit: int, **query: Any) -> list[Any]:
    found: list[Any] = []
    after = ""
    while True:
        page = await api.get(f"/{what}", after=after, limit=limit, **query)
        found += page[what]
        if "next" not in page:
            return found
        assert len(page[what]) == limit
        after = page["next"]


async def test_workers_are_asked_as_one_gateway(make_token: MakeToken) -> None:
    async with (
        workers_with_api() as place,
        company(place.gateway, make_token, reconnect=False) as people,
        Api(place) as api,
    ):
        await lists_are_of_all(api, people)
        await what_is_done_is_done_for_all(api, people)


async def lists_are_of_all(api: Api, people: Company) -> None:
    await people.write()
    found = await all_pages(api, "connections", 100)
    ids = [connection["connectionId"] for connection in found]
    assert ids == sorted(ids)
    assert {connection["userId"] for connection in found} == {f"user-{number}" for number in range(len(ids))}
    assert len(ids) == len(people.clients)
    assert len({connection["node"] for connection in found}) == 2
    for limit in (1, 3):
        page = await all_pages(api, "connections", limit)
        assert [connection["connectionId"] for connection in page] == ids
    for connection in found:
        assert (await api.get(f"/connections/{connection['connectionId']}"))["userId"] == connection["userId"]
    assert (await api.ask("GET", "/connections/none"))[0] == 404
    [one] = (await api.get("/connections", userId="user-1"))["connections"]
    assert one["rooms"] == [{"roomId": "plans", "permission": "write"}]

    nodes = (await api.get("/nodes"))["nodes"]
    assert sorted(node["node"] for node in nodes) == sorted({connection["node"] for connection in found})
    assert sum(node["connections"] for node in nodes) == len(ids)

    going_on = await api.get("/activity")
    assert going_on["node"]["connections"] == len(ids)
    assert {node["node"] for node in going_on["workers"]} == {node["node"] for node in nodes}
    assert {connection["node"] for connection in going_on["connections"]} == {node["node"] for node in nodes}
    assert [(room["roomId"], room["connections"]) for room in going_on["rooms"]] == [("plans", len(ids))]
    assert {connection["connectionId"] for connection in going_on["connections"]} <= set(ids)

    told = (await api.get("/rooms/plans/participants"))["participants"]
    assert sorted(each for participant in told for each in participant["connections"]) == ids

    # A room that is open at one worker only is open here, whoever is asked first.
    await people.clients[0].join_room("quiet", "text")
    for which in ("all", "live", "here"):
        for limit in (1, 100):
            rooms = await all_pages(api, "rooms", limit, which=which)
            assert [(room["roomId"], room["openHere"]) for room in rooms] == [("plans", True), ("quiet", True)]
    for _ in range(2):
        room = await api.get("/rooms/quiet")
        assert (room["openHere"], room["participants"]) == (True, 1)


async def what_is_done_is_done_for_all(api: Api, people: Company) -> None:
    # One after the other by each worker.
    before = (await api.get("/rooms/plans"))["version"]
    for version in range(before, before + 4):
        body = {"id": new_id(), "userId": "robot", "operation": ["x"], "version": version}
        assert await api.ask("POST", "/rooms/plans/operations", body) == (200, {"version": version + 1})
    await until(lambda: all(room.text.startswith("xxxx") for room in people.rooms))
    one, *others = people.clients
    for connection in (await api.get("/connections"))["connections"]:
        if connection["userId"] != "user-0":
            path = f"/connections/{connection['connectionId']}/disconnect"
            assert await api.ask("POST", path, {}) == (202, None)
    await until(lambda: not any(client.is_connected for client in others))
    assert one.is_connected
    assert await api.ask("POST", "/revocations", {"kind": "user", "subject": "user-0"}) == (202, None)
    await until(lambda: not one.is_connected)
    # What does not fit is refused once, by whoever is asked first.
    assert (await api.ask("GET", "/connections", limit=0))[0] == 400
    assert (await api.ask("POST", "/users/x/disconnect", {"reason": 1}))[0] == 400
    assert (await api.ask("GET", "/rooms/plans%2Fnone"))[0] == 404
    assert (await api.ask("PATCH", "/rooms/plans"))[0] == 405


async def test_keys_are_asked_for_once_and_sockets_are_private() -> None:
    async with workers_with_api() as place:
        async with Api(place, key="w" * 40) as wrong, Api(place) as right:
            answers = await asyncio.gather(*(wrong.ask("GET", "/rooms") for _ in range(60)))
            assert {status for status, _ in answers} == {401, 429}
            assert (await right.ask("GET", "/rooms"))[0] == 200
        directory = place.sockets()
        assert stat.S_IMODE(directory.stat().st_mode) == 0o700
        assert sorted(each.name for each in directory.iterdir()) == ["1.sock", "2.sock"]
        assert await place.gateway.end() == 0
        assert not directory.exists()


def test_a_place_in_which_there_can_be_no_sockets_is_told(tmp_path: Path) -> None:
    (deep := tmp_path / ("x" * 100)).mkdir()
    with start_server(VALKEY) as server:
        *_, line = refused(
            *("--port", "0", "--workers", "2", "--ops-port", "0", "--engine", server.url),
            FASTCOLLAB_OPS__API_KEYS=f"tests:{KEY}",
            TMPDIR=str(deep),
        )
    assert line.startswith(f"fastcollab: cannot listen on {deep}/fastcollab-")
    assert "/1.sock: " in line
    assert not list(deep.iterdir())


async def test_a_worker_or_the_supervisor_is_killed_while_it_is_asked() -> None:
    async with workers_with_api() as place, Api(place) as api:
        frozen, _ = workers_of(place.gateway)
        os.kill(frozen, signal.SIGSTOP)
        looking, doing = [
            [asyncio.create_task(api.ask(method, path, body)) for _ in range(2)]
            for method, path, body in (("GET", "/rooms/none/document", None), ("POST", "/users/x/disconnect", {}))
        ]
        # One of each kind has come to the one that does not answer.
        await until(lambda: [sum(each.done() for each in asking) for asking in (looking, doing)] == [1, 1])
        os.kill(frozen, signal.SIGKILL)
        async with asyncio.timeout(PATIENCE):
            # The other says it, where that makes no difference; else nobody knows whether it was done.
            assert [status for status, _ in await asyncio.gather(*looking)] == [404, 404]
            told = dict(await asyncio.gather(*doing))
        assert sorted(told) == [202, 503]
        assert told[503]["details"]["retryAfterMs"] == 1000
        await until(lambda: len(workers_of(place.gateway)) == 2)

        directory, family = place.sockets(), children(place.gateway.pid)
        await place.gateway.end(signal.SIGKILL)
        await until(lambda: not any(map(is_there, family)))
        assert not directory.exists()
