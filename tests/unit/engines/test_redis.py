"""The Redis engine: the contract of its port on every kind of server, and what it does beyond it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from zlib import crc32

import pytest
import uvloop
from redis.crc import key_slot
from tests.redis_servers import REDIS_6, REDIS_7, VALKEY, RedisServer, start_cluster, start_server

from fastcollab.config import EngineConfig
from fastcollab.core.document import Committed
from fastcollab.engines.redis import RedisDocuments
from fastcollab.ports import AlreadyCommitted, LogMoved, Retention
from fastcollab.testing import DocumentStoreContract
from fastcollab.testing.document_model import entry


class _Contract(DocumentStoreContract):
    """Each directory is a prefix of its own."""

    url: str
    durability = "none"

    async def open_documents(self, directory: Path, clock: Callable[[], float]) -> RedisDocuments:
        # The name alone may be that of another test's, since hypothesis has many.
        prefix = f"{directory.parent.name}.{directory.name}"[-64:]
        config = EngineConfig.model_validate({"url": self.url, "prefix": prefix, "durability": self.durability})
        return await RedisDocuments.open(config, clock)


class TestValkey(_Contract):
    @pytest.fixture(autouse=True, scope="class")
    @classmethod
    def _server(cls) -> Iterator[None]:
        with start_server(VALKEY) as server:
            cls.url = server.url
            yield


class TestDurable(_Contract):
    durability = "aof"

    @pytest.fixture(autouse=True, scope="class")
    @classmethod
    def _server(cls) -> Iterator[None]:
        with start_server(VALKEY, "--appendonly", "yes", "--appendfsync", "always") as server:
            cls.url = server.url
            yield


class TestOldest(_Contract):
    @pytest.fixture(autouse=True, scope="class")
    @classmethod
    def _server(cls) -> Iterator[None]:
        with start_server(REDIS_6) as server:
            cls.url = server.url
            yield


if REDIS_7.program is not None:

    class TestSystems(_Contract):
        """The Redis of this system."""

        @pytest.fixture(autouse=True, scope="class")
        @classmethod
        def _server(cls) -> Iterator[None]:
            with start_server(REDIS_7) as server:
                cls.url = server.url
                yield


class TestCluster(_Contract):
    @pytest.fixture(autouse=True, scope="class")
    @classmethod
    def _server(cls) -> Iterator[None]:
        with start_cluster() as cluster:
            cls.url = cluster.url
            yield


def keys_of(server: RedisServer, pattern: str = "*") -> list[bytes]:
    with server.client() as client:
        return sorted(client.keys(pattern))


# --- what is where ------------------------------------------------------------------------------------------------


async def test_all_keys_of_a_room_have_one_tag_whatever_it_is_called(
    documents: RedisDocuments, server: RedisServer
) -> None:
    for room_id in ("plans", "{r1}", "}{", "a:b", "{", "\x00é"):
        made = await documents.create(room_id, "text", "")
        await documents.append(room_id, made.epoch, [entry(1)])
        tag = b"fastcollab:{r%d}:" % (crc32(room_id.encode()) % 256)
        own = [tag + kind + b":" + room_id.encode() for kind in (b"document", b"log", b"results", b"snapshots")]
        shared = [tag + kind for kind in (b"documents", b"unsaved", b"unwritten")]
        found = keys_of(server)
        (content,) = [key for key in found if b":content:" in key]
        assert set(found) == {*own, *shared, content} and content.endswith(b":" + room_id.encode())
        assert len({key_slot(key) for key in found}) == 1
        assert await documents.delete(room_id)
        gone = tag + b"gone:" + room_id.encode()
        assert set(keys_of(server)) == {gone, tag + b"unsaved", tag + b"unwritten"}
        with server.client() as client:
            client.flushall()


async def test_prefixes_keep_clusters_apart(documents: RedisDocuments, server: RedisServer) -> None:
    other = await RedisDocuments.open(EngineConfig(url=server.url, prefix="other"))
    await documents.create("plans", "text", "")
    assert await other.load("plans") is None and await other.list() == []
    await other.close()


async def test_nothing_is_left_of_what_is_gone(documents: RedisDocuments, server: RedisServer) -> None:
    for room_id in ("plans", "wiki"):
        for _ in range(2):
            made = await documents.replace(room_id, "text", "x" * 100_000)
            await documents.append(room_id, made.epoch, [entry(version) for version in range(1, 301)])
            for version in (100, 200, 300, 200, 5_000):
                await documents.snapshot(room_id, made.epoch, version, "", Retention(operations=50))
            await documents.snapshot(room_id, "another epoch", 300, "", Retention())
            # The newest snapshot before what is to be kept, and one after it.
            assert len(keys_of(server, f"*:content:*:{room_id}")) == 2
        await documents.create(room_id, "text", "no")
        await documents.delete(room_id)
    left = [key for key in keys_of(server) if not key.endswith((b":unsaved", b":unwritten"))]
    assert [key.split(b":")[2] for key in left] == [b"gone", b"gone"]
    with server.client() as client:
        assert all(client.ttl(key) > 0 for key in left)
        assert {tuple(client.zrange(key, 0, -1)) for key in keys_of(server, "*:un*")} == {(b"",)}


async def test_a_content_that_nobody_takes_note_of_does_not_stay(
    documents: RedisDocuments, server: RedisServer
) -> None:
    await documents._put_content("plans", "x")
    with server.client() as client:
        (key,) = client.keys()
        assert 0 < client.ttl(key) <= 600


async def test_rooms_with_somebody_in_them_are_not_forgotten(documents: RedisDocuments, server: RedisServer) -> None:
    for room_id in ("plans", "wiki"):
        await documents.create(room_id, "text", "")
    with server.client() as client:
        client.hset(documents._names.roster("wiki"), "ada", "here")
    assert await documents.forget_unwritten(2**53, []) == 1
    assert [summary.room_id for summary in await documents.list()] == ["wiki"]


# --- much -----------------------------------------------------------------------------------------------------------


async def test_long_logs_and_large_operations_are_read_in_pages(documents: RedisDocuments, server: RedisServer) -> None:
    made = await documents.create("plans", "text", "")
    sizes = [100] * 3_000 + [600_000] * 8 + [100] * 100
    appended = []
    for version, size in enumerate(sizes, 1):
        operation = ["x" * size] if size > 100 else [f"[{version}]"]
        appended.append(entry(version, operation=operation, size=size))
    for begin in range(0, len(appended), 500):
        await documents.append("plans", made.epoch, appended[begin : begin + 500])
    with server.client() as client:
        client.config_resetstat()
        assert await documents.history("plans", made.epoch, 0) == appended
        pages = client.info("commandstats")["cmdstat_evalsha"]["calls"]
    assert pages >= 3_000 / 512 + 8
    assert await documents.history("plans", made.epoch, 2_990, 3_005) == appended[2_990:3_005]
    found = await documents.load("plans")
    assert found is not None and found.entries == appended


async def test_batches_of_any_length(documents: RedisDocuments) -> None:
    made = await documents.create("plans", "text", "")
    appended = [entry(version) for version in range(1, 9_001)]
    await documents.append("plans", made.epoch, appended)
    assert await documents.history("plans", made.epoch, 8_000) == appended[8_000:]
    again = [entry(version + 9_000, message_id=f"m{version}") for version in range(1, 9_001)]
    with pytest.raises(AlreadyCommitted) as known:
        await documents.append("plans", made.epoch, again)
    assert known.value.results == {each.author: each.version for each in appended}


async def test_large_contents(documents: RedisDocuments) -> None:
    for size in (65_533, 65_534, 65_535, 16_777_216):
        made = await documents.replace("plans", "text", "é" * (size // 2))
        found = await documents.load("plans")
        assert found is not None and (found.content, found.epoch) == (made.content, made.epoch)


async def test_much_that_has_to_be_trimmed_goes_in_portions(documents: RedisDocuments, server: RedisServer) -> None:
    made = await documents.create("plans", "text", "")
    for begin in range(0, 24_000, 4_000):
        await documents.append("plans", made.epoch, [entry(version + begin + 1) for version in range(4_000)])
    assert await documents.snapshot("plans", made.epoch, 12_000, "", Retention(operations=10**6)) == 0
    assert await documents.snapshot("plans", made.epoch, 23_000, "", Retention(operations=10**6)) == 0
    with server.client() as client:
        client.config_resetstat()
        oldest = await documents.snapshot(
            "plans", made.epoch, 24_000, "", Retention(operations=1_000, results_seconds=0)
        )
        assert oldest == 23_000
        assert client.info("commandstats")["cmdstat_evalsha"]["calls"] > 2
        (log,), (results,) = client.keys("*:log:plans"), client.keys("*:results:plans")
        assert 1_000 <= client.xlen(log) <= 1_200
        assert client.zcard(results) == 1_000
        assert not client.keys("*:eras:*")


# --- two writers ----------------------------------------------------------------------------------------------------


async def test_who_is_behind_is_given_what_is_missing_if_it_is_little(documents: RedisDocuments) -> None:
    made = await documents.create("plans", "text", "")
    appended = [entry(version) for version in range(1, 141)]
    await documents.append("plans", made.epoch, appended)

    async def missing(version: int, mark: str = "") -> Sequence[Committed]:
        with pytest.raises(LogMoved) as moved:
            await documents.append("plans", made.epoch, [entry(version, message_id="new")], mark)
        return moved.value.entries

    assert await missing(140) == appended[139:]
    assert await missing(140, appended[138].mark) == appended[139:]
    assert await missing(13) == appended[12:]
    # Too many, or not those of the document that the caller knows, or none.
    assert await missing(12) == ()
    assert await missing(140, appended[137].mark) == ()
    assert await missing(142) == ()
    await documents.append("plans", made.epoch, [entry(141, operation=["x" * 300_000], size=300_000)])
    assert await missing(141) == ()
    await documents.snapshot("plans", made.epoch, 140, "", Retention(operations=1))
    assert await missing(100) == ()


async def test_two_who_write_at_once_make_one_log(server: RedisServer, documents: RedisDocuments) -> None:
    made = await documents.create("plans", "text", "")
    other = await RedisDocuments.open(EngineConfig(url=server.url))

    async def write(store: RedisDocuments, name: str) -> None:
        known: list[Committed] = []
        for number in range(50):
            while True:
                mine = entry(len(known) + 1, message_id=f"{name}{number}")
                try:
                    await store.append("plans", made.epoch, [mine], known[-1].mark if known else "")
                except LogMoved as moved:
                    assert moved.entries
                    known += moved.entries
                else:
                    known.append(mine)
                    break

    await asyncio.gather(write(documents, "a"), write(other, "b"))
    log = await documents.history("plans", made.epoch, 0)
    assert [each.version for each in log] == list(range(1, 101))
    assert sorted(each.message_id for each in log) == sorted(f"{name}{number}" for name in "ab" for number in range(50))
    await other.close()


def test_on_the_loop_of_a_gateway(server: RedisServer) -> None:
    async def use() -> None:
        documents = await RedisDocuments.open(EngineConfig(url=server.url, prefix="uvloop"))
        made = await documents.create("plans", "text", "")
        await asyncio.gather(*(documents.append("plans", made.epoch, [entry(version)]) for version in range(1, 101)))
        found = await documents.load("plans")
        assert found is not None and found.newest == 100
        await documents.close()

    uvloop.run(use())


# --- a Cluster ------------------------------------------------------------------------------------------------------


async def test_slots_that_move_while_rooms_are_written_to() -> None:
    with start_cluster(4) as cluster:
        documents = await RedisDocuments.open(EngineConfig(url=cluster.url, timeout=10))
        names = [f"room {index}" for index in range(20)]
        made = {name: await documents.create(name, "text", "x" * 100_000) for name in names}
        versions = dict.fromkeys(names, 0)
        target = cluster.servers[3]
        moving = True

        async def write(name: str) -> None:
            while moving:
                version = versions[name] + 1
                await documents.append(name, made[name].epoch, [entry(version)])
                versions[name] = version
                if version % 20 == 0:
                    await documents.snapshot(name, made[name].epoch, version, "", Retention(operations=10))
                    found = await documents.load(name)
                    assert found is not None and found.newest == version
                await asyncio.sleep(0.005)

        writing = [asyncio.ensure_future(write(name)) for name in names]
        for name in names[:10]:
            slot = key_slot(documents._names.room(name, "log")[0])
            if cluster.owner(slot) is not target:
                await asyncio.to_thread(cluster.move, slot, target)
        moving = False
        await asyncio.gather(*writing)
        assert min(versions.values()) > 10
        for name in names:
            found = await documents.load(name)
            assert found is not None and found.newest == versions[name]
            await documents.replace(name, "text", "")
        contents = [key for server in cluster.servers for key in keys_of(server, "*:content:*")]
        assert len(contents) == 20
        await documents.close()


async def test_a_slot_that_is_half_moved() -> None:
    with start_cluster(3) as cluster:
        documents = await RedisDocuments.open(EngineConfig(url=cluster.url, timeout=10))
        made = await documents.create("plans", "text", "hello")
        await documents.append("plans", made.epoch, [entry(1)])
        slot = key_slot(documents._names.room("plans", "log")[0])
        target = next(server for server in cluster.servers if server is not cluster.owner(slot))
        source = cluster.begin_moving(slot, target)
        (content,) = keys_of(source, "*:content:*")
        cluster.move_keys(slot, source, target, content)
        # The content has moved, which is asked for by itself, and the rest has not.
        found = await documents.load("plans")
        assert found is not None and found.content == "hello" and found.newest == 1
        await documents.append("plans", made.epoch, [entry(2)])
        # What needs keys on both sides waits.
        cluster.move_keys(slot, source, target, documents._names.room("plans", "log")[0])
        appending = asyncio.ensure_future(documents.append("plans", made.epoch, [entry(3)]))
        await asyncio.sleep(0.2)
        assert not appending.done()
        await asyncio.to_thread(cluster.move_keys, slot, source, target)
        await asyncio.to_thread(cluster.end_moving, slot, target)
        await appending
        found = await documents.load("plans")
        assert found is not None and found.newest == 3
        await documents.close()


async def test_who_is_overtaken_again_and_again_is_given_the_turn(server: RedisServer) -> None:
    """One who is far from the server would never be first in a room that others write to all the time."""
    now = 0.0
    async with AsyncExitStack() as stack:
        near = await RedisDocuments.open(EngineConfig(url=server.url, prefix="turns"))
        stack.push_async_callback(near.close)
        far = await RedisDocuments.open(EngineConfig(url=server.url, prefix="turns"), lambda: now)
        stack.push_async_callback(far.close)
        epoch = (await near.create("plans", "text", "")).epoch
        for version in range(1, 4):
            await near.append("plans", epoch, [entry(version)])
            with pytest.raises(LogMoved) as moved:
                await far.append("plans", epoch, [entry(version, message_id="of the far one")])
            assert moved.value.pause == 0
            now += 0.3
        with pytest.raises(LogMoved) as waits:
            await near.append("plans", epoch, [entry(4)])
        assert waits.value.pause > 0
        await far.append("plans", epoch, [entry(4, message_id="of the far one")])
        await near.append("plans", epoch, [entry(5)])
        # Once it has had its turn, it is as others are.
        with pytest.raises(LogMoved):
            await far.append("plans", epoch, [entry(5, message_id="another of it")])
        await near.append("plans", epoch, [entry(6)])


async def test_a_turn_that_is_not_taken_is_over_soon(server: RedisServer) -> None:
    now = 0.0
    async with AsyncExitStack() as stack:
        near = await RedisDocuments.open(EngineConfig(url=server.url, prefix="turns-over"))
        stack.push_async_callback(near.close)
        far = await RedisDocuments.open(EngineConfig(url=server.url, prefix="turns-over"), lambda: now)
        stack.push_async_callback(far.close)
        epoch = (await near.create("plans", "text", "")).epoch
        await near.append("plans", epoch, [entry(1)])
        for _ in range(4):
            with pytest.raises(LogMoved):
                await far.append("plans", epoch, [entry(1, message_id="of the far one")])
            now += 0.3
        begun = time.monotonic()
        while True:
            try:
                await near.append("plans", epoch, [entry(2)])
            except LogMoved as waits:
                await asyncio.sleep(waits.pause)
            else:
                break
        assert 1.5 < time.monotonic() - begun < 10
