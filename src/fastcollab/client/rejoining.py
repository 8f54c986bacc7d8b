"""Joining rooms again in the background: after a reconnection, or because a copy of a document has parted.

A refusal that passes, for the rate or because the gateway cannot serve the room now, is followed by another attempt, as
long as the connection lives. A loss of the connection is nobody's failure here: all rooms are joined again on the next.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from random import Random

from fastcollab.client.reconnection import ReconnectPolicy, retry_after
from fastcollab.client.requests import Request
from fastcollab.errors import ConnectionClosed, InternalError, ProtocolError, RateLimited, ServiceUnavailable


class Rejoining:
    """The rooms of one client that are being joined again.

    ``ask`` sends the request; ``failed`` is told of a refusal that does not pass.
    """

    def __init__(
        self,
        policy: ReconnectPolicy,
        ask: Callable[[str], Request],
        failed: Callable[[str, ProtocolError], None],
    ) -> None:
        self._policy = policy
        self._ask = ask
        self._failed = failed
        self._random = Random()
        self._tasks: dict[str, asyncio.Task[None]] = {}

    def start(self, room_id: str) -> None:
        """Sends the request at once, so that nothing on the connection goes before it."""
        try:
            request = self._ask(room_id)
        except ConnectionClosed:
            return
        if room_id in self._tasks:
            self._tasks[room_id].cancel()
        task = self._tasks[room_id] = asyncio.get_running_loop().create_task(self._join(room_id, request))
        task.add_done_callback(lambda done: self._finished(room_id, done))

    def cancel(self) -> None:
        """The connection has ended."""
        for task in self._tasks.values():
            task.cancel()

    async def _join(self, room_id: str, request: Request) -> None:
        attempt = 0
        with contextlib.suppress(ConnectionClosed):
            while True:
                try:
                    await request.future
                    return
                except ProtocolError as error:
                    if not _passes(error):
                        self._failed(room_id, error)
                        return
                    await asyncio.sleep(retry_after(error) + self._policy.jitter(attempt, self._random))
                attempt += 1
                request = self._ask(room_id)

    def _finished(self, room_id: str, task: asyncio.Task[None]) -> None:
        if self._tasks.get(room_id) is task:
            del self._tasks[room_id]


def _passes(error: ProtocolError) -> bool:
    """Whether the room may be joined a little later. A limit on the number of rooms is RateLimited, and stays."""
    if isinstance(error, RateLimited):
        return "retryAfterMs" in error.details
    return isinstance(error, (InternalError, ServiceUnavailable))
