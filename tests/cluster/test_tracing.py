"""One operation's trace, from the client that makes it to those that apply it, at the same gateway and at another."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from tests.server.collector import Collector
from tests.server.conftest import GENEROUS, MakeToken
from tests.server.test_client import until

from fastcollab import Gateway
from fastcollab.client import CollaborativeClient, Room
from fastcollab.client.synchronizer import RemoteOperation
from fastcollab.errors import InvalidMessage

TRACING = {**GENEROUS, "tracing.enabled": True}
STEPS: dict[str, Any] = {f"{step} by fastcollab": {} for step in ("stage", "append", "broadcast")}
APPLIED: dict[str, Any] = {"apply by program": {"handle by program": {}}}


@pytest.fixture
async def provider(collector: Collector) -> AsyncIterator[TracerProvider]:
    """That of a program with clients."""
    provider = TracerProvider(resource=Resource.create({"service.name": "program"}))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    yield provider
    await asyncio.to_thread(provider.shutdown)


async def join(clients: AsyncExitStack, gateway: Gateway, token: str) -> Room:
    client = CollaborativeClient(gateway.url, token, tracing=True)
    await clients.enter_async_context(client)
    return await client.join_room("r", "text")


async def test_an_operation_is_one_tree_from_its_client_to_its_peers(
    start_gateway: Any,
    collector: Collector,
    provider: TracerProvider,
    make_token: MakeToken,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    here, there = (await start_gateway(TRACING)).gateways
    # Only now, so that the gateways have providers of their own.
    monkeypatch.setattr(trace, "get_tracer_provider", lambda: provider)
    tracer = provider.get_tracer("program")
    applied: list[RemoteOperation] = []

    def handle(change: RemoteOperation) -> None:
        with tracer.start_as_current_span("handle"):
            applied.append(change)

    async with AsyncExitStack() as clients:
        ada = await join(clients, here, make_token("ada"))
        peers = [await join(clients, here, make_token("ben")), await join(clients, there, make_token("cleo"))]
        for peer in peers:
            peer.on("operation", handle)
        await until(lambda: all(len(room.participants) == 3 for room in (ada, *peers)))  # each node knows of the other
        for attempt in range(1, 6):
            with tracer.start_as_current_span("press a key") as pressed:
                ada.insert(0, "a")
            await ada.saved()
            await until(lambda attempt=attempt: len(applied) == 2 * attempt)  # type: ignore[misc]
            if all(change.traceparent for change in applied[-2:]):
                break
            # The other gateway, which had just opened the room, has read the log before it was told (TC3).
    for gateway in (here, there):
        await gateway.stop()
    await asyncio.to_thread(provider.force_flush)

    trace_id = f"{pressed.get_span_context().trace_id:032x}"
    root = await collector.span("press a key", lambda span: span.trace_id == trace_id)
    [edit] = collector.below(root)
    [operation] = collector.below(edit)
    assert (edit.name, operation.name) == ("edit", "operation")
    assert collector.tree(operation) == {**STEPS, **APPLIED, "follow by fastcollab": APPLIED}
    spans = [span for span in collector.spans if span.trace_id == trace_id]
    assert len(spans) == 11
    nodes = {
        span.name: span.service["service.instance.id"] for span in spans if span.service["service.name"] == "fastcollab"
    }
    assert nodes.pop("follow") == there.describe().node
    assert set(nodes.values()) == {here.describe().node}
    versions = [span.attributes.get("fastcollab.document.version") for span in spans]
    assert [version for version in versions if version is not None] == [attempt] * 4
    assert {change.traceparent and change.traceparent[3:35] for change in applied[-2:]} == {trace_id}


async def test_what_is_edited_meanwhile_is_in_the_trace_of_the_first_edit(
    start_gateway: Any,
    collector: Collector,
    provider: TracerProvider,
    make_token: MakeToken,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    here, _ = (await start_gateway(TRACING)).gateways
    monkeypatch.setattr(trace, "get_tracer_provider", lambda: provider)
    tracer = provider.get_tracer("program")
    async with AsyncExitStack() as clients:
        ada = await join(clients, here, make_token("ada"))
        for key in ("one", "two", "three"):
            with tracer.start_as_current_span(key):
                ada.insert(0, key)
        await ada.saved()
    one, two, three = [await collector.span(key) for key in ("one", "two", "three")]
    for version, root in ((1, one), (2, two)):
        operation = await collector.span("operation", lambda span, root=root: span.trace_id == root.trace_id)  # type: ignore[misc]
        assert operation.attributes["fastcollab.document.version"] == version
    assert not collector.below(three)


async def test_an_edit_that_is_refused_ends_its_span(
    start_gateway: Any,
    collector: Collector,
    provider: TracerProvider,
    make_token: MakeToken,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    here, _ = (await start_gateway({**TRACING, "documents.max_operation_bytes": 100})).gateways
    monkeypatch.setattr(trace, "get_tracer_provider", lambda: provider)
    async with AsyncExitStack() as clients:
        ada = await join(clients, here, make_token("ada"))
        with pytest.raises(InvalidMessage):
            await ada.submit(["a" * 200])
        await ada.submit(["b"])
    refused = await collector.span("edit", lambda span: span.error is not None)
    accepted = await collector.span("edit", lambda span: span.error is None)
    assert refused.trace_id != accepted.trace_id
    operation = await collector.span("operation", lambda span: span.trace_id == refused.trace_id)
    assert operation.attributes["error.type"] == "3001"
