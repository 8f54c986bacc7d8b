"""Brings gateways, page and simulated participants together, and takes them apart again in order."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import secrets
import signal
import socket
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

from fastcollab import Config, Gateway
from fastcollab.client import CollaborativeClient
from fastcollab.demo.content import first_content
from fastcollab.demo.crowd import Crowd
from fastcollab.demo.people import Persona, persona
from fastcollab.demo.site import BUILT, Site, origins
from fastcollab.tokens import sign_token

HOST = "127.0.0.1"
DEFAULT_PORT = 8080
PORTS_TRIED = 20
DAY = 86_400


class StageError(Exception):
    """The demonstration cannot begin; the message says why."""


class Stage:
    """The demonstration with `count` simulated participants, its page on `port`, or the first free one from 8080 on.

    `engine` is where documents live. More than one of the `gateways` need one that they can share.
    """

    def __init__(self, count: int, port: int | None, engine: str, gateways: int, web_folder: Path = BUILT) -> None:
        self._count = count
        self._port = port
        self._web = web_folder
        self._number = gateways
        self._settings: dict[str, dict[str, Any]] = {
            "auth": {"secret": secrets.token_urlsafe(32)},
            "server": {"host": HOST, "port": 0},
            "engine": {"url": engine},
        }

    @contextlib.asynccontextmanager
    async def open(self) -> AsyncIterator[tuple[str, Crowd]]:
        """All of it runs; gives the address of the page, and the crowd. Raises StageError, or what a gateway raises."""
        if not (self._web / "index.html").is_file():
            raise StageError("the dashboard is not built: run `make demo`")
        async with contextlib.AsyncExitStack() as running:
            listening = running.enter_context(self._listen())
            config = Config(**self._settings, client={"allowed_origins": origins(listening)})
            if self._number > 1 and config.engine.redis is None:
                raise StageError(f"{self._number} gateways share what is in a Redis: give its address as --engine")

            def token(visitor: Persona) -> str:
                return sign_token(config, visitor.user_id, name=visitor.name, color=visitor.color, ttl=DAY)

            urls: list[str] = []
            for _ in range(self._number):
                gateway = await running.enter_async_context(Gateway(config, load_document=first_content))
                urls.append(gateway.url)
            crowd = Crowd(lambda number: CollaborativeClient(urls[number % len(urls)], token(persona(number))))
            running.push_async_callback(crowd.resize, 0)
            site = Site(self._web, listening, urls, token, crowd)
            await site.start()
            running.push_async_callback(site.close)
            await crowd.resize(self._count)
            yield origins(listening)[0], crowd

    def _listen(self) -> socket.socket:
        first = DEFAULT_PORT if self._port is None else self._port
        last = first + PORTS_TRIED if self._port is None else first
        while True:
            try:
                return socket.create_server((HOST, first))
            except OSError as error:
                if error.errno != errno.EADDRINUSE or first == last:
                    reason = os.strerror(error.errno) if error.errno else str(error)
                    raise StageError(f"cannot listen on port {first}: {reason}") from error
                first += 1


async def run(stage: Stage, seconds: float | None, ready: Callable[[str], None]) -> None:
    """Plays until ``seconds`` have passed or a signal says so; `ready` is told the address of the page."""
    async with _stop_by_signal() as stop, stage.open() as (url, crowd):
        ready(url)
        stopped = asyncio.create_task(stop.wait())
        watched = asyncio.create_task(crowd.watch())
        either: set[asyncio.Task[Any]] = {stopped, watched}
        await asyncio.wait(either, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        for task in either:
            task.cancel()
        if watched.done():
            watched.result()  # raises what went wrong


@contextlib.asynccontextmanager
async def _stop_by_signal() -> AsyncIterator[asyncio.Event]:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    try:
        yield stop
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)
