"""The operations port: what those who run a gateway ask it over HTTP, at an address of its own.

It is kept off the port that clients use: what is told here is nobody's business outside, a balancer that asks whether
the gateway is ready shall not queue behind clients, and a gateway that takes no more clients has to say so somewhere.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence

from aiohttp import web
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from fastcollab.config import OpsConfig
from fastcollab.server.admin.page import page

#: How long (s) a request that is under way has when the port is closed.
_LAST_REQUESTS = 1.0


class OperationsPort:
    """`faults` says what keeps the gateway from serving as it should; nothing: it is ready. `metrics` are those that
    Prometheus is told, and `parts` what else is there, by the beginning of its path.
    """

    def __init__(
        self,
        config: OpsConfig,
        *,
        faults: Callable[[], Sequence[str]],
        metrics: Callable[[], Awaitable[Iterable[Metric]]],
        parts: Mapping[str, web.Application] | None = None,
    ) -> None:
        self._config = config
        self._faults = faults
        self._metrics = metrics
        application = web.Application()
        application.router.add_get("/health/live", self._live)
        application.router.add_get("/health/ready", self._ready)
        application.router.add_get("/metrics", self._tell_metrics)
        application.add_routes(page())
        for prefix, part in (parts or {}).items():
            application.add_subapp(prefix, part)
        self._runner = web.AppRunner(
            application, access_log=None, handle_signals=False, shutdown_timeout=_LAST_REQUESTS, keepalive_timeout=75.0
        )

    async def start(self) -> None:
        """Raises OSError, which names the address as what it is about (`filename`)."""
        host, port = self._config.host, self._config.port
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, host, port).start()
        except OSError as error:
            await self._runner.cleanup()
            error.filename = f"{host}:{port}"
            raise

    async def close(self) -> None:
        await self._runner.cleanup()

    @property
    def url(self) -> str:
        """Where it is, once it has been started."""
        host, port = self._runner.addresses[0][:2]
        return f"http://{f'[{host}]' if ':' in host else host}:{port}"

    async def _live(self, _request: web.Request) -> web.Response:
        """Whoever can answer lives."""
        return web.json_response({"status": "live"})

    async def _ready(self, _request: web.Request) -> web.Response:
        faults = list(self._faults())
        status = "not ready" if faults else "ready"
        return web.json_response({"status": status, "faults": faults}, status=503 if faults else 200)

    async def _tell_metrics(self, request: web.Request) -> web.Response:
        """In the format that is asked for: OpenMetrics, or the text of older versions of Prometheus."""
        body, content_type = expose(await self._metrics(), request.headers.get("Accept", ""))
        return web.Response(body=body, headers={"Content-Type": content_type})


def expose(metrics: Iterable[Metric], accept: str) -> tuple[bytes, str]:
    """The metrics in a format of which the header `Accept` says that it is understood, and its content type."""
    encode, content_type = choose_encoder(accept)
    return encode(_Collected(metrics)), content_type


class _Collected(Collector):
    def __init__(self, metrics: Iterable[Metric]) -> None:
        self._metrics = metrics

    def collect(self) -> Iterable[Metric]:
        return self._metrics
