"""The admin API does what its description says, whatever it is asked: schemathesis asks it. `make api` asks more."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

from tests.server.admin_client import KEY, WITH_API
from tests.server.clients import Clients
from tests.server.conftest import StartGateway

#: How much is asked of each endpoint.
EXAMPLES = int(os.environ.get("API_EXAMPLES", "3"))
PHASES = os.environ.get("API_PHASES", "coverage,fuzzing")

#: That a request is as it is described does not mean that it can be carried out.
SETTINGS = """
[checks.positive_data_acceptance]
expected-statuses = ["2xx", "404", "409", "422"]
"""


async def test_the_api_is_as_it_is_described(start_gateway: StartGateway, clients: Clients, tmp_path: Path) -> None:
    gateway = await start_gateway(WITH_API)
    await clients.raw(gateway, "ada", "0")  # it is told of more than it can have expected
    (tmp_path / "schemathesis.toml").write_text(SETTINGS)
    process = await asyncio.create_subprocess_exec(
        *(Path(sys.executable).with_name("schemathesis"), "run", f"{gateway.operations_url}/api/v1/openapi.json"),
        *("--header", f"Authorization: Bearer {KEY}", "--phases", PHASES, "--max-examples", str(EXAMPLES)),
        *("--no-color", "--suppress-health-check", "all"),
        # What it has found is told again, unless it is to look for more.
        *(("--seed", "1", "--generation-deterministic") if EXAMPLES <= 3 else ()),
        cwd=tmp_path,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    told, _ = await process.communicate()
    print(told.decode())
    assert process.returncode == 0, told.decode()
