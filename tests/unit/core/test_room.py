"""Rooms: who comes and goes, who gets what, and what is due when (rules R1 to R7, P2, V1 to V5, B4, OT1, OT3, OT9)."""

import json
from typing import Any

import pytest
from msgspec import UNSET
from tests.builders import (
    START,
    at,
    effects_of,
    enter,
    envelope,
    identity,
    message,
    new_room,
    only,
    receive,
    received,
    room_of,
    session_of,
    tell,
    text_document,
)

from fastcollab import _binary, messages
from fastcollab.core.document import DocumentLimits
from fastcollab.core.effects import Effect, Entered, Flush, Left, Send, Wake
from fastcollab.core.limits import SECOND
from fastcollab.core.permissions import Permission
from fastcollab.core.room import Room, RoomSettings
from fastcollab.core.session import Session
from fastcollab.errors import InvalidMessage, NoPermission, RoomFull, VersionMismatch


def cursor(x: float, y: float, timestamp: float = 0) -> messages.CursorMovePayload:
    payload = {"x": x, "y": y, "viewportX": 0, "viewportY": 640, "timestamp": timestamp}
    return message("cursor_move", payload).payload


def selection(*ranges: tuple[int, int], **fields: Any) -> dict[str, Any]:
    return {"ranges": [{"anchor": anchor, "head": head} for anchor, head in ranges], "color": "red", **fields}


def users(participants: list[messages.Participant]) -> list[str]:
    return [participant.user_id for participant in participants]


def operate(session: Session, operation: Any, version: int, **fields: Any) -> list[Effect]:
    return tell(session, "operation", {"operation": operation, "version": version}, **fields)


def select_by_frame(room: Room, session: Session, anchor: int, head: int, seconds: float) -> None:
    """What the server does with a selection frame."""
    room.select_by_frame(session, anchor, head)
    slot = room.participants[session.identity.user_id].selection_frame
    room.selections.put_frame(slot, _binary.encode_frame(2, 0, anchor, head, 0), at(seconds).monotonic)


class TestJoining:
    def test_r2_the_newcomer_gets_the_whole_state(self) -> None:
        bob, ada = session_of("bob", 2), session_of("ada", 1)
        room = room_of(bob, document=text_document("hello"))
        tell(bob, "presence_update", {"presence": {"status": "here"}})
        effects = enter(room, ada)
        assert effects[0] == Entered(ada, room)
        assert only(messages.RoomJoined, effects, ada) == messages.RoomJoined(
            room_id="plans",
            handle=7,
            participants=[
                messages.Participant("bob", 2, "Bob", "#c92a2a", messages.PresenceData(status="here")),
                messages.Participant("ada", 1, "Ada", "#c92a2a", messages.PresenceData()),
            ],
            document_state=messages.DocumentState("text", 0, room.document.epoch, "hello"),
            version=0,
            permission="write",
        )

    def test_r2_the_others_get_user_joined(self) -> None:
        bob, ada = session_of("bob"), session_of("ada")
        effects = enter(room_of(bob), ada)
        joined = only(messages.UserJoined, effects, bob)
        assert (joined.room_id, joined.participant.user_id) == ("plans", "ada")

    @pytest.mark.parametrize("permission", [Permission.READ, Permission.WRITE, Permission.ADMIN])
    def test_p2_joining_needs_read_and_tells_what_is_granted(self, permission: Permission) -> None:
        session = session_of()
        assert only(messages.RoomJoined, enter(new_room(), session, permission=permission), session).permission == (
            permission.word
        )

    def test_p2_without_read_nobody_joins(self) -> None:
        room, session = new_room(), session_of()
        with pytest.raises(NoPermission) as caught:
            enter(room, session, permission=Permission.NONE)
        assert caught.value.details == {"needed": "read", "granted": "none"}
        assert room.deserted
        assert session.rooms == {}

    def test_r2_joining_again_gives_the_state_afresh_and_nobody_notices(self) -> None:
        bob, ada = session_of("bob"), session_of("ada")
        room = room_of(bob, ada)
        operate(bob, ["new"], 0)
        effects = enter(room, ada)
        joined = only(messages.RoomJoined, effects, ada)
        assert (joined.version, joined.document_state.data) == (1, "new")
        assert users(joined.participants) == ["bob", "ada"]
        assert received(effects, bob) == []
        assert room.participants["ada"].sessions == [ada]
        # Once in, once out.
        room.leave(ada)
        assert list(room.members) == [bob]

    def test_r2_joining_again_takes_the_permission_of_that_time(self) -> None:
        ada = session_of("ada")
        room = room_of(ada)
        enter(room, ada, permission=Permission.READ)
        with pytest.raises(NoPermission):
            operate(ada, ["a"], 0)

    def test_r4_a_room_takes_so_many_participants_and_no_more(self) -> None:
        settings = RoomSettings(max_participants=2)
        ada, bob = session_of("ada"), session_of("bob")
        room = room_of(ada, bob, settings=settings)
        with pytest.raises(RoomFull) as caught:
            enter(room, session_of("eve"))
        assert caught.value.details == {"limit": 2}
        assert users([who.description() for who in room.participants.values()]) == ["ada", "bob"]
        # Another connection of one who is in takes no place; and one who leaves gives it free.
        enter(room, session_of("ada"))
        room.leave(bob)
        enter(room, session_of("eve"))

    def test_r4_who_may_still_come_back_keeps_the_place(self) -> None:
        ada, bob = session_of("ada"), session_of("bob")
        room = room_of(ada, bob, settings=RoomSettings(max_participants=2))
        room.lose(bob, farewell=False, now=START)
        with pytest.raises(RoomFull):
            enter(room, session_of("eve"))
        enter(room, session_of("bob"), now=at(1))
        assert set(room.participants) == {"ada", "bob"}

    @pytest.mark.parametrize("asked", [None, "text"])
    def test_ot1_the_type_may_be_named(self, asked: str | None) -> None:
        session = session_of()
        request = {} if asked is None else {"documentType": asked}
        assert only(messages.RoomJoined, enter(new_room(), session, **request), session).document_state.type == "text"

    def test_ot1_another_type_is_refused(self) -> None:
        room, session = new_room(), session_of()
        with pytest.raises(InvalidMessage) as caught:
            enter(room, session, documentType="json1")
        assert caught.value.details == {"path": "payload.documentType", "documentType": "text"}
        assert room.deserted


