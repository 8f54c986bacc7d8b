"""The admin API of several gateways as that of one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from http import HTTPStatus
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from fastcollab import Config
from fastcollab.ports import NodeInfo
from fastcollab.server.admin import PREFIX, activity
from fastcollab.server.admin.api import application
from fastcollab.server.admin.branch import Branch, branch_open
from fastcollab.server.admin.desk import merged, page
from fastcollab.server.admin.endpoint import Endpoint
from fastcollab.server.admin.nodes import NodeList
from fastcollab.server.admin.pool import Pool
from fastcollab.server.admin.problems import Refused

KEY = "a-key-of-the-tests-and-of-nobody-else"
CONFIG = Config(auth={"secret": "s" * 32}, ops={"api_keys": [KEY]}, documents={"max_operation_bytes": 1024})
PATIENCE = 0.3

names = st.text("abc", min_size=1, max_size=3)


@given(st.lists(st.lists(names, unique=True), min_size=1, max_size=4), st.integers(1, 4))
def test_pages_of_many_are_turned_as_those_of_one(gateways: list[list[str]], limit: int) -> None:
    """However many of them have the same: each name comes once, in order, with all who have it."""
    found: list[list[str]] = []
    after = ""
    while True:
        pages = []
        for has in gateways:
            items, following = page(has, after, limit)
            pages.append((items, msgspec.UNSET if following is None else following))
        turned, ends = merged(pages, limit, str)
        assert len(turned) <= limit
        found += turned
        if ends is msgspec.UNSET:
            break
        assert ends > after
        after = ends
    assert [each[0] for each in found] == sorted({name for has in gateways for name in has})
    for each in found:
        assert len(each) == sum(each[0] in has for has in gateways)


def load(**others: float) -> dict[str, Any]:
    names = "cpu messagesIn messagesOut bytesIn bytesOut cursorsIn deliveries operations errors refusals"
    return {**dict.fromkeys(names.split(), 0.0), "memory": 10, "fanoutP99": None, "commitP99": None, **others}


def room(name: str, connections: int, deliveries: float) -> dict[str, Any]:
    shown = {"roomId": name, "type": "text", "connections": connections, "deliveries": deliveries}
    return {**shown, "version": 1, "participants": 7, "cursors": 60.0, "operations": 0.0}


def watched(name: str, **others: str) -> dict[str, Any]:
    rates = {"latency": None, "messageRate": 0, "errorRate": 0, "reconnections": 0}
    metrics = {**rates, "bandwidth": {"inbound": 0, "outbound": 0}}
    shown = {"connectionId": name, "node": "n1", "address": "::1", "rooms": [], "metrics": metrics, "refusals": {}}
    return {**shown, "waiting": 0, "behind": 0.0, "skipped": 0, **others}


QUIET: dict[str, Any] = {
    "node": {
        "node": "n1",
        "version": "1",
        "startedAt": 2_000,
        "connections": 2,
        "users": 2,
        "rooms": 2,
        "faults": [],
        "load": load(cpu=0.25),
    },
    "uptime": 60.0,
    "slow": 1,
    "throttled": 0,
    "errors": {"3001": 2.0},
    "refusals": {"messages": 2.0},
    "latencies": {"fanout": {"rate": 10.0, "p50": 1.0, "p99": 5.0}},
    "rooms": [room("quiet", 1, 0.0), room("shared", 1, 0.0)],
    "connections": [watched("slow", concern="slow")],
}
BUSY: dict[str, Any] = {
    "node": {
        "node": "n2",
        "version": "1",
        "startedAt": 1_000,
        "connections": 7,
        "users": 5,
        "rooms": 1,
        "faults": ["slow"],
        "load": load(cpu=0.75, deliveries=300.0, memory=20, fanoutP99=4.0),
    },
    "uptime": 90.0,
    "slow": 2,
    "throttled": 1,
    "errors": {"1001": 1.0, "3001": 3.0},
    "refusals": {},
    "latencies": {"fanout": {"rate": 20.0, "p50": 2.0, "p99": 4.0}, "commit": {"rate": 1.0, "p50": 3.0, "p99": 3.0}},
    "rooms": [room("shared", 5, 300.0)],
    "connections": [watched("worst", concern="abusive"), watched("fast")],
}


def test_what_goes_on_at_many_is_told_as_of_one() -> None:
    [endpoint] = activity.group.endpoints
    assert endpoint.pooling is not None
    found = msgspec.to_builtins(
        endpoint.pooling(None, [msgspec.convert(told, endpoint.result) for told in (QUIET, BUSY)])
    )
    assert found["node"] == {
        **QUIET["node"],
        "startedAt": 1_000,
        "connections": 9,
        "users": 7,
        "rooms": 3,
        "faults": ["slow"],
        "load": {**QUIET["node"]["load"], "cpu": 1.0, "deliveries": 300.0, "memory": 30, "fanoutP99": 4.0},
    }
    assert found["workers"] == [QUIET["node"], BUSY["node"]]
    assert (found["uptime"], found["slow"], found["throttled"]) == (90.0, 3, 1)
    assert (found["errors"], found["refusals"]) == ({"1001": 1.0, "3001": 5.0}, {"messages": 2.0})
    assert found["latencies"]["fanout"] == {"rate": 30.0, "p50": 2.0, "p99": 5.0}
    assert [(room["roomId"], room["connections"], room["deliveries"]) for room in found["rooms"]] == [
        ("shared", 6, 300.0),
        ("quiet", 1, 0.0),
    ]
    assert [each["connectionId"] for each in found["connections"]] == ["slow", "worst", "fast"]


# --- who is asked -----------------------------------------------------------------------------------------------------


class Worker:
    """Answers with its name; or, if it is told to, with a failure or not at all."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.asked: list[str] = []
        self.silent = False
        self.fails_with: Exception | None = None

    async def answer(self, endpoint: Endpoint, request: web.Request) -> web.StreamResponse:
        self.asked.append(f"{request.method} {request.path_qs} {await request.text()}")
        if self.silent:
            await asyncio.sleep(60)
        if self.fails_with is not None:
            raise self.fails_with
        if endpoint.name == "listNodes":
            return endpoint.response(NodeList([NodeInfo(self.name, "1", 1, 1, 1, 1, [])]))
        return web.Response(status=endpoint.status)


