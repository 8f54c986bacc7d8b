"""Questions to the user's back end: each has a time limit, and a back end that does not answer is asked no more for a
while.

Only silence counts against a back end: a time-out, an address that cannot be reached, a proxy that says so. An answer
that is of no use came at once and costs nobody anything; if it counted, somebody who knows what the back end trips over
could have all others refused.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from random import random
from typing import Any, TypeVar

from fastcollab.core.circuit_breaker import BreakerSettings, CircuitBreaker
from fastcollab.errors import ServiceUnavailable
from fastcollab.logs import get_logger
from fastcollab.ports import BackendDown
from fastcollab.server.clock import instant

log = get_logger(__name__)

Answer = TypeVar("Answer")

#: After how many ms it is worth asking again, where nothing better is known.
RETRY_AFTER_MS = 1_000


class NotAsked(ServiceUnavailable):
    """The back end was not asked, or not waited for: it is left alone, or the gateway is stopping."""


class Inquiry:
    """Questions of one kind; `purpose` names it in the log, `timeout` is in seconds. Each kind is judged by itself: a
    back end may be quick with one and not with another, and its functions may be in different places.
    """

    def __init__(self, purpose: str, timeout: float) -> None:
        self._purpose = purpose
        self._timeout = timeout
        self._breaker = CircuitBreaker(BreakerSettings(), random)
        self._under_way: set[asyncio.Task[Any]] = set()

    async def ask(self, question: Callable[[], Awaitable[Answer]]) -> Answer:
        """What the question leads to, be it an exception.

        Raises :class:`BackendDown` if there is no answer in time, and :class:`NotAsked` while the back end is left
        alone.
        """
        try:
            ticket = self._breaker.admit(instant().monotonic)
        except ServiceUnavailable as refusal:
            raise NotAsked(refusal.message, **refusal.details) from None
        # A task of its own, since one that is cancelled must not take with it the one that waits for it.
        task = asyncio.ensure_future(_answer(question))
        self._under_way.add(task)
        try:
            done, _ = await asyncio.wait([task], timeout=self._timeout)
        except asyncio.CancelledError:
            self._breaker.withdrawn(ticket)
            raise
        finally:
            self._under_way.discard(task)
            task.cancel()
        if not done:
            self._failed(ticket)
            raise BackendDown(f"there was no answer within {self._timeout:g} s")
        if task.cancelled():
            self._breaker.withdrawn(ticket)
            raise NotAsked("the gateway is stopping", retryAfterMs=RETRY_AFTER_MS)
        if isinstance(task.exception(), BackendDown):
            self._failed(ticket)
        else:
            self._succeeded(ticket)
        return task.result()

    def abandon(self) -> None:
        """Gives up what is under way: the gateway is stopping, and nobody waits for it any more."""
        for task in self._under_way:
            task.cancel()

    def _failed(self, ticket: int) -> None:
        was_closed = self._breaker.closed
        self._breaker.failed(ticket, instant().monotonic)
        if was_closed and not self._breaker.closed:
            log.warning("the back end does not answer, and is asked only now and then", purpose=self._purpose)

    def _succeeded(self, ticket: int) -> None:
        was_closed = self._breaker.closed
        self._breaker.succeeded(ticket)
        if not was_closed and self._breaker.closed:
            log.info("the back end answers again", purpose=self._purpose)


async def _answer(question: Callable[[], Awaitable[Answer]]) -> Answer:
    return await question()
