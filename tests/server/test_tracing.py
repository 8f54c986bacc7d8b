"""Operations in traces of OpenTelemetry, as a collector has them."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import uuid
from collections.abc import Callable
from itertools import pairwise

import pytest
from tests.server.clients import Clients, settled
from tests.server.collector import Collector, Span
from tests.server.conftest import GENEROUS, StartGateway
from tests.server.spec_client import SpecClient
from tests.server.spec_shapes import INVALID_OPERATION, NO_PERMISSION

from fastcollab import Config, Gateway
from fastcollab.config import ConfigError

TRACING = {**GENEROUS, "tracing.enabled": True}


def traceparent(flags: str = "01") -> str:
    """A place in a trace that is nobody else's."""
    return f"00-{uuid.uuid4().hex}-{uuid.uuid4().hex[:16]}-{flags}"


async def write(client: SpecClient, version: int, given: object = None) -> str:
    payload = {"operation": ["x"], "version": version} | ({} if given is None else {"traceparent": given})
    sent = await client.send("operation", payload, roomId="r")
    await client.expect("ack", lambda payload: payload["messageId"] == sent)
    return sent


def is_of(message_id: str) -> Callable[[Span], bool]:
    return lambda span: span.attributes.get("fastcollab.message.id") == message_id


async def told(client: SpecClient) -> str | None:
    given = (await client.expect("operation_broadcast")).payload.get("traceparent")
    return None if given is None else str(given)


async def stop(gateway: Gateway, *clients: SpecClient) -> None:
    for client in clients:
        await client.close()
    await gateway.stop()


async def two(gateway: Gateway, clients: Clients) -> tuple[SpecClient, SpecClient]:
    alice = await clients.enter(gateway, "alice", "r")
    bob = await clients.enter(gateway, "bob", "r")
    await settled(alice, bob)
    return alice, bob


async def test_an_operation_has_a_span_below_its_clients_with_one_for_each_step(
    start_gateway: StartGateway, collector: Collector, clients: Clients
) -> None:
    gateway = await start_gateway(TRACING)
    alice, bob = await two(gateway, clients)
    given = traceparent()
    sent = await write(alice, 0, given)

    operation = await collector.span("operation")
    assert (operation.trace_id, operation.parent_id) == (given[3:35], given[36:52])
    assert await told(bob) == f"00-{operation.trace_id}-{operation.span_id}-01"
    assert operation.error is None
    assert operation.attributes.pop("fastcollab.connection.id") in dict(gateway.all_connection_metrics())
    assert operation.attributes == {
        "fastcollab.room.id": "r",
        "fastcollab.user.id": "alice",
        "fastcollab.message.id": sent,
        "fastcollab.node.id": gateway.describe().node,
        "fastcollab.document.written_against": 0,
        "fastcollab.document.version": 1,
    }
    assert operation.service["service.name"] == "fastcollab"
    assert operation.service["service.instance.id"] == gateway.describe().node

    steps = [await collector.span(name) for name in ("stage", "append", "broadcast")]
    assert all(step.parent_id == operation.span_id for step in steps)
    assert operation.begun <= steps[0].begun
    for one, next_one in pairwise(steps):
        assert one.begun <= one.ended <= next_one.begun
    assert steps[-1].ended <= operation.ended


async def test_an_operation_that_is_refused_says_why(
    start_gateway: StartGateway, collector: Collector, clients: Clients
) -> None:
    """By the document, which is told later; and by the room, at once."""
    gateway = await start_gateway(TRACING)
    alice = await clients.enter(gateway, "alice", "r")
    given = traceparent()
    await alice.refusal(
        INVALID_OPERATION, "operation", {"operation": [5, "x"], "version": 0, "traceparent": given}, roomId="r"
    )
    operation = await collector.span("operation", lambda span: span.trace_id == given[3:35])
    assert operation.error
    assert operation.attributes["error.type"] == str(INVALID_OPERATION)
    assert "fastcollab.document.version" not in operation.attributes

    reader = await clients.enter(gateway, "carol", "r", claims={"rooms": {"*": "read"}})
    given = traceparent()
    await reader.refusal(
        NO_PERMISSION, "operation", {"operation": ["x"], "version": 0, "traceparent": given}, roomId="r"
    )
    operation = await collector.span("operation", lambda span: span.trace_id == given[3:35])
    assert operation.attributes["error.type"] == str(NO_PERMISSION)
    assert not [span for span in collector.spans if span.parent_id == operation.span_id]


async def test_what_is_no_traceparent_begins_a_trace_that_clients_are_not_told_of(
    start_gateway: StartGateway, collector: Collector, clients: Clients
) -> None:
    gateway = await start_gateway(TRACING)
    alice, bob = await two(gateway, clients)
    for version, given in enumerate([None, "00-rubbish", f"00-{'0' * 32}-{'1' * 16}-01", 5]):
        sent = await write(alice, version, given)
        operation = await collector.span("operation", is_of(sent))
        assert operation.parent_id == ""
        assert await told(bob) is None
    assert len({span.trace_id for span in collector.spans}) == 4


