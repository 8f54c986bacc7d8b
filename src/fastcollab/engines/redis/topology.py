"""Which servers there are, and which has what.

One server has everything; or Sentinels know which one does now; or the servers of a Cluster share 16,384 *slots* among
them, and each knows which of them has which.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import hiredis

from fastcollab.config.engine import RedisUrl
from fastcollab.engines.redis.link import Address, Login, Refused, Word, ask, connect

SLOTS = 16_384

#: What one server is given of the time for an answer (s), if there are others to ask.
_ONE_OF_MANY = 1.0


class Layout(NamedTuple):
    """The servers that are written to; in a Cluster, by slot: None is one that nobody has."""

    servers: Sequence[Address]
    slots: list[Address | None] | None = None


class Topology:
    """That of one URL."""

    def __init__(self, url: RedisUrl, login: Login, timeout: float) -> None:
        self._url = url
        self._login = login
        self._timeout = timeout
        self._given = [Address(*address) for address in url.addresses]
        if url.path is not None:
            self._given.append(Address(url.path, 0))

    @property
    def changes(self) -> bool:
        return self._url.kind != "standalone"

    async def find(self, known: Iterable[Address] = ()) -> Layout:
        """How things are now, as the first says that answers: of those `known`, and those that the URL names.

        Raises the error of the last one if none does.
        """
        if self._url.kind == "standalone":
            return Layout(self._given)
        if self._url.kind == "sentinel":
            return await self._ask_all(self._given, self._ask_sentinel)
        return await self._ask_all(dict.fromkeys((*known, *self._given)), self._ask_server)

    async def _ask_all(self, addresses: Iterable[Address], ask_one: Any) -> Layout:
        error: Exception = ConnectionError("there is nobody to ask")
        for address in addresses:
            try:
                layout: Layout = await ask_one(address)
            except (OSError, Refused) as raised:
                error = raised
            else:
                return layout
        raise error

    async def _ask_sentinel(self, sentinel: Address) -> Layout:
        command = ("SENTINEL", "GET-MASTER-ADDR-BY-NAME", self._url.service or "")
        # A Sentinel may have a password or not, whatever the servers have.
        reply = await self._ask(sentinel, Login(tls=self._login.tls), command)
        if isinstance(reply, Refused) or (isinstance(reply, hiredis.ReplyError) and str(reply).startswith("NOAUTH")):
            reply = await self._ask(sentinel, self._login._replace(database=0), command)
        if isinstance(reply, Exception):
            raise Refused(f"Sentinel {sentinel} says: {reply}")
        if reply is None:
            raise Refused(f"Sentinel {sentinel} knows no service {self._url.service!r}")
        host, port = reply
        return Layout([Address(host.decode(), int(port))])

    async def _ask_server(self, server: Address) -> Layout:
        reply = await self._ask(server, self._login, ("CLUSTER", "SLOTS"))
        if isinstance(reply, Exception):
            raise Refused(f"{server} says: {reply}")
        slots: list[Address | None] = [None] * SLOTS
        for first, last, (host, port, *_), *_ in reply:
            # One that does not know its own name is where it was asked.
            owner = Address(host.decode() if host else server.host, int(port))
            slots[first : last + 1] = [owner] * (last + 1 - first)
        servers = list(dict.fromkeys(owner for owner in slots if owner is not None))
        if not servers:
            raise ConnectionError("the cluster has no servers yet that have slots")
        return Layout(servers, slots)

    async def _ask(self, address: Address, login: Login, command: tuple[Word, ...]) -> Any:
        """The reply, which may be an error."""
        try:
            link = await connect(address, login, min(self._timeout, _ONE_OF_MANY))
        except Refused as error:
            return error
        try:
            return await ask(link, *command)
        finally:
            link.cut(ConnectionAbortedError("it is not needed any more"))
