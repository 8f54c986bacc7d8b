"""The account of people is right again after whatever was wrong with the server."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, suppress
from functools import partial

import pytest
from tests.redis_servers import RedisServer
from tests.unit.engines.people.node import Node, eventually, keys, open_node, persistently

from fastcollab.config import EngineConfig
from fastcollab.core.revocation import Revocation, TokenMarks
from fastcollab.core.roster import Person
from fastcollab.engines.memory import preferred_number
from fastcollab.errors import ConnectionLimit, RateLimited, ServiceUnavailable
from fastcollab.ports import TakenUp

TIMEOUT = 0.5
LEASE = 0.3
ADA, BOB, EVE = (Person(user_id, 7, user_id.title(), "#1565c0") for user_id in ("ada", "bob", "eve"))


@pytest.fixture
async def pair(server: RedisServer) -> AsyncIterator[list[Node]]:
    async with AsyncExitStack() as stack:
        engine = EngineConfig(url=server.url, timeout=TIMEOUT)
        yield [await stack.enter_async_context(open_node(engine, lease=LEASE)) for _ in range(2)]


async def registers(node: Node, user_id: str, limit: int) -> bool:
    """Whether the user has fewer connections than the limit; then it has one more."""
    try:
        await persistently(partial(node.registry.register, user_id, f"probe {limit}", limit))
    except ConnectionLimit:
        return False
    return True


async def test_connections_that_end_while_there_is_no_server_count_no_more(
    server: RedisServer, pair: list[Node]
) -> None:
    here, there = pair
    for connection_id in ("one", "two", "three", "four"):
        await here.registry.register("ada", connection_id, 5)
        await here.registry.enter("ada", connection_id, f"room {connection_id}", 5)
    server.kill()
    await here.registry.unregister("ada", "one")
    await here.registry.unregister("ada", "two", 60)
    await here.registry.unregister("ada", "three", 0.01)
    await here.registry.leave("ada", "four", "room four")
    with pytest.raises(ServiceUnavailable):
        await here.registry.enter("ada", "four", "room five", 5)
    with pytest.raises(ServiceUnavailable):
        await here.registry.register("ada", "five", 5)
    server.start()
    # One is left, though nobody calls.
    await eventually(lambda: here.registry._settling is None)
    assert not await registers(there, "ada", 1)
    assert await registers(there, "ada", 2)
    await there.registry.enter("ada", "probe 2", "only room", 1)
    taken_up = [await there.registry.take_up("ada", each) for each in ("one", "two", "two", "three", "five", "four")]
    closed, unknown = TakenUp(True), TakenUp(False)
    assert taken_up == [unknown, closed, unknown, unknown, unknown, TakenUp(True, here.nodes.here)]


async def test_a_connection_whose_registration_was_not_heard_of_does_not_count(
    server: RedisServer, pair: list[Node]
) -> None:
    here, there = pair
    await here.registry.register("ada", "one", 5)
    server.pause()
    with pytest.raises(ServiceUnavailable):
        await here.registry.register("ada", "two", 5)
    with pytest.raises(ServiceUnavailable):
        await here.registry.enter("ada", "one", "room", 5)
    # It will be carried out all the same.
    server.resume()
    await eventually(lambda: here.registry._settling is None)
    assert await registers(there, "ada", 2)
    await there.registry.enter("ada", "probe 2", "only room", 1)


async def test_a_user_who_comes_back_is_not_refused_for_connections_that_ended_meanwhile(
    server: RedisServer, pair: list[Node]
) -> None:
    here, _ = pair
    await here.registry.register("ada", "one", 1)
    await here.registry.register("bob", "of bob", 1)
    server.kill()
    await here.registry.unregister("ada", "one")
    await here.registry.unregister("bob", "of bob", 60)
    server.start()
    assert await persistently(partial(here.registry.take_up, "bob", "of bob")) == TakenUp(True)
    await persistently(partial(here.registry.register, "ada", "two", 1))


async def test_a_server_that_has_lost_everything_is_told_what_there_is(server: RedisServer, pair: list[Node]) -> None:
    here, there = pair
    numbers = {}
    for user_id in ("ada", "bob", str(preferred_number("ada"))):
        for connection_id in range(2):
            connection = f"{user_id} {connection_id}"
            numbers[user_id] = await here.registry.register(user_id, connection, 5)
            await here.registry.enter(user_id, connection, f"room {connection_id}", 5)
    await there.registry.register("bob", "elsewhere", 5)
    await here.registry.unregister("bob", "bob 1")
    with server.client() as client:
        client.flushall()
    # What comes before all has been told is not lost either.
    await here.registry.enter("ada", "ada 0", "room 2", 5)
    await here.registry.leave("ada", "ada 1", "room 1")
    await asyncio.gather(here.registry.restore(), there.registry.restore())
    for user_id, count in (("ada", 2), ("bob", 2), (str(preferred_number("ada")), 2)):
        assert not await registers(there, user_id, count)
        assert await there.registry.register(user_id, "another", count + 1) == numbers[user_id]
    with pytest.raises(RateLimited):
        await there.registry.enter("ada", "another", "room 3", 2)
    await there.registry.enter("ada", "another", "room 3", 3)
    # And it knows whose all this was.
    await there.registry.bury(str(here.incarnation))
    assert await registers(there, "ada", 2)


async def test_of_thousands_of_connections_the_server_is_told_soon(server: RedisServer, pair: list[Node]) -> None:
    here, there = pair
    for begin in range(0, 3_000, 500):
        await asyncio.gather(
            *(here.registry.register(f"user {index}", f"c{index}", 5) for index in range(begin, begin + 500))
        )
    assert len(here.registry) == 3_000
    with server.client() as client:
        client.flushall()
        async with asyncio.timeout(10):
            await here.registry.restore()
        assert client.dbsize() >= 3 * 3_000
    assert not await registers(there, "user 2999", 1)


async def test_of_users_who_are_gone_only_numbers_are_left_and_they_for_a_month(
    server: RedisServer, pair: list[Node]
) -> None:
    here, there = pair
    for node in pair:
        for user_id in ("ada", "bob"):
            await node.registry.register(user_id, node.nodes.here, 5)
            await node.registry.enter(user_id, node.nodes.here, "room", 5)
    await there.registry.take_up("ada", here.nodes.here)
    for node in pair:
        for user_id in ("ada", "bob"):
            await node.registry.unregister(user_id, node.nodes.here, 0.05)
        assert not node.registry._users
    await asyncio.sleep(0.1)
    left = await keys(here)
    assert len(left) == 4
    with server.client() as client:
        for key in left:
            assert b"number" in key
            assert 29.9 * 86_400 < client.ttl(key) <= 30 * 86_400


async def test_the_numbers_of_those_who_stay_are_kept(server: RedisServer) -> None:
    async with open_node(EngineConfig(url=server.url), renewal=0.05) as node:
        number = await node.registry.register("ada", "one", 5)
        held = [node.servers.names.number(number), *node.servers.names.user("ada", "number")]
        with server.client() as client:
            for key in held:
                assert client.expire(key, 100)
            await eventually(lambda: all(client.ttl(key) > 29.9 * 86_400 for key in held))


async def test_a_number_that_the_server_has_given_to_another_is_replaced_or_told(
    pair: list[Node], caplog: pytest.LogCaptureFixture
) -> None:
    here, there = pair
    number = await here.registry.register("ada", "one", 5)
    holder = here.servers.names.number(number)
    await here.servers.call(holder, "SET", holder, "eve")
    await here.registry.restore()
    assert "a user's number has been given to another" in caplog.text
    await here.registry.unregister("ada", "one")
    given = await there.registry.register("ada", "two", 5)
    assert given == (number + 1) % 2**32
    assert await here.registry.register("ada", "three", 5) == given


async def test_a_call_that_is_given_up_leaves_no_doubt(server: RedisServer, pair: list[Node]) -> None:
    here, there = pair
    server.pause()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await here.registry.register("ada", "one", 5)
    server.resume()
    await eventually(lambda: not here.registry._users)
    assert await keys(there) == set()
    assert await registers(there, "ada", 1)


async def beats(node: Node, everyone: frozenset[str]) -> int:
    """Has the node beat as often as it is to, until it is cancelled; how often it was heard."""
    heard = 0
    try:
        while True:
            with suppress(ServiceUnavailable):
                assert (await node.nodes.beat())[:3] == (everyone, True, [])
                heard += 1
            await asyncio.sleep(node.nodes.lease / 3)
    except asyncio.CancelledError:
        return heard


async def test_when_the_server_stands_still_nobody_is_dead_for_that(server: RedisServer) -> None:
    async with AsyncExitStack() as stack:
        # For some there is no answer, for others it comes late.
        engines = [EngineConfig(url=server.url, timeout=timeout) for timeout in (0.5, 0.5, 5.0, 5.0)]
        nodes = [await stack.enter_async_context(open_node(engine, lease=1.0)) for engine in engines]
        for node in nodes:
            await node.nodes.beat()
        everyone = frozenset(node.nodes.here for node in nodes)
        tasks = [asyncio.create_task(beats(node, everyone)) for node in nodes]
        await asyncio.sleep(0.5)
        server.pause()
        await asyncio.sleep(2.0)
        server.resume()
        await asyncio.sleep(2.0)
        for task in tasks:
            task.cancel()
        assert min(await asyncio.gather(*tasks)) > 5


async def test_when_the_server_has_lost_everything_all_enter_anew_and_nobody_is_dead(
    server: RedisServer, pair: list[Node]
) -> None:
    for node in pair:
        await node.nodes.beat()
    with server.client() as client:
        client.flushall()
    first = [await node.nodes.beat() for node in pair]
    assert [(beat.held, beat.dead) for beat in first] == [(False, []), (False, [])]
    again = [await node.nodes.beat() for node in pair]
    everyone = {node.nodes.here for node in pair}
    # A third one could be there that has not said so yet; until a lease is over.
    assert [tuple(beat) for beat in again] == [(everyone, True, [], False)] * 2
    for _ in range(3):
        await asyncio.sleep(LEASE / 3 + 0.01)
        again = [await node.nodes.beat() for node in pair]
    assert [(beat.alive, beat.held, beat.complete) for beat in again] == [(everyone, True, True)] * 2


async def test_who_is_missing_in_a_roster_that_was_forgotten_is_not_for_a_lease(
    server: RedisServer, pair: list[Node]
) -> None:
    here, there = pair
    await there.rosters.enter("plans", BOB, 5)
    entered = await here.rosters.enter("plans", ADA, 5)
    assert 0 < entered.settled_in <= LEASE
    await asyncio.sleep(entered.settled_in + 0.01)
    assert (await here.rosters.declare("plans", [ADA])).settled_in == 0
    with server.client() as client:
        client.flushall()
    declared = await here.rosters.declare("plans", [ADA])
    assert [entry.person for entry in declared.entries] == [ADA]
    assert declared.new == {"ada"}
    assert 0.9 * LEASE < declared.settled_in <= LEASE
    again = await there.rosters.declare("plans", [BOB])
    assert len(again.entries) == 2
    assert 0 < again.settled_in <= declared.settled_in
    await asyncio.sleep(declared.settled_in + 0.01)
    assert (await here.rosters.enter("plans", EVE, 5)).settled_in == 0


async def test_nodes_are_told_that_what_they_entered_may_be_missing(server: RedisServer, pair: list[Node]) -> None:
    here, there = pair
    told: list[list[bool]] = [[], []]
    for node, of_one in zip(pair, told, strict=True):
        await node.nodes.beat()
        node.rosters.subscribe(lambda concerns, of_one=of_one: of_one.append(concerns("plans")))
    await asyncio.sleep(LEASE)
    # A connection that is lost does not mean that something else is.
    with server.client() as client:
        client.client_kill_filter(_type="normal", skipme=True)
    assert (await persistently(here.nodes.beat)).complete
    assert told == [[], []]
    # But this is another server, whatever it has kept.
    server.restart()
    beat = await persistently(here.nodes.beat)
    assert (beat.held, beat.complete) == (True, False)
    assert told[0] == [True]
    assert (await here.rosters.declare("plans", [ADA])).settled_in > 0
    with server.client() as client:
        client.flushall()
    assert not (await persistently(there.nodes.beat)).held
    assert told[1] == [True, True]


async def test_what_was_forgotten_of_connections_and_revocations_is_entered_again(
    server: RedisServer, pair: list[Node]
) -> None:
    here, there = pair
    for node in pair:
        await node.nodes.beat()
    revoked = Revocation("user", "eve", 2**40, None)
    heard: list[Revocation] = []
    there.revocations.subscribe(heard.append)
    await here.registry.register("ada", "one", 5)
    await here.revocations.revoke(revoked)
    await eventually(lambda: len(heard) == 1)
    # The server starts again without what was last written.
    names = here.servers.names
    with server.client() as client:
        client.delete(*names.user("ada", "connections", "number"), *names.user("eve", "revoked-user"))
        client.delete(names.cluster("orders"))
    server.restart()
    await persistently(here.nodes.beat)
    await eventually(lambda: here.registry._settling is None and here.revocations._restoring is None)
    assert not await registers(there, "ada", 1)
    async with open_node(EngineConfig(url=server.url)) as fresh:
        assert await fresh.revocations.is_revoked(TokenMarks("eve", "t1", None, 5.0, 6.0))
    # The order is given again, and who has heard it is not told twice.
    await here.revocations.revoke(Revocation("user", "bob", 2**40, None))
    await eventually(lambda: len(heard) == 2)
    assert heard == [revoked, Revocation("user", "bob", 2**40, None)]


@pytest.mark.parametrize("hours", [-1, 1])
async def test_another_server_may_have_another_time(server: RedisServer, pair: list[Node], hours: int) -> None:
    for node in pair:
        await node.nodes.beat()
    names = pair[0].servers.names
    # As if what was written had been written by a clock that is ahead or behind.
    with server.client() as client:
        client.incrby(names.cluster("last-beat"), hours * 3_600_000)
        for incarnation in client.zrange(names.cluster("leases"), 0, -1):
            client.zincrby(names.cluster("leases"), hours * 3_600_000, incarnation)
    # Nobody is dead at once for that, and who beats no more is dead when it would have been.
    assert (await pair[0].nodes.beat())[:3] == ({node.nodes.here for node in pair}, True, [])
    dead: list[str] = []
    for _ in range(5):
        await asyncio.sleep(LEASE / 3)
        dead += (await pair[0].nodes.beat()).dead
    assert set(dead) == {pair[1].nodes.here}


async def test_presence_that_cannot_be_kept_keeps_nobody(server: RedisServer, pair: list[Node]) -> None:
    here, _ = pair
    ada = Person("ada", 7, "Ada", "#1565c0")
    await here.rosters.enter("plans", ada, 5)
    server.kill()
    async with asyncio.timeout(4 * TIMEOUT):
        await here.rosters.show("plans", "ada", {"status": "lost"})
    server.start()
    await persistently(partial(here.rosters.declare, "plans", [ada]))
    await here.rosters.show("plans", "ada", {"status": "kept"})
    [entry] = (await here.rosters.declare("plans", [ada])).entries
    assert entry.presence == {"status": "kept"}
