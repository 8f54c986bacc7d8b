"""Several gateways in the place of one: whoever connects is sent to the next of them."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import cycle
from typing import Any

from fastcollab import Gateway


class Spread:
    """Looks like a gateway to tests that were written for one. What else they ask for, the first is asked."""

    def __init__(self, gateways: Sequence[Gateway]) -> None:
        self.gateways = gateways
        self._turns = cycle(gateways)

    @property
    def url(self) -> str:
        return next(self._turns).url

    @property
    def connection_count(self) -> int:
        return sum(gateway.connection_count for gateway in self.gateways)

    def close_soon(self) -> None:
        for gateway in self.gateways:
            gateway.close_soon()

    async def wait_closed(self) -> None:
        for gateway in self.gateways:
            await gateway.wait_closed()

    async def stop(self) -> None:
        self.close_soon()
        await self.wait_closed()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.gateways[0], name)
