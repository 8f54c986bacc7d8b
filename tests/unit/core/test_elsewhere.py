"""Participants of other nodes, as a room shows them to its members."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from tests.builders import START, at, enter, identity, new_room, received, room_of, session_of, tell, text_document

from fastcollab import messages
from fastcollab.core import elsewhere
from fastcollab.core.effects import Effect, Placed, Relay
from fastcollab.core.notices import (
    Announced,
    Entries,
    Joined,
    Parted,
    Showed,
    decode_notice,
    encode_notice,
)
from fastcollab.core.room import RoomSettings
from fastcollab.core.roster import Person, RosterEntry
from fastcollab.errors import InvalidMessage, RoomFull

CAROL = Person("carol", 3, "Carol", "#fff")


def entry(person: Person, *nodes: str, **presence: Any) -> RosterEntry:
    return RosterEntry(person, frozenset(nodes), presence)


def relayed(effects: list[Effect]) -> list[Any]:
    return [effect.notice for effect in effects if isinstance(effect, Relay)]


class TestComingAndGoing:
    def test_one_who_comes_through_two_nodes_joins_once_and_leaves_with_the_last_R6(self) -> None:
        ada = session_of("ada")
        room = room_of(ada)
        first = received(elsewhere.joined(room, "n2", CAROL), ada)
        assert [type(each) for each in first] == [messages.UserJoined]
        assert received(elsewhere.joined(room, "n3", CAROL), ada) == []
        assert elsewhere.nodes_of(room) == {"n2", "n3"}
        assert received(elsewhere.parted(room, "n2", "carol"), ada) == []
        (left,) = received(elsewhere.parted(room, "n3", "carol"), ada)
        assert left.participant.user_id == "carol"
        assert elsewhere.nodes_of(room) == set()

    def test_what_is_told_twice_is_told_once(self) -> None:
        room = room_of(session_of("ada"))
        assert elsewhere.joined(room, "n2", CAROL)
        assert elsewhere.joined(room, "n2", CAROL) == []
        assert elsewhere.parted(room, "n2", "carol")
        assert elsewhere.parted(room, "n2", "carol") == []
        assert elsewhere.parted(room, "n2", "nobody") == []

    def test_who_is_here_and_elsewhere_stays_until_gone_from_both_R7(self) -> None:
        ada, carol = session_of("ada"), session_of("carol", 3)
        room = room_of(ada)
        elsewhere.joined(room, "n2", CAROL)
        arrival = enter(room, carol)
        assert received(arrival, ada) == []  # carol was there already
        assert [effect.participant.user_id for effect in arrival if isinstance(effect, Placed)] == ["carol"]
        gone = room.lose(carol, farewell=True, now=START)
        assert received(gone, ada) == []
        assert not room.participants["carol"].here
        (left,) = received(elsewhere.parted(room, "n2", "carol"), ada)
        assert isinstance(left, messages.UserLeft)

    def test_one_in_grace_here_who_goes_on_elsewhere_is_not_missed_R7(self) -> None:
        ada, carol = session_of("ada"), session_of("carol", 3)
        room = room_of(ada, carol, settings=RoomSettings(grace_period=10_000_000_000))
        room.lose(carol, farewell=False, now=START)
        elsewhere.joined(room, "n2", CAROL)
        effects = room.tick(at(11))
        assert received(effects, ada) == []
        assert [effect.participant.here for effect in effects if isinstance(effect, Placed)] == [False]

    def test_a_dead_node_takes_its_participants_with_it(self) -> None:
        ada = session_of("ada")
        room = room_of(ada)
        elsewhere.joined(room, "n2", CAROL)
        elsewhere.joined(room, "n2", Person("dan", 4, "Dan", "#000"))
        elsewhere.joined(room, "n3", Person("eve", 5, "Eve", "#000"))
        gone = {payload.participant.user_id for payload in received(elsewhere.gone(room, "n2"), ada)}
        assert gone == {"carol", "dan"}
        assert set(room.participants) == {"ada", "eve"}

    def test_a_room_is_deserted_when_others_have_it_to_themselves(self) -> None:
        ada = session_of("ada")
        room = room_of(ada)
        elsewhere.joined(room, "n2", CAROL)
        room.leave(ada)
        assert room.deserted

    def test_participants_elsewhere_count_R4(self) -> None:
        room = room_of(session_of("ada"), settings=RoomSettings(max_participants=2))
        elsewhere.joined(room, "n2", CAROL)
        with pytest.raises(RoomFull):
            enter(room, session_of("eve", 5))
        enter(room, session_of("carol", 3))


class TestRosters:
    def test_a_roster_replaces_what_was_received(self) -> None:
        ada = session_of("ada")
        room = room_of(ada)
        elsewhere.joined(room, "n2", CAROL)
        dan = Person("dan", 4, "Dan", "#000")
        mine = ada.identity.person
        effects = elsewhere.reconciled(room, [entry(mine, "here"), entry(dan, "n2", status="away")], "here", START)
        kinds = [(type(each).__name__, getattr(each, "user_id", None)) for each in received(effects, ada)]
        assert kinds == [("UserLeft", None), ("UserJoined", None), ("PresenceUpdate", "dan")]
        assert room.participants["dan"].status == "away"
        assert elsewhere.reconciled(room, [entry(mine, "here"), entry(dan, "n2", status="away")], "here", START) == []

    def test_what_is_missing_in_a_roster_that_is_not_whole_says_nothing(self) -> None:
        ada = session_of("ada")
        room = room_of(ada)
        elsewhere.joined(room, "n2", CAROL)
        elsewhere.showed(room, "carol", messages.PresenceData(status="busy"), START)
        dan = Person("dan", 4, "Dan", "#000")
        later = [entry(CAROL, "n3", status="before"), entry(dan, "n2", status="away")]
        for roster in ([], [entry(CAROL, "n3")], later):
            effects = elsewhere.reconciled(room, roster, "here", START, whole=False)
        kinds = [(type(each).__name__, getattr(each, "user_id", None)) for each in received(effects, ada)]
        assert kinds == [("UserJoined", None), ("PresenceUpdate", "dan")]
        assert room.participants["carol"].nodes == {"n2", "n3"}
        assert room.participants["carol"].status == "busy"
        (left,) = received(elsewhere.reconciled(room, [entry(dan, "n2", status="away")], "here", START), ada)
        assert left.participant.user_id == "carol"

    def test_who_is_here_and_shown_otherwise_in_the_roster_is_to_be_shown_again(self) -> None:
        ada = session_of("ada")
        room = room_of(ada)
        here = room.participants["ada"]
        here.status, here.data = "busy", [1]
        here.selection = messages.Selection([messages.SelectionRange(2, 2)], "#fff", 3)
        moved = {"ranges": [{"anchor": 0, "head": 0}], "color": "#fff", "version": 0}

        def behind(**kept: Any) -> bool:
            return elsewhere.unkept([here], [entry(CAROL, "n2"), entry(here.person, "here", **kept)]) == [here]

        assert not behind(status="busy", data=[1], selection=moved)
        assert behind(status="before", data=[1], selection=moved)
        assert behind(status="busy", selection=moved)
        assert behind(status="busy", data=[1])
        here.status = None
        assert behind(status="busy", data=[1], selection=moved)
        assert elsewhere.unkept([here], [entry(CAROL, "n2")]) == []

    def test_who_is_here_is_shown_as_here(self) -> None:
        ada = session_of("ada")
        room = room_of(ada)
        stale = Person("ada", ada.identity.numeric_id, "An old name", "#000")
        elsewhere.reconciled(room, [entry(stale, "here", "n2", status="old")], "here", START)
        assert room.participants["ada"].person.name == "Ada"
        assert room.participants["ada"].status is None
        assert room.participants["ada"].nodes == {"n2"}

    def test_a_newcomer_is_told_all_of_those_elsewhere_R2(self) -> None:
        room = new_room()
        selection = {"ranges": [{"anchor": 0, "head": 2}], "color": "#fff", "version": 0}
        elsewhere.reconciled(
            room, [entry(CAROL, "n2", status="busy", data={"a": 1}, selection=selection)], "here", START
        )
        ada = session_of("ada")
        (joined,) = received(enter(room, ada), ada)
        assert isinstance(joined, messages.RoomJoined)
        (carol,) = [each for each in joined.participants if each.user_id == "carol"]
        assert carol.presence.status == "busy"
        assert carol.presence.selection.ranges == [messages.SelectionRange(0, 2)]


class TestPresence:
    def test_what_they_show_is_told_and_kept_V1(self) -> None:
        ada = session_of("ada")
        room = room_of(ada, document=text_document("hello"))
        elsewhere.joined(room, "n2", CAROL)
        shown = messages.PresenceData(status="busy", data=[1])
        (update,) = received(elsewhere.showed(room, "carol", shown, START), ada)
        assert update.presence == shown
        assert elsewhere.showed(room, "carol", shown, START) == []  # they know
        (update,) = received(
            elsewhere.showed(room, "carol", messages.PresenceData(status="busy", data=None), START), ada
        )
        assert update.presence == messages.PresenceData(data=None)
        assert elsewhere.showed(room, "nobody", shown, START) == []

    def test_a_selection_goes_along_with_what_was_written_V5(self) -> None:
        ada = session_of("ada")
        room = room_of(ada, document=text_document("hello"))
        elsewhere.joined(room, "n2", CAROL)
        tell(ada, "operation", {"operation": ["__"], "version": 0})
        selection = messages.Selection([messages.SelectionRange(1, 3)], "#fff", 0)
        (update,) = received(elsewhere.showed(room, "carol", messages.PresenceData(selection=selection), START), ada)
        assert update.presence.selection == messages.Selection([messages.SelectionRange(3, 5)], "#fff", 1)

    def test_a_selection_of_a_version_that_is_not_here_yet_is_passed_on_as_it_is_V5(self) -> None:
        ada = session_of("ada")
        room = room_of(ada, document=text_document("hello"))
        elsewhere.joined(room, "n2", CAROL)
        selection = messages.Selection([messages.SelectionRange(1, 3)], "#fff", 7)
        (update,) = received(elsewhere.showed(room, "carol", messages.PresenceData(selection=selection), START), ada)
        assert update.presence.selection == selection

    def test_what_is_shown_here_is_relayed(self) -> None:
        ada = session_of("ada")
        room = room_of(ada, document=text_document("hello"))
        (notice,) = relayed(tell(ada, "presence_update", {"presence": {"status": "busy"}}))
        assert notice == Showed("plans", "ada", messages.PresenceData(status="busy"))
        ranges = [{"anchor": 1, "head": 2}]
        (notice,) = relayed(tell(ada, "selection_change", {"ranges": ranges, "color": "#abc"}))
        assert notice.presence.selection.version == 0
        assert decode_notice(encode_notice(notice)) == notice
        assert room.participants["ada"].kept_presence().keys() == {"status", "selection"}


class TestARosterThatIsOlderThanWhatWasTold:
    def test_who_came_while_it_was_read_is_not_seen_to_leave(self) -> None:
        room = room_of(session_of("ada"))
        elsewhere.joined(room, "n2", CAROL)
        roster = elsewhere.followed([], [("n2", Joined("plans", CAROL))])
        assert roster == [entry(CAROL, "n2")]
        assert elsewhere.reconciled(room, roster, "here", START) == []

    def test_who_left_while_it_was_read_is_not_seen_to_come(self) -> None:
        room = room_of(session_of("ada"))
        roster = elsewhere.followed([entry(CAROL, "n2")], [("n2", Parted("plans", "carol"))])
        assert roster == []
        assert elsewhere.reconciled(room, roster, "here", START) == []

    def test_who_came_and_went_through_several_nodes_is_where_they_told_last(self) -> None:
        renamed = msgspec.structs.replace(CAROL, name="Carola")
        told = [
            ("n3", Joined("plans", renamed)),
            ("n2", Parted("plans", "carol")),
            ("n2", Parted("plans", "nobody")),
            ("n3", Showed("plans", "carol", messages.PresenceData(status="busy"))),
        ]
        kept = entry(CAROL, "n2", "n4", status="away")
        assert elsewhere.followed([kept], told) == [entry(renamed, "n3", "n4", status="away")]


class TestEvents:
    def test_they_reach_members_here_V2(self) -> None:
        ada, bob = session_of("ada"), session_of("bob")
        room = room_of(ada, bob)
        notice = decode_notice(encode_notice(Announced("plans", "wave", "carol", 3, msgspec.Raw(b'{"x":1}'))))
        assert isinstance(notice, Announced)
        effects = elsewhere.announced(room, notice)
        assert len(received(effects, ada)) == len(received(effects, bob)) == 1
        for_bob = Announced("plans", "wave", "carol", 3, target="bob")
        effects = elsewhere.announced(room, for_bob)
        assert (len(received(effects, ada)), len(received(effects, bob))) == (0, 1)
        assert received(elsewhere.announced(room, Announced("plans", "wave", "carol", 3, target="x")), ada) == []

    def test_one_for_a_user_elsewhere_is_relayed_V2(self) -> None:
        ada = session_of("ada")
        room = room_of(ada)
        with pytest.raises(InvalidMessage):
            tell(ada, "event", {"name": "wave"}, targetUserId="carol")
        elsewhere.joined(room, "n2", CAROL)
        (notice,) = relayed(tell(ada, "event", {"name": "wave"}, targetUserId="carol"))
        assert notice.target == "carol"


def test_notices_come_back_as_they_were() -> None:
    ada = session_of("ada")
    room = room_of(ada, document=text_document("hello"))
    tell(ada, "operation", {"operation": [1, {"d": 2}], "version": 0})
    committed = room.document.since(0)
    notice = Entries.of("plans", room.document.epoch, "", committed, {})
    for each in (notice, Joined("plans", CAROL), Parted("plans", "carol"), Entries("plans", "e", 3)):
        assert decode_notice(encode_notice(each)) == each
    assert notice.committed() == committed


def test_a_changed_name_is_relayed() -> None:
    ada = session_of("ada")
    room_of(ada)
    assert relayed(ada.verified(identity("ada"), None, START)) == []
    (notice,) = relayed(ada.verified(identity("ada", name="Countess"), None, START))
    assert notice.person.name == "Countess"
