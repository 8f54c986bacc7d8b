"""Gateways that share a Redis, in place of the single ones of ``tests/server``."""

from __future__ import annotations

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
    collector,
    end,
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
    "collector",
    "gateway",
    "make_token",
    "no_leaked_connections",
    "only_what_tests_make_is_looked_at",
    "pytest_asyncio_loop_factories",
    "receiver",
]

#: Tests of a single gateway that do not hold as they are where clients are spread, by why that is so.
NOT_SPREAD = {
    "a newcomer is told of cursors at other nodes after room_joined, not in it": {
        "test_who_joins_sees_what_each_is_doing_V1_R2",
    },
    "what two nodes send to one client comes in no certain order": {
        "test_a_batch_is_carried_out_in_order_each_with_its_answer_D1",
    },
    "the newest version is that of the gateway which takes the selection": {
        "test_a_selection_is_bound_to_the_newest_version_by_default_V5",
    },
    "the bound, the rate or the count is one of each gateway": {
        "test_a_full_gateway_is_unavailable_H6",
        "test_operations_and_messages_are_counted_apart_and_per_user_L1",
        "test_a_limit_in_shadow_mode_counts_and_does_not_refuse_L4",
        "test_the_number_of_connections_can_be_in_shadow_mode_H6_L4",
        "test_not_all_are_asked_for_at_once_S10",
        "test_a_revoked_token_ends_its_connections_at_once_S12",
        "test_a_revoked_user_may_log_in_again_S12",
    },
    "documents, or revocations, are in a file or in the test itself": {
        "test_who_is_revoked_while_a_room_opens_does_not_enter_it_S12",
        "test_a_restart_forgets_no_revocation_S12",
        "test_revocations_are_kept_for_as_long_as_they_are_needed_S12",
        "test_a_gateway_that_cannot_know_what_was_revoked_does_not_start",
        "test_the_gateway_is_replaced_by_another",
        "test_documents_are_not_altered_P6",
    },
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
def nodes() -> int:
    """How many gateways there are in the place of one."""
    return 2


@pytest.fixture
async def start_gateway(redis_server: RedisServer, nodes: int) -> AsyncIterator[Any]:
    """Starts gateways on one Redis, as many as there are nodes each time; afterwards nothing of them may be left."""
    sockets_before, tasks_before = open_sockets(), other_tasks()
    prefix = f"test-{secrets.token_hex(6)}"
    running: list[Gateway] = []

    async def start(overrides: dict[str, object] | None = None, **parts: Any) -> Spread:
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

    await end(running, sockets_before, tasks_before)
    for server in redis_server.masters:
        with contextlib.closing(server.client()) as client:
            left = [key for key in client.scan_iter(f"{prefix}:*") if b":conn" in key]
            assert not left, left
