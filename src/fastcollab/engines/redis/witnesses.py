"""Whether a server of a Cluster was emptied while it ran, which nothing else shows.

On each server there is a *witness*: a random value under a key with one of the tags that are there, left by whoever
finds none. A node that finds another than before knows that the server has lost everything since. The server that has
the leases needs none, and so does the only one where there is but one: a beat shows whether it was emptied
(:mod:`.nodes`).
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Sequence
from contextlib import suppress

from fastcollab.engines.redis.link import Address
from fastcollab.engines.redis.scripts import load
from fastcollab.engines.redis.servers import Servers
from fastcollab.errors import ServiceUnavailable
from fastcollab.logs import get_logger

log = get_logger(__name__)

_WITNESS = load("witness")


class Witnesses:
    """Those of all servers, which are asked every `period` seconds; to be opened, and closed."""

    def __init__(self, servers: Servers, period: float) -> None:
        self._servers = servers
        self._period = period
        self._leases = servers.names.cluster("leases")
        self._candidates = [*servers.names.shared("witness"), *servers.names.shared_by_users("witness")]
        #: By key, what was found last.
        self._found: dict[bytes, bytes] = {}
        self._asking: asyncio.Task[None] | None = None

    def open(self) -> None:
        self._asking = asyncio.create_task(self._ask_now_and_then())

    async def close(self) -> None:
        if self._asking is not None:
            self._asking.cancel()
            with suppress(asyncio.CancelledError):
                await self._asking

    async def _ask_now_and_then(self) -> None:
        while True:
            await asyncio.gather(*map(self._ask, self._keys()))
            await asyncio.sleep(self._period)

    def _keys(self) -> Sequence[bytes]:
        """One for each server that needs a witness."""
        by_server: dict[Address | None, bytes] = {}
        for key in self._candidates:
            by_server.setdefault(self._servers.locate(key), key)
        for needs_none in (self._servers.locate(self._leases), None):
            by_server.pop(needs_none, None)
        return list(by_server.values())

    async def _ask(self, key: bytes) -> None:
        try:
            found = await self._servers.run(_WITNESS, [key], secrets.token_hex(8))
        except ServiceUnavailable:
            return  # Whether it has what it had is seen when there is a connection again.
        if self._found.setdefault(key, found) != found:
            self._found[key] = found
            log.warning("a server of Redis has lost everything", server=str(self._servers.locate(key)))
            self._servers.lapses.emptied(key)
