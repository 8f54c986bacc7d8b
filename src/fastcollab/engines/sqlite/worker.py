"""A thread that carries out calls for an event loop.

What waits when the thread is free is taken as one group, and the outcomes of a group go back to the loop together: to
wake a thread, and to wake a loop, costs more than most calls do.
"""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, Protocol


class Call:
    """A request and, later, its outcome: `error`, or else `result`. Without a future nobody waits for it."""

    __slots__ = ("error", "future", "request", "result")

    def __init__(self, request: Any, future: asyncio.Future[Any] | None) -> None:
        self.request = request
        self.future = future
        self.result: Any = None
        self.error: Exception | None = None


class Handler(Protocol):
    """What a worker's thread does; all of it is called in that thread."""

    @property
    def patience(self) -> float | None:
        """After how many seconds without calls there is something else to do: 0 is at once, None never."""
        ...

    def handle(self, calls: Sequence[Call]) -> None:
        """Carries out the calls, and says in each what became of it; nothing is raised."""
        ...

    def tidy(self) -> None:
        """Does a part of what has to be done beside calls; nothing is raised."""
        ...

    def disconnect(self) -> None:
        """Lets go of files, until the next call; nothing is raised."""
        ...


_DISCONNECT = object()
_END = object()


class Worker:
    """A thread for a handler, which carries out up to `group` calls together, and `at_end` when it ends."""

    def __init__(self, name: str, handler: Handler, group: int, at_end: Callable[[], None] = lambda: None) -> None:
        self._queue: queue.SimpleQueue[Call] = queue.SimpleQueue()
        # A daemon, for an interpreter that ends without a close must not wait for it.
        self._thread = threading.Thread(target=self._run, args=(handler, group, at_end), name=name, daemon=True)
        self._thread.start()

    def call(self, request: Any) -> asyncio.Future[Any]:
        future = asyncio.get_running_loop().create_future()
        self._queue.put(Call(request, future))
        return future

    def disconnect_soon(self) -> None:
        self._queue.put(Call(_DISCONNECT, None))

    def abandon(self) -> None:
        """Has the thread end when it has done what was called before, and does not wait for it."""
        self._queue.put(Call(_END, None))

    async def close(self) -> None:
        """Waits for what has been called before, and for the end of the thread."""
        if self._thread.is_alive():
            await self.call(_END)
            self._thread.join()

    def _run(self, handler: Handler, group: int, at_end: Callable[[], None]) -> None:
        while True:
            taken = self._take(handler.patience, group)
            requests = [call.request for call in taken]
            if _DISCONNECT in requests:
                handler.disconnect()
            calls = [call for call in taken if call.request is not _DISCONNECT and call.request is not _END]
            if calls:
                handler.handle(calls)
                _deliver(calls)
            if _END in requests:
                handler.disconnect()
                at_end()
                _deliver([call for call in taken if call.request is _END])
                return
            if not taken or handler.patience == 0:
                handler.tidy()

    def _take(self, patience: float | None, group: int) -> list[Call]:
        """The calls that wait; none if there was none for so long."""
        calls: list[Call] = []
        try:
            calls.append(self._queue.get(patience != 0, patience or None))
            while len(calls) < group:
                calls.append(self._queue.get_nowait())
        except queue.Empty:
            pass
        return calls


def _deliver(calls: Sequence[Call]) -> None:
    for call in calls:
        if call.future is not None:
            # A loop that is closed has nobody who waits.
            with suppress(RuntimeError):
                call.future.get_loop().call_soon_threadsafe(_resolve, calls)
            return


def _resolve(calls: Sequence[Call]) -> None:
    for call in calls:
        future = call.future
        if future is None or future.done():
            continue  # Whoever called does not wait any more.
        if call.error is not None:
            future.set_exception(call.error)
        else:
            future.set_result(call.result)
