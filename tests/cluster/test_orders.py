"""Who was kicked or revoked goes, at whichever node that is, though the order is lost on its way."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Iterator

import pytest
from tests.cluster.test_emptied import cut_off
from tests.redis_servers import RedisSentinel, RedisServer, start_sentinel
from tests.server.admin_client import WITH_API, Api
from tests.server.clients import Clients, StartGateway
from tests.server.gateway_process import assignments, serving_with

from fastcollab.engines.redis.names import Names
from fastcollab.server.clock import unix_ms

#: Seconds.
VALIDATION, TIMEOUT = 1.0, 2.0


@pytest.fixture
def nodes() -> int:
    """Each is started for itself."""
    return 1


@pytest.fixture
def sentinel() -> Iterator[RedisSentinel]:
    with start_sentinel() as servers:
        yield servers


async def test_a_fail_over_loses_no_order_that_was_accepted_X5_S12(
    sentinel: RedisSentinel, start_gateway: StartGateway, clients: Clients
) -> None:
    settings = {"engine.url": sentinel.url, "engine.prefix": "one", "engine.timeout": TIMEOUT}
    gateway = await start_gateway({**WITH_API, **settings})
    async with serving_with(*assignments(*(f"{name}={value}" for name, value in settings.items()))) as other:
        kicked, revoked, stays = [await clients.enter(other, user, "r") for user in ("kicked", "revoked", "stays")]
        here = await clients.enter(gateway, "kicked", "r")
        # The other one stands still while the order is given, and the replica that takes over does not have it.
        await asyncio.to_thread(cut_off, sentinel)
        other.tell(signal.SIGSTOP)
        await asyncio.sleep(0.7 * TIMEOUT)  # until it asks for orders no more
        async with Api(gateway) as api:  # type: ignore[arg-type]
            assert await api.ask("POST", "/users/kicked/disconnect", {}) == (202, None)
            assert await api.ask("POST", "/revocations", {"kind": "user", "subject": "revoked"}) == (202, None)
        assert await here.closed() == 4506
        sentinel.master.kill()
        sentinel.replica.resume()
        await asyncio.to_thread(sentinel.wait_for_master, sentinel.replica)
        back = await clients.enter(gateway, "kicked")
        other.tell(signal.SIGCONT)
        assert await kicked.closed() == 4506
        await revoked.refused(1001)
        assert await revoked.closed() == 4101
        # Where it was carried out already it is not once more: who has come back stays.
        await asyncio.sleep(1)
        await back.barrier()
        await stays.close()


async def test_a_revocation_of_which_no_order_comes_holds_from_the_next_validation_S10_S12(
    redis_server: RedisServer, start_gateway: StartGateway, clients: Clients
) -> None:
    prefix = "without-an-order"
    gateway = await start_gateway({"engine.prefix": prefix, "auth.validation_interval": VALIDATION})
    ada, bob = [await clients.enter(gateway, user) for user in ("ada", "bob")]
    [key] = Names(prefix).user("ada", "revoked-user")
    with redis_server.client() as client:
        client.set(key, f"{unix_ms() + 1000} ")
    began = time.monotonic()
    await ada.refused(1001)
    assert await ada.closed() == 4101
    assert time.monotonic() - began < 2 * VALIDATION
    await bob.barrier()
