"""Telling a program what happened: handlers by the name of an event, and asynchronous iteration over events."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any, NamedTuple

Handler = Callable[[Any], Coroutine[Any, Any, None] | None]


class Event(NamedTuple):
    """An event from a stream: its name, and the value that a handler would be called with."""

    name: str
    value: Any


class EventStream(AsyncIterator[Event]):
    """The events of some names, in the order in which they happened; ends when its source does, or by ``close``.

    At most ``capacity`` events wait to be read. Beyond that the oldest are dropped, and counted in ``dropped``.
    """

    def __init__(self, capacity: int, on_close: Callable[[EventStream], None]) -> None:
        self.dropped = 0
        self._waiting: deque[Event] = deque(maxlen=capacity)
        self._arrival: asyncio.Future[None] | None = None
        self._closed = False
        self._on_close = on_close

    def push(self, event: Event) -> None:
        if len(self._waiting) == self._waiting.maxlen:
            self.dropped += 1
        self._waiting.append(event)
        self._wake()

    def close(self) -> None:
        """Ends the iteration, after the events that wait already."""
        if not self._closed:
            self._closed = True
            self._on_close(self)
            self._wake()

    async def __anext__(self) -> Event:
        while not self._waiting:
            if self._closed:
                raise StopAsyncIteration
            if self._arrival is None:
                self._arrival = asyncio.get_running_loop().create_future()
            # Several tasks may wait for the same arrival; one that is cancelled must not take it from the others.
            await asyncio.shield(self._arrival)
        return self._waiting.popleft()

    def _wake(self) -> None:
        if self._arrival is not None:
            self._arrival.set_result(None)
            self._arrival = None


class Emitter:
    """Calls the handlers of an event. A handler that fails is reported to the event loop and disturbs nobody else."""

    def __init__(self) -> None:
        self._handlers: dict[str, list[Handler]] = {}
        self._streams: dict[str, list[EventStream]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def on(self, event: str, handler: Handler) -> Handler:
        """Calls ``handler`` with the event's value whenever ``event`` happens; a coroutine runs as a task."""
        self._handlers.setdefault(event, []).append(handler)
        return handler

    def off(self, event: str, handler: Handler) -> None:
        """Takes back one ``on``. Raises ValueError if there was none."""
        handlers = self._handlers.get(event, [])
        if handler not in handlers:
            raise ValueError(f"{handler!r} is no handler of {event!r}")
        handlers.remove(handler)

    def events(self, *names: str, capacity: int = 10_000) -> EventStream:
        """A stream of the events with these names, from now on."""

        def forget(stream: EventStream) -> None:
            for name in names:
                self._streams[name].remove(stream)

        stream = EventStream(capacity, forget)
        for name in names:
            self._streams.setdefault(name, []).append(stream)
        return stream

    def is_observed(self, event: str) -> bool:
        """Whether anybody would notice ``event``: its value need not be made otherwise."""
        return bool(self._handlers.get(event) or self._streams.get(event))

    def emit(self, event: str, value: Any) -> None:
        for stream in tuple(self._streams.get(event, ())):
            stream.push(Event(event, value))
        for handler in tuple(self._handlers.get(event, ())):
            try:
                result = handler(value)
            except Exception as error:
                self._report(event, error)
                continue
            if asyncio.iscoroutine(result):
                task = asyncio.get_running_loop().create_task(result)
                self._tasks.add(task)
                task.add_done_callback(lambda done: self._finished(event, done))

    def close_streams(self) -> None:
        """Ends all iterations: nothing will be emitted any more."""
        for stream in {stream for streams in self._streams.values() for stream in streams}:
            stream.close()

    def _finished(self, event: str, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._report(event, error)

    def _report(self, event: str, error: BaseException) -> None:
        asyncio.get_running_loop().call_exception_handler(
            {"message": f"a handler of {event!r} failed", "exception": error, "emitter": self}
        )
