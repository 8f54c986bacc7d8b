"""People who move about in a room all the time, at every node, and remember what they are told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from tests.cluster.spread import Spread
from tests.server.clients import Clients
from tests.server.spec_client import SpecClient, cursor_frame

#: Between two movements of one of them (s).
_PAUSE = 0.05


class Crowd:
    """`members` by user, each at the next node."""

    def __init__(self, room: str, clients: Clients) -> None:
        self.room = room
        self.members: dict[str, SpecClient] = {}
        self._clients = clients

    async def gather(self, gateway: Spread, users: Sequence[str]) -> None:
        """Returns when all know of all; each has said something of itself."""
        for user in users:
            self.members[user] = await self._clients.enter(gateway, user, self.room)
            await self.members[user].send("presence_update", {"presence": {"status": f"I am {user}"}}, roomId=self.room)
        for user, member in self.members.items():
            for other in users:
                if other != user and other not in self._met(member):
                    await member.expect("user_joined", lambda payload, other=other: _user(payload) == other)
        await self.settled()

    async def settled(self) -> None:
        """Waits until what they have just said of themselves has been told; forgets that it was."""
        await asyncio.sleep(0.2)
        for member in self.members.values():
            await member.barrier()
            member.take("user_joined", "presence_update", "batch")

    @asynccontextmanager
    async def moving(self) -> AsyncIterator[None]:
        tasks = [asyncio.create_task(self._move(member)) for member in self.members.values()]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def told(self) -> list[tuple[str, str, str]]:
        """What was told of participants but cursors: to whom, what, and of whom; what is told later is told then."""
        return [
            (user, message.type, _user(message.payload))
            for user, member in self.members.items()
            for message in member.take("user_joined", "user_left", "presence_update")
            if message.payload.get("presence", {}).keys() != {"cursor"}
        ]

    def resynchronise(self) -> None:
        """Takes note of what all are told whose document goes on in another life."""
        for member in self.members.values():
            codes = [message.payload["code"] for message in member.take("error")]
            assert codes in ([], [3002])

    async def seen(self, gateway: Spread) -> list[dict[str, Any]]:
        """What the next nodes show to a newcomer, one at each: of all users but these what they say of themselves."""
        seen = []
        for _ in gateway.gateways:
            looker = await self._clients.enter(gateway, "looker")
            joined = await looker.join(self.room)
            await looker.leave(self.room)
            await looker.close()
            participants = {each["userId"]: each["presence"].get("status") for each in joined["participants"]}
            seen.append({user: status for user, status in participants.items() if user != "looker"})
        return seen

    def _met(self, member: SpecClient) -> set[str]:
        return {each["userId"] for each in member.rooms[self.room]["participants"]}

    async def _move(self, member: SpecClient) -> None:
        x = 0.0
        while True:
            x += 1
            await member.send_frame(cursor_frame(x, -x))
            await asyncio.sleep(_PAUSE)


def _user(payload: dict[str, Any]) -> str:
    return str(payload["participant"]["userId"] if "participant" in payload else payload["userId"])
