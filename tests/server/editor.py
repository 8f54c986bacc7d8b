"""The client half of OT, as OT2 to OT4 describe it, on the tests' own reference of the text type."""

from __future__ import annotations

import json
import random
import uuid
import zlib
from typing import Any

from tests.server.reference_text import Operation, apply, transform
from tests.server.spec_client import SpecClient


def checksum(text: str) -> str:
    """OT8: a JSON string in canonical form escapes only what it must."""
    return f"{zlib.crc32(json.dumps(text, ensure_ascii=False).encode()):08x}"


def random_operation(random: random.Random, text: str) -> Operation:
    """An insertion, a deletion or a replacement somewhere in the text."""
    position = random.randint(0, len(text))
    operation: Operation = [position] if position else []
    if random.random() < 0.5 and position < len(text):
        operation.append({"d": random.randint(1, min(4, len(text) - position))})
    if len(operation) == (1 if position else 0) or random.random() < 0.5:
        operation.append("".join(random.choices("abcdefé😀 \n", k=random.randint(1, 4))))
    return operation


class Editor:
    """One user's copy of a room's document: the text that the user sees, and what of it is not committed yet."""

    def __init__(self, client: SpecClient, room: str, state: dict[str, Any]) -> None:
        self.client = client
        self.room = room
        self.text: str = state["data"]
        self.version: int = state["version"]
        self.epoch: str = state["epoch"]
        self._unacknowledged: list[tuple[str, Operation]] = []
        self._in_flight: str | None = None  # the id of the first of these, once it was sent
        self.seen: list[str] = []  # the ids of the operations in the order of their commits
        self.remote: list[Operation] = []  # the operations of others, as they changed this copy

    @classmethod
    async def join(cls, client: SpecClient, room: str) -> Editor:
        joined = await client.join(room)
        assert joined["version"] == joined["documentState"]["version"]
        return cls(client, room, joined["documentState"])

    @property
    def idle(self) -> bool:
        return not self._unacknowledged

    async def edit(self, operation: Operation) -> None:
        """The user edits; the operation is sent as soon as those before it are acknowledged."""
        self.text = apply(self.text, operation)
        self._unacknowledged.append((str(uuid.uuid4()), operation))
        await self._send_next()

    async def _send_next(self) -> None:
        if self._in_flight or not self._unacknowledged:
            return
        message_id, operation = self._unacknowledged[0]
        self._in_flight = message_id
        payload = {"operation": operation, "version": self.version}
        await self.client.send("operation", payload, id=message_id, roomId=self.room)

    async def resume(self, client: SpecClient) -> dict[str, Any]:
        """Goes on over another connection: asks for what was missed, and sends again what was in flight."""
        self.client = client
        joined = await client.join(self.room, lastSyncVersion=self.version, epoch=self.epoch)
        recovery = joined["recovery"]
        assert recovery["recovered"], recovery
        assert "data" not in joined["documentState"]
        await self.catch_up(self.version + recovery["missed"])
        self._in_flight = None
        await self._send_next()
        return joined

    async def receive(self) -> None:
        """Takes in what has arrived."""
        for message in self.client.take("ack", "operation_broadcast"):
            if message.room not in (None, self.room) or "version" not in message.payload:
                continue
            payload = message.payload
            if message.type == "ack":
                await self._committed(payload["messageId"], payload["version"])
            elif payload["messageId"] == self._in_flight:
                await self._committed(payload["messageId"], payload["transformedVersion"])
            else:
                self._apply_remote(payload)

    async def _committed(self, message_id: str, version: int) -> None:
        if message_id in self.seen:
            return  # the answer to an operation that was sent again
        assert version == self.version + 1, f"{version} after {self.version}"
        assert message_id == self._in_flight, "an ack for what was not in flight"
        self.version = version
        self.seen.append(message_id)
        del self._unacknowledged[0]
        self._in_flight = None
        await self._send_next()

    def _apply_remote(self, payload: dict[str, Any]) -> None:
        assert payload["transformedVersion"] == self.version + 1, (payload, self.version)
        assert payload["version"] <= self.version, payload
        self.version += 1
        self.seen.append(payload["messageId"])
        operation: Operation = payload["operation"]
        for index, (message_id, own) in enumerate(self._unacknowledged):
            self._unacknowledged[index] = (message_id, transform(own, operation, "left"))
            operation = transform(operation, own, "right")
        self.text = apply(self.text, operation)
        self.remote.append(operation)

    async def catch_up(self, version: int) -> None:
        """Waits until the copy is at the version."""
        while self.version < version:
            await self.client.expect_any("ack", "operation_broadcast")
            await self.receive()

    async def finish(self) -> None:
        """Waits until all of the user's own edits are committed."""
        while not self.idle:
            await self.client.expect_any("ack", "operation_broadcast")
            await self.receive()


async def converge(*editors: Editor) -> str:
    """Waits until all is committed and known everywhere; all copies are equal, and equal to the gateway's."""
    for editor in editors:
        await editor.finish()
    version = max(editor.version for editor in editors)
    for editor in editors:
        await editor.catch_up(version)
    text = editors[0].text
    for editor in editors:
        assert editor.text == text
        assert editor.seen[-len(editors[0].seen) :] == editors[0].seen[-len(editor.seen) :]
        state = (await editor.client.join(editor.room))["documentState"]
        assert (state["data"], state["version"]) == (text, version)
    return text
