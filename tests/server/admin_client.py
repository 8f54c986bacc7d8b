"""A program that uses the admin API of gateways, as `docs/api.md` tells it."""

from __future__ import annotations

from types import TracebackType
from typing import Any, Protocol
from urllib.parse import quote

import aiohttp
from tests.server.conftest import GENEROUS
from yarl import URL

KEY = "a-key-of-the-tests-and-of-nobody-else"

#: Settings of a gateway that has the API.
WITH_API: dict[str, object] = {**GENEROUS, "ops.port": 0, "ops.api_keys": [f"tests:{KEY}"]}


class HasOperations(Protocol):
    @property
    def operations_url(self) -> str | None: ...


class Api:
    """One of a gateway, with a key. Answers are statuses and JSON values."""

    def __init__(self, gateway: HasOperations, key: str | None = KEY) -> None:
        headers = {} if key is None else {"Authorization": f"Bearer {key}"}
        self._base = f"{gateway.operations_url}/api/v1"
        self._http = aiohttp.ClientSession(headers=headers)

    async def __aenter__(self) -> Api:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._http.close()

    async def ask(self, method: str, path: str, body: Any = None, **query: Any) -> tuple[int, Any]:
        """The path may have parts that are quoted already."""
        options = {} if body is None else {"json": body}
        url = URL(f"{self._base}{path}", encoded=True)
        url = url.update_query(query) if query else url
        async with self._http.request(method, url, **options) as response:
            is_json = response.content_type in ("application/json", "application/problem+json")
            return response.status, await response.json(content_type=None) if is_json else None

    async def send(self, method: str, path: str, body: bytes, kind: str) -> int:
        """What is answered to these bytes."""
        options = {"data": body, "headers": {"Content-Type": kind}}
        async with self._http.request(method, f"{self._base}{path}", **options) as response:
            return response.status

    async def get(self, path: str, **query: Any) -> Any:
        """What is there."""
        status, answer = await self.ask("GET", path, **query)
        assert status == 200, (status, answer)
        return answer


def part(name: str) -> str:
    """The name as a part of a path."""
    return quote(name, safe="")
