"""Orders and revocations reach every node that lives, whatever becomes of the way to the server meanwhile."""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from functools import partial

import pytest
from tests.chaos.ways import Way
from tests.redis_servers import RedisServer
from tests.unit.engines.people.node import Node, eventually, keys, open_node, persistently

from fastcollab.config import EngineConfig
from fastcollab.core.permissions import Permission
from fastcollab.core.revocation import Revocation, TokenMarks
from fastcollab.engines.redis import orders as module
from fastcollab.engines.redis.permits import RedisPermits
from fastcollab.errors import ServiceUnavailable
from fastcollab.ports import Disconnect, Order, Permit

TOKEN = TokenMarks("ada", "t1", "s1", 1_700_000_000.0, 1_800_000_000.0)
BEFORE = 1_700_000_001_000


def order(subject: str) -> Disconnect:
    return Disconnect("user", subject, 4103, "enough")


@pytest.fixture
async def pair(server: RedisServer) -> AsyncIterator[list[Node]]:
    async with AsyncExitStack() as stack:
        engine = EngineConfig(url=server.url, timeout=0.5)
        yield [await stack.enter_async_context(open_node(engine)) for _ in range(2)]


async def test_an_order_reaches_every_node_once_and_in_order(node: Node, other_node: Node) -> None:
    told: list[list[Disconnect]] = [[], []]
    ends = [each.orders.subscribe(of_one.append) for each, of_one in zip((node, other_node), told, strict=True)]
    given = [order(f"é {index}") for index in range(50)]
    for index, each in enumerate(given):
        await (node, other_node)[index % 2].orders.give(each)
    await eventually(lambda: all(len(of_one) >= 50 for of_one in told))
    assert told == [given, given]
    ends[0]()
    await node.orders.give(order("last"))
    await eventually(lambda: len(told[1]) > 50)
    assert told[0] == given


async def test_what_was_given_before_a_node_began_is_not_for_it(engine: EngineConfig, node: Node) -> None:
    for index in range(3):
        await node.orders.give(order(f"early {index}"))
    async with open_node(engine) as late:
        told: list[Disconnect] = []
        late.orders.subscribe(told.append)
        await node.orders.give(order("late"))
        await eventually(lambda: bool(told))
        assert told == [order("late")]


async def test_a_revocation_is_told_everywhere_once_and_nowhere_before_it_is_known(
    node: Node, other_node: Node
) -> None:
    told: list[list[Revocation]] = [[], []]
    for each, of_one in zip((node, other_node), told, strict=True):
        each.revocations.subscribe(of_one.append)
    revoked = Revocation("session", "s1", BEFORE, None)
    await node.revocations.revoke(revoked)
    assert told[0] == [revoked]
    assert await other_node.revocations.is_revoked(TOKEN)
    await eventually(lambda: bool(told[1]))
    await other_node.revocations.revoke(Revocation("user", "ada", BEFORE, None))
    await eventually(lambda: len(told[0]) == 2)
    assert [len(of_one) for of_one in told] == [2, 2]


async def test_revocations_of_one_subject_made_everywhere_at_once_are_joined(node: Node, other_node: Node) -> None:
    made = [Revocation("user", "ada", BEFORE + index, None) for index in range(20)]
    await asyncio.gather(*((node, other_node)[index % 2].revocations.revoke(each) for index, each in enumerate(made)))
    [key] = node.servers.names.user("ada", "revoked-user")
    assert await node.servers.call(key, "GET", key) == b"%d " % (BEFORE + 19)


