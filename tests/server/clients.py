"""The clients of one test: opened by name, closed when the test is over."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Any, Protocol

from tests.server.raw_client import RawClient
from tests.server.spec_client import SpecClient
from tests.server.spec_shapes import BATCHED, PLAIN


class HasUrl(Protocol):
    """All that the tests need of a gateway."""

    @property
    def url(self) -> str: ...


class StartGateway(Protocol):
    """Starts a gateway whose configuration differs from the usual one in the dotted keys named."""

    async def __call__(self, overrides: dict[str, object], /) -> HasUrl: ...


class Clients:
    """Opens clients, and at the end says farewell for those that are still there."""

    def __init__(self, make_token: Callable[..., str]) -> None:
        self.token = make_token
        self._clients: list[SpecClient] = []
        self._raw: list[RawClient] = []

    async def __aenter__(self) -> Clients:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for raw in self._raw:
            raw.abort()
        for client in self._clients:
            await client.close()
        if error is None:
            for client in self._clients:
                client.check()

    async def open(self, gateway: HasUrl, **options: Any) -> SpecClient:
        """An open WebSocket; the options are those of ``SpecClient.open``."""
        client = await SpecClient.open(gateway.url, **options)
        self._clients.append(client)
        return client

    async def enter(
        self,
        gateway: HasUrl,
        user: str,
        *rooms: str,
        batched: bool = False,
        claims: dict[str, Any] | None = None,
        subprotocols: Iterable[str] | None = None,
    ) -> SpecClient:
        """An authenticated client in the rooms, in which it may write unless ``claims`` say otherwise."""
        token = self.token(user, **({"rooms": {"*": "write"}} | (claims or {})))
        if subprotocols is None:
            subprotocols = [BATCHED if batched else PLAIN]
        client = await self.open(gateway, header_token=token, subprotocols=subprotocols)
        await client.await_connected()
        for room in rooms:
            await client.join(room)
        return client

    async def raw(
        self, gateway: HasUrl, user: str | None = None, *rooms: str, headers: dict[str, str] | None = None
    ) -> RawClient:
        """A raw WebSocket; authenticated if a user is named, and in the rooms."""
        token = None if user is None else self.token(user, rooms={"*": "write"})
        client = await RawClient.open(gateway.url, token, headers)
        self._raw.append(client)
        for room in rooms:
            await client.join(room)
        return client

    async def dial(self, gateway: HasUrl, *, receive_buffer: int = 0) -> RawClient:
        """A TCP connection on which nothing was said yet."""
        client = await RawClient.dial(gateway.url, receive_buffer=receive_buffer)
        self._raw.append(client)
        return client


async def settled(*clients: SpecClient) -> None:
    """All that the clients sent has been carried out, and what it led to has arrived at each of them.

    Two rounds: after the first all was carried out, after the second all that this led to has been read. What
    the gateway holds back for an interval (V3, B8) is not waited for.
    """
    for _ in range(2):
        for client in clients:
            await client.barrier()
