"""Limits of a user who is connected through several gateways."""

from __future__ import annotations

import asyncio

from tests.cluster.spread import Spread
from tests.server.clients import Clients, StartGateway
from tests.server.spec_client import SpecClient

RATE, MANY = 10, 30


async def granted(client: SpecClient) -> int:
    """How many of so many operations that come at once."""
    for _ in range(MANY):
        await client.send("operation", {"operation": ["x"], "version": 0}, roomId="r")
    await client.barrier()
    refused = client.take("error")
    assert {error.payload["code"] for error in refused} == {1003}
    return MANY - len(refused)


async def test_all_gateways_together_grant_the_rate_of_a_user_L1(start_gateway: StartGateway, clients: Clients) -> None:
    spread = await start_gateway({"limits.operations": RATE, "limits.burst": 1})
    assert isinstance(spread, Spread)
    ada = [await clients.enter(gateway, "ada", "r") for gateway in spread.gateways]
    bob = await clients.enter(spread.gateways[0], "bob", "r")
    # With what it was sent first each gateway has asked where else the user is.
    for client in ada:
        await client.barrier()
    await asyncio.sleep(0.2)
    # While they come, some of what was granted is there again.
    assert RATE <= sum(await asyncio.gather(*map(granted, ada))) < 1.6 * RATE
    assert RATE <= await granted(bob) < 1.6 * RATE
