"""The contracts of what is shared among nodes, on each kind of server."""

import asyncio
import time
from functools import partial
from pathlib import Path

import pytest
from tests.unit.engines.people.node import Node, open_node

from fastcollab.config import EngineConfig
from fastcollab.engines.redis.registry import RedisRegistry
from fastcollab.engines.redis.rosters import RedisRosters
from fastcollab.ports import Revocations
from fastcollab.testing import RevocationsContract, RostersContract, SharedRegistryContract
from fastcollab.testing.revocations import Close


class TestRegistry(SharedRegistryContract):
    @pytest.fixture
    def registry(self, node: Node) -> RedisRegistry:
        return node.registry

    @pytest.fixture
    def other(self, other_node: Node) -> RedisRegistry:
        return other_node.registry


class TestRosters(RostersContract):
    @pytest.fixture
    def here(self, node: Node) -> RedisRosters:
        return node.rosters

    @pytest.fixture
    def there(self, other_node: Node) -> RedisRosters:
        return other_node.rosters


class TestRevocations(RevocationsContract):
    @pytest.fixture(autouse=True)
    def _keep(self, engine: EngineConfig) -> None:
        self._engine = engine

    async def open_revocations(self, directory: Path) -> tuple[Revocations, Close]:
        node = open_node(self._engine)
        return (await node.__aenter__()).revocations, partial(node.__aexit__, None, None, None)

    async def pass_by(self, revocations: Revocations, moment: int) -> None:
        while (now := time.time_ns() // 1_000_000) <= moment:  # noqa: ASYNC110
            await asyncio.sleep((moment + 1 - now) / 1_000)
        await revocations.forget(now)
