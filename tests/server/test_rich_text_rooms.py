"""Rooms whose document is of the type ``rich-text``, written by two of the package's own clients."""

from __future__ import annotations

import asyncio
from typing import Any

from fastcollab.client import CollaborativeClient


async def test_two_clients_write_one_rich_text(gateway: Any, make_token: Any) -> None:
    async with (
        CollaborativeClient(gateway.url, make_token("ann")) as ann,
        CollaborativeClient(gateway.url, make_token("bob")) as bob,
    ):
        hers, his = await ann.join_room("page", "rich-text"), await bob.join_room("page", "rich-text")
        assert hers.document.content == []
        hers.edit([{"insert": "Hello 👩!"}])
        await hers.saved()
        await _equal(hers, his)
        # At the same time: one makes a word bold, the other writes in front of it.
        hers.edit([{"retain": 5, "attributes": {"bold": True}}])
        his.edit([{"insert": "Oh, "}])
        await asyncio.gather(hers.saved(), his.saved())
        await _equal(hers, his)
        assert hers.document.content == [
            {"insert": "Oh, "},
            {"insert": "Hello", "attributes": {"bold": True}},
            {"insert": " 👩!"},
        ]


async def _equal(one: Any, other: Any) -> None:
    changed = asyncio.Event()
    for room in (one, other):
        room.on("operation", lambda *_: changed.set())
    async with asyncio.timeout(5):
        while one.document.content != other.document.content:
            changed.clear()
            await changed.wait()
