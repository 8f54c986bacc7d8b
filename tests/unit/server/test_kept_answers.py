"""Answers that are kept: asked once by many, for a while, and only so many."""

from __future__ import annotations

import asyncio

import pytest

from fastcollab.server.kept_answers import KeptAnswers


class Source:
    """Answers with how often it was asked, for as long as `ttl` says."""

    def __init__(self, size: int = 100) -> None:
        self.asked: list[str] = []
        self.now = 0.0
        self.ttl = 10.0
        self.error: Exception | None = None
        self.open = asyncio.Event()
        self.open.set()
        self.answers: KeptAnswers[str, int] = KeptAnswers(self.ask, lambda answer: self.ttl, size, lambda: self.now)

    async def ask(self, key: str) -> int:
        self.asked.append(key)
        count = len(self.asked)
        await self.open.wait()
        if self.error is not None:
            raise self.error
        return count


async def test_an_answer_is_kept_for_its_time() -> None:
    source = Source()
    assert await source.answers.of("a") == 1
    source.now = 9.9
    assert await source.answers.of("a") == 1
    source.now = 10.0
    assert await source.answers.of("a") == 2
    assert await source.answers.of("b") == 3


async def test_an_answer_for_no_time_is_not_kept() -> None:
    source = Source()
    source.ttl = 0
    assert [await source.answers.of("a") for _ in range(3)] == [1, 2, 3]


async def test_a_hundred_at_once_ask_once() -> None:
    source = Source()
    source.open.clear()
    many = [asyncio.create_task(source.answers.of("a")) for _ in range(100)]
    other = asyncio.create_task(source.answers.of("b"))
    await asyncio.sleep(0)
    source.open.set()
    assert await asyncio.gather(*many) == [1] * 100
    assert await other == 2


async def test_a_failure_is_told_to_all_who_wait_and_not_kept() -> None:
    source = Source()
    source.open.clear()
    source.error = ValueError("no")
    many = [asyncio.create_task(source.answers.of("a")) for _ in range(3)]
    await asyncio.sleep(0)
    source.open.set()
    assert [type(each) for each in await asyncio.gather(*many, return_exceptions=True)] == [ValueError] * 3
    source.error = None
    assert await source.answers.of("a") == 2


async def test_who_waits_no_more_does_not_end_it_for_others() -> None:
    source = Source()
    source.open.clear()
    first, second = (asyncio.create_task(source.answers.of("a")) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    source.open.set()
    assert await second == 1


async def test_nobody_waits_for_a_failure_any_more(caplog: pytest.LogCaptureFixture) -> None:
    source = Source()
    source.open.clear()
    source.error = ValueError("no")
    only = asyncio.create_task(source.answers.of("a"))
    await asyncio.sleep(0)
    only.cancel()
    source.open.set()
    for _ in range(5):
        await asyncio.sleep(0)
    assert only.cancelled()
    assert not caplog.records


async def test_the_longest_unused_gives_way() -> None:
    source = Source(size=2)
    for key in ("a", "b", "a", "c", "a", "b"):
        await source.answers.of(key)
    assert source.asked == ["a", "b", "c", "b"]
