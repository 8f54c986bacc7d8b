"""Sessions: who may say what, where it goes, and how it is answered (rules S1 to S5, R3, E4, K1, L1, D1)."""

import json
from dataclasses import replace
from typing import Any

import msgspec
import pytest
from tests.builders import (
    LIMITS,
    START,
    at,
    effects_of,
    enter,
    envelope,
    identity,
    message,
    new_room,
    new_session,
    only,
    receive,
    received,
    session_of,
    tell,
)

from fastcollab import messages
from fastcollab.core.effects import Activated, Close, Effect, Enter, Entered, Left, Verify
from fastcollab.core.limit_guard import LimitGuard, UserRates
from fastcollab.core.room import Room
from fastcollab.core.session import Session, SessionState, unpack
from fastcollab.errors import (
    CloseCode,
    ConnectionLimit,
    InvalidMessage,
    InvalidToken,
    NotAuthenticated,
    ProtocolError,
    RateLimited,
    RoomNotFound,
)

CONNECT = {"token": "a.b.c", "deviceId": "phone", "clientVersion": "1.0"}
CURSOR = {"x": 1, "y": 2, "viewportX": 0, "viewportY": 0, "timestamp": 5}

# What a client may send to a room that it is in, by type.
TO_A_ROOM: dict[str, dict[str, Any]] = {
    "cursor_move": CURSOR,
    "selection_change": {"ranges": [{"anchor": 0, "head": 0}], "color": "red"},
    "presence_update": {"presence": {"status": "away"}},
    "operation": {"operation": ["a"], "version": 0},
    "event": {"name": "wave"},
}
ABOUT_A_ROOM = {"leave_room": {"roomId": "plans"}, "activate_room": {"roomId": "plans"}}
JOIN = {"join_room": {"roomId": "plans"}}


def in_rooms(*room_ids: str) -> tuple[Session, dict[str, Room]]:
    """A session that has joined rooms of these names, in this order."""
    session = session_of()
    rooms = {room_id: new_room(room_id) for room_id in room_ids}
    for room in rooms.values():
        enter(room, session)
    return session, rooms


def acks(effects: list[Effect], session: Session) -> list[str]:
    return [payload.message_id for payload in received(effects, session) if isinstance(payload, messages.Ack)]


