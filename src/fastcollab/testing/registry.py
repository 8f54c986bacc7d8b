"""The contract of :class:`fastcollab.ports.ConnectionRegistry`."""

from __future__ import annotations

import asyncio
from itertools import count

import pytest

from fastcollab.errors import ConnectionLimit, RateLimited
from fastcollab.ports import ConnectionRegistry, TakenUp

_LIMIT = 5
_connection_ids = map("connection-{}".format, count())


async def connect(registry: ConnectionRegistry, user_id: str, limit: int = _LIMIT) -> tuple[str, int]:
    """Registers a new connection of the user; its id, and the user's number."""
    connection_id = next(_connection_ids)
    return connection_id, await registry.register(user_id, connection_id, limit)


@pytest.mark.asyncio
class RegistryContract:
    """Give it a fixture `registry`: a registry in which nobody is registered."""

    @pytest.mark.parametrize("user_id", ["0", "7", "4294967295"])
    async def test_s6_a_decimal_uint32_is_its_own_number(self, registry: ConnectionRegistry, user_id: str) -> None:
        _, number = await connect(registry, user_id)
        assert number == int(user_id)

    @pytest.mark.parametrize(
        "user_id", ["ada", "-1", "007", "00", "4294967296", "7.0", " 7", "٣", "7" * 128, "👩", "0x7", "1_000"]
    )
    async def test_s6_every_other_user_is_given_a_uint32(self, registry: ConnectionRegistry, user_id: str) -> None:
        _, number = await connect(registry, user_id)
        assert isinstance(number, int)
        assert 0 <= number < 2**32

    async def test_s6_numbers_are_unique_among_those_connected(self, registry: ConnectionRegistry) -> None:
        numbers = [(await connect(registry, f"user {index}"))[1] for index in range(500)]
        assert len(set(numbers)) == 500

    async def test_s6_a_number_that_is_held_is_not_taken_away(self, registry: ConnectionRegistry) -> None:
        _, given = await connect(registry, "ada")
        _, other = await connect(registry, str(given))
        assert other != given
        # Not even by the user's own next connection.
        assert (await connect(registry, "ada"))[1] == given
        assert (await connect(registry, str(given)))[1] == other

    async def test_s6_all_connections_of_a_user_have_one_number(self, registry: ConnectionRegistry) -> None:
        assert len({(await connect(registry, "ada"))[1] for _ in range(_LIMIT)}) == 1

    async def test_s6_a_number_is_held_until_the_last_connection_is_gone(self, registry: ConnectionRegistry) -> None:
        first, given = await connect(registry, "ada")
        await connect(registry, "ada")
        await registry.unregister("ada", first)
        _, other = await connect(registry, str(given))
        assert other != given

    async def test_s6_the_same_number_is_given_again(self, registry: ConnectionRegistry) -> None:
        connection_id, given = await connect(registry, "ada")
        await registry.unregister("ada", connection_id)
        await connect(registry, "bob")
        assert (await connect(registry, "ada"))[1] == given

    async def test_s5_a_user_may_have_so_many_connections_and_no_more(self, registry: ConnectionRegistry) -> None:
        for _ in range(_LIMIT):
            connection_id, _ = await connect(registry, "ada")
        with pytest.raises(ConnectionLimit) as caught:
            await connect(registry, "ada")
        assert caught.value.details == {"limit": _LIMIT, "remaining": 0}
        # Others are not concerned, and one that ends makes place for one.
        await connect(registry, "bob")
        await registry.unregister("ada", connection_id)
        await connect(registry, "ada")
        with pytest.raises(ConnectionLimit):
            await connect(registry, "ada")

    async def test_s5_a_refused_connection_counts_for_nothing(self, registry: ConnectionRegistry) -> None:
        with pytest.raises(ConnectionLimit):
            await connect(registry, "7", limit=0)
        await connect(registry, "7", limit=1)

    async def test_s5_of_several_at_once_no_more_succeed_than_the_limit_allows(
        self, registry: ConnectionRegistry
    ) -> None:
        outcomes = await asyncio.gather(*(connect(registry, "ada") for _ in range(20)), return_exceptions=True)
        refused = [outcome for outcome in outcomes if isinstance(outcome, ConnectionLimit)]
        assert len(refused) == 20 - _LIMIT
        assert len({outcome[1] for outcome in outcomes if isinstance(outcome, tuple)}) == 1

    async def test_l1_who_is_connected_here_or_nowhere_is_through_one_gateway(
        self, registry: ConnectionRegistry
    ) -> None:
        await connect(registry, "ada")
        await connect(registry, "ada")
        assert [registry.spread(user) for user in ("ada", "nobody")] == [1, 1]

    async def test_r3_a_user_may_be_in_so_many_rooms_and_no_more(self, registry: ConnectionRegistry) -> None:
        (first, _), (second, _), (other, _) = [await connect(registry, user) for user in ("ada", "ada", "bob")]
        await registry.enter("ada", first, "one", 2)
        await registry.enter("ada", second, "two", 2)
        with pytest.raises(RateLimited) as caught:
            await registry.enter("ada", first, "three", 2)
        assert caught.value.details == {"limit": 2, "remaining": 0}
        # A room counts once, however often and by however many connections it is entered; and others do not count.
        for connection_id in (first, second):
            for room_id in ("one", "two"):
                await registry.enter("ada", connection_id, room_id, 2)
        await registry.enter("bob", other, "three", 2)

    async def test_r3_a_room_counts_until_the_last_connection_has_left_it(self, registry: ConnectionRegistry) -> None:
        (first, _), (second, _) = [await connect(registry, "ada") for _ in range(2)]
        for connection_id in (first, second):
            await registry.enter("ada", connection_id, "one", 1)
        await registry.leave("ada", first, "one")
        with pytest.raises(RateLimited):
            await registry.enter("ada", first, "two", 1)
        await registry.leave("ada", second, "one")
        await registry.leave("ada", second, "one")
        await registry.enter("ada", first, "two", 1)

    async def test_r3_a_connection_that_is_counted_out_is_in_no_room(self, registry: ConnectionRegistry) -> None:
        (first, _), (second, _) = [await connect(registry, "ada") for _ in range(2)]
        await registry.enter("ada", first, "one", 1)
        await registry.unregister("ada", first)
        await registry.enter("ada", second, "two", 1)
        # Nor does it get into one any more.
        await registry.enter("ada", first, "three", 1)
        await registry.leave("ada", first, "three")
        await registry.enter("ada", second, "two", 1)

    async def test_r3_of_several_rooms_at_once_no_more_succeed_than_the_limit_allows(
        self, registry: ConnectionRegistry
    ) -> None:
        connection_id, _ = await connect(registry, "ada")
        attempts = (registry.enter("ada", connection_id, f"room {index}", 3) for index in range(10))
        outcomes = await asyncio.gather(*attempts, return_exceptions=True)
        assert sum(isinstance(outcome, RateLimited) for outcome in outcomes) == 7

    async def test_users_at_once_get_different_numbers(self, registry: ConnectionRegistry) -> None:
        outcomes = await asyncio.gather(*(connect(registry, f"user {index}") for index in range(100)))
        assert len({number for _, number in outcomes}) == 100

    async def test_counting_out_what_is_not_counted_in_is_no_error(self, registry: ConnectionRegistry) -> None:
        await registry.unregister("ada", "none")
        connection_id, given = await connect(registry, "ada")
        await registry.unregister("ada", "none")
        _, other = await connect(registry, str(given))
        assert other != given
        for _ in range(2):
            await registry.unregister("ada", connection_id)
        for _ in range(_LIMIT):
            await connect(registry, "ada")
        await registry.unregister("ada", connection_id)
        with pytest.raises(ConnectionLimit):
            await connect(registry, "ada")


