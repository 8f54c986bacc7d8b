"""The bus between nodes on real servers: what is heard, and what becomes of it when connections do not last."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Collection, Iterator
from typing import Self

import pytest
import redis
import uvloop
from redis.crc import key_slot
from tests.redis_servers import (
    REDIS_6,
    REDIS_7,
    VALKEY,
    Kind,
    RedisServer,
    free_port,
    start_cluster,
    start_sentinel,
    start_server,
)

from fastcollab.config import EngineConfig
from fastcollab.engines.redis import bus as bus_module
from fastcollab.engines.redis.bus import RedisBus
from fastcollab.engines.redis.servers import Servers
from fastcollab.engines.redis.station import LARGEST_BACKLOG
from fastcollab.errors import ServiceUnavailable

CHANNELS = 64
PATIENCE = 20.0


class Hearer:
    """A node's end of the bus, with what it has heard."""

    def __init__(self, url: str, **settings: object) -> None:
        self.config = EngineConfig(url=url, **{"timeout": 2.0, "channels": CHANNELS, **settings})  # type: ignore[arg-type]
        self.heard: list[tuple[int, bytes]] = []
        self.lost: list[set[int]] = []
        self.servers: Servers
        self.bus: RedisBus

    def _lose(self, channels: Collection[int]) -> None:
        self.lost.append(set(channels))

    async def open(self) -> None:
        self.servers = await Servers.open(self.config)
        self.bus = RedisBus(self.servers, self.config.channels)
        await self.bus.open(lambda channel, bundle: self.heard.append((channel, bundle)), self._lose)

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.bus.close()
        await self.servers.close()

    async def until(self, condition: Callable[[], object], patience: float = PATIENCE) -> None:
        async with asyncio.timeout(patience):
            while not condition():  # noqa: ASYNC110
                await asyncio.sleep(0.01)

    async def until_heard(self, sender: Hearer, channel: int) -> None:
        """Until something that `sender` publishes on the channel arrives, which it does again and again."""
        self.heard.clear()
        async with asyncio.timeout(PATIENCE):
            while (channel, b"probe") not in self.heard:
                sender.bus.publish([(channel, b"probe")])
                await asyncio.sleep(0.05)


@pytest.fixture(scope="module", params=[VALKEY, REDIS_7, REDIS_6], ids=lambda kind: kind.value)
def server(request: pytest.FixtureRequest) -> Iterator[RedisServer]:
    kind: Kind = request.param
    if kind.program is None:
        pytest.skip(f"there is no {kind.value} here")
    with start_server(kind) as server:
        yield server


@pytest.fixture
async def pair(server: RedisServer) -> AsyncIterator[tuple[Hearer, Hearer]]:
    async with Hearer(server.url) as one, Hearer(server.url) as other:
        yield one, other


Pair = tuple[Hearer, Hearer]


# --- what is heard ----------------------------------------------------------------------------------------------------


async def test_what_is_published_is_heard_by_all_who_hear_the_channel_and_in_order(pair: Pair) -> None:
    one, other = pair
    for hearer in pair:
        await hearer.bus.hear(0)
        await hearer.bus.hear(63)
    await one.bus.hear(5)
    bundles = [(0, b"%d" % number) for number in range(500)] + [(63, b""), (5, b"\r\n$1\0"), (0, bytes(1_500_000))]
    for start in range(0, len(bundles), 7):
        one.bus.publish(bundles[start : start + 7])
    await other.until(lambda: len(other.heard) == len(bundles) - 1)
    await one.until(lambda: len(one.heard) == len(bundles))
    assert one.heard == bundles
    assert other.heard == [bundle for bundle in bundles if bundle[0] != 5]
    assert not one.lost
    assert not other.lost


async def test_a_channel_is_heard_from_when_that_returns_until_it_is_ignored(pair: Pair) -> None:
    one, other = pair
    for _ in range(20):
        await other.bus.hear(7)
        one.bus.publish([(7, b"heard")])
        await other.until(lambda: other.heard)
        await other.bus.ignore(7)
        one.bus.publish([(7, b"ignored")])
        await other.bus.hear(8)
        one.bus.publish([(8, b"last")])
        await other.until(lambda: len(other.heard) == 2)
        assert other.heard == [(7, b"heard"), (8, b"last")]
        other.heard.clear()
        await other.bus.ignore(8)
    assert not other.lost