class TestLeaving:
    def test_r5_the_leaver_gets_room_left_and_the_others_user_left(self) -> None:
        ada, bob = session_of("ada"), session_of("bob")
        room = room_of(ada, bob)
        effects = tell(ada, "leave_room", {"roomId": "plans"})
        assert effects_of(Left, effects) == [Left(ada, room)]
        assert received(effects, ada) == [messages.RoomLeft("plans")]
        assert only(messages.UserLeft, effects, bob).participant.user_id == "ada"
        assert list(room.participants) == ["bob"]
        assert ada.rooms == {}

    def test_r5_the_last_one_leaves_an_empty_room(self) -> None:
        ada = session_of("ada")
        room = room_of(ada)
        assert not room.deserted
        room.leave(ada)
        assert room.deserted
        assert room.next_due() is None

    def test_r6_many_connections_are_one_participant(self) -> None:
        bob, first, second = session_of("bob"), session_of("ada"), session_of("ada")
        room = room_of(bob, first)
        effects = enter(room, second)
        assert received(effects, bob) == received(effects, first) == []
        assert users(only(messages.RoomJoined, effects, second).participants) == ["bob", "ada"]
        effects = room.leave(first)
        assert received(effects, bob) == received(effects, second) == []
        assert received(effects, first) == [messages.RoomLeft("plans")]
        assert only(messages.UserLeft, room.leave(second), bob).participant.user_id == "ada"

    def test_r7_a_farewell_ends_the_participation_at_once(self) -> None:
        ada, bob = session_of("ada"), session_of("bob")
        room = room_of(ada, bob)
        effects = ada.closed(farewell=True, now=START)
        assert only(messages.UserLeft, effects, bob).participant.user_id == "ada"
        assert received(effects, ada) == []
        assert list(room.participants) == ["bob"]

    def test_r7_a_lost_connection_stays_for_the_grace_period(self) -> None:
        ada, bob = session_of("ada"), session_of("bob")
        room = room_of(ada, bob)
        effects = ada.closed(farewell=False, now=START)
        assert received(effects, bob) == []
        assert effects_of(Wake, effects) == [Wake(room, at(10).monotonic)]
        assert room.next_due() == at(10).monotonic
        assert room.tick(at(9.999)) == []
        assert users(only(messages.RoomJoined, enter(room, session_of("eve")), _last(room)).participants) == [
            "ada",
            "bob",
            "eve",
        ]
        effects = room.tick(at(10))
        assert only(messages.UserLeft, effects, bob).participant.user_id == "ada"
        assert room.next_due() is None

    def test_r7_who_is_back_by_then_was_never_away(self) -> None:
        ada, bob = session_of("ada"), session_of("bob")
        room = room_of(ada, bob)
        tell(ada, "presence_update", {"presence": {"status": "here"}})
        ada.closed(farewell=False, now=START)
        back = session_of("ada")
        effects = enter(room, back, now=at(9))
        assert received(effects, bob) == []
        joined = only(messages.RoomJoined, effects, back)
        assert next(who for who in joined.participants if who.user_id == "ada").presence.status == "here"
        assert room.next_due() is None
        assert room.tick(at(60)) == []
        # And a second absence is a new one.
        back.closed(farewell=False, now=at(60))
        assert room.next_due() == at(70).monotonic

    def test_r7_one_of_several_connections_may_be_lost_unnoticed(self) -> None:
        first, second, bob = session_of("ada"), session_of("ada"), session_of("bob")
        room = room_of(first, second, bob)
        assert effects_of(Wake, first.closed(farewell=False, now=START)) == []
        assert room.tick(at(60)) == []
        assert received(second.closed(farewell=True, now=at(61)), bob)

    def test_r7_a_room_of_those_who_are_away_is_not_deserted(self) -> None:
        ada = session_of("ada")
        room = room_of(ada)
        ada.closed(farewell=False, now=START)
        assert not room.deserted
        room.tick(at(10))
        assert room.deserted

    def test_who_left_and_comes_again_does_not_wait_for_what_was_before(self) -> None:
        ada, bob = session_of("ada"), session_of("bob")
        room = room_of(ada, bob)
        for head in (1, 2):
            tell(ada, "selection_change", selection((head, head)))
            tell(ada, "presence_update", {"presence": {"data": head}})
        room.leave(ada)
        assert room.next_due() is None
        enter(room, ada)
        assert received(tell(ada, "selection_change", selection((3, 3))), bob)
        assert received(tell(ada, "presence_update", {"presence": {"data": 3}}), bob)

    def test_r7_without_a_grace_period_a_loss_is_a_departure(self) -> None:
        ada, bob = session_of("ada"), session_of("bob")
        room_of(ada, bob, settings=RoomSettings(grace_period=0))
        assert only(messages.UserLeft, ada.closed(farewell=False, now=START), bob)

    def test_s6_who_comes_back_with_another_number_is_a_newcomer(self) -> None:
        ada, bob = session_of("ada", 1), session_of("bob", 2)
        room = room_of(ada, bob, settings=RoomSettings(max_participants=2))
        ada.closed(farewell=False, now=START)
        effects = enter(room, session_of("ada", 3), now=at(1))
        left, joined = received(effects, bob)
        assert isinstance(left, messages.UserLeft) and isinstance(joined, messages.UserJoined)
        assert (left.participant.numeric_id, joined.participant.numeric_id) == (1, 3)
        assert room.tick(at(60)) == []

    def test_s6_who_is_away_leaves_when_the_number_comes_back_as_someone_else(self) -> None:
        ada, bob = session_of("ada", 1), session_of("bob", 2)
        room = room_of(ada, bob)
        ada.closed(farewell=False, now=START)
        eve = session_of("eve", 1)
        effects = enter(room, eve, now=at(1))
        assert [type(payload) for payload in received(effects, bob)] == [messages.UserLeft, messages.UserJoined]
        assert users(only(messages.RoomJoined, effects, eve).participants) == ["bob", "eve"]
        assert room.next_due() is None

    def test_a_newer_token_is_what_others_learn_of_the_user(self) -> None:
        ada = session_of("ada", 1)
        room = room_of(ada)
        renamed = session_of("ada", 1)
        renamed.verified(identity("ada", 1, "Ada L."), None, START)
        (description,) = only(messages.RoomJoined, enter(room, renamed), renamed).participants
        assert description.name == "Ada L."