async def test_what_its_client_does_not_record_is_not_recorded(
    start_gateway: StartGateway, collector: Collector, clients: Clients
) -> None:
    gateway = await start_gateway(TRACING)
    alice, bob = await two(gateway, clients)
    unrecorded, recorded = traceparent("00"), traceparent()
    await write(alice, 0, unrecorded)
    await write(alice, 1, recorded)
    await collector.span("operation", lambda span: span.trace_id == recorded[3:35])
    assert {span.trace_id for span in collector.spans} == {recorded[3:35]}
    assert await told(bob) == unrecorded


async def test_clients_cannot_have_more_recorded_than_they_may(
    start_gateway: StartGateway, collector: Collector, clients: Clients
) -> None:
    gateway = await start_gateway({**TRACING, "tracing.client_rate": 2})
    alice, bob = await two(gateway, clients)
    given = [traceparent() for _ in range(10)]
    began = asyncio.get_running_loop().time()
    for version, each in enumerate(given):
        await write(alice, version, each)
    took = asyncio.get_running_loop().time() - began
    passed_on = [await told(bob) for _ in given]
    assert [each and each[3:35] for each in passed_on] == [each[3:35] for each in given]
    recorded = [each for each in passed_on if each is not None and each.endswith("-01")]
    assert 2 <= len(recorded) <= 2 + 2 * took
    # The others are told as not recorded, so that nobody who comes after records them either.
    unrecorded = {f"{each[:-2]}00" for each in given}
    assert all(each in unrecorded for each in passed_on if each not in recorded)
    await stop(gateway, alice, bob)
    assert {span.span_id for span in collector.spans if span.name == "operation"} == {each[36:52] for each in recorded}


async def test_clients_that_are_trusted_decide(
    start_gateway: StartGateway, collector: Collector, clients: Clients
) -> None:
    gateway = await start_gateway({**TRACING, "tracing.client_rate": 1, "tracing.trust_clients": True})
    alice, bob = await two(gateway, clients)
    given = [traceparent() for _ in range(10)]
    for version, each in enumerate(given):
        await write(alice, version, each)
    await stop(gateway, alice, bob)
    recorded = {span.trace_id for span in collector.spans if span.name == "operation"}
    assert recorded == {each[3:35] for each in given}


async def test_the_sampler_decides_about_traces_that_begin_here(
    start_gateway: StartGateway, collector: Collector, clients: Clients, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "parentbased_traceidratio")
    monkeypatch.setenv("OTEL_TRACES_SAMPLER_ARG", "0")
    gateway = await start_gateway(TRACING)
    alice, bob = await two(gateway, clients)
    given = traceparent()
    await write(alice, 0)
    await write(alice, 1, given)
    await stop(gateway, alice, bob)
    assert {span.trace_id for span in collector.spans} == {given[3:35]}


async def test_what_was_under_way_is_exported_before_the_gateway_has_stopped(
    start_gateway: StartGateway, collector: Collector, clients: Clients, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "60000")
    gateway = await start_gateway(TRACING)
    alice, bob = await two(gateway, clients)
    await write(alice, 0, traceparent())
    assert not collector.spans
    await stop(gateway, alice, bob)
    assert {span.name for span in collector.spans} == {"operation", "stage", "append", "broadcast"}


async def test_without_a_collector_all_goes_on(
    start_gateway: StartGateway, clients: Clients, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")
    gateway = await start_gateway(TRACING)
    alice, bob = await two(gateway, clients)
    await write(alice, 0, traceparent())
    assert await told(bob) is not None
    began = asyncio.get_running_loop().time()
    await stop(gateway, alice, bob)
    assert asyncio.get_running_loop().time() - began < 4


def test_where_tracing_is_off_nothing_of_opentelemetry_is_imported() -> None:
    program = (
        "import asyncio, sys, fastcollab, fastcollab.client\n"
        "from fastcollab import Config, Gateway\n"
        "async def run():\n"
        "    config = {'auth.secret': 's' * 32, 'server.port': 0, 'engine.url': 'memory://'}\n"
        "    async with Gateway(Config.load(None, config)): pass\n"
        "asyncio.run(run())\n"
        "print([name for name in sys.modules if name.startswith('opentelemetry')])\n"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert result.stdout == "[]\n"


def test_tracing_without_the_extra_is_a_problem_of_the_configuration(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.http.trace_exporter", None)
    with pytest.raises(ConfigError, match=r"tracing\.enabled needs OpenTelemetry; .*fastcollab\[otel\]"):
        Config.load(None, {"tracing.enabled": True})
