"""The life of a token on an open connection: notice, end, renewal, validation, revocation (rules S8 to S12)."""

from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.builders import (
    LIMITS,
    START,
    at,
    commit,
    effects_of,
    enter,
    identity,
    marks,
    message,
    new_room,
    new_session,
    only,
    received,
    tell,
)

from fastcollab import messages
from fastcollab.core.effects import Activated, Close, Effect, Left, Validate, Verify
from fastcollab.core.instant import Instant
from fastcollab.core.limit_guard import LimitGuard, UserRates
from fastcollab.core.limits import SECOND
from fastcollab.core.permissions import Permission
from fastcollab.core.revocation import Revocation
from fastcollab.core.room import Room
from fastcollab.core.session import Identity, Session, SessionSettings, SessionState
from fastcollab.errors import (
    CloseCode,
    InternalError,
    InvalidToken,
    NoPermission,
    NotAuthenticated,
    RoomNotFound,
    ServiceUnavailable,
)

NONE, READ, WRITE, ADMIN = Permission
REFRESH = {"token": "a.b.c"}
NOW = START.unix / 1000


def holder(lives: float = 3600, user_id: str = "ada", **others: Any) -> Identity:
    """Somebody whose token lives for so many seconds from `START` on."""
    return replace(identity(user_id), token=marks(user_id, expires_at=NOW + lives, **others))


def session_with(lives: float = 3600, user_id: str = "ada", **settings: Any) -> tuple[Session, list[Effect]]:
    in_force = SessionSettings(LIMITS, heartbeat_interval=25_000, **settings)
    session = Session(messages.new_id(), in_force, UserRates(LIMITS, LimitGuard()))
    return session, session.verified(holder(lives, user_id), None, START)


def run(session: Session, until: float, step: float = 1.0) -> list[tuple[float, Effect]]:
    """What a sweeper that looks every `step` seconds gets from the session, and when."""
    told: list[tuple[float, Effect]] = []
    seconds = 0.0
    while seconds <= until:
        if session.due_at <= at(seconds).monotonic:
            told += [(seconds, effect) for effect in session.tick(at(seconds))]
        seconds += step
    return told


def errors(effects: list[Effect], session: Session) -> list[messages.ErrorSent]:
    return [payload for payload in received(effects, session) if isinstance(payload, messages.ErrorSent)]