class TestAuthentication:
    def test_s1_a_new_connection_may_ping(self) -> None:
        session = new_session()
        pong = only(messages.Pong, tell(session, "ping", {"timestamp": 12.5}), session)
        assert pong == messages.Pong(12.5, START.unix)
        assert session.state is SessionState.NEW

    def test_s1_a_new_connection_may_connect(self) -> None:
        session = new_session()
        (effect,) = tell(session, "connect", CONNECT)
        assert isinstance(effect, Verify)
        assert effect.session is session
        assert effect.message.payload.token == "a.b.c"

    @pytest.mark.parametrize(("kind", "payload"), {**TO_A_ROOM, **ABOUT_A_ROOM, **JOIN}.items())
    def test_s1_anything_else_needs_a_token_and_the_connection_lives(self, kind: str, payload: Any) -> None:
        session = new_session()
        with pytest.raises(NotAuthenticated) as caught:
            tell(session, kind, payload, roomId="plans")
        assert (int(caught.value.code), caught.value.recoverable) == (1001, True)
        assert session.state is SessionState.NEW

    def test_s1_without_a_token_in_time_the_connection_ends(self) -> None:
        session = new_session()
        effects = session.overdue()
        error = only(messages.ErrorSent, effects, session)
        assert (error.code, error.recoverable) == (1001, False)
        (close,) = effects_of(Close, effects)
        assert (close.session, close.code) == (session, CloseCode.INVALID_TOKEN)

    def test_s1_a_token_in_time_is_in_time(self) -> None:
        assert session_of().overdue() == []

    def test_s1_a_connection_that_is_closed_is_not_overdue(self) -> None:
        session = new_session()
        session.closed(farewell=True, now=START)
        assert session.overdue() == []

    @pytest.mark.parametrize("in_handshake", [True, False])
    def test_s3_s4_a_good_token_is_answered_with_connected(self, in_handshake: bool) -> None:
        session = new_session()
        connect = None if in_handshake else message("connect", CONNECT)
        connected = only(messages.Connected, session.verified(identity("ada", 7), connect, START), session)
        assert session.authenticated
        assert connected == messages.Connected(
            connection_id=session.connection_id,
            user_id="ada",
            server_time=START.unix,
            numeric_id=7,
            heartbeat_interval=25_000,
            limits=LIMITS,
            protocol=1,
            resumed=False,
        )

    def test_s4_connect_again_without_a_token_states_device_and_version(self) -> None:
        session = session_of("ada", 7)
        connected = only(messages.Connected, tell(session, "connect", {**CONNECT, "token": ""}), session)
        assert connected.numeric_id == 7

    def test_s4_connect_again_with_a_token_has_it_verified(self) -> None:
        session = session_of("ada", 7)
        assert effects_of(Verify, tell(session, "connect", CONNECT))
        session.verified(replace(identity("ada", 7), name="Ada L."), message("connect", CONNECT), START)
        assert session.identity.name == "Ada L."

    def test_s4_a_new_connection_must_bring_a_token(self) -> None:
        assert effects_of(Verify, tell(new_session(), "connect", {**CONNECT, "token": ""}))

    def test_s4_a_token_for_another_user_is_refused_and_the_connection_stays_who_it_was(self) -> None:
        session = session_of("ada")
        with pytest.raises(NotAuthenticated) as caught:
            session.verified(identity("bob"), message("connect", CONNECT), START)
        assert caught.value.recoverable
        assert session.authenticated
        assert session.identity.user_id == "ada"

    def test_s3_a_bad_token_is_told_and_closes_a_new_connection(self) -> None:
        session = new_session()
        effects = session.refused(InvalidToken("forged", reason="invalid"), None)
        error = only(messages.ErrorSent, effects, session)
        assert (error.code, error.recoverable, error.details) == (1001, False, {"reason": "invalid"})
        # The error leaves before the connection is closed.
        assert isinstance(effects[-1], Close)
        assert effects[-1].code == CloseCode.INVALID_TOKEN == 4101

    def test_s4_a_bad_token_does_not_close_an_authenticated_connection(self) -> None:
        session = session_of()
        connect = message("connect", CONNECT)
        effects = session.refused(InvalidToken("expired", reason="expired"), connect)
        error = only(messages.ErrorSent, effects, session)
        assert (error.code, error.recoverable) == (1001, True)
        assert error.details == {"reason": "expired", "messageId": connect.id}
        assert not effects_of(Close, effects)
        assert session.authenticated

    def test_s5_too_many_connections_close_this_one(self) -> None:
        session = new_session()
        effects = session.refused(ConnectionLimit("too many", limit=5), None)
        assert only(messages.ErrorSent, effects, session).code == 1002
        (close,) = effects_of(Close, effects)
        assert close.code == CloseCode.CONNECTION_LIMIT == 4102


