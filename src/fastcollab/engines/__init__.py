"""The ports, implemented; :func:`open_engine` chooses what is asked for."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from fastcollab.config import EngineConfig
from fastcollab.engines.memory import MemoryRegistry, MemoryRevocations
from fastcollab.ports import Bus, ConnectionRegistry, DocumentStore, Nodes, Orders, Revocations, Rosters


@dataclass(frozen=True, slots=True)
class ClusterPorts:
    """What an engine has that many gateways can share."""

    nodes: Nodes
    rosters: Rosters
    orders: Orders
    bus: Bus


#: Is told of a call to a server that has come to its end: over which lane it went, how long it took (s), and whether it
#: failed.
Called = Callable[[str, float, bool], None]


@dataclass(frozen=True, slots=True)
class Engine:
    """All that a gateway needs of its engine. `cluster` is None if there can be no other gateway; `closing` end all of
    it, one after the other. `watch` has somebody told of all calls to a server; `give_up` has those fail that are under
    way, and all that would follow. Both are None if there is no server.
    """

    documents: DocumentStore
    registry: ConnectionRegistry
    revocations: Revocations
    closing: Sequence[Callable[[], Awaitable[None]]]
    cluster: ClusterPorts | None = None
    watch: Callable[[Called], None] | None = None
    give_up: Callable[[], None] | None = None

    async def close(self, patience: float | None = None) -> None:
        """Waits for what is under way, and lets go of files and connections. What a server owes is waited for no longer
        than `patience` seconds, if any are given.
        """
        timer = None
        if self.give_up is not None and patience is not None:
            timer = asyncio.get_running_loop().call_later(patience, self.give_up)
        try:
            for close in self.closing:
                await close()
        finally:
            if timer is not None:
                timer.cancel()


async def open_engine(engine: EngineConfig) -> Engine:
    """The engine of this configuration, for one gateway; raises :class:`~fastcollab.errors.StoreError`."""
    if engine.redis is not None:
        from fastcollab.engines.redis.engine import open_redis

        return await open_redis(engine)
    if engine.valkey_directory is not None:
        from fastcollab.engines.valkey import open_valkey

        return await open_valkey(engine)
    if (path := engine.sqlite_path) is not None:
        from fastcollab.engines.sqlite import SqliteDocuments

        documents = await SqliteDocuments.open(path, engine.file_durability)
        try:
            return Engine(documents, MemoryRegistry(), await documents.open_revocations(), (documents.close,))
        except BaseException:
            await documents.close()
            raise
    from fastcollab.engines.memory import MemoryDocuments

    memory = MemoryDocuments()
    return Engine(memory, MemoryRegistry(), MemoryRevocations(), (memory.close,))


def whereabouts(engine: EngineConfig) -> Mapping[str, str]:
    """Where documents are, for the log: the place, and what an acknowledgement promises there."""
    if (redis := engine.redis) is not None:
        return {"server": redis.where, "durability": engine.redis_durability}
    if (path := engine.sqlite_path or engine.valkey_directory) is not None:
        return {"path": str(path.absolute()), "durability": engine.file_durability}
    return {"place": "memory", "durability": "none: they end with this process"}


@asynccontextmanager
async def open_documents(engine: EngineConfig) -> AsyncIterator[DocumentStore]:
    """The document store of this configuration, for a tool beside gateways; raises
    :class:`~fastcollab.errors.StoreError`.
    """
    async with AsyncExitStack() as closing:
        if engine.valkey_directory is not None:
            from fastcollab.engines.valkey import visit

            engine = await closing.enter_async_context(visit(engine))
        documents = await _documents(engine)
        closing.push_async_callback(documents.close)
        yield documents


async def _documents(engine: EngineConfig) -> DocumentStore:
    if engine.redis is not None:
        from fastcollab.engines.redis.documents import RedisDocuments

        return await RedisDocuments.open(engine)
    if (path := engine.sqlite_path) is not None:
        from fastcollab.engines.sqlite import SqliteDocuments

        return await SqliteDocuments.open(path, engine.file_durability, exclusive=False)
    from fastcollab.engines.memory import MemoryDocuments

    return MemoryDocuments()