async def test_who_hears_it_twice_hears_it_once(pair: Pair) -> None:
    one, other = pair
    await asyncio.gather(*(other.bus.hear(9) for _ in range(3)))
    await other.bus.hear(9)
    one.bus.publish([(9, b"x")])
    await other.bus.ignore(9)
    await other.bus.ignore(9)
    await other.bus.hear(9)
    one.bus.publish([(9, b"y")])
    await other.until(lambda: (9, b"y") in other.heard)
    assert other.heard in ([(9, b"x"), (9, b"y")], [(9, b"y")])


async def test_other_clusters_on_the_same_server_are_not_heard(server: RedisServer) -> None:
    """Pub/Sub knows no databases, but those who share a server by them do not expect to hear each other."""
    async with (
        Hearer(server.url) as one,
        Hearer(server.url, prefix="another") as other,
        Hearer(server.url[:-1] + "1") as beside,
        Hearer(server.url[:-1] + "1") as friend,
    ):
        for hearer in (one, other, beside, friend):
            await hearer.bus.hear(1)
        for hearer in (one, other, beside):
            hearer.bus.publish([(1, hearer.config.prefix.encode() + b"%d" % hearer.servers.database)])
        await friend.until(lambda: friend.heard)
        await other.until(lambda: other.heard and one.heard and beside.heard)
        await asyncio.sleep(0.05)
        assert [hearer.heard for hearer in (one, other, beside, friend)] == [
            [(1, b"fastcollab0")],
            [(1, b"another0")],
            [(1, b"fastcollab1")],
            [(1, b"fastcollab1")],
        ]


@pytest.mark.parametrize("channel", [-1, CHANNELS])
async def test_there_are_so_many_channels(pair: Pair, channel: int) -> None:
    bus = pair[0].bus
    assert bus.channels == CHANNELS
    with pytest.raises(ValueError, match="there are 64 channels"):
        await bus.hear(channel)
    with pytest.raises(ValueError, match="there are 64 channels"):
        bus.publish([(channel, b"x")])


def test_on_the_event_loop_of_the_gateway(server: RedisServer) -> None:
    async def talk() -> None:
        async with Hearer(server.url) as one:
            await one.bus.hear(3)
            one.bus.publish([(3, b"x")])
            await one.until(lambda: one.heard == [(3, b"x")])

    uvloop.run(talk())


# --- what does not last -----------------------------------------------------------------------------------------------


async def test_a_subscription_that_is_killed_is_made_again_and_told(server: RedisServer, pair: Pair) -> None:
    one, other = pair
    for channel in (1, 2):
        await other.bus.hear(channel)
    await other.bus.hear(3)
    await other.bus.ignore(3)
    with server.client() as client:
        assert client.execute_command("CLIENT", "KILL", "TYPE", "pubsub") >= 1
    await other.until(lambda: other.lost)
    assert set().union(*other.lost) == {1, 2}
    one.bus.publish([(1, b"again"), (2, b"too"), (3, b"not")])
    await other.until(lambda: len(other.heard) == 2)
    assert other.heard == [(1, b"again"), (2, b"too")]


@pytest.fixture(params=[VALKEY, REDIS_6], ids=lambda kind: kind.value)
def own_server(request: pytest.FixtureRequest) -> Iterator[RedisServer]:
    """A server for one test."""
    with start_server(request.param) as server:
        yield server


async def test_without_a_server_bundles_are_lost_and_channels_refused_until_it_is_back(own_server: RedisServer) -> None:
    async with Hearer(own_server.url, timeout=0.5) as one, Hearer(own_server.url, timeout=0.5) as other:
        await other.bus.hear(1)
        own_server.kill()
        await one.until(lambda: one.bus._stations and not any(station.age for station in one.bus._stations.values()))
        one.bus.publish([(1, b"lost")])
        refused = await asyncio.gather(*(one.bus.hear(2) for _ in range(3)), return_exceptions=True)
        assert [type(error) for error in refused] == [ServiceUnavailable] * 3
        own_server.start()
        await other.until(lambda: other.lost)
        assert other.lost == [{1}]
        await one.bus.hear(2)
        assert not one.lost
        await other.until_heard(one, 1)
        other.bus.publish([(2, b"x")])
        await one.until(lambda: one.heard == [(2, b"x")])


