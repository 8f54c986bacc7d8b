"""Rooms that open and close while their documents take their time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine
from typing import Any

import pytest
from tests.builders import session_of

from fastcollab import ot
from fastcollab.core.document import Document, DocumentLimits
from fastcollab.core.permissions import Permission
from fastcollab.core.room import RoomSettings
from fastcollab.engines.memory import MemoryDocuments
from fastcollab.errors import ServiceUnavailable
from fastcollab.ports import Retention
from fastcollab.server._fanout import FlushPacer
from fastcollab.server._outbox import Cork
from fastcollab.server._pump import Pump
from fastcollab.server.documents import Documents
from fastcollab.server.rooms import Rooms


class SlowDocuments(Documents):
    """Documents that are further away. What was called, with those that have returned in brackets, is in `calls`."""

    def __init__(self) -> None:
        super().__init__(MemoryDocuments(), DocumentLimits(), Retention())
        self.calls: list[str] = []

    async def open(self, room_id: str, document_type: str) -> Document:
        self.calls.append("open")
        await asyncio.sleep(0.01)
        document = await super().open(room_id, document_type)
        self.calls.append("(open)")
        return document

    async def close(self, room_id: str, document: Document) -> None:
        self.calls.append("close")
        await asyncio.sleep(0.01)
        await super().close(room_id, document)
        self.calls.append("(close)")


class Background:
    """Runs coroutines as the gateway does."""

    def __init__(self) -> None:
        self.tasks: list[asyncio.Task[None]] = []

    def run(self, coroutine: Coroutine[Any, Any, None]) -> None:
        self.tasks.append(asyncio.get_running_loop().create_task(coroutine))

    async def settle(self) -> None:
        while self.tasks:
            await self.tasks.pop()


@pytest.fixture
def documents() -> SlowDocuments:
    return SlowDocuments()


@pytest.fixture
def background() -> Background:
    return Background()


@pytest.fixture
async def rooms(documents: SlowDocuments, background: Background) -> AsyncIterator[Rooms]:
    pump = Pump(asyncio.get_running_loop(), Cork())
    yield Rooms(
        documents,
        RoomSettings(),
        pump,
        FlushPacer(1_000_000, 16_670_000),
        16_670_000,
        carry_out=lambda effects: None,
        send_updates=lambda channel, members, changed: None,
        run=background.run,
        deserted=lambda room_id: None,
    )
    pump.close()


async def test_who_comes_at_once_gets_the_same_room(rooms: Rooms, documents: SlowDocuments) -> None:
    opened = await asyncio.gather(*[rooms.open("a", "text") for _ in range(5)])
    assert len(set(opened)) == 1
    assert documents.calls == ["open", "(open)"]
    assert rooms.channel(opened[0]).room is opened[0]
    assert len(rooms) == 1
    await rooms.close()
    assert len(rooms) == 0


async def test_different_rooms_do_not_wait_for_each_other(rooms: Rooms, documents: SlowDocuments) -> None:
    first, second = await asyncio.gather(rooms.open("a", "text"), rooms.open("b", "text"))
    assert documents.calls == ["open", "open", "(open)", "(open)"]
    assert first.handle != second.handle
    await rooms.close()


async def test_a_deserted_room_is_forgotten(rooms: Rooms, documents: SlowDocuments, background: Background) -> None:
    room = await rooms.open("a", "text")
    rooms.retire(room)
    rooms.retire(room)
    assert len(rooms) == 0
    await background.settle()
    assert documents.calls == ["open", "(open)", "close", "(close)"]
    assert rooms.channel(await rooms.open("a", "text")).room is not room
    await rooms.close()


@pytest.mark.parametrize("time_between", [0, 0.005, 0.02])
@pytest.mark.parametrize("enters_first", [True, False])
async def test_a_document_in_use_is_not_put_away(
    enters_first: bool, time_between: float, rooms: Rooms, documents: SlowDocuments, background: Background
) -> None:
    """One leaves, and the room is deserted, while another has begun to enter: whichever is first, what the other
    then writes must be found again.
    """
    room = await rooms.open("a", "text")
    entered = room

    async def enter() -> None:
        nonlocal entered
        await asyncio.sleep(0)  # as a gateway's task that has been made and has not run
        entered = await rooms.open("a", "text")

    if enters_first:
        background.run(enter())
        rooms.retire(room)
    else:
        rooms.retire(room)
        await asyncio.sleep(time_between)
        background.run(enter())
    await background.settle()
    assert entered is not room
    assert len(rooms) == 1
    # Opening and closing have not overlapped.
    calls = documents.calls
    assert calls[1::2] == [f"({call})" for call in calls[0::2]]
    assert rooms.channel(entered).room is entered
    await rooms.close()


async def test_a_room_that_is_not_deserted_stays(rooms: Rooms, documents: SlowDocuments) -> None:
    room = await rooms.open("a", "text")
    room.members[session_of()] = Permission.READ
    rooms.retire(room)
    assert len(rooms) == 1
    room.participants.clear()
    await rooms.close()


async def test_a_failure_to_open_leaves_nothing_behind(rooms: Rooms, documents: SlowDocuments) -> None:
    assert "no such type" not in ot.types
    with pytest.raises(KeyError):
        await rooms.open("a", "no such type")
    assert len(rooms) == 0
    await rooms.open("a", "text")
    await rooms.close()


async def test_a_failure_to_open_is_told_to_all_who_wait(rooms: Rooms, documents: SlowDocuments) -> None:
    async def fail(room_id: str) -> None:
        raise ServiceUnavailable("not now")

    load, documents.store.load = documents.store.load, fail  # type: ignore[method-assign, assignment]
    outcomes = await asyncio.gather(*[rooms.open("a", "text") for _ in range(5)], return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [ServiceUnavailable] * 5
    assert documents.calls == ["open"]
    documents.store.load = load  # type: ignore[method-assign]
    await rooms.open("a", "text")
    await rooms.close()


async def test_one_who_gives_up_opening_leaves_it_to_the_others(rooms: Rooms, documents: SlowDocuments) -> None:
    first = asyncio.ensure_future(rooms.open("a", "text"))
    others = [asyncio.ensure_future(rooms.open("a", "text")) for _ in range(2)]
    await asyncio.sleep(0.001)
    first.cancel()
    rooms_of_others = await asyncio.gather(*others)
    assert len(set(rooms_of_others)) == 1
    assert documents.calls == ["open", "open", "(open)"]
    await rooms.close()
