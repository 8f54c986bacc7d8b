"""Servers to keep account of people, and nodes of a cluster on them."""

from collections.abc import AsyncIterator, Iterator
from itertools import count

import pytest
from tests.redis_servers import VALKEY, Kind, RedisServer, start_cluster, start_server
from tests.unit.engines.people.node import Node, open_node

from fastcollab.config import EngineConfig

_prefixes = map("test-{}".format, count())


@pytest.fixture(scope="session", params=["valkey", "redis-6", "cluster"])
def url(request: pytest.FixtureRequest) -> Iterator[str]:
    """Of a server of each kind; a test may choose by `indirect`."""
    with start_cluster() if request.param == "cluster" else start_server(Kind(request.param)) as server:
        yield server.url


@pytest.fixture
def server() -> Iterator[RedisServer]:
    """One of the test's own, which keeps what it has when it is killed."""
    with start_server(VALKEY, "--appendonly", "yes", "--appendfsync", "always") as started:
        yield started


@pytest.fixture
def engine(url: str) -> EngineConfig:
    """An engine with nothing in it: what others have on the same server begins with another prefix."""
    return EngineConfig(url=url, prefix=next(_prefixes))


@pytest.fixture
async def node(engine: EngineConfig) -> AsyncIterator[Node]:
    async with open_node(engine) as opened:
        yield opened


@pytest.fixture
async def other_node(engine: EngineConfig) -> AsyncIterator[Node]:
    async with open_node(engine) as opened:
        yield opened


@pytest.fixture
def nodes(node: Node, other_node: Node) -> tuple[str, str]:
    return node.nodes.here, other_node.nodes.here
