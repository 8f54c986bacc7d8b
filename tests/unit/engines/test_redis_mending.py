"""What becomes of documents when Redis has lost some of them, or somebody else writes to them."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from tests.redis_servers import RedisServer, start_sentinel

from fastcollab import ot
from fastcollab.config import EngineConfig
from fastcollab.core.document import Author, Committed
from fastcollab.engines.redis import RedisDocuments
from fastcollab.engines.redis.mending import Found, Verdict, epoch_after, generation_of, judge
from fastcollab.engines.redis.rows import encode_entry
from fastcollab.errors import VersionMismatch
from fastcollab.ports import LogMoved, StoredDocument
from fastcollab.testing.document_model import entry, text_at


def entries(first: int, last: int, by: str = "m") -> list[Committed]:
    return [entry(version, message_id=f"{by}{version}") for version in range(first, last + 1)]


def text(version: int) -> str:
    return "".join(f"[{number}]" for number in range(version, 0, -1))


def remembered(epoch: str, version: int) -> tuple[StoredDocument, list[Committed]]:
    """What a node has in memory of a document that has seen these versions: it, and its newest entries."""
    recent = entries(max(1, version - 4), version)
    mark = recent[-1].mark if recent else ""
    return StoredDocument("text", epoch, version, version, text(version), (), mark), recent


async def loaded(documents: RedisDocuments) -> StoredDocument:
    found = await documents.load("plans")
    assert found is not None
    return found


def forget(server: RedisServer, kept: dict[bytes, bytes] | None = None) -> None:
    """Has the server be empty, or as it was."""
    with server.client() as client:
        client.flushall()
        for key, dumped in (kept or {}).items():
            client.restore(key, 0, dumped)


def copy(server: RedisServer) -> dict[bytes, bytes]:
    with server.client() as client:
        return {key: client.dump(key) for key in client.keys("*")}


# --- what was lost --------------------------------------------------------------------------------------------------


async def test_what_is_there_is_not_mended(documents: RedisDocuments) -> None:
    made = await documents.create("plans", "text", "")
    await documents.append("plans", made.epoch, entries(1, 10))
    for version in (0, 1, 10):
        assert await documents.mend("plans", *remembered(made.epoch, version)) is False
    assert (await loaded(documents)).epoch == made.epoch


async def test_a_server_that_has_come_back_empty(documents: RedisDocuments, server: RedisServer) -> None:
    made = await documents.create("plans", "text", "")
    await documents.append("plans", made.epoch, entries(1, 10))
    forget(server)
    with pytest.raises(LogMoved):
        await documents.append("plans", made.epoch, entries(11, 11), entry(10).mark)
    with pytest.raises(LogMoved):
        await documents.history("plans", made.epoch, 10)
    known, recent = remembered(made.epoch, 10)
    outcomes = await asyncio.gather(*(documents.mend("plans", known, recent) for _ in range(5)))
    # Of several at once one does it.
    assert sorted(outcomes) == [False] * 4 + [True]
    found = await loaded(documents)
    assert (found.oldest, found.version, text_at(found)) == (10, 10, text(10))
    assert found.epoch != made.epoch and generation_of(found.epoch) == 1
    # What is remembered of who has written what is known again, and the log goes on.
    asked = [Author("ada", "m10"), Author("ada", "m6"), Author("ada", "m11")]
    assert await documents.results("plans", found.epoch, asked) == {asked[0]: 10, asked[1]: 6}
    await documents.append("plans", found.epoch, entries(11, 12))
    assert text_at(await loaded(documents)) == text(12)
    assert await documents.awaiting_hand_back() == ["plans"]
    (summary,) = await documents.list()
    assert (summary.version, summary.oldest, summary.log_bytes) == (12, 10, 200)


@pytest.mark.parametrize("goes_on", [False, True])
async def test_a_server_that_has_lost_what_was_written_last(
    documents: RedisDocuments, server: RedisServer, goes_on: bool
) -> None:
    made = await documents.create("plans", "text", "")
    await documents.append("plans", made.epoch, entries(1, 7))
    kept = copy(server)
    await documents.append("plans", made.epoch, entries(8, 10))
    forget(server, kept)
    known, recent = remembered(made.epoch, 10)
    if not goes_on:
        with pytest.raises(VersionMismatch):
            await documents.history("plans", made.epoch, 10, mark=known.mark)
        assert await documents.mend("plans", known, recent) is True
        found = await loaded(documents)
        assert (found.newest, text_at(found)) == (10, text(10))
        # Older results are those of the same history.
        assert await documents.results("plans", found.epoch, [Author("ada", "m1")]) == {Author("ada", "m1"): 1}
        return
    # Somebody who did not know of it has written, up to the same version and beyond.
    await documents.append("plans", made.epoch, entries(8, 11, "other"))
    with pytest.raises(LogMoved) as moved:
        await documents.append("plans", made.epoch, entries(11, 11), known.mark)
    assert moved.value.entries == ()
    with pytest.raises(LogMoved):
        await documents.history("plans", made.epoch, 10, mark=known.mark)
    assert await documents.mend("plans", known, recent) is True
    found = await loaded(documents)
    assert found.epoch != made.epoch
    assert [each.message_id for each in found.entries[-4:]] == ["other8", "other9", "other10", "other11"]
    assert await documents.mend("plans", known, recent) is False
    with pytest.raises(LogMoved):
        await documents.append("plans", made.epoch, entries(12, 12))


async def test_the_mark_tells_a_log_that_is_as_long_and_another(documents: RedisDocuments, server: RedisServer) -> None:
    made = await documents.create("plans", "text", "")
    kept = copy(server)
    await documents.append("plans", made.epoch, entries(1, 1))
    forget(server, kept)
    await documents.append("plans", made.epoch, entries(1, 1, "other"))
    with pytest.raises(LogMoved):
        await documents.append("plans", made.epoch, entries(2, 2), entry(1).mark)
    await documents.append("plans", made.epoch, entries(2, 2), entries(1, 1, "other")[0].mark)


async def test_of_two_who_mend_the_one_that_knows_more_is_believed(
    documents: RedisDocuments, server: RedisServer
) -> None:
    made = await documents.create("plans", "text", "")
    await documents.append("plans", made.epoch, entries(1, 10))
    forget(server)
    assert await documents.mend("plans", *remembered(made.epoch, 8)) is True
    assert await documents.mend("plans", *remembered(made.epoch, 10)) is True
    assert text_at(await loaded(documents)) == text(10)
    assert await documents.mend("plans", *remembered(made.epoch, 9)) is False
    # When it has been written to it is too late.
    forget(server)
    assert await documents.mend("plans", *remembered(made.epoch, 8)) is True
    found = await loaded(documents)
    await documents.append("plans", found.epoch, entries(9, 9, "other"))
    assert await documents.mend("plans", *remembered(made.epoch, 10)) is False


async def test_what_was_deleted_or_replaced_is_not_brought_back(documents: RedisDocuments, server: RedisServer) -> None:
    made = await documents.create("plans", "text", "")
    await documents.append("plans", made.epoch, entries(1, 10))
    assert await documents.delete("plans")
    assert await documents.mend("plans", *remembered(made.epoch, 10)) is False
    assert await documents.load("plans") is None
    again = await documents.create("plans", "text", "again")
    assert generation_of(again.epoch) == 1
    replaced = await documents.replace("plans", "text", "replaced")
    for epoch in (made.epoch, again.epoch):
        assert await documents.mend("plans", *remembered(epoch, 10)) is False
    assert await loaded(documents) == replaced
    with server.client() as client:
        assert not client.keys("*:gone:*")


async def test_a_deletion_is_not_remembered_for_ever(documents: RedisDocuments, server: RedisServer) -> None:
    await documents.create("plans", "text", "")
    await documents.delete("plans")
    with server.client() as client:
        (key,) = client.keys("*:gone:*")
        assert b":gone:plans" in key and 29 * 86_400 < client.ttl(key) <= 30 * 86_400


async def test_a_replacement_that_was_lost(documents: RedisDocuments, server: RedisServer) -> None:
    made = await documents.create("plans", "text", "")
    await documents.append("plans", made.epoch, entries(1, 10))
    kept = copy(server)
    replaced = await documents.replace("plans", "text", "")
    forget(server, kept)
    assert await documents.mend("plans", *remembered(replaced.epoch, 2)) is True
    assert text_at(await loaded(documents)) == text(2)
    assert await documents.results("plans", (await loaded(documents)).epoch, [Author("ada", "m9")]) == {}


async def test_an_absent_document_is_mended(documents: RedisDocuments, server: RedisServer) -> None:
    known = StoredDocument("json1", "0-abc", 3, 3, ot.ABSENT, (), "x")
    assert await documents.mend("plans", known, []) is True
    assert (await loaded(documents)).content is ot.ABSENT


async def test_a_fail_over_that_loses_what_was_acknowledged() -> None:
    with start_sentinel() as servers:
        documents = await RedisDocuments.open(EngineConfig(url=servers.url, timeout=10))
        made = await documents.create("plans", "text", "")
        await documents.append("plans", made.epoch, entries(1, 5))
        with servers.master.client() as client:
            assert client.wait(1, 5_000) == 1
        kept = copy(servers.replica)
        await documents.append("plans", made.epoch, entries(6, 10))
        await asyncio.to_thread(servers.fail_over)
        # As if the replica had not heard of the last of it.
        forget(servers.master, kept)
        with pytest.raises(LogMoved):
            await documents.append("plans", made.epoch, entries(11, 11), entry(10).mark)
        assert await documents.mend("plans", *remembered(made.epoch, 10)) is True
        assert text_at(await loaded(documents)) == text(10)
        await documents.close()


# --- judging --------------------------------------------------------------------------------------------------------

NOTHING = Found(None, 0, False, None, 0, "", None, b"")


@pytest.mark.parametrize(
    ("found", "epoch", "version", "verdict"),
    [
        (NOTHING, "0-a", 5, Verdict.RESTORE),
        (NOTHING._replace(gone=0), "0-a", 5, Verdict.NOTHING),
        (NOTHING._replace(gone=0), "1-a", 5, Verdict.RESTORE),
        (NOTHING._replace(epoch="0-a", version=4), "0-a", 5, Verdict.RESTORE),
        (NOTHING._replace(epoch="0-a", version=5), "0-a", 5, Verdict.NOTHING),
        (NOTHING._replace(epoch="0-a", version=5, entry=encode_entry(entry(5))), "0-a", 5, Verdict.NOTHING),
        (
            NOTHING._replace(epoch="0-a", version=9, entry=encode_entry(entry(5, message_id="x"))),
            *("0-a", 5, Verdict.RENEW),
        ),
        # Others have begun anew on an empty store: what has been written to more stays.
        (NOTHING._replace(epoch="0-b", version=4), "0-a", 5, Verdict.RESTORE),
        (NOTHING._replace(epoch="0-b", version=5), "0-a", 5, Verdict.NOTHING),
        (NOTHING._replace(epoch="0-b", version=0, replaced=True), "0-a", 5, Verdict.NOTHING),
        (NOTHING._replace(epoch="1-b", version=0), "0-a", 5, Verdict.NOTHING),
        (NOTHING._replace(epoch="0-b", version=9, replaced=True), "1-a", 5, Verdict.RESTORE),
        (NOTHING._replace(epoch="no number", version=9), "1-a", 5, Verdict.RESTORE),
    ],
)
def test_verdicts(found: Found, epoch: str, version: int, verdict: Verdict) -> None:
    assert judge(found, *remembered(epoch, version)) is verdict


def test_what_was_mended_with_less() -> None:
    known, recent = remembered("0-a", 5)
    mended = NOTHING._replace(epoch="1-b", version=4, mended_epoch="0-a", mended_version=4, mended_mark=recent[-2].mark)
    assert judge(mended, known, recent) is Verdict.RESTORE
    others: list[dict[str, Any]] = [
        {"version": 5},
        {"mended_epoch": "0-x"},
        {"mended_mark": "another"},
        {"version": 5, "mended_version": 5},
    ]
    for other in others:
        assert judge(mended._replace(**other), known, recent) is Verdict.NOTHING


def test_an_epoch_follows_those_before_it() -> None:
    assert [generation_of(epoch) for epoch in ("7-a", "x", "x-1", "-1", "")] == [7, 0, 0, 0, 0]
    for epochs, gone, generation in (
        ((), None, 0),
        (("0-a", None), None, 1),
        (("4-a", "9-b"), 2, 10),
        (("1-a",), 5, 6),
    ):
        assert generation_of(epoch_after(*epochs, gone=gone)) == generation
    assert epoch_after("0-a") != epoch_after("0-a")
