"""A gateway notices when it hears the others no longer, though nothing has failed, and heals by itself."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable

import pytest
from tests.chaos.ways import Way
from tests.redis_servers import RedisServer
from tests.server.clients import Clients, StartGateway

#: After how long (s) without a bundle of its own a gateway is not ready, and how long a busy machine may take.
NOTICED, HEALED = 6.0, 20.0


@pytest.fixture
def nodes() -> int:
    """Each is started for itself."""
    return 1


@pytest.fixture
async def way(redis_server: RedisServer) -> AsyncIterator[Way]:
    """From one of the gateways to Redis."""
    way = Way([redis_server.port])
    await way.open()
    yield way
    await way.close()


async def until(condition: Callable[[], object], patience: float) -> None:
    async with asyncio.timeout(patience):
        while not condition():  # noqa: ASYNC110 - there is nobody to tell
            await asyncio.sleep(0.05)


async def test_a_subscription_that_is_silently_dead_is_noticed_and_made_anew(
    way: Way, start_gateway: StartGateway, clients: Clients
) -> None:
    through_way = await start_gateway({"engine.url": f"redis://127.0.0.1:{way.port}/0"})
    direct = await start_gateway({})
    alice = await clients.enter(through_way, "alice", "r")
    bob = await clients.enter(direct, "bob", "r")
    await alice.expect("user_joined")
    assert not through_way.faults

    way.silence()
    begun = time.monotonic()
    await until(lambda: through_way.faults, NOTICED)
    assert time.monotonic() - begun > 2, "one bundle that is late does not count"
    assert list(through_way.faults) == ["what this node publishes does not come back to it"]
    assert not direct.faults, "who hears is ready"
    # What is told over the bus is lost meanwhile; what is stored is not refused.
    await bob.operate(["said to the deaf"], 0)

    await until(lambda: not through_way.faults, HEALED)
    assert (await alice.expect("operation_broadcast")).payload["operation"] == ["said to the deaf"]
    await bob.send("event", {"name": "heard"})
    await alice.expect("event")
