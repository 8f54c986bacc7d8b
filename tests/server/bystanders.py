"""Those who should not notice what somebody else does to the gateway."""

from __future__ import annotations

from tests.server.clients import Clients, HasUrl
from tests.server.editor import Editor
from tests.server.reference_text import Operation
from tests.server.spec_client import SpecClient, cursor_frame, cursor_move


class Bystanders:
    """A pair of users in each of some rooms, who write together and see each other's cursors."""

    def __init__(self, pairs: list[tuple[Editor, Editor]]) -> None:
        self._pairs = pairs
        self._step = 0

    @classmethod
    async def enter(cls, gateway: HasUrl, clients: Clients, *rooms: str) -> Bystanders:
        pairs = []
        for room in rooms:
            binary = await clients.enter(gateway, f"binary in {room}", batched=True)
            plain = await clients.enter(gateway, f"plain in {room}")
            pairs.append((await Editor.join(binary, room), await Editor.join(plain, room)))
            await binary.expect("user_joined")
        return cls(pairs)

    async def notice_nothing(self) -> None:
        """Both of each pair write, move and see the other; their copies are the gateway's; no error has come."""
        for binary, plain in self._pairs:
            self._step += 1
            await self._see_each_other(binary.client, plain.client)
            await self._write_together(binary, plain)
            for client in (binary.client, plain.client):
                client.check()
                client.records.clear()
                client.take()

    async def _see_each_other(self, binary: SpecClient, plain: SpecClient) -> None:
        step = self._step % 1000  # told apart from what others send by its half
        await binary.send_frame(cursor_frame(step + 0.5, 1.0))
        await plain.send("cursor_move", cursor_move(step + 0.5, 2.0))
        record = await binary.expect_record(lambda record: record.user == plain.number and record.x == step + 0.5)
        assert record.y == 2.0
        update = await plain.expect(
            "presence_update",
            lambda payload: (
                payload["userId"] == binary.connected["userId"]
                and payload["presence"].get("cursor", {}).get("x") == step + 0.5
            ),
        )
        assert update.payload["presence"]["cursor"]["y"] == 1.0

    async def _write_together(self, *pair: Editor) -> None:
        for editor in pair:
            await editor.receive()
            operation: Operation = [chr(ord("a") + self._step % 26)]
            if len(editor.text) > 50:
                operation.append({"d": 1})
            await editor.edit(operation)
        for editor in pair:
            await editor.finish()
        version = max(editor.version for editor in pair)
        for editor in pair:
            await editor.catch_up(version)
        first, second = pair
        # A third one may write in the room meanwhile: then one of the two has seen more.
        if first.version == second.version:
            assert first.text == second.text
            state = (await first.client.join(first.room))["documentState"]
            if state["version"] == first.version:
                assert state["data"] == first.text
