"""What goes on at a node, told by `/activity`, `/nodes` and `/connections`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from tests.server.admin_client import WITH_API, Api
from tests.server.clients import Clients
from tests.server.conftest import StartGateway
from tests.server.spec_client import cursor_frame

from fastcollab import Gateway


@pytest.fixture
async def gateway(start_gateway: StartGateway) -> Gateway:
    return await start_gateway(WITH_API)


@pytest.fixture
async def api(gateway: Gateway) -> AsyncIterator[Api]:
    async with Api(gateway) as api:
        yield api


async def told(api: Api, what: Callable[[Any], bool], within: float = 6) -> Any:
    """What `/activity` tells, when it is so."""
    found = None
    try:
        async with asyncio.timeout(within):
            while not what(found := await api.get("/activity")):  # noqa: ASYNC110 - nothing announces it
                await asyncio.sleep(0.05)
    except TimeoutError:
        raise AssertionError(found) from None
    return found


async def test_a_gateway_where_nothing_happens(api: Api) -> None:
    found = await api.get("/activity")
    assert (found["rooms"], found["connections"], found["slow"], found["throttled"]) == ([], [], 0, 0)
    assert found["errors"] == found["refusals"] == {}
    node = found["node"]
    assert (node["connections"], node["users"], node["rooms"], node["faults"]) == (0, 0, 0, [])
    assert 0 <= found["uptime"] < 60
    assert node["load"]["memory"] > 10_000_000
    [listed] = (await api.get("/nodes"))["nodes"]
    assert listed.keys() == node.keys()
    assert listed["load"].keys() == node["load"].keys()


async def test_rooms_are_told_by_what_goes_on_in_them(api: Api, gateway: Gateway, clients: Clients) -> None:
    busy = [await clients.enter(gateway, f"user-{number}", "busy", batched=True) for number in range(3)]
    writer = await clients.enter(gateway, "writer", "written")
    await clients.enter(gateway, "reader", "written")
    await clients.enter(gateway, "sleeper", "quiet")
    for turn in range(30):
        for client in busy:
            await client.send_frame(cursor_frame(turn, 0))
        if turn < 10:
            await writer.operate(["a"], turn)
        await asyncio.sleep(0.02)
    found = await api.get("/activity")
    first, second, third = found["rooms"]
    assert [each["roomId"] for each in (first, second, third)] == ["busy", "written", "quiet"]
    assert (first["connections"], first["participants"], first["operations"]) == (3, 3, 0)
    # Until it is a second old a room's cursors count as if it were.
    assert 45 <= first["cursors"] <= 100
    assert first["deliveries"] == pytest.approx(2 * first["cursors"], rel=0.2)
    assert (second["operations"], second["version"], second["cursors"], second["type"]) == (1.0, 10, 0, "text")
    assert third["operations"] == third["deliveries"] == 0
    load = found["node"]["load"]
    assert load["cursorsIn"] > 20
    assert load["deliveries"] > 40
    assert load["operations"] > 2
    assert load["bytesOut"] > load["bytesIn"] > 0
    assert 0 < load["cpu"] < 2
    assert {"fanout", "commit", "eventLoop", "store.append"} <= found["latencies"].keys()
    assert 0 < found["latencies"]["fanout"]["p50"] <= found["latencies"]["fanout"]["p99"]
    assert load["fanoutP99"] == pytest.approx(found["latencies"]["fanout"]["p99"], rel=0.2)


async def test_one_who_does_not_read_is_slow(start_gateway: StartGateway, clients: Clients) -> None:
    gateway = await start_gateway({**WITH_API, "client.max_outbound_bytes": 64_000_000})
    slow = await clients.raw(gateway, "slow")
    slow.send_message("join_room", {"roomId": "r"})
    slow.pause_reading()
    talker = await clients.enter(gateway, "talker", "r", batched=True)
    async with Api(gateway) as api:
        for _ in range(200):
            await api.ask("POST", "/rooms/r/events", {"name": "news", "data": "x" * 200_000})
            talker.take("event")
            if (await api.get("/activity"))["slow"]:
                break
        # Its connection takes frames once it has sent one, but not these.
        for turn in range(40):
            await talker.send_frame(cursor_frame(turn, 0))
            await asyncio.sleep(0.02)
        found = await told(api, lambda found: "concern" in found["connections"][0])
        worst, other = found["connections"]
        assert (worst["userId"], worst["concern"], worst["rooms"]) == ("slow", "slow", ["r"])
        assert worst["waiting"] > 0
        assert worst["behind"] >= 2
        assert 20 <= worst["skipped"] <= 40
        assert (other["userId"], other["behind"], other["skipped"]) == ("talker", 0, 0)
        assert "concern" not in other
        [listed] = (await api.get("/connections", userId="slow"))["connections"]
        assert listed["waiting"] == worst["waiting"]


async def test_one_who_is_refused_again_and_again_is_abusive(start_gateway: StartGateway, clients: Clients) -> None:
    gateway = await start_gateway({**WITH_API, "limits.operations": 5, "limits.frames": 200})
    good = await clients.enter(gateway, "good", "r")
    hasty = await clients.raw(gateway, "hasty", "r")
    flooding = await clients.raw(gateway, "flooding", "r")
    async with Api(gateway) as api:

        async def flood() -> None:
            while True:
                for number in range(5):
                    hasty.send_message("operation", {"operation": ["a"], "version": 0, "roomId": "r"})
                    flooding.send_message("ping", {"timestamp": number, "": "x" * 200_000})
                await flooding.drain(60)
                await asyncio.sleep(0.05)

        flooder = asyncio.create_task(flood())
        try:
            found = await told(
                api, lambda found: [each.get("concern") for each in found["connections"]].count("abusive") == 2
            )
        finally:
            flooder.cancel()
        by_user = {each["userId"]: each for each in found["connections"]}
        assert by_user["hasty"]["refusals"]["operations"] > 3
        assert by_user["flooding"]["refusals"].keys() == {"frames"}
        assert by_user["good"]["refusals"] == {}
        assert "concern" not in by_user["good"]
        assert found["refusals"].keys() == {"operations", "frames"}
        assert found["errors"].keys() == {"1003"}
        assert by_user["hasty"]["metrics"]["errorRate"] > 0
        await good.barrier()


async def test_connections_have_the_metrics_of_the_specification(api: Api, gateway: Gateway, clients: Clients) -> None:
    ada = await clients.enter(gateway, "ada", "r", batched=True)
    for turn in range(60):
        await ada.send_frame(cursor_frame(turn, 0))
        await asyncio.sleep(0.02)
    [found] = (await api.get("/connections"))["connections"]
    assert found["metrics"].keys() == {"latency", "messageRate", "errorRate", "reconnections", "bandwidth"}
    assert found["metrics"]["messageRate"] > 10
    assert found["metrics"]["bandwidth"]["inbound"] > 200
    one = await api.get(f"/connections/{found['connectionId']}")
    assert one["metrics"].keys() == found["metrics"].keys()


async def test_no_more_than_twenty_are_told(api: Api, gateway: Gateway, clients: Clients) -> None:
    for number in range(23):
        await clients.enter(gateway, f"user-{number}", f"room-{number}")
    found = await api.get("/activity")
    assert len(found["rooms"]) == len(found["connections"]) == 20
    assert found["node"]["rooms"] == 23
