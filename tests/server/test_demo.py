"""``fastcollab demo``: the page and its visitors, simulated people, and the command as a process."""

from __future__ import annotations

import asyncio
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from tests.redis_servers import VALKEY, start_server
from tests.server.gateway_process import environment

from fastcollab.client import CollaborativeClient
from fastcollab.demo import board
from fastcollab.demo.content import AGENDA, COLUMNS, DASHBOARD, PLAN, READINGS, first_content
from fastcollab.demo.crowd import LARGEST, Crowd
from fastcollab.demo.site import BUILT
from fastcollab.demo.stage import Stage, StageError
from fastcollab.ot import types

PATIENCE = 30  # seconds


@pytest.fixture
def web(tmp_path: Path) -> Path:
    """A page as it is built: its files are named by what is in them."""
    folder = tmp_path / "web"
    (folder / "assets").mkdir(parents=True)
    (folder / "index.html").write_text("<!doctype html><title>Board</title>")
    (folder / "assets" / "index-Abc123.js").write_text("export {};")
    (folder / "assets" / "index-Abc123.css").write_text("p { margin: 0 }")
    (folder / "assets" / "icon-Abc123.svg").write_text("<svg/>")
    (tmp_path / "secret.txt").write_text("not for everybody")
    return folder


class Open:
    """A demonstration that runs, and somebody who asks it."""

    def __init__(self, url: str, crowd: Crowd, http: aiohttp.ClientSession) -> None:
        self.url = url
        self.crowd = crowd
        self._http = http

    async def get(self, path: str, **headers: str) -> tuple[int, dict[str, str], bytes]:
        async with self._http.get(self.url + path, headers=headers) as answer:
            return answer.status, dict(answer.headers), await answer.read()

    async def post(self, path: str, body: Any, **headers: str) -> tuple[int, Any]:
        async with self._http.post(self.url + path, json=body, headers=headers) as answer:
            is_json = answer.content_type == "application/json"
            return answer.status, await (answer.json() if is_json else answer.text())

    async def visit(self, **visitor: Any) -> tuple[CollaborativeClient, dict[str, str]]:
        """A client with the token of a visitor, not connected yet, and who that is."""
        status, admission = await self.post("/demo/token", visitor)
        assert status == 200, admission
        return CollaborativeClient(admission["url"], admission["token"]), admission["user"]


@pytest.fixture
async def opened(web: Path) -> AsyncIterator[Open]:
    async with Stage(0, 0, "memory://", 1, web).open() as (url, crowd), aiohttp.ClientSession() as http:
        yield Open(url, crowd, http)


async def until(condition: Any) -> None:
    async with asyncio.timeout(PATIENCE):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


@pytest.mark.parametrize(
    ("path", "content_type", "caching"),
    [
        ("/", "text/html", "no-cache"),
        ("/assets/index-Abc123.js", "javascript", "immutable"),
        ("/assets/index-Abc123.css", "text/css", "immutable"),
        ("/assets/icon-Abc123.svg", "image/svg+xml", "immutable"),
    ],
)
async def test_the_page_has_its_types_and_is_cached_by_name(
    opened: Open, path: str, content_type: str, caching: str
) -> None:
    status, headers, _ = await opened.get(path)
    assert status == 200
    assert content_type in headers["Content-Type"]
    assert caching in headers["Cache-Control"]
    assert headers["X-Content-Type-Options"] == "nosniff"
    policy = headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "script-src 'self';" in policy
    assert "frame-ancestors 'none'" in policy


