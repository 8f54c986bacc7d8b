"""How a batch goes to the store, and what needs a task for it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

import pytest
from tests.builders import new_room, session_of, submission

from fastcollab.core.document import Committed, Document, DocumentLimits
from fastcollab.core.effects import Effect, Send
from fastcollab.core.room import Room
from fastcollab.core.session import Session
from fastcollab.engines.memory import MemoryDocuments
from fastcollab.errors import ErrorCode, ServiceUnavailable
from fastcollab.messages import Ack, ErrorSent
from fastcollab.ports import Retention
from fastcollab.server.committer import Committer
from fastcollab.server.documents import Documents
from fastcollab.server.tallies import Tallies


class FaultyDocuments(MemoryDocuments):
    """A store whose appends fail for a reason that nobody has foreseen, in the rooms of `faulty`."""

    faulty = ("broken",)

    def append(self, room_id: str, epoch: str, entries: Sequence[Committed], mark: str = "") -> Any:
        if room_id in self.faulty:
            raise ZeroDivisionError
        return super().append(room_id, epoch, entries)


class Surroundings:
    """What a committer is given, and what it has done."""

    def __init__(self) -> None:
        self.documents = Documents(FaultyDocuments(), DocumentLimits(), Retention())
        self.answers: list[Any] = []
        self.changed: list[str] = []
        self.retired: list[str] = []
        self.tasks: list[asyncio.Task[None]] = []
        self.read: list[Callable[[], None]] = []
        self.tallies = Tallies()
        self.committer = Committer(
            self.documents,
            carry_out=self.carry_out,
            run=self.run,
            retire=lambda room: self.retired.append(room.id),
            changed=self.changed.append,
            tallies=self.tallies,
            when_read=self.read.append,
        )

    def carry_out(self, effects: list[Effect]) -> None:
        self.answers += [effect.payload for effect in effects if isinstance(effect, Send)]

    def run(self, coroutine: Coroutine[Any, Any, None]) -> None:
        self.tasks.append(asyncio.get_running_loop().create_task(coroutine))

    async def room(self, room_id: str) -> Room:
        return new_room(room_id, document=await self.documents.open(room_id, "text"))

    def submit(self, room: Room, *message_ids: str, version: int = 0, session: Session | None = None) -> None:
        for message_id in message_ids:
            room.commits.add(session or session_of(), submission(["x"], version, message_id))
            self.committer.commit(room)

    def end_of_reading(self) -> None:
        while self.read:
            self.read.pop(0)()


@pytest.fixture
def around() -> Surroundings:
    return Surroundings()


def versions(answers: list[Any]) -> list[tuple[str, int]]:
    return [(answer.message_id, answer.version) for answer in answers if isinstance(answer, Ack)]


async def test_what_is_stored_at_once_is_answered_before_the_end_of_the_reading_OT3(around: Surroundings) -> None:
    plans, wiki = await around.room("plans"), await around.room("wiki")
    around.submit(plans, "a", "b")
    around.submit(wiki, "c")
    assert not around.committer.idle.is_set()
    assert around.answers == []
    around.end_of_reading()
    assert versions(around.answers) == [("a", 1), ("b", 2), ("c", 1)]
    assert around.changed == around.retired == ["plans", "wiki"]
    assert around.committer.idle.is_set()
    assert around.tasks == []


async def test_who_waits_for_answers_from_before_the_batch_goes_on_after_it(around: Surroundings) -> None:
    session = session_of()
    room = await around.room("plans")
    around.submit(room, "a", session=session)
    waiting = asyncio.create_task(around.committer.answered(room, session))
    await asyncio.sleep(0)
    around.end_of_reading()
    await waiting
    assert versions(around.answers) == [("a", 1)]


async def test_one_room_whose_store_fails_does_not_keep_the_others(around: Surroundings) -> None:
    broken, plans = await around.room("broken"), await around.room("plans")
    around.submit(broken, "a")
    around.submit(plans, "b")
    around.end_of_reading()
    assert versions(around.answers) == [("b", 1)]
    (failure,) = [answer for answer in around.answers if isinstance(answer, ErrorSent)]
    assert failure.code == ErrorCode.INTERNAL_ERROR
    assert around.changed == ["plans"]
    assert around.committer.idle.is_set()


async def test_a_repetition_of_old_is_looked_up_in_a_task_OT5(around: Surroundings) -> None:
    session = session_of()
    room = await around.room("plans")
    around.submit(room, "a", session=session)
    around.end_of_reading()
    # A document that was opened anew may have forgotten what the store has not.
    forgetful = new_room("plans", document=_forgetting(room.document))
    around.submit(forgetful, "a", version=1, session=session)
    around.end_of_reading()
    (task,) = around.tasks
    waiting = asyncio.create_task(around.committer.answered(forgetful, session))
    await task
    await waiting
    assert versions(around.answers) == [("a", 1), ("a", 1)]
    assert around.committer.idle.is_set()


def _forgetting(document: Document) -> Document:
    return Document(document.type, DocumentLimits(), document.content, epoch=document.epoch, version=document.version)


class FutureDocuments(MemoryDocuments):
    """A store that gives futures, which the test resolves."""

    def __init__(self) -> None:
        super().__init__()
        self.appending: list[asyncio.Future[None]] = []

    def append(self, room_id: str, epoch: str, entries: Sequence[Committed], mark: str = "") -> Any:
        self.appending.append(asyncio.get_running_loop().create_future())
        return self.appending[-1]


async def test_what_comes_while_the_store_is_busy_is_the_next_batch_without_a_task(around: Surroundings) -> None:
    store = around.documents.store = FutureDocuments()
    session = session_of()
    room = await around.room("plans")
    around.submit(room, "a", session=session)
    around.end_of_reading()
    around.submit(room, "b", "c", session=session)
    around.end_of_reading()
    waiting = asyncio.create_task(around.committer.answered(room, session))
    for count in (1, 3):
        assert len(room.document.staged) == min(count, 2)
        store.appending[-1].set_result(None)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert len(versions(around.answers)) == count
    await waiting
    assert versions(around.answers) == [("a", 1), ("b", 2), ("c", 3)]
    assert around.committer.idle.is_set()
    assert around.tasks == []


async def test_a_future_that_fails_and_one_that_nobody_waits_for_any_more(around: Surroundings) -> None:
    store = around.documents.store = FutureDocuments()
    room = await around.room("plans")
    around.submit(room, "a")
    around.end_of_reading()
    store.appending[-1].set_exception(ServiceUnavailable("the disk is full"))
    await around.committer.idle.wait()
    (failure,) = around.answers
    assert failure.code == ErrorCode.SERVICE_UNAVAILABLE
    around.submit(room, "b")
    around.end_of_reading()
    around.committer.close()
    await around.committer.idle.wait()
    assert around.answers == [failure]
    assert around.changed == []
