"""The life of tokens over real sockets: their end, their renewal, lost rights and revocation (rules S8 to S12)."""

from __future__ import annotations

import asyncio
import base64
import sqlite3
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import jwt
import pytest
from tests.server.clients import Clients, settled
from tests.server.conftest import SECRET, MakeToken, StartGateway
from tests.server.spec_client import SpecClient, cursor_frame
from tests.server.spec_shapes import INVALID_TOKEN, NO_PERMISSION, ROOM_NOT_FOUND

from fastcollab import Gateway
from fastcollab.core.permissions import Permission
from fastcollab.engines.memory import MemoryRevocations
from fastcollab.errors import InvalidToken, ServiceUnavailable, StoreError
from fastcollab.ports import Grant

EVERYWHERE = {"*": "write"}

#: In which many validations take place.
SOON = {"auth.validation_interval": 0.2}


class Rights:
    """A source of permissions that says what a test wants, in the place of the gateway's own."""

    def __init__(self, gateway: Gateway) -> None:
        self.of: dict[str, Permission | Exception] = {}
        self.asked: list[tuple[str, str]] = []
        self.under_way = self.most_at_once = 0
        self.takes = 0.0
        for part in (gateway._dispatcher._admission, gateway._dispatcher.validation):
            part._access = self  # type: ignore[assignment]

    async def grant(self, identity: Any, room_id: str) -> Grant:
        return Grant(await self.permission(identity, room_id))

    async def permission(self, identity: Any, room_id: str) -> Permission:
        self.asked.append((identity.user_id, room_id))
        self.under_way += 1
        self.most_at_once = max(self.most_at_once, self.under_way)
        await asyncio.sleep(self.takes)
        self.under_way -= 1
        found = self.of.get(identity.user_id, Permission.WRITE)
        if isinstance(found, Exception):
            raise found
        return found


def lasting(seconds: float, user: str = "alice", **claims: Any) -> str:
    """A token that ends so many seconds after the second that has begun."""
    given = {"sub": user, "exp": int(time.time()) + seconds, "rooms": EVERYWHERE} | claims
    return jwt.encode(given, SECRET, "HS256")


async def ended(client: SpecClient, reason: str, *, within: float = 5.0) -> None:
    """The client is told why, and the connection is closed."""
    error = (await client.expect("error", within=within)).payload
    assert (error["code"], error["recoverable"], error["details"]) == (INVALID_TOKEN, False, {"reason": reason})
    await client.closed(4101, within=within)


# --- its end ----------------------------------------------------------------------------------------------------------


async def test_a_connection_ends_with_its_token_S8(start_gateway: StartGateway, clients: Clients) -> None:
    gateway = await start_gateway({"auth.expiry_notice": 1})
    bob = await clients.enter(gateway, "bob", "plans")
    expires_at = int(time.time()) + 4
    alice = await clients.open(gateway, header_token=lasting(4))
    await alice.await_connected()
    await alice.join("plans")
    assert not alice.take("token_expiring")
    notice = await alice.expect("token_expiring")
    assert notice.payload["expiresAt"] == expires_at * 1000
    assert -1.1 < time.time() - expires_at < 0.5
    await ended(alice, "expired")
    assert 0 <= time.time() - expires_at < 1.5
    # As after any loss: within the grace period nobody notices, and another token takes its place.
    again = await clients.open(
        gateway,
        header_token=clients.token("alice", rooms=EVERYWHERE),
        subprotocols=["fastcollab.v1", f"fastcollab.resume.{alice.connected['connectionId']}"],
    )
    await again.await_connected()
    assert again.connected["resumed"] is True
    await again.join("plans")
    await settled(bob, again)
    assert [message.type for message in bob.take()] == ["user_joined"]


async def test_what_is_over_soon_is_told_at_once_S8(gateway: Gateway, clients: Clients) -> None:
    alice = await clients.open(gateway)
    await alice.connect(lasting(30))
    await alice.barrier()
    assert len(alice.take("token_expiring")) == 1
    await alice.barrier()
    assert not alice.take("token_expiring")