@pytest.mark.parametrize(
    "path",
    [
        "/assets/index-Gone.js",
        "/assets/",
        "/assets/../../secret.txt",
        "/assets/%2e%2e/%2e%2e/secret.txt",
        "/assets/..%2f..%2fsecret.txt",
        "/secret.txt",
    ],
)
async def test_nothing_else_can_be_had(opened: Open, path: str) -> None:
    port = int(opened.url.rsplit(":", 1)[1])
    reader, writer = await asyncio.open_connection("127.0.0.1", port)  # a client would tidy the path up
    writer.write(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n\r\n".encode())
    answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    assert answer.split(b" ", 2)[1] in (b"403", b"404"), answer
    assert b"not for everybody" not in answer
    assert b"immutable" not in answer


async def test_a_visitor_meets_simulated_people_on_the_dashboard(opened: Open) -> None:
    await opened.crowd.resize(3)
    client, user = await opened.visit()
    async with client:
        room = await client.join_room(DASHBOARD, "json1")
        names = {member.name for member in room.participants.values()}
        assert names == {"Ada", "Bruno", "Chiara", user["name"]}
        await until(lambda: len(room.cursors) == 3)
        first = room.document.version
        await until(lambda: room.document.version > first)  # the thermometer, at least
        plan = await client.join_room(PLAN, "text")
        written = len(plan.text)
        await until(lambda: len(plan.text) > written + 5)
        agenda = await client.join_room(AGENDA, "rich-text")
        assert agenda.document.content


async def test_copies_are_equal_when_people_have_left(opened: Open) -> None:
    client, _ = await opened.visit()
    other, _ = await opened.visit()
    async with client, other:
        rooms = [await one.join_room(room, kind) for one in (client, other) for room, kind in ROOMS.items()]
        await opened.crowd.resize(4)
        await until(lambda: rooms[0].document.version > 4 and rooms[1].document.version > 20)
        await opened.crowd.resize(0)
        for mine, theirs in zip(rooms[:2], rooms[2:], strict=True):
            await until(lambda mine=mine, theirs=theirs: mine.document.version == theirs.document.version)
            assert mine.document.content == theirs.document.content


ROOMS = {DASHBOARD: "json1", PLAN: "text"}


async def test_the_crowd_grows_and_shrinks(opened: Open) -> None:
    client, user = await opened.visit()
    async with client:
        room = await client.join_room(DASHBOARD, "json1")
        for count in (5, 2, 0, 1):
            assert await opened.post("/demo/people", {"count": count}) == (200, {"count": count})
            await until(lambda count=count: len(room.participants) == count + 1)
        assert (await opened.get("/demo/people"))[2] == b'{"count":1}'
        for count in (-1, LARGEST + 1):
            status, answer = await opened.post("/demo/people", {"count": count})
            assert (status, str(LARGEST) in answer["error"]) == (400, True)
        assert len(room.participants) == 2
        assert user["userId"] in room.participants


async def test_a_guest_who_is_remembered_stays_who_they_are(opened: Open) -> None:
    guest = {"userId": "guest-0123abcd", "name": "Quiet Otter", "color": "#1971c2"}
    client, user = await opened.visit(**guest)
    assert user == guest
    async with client:
        room = await client.join_room(DASHBOARD, "json1")
        me = room.participants["guest-0123abcd"]
        assert (me.name, me.color) == ("Quiet Otter", "#1971c2")
    strangers = [(await opened.visit())[1] for _ in range(5)]
    assert len({stranger["userId"] for stranger in strangers}) == 5


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ({"userId": "person-1"}, "userId"),
        ({"userId": "guest-0123ABCD"}, "userId"),
        ({"name": " "}, "name"),
        ({"name": "x" * 41}, "name"),
        ({"name": 5}, "name"),
        ({"color": "red"}, "color"),
        ({"gateway": 1}, "gateway"),
        ({"gateway": -1}, "gateway"),
        ([], "object"),
    ],
)
async def test_a_visitor_who_asks_for_what_is_not_to_be_had(opened: Open, body: Any, reason: str) -> None:
    status, answer = await opened.post("/demo/token", body)
    assert status == 400
    assert reason in answer["error"]


async def test_other_pages_and_other_names_get_nothing(opened: Open) -> None:
    for path, body in (("/demo/token", {}), ("/demo/people", {"count": 1})):
        status, _ = await opened.post(path, body, Origin="https://elsewhere.example")
        assert status == 403
        status, _ = await opened.post(path, body, Host="elsewhere.example")
        assert status == 421
        async with aiohttp.ClientSession() as http, http.post(opened.url + path, data=b"{}") as answer:
            assert answer.status == 415  # what a form of another page could send
    status, answer = await opened.post("/demo/token", {"name": "x" * 5000})
    assert status == 413, answer
    status, _, _ = await opened.get("/", Host="elsewhere.example")
    assert status == 421
    assert len(opened.crowd) == 0
    status, _ = await opened.post("/demo/people", {"count": 0}, Origin=opened.url)
    assert status == 200


async def test_the_gateway_takes_connections_of_this_page_only(opened: Open) -> None:
    _, admission = await opened.post("/demo/token", {})
    offered = ["fastcollab.v1", f"fastcollab.token.{admission['token']}"]
    async with aiohttp.ClientSession() as http:
        async with http.ws_connect(admission["url"], origin=opened.url, protocols=offered) as ws:
            assert (await ws.receive_json())["type"] == "connected"
        with pytest.raises(aiohttp.WSServerHandshakeError, match="403"):
            await http.ws_connect(admission["url"], origin="https://elsewhere.example", protocols=offered)


