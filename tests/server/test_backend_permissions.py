"""What users may do, as a back end says it: over HTTP and from functions (rules P3, P4 and R9)."""

from __future__ import annotations

import asyncio
import gzip
from typing import Any

import pytest
from aiohttp import web
from tests.server.receiver import SECRET, Answer, Receiver, answering
from tests.server.spec_shapes import (
    INVALID_OPERATION,
    NO_PERMISSION,
    ROOM_FULL,
    ROOM_NOT_FOUND,
    SERVICE_UNAVAILABLE,
)

from fastcollab import ConfigError, Gateway
from fastcollab.core.permissions import Permission
from fastcollab.core.session import Identity
from fastcollab.errors import RoomNotFound
from fastcollab.ports import BackendDown, Grant

#: Claims of a token that says nothing of rooms.
SILENT: dict[str, Any] = {"rooms": None}


@pytest.fixture
async def gateway(start_gateway, receiver: Receiver) -> Gateway:
    return await start_gateway(
        {
            "backend.permission_url": receiver.url,
            "backend.secret": SECRET,
            "backend.timeout": 0.3,
            "rooms.default_permission": "none",
            "limits.connections_per_user": 200,
        }
    )


async def test_P3_the_back_end_decides(gateway, receiver, clients) -> None:
    for room, right in (("reads", "read"), ("writes", "write"), ("runs", "admin"), ("nothing", "none")):
        receiver.rights["ada", room] = right
    ada = await clients.enter(gateway, "ada", claims=SILENT)
    assert (await ada.join("reads"))["permission"] == "read"
    await ada.refusal(NO_PERMISSION, "operation", {"operation": ["a"], "version": 0}, roomId="reads")
    assert (await ada.join("runs"))["permission"] == "admin"
    assert (await ada.join("writes"))["permission"] == "write"
    assert await ada.operate(["a"], 0, roomId="writes") == 1
    details = await ada.refusal(NO_PERMISSION, "join_room", {"roomId": "nothing"})
    assert (details["needed"], details["granted"]) == ("read", "none")
    receiver.on_permission = answering(403, text="no")
    await ada.refusal(NO_PERMISSION, "join_room", {"roomId": "forbidden"})
    assert receiver.permissions_asked[0] == {"event": "permission", "userId": "ada", "roomId": "reads"}
    assert gateway.room_count == 3


@pytest.mark.parametrize("right", ["none", "read", "write", "admin"])
@pytest.mark.parametrize("claim", ["none", "read", "write", "admin"])
async def test_P3_a_claim_narrows_what_the_back_end_says(gateway, receiver, clients, right: str, claim: str) -> None:
    receiver.rights["ada", "r"] = right
    ada = await clients.enter(gateway, "ada", claims={"rooms": {"*": claim}})
    lesser = min(Permission.of_word(right), Permission.of_word(claim))
    if lesser is Permission.NONE:
        await ada.refusal(NO_PERMISSION, "join_room", {"roomId": "r"})
    else:
        assert (await ada.join("r"))["permission"] == lesser.word
    asked = [{"event": "permission", "userId": "ada", "roomId": "r", "claimed": claim}]
    assert receiver.permissions_asked == ([] if claim == "none" else asked)


async def test_P3_what_is_said_of_one_claim_does_not_hold_for_another(gateway, receiver, clients) -> None:
    """A back end may trust the claim that it is told, and another token of the user may not have it."""

    async def believe(request: dict[str, Any]) -> web.Response:
        return web.json_response({"permission": request.get("claimed", "read")})

    receiver.on_permission = believe
    ada = await clients.enter(gateway, "ada", claims={"rooms": {"r": "admin"}})
    assert (await ada.join("r"))["permission"] == "admin"
    again = await clients.enter(gateway, "ada", claims=SILENT)
    assert (await again.join("r"))["permission"] == "read"


async def test_P4_a_room_that_the_back_end_does_not_know(gateway, receiver, clients) -> None:
    ada = await clients.enter(gateway, "ada")
    details = await ada.refusal(ROOM_NOT_FOUND, "join_room", {"roomId": "gone"})
    assert details["roomId"] == "gone"
    assert gateway.room_count == 0
    assert await gateway._parts.documents.store.list() == []


async def late(request: dict[str, Any]) -> web.Response:
    await asyncio.sleep(0.6)
    return web.json_response({"permission": "admin"})


