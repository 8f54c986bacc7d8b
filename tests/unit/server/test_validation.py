"""Validation: what the answers of those who are asked mean (rules S10 to S12)."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest
from tests.builders import START, effects_of, enter, marks, new_room, session_of

from fastcollab.core.effects import Close, Effect
from fastcollab.core.permissions import Permission
from fastcollab.core.revocation import Revocation, TokenMarks
from fastcollab.core.session import Identity, Session
from fastcollab.engines.memory import MemoryRevocations
from fastcollab.errors import InvalidToken, NoPermission, RoomNotFound, ServiceUnavailable
from fastcollab.server.validation import Validation


class World:
    """A validation with all around it; what the source of permissions says is in `answers`, in order."""

    def __init__(self, *answers: Permission | Exception) -> None:
        self.answers = list(answers)
        self.effects: list[Effect] = []
        self.tasks: list[asyncio.Task[None]] = []
        self.sessions: list[Session] = []
        self.revocations = MemoryRevocations()
        self.validation = Validation(
            self,  # type: ignore[arg-type]
            self.revocations,
            sessions=lambda: self.sessions,
            carry_out=self.effects.extend,
            run=self.run,
        )

    async def permission(self, identity: Identity, room_id: str) -> Permission:
        await asyncio.sleep(0)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise type(answer)(*answer.args)  # its traceback would keep the session
        return answer

    def run(self, coroutine: Coroutine[Any, Any, None]) -> None:
        self.tasks.append(asyncio.ensure_future(coroutine))

    def join(self) -> Session:
        session = session_of()
        self.sessions.append(session)
        enter(new_room(), session)
        return session


@pytest.mark.parametrize(
    ("answer", "lost"),
    [
        (Permission.WRITE, False),
        (Permission.READ, False),
        (Permission.NONE, True),
        (NoPermission("no"), True),
        (RoomNotFound("gone"), True),
    ],
)
async def test_s11_an_answer_is_final(answer: Permission | Exception, lost: bool) -> None:
    world = World(answer)
    session = world.join()
    await world.validation.validate(session)
    assert (not session.rooms) == lost


@pytest.mark.parametrize("fault", [ServiceUnavailable("away"), ZeroDivisionError("a fault"), TimeoutError()])
async def test_s10_no_answer_is_none(fault: Exception) -> None:
    world = World(fault)
    session = world.join()
    await world.validation.validate(session)
    assert session.rooms and not world.effects
    await world.validation.validate(session)
    assert not session.rooms


async def test_s10_a_fault_in_one_room_is_none_of_the_others() -> None:
    world = World(ServiceUnavailable("away"), Permission.READ)
    session = world.join()
    other = new_room("other")
    enter(other, session)
    await world.validation.validate(session)
    assert [room.members[session] for room in session.rooms.values()] == [Permission.WRITE, Permission.READ]


async def test_s10_all_that_wait_have_their_turn_and_nothing_stays() -> None:
    world = World(Permission.READ)
    sessions = [world.join() for _ in range(1000)]
    for session in sessions:
        world.validation.begin(session)
    gone = sessions.pop()
    gone.closed(True, START)
    assert len(world.tasks) == 64
    await asyncio.gather(*world.tasks)
    assert all(room.members[session] is Permission.READ for session in sessions for room in session.rooms.values())
    assert world.validation._workers == len(world.validation._waiting) == 0


async def test_s12_a_revocation_that_nobody_told_is_found() -> None:
    world = World(Permission.WRITE)
    session = world.join()
    world.revocations._subscribers.clear()
    await world.revocations.revoke(Revocation("user", "ada", START.unix + 1, None))
    assert not world.effects
    await world.validation.validate(session)
    assert effects_of(Close, world.effects) and session.over


async def test_s12_when_revocations_cannot_be_asked_for_the_rest_is_looked_at() -> None:
    world = World(Permission.READ)
    session = world.join()

    async def is_revoked(_: TokenMarks) -> bool:
        raise ServiceUnavailable("away")

    world.revocations.is_revoked = is_revoked  # type: ignore[method-assign]
    with pytest.raises(ServiceUnavailable):
        await world.validation.check(marks())
    await world.validation.validate(session)
    assert [room.members[session] for room in session.rooms.values()] == [Permission.READ]


async def test_s12_what_is_revoked_while_it_is_asked_for() -> None:
    """The store answers what was true before; what is told meanwhile is asked for again."""
    world = World(Permission.WRITE)
    is_revoked, asked = world.revocations.is_revoked, 0

    async def slow(token: TokenMarks) -> bool:
        nonlocal asked
        asked += 1
        answer = await is_revoked(token)
        if asked == 1:
            await world.revocations.revoke(Revocation("token", token.token_id, 0, None))
        return answer

    world.revocations.is_revoked = slow  # type: ignore[method-assign]
    with pytest.raises(InvalidToken) as refused:
        await world.validation.check(marks())
    assert refused.value.details["reason"] == "revoked"
    assert asked == 2
