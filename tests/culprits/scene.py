"""A gateway that has something to do, as a process on a Valkey: people who write and point. What can go wrong in it is
a Redis that gets slow, a client that does not read, and one that floods.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import count
from math import cos, sin
from pathlib import Path
from typing import Any

from tests.chaos.ways import Way
from tests.durability.gateways import GatewayProcess, token_of
from tests.redis_servers import VALKEY, free_port, start_server
from tests.server.admin_client import KEY
from tests.server.raw_client import RawClient

from fastcollab.client import CollaborativeClient, Room

#: Those who do nothing wrong.
PEOPLE = ("ada", "ben", "cleo", "dan")
SLOW, ABUSIVE = "snail", "mallory"
ROOM = "board"

#: How long (s) everything takes between the gateway and its Redis, each way, once it is slow.
REDIS_DELAY = 0.15
#: What the slow client's system takes in for it (bytes), as a bad network would.
_TAKEN_IN = 4096
#: So much is told to the room (bytes), so often (s): pictures of what is being dragged.
_PICTURE, _PICTURES_EVERY = 80_000, 0.1
#: Messages that the abusive client sends at once, and how often (s).
_BURST, _BURSTS_EVERY = 60, 0.1


@dataclass(frozen=True)
class Scene:
    """`log` is what the gateway writes, and `operations_url` where it answers its operators."""

    gateway: GatewayProcess
    redis: Way
    operations_url: str
    log: Path

    @asynccontextmanager
    async def slow_redis(self) -> AsyncIterator[None]:
        self.redis.delay = REDIS_DELAY
        yield
        self.redis.delay = 0

    @asynccontextmanager
    async def slow_client(self) -> AsyncIterator[None]:
        """It has joined, and reads nothing any more."""
        async with await RawClient.dial(self.gateway.url, receive_buffer=_TAKEN_IN) as snail:
            await snail.upgrade(self.gateway.url, token_of(SLOW))
            await snail.join(ROOM)
            snail.pause_reading()
            yield

    @asynccontextmanager
    async def abusive_client(self) -> AsyncIterator[None]:
        """It sends far more than it may, and reads what it is told of that."""
        async with await RawClient.open(self.gateway.url, token_of(ABUSIVE)) as mallory:
            await mallory.join(ROOM)

            async def flood() -> None:
                for _ in range(_BURST):
                    mallory.send_message("event", {"name": "spam"})
                await mallory.drain()

            async with _doing(lambda: _again(_BURSTS_EVERY, flood), lambda: mallory.everything(60)):
                yield

    def logged(self) -> list[dict[str, Any]]:
        """All events of its log so far."""
        return [json.loads(line) for line in self.log.read_text().splitlines()]


@asynccontextmanager
async def open_scene(folder: Path) -> AsyncIterator[Scene]:
    """All is well in it; nothing of it outlives the block."""
    async with contextlib.AsyncExitStack() as running:
        server = running.enter_context(await asyncio.to_thread(start_server, VALKEY))
        redis = Way([server.port])
        await redis.open()
        running.push_async_callback(redis.close)
        port, log = free_port(), folder / "log"
        settings = (
            f"ops.port={port}",
            f'ops.api_keys=["tests:{KEY}"]',
            "limits.connection_rate=0",  # all come from one address
            "client.max_outbound_bytes=100000000",  # the slow one is to stay
            "rooms.default_document_type=text",
        )
        gateway = GatewayProcess(f"redis://127.0.0.1:{redis.port}/0", settings, log)
        await running.enter_async_context(gateway)
        for number, user in enumerate(PEOPLE):
            client = CollaborativeClient(gateway.url, token_of(user))
            room = await (await running.enter_async_context(client)).join_room(ROOM)
            await running.enter_async_context(_doing(*_pastimes(room, number)))
        yield Scene(gateway, redis, f"http://127.0.0.1:{port}", log)


def _pastimes(room: Room, number: int) -> list[Callable[[], Awaitable[None]]]:
    """What one of the people does: all point and write, and the first drags pictures around."""
    steps = count(number * 100)

    async def point() -> None:
        step = next(steps) / 20
        room.move_cursor(640 + 500 * cos(step), 360 + 300 * sin(step))

    async def write() -> None:
        room.insert(0, "word ") if len(room.text) < 500 else room.delete(0, 100)

    async def drag() -> None:
        await room.broadcast_event("dragged", "x" * _PICTURE)

    pastimes = [lambda: _again(1 / 30, point), lambda: _again(0.5, write)]
    return [*pastimes, lambda: _again(_PICTURES_EVERY, drag)] if number == 0 else pastimes


async def _again(interval: float, deed: Callable[[], Awaitable[None]]) -> None:
    while True:
        await deed()
        await asyncio.sleep(interval)


@asynccontextmanager
async def _doing(*deeds: Callable[[], Awaitable[None]]) -> AsyncIterator[None]:
    """All of these go on while the block does; what goes wrong in one is raised at its end."""
    tasks = [asyncio.ensure_future(deed()) for deed in deeds]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        for outcome in await asyncio.gather(*tasks, return_exceptions=True):
            if isinstance(outcome, BaseException) and not isinstance(outcome, asyncio.CancelledError):
                raise outcome
