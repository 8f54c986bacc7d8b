"""Two workers of one ``serve``, as processes, with the admin API."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple

from tests.server.admin_client import KEY
from tests.server.gateway_process import GatewayProcess, assignments, children, serving_with

SETTINGS = assignments(
    f'ops.api_keys=["tests:{KEY}"]',
    "limits.operations=10000",
    "limits.connections_per_user=100",
    "server.shutdown_timeout=2",
)


class Served(NamedTuple):
    """The supervisor with its workers, and where it is asked."""

    gateway: GatewayProcess
    operations_url: str

    def sockets(self) -> Path:
        """The directory in which the workers' APIs are."""
        [worker, _] = [line for line in children(self.gateway.pid).values() if "fastcollab.serving.worker" in line]
        return Path(worker.split()[-1]).parent


@asynccontextmanager
async def workers_with_api() -> AsyncIterator[Served]:
    """Runs them; at the end nothing may have been complained of."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    arguments = ("--engine", "memory://", "--workers", "2", "--ops-port", str(port), *SETTINGS)
    async with serving_with(*arguments) as gateway:
        place = Served(gateway, f"http://127.0.0.1:{port}")
        yield place
        if gateway.is_running:
            assert await gateway.end() == 0
        assert await gateway.output() == ""
