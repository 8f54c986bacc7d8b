"""The Python client loses its connection to a running gateway, and the gateway goes away and comes back."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from random import Random
from typing import Any

import pytest
from tests.property.test_client_undo import OPERATION, START
from tests.server.conftest import GENEROUS, open_sockets

from fastcollab import Gateway, ot
from fastcollab.client import CollaborativeClient, ReconnectPolicy, Room, Status
from fastcollab.errors import ChecksumFailed, ConnectionClosed, InvalidMessage

TIMEOUT = 5.0
FAST = ReconnectPolicy(base=0.002, cap=0.05)

StartGateway = Callable[..., Awaitable[Gateway]]
MakeToken = Callable[..., str]


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(TIMEOUT):
        while not condition():  # noqa: ASYNC110 - nothing announces it
            await asyncio.sleep(0.002)


async def settled(*rooms: Room) -> Any:
    """The content of the rooms, once it is the same in all of them and nothing is pending."""
    async with asyncio.timeout(TIMEOUT):
        for room in rooms:
            await room.saved()
        await until(lambda: len({room.document.version for room in rooms}) == 1)
    for room in rooms[1:]:
        assert room.document.content == rooms[0].document.content
    return rooms[0].document.content


def lose(client: CollaborativeClient) -> None:
    """The network is gone, without a word."""
    assert client._socket is not None
    client._socket.abort()


EDITS: dict[str, Callable[[Random, Any, str], Any]] = {
    "text": lambda random, content, mark: ot.types["text"].normalize([random.randint(0, len(content)), mark]),
    "json1": lambda random, content, mark: [mark, {"i": random.random()}],
    "rich-text": lambda random, content, mark: [{"insert": mark, "attributes": {"bold": random.random() < 0.5}}],
}


@pytest.mark.parametrize("document_type", EDITS)
async def test_nothing_is_lost_and_nothing_comes_twice(
    gateway: Gateway, make_token: MakeToken, document_type: str
) -> None:
    """OT5, OT8, OT9: two write, and each loses the connection at any moment, some operations being on their way."""
    random, edit = Random(11), EDITS[document_type]
    marks = iter(range(0x4E00, 0x9FFF))
    options: dict[str, Any] = {"reconnect": FAST, "checksum_every": 3}
    async with (
        CollaborativeClient(gateway.url, make_token("ada"), **options) as ada,
        CollaborativeClient(gateway.url, make_token("bob"), handshake_token=False, **options) as bob,
    ):
        rooms = [await client.join_room("minutes", document_type) for client in (ada, bob)]
        rejected: list[Any] = []
        for room in rooms:
            room.on("rejected", rejected.append)
        for _ in range(60):
            for room in rooms:
                for _ in range(random.randint(0, 3)):
                    room.edit(edit(random, room.document.content, chr(next(marks))))
            await asyncio.sleep(random.choice((0, 0.001, 0.01)))
            for client in (ada, bob):
                if client.is_connected and random.random() < 0.3:
                    lose(client)
        content = await settled(*rooms)
        assert rejected == []
        text = (
            content if isinstance(content, str) else "".join(content if isinstance(content, dict) else written(content))
        )
        assert sorted(text) == [chr(mark) for mark in range(0x4E00, next(marks))]


NOTHING: dict[str, Any] = {"text": [], "json1": None, "rich-text": []}


def written(content: list[dict[str, Any]]) -> list[str]:
    return [component["insert"] for component in content]


async def test_the_gateway_is_replaced_by_another(start_gateway: StartGateway, make_token: MakeToken) -> None:
    """X3, OT9: the rooms are joined again; this gateway has forgotten the document, so that it is reset."""
    first = await start_gateway(dict(GENEROUS))
    url, port = first.url, first.port
    client = CollaborativeClient(first.url, lambda: make_token("ada"), reconnect=FAST)
    await client.connect()
    room = await client.join_room("minutes", "text")
    await room.submit(["before"])
    resets = room.events("reset")
    await first.stop()
    await until(lambda: room.status is Status.CONNECTING)
    second = await start_gateway({**GENEROUS, "server.port": port})
    assert second.url == url
    await anext(resets)
    assert room.text == ""
    assert await room.submit(["after"]) == 1
    await client.disconnect()


async def test_a_document_that_is_none_is_caught_up_with(gateway: Gateway, make_token: MakeToken) -> None:
    """OT1: a json1 document that was removed has no data to be sent."""
    async with (
        CollaborativeClient(gateway.url, make_token("ada"), reconnect=FAST, checksum_every=1) as ada,
        CollaborativeClient(gateway.url, make_token("bob"), reconnect=FAST, checksum_every=1) as bob,
    ):
        room = await ada.join_room("board", "json1")
        await room.submit([{"r": True}])
        assert room.document.content is ot.ABSENT
        theirs = await bob.join_room("board")
        assert theirs.document.content is ot.ABSENT
        lose(bob)
        theirs.edit([{"i": {"title": "again"}}])
        assert await settled(theirs, room) == {"title": "again"}
        assert theirs.undo() is not None
        assert await settled(theirs, room) is ot.ABSENT
        assert theirs.redo() is not None
        assert await settled(theirs, room) == {"title": "again"}


@pytest.mark.parametrize("document_type", START)
@pytest.mark.parametrize("seed", range(8))
async def test_a_copy_that_has_parted_is_found_and_healed_OT8(
    gateway: Gateway, make_token: MakeToken, document_type: str, seed: int
) -> None:
    """Whatever has become of it, and whatever is under way: at the latest by the next operation with a checksum."""
    random = Random(seed)
    every = random.randint(1, 4)
    async with (
        CollaborativeClient(gateway.url, make_token("ada"), checksum_every=every) as ada,
        CollaborativeClient(gateway.url, make_token("bob"), checksum_every=every) as bob,
    ):
        rooms = [await client.join_room("board", document_type) for client in (ada, bob)]
        for _ in range(10):
            for room in rooms:
                for _ in range(random.randint(0, 3)):
                    room.edit(OPERATION[document_type](random, room.document.content))
                if random.random() < 0.2:
                    document = room.document
                    document.confirmed = START[document_type](random)
                    document.content = document.confirmed
                    for operation in document.pending:
                        with contextlib.suppress(ot.OperationError):
                            document.content = document.type.apply(document.content, operation)
                await asyncio.sleep(random.choice((0, 0.002)))
        for _ in range(every + 1):
            for room in rooms:
                with contextlib.suppress(ChecksumFailed, InvalidMessage):
                    async with asyncio.timeout(TIMEOUT):
                        await room.submit(NOTHING[document_type])
        content = await settled(*rooms)
        async with CollaborativeClient(gateway.url, make_token("eve")) as eve:
            assert (await eve.join_room("board")).document.content == content


async def test_a_client_that_is_given_up_tells_who_waits(gateway: Gateway, make_token: MakeToken) -> None:
    """X3: the only token is not accepted any more."""
    client = CollaborativeClient(gateway.url, make_token("ada"), reconnect=FAST)
    await client.connect()
    room = await client.join_room("minutes", "text")
    client._token = make_token("ada", secret="another secret, of a gateway that this one has replaced")
    lose(client)
    with pytest.raises(ConnectionClosed) as caught:
        await room.submit(["too late"])
    assert caught.value.code == 4101
    assert client.status is Status.CLOSED


async def test_undo_leaves_the_work_of_others(gateway: Gateway, make_token: MakeToken) -> None:
    async with (
        CollaborativeClient(gateway.url, make_token("ada"), reconnect=FAST) as ada,
        CollaborativeClient(gateway.url, make_token("bob"), reconnect=FAST) as bob,
    ):
        room, theirs = await ada.join_room("minutes", "text"), await bob.join_room("minutes")
        assert (room.can_undo, room.undo(), room.redo()) == (False, None, None)
        await room.submit(["mine"])
        await settled(room, theirs)
        theirs.insert(2, " and theirs ")
        await settled(theirs, room)
        lose(ada)
        assert room.undo() is not None  # while the connection is away
        assert (room.can_undo, room.can_redo) == (False, True)
        assert await settled(room, theirs) == " and theirs "
        assert room.redo() is not None
        assert await settled(room, theirs) == "mi and theirs ne"


async def test_selections_stay_on_their_text(gateway: Gateway, make_token: MakeToken) -> None:
    """V5: through remote operations, own ones, undo, and a reconnection."""
    async with (
        CollaborativeClient(gateway.url, make_token("ada"), reconnect=FAST) as ada,
        CollaborativeClient(gateway.url, make_token("bob"), reconnect=FAST) as bob,
    ):
        room, theirs = await ada.join_room("minutes", "text"), await bob.join_room("minutes")
        await room.submit(["one two three"])
        await theirs.saved()
        await until(lambda: theirs.document.version == 1)
        await room.select([(4, 7)], "#00ff00")
        selection = theirs.participants["ada"]
        await until(lambda: selection.selection is not None)

        def selected() -> str:
            assert selection.selection is not None
            ((anchor, head),) = selection.selection.ranges
            return theirs.text[anchor:head]  # type: ignore[misc]

        assert selected() == "two"
        theirs.insert(0, "zero ")
        assert selected() == "two"
        room.insert(0, "> ")
        await settled(room, theirs)
        assert selected() == "two"
        theirs.undo()
        assert selected() == "two"
        theirs.delete(theirs.text.index("wo"), 1)
        assert selected() == "to"
        await settled(room, theirs)


async def test_a_handshake_that_is_given_up_leaves_no_socket_behind() -> None:
    async def stay_silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    async with await asyncio.start_server(stay_silent, "127.0.0.1", 0) as server:
        before = open_sockets()
        for pause in (0, 0.001, 0.01):
            client = CollaborativeClient(f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/ws", "token")
            connecting = asyncio.ensure_future(client.connect())
            await asyncio.sleep(pause)
            await client.disconnect()
            with pytest.raises(ConnectionClosed):
                await connecting
        await until(lambda: open_sockets() <= before)
