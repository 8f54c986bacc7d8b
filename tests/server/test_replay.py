"""Recorded sessions of two authors, replayed by two clients through a running gateway."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from random import Random
from urllib.parse import urlsplit

import pytest
from tests import traces

from fastcollab import Gateway
from fastcollab.client import CollaborativeClient, ReconnectPolicy, Room

TIMEOUT = 120.0


@contextlib.asynccontextmanager
async def delaying(url: str, random: Random, longest: float) -> AsyncIterator[str]:
    """The URL of a proxy that holds back what the server sends, in order, each piece for a random time (seconds)."""
    target = urlsplit(url)

    async def forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, delay: Callable[[], float]) -> None:
        with contextlib.suppress(ConnectionError):
            while piece := await reader.read(65536):
                await asyncio.sleep(delay())
                writer.write(piece)
        writer.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection(target.hostname, target.port)
        await asyncio.gather(
            forward(reader, far_writer, lambda: 0.0),
            forward(far_reader, writer, lambda: random.choice((0.0, 0.0, random.random() * longest))),
        )

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as proxy:
        yield f"ws://127.0.0.1:{proxy.sockets[0].getsockname()[1]}{target.path}"


Submit = Callable[[Room, traces.Operation], Awaitable[int]]


async def replay(session: traces.Session, rooms: list[Room], submit: Submit = Room.submit) -> int:
    """Plays a session, and returns how many operations were sent against a version that was not the newest.

    `submit` submits an operation, waits until it is acknowledged, and returns the version after it.
    """
    authors = traces.Author(), traces.Author()
    arrivals = asyncio.Event(), asyncio.Event()
    behind = 0
    for room, author, arrival in zip(rooms, authors, arrivals, strict=True):

        def receive(change: traces.Operation, author: traces.Author = author, arrival: asyncio.Event = arrival) -> None:
            author.receive(change)
            arrival.set()

        room.on("operation", lambda change, receive=receive: receive(change.operation))
    for version, edit in enumerate(traces.edits(session), rooms[0].document.version):
        author, room, arrival = authors[edit.agent], rooms[edit.agent], arrivals[edit.agent]
        while author.received < edit.seen:
            arrival.clear()
            await arrival.wait()
        author.see(edit.seen)
        behind += room.document.version < version
        assert await submit(room, author.write(edit.operation)) == version + 1
    while rooms[0].document.version != rooms[1].document.version:  # noqa: ASYNC110
        await asyncio.sleep(0.001)
    return behind


@pytest.mark.parametrize(
    ("path", "longest_delay"),
    [
        pytest.param(traces.OWN_SESSION, 0.002, id="own session"),
        pytest.param(traces.find("friendsforever"), 0.0002, id="friendsforever"),
    ],
)
async def test_a_recorded_session_ends_as_recorded(
    gateway: Gateway, make_token: Callable[..., str], path: Path | None, longest_delay: float
) -> None:
    """OT2 to OT4: the clients and the gateway end at the recorded text."""
    if path is None:
        pytest.skip("the trace is not at hand")
    session = traces.load(path)
    async with contextlib.AsyncExitStack() as stack:
        rooms = []
        for number in range(2):
            url = await stack.enter_async_context(delaying(gateway.url, Random(number), longest_delay))
            client = CollaborativeClient(url, make_token(f"author {number}"))
            rooms.append(await (await stack.enter_async_context(client)).join_room("trace", "text"))
        if session.start:
            await rooms[0].submit([session.start])
        async with asyncio.timeout(TIMEOUT):
            behind = await replay(session, rooms)
        assert rooms[0].text == rooms[1].text == session.end
        assert behind > 100
        assert await text_for_a_newcomer(gateway, make_token) == session.end


@pytest.mark.parametrize(
    ("path", "longest_delay"),
    [
        pytest.param(traces.OWN_SESSION, 0.002, id="own session"),
        pytest.param(traces.find("friendsforever"), 0.0, id="friendsforever"),
    ],
)
async def test_a_recorded_session_ends_as_recorded_though_connections_are_lost(
    gateway: Gateway, make_token: Callable[..., str], path: Path | None, longest_delay: float
) -> None:
    """OT5, OT9: with every fiftieth operation one of the authors is cut off, or both are, and comes back by itself."""
    if path is None:
        pytest.skip("the trace is not at hand")
    session = traces.load(path)
    random = Random(50)
    count = losses = returns = 0
    clients: dict[Room, CollaborativeClient] = {}

    def returned(_: object) -> None:
        nonlocal returns
        returns += 1

    async def submit(room: Room, operation: traces.Operation) -> int:
        """With the operation on its way, committed, or not sent yet, connections are gone, without a word."""
        nonlocal count, losses
        count += 1
        if count % 50:
            return await room.submit(operation)
        # At once: an edit that comes in between would be one that the operation does not know.
        room.edit(operation)
        await asyncio.sleep(random.choice((0.0, 0.0, 0.001)) * random.random())
        for client in random.choice(([clients[room]], list(clients.values()))):
            if client._socket is not None:
                losses += 1
                client._socket.abort()
        await room.saved()
        return room.document.version

    async with contextlib.AsyncExitStack() as stack:
        for number in range(2):
            url = await stack.enter_async_context(delaying(gateway.url, Random(number), longest_delay))
            policy = ReconnectPolicy(base=0.002, cap=0.02)
            client = CollaborativeClient(url, make_token(f"author {number}"), reconnect=policy)
            client.on("reconnecting", returned)
            clients[await (await stack.enter_async_context(client)).join_room("trace", "text")] = client
        rooms = list(clients)
        if session.start:
            await rooms[0].submit([session.start])
        async with asyncio.timeout(TIMEOUT):
            await replay(session, rooms, submit)
        assert rooms[0].text == rooms[1].text == session.end
        assert await text_for_a_newcomer(gateway, make_token) == session.end
    assert returns >= losses >= len(session.transactions) // 50


async def text_for_a_newcomer(gateway: Gateway, make_token: Callable[..., str]) -> str:
    async with CollaborativeClient(gateway.url, make_token("reader")) as reader:
        return (await reader.join_room("trace")).text
