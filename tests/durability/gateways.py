"""A gateway as a process of its own, on a SQLite file, which is killed and started again."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Self

import jwt

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
    """`fastcollab serve`, always on the same file and port."""

    def __init__(self, path: Path) -> None:
        self._path = path
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self._port: int = probe.getsockname()[1]
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
        return f"ws://127.0.0.1:{self._port}/ws"

    async def start(self) -> None:
        """Returns when connections are accepted; what is in the file is not touched by hand."""
        arguments = ["--port", str(self._port), "--engine", f"sqlite:{self._path}"]
        for setting in SETTINGS:
            arguments += ["--set", setting]
        variables = {name: value for name, value in os.environ.items() if not name.startswith("FASTCOLLAB_")}
        self._process = process = subprocess.Popen(
            [sys.executable, "-m", "fastcollab", "serve", *arguments],
            env=variables | {"FASTCOLLAB_AUTH__SECRET": SECRET},
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert process.stdout is not None
        line = await asyncio.to_thread(process.stdout.readline)
        assert "accepts connections on" in line, f"the gateway has not started: {line!r}"

    async def kill(self) -> None:
        """Kill -9: the process has no say in it."""
        assert self._process is not None
        self._process.kill()
        await asyncio.to_thread(self._process.communicate)
