"""The Python client against a running gateway, over real sockets."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from random import Random
from typing import Any

import pytest

from fastcollab import Gateway, ot
from fastcollab.client import CollaborativeClient, Room
from fastcollab.errors import (
    ConnectionClosed,
    HandshakeRefused,
    InvalidMessage,
    InvalidToken,
    NoPermission,
    RoomNotFound,
    VersionMismatch,
)

TIMEOUT = 5.0

Connect = Callable[..., Awaitable[CollaborativeClient]]
MakeToken = Callable[..., str]


@pytest.fixture
async def connect(gateway: Gateway, make_token: MakeToken) -> AsyncIterator[Connect]:
    """Makes connected clients, and disconnects them at the end."""
    async with AsyncExitStack() as clients:

        async def connect(user: str, *, claims: dict[str, Any] | None = None, **options: Any) -> CollaborativeClient:
            client = CollaborativeClient(gateway.url, make_token(user, **claims or {}), **options)
            return await clients.enter_async_context(client)

        yield connect


async def until(condition: Callable[[], bool]) -> None:
    """Waits for something that nothing announces."""
    async with asyncio.timeout(TIMEOUT):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.002)


async def settled(*rooms: Room) -> str:
    """The text of the rooms, once it is the same in all of them and nothing is pending."""
    async with asyncio.timeout(TIMEOUT):
        for room in rooms:
            await room.saved()
        await until(lambda: len({room.document.version for room in rooms}) == 1)
    (text,) = {room.text for room in rooms}
    return text


@pytest.mark.parametrize("handshake_token", [True, False])
async def test_connecting_in_both_forms(connect: Connect, handshake_token: bool) -> None:
    """H4, S3, S4"""
    client = await connect("ada", handshake_token=handshake_token)
    assert client.is_connected
    assert client.session.user_id == "ada"
    assert client.session.limits["rooms"] >= 1
    assert 0 < await client.ping() < 1000
    await client.disconnect()
    assert (await client.closed).code == 1000
    assert not client.is_connected


async def test_a_token_may_be_fetched_for_each_connection(gateway: Gateway, make_token: MakeToken) -> None:
    fetched = []

    async def fetch() -> str:
        fetched.append(make_token("ada"))
        return fetched[-1]

    client = CollaborativeClient(gateway.url, fetch)
    for _ in range(2):
        await client.connect()
        await client.disconnect()
    assert len(fetched) == 2


@pytest.mark.parametrize("handshake_token", [True, False])
async def test_a_bad_token_is_refused(gateway: Gateway, handshake_token: bool) -> None:
    """S3, S4"""
    client = CollaborativeClient(gateway.url, "no.token.atall", handshake_token=handshake_token)
    with pytest.raises(InvalidToken):
        await client.connect()
    assert not client.is_connected


async def test_a_wrong_path_is_refused(gateway: Gateway, make_token: MakeToken) -> None:
    """H1"""
    client = CollaborativeClient(gateway.url + "/elsewhere", make_token("ada"))
    with pytest.raises(HandshakeRefused) as caught:
        await client.connect()
    assert caught.value.status == 404


async def test_participants_come_and_go(connect: Connect) -> None:
    """R2, R5, R6"""
    ada = await connect("ada", claims={"name": "Ada", "color": "#ff0000", "picture": "https://example.com/a.png"})
    room = await ada.join_room("minutes")
    assert list(room.participants) == ["ada"]
    stream = room.events("participant_joined", "participant_left")
    bob = await connect("bob", claims={"name": "Bob"})
    theirs = await bob.join_room("minutes")
    joined = await anext(stream)
    assert (joined.name, joined.value.name) == ("participant_joined", "Bob")
    assert set(theirs.participants) == set(room.participants) == {"ada", "bob"}
    assert theirs.participants["ada"].color == "#ff0000"
    assert theirs.participants["ada"].picture == "https://example.com/a.png"
    assert theirs.participants["bob"].picture is None
    await bob.leave_room("minutes")
    left = await anext(stream)
    assert (left.name, left.value.user_id) == ("participant_left", "bob")
    assert list(room.participants) == ["ada"]
    with pytest.raises(RoomNotFound):
        await bob.leave_room("minutes")


@pytest.mark.parametrize("batch", [True, False])
async def test_cursors_reach_the_others(connect: Connect, batch: bool) -> None:
    """B5 to B7: batched frames and plain ones, with and without viewport."""
    ada = await connect("ada", batch=batch)
    bob = await connect("bob", batch=batch)
    room, theirs = await ada.join_room("canvas"), await bob.join_room("canvas")
    theirs.move_cursor(0, 0)  # on fastcollab.v1 this is what asks for binary frames
    await until(lambda: "bob" in room.cursors)
    room.move_cursor(1.5, -2)
    await until(lambda: "ada" in theirs.cursors)
    assert theirs.cursors["ada"][1:3] == (1.5, -2)
    assert theirs.cursors["ada"].viewport is None
    room.move_cursor(3, 4, (0, 640))
    await until(lambda: theirs.cursors["ada"][1:3] == (3, 4))
    assert theirs.cursors["ada"].viewport == (0, 640)
    assert bob.traffic.cursors >= 2
    assert "ada" not in room.cursors


async def test_cursors_of_json_connections_are_the_same(connect: Connect) -> None:
    """B5: until it sends a frame, a connection of fastcollab.v1 gets cursors as presence_update."""
    ada, bob = await connect("ada"), await connect("bob", batch=False)
    room, theirs = await ada.join_room("canvas"), await bob.join_room("canvas")
    room.move_cursor(1.5, -2, (8, 9))
    await until(lambda: "ada" in theirs.cursors)
    assert theirs.cursors["ada"][1:3] == (1.5, -2)
    assert theirs.cursors["ada"].viewport == (8, 9)
    assert bob.traffic.cursors == 0


@pytest.mark.parametrize("batch", [True, False])
async def test_cursors_go_to_the_room_that_they_are_moved_in(connect: Connect, batch: bool) -> None:
    """R3: a frame names no room."""
    ada, bob = await connect("ada", batch=batch), await connect("bob")
    first, second = await ada.join_room("first"), await ada.join_room("second")
    theirs = {name: await bob.join_room(name) for name in ("first", "second")}
    for value in range(3):
        first.move_cursor(value, 1)
        second.move_cursor(value, 2)
        await until(lambda value=value: all(room.cursors.get("ada", "??")[1] == value for room in theirs.values()))
        assert theirs["first"].cursors["ada"].y == 1
        assert theirs["second"].cursors["ada"].y == 2
    theirs["first"].move_cursor(5, 5)
    theirs["second"].move_cursor(6, 6)
    await until(lambda: "bob" in first.cursors and "bob" in second.cursors)
    assert first.cursors["bob"].x == 5
    assert second.cursors["bob"].x == 6


async def test_selections_status_and_data(connect: Connect) -> None:
    """V1, V5"""
    ada, bob = await connect("ada"), await connect("bob")
    room, theirs = await ada.join_room("minutes", "text"), await bob.join_room("minutes")
    seen: list[tuple[str, str]] = []
    for name in ("selection", "presence"):
        theirs.on(name, lambda participant, name=name: seen.append((name, participant.user_id)))
    await room.submit(["some words"])
    await room.select([(0, 4), (10, 5)], "#00ff00")
    await room.set_presence(status="writing", data={"tool": "pen"})
    participant = theirs.participants["ada"]
    await until(lambda: participant.selection is not None and participant.status is not None)
    assert participant.selection is not None
    assert participant.selection.ranges == ((0, 4), (10, 5))
    assert (participant.status, participant.data) == ("writing", {"tool": "pen"})
    await room.set_presence(status=None)
    await room.select([], "#00ff00")
    await until(lambda: participant.status is None)
    assert participant.data == {"tool": "pen"}
    assert {("selection", "ada"), ("presence", "ada")} == set(seen)


async def test_events_to_all_and_to_one(connect: Connect) -> None:
    """V2"""
    clients = [await connect(user) for user in ("ada", "bob", "eve")]
    rooms = [await client.join_room("party") for client in clients]
    streams = [room.events("event") for room in rooms]
    await rooms[0].broadcast_event("toast", {"to": "all"})
    await rooms[0].send_event("eve", "whisper", [1, 2])
    assert (await anext(streams[1])).value == ("toast", {"to": "all"}, "ada")
    assert (await anext(streams[2])).value == ("toast", {"to": "all"}, "ada")
    assert (await anext(streams[2])).value == ("whisper", [1, 2], "ada")
    with pytest.raises(InvalidMessage) as caught:
        await rooms[0].send_event("nobody", "whisper")
    assert caught.value.details["path"] == "targetUserId"


async def test_two_write_one_text(connect: Connect) -> None:
    """OT2, OT3"""
    ada, bob = await connect("ada"), await connect("bob")
    room, theirs = await ada.join_room("minutes", "text"), await bob.join_room("minutes")
    room.insert(0, "Agenda")
    theirs.insert(0, "Minutes")
    text = await settled(room, theirs)
    assert text in {"AgendaMinutes", "MinutesAgenda"}
    assert await room.submit([len(text), "!"]) == 3
    theirs.delete(0, 1)
    assert await settled(room, theirs) == text[1:] + "!"


async def test_a_late_comer_gets_the_document(connect: Connect) -> None:
    """R2"""
    ada, bob = await connect("ada"), await connect("bob")
    room = await ada.join_room("minutes", "text")
    await room.submit(["agenda 🎉"])
    theirs = await bob.join_room("minutes")
    assert theirs.text == "agenda 🎉"
    assert theirs.document.version == 1
    with pytest.raises(InvalidMessage):
        await bob.join_room("minutes", "no such type")


async def test_a_refused_operation_is_undone(connect: Connect) -> None:
    """P2, OT7"""
    ada = await connect("ada")
    room = await ada.join_room("minutes", "text")
    await room.submit(["kept"])
    reader = await connect("bob", claims={"rooms": {"*": "read"}})
    theirs = await reader.join_room("minutes")
    assert theirs.permission == "read"
    rejections = theirs.events("rejected")
    with pytest.raises(NoPermission):
        await theirs.submit([4, " and more"])
    assert theirs.text == "kept"
    assert (await anext(rejections)).value.operations == ([4, " and more"],)
    assert room.text == "kept"


async def test_many_write_at_once_and_all_copies_are_equal(connect: Connect) -> None:
    random = Random(7)
    clients = [await connect(f"user {number}") for number in range(6)]
    rooms = [await client.join_room("minutes", "text") for client in clients]
    mirrors = [room.text for room in rooms]
    for number, room in enumerate(rooms):

        def follow(change: Any, number: int = number) -> None:
            mirrors[number] = ot.types["text"].apply(mirrors[number], change.operation)

        room.on("operation", follow)
    for _ in range(600):
        number = random.randrange(len(rooms))
        room = rooms[number]
        length = len(room.text)
        if length and random.random() < 0.4:
            position = random.randrange(length)
            operation: list[Any] = [position, {"d": random.randint(1, min(4, length - position))}]
        else:
            operation = [random.randint(0, length), random.choice(["a", "bc", "déf", "🎉"])]
        operation = ot.types["text"].normalize(operation)
        room.edit(operation)
        mirrors[number] = ot.types["text"].apply(mirrors[number], operation)
        if random.random() < 0.3:
            await asyncio.sleep(random.random() * 0.002)
    text = await settled(*rooms)
    assert set(mirrors) == {text}


async def test_connections_of_one_user_share_the_rate_and_lose_nothing(
    start_gateway: Callable[..., Awaitable[Gateway]], make_token: MakeToken
) -> None:
    """Each keeps to the rate by itself, and together they exceed it: what is refused is sent again in its time."""
    gateway = await start_gateway({"limits.operations": 10, "limits.burst": 1})
    async with AsyncExitStack() as clients:
        rooms: list[Room] = []
        for _ in range(3):
            client = CollaborativeClient(gateway.url, make_token("ada"))
            rooms.append(await (await clients.enter_async_context(client)).join_room("plans", "text"))
        rejections: list[Any] = []
        for room in rooms:
            room.on("rejected", rejections.append)
        for _ in range(10):
            for room, letter in zip(rooms, "abc", strict=True):
                room.insert(0, letter)
            await asyncio.sleep(0.05)
        text = await settled(*rooms)
    assert sorted(text) == sorted("abc" * 10)
    assert not rejections
    assert gateway.excesses["operations"].refused > 0


async def test_the_connection_is_lost_and_nothing_else(connect: Connect, gateway: Gateway) -> None:
    """OT5, OT9: what was missed is caught up with, what was pending is sent again, nothing is applied twice."""
    random = Random(11)
    ada, bob = await connect("ada", reconnect=False), await connect("bob")
    room, theirs = await ada.join_room("minutes", "text"), await bob.join_room("minutes")
    marks = iter(range(0x4E00, 0x9FFF))
    for _ in range(40):
        for _ in range(random.randint(0, 3)):
            room.insert(random.randint(0, len(room.text)), chr(next(marks)))
            theirs.insert(random.randint(0, len(theirs.text)), chr(next(marks)))
        if random.random() < 0.5:
            await asyncio.sleep(random.random() * 0.003)
        assert ada._socket is not None
        ada._socket.abort()
        assert (await ada.closed).code == 1006
        room.insert(0, chr(next(marks)))  # off line
        theirs.insert(0, chr(next(marks)))
        await theirs.saved()
        await ada.connect()
        assert await ada.join_room("minutes") is room
    text = await settled(room, theirs)
    assert sorted(text) == [chr(mark) for mark in range(0x4E00, next(marks))]


async def test_waiting_calls_end_with_the_connection(connect: Connect) -> None:
    ada = await connect("ada", reconnect=False)
    room = await ada.join_room("minutes", "text")
    stream = room.events("cursor")
    assert ada._socket is not None
    waiting = asyncio.ensure_future(room.submit(["pending"]))
    await asyncio.sleep(0)
    ada._socket.abort()
    with pytest.raises(ConnectionClosed) as caught:
        await waiting
    assert caught.value.code == 1006
    assert [event async for event in stream] == []
    assert room.document.pending == (["pending"],)
    with pytest.raises(ConnectionClosed):
        await room.broadcast_event("too late")


async def test_the_gateway_stops(connect: Connect, gateway: Gateway) -> None:
    """X3"""
    ada = await connect("ada", reconnect=False)
    closed = ada.closed
    await gateway.stop()
    assert (await closed).code == 4502


@pytest.mark.parametrize(
    ("document_type", "operations"),
    [
        ("text", [["one"], [3, " two"], [{"d": 4}]]),
        ("json1", [["a", {"i": [1]}], ["a", 0, {"ena": 2}], [{"r": True}]]),
        ("rich-text", [[{"insert": "one"}], [{"retain": 3, "attributes": {"bold": True}}], [{"delete": 1}]]),
    ],
)
async def test_the_past_is_seen_listed_and_brought_back(
    connect: Connect, document_type: str, operations: list[Any]
) -> None:
    ada, bob = await connect("ada"), await connect("bob")
    writing, reading = [await client.join_room("plans", document_type) for client in (ada, bob)]
    contents = [writing.document.content]
    for operation in operations:
        await writing.submit(operation)
        contents.append(writing.document.content)
    for version, content in enumerate(contents):
        assert await reading.content_at(version) == content
    past = await reading.history(after=1)
    assert [(entry.version, entry.user_id, entry.written_against) for entry in past] == [(2, "ada", 1), (3, "ada", 2)]
    assert [entry.operation for entry in past] == operations[1:]
    assert abs((datetime.now(UTC) - past[0].at).total_seconds()) < 60
    with pytest.raises(VersionMismatch):
        await reading.content_at(4)
    assert await reading.restore(1) == 4
    await until(lambda: writing.document.version == reading.document.version == 4)
    assert writing.document.content == reading.document.content == contents[1]
    # Nobody's own step was it, not even of who has asked for it.
    assert not reading.can_undo