async def hangs_up(request: dict[str, Any]) -> web.Response:
    raise asyncio.CancelledError


def body(text: str | bytes, **headers: str) -> Answer:
    return answering(200, body=text.encode() if isinstance(text, str) else text, headers=headers)


@pytest.mark.parametrize(
    "answer",
    [
        *(answering(status) for status in (201, 204, 400, 401, 429, 500, 502, 503)),
        answering(302, headers={"Location": "/elsewhere"}),
        answering(307, headers={"Location": "/documents"}),
        *map(body, ("", "<html>", "null", '"admin"', "[]", "{}", '{"permission": "admin"', '{"permission": null}')),
        *map(
            body,
            ('{"permission": "ADMIN"}', '{"permission": "owner"}', '{"permission": 3}', '{"permission": ["admin"]}'),
        ),
        *map(body, ('{"permission": "admin", "ttl": -1}', '{"permission": "admin", "ttl": "1"}')),
        *map(
            body, ('{"permission": "admin", "maxParticipants": -1}', '{"permission": "admin", "maxParticipants": 1.5}')
        ),
        body(b'{"permission": "admin", "x": "\xff"}'),
        body('{"permission": "admin", "ttl": 1e400}'),
        body('{"permission": "admin", "x": ' + "[" * 9_000 + "]" * 9_000 + "}"),
        body('{"permission": "admin", "x": "' + "x" * 65_536 + '"}'),
        body(gzip.compress(b'{"permission": "admin"}'), **{"Content-Encoding": "gzip"}),
        late,
        hangs_up,
    ],
)
async def test_P4_nobody_gets_in_on_an_answer_that_is_none(gateway, receiver, clients, answer: Answer) -> None:
    receiver.on_permission = answer
    ada = await clients.enter(gateway, "ada")
    details = await ada.refusal(SERVICE_UNAVAILABLE, "join_room", {"roomId": "r"})
    assert details["retryAfterMs"] > 0
    assert gateway.room_count == 0
    assert len(receiver.permissions_asked) == 1
    receiver.on_permission = body('{"permission": "read", "more": 1}')
    assert (await ada.join("r"))["permission"] == "read", "a failure is not kept"


async def test_P4_a_wrong_signature_lets_nobody_in(start_gateway, receiver, clients) -> None:
    gateway = await start_gateway({"backend.permission_url": receiver.url, "backend.secret": SECRET[::-1]})
    receiver.rights["ada", "r"] = "admin"
    ada = await clients.enter(gateway, "ada")
    await ada.refusal(SERVICE_UNAVAILABLE, "join_room", {"roomId": "r"})
    assert (receiver.forged, receiver.permissions_asked) == (1, [])


async def test_P4_a_hundred_joins_at_once_ask_once(gateway, receiver, clients) -> None:
    async def slowly(request: dict[str, Any]) -> web.Response:
        await asyncio.sleep(0.2)
        return web.json_response({"permission": "write"})

    receiver.on_permission = slowly
    many = [await clients.enter(gateway, "ada") for _ in range(100)]
    for joined in await asyncio.gather(*(each.join("r") for each in many)):
        assert joined["permission"] == "write"
    assert len(receiver.permissions_asked) == 1
    for _ in range(3):
        await many[0].join("r")
    assert len(receiver.permissions_asked) == 1
    bob = await clients.enter(gateway, "bob", "r", "s")
    assert len(receiver.permissions_asked) == 3
    await bob.join("r")
    assert len(receiver.permissions_asked) == 3


async def test_P4_an_answer_counts_for_as_long_as_it_says(gateway, receiver, clients) -> None:
    ada = await clients.enter(gateway, "ada", claims=SILENT)
    receiver.rights["ada", "r"] = {"permission": "write", "ttl": 0}
    await ada.join("r")
    receiver.rights["ada", "r"] = {"permission": "read", "ttl": 0.3}
    assert (await ada.join("r"))["permission"] == "read"
    receiver.rights["ada", "r"] = "admin"
    assert (await ada.join("r"))["permission"] == "read"
    await asyncio.sleep(0.4)
    assert (await ada.join("r"))["permission"] == "admin"
    assert len(receiver.permissions_asked) == 3


