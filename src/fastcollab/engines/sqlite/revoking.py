"""Revocations in the file, and in memory as well: every token is asked for, and few are revoked."""

from __future__ import annotations

import sqlite3
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from fastcollab.core.revocation import Revocation, TokenMarks
from fastcollab.engines.memory import MemoryRevocations


class SqliteRevocations:
    """Made by :meth:`fastcollab.engines.sqlite.SqliteDocuments.open_revocations`; `change` carries out a function of a
    connection.

    The file belongs to one gateway, so that what is in memory is all that there is.
    """

    def __init__(self, known: Iterable[Revocation], change: Callable[..., Awaitable[Any]]) -> None:
        self._known = MemoryRevocations(known)
        self._change = change

    async def revoke(self, revocation: Revocation) -> None:
        # Whatever the disk does, nobody gets in with it from now on.
        await self._change(_keep, self._known.add(revocation))

    async def is_revoked(self, token: TokenMarks) -> bool:
        return await self._known.is_revoked(token)

    def subscribe(self, told: Callable[[Revocation], None]) -> Callable[[], None]:
        return self._known.subscribe(told)

    async def forget(self, now: int) -> None:
        await self._known.forget(now)
        await self._change(_forget, now)


def known(connection: sqlite3.Connection) -> list[Revocation]:
    """All that are in the file."""
    rows = connection.execute("SELECT kind, subject, before, until FROM revocations")
    return [Revocation(*row) for row in rows]


def _keep(connection: sqlite3.Connection, revocation: Revocation) -> None:
    connection.execute(
        "INSERT OR REPLACE INTO revocations (kind, subject, before, until) VALUES (?, ?, ?, ?)", revocation
    )


def _forget(connection: sqlite3.Connection, now: int) -> None:
    connection.execute("DELETE FROM revocations WHERE until < ?", (now,))
