"""Steps that go on in the background, for whose end nobody waits until the gateway stops."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

from fastcollab.logs import get_logger

log = get_logger(__name__)

#: How long (s) a step may take that begins when the time for all of them is over.
_LAST_STEP = 0.01


class Tasks:
    """Those of one gateway. What fails among them is logged."""

    def __init__(self) -> None:
        self._under_way: set[asyncio.Task[None]] = set()

    def run(self, coroutine: Coroutine[Any, Any, None]) -> None:
        """Begins a step, on the running loop."""
        task = asyncio.get_running_loop().create_task(coroutine)
        self._under_way.add(task)
        task.add_done_callback(self._ran)

    async def end(self, patience: float) -> None:
        """Waits (s) for what is under way. A store that does not answer must not keep the process: what it has not
        confirmed was not acknowledged.
        """
        clock = asyncio.get_running_loop().time
        deadline = clock() + patience
        while self._under_way:
            # The end of one may be the beginning of another.
            _, stuck = await asyncio.wait(self._under_way, timeout=max(_LAST_STEP, deadline - clock()))
            if clock() >= deadline:
                for task in stuck:
                    task.cancel()

    def _ran(self, task: asyncio.Task[None]) -> None:
        self._under_way.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("a background step failed", exc_info=error)
