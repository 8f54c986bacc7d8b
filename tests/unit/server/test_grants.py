"""For how long what a back end says of permissions counts (rule P4)."""

from __future__ import annotations

import contextlib

import pytest

from fastcollab.core.permissions import Permission
from fastcollab.errors import RoomNotFound, ServiceUnavailable
from fastcollab.ports import Grant
from fastcollab.server.grants import Grants
from fastcollab.server.inquiry import Inquiry


class BackEnd:
    """Answers with `answer`, and counts. `now` is the time in seconds."""

    def __init__(self, ttl: float) -> None:
        self.answer: Grant | Exception = Grant(Permission.NONE)
        self.asked = 0
        self.now = 0.0
        self.grants = Grants(self.permission, Inquiry("permission", 1), ttl, lambda: self.now)

    async def permission(self, user_id: str, room_id: str, claimed: Permission | None) -> Grant:
        self.asked += 1
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    async def kept_for(self, seconds: float) -> bool:
        """Whether an answer of now still counts right before that time is over, and then no more."""
        await self.ask()
        asked = self.asked
        self.now += seconds - 0.001
        await self.ask()
        before = self.asked == asked
        self.now += 0.002
        await self.ask()
        return before and self.asked == asked + 1

    async def ask(self) -> None:
        with contextlib.suppress(RoomNotFound):
            await self.grants.of("ada", "r", None)


@pytest.mark.parametrize(
    ("ttl", "answer", "seconds"),
    [
        (30, Grant(Permission.READ), 30),
        (1, Grant(Permission.ADMIN), 1),
        (30, Grant(Permission.READ, ttl=60), 60),
        (30, Grant(Permission.READ, ttl=7), 7),
        (30, Grant(Permission.READ, ttl=301), 300),
        (30, Grant(Permission.READ, ttl=float("inf")), 300),
        (300, Grant(Permission.NONE), 5),
        (300, Grant(Permission.NONE, ttl=300), 5),
        (300, Grant(Permission.NONE, ttl=2), 2),
        (3, Grant(Permission.NONE), 3),
        (300, RoomNotFound("there is none"), 5),
        (3, RoomNotFound("there is none"), 3),
    ],
)
async def test_P4_an_answer_counts_for_its_time_and_a_refusal_for_a_short_one(
    ttl: float, answer: Grant | Exception, seconds: float
) -> None:
    back_end = BackEnd(ttl)
    back_end.answer = answer
    assert await back_end.kept_for(seconds)


@pytest.mark.parametrize("ttl", [0, -1, float("nan")])
async def test_P4_a_time_that_is_none_is_no_time(ttl: float) -> None:
    back_end = BackEnd(30)
    back_end.answer = Grant(Permission.READ, ttl=ttl)
    for count in (1, 2, 3):
        await back_end.ask()
        assert back_end.asked == count


async def test_P4_a_failure_is_not_kept() -> None:
    back_end = BackEnd(30)
    back_end.answer = ValueError("a fault of the user's")
    for _ in range(2):
        with pytest.raises(ServiceUnavailable) as caught:
            await back_end.grants.of("ada", "r", None)
        assert caught.value.details["retryAfterMs"] > 0
    back_end.answer = Grant(Permission.WRITE)
    assert await back_end.grants.of("ada", "r", None) == Grant(Permission.WRITE)
    assert back_end.asked == 3
