"""Events that a gateway tells a program of the team's, over HTTP."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from aiohttp import web
from tests.server.clients import Clients
from tests.server.conftest import GENEROUS, StartGateway
from tests.server.receiver import SECRET, Receiver, answering, eventually


def settings(receiver: Receiver, **more: object) -> dict[str, object]:
    return {
        **GENEROUS,
        "presence.grace_period": 0,
        "webhooks.url": receiver.url,
        "webhooks.secret": SECRET,
        "webhooks.document_delay": 0.05,
        **more,
    }


def names(receiver: Receiver) -> list[str]:
    return [event["event"] for event in receiver.events]


async def test_what_happens_is_told(start_gateway: StartGateway, clients: Clients, receiver: Receiver) -> None:
    gateway = await start_gateway(settings(receiver))
    ada, bob = await clients.enter(gateway, "ada", "r"), await clients.enter(gateway, "bob", "r")
    for version in range(3):
        await ada.operate(["x"], version)
    await receiver.noticed(lambda: "document_changed" in names(receiver))
    await ada.close()
    await bob.close()
    await receiver.noticed(lambda: len(receiver.events) == 7)
    of_rooms = [event for event in receiver.events if "roomId" in event]
    assert [event["event"] for event in of_rooms] == ["room_occupied", "document_changed", "room_vacated"]
    # Three changes shortly after one another are one.
    assert of_rooms[1]["version"] == 3
    assert of_rooms[1]["type"] == "text"
    for user in ("ada", "bob"):
        opened, closed = (event for event in receiver.events if event.get("userId") == user)
        assert (opened["event"], closed["event"]) == ("connection_opened", "connection_closed")
        assert opened["connectionId"] == closed["connectionId"]
        assert closed["farewell"]
    assert {event["node"] for event in receiver.events} == {gateway.describe().node}
    assert len({event["id"] for event in receiver.events}) == 7
    assert receiver.forged == 0


async def test_only_what_is_wanted_is_told(start_gateway: StartGateway, clients: Clients, receiver: Receiver) -> None:
    gateway = await start_gateway(settings(receiver, **{"webhooks.events": ["room_vacated"]}))
    ada = await clients.enter(gateway, "ada", "r")
    await ada.operate(["x"], 0)
    await clients.raw(gateway)  # one without a user is told to nobody
    await asyncio.sleep(0.1)
    await ada.close()
    await receiver.noticed(lambda: bool(receiver.events))
    assert names(receiver) == ["room_vacated"]


async def test_a_receiver_that_fails_gets_all_in_order_and_under_the_same_ids(
    start_gateway: StartGateway, clients: Clients, receiver: Receiver
) -> None:
    failures = iter([500, 404, 302])

    async def answer(event: dict[str, Any]) -> web.Response:
        return web.Response(status=next(failures, 204))

    receiver.on_event = answer
    gateway = await start_gateway(settings(receiver, **{"webhooks.events": ["room_occupied", "room_vacated"]}))
    ada = await clients.enter(gateway, "ada", "r")
    await ada.send("leave_room", {"roomId": "r"})
    await ada.join("r")
    await receiver.noticed(lambda: len(receiver.events) == 6, within=20)
    assert names(receiver) == ["room_occupied"] * 4 + ["room_vacated", "room_occupied"]
    assert len({event["id"] for event in receiver.events}) == 3


async def test_a_receiver_that_is_slow_or_away_holds_up_nobody(
    start_gateway: StartGateway, clients: Clients, receiver: Receiver
) -> None:
    hangs = asyncio.Event()

    async def hang(event: dict[str, Any]) -> web.Response:
        await hangs.wait()
        return web.Response(status=204)

    receiver.on_event = hang
    gateway = await start_gateway(settings(receiver, **{"webhooks.timeout": 0.1, "webhooks.events": ["room_occupied"]}))
    ada = await clients.enter(gateway, "ada", "r", "s")
    await ada.barrier()
    await receiver.noticed(lambda: len(receiver.events) >= 3, within=20)
    await receiver.stop()
    hangs.set()
    await ada.operate(["x"], 0)
    receiver.events.clear()
    await receiver.start()
    await receiver.noticed(lambda: {event["roomId"] for event in receiver.events} == {"r", "s"}, within=20)


async def test_too_many_and_too_old_are_dropped_and_said(
    start_gateway: StartGateway, clients: Clients, receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    receiver.on_event = answering(503)
    gateway = await start_gateway(
        settings(
            receiver,
            **{"webhooks.most_waiting": 2, "webhooks.give_up_after": 1, "webhooks.events": ["room_occupied"]},
        )
    )
    await clients.enter(gateway, "ada", "a", "b", "c")

    async def given_up() -> bool:
        return sum(record.getMessage() == "an event is given up" for record in caplog.records) == 2

    await eventually(given_up, within=20)
    assert "an event was dropped, since too many wait" in caplog.text
    assert {event["roomId"] for event in receiver.events} == {"a", "b"}


async def test_a_gateway_that_stops_tells_what_is_left(
    start_gateway: StartGateway, clients: Clients, receiver: Receiver
) -> None:
    gateway = await start_gateway(
        settings(
            receiver, **{"presence.grace_period": 60, "webhooks.document_delay": 60, "webhooks.document_max_delay": 60}
        )
    )
    raw = await clients.raw(gateway, "ada", "r")
    raw.send_message("operation", {"operation": ["x"], "version": 0})
    await raw.message()
    raw.abort()
    await receiver.noticed(lambda: "connection_closed" in names(receiver))
    await gateway.stop()
    assert sorted(names(receiver)) == [
        *("connection_closed", "connection_opened", "document_changed", "room_occupied", "room_vacated"),
    ]


@pytest.mark.parametrize("how", ["away", "slow"])
async def test_a_receiver_does_not_keep_a_gateway_from_stopping(
    start_gateway: StartGateway, clients: Clients, receiver: Receiver, how: str, caplog: pytest.LogCaptureFixture
) -> None:
    ends = asyncio.Event()

    async def hang(event: dict[str, Any]) -> web.Response:
        await ends.wait()
        return web.Response(status=204)

    receiver.on_event = hang
    gateway = await start_gateway(settings(receiver))
    if how == "away":
        await receiver.stop()
    raw = await clients.raw(gateway, "ada", "r")
    raw.abort()
    await asyncio.wait_for(gateway.stop(), 5)
    ends.set()
    assert "events have not been delivered" in caplog.text