class TestActiveRoom:
    def test_r3_joining_is_asked_of_the_shell(self) -> None:
        session = session_of()
        (effect,) = tell(session, "join_room", {"roomId": "plans", "lastSyncVersion": 3})
        assert isinstance(effect, Enter)
        assert effect.message.payload.last_sync_version == 3
        assert session.active_room is None

    def test_r3_the_active_room_is_the_one_joined_last(self) -> None:
        session, rooms = in_rooms("one", "two", "three")
        assert session.active_room is rooms["three"]

    def test_r3_or_named_last(self) -> None:
        session, rooms = in_rooms("one", "two", "three")
        assert effects_of(Activated, tell(session, "activate_room", {"roomId": "one"})) == [
            Activated(session, rooms["one"])
        ]
        assert session.active_room is rooms["one"]

    def test_r3_joining_again_activates_too(self) -> None:
        session, rooms = in_rooms("one", "two")
        assert effects_of(Entered, enter(rooms["one"], session)) == [Entered(session, rooms["one"])]
        assert session.active_room is rooms["one"]

    def test_r3_after_leaving_it_is_the_one_before(self) -> None:
        session, rooms = in_rooms("one", "two", "three")
        tell(session, "activate_room", {"roomId": "one"})
        effects = tell(session, "leave_room", {"roomId": "one"})
        assert effects_of(Left, effects) == [Left(session, rooms["one"])]
        assert effects_of(Activated, effects) == [Activated(session, rooms["three"])]
        tell(session, "leave_room", {"roomId": "three"})
        assert session.active_room is rooms["two"]
        assert not effects_of(Activated, tell(session, "leave_room", {"roomId": "two"}))
        assert session.active_room is None

    @pytest.mark.parametrize("named", [True, False])
    @pytest.mark.parametrize(("kind", "payload"), TO_A_ROOM.items())
    def test_r3_a_message_goes_to_the_room_it_names_or_to_the_active_one(
        self, kind: str, payload: Any, named: bool
    ) -> None:
        session, rooms = in_rooms("one", "two")
        other = session_of("bob")
        for room in rooms.values():
            enter(room, other)
        tell(session, kind, payload, **({"roomId": "one"} if named else {}))
        meant, spared = ("one", "two") if named else ("two", "one")

        def traces(room: Room) -> tuple[object, ...]:
            ada = room.participants["ada"]
            return ada.cursor.position(), ada.selection, ada.status, room.document.version

        untouched = (None, None, None, 0)
        assert traces(rooms[spared]) == untouched
        assert (traces(rooms[meant]) == untouched) is (kind == "event")

    def test_r3_an_event_goes_there_too(self) -> None:
        session, rooms = in_rooms("one", "two")
        bob, eve = session_of("bob"), session_of("eve")
        enter(rooms["one"], bob)
        enter(rooms["two"], eve)
        effects = tell(session, "event", {"name": "wave"})
        assert (len(received(effects, bob)), len(received(effects, eve))) == (0, 1)
        effects = tell(session, "event", {"name": "wave"}, roomId="one")
        assert (len(received(effects, bob)), len(received(effects, eve))) == (1, 0)

    @pytest.mark.parametrize(("kind", "payload"), {**TO_A_ROOM, **ABOUT_A_ROOM}.items())
    def test_r3_a_room_that_the_connection_is_not_in(self, kind: str, payload: Any) -> None:
        session, _ = in_rooms("one")
        with pytest.raises(RoomNotFound) as caught:
            tell(session, kind, payload, roomId="plans")
        assert (int(caught.value.code), caught.value.recoverable) == (2001, True)
        assert caught.value.details == {"roomId": "plans"}

    @pytest.mark.parametrize(("kind", "payload"), TO_A_ROOM.items())
    def test_r3_without_any_room(self, kind: str, payload: Any) -> None:
        with pytest.raises(RoomNotFound):
            tell(session_of(), kind, payload)

    def test_closing_leaves_every_room(self) -> None:
        session, rooms = in_rooms("one", "two")
        effects = session.closed(farewell=True, now=START)
        assert {effect.room.id for effect in effects_of(Left, effects)} == {"one", "two"}
        assert session.rooms == {}
        assert session.state is SessionState.CLOSED
        assert all(room.deserted for room in rooms.values())