@pytest.mark.asyncio
class SharedRegistryContract(RegistryContract):
    """Of one that nodes share. Give it fixtures `registry` and `other`, those of two nodes, and `nodes`, the ids of
    these.
    """

    async def test_s6_a_user_has_one_number_everywhere(
        self, registry: ConnectionRegistry, other: ConnectionRegistry
    ) -> None:
        _, given = await connect(registry, "ada")
        assert (await connect(other, "ada"))[1] == given
        _, taken = await connect(other, str(given))
        assert taken != given
        assert (await connect(registry, str(given)))[1] == taken

    async def test_s6_of_users_who_come_everywhere_at_once_each_has_one_number(
        self, registry: ConnectionRegistry, other: ConnectionRegistry
    ) -> None:
        held = (await connect(registry, "ada"))[1]
        # All of these but the first would have numbers that others have.
        users = [str(held + index) for index in range(20)] * 2
        outcomes = await asyncio.gather(
            *(connect((registry, other)[index % 2], user_id) for index, user_id in enumerate(users))
        )
        numbers: dict[str, set[int]] = {}
        for user_id, (_, number) in zip(users, outcomes, strict=True):
            numbers.setdefault(user_id, set()).add(number)
        given = [*numbers.values(), {held}]
        assert [len(each) for each in given] == [1] * len(given)
        assert len(set().union(*given)) == len(given)

    async def test_s5_connections_are_counted_everywhere(
        self, registry: ConnectionRegistry, other: ConnectionRegistry
    ) -> None:
        attempts = (connect((registry, other)[index % 2], "ada") for index in range(20))
        outcomes = await asyncio.gather(*attempts, return_exceptions=True)
        assert sum(isinstance(outcome, ConnectionLimit) for outcome in outcomes) == 20 - _LIMIT

    async def test_r3_rooms_are_counted_everywhere(
        self, registry: ConnectionRegistry, other: ConnectionRegistry
    ) -> None:
        (here, _), (there, _) = [await connect(each, "ada") for each in (registry, other)]
        await registry.enter("ada", here, "one", 2)
        await other.enter("ada", there, "two", 2)
        await other.enter("ada", there, "one", 2)
        with pytest.raises(RateLimited):
            await registry.enter("ada", here, "three", 2)
        await other.leave("ada", there, "two")
        await registry.enter("ada", here, "three", 2)

    async def test_calls_about_one_connection_do_not_overtake_each_other(self, registry: ConnectionRegistry) -> None:
        connection_id, _ = await connect(registry, "ada")
        for _ in range(20):
            await asyncio.gather(
                registry.enter("ada", connection_id, "one", 1),
                registry.leave("ada", connection_id, "one"),
                registry.enter("ada", connection_id, "two", 1),
                registry.leave("ada", connection_id, "two"),
            )

    async def test_s7_a_connection_that_is_open_is_taken_up_once(
        self, registry: ConnectionRegistry, other: ConnectionRegistry, nodes: tuple[str, str]
    ) -> None:
        connection_id, _ = await connect(registry, "ada", limit=1)
        await registry.enter("ada", connection_id, "one", 1)
        assert await other.take_up("eve", connection_id) == TakenUp(False)
        assert await other.take_up("ada", "none") == TakenUp(False)
        attempts = [each.take_up("ada", connection_id) for each in (other, registry) * 5]
        assert sorted(await asyncio.gather(*attempts))[-2:] == [TakenUp(False), TakenUp(True, nodes[0])]
        # It counts no more, nor do its rooms; and its end, which comes late, changes nothing.
        there, _ = await connect(other, "ada", limit=1)
        await other.enter("ada", there, "two", 1)
        await registry.enter("ada", connection_id, "three", 1)
        await registry.unregister("ada", connection_id, 60)
        assert await other.take_up("ada", connection_id) == TakenUp(False)
        with pytest.raises(ConnectionLimit):
            await connect(registry, "ada", limit=1)

    async def test_s7_a_connection_that_was_closed_is_taken_up_once(
        self, registry: ConnectionRegistry, other: ConnectionRegistry
    ) -> None:
        first, _ = await connect(registry, "ada")
        second, _ = await connect(registry, "ada")
        await registry.unregister("ada", first, 60)
        await registry.unregister("ada", second, 60)
        assert await other.take_up("eve", first) == TakenUp(False)
        for connection_id in (second, first):
            attempts = [each.take_up("ada", connection_id) for each in (other, registry) * 5]
            assert sorted(await asyncio.gather(*attempts))[-2:] == [TakenUp(False), TakenUp(True)]

    async def test_s7_a_connection_can_be_taken_up_for_so_long_and_no_longer(
        self, registry: ConnectionRegistry, other: ConnectionRegistry
    ) -> None:
        lost = [(await connect(registry, "ada"))[0] for _ in range(3)]
        for connection_id, resumable in zip(lost, (0, 0.05, 60), strict=True):
            await registry.unregister("ada", connection_id, resumable)
        await asyncio.sleep(0.1)
        known = [(await other.take_up("ada", connection_id)).known for connection_id in lost]
        assert known == [False, False, True]
