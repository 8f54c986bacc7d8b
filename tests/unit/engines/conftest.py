"""A server for the tests of one module, and documents in it, which each test finds empty."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest
from tests.redis_servers import VALKEY, RedisServer, start_server

from fastcollab.config import EngineConfig
from fastcollab.engines.redis import RedisDocuments


@pytest.fixture(scope="module")
def server() -> Iterator[RedisServer]:
    with start_server(VALKEY) as server:
        yield server


@pytest.fixture
async def documents(server: RedisServer) -> AsyncIterator[RedisDocuments]:
    with server.client() as client:
        client.flushall()
    documents = await RedisDocuments.open(EngineConfig(url=server.url))
    yield documents
    await documents.close()
