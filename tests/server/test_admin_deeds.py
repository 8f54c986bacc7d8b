"""What the admin API has a gateway do."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from tests.server.admin_client import WITH_API, Api
from tests.server.clients import Clients
from tests.server.conftest import MakeToken, StartGateway
from tests.server.receiver import eventually

from fastcollab import Gateway
from fastcollab.messages import new_id


@pytest.fixture
async def gateway(start_gateway: StartGateway) -> Gateway:
    return await start_gateway({**WITH_API, "documents.max_operation_bytes": 2048})


@pytest.fixture
async def api(gateway: Gateway) -> AsyncIterator[Api]:
    async with Api(gateway) as api:
        yield api


def operation(components: Any, version: int, **more: Any) -> dict[str, Any]:
    return {"id": new_id(), "userId": "robot", "operation": components, "version": version, **more}


# --- documents --------------------------------------------------------------------------------------------------------


async def test_an_operation_is_transformed_stored_and_told_like_a_clients(
    api: Api, gateway: Gateway, clients: Clients
) -> None:
    ada = await clients.enter(gateway, "ada", "r")
    await ada.operate(["hello"], 0)
    body = operation(["> "], 0)
    assert await api.ask("POST", "/rooms/r/operations", body) == (200, {"version": 2})
    told = (await ada.expect("operation_broadcast")).payload
    assert (told["userId"], told["messageId"], told["transformedVersion"]) == ("robot", body["id"], 2)
    [entry] = (await api.get("/rooms/r/history", after=1))["operations"]
    assert (entry["userId"], entry["numericId"], entry["version"]) == ("robot", told["numericId"], 0)
    assert (await api.get("/rooms/r/document"))["data"] in ("> hello", "hello> ")


async def test_an_operation_in_a_room_that_nobody_has_open(api: Api, gateway: Gateway, clients: Clients) -> None:
    body = operation(["a"], 0)
    assert (await api.ask("POST", "/rooms/r/operations", body))[0] == 404
    assert await api.ask("POST", "/rooms/r/operations", {**body, "documentType": "text"}) == (200, {"version": 1})
    assert gateway.room_count == 0
    # The same again is the same, also when it is remembered by the store alone.
    for _ in range(2):
        assert await api.ask("POST", "/rooms/r/operations", body) == (200, {"version": 1})
    assert await api.ask("POST", "/rooms/r/operations", operation([1, "b"], 1)) == (200, {"version": 2})
    assert (await api.get("/rooms/r/document"))["data"] == "ab"
    assert gateway.connection_count == 0


async def test_many_operations_at_once_are_each_committed_once(api: Api) -> None:
    bodies = [operation(["x"], 0, documentType="text") for _ in range(40)]
    answers = await asyncio.gather(*(api.ask("POST", "/rooms/r/operations", body) for body in bodies * 2))
    assert sorted(answer["version"] for status, answer in answers if status == 200) == sorted([*range(1, 41)] * 2)
    assert (await api.get("/rooms/r/document"))["data"] == "x" * 40


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (operation([5, "x"], 0), 422, 3001),
        (operation("nonsense", 0), 422, 3001),
        (operation(["x"], 7), 409, 3002),
        (operation(["x"], 0, checksum="00000000"), 409, 3003),
        (operation(["x" * 2048], 0), 422, 3001),
        (operation(["x"], 0, documentType="json1"), 422, 3001),
        (operation(["x"], 0, documentType="none"), 422, 3001),
        (operation(["x"], 0, checksum="0"), 400, None),
        (operation(["x"], -1), 400, None),
        ({**operation(["x"], 0), "id": "1"}, 400, None),
        ({**operation(["x"], 0), "userId": " "}, 400, None),
        ({**operation(["x"], 0), "usrId": "x"}, 400, None),
        ([], 400, None),
        (operation(["x" * 5000], 0), 413, None),
    ],
)
async def test_what_does_not_fit_is_refused_and_changes_nothing(
    api: Api, gateway: Gateway, body: Any, status: int, code: int | None
) -> None:
    await gateway._parts.documents.store.create("r", "text", "")
    found, problem = await api.ask("POST", "/rooms/r/operations", body)
    assert (found, problem.get("code")) == (status, code), problem
    assert (await api.get("/rooms/r"))["version"] == 0
    assert gateway.room_count == 0


@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [
        (b"{}", "text/plain", 415),
        (b"{", "application/json", 400),
        (b"\xff", "application/json", 400),
        (b"[" * 300 + b"]" * 300, "application/json", 400),
        (b'{"userId": "\\ud800"}', "application/json", 400),
        (b"", "application/json", 400),
    ],
)
async def test_a_body_that_is_none_is_told(api: Api, body: bytes, kind: str, status: int) -> None:
    answer = await api.send("POST", "/rooms/r/operations", body, kind)
    assert answer == status


async def test_a_version_is_brought_back(api: Api, gateway: Gateway, clients: Clients) -> None:
    ada = await clients.enter(gateway, "ada", "r")
    await ada.operate(["one"], 0)
    await ada.operate([3, " two"], 1)
    body = {"id": new_id(), "userId": "robot", "version": 1}
    assert await api.ask("POST", "/rooms/r/restore", body) == (200, {"version": 3})
    assert (await ada.expect("operation_broadcast")).payload["userId"] == "robot"
    assert (await api.get("/rooms/r/document"))["data"] == "one"
    # It is so already.
    assert await api.ask("POST", "/rooms/r/restore", {**body, "id": new_id(), "version": 3}) == (200, {"version": 3})
    assert (await api.ask("POST", "/rooms/r/restore", {**body, "version": 9}))[0] == 409
    assert (await api.ask("POST", "/rooms/none/restore", body))[0] == 404


async def test_a_document_is_deleted_under_those_who_have_it_open(api: Api, gateway: Gateway, clients: Clients) -> None:
    ada = await clients.raw(gateway, "ada", "r")
    assert await api.ask("POST", "/rooms/r/operations", operation(["x"], 0)) == (200, {"version": 1})
    await gateway._parts.documents.store.create("old", "text", "x")
    assert await api.ask("DELETE", "/rooms/old/document") == (204, None)
    assert (await api.ask("DELETE", "/rooms/old/document"))[0] == 404
    assert await api.ask("DELETE", "/rooms/r/document") == (204, None)
    assert (await ada.refused(3002))["version"] == 0
    document = await api.get("/rooms/r/document")
    assert (document["version"], document["data"]) == (0, "")


# --- people -----------------------------------------------------------------------------------------------------------


async def test_events_reach_all_or_one(api: Api, gateway: Gateway, clients: Clients) -> None:
    ada, bob = await clients.enter(gateway, "ada", "r"), await clients.enter(gateway, "bob", "r")
    event = {"name": "saved", "data": {"by": [1, None]}}
    assert await api.ask("POST", "/rooms/r/events", event) == (202, None)
    for client in (ada, bob):
        told = (await client.expect("event")).payload
        assert (told["name"], told["data"], told["userId"]) == ("saved", {"by": [1, None]}, "service")
    named = {"name": "hint", "userId": "robot", "targetUserId": "bob"}
    assert await api.ask("POST", "/rooms/r/events", named) == (202, None)
    told = (await bob.expect("event")).payload
    assert (told["name"], told["userId"], "data" in told) == ("hint", "robot", False)
    await ada.barrier()
    assert not [message for message in ada.inbox if message.type == "event" and message.payload["name"] == "hint"]
    assert (await api.ask("POST", "/rooms/r/events", {**named, "targetUserId": "eve"}))[0] == 404
    assert (await api.ask("POST", "/rooms/nobody/events", event))[0] == 202


async def test_an_event_may_be_so_large_and_no_larger(start_gateway: StartGateway) -> None:
    gateway = await start_gateway(WITH_API)
    async with Api(gateway) as api:
        statuses = [
            (await api.ask("POST", "/rooms/r/events", {"name": "e", "data": "x" * size}))[0]
            for size in (262_142, 262_143)
        ]
    assert statuses == [202, 422]


async def test_connections_are_ended_by_id_and_by_user(api: Api, gateway: Gateway, clients: Clients) -> None:
    first, second = await clients.enter(gateway, "ada", "r"), await clients.enter(gateway, "ada", "r")
    bob = await clients.enter(gateway, "bob", "r")
    [one, _] = (await api.get("/connections", userId="ada"))["connections"]
    path = f"/connections/{one['connectionId']}/disconnect"
    assert await api.ask("POST", path, {"reason": "\u00e9" * 100}) == (202, None)

    async def one_is_left() -> bool:
        return len((await api.get("/connections", userId="ada"))["connections"]) == 1

    await eventually(one_is_left)
    assert await api.ask("POST", "/users/ada/disconnect", {}) == (202, None)
    assert await first.closed() == await second.closed() == 4506
    await bob.barrier()
    # Who is not there need not be ended.
    assert (await api.ask("POST", path, {}))[0] == (await api.ask("POST", "/users/eve/disconnect", {}))[0] == 202


async def test_tokens_are_revoked(api: Api, gateway: Gateway, clients: Clients, make_token: MakeToken) -> None:
    raw = [await clients.raw(gateway, user, "r") for user in ("ada", "bob", "cy")]
    connections = {each["userId"]: each["connectionId"] for each in (await api.get("/connections"))["connections"]}
    asked = [("user", "ada"), ("session", connections["bob"]), ("token", make_token("cy", jti="x")), ("token", "x" * 9)]
    for kind, subject in asked:
        assert await api.ask("POST", "/revocations", {"kind": kind, "subject": subject}) == (202, None)
    for client in raw[:2]:
        assert (await client.refused(1001))["reason"] == "revoked"
    for subject in (make_token("ada", secret="another secret, of thirty-two bytes or more"), "x" * 300):
        assert (await api.ask("POST", "/revocations", {"kind": "token", "subject": subject}))[0] == 422


async def test_rights_are_changed_for_a_while(start_gateway: StartGateway, clients: Clients) -> None:
    gateway = await start_gateway({**WITH_API, "auth.validation_interval": 0.2})
    ada = await clients.enter(gateway, "ada", "r", "s")
    async with Api(gateway) as api:
        path = "/rooms/r/permissions/ada"
        assert await api.ask("PUT", path, {"permission": "read", "seconds": 1}) == (202, None)
        assert (await ada.expect("permission_changed")).payload == {"roomId": "r", "permission": "read"}
        # When the time is over, it is as the token says.
        assert (await ada.expect("permission_changed")).payload == {"roomId": "r", "permission": "write"}
        assert await api.ask("PUT", path, {"permission": "none", "seconds": 60}) == (202, None)
        [found] = (await api.get("/connections"))["connections"]
        async with asyncio.timeout(5):
            while [room["roomId"] for room in found["rooms"]] != ["s"]:
                [found] = (await api.get("/connections"))["connections"]
        assert (await ada.expect("error")).payload["code"] == 2003
        await ada.send("join_room", {"roomId": "r"})
        assert (await ada.expect("error")).payload["code"] == 2003
        for seconds in (0, 86_401):
            assert (await api.ask("PUT", path, {"permission": "read", "seconds": seconds}))[0] == 400


async def test_what_is_done_is_logged_with_the_name_of_the_key(api: Api, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO"):
        await api.ask("POST", "/users/eve/disconnect", {})
        await api.get("/rooms")
    [record] = [each for each in caplog.records if each.getMessage() == "an administrator acts"]
    fields = record.__dict__["fields"]
    assert (fields["key"], fields["method"], fields["path"]) == ("tests", "POST", "/api/v1/users/eve/disconnect")


async def test_a_gateway_that_stops_takes_no_operations(start_gateway: StartGateway, clients: Clients) -> None:
    gateway = await start_gateway(WITH_API)
    await clients.raw(gateway, "ada", "r")  # it does not answer the close, so that the gateway waits for it
    async with Api(gateway) as api:
        gateway.close_soon()
        status, problem = await api.ask("POST", "/rooms/r/operations", operation(["x"], 0))
        assert (status, problem["code"]) == (503, 5002)
        assert json.dumps(problem)
