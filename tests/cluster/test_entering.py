"""What happens while somebody is being entered in a room's roster."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from tests.cluster.spread import Spread
from tests.server.clients import Clients, StartGateway


async def test_a_room_may_be_deserted_while_somebody_enters_it_R1_R4(
    start_gateway: StartGateway, clients: Clients, monkeypatch: pytest.MonkeyPatch
) -> None:
    spread = await start_gateway({})
    assert isinstance(spread, Spread)
    here, there = spread.gateways
    ada = await clients.enter(here, "ada", "r")
    cleo = await clients.enter(there, "cleo", "r")
    rosters = here._parts.engine.cluster.rosters
    enter, asked, answered = rosters.enter, asyncio.Event(), asyncio.Event()

    async def slow(*arguments: Any) -> Any:
        asked.set()
        await answered.wait()
        return await enter(*arguments)

    monkeypatch.setattr(rosters, "enter", slow)
    ben = await clients.enter(here, "ben")
    joins = asyncio.ensure_future(ben.join("r"))
    await asked.wait()
    await ada.leave("r")
    answered.set()
    joined = await joins
    assert {each["userId"] for each in joined["participants"]} == {"ben", "cleo"}
    await cleo.expect("user_joined", lambda payload: payload["participant"]["userId"] == "ben")
    await ben.send("operation", {"operation": ["x"], "version": joined["documentState"]["version"]}, roomId="r")
    await cleo.expect("operation_broadcast")
    await asyncio.gather(ben.leave("r"), cleo.leave("r"))
    assert here.room_count == there.room_count == 0
