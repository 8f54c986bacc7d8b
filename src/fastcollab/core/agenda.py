"""What is to be done when, by name."""

from __future__ import annotations

import heapq


class Agenda:
    """Names by time. To move one costs nothing until its former time has come, so that each change can do it."""

    def __init__(self) -> None:
        self._times: dict[str, int] = {}
        #: Has the name at its time or, if that was put off, at an earlier one.
        self._heap: list[tuple[int, str]] = []
        self._in_heap: dict[str, int] = {}

    def put(self, name: str, time: int) -> None:
        self._times[name] = time
        known = self._in_heap.get(name)
        if known is None or time < known:
            self._push(name, time)

    def remove(self, name: str) -> None:
        self._times.pop(name, None)

    def time(self, name: str) -> int | None:
        """When it is to be done; None: it is not here."""
        return self._times.get(name)

    def first(self) -> tuple[int, str] | None:
        """The name whose time comes first."""
        while self._heap:
            time, name = self._heap[0]
            wanted = self._times.get(name)
            if time == wanted:
                return time, name
            heapq.heappop(self._heap)
            if time == self._in_heap.get(name):
                del self._in_heap[name]
                if wanted is not None:
                    self._push(name, wanted)
        return None

    def _push(self, name: str, time: int) -> None:
        heapq.heappush(self._heap, (time, name))
        self._in_heap[name] = time
