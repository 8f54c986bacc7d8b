"""Which nodes there are: leases by the clock of the server that keeps them.

The leases are a sorted set of incarnations by when they run out. Whoever beats and finds one that has, takes it out and
is to bury it; it is among the burials until that is done, so that another is asked if that one dies meanwhile. What
is done about a server that stood still is told in ``scripts/node_beat.lua``. One that may have forgotten leases has
been told of all that live when it has kept leases for as long as one lasts.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

import msgspec

from fastcollab.engines.redis.incarnations import Incarnation, node_of
from fastcollab.engines.redis.scripts import load
from fastcollab.engines.redis.servers import Servers
from fastcollab.logs import get_logger
from fastcollab.ports import Beat, NodeInfo

log = get_logger(__name__)

_BEAT = load("node_beat", "_keeping")
_RETIRE = load("node_retire")
_BURIED = load("node_buried")


_info = msgspec.json.Decoder(NodeInfo)


class RedisNodes:
    """The nodes, seen from that of this incarnation; `bury` are asked to forget all that another has entered."""

    def __init__(
        self,
        servers: Servers,
        incarnation: Incarnation,
        lease: float,
        bury: Sequence[Callable[[str], Awaitable[None]]] = (),
    ) -> None:
        self._servers = servers
        self._incarnation = incarnation
        self._lease = lease
        self._bury = bury
        self._known = False
        #: Incarnations that this node was told to bury, and when (ms, by the server's clock).
        self._unburied: dict[str, int] = {}
        self._leases = servers.names.cluster("leases")
        self._burials = servers.names.cluster("burials")
        self._last_beat = servers.names.cluster("last-beat")
        #: What nodes tell of themselves, by their ids.
        self._told = servers.names.cluster("nodes")
        self._kept_since = servers.names.cluster("leases-kept-since")

    @property
    def here(self) -> str:
        return self._incarnation.node

    @property
    def lease(self) -> float:
        return self._lease

    async def beat(self) -> Beat:
        earlier = str(self._incarnation) if self._known else ""
        going_on = self._incarnation.following if self._known else str(self._incarnation)
        keys = [self._leases, self._burials, self._last_beat, self._kept_since]
        incarnation, alive, dead, now, kept_for = await self._servers.run(
            _BEAT, keys, earlier, going_on, int(self._lease * 1000)
        )
        self._known = True
        held = incarnation.decode() == str(self._incarnation)
        if not held:
            self._incarnation.follow()
            self._servers.lapses.removed()
        unburied = [each.decode() for each in dead]
        self._unburied.update(dict.fromkeys(unburied, now))
        return Beat(
            frozenset(node_of(each.decode()) for each in alive),
            held,
            list(dict.fromkeys(map(node_of, unburied))),
            min(kept_for / 1000, self._servers.lapses.age(self._leases)) >= self._lease,
        )

    async def bury(self, node: str) -> None:
        for incarnation, since in [each for each in self._unburied.items() if node_of(each[0]) == node]:
            for forget in self._bury:
                await forget(incarnation)
            await self._servers.run(_BURIED, [self._burials], incarnation, since)
            self._unburied.pop(incarnation, None)
        await self._servers.call(self._told, "HDEL", self._told, node)

    async def tell(self, info: NodeInfo) -> None:
        await self._servers.call(self._told, "HSET", self._told, info.node, msgspec.json.encode(info))

    async def told(self) -> Sequence[NodeInfo]:
        infos = await self._servers.call(self._told, "HVALS", self._told)
        leases = await self._servers.call(self._leases, "ZRANGE", self._leases, 0, -1)
        alive = {node_of(each.decode()) for each in leases}
        return [info for info in map(_info.decode, infos) if info.node in alive]

    async def retire(self, after: float) -> None:
        await self._servers.call(self._told, "HDEL", self._told, self.here)
        keys = [self._leases, self._last_beat]
        await self._servers.run(_RETIRE, keys, str(self._incarnation), int(after * 1000))
