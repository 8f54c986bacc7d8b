"""A collector of traces, as OTLP over HTTP describes it: spans come as protocol buffers, and are put together here."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, NamedTuple

from aiohttp import web
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)


class Span(NamedTuple):
    """A span as it was exported; `service` is who has made it, and `error` what its status says if that is an error."""

    trace_id: str
    span_id: str
    parent_id: str
    name: str
    service: dict[str, Any]
    attributes: dict[str, Any]
    error: str | None
    begun: int
    ended: int


class Collector:
    """Has the spans that came, in `spans`; `url` is where they are to be sent."""

    def __init__(self) -> None:
        self.spans: list[Span] = []
        self._news = asyncio.Event()
        self._runner: web.AppRunner | None = None

    @property
    def url(self) -> str:
        assert self._runner is not None
        return f"http://127.0.0.1:{self._runner.addresses[0][1]}"

    async def start(self) -> None:
        app = web.Application()
        app.router.add_post("/v1/traces", self._take)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()

    async def stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    async def span(self, name: str, where: Callable[[Span], bool] = lambda _span: True) -> Span:
        """The first span of that name for which `where` holds; it is waited for."""
        async with asyncio.timeout(10):
            while True:
                for span in self.spans:
                    if span.name == name and where(span):
                        return span
                self._news.clear()
                await self._news.wait()

    def below(self, parent: Span) -> list[Span]:
        """The spans right below this one."""
        return [span for span in self.spans if (span.trace_id, span.parent_id) == (parent.trace_id, parent.span_id)]

    def tree(self, root: Span) -> dict[str, Any]:
        """The names of the spans below this one, each with those below it."""
        named: dict[str, Any] = {}
        for span in self.below(root):
            service = span.service["service.name"]
            name = f"{span.name} by {service}"
            assert name not in named, f"two spans {name!r} below one"
            named[name] = self.tree(span)
        return named

    async def _take(self, request: web.Request) -> web.Response:
        exported = ExportTraceServiceRequest.FromString(await request.read())
        for resource in exported.resource_spans:
            service = _attributes(resource.resource.attributes)
            self.spans += [_span(span, service) for scope in resource.scope_spans for span in scope.spans]
        self._news.set()
        return web.Response(
            body=ExportTraceServiceResponse().SerializeToString(), content_type="application/x-protobuf"
        )


def _span(span: Any, service: dict[str, Any]) -> Span:
    return Span(
        span.trace_id.hex(),
        span.span_id.hex(),
        span.parent_span_id.hex(),
        span.name,
        service,
        _attributes(span.attributes),
        span.status.message if span.status.code == span.status.STATUS_CODE_ERROR else None,
        span.start_time_unix_nano,
        span.end_time_unix_nano,
    )


def _attributes(pairs: Any) -> dict[str, Any]:
    return {pair.key: getattr(pair.value, pair.value.WhichOneof("value")) for pair in pairs}
