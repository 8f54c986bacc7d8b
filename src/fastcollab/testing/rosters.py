"""The contract of :class:`fastcollab.ports.Rosters`."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from fastcollab.core.roster import Person, RosterEntry
from fastcollab.errors import RoomFull
from fastcollab.ports import Roster, Rosters

_LIMIT = 5


def person(user_id: str, name: str = "") -> Person:
    return Person(user_id, 7, name or user_id.title(), "#1565c0")


def listed(roster: Roster) -> dict[str, tuple[frozenset[str], dict[str, Any]]]:
    """Of each user the nodes and the presence."""
    assert len({entry.person.user_id for entry in roster.entries}) == len(roster.entries)
    return {entry.person.user_id: (entry.nodes, dict(entry.presence)) for entry in roster.entries}


@pytest.mark.asyncio
class RostersContract:
    """Give it fixtures `here` and `there`, the rosters of two nodes, and `nodes`, the ids of these."""

    async def test_it_is_read_without_taking_part(self, here: Rosters, there: Rosters, nodes: tuple[str, str]) -> None:
        assert await here.read("plans") == []
        await here.enter("plans", person("ada"), _LIMIT)
        await there.enter("plans", person("ada"), _LIMIT)
        await there.enter("plans", person("bob"), _LIMIT)
        await there.show("plans", "bob", {"status": "away"})
        every, second = frozenset(nodes), frozenset({nodes[1]})
        assert listed(Roster(await here.read("plans"))) == {"ada": (every, {}), "bob": (second, {"status": "away"})}
        assert list(await here.sizes(["plans", "empty", "plans"])) == [2, 0, 2]
        assert list(await here.sizes([])) == []

    async def test_of_all_who_ask_one_is_told_that_a_room_has_turned(self, here: Rosters, there: Rosters) -> None:
        async def told() -> list[bool]:
            turns = await asyncio.gather(*(rosters.turned("plans") for rosters in (here, there) * 5))
            return [turn.occupied for turn in turns if turn is not None]

        assert await told() == []
        await here.enter("plans", person("ada"), _LIMIT)
        assert await told() == [True]
        await there.enter("plans", person("bob"), _LIMIT)
        await here.leave("plans", "ada")
        assert await told() == []
        await there.leave("plans", "bob")
        await here.enter("elsewhere", person("bob"), _LIMIT)
        assert await told() == [False]
        assert await told() == []

    async def seen(self, rosters: Rosters, room_id: str = "plans") -> dict[str, tuple[frozenset[str], dict[str, Any]]]:
        """Who takes part, but for who looks."""
        await rosters.enter(room_id, person("looker"), 1_000)
        seen = listed(await rosters.enter(room_id, person("looker"), 1_000))
        await rosters.leave(room_id, "looker")
        del seen["looker"]
        return seen

    async def test_who_enters_gets_all_who_take_part(
        self, here: Rosters, there: Rosters, nodes: tuple[str, str]
    ) -> None:
        first, second = map(frozenset, ([nodes[0]], [nodes[1]]))
        assert (await here.enter("plans", person("ada"), _LIMIT)).entries == [RosterEntry(person("ada"), first, {})]
        await there.enter("plans", person("bob"), _LIMIT)
        await there.enter("elsewhere", person("eve"), _LIMIT)
        found = await there.enter("plans", person("ada", "Ada L."), _LIMIT)
        # Of a user who comes again, it is the newest person.
        wanted = [RosterEntry(person("ada", "Ada L."), first | second, {}), RosterEntry(person("bob"), second, {})]
        assert sorted(found.entries, key=lambda entry: entry.person.user_id) == wanted
        assert listed(found) == await self.seen(here) == await self.seen(there)

    async def test_a_participant_stays_until_the_last_node_is_left(
        self, here: Rosters, there: Rosters, nodes: tuple[str, str]
    ) -> None:
        for rosters in (here, there, here):
            await rosters.enter("plans", person("ada"), _LIMIT)
        await here.show("plans", "ada", {"status": "away"})
        await here.leave("plans", "ada")
        assert await self.seen(here) == {"ada": (frozenset({nodes[1]}), {"status": "away"})}
        await here.leave("plans", "ada")
        await here.leave("plans", "nobody")
        await there.leave("plans", "ada")
        assert await self.seen(here) == {}
        await here.enter("plans", person("ada"), _LIMIT)
        assert await self.seen(there) == {"ada": (frozenset({nodes[0]}), {})}

    async def test_r4_a_room_takes_so_many_and_no_more(self, here: Rosters, there: Rosters) -> None:
        async def fill(rosters: Rosters) -> None:
            for index in range(20):
                try:
                    await rosters.enter("plans", person(f"user {index}"), _LIMIT)
                except RoomFull as error:
                    assert error.details["limit"] == _LIMIT

        await asyncio.gather(fill(here), fill(there))
        taken = await self.seen(here)
        assert len(taken) == _LIMIT
        # Who takes part already gets in, wherever; and who leaves makes place for one.
        one = min(taken)
        for rosters in (here, there):
            await rosters.enter("plans", person(one), _LIMIT)
        for rosters in (here, there):
            await rosters.leave("plans", one)
        await there.enter("plans", person("another"), _LIMIT)
        with pytest.raises(RoomFull):
            await here.enter("plans", person("yet another"), _LIMIT)
        assert set(await self.seen(there)) == {*taken, "another"} - {one}

    async def test_a_node_declares_who_takes_part_through_it(
        self, here: Rosters, there: Rosters, nodes: tuple[str, str]
    ) -> None:
        first, second = map(frozenset, ([nodes[0]], [nodes[1]]))
        for user_id in ("ada", "bob", "cy"):
            await here.enter("plans", person(user_id), _LIMIT)
            await here.show("plans", user_id, {"status": user_id})
        await there.enter("plans", person("cy"), _LIMIT)
        declared = await here.declare("plans", [person("ada"), person("dan")])
        wanted = {
            "ada": (first, {"status": "ada"}),
            "cy": (second, {"status": "cy"}),
            "dan": (first, {}),
        }
        assert listed(declared) == wanted == await self.seen(there)
        assert set(declared.new) == {"dan"}
        assert set((await there.declare("plans", [person("ada"), person("cy")])).new) == {"ada"}
        await there.leave("plans", "ada")
        emptied = await here.declare("plans", [])
        assert (listed(emptied), set(emptied.new)) == ({"cy": wanted["cy"]}, set())
        assert listed(await here.declare("empty", [])) == {}

    async def test_presence_is_kept_as_it_was_shown_last(self, here: Rosters, there: Rosters) -> None:
        await here.enter("plans", person("ada"), _LIMIT)
        await there.enter("plans", person("bob"), _LIMIT)
        presence = {"cursor": {"x": 0.5, "y": -1e300}, "data": [None, {"é\0": "👩"}, 2**53]}
        here.show("plans", "ada", {"status": "first", "data": 1})
        await asyncio.sleep(0)
        here.show("plans", "ada", {"status": "second"})
        await asyncio.gather(here.show("plans", "ada", presence), there.show("plans", "bob", {"status": "busy"}))
        seen = await self.seen(there)
        assert {user_id: presence for user_id, (_, presence) in seen.items()} == {
            "ada": presence,
            "bob": {"status": "busy"},
        }

    async def test_of_who_does_not_take_part_no_presence_is_kept(self, here: Rosters, there: Rosters) -> None:
        await there.show("plans", "ada", {"status": "early"})
        await here.enter("plans", person("ada"), _LIMIT)
        await there.show("plans", "ada", {"status": "elsewhere"})
        assert (await self.seen(here))["ada"][1] == {}
        here.show("plans", "ada", {"status": "late"})
        await here.leave("plans", "ada")
        await here.enter("plans", person("ada"), _LIMIT)
        await here.show("plans", "nobody", {})
        assert (await self.seen(here))["ada"][1] == {}

    @pytest.mark.parametrize("name", ["a b", "{r1}", "}{", "a:b", "né 👩", "*?[a-z]\\", "\n\r\n", "'; --", "x" * 128])
    async def test_names_are_used_as_they_are(
        self, here: Rosters, there: Rosters, nodes: tuple[str, str], name: str
    ) -> None:
        await here.enter(name, person(name), _LIMIT)
        await here.show(name, name, {"status": name})
        assert await self.seen(there, name) == {name: (frozenset({nodes[0]}), {"status": name})}
        assert await self.seen(there) == {}
        await here.leave(name, name)
        assert await self.seen(there, name) == {}
