"""Brings the gateway, the participants and the spectator together, and takes them apart again in order."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import math
import os
import secrets
import signal
from collections.abc import AsyncIterator
from random import Random
from typing import Any

import typer
from rich.console import Console
from rich.live import Live

from fastcollab import Config, Gateway
from fastcollab.client import CollaborativeClient, Room
from fastcollab.demo.meter import Meter
from fastcollab.demo.people import Persona, Simulated, personas
from fastcollab.demo.view import View
from fastcollab.tokens import sign_token

DEFAULT_PORT = 8080
PORTS_TRIED = 20
LEAST_HEIGHT = 16  # lines of a view
LINE_INTERVAL = 1.0  # seconds, without a view
FRAME_INTERVAL = 1 / 15
CONVERGENCE_TIMEOUT = 10.0
DAY = 86_400

_SPECTATOR = Persona("demo-spectator", "Spectator", "#ced4da")


class PortUnavailableError(Exception):
    """The gateway cannot have a port; the message says which one and why."""


class Stage:
    """The demonstration: ``count`` participants in ``room_id``, on ``port`` or the first free one from 8080 on."""

    def __init__(self, count: int, room_id: str, port: int | None) -> None:
        self.room_id = room_id
        self.people: list[Simulated] = []
        self._count = count
        self._port = port
        self._secret = secrets.token_urlsafe(32)
        self._gateway: Gateway | None = None
        self._spectator: CollaborativeClient | None = None

    @property
    def url(self) -> str:
        assert self._gateway is not None, "the stage is not open"
        return self._gateway.url

    @property
    def spectator(self) -> CollaborativeClient:
        assert self._spectator is not None, "the stage is not open"
        return self._spectator

    @property
    def room(self) -> Room:
        """The room as the spectator sees it."""
        return self.spectator.rooms[self.room_id]

    @property
    def clients(self) -> list[CollaborativeClient]:
        """All connections, the spectator's first."""
        return [self.spectator, *(person.client for person in self.people)]

    def token(self, persona: Persona) -> str:
        assert self._gateway is not None, "the stage is not open"
        config = self._gateway.config
        return sign_token(config, persona.user_id, name=persona.name, color=persona.color, ttl=DAY)

    @contextlib.asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """The gateway runs and all are in the room. Raises PortUnavailableError."""
        async with contextlib.AsyncExitStack() as running:
            self._gateway = await self._start_gateway()
            running.push_async_callback(self._gateway.stop)
            self._spectator = CollaborativeClient(self.url, self.token(_SPECTATOR))
            running.push_async_callback(self._spectator.disconnect)
            await self._spectator.connect()
            await self._spectator.join_room(self.room_id, "text")
            for number, persona in enumerate(personas(self._count)):
                client = CollaborativeClient(self.url, self.token(persona))
                running.push_async_callback(client.disconnect)
                self.people.append(Simulated(persona, client, Random(number)))
                await self.people[-1].enter(self.room_id)
            yield

    @contextlib.asynccontextmanager
    async def play(self) -> AsyncIterator[asyncio.Future[list[None]]]:
        """All of them move and every third one writes, until the block ends; gives the future that fails with them."""
        moving = [person.move() for person in self.people]
        writing = [person.write() for person in self.people[::3]]
        playing = asyncio.gather(*moving, *writing)
        try:
            yield playing
        finally:
            playing.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await playing

    async def converged(self) -> bool:
        """Whether all copies of the text are equal once everything is acknowledged."""
        rooms = [person.room for person in self.people]
        try:
            async with asyncio.timeout(CONVERGENCE_TIMEOUT):
                for room in rooms:
                    await room.saved()
                newest = max(room.document.version for room in rooms)
                while any(room.document.version < newest for room in [*rooms, self.room]):  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
        except TimeoutError:
            return False
        return len({room.text for room in [*rooms, self.room]}) == 1

    async def _start_gateway(self) -> Gateway:
        first = DEFAULT_PORT if self._port is None else self._port
        last = first + PORTS_TRIED if self._port is None else first
        while True:
            gateway = Gateway(
                Config(auth={"secret": self._secret}, server={"port": first}, engine={"url": "memory://"})
            )
            try:
                await gateway.start()
            except OSError as error:
                if error.errno != errno.EADDRINUSE or first == last:
                    reason = os.strerror(error.errno) if error.errno else str(error)
                    raise PortUnavailableError(f"cannot listen on port {first}: {reason}") from error
                first += 1
            else:
                return gateway


async def run(stage: Stage, seconds: float | None, with_view: bool) -> bool:
    """Plays until ``seconds`` have passed or a signal says so; returns whether the copies were equal at the end."""
    async with _stop_by_signal() as stop, stage.open():
        guest = stage.token(Persona("guest", "Guest", "#ffffff"))
        introduction = [f"gateway  {stage.url}", f"room     {stage.room_id}", f"token    {guest}"]
        for line in introduction:
            typer.echo(line)
        meter = Meter(stage.clients, stage.room)
        async with stage.play() as playing, asyncio.TaskGroup() as tasks:
            show = _show_view(stage, meter, introduction) if with_view else _print_lines(meter)
            shown = tasks.create_task(show)
            measured = tasks.create_task(meter.measure())
            stopped = asyncio.ensure_future(stop.wait())
            either: set[asyncio.Future[Any]] = {playing, stopped}
            await asyncio.wait(either, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
            for task in (shown, measured, stopped):
                task.cancel()
            if playing.done():
                playing.result()  # raises what went wrong
        converged = await stage.converged()
        document = stage.room.document
        verdict = "equal" if converged else "NOT equal"
        typer.echo(meter.summary())
        typer.echo(
            f"{len(stage.clients)} copies of the text are {verdict}: version {document.version}, "
            f"{len(stage.room.text)} characters"
        )
    return converged


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


async def _print_lines(meter: Meter) -> None:
    while True:
        await asyncio.sleep(LINE_INTERVAL)
        typer.echo(meter.line())


async def _show_view(stage: Stage, meter: Meter, introduction: list[str]) -> None:
    console = Console()
    lines_above = sum(math.ceil(len(line) / console.width) for line in introduction)
    view = View(stage.room, meter, stage.url, max(console.height - lines_above - 1, LEAST_HEIGHT))
    with Live(view, console=console, auto_refresh=False) as live:
        while True:
            live.refresh()
            await asyncio.sleep(FRAME_INTERVAL)
