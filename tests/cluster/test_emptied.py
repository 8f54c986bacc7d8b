"""A Redis that forgets: nobody is told that somebody left for that, and soon it knows everything again."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Iterator
from typing import Any

import pytest
from tests.cluster.crowd import Crowd
from tests.redis_servers import VALKEY, RedisSentinel, RedisServer, start_sentinel, start_server
from tests.server.clients import Clients
from tests.server.gateway_process import assignments, serving_with

#: Seconds.
LEASE = 0.9
USERS = [f"user {index}" for index in range(6)]


@pytest.fixture
def forgetful() -> Iterator[RedisServer]:
    """A server that keeps nothing when it is killed."""
    with start_server(VALKEY) as server:
        yield server


def settings(url: str) -> dict[str, object]:
    return {
        "engine.url": url,
        "engine.lease": LEASE,
        "engine.timeout": 2.0,
        "limits.connections_per_user": 2,
        "presence.grace_period": 0.2,
    }


def empty(server: RedisServer, how: str) -> None:
    if how == "flushed":
        with server.client() as client:
            client.flushall()
    else:
        server.restart()
        with server.client() as client:
            assert client.info("persistence")["rdb_last_load_keys_loaded"] == 0


@pytest.mark.parametrize("how", ["flushed", "killed"])
async def test_when_redis_is_emptied_nobody_leaves_and_all_is_known_again_R5(
    forgetful: RedisServer, start_gateway: Any, clients: Clients, how: str
) -> None:
    gateway = await start_gateway(settings(forgetful.url))
    crowd = Crowd("plans", clients)
    await crowd.gather(gateway, USERS)
    author = crowd.members[USERS[0]]
    version = await author.operate(["Kept"], 0, roomId="plans")
    numbers = {user: member.number for user, member in crowd.members.items()}
    second = await clients.enter(gateway, USERS[0])
    await asyncio.sleep(LEASE)
    crowd.told()

    async with crowd.moving():
        await asyncio.to_thread(empty, forgetful, how)
        await asyncio.sleep(2.5 * LEASE)
        assert crowd.told() == []
    assert not [fault for each in gateway.gateways for fault in each.faults]
    assert await crowd.seen(gateway) == [{user: f"I am {user}" for user in USERS}] * 2
    # The number is the user's still, and its connections count at whichever node they are.
    await second.close()
    again = await clients.enter(gateway, USERS[0])
    assert again.number == numbers[USERS[0]]
    for _ in gateway.gateways:
        third = await clients.open(gateway, header_token=clients.token(USERS[0]))
        await third.refused(1002)
        await third.closed(4102)
    # What was written is there, and goes on, as one document.
    crowd.resynchronise()
    states = []
    for _ in gateway.gateways:
        reader = await clients.enter(gateway, "reader")
        states.append((await reader.join("plans"))["documentState"])
    assert [(state["data"], state["version"]) for state in states] == [("Kept", version)] * 2
    assert states[0]["epoch"] == states[1]["epoch"]
    await reader.operate([4, " on"], version, roomId="plans")
    await author.expect("operation_broadcast")
    # Who leaves now is told of once.
    crowd.told()
    await crowd.members.pop(USERS[1]).close()
    await asyncio.sleep(0.4)
    assert {told for told in crowd.told() if told[2] == USERS[1]} == {
        (user, "user_left", USERS[1]) for user in crowd.members
    }


async def test_a_node_that_dies_before_redis_knows_it_again_is_gone_within_the_lease(
    forgetful: RedisServer, start_gateway: Any, clients: Clients
) -> None:
    parts = settings(forgetful.url)
    gateway = await start_gateway({**parts, "engine.prefix": "one"})
    given = assignments(*(f"{name}={value}" for name, value in parts.items()), "engine.prefix=one")
    async with serving_with(*given) as dying:
        crowd = Crowd("plans", clients)
        await crowd.gather(gateway, USERS[:2])
        victim = await clients.enter(dying, "victim", "plans")
        for member in crowd.members.values():
            await member.expect("user_joined")
        await asyncio.sleep(LEASE)
        dying.tell(signal.SIGSTOP)
        with forgetful.client() as client:
            client.flushall()
        await dying.end(signal.SIGKILL)
        began = time.monotonic()
        for member in crowd.members.values():
            left = await member.expect("user_left", within=3 * LEASE)
            assert left.payload["participant"]["userId"] == "victim"
        # A lease from the next beat, of which there are three in one; and then the next beat has to see it.
        assert LEASE <= time.monotonic() - began < 2.2 * LEASE
        await asyncio.sleep(LEASE)
        assert crowd.told() == []
        assert await crowd.seen(gateway) == [{user: f"I am {user}" for user in USERS[:2]}] * 2
        crowd.resynchronise()
        await victim.abort()


@pytest.fixture(scope="module")
def sentinel() -> Iterator[RedisSentinel]:
    with start_sentinel() as servers:
        yield servers


def fail_over_with_loss(servers: RedisSentinel) -> set[bytes]:
    """The replica takes over without what came after :func:`cut_off`; returns who it thinks is in the room."""
    servers.master.kill()
    servers.replica.resume()
    with servers.replica.client() as client:
        [roster] = client.keys("*:roster:plans")
        had = set(client.hkeys(roster))
    servers.wait_for_master(servers.replica)
    return had


def cut_off(servers: RedisSentinel) -> None:
    servers.replica.pause()
    with servers.master.client() as client:
        client.client_kill_filter(_type="replica")


async def test_what_a_replica_that_takes_over_does_not_have_is_told_again(
    sentinel: RedisSentinel, start_gateway: Any, clients: Clients
) -> None:
    gateway = await start_gateway({**settings(sentinel.url), "engine.timeout": 5.0})
    crowd = Crowd("plans", clients)
    await crowd.gather(gateway, USERS[:4])
    await asyncio.sleep(LEASE)
    crowd.told()
    async with crowd.moving():
        await asyncio.to_thread(cut_off, sentinel)
        late = await clients.enter(gateway, "late", "plans")
        await late.send("presence_update", {"presence": {"status": "I am late"}}, roomId="plans")
        await crowd.members[USERS[0]].send("presence_update", {"presence": {"status": "anew"}}, roomId="plans")
        for member in crowd.members.values():
            await member.expect("user_joined")
            await member.expect("presence_update", lambda payload: payload["userId"] == "late")
        await late.operate(["Late"], 0, roomId="plans")
        await asyncio.sleep(0.1)
        crowd.told()
        had = await asyncio.to_thread(fail_over_with_loss, sentinel)
        await asyncio.sleep(2 * LEASE)
        assert crowd.told() == []
    wanted = {user: f"I am {user}" for user in USERS[:4]} | {USERS[0]: "anew", "late": "I am late"}
    assert await crowd.seen(gateway) == [wanted] * 2
    assert b"late" not in had
    reader = await clients.enter(gateway, "reader")
    assert (await reader.join("plans"))["documentState"]["data"] == "Late"
    crowd.resynchronise()
    await late.refused(3002)
