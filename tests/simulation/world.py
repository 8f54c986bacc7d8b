"""Time that does not pass by itself, and the machines that live in it.

All machines of a simulation share one clock and one agenda. When nothing is left to do at present, the clock jumps to
the next thing that is due: so a minute of retries costs microseconds, and what happens depends on the seed alone. A
machine is an event loop of asyncio, as far as the gateway and the client need one, and they run on it unchanged. Its
ready queue is first come, first served, as that of asyncio is, since code may rely on that; what is random is how long
the outside takes.

A machine that is switched off runs nothing any more: that is a crash.
"""

from __future__ import annotations

import asyncio
import contextlib
from asyncio import events
from collections import Counter, deque
from collections.abc import Callable, Coroutine, Iterator
from contextvars import Context
from heapq import heappop, heappush
from random import Random
from typing import Any

#: Unix time, in seconds, at which simulations begin.
BEGINNING = 1_700_000_000


class World:
    """The clock, the agenda, the dice, and a tally of what has happened."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self.now = 1_000.0
        self.tally: Counter[str] = Counter()
        self.failure: BaseException | None = None
        self.ready: deque[asyncio.Handle] = deque()
        self.timers: list[tuple[float, int, asyncio.Handle]] = []
        self._scheduled = 0

    @property
    def unix(self) -> float:
        return BEGINNING + self.now

    def happens(self, chance: float) -> bool:
        return self.random.random() < chance

    def schedule(self, when: float, handle: asyncio.Handle) -> None:
        self._scheduled += 1
        heappush(self.timers, (when, self._scheduled, handle))

    @contextlib.contextmanager
    def judging(self) -> Iterator[None]:
        """What fails in here fails the simulation, even if the gateway takes the exception for a fault of its own."""
        try:
            yield
        except AssertionError as error:
            self.failure = self.failure or error
            raise

    def pass_time(self, seconds: float) -> None:
        """Lets everything happen that is due in this time; raises the first failure of any of it."""
        end = self.now + seconds
        try:
            while True:
                if self.ready:
                    handle = self.ready.popleft()
                elif self.timers and self.timers[0][0] <= end:
                    when, _, handle = heappop(self.timers)
                    self.now = max(self.now, when)
                else:
                    break
                machine: Machine = handle._loop  # type: ignore[attr-defined]
                if machine.is_on and not handle.cancelled():
                    events._set_running_loop(machine)
                    handle._run()
                    if self.failure is not None:
                        raise self.failure
        finally:
            events._set_running_loop(None)
        self.now = end


class Machine(asyncio.AbstractEventLoop):
    """One computer in the world."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.is_on = True

    def run(self, coroutine: Coroutine[Any, Any, None]) -> None:
        """Runs a coroutine in the background. If it fails, so does the simulation."""
        if not self.is_on:
            coroutine.close()
            return
        self.create_task(coroutine).add_done_callback(self._ran)

    def switch_off(self) -> None:
        """Everything stops where it is."""
        self.is_on = False
        for task in asyncio.all_tasks(self):
            task._log_destroy_pending = False  # type: ignore[attr-defined]
            task.get_coro().close()  # type: ignore[union-attr]

    def _ran(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            self.world.failure = self.world.failure or error

    # --- what asyncio asks of an event loop ---------------------------------------------------------------------------

    def time(self) -> float:
        return self.world.now

    def call_soon(self, callback: Callable[..., object], *args: Any, context: Context | None = None) -> asyncio.Handle:
        handle = asyncio.Handle(callback, args, self, context)
        if self.is_on:
            self.world.ready.append(handle)
        return handle

    def call_at(
        self, when: float, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> asyncio.TimerHandle:
        timer = asyncio.TimerHandle(when, callback, args, self, context)
        if self.is_on:
            self.world.schedule(when, timer)
        return timer

    def call_later(
        self, delay: float, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> asyncio.TimerHandle:
        return self.call_at(self.world.now + delay, callback, *args, context=context)

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        pass  # it is passed over when its time comes

    def create_future(self) -> asyncio.Future[Any]:
        return asyncio.Future(loop=self)

    def create_task(self, coroutine: Any, **options: Any) -> asyncio.Task[Any]:  # type: ignore[override]
        return asyncio.Task(coroutine, loop=self, **options)

    def run_in_executor(self, executor: Any, function: Callable[..., Any], *args: Any) -> asyncio.Future[Any]:  # type: ignore[override]
        """What a thread would do is done in one piece, a little later."""
        future = self.create_future()

        def work() -> None:
            try:
                future.set_result(function(*args))
            except Exception as error:
                future.set_exception(error)

        self.call_later(self.world.random.uniform(0.0, 0.01), work)
        return future

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        error = context.get("exception") or RuntimeError(context["message"])
        self.world.failure = self.world.failure or error

    def get_debug(self) -> bool:
        return False

    def is_running(self) -> bool:
        return self.is_on

    def add_reader(self, *_: Any) -> None:  # type: ignore[override]
        pass  # no socket is ever readable here

    def remove_reader(self, _: Any) -> bool:
        return True