async def test_P4_a_back_end_that_is_down_costs_few_time_outs_and_is_used_when_it_is_back(
    gateway, receiver, clients
) -> None:
    """It flaps: the circuit opens, a probe fails, another succeeds. Meanwhile refusals come at once and nobody gets
    in.
    """
    receiver.on_permission = late
    ada = await clients.enter(gateway, "ada")
    for number in range(5):
        await ada.refusal(SERVICE_UNAVAILABLE, "join_room", {"roomId": f"r{number}"})
    loop = asyncio.get_running_loop()
    began = loop.time()
    for number in range(50):
        details = await ada.refusal(SERVICE_UNAVAILABLE, "join_room", {"roomId": f"r{number}"})
        assert 0 < details["retryAfterMs"] <= 1_000
    assert loop.time() - began < 0.25, "none of them waited"
    assert len(receiver.permissions_asked) == 5
    await asyncio.sleep(details["retryAfterMs"] / 1000)
    await ada.refusal(SERVICE_UNAVAILABLE, "join_room", {"roomId": "r"})
    assert len(receiver.permissions_asked) == 6, "one probe"
    details = await ada.refusal(SERVICE_UNAVAILABLE, "join_room", {"roomId": "r"})
    assert 500 < details["retryAfterMs"] <= 2_000
    receiver.on_permission = receiver.permit
    receiver.rights["ada", "r"] = "write"
    await ada.refusal(SERVICE_UNAVAILABLE, "join_room", {"roomId": "r"})
    assert len(receiver.permissions_asked) == 6
    await asyncio.sleep(details["retryAfterMs"] / 1000)
    assert (await ada.join("r"))["permission"] == "write"
    for number in range(3):
        await ada.refusal(ROOM_NOT_FOUND, "join_room", {"roomId": f"r{number}"})
    assert len(receiver.permissions_asked) == 10


async def test_P4_what_a_user_can_provoke_does_not_shut_out_the_others(gateway, receiver, clients) -> None:
    """The back end trips over a room's name: that is an answer, and no reason to leave it alone."""

    async def trips(request: dict[str, Any]) -> web.Response:
        if request["roomId"] == "%00":
            raise web.HTTPInternalServerError
        return web.json_response({"permission": "write"})

    receiver.on_permission = trips
    eve = await clients.enter(gateway, "eve")
    for _ in range(20):
        await eve.refusal(SERVICE_UNAVAILABLE, "join_room", {"roomId": "%00"})
    bob = await clients.enter(gateway, "bob")
    assert (await bob.join("r"))["permission"] == "write"


async def test_P4_a_back_end_that_is_gone(gateway, receiver, clients) -> None:
    receiver.rights["ada", "r"] = "write"
    ada = await clients.enter(gateway, "ada", "r")
    await receiver.stop()
    await ada.join("r")
    await ada.refusal(SERVICE_UNAVAILABLE, "join_room", {"roomId": "s"})
    assert await ada.operate(["who is in stays in"], 0, roomId="r") == 1
    await receiver.start()
    receiver.rights["ada", "s"] = "read"
    assert (await ada.join("s"))["permission"] == "read"


async def test_P4_stopping_does_not_wait_for_the_back_end(start_gateway, receiver, clients) -> None:
    gateway = await start_gateway(
        {
            "backend.permission_url": receiver.url,
            "backend.profile_url": receiver.url,
            "backend.secret": SECRET,
            "backend.timeout": 60,
            "backend.profile_timeout": 60,
        }
    )
    end = asyncio.Event()

    async def for_ever(request: dict[str, Any]) -> web.Response:
        await end.wait()
        return web.Response()

    ada = await clients.enter(gateway, "ada")
    receiver.on_permission = receiver.on_profile = for_ever
    await ada.send("join_room", {"roomId": "plan"})
    bob = await clients.open(gateway, header_token=clients.token("bob"))
    await receiver.asked(3)
    async with asyncio.timeout(1.5):
        await gateway.stop()
    end.set()
    for client in (ada, bob):
        await client.closed(4502)
        client.take("error", "connected")