@asynccontextmanager
async def pooled(folder: Path, workers: Sequence[Worker], absent: int = 0) -> AsyncIterator[aiohttp.ClientSession]:
    """A client of the API of these workers, and of some that are not there any more."""
    async with AsyncExitStack() as running:
        branches = []
        for number in range(len(workers) + absent):
            path = folder / f"{number}.sock"
            if number >= absent:
                await running.enter_async_context(branch_open(application(workers[number - absent].answer), path))
            branches.append(Branch(path, PATIENCE))
            running.push_async_callback(branches[-1].close)
        whole = web.Application()
        for prefix, part in Pool(CONFIG, lambda: branches).api().items():
            whole.add_subapp(prefix, part)
        runner = web.AppRunner(whole, access_log=None)
        await runner.setup()
        running.push_async_callback(runner.cleanup)
        await web.UnixSite(runner, folder / "pool.sock").start()
        yield await running.enter_async_context(
            aiohttp.ClientSession(
                f"http://pool{PREFIX}/",
                connector=aiohttp.UnixConnector(str(folder / "pool.sock")),
                headers={"Authorization": f"Bearer {KEY}"},
            )
        )


async def test_what_concerns_all_is_asked_of_one_and_they_take_turns(tmp_path: Path) -> None:
    workers = [Worker("a"), Worker("b")]
    async with pooled(tmp_path, workers) as http:
        for _ in range(4):
            async with http.post("users/%7E/disconnect", json={"reason": "x"}) as response:
                assert response.status == 202
    for worker in workers:
        assert worker.asked == [f'POST {PREFIX}/users/~/disconnect {{"reason": "x"}}'] * 2


async def test_those_that_are_gone_are_left_out(tmp_path: Path) -> None:
    async with pooled(tmp_path, [Worker("a")], absent=1) as http:
        for _ in range(2):
            async with http.get("nodes") as response:
                assert [node["node"] for node in (await response.json())["nodes"]] == ["a"]
            async with http.post("users/x/disconnect", json={}) as response:
                assert response.status == 202


async def test_where_nobody_is_left_it_is_said_when_to_ask_again(tmp_path: Path) -> None:
    async with pooled(tmp_path, [], absent=2) as http:
        for asking in (http.get("nodes"), http.get("rooms/r/document"), http.post("users/x/disconnect", json={})):
            async with asking as response:
                assert (response.status, response.headers["Retry-After"]) == (503, "1")


async def test_a_list_is_not_told_without_those_who_do_not_answer(tmp_path: Path) -> None:
    workers = [Worker("a"), Worker("b")]
    workers[0].silent = True
    async with pooled(tmp_path, workers) as http:
        async with http.get("nodes") as response:
            assert (response.status, (await response.json())["detail"]) == (503, "a worker does not answer")
        # What changes nothing is asked again of another; what may have been done is not.
        for _ in range(2):
            async with http.get("rooms/r/document") as response:
                assert response.status == 200
        statuses = []
        for _ in range(2):
            async with http.post("users/x/disconnect", json={}) as response:
                statuses.append(response.status)
        assert sorted(statuses) == [202, 503]
    assert len([each for each in workers[1].asked if each.startswith("POST")]) == 1


async def test_what_does_not_fit_is_refused_before_anybody_is_asked(tmp_path: Path) -> None:
    workers = [Worker("a")]
    async with pooled(tmp_path, workers) as http:
        for status, method, path, body in (
            (413, "POST", "users/x/disconnect", {"reason": "x" * 2048}),
            (400, "GET", "connections?limit=0", None),
            (404, "GET", "nothing", None),
            (401, "GET", "nodes", None),
        ):
            headers = {"Authorization": "Bearer no"} if status == 401 else {}
            async with http.request(method, path, json=body, headers=headers) as response:
                assert response.status == status
    assert not workers[0].asked


@pytest.mark.parametrize("status", [404, 503])
async def test_a_failure_is_told_as_the_worker_tells_it(tmp_path: Path, status: int) -> None:
    """Where one of them cannot say what it has, that is told; where one does not have it, the other is heard."""
    workers = [Worker("a"), Worker("b")]
    workers[0].fails_with = Refused(HTTPStatus(status), "so it is", retryAfterMs=7000)
    async with pooled(tmp_path, workers) as http, http.get("nodes") as response:
        if status == 404:
            assert [node["node"] for node in (await response.json())["nodes"]] == ["b"]
        else:
            assert (response.status, response.headers["Retry-After"]) == (503, "7")
            assert response.content_type == "application/problem+json"
            assert (await response.json())["detail"] == "so it is"
