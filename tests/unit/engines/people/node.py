"""A node of a cluster, as far as it keeps account of people: what a gateway has of its engine for that."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TypeVar

from fastcollab.config import EngineConfig
from fastcollab.engines.redis.incarnations import Incarnation
from fastcollab.engines.redis.nodes import RedisNodes
from fastcollab.engines.redis.orders import RedisOrders
from fastcollab.engines.redis.registry import RedisRegistry
from fastcollab.engines.redis.revocations import RedisRevocations
from fastcollab.engines.redis.rosters import RedisRosters
from fastcollab.engines.redis.servers import Servers
from fastcollab.engines.redis.witnesses import Witnesses
from fastcollab.errors import ServiceUnavailable

T = TypeVar("T")


@dataclass
class Node:
    servers: Servers
    incarnation: Incarnation
    registry: RedisRegistry
    rosters: RedisRosters
    nodes: RedisNodes
    orders: RedisOrders
    revocations: RedisRevocations
    witnesses: Witnesses


@asynccontextmanager
async def open_node(engine: EngineConfig, *, lease: float = 15.0, renewal: float = 86_400.0) -> AsyncIterator[Node]:
    servers = await Servers.open(engine)
    incarnation = Incarnation()
    registry = RedisRegistry(servers, incarnation, renewal=renewal)
    rosters = RedisRosters(servers, incarnation, lease)
    orders = RedisOrders(servers, incarnation)
    nodes = RedisNodes(servers, incarnation, lease, [registry.bury, rosters.bury])
    revocations = RedisRevocations(servers, orders, skew=0)
    witnesses = Witnesses(servers, lease / 3)
    await orders.open()
    registry.open()
    witnesses.open()
    try:
        yield Node(servers, incarnation, registry, rosters, nodes, orders, revocations, witnesses)
    finally:
        await witnesses.close()
        await registry.close()
        await rosters.close()
        await revocations.close()
        await orders.close()
        await servers.close()


async def keys(node: Node) -> set[bytes]:
    """Of all that nodes of this engine have, on whichever server."""
    # Of a Cluster each server has some of these.
    somewhere = node.servers.names.shared("anything")[:32]
    found = [await node.servers.call(key, "KEYS", f"{node.servers.prefix}:*") for key in somewhere]
    return {key for some in found for key in some}


async def persistently(call: Callable[[], Awaitable[T]], seconds: float = 10.0) -> T:
    """Makes a call until it does not fail for the server."""
    async with asyncio.timeout(seconds):
        while True:
            try:
                return await call()
            except ServiceUnavailable:
                await asyncio.sleep(0.02)


async def eventually(holds: Callable[[], bool], seconds: float = 10.0) -> None:
    async with asyncio.timeout(seconds):
        while not holds():  # noqa: ASYNC110
            await asyncio.sleep(0.01)