async def test_the_stream_does_not_grow_for_ever(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_LENGTH", 100)
    for _ in range(10):
        await asyncio.gather(*(node.orders.give(order("ada")) for _ in range(100)))
    stream = node.servers.names.cluster("orders")
    # It is cut in whole blocks.
    assert 100 <= await node.servers.call(stream, "XLEN", stream) <= 300


async def test_an_order_that_is_not_understood_or_fails_does_not_keep_the_others(
    node: Node, other_node: Node, caplog: pytest.LogCaptureFixture
) -> None:
    told: list[Disconnect] = []

    def fail(order: Disconnect) -> None:
        raise RuntimeError("broken")

    other_node.orders.subscribe(fail)
    other_node.orders.subscribe(told.append)
    stream = node.servers.names.cluster("orders")
    for encoded in (b'{"type":"of a later version"}', b"\xff{", b'{"type":"disconnect"}'):
        await node.servers.call(stream, "XADD", stream, "*", "order", encoded)
    await node.orders.give(order("ada"))
    await eventually(lambda: bool(told))
    assert told == [order("ada")]
    said = [record.message for record in caplog.records]
    assert sum("none that this version knows" in each for each in said) == 6
    assert sum("could not be carried out" in each for each in said) == 1


async def test_a_node_that_was_cut_off_is_told_later(server: RedisServer, pair: list[Node]) -> None:
    told: list[Disconnect] = []
    pair[1].orders.subscribe(told.append)
    await pair[0].orders.give(order("first"))
    await eventually(lambda: len(told) == 1)
    with server.client() as client:
        for index in range(5):
            client.client_kill_filter(_type="normal", skipme=True)
            await persistently(partial(pair[0].orders.give, order(str(index))))
    await eventually(lambda: len(told) == 6)
    assert told == [order("first"), *(order(str(index)) for index in range(5))]


async def test_without_a_server_a_revocation_holds_where_it_was_made_and_can_be_made_again(
    server: RedisServer, pair: list[Node]
) -> None:
    revoked = Revocation("token", "t1", BEFORE, None)
    server.kill()
    with pytest.raises(ServiceUnavailable):
        await pair[0].revocations.revoke(revoked)
    assert await pair[0].revocations.is_revoked(TOKEN)
    with pytest.raises(ServiceUnavailable):
        await pair[1].revocations.is_revoked(TOKEN)
    with pytest.raises(ServiceUnavailable):
        await pair[0].orders.give(order("ada"))
    server.start()
    told: list[Revocation] = []
    pair[1].revocations.subscribe(told.append)
    await persistently(partial(pair[0].revocations.revoke, revoked))
    assert await persistently(partial(pair[1].revocations.is_revoked, TOKEN))
    await eventually(lambda: told == [revoked])


@pytest.mark.parametrize("emptied", ["flushed", "restarted"])
async def test_orders_go_on_on_a_server_that_has_lost_everything(
    server: RedisServer, pair: list[Node], emptied: str
) -> None:
    told: list[list[Disconnect]] = [[], []]
    for each, of_one in zip(pair, told, strict=True):
        each.orders.subscribe(of_one.append)
        await each.nodes.beat()
    await pair[0].orders.give(order("before"))
    await eventually(lambda: all(told))
    await pair[0].revocations.revoke(Revocation("user", "ada", BEFORE, None))
    if emptied == "flushed":
        with server.client() as client:
            client.flushall()
    else:
        server.kill()
        for path in server.directory.iterdir():
            if path.name != "log":
                path.rename(path.with_name(f"old-{path.name}"))
        server.start()
    await persistently(partial(pair[1].orders.give, order("after")))
    await eventually(lambda: all(len(of_one) == 2 for of_one in told))
    assert told == [[order("before"), order("after")]] * 2
    # What was revoked is written again by whoever knows of it, when it learns what has happened.
    await persistently(pair[1].nodes.beat)
    await eventually(lambda: pair[1].revocations._restoring is None)
    async with open_node(EngineConfig(url=server.url)) as fresh:
        assert await fresh.revocations.is_revoked(TOKEN)


async def test_what_a_server_has_lost_reaches_who_has_not_heard_it_and_nobody_twice(server: RedisServer) -> None:
    way = Way([server.port])
    await way.open()
    async with AsyncExitStack() as stack:
        stack.push_async_callback(way.close)
        direct, far = (f"redis://127.0.0.1:{port}/0" for port in (server.port, way.port))
        here, cut_off = [
            await stack.enter_async_context(open_node(EngineConfig(url=url, timeout=0.5))) for url in (direct, far)
        ]
        told: list[list[Disconnect]] = [[], []]
        revoked: list[list[Revocation]] = [[], []]
        for node, of_one, revoked_at in zip((here, cut_off), told, revoked, strict=True):
            node.orders.subscribe(of_one.append)
            node.revocations.subscribe(revoked_at.append)
        await here.orders.give(order("heard"))
        await eventually(lambda: all(told))
        way.cut()
        given = [order(str(index)) for index in range(3)]
        for each in given:
            await here.orders.give(each)
        await here.revocations.revoke(Revocation("user", "ada", BEFORE, None))
        await eventually(lambda: told[0] == [order("heard"), *given])
        server.kill()
        for path in server.directory.glob("appendonlydir"):
            path.rename(path.with_name("lost"))
        server.start()
        way.mend()
        await persistently(partial(here.orders.give, order("after")))
        await eventually(lambda: len(told[1]) == 5 and len(told[0]) == 5 and len(revoked[1]) == 1)
        # Those who had heard them heard them again, and know that they had.
        assert {each.subject for each in told[1]} == {"heard", "0", "1", "2", "after"}
        assert [each for each in told[1] if each in given] == given
        assert told[0] == [order("heard"), *given, order("after")]
        assert revoked[0] == revoked[1]


async def test_an_order_is_given_again_for_as_long_as_it_may_be_lost(
    server: RedisServer, pair: list[Node], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_LATELY", 0.2)
    stream = pair[0].servers.names.cluster("orders")
    await pair[0].orders.give(order("long ago"))
    # Longer than the command that reads waits.
    await asyncio.sleep(0.6)
    await pair[0].orders.give(order("lately"))
    with server.client() as client:
        client.flushall()
    pair[0].servers.lapses.replaced()
    await eventually(lambda: not pair[0].orders._owed)
    with server.client() as client:
        [(_, entry)] = client.xrange(stream)
    assert b"lately" in entry[b"order"]


async def test_a_new_server_may_give_earlier_ids_than_the_one_before(server: RedisServer, pair: list[Node]) -> None:
    """To an order that comes before a node has seen that there is another server."""
    told: list[Disconnect] = []
    pair[1].orders.subscribe(told.append)
    await pair[0].orders.give(order("before"))
    await eventually(lambda: bool(told))
    stream = pair[0].servers.names.cluster("orders")
    with server.client() as client:
        [(newest, _)] = client.xrange(stream)
        client.delete(stream)
        earlier, _ = newest.decode().split("-")
        lost = b'{"type":"disconnect","kind":"user","subject":"x","code":4103,"reason":""}'
        client.xadd(stream, {"order": lost, "name": "a"}, f"{int(earlier) - 5000}-0")
        client.client_kill_filter(_type="normal", skipme=True)
    await eventually(lambda: len(told) == 2)
    assert told[1].subject == "x"


async def test_orders_are_heard_whose_ids_are_before_the_last_one(server: RedisServer, pair: list[Node]) -> None:
    """As those of a replica are that has taken over with an earlier clock, and without the last orders."""
    told: list[Disconnect] = []
    pair[1].orders.subscribe(told.append)
    await pair[0].orders.give(order("before"))
    await eventually(lambda: bool(told))
    stream = pair[0].servers.names.cluster("orders")
    with server.client() as client:
        client.delete(stream)
        client.client_kill_filter(_type="normal", skipme=True)
        await asyncio.sleep(1.0)
        lost = b'{"type":"disconnect","kind":"user","subject":"x","code":4103,"reason":""}'
        client.xadd(stream, {"order": lost}, "5-1")
    await eventually(lambda: len(told) == 2)
    assert told[1].subject == "x"


# --- permits ----------------------------------------------------------------------------------------------------------


def permit(room: str, permission: Permission = Permission.READ, seconds: float = 60, user: str = "ada") -> Permit:
    return Permit(room, user, permission, int((time.time() + seconds) * 1000))


def by_room(permits: Sequence[Order]) -> dict[str, Order]:
    return {each.room_id: each for each in permits if isinstance(each, Permit)}


async def holding(engine: EngineConfig) -> dict[str, Order]:
    """What a node is told that begins now, by room."""
    async with open_node(engine) as late:
        told: list[Order] = []
        late.orders.subscribe(told.append)
        return by_room(told)


async def test_a_permit_is_told_to_nodes_that_live_and_to_those_that_begin_later(
    engine: EngineConfig, node: Node, other_node: Node
) -> None:
    told: list[Order] = []
    other_node.orders.subscribe(told.append)
    # Names that could be taken for others if they were only put together.
    given = [permit("c", user="a:b"), permit("b:c", user="a"), permit("é", Permission.NONE)]
    for each in given:
        await node.orders.give(each)
    await eventually(lambda: told == given)
    assert await holding(engine) == by_room(given)
    newer = permit("c", Permission.WRITE, user="a:b")
    await other_node.orders.give(newer)
    assert await holding(engine) == by_room([newer, *given[1:]])


async def test_a_permit_whose_time_is_over_is_forgotten(engine: EngineConfig, node: Node) -> None:
    await node.orders.give(permit("short", seconds=0.2))
    await node.orders.give(lasting := permit("long"))
    await asyncio.sleep(0.3)
    assert await holding(engine) == by_room([lasting])
    await node.orders.give(permit("other", seconds=0.2))
    assert await node.servers.call(name := node.servers.names.cluster("permits"), "HLEN", name) == 2
    await node.orders.give(permit("long", seconds=0.1))
    await asyncio.sleep(0.3)
    assert not [key for key in await keys(node) if b"permits" in key]


async def test_of_too_many_permits_those_are_forgotten_that_end_first(node: Node) -> None:
    permits = RedisPermits(node.servers, node.servers.names.cluster("orders"), 100, most=3)
    given = [permit(f"r{number}", seconds=60 + number % 4) for number in range(8)]
    for each in given:
        await permits.give(each, each.room_id.encode())
        permits.heard(each)
    assert len(permits.holding()) <= 3
    await permits.close()
    fresh = RedisPermits(node.servers, node.servers.names.cluster("orders"), 100, most=3)
    await fresh.open()
    assert sorted(each.room_id for each in fresh.holding()) == ["r3", "r6", "r7"]
    await fresh.close()


async def test_a_server_that_has_forgotten_permits_gets_them_back(server: RedisServer, pair: list[Node]) -> None:
    one, other = pair
    told: list[Order] = []
    other.orders.subscribe(told.append)
    given = [permit(f"r{number}") for number in range(3)]
    for each in given:
        await one.orders.give(each)
    await eventually(lambda: told == given)
    await asyncio.to_thread(server.restart)
    newer = permit("r0", Permission.WRITE)
    await persistently(partial(other.orders.give, newer))
    engine = EngineConfig(url=server.url, timeout=0.5)
    async with asyncio.timeout(10):
        while await persistently(partial(holding, engine)) != by_room([newer, *given[1:]]):  # noqa: ASYNC110
            await asyncio.sleep(0.05)
