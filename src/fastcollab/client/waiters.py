"""Those who wait for what they have written to be saved."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from fastcollab.errors import FastcollabError


class Waiters:
    """They wait for the operation in flight, or for the buffer that goes after it."""

    def __init__(self) -> None:
        self._for_flight: list[asyncio.Future[int]] = []
        self._for_buffer: list[asyncio.Future[int]] = []

    def add(self, *, in_buffer: bool) -> asyncio.Future[int]:
        """One more, whose future has the version as its result."""
        future: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        (self._for_buffer if in_buffer else self._for_flight).append(future)
        return future

    def succeed(self, version: int) -> None:
        """The operation in flight is committed; the buffer is in flight now."""
        self._take_flight(lambda future: future.set_result(version))

    def fail_flight(self, error: FastcollabError) -> None:
        """The operation in flight is undone; the buffer is in flight now."""
        self._take_flight(lambda future: future.set_exception(error))

    def fail_all(self, error: FastcollabError) -> None:
        self.fail_flight(error)
        self.fail_flight(error)

    def _take_flight(self, notify: Callable[[asyncio.Future[int]], None]) -> None:
        waiting, self._for_flight, self._for_buffer = self._for_flight, self._for_buffer, []
        for future in waiting:
            if not future.done():
                notify(future)