async def test_visitors_of_two_gateways_are_on_one_board(web: Path) -> None:
    with start_server(VALKEY) as redis:
        stage = Stage(2, 0, redis.url, 2, web)
        async with stage.open() as (url, crowd), aiohttp.ClientSession() as http:
            demonstration = Open(url, crowd, http)
            first, ann = await demonstration.visit(gateway=0)
            second, ben = await demonstration.visit(gateway=1)
            async with first, second:
                assert first.url != second.url
                room = await first.join_room(DASHBOARD, "json1")
                other = await second.join_room(DASHBOARD, "json1")
                everybody = {ann["userId"], ben["userId"], "person-1", "person-2"}
                await until(lambda: set(room.participants) == set(other.participants) == everybody)


async def test_gateways_that_share_nothing_are_refused(web: Path) -> None:
    with pytest.raises(StageError, match="2 gateways share what is in a Redis"):
        async with Stage(0, 0, "memory://", 2, web).open():
            pass


async def test_a_page_that_is_not_built_is_said_to_be(tmp_path: Path) -> None:
    with pytest.raises(StageError, match="the dashboard is not built: run `make demo`"):
        async with Stage(0, 0, "memory://", 1, tmp_path).open():
            pass


async def test_operations_of_simulated_people_do_what_they_say() -> None:
    json1 = types["json1"]
    loaded = await first_content(DASHBOARD, "json1")
    assert loaded is not None
    content = loaded.content
    ids = [widget["id"] for widget in content["widgets"]]
    assert len(set(ids)) == len(ids)
    assert all(widget["x"] + widget["w"] <= COLUMNS for widget in content["widgets"])

    def found(widget_id: str) -> board.Found:
        widget = board.find(content, widget_id)
        assert widget is not None
        return widget

    assert board.find(content, "gone") is None
    assert board.place(found("water"), found("water").widget["x"], found("water").widget["y"]) is None
    for operation in (
        board.place(found("water"), 3, found("water").widget["y"]),
        board.count(found("seedlings"), -6),
        board.count_bar(found("harvest"), 2, 9),
        board.read(found("climate"), 30.5),
    ):
        content = json1.apply(content, json1.normalize(operation))
    content = json1.apply(content, json1.normalize(board.place(found("water"), 4, 5)))
    assert (found("water").widget["x"], found("water").widget["y"]) == (4, 5)
    assert found("seedlings").widget["value"] == 280
    assert found("harvest").widget["bars"][2]["value"] == 80
    points = found("climate").widget["points"]
    assert (len(points), points[-1]) == (READINGS, 30.5)


@contextmanager
def demo(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    """The command, with the page as `make demo` has built it."""
    process = subprocess.Popen(
        [sys.executable, "-m", "fastcollab", "demo", "--no-open", *arguments],
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_a_signal_ends_it(number: signal.Signals) -> None:
    with demo("--port", "0", "--participants", "2") as process:
        assert process.stdout is not None
        line = await asyncio.to_thread(process.stdout.readline)
        assert line.startswith("fastcollab demo is at http://127.0.0.1:"), line
        async with aiohttp.ClientSession() as http:
            url = line.split()[-1]
            page = await (await http.get(url)).text()
            assert page == (BUILT / "index.html").read_text()
            client, _ = await Open(url, Crowd(lambda _number: client), http).visit()
        async with client:
            await client.join_room(DASHBOARD, "json1")
            process.send_signal(number)
            out, err = await asyncio.to_thread(process.communicate, timeout=PATIENCE)
        assert (process.returncode, out, err) == (0, "", "")


def test_it_ends_by_itself() -> None:
    with demo("--port", "0", "--participants", "1", "--seconds", "0.1") as process:
        out, err = process.communicate(timeout=PATIENCE)
        assert (process.returncode, err) == (0, "")
        assert len(out.splitlines()) == 1


def test_a_port_that_is_taken_is_said_in_one_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with demo("--port", str(port)) as process:
            _, err = process.communicate(timeout=PATIENCE)
            assert process.returncode == 1
    assert err == f"fastcollab: cannot listen on port {port}: Address already in use\n"


def test_an_engine_that_there_is_not_is_said_in_one_line() -> None:
    with demo("--port", "0", "--engine", "carrier-pigeon://") as process:
        _, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 1
    assert err.startswith("fastcollab: engine.url")
