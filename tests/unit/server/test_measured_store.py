"""A store that is measured is a store, and what it does is told."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import pytest

from fastcollab.core.document import Committed
from fastcollab.engines.memory import MemoryDocuments
from fastcollab.errors import ServiceUnavailable
from fastcollab.ports import AlreadyCommitted, LogMoved, Settled
from fastcollab.server.measured_store import MeasuredStore
from fastcollab.server.tallies import Tallies
from fastcollab.testing import DocumentStoreContract
from fastcollab.testing.document_model import entry


class TestContract(DocumentStoreContract):
    durable = False

    async def open_documents(self, directory: Path, clock: Callable[[], float]) -> MeasuredStore:
        return MeasuredStore(MemoryDocuments(clock), Tallies())


class Appending(MemoryDocuments):
    """Answers an append in this way."""

    def __init__(self, answer: Callable[[], Awaitable[None]]) -> None:
        super().__init__()
        self.answer = answer

    def append(self, room_id: str, epoch: str, entries: Sequence[Committed], mark: str = "") -> Awaitable[None]:  # type: ignore[override]
        return self.answer()


def as_settled(error: Exception | None) -> Awaitable[None]:
    return Settled(error)  # type: ignore[arg-type]


def as_future(error: Exception | None) -> Awaitable[None]:
    future = asyncio.get_running_loop().create_future()
    asyncio.get_running_loop().call_later(
        0.01, lambda: future.set_result(None) if error is None else future.set_exception(error)
    )
    return future


async def as_coroutine(error: Exception | None) -> None:
    await asyncio.sleep(0.01)
    if error is not None:
        raise error


@pytest.mark.parametrize("way", [as_settled, as_future, as_coroutine])
@pytest.mark.parametrize(
    ("error", "is_failure"),
    [
        (None, False),
        (LogMoved("it is not there"), False),
        (AlreadyCommitted({}), False),
        (ServiceUnavailable("the disk is full"), True),
        (OSError("nobody has foreseen it"), True),
    ],
)
async def test_each_way_to_append_is_measured_once(
    way: Callable[[Exception | None], Awaitable[None]], error: Exception | None, is_failure: bool
) -> None:
    tallies = Tallies()
    store = MeasuredStore(Appending(lambda: way(error)), tallies)
    appending = store.append("r", "e", [entry(1)])
    try:
        await appending
    except Exception as raised:
        assert raised is error
    await asyncio.sleep(0)
    seconds = tallies.store_seconds["append"]
    assert seconds.count == 1
    assert (seconds.sum >= 0.009) is (way is not as_settled)
    assert tallies.store_failures["append"] == is_failure


async def test_what_spares_a_task_is_passed_on() -> None:
    future = asyncio.get_running_loop().create_future()
    answers: list[Awaitable[None]] = [Settled(), future]
    store = MeasuredStore(Appending(lambda: answers[0]), Tallies())
    while answers:
        assert store.append("r", "e", [entry(1)]) is answers.pop(0)
    future.cancel()
    await asyncio.sleep(0)