async def test_the_leeway_is_waited_for_S8(start_gateway: StartGateway, clients: Clients) -> None:
    gateway = await start_gateway({"auth.leeway": 2})
    alice = await clients.open(gateway, header_token=lasting(0))
    await alice.await_connected()
    await alice.expect("token_expiring")
    began = time.time()
    await ended(alice, "expired")
    assert time.time() - began > 0.9


@pytest.mark.parametrize("exp", [2**40, 2**53, 10**18, 1e200, 1e308])
async def test_a_token_may_last_for_ever_S8(gateway: Gateway, clients: Clients, exp: float) -> None:
    alice = await clients.open(gateway, header_token=jwt.encode({"sub": "alice", "exp": exp}, SECRET))
    await alice.await_connected()
    await alice.send("refresh_token", {"token": jwt.encode({"sub": "alice", "exp": exp}, SECRET)})
    expires_at = (await alice.expect("token_refreshed")).payload["expiresAt"]
    assert expires_at == min(exp * 1000, (2**53 - 1) // 1000 * 1000)
    await alice.barrier()
    assert not alice.take("token_expiring")


# --- its renewal ------------------------------------------------------------------------------------------------------


async def test_another_token_takes_its_place_S9(start_gateway: StartGateway, clients: Clients) -> None:
    gateway = await start_gateway({})
    alice = await clients.open(gateway, header_token=lasting(2))
    await alice.await_connected()
    await alice.join("plans")
    await alice.expect("token_expiring")
    renewed = lasting(1000, name="Countess", color="#123456")
    message_id = await alice.send("refresh_token", {"token": renewed}, acknowledgment=True)
    answer = await alice.expect("token_refreshed")
    assert abs(answer.payload["expiresAt"] / 1000 - time.time() - 1000) < 2
    assert (await alice.expect("ack")).payload["messageId"] == message_id
    bob = await clients.enter(gateway, "bob", "plans")
    (shown,) = [each for each in bob.rooms["plans"]["participants"] if each["userId"] == "alice"]
    assert (shown["name"], shown["color"]) == ("Countess", "#123456")
    await asyncio.sleep(2.5)
    await alice.barrier()
    assert alice.close_code is None


@pytest.mark.parametrize("way", ["refresh_token", "connect"])
async def test_another_token_has_other_rights_S4_S9(gateway: Gateway, clients: Clients, way: str) -> None:
    alice = await clients.enter(gateway, "alice", "plans", "diary", "notes")
    bob = await clients.enter(gateway, "bob", "plans", "diary")
    await settled(alice, bob)
    alice.take()
    token = clients.token("alice", rooms={"plans": "read", "notes": "admin"})
    if way == "connect":
        await alice.send(way, {"token": token, "deviceId": "d", "clientVersion": "1"})
    else:
        await alice.send(way, {"token": token})
    # What follows in the same moment is judged by the new rights.
    refused = await alice.send("operation", {"operation": ["x"], "version": 0}, roomId="plans")
    lost = await alice.send("event", {"name": "wave"}, roomId="diary")
    await alice.expect("connected" if way == "connect" else "token_refreshed")
    changed = [(await alice.expect("permission_changed", room=room)).payload for room in ("plans", "notes")]
    assert [each["permission"] for each in changed] == ["read", "admin"]
    error = (await alice.expect("error", room="diary")).payload
    assert (error["code"], error["details"]["roomId"]) == (NO_PERMISSION, "diary")
    await alice.expect("room_left", room="diary")
    await alice.refused(NO_PERMISSION, refused)
    await alice.refused(ROOM_NOT_FOUND, lost)
    left = await bob.expect("user_left", room="diary")
    assert left.payload["participant"]["userId"] == "alice"
    # Frames go to the room that is the active one now.
    await alice.send("activate_room", {"roomId": "plans"})
    await alice.send_frame(cursor_frame(1, 2))
    assert (await bob.expect("presence_update", room="plans")).payload["userId"] == "alice"


@pytest.mark.parametrize("fault", ["another user", "expired", "forged", "no token", "not yet valid", "revoked"])
async def test_a_bad_token_changes_nothing_S9(gateway: Gateway, clients: Clients, fault: str) -> None:
    alice = await clients.enter(gateway, "alice", "plans")
    revoked = clients.token("alice", jti="gone")
    await gateway.revoke_token("gone")
    bad = {
        "another user": clients.token("eve"),
        "expired": lasting(-5),
        "forged": clients.token("alice", secret=SECRET + "."),
        "no token": "",
        "not yet valid": clients.token("alice", nbf=int(time.time()) + 60),
        "revoked": revoked,
    }
    details = await alice.refusal(INVALID_TOKEN, "refresh_token", {"token": bad[fault]})
    if fault in ("expired", "revoked"):
        assert details["reason"] == fault
    assert await alice.operate(["still here"], 0, room="plans") == 1


async def test_before_there_is_a_token_none_is_renewed_S9(gateway: Gateway, clients: Clients) -> None:
    alice = await clients.open(gateway)
    await alice.refusal(INVALID_TOKEN, "refresh_token", {"token": clients.token("alice")})
    await alice.connect(clients.token("alice"))


# --- validation -------------------------------------------------------------------------------------------------------


async def test_lost_rights_take_effect_on_open_connections_S10_S11(
    start_gateway: StartGateway, clients: Clients
) -> None:
    gateway = await start_gateway(SOON)
    rights = Rights(gateway)
    alice = await clients.enter(gateway, "alice", "plans")
    bob = await clients.enter(gateway, "bob", "plans")
    await alice.expect("user_joined")
    rights.of["alice"] = Permission.READ
    changed = await alice.expect("permission_changed", room="plans")
    assert changed.payload["permission"] == "read"
    await alice.refusal(NO_PERMISSION, "operation", {"operation": ["x"], "version": 0}, roomId="plans")
    assert await bob.operate(["x"], 0, room="plans") == 1
    await alice.expect("operation_broadcast")
    rights.of["alice"] = Permission.WRITE
    assert (await alice.expect("permission_changed")).payload["permission"] == "write"
    assert await alice.operate([1, "y"], 1, room="plans") == 2
    rights.of["alice"] = Permission.NONE
    error = (await alice.expect("error")).payload
    assert (error["code"], error["recoverable"]) == (NO_PERMISSION, True)
    assert error["details"] == {"roomId": "plans", "reason": "lost"}
    await alice.expect("room_left", room="plans")
    await bob.expect("user_left", room="plans", within=1)
    await bob.operate([2, "secret"], 2, room="plans")
    await alice.barrier()
    assert not alice.take("operation_broadcast", "presence_update")
    await alice.refusal(NO_PERMISSION, "join_room", {"roomId": "plans"})


async def test_when_nobody_can_say_a_room_is_lost_at_the_second_time_S10(
    start_gateway: StartGateway, clients: Clients
) -> None:
    gateway = await start_gateway(SOON)
    rights = Rights(gateway)
    alice = await clients.enter(gateway, "alice", "plans")
    rights.of["alice"] = ServiceUnavailable("the back end is away")
    asked = len(rights.asked)
    error = (await alice.expect("error")).payload
    assert (error["code"], error["details"]["reason"]) == (NO_PERMISSION, "unconfirmed")
    assert len(rights.asked) == asked + 2
    await alice.expect("room_left", room="plans")
    rights.of["alice"] = Permission.WRITE
    await alice.join("plans")


async def test_not_all_are_asked_for_at_once_S10(start_gateway: StartGateway, clients: Clients) -> None:
    gateway = await start_gateway({"auth.validation_interval": 0.5, "limits.connections_per_user": 1000})
    many = await asyncio.gather(*(clients.enter(gateway, f"user {index}", "plans") for index in range(150)))
    rights = Rights(gateway)
    rights.takes = 0.3
    await asyncio.sleep(2)
    assert 32 <= rights.most_at_once <= 64
    assert len({user for user, _ in rights.asked}) == 150
    rights.takes = 0
    await settled(*many[:3])


async def test_a_connection_in_no_room_asks_nobody_S10(start_gateway: StartGateway, clients: Clients) -> None:
    gateway = await start_gateway(SOON)
    rights = Rights(gateway)
    alice = await clients.enter(gateway, "alice")
    await asyncio.sleep(0.6)
    await alice.barrier()
    assert not rights.asked


async def test_rights_lost_while_an_answer_is_looked_for_S11(start_gateway: StartGateway, clients: Clients) -> None:
    """A question about the past takes time; who has lost the room meanwhile does not get the answer."""
    gateway = await start_gateway({})
    alice = await clients.enter(gateway, "alice", "plans")
    await alice.operate(["secret"], 0, room="plans")
    history, resume = gateway._parts.documents.history, asyncio.Event()

    async def slow(*arguments: Any, **options: Any) -> Any:
        await resume.wait()
        return await history(*arguments, **options)

    gateway._parts.documents.history = slow  # type: ignore[method-assign]
    asked = await alice.send("get_history", {"after": 0}, roomId="plans")
    await asyncio.sleep(0.05)
    rights = Rights(gateway)
    rights.of["alice"] = Permission.NONE
    (connection,) = gateway._dispatcher.connections.values()
    await gateway._dispatcher.validation.validate(connection.session)
    resume.set()
    await alice.expect("error", lambda payload: payload["code"] == NO_PERMISSION)
    await alice.refused(ROOM_NOT_FOUND, asked)
    await alice.barrier()
    assert not alice.take("history")


# --- revocation -------------------------------------------------------------------------------------------------------


async def test_a_revoked_token_ends_its_connections_at_once_S12(gateway: Gateway, clients: Clients) -> None:
    bob = await clients.enter(gateway, "bob", "plans")
    stolen = {"claims": {"jti": "stolen"}}
    thieves = [await clients.enter(gateway, "alice", "plans", **stolen) for _ in range(2)]  # type: ignore[arg-type]
    alice = await clients.enter(gateway, "alice", "diary", claims={"jti": "own"})
    await settled(bob, alice)
    bob.take()
    assert await gateway.revoke_token("stolen") == 2
    for thief in thieves:
        await ended(thief, "revoked", within=1)
    await bob.expect("user_left", room="plans", within=1)
    again = await clients.open(gateway, header_token=clients.token("alice", jti="stolen"))
    await ended(again, "revoked")
    by_message = await clients.open(gateway)
    await by_message.send(
        "connect", {"token": clients.token("alice", jti="stolen"), "deviceId": "d", "clientVersion": "1"}
    )
    error = (await by_message.expect("error")).payload
    assert error["details"]["reason"] == "revoked"
    await by_message.closed(4101)
    await alice.operate(["x"], 0, room="diary")
    # Those that are gone count no more.
    assert len(gateway._dispatcher.registry) == 2


async def test_a_token_without_a_name_is_known_by_what_is_signed_S12(gateway: Gateway, clients: Clients) -> None:
    token, other = clients.token("alice"), clients.token("alice", other=True)
    alice = await clients.open(gateway, header_token=token)
    await alice.await_connected()
    assert await gateway.revoke_token(token) == 1
    await ended(alice, "revoked")
    # The last digit of the signature has two bits that mean nothing, so that it can be written in four ways.
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    signature = base64.urlsafe_b64decode(token.rpartition(".")[2] + "=")
    ways = [token[:-1] + digit for digit in alphabet]
    same = [way for way in ways if base64.urlsafe_b64decode(way.rpartition(".")[2] + "=") == signature]
    assert len(same) == 4
    for way in same:
        client = await clients.open(gateway, header_token=way)
        error = (await client.expect("error")).payload
        assert error["code"] == INVALID_TOKEN
        await client.closed(4101)
    still = await clients.open(gateway, header_token=other)
    await still.await_connected()


async def test_a_revoked_login_and_a_revoked_connection_S12(gateway: Gateway, clients: Clients) -> None:
    phone = await clients.enter(gateway, "alice", "plans", claims={"sid": "phone"})
    desk = await clients.enter(gateway, "alice", "plans", claims={"sid": "desk"})
    plain = await clients.enter(gateway, "alice", "plans", claims={"jti": "plain"})
    assert await gateway.revoke_session("phone") == 1
    await ended(phone, "revoked", within=1)
    await ended(await clients.open(gateway, header_token=clients.token("alice", sid="phone", jti="2")), "revoked")
    # A connection is ended with its token: with that it would only come again.
    assert await gateway.revoke_session(plain.connected["connectionId"]) == 1
    await ended(plain, "revoked", within=1)
    await ended(await clients.open(gateway, header_token=clients.token("alice", jti="plain")), "revoked")
    await desk.operate(["x"], 0, room="plans")


async def test_a_revoked_user_may_log_in_again_S12(gateway: Gateway, clients: Clients) -> None:
    now = int(time.time())
    old = [
        await clients.enter(gateway, "alice", "plans", claims={"iat": now - 60}),
        await clients.enter(gateway, "alice"),
    ]
    bob = await clients.enter(gateway, "bob", "plans")
    assert await gateway.revoke_user("alice") == 2
    for client in old:
        await ended(client, "revoked", within=1)
    for claims in ({}, {"iat": now - 60}, {"iat": now}):
        await ended(await clients.open(gateway, header_token=clients.token("alice", **claims)), "revoked")
    await asyncio.sleep(1.1)
    await clients.enter(gateway, "alice", "plans", claims={"iat": int(time.time())})
    await bob.operate(["x"], 0, room="plans")


async def test_what_is_revoked_in_the_middle_of_a_verification_S12(gateway: Gateway, clients: Clients) -> None:
    """The token was good when it was looked at, and its connection is not there yet to be ended."""
    registry, resume, waits = gateway._dispatcher.registry, asyncio.Event(), asyncio.Event()
    register = registry.register

    async def slow(*arguments: Any) -> int:
        number = await register(*arguments)
        waits.set()
        await resume.wait()
        return number

    registry.register = slow  # type: ignore[method-assign]
    alice = await clients.open(gateway, header_token=clients.token("alice", jti="t1"))
    await waits.wait()
    assert await gateway.revoke_token("t1") == 0
    resume.set()
    await ended(alice, "revoked", within=1)
    assert len(registry) == 0


async def test_who_is_revoked_while_a_room_opens_does_not_enter_it_S12(gateway: Gateway, clients: Clients) -> None:
    rights = Rights(gateway)
    bob = await clients.enter(gateway, "bob", "plans")
    alice = await clients.enter(gateway, "alice")
    rights.takes = 0.2
    await alice.send("join_room", {"roomId": "plans"})
    await asyncio.sleep(0.05)
    await gateway.revoke_user("alice")
    await ended(alice, "revoked")
    await asyncio.sleep(0.3)
    await bob.barrier()
    assert not bob.take("user_joined")


async def test_who_is_disconnected_may_come_back_X5(gateway: Gateway, clients: Clients) -> None:
    alices = [await clients.enter(gateway, "alice", "plans") for _ in range(2)]
    bob = await clients.enter(gateway, "bob", "plans")
    await gateway.disconnect_user("alice", "tidying up")
    for alice in alices:
        await alice.closed(4506)
    first = await clients.enter(gateway, "alice", "plans")
    second = await clients.enter(gateway, "alice", "plans")
    await gateway.disconnect(first.connected["connectionId"])
    await first.closed(4506)
    await second.operate(["x"], 0, room="plans")
    await bob.expect("operation_broadcast")
    await gateway.disconnect("no such connection")
    await gateway.disconnect_user("nobody")


async def test_a_restart_forgets_no_revocation_S12(
    start_gateway: StartGateway, clients: Clients, make_token: MakeToken, tmp_path: Path
) -> None:
    engine = {"engine.url": f"sqlite://{tmp_path}/documents.db"}
    gateway = await start_gateway(engine)
    alice = await clients.enter(gateway, "alice", "plans", claims={"jti": "t1"})
    await gateway.revoke_token("t1")
    await gateway.revoke_user("bob")
    await ended(alice, "revoked")
    await gateway.stop()
    gateway = await start_gateway(engine)
    for token in (make_token("alice", jti="t1"), make_token("bob")):
        await ended(await clients.open(gateway, header_token=token), "revoked")
    await clients.enter(gateway, "alice", "plans", claims={"jti": "t2"})


async def test_gateways_that_share_revocations_S12(start_gateway: StartGateway, clients: Clients) -> None:
    revocations = MemoryRevocations()
    here, there = [await start_gateway({}, revocations=revocations) for _ in range(2)]
    alice = await clients.enter(there, "alice", "plans")
    assert await here.revoke_user("alice") == 0
    await ended(alice, "revoked", within=1)
    await ended(await clients.open(there, header_token=clients.token("alice")), "revoked")
    await here.stop()
    await there.stop()
    assert not revocations._subscribers


async def test_revocations_are_kept_for_as_long_as_they_are_needed_S12(
    start_gateway: StartGateway, clients: Clients
) -> None:
    gateway = await start_gateway({"auth.leeway": 10, "auth.max_token_lifetime": 3600})
    now = time.time()
    token = jwt.encode({"sub": "alice", "iat": now, "exp": now + 600, "jti": "t1"}, SECRET)
    await gateway.revoke_token(token)
    await gateway.revoke_token("t2")
    await gateway.revoke_user("bob")
    known = gateway._parts.engine.revocations._known  # type: ignore[union-attr]
    until = {subject: revocation.until / 1000 - now for (_, subject), revocation in known.items()}
    assert until == {
        "t1": pytest.approx(610, abs=2),
        "t2": pytest.approx(3620, abs=2),
        "bob": pytest.approx(3620, abs=2),
    }
    # The longest-lived token that was issued by then, by a clock that is ahead, has expired when it is forgotten.
    for claims, reason in (
        ({"iat": now, "exp": now + 3700}, "claims"),
        ({"exp": now + 60}, "invalid"),
        ({"iat": now + 9, "exp": now + 60}, "revoked"),
    ):
        client = await clients.open(gateway, header_token=jwt.encode({"sub": "bob", **claims}, SECRET))
        assert (await client.expect("error")).payload["details"]["reason"] == reason
        await client.closed(4101)


async def test_what_cannot_be_revoked_is_told_S12(gateway: Gateway, clients: Clients) -> None:
    with pytest.raises(InvalidToken) as refused:
        await gateway.revoke_token(clients.token("alice", secret=SECRET + "."))
    assert refused.value.details["reason"] == "invalid"
    for name in ("", "x" * 257, "\ud800"):
        for revoke in (gateway.revoke_token, gateway.revoke_session, gateway.revoke_user):
            with pytest.raises(ValueError, match=r"characters|surrogates"):
                await revoke(name)
    assert await gateway.revoke_user("nobody 👩‍💻") == 0


async def test_a_gateway_that_cannot_know_what_was_revoked_does_not_start(
    start_gateway: StartGateway, tmp_path: Path
) -> None:
    path = tmp_path / "documents.db"
    gateway = await start_gateway({"engine.url": f"sqlite://{path}"})
    await gateway.stop()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("DROP TABLE revocations")
    for _ in range(2):  # and lets go of the file
        with pytest.raises(StoreError, match="cannot be used"):
            await start_gateway({"engine.url": f"sqlite://{path}"})