class TestAcknowledgment:
    @pytest.mark.parametrize(("kind", "payload"), {**TO_A_ROOM, **ABOUT_A_ROOM, "ping": {"timestamp": 1}}.items())
    @pytest.mark.parametrize("asked", [True, False])
    def test_e4_an_ack_comes_last_and_only_if_asked_for(self, kind: str, payload: Any, asked: bool) -> None:
        session, _ = in_rooms("plans")
        told = envelope(kind, payload, acknowledgment=asked)
        effects = receive(session, messages.decode(json.dumps(told)))
        always = kind == "operation"  # OT3: with the version, and never twice
        assert acks(effects, session) == [told["id"]] * (asked or always)
        if asked and not always:
            assert received(effects, session)[-1] == messages.Ack(told["id"])

    def test_e4_of_connect_on_an_authenticated_connection(self) -> None:
        session = session_of()
        effects = tell(session, "connect", {**CONNECT, "token": ""}, acknowledgment=True)
        assert [type(payload) for payload in received(effects, session)] == [messages.Connected, messages.Ack]

    def test_e4_of_connect_when_its_token_was_verified(self) -> None:
        session = new_session()
        connect = message("connect", CONNECT, acknowledgment=True)
        assert acks(session.verified(identity(), connect, START), session) == [connect.id]

    def test_e4_of_a_join_when_it_was_carried_out(self) -> None:
        session, room = session_of(), new_room()
        join = message("join_room", {"roomId": "plans"}, acknowledgment=True)
        assert received(session.receive(join, 100, START), session) == []
        effects = session.answered(join, enter(room, session))
        assert [type(payload) for payload in received(effects, session)] == [messages.RoomJoined, messages.Ack]

    def test_e4_a_message_that_failed_is_not_acknowledged(self) -> None:
        session = new_session()
        connect = message("connect", CONNECT, acknowledgment=True)
        assert acks(session.refused(InvalidToken("forged"), connect), session) == []


class TestLimits:
    LIMITS = msgspec.structs.replace(LIMITS, operations=3, messages=4, burst=1.0)

    def member(self) -> Session:
        session = session_of(limits=self.LIMITS)
        enter(new_room(), session)
        return session

    def test_l1_operations_have_a_limit_of_their_own(self) -> None:
        session = self.member()
        for _ in range(3):
            tell(session, "operation", TO_A_ROOM["operation"])
        with pytest.raises(RateLimited) as caught:
            tell(session, "operation", TO_A_ROOM["operation"])
        assert caught.value.details["limit"] == 3
        assert session.rooms["plans"].document.version == 3
        tell(session, "event", {"name": "wave"})
        tell(session, "operation", TO_A_ROOM["operation"], now=at(0.34))

    @pytest.mark.parametrize(
        ("kind", "payload"),
        [
            *((kind, payload) for kind, payload in TO_A_ROOM.items() if kind not in {"cursor_move", "operation"}),
            ("activate_room", {"roomId": "plans"}),
            ("join_room", {"roomId": "plans"}),
            ("connect", CONNECT),
            ("ping", {"timestamp": 1}),
        ],
    )
    def test_l1_all_other_messages_share_one(self, kind: str, payload: Any) -> None:
        session = self.member()
        for _ in range(4):
            tell(session, kind, payload)
        for other, others_payload in (("event", {"name": "wave"}), (kind, payload)):
            with pytest.raises(RateLimited) as caught:
                tell(session, other, others_payload)
            assert caught.value.details["limit"] == 4
        tell(session, "operation", TO_A_ROOM["operation"])
        tell(session, kind, payload, now=at(0.25))

    def test_l1_a_new_connection_is_limited_too(self) -> None:
        session = new_session(self.LIMITS)
        for _ in range(4):
            tell(session, "connect", CONNECT)
        with pytest.raises(RateLimited):
            tell(session, "ping", {"timestamp": 1})

    def test_l1_cursors_are_never_refused(self) -> None:
        session = self.member()
        for _ in range(1_000):
            tell(session, "cursor_move", CURSOR)

    def test_l1_the_connections_of_a_user_share_their_limits(self) -> None:
        room, rates = new_room(), UserRates(self.LIMITS, LimitGuard())
        first, second, other = (session_of(user, rates=rates) for user in ("ada", "ada", "bob"))
        for session in (first, second, other):
            enter(room, session)
        for session in (first, second, first):
            tell(session, "operation", TO_A_ROOM["operation"])
        for session in (first, second):
            with pytest.raises(RateLimited):
                tell(session, "operation", TO_A_ROOM["operation"])
        tell(other, "operation", TO_A_ROOM["operation"])

    def test_l1_a_connection_without_a_token_takes_nothing_from_others(self) -> None:
        rates = UserRates(self.LIMITS, LimitGuard())
        first, second = new_session(rates=rates), new_session(rates=rates)
        for _ in range(4):
            tell(first, "ping", {"timestamp": 1})
        tell(second, "ping", {"timestamp": 1})

    def test_l4_in_shadow_mode_all_is_carried_out(self) -> None:
        guard = LimitGuard({"operations"})
        session = session_of(rates=UserRates(self.LIMITS, guard))
        enter(new_room(), session)
        for _ in range(10):
            tell(session, "operation", TO_A_ROOM["operation"])
        assert session.rooms["plans"].document.version == 10
        assert guard.counts() == {"operations": (0, 7)}


