"""A client that loses its connection, against a server that says exactly what a test wants."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from http import HTTPStatus
from typing import Any

import pytest
from tests.unit.scripted_server import TIMEOUT, Peer, ScriptedServer, error, until
from websockets.datastructures import Headers
from websockets.http11 import Response

from fastcollab import errors
from fastcollab.checksums import checksum
from fastcollab.client import CollaborativeClient, ReconnectPolicy, Room, Status

FAST = ReconnectPolicy(base=0.001, cap=0.01)
RECOVERED = {
    "documentState": {"type": "text", "version": 5, "epoch": "e1"},
    "recovery": {"recovered": True, "missed": 0},
}


@pytest.fixture
async def server() -> AsyncIterator[ScriptedServer]:
    async with ScriptedServer().running() as running:
        yield running


@pytest.fixture
async def client(server: ScriptedServer) -> AsyncIterator[CollaborativeClient]:
    async with CollaborativeClient(server.url, lambda: "token", reconnect=FAST) as connected:
        yield connected


@pytest.fixture
async def peer(server: ScriptedServer, client: CollaborativeClient) -> Peer:
    return await server.peers.get()


@pytest.fixture
async def room(client: CollaborativeClient, peer: Peer) -> Room:
    """A joined room with the text ``hello`` at version 5."""
    room, _ = await asyncio.gather(client.join_room("room"), peer.answer_join("hello", 5))
    return room


async def next_peer(server: ScriptedServer) -> Peer:
    async with asyncio.timeout(TIMEOUT):
        return await server.peers.get()


async def test_the_rooms_are_joined_again_and_what_is_pending_is_sent(
    server: ScriptedServer, peer: Peer, room: Room
) -> None:
    """OT5, OT8, OT9: whoever waits goes on waiting, and the first operation carries a checksum."""
    waiting = asyncio.ensure_future(room.submit([5, "!"]))
    sent = await peer.expect("operation")
    peer.websocket.transport.abort()
    await until(lambda: room.status is Status.CONNECTING)
    room.insert(0, ">")
    saving = asyncio.ensure_future(room.saved())
    again = await next_peer(server)
    request = await again.answer_join(**RECOVERED)
    assert request == {"roomId": "room", "lastSyncVersion": 5, "epoch": "e1"}
    resent = await again.expect("operation")
    assert resent["id"] == sent["id"]
    assert resent["payload"] == sent["payload"] | {"checksum": checksum("hello")}
    await again.acknowledge(resent, version=6)
    assert await waiting == 6
    following = await again.expect("operation")
    assert following["payload"] == {"operation": [">"], "version": 6}
    assert not saving.done()
    await again.acknowledge(following, version=7)
    await saving
    assert room.text == ">hello!"


async def test_the_lost_connection_is_named_H4(server: ScriptedServer, client: CollaborativeClient, peer: Peer) -> None:
    assert server.requests[0].headers["Sec-WebSocket-Protocol"] == "fastcollab.v1.batch"
    peer.websocket.transport.abort()
    await next_peer(server)
    assert server.requests[1].headers["Sec-WebSocket-Protocol"] == "fastcollab.v1.batch, fastcollab.resume.c1"
    await client.disconnect()
    await client.connect()  # after a farewell there is nothing to resume
    assert server.requests[2].headers["Sec-WebSocket-Protocol"] == "fastcollab.v1.batch"


async def test_the_lost_connection_is_named_in_a_connect_message_S4(server: ScriptedServer) -> None:
    server.welcomes = False
    client = CollaborativeClient(server.url, "token", handshake_token=False, reconnect=FAST)
    connecting = asyncio.ensure_future(client.connect())
    peer = await next_peer(server)
    assert "connectionId" not in (await peer.expect("connect"))["payload"]
    await peer.welcome()
    await connecting
    peer.websocket.transport.abort()
    peer = await next_peer(server)
    assert (await peer.expect("connect"))["payload"]["connectionId"] == "c1"
    await client.disconnect()


async def test_a_fresh_token_is_fetched_for_each_attempt(server: ScriptedServer) -> None:
    """A callback that fails, and a token that is refused, are attempts like others."""
    tokens: list[str] = []

    async def fetch() -> str:
        tokens.append(f"token {len(tokens)}")
        if len(tokens) == 2:
            raise LookupError("the session server is away")
        return tokens[-1]

    client = CollaborativeClient(server.url, fetch, reconnect=FAST)
    retries = client.events("reconnecting")
    await client.connect()
    peer = await next_peer(server)
    server.welcomes = False
    await peer.websocket.close(4101, "expired")
    peer = await next_peer(server)
    await peer.send("error", error(1001, recoverable=False))
    await peer.websocket.close(4101)
    server.welcomes = True
    await next_peer(server)
    await until(lambda: client.is_connected)
    assert [type((await anext(retries)).value.failure) for _ in range(3)] == [
        errors.ConnectionClosed,
        LookupError,
        errors.InvalidToken,
    ]
    assert server.requests[-1].headers["Authorization"] == f"Bearer {tokens[3]}"
    await client.disconnect()


@pytest.mark.parametrize(
    ("code", "token"), [(1000, lambda: "token"), (4102, lambda: "token"), (4505, lambda: "token"), (4101, "token")]
)
async def test_a_close_code_that_says_no_ends_it_X3(server: ScriptedServer, code: int, token: Any) -> None:
    client = CollaborativeClient(server.url, token, reconnect=FAST)
    await client.connect()
    peer = await next_peer(server)
    room, _ = await asyncio.gather(client.join_room("room"), peer.answer_join("hello", 5))
    stream = room.events("operation")
    waiting = asyncio.ensure_future(room.submit([5, "!"]))
    await peer.expect("operation")
    await peer.websocket.close(code, "because")
    for call in (waiting, room.saved()):  # one that waits, and one that comes too late
        with pytest.raises(errors.ConnectionClosed) as caught:
            await call
        assert (caught.value.code, caught.value.reason) == (code, "because")
    assert (await client.closed).code == code
    assert (client.status, room.status) == (Status.CLOSED, Status.CLOSED)
    assert [event async for event in stream] == []
    assert room.document.pending == ([5, "!"],)


async def test_it_is_given_up_after_so_many_attempts_and_may_be_taken_up_again(server: ScriptedServer) -> None:
    client = CollaborativeClient(server.url, "token", reconnect=ReconnectPolicy(base=0.001, max_attempts=3))
    await client.connect()
    peer = await next_peer(server)
    room, _ = await asyncio.gather(client.join_room("room"), peer.answer_join("hello", 5))
    waiting = asyncio.ensure_future(room.submit([5, "!"]))
    await peer.expect("operation")
    headers = Headers({"Content-Length": "0"})
    server.answer = Response(HTTPStatus.BAD_GATEWAY, "Bad Gateway", headers, b"")
    peer.websocket.transport.abort()
    with pytest.raises(errors.ConnectionClosed, match="502"):
        await waiting
    assert len(server.requests) == 1 + 3
    server.answer = None
    await client.connect()
    await (await next_peer(server)).answer_join(**RECOVERED)
    await until(lambda: room.status is Status.SAVING)
    await client.disconnect()


async def test_requests_do_not_survive_the_connection(client: CollaborativeClient, peer: Peer, room: Room) -> None:
    requests = [client.ping(), client.join_room("other"), room.broadcast_event("toast"), room.set_presence(status="x")]
    waiting = [asyncio.ensure_future(request) for request in requests]
    for _ in waiting:
        await peer.receive()
    peer.websocket.transport.abort()
    for request in waiting:
        with pytest.raises(errors.ConnectionClosed):
            await request
    with pytest.raises(errors.ConnectionClosed):  # nor does one begin while it is away
        await client.ping()


@pytest.mark.parametrize("moment", ["token", "backoff", "handshake", "welcome", "join"])
async def test_disconnect_ends_it_at_any_moment(server: ScriptedServer, moment: str) -> None:
    hold, is_held = asyncio.Event(), asyncio.Event()
    connections = 0

    async def fetch() -> str:
        nonlocal connections
        connections += 1
        if connections > 1 and moment == "token":
            is_held.set()
            await hold.wait()
        return "token"

    policy = ReconnectPolicy(base=1000, cap=1000) if moment == "backoff" else FAST
    client = CollaborativeClient(server.url, fetch, reconnect=policy)
    await client.connect()
    peer = await next_peer(server)
    room, _ = await asyncio.gather(client.join_room("room"), peer.answer_join("hello", 5))
    waiting = asyncio.ensure_future(room.submit([5, "!"]))
    await peer.expect("operation")
    if moment == "welcome":
        server.welcomes = False
    if moment == "handshake":
        server.hold = hold
    peer.websocket.transport.abort()
    await until(lambda: client.status is Status.CONNECTING)
    match moment:
        case "token":
            await is_held.wait()
        case "handshake":
            await until(lambda: len(server.requests) == 2)
        case "welcome":
            await next_peer(server)
        case "join":
            await (await next_peer(server)).expect("join_room")
    await client.disconnect()
    with pytest.raises(errors.ConnectionClosed):
        await waiting
    assert client.status is Status.CLOSED
    assert (await client.closed).code == 1000
    hold.set()
    assert not [task for task in asyncio.all_tasks() if "fastcollab/client" in task.get_coro().cr_code.co_filename]  # type: ignore[union-attr]
    made = connections
    await asyncio.sleep(0.03)
    assert connections == made


async def test_disconnect_ends_a_first_attempt_that_waits_for_its_token() -> None:
    async def fetch() -> str:
        await asyncio.Event().wait()
        return "never"

    client = CollaborativeClient("ws://127.0.0.1:9/ws", fetch)
    connecting = asyncio.ensure_future(client.connect())
    await asyncio.sleep(0)
    await client.disconnect()
    with pytest.raises(errors.ConnectionClosed, match="while connecting"):
        await connecting
    assert client.status is Status.CLOSED


async def test_a_room_that_cannot_be_served_now_is_asked_for_again(
    server: ScriptedServer, peer: Peer, room: Room
) -> None:
    peer.websocket.transport.abort()
    peer = await next_peer(server)
    for code in (errors.RateLimited.code, errors.ServiceUnavailable.code):
        await peer.refuse(await peer.expect("join_room"), code, "room", retryAfterMs=1)
    await peer.answer_join(**RECOVERED)
    await until(lambda: room.status is Status.CONNECTED)


@pytest.mark.parametrize("kind", [errors.NoPermission, errors.RoomFull, errors.RateLimited])
async def test_a_room_that_is_lost_for_good_keeps_nobody_waiting(
    server: ScriptedServer, peer: Peer, room: Room, kind: type[errors.ProtocolError]
) -> None:
    told = room.events("error")
    waiting = asyncio.ensure_future(room.submit([5, "!"]))
    await peer.expect("operation")
    peer.websocket.transport.abort()
    peer = await next_peer(server)
    await peer.refuse(await peer.expect("join_room"), kind.code, "room")
    with pytest.raises(kind):
        await waiting
    assert isinstance((await anext(told)).value, kind)
    assert room.status is Status.CLOSED


async def test_the_retry_after_of_a_farewell_is_respected(client: CollaborativeClient, peer: Peer) -> None:
    retries = client.events("reconnecting")
    await peer.send("error", error(5002, recoverable=False, retryAfterMs=40))
    await peer.websocket.close(4502)
    assert (await anext(retries)).value.delay >= 0.04


async def test_the_active_room_is_joined_last(server: ScriptedServer, client: CollaborativeClient, peer: Peer) -> None:
    """R3"""
    first, _ = await asyncio.gather(client.join_room("first"), peer.answer_join())
    await asyncio.gather(client.join_room("second"), peer.answer_join(handle=4))
    first.move_cursor(1, 1)
    await peer.acknowledge(await peer.expect("activate_room"))
    await peer.receive()
    pinging = asyncio.ensure_future(client.ping())  # until the acknowledgement has been read
    await peer.expect("ping")
    await peer.send("pong", {"timestamp": 0, "serverTime": 0})
    await pinging
    peer.websocket.transport.abort()
    peer = await next_peer(server)
    assert [(await peer.expect("join_room"))["payload"]["roomId"] for _ in range(2)] == ["second", "first"]


async def test_a_cursor_moved_meanwhile_is_shown_afterwards(server: ScriptedServer, peer: Peer, room: Room) -> None:
    peer.websocket.transport.abort()
    await until(lambda: room.status is Status.CONNECTING)
    room.move_cursor(1, 1)
    room.move_cursor(2, 2)
    peer = await next_peer(server)
    await peer.answer_join(**RECOVERED)
    assert isinstance(await peer.receive(), bytes)


async def test_who_came_and_went_meanwhile_is_told(server: ScriptedServer, peer: Peer, room: Room) -> None:
    you = room.participants["you"]
    you.status = "away"
    events = room.events("participant_joined", "participant_left")
    peer.websocket.transport.abort()
    peer = await next_peer(server)
    people = [
        {"userId": user, "numericId": number, "name": user, "color": "#fff", "presence": {}}
        for number, user in enumerate(["me", "new"], 1)
    ]
    await peer.answer_join(participants=people, **RECOVERED)
    assert [(event.name, event.value.user_id) for event in [await anext(events), await anext(events)]] == [
        ("participant_left", "you"),
        ("participant_joined", "new"),
    ]


async def test_the_status_of_client_and_room_through_it_all(
    server: ScriptedServer, client: CollaborativeClient, peer: Peer
) -> None:
    told: list[Any] = []
    client.on("status", told.append)
    assert client.status is Status.CONNECTED
    room, _ = await asyncio.gather(client.join_room("room"), peer.answer_join("hello", 5))
    room.on("status", lambda status: told.append(f"room {status}"))
    assert room.status is Status.CONNECTED

    def news() -> list[str]:
        noted = [str(one) for one in told]
        told.clear()
        return noted

    room.insert(5, "!")
    room.insert(6, "!")
    assert news() == ["room saving"]
    first = await peer.expect("operation")
    await peer.acknowledge(first, version=6)
    second = await peer.expect("operation")
    assert news() == []  # there is still something to be saved
    await peer.acknowledge(second, version=7)
    await room.saved()
    assert news() == ["room saved"]
    peer.websocket.transport.abort()
    await until(lambda: client.status is Status.CONNECTING)
    assert news() == ["room connecting", "connecting"]
    peer = await next_peer(server)
    state = {"type": "text", "version": 8, "epoch": "e1"}
    await peer.answer_join(documentState=state, recovery={"recovered": True, "missed": 1})
    await asyncio.sleep(0.02)
    assert news() == ["connected"]  # the room is not in step before it has what was missed
    await peer.broadcast(["a"], 8)
    await until(lambda: room.document.version == 8)
    assert news() == ["room saved"]
    room.insert(0, "b")
    sent = await peer.expect("operation")
    await peer.refuse(sent, errors.VersionMismatch.code, "room")
    await until(lambda: room.status is Status.CONNECTING)
    await peer.answer_join("new", 9)
    await until(lambda: room.status is Status.SAVED)
    assert news() == ["room saving", "room connecting", "room saved"]
    await client.disconnect()
    assert news() == ["room closed", "closed"]


async def test_a_room_that_was_left_is_closed(client: CollaborativeClient, peer: Peer, room: Room) -> None:
    room.insert(0, "x")
    await peer.expect("operation")
    leaving = asyncio.ensure_future(client.leave_room("room"))
    await peer.expect("leave_room")
    await peer.send("room_left", {"roomId": "room"}, "room")
    await leaving
    assert room.status is Status.CLOSED
    with pytest.raises(errors.ConnectionClosed, match="left"):
        await room.saved()


async def test_a_refusal_of_the_only_edit_is_no_save(peer: Peer, room: Room) -> None:
    room.insert(0, "x")
    await peer.refuse(await peer.expect("operation"), errors.InvalidMessage.code, "room")
    await until(lambda: room.status is Status.CONNECTED)


@pytest.mark.parametrize(("every", "expected"), [(0, [0, 0, 0, 0]), (1, [1, 1, 1, 1]), (2, [0, 1, 0, 1])])
async def test_one_in_so_many_operations_carries_a_checksum_OT8(
    server: ScriptedServer, every: int, expected: list[int]
) -> None:
    """Of what the gateway has, and not of what the user sees."""
    async with CollaborativeClient(server.url, "token", checksum_every=every) as client:
        peer = await next_peer(server)
        room, _ = await asyncio.gather(client.join_room("room"), peer.answer_join("", 0))
        carried = []
        for number in range(4):
            confirmed = room.text
            room.insert(0, "x")
            sent = await peer.expect("operation")
            room.insert(0, "y")
            carried.append("checksum" in sent["payload"])
            assert sent["payload"].get("checksum") in (None, checksum(confirmed))
            await peer.acknowledge(sent, version=2 * number + 1)
            follows = await peer.expect("operation")
            await peer.acknowledge(follows, version=2 * number + 2)
            carried.append("checksum" in follows["payload"])
            await room.saved()
        assert carried == [bool(one) for one in expected * 2]


async def test_an_operation_that_does_not_fit_asks_for_the_full_state(peer: Peer, room: Room) -> None:
    """OT8, OT9"""
    waiting = asyncio.ensure_future(room.submit([5, "!"]))
    await peer.expect("operation")
    await peer.broadcast([50, "x"], 6)
    assert await peer.answer_join("hello, wide world", 6) == {"roomId": "room"}
    with pytest.raises(errors.ChecksumFailed, match="beyond"):
        await waiting
    assert room.text == "hello, wide world"