def _last(room: Room) -> Session:
    return list(room.members)[-1]


class TestCursors:
    def test_a_cursor_that_came_as_json_is_a_record(self) -> None:
        ada = session_of("ada", 5)
        room = room_of(ada)
        (flush,) = room.move(ada, cursor(1.5, -2, 4_294_968_296.7), START)
        assert flush == Flush(room, 0)
        kind, handle, records = _binary.decode_frames(room.cursors.flush(START.monotonic))
        assert (kind, handle) == (1, 7)
        # B3: the timestamp is passed on as the uint32 that fits into a frame.
        assert records == [(5, 1.5, -2, 1000, (0, 640))]

    def test_l1_cursors_over_the_limit_wait_and_the_newest_arrives(self) -> None:
        ada = session_of("ada")
        room = room_of(ada, settings=RoomSettings(cursor_updates=10, cursor_burst=0))
        room.move(ada, cursor(1, 1), at(0))
        room.cursors.flush(at(0).monotonic)
        for step in range(2, 10):
            (flush,) = effects_of(Flush, room.move(ada, cursor(step, step), at(0.01 * step)))
            assert flush.due == at(0.1).monotonic
        assert room.cursors.flush(at(0.099).monotonic) == b""
        _, _, records = _binary.decode_frames(room.cursors.flush(at(0.1).monotonic))
        assert [record[1] for record in records] == [9]

    def test_r2_the_last_cursor_is_part_of_the_state(self) -> None:
        ada, bob = session_of("ada"), session_of("bob")
        room = room_of(ada)
        room.move(ada, cursor(0.1, 2), START)
        (described, _) = only(messages.RoomJoined, enter(room, bob), bob).participants
        assert described.presence.cursor == messages.Cursor(0.1, 2, 0, 640)

    def test_b8_changes_for_json_connections_are_the_newest_of_each_user(self) -> None:
        ada, bob = session_of("ada"), session_of("bob")
        room = room_of(ada, bob)
        room.cursors.lists_changes = True
        for step in range(3):
            room.move(ada, cursor(step, 0), START)
        room.move(bob, cursor(9, 0), START)
        updates = room.record_updates(at(1))
        assert [(who.user_id, update.presence.cursor) for who, update in updates] == [
            ("ada", messages.Cursor(2, 0, 0, 640)),
            ("bob", messages.Cursor(9, 0, 0, 640)),
        ]
        assert {update.timestamp for _, update in updates} == {at(1).unix}
        assert room.record_updates(at(1)) == []

    def test_b10_who_missed_some_gets_all_that_is_known(self) -> None:
        ada, bob, eve = session_of("ada"), session_of("bob"), session_of("eve")
        room = room_of(ada, bob, eve)
        room.move(ada, cursor(1, 1), START)
        tell(bob, "selection_change", selection((0, 0)))
        known = {who.user_id: update.presence for who, update in room.known_records(START)}
        assert known == {
            "ada": messages.PresenceData(cursor=messages.Cursor(1, 1, 0, 640)),
            "bob": messages.PresenceData(selection=room.participants["bob"].selection),
        }

    def test_who_has_left_is_in_no_batch(self) -> None:
        ada, bob = session_of("ada", 1), session_of("bob", 2)
        room = room_of(ada, bob)
        room.cursors.lists_changes = True
        for session in (ada, bob):
            room.move(session, cursor(1, 1), START)
        room.leave(ada)
        assert [who.user_id for who, _ in room.record_updates(START)] == ["bob"]
        _, _, records = _binary.decode_frames(room.cursors.flush(START.monotonic))
        assert [record[0] for record in records] == [2]


