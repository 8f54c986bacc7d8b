"""Three nodes on other servers than the one of tests/cluster: the oldest Redis, the system's own where there is one,
Sentinel and Cluster. `CLUSTER_KINDS` names those that are to be tried.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest
from tests.redis_servers import REDIS_6, REDIS_7, RedisSentinel, start_cluster, start_server

KINDS = {
    "redis-6": lambda: start_server(REDIS_6),
    "redis-7": lambda: start_server(REDIS_7),
    "sentinel": RedisSentinel,
    "cluster": start_cluster,
}
CHOSEN = os.environ.get("CLUSTER_KINDS", "redis-6,cluster").split(",")


@pytest.fixture
def nodes() -> int:
    return 3


@pytest.fixture(scope="package", params=CHOSEN)
def redis_server(request: pytest.FixtureRequest) -> Iterator[Any]:
    if request.param == "redis-7" and REDIS_7.program is None:
        pytest.skip("there is no redis-server of the system")
    with KINDS[request.param]() as servers:
        yield servers
