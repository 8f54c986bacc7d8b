"""All ports over Redis, put together for one gateway."""

from __future__ import annotations

from fastcollab.config import EngineConfig
from fastcollab.engines import ClusterPorts, Engine
from fastcollab.engines.redis.bus import RedisBus
from fastcollab.engines.redis.documents import RedisDocuments
from fastcollab.engines.redis.incarnations import Incarnation
from fastcollab.engines.redis.nodes import RedisNodes
from fastcollab.engines.redis.orders import RedisOrders
from fastcollab.engines.redis.registry import RedisRegistry
from fastcollab.engines.redis.revocations import RedisRevocations
from fastcollab.engines.redis.rosters import RedisRosters
from fastcollab.engines.redis.servers import Servers
from fastcollab.engines.redis.witnesses import Witnesses
from fastcollab.errors import ServiceUnavailable, StoreError


async def open_redis(config: EngineConfig) -> Engine:
    """The engine of one gateway, which is a node of its own from now on; raises
    :class:`~fastcollab.errors.StoreError`.
    """
    servers = await Servers.open(config)
    incarnation = Incarnation()
    registry = RedisRegistry(servers, incarnation)
    rosters = RedisRosters(servers, incarnation, config.lease)
    orders = RedisOrders(servers, incarnation)
    nodes = RedisNodes(servers, incarnation, config.lease, [registry.bury, rosters.bury])
    revocations = RedisRevocations(servers, orders)
    witnesses = Witnesses(servers, config.lease / 3)
    bus = RedisBus(servers, config.channels)
    try:
        await orders.open()
    except ServiceUnavailable as error:
        await servers.close()
        raise StoreError(error.message) from error
    registry.open()
    witnesses.open()
    documents = RedisDocuments(servers)
    return Engine(
        documents,
        registry,
        revocations,
        (witnesses.close, registry.close, rosters.close, revocations.close, orders.close, documents.close),
        ClusterPorts(nodes, rosters, orders, bus),
        servers.watch_calls,
        servers.give_up,
    )