class TestSelections:
    def test_v1_a_selection_goes_to_all_but_the_users_own_connections(self) -> None:
        first, second, bob, eve = session_of("ada", 1), session_of("ada", 1), session_of("bob"), session_of("eve")
        room_of(first, second, bob, eve)
        effects = tell(first, "selection_change", selection((0, 0), (0, 0)), now=at(1))
        for other in (bob, eve):
            update = only(messages.PresenceUpdate, effects, other)
            assert (update.user_id, update.numeric_id, update.timestamp) == ("ada", 1, at(1).unix)
            assert update.presence == messages.PresenceData(
                selection=messages.Selection([messages.SelectionRange(0, 0)] * 2, "red", 0)
            )
        assert received(effects, first) == received(effects, second) == []

    def test_v5_a_selection_is_bound_to_the_newest_version_or_brought_there_from_the_named_one(self) -> None:
        ada, bob = session_of("ada"), session_of("bob")
        room_of(ada, bob)
        operate(bob, ["abc"], 0)
        for seconds, fields, moved in ((1, {}, (0, 1)), (2, {"version": 0}, (0, 4))):
            effects = tell(ada, "selection_change", selection((0, 1), **fields), now=at(seconds))
            shown = only(messages.PresenceUpdate, effects, bob).presence.selection
            assert isinstance(shown, messages.Selection)
            assert shown.version == 1
            assert [(selected.anchor, selected.head) for selected in shown.ranges] == [moved]

    def test_v5_a_selection_stays_on_its_text_while_others_write(self) -> None:
        ada, bob, eve = session_of("ada"), session_of("bob"), session_of("eve")
        room = room_of(ada, bob, document=text_document("one two three"))
        tell(ada, "selection_change", selection((4, 7)))
        operate(bob, [{"d": 3}, "1, 1.5, "], 0)
        operate(ada, [9, "!"], 1)
        joined = only(messages.RoomJoined, enter(room, eve), eve)
        shown = joined.participants[0].presence.selection
        assert isinstance(shown, messages.Selection)
        (selected,) = shown.ranges
        assert joined.document_state.data[selected.anchor : selected.head] == "two"
        assert shown.version == joined.version == 2

    def test_v5_a_selection_that_is_held_back_is_sent_where_it_is_by_then(self) -> None:
        ada, bob = session_of("ada"), session_of("bob")
        room = room_of(ada, bob, document=text_document("abc"))
        tell(ada, "selection_change", selection((0, 0)))
        assert tell(ada, "selection_change", selection((2, 3)), now=at(0.01)) == [Wake(room, at(0.1).monotonic)]
        operate(bob, ["xyz"], 0)
        (update,) = received(room.tick(at(0.1)), bob)
        assert isinstance(update, messages.PresenceUpdate)
        shown = update.presence.selection
        assert isinstance(shown, messages.Selection)
        assert (shown.ranges, shown.version) == ([messages.SelectionRange(5, 6)], 1)

    def test_v5_who_types_at_an_end_of_ones_own_selection_moves_it_and_others_do_not(self) -> None:
        ada, bob = session_of("ada"), session_of("bob")
        room = room_of(ada, bob, document=text_document("abc"))
        for version, writer, place in ((0, bob, 1), (1, ada, 2)):
            tell(ada, "selection_change", selection((1, 1)), now=at(version))
            operate(writer, [1, "x"], version)
            shown = enter(room, session_of("eve"))
            participant = effects_of(Send, shown)[0].payload.participants[0]  # type: ignore[union-attr]
            assert participant.presence.selection.ranges[0].anchor == place

    def test_v5_a_version_of_the_future_is_refused(self) -> None:
        ada = session_of("ada")
        room = room_of(ada)
        with pytest.raises(VersionMismatch) as caught:
            tell(ada, "selection_change", selection((0, 1), version=1))
        assert caught.value.details["version"] == 0
        assert room.participants["ada"].selection is None

    @pytest.mark.parametrize("end", ["anchor", "head"])
    def test_positions_in_text_are_numbers(self, end: str) -> None:
        ada = session_of("ada")
        room = room_of(ada)
        ranges = [{"anchor": 0, "head": 0}, {"anchor": 0, "head": 0, end: ["title", 0]}]
        with pytest.raises(InvalidMessage) as caught:
            tell(ada, "selection_change", {"ranges": ranges, "color": "red"})
        assert caught.value.details["path"] == f"payload.ranges[1].{end}"
        assert room.participants["ada"].selection is None

    def test_v3_selections_are_relayed_once_per_100_ms_the_newest_winning(self) -> None:
        ada, bob = session_of("ada"), session_of("bob")
        room = room_of(ada, bob)
        assert received(tell(ada, "selection_change", selection((0, 0)), now=at(0)), bob)
        for step in (1, 2, 3):
            effects = tell(ada, "selection_change", selection((step, step)), now=at(0.02 * step))
            assert effects == [Wake(room, at(0.1).monotonic)]
        assert room.next_due() == at(0.1).monotonic
        shown = only(messages.PresenceUpdate, room.tick(at(0.1)), bob).presence.selection
        assert isinstance(shown, messages.Selection)
        assert shown.ranges == [messages.SelectionRange(3, 3)]
        assert room.tick(at(1)) == []

    def test_b4_a_selection_by_frame_has_the_participants_colour_and_the_newest_version(self) -> None:
        ada = session_of("ada", 1)
        room = room_of(ada)
        room.selections.lists_changes = True
        operate(ada, ["abc"], 0)
        select_by_frame(room, ada, 0, 3, 0)
        ((_, update),) = room.record_updates(START)
        expected = messages.Selection([messages.SelectionRange(0, 3)], "#c92a2a", 1)
        assert update.presence == messages.PresenceData(selection=expected)
        assert _binary.decode_frames(room.selections.flush(START.monotonic)) == (2, 7, [(1, 0, 3, 0, None)])

    def test_v3_a_selection_that_waits_does_not_follow_a_newer_one_by_frame(self) -> None:
        ada, bob = session_of("ada"), session_of("bob")
        room = room_of(ada, bob)
        tell(ada, "selection_change", selection((1, 1)), now=at(0))
        tell(ada, "selection_change", selection((2, 2)), now=at(0.05))
        select_by_frame(room, ada, 3, 3, 0.06)
        assert room.tick(at(0.2)) == []

    def test_v3_a_frame_that_waits_does_not_follow_a_newer_selection(self) -> None:
        ada, bob = session_of("ada"), session_of("bob")
        room = room_of(ada, bob)
        room.selections.lists_changes = True
        select_by_frame(room, ada, 1, 1, 0)
        room.selections.flush(at(0).monotonic)
        room.record_updates(at(0))
        select_by_frame(room, ada, 2, 2, 0.05)
        assert received(tell(ada, "selection_change", selection((3, 3)), now=at(0.06)), bob)
        assert room.selections.flush(at(0.2).monotonic) == b""
        assert room.record_updates(at(0.2)) == []
        # Nor is it what a slow reader is owed.
        assert room.selections.missed_since(1, None) == []
        # The next one goes its way.
        select_by_frame(room, ada, 4, 4, 0.3)
        assert _binary.decode_frames(room.selections.flush(at(0.3).monotonic))[2][0][1] == 4

    def test_a_cursor_and_a_selection_by_frame_are_one_update(self) -> None:
        ada, bob = session_of("ada"), session_of("bob")
        room = room_of(ada, bob)
        room.cursors.lists_changes = room.selections.lists_changes = True
        room.move(ada, cursor(1, 1), START)
        select_by_frame(room, ada, 0, 0, 0)
        ((_, update),) = room.record_updates(START)
        assert update.presence.cursor is not UNSET
        assert update.presence.selection is not UNSET