async def test_R9_a_room_may_take_fewer_participants(gateway, receiver, clients) -> None:
    for user in ("ada", "bob", "cyd"):
        receiver.rights[user, "r"] = {"permission": "write", "maxParticipants": 2}
    ada = await clients.enter(gateway, "ada", "r")
    await clients.enter(gateway, "bob", "r")
    cyd = await clients.enter(gateway, "cyd")
    details = await cyd.refusal(ROOM_FULL, "join_room", {"roomId": "r"})
    assert details["limit"] == 2
    await ada.join("r")
    await clients.enter(gateway, "ada", "r")
    await ada.leave("r")
    await cyd.refusal(ROOM_FULL, "join_room", {"roomId": "r"})


@pytest.mark.parametrize(("own", "limit"), [(0, 0), (1, 1), (100, 1)])
async def test_R9_a_room_takes_no_more_than_others(start_gateway, clients, own: int, limit: int) -> None:
    async def permission(user_id: str, room_id: str, claimed: Permission | None) -> Grant:
        return Grant(Permission.WRITE, max_participants=own)

    gateway = await start_gateway({"rooms.max_participants": 1}, permission=permission)
    for user in range(limit):
        await clients.enter(gateway, str(user), "r")
    bob = await clients.enter(gateway, "bob")
    assert (await bob.refusal(ROOM_FULL, "join_room", {"roomId": "r"}))["limit"] == limit
    assert gateway.room_count == limit


async def test_a_function_says_what_users_may_do_P3_P4(start_gateway, clients) -> None:
    asked = []

    async def permission(user_id: str, room_id: str, claimed: Permission | None) -> Any:
        asked.append((user_id, room_id, claimed))
        match room_id:
            case "none":
                return Grant(Permission.NONE)
            case "gone":
                raise RoomNotFound("it was deleted on Friday")
            case "full":
                return Grant(Permission.READ, max_participants=0)
            case "broken":
                raise KeyError("a fault of the user's")
            case "down":
                raise BackendDown("the database is away")
            case "wrong":
                return "write"
            case "a word":
                return Grant("write")  # type: ignore[arg-type]
            case "no time":
                return Grant(Permission.WRITE, ttl="1")  # type: ignore[arg-type]
            case "no number":
                return Grant(Permission.WRITE, max_participants=1.5)  # type: ignore[arg-type]
            case "hangs":
                await asyncio.sleep(3600)
        return Grant(Permission.ADMIN, ttl=0)

    gateway = await start_gateway({"backend.timeout": 0.2}, permission=permission)
    ada = await clients.enter(gateway, "ada", claims=SILENT)
    assert (await ada.join("plan"))["permission"] == "admin"
    await ada.refusal(NO_PERMISSION, "join_room", {"roomId": "none"})
    await ada.refusal(ROOM_NOT_FOUND, "join_room", {"roomId": "gone"})
    await ada.refusal(ROOM_FULL, "join_room", {"roomId": "full"})
    for room in ("broken", "down", "wrong", "a word", "no time", "no number", "hangs"):
        details = await ada.refusal(SERVICE_UNAVAILABLE, "join_room", {"roomId": room})
        assert details["retryAfterMs"] > 0
    bob = await clients.enter(gateway, "bob", claims={"rooms": {"p*": "write"}})
    assert (await bob.join("plan"))["permission"] == "write"
    await bob.refusal(NO_PERMISSION, "join_room", {"roomId": "board"})
    assert asked[0] == ("ada", "plan", None)
    assert asked[-1] == ("bob", "plan", Permission.WRITE)
    identity = Identity("ada", 1, "Ada", "#fff", {"plan": Permission.READ}, 0.0)
    assert await gateway._parts._access.permission(identity, "plan") is Permission.READ
    with pytest.raises(RoomNotFound):
        await gateway._parts._access.permission(Identity("ada", 1, "Ada", "#fff", None, 0.0), "gone")


async def test_P3_a_name_that_is_none_is_not_asked_for(gateway, receiver, clients) -> None:
    ada = await clients.enter(gateway, "ada")
    await ada.refusal(INVALID_OPERATION, "join_room", {"roomId": " r"})
    assert receiver.permissions_asked == []


@pytest.mark.parametrize("name", ["permission", "profile"])
async def test_an_address_and_a_function_are_one_too_many(start_gateway, name: str) -> None:
    async def function(*arguments: object) -> None:
        return None

    settings = {f"backend.{name}_url": "http://127.0.0.1/", "backend.secret": SECRET}
    with pytest.raises(ConfigError, match=rf"backend\.{name}_url"):
        await start_gateway(settings, **{name: function})
