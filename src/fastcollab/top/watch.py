"""Watching: gateways are asked again and again, keys are read, and the picture is drawn anew when either has news."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import termios
import time
import tty
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress

import aiohttp
from rich.console import Console, RenderableType
from rich.live import Live
from rich.segment import SegmentLines

from fastcollab.top.picture import draw, legend
from fastcollab.top.scene import Album, Scene
from fastcollab.top.source import Answer, Source, Unanswered, open_http
from fastcollab.top.view import View

#: What terminals send for keys that have no character.
_SEQUENCES = {b"\x1b[C": "right", b"\x1bOC": "right", b"\x1b[D": "left", b"\x1bOD": "left"}


class Fleet:
    """The gateways that are asked, at once."""

    def __init__(self, http: aiohttp.ClientSession, urls: Sequence[str]) -> None:
        self._sources = [Source(http, url) for url in urls]
        self.album = Album()

    async def look(self) -> tuple[Scene, list[Unanswered]]:
        """What goes on now, and who has not answered."""
        results = await asyncio.gather(*map(_asked, self._sources))
        by_url = {source.url: result for source, result in zip(self._sources, results, strict=True)}
        scene = self.album.take(by_url, time.time())
        return scene, [result for result in results if isinstance(result, Unanswered)]

    async def first_look(self) -> tuple[Scene, list[Unanswered]]:
        """As :meth:`look`. Raises :class:`Unanswered` if nobody has answered, or somebody never will."""
        scene, failures = await self.look()
        for failure in failures:
            if failure.final or len(failures) == len(self._sources):
                raise failure
        return scene, failures


async def _asked(source: Source) -> Answer | Unanswered:
    try:
        return await source.ask()
    except Unanswered as error:
        return error


async def print_once(urls: Sequence[str], key: str, console: Console) -> None:
    """Prints one picture. Raises :class:`Unanswered` if somebody has not answered, after the picture of the others."""
    async with open_http(key) as http:
        fleet = Fleet(http, urls)
        scene, failures = await fleet.first_look()
    console.print(draw(scene, View(), fleet.album.trends, console.width))
    if failures:
        raise failures[0]


async def watch(urls: Sequence[str], key: str, interval: float, console: Console) -> None:
    """Draws until q is pressed, asking every `interval` seconds. Raises :class:`Unanswered` as
    :meth:`Fleet.first_look`; who does not answer later is asked again.
    """
    async with open_http(key) as http:
        fleet = Fleet(http, urls)
        scene, _ = await fleet.first_look()
        await Watch(fleet, scene, console).go_on(interval)


class Watch:
    """One who watches: the newest scene, and the view of it."""

    def __init__(self, fleet: Fleet, scene: Scene, console: Console) -> None:
        self._fleet = fleet
        self._scene = scene
        self._console = console
        self._view = View()
        self._news = asyncio.Event()

    async def go_on(self, interval: float) -> None:
        asking = asyncio.create_task(self._ask(interval))
        asking.add_done_callback(lambda _: self._news.set())
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGWINCH, self._news.set)
        try:
            with (
                _keys(self._press),
                Live(console=self._console, screen=True, auto_refresh=False, vertical_overflow="crop") as live,
            ):
                while not (self._view.over or asking.done()):
                    live.update(self._picture(), refresh=True)
                    await self._news.wait()
                    self._news.clear()
        finally:
            loop.remove_signal_handler(signal.SIGWINCH)
            asking.cancel()
            with suppress(asyncio.CancelledError):
                await asking

    async def _ask(self, interval: float) -> None:
        while True:
            await asyncio.sleep(interval)
            scene, _ = await self._fleet.look()
            if not self._view.paused:
                self._scene = scene
                self._news.set()

    def _press(self, key: str) -> None:
        self._view = self._view.press(key)
        self._news.set()

    def _picture(self) -> RenderableType:
        width, height = self._console.size
        picture = draw(self._scene, self._view, self._fleet.album.trends, width, height - 1)
        lines = self._console.render_lines(picture)
        del lines[height - 1 :]
        lines += [[] for _ in range(height - 1 - len(lines))]
        return SegmentLines([*lines, *self._console.render_lines(legend(self._view, width))], new_lines=True)


@contextmanager
def _keys(pressed: Callable[[str], None]) -> Iterator[None]:
    """Has `pressed` called with each key, by its character or name; afterwards the terminal is as it was."""
    terminal = sys.stdin.fileno()
    before = termios.tcgetattr(terminal)
    loop = asyncio.get_running_loop()

    def read() -> None:
        data = os.read(terminal, 64)
        if (name := _SEQUENCES.get(data)) is not None:
            pressed(name)
        elif not data.startswith(b"\x1b"):
            for character in data.decode(errors="ignore"):
                pressed(character)

    tty.setcbreak(terminal)
    loop.add_reader(terminal, read)
    try:
        yield
    finally:
        loop.remove_reader(terminal)
        termios.tcsetattr(terminal, termios.TCSADRAIN, before)
