"""A gateway is told to stop while its Redis is gone, or stands still: it does, and leaves nothing behind."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator

import pytest
from tests.cluster.spread import Spread
from tests.redis_servers import VALKEY, RedisServer, start_server
from tests.server.clients import Clients, StartGateway
from tests.server.conftest import open_sockets, other_tasks
from tests.server.gateway_process import assignments, serving_with
from tests.server.spec_client import SpecClient

#: Seconds, and what a busy machine may add: together less than what Redis has for an answer (`engine.timeout`, 5 s).
TIME, SLACK = 1.0, 3.0


@pytest.fixture
def mortal() -> Iterator[RedisServer]:
    with start_server(VALKEY) as server:
        yield server


def strike(server: RedisServer, how: str) -> None:
    if how == "killed":
        server.kill()
    else:
        server.pause()


async def sent_away(client: SpecClient) -> None:
    """Nobody is told anything but that the gateway stops, or that what was sent may not have been stored."""
    await client.closed(4502)
    assert {error.payload["code"] for error in client.take("error")} == {5002}


@pytest.mark.parametrize("how", ["killed", "standing still"])
async def test_gateways_leave_nothing_behind_whose_redis_is_gone(
    mortal: RedisServer, start_gateway: StartGateway, clients: Clients, how: str
) -> None:
    sockets_before, tasks_before = open_sockets(), other_tasks()
    gateway = await start_gateway({"engine.url": mortal.url, "server.shutdown_timeout": TIME})
    assert isinstance(gateway, Spread)
    members = [await clients.enter(gateway, user, "r") for user in ("ada", "bob", "eve")]
    strike(mortal, how)
    for member in members:
        # Of these nobody can say what has become, and so nothing is said.
        await member.send("operation", {"operation": ["?"], "version": 0}, roomId="r")
    # What is told of later is under way when the end comes.
    kicked = [asyncio.ensure_future(each.disconnect_user("zoe")) for each in gateway.gateways]
    revoked = [asyncio.ensure_future(each.revoke_user("zoe")) for each in gateway.gateways]
    await asyncio.sleep(0.1)
    began = time.monotonic()
    await gateway.stop()
    assert time.monotonic() - began < TIME + SLACK
    for outcome in await asyncio.gather(*kicked, *revoked, return_exceptions=True):
        assert "Redis cannot be used" in str(outcome)
    for member in members:
        await sent_away(member)
    async with asyncio.timeout(SLACK):
        while open_sockets() > sockets_before:  # noqa: ASYNC110 - those of the clients
            await asyncio.sleep(0.01)
    assert other_tasks() <= tasks_before


@pytest.mark.parametrize("how", ["killed", "standing still"])
async def test_a_process_ends_well_whose_redis_is_gone(mortal: RedisServer, clients: Clients, how: str) -> None:
    given = assignments(f"engine.url={mortal.url}", f"server.shutdown_timeout={TIME}")
    async with serving_with(*given) as gateway:
        member = await clients.enter(gateway, "ada", "r")
        strike(mortal, how)
        await member.send("operation", {"operation": ["?"], "version": 0}, roomId="r")
        began = time.monotonic()
        assert await gateway.end() == 0
        assert time.monotonic() - began < TIME + SLACK
        await sent_away(member)