class TestExpiry:
    def test_s8_notice_and_end_come_in_time(self) -> None:
        session, effects = session_with(600)
        assert not [payload for payload in received(effects, session) if isinstance(payload, messages.TokenExpiring)]
        told = [(when, effect) for when, effect in run(session, 700) if not isinstance(effect, Validate)]
        notice = only(messages.TokenExpiring, [told[0][1]], session)
        assert (told[0][0], notice.expires_at) == (540, START.unix + 600_000)
        error = only(messages.ErrorSent, [told[1][1]], session)
        assert (told[1][0], error.code, error.recoverable) == (600, 1001, False)
        assert error.details == {"reason": "expired"}
        assert told[2] == (600, Close(session, CloseCode.INVALID_TOKEN, "the token has expired"))
        assert len(told) == 3
        assert session.state is SessionState.ENDING

    def test_s8_what_is_late_at_the_start_is_told_at_once(self) -> None:
        session, effects = session_with(59)
        connected, expiring = received(effects, session)
        assert isinstance(connected, messages.Connected)
        assert expiring == messages.TokenExpiring(START.unix + 59_000)
        told = [effect for _, effect in run(session, 58) if not isinstance(effect, Validate)]
        assert told == []

    def test_s8_the_leeway_is_waited_for(self) -> None:
        session, _ = session_with(100, expiry_leeway=30_000, expiry_notice=10_000)
        told = [(when, effect) for when, effect in run(session, 200) if not isinstance(effect, Validate)]
        assert [when for when, _ in told] == [90, 130, 130]

    def test_s8_a_notice_of_no_time_comes_with_the_end(self) -> None:
        session, _ = session_with(10, expiry_notice=0, expiry_leeway=5_000)
        told = [(when, effect) for when, effect in run(session, 20) if not isinstance(effect, Validate)]
        assert [when for when, _ in told] == [10, 15, 15]

    @pytest.mark.parametrize("exp", [2.0**43, float((2**53 - 1) // 1000)])
    def test_s8_a_token_for_ever(self, exp: float) -> None:
        session = new_session()
        session.verified(replace(identity(), token=marks(expires_at=exp)), None, START)
        assert {type(effect) for _, effect in run(session, 100_000, step=300)} == {Validate}

    def test_s8_an_expired_session_takes_no_further_token_and_may_be_taken_up(self) -> None:
        session, _ = session_with(10)
        room = new_room()
        enter(room, session)
        run(session, 11)
        assert session.over and session.resumable and session.registered
        assert not session.authenticated
        assert session.tick(at(12)) == []
        # Its user may come back, as after any loss (R7).
        effects = session.closed(False, at(13))
        assert not received(effects, session) and "ada" in room.participants

    def test_s8_the_calendar_may_be_set(self) -> None:
        """Who is to be looked at when goes by the other clock, and finds out at the next validation at the latest."""
        session, _ = session_with(3600, validation_interval=100 * SECOND)
        later = Instant(at(100).monotonic, START.unix + 3_700_000)
        assert session.due_at <= later.monotonic
        assert effects_of(Close, session.tick(later))

    @given(
        lives=st.integers(1, 2_000),
        notice=st.integers(0, 500),
        leeway=st.integers(0, 100),
        interval=st.integers(1, 400),
        step=st.sampled_from([0.5, 1.0, 7.0]),
    )
    def test_s8_s10_whatever_the_settings(
        self, lives: int, notice: int, leeway: int, interval: int, step: float
    ) -> None:
        session, effects = session_with(
            lives,
            expiry_notice=notice * 1000,
            expiry_leeway=leeway * 1000,
            validation_interval=interval * SECOND,
        )
        told = [(0.0, effect) for effect in effects] + run(session, lives + leeway + 2 * step, step)
        sent = [(when, payload) for when, effect in told for payload in received([effect], session)]
        notices = [when for when, payload in sent if isinstance(payload, messages.TokenExpiring)]
        # One that is no longer before the end than the sweeper's step may come too late to be told.
        assert len(notices) == 1 or (not notices and notice + leeway < step)
        assert all(0 <= notice_at - max(0, lives - notice) < step for notice_at in notices)
        (closed_at,) = [when for when, effect in told if isinstance(effect, Close)]
        assert 0 <= closed_at - (lives + leeway) < step
        validations = [0.0, *(when for when, effect in told if isinstance(effect, Validate))]
        for one, next_one in zip(validations, [*validations[1:], closed_at], strict=True):
            assert next_one - one < interval + step


class TestRefresh:
    def test_s9_another_token_is_verified_and_takes_effect(self) -> None:
        session, _ = session_with(100)
        run(session, 50)
        (effect,) = tell(session, "refresh_token", REFRESH, at(50), acknowledgment=True)
        assert isinstance(effect, Verify)
        renewed = replace(holder(900), name="Countess", color="#000000")
        room = new_room()
        enter(room, session)
        effects = session.verified(renewed, effect.message, at(50))
        answer, ack = received(effects, session)
        assert answer == messages.TokenRefreshed(START.unix + 900_000)
        assert ack == messages.Ack(effect.message.id)
        assert (session.identity.name, room.participants["ada"].description().color) == ("Countess", "#000000")
        told = [(when, each) for when, each in run(session, 1000) if not isinstance(each, Validate)]
        assert [when for when, _ in told] == [840, 900, 900]

    def test_s9_each_token_has_its_notice(self) -> None:
        session, _ = session_with(30)
        effects = session.verified(holder(40), message("refresh_token", REFRESH), START)
        assert [type(payload) for payload in received(effects, session)] == [
            messages.TokenRefreshed,
            messages.TokenExpiring,
        ]

    def test_s9_it_needs_a_token_before(self) -> None:
        session = new_session()
        with pytest.raises(NotAuthenticated):
            tell(session, "refresh_token", REFRESH)

    def test_s9_another_users_token_changes_nothing(self) -> None:
        session, _ = session_with(100)
        with pytest.raises(NotAuthenticated, match="another user"):
            session.verified(holder(900, "eve"), message("refresh_token", REFRESH), START)
        assert session.identity.token.expires_at == NOW + 100

    @pytest.mark.parametrize("reason", ["expired", "invalid", "revoked"])
    def test_s9_a_bad_token_is_told_and_the_connection_goes_on(self, reason: str) -> None:
        session, _ = session_with(100)
        asked = message("refresh_token", REFRESH)
        (effect,) = session.refused(InvalidToken("no", reason=reason), asked)
        error = only(messages.ErrorSent, [effect], session)
        assert (error.code, error.recoverable) == (1001, True)
        assert error.details == {"reason": reason, "messageId": asked.id}
        assert session.authenticated

    @pytest.mark.parametrize("authenticated", [True, False])
    def test_s13_a_token_that_cannot_be_judged_is_not_a_bad_one(self, authenticated: bool) -> None:
        session = new_session()
        if authenticated:
            session.verified(identity(), None, START)
        effects = session.refused(ServiceUnavailable("later", retryAfterMs=7), None)
        error = only(messages.ErrorSent, effects[:1], session)
        assert (error.code, error.recoverable, error.details) == (5002, authenticated, {"retryAfterMs": 7})
        closes = effects_of(Close, effects)
        assert [close.code for close in closes] == ([] if authenticated else [CloseCode.SERVICE_UNAVAILABLE])

    def test_s13_a_fault_of_the_gateway_is_none_of_the_token_either(self) -> None:
        session, _ = session_with()
        (effect,) = session.refused(InternalError("oh"), None)
        assert only(messages.ErrorSent, [effect], session).recoverable


class TestValidation:
    def test_s10_connections_that_came_together_do_not_ask_together(self) -> None:
        first = []
        for _ in range(10_000):
            session, effects = session_with(10**6)
            first.append(0 if effects_of(Validate, effects) else session.due_at - START.monotonic)
        assert max(first) <= 300 * SECOND
        per_second = [0] * 301
        for due in first:
            per_second[due // SECOND] += 1
        # 33 on average, and a spread like that of chance.
        assert max(per_second) < 75

    def test_s10_it_is_asked_for_in_every_interval(self) -> None:
        session, _ = session_with(10**6)
        asked = [when for when, effect in run(session, 3_100) if isinstance(effect, Validate)]
        assert len(asked) in (10, 11)
        assert {later - earlier for earlier, later in pairwise(asked)} == {300}

    def test_s11_a_permission_that_changed_is_told_and_holds(self) -> None:
        session, room = joined()
        effects = session.validated(session.identity, {room: READ})
        assert only(messages.PermissionChanged, effects, session) == messages.PermissionChanged("plans", "read")
        with pytest.raises(NoPermission):
            tell(session, "operation", {"operation": ["a"], "version": 0})
        tell(session, "event", {"name": "wave"})
        effects = session.validated(session.identity, {room: ADMIN})
        assert only(messages.PermissionChanged, effects, session).permission == "admin"
        tell(session, "operation", {"operation": ["a"], "version": 0})

    def test_s11_what_did_not_change_is_not_told(self) -> None:
        session, room = joined()
        assert session.validated(session.identity, {room: WRITE}) == []

    def test_s11_who_may_not_read_has_to_leave(self) -> None:
        session, room = joined()
        bob, _ = session_with(user_id="bob")
        enter(room, bob)
        effects = session.validated(session.identity, {room: NONE})
        error, left = received(effects, session)
        assert isinstance(error, messages.ErrorSent)
        assert (error.code, error.recoverable) == (2003, True)
        assert error.details == {"roomId": "plans", "reason": "lost"}
        assert left == messages.RoomLeft("plans")
        assert effects_of(Left, effects) == [Left(session, room)]
        # At once, and not after the grace period.
        assert only(messages.UserLeft, effects, bob).participant.user_id == "ada"
        assert set(room.members) == {bob} and set(room.participants) == {"bob"}
        with pytest.raises(RoomNotFound):
            tell(session, "operation", {"operation": ["a"], "version": 0}, roomId="plans")

    def test_s11_the_user_stays_as_long_as_another_connection_may(self) -> None:
        session, room = joined()
        other, _ = session_with()
        bob, _ = session_with(user_id="bob")
        for each in (other, bob):
            enter(room, each)
        assert not received(session.validated(session.identity, {room: NONE}), bob)
        assert received(other.validated(other.identity, {room: NONE}), bob)

    def test_s11_what_was_taken_before_is_committed(self) -> None:
        session, room = joined()
        asked = message("operation", {"operation": ["a"], "version": 0})
        session.receive(asked, 50, START)
        session.validated(session.identity, {room: NONE})
        assert only(messages.Ack, commit(room), session) == messages.Ack(asked.id, 1)
        assert room.document.content == "a"

    def test_s11_the_room_before_is_the_active_one_then(self) -> None:
        session, room = joined()
        other = new_room("other")
        enter(other, session)
        effects = session.validated(session.identity, {room: NONE, other: NONE})
        assert session.active_room is None and not effects_of(Activated, effects)
        for each in (room, other):
            enter(each, session)
        assert effects_of(Activated, session.validated(session.identity, {room: WRITE, other: NONE})) == [
            Activated(session, room)
        ]
        enter(other, session)
        assert not effects_of(Activated, session.validated(session.identity, {room: NONE, other: WRITE}))

    def test_s10_what_is_not_known_holds_until_the_next_time(self) -> None:
        session, room = joined()
        assert session.validated(session.identity, {room: None}) == []
        tell(session, "operation", {"operation": ["a"], "version": 0})
        effects = session.validated(session.identity, {room: None})
        (error,) = errors(effects, session)
        assert error.details == {"roomId": "plans", "reason": "unconfirmed"}
        assert not session.rooms

    def test_s10_an_answer_in_between_makes_it_sure_again(self) -> None:
        session, room = joined()
        for permission in (None, WRITE, None, READ, None):
            session.validated(session.identity, {room: permission})
        assert session.rooms

    def test_s10_a_room_that_was_joined_again_is_as_sure_as_any(self) -> None:
        session, room = joined()
        session.validated(session.identity, {room: None})
        room.leave(session)
        enter(room, session)
        session.validated(session.identity, {room: None})
        assert session.rooms

    def test_s10_of_many_rooms_only_those_that_are_unknown_are_lost(self) -> None:
        session, room = joined()
        other = new_room("other")
        enter(other, session)
        session.validated(session.identity, {room: None, other: WRITE})
        session.validated(session.identity, {room: None, other: None})
        assert list(session.rooms) == ["other"]

    def test_s10_an_answer_about_what_is_no_more_is_dropped(self) -> None:
        session, room = joined()
        before = session.identity
        session.verified(holder(4000), message("refresh_token", REFRESH), START)
        assert session.validated(before, {room: NONE}) == []
        room.leave(session)
        assert session.validated(session.identity, {room: NONE}) == []
        namesake = new_room()
        enter(namesake, session)
        assert session.validated(session.identity, {room: NONE}) == []
        session.closed(True, START)
        assert session.validated(session.identity, {namesake: NONE}) == []


class TestRevocation:
    def test_s12_it_takes_effect_at_once(self) -> None:
        session, room = joined()
        bob, _ = session_with(user_id="bob")
        enter(room, bob)
        effects = session.revoked(START)
        (error,) = errors(effects, session)
        assert (error.code, error.recoverable, error.details) == (1001, False, {"reason": "revoked"})
        assert effects[-1] == Close(session, CloseCode.INVALID_TOKEN, "the token was revoked")
        assert only(messages.UserLeft, effects, bob).participant.user_id == "ada"
        assert session.over and session.registered and not session.resumable
        assert set(room.members) == {bob} and not session.rooms
        assert session.revoked(START) == session.tick(at(10**6)) == session.closed(False, START) == []

    def test_s12_a_session_is_known_by_its_token_and_its_connection(self) -> None:
        session, _ = session_with()
        for kind, name in (("token", "token of ada"), ("user", "ada"), ("session", session.connection_id)):
            assert session.covered_by(Revocation(kind, name, START.unix + 1, None))  # type: ignore[arg-type]
            assert not session.covered_by(Revocation(kind, name + ".", START.unix + 1, None))  # type: ignore[arg-type]
        assert not session.covered_by(Revocation("token", session.connection_id, START.unix + 1, None))
        session.closed(True, START)
        assert not session.covered_by(Revocation("user", "ada", START.unix + 1, None))

    def test_s12_who_has_no_token_yet_is_not_meant(self) -> None:
        session = new_session()
        assert not session.covered_by(Revocation("session", session.connection_id, 0, None))
        assert session.revoked(START) == []


def joined() -> tuple[Session, Room]:
    session, _ = session_with()
    room = new_room()
    enter(room, session)
    return session, room