class TestBatch:
    def batch(self, *inner: Any) -> Any:
        return message("batch", {"messages": list(inner), "compressed": False})

    def test_d1_messages_come_in_their_order_with_their_sizes(self) -> None:
        pings = [envelope("ping", {"timestamp": number}) for number in range(3)]
        unpacked = unpack(self.batch(*pings), 3)
        assert [item[0].payload.timestamp for item in unpacked if isinstance(item, tuple)] == [0, 1, 2]  # type: ignore[union-attr]
        assert [item[1] for item in unpacked if isinstance(item, tuple)] == [len(json.dumps(ping)) for ping in pings]

    def test_d1_sizes_are_in_bytes(self) -> None:
        text = json.dumps(envelope("event", {"name": "👩"}), ensure_ascii=False)
        batch = messages.decode(
            json.dumps(envelope("batch", {"messages": [], "compressed": True})).replace("[]", f"[{text}]")
        )
        assert isinstance(batch, messages.Batch)
        ((_, size),) = unpack(batch, 1)  # type: ignore[misc]
        assert size == len(text.encode()) == len(text) + 3

    def test_d1_one_that_is_malformed_does_not_stop_the_next(self) -> None:
        bad = envelope("cursor_move", {**CURSOR, "x": "left"})
        first, second, third = unpack(
            self.batch(envelope("ping", {"timestamp": 1}), bad, envelope("event", {"name": "n"})), 9
        )
        assert isinstance(first, tuple) and isinstance(third, tuple)
        assert isinstance(second, InvalidMessage)
        assert second.details == {"path": "payload.x", "messageId": bad["id"]}

    def test_d1_a_batch_in_a_batch_is_refused(self) -> None:
        inner = envelope("batch", {"messages": [], "compressed": False})
        (error,) = unpack(self.batch(inner), 9)
        assert isinstance(error, InvalidMessage)
        assert error.details == {"path": "type", "messageId": inner["id"]}

    @pytest.mark.parametrize("inner", [7, None, "text", {}, {"id": 5, "type": "ping"}])
    def test_d1_what_has_no_id_is_a_fault_of_the_batch(self, inner: Any) -> None:
        batch = self.batch(envelope("ping", {"timestamp": 1}), inner)
        _, error = unpack(batch, 9)
        assert isinstance(error, ProtocolError)
        assert error.details["messageId"] == batch.id
        path = error.details["path"]
        assert path == "payload.messages[1]" or path.startswith("payload.messages[1].")

    @pytest.mark.parametrize(("count", "good"), [(100, True), (101, False)])
    def test_d1_messages_per_batch_are_bounded(self, count: int, good: bool) -> None:
        batch = self.batch(*[7] * count)
        if good:
            assert len(unpack(batch, 100)) == 100
            return
        with pytest.raises(InvalidMessage) as caught:
            unpack(batch, 100)
        assert caught.value.details == {"path": "payload.messages", "limit": 100, "size": 101, "messageId": batch.id}
