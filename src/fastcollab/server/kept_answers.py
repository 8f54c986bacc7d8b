"""Answers that are kept for a while, so that what many want to know at the same time is asked once.

Who asks for what is being asked already waits for the same answer. Failures are not kept: the next one asks again.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

from cachetools import TLRUCache

Key = TypeVar("Key", bound=Hashable)
Answer = TypeVar("Answer")

#: Answers of one kind that are kept at a time, about 450 bytes each and more if ids are long.
MOST_KEPT = 10_000


class KeptAnswers(Generic[Key, Answer]):
    """Asks `ask`, and keeps what it answers for `keep` seconds, at most `size` answers: the longest unused go first."""

    def __init__(
        self,
        ask: Callable[[Key], Awaitable[Answer]],
        keep: Callable[[Answer], float],
        size: int = MOST_KEPT,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._ask = ask
        self._kept: TLRUCache[Key, Answer] = TLRUCache(size, lambda key, answer, now: now + keep(answer), clock)
        self._under_way: dict[Key, asyncio.Task[Answer]] = {}

    async def of(self, key: Key) -> Answer:
        """The answer for `key`; raises what `ask` raises."""
        try:
            return self._kept[key]
        except KeyError:
            pass
        task = self._under_way.get(key)
        if task is None:
            task = self._under_way[key] = asyncio.ensure_future(self._asked(key))
            task.add_done_callback(_retrieve)
        # Others may wait for it, if this one does not any more.
        return await asyncio.shield(task)

    async def _asked(self, key: Key) -> Answer:
        try:
            answer = self._kept[key] = await self._ask(key)
            return answer
        finally:
            del self._under_way[key]


def _retrieve(task: asyncio.Task[Answer]) -> None:
    """If nobody waits for it any more, nobody need be told that it has failed."""
    if not task.cancelled():
        task.exception()