class TestOwnPresence:
    def test_v1_only_what_changed_is_told(self) -> None:
        ada, bob = session_of("ada"), session_of("bob")
        room_of(ada, bob)
        effects = tell(ada, "presence_update", {"presence": {"status": "away"}})
        assert only(messages.PresenceUpdate, effects, bob).presence == messages.PresenceData(status="away")
        assert received(effects, ada) == []

    def test_v1_what_was_removed_is_null(self) -> None:
        ada, bob = session_of("ada"), session_of("bob")
        room = room_of(ada, bob)
        tell(ada, "presence_update", {"presence": {"status": "away", "data": {"a": 1}}})
        effects = tell(ada, "presence_update", {"presence": {"status": None, "data": None}}, now=at(1))
        update = only(messages.PresenceUpdate, effects, bob)
        assert json.loads(messages.encode(update, 0))["payload"]["presence"] == {"status": None, "data": None}
        # To a newcomer, what was removed is not there.
        assert room.participants["ada"].description().presence == messages.PresenceData()

    def test_a_presence_without_changes_is_told_nobody(self) -> None:
        ada, bob = session_of("ada"), session_of("bob")
        room_of(ada, bob)
        assert tell(ada, "presence_update", {"presence": {}}) == []

    def test_v3_status_and_data_are_relayed_once_per_500_ms_each_newest(self) -> None:
        ada, bob = session_of("ada"), session_of("bob")
        room = room_of(ada, bob)
        tell(ada, "presence_update", {"presence": {"status": "a"}}, now=at(0))
        for seconds, presence in ((0.1, {"status": "b", "data": 1}), (0.4, {"data": [2]})):
            effects = tell(ada, "presence_update", {"presence": presence}, now=at(seconds))
            assert effects == [Wake(room, at(0.5).monotonic)]
        update = only(messages.PresenceUpdate, room.tick(at(0.5)), bob)
        assert json.loads(messages.encode(update, 0))["payload"]["presence"] == {"status": "b", "data": [2]}

    def test_v3_kinds_do_not_wait_for_each_other(self) -> None:
        ada, bob = session_of("ada"), session_of("bob")
        room = room_of(ada, bob)
        tell(ada, "presence_update", {"presence": {"status": "a"}}, now=at(0))
        assert received(tell(ada, "selection_change", selection((0, 0)), now=at(0)), bob)
        tell(ada, "presence_update", {"presence": {"status": "b"}}, now=at(0.01))
        tell(ada, "selection_change", selection((1, 1)), now=at(0.01))
        assert room.next_due() == at(0.1).monotonic
        assert len(received(room.tick(at(0.1)), bob)) == 1
        assert room.next_due() == at(0.5).monotonic

    def test_v3_what_waits_is_told_before_its_user_leaves_for_good(self) -> None:
        ada, bob = session_of("ada"), session_of("bob")
        room = room_of(ada, bob, settings=RoomSettings(grace_period=SECOND // 10))
        tell(ada, "presence_update", {"presence": {"status": "a"}}, now=at(0))
        tell(ada, "presence_update", {"presence": {"status": "b"}}, now=at(0.01))
        ada.closed(farewell=False, now=at(0.02))
        effects = room.tick(at(0.6))
        assert [type(payload) for payload in received(effects, bob)] == [messages.PresenceUpdate, messages.UserLeft]
        assert room.next_due() is None

    @pytest.mark.parametrize(("length", "good"), [(4094, True), (4095, False)])
    def test_v4_data_are_bounded_in_bytes_of_json(self, length: int, good: bool) -> None:
        ada, bob = session_of("ada"), session_of("bob")
        room = room_of(ada, bob)
        if good:
            assert received(tell(ada, "presence_update", {"presence": {"data": "x" * length}}), bob)
            return
        with pytest.raises(InvalidMessage) as caught:
            tell(ada, "presence_update", {"presence": {"data": "x" * length, "status": "away"}})
        assert caught.value.details == {"path": "payload.presence.data", "limit": 4096, "size": 4097}
        assert room.participants["ada"].data is None
        assert room.participants["ada"].status is None

    def test_data_that_not_every_parser_takes_are_refused(self) -> None:
        ada = session_of("ada")
        room_of(ada)
        with pytest.raises(InvalidMessage) as caught:
            tell(ada, "presence_update", {"presence": {"data": 2**70}})
        assert caught.value.details == {"path": "payload.presence.data"}


class TestEvents:
    def test_v2_an_event_reaches_every_other_connection(self) -> None:
        first, second, bob = session_of("ada", 1), session_of("ada", 1), session_of("bob")
        room_of(first, second, bob)
        effects = tell(first, "event", {"name": "wave", "data": {"n": 1}})
        for other in (second, bob):
            event = only(messages.EventSent, effects, other)
            assert (event.name, event.user_id, event.numeric_id) == ("wave", "ada", 1)
            assert json.loads(bytes(event.data)) == {"n": 1}
        assert received(effects, first) == []

    def test_v2_or_the_connections_of_one_user_only(self) -> None:
        ada, first, second, eve = session_of("ada"), session_of("bob"), session_of("bob"), session_of("eve")
        room_of(ada, first, second, eve)
        effects = tell(ada, "event", {"name": "wave"}, targetUserId="bob")
        assert only(messages.EventSent, effects, first).data is UNSET
        assert only(messages.EventSent, effects, second)
        assert received(effects, ada) == received(effects, eve) == []

    @pytest.mark.parametrize("away", [True, False])
    def test_v2_a_target_who_is_not_there(self, away: bool) -> None:
        ada, bob = session_of("ada"), session_of("bob")
        room_of(ada, bob)
        bob.closed(farewell=not away, now=START)
        with pytest.raises(InvalidMessage) as caught:
            tell(ada, "event", {"name": "wave"}, targetUserId="bob")
        assert caught.value.details["path"] == "targetUserId"

    def test_data_that_not_every_parser_takes_are_refused(self) -> None:
        ada = session_of("ada")
        room_of(ada)
        with pytest.raises(InvalidMessage) as caught:
            tell(ada, "event", {"name": "wave", "data": [2**70]})
        assert caught.value.details == {"path": "payload.data"}


class TestOperations:
    def test_ot3_the_sender_gets_an_ack_and_every_other_connection_the_operation(self) -> None:
        first, second, bob = session_of("ada", 1), session_of("ada", 1), session_of("bob", 2)
        room = room_of(first, second, bob, document=text_document("abc"))
        told = envelope("operation", {"operation": [3, "d"], "version": 0})
        effects = receive(first, messages.decode(json.dumps(told)))
        assert received(effects, first) == [messages.Ack(told["id"], 1)]
        broadcast = messages.OperationBroadcast([3, "d"], "ada", 1, told["id"], 0, 1)
        assert received(effects, second) == received(effects, bob) == [broadcast]
        assert room.document.content == "abcd"

    def test_ot3_a_late_operation_is_told_as_transformed_with_the_version_it_was_written_against(self) -> None:
        ada, bob = session_of("ada"), session_of("bob")
        room_of(ada, bob, document=text_document("abc"))
        operate(ada, ["1"], 0)
        sent = only(messages.OperationBroadcast, operate(bob, [3, "!"], 0), ada)
        assert (sent.operation, sent.version, sent.transformed_version) == ([4, "!"], 0, 2)

    def test_ot5_the_same_message_again_is_acknowledged_and_told_nobody(self) -> None:
        ada, bob = session_of("ada"), session_of("bob")
        room_of(ada, bob)
        told = envelope("operation", {"operation": ["a"], "version": 0})
        first, second = (receive(ada, messages.decode(json.dumps(told))) for _ in range(2))
        assert received(first, ada) == received(second, ada) == [messages.Ack(told["id"], 1)]
        assert received(second, bob) == []

    def test_p2_an_operation_needs_write(self) -> None:
        ada, bob = session_of("ada"), session_of("bob")
        room = room_of(bob)
        enter(room, ada, permission=Permission.READ)
        with pytest.raises(NoPermission) as caught:
            operate(ada, ["a"], 0)
        assert caught.value.details == {"needed": "write", "granted": "read"}
        assert room.document.version == 0
        # All else needs no more than read.
        tell(ada, "selection_change", selection((0, 0)))
        tell(ada, "presence_update", {"presence": {"status": "a"}})
        tell(ada, "event", {"name": "wave"})
        room.move(ada, cursor(0, 0), START)

    def test_ot8_a_checksum_is_looked_at(self) -> None:
        ada = session_of("ada")
        room = room_of(ada, document=text_document("abc"))
        tell(ada, "operation", {"operation": [3, "d"], "version": 0, "checksum": "2e5a7dd1"})
        assert room.document.version == 1


class TestRecovery:
    def missed(self, limits: DocumentLimits | None = None) -> Room:
        """A room in which Bob has made five operations."""
        bob = session_of("bob", 2)
        room = room_of(bob, document=text_document(limits=limits))
        for version in range(5):
            operate(bob, ["x"], version)
        return room

    def rejoin(self, room: Room, **request: Any) -> tuple[messages.RoomJoined, list[messages.ServerPayload]]:
        ada = session_of("ada")
        joined, *missed = received(enter(room, ada, **request), ada)
        assert isinstance(joined, messages.RoomJoined)
        return joined, missed

    def test_ot9_only_what_was_missed_is_sent_one_by_one(self) -> None:
        room = self.missed()
        joined, missed = self.rejoin(room, lastSyncVersion=2, epoch=room.document.epoch)
        assert joined.recovery == messages.Recovery(recovered=True, missed=3)
        assert joined.document_state == messages.DocumentState("text", 5, room.document.epoch)
        assert joined.version == 5
        assert [
            (sent.operation, sent.user_id, sent.numeric_id, sent.version, sent.transformed_version)
            for sent in missed
            if isinstance(sent, messages.OperationBroadcast)
        ] == [(["x"], "bob", 2, version - 1, version) for version in (3, 4, 5)]

    def test_ot9_ones_own_are_among_them(self) -> None:
        ada = session_of("ada")
        room = room_of(ada)
        told = envelope("operation", {"operation": ["a"], "version": 0})
        receive(ada, messages.decode(json.dumps(told)))
        ada.closed(farewell=False, now=START)
        _, (missed,) = self.rejoin(room, lastSyncVersion=0, epoch=room.document.epoch)
        assert isinstance(missed, messages.OperationBroadcast)
        assert missed.message_id == told["id"]

    def test_ot9_who_missed_nothing_gets_nothing(self) -> None:
        room = self.missed()
        joined, missed = self.rejoin(room, lastSyncVersion=5, epoch=room.document.epoch)
        assert joined.recovery == messages.Recovery(recovered=True, missed=0)
        assert joined.document_state.data is UNSET
        assert missed == []

    def test_ot9_not_asked_for_it_is_not_spoken_of(self) -> None:
        joined, missed = self.rejoin(self.missed())
        assert joined.recovery is UNSET
        assert joined.document_state.data == "xxxxx"
        assert missed == []

    @pytest.mark.parametrize("request_of", [{"lastSyncVersion": 5, "epoch": "another"}, {"lastSyncVersion": 5}])
    def test_ot9_versions_of_another_life_say_nothing(self, request_of: dict[str, Any]) -> None:
        joined, missed = self.rejoin(self.missed(), **request_of)
        assert joined.recovery == messages.Recovery(recovered=False, reason="epoch_changed")
        assert joined.document_state.data == "xxxxx"
        assert missed == []

    def test_ot9_a_version_that_was_never_reached_is_of_another_life(self) -> None:
        room = self.missed()
        joined, missed = self.rejoin(room, lastSyncVersion=6, epoch=room.document.epoch)
        assert joined.recovery == messages.Recovery(recovered=False, reason="epoch_changed")
        assert joined.document_state.data == "xxxxx"
        assert missed == []

    def test_ot9_more_than_may_wait_for_a_connection_is_not_sent(self) -> None:
        document = text_document()
        writer = session_of("bob", 2)
        room = room_of(writer, settings=RoomSettings(max_recovery_bytes=450), document=document)
        for version in range(5):
            receive(writer, message("operation", {"operation": ["x"], "version": version}))
        few, missed = self.rejoin(room, lastSyncVersion=1, epoch=document.epoch)
        assert few.recovery == messages.Recovery(recovered=True, missed=4)
        assert len(missed) == 4
        all_of_them, none = self.rejoin(room, lastSyncVersion=0, epoch=document.epoch)
        assert all_of_them.recovery == messages.Recovery(recovered=False, reason="gap_trimmed")
        assert all_of_them.document_state.data == "xxxxx"
        assert none == []

    def test_ot9_what_is_not_kept_cannot_be_sent(self) -> None:
        room = self.missed(DocumentLimits(operations=2))
        joined, missed = self.rejoin(room, lastSyncVersion=2, epoch=room.document.epoch)
        assert joined.recovery == messages.Recovery(recovered=False, reason="gap_trimmed")
        assert joined.document_state.data == "xxxxx"
        assert missed == []
