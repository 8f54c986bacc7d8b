"""The contract of :class:`fastcollab.ports.Revocations`."""

from __future__ import annotations

import time
from abc import abstractmethod
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from fastcollab.core.revocation import Revocation, TokenMarks
from fastcollab.ports import Revocations

Close = Callable[[], Awaitable[None]]

_ISSUED = 1_700_000_000.0


def token(**others: Any) -> TokenMarks:
    """A token of Ada's; `others` replace some of it."""
    return TokenMarks("ada", "t1", "s1", _ISSUED, _ISSUED + 3600)._replace(**others)


def revocation(kind: Any, subject: str, after: float = 1.0, until: int | None = None) -> Revocation:
    """One that was made so many seconds after the token was issued."""
    return Revocation(kind, subject, int((_ISSUED + after) * 1000), until)


class RevocationsContract:
    """Give it `open_revocations`; `durable` says whether what was revoked is still there when they are opened again. If
    they are forgotten by another clock than what :meth:`Revocations.forget` is told, replace `pass_by`.
    """

    durable = True

    @abstractmethod
    async def open_revocations(self, directory: Path) -> tuple[Revocations, Close]:
        """Those that are kept in the directory, and what closes them."""

    async def pass_by(self, revocations: Revocations, moment: int) -> None:
        """Has that moment (Unix time, ms), which is less than two seconds from now, be over."""
        await revocations.forget(moment + 1)

    @pytest.fixture
    async def revocations(self, tmp_path: Path) -> AsyncIterator[Revocations]:
        opened, close = await self.open_revocations(tmp_path)
        yield opened
        await close()

    @pytest.mark.asyncio
    async def test_s12_nothing_is_revoked_at_first(self, revocations: Revocations) -> None:
        assert not await revocations.is_revoked(token())
        assert not await revocations.is_revoked(token(login=None, issued_at=None))

    @pytest.mark.asyncio
    @pytest.mark.parametrize(
        ("revoked", "others"),
        [
            (revocation("token", "t1"), {"token_id": "t2"}),
            (revocation("session", "s1"), {"login": "s2"}),
            (revocation("session", "s1"), {"login": None}),
            (revocation("user", "ada"), {"user_id": "eve"}),
            (revocation("user", "ada"), {"issued_at": _ISSUED + 1}),
        ],
    )
    async def test_s12_what_is_revoked_and_nothing_else(
        self, revocations: Revocations, revoked: Revocation, others: dict[str, Any]
    ) -> None:
        await revocations.revoke(revoked)
        assert await revocations.is_revoked(token())
        assert not await revocations.is_revoked(token(**others))

    @pytest.mark.asyncio
    async def test_s12_names_of_different_kinds_are_different(self, revocations: Revocations) -> None:
        for kind in ("token", "session", "user"):
            await revocations.revoke(revocation(kind, "x"))
        assert not await revocations.is_revoked(token())
        await revocations.revoke(revocation("user", "t1"))
        await revocations.revoke(revocation("token", "s1"))
        await revocations.revoke(revocation("session", "ada"))
        assert not await revocations.is_revoked(token())

    @pytest.mark.asyncio
    async def test_s12_of_a_user_a_token_that_does_not_say_when_counts_as_old(self, revocations: Revocations) -> None:
        await revocations.revoke(revocation("user", "ada"))
        assert await revocations.is_revoked(token(issued_at=None))

    @pytest.mark.asyncio
    async def test_s12_a_user_who_logs_in_again_may_be_revoked_again(self, revocations: Revocations) -> None:
        again = token(issued_at=_ISSUED + 10)
        await revocations.revoke(revocation("user", "ada"))
        assert not await revocations.is_revoked(again)
        await revocations.revoke(revocation("user", "ada", after=11))
        assert await revocations.is_revoked(again)
        # An earlier one that comes late takes nothing back.
        await revocations.revoke(revocation("user", "ada"))
        assert await revocations.is_revoked(again)

    @pytest.mark.asyncio
    async def test_s12_they_are_forgotten_when_their_time_is_over_and_not_before(
        self, revocations: Revocations
    ) -> None:
        now = time.time_ns() // 1_000_000
        await revocations.revoke(revocation("token", "t1", until=now + 500))
        await revocations.revoke(revocation("session", "s1", until=now + 900))
        await revocations.revoke(revocation("user", "ada"))
        await revocations.forget(now + 500)
        assert await revocations.is_revoked(token(login=None, user_id=""))
        await self.pass_by(revocations, now + 500)
        assert not await revocations.is_revoked(token(login=None, user_id=""))
        assert await revocations.is_revoked(token(user_id=""))
        await self.pass_by(revocations, now + 900)
        assert not await revocations.is_revoked(token(user_id=""))
        assert await revocations.is_revoked(token())

    @pytest.mark.asyncio
    async def test_s12_the_longer_time_counts(self, revocations: Revocations) -> None:
        now = time.time_ns() // 1_000_000
        for until in (now + 200, now + 900, now + 400):
            await revocations.revoke(revocation("token", "t1", until=until))
        await self.pass_by(revocations, now + 400)
        assert await revocations.is_revoked(token())
        for unknown in (None, now + 500):
            await revocations.revoke(revocation("token", "t1", until=unknown))
        await self.pass_by(revocations, now + 900)
        assert await revocations.is_revoked(token())

    @pytest.mark.asyncio
    async def test_s12_who_has_subscribed_is_told_when_it_is_known(self, revocations: Revocations) -> None:
        told: list[list[Revocation]] = [[], []]
        for of_one in told:
            revocations.subscribe(of_one.append)
        revoked = [revocation("token", "t1"), revocation("user", "ada")]
        for each in revoked:
            await revocations.revoke(each)
        assert told == [revoked, revoked]
        revocations.subscribe(told[0].append)()
        await revocations.revoke(revocation("token", "t2"))
        assert [len(of_one) for of_one in told] == [3, 3]

    @pytest.mark.asyncio
    async def test_s12_a_restart_forgets_nothing(self, tmp_path: Path) -> None:
        if not self.durable:
            pytest.skip("nothing outlives the process")
        revocations, close = await self.open_revocations(tmp_path)
        soon = time.time_ns() // 1_000_000 + 900
        await revocations.revoke(revocation("token", "t\0é👩", until=soon))
        await revocations.revoke(revocation("session", "s1"))
        await revocations.revoke(revocation("session", "s1", until=soon))
        await revocations.revoke(revocation("user", "ada", after=20))
        await revocations.revoke(revocation("user", "ada", after=10))
        await close()
        revocations, close = await self.open_revocations(tmp_path)
        assert await revocations.is_revoked(token(token_id="t\0é👩", login=None, user_id=""))
        assert await revocations.is_revoked(token(login=None, issued_at=_ISSUED + 19))
        assert not await revocations.is_revoked(token(login=None, issued_at=_ISSUED + 20))
        await self.pass_by(revocations, soon)
        await close()
        revocations, close = await self.open_revocations(tmp_path)
        assert not await revocations.is_revoked(token(token_id="t\0é👩", login=None, user_id=""))
        assert await revocations.is_revoked(token(user_id=""))
        await close()
