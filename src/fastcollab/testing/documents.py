"""The contract of :class:`fastcollab.ports.DocumentStore`.

The documents of these tests are texts, and their operations put something in front: so it is plain what a document must
be, and every version of it can be compared with the store's snapshot and what follows it.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from fastcollab import ot
from fastcollab.core.document import Author
from fastcollab.errors import VersionMismatch
from fastcollab.ports import AlreadyCommitted, DocumentStore, LogMoved, Retention, StoredDocument
from fastcollab.testing.document_model import Clock, StoreMachine, entry, text_at

OpenDocuments = Callable[[Path, Callable[[], float]], Awaitable[DocumentStore]]

#: Contents and operations that a careless encoding would change.
JSON_VALUES: Sequence[Any] = (
    None,
    True,
    0,
    -(2**63),
    2**64 - 1,
    2**53 + 1,
    0.1,
    -0.0,
    1.0,
    5e-324,
    1.7976931348623157e308,
    "",
    "\x00",
    "a'); DROP TABLE documents; --",
    "\U0010ffff\ue000é",
    [],
    {},
    {"": None, "$type": [[], {"b": 1.5}]},
    "x" * 300_000,
)

#: Room ids that could be taken for something else.
ROOM_IDS = (
    "'",
    '"; --',
    "%",
    "_",
    "*",
    "../etc/passwd",
    "a/b",
    "C:\\",
    "ä",
    "a\u0308",
    "\U0001f469",
    "\x00",
    "NULL",
    "1",
)


async def append(documents: DocumentStore, document: StoredDocument, room_id: str, first: int, last: int) -> None:
    """Appends the versions from `first` to `last`, in one call."""
    await documents.append(room_id, document.epoch, [entry(version) for version in range(first, last + 1)])


@pytest.mark.asyncio
class DocumentStoreContract:
    """Give it a method ``open_documents(directory, clock)`` that opens a store which keeps its files, if it has any, in
    that directory, and takes the time from `clock`. Of an engine that forgets everything when it is closed say so with
    ``durable = False``.
    """

    open_documents: OpenDocuments
    durable = True

    @pytest.fixture
    def clock(self) -> Clock:
        return Clock()

    @pytest_asyncio.fixture
    async def documents(self, tmp_path: Path, clock: Clock) -> AsyncIterator[DocumentStore]:
        documents = await self.open_documents(tmp_path, clock)
        yield documents
        await documents.close()

    # --- making ---------------------------------------------------------------------------------------------------

    async def test_there_is_nothing_at_first(self, documents: DocumentStore) -> None:
        assert await documents.load("plans") is None
        assert await documents.list() == []
        assert await documents.delete("plans") is False
        assert await documents.results("plans", "no epoch", [Author("ada", "m1")]) == {}

    async def test_ot1_a_document_is_made_at_version_0(self, documents: DocumentStore) -> None:
        made = await documents.create("plans", "text", "hello")
        assert (made.type, made.oldest, made.version, made.content) == ("text", 0, 0, "hello")
        assert made.epoch and not made.entries
        assert await documents.load("plans") == made

    async def test_what_there_is_already_is_not_made_again(self, documents: DocumentStore) -> None:
        made = await documents.create("plans", "text", "hello")
        await append(documents, made, "plans", 1, 2)
        found = await documents.create("plans", "json1", {"a": 1})
        assert (found.type, found.epoch, text_at(found)) == ("text", made.epoch, "[2][1]hello")

    async def test_of_several_who_make_it_at_once_one_does(self, documents: DocumentStore) -> None:
        made = await asyncio.gather(*(documents.create("plans", "text", f"by {index}") for index in range(10)))
        assert len({(document.epoch, document.content) for document in made}) == 1
        assert await documents.load("plans") == made[0]

    @pytest.mark.parametrize("content", JSON_VALUES, ids=lambda value: repr(value)[:20])
    async def test_contents_and_operations_are_kept_exactly(self, documents: DocumentStore, content: Any) -> None:
        made = await documents.create("plans", "json1", content)
        await documents.append("plans", made.epoch, [entry(1, operation=content), entry(2, operation=[content])])
        for found in (await documents.load("plans"), await documents.create("plans", "json1", 0)):
            assert found is not None
            for kept in (found.content, found.entries[0].operation, found.entries[1].operation[0]):
                assert (repr(kept), type(kept)) == (repr(content), type(content))

    async def test_a_document_may_be_absent_which_is_not_null(self, documents: DocumentStore) -> None:
        made = await documents.create("plans", "json1", ot.ABSENT)
        found = await documents.load("plans")
        assert made.content is ot.ABSENT and found is not None and found.content is ot.ABSENT
        await append(documents, made, "plans", 1, 1)
        await documents.snapshot("plans", made.epoch, 1, None, Retention())
        found = await documents.load("plans")
        assert found is not None and found.content is None

    async def test_rooms_do_not_share_documents(self, documents: DocumentStore) -> None:
        made = [await documents.create(room_id, "text", room_id) for room_id in ROOM_IDS]
        assert len({document.epoch for document in made}) == len(ROOM_IDS)
        for room_id, document in zip(ROOM_IDS, made, strict=True):
            await append(documents, document, room_id, 1, 1)
            found = await documents.load(room_id)
            assert found is not None and text_at(found) == f"[1]{room_id}"
        assert [summary.room_id for summary in await documents.list()] == sorted(ROOM_IDS)

    # --- appending ------------------------------------------------------------------------------------------------

    async def test_what_was_appended_is_found(self, documents: DocumentStore) -> None:
        made = await documents.create("plans", "text", "")
        appended = [
            entry(version, user_id=f"user {version % 3}", numeric_id=2**32 - version, written_against=version // 2)
            for version in range(1, 6)
        ]
        await documents.append("plans", made.epoch, appended[:2])
        await documents.append("plans", made.epoch, appended[2:])
        assert await documents.history("plans", made.epoch, 0) == appended
        found = await documents.load("plans")
        assert found is not None and text_at(found) == "[5][4][3][2][1]"

    async def test_a_batch_that_does_not_follow_is_refused_whole(self, documents: DocumentStore) -> None:
        made = await documents.create("plans", "text", "")
        await append(documents, made, "plans", 1, 3)
        for first, last in ((1, 1), (3, 4), (5, 5)):
            with pytest.raises(LogMoved):
                await append(documents, made, "plans", first, last)
        with pytest.raises(LogMoved):
            await documents.append("plans", "another epoch", [entry(4)])
        with pytest.raises(LogMoved):
            await documents.append("wiki", made.epoch, [entry(1)])
        assert [kept.version for kept in await documents.history("plans", made.epoch, 0)] == [1, 2, 3]
        await append(documents, made, "plans", 4, 4)

    async def test_of_appends_at_once_one_succeeds(self, documents: DocumentStore) -> None:
        made = await documents.create("plans", "text", "")
        for version in range(1, 4):
            batches = [[entry(version, message_id=f"m{version} of {index}")] for index in range(8)]
            outcomes = await asyncio.gather(
                *(documents.append("plans", made.epoch, batch) for batch in batches), return_exceptions=True
            )
            won = [batch for batch, outcome in zip(batches, outcomes, strict=True) if outcome is None]
            assert len(won) == 1 and all(isinstance(outcome, LogMoved) for outcome in outcomes if outcome is not None)
            assert await documents.history("plans", made.epoch, version - 1) == won[0]

    async def test_appends_that_follow_each_other_at_once(self, documents: DocumentStore) -> None:
        rooms = {f"room {index}": await documents.create(f"room {index}", "text", "") for index in range(50)}
        await asyncio.gather(
            *(
                append(documents, made, room_id, version, version)
                for version in range(1, 11)
                for room_id, made in rooms.items()
            )
        )
        for room_id, made in rooms.items():
            assert [kept.version for kept in await documents.history(room_id, made.epoch, 0)] == list(range(1, 11))

    async def test_a_room_whose_append_fails_does_not_disturb_others(self, documents: DocumentStore) -> None:
        rooms = [await documents.create(f"room {index}", "text", "") for index in range(6)]
        outcomes = await asyncio.gather(
            *(append(documents, made, f"room {index}", 1 + index % 2, 2) for index, made in enumerate(rooms)),
            return_exceptions=True,
        )
        assert [type(outcome) for outcome in outcomes] == [type(None), LogMoved] * 3
        assert [summary.version for summary in await documents.list()] == [2, 0] * 3

    # --- repetitions ----------------------------------------------------------------------------------------------

    async def test_ot5_what_was_committed_before_is_not_appended(self, documents: DocumentStore) -> None:
        made = await documents.create("plans", "text", "")
        await append(documents, made, "plans", 1, 3)
        with pytest.raises(AlreadyCommitted) as refusal:
            await documents.append(
                "plans", made.epoch, [entry(4), entry(5, message_id="m2"), entry(6, message_id="m3"), entry(7)]
            )
        assert refusal.value.results == {Author("ada", "m2"): 2, Author("ada", "m3"): 3}
        assert len(await documents.history("plans", made.epoch, 0)) == 3
        # The same id of another user, or in another room, is another message.
        await documents.append("plans", made.epoch, [entry(4, message_id="m2", user_id="bob")])
        wiki = await documents.create("wiki", "text", "")
        await append(documents, wiki, "wiki", 1, 3)

    async def test_ot5_results(self, documents: DocumentStore) -> None:
        made = await documents.create("plans", "text", "")
        await append(documents, made, "plans", 1, 200)
        asked = [Author("ada", "m1"), Author("bob", "m1"), Author("ada", "m200"), Author("ada", "m201")]
        known = {Author("ada", "m1"): 1, Author("ada", "m200"): 200}
        assert await documents.results("plans", made.epoch, asked) == known
        assert await documents.results("plans", made.epoch, []) == {}
        assert await documents.results("plans", "another epoch", asked) == {}
        assert await documents.results("wiki", made.epoch, asked) == {}

    async def test_ot5_results_outlive_the_log(self, documents: DocumentStore, clock: Clock) -> None:
        made = await documents.create("plans", "text", "")
        await append(documents, made, "plans", 1, 100)
        clock.advance(50)
        await append_at(documents, made, "plans", clock, 101, 300)
        retention = Retention(operations=1, results_seconds=60)
        assert await documents.snapshot("plans", made.epoch, 299, "", retention) == 299
        first = [Author("ada", "m1"), Author("ada", "m101"), Author("ada", "m300")]
        assert await documents.results("plans", made.epoch, first) == dict(zip(first, (1, 101, 300), strict=True))
        with pytest.raises(AlreadyCommitted):
            await documents.append("plans", made.epoch, [entry(301, message_id="m1")])

    async def test_ot5_but_not_for_ever(self, documents: DocumentStore, clock: Clock) -> None:
        made = await documents.create("plans", "text", "")
        await append(documents, made, "plans", 1, 100)
        clock.advance(61)
        retention = Retention(operations=1, results_seconds=60)
        version = 100
        # It is forgotten by and by, while the document is written to.
        while await documents.results("plans", made.epoch, [Author("ada", "m1")]):
            assert version < 20_000
            await append_at(documents, made, "plans", clock, version + 1, version + 100)
            version += 100
            await documents.snapshot("plans", made.epoch, version, "", retention)
        await documents.append("plans", made.epoch, [entry(version + 1, message_id="m1")])

    # --- snapshots and trimming -----------------------------------------------------------------------------------

    async def test_opening_begins_at_the_newest_snapshot(self, documents: DocumentStore) -> None:
        made = await documents.create("plans", "text", "")
        await append(documents, made, "plans", 1, 150)
        assert await documents.snapshot("plans", made.epoch, 100, self.text(100), Retention()) == 0
        found = await documents.load("plans")
        assert found is not None and (found.version, len(found.entries)) == (100, 50)
        assert text_at(found) == self.text(150)

    async def test_every_version_that_the_log_reaches_can_be_loaded(self, documents: DocumentStore) -> None:
        made = await documents.create("plans", "text", "")
        await append(documents, made, "plans", 1, 200)
        for version in (30, 64, 90, 128, 170):
            oldest = await documents.snapshot(
                "plans", made.epoch, version, self.text(version), Retention(operations=100)
            )
        assert oldest == 90
        for version in range(90, 201):
            found = await documents.load("plans", version)
            assert found is not None and (found.oldest, text_at(found)) == (90, self.text(version))
        for version in (0, 89, 201):
            with pytest.raises(VersionMismatch) as refusal:
                await documents.load("plans", version)
            assert refusal.value.details == {"version": 200, "oldest": 90}

    async def test_the_log_is_trimmed_by_count(self, documents: DocumentStore) -> None:
        assert await self.trimmed(documents, Retention(operations=149)) == 50
        assert await self.trimmed(documents, Retention(operations=150)) == 50
        assert await self.trimmed(documents, Retention(operations=151)) == 0
        assert await self.trimmed(documents, Retention(operations=1)) == 150

    async def test_the_log_is_trimmed_by_size(self, documents: DocumentStore) -> None:
        assert await self.trimmed(documents, Retention(bytes=15_000)) == 50
        assert await self.trimmed(documents, Retention(bytes=15_001)) == 50
        assert await self.trimmed(documents, Retention(bytes=15_099)) == 50
        assert await self.trimmed(documents, Retention(bytes=15_100)) == 0
        assert await self.trimmed(documents, Retention(bytes=1)) == 150

    async def test_the_log_is_trimmed_by_age(self, documents: DocumentStore, clock: Clock) -> None:
        begun = clock.now
        for seconds, oldest in ((149, 50), (149.5, 50), (150, 0), (0, 150)):
            clock.now = begun
            assert await self.trimmed(documents, Retention(seconds=seconds), clock) == oldest

    async def test_a_log_of_large_operations_is_trimmed(self, documents: DocumentStore) -> None:
        made = await documents.create("plans", "text", "")
        for version in range(1, 31):
            await documents.append("plans", made.epoch, [entry(version, operation=["x" * 200_000], size=200_000)])
        retention = Retention(bytes=2_000_000)
        assert await documents.snapshot("plans", made.epoch, 15, "", retention) == 15
        (summary,) = await documents.list()
        assert (summary.oldest, summary.version, summary.log_bytes) == (15, 30, 3_000_000)

    async def test_a_snapshot_of_another_life_is_left_alone(self, documents: DocumentStore) -> None:
        made = await documents.create("plans", "text", "")
        await append(documents, made, "plans", 1, 10)
        assert await documents.snapshot("plans", "another epoch", 7, "x", Retention(operations=1)) == 7
        assert await documents.snapshot("wiki", made.epoch, 7, "x", Retention(operations=1)) == 7
        found = await documents.load("plans")
        assert found is not None and text_at(found) == self.text(10)

    async def test_a_snapshot_from_before_the_log_is_of_no_use(self, documents: DocumentStore) -> None:
        made = await documents.create("plans", "text", "")
        await append(documents, made, "plans", 1, 10)
        assert await documents.snapshot("plans", made.epoch, 8, self.text(8), Retention(operations=1)) == 8
        assert await documents.snapshot("plans", made.epoch, 5, self.text(5), Retention(operations=1)) == 8
        with pytest.raises(VersionMismatch):
            await documents.load("plans", 5)

    async def test_a_snapshot_from_beyond_the_log_is_left_alone(self, documents: DocumentStore) -> None:
        """A gateway may remember more than a store that was put back to an older state."""
        made = await documents.create("plans", "text", "")
        await append(documents, made, "plans", 1, 5)
        await documents.snapshot("plans", made.epoch, 8, "something else", Retention())
        await append(documents, made, "plans", 6, 10)
        found = await documents.load("plans")
        assert found is not None and text_at(found) == self.text(10)

    def text(self, version: int) -> str:
        """What a document that was empty is after so many of these operations."""
        return "".join(f"[{number}]" for number in range(version, 0, -1))

    async def trimmed(self, documents: DocumentStore, retention: Retention, clock: Clock | None = None) -> int:
        """Where the log of 200 operations of 100 bytes, one a second, begins after snapshots at 50, 100 and 150."""
        made = await documents.replace("plans", "text", "")
        clock = clock or Clock()
        for version in range(1, 201):
            clock.advance(1)
            await append_at(documents, made, "plans", clock, version, version)
        for version in (50, 100):
            assert await documents.snapshot("plans", made.epoch, version, "", Retention()) == 0
        return await documents.snapshot("plans", made.epoch, 150, "", retention)

    # --- history --------------------------------------------------------------------------------------------------

    async def test_ot9_history_has_bounds(self, documents: DocumentStore) -> None:
        made = await documents.create("plans", "text", "")
        await append(documents, made, "plans", 1, 150)
        await documents.snapshot("plans", made.epoch, 70, self.text(70), Retention(operations=80))

        async def versions(after: int, up_to: int | None = None, limit: int | None = None) -> list[int]:
            return [kept.version for kept in await documents.history("plans", made.epoch, after, up_to, limit)]

        for after, up_to in itertools.product((70, 100, 128, 149, 150), (None, 70, 71, 128, 150, 200)):
            wanted = list(range(after + 1, min(150, up_to or 150) + 1))
            assert await versions(after, up_to) == wanted
            for limit in (0, 1, 60):
                assert await versions(after, up_to, limit) == wanted[:limit]
        for after in (0, 69, 151):
            with pytest.raises(VersionMismatch):
                await versions(after)
        with pytest.raises(LogMoved):
            await documents.history("plans", "another epoch", 100)
        with pytest.raises(LogMoved):
            await documents.history("wiki", made.epoch, 0)

    # --- other lives ----------------------------------------------------------------------------------------------

    async def test_replacing_begins_another_epoch(self, documents: DocumentStore) -> None:
        made = await documents.create("plans", "text", "old")
        await append(documents, made, "plans", 1, 150)
        replaced = await documents.replace("plans", "json1", {"new": True})
        assert (replaced.type, replaced.oldest, replaced.version, replaced.content) == ("json1", 0, 0, {"new": True})
        assert replaced.epoch != made.epoch
        assert await documents.load("plans") == replaced
        with pytest.raises(LogMoved):
            await append(documents, made, "plans", 151, 151)
        with pytest.raises(LogMoved):
            await append(documents, made, "plans", 1, 1)
        # Nothing of its past is known, be it operations or results.
        await append(documents, replaced, "plans", 1, 2)
        assert len(await documents.history("plans", replaced.epoch, 0)) == 2

    async def test_what_is_not_there_can_be_replaced(self, documents: DocumentStore) -> None:
        replaced = await documents.replace("plans", "text", "new")
        assert await documents.load("plans") == replaced

    async def test_deleting(self, documents: DocumentStore) -> None:
        made = await documents.create("plans", "text", "")
        await append(documents, made, "plans", 1, 150)
        assert await documents.delete("plans") is True
        assert await documents.delete("plans") is False
        assert await documents.load("plans") is None
        with pytest.raises(LogMoved):
            await append(documents, made, "plans", 151, 151)
        again = await documents.create("plans", "text", "again")
        assert again.epoch != made.epoch
        await append(documents, again, "plans", 1, 1)

    async def test_forgetting_what_was_never_written_to(self, documents: DocumentStore, clock: Clock) -> None:
        made = {}
        for index in range(8):
            made[f"room {index}"] = await documents.create(f"room {index}", "text", "")
            clock.advance(1)
        await append(documents, made["room 1"], "room 1", 1, 1)
        before = int((clock.now - 3) * 1000)
        assert await documents.forget_unwritten(before, {"room 2", "room 7", "no room"}) == 3
        assert await documents.forget_unwritten(before, {"room 2", "room 7", "no room"}) == 0
        left = [summary.room_id for summary in await documents.list()]
        assert left == ["room 1", "room 2", "room 5", "room 6", "room 7"]
        with pytest.raises(LogMoved):
            await append(documents, made["room 0"], "room 0", 1, 1)

    async def test_many_are_forgotten_at_once(self, documents: DocumentStore, clock: Clock) -> None:
        await asyncio.gather(*(documents.create(f"room {index}", "text", "") for index in range(1_200)))
        assert await documents.forget_unwritten(int(clock.now * 1000) + 1, ["room 7"]) == 1_199
        assert [summary.room_id for summary in await documents.list()] == ["room 7"]

    # --- listing --------------------------------------------------------------------------------------------------

    async def test_a_list_has_pages(self, documents: DocumentStore) -> None:
        names = [*(f"room {index}" for index in range(25)), "Room", "\ue000", "\U0001f469", "é"]
        for name in names:
            await documents.create(name, "text", "")
        pages: list[list[str]] = []
        after = ""
        while page := [summary.room_id for summary in await documents.list(after, 10)]:
            pages.append(page)
            after = page[-1]
        assert [len(page) for page in pages] == [10, 10, 9]
        assert list(itertools.chain(*pages)) == sorted(names)

    async def test_what_a_list_says(self, documents: DocumentStore, clock: Clock) -> None:
        made = await documents.create("plans", "json1", None)
        (summary,) = await documents.list()
        assert (summary.room_id, summary.type, summary.epoch) == ("plans", "json1", made.epoch)
        assert (summary.version, summary.oldest, summary.log_bytes) == (0, 0, 0)
        assert summary.changed_at == int(clock.now * 1000)
        clock.advance(10)
        await append_at(documents, made, "plans", clock, 1, 200)
        await documents.snapshot("plans", made.epoch, 100, None, Retention(operations=100))
        (summary,) = await documents.list()
        assert (summary.version, summary.oldest, summary.log_bytes) == (200, 100, 10_000)
        assert summary.changed_at == int(clock.now * 1000)

    # --- handing back ---------------------------------------------------------------------------------------------

    async def test_what_was_written_to_awaits_being_handed_back(self, documents: DocumentStore) -> None:
        made = await documents.create("plans", "text", "from the back end")
        assert await documents.awaiting_hand_back() == []
        await append(documents, made, "plans", 1, 10)
        assert await documents.awaiting_hand_back() == ["plans"]
        for epoch, version, awaiting in (
            (made.epoch, 9, ["plans"]),
            ("another epoch", 10, ["plans"]),
            (made.epoch, 10, []),
            (made.epoch, 4, []),
        ):
            await documents.handed_back("plans", epoch, version)
            assert await documents.awaiting_hand_back() == awaiting
        await append(documents, made, "plans", 11, 200)
        await documents.snapshot("plans", made.epoch, 200, self.text(200), Retention(operations=1))
        assert await documents.awaiting_hand_back() == ["plans"]
        await documents.handed_back("plans", made.epoch, 200)
        await documents.handed_back("wiki", made.epoch, 1)
        assert await documents.awaiting_hand_back() == []

    async def test_what_was_put_there_awaits_being_handed_back_and_is_not_forgotten(
        self, documents: DocumentStore, clock: Clock
    ) -> None:
        made = await documents.create("plans", "text", "")
        await append(documents, made, "plans", 1, 10)
        await documents.handed_back("plans", made.epoch, 10)
        replaced = await documents.replace("plans", "text", "imported")
        assert await documents.awaiting_hand_back() == ["plans"]
        await documents.handed_back("plans", made.epoch, 10)
        assert await documents.awaiting_hand_back() == ["plans"]
        await documents.handed_back("plans", replaced.epoch, 0)
        assert await documents.awaiting_hand_back() == []
        assert await documents.forget_unwritten(int(clock.now * 1000) + 1, []) == 0

    async def test_those_who_await_it_have_pages(self, documents: DocumentStore) -> None:
        names = [*(f"room {index}" for index in range(25)), "Room", "\ue000", "\U0001f469", "é"]
        for name in names:
            await documents.replace(name, "text", "")
        pages = [await documents.awaiting_hand_back("", 10)]
        while page := await documents.awaiting_hand_back(pages[-1][-1], 10):
            pages.append(page)
        assert [len(page) for page in pages] == [10, 10, 9]
        assert list(itertools.chain(*pages)) == sorted(names)

    # --- closing, and everything together -------------------------------------------------------------------------

    async def test_closing_waits_for_what_is_under_way(self, tmp_path: Path, clock: Clock) -> None:
        documents = await self.open_documents(tmp_path, clock)
        made = await documents.create("plans", "text", "")
        appending = [
            asyncio.ensure_future(append(documents, made, "plans", version, version)) for version in range(1, 51)
        ]
        await asyncio.sleep(0)
        await documents.close()
        await documents.close()
        await asyncio.gather(*appending)
        if self.durable:
            documents = await self.open_documents(tmp_path, clock)
            found = await documents.load("plans")
            assert found is not None and text_at(found) == self.text(50)
            await documents.close()

    async def test_a_store_is_what_a_plain_model_is(self, tmp_path_factory: pytest.TempPathFactory) -> None:
        contract = self

        class Machine(StoreMachine):
            def __init__(self) -> None:
                super().__init__(contract.open_documents, tmp_path_factory.mktemp("store"), contract.durable)

        # It has event loops of its own.
        await asyncio.to_thread(run_state_machine_as_test, Machine, settings=STATEFUL)


STATEFUL = settings(
    max_examples=30,
    stateful_step_count=30,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


async def append_at(
    documents: DocumentStore, document: StoredDocument, room_id: str, clock: Clock, first: int, last: int
) -> None:
    """As :func:`append`, at the time of the clock."""
    entries = [entry(version, committed_at=int(clock.now * 1000)) for version in range(first, last + 1)]
    await documents.append(room_id, document.epoch, entries)
