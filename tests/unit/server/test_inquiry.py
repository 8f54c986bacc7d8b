"""Questions to a back end: their time limit, and what becomes of those that nobody waits for."""

from __future__ import annotations

import asyncio

import pytest

from fastcollab.ports import BackendDown, BackendFailed
from fastcollab.server.inquiry import Inquiry, NotAsked


async def fails(error: Exception) -> None:
    raise error


async def ask(inquiry: Inquiry, error: Exception) -> None:
    with pytest.raises(type(error)):
        await inquiry.ask(lambda: fails(error))


async def is_open(inquiry: Inquiry) -> bool:
    """Whether the back end is asked."""

    async def answer() -> bool:
        return True

    try:
        return await inquiry.ask(answer)
    except NotAsked as refusal:
        assert refusal.details["retryAfterMs"] > 0
        return False


async def test_silence_counts_and_an_answer_of_no_use_does_not() -> None:
    inquiry = Inquiry("test", 0.01)
    for error in (BackendFailed("500"), ValueError("no"), KeyError("no")) * 5:
        await ask(inquiry, error)
    for _ in range(4):
        await ask(inquiry, BackendDown("503"))
    await ask(inquiry, BackendFailed("500"))
    for _ in range(4):
        await ask(inquiry, BackendDown("503"))
    with pytest.raises(BackendDown, match=r"within 0\.01 s"):
        await inquiry.ask(lambda: asyncio.sleep(3600))
    assert not await is_open(inquiry)


async def test_a_question_that_is_given_up_does_not_count() -> None:
    inquiry = Inquiry("test", 5)
    asked = []

    async def for_ever() -> None:
        asked.append(asyncio.current_task())
        await asyncio.Event().wait()

    for _ in range(10):
        waiting = asyncio.create_task(inquiry.ask(for_ever))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
    await asyncio.sleep(0)
    assert all(task is not None and task.cancelled() for task in asked)
    assert len(asked) == 10
    waiting = asyncio.create_task(inquiry.ask(for_ever))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    inquiry.abandon()
    with pytest.raises(NotAsked, match="stopping"):
        await waiting
    assert await is_open(inquiry)
