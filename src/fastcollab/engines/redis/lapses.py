"""When servers may have forgotten what they were told.

A server that was started again has what was on its disk, one that takes over from another has what had reached it, and
none of them says that something is missing. So there is a *lapse* whenever it is not surely the same server, with the
same data, that answers for a key: another process, another history of replication, another address. What this node has
entered there lately is entered again then, and what others have entered counts as missing only when they have had the
time to do the same.

Of a server that was emptied while it ran nothing of this can be seen. Scripts notice that by a key of their own that is
missing (``scripts/_keeping.lua``), and nodes by asking for one (:mod:`.witnesses`).
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Collection
from math import inf

from redis.crc import key_slot

from fastcollab.engines.redis.link import Address, Link, ask

#: Whether a key is among those that may have been forgotten.
Concerns = Callable[[bytes], bool]

_IDENTITY = re.compile(rb"^(?:run_id|master_replid):(\w+)", re.MULTILINE)


async def identity_of(link: Link) -> bytes:
    """What is the same as long as the server surely has what it had: of its process and of its replication. Empty if it
    does not say. Raises OSError.
    """
    said = await ask(link, "INFO")
    return b" ".join(_IDENTITY.findall(said)) if isinstance(said, bytes) else b""


class Lapses:
    """Those of all servers of one configuration; `locate` says where a key is."""

    def __init__(self, locate: Callable[[bytes], Address | None]) -> None:
        self._locate = locate
        self._clock = asyncio.get_running_loop().time
        self._identities: dict[Address, bytes] = {}
        #: When the last one was: of a server, of a slot, and of all that there is.
        self._of_servers: dict[Address, float] = {}
        self._of_slots: dict[int, float] = {}
        self._of_all = -inf
        self._watchers: list[Callable[[Concerns], None]] = []

    def watch(self, told: Callable[[Concerns], None]) -> Callable[[], None]:
        """Has `told` called with each lapse; to call what is returned ends that."""
        self._watchers.append(told)
        return lambda: self._watchers.remove(told)

    def age(self, key: bytes) -> float:
        """How long ago (s) the last lapse was that concerned this key."""
        address = self._locate(key)
        of_server = -inf if address is None else self._of_servers.get(address, -inf)
        of_slot = self._of_slots.get(key_slot(key), -inf) if self._of_slots else -inf
        return self._clock() - max(self._of_all, of_server, of_slot)

    def linked(self, address: Address, identity: bytes) -> None:
        """There is a connection to a server that says this of itself."""
        known = self._identities.get(address)
        if identity:
            self._identities[address] = identity
        if known is not None and known != identity:
            self._lapsed(address)

    def emptied(self, key: bytes) -> None:
        """The server that has this key has lost all that it had."""
        if (address := self._locate(key)) is not None:
            self._lapsed(address)

    def moved(self, slots: Collection[int]) -> None:
        """Other servers have these slots."""
        self._of_slots.update(dict.fromkeys(slots, self._clock()))
        self._tell(lambda key: key_slot(key) in slots)

    def replaced(self) -> None:
        """There is another server."""
        self._of_all = self._clock()
        self._tell(lambda key: True)

    def removed(self) -> None:
        """What this node has entered may have been removed, as what a dead one has; nothing else is missing."""
        self._tell(lambda key: True)

    def _lapsed(self, address: Address) -> None:
        self._of_servers[address] = self._clock()
        self._tell(lambda key: self._locate(key) == address)

    def _tell(self, concerns: Concerns) -> None:
        for told in tuple(self._watchers):
            told(concerns)
