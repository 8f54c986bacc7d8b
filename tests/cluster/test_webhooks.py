"""Rooms that span gateways are told to be occupied and vacated once, by one of them."""

from __future__ import annotations

import asyncio

from tests.cluster.spread import Spread
from tests.server.clients import Clients, StartGateway
from tests.server.receiver import Receiver
from tests.server.test_webhooks import settings


async def start(start_gateway: StartGateway, receiver: Receiver) -> Spread:
    started = await start_gateway(
        settings(receiver, **{"engine.lease": 1, "webhooks.events": ["room_occupied", "room_vacated"]})
    )
    assert isinstance(started, Spread)
    return started


def told(receiver: Receiver, room: str = "r") -> list[str]:
    return [event["event"].removeprefix("room_") for event in receiver.events if event["roomId"] == room]


async def test_a_room_is_told_of_once(start_gateway: StartGateway, clients: Clients, receiver: Receiver) -> None:
    one, other = (await start(start_gateway, receiver)).gateways
    people = await asyncio.gather(
        *(clients.enter(gateway, f"user {number}", "r") for number in range(4) for gateway in (one, other))
    )
    await receiver.noticed(lambda: told(receiver) == ["occupied"])
    first, *others = people
    for each in others:
        await each.close()
    await clients.enter(one, "eve", "s")
    await receiver.noticed(lambda: told(receiver, "s") == ["occupied"])
    assert told(receiver) == ["occupied"]
    await first.close()
    await receiver.noticed(lambda: told(receiver) == ["occupied", "vacated"])
    await clients.enter(other, "bob", "r")
    await receiver.noticed(lambda: told(receiver) == ["occupied", "vacated", "occupied"])
    ats = [event["at"] for event in receiver.events if event["roomId"] == "r"]
    assert ats == sorted(ats)


async def test_who_buries_a_node_tells_of_its_rooms(
    start_gateway: StartGateway, clients: Clients, receiver: Receiver
) -> None:
    one, other = (await start(start_gateway, receiver)).gateways
    await clients.enter(one, "ada", "both")
    await (await clients.raw(other, "bob", "r", "both")).alive()
    await receiver.noticed(lambda: told(receiver) == told(receiver, "both") == ["occupied"])
    await other.stop()
    await receiver.noticed(lambda: told(receiver) == ["occupied", "vacated"])
    assert told(receiver, "both") == ["occupied"]
