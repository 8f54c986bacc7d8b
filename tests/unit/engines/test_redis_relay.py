"""Relays of two nodes on a real bus: what people do at one is seen at the other, also after the bus has lost some."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Iterator

import pytest
from tests.redis_servers import REDIS_6, VALKEY, RedisServer, start_server
from tests.relays import Node

from fastcollab.config import EngineConfig
from fastcollab.core.room import RoomSettings
from fastcollab.engines.redis.bus import RedisBus
from fastcollab.engines.redis.servers import Servers

CHANNELS = 4
ROOMS = {f"room {index}": index % CHANNELS for index in range(6)}
PATIENCE = 20.0


@pytest.fixture(scope="module", params=[VALKEY, REDIS_6], ids=lambda kind: kind.value)
def server(request: pytest.FixtureRequest) -> Iterator[RedisServer]:
    with start_server(request.param) as server:
        yield server


class LiveNode:
    """A node on the bus. Of the users of a room it has the even ones or the odd ones."""

    def __init__(self, name: bytes, parity: int, servers: Servers) -> None:
        self.bus = RedisBus(servers, CHANNELS)
        loop = asyncio.get_running_loop()
        self.node = Node(name, RoomSettings(cursor_updates=100_000), loop, self.bus.publish)
        self.lost: list[int] = []
        for room_id, channel in ROOMS.items():
            room = self.node.open(room_id, channel)
            for number in range(8):
                room.add(number, local=number % 2 == parity, remote=number % 2 != parity)

    async def open(self) -> None:
        await self.bus.open(self.node.relay.receive, self.lost.extend)
        for channel in range(CHANNELS):
            await self.bus.hear(channel)


@pytest.fixture
async def nodes(server: RedisServer) -> AsyncIterator[tuple[LiveNode, LiveNode]]:
    servers = [await Servers.open(EngineConfig(url=server.url, timeout=2)) for _ in range(2)]
    one, other = (LiveNode(name * 16, parity, servers[parity]) for parity, name in enumerate((b"a", b"b")))
    for live in (one, other):
        await live.open()
    yield one, other
    for live in (one, other):
        live.node.close()
        await live.bus.close()
    for each in servers:
        await each.close()


Nodes = tuple[LiveNode, LiveNode]


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.005)


class People:
    """Move at random, each at the own node, and look at what the others show."""

    def __init__(self, nodes: Nodes) -> None:
        self.nodes = [live.node for live in nodes]
        self.random = random.Random(7)
        self.newest: dict[tuple[str, int], int] = {}
        self.shown: dict[tuple[int, str, int], float] = {}
        self.x = 0

    async def move(self, times: int) -> None:
        for _ in range(times):
            self.x += 1
            room_id, number = self.random.choice(list(ROOMS)), self.random.randrange(8)
            self.newest[room_id, number] = self.x
            self.nodes[number % 2].rooms[room_id].move(number, self.x)
            if self.random.random() < 0.1:
                await asyncio.sleep(0.001)
                self.look()

    def look(self) -> None:
        """Nobody is shown something older after something newer."""
        for index, node in enumerate(self.nodes):
            for room_id, room in node.rooms.items():
                for number in range(8):
                    x = room.cursor(number) or 0
                    assert x >= self.shown.get((index, room_id, number), 0)
                    self.shown[index, room_id, number] = x

    def all_see_the_newest(self) -> bool:
        self.look()
        return all(
            node.rooms[room_id].cursor(number) == x
            for (room_id, number), x in self.newest.items()
            for node in self.nodes
        )


async def test_the_newest_of_everyone_is_seen_at_the_other_node(nodes: Nodes) -> None:
    people = People(nodes)
    await people.move(3000)
    await until(people.all_see_the_newest)
    for live in nodes:
        # Whatever the other has ever said was heard.
        assert not live.node.doubts
        assert not live.lost
        assert {channel for channel, *_ in live.node.echoes} == set(range(CHANNELS))


async def test_what_the_bus_has_lost_is_a_doubt_and_is_seen_when_it_is_announced(
    nodes: Nodes, server: RedisServer
) -> None:
    one, other = nodes
    people = People(nodes)
    await people.move(500)
    await until(people.all_see_the_newest)
    for live in nodes:
        live.node.doubts.clear()
    with server.client() as client:
        for _ in range(5):
            await people.move(100)
            client.execute_command("CLIENT", "KILL", "TYPE", "pubsub")
            await people.move(100)
    # Once a second, in a gateway.
    for _ in range(2):
        await until(lambda: one.bus._stations and all(len(live.lost) >= CHANNELS for live in nodes))
        await asyncio.sleep(0.2)
        for live in nodes:
            live.node.relay.beat(range(CHANNELS))
    await until(lambda: one.node.doubts and other.node.doubts)
    for live in nodes:
        for room in live.node.rooms.values():
            room.relay.announce()
    await until(people.all_see_the_newest)


async def test_notices_come_in_order_and_own_ones_are_echoes(nodes: Nodes) -> None:
    one, other = nodes
    for number in range(200):
        one.node.relay.tell(number % CHANNELS, b"%d" % number)
        if number % 7 == 0:
            await asyncio.sleep(0.001)
    await until(lambda: len(other.node.notices) == 200)
    for channel in range(CHANNELS):
        told = [int(notice) for on, _, notice in other.node.notices if on == channel]
        assert told == list(range(channel, 200, CHANNELS))
    assert not one.node.notices
    await until(lambda: sorted(set(one.node.echoes)) == sorted(one.node.echoes) and len(one.node.echoes) >= CHANNELS)
