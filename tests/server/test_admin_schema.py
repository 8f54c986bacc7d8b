"""The admin API does what its description says, whatever it is asked: schemathesis asks that of one gateway, and that
of several workers. `make api` asks more.
"""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

import pytest
from tests.server.admin_client import KEY, WITH_API
from tests.server.clients import Clients
from tests.server.conftest import StartGateway
from tests.server.workers_api import workers_with_api

from fastcollab.server.admin import keys

#: How much is asked of each endpoint.
EXAMPLES = int(os.environ.get("API_EXAMPLES", "3"))
PHASES = os.environ.get("API_PHASES", "coverage,fuzzing")

#: That a request is as it is described does not mean that it can be carried out.
SETTINGS = """
[checks.positive_data_acceptance]
expected-statuses = ["2xx", "404", "409", "422"]
"""


async def holds(operations_url: str | None, folder: Path, *options: str) -> None:
    (folder / "schemathesis.toml").write_text(SETTINGS)
    process = await asyncio.create_subprocess_exec(
        *(Path(sys.executable).with_name("schemathesis"), "run", f"{operations_url}/api/v1/openapi.json"),
        *("--header", f"Authorization: Bearer {KEY}", "--phases", PHASES, "--max-examples", str(EXAMPLES)),
        *("--no-color", "--suppress-health-check", "all", *options),
        # What it has found is told again, unless it is to look for more.
        *(("--seed", "1", "--generation-deterministic") if EXAMPLES <= 3 else ()),
        cwd=folder,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    told, _ = await process.communicate()
    print(told.decode())
    assert process.returncode == 0, told.decode()


async def test_the_api_is_as_it_is_described(
    start_gateway: StartGateway, clients: Clients, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # It leaves out the key more often than anybody may who is to be told that.
    monkeypatch.setattr(keys, "_BURST", 1000.0)
    gateway = await start_gateway(WITH_API)
    await clients.raw(gateway, "ada", "0")  # it is told of more than it can have expected
    await holds(gateway.operations_url, tmp_path)


async def test_the_api_of_workers_is_as_it_is_described(clients: Clients, tmp_path: Path) -> None:
    async with workers_with_api() as place:
        await clients.raw(place.gateway, "ada", "0")
        # Keys are asked for by the same code.
        options = ["--exclude-checks", "ignored_auth,missing_required_header"]
        await holds(place.operations_url, tmp_path, *options)
