"""One server of a Cluster is emptied while it runs: what was on it is entered again before long."""

from __future__ import annotations

import time
from collections.abc import Iterator
from itertools import count

import pytest
from redis.crc import key_slot
from tests.redis_servers import RedisCluster, RedisServer, start_cluster
from tests.unit.engines.people.node import eventually, open_node
from tests.unit.engines.people.test_faults import registers

from fastcollab.config import EngineConfig
from fastcollab.core.revocation import Revocation, TokenMarks
from fastcollab.core.roster import Person

LEASE = 0.9


@pytest.fixture(scope="module")
def cluster() -> Iterator[RedisCluster]:
    with start_cluster() as servers:
        yield servers


async def test_what_was_on_a_server_that_was_emptied_is_entered_again(cluster: RedisCluster) -> None:
    engine = EngineConfig(url=cluster.url)
    async with open_node(engine, lease=LEASE) as here, open_node(engine, lease=LEASE) as there:
        names = here.servers.names
        leases = cluster.owner(key_slot(names.cluster("leases")))

        def elsewhere(name: str) -> bool:
            return cluster.owner(key_slot(names.user(name, "connections")[0])) is not leases

        ada = next(name for name in (f"ada {number}" for number in count()) if elsewhere(name))
        doubted: list[bool] = []
        here.rosters.subscribe(lambda concerns: doubted.append(concerns("plans")))
        for node in (here, there):
            await node.nodes.beat()
            await node.rosters.declare("plans", [Person(ada, 7, "Ada", "#1565c0")])
        number = await here.registry.register(ada, "one", 5)
        await here.revocations.revoke(Revocation("user", ada, 2**40, None))
        [key] = names.user(ada, "connections")
        emptied = cluster.owner(key_slot(key))
        with emptied.client() as client:
            # All have asked once, and so know what was there.
            await eventually(lambda: bool(client.keys("*witness")))
            await eventually(lambda: all(len(node.witnesses._found) == 2 for node in (here, there)))
            client.flushall()
            began = time.monotonic()
            await eventually(lambda: bool(client.exists(key)))
            assert time.monotonic() - began < LEASE
        await eventually(lambda: here.registry._settling is None and here.revocations._restoring is None)
        assert not await registers(there, ada, 1)
        assert await there.registry.register(ada, "two", 5) == number
        async with open_node(engine) as fresh:
            assert await fresh.revocations.is_revoked(TokenMarks(ada, "t1", None, 5.0, 6.0))
        # Rooms that are on it are looked at, and no others; and nothing happens twice.
        assert doubted == [cluster.owner(key_slot(names.roster("plans"))) is emptied]


async def test_where_there_is_one_server_the_beats_tell(server: RedisServer) -> None:
    async with open_node(EngineConfig(url=server.url)) as node:
        assert node.witnesses._keys() == []
