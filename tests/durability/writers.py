"""People who write under load and lose the gateway again and again.

Each edit inserts a *mark*, a character that is used once, and nothing is deleted: so a document shows which edits are
in it, and how often. `saved` has the marks whose edits were acknowledged.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterator
from random import Random
from typing import Any

from tests.durability.gateways import GatewayProcess, token_of
from tests.server.editor import Editor
from tests.server.spec_client import SpecClient
from tests.server.spec_shapes import PLAIN
from websockets.exceptions import WebSocketException

from fastcollab import ot
from fastcollab.client import CollaborativeClient, ReconnectPolicy, Room

MARKS = [chr(number) for number in range(0x4E00, 0x3FFFF) if not 0xD800 <= number < 0xE000]

#: An edit that inserts the mark, by type of document.
EDITS: dict[str, Callable[[Random, Any, str], Any]] = {
    "text": lambda random, content, mark: ot.types["text"].normalize([random.randint(0, len(content)), mark]),
    "json1": lambda random, content, mark: [mark, {"i": random.randint(0, 9)}],
    "rich-text": lambda random, content, mark: [{"insert": mark, "attributes": {"bold": random.random() < 0.5}}],
}


def marks_in(content: Any) -> list[str]:
    """All marks of a document, each as often as it is there."""
    if isinstance(content, str):
        text = content
    elif isinstance(content, dict):
        text = "".join(content)
    else:
        text = "".join(component["insert"] for component in content)
    return sorted(text)


class PackageWriter:
    """Writes with the package's client, which comes back by itself; the room has the name of its document's type."""

    def __init__(self, gateway: GatewayProcess, user: str, room: str, random: Random, marks: Iterator[str]) -> None:
        self.room = room
        self.written: set[str] = set()
        self.saved: set[str] = set()
        self.rejected: list[Any] = []
        self._random = random
        self._marks = marks
        self._is_writing = True
        self._client = CollaborativeClient(
            gateway.url, token_of(user), reconnect=ReconnectPolicy(base=0.02, cap=0.2), checksum_every=10
        )
        self._joined: Room | None = None

    async def join(self) -> None:
        await self._client.connect()
        self._joined = await self._client.join_room(self.room, self.room)
        self._joined.on("rejected", self.rejected.append)

    async def write(self) -> None:
        """Writes until :meth:`stop`, and then until everything is saved."""
        room = self._joined
        assert room is not None
        async with asyncio.TaskGroup() as edits:
            while self._is_writing:
                for _ in range(self._random.randint(1, 3)):
                    edits.create_task(self._edit(room))
                await asyncio.sleep(self._random.uniform(0.0, 0.03))
        assert not self.rejected

    async def _edit(self, room: Room) -> None:
        mark = next(self._marks)
        self.written.add(mark)
        await room.submit(EDITS[self.room](self._random, room.document.content, mark))
        self.saved.add(mark)

    def stop(self) -> None:
        self._is_writing = False

    async def content(self) -> tuple[Any, int]:
        """The document as this writer sees it, and its version."""
        assert self._joined is not None
        return self._joined.document.content, self._joined.document.version

    async def leave(self) -> None:
        await self._client.disconnect()


class SpecWriter:
    """Writes into a text as the specification says, with nothing of the package's; sends again under the same id."""

    room = "text"

    def __init__(self, gateway: GatewayProcess, user: str, random: Random, marks: Iterator[str]) -> None:
        self.written: set[str] = set()
        self.saved: set[str] = set()
        self._gateway = gateway
        self._token = token_of(user)
        self._random = random
        self._marks = marks
        self._is_writing = True
        self._editor: Editor | None = None

    async def join(self) -> None:
        self._editor = await Editor.join(await self._connect(), self.room)

    async def write(self) -> None:
        editor = self._editor
        assert editor is not None
        while self._is_writing or not editor.idle:
            try:
                if editor.idle:
                    await self._edit(editor)
                else:
                    await editor.resume(await self._connect())
                    await self._finish(editor)
            except (AssertionError, WebSocketException):
                if editor.client.close_code is None:
                    raise  # it was not the connection

    async def _edit(self, editor: Editor) -> None:
        self._mark = next(self._marks)
        self.written.add(self._mark)
        await editor.edit([position, self._mark] if (position := len(editor.text) // 2) else [self._mark])
        await self._finish(editor)
        await asyncio.sleep(self._random.uniform(0.0, 0.02))

    async def _finish(self, editor: Editor) -> None:
        await editor.finish()
        self.saved.add(self._mark)

    async def _connect(self) -> SpecClient:
        while True:
            with contextlib.suppress(OSError, WebSocketException):
                client = await SpecClient.open(self._gateway.url, header_token=self._token, subprotocols=[PLAIN])
                await client.await_connected()
                return client
            await asyncio.sleep(0.05)

    def stop(self) -> None:
        self._is_writing = False

    async def content(self) -> tuple[Any, int]:
        assert self._editor is not None
        await self._editor.receive()
        return self._editor.text, self._editor.version

    async def leave(self) -> None:
        assert self._editor is not None
        await self._editor.client.close()
