"""Looks again at rooms of which this node may have missed something.

What nodes tell each other is told at most once. Where something may have been lost, be it a bundle, a subscription, or
a node before it could speak, the rooms concerned are *doubted*, and their rosters and logs are read again, where
nothing is lost. Every room is doubted now and then without a reason, so that whatever went wrong is not wrong for long.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Collection, Iterable

from fastcollab.errors import FastcollabError
from fastcollab.logs import get_logger

log = get_logger(__name__)

#: Rooms that are looked at at once.
_WORKERS = 8
#: How long (s) to wait after a failure, at first and at most.
_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 2.0
#: Every how many seconds a room is looked at without a reason.
_PERIOD = 30.0


class Reconciler:
    """`look` is called with a room's id, and raises a :class:`~fastcollab.errors.FastcollabError` if it has to be tried
    again; `rooms` gives the ids of all that are open.
    """

    def __init__(self, look: Callable[[str], Awaitable[None]], rooms: Callable[[], Collection[str]]) -> None:
        self._look = look
        self._rooms = rooms
        self._doubted: dict[str, None] = {}
        self._wanted = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        loop = asyncio.get_running_loop()
        self._tasks = [loop.create_task(self._work()) for _ in range(_WORKERS)]
        self._tasks.append(loop.create_task(self._look_now_and_then()))

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def doubt(self, room_ids: Iterable[str]) -> None:
        """These rooms are to be looked at soon."""
        self._doubted.update(dict.fromkeys(room_ids))
        if self._doubted:
            self._wanted.set()

    async def _work(self) -> None:
        pause = _FIRST_PAUSE
        while True:
            await self._wanted.wait()
            if not self._doubted:
                self._wanted.clear()
                continue
            room_id = next(iter(self._doubted))
            del self._doubted[room_id]
            try:
                await self._look(room_id)
            except FastcollabError:
                self._doubted[room_id] = None
                await asyncio.sleep(random.uniform(pause / 2, pause))
                pause = min(pause * 2, _LONGEST_PAUSE)
            except Exception:
                log.exception("a room could not be looked at", room_id=room_id)
            else:
                pause = _FIRST_PAUSE

    async def _look_now_and_then(self) -> None:
        while True:
            for room_id in list(self._rooms()):
                await asyncio.sleep(_PERIOD / max(1, len(self._rooms())))
                if room_id in self._rooms():
                    self.doubt([room_id])
            await asyncio.sleep(1)
