"""How fast the cursors of others are while something is done to the gateway, beside how fast they were before.

Two rooms of ten move their cursors 60 times a second, from a process of their own (:mod:`tests.attacks.bystanders`).
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from collections.abc import Callable, Coroutine
from typing import Any, NamedTuple

from tests.attacks.bystanders import FIRST_USER, MEMBERS, ROOMS
from tests.server.gateway_process import PATIENCE, environment

#: Below one interval of the fan-out a latency says how busy the machine is with the tests.
INTERVAL_MS = 16.67


class Latencies(NamedTuple):
    """The 99th percentiles in ms, and how much has gone wrong with what the bystanders were to receive."""

    quiet: float
    during: float
    faults: int

    @property
    def unnoticed(self) -> bool:
        # None at all is 0.
        return 0 < self.during <= max(2 * self.quiet, INTERVAL_MS)


async def quiet_and_during(
    url: str, make_token: Callable[[str], str], deed: Callable[[], Coroutine[Any, Any, None]], seconds: float = 1.0
) -> Latencies:
    """Measures for so many seconds, and as long again while `deed` is done over and over, as often as it ends."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.attacks.bystanders", url, str(seconds), str(seconds)),
        env=environment(),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        for index in range(ROOMS * MEMBERS):
            process.stdin.write(make_token(str(FIRST_USER + index)).encode() + b"\n")
        async with asyncio.timeout(PATIENCE + 2 * seconds):
            assert await process.stdout.readline() == b"quiet\n"
            doing = asyncio.create_task(_over_and_over(deed))
            try:
                figures = json.loads(await process.stdout.readline())
            finally:
                doing.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await doing  # what went wrong in it is raised here
        return Latencies(figures["quiet"], figures["during"], figures["faults"])
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def _over_and_over(deed: Callable[[], Coroutine[Any, Any, None]]) -> None:
    while True:
        await deed()
        await asyncio.sleep(0)
