"""Three gateways that share a Redis, each behind ways that can be cut: from its clients, and to the Redis."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random

from tests.chaos.judge import Log
from tests.chaos.ways import Way
from tests.durability.gateways import GatewayProcess
from tests.redis_servers import (
    VALKEY,
    RedisCluster,
    RedisSentinel,
    RedisServer,
    start_cluster,
    start_sentinel,
    start_server,
)

from fastcollab.config import EngineConfig
from fastcollab.engines.redis import RedisDocuments

NODES = 3
PREFIX = "chaos"
#: Seconds that Redis has for an answer, and that a lost participant is waited for.
TIMEOUT = 1.5
GRACE = 2.0

Redis = RedisServer | RedisSentinel | RedisCluster


@dataclass(frozen=True, slots=True)
class Setup:
    """How Redis is run, and what an acknowledgement waits for. `has_ways`: that to each gateway can be cut."""

    start: Callable[[], Redis]
    durability: str
    has_ways: bool = False


KEPT = Setup(lambda: start_server(VALKEY, "--appendonly", "yes", "--appendfsync", "always"), "aof", has_ways=True)
FORGETFUL = Setup(lambda: start_server(VALKEY), "none", has_ways=True)
REPLICATED = Setup(start_sentinel, "replicas")
UNCONFIRMED = Setup(start_sentinel, "none")
SHARDED = Setup(lambda: start_cluster(4), "none")


class Site:
    """`long` is how long (s) a long fault lasts."""

    def __init__(
        self,
        redis: Redis,
        nodes: list[GatewayProcess],
        doors: list[str],
        ways: list[Way],
        random: Random,
        long: float,
    ) -> None:
        self.redis = redis
        self.nodes = nodes
        #: Where clients connect: each leads to one of the gateways first, and then to the others in turn.
        self.doors = doors
        #: From each node to Redis.
        self.ways = ways
        self.random = random
        self.long = long

    @property
    def server(self) -> RedisServer:
        assert isinstance(self.redis, RedisServer)
        return self.redis

    @property
    def sentinel(self) -> RedisSentinel:
        assert isinstance(self.redis, RedisSentinel)
        return self.redis

    @property
    def cluster(self) -> RedisCluster:
        assert isinstance(self.redis, RedisCluster)
        return self.redis

    async def pause(self, shortest: float, longest: float) -> None:
        """Waits for a time (s) from the seed."""
        await asyncio.sleep(self.random.uniform(shortest, longest))

    @asynccontextmanager
    async def stopped(self, node: GatewayProcess) -> AsyncIterator[None]:
        """The gateway stands still."""
        node.tell(signal.SIGSTOP)
        try:
            yield
        finally:
            node.tell(signal.SIGCONT)

    async def log(self, room: str) -> Log:
        """What Redis has of the room now."""
        documents = await RedisDocuments.open(EngineConfig(url=self.redis.url, prefix=PREFIX))
        try:
            newest = await documents.load(room)
            assert newest is not None, f"Redis has no document of {room}"
            first = await documents.load(room, newest.oldest)
            entries = await documents.history(room, newest.epoch, newest.oldest)
            assert first is not None
            return Log(newest.type, newest.epoch, newest.oldest, first.content, entries)
        finally:
            await documents.close()


@asynccontextmanager
async def open_site(
    setup: Setup, directory: Path, random: Random, lease: float, long: float, *settings: str
) -> AsyncIterator[Site]:
    """`lease` is how long (s) a node that says nothing is believed to live. Settings of the gateways are written
    KEY=VALUE; the directory gets their logs.
    """
    async with contextlib.AsyncExitStack() as stack:
        redis = await asyncio.to_thread(setup.start)
        stack.callback(redis.stop)
        ways = []
        urls = [redis.url] * NODES
        if setup.has_ways:
            assert isinstance(redis, RedisServer)
            for number in range(NODES):
                way = Way([redis.port])
                await way.open()
                stack.push_async_callback(way.close)
                ways.append(way)
                urls[number] = f"redis://127.0.0.1:{way.port}/0"
        common = (
            f"engine.prefix={PREFIX}",
            f"engine.durability={setup.durability}",
            f"engine.lease={lease}",
            f"engine.timeout={TIMEOUT}",
            f"presence.grace_period={GRACE}",
            *settings,
        )
        nodes = [GatewayProcess(url, common, directory / f"node-{number}.log") for number, url in enumerate(urls)]
        await asyncio.gather(*(stack.enter_async_context(node) for node in nodes))
        doors = []
        for number in range(NODES):
            door = Way([node.port for node in nodes], begins_at=number)
            await door.open()
            stack.push_async_callback(door.close)
            doors.append(f"ws://127.0.0.1:{door.port}/ws")
        yield Site(redis, nodes, doors, ways, random, long)
