"""A plain model of a document store, and a machine that compares a store with it under any sequence of calls."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule

from fastcollab.core.document import Author, Committed
from fastcollab.errors import VersionMismatch
from fastcollab.ports import AlreadyCommitted, DocumentStore, LogMoved, Retention, StoredDocument

#: When the clocks of the tests begin, and when their entries were committed unless they say otherwise.
BEGINNING = 1_700_000_000


class Clock:
    """A clock that stands still until it is set."""

    def __init__(self) -> None:
        self.now: float = BEGINNING

    def __call__(self) -> float:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += seconds


def entry(version: int, **fields: Any) -> Committed:
    """An entry that puts its version in front of a text: ``[3][2][1]`` is version 3 of what was empty."""
    values = {
        "operation": [f"[{version}]"],
        "user_id": "ada",
        "numeric_id": 1,
        "message_id": f"m{version}",
        "written_against": version - 1,
        "committed_at": BEGINNING * 1000,
        "size": 100,
    }
    return Committed(version, **{**values, **fields})


def text_at(document: StoredDocument) -> str:
    """The text at the newest of the entries."""
    text: str = document.content
    for number, committed in enumerate(document.entries, document.version + 1):
        assert committed.version == number, "the entries have no gaps"
        text = committed.operation[0] + text
    return text


@dataclass
class Model:
    """One life of a document: all that it ever was."""

    epoch: str
    created_at: int
    texts: list[str]
    log: list[Committed] = field(default_factory=list)
    snapshots: set[int] = field(default_factory=lambda: {0})
    oldest: int = 0
    replaced: bool = False
    handed_back: int = 0
    #: Entries older than that, in ms, need not be recognised when the log does not have them.
    remembered_since: float = 0

    @property
    def version(self) -> int:
        return len(self.log)

    def trim(self, retention: Retention, unix: int) -> None:
        wanted, size = self.version, 0
        for committed in reversed(self.log[self.oldest :]):
            size += committed.size
            if size > retention.bytes or committed.committed_at < unix - retention.seconds * 1000:
                break
            wanted -= 1
        wanted = max(wanted, self.version - retention.operations)
        self.oldest = max(version for version in self.snapshots if version <= max(wanted, self.oldest))
        self.snapshots = {version for version in self.snapshots if version >= self.oldest}
        self.remembered_since = max(self.remembered_since, unix - retention.results_seconds * 1000)


ROOMS = st.sampled_from(["plans", "wiki", "d'rop"])
RETENTIONS = st.builds(
    Retention,
    operations=st.integers(1, 200),
    bytes=st.sampled_from([1, 500, 5_000, 1_000_000]),
    seconds=st.sampled_from([0, 2, 10, math.inf]),
    results_seconds=st.sampled_from([0, 5, 1_000]),
)


class StoreMachine(RuleBasedStateMachine):
    def __init__(
        self,
        open_documents: Callable[[Path, Callable[[], float]], Awaitable[DocumentStore]],
        directory: Path,
        durable: bool,
    ) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.clock = Clock()
        self.durable = durable
        self.models: dict[str, Model] = {}
        self.messages = 0
        self.open_documents = open_documents
        self.directory = directory
        self.store = self.open()

    def open(self) -> DocumentStore:
        store: DocumentStore = self.run(self.open_documents(self.directory, self.clock))
        return store

    async def store_append(self, room_id: str, epoch: str, entries: list[Committed]) -> None:
        await self.store.append(room_id, epoch, entries)

    def run(self, call: Any) -> Any:
        async def await_call() -> Any:
            return await call

        return self.runner.run(await_call())

    def teardown(self) -> None:
        for room_id in self.models:
            self.look(room_id)
        self.run(self.store.close())
        self.runner.close()

    @property
    def unix(self) -> int:
        return int(self.clock.now * 1000)

    def look(self, room_id: str) -> None:
        """Compares all that the store knows of a document, except for older versions."""
        model = self.models[room_id]
        found = self.run(self.store.load(room_id))
        assert (found.epoch, found.oldest) == (model.epoch, model.oldest)
        assert found.version + len(found.entries) == model.version
        assert text_at(found) == model.texts[-1]
        assert found.version == max(model.snapshots)
        assert self.run(self.store.history(room_id, model.epoch, model.oldest)) == model.log[model.oldest :]
        results = self.run(self.store.results(room_id, model.epoch, [each.author for each in model.log]))
        for committed in model.log:
            needed = committed.version > model.oldest or committed.committed_at >= model.remembered_since
            assert results.get(committed.author, committed.version) == committed.version
            assert not needed or committed.author in results

    @rule(room_id=ROOMS, text=st.text(max_size=3))
    def create(self, room_id: str, text: str) -> None:
        made = self.run(self.store.create(room_id, "text", text))
        if room_id not in self.models:
            self.models[room_id] = Model(made.epoch, self.unix, [text])
        assert (made.epoch, text_at(made)) == (self.models[room_id].epoch, self.models[room_id].texts[-1])

    @rule(room_id=ROOMS, count=st.integers(1, 100), size=st.integers(1, 300))
    def append(self, room_id: str, count: int, size: int) -> None:
        if (model := self.models.get(room_id)) is None:
            with pytest.raises(LogMoved):
                self.run(self.store_append(room_id, "no epoch", [entry(1)]))
            return
        entries = []
        for version in range(model.version + 1, model.version + count + 1):
            self.messages += 1
            entries.append(entry(version, message_id=f"m{self.messages}", size=size, committed_at=self.unix))
        self.run(self.store_append(room_id, model.epoch, entries))
        for committed in entries:
            model.texts.append(committed.operation[0] + model.texts[-1])
        model.log += entries

    @rule(room_id=ROOMS, step=st.sampled_from([-1, 1, 64]))
    def append_elsewhere(self, room_id: str, step: int) -> None:
        if model := self.models.get(room_id):
            with pytest.raises(LogMoved):
                wrong = entry(model.version + 1 + step, message_id="wrong")
                self.run(self.store_append(room_id, model.epoch, [wrong]))

    @rule(room_id=ROOMS, data=st.data())
    def repeat(self, room_id: str, data: st.DataObject) -> None:
        model = self.models.get(room_id)
        if model is None or not model.log:
            return
        known = [
            each for each in model.log if each.version > model.oldest or each.committed_at >= model.remembered_since
        ]
        if known:
            repeated = data.draw(st.sampled_from(known))
            batch = [
                entry(model.version + 1, message_id="new"),
                entry(model.version + 2, message_id=repeated.message_id),
            ]
            with pytest.raises(AlreadyCommitted) as refusal:
                self.run(self.store_append(room_id, model.epoch, batch))
            assert refusal.value.results == {Author("ada", repeated.message_id): repeated.version}

    @rule(room_id=ROOMS, retention=RETENTIONS, data=st.data())
    def snapshot(self, room_id: str, retention: Retention, data: st.DataObject) -> None:
        if model := self.models.get(room_id):
            version = data.draw(st.integers(model.oldest, model.version))
            oldest = self.run(self.store.snapshot(room_id, model.epoch, version, model.texts[version], retention))
            model.snapshots.add(version)
            model.trim(retention, self.unix)
            assert oldest == model.oldest

    @rule(room_id=ROOMS, data=st.data())
    def load_a_version(self, room_id: str, data: st.DataObject) -> None:
        if model := self.models.get(room_id):
            version = data.draw(st.integers(0, model.version + 1))
            if model.oldest <= version <= model.version:
                assert text_at(self.run(self.store.load(room_id, version))) == model.texts[version]
                limit = data.draw(st.integers(0, 100))
                history = self.run(self.store.history(room_id, model.epoch, version, None, limit))
                assert history == model.log[version : version + limit]
            else:
                with pytest.raises(VersionMismatch):
                    self.run(self.store.load(room_id, version))

    @rule(room_id=ROOMS)
    def replace(self, room_id: str) -> None:
        made = self.run(self.store.replace(room_id, "text", "new"))
        self.models[room_id] = Model(made.epoch, self.unix, ["new"], replaced=True, handed_back=-1)

    @rule(room_id=ROOMS)
    def delete(self, room_id: str) -> None:
        assert self.run(self.store.delete(room_id)) == (self.models.pop(room_id, None) is not None)

    @rule(keep=st.sets(ROOMS), seconds=st.integers(0, 5))
    def forget(self, keep: set[str], seconds: int) -> None:
        before = self.unix - seconds * 1000
        forgotten = {
            room_id
            for room_id, model in self.models.items()
            if not (model.version or model.replaced) and model.created_at < before and room_id not in keep
        }
        assert self.run(self.store.forget_unwritten(before, keep)) == len(forgotten)
        for room_id in forgotten:
            del self.models[room_id]

    @rule(room_id=ROOMS, data=st.data())
    def hand_back(self, room_id: str, data: st.DataObject) -> None:
        if model := self.models.get(room_id):
            version = data.draw(st.integers(0, model.version))
            self.run(self.store.handed_back(room_id, model.epoch, version))
            model.handed_back = max(model.handed_back, version)

    @rule()
    def await_hand_back(self) -> None:
        awaiting = sorted(room_id for room_id, model in self.models.items() if model.version > model.handed_back)
        assert self.run(self.store.awaiting_hand_back()) == awaiting

    @rule()
    def list(self) -> None:
        listed = [
            (each.room_id, each.epoch, each.version, each.oldest, each.changed_at, each.log_bytes)
            for each in self.run(self.store.list())
        ]
        assert listed == [
            (
                room_id,
                model.epoch,
                model.version,
                model.oldest,
                model.log[-1].committed_at if model.log else model.created_at,
                sum(committed.size for committed in model.log[model.oldest :]),
            )
            for room_id, model in sorted(self.models.items())
        ]

    @rule(seconds=st.integers(1, 10))
    def wait(self, seconds: int) -> None:
        self.clock.advance(seconds)

    @rule(room_id=ROOMS)
    def look_at(self, room_id: str) -> None:
        if room_id in self.models:
            self.look(room_id)

    @precondition(lambda self: self.durable)
    @rule()
    def reopen(self) -> None:
        self.run(self.store.close())
        self.store = self.open()
