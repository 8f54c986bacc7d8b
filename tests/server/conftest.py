"""Gateways that really run, and the proof that each test left nothing behind."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import jwt
import pytest
import uvloop
from tests.server.clients import Clients
from tests.server.collector import Collector
from tests.server.receiver import Receiver

from fastcollab import Config, Gateway

SECRET = "a secret of the tests, and of nobody else"

#: Rates that no test reaches by accident.
GENEROUS = {"limits.operations": 10_000, "limits.messages": 10_000, "limits.connections_per_user": 100}

StartGateway = Callable[..., Awaitable[Gateway]]
MakeToken = Callable[..., str]


def pytest_asyncio_loop_factories(config: object, item: object) -> dict[str, Any]:
    """The event loop that the command line runs gateways on."""
    return {"uvloop": uvloop.new_event_loop}


@pytest.fixture
def make_token() -> MakeToken:
    """A token for a user, with more claims by keyword; `secret=` signs it with another key."""

    def make(user: str, *, secret: str = SECRET, ttl: float = 3600, **claims: Any) -> str:
        return jwt.encode({"sub": user, "exp": time.time() + ttl, **claims}, secret, "HS256")

    return make


def other_tasks() -> set[asyncio.Task[Any]]:
    """The tasks of the event loop but the one that asks."""
    return asyncio.all_tasks() - {asyncio.current_task()}


def open_sockets() -> int:
    """How many sockets this process has open."""
    count = 0
    for link in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # the listing's own descriptor
            count += link.readlink().name.startswith("socket:")
    return count


async def end(running: list[Gateway], sockets_before: int, tasks_before: set[asyncio.Task[Any]]) -> None:
    """Stops the gateways, and sees to it that nothing of them is left."""
    for gateway in running:
        await gateway.stop()
        assert gateway.connection_count == 0
        assert gateway.room_count == 0

    running.clear()
    for _ in range(200):
        if open_sockets() <= sockets_before and other_tasks() <= tasks_before:
            break
        await asyncio.sleep(0.01)
    assert other_tasks() <= tasks_before
    assert open_sockets() <= sockets_before


@pytest.fixture
async def start_gateway() -> AsyncIterator[StartGateway]:
    """Starts gateways on free ports, with settings by dotted key and parts of the test's own; afterwards nothing of
    them may be left.
    """
    sockets_before = open_sockets()
    tasks_before = other_tasks()
    running: list[Gateway] = []

    async def start(overrides: dict[str, object] | None = None, **parts: Any) -> Gateway:
        config = Config.load(
            None,
            {
                "auth.secret": SECRET,
                "server.port": 0,
                "server.shutdown_timeout": 2,
                "engine.url": "memory://",
                "rooms.default_document_type": "text",
                "limits.connection_rate": 0,  # all tests come from one address
                **(overrides or {}),
            },
        )
        gateway = Gateway(config, **parts)
        await gateway.start()
        running.append(gateway)
        return gateway

    yield start

    await end(running, sockets_before, tasks_before)


@pytest.fixture
async def gateway(start_gateway: StartGateway) -> Gateway:
    """A running gateway whose rate limits no test reaches by accident."""
    return await start_gateway(dict(GENEROUS))


@pytest.fixture
async def clients(start_gateway: StartGateway, make_token: MakeToken) -> AsyncIterator[Clients]:
    """Clients written from the specification, which leave before the gateway stops."""
    async with Clients(make_token) as clients:
        yield clients


@pytest.fixture(scope="session", autouse=True)
def only_what_tests_make_is_looked_at() -> None:
    """All modules are loaded by now: what they hold need not be walked through after every test."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def no_leaked_connections(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """No connection or session may survive its gateway."""
    yield
    if os.environ.get("FASTCOLLAB_SANITIZE"):
        return
    for record in caplog.get_records("call"):
        record.exc_info = None  # whose frames have what they were about
    gc.collect()
    from fastcollab.core.room import Room
    from fastcollab.core.session import Session

    alive = [found for found in gc.get_objects() if type(found) in (Room, Session)]
    assert not alive, f"{len(alive)} sessions and rooms are still alive"


@pytest.fixture
async def receiver(start_gateway: StartGateway) -> AsyncIterator[Receiver]:
    """A back end over HTTP, which outlives the gateways that ask it."""
    receiver = Receiver()
    await receiver.start()
    yield receiver
    await receiver.stop()


@pytest.fixture
async def collector(start_gateway: StartGateway, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Collector]:
    """A collector of traces, to which the environment points those who make spans."""
    collector = Collector()
    await collector.start()
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "20")
    yield collector
    await collector.stop()
