"""Gateways that share a Redis, in place of the single ones of ``tests/server``."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from tests.cluster.spread import Spread
from tests.redis_servers import VALKEY, RedisServer, start_server
from tests.server.conftest import (  # the fixtures are used by their names
    SECRET,
    clients,
    gateway,
    make_token,
    no_leaked_connections,
    only_what_tests_make_is_looked_at,
    open_sockets,
    other_tasks,
    pytest_asyncio_loop_factories,
    receiver,
)

from fastcollab import Config, Gateway

__all__ = [
    "clients",
    "gateway",
    "make_token",
    "no_leaked_connections",
    "only_what_tests_make_is_looked_at",
    "pytest_asyncio_loop_factories",
    "receiver",
]

NODES = 2

#: Tests of a single gateway that do not hold as they are where clients are spread, by why that is so.
NOT_SPREAD = {
    "a newcomer is told of cursors at other nodes after room_joined, not in it": {
        "test_who_joins_sees_what_each_is_doing_V1_R2",
        "test_good_frames_B1",
    },
    "what two nodes send to one client comes in no certain order": {
        "test_an_update_carries_only_what_changed_V1",
        "test_fields_that_wait_are_sent_together_V1_V3",
        "test_a_batch_is_carried_out_in_order_each_with_its_answer_D1",
        "test_selections_status_and_data",
        "test_the_greatest_sizes_pass_and_one_more_does_not_V4",
        "test_the_size_of_presence_data_is_configured_V4",
    },
    "the newest version is that of the gateway which takes the selection": {
        "test_a_selection_is_bound_to_the_newest_version_by_default_V5",
    },
    "selections come more often than they should: open": {
        "test_each_kind_is_relayed_at_once_and_then_once_per_interval_V3",
    },
    "the bound is one of each gateway": {"test_a_full_gateway_is_unavailable_H6"},
}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        for reason, names in NOT_SPREAD.items():
            if "tests/cluster" in item.path.as_posix() and getattr(item, "originalname", "") in names:
                item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture(scope="session")
def redis_server() -> Iterator[RedisServer]:
    """A Valkey that all tests share, each with a prefix of its own."""
    with start_server(VALKEY) as server:
        yield server


@pytest.fixture
async def start_gateway(redis_server: RedisServer) -> AsyncIterator[Any]:
    """Starts gateways on one Redis, as many as there are nodes each time; afterwards nothing of them may be left."""
    sockets_before, tasks_before = open_sockets(), other_tasks()
    prefix = f"test-{secrets.token_hex(6)}"
    running: list[Gateway] = []

    async def start(overrides: dict[str, object] | None = None, nodes: int = NODES, **parts: Any) -> Spread:
        settings: dict[str, object] = {
            "auth.secret": SECRET,
            "server.port": 0,
            "server.shutdown_timeout": 2,
            "engine.url": redis_server.url,
            "engine.prefix": prefix,
            "rooms.default_document_type": "text",
            "limits.connection_rate": 0,  # all tests come from one address
            **(overrides or {}),
        }
        gateways = []
        for _ in range(nodes):
            started = Gateway(Config.load(None, settings), **parts)
            await started.start()
            running.append(started)
            gateways.append(started)
        return Spread(gateways)

    yield start

    await asyncio.gather(*(each.stop() for each in running))
    for each in running:
        assert each.connection_count == 0
        assert each.room_count == 0
    running.clear()
    for _ in range(200):
        if open_sockets() <= sockets_before and other_tasks() <= tasks_before:
            break
        await asyncio.sleep(0.01)
    assert other_tasks() <= tasks_before
    assert open_sockets() <= sockets_before
    with contextlib.closing(redis_server.client()) as client:
        left = [key for key in client.scan_iter(f"{prefix}:*") if b":conn" in key]
        assert not left, left
