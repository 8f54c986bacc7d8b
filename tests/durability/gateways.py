"""A gateway as a process of its own, which is killed and started again."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import jwt
from tests.redis_servers import free_port

SECRET = "a secret of the tests, and of nobody else"
SETTINGS = (
    "limits.operations=10000",
    "limits.messages=10000",
    "limits.connections_per_user=100",
    "documents.snapshot_operations=50",
)
PATIENCE = 60.0


def token_of(user: str) -> str:
    return jwt.encode({"sub": user, "exp": time.time() + 3600, "rooms": {"*": "write"}}, SECRET, "HS256")


class GatewayProcess:
    """`fastcollab serve`, always on the same engine and port; settings are written KEY=VALUE. What it logs is in the
    file, if there is one.
    """

    def __init__(self, engine: str, settings: Sequence[str] = SETTINGS, log: Path | None = None) -> None:
        self._engine = engine
        self._settings = settings
        self._log = log
        self.port = free_port()
        self._process: subprocess.Popen[str] | None = None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.kill()

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self.port}/ws"

    async def start(self) -> None:
        """Returns when connections are accepted; what is in the engine is not touched by hand."""
        arguments = ["--port", str(self.port), "--engine", self._engine]
        for setting in self._settings:
            arguments += ["--set", setting]
        variables = {name: value for name, value in os.environ.items() if not name.startswith("FASTCOLLAB_")}
        with self._log.open("a") if self._log else contextlib.nullcontext(subprocess.DEVNULL) as log:
            self._process = process = subprocess.Popen(
                [sys.executable, "-m", "fastcollab", "serve", *arguments],
                env=variables | {"FASTCOLLAB_AUTH__SECRET": SECRET},
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        assert process.stdout is not None
        line = await asyncio.to_thread(process.stdout.readline)
        assert "accepts connections on" in line, f"the gateway has not started: {line!r}"

    def tell(self, number: signal.Signals) -> None:
        """Sends it the signal."""
        assert self._process is not None
        self._process.send_signal(number)

    async def kill(self) -> None:
        """Kill -9: the process has no say in it."""
        self.tell(signal.SIGKILL)
        await self.ended()

    async def stop(self) -> int:
        """Asks it to end, and returns when it has, with what."""
        self.tell(signal.SIGTERM)
        return await self.ended()

    async def ended(self) -> int:
        """Returns when it has ended, with what; it may be started again."""
        assert self._process is not None
        await asyncio.to_thread(self._process.communicate)
        return self._process.returncode
