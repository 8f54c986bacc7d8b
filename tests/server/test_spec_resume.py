"""Connections that take the place of lost ones (rule S7)."""

from __future__ import annotations

import asyncio

import pytest
from tests.server.clients import Clients, HasUrl, StartGateway
from tests.server.conftest import GENEROUS
from tests.server.spec_client import SpecClient
from tests.server.spec_shapes import CONNECTION_LIMIT, PLAIN


async def returned(gateway: HasUrl, clients: Clients, user: str, previous: str, way: str) -> SpecClient:
    """A new connection of the user that names the previous one, in the handshake or in `connect`."""
    token = clients.token(user, rooms={"*": "write"})
    if way == "handshake":
        client = await clients.open(gateway, header_token=token, subprotocols=[PLAIN, f"fastcollab.resume.{previous}"])
        assert client.subprotocol == PLAIN
    else:
        client = await clients.open(gateway, subprotocols=[PLAIN])
        payload = {"token": token, "deviceId": "d", "clientVersion": "1", "connectionId": previous}
        await client.send("connect", payload)
    await client.await_connected()
    return client


@pytest.mark.parametrize("way", ["handshake", "message"])
async def test_a_lost_connection_is_taken_up_S7(gateway: HasUrl, clients: Clients, way: str) -> None:
    alice = await clients.enter(gateway, "alice", "r")
    bob = await clients.enter(gateway, "bob", "r")
    assert alice.connected["resumed"] is False
    await alice.abort()
    again = await returned(gateway, clients, "alice", alice.connected["connectionId"], way)
    assert again.connected["resumed"] is True
    assert again.connected["connectionId"] != alice.connected["connectionId"]
    await again.join("r")
    await bob.barrier()
    assert bob.take("user_left", "user_joined") == []


@pytest.mark.parametrize("way", ["handshake", "message"])
async def test_one_that_is_still_open_is_closed_and_counts_no_more_S7_S5(
    start_gateway: StartGateway, clients: Clients, way: str
) -> None:
    gateway = await start_gateway(GENEROUS | {"limits.connections_per_user": 1})
    alice = await clients.enter(gateway, "alice", "r")
    bob = await clients.enter(gateway, "bob", "r")
    again = await returned(gateway, clients, "alice", alice.connected["connectionId"], way)
    assert again.connected["resumed"] is True
    await alice.closed(4505)
    await again.join("r")
    await bob.barrier()
    assert bob.take("user_left", "user_joined") == []
    # It is one connection that counts, and not none.
    one_more = await clients.open(gateway, header_token=clients.token("alice"))
    await one_more.refused(CONNECTION_LIMIT)
    await one_more.closed(4102)


async def test_it_is_taken_up_once_S7(gateway: HasUrl, clients: Clients) -> None:
    alice = await clients.enter(gateway, "alice")
    await alice.abort()
    previous = alice.connected["connectionId"]
    first, second = [await returned(gateway, clients, "alice", previous, "handshake") for _ in range(2)]
    assert (first.connected["resumed"], second.connected["resumed"]) == (True, False)


async def test_connections_of_others_are_not_taken_up_S7(gateway: HasUrl, clients: Clients) -> None:
    alice = await clients.enter(gateway, "alice")
    carol = await clients.enter(gateway, "carol")
    await carol.abort()
    for previous in (alice.connected["connectionId"], carol.connected["connectionId"], "nonsense"):
        thief = await returned(gateway, clients, "mallory", previous, "handshake")
        assert thief.connected["resumed"] is False
    await alice.barrier()


async def test_who_said_farewell_or_stayed_away_too_long_is_not_awaited_S7(
    start_gateway: StartGateway, clients: Clients
) -> None:
    gateway = await start_gateway(GENEROUS | {"presence.grace_period": 0.1})
    left, lost = [await clients.enter(gateway, "alice") for _ in range(2)]
    await left.close()
    await lost.abort()
    assert not (await returned(gateway, clients, "alice", left.connected["connectionId"], "message")).connected[
        "resumed"
    ]
    await asyncio.sleep(0.15)
    assert not (await returned(gateway, clients, "alice", lost.connected["connectionId"], "message")).connected[
        "resumed"
    ]


async def test_only_a_connect_that_brings_a_token_takes_up_S7(gateway: HasUrl, clients: Clients) -> None:
    alice = await clients.enter(gateway, "alice")
    other = await clients.enter(gateway, "alice")
    payload = {"token": "", "deviceId": "d", "clientVersion": "1", "connectionId": alice.connected["connectionId"]}
    await other.send("connect", payload)
    assert (await other.await_connected())["resumed"] is False
    await alice.barrier()
