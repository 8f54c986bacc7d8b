"""What the Redis engine does when something is wrong with a server or the way to it; all of it is real."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import AsyncIterator, Coroutine, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import redis
from tests.redis_servers import REDIS_6, VALKEY, RedisServer, free_port, start_sentinel, start_server, wait_until
from tests.server.certificates import Authority

from fastcollab.config import EngineConfig
from fastcollab.engines.redis import RedisDocuments
from fastcollab.engines.redis.scripts import Script, load
from fastcollab.engines.redis.servers import Servers
from fastcollab.errors import ServiceUnavailable, StoreError
from fastcollab.ports import AlreadyCommitted, LogMoved, Retention, StoredDocument
from fastcollab.testing.document_model import entry

TIMEOUT = 0.6
COUNT = Script("count", b"return redis.call('INCR', KEYS[1])", "61636018f4e6b5817b89791bbed242f93fa089e3")


def config(url: str, **settings: Any) -> EngineConfig:
    return EngineConfig.model_validate({"url": url, "timeout": TIMEOUT, **settings})


@asynccontextmanager
async def opened(url: str, **settings: Any) -> AsyncIterator[RedisDocuments]:
    documents = await RedisDocuments.open(config(url, **settings))
    try:
        yield documents
    finally:
        await documents.close()


@pytest.fixture
def server() -> Iterator[RedisServer]:
    with start_server(VALKEY, "--appendonly", "yes", "--appendfsync", "always") as server:
        yield server


@pytest.fixture
async def documents(server: RedisServer) -> AsyncIterator[RedisDocuments]:
    async with opened(server.url) as documents:
        yield documents


@pytest.fixture(autouse=True)
def everything_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")


async def append(documents: RedisDocuments, made: StoredDocument, first: int, last: int | None = None) -> None:
    entries = [entry(version) for version in range(first, (last or first) + 1)]
    await documents.append("plans", made.epoch, entries)


async def version_of(documents: RedisDocuments, room_id: str = "plans") -> int:
    found = await documents.load(room_id)
    assert found is not None
    return found.newest


def refusal(error: ServiceUnavailable) -> str:
    assert error.code == 5002 and error.details == {"retryAfterMs": 1_000}
    return error.message.removeprefix("Redis cannot be used: ")


UNKNOWN = ", and whether it has done what it was to do is not known"


class Proxy:
    """Between the engine and a server. It can lose replies, and make the way a dead end."""

    def __init__(self, server: RedisServer) -> None:
        self._server = server
        self.port = free_port()
        #: When a command of that name has passed, its reply does not, and the connection ends.
        self.loses: bytes | None = None
        self.lost = 0
        self._ways: list[asyncio.StreamWriter] = []

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}"

    async def __aenter__(self) -> Proxy:
        self._listener = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._listener.close()
        for way in self._ways:
            way.transport.abort()
        await asyncio.sleep(0.05)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, to_there = await asyncio.open_connection("127.0.0.1", self._server.port)
        self._ways += (writer, to_there)
        losing = asyncio.Event()

        async def back() -> None:
            while data := await there.read(65_536):
                if losing.is_set():
                    self.lost += 1
                    break
                writer.write(data)

        async def forth() -> None:
            while data := await reader.read(65_536):
                if self.loses is not None and self.loses in data:
                    self.loses = None
                    losing.set()
                to_there.write(data)

        async def until_end(half: Coroutine[Any, Any, None]) -> None:
            with suppress(OSError):
                await half
            for way in (writer, to_there):
                way.transport.abort()

        await asyncio.gather(until_end(back()), until_end(forth()))


# --- a reply that does not come -----------------------------------------------------------------------------------


async def test_a_command_whose_reply_is_lost_is_not_sent_again(server: RedisServer) -> None:
    async with Proxy(server) as proxy:
        servers = await Servers.open(config(proxy.url))
        (key,) = servers.names.room("plans", "counter")
        assert await servers.run(COUNT, [key]) == 1
        for expected in (2, 3):
            proxy.loses = b"EVALSHA"
            with pytest.raises(ServiceUnavailable) as caught:
                await servers.run(COUNT, [key])
            assert refusal(caught.value) == "it cannot be reached" + UNKNOWN
            # It goes on over another connection.
            assert await servers.call(key, "GET", key) == b"%d" % expected
        assert proxy.lost == 2
        await servers.close()


async def test_ot5_an_append_whose_reply_is_lost_is_known_afterwards(server: RedisServer) -> None:
    async with Proxy(server) as proxy, opened(proxy.url, durability="aof") as documents:
        made = await documents.create("plans", "text", "")
        await append(documents, made, 1)
        proxy.loses = b"EVALSHA"
        with pytest.raises(ServiceUnavailable) as caught:
            await append(documents, made, 2)
        assert refusal(caught.value).endswith(UNKNOWN)
        with pytest.raises(LogMoved) as moved:
            await append(documents, made, 2)
        assert moved.value.entries == [entry(2)]
        with pytest.raises(AlreadyCommitted):
            await documents.append("plans", made.epoch, [entry(3, message_id="m2")])
        assert await version_of(documents) == 2


async def test_a_server_that_stands_still(server: RedisServer, documents: RedisDocuments) -> None:
    made = await documents.create("plans", "text", "")
    await append(documents, made, 1)
    server.pause()
    begun = time.monotonic()
    with pytest.raises(ServiceUnavailable) as caught:
        await append(documents, made, 2)
    assert refusal(caught.value) == "it does not answer" + UNKNOWN
    assert TIMEOUT <= time.monotonic() - begun < 3 * TIMEOUT
    # While that lasts nobody waits for it: not longer than for an answer, and at last not at all.
    outcomes = []
    for _ in range(40):
        begun = time.monotonic()
        with pytest.raises(ServiceUnavailable):
            await documents.load("plans")
        outcomes.append(time.monotonic() - begun)
        await asyncio.sleep(0.05)
    assert max(outcomes) < 3 * TIMEOUT and max(outcomes[-5:]) < 0.1
    server.resume()
    version = await healed(documents)
    # What was sent before may have been carried out by now; if so it is known.
    assert version in (1, 2)
    await append(documents, made, version + 1)
    assert await version_of(documents) == version + 1


async def healed(documents: RedisDocuments) -> int:
    """The version, when the server can be used again, which must be soon."""
    deadline = time.monotonic() + 5
    while True:
        try:
            return await version_of(documents)
        except ServiceUnavailable:
            assert time.monotonic() < deadline
            await asyncio.sleep(0.05)


async def test_a_server_that_is_killed_and_comes_back(server: RedisServer, caplog: pytest.LogCaptureFixture) -> None:
    async with opened(server.url, timeout=5.0) as documents:
        made = await documents.create("plans", "text", "")
        await append(documents, made, 1)
        server.kill()
        await asyncio.sleep(0.1)
        # What had not been sent waits for the server, and is not refused.
        appending = asyncio.ensure_future(append(documents, made, 2))
        await asyncio.sleep(0.2)
        assert not appending.done()
        await asyncio.to_thread(server.start)
        await appending
        assert await version_of(documents) == 2
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


async def test_a_server_that_is_gone(
    server: RedisServer, documents: RedisDocuments, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fastcollab.engines.redis.faults._CALM", 0.1)
    made = await documents.create("plans", "text", "")
    server.kill()
    outcomes = await asyncio.gather(*(documents.load(f"room {index}") for index in range(100)), return_exceptions=True)
    assert {refusal(outcome) for outcome in outcomes if isinstance(outcome, ServiceUnavailable)} <= {
        "it cannot be reached",
        "it cannot be reached" + UNKNOWN,
    }
    assert not [outcome for outcome in outcomes if not isinstance(outcome, ServiceUnavailable)]
    await asyncio.to_thread(server.start)
    assert await healed(documents) == 0
    await asyncio.sleep(0.2)
    await append(documents, made, 1)
    # Once for a fault, and not for everyone who meets it.
    logged = [record.message for record in caplog.records if record.name == "fastcollab.engines.redis.faults"]
    assert logged == ["Redis cannot be used: it cannot be reached", "Redis can be used again"]


async def test_what_is_posted_is_not_waited_for(server: RedisServer, caplog: pytest.LogCaptureFixture) -> None:
    servers = await Servers.open(config(server.url))
    key = servers.names.cluster("x")
    servers.post(key, "SET", key, 1)
    assert await servers.call(key, "GET", key) == b"1"
    for _ in range(3):
        servers.post(key, "LPUSH", key, 1)
    await servers.close()
    assert [record.message for record in caplog.records] == ["Redis cannot be used: it refuses a command"]


# --- a server that refuses ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [VALKEY, REDIS_6])
async def test_a_full_server_changes_nothing(kind: Any) -> None:
    with start_server(kind, "--maxmemory", "24mb", "--maxmemory-policy", "noeviction") as server:
        async with opened(server.url, timeout=5.0) as documents:
            made = await documents.create("plans", "text", "")
            version = 0
            while version < 1_000:
                try:
                    await documents.append("plans", made.epoch, [entry(version + 1, operation=["x" * 100_000])])
                except ServiceUnavailable as full:
                    assert refusal(full) == "it is full"
                    break
                version += 1
            assert 10 < version < 1_000
            with pytest.raises(ServiceUnavailable, match="it is full"):
                await documents.create("wiki", "text", "x" * 1_000_000)
            with pytest.raises(ServiceUnavailable, match="it is full"):
                await documents.snapshot("plans", made.epoch, version, "x" * 1_000_000, Retention(operations=1))
            assert await version_of(documents) == version
            assert await documents.load("wiki") is None
            with server.client() as client:
                client.config_set("maxmemory", 0)
            await append(documents, made, version + 1)
            assert await documents.snapshot("plans", made.epoch, version, "", Retention(operations=1)) == version


async def test_scripts_that_a_server_has_forgotten(server: RedisServer, documents: RedisDocuments) -> None:
    made = await documents.create("plans", "text", "")
    for version in range(1, 4):
        with server.client() as client:
            client.script_flush()
        await append(documents, made, version)
        assert await version_of(documents) == version
    rooms = [await documents.create(f"room {index}", "text", "") for index in range(20)]
    with server.client() as client:
        client.script_flush()
    # They keep their order.
    await asyncio.gather(
        *(
            documents.append(f"room {index}", room.epoch, [entry(version)])
            for version in range(1, 6)
            for index, room in enumerate(rooms)
        )
    )
    assert [await version_of(documents, f"room {index}") for index in range(20)] == [5] * 20


async def test_a_server_that_becomes_a_replica(documents: RedisDocuments, server: RedisServer) -> None:
    made = await documents.create("plans", "text", "")
    with server.client() as client:
        client.replicaof("127.0.0.1", free_port())
        with pytest.raises(ServiceUnavailable, match=r"it is a replica, and none was found that is not$"):
            await append(documents, made, 1)
        appending = asyncio.ensure_future(append(documents, made, 1))
        await asyncio.sleep(0.1)
        client.replicaof("NO", "ONE")
    await appending


# --- confirmation -------------------------------------------------------------------------------------------------


async def test_what_no_replica_confirms_may_have_been_done(server: RedisServer) -> None:
    with start_server(VALKEY, "--replicaof", f"127.0.0.1 {server.port}", "--repl-diskless-sync-delay", "0") as replica:
        await asyncio.to_thread(wait_until, lambda: is_online(server))
        async with opened(server.url, durability="replicas", timeout=2.0) as documents:
            made = await documents.create("plans", "text", "")
            await append(documents, made, 1)
            with replica.client() as client:
                assert client.keys("*:log:plans")
            replica.pause()
            with pytest.raises(ServiceUnavailable) as caught:
                await append(documents, made, 2)
            assert refusal(caught.value) == "it does not confirm in time" + UNKNOWN
            assert await version_of(documents) == 2
            replica.resume()
            await append(documents, made, 3)


def is_online(server: RedisServer) -> bool:
    """Whether it has a replica that follows it."""
    with server.client() as client:
        return bool(client.info("replication").get("slave0", {}).get("state") == "online")


async def test_durable_commands_share_a_confirmation(server: RedisServer) -> None:
    async with opened(server.url, durability="aof") as documents:
        made = [await documents.create(f"room {index}", "text", "") for index in range(100)]
        with server.client() as client:
            client.config_resetstat()
            await asyncio.gather(
                *(documents.append(f"room {index}", each.epoch, [entry(1)]) for index, each in enumerate(made))
            )
            calls = {name: said["calls"] for name, said in client.info("commandstats").items()}
        assert calls["cmdstat_evalsha"] == 100
        assert calls["cmdstat_waitaof"] <= 2


async def test_without_its_file_a_server_confirms_nothing(server: RedisServer) -> None:
    async with opened(server.url, durability="aof") as documents:
        made = await documents.create("plans", "text", "")
        with server.client() as client:
            client.config_set("appendonly", "no")
        with pytest.raises(ServiceUnavailable) as caught:
            await append(documents, made, 1)
        assert refusal(caught.value).endswith(UNKNOWN)


# --- at the start -------------------------------------------------------------------------------------------------


async def reason(url: str, **settings: Any) -> str:
    with pytest.raises(StoreError) as caught:
        await RedisDocuments.open(config(url, **settings))
    message = str(caught.value)
    assert "\n" not in message and "hunter2" not in message
    return message.split(" cannot be used: ", 1)[1]


async def test_who_is_not_let_in() -> None:
    with start_server(VALKEY, "--requirepass", "secret") as server:
        assert (await reason(server.url)).startswith("PING is refused: NOAUTH")
        assert (await reason(f"redis://:hunter2@{server.address}")).startswith("AUTH is refused: WRONGPASS")
        assert (await reason(f"redis://ada:hunter2@{server.address}")).startswith("AUTH is refused: WRONGPASS")
        assert (await reason(f"redis://:secret@{server.address}/99")).startswith("SELECT is refused: ERR DB index")
        async with opened(f"redis://:secret@{server.address}/3") as documents:
            await documents.create("plans", "text", "")
        with server.client(password="secret", db=3) as client:
            assert client.dbsize() == 6
            client.execute_command("ACL", "SETUSER", "eve", "on", ">hunter2", "~*", "+@all", "-info")
        assert "NOPERM" in await reason(f"redis://eve:hunter2@{server.address}")


async def test_servers_that_do_not_do_what_is_asked(server: RedisServer) -> None:
    with start_server(REDIS_6) as old, start_server(VALKEY) as plain:
        why = await reason(old.url, durability="aof")
        assert why.startswith("engine.durability is aof, which takes version 7.2, and it is of version 6.2.")
        assert await reason(plain.url, durability="aof") == (
            "engine.durability is aof, and it has no append-only file: set appendonly to yes"
        )
        assert await reason(plain.url, durability="replicas", replicas=2) == (
            "engine.durability is replicas, 2 of them, and it has 0"
        )
        assert await reason(f"redis+cluster://{plain.address}") == (
            f"{plain.address} says: ERR This instance has cluster support disabled"
        )
        with plain.client() as client:
            client.config_set("maxmemory", "100mb")
            client.config_set("maxmemory-policy", "allkeys-lru")
            assert await reason(plain.url) == (
                "it drops keys when it is full (maxmemory-policy is allkeys-lru), and documents with them: "
                "set noeviction"
            )
            client.config_set("maxmemory-policy", "volatile-lru")
            await (await RedisDocuments.open(config(plain.url))).close()
            client.replicaof("127.0.0.1", server.port)
            assert await reason(plain.url) == "it is a replica, which cannot be written to"
    with start_server(VALKEY, "--cluster-enabled", "yes") as member:
        assert await reason(member.url) == "it is part of a Cluster: write redis+cluster:// in engine.url"
        assert await reason(f"redis+cluster://{member.address}") == "the cluster has no servers yet that have slots"


async def test_servers_that_are_not_there(server: RedisServer) -> None:
    assert "Connect call failed" in await reason(f"redis://127.0.0.1:{free_port()}")
    assert "No such file" in await reason("unix:///nowhere/redis.sock")
    assert "Connect call failed" in await reason(f"redis+sentinel://127.0.0.1:{free_port()}/main")
    server.pause()
    assert await reason(server.url) == "no answer for 0.6 s"

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    listener = await asyncio.start_server(answer, "127.0.0.1", 0)
    port = listener.sockets[0].getsockname()[1]
    assert await reason(f"redis://127.0.0.1:{port}") == "what answers there is no Redis"
    listener.close()


async def test_a_socket_of_this_machine() -> None:
    with start_server(VALKEY, "--unixsocket", "redis.sock") as server:
        async with opened(f"unix://{server.directory}/redis.sock") as documents:
            await documents.create("plans", "text", "")
            assert await version_of(documents) == 0


async def test_tls(server: RedisServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In front of a server without it stands what speaks it, as the server itself would."""
    authority = Authority()
    certificate, key = tmp_path / "certificate.pem", tmp_path / "key.pem"
    authority.issue(certificate, key, "redis")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, to_there = await asyncio.open_connection("127.0.0.1", server.port)

        async def carry(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
            with suppress(OSError):
                while data := await source.read(65_536):
                    sink.write(data)
            sink.close()

        await asyncio.gather(carry(reader, to_there), carry(there, writer))

    listener = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    port = listener.sockets[0].getsockname()[1]
    assert "CERTIFICATE_VERIFY_FAILED" in await reason(f"rediss://127.0.0.1:{port}")
    monkeypatch.setattr(ssl, "create_default_context", authority.client_context)
    async with opened(f"rediss://127.0.0.1:{port}") as documents:
        await documents.create("plans", "text", "x" * 1_000_000)
        assert await version_of(documents) == 0
    listener.close()
    await listener.wait_closed()


# --- Sentinels ----------------------------------------------------------------------------------------------------


async def test_another_server_takes_over() -> None:
    with start_sentinel() as servers:
        async with opened(servers.url, timeout=10.0) as documents:
            made = await documents.create("plans", "text", "")
            await append(documents, made, 1, 10)
            await asyncio.to_thread(servers.fail_over)
            await append(documents, made, 11)
            assert await version_of(documents) == 11
            with servers.master.client() as client:
                assert client.xlen(client.keys("*:log:plans")[0]) == 11


async def test_another_server_takes_over_from_one_that_is_dead() -> None:
    with start_sentinel() as servers:
        async with opened(servers.url, timeout=10.0) as documents:
            made = await documents.create("plans", "text", "")
            await append(documents, made, 1)
            with servers.master.client() as client:
                assert client.wait(1, 5_000) == 1
            servers.master.kill()
            await asyncio.sleep(0.1)
            await append(documents, made, 2)
            with servers.replica.client() as client:
                assert client.info("replication")["role"] == "master"


async def test_a_sentinel_that_does_not_know_the_service() -> None:
    with start_sentinel() as servers:
        assert await reason(f"redis+sentinel://{servers.sentinel.address}/other") == (
            f"Sentinel {servers.sentinel.address} knows no service 'other'"
        )
        servers.sentinel.kill()
        file = servers.directory / "sentinel.conf"
        kept = [line for line in file.read_text().splitlines() if not line.startswith("user ")]
        file.write_text("\n".join([*kept, "requirepass secret", ""]))
        servers.sentinel.start()
        url = servers.url.replace("://", "://:secret@")
        assert "NOAUTH" in await reason(servers.url)
        for server in (servers.master, servers.replica):
            with server.client() as client:
                client.config_set("requirepass", "secret")
        await (await RedisDocuments.open(config(url))).close()


def test_scripts_are_what_their_digests_say() -> None:
    script = load("append", "_page")
    assert script.source.startswith(b"-- Reading the log") and b"XADD" in script.source
    with start_server(VALKEY) as server, server.client() as client:
        assert client.script_load(script.source) == script.digest
        with pytest.raises(redis.exceptions.NoScriptError):
            client.evalsha(COUNT.digest, 0)
        assert client.script_load(COUNT.source) == COUNT.digest
