"""Through how many nodes a user is connected, which each finds out now and then."""

from __future__ import annotations

import asyncio

import pytest
from tests.redis_servers import RedisServer
from tests.unit.engines.people.node import Node, eventually, open_node

from fastcollab.config import EngineConfig
from fastcollab.engines.redis import registry as module


async def test_a_node_learns_through_how_many_a_user_is_connected(
    node: Node, other_node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_SPREAD_KEPT", 0.05)
    for each, connection_id in ((node, "one"), (node, "two"), (other_node, "three")):
        await each.registry.register("ada", connection_id, 5)
    await node.registry.register("bob", "four", 5)
    await eventually(lambda: node.registry.spread("ada") == other_node.registry.spread("ada") == 2)
    await other_node.registry.unregister("ada", "three")
    await eventually(lambda: node.registry.spread("ada") == 1)
    assert node.registry.spread("bob") == other_node.registry.spread("ada") == 1


async def test_it_asks_now_and_then_and_not_with_each_message(node: Node) -> None:
    await node.registry.register("ada", "one", 5)
    called: list[str] = []
    node.servers.watch_calls(lambda lane, _seconds, _failed: called.append(lane))
    for _ in range(100):
        assert node.registry.spread("ada") == 1
        await asyncio.sleep(0)
    await eventually(lambda: bool(called))
    assert len(called) == 1


async def test_without_a_server_what_was_known_counts(server: RedisServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_SPREAD_KEPT", 0.0)
    engine = EngineConfig(url=server.url, timeout=0.2)
    async with open_node(engine) as node, open_node(engine) as other:
        for each, connection_id in ((node, "one"), (other, "two")):
            await each.registry.register("ada", connection_id, 5)
        await eventually(lambda: node.registry.spread("ada") == 2)
        server.kill()
        for _ in range(20):
            assert node.registry.spread("ada") == 2
            await asyncio.sleep(0.05)
        server.start()
        # Those who wait for it are none: that it failed is told to the log alone.
        await other.registry.unregister("ada", "two")
        await eventually(lambda: node.registry.spread("ada") == 1)
