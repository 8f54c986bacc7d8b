"""A client whose token expires, or whose rights change, against a server that says exactly what a test wants."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from tests.unit.scripted_server import TIMEOUT, Peer, ScriptedServer, error, until

from fastcollab import errors
from fastcollab.client import CollaborativeClient, ReconnectPolicy, Room, Status
from fastcollab.client.handshake import Token

FAST = ReconnectPolicy(base=0.001, cap=0.01)


@pytest.fixture
async def server() -> AsyncIterator[ScriptedServer]:
    async with ScriptedServer().running() as running:
        yield running


async def connected(server: ScriptedServer, token: Token) -> tuple[CollaborativeClient, Peer]:
    client = CollaborativeClient(server.url, token, reconnect=FAST)
    await client.connect()
    return client, await server.peers.get()


async def in_room(server: ScriptedServer) -> tuple[CollaborativeClient, Peer, Room]:
    client, peer = await connected(server, "token")
    room, _ = await asyncio.gather(client.join_room("room"), peer.answer_join("hello", 5))
    return client, peer, room


async def test_s8_s9_a_function_is_asked_for_another_token(server: ScriptedServer) -> None:
    tokens = iter(["one", "two", "three"])

    async def fetch() -> str:
        await asyncio.sleep(0)
        return next(tokens)

    client, peer = await connected(server, fetch)
    for expected in ("two", "three"):
        await peer.send("token_expiring", {"expiresAt": 1000})
        assert (await peer.expect("refresh_token"))["payload"] == {"token": expected}
        await peer.send("token_refreshed", {"expiresAt": 2000})
        await until(lambda: client._refreshing is None or client._refreshing.done())
    await client.disconnect()


async def test_s8_while_one_is_being_fetched_no_other_is(server: ScriptedServer) -> None:
    fetched = 0
    go_on = asyncio.Event()

    async def fetch() -> str:
        nonlocal fetched
        fetched += 1
        if fetched > 1:
            await go_on.wait()
        return f"token {fetched}"

    client, peer = await connected(server, fetch)
    for _ in range(3):
        await peer.send("token_expiring", {"expiresAt": 1000})
    await until(lambda: fetched == 2)
    go_on.set()
    assert (await peer.expect("refresh_token"))["payload"] == {"token": "token 2"}
    await client.disconnect()
    assert fetched == 2


@pytest.mark.parametrize("fault", ["raises", "refused"])
async def test_s8_without_another_token_the_next_connection_has_one(server: ScriptedServer, fault: str) -> None:
    tokens: list[str | Exception] = ["one", OSError("away") if fault == "raises" else "two", "three"]

    def fetch() -> str:
        token = tokens.pop(0)
        if isinstance(token, Exception):
            raise token
        return token

    client, peer = await connected(server, fetch)
    await peer.send("token_expiring", {"expiresAt": 1000})
    if fault == "refused":
        await peer.refuse(await peer.expect("refresh_token"), 1001)
    await until(lambda: len(tokens) == 1 and client._refreshing is not None and client._refreshing.done())
    await peer.send("error", error(1001, recoverable=False, reason="expired"))
    await peer.websocket.close(4101, "expired")
    async with asyncio.timeout(TIMEOUT):
        await server.peers.get()
    await until(lambda: client.status is Status.CONNECTED)
    assert server.requests[1].headers["Authorization"] == "Bearer three"
    await client.disconnect()


async def test_s8_a_connection_that_is_lost_takes_no_other_token(server: ScriptedServer) -> None:
    calls = 0
    never = asyncio.Event()

    async def fetch() -> str:
        nonlocal calls
        calls += 1
        if calls == 2:
            await never.wait()
        return "token"

    client, peer = await connected(server, fetch)
    await peer.send("token_expiring", {"expiresAt": 1000})
    await until(lambda: calls == 2)
    waiting = client._refreshing
    assert waiting is not None
    await peer.websocket.close(1012, "restarting")
    await asyncio.wait([waiting], timeout=TIMEOUT)
    assert waiting.cancelled()
    await client.disconnect()


async def test_s8_who_has_a_text_for_a_token_is_told(server: ScriptedServer) -> None:
    client, peer = await connected(server, "token")
    told: list[Any] = []
    client.on("token_expiring", told.append)
    await peer.send("token_expiring", {"expiresAt": 1500})
    await until(lambda: told)
    assert told == [1.5]
    refreshing = asyncio.ensure_future(client.refresh_token("another"))
    assert (await peer.expect("refresh_token"))["payload"] == {"token": "another"}
    await peer.send("token_refreshed", {"expiresAt": 2500})
    assert await refreshing == 2.5
    refreshing = asyncio.ensure_future(client.refresh_token("bad"))
    await peer.refuse(await peer.expect("refresh_token"), 1001)
    with pytest.raises(errors.NotAuthenticated):
        await refreshing
    # Without another token there is no use in another connection.
    await peer.send("error", error(1001, recoverable=False, reason="expired"))
    await peer.websocket.close(4101, "expired")
    async with asyncio.timeout(TIMEOUT):
        assert (await client.closed).code == 4101


async def test_s11_a_permission_that_changes_is_told(server: ScriptedServer) -> None:
    client, peer, room = await in_room(server)
    told: list[str] = []
    room.on("permission", told.append)
    for permission in ("read", "admin"):
        await peer.send("permission_changed", {"roomId": "room", "permission": permission}, "room")
    await until(lambda: len(told) == 2)
    assert (told, room.permission) == (["read", "admin"], "admin")
    await client.disconnect()


async def test_s11_a_room_that_is_lost_is_closed_and_the_others_go_on(server: ScriptedServer) -> None:
    client, peer, room = await in_room(server)
    other, _ = await asyncio.gather(client.join_room("other"), peer.answer_join("x", 1))
    told: list[Any] = []
    for event in ("permission", "error", "status"):
        room.on(event, lambda value, event=event: told.append((event, value)))
    waiting = asyncio.ensure_future(room.submit([5, "!"]))
    await peer.expect("operation")
    await peer.send("error", error(2003, roomId="room", reason="lost"), "room")
    await peer.send("room_left", {"roomId": "room"}, "room")
    with pytest.raises(errors.NoPermission):
        await waiting
    await until(lambda: "room" not in client.rooms)
    assert [(event, str(value)) for event, value in told] == [
        ("status", "saving"),
        ("permission", "none"),
        ("error", "because"),
        ("status", "closed"),
    ]
    assert room.document.pending and room.text == "hello!"
    assert other.status is Status.CONNECTED
    # With the right given back it can be joined like any room.
    again, _ = await asyncio.gather(client.join_room("room"), peer.answer_join("hello", 5))
    assert again is not room and again.status is Status.CONNECTED
    await client.disconnect()