async def test_a_server_that_begins_to_know_sharded_channels_is_not_taken_for_the_old_one() -> None:
    """Which channels there are is asked by each connection."""
    old = start_server(REDIS_6)
    try:
        async with Hearer(old.url) as one, Hearer(old.url) as other:
            await other.bus.hear(1)
            assert not next(iter(other.bus._stations.values())).sharded
            old.kill()
            old._program = VALKEY.program  # type: ignore[assignment]
            old.start()
            await other.until(lambda: other.lost)
            assert next(iter(other.bus._stations.values())).sharded
            await other.until_heard(one, 1)
    finally:
        old.stop()


class Proxy:
    """Passes on what goes between a client and a server, and, when it is told to, nothing of it, without a word."""

    def __init__(self, port: int) -> None:
        self._to = port
        self.silent: set[asyncio.StreamWriter] = set()
        self.all: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self.port: int

    def swallow(self) -> None:
        """From now on nothing passes on the connections that there are."""
        self.silent |= self.all

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there_reader, there = await asyncio.open_connection("127.0.0.1", self._to)
        self.all |= {writer, there}
        for source, target in ((reader, there), (there_reader, writer)):
            task = asyncio.get_running_loop().create_task(self._pass_on(source, target))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _pass_on(self, source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await source.read(65_536):
                if target not in self.silent:
                    target.write(data)
        target.close()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for writer in self.all:
            writer.close()
        await asyncio.gather(*self._tasks, return_exceptions=True)


async def test_a_connection_that_is_silently_dead_is_noticed_by_the_replies_that_are_owed(server: RedisServer) -> None:
    async with (
        Proxy(server.port) as proxy,
        Hearer(f"redis://127.0.0.1:{proxy.port}/0", timeout=0.5) as deaf,
        Hearer(server.url) as one,
    ):
        await deaf.bus.hear(1)
        proxy.swallow()
        one.bus.publish([(1, b"lost")])
        # As each node does once a second.
        deaf.bus.publish([(1, b"beat")])
        await deaf.until(lambda: deaf.lost)
        assert deaf.lost == [{1}]
        assert not deaf.heard
        await deaf.until_heard(one, 1)


async def test_connections_are_made_anew_when_that_is_asked_for(server: RedisServer) -> None:
    async with (
        Proxy(server.port) as proxy,
        Hearer(f"redis://127.0.0.1:{proxy.port}/0", timeout=10) as deaf,
        Hearer(server.url) as one,
    ):
        await deaf.bus.hear(1)
        proxy.swallow()
        one.bus.publish([(1, b"lost")])
        async with asyncio.timeout(3):
            await deaf.bus.renew()
        await deaf.until(lambda: deaf.lost == [{1}])
        await deaf.until_heard(one, 1)


async def test_what_the_server_does_not_read_is_dropped_beyond_a_bound(
    own_server: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    async with Hearer(own_server.url, timeout=60) as one, Hearer(own_server.url) as other:
        await other.bus.hear(1)
        own_server.pause()
        try:
            [station] = one.bus._stations.values()
            assert station.link is not None
            for _ in range(100):
                one.bus.publish([(1, bytes(1_000_000))])
                await asyncio.sleep(0)
            assert LARGEST_BACKLOG < station.link.backlog < LARGEST_BACKLOG + 1_100_000
            assert caplog.text.count("bundles are dropped") == 1
        finally:
            own_server.resume()
        await one.until(lambda: station.link is not None and not station.link.backlog)
        await other.until_heard(one, 1)


async def test_a_server_that_has_become_a_replica_is_left_for_the_one_behind_the_same_address(
    own_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is published at a replica is heard by nobody elsewhere, and by oneself."""
    monkeypatch.setattr(bus_module, "_OLD", 0.1)
    async with Hearer(own_server.url, timeout=0.5) as one:
        await one.bus.hear(1)
        await asyncio.sleep(0.2)
        with own_server.client() as client:
            client.replicaof("127.0.0.1", free_port())
            with pytest.raises(ServiceUnavailable):
                await one.servers.call(b"key", "SET", "key", "value")
            await one.until(lambda: one.lost)
            client.replicaof("NO", "ONE")


class VeryOldServer(RedisServer):
    """One that knows no RESP3."""

    def client(self, **options: object) -> redis.Redis:
        return super().client(protocol=2, **options)


async def test_a_server_that_knows_no_resp3_is_refused() -> None:
    with VeryOldServer(REDIS_6, "--rename-command", "HELLO", "") as server:
        hearer = Hearer(server.url, timeout=0.5)
        with pytest.raises(ServiceUnavailable, match="does not let us in"):
            await hearer.open()
        await hearer.servers.close()


async def test_who_may_not_hear_a_channel_is_refused_and_others_go_on(server: RedisServer) -> None:
    with server.client() as client:
        client.execute_command(
            "ACL", "SETUSER", "half", "on", ">pw", "~*", "+@all", "resetchannels", "&fastcollab:{b1}:bus"
        )
    async with Hearer(f"redis://half:pw@{server.address}/0", timeout=0.5) as half, Hearer(server.url) as one:
        await half.bus.hear(1)
        with pytest.raises(ServiceUnavailable):
            await half.bus.hear(2)
        half.bus.publish([(2, b"x")])
        await half.until_heard(one, 1)


async def test_who_waits_for_a_channel_is_told_when_the_bus_is_closed(own_server: RedisServer) -> None:
    hearer = Hearer(own_server.url, timeout=30)
    await hearer.open()
    own_server.kill()
    await hearer.until(lambda: not any(station.age for station in hearer.bus._stations.values()))
    waiting = asyncio.create_task(hearer.bus.hear(1))
    await asyncio.sleep(0.05)
    await hearer.bus.close()
    with pytest.raises(ServiceUnavailable):
        await waiting
    hearer.bus.publish([(1, b"x")])
    await hearer.servers.close()


def ports(hearer: Hearer) -> set[int]:
    """Of the servers to which there are connections."""
    return {address.port for address in hearer.bus._stations}


# --- many servers -----------------------------------------------------------------------------------------------------


async def test_in_a_cluster_each_channel_is_where_its_slot_is_and_follows_it() -> None:
    with start_cluster(3) as cluster:
        async with Hearer(cluster.url) as one, Hearer(cluster.url) as other:
            for channel in range(CHANNELS):
                await other.bus.hear(channel)
            assert len(other.bus._stations) == 3
            one.bus.publish([(channel, b"x") for channel in range(CHANNELS)])
            await other.until(lambda: len(other.heard) == CHANNELS)
            slot = key_slot(other.servers.names.bus(5))
            source = cluster.owner(slot)
            target = next(server for server in cluster.servers if server is not source)
            cluster.move(slot, target)
            await other.until(lambda: other.lost)
            assert set().union(*other.lost) == {5}
            await other.until_heard(one, 5)
            # One who has only published learns it by the errors.
            station = one.bus._channels[5].station
            assert station is not None
            assert station.address.port == target.port


async def test_in_a_cluster_a_server_without_channels_is_left() -> None:
    with start_cluster(3) as cluster:
        async with Hearer(cluster.url, channels=1) as one, Hearer(cluster.url, channels=1) as other:
            await one.bus.hear(0)
            slot = key_slot(one.servers.names.bus(0))
            home = cluster.owner(slot)
            for target in [server for server in cluster.servers if server is not home]:
                cluster.move(slot, target)
                await one.until_heard(other, 0)
                assert ports(one) == ports(other) == {target.port}
                await one.until(lambda: not one.bus._leaving)


async def test_after_a_fail_over_the_channels_are_heard_at_the_new_master() -> None:
    with start_sentinel() as sentinel:
        async with Hearer(sentinel.url) as one, Hearer(sentinel.url) as other:
            await other.bus.hear(1)
            sentinel.fail_over()
            # A server that has become a replica goes on publishing: that it is one is learnt by the next write, which
            # there is with every beat of a node.
            for hearer in (one, other):
                await hearer.servers.call(b"beat", "SET", "beat", "1")
            await other.until(lambda: other.lost)
            await other.until_heard(one, 1)
            for hearer in (one, other):
                await hearer.until(
                    lambda hearer=hearer: (
                        {station.address.port for station in hearer.bus._stations.values()}  # type: ignore[misc]
                        == {sentinel.master.port}
                    )
                )
