"""What `/metrics` tells of things that have happened, and how connections do."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable
from pathlib import Path

import aiohttp
import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.openmetrics.parser import text_string_to_metric_families
from tests.server.clients import Clients
from tests.server.conftest import GENEROUS, StartGateway
from tests.server.raw_client import CLOSE, frame
from tests.server.scraping import Samples, changes, scrape
from tests.server.spec_client import SpecClient, cursor_frame
from tests.server.spec_shapes import BATCHED, INVALID_OPERATION, PLAIN, RATE_LIMIT
from websockets.exceptions import InvalidStatus

from fastcollab import Gateway
from fastcollab.engines.memory import MemoryDocuments
from fastcollab.errors import ServiceUnavailable
from fastcollab.server import metrics
from fastcollab.serving import pooled_metrics

OPS = {**GENEROUS, "ops.port": 0}


@pytest.fixture
async def gateway(start_gateway: StartGateway) -> Gateway:
    return await start_gateway(OPS)


async def moved(gateway: Gateway, before: Samples, *, but: str = "event_loop_lag") -> Samples:
    """What has changed, except for times, which no test knows, and what passes by itself."""
    found = changes(before, await scrape(gateway.operations_url))
    return {name: value for name, value in found.items() if not re.search(f"{but}|seconds_sum", name)}


async def told(gateway: Gateway, what: Callable[[Samples], bool]) -> Samples:
    """The metrics, when they are so."""
    async with asyncio.timeout(5):
        while not what(samples := await scrape(gateway.operations_url)):  # noqa: ASYNC110 - nothing announces it
            await asyncio.sleep(0.02)
    return samples


# --- everything that happens moves exactly its metrics ----------------------------------------------------------------


async def test_what_happens_in_a_room_is_counted(gateway: Gateway, clients: Clients) -> None:
    before = await scrape(gateway.operations_url)
    alice = await clients.enter(gateway, "alice", "r", batched=True)
    bob = await clients.enter(gateway, "bob", "r", batched=True)
    joined = changes(before, await scrape(gateway.operations_url))
    assert joined['connections{state="authenticated"}'] == joined["users"] == joined["connections_opened_total"] == 2
    assert joined["rooms"] == joined['documents{type="text"}'] == 1
    assert joined['messages_sent_total{type="connected"}'] == joined['messages_sent_total{type="room_joined"}'] == 2
    assert joined['messages_sent_total{type="user_joined"}'] == joined['messages_received_total{type="join_room"}'] / 2

    before = await scrape(gateway.operations_url)
    for turn in range(3):
        await alice.send_frame(cursor_frame(turn, 0))
        assert (await bob.expect_record()).x == turn
    assert await moved(gateway, before) == {
        'messages_received_total{type="cursor_frame"}': 3,
        'message_bytes_received_total{type="cursor_frame"}': 3 * 18,
        'messages_sent_total{type="cursor_frame"}': 3,
        'message_bytes_sent_total{type="cursor_frame"}': 3 * (8 + 24),
        'records_delivered_total{kind="cursor"}': 3,
        "received_bytes_total": 3 * (6 + 18),
        "sent_bytes_total": 3 * (2 + 8 + 24),
        "flush_records_count": 3,
        "flush_records_sum": 3,
        "flush_seconds_count": 3,
        "fanout_seconds_count": 3,
    }

    before = await scrape(gateway.operations_url)
    await alice.operate(["a"], 0)
    await bob.expect("operation_broadcast")
    found = await moved(gateway, before, but="event_loop_lag|bytes")
    assert found == {
        'messages_received_total{type="operation"}': 1,
        'messages_sent_total{type="ack"}': 1,
        'messages_sent_total{type="operation_broadcast"}': 1,
        'operations_total{type="text"}': 1,
        "commit_seconds_count": 1,
        'store_seconds_count{call="append"}': 1,
    }


async def test_bytes_are_those_of_the_wire(gateway: Gateway, clients: Clients) -> None:
    alice = await clients.enter(gateway, "alice", "r")
    await alice.barrier()
    before = await scrape(gateway.operations_url)
    text = json.dumps({"type": "ping", "id": "é" * 200, "payload": {}}, ensure_ascii=False)
    await alice.send_text(text)
    error = await alice.expect("error")
    found = changes(before, await scrape(gateway.operations_url))
    size = len(text.encode())
    assert found['message_bytes_received_total{type="invalid"}'] == size > len(text)
    assert found["received_bytes_total"] == size + 8
    assert found["sent_bytes_total"] == found['message_bytes_sent_total{type="error"}'] + 4
    assert found[f'errors_total{{code="{INVALID_OPERATION}"}}'] == 1 == found['messages_sent_total{type="error"}']
    assert error.payload["code"] == INVALID_OPERATION


async def test_plain_frames_and_selections_are_counted_by_message(gateway: Gateway, clients: Clients) -> None:
    alice = await clients.enter(gateway, "alice", "r")
    bob = await clients.enter(gateway, "bob", "r")
    await bob.send_frame(cursor_frame(1, 1))  # asks for frames
    await bob.barrier()
    before = await scrape(gateway.operations_url)
    await alice.send_frame(cursor_frame(1, 2, viewport=(0, 0)))
    await bob.expect_record(lambda record: record.y == 2)
    await alice.send_frame(cursor_frame(0, 0, kind=2))
    await bob.expect_record(lambda record: record.kind == 2)
    found = await moved(gateway, before)
    assert found['message_bytes_sent_total{type="cursor_frame"}'] == found["sent_bytes_total"] - 2 - 20 >= 26
    assert found['messages_received_total{type="selection_frame"}'] == 1
    assert found['message_bytes_sent_total{type="selection_frame"}'] == 18
    assert found['records_delivered_total{kind="selection"}'] == 1


async def test_a_batch_counts_with_what_is_in_it(gateway: Gateway, clients: Clients) -> None:
    alice = await clients.enter(gateway, "alice", "r")
    before = await scrape(gateway.operations_url)
    ping = {"id": "no", "type": "ping", "version": 1, "timestamp": 0, "payload": {"timestamp": 1}}
    good = {**ping, "id": "00000000-0000-4000-8000-000000000000"}
    await alice.send("batch", {"messages": [good, ping, good], "compressed": False})
    await alice.expect("error")
    await alice.barrier()
    found = changes(before, await scrape(gateway.operations_url))
    assert found['messages_received_total{type="batch"}'] == found['messages_received_total{type="invalid"}'] == 1
    assert found['messages_received_total{type="ping"}'] == 3
    assert found['message_bytes_received_total{type="batch"}'] > 300
    assert 'message_bytes_received_total{type="invalid"}' not in found


async def test_disconnects_are_counted_by_who_closed_first(gateway: Gateway, clients: Clients) -> None:
    before = await scrape(gateway.operations_url)
    farewell, silent, strange = [await clients.enter(gateway, f"user-{each}") for each in range(3)]
    lost, sent_away = [await clients.enter(gateway, f"user-{each}") for each in (4, 5)]
    raw = await clients.raw(gateway, "user-6")
    await farewell.close()
    await silent.close(1001)
    await strange.close(4999)
    await lost.abort()
    await gateway.disconnect_user("user-5")
    await sent_away.closed(4506)
    raw.send(frame(CLOSE, b""))
    await told(gateway, lambda samples: samples['fastcollab_connections{state="authenticated"}'] == 0)
    found = changes(before, await scrape(gateway.operations_url))
    ended = {name: value for name, value in found.items() if name.startswith("connections_closed")}
    codes = (1000, 1001, 1005, 1006, 4506, "other")
    assert ended == {f'connections_closed_total{{code="{code}"}}': 1 for code in codes}
    assert found["connections_opened_total"] == 6


async def test_who_comes_back_is_counted_by_verdict(gateway: Gateway, clients: Clients) -> None:
    before = await scrape(gateway.operations_url)
    alice = await clients.enter(gateway, "alice")
    joined = await alice.join("r")
    epoch = joined["documentState"]["epoch"]
    await alice.abort()
    again = alice
    for turn in range(2):
        await again.abort()
        previous = again.connected["connectionId"]
        again = await returned(gateway, clients, "alice", previous)
        (metrics_of_it,) = (each for _, each in gateway.all_connection_metrics())
        assert metrics_of_it.reconnections == turn + 1
    await again.join("r", lastSyncVersion=0, epoch=epoch)
    stranger = await returned(gateway, clients, "mallory", again.connected["connectionId"])
    await stranger.join("r", lastSyncVersion=0, epoch="another")
    found = changes(before, await scrape(gateway.operations_url))
    assert found['resumptions_total{verdict="resumed"}'] == 2
    assert found['resumptions_total{verdict="unknown"}'] == 1
    recoveries = {name: value for name, value in found.items() if name.startswith("recoveries")}
    assert recoveries == {
        'recoveries_total{verdict="recovered"}': 1,
        'recoveries_total{verdict="epoch_changed"}': 1,
    }


async def returned(gateway: Gateway, clients: Clients, user: str, previous: str) -> SpecClient:
    client = await clients.open(gateway, subprotocols=[PLAIN])
    token = clients.token(user, rooms={"*": "write"})
    payload = {"token": token, "deviceId": "d", "clientVersion": "1", "connectionId": previous}
    await client.send("connect", payload)
    await client.await_connected()
    return client


async def test_refusals_are_counted(start_gateway: StartGateway, clients: Clients) -> None:
    gateway = await start_gateway({**OPS, "limits.operations": 1, "limits.shadow": ["connections_per_user"]})
    gateway_full = await start_gateway({**OPS, "limits.connections": 1})
    alice = await clients.enter(gateway, "alice", "r")
    await clients.enter(gateway_full, "alice")
    for subprotocols, at in ((["nonsense"], gateway), ([PLAIN], gateway_full)):
        with pytest.raises(InvalidStatus):
            await clients.open(at, subprotocols=subprotocols)
    for _ in range(3):
        await alice.send("operation", {"operation": ["a"], "version": 0})
    await alice.expect_any("error")
    errors = 0
    while errors + len(alice.take("ack")) < 1:
        await alice.barrier()
        errors += len(alice.take("error"))
    samples = await scrape(gateway.operations_url)
    refused = samples['fastcollab_limit_exceeded_total{limit="operations",outcome="refused"}']
    assert refused == samples[f'fastcollab_errors_total{{code="{RATE_LIMIT}"}}'] > 0
    assert samples['fastcollab_upgrades_refused_total{status="400"}'] == 1
    full = await scrape(gateway_full.operations_url)
    assert full['fastcollab_upgrades_refused_total{status="503"}'] == 1
    assert full['fastcollab_limit_exceeded_total{limit="connections",outcome="refused"}'] == 1
    alice.take("error")


class BrokenDocuments(MemoryDocuments):
    """Loads nothing."""

    async def load(self, room_id: str, version: int | None = None) -> None:
        raise ServiceUnavailable("the disk is gone")


async def test_a_store_that_fails_is_told(start_gateway: StartGateway, clients: Clients) -> None:
    gateway = await start_gateway(OPS, store=BrokenDocuments())
    alice = await clients.enter(gateway, "alice")
    await alice.refusal(5002, "join_room", {"roomId": "r"})
    samples = await scrape(gateway.operations_url)
    assert samples['fastcollab_store_failures_total{call="load"}'] == 1
    assert samples['fastcollab_store_seconds_count{call="load"}'] == 1


async def test_who_sends_too_much_is_told(start_gateway: StartGateway, clients: Clients) -> None:
    gateway = await start_gateway({**OPS, "limits.frames": 20})
    flood = await clients.raw(gateway, "mallory", "r")
    for _ in range(60):
        flood.send_message("ping", {"timestamp": 1})
    samples = await told(gateway, lambda samples: samples["fastcollab_throttled_connections"] == 1)
    assert samples["fastcollab_throttled_total"] == 1


async def test_who_does_not_read_is_told(start_gateway: StartGateway, clients: Clients) -> None:
    gateway = await start_gateway({**OPS, "client.max_outbound_bytes": 100_000_000})
    deaf = await clients.raw(gateway, "ada", "r")
    deaf.pause_reading()
    alice = await clients.enter(gateway, "alice", "r")
    for _ in range(20):
        await alice.send("event", {"name": "e", "data": "x" * 900_000})
    await told(gateway, lambda samples: samples["fastcollab_slow_connections"] == 1)


# --- how it is told ---------------------------------------------------------------------------------------------------


async def test_the_format_is_the_one_that_is_asked_for(gateway: Gateway) -> None:
    url = f"{gateway.operations_url}/metrics"
    async with aiohttp.ClientSession() as http:
        async with http.get(url) as response:
            assert response.headers["Content-Type"].startswith("text/plain; version=0.0.4")
        accept = {"Accept": "application/openmetrics-text; version=1.0.0,text/plain;version=0.0.4;q=0.5"}
        async with http.get(url, headers=accept) as response:
            assert response.headers["Content-Type"].startswith("application/openmetrics-text; version=1.0.0")
            names = {family.name for family in text_string_to_metric_families(await response.text())}
    assert {family.name.removesuffix("_total") for family in metrics.FAMILIES} <= names


async def test_a_registry_of_the_programs_own_takes_them(gateway: Gateway) -> None:
    registry = CollectorRegistry()

    class Collector:
        def collect(self) -> object:
            return gateway.metrics()

    registry.register(Collector())  # type: ignore[arg-type]
    assert registry.get_sample_value("fastcollab_ready") == 1


async def test_metrics_are_told_while_the_gateway_stops(gateway: Gateway, clients: Clients) -> None:
    # It does not answer the close, so that the gateway waits for it.
    await clients.raw(gateway, "ada", "r")
    gateway.close_soon()
    samples = await scrape(gateway.operations_url)
    assert (samples["fastcollab_ready"], samples["fastcollab_faults"]) == (0, 1)
    await told(gateway, lambda samples: samples['fastcollab_messages_sent_total{type="error"}'] == 1)
    url, seen = gateway.operations_url, 0
    stopping = asyncio.create_task(gateway.stop())
    with pytest.raises(aiohttp.ClientError):
        while True:
            await scrape(url)
            seen += 1
    await stopping
    assert seen > 0
    assert dict(gateway.all_connection_metrics()) == {}
    assert len(list(gateway.metrics())) >= len(metrics.FAMILIES)


async def test_what_clients_send_makes_no_series(gateway: Gateway, clients: Clients) -> None:
    before = await scrape(gateway.operations_url)
    alice = await clients.enter(gateway, "alice", "a room", batched=True)
    for name in ("x", "y"):
        await alice.send(name, {})
        await alice.send("event", {"name": name, "data": name})
        await alice.refused(INVALID_OPERATION)
    await alice.close(4321)
    await told(gateway, lambda samples: samples['fastcollab_connections_closed_total{code="other"}'] == 1)
    new = set(await scrape(gateway.operations_url)) - set(before)
    assert {name for name in new if "forget_unwritten" not in name} == {
        'fastcollab_connections_closed_total{code="other"}'
    }


def documented() -> dict[str, tuple[str, str, str]]:
    text = (Path(__file__).parents[2] / "docs" / "metrics.md").read_text()
    rows = re.findall(r"^\| `(fastcollab_\w+)` \| (\w+) \| (.*?) \| (.*?) \|$", text, re.MULTILINE)
    return {name: (kind, labels, help_) for name, kind, labels, help_ in rows}


def test_each_metric_is_documented_as_it_is() -> None:
    families = (*metrics.FAMILIES, *pooled_metrics.FAMILIES)
    assert documented() == {
        family.name: (family.kind, ", ".join(f"`{label}`" for label in family.labels), family.help)
        for family in families
    }
    assert len({family.name for family in families}) == len(families)


# --- connections ------------------------------------------------------------------------------------------------------


async def test_a_connection_is_measured(gateway: Gateway, clients: Clients) -> None:
    alice = await clients.enter(gateway, "alice", "r", batched=True)
    bob = await clients.enter(gateway, "bob", "r", batched=True)
    assert alice.subprotocol == BATCHED
    for turn in range(60):
        await alice.send_frame(cursor_frame(turn, 0))
        await asyncio.sleep(0.02)
    await alice.refusal(INVALID_OPERATION, "event", {"name": ""})
    await asyncio.sleep(1.1)
    found = gateway.connection_metrics(alice.connected["connectionId"])
    assert found is not None
    assert 15 < found.message_rate < 60
    assert 15 * 24 < found.bandwidth.inbound < 60 * 24 + 300
    assert 5 < found.error_rate < 60, "one in some seconds"
    other = gateway.connection_metrics(bob.connected["connectionId"])
    assert other is not None
    assert other.error_rate == 0
    assert other.bandwidth.outbound > 15 * 34
    assert gateway.connection_metrics("nonsense") is None
    assert dict(gateway.all_connection_metrics()).keys() == {
        alice.connected["connectionId"],
        bob.connected["connectionId"],
    }


async def test_a_ping_measures_the_round_trip(start_gateway: StartGateway, clients: Clients) -> None:
    gateway = await start_gateway({**OPS, "client.heartbeat_interval": 0.2})
    alice = await clients.enter(gateway, "alice")
    connection_id = alice.connected["connectionId"]
    found = gateway.connection_metrics(connection_id)
    assert found is not None
    assert found.latency is None
    await told(gateway, lambda samples: samples["fastcollab_ping_seconds_count"] > 0)
    found = gateway.connection_metrics(connection_id)
    assert found is not None
    assert found.latency is not None
    assert 0 < found.latency < 200
