"""The store, which outlives every gateway: slow, failing now and then, and written down in full.

`RecordedDocuments` is the engine for memory itself. Beside it lies a `Ledger`, which nothing trims and nobody asks but
the referee: of every *life* of a document (an epoch) all operations in their order, and the content at each version.

A gateway reaches it through `DistantDocuments`, as if over a network. A call may fail before the engine has seen it, or
afterwards, which looks the same from where it was made; and when the gateway crashes, what it had asked for is either
done or not.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

from tests.simulation.world import World

from fastcollab import ot
from fastcollab.core.document import Author, Committed
from fastcollab.engines.memory import MemoryDocuments
from fastcollab.errors import ServiceUnavailable
from fastcollab.ports import AlreadyCommitted, LogMoved, Retention, StoredDocument

Result = TypeVar("Result")


class Life:
    """One life of a document, from its version 0 on: `contents` has the content at each version."""

    def __init__(self, document_type: str, epoch: str, content: Any) -> None:
        self.type = ot.types[document_type]
        self.epoch = epoch
        self.entries: list[Committed] = []
        self.contents = [content]
        self.versions: dict[Author, int] = {}

    @property
    def version(self) -> int:
        return len(self.entries)

    def append(self, entry: Committed) -> None:
        assert entry.version == self.version + 1, "a log has no gap"
        assert entry.author not in self.versions, f"{entry.author} was committed twice"
        self.entries.append(entry)
        self.contents.append(self.type.apply(self.contents[-1], entry.operation))
        self.versions[entry.author] = entry.version


class Ledger:
    """All lives of the document, the present one last."""

    def __init__(self) -> None:
        self.lives: list[Life] = []
        self.oldest = 0
        self.on_append: Callable[[Life, Committed], None] = lambda life, entry: None

    @property
    def life(self) -> Life:
        return self.lives[-1]

    def of_epoch(self, epoch: str) -> Life:
        return next(life for life in self.lives if life.epoch == epoch)

    def begin(self, stored: StoredDocument) -> None:
        if not self.lives or self.life.epoch != stored.epoch:
            assert not stored.version and not stored.entries, "a life begins at version 0"
            self.lives.append(Life(stored.type, stored.epoch, stored.content))
            self.oldest = 0

    def append(self, entries: Sequence[Committed]) -> None:
        for entry in entries:
            self.life.append(entry)
            self.on_append(self.life, entry)


class RecordedDocuments(MemoryDocuments):
    """The engine for memory, of one room, with its ledger."""

    def __init__(self, world: World, ledger: Ledger) -> None:
        super().__init__(clock=lambda: world.unix)
        self.ledger = ledger

    async def create(self, room_id: str, document_type: str, content: Any) -> StoredDocument:
        stored = await super().create(room_id, document_type, content)
        self.ledger.begin(stored)
        return stored

    async def replace(self, room_id: str, document_type: str, content: Any) -> StoredDocument:
        stored = await super().replace(room_id, document_type, content)
        self.ledger.begin(stored)
        return stored

    async def append(self, room_id: str, epoch: str, entries: Sequence[Committed], mark: str = "") -> None:
        await super().append(room_id, epoch, entries)
        self.ledger.append(entries)

    async def snapshot(self, room_id: str, epoch: str, version: int, content: Any, retention: Retention) -> int:
        oldest = await super().snapshot(room_id, epoch, version, content, retention)
        if self.ledger.life.epoch == epoch:
            assert content == self.ledger.life.contents[version], "a snapshot is what the log leads to"
            self.ledger.oldest = oldest
        return oldest


class Weather:
    """How well the store is reached: seconds that a call takes on average, and chances of failing."""

    def __init__(self, delay: float, unheard: float, unanswered: float) -> None:
        self.delay = delay
        self.unheard = unheard
        self.unanswered = unanswered

    def clear_up(self) -> None:
        self.delay, self.unheard, self.unanswered = 0.001, 0.0, 0.0


class DistantDocuments:
    """The store as one gateway process reaches it."""

    def __init__(self, world: World, store: RecordedDocuments, weather: Weather) -> None:
        self._world = world
        self._store = store
        self._weather = weather
        self._append_under_way = ""
        self._has_loaded = False

    def switched_off(self) -> None:
        """Takes note of what the crash of the gateway has interrupted."""
        if self._append_under_way:
            self._world.tally[f"a crash with an append {self._append_under_way}"] += 1

    def append(self, room_id: str, epoch: str, entries: Sequence[Committed], mark: str = "") -> Awaitable[None]:
        """Gives a future or a coroutine, for both of which the gateway has a way of its own."""
        call = self._call_append(room_id, epoch, entries)
        return asyncio.get_running_loop().create_task(call) if entries[0].version % 2 else call

    async def _call_append(self, room_id: str, epoch: str, entries: Sequence[Committed]) -> None:
        self._append_under_way = "not done"
        handed_over = list(entries)

        async def append() -> None:
            assert list(entries) == handed_over, "what is being stored does not change"
            await self._store.append(room_id, epoch, entries)
            self._append_under_way = "done"

        try:
            await self._call("append", append)
        except (LogMoved, AlreadyCommitted) as known:
            self._world.tally[type(known).__name__] += 1
            raise
        finally:
            self._append_under_way = ""

    async def load(self, room_id: str, version: int | None = None) -> StoredDocument | None:
        if version is None:
            self._world.tally["a room is deserted and opened again"] += self._has_loaded
            self._has_loaded = True
        return await self._call("load", lambda: self._store.load(room_id, version))

    async def create(self, room_id: str, document_type: str, content: Any) -> StoredDocument:
        return await self._call("create", lambda: self._store.create(room_id, document_type, content))

    async def history(
        self,
        room_id: str,
        epoch: str,
        after: int,
        up_to: int | None = None,
        limit: int | None = None,
        *,
        mark: str = "",
    ) -> list[Committed]:
        if up_to is not None:
            self._world.tally["history brought back from the store"] += 1
        return await self._call("history", lambda: self._store.history(room_id, epoch, after, up_to, limit))

    async def mend(self, room_id: str, known: StoredDocument, recent: Sequence[Committed]) -> bool:
        return await self._call("mend", lambda: self._store.mend(room_id, known, recent))

    async def results(self, room_id: str, epoch: str, authors: Sequence[Author]) -> dict[Author, int]:
        found = await self._call("results", lambda: self._store.results(room_id, epoch, authors))
        self._world.tally["a result that only the store knew"] += len(found)
        return found

    async def snapshot(self, room_id: str, epoch: str, version: int, content: Any, retention: Retention) -> int:
        return await self._call("snapshot", lambda: self._store.snapshot(room_id, epoch, version, content, retention))

    async def _call(self, name: str, deed: Callable[[], Awaitable[Result]]) -> Result:
        world, weather = self._world, self._weather
        await self._wait()
        if world.happens(weather.unheard):
            world.tally[f"{name} failed and was not done"] += 1
            raise ServiceUnavailable("the store was not reached", retryAfterMs=world.random.choice((20, 200)))
        with world.judging():
            result = await deed()
        await self._wait()
        if world.happens(weather.unanswered):
            world.tally[f"{name} failed and was done"] += 1
            raise ServiceUnavailable("the store has not answered", retryAfterMs=world.random.choice((20, 200)))
        return result

    async def _wait(self) -> None:
        if self._world.happens(0.8):
            await asyncio.sleep(self._world.random.expovariate(1 / self._weather.delay))
