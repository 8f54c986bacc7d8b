"""Who lives and who does not: leases, burials, and a server that stands still."""

import asyncio
import time
from contextlib import AsyncExitStack

import pytest
from tests.unit.engines.people.node import Node, keys, open_node

from fastcollab.config import EngineConfig
from fastcollab.core.roster import Person
from fastcollab.errors import ConnectionLimit
from fastcollab.ports import NodeInfo, TakenUp

#: Seconds. Nodes beat three times in a lease.
LEASE = 0.3


def person(user_id: str) -> Person:
    return Person(user_id, 7, user_id.title(), "#1565c0")


async def live(*nodes: Node, seconds: float = 3 * LEASE) -> tuple[Node, str] | None:
    """Has the nodes beat until one is told of somebody dead, but no longer than this; who was told, and of whom."""
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        for node in nodes:
            for dead in (await node.nodes.beat()).dead:
                return node, dead
        await asyncio.sleep(LEASE / 3)
    return None


async def death(of: Node, *nodes: Node) -> Node:
    """Has the others beat until one, which is returned, is told of the death of this node."""
    told = await live(*nodes)
    assert told is not None
    assert told[1] == of.nodes.here
    return told[0]


async def taking_part(node: Node, room_id: str = "plans") -> dict[str, frozenset[str]]:
    """Who takes part, and through which nodes, but for who looks."""
    await node.rosters.enter(room_id, person("looker"), 100)
    found = (await node.rosters.enter(room_id, person("looker"), 100)).entries
    await node.rosters.leave(room_id, "looker")
    return {entry.person.user_id: entry.nodes for entry in found if entry.person.user_id != "looker"}


@pytest.fixture
async def three(engine: EngineConfig):
    async with AsyncExitStack() as stack:
        yield [await stack.enter_async_context(open_node(engine, lease=LEASE)) for _ in range(3)]


async def test_nodes_that_beat_live(three: list[Node]) -> None:
    first, second, third = three
    assert await first.nodes.beat() == ({first.nodes.here}, True, [], False)
    await second.nodes.beat()
    await third.nodes.beat()
    assert not await live(*three, seconds=2 * LEASE)
    everyone = {node.nodes.here for node in three}
    assert len(everyone) == 3
    for node in three:
        assert await node.nodes.beat() == (everyone, True, [], True)


async def test_a_node_that_does_not_beat_is_dead_for_one_to_bury(three: list[Node]) -> None:
    first, second, third = three
    for node in three:
        await node.nodes.beat()
        await node.registry.register("ada", node.nodes.here, 5)
        await node.registry.enter("ada", node.nodes.here, "plans", 5)
        await node.rosters.enter("plans", person("ada"), 5)
        await node.rosters.enter(f"own room of {node.nodes.here}", person("ada"), 5)
    await third.rosters.enter("plans", person("bob"), 5)
    await third.rosters.show("plans", "bob", {"status": "here"})
    undertaker = await death(third, first, second)
    beat = await second.nodes.beat()
    assert beat.alive == {first.nodes.here, second.nodes.here}

    for _ in range(2):
        await undertaker.nodes.bury(third.nodes.here)
    left = {first.nodes.here, second.nodes.here}
    assert await taking_part(first) == {"ada": left}
    assert not await taking_part(first, f"own room of {third.nodes.here}")
    assert await second.registry.take_up("ada", third.nodes.here) == TakenUp(False)
    await first.registry.register("ada", "another", 3)
    with pytest.raises(ConnectionLimit):
        await first.registry.register("ada", "one too many", 3)
    assert await second.registry.take_up("ada", first.nodes.here) == TakenUp(True, first.nodes.here)
    assert not [key for key in await keys(first) if third.nodes.here.encode() in key]
    # And when it goes on, it knows.
    assert [(await third.nodes.beat()).held for _ in range(2)] == [False, True]


@pytest.mark.parametrize("url", ["valkey"], indirect=True)
async def test_who_was_to_bury_and_died_is_replaced(three: list[Node]) -> None:
    first, second, third = three
    for node in three:
        await node.nodes.beat()
    await death(third, first, second)
    # It has not been buried, and for a while this is left to whoever was told.
    assert not await live(first, second, seconds=0.6 * LEASE)
    undertaker = await death(third, first, second)
    await undertaker.nodes.bury(third.nodes.here)
    assert not await live(first, second, seconds=1.5 * LEASE)


@pytest.mark.parametrize("url", ["valkey"], indirect=True)
async def test_what_a_node_enters_that_has_come_to_life_again_is_not_buried_with_it(three: list[Node]) -> None:
    first, _, third = three
    await first.nodes.beat()
    await third.nodes.beat()
    for user_id in ("ada", "bob"):
        await third.registry.register(user_id, f"of {user_id}", 5)
        await third.rosters.enter("plans", person(user_id), 5)
    await death(third, first)
    # What it does before it knows comes under its earlier name.
    await third.rosters.enter("late", person("ada"), 5)
    beat = await third.nodes.beat()
    assert (beat.alive, beat.held) == ({first.nodes.here, third.nodes.here}, False)
    await third.rosters.declare("plans", [person("ada")])
    await third.registry.restore()
    await first.nodes.bury(third.nodes.here)
    assert await taking_part(first) == {"ada": {third.nodes.here}}
    for user_id in ("ada", "bob"):
        with pytest.raises(ConnectionLimit):
            await first.registry.register(user_id, "another", 1)
    # What it may still have written under its earlier name is buried too, a lease later.
    undertaker = await death(third, first, third)
    await undertaker.nodes.bury(third.nodes.here)
    assert not await taking_part(first, "late")
    assert not await live(first, third, seconds=1.5 * LEASE)


@pytest.mark.parametrize("url", ["valkey"], indirect=True)
async def test_who_retires_is_dead_when_it_said(three: list[Node]) -> None:
    first, second, third = three
    for node in three:
        await node.nodes.beat()
    await second.nodes.retire(0)
    await third.nodes.retire(2 * LEASE)
    assert (await first.nodes.beat()).dead == [second.nodes.here]
    await first.nodes.bury(second.nodes.here)
    assert not await live(first, seconds=1.3 * LEASE)
    await death(third, first)


def info(node: Node, rooms: int = 0) -> NodeInfo:
    return NodeInfo(node.nodes.here, "1.0", 1_700_000_000_000, 3, 2, rooms, ["the bus is silent"])


async def test_nodes_know_what_those_that_live_tell_of_themselves(three: list[Node]) -> None:
    first, second, third = three
    for node in three:
        await node.nodes.beat()
        await node.nodes.tell(info(node))
    await second.nodes.tell(info(second, rooms=5))
    told = {each.node: each for each in await first.nodes.told()}
    assert told == {node.nodes.here: info(node, rooms=5 if node is second else 0) for node in three}
    await third.nodes.retire(60)
    assert {each.node for each in await first.nodes.told()} == {first.nodes.here, second.nodes.here}
    # One that is killed is told of no more when it is dead, and nothing of it is kept when it is buried.
    burying = await death(second, first)
    await burying.nodes.bury(second.nodes.here)
    assert await first.nodes.told() == [info(first)]
    key = first.servers.names.cluster("nodes")
    assert await first.servers.call(key, "HKEYS", key) == [first.nodes.here.encode()]
