"""What goes wrong: each scenario a set-up, what befalls it, and what that excuses.

A fault is a coroutine that does harm and makes it good again; its times are drawn from the seed. When it returns, all
is as it should be, and the cluster has to find its way back by itself.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from tests.chaos.judge import Allowance
from tests.chaos.site import FORGETFUL, KEPT, PREFIX, REPLICATED, SHARDED, UNCONFIRMED, Setup, Site
from tests.durability.writers import EDITS

from fastcollab.engines.redis.names import Names

Fault = Callable[[Site], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Scenario:
    name: str
    setup: Setup
    fault: Fault
    allowed: Allowance = field(default_factory=Allowance)


async def gateway_killed(site: Site) -> None:
    node = site.random.choice(site.nodes)
    await node.kill()
    await site.pause(1, 3)
    await node.start()


async def gateway_stands_still(site: Site) -> None:
    async with site.stopped(site.random.choice(site.nodes)):
        await asyncio.sleep(site.long)


async def gateway_stops_and_starts(site: Site) -> None:
    node = site.random.choice(site.nodes)
    await node.stop()
    await site.pause(0, 1)
    await node.start()


async def redis_killed(site: Site) -> None:
    for _ in range(2):
        site.server.kill()
        await site.pause(0, 2)
        await asyncio.to_thread(site.server.start)
        await site.pause(0.5, 1.5)


async def redis_stands_still(site: Site) -> None:
    site.server.pause()
    await asyncio.sleep(site.long)
    site.server.resume()


async def redis_full(site: Site) -> None:
    with site.server.client() as client:
        client.config_set("maxmemory", 1)
        await asyncio.sleep(site.long / 2)
        client.config_set("maxmemory", 0)


async def redis_without_scripts(site: Site) -> None:
    with site.server.client() as client:
        for _ in range(5):
            client.script_flush()
            await site.pause(0, 0.5)


async def connections_killed(site: Site) -> None:
    """Redis ends all connections to it, those of the bus too, again and again."""
    with site.server.client() as client:
        for _ in range(5):
            for kind in ("normal", "pubsub"):
                client.execute_command("CLIENT", "KILL", "TYPE", kind, "SKIPME", "yes")
            await site.pause(0, 1)


async def way_cut(site: Site) -> None:
    way = site.random.choice(site.ways)
    way.cut()
    await asyncio.sleep(site.long)
    way.mend()


async def way_swallows(site: Site) -> None:
    way = site.random.choice(site.ways)
    way.swallow()
    await asyncio.sleep(site.long)
    way.mend()


async def way_is_long(site: Site) -> None:
    way = site.random.choice(site.ways)
    way.delay = 0.2
    await asyncio.sleep(site.long)
    way.delay = 0.0


async def redis_comes_back_empty(site: Site) -> None:
    site.server.kill()
    await site.pause(0, 2)
    await asyncio.to_thread(site.server.start)


async def redis_emptied(site: Site) -> None:
    with site.server.client() as client:
        client.flushall()


async def fail_over(site: Site) -> None:
    await asyncio.to_thread(site.sentinel.fail_over)


async def master_killed(site: Site) -> None:
    await asyncio.to_thread(site.sentinel.kill_master)
    await site.pause(0, 1)
    await asyncio.to_thread(site.sentinel.restart_replica)


async def slots_move(site: Site) -> None:
    """The slots of rooms, users, leases and the bus get other owners, one after the other, twice."""
    names = Names(PREFIX)
    keys = [names.room(room, "log")[0] for room in EDITS]
    keys += [names.bus(channel) for channel in range(16)] + [names.cluster("leases")]
    with site.cluster.servers[0].client() as client:
        slots = sorted({int(client.execute_command("CLUSTER", "KEYSLOT", key)) for key in keys})
    for _ in range(2):
        for slot in slots:
            owner = site.cluster.owner(slot)
            target = site.random.choice([server for server in site.cluster.servers if server is not owner])
            await asyncio.to_thread(site.cluster.move, slot, target)
            await site.pause(0, 0.1)


def in_turn(*faults: Fault) -> Fault:
    """One fault after the other, in an order from the seed, and maybe before the last one is overcome."""

    async def all_of_them(site: Site) -> None:
        for fault in site.random.sample(faults, len(faults)):
            await fault(site)
            await site.pause(0, 1)

    return all_of_them


_LOSS = Allowance(loss=True)
_ABSENCE = Allowance(absence=True)

SCENARIOS = [
    Scenario("a gateway is killed", KEPT, gateway_killed),
    Scenario("a gateway stands still", KEPT, gateway_stands_still, _ABSENCE),
    Scenario("a gateway is stopped and started", KEPT, gateway_stops_and_starts),
    Scenario("Redis is killed", KEPT, redis_killed),
    Scenario("Redis stands still", KEPT, redis_stands_still),
    Scenario("Redis is full", KEPT, redis_full),
    Scenario("Redis forgets its scripts", KEPT, redis_without_scripts),
    Scenario("Redis ends all connections", KEPT, connections_killed),
    Scenario("the way to Redis is cut", KEPT, way_cut, _ABSENCE),
    Scenario("the way to Redis is a dead end", KEPT, way_swallows, _ABSENCE),
    Scenario("the way to Redis is long", KEPT, way_is_long),
    Scenario(
        "one fault after the other",
        KEPT,
        in_turn(gateway_killed, redis_killed, redis_without_scripts, way_swallows, connections_killed),
        _ABSENCE,
    ),
    Scenario("Redis comes back empty", FORGETFUL, redis_comes_back_empty, _LOSS),
    Scenario("Redis is emptied", FORGETFUL, redis_emptied, _LOSS),
    Scenario("a replica takes over, confirmed", REPLICATED, fail_over),
    Scenario("a replica takes over, unconfirmed", UNCONFIRMED, fail_over, _LOSS),
    Scenario("the master is killed, confirmed", REPLICATED, master_killed),
    Scenario("the master is killed, unconfirmed", UNCONFIRMED, master_killed, _LOSS),
    Scenario("a Cluster moves slots", SHARDED, slots_move),
]

#: The short form: several faults on one set-up, since most of the time goes by until gateways run. (Who is at a gateway
#: that is killed may be absent until the next fault is over.)
SHORT = [
    Scenario("killed", KEPT, in_turn(gateway_killed, redis_killed, redis_without_scripts, redis_full), _ABSENCE),
    Scenario("still", KEPT, in_turn(gateway_stands_still, redis_stands_still, way_swallows), _ABSENCE),
    Scenario("empty", FORGETFUL, redis_comes_back_empty, _LOSS),
    Scenario("confirmed", REPLICATED, master_killed),
    Scenario("unconfirmed", UNCONFIRMED, fail_over, _LOSS),
    Scenario("moving", SHARDED, slots_move),
]
