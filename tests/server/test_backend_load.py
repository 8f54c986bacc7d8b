"""What a room begins with, from a back end over HTTP and from functions."""

from __future__ import annotations

import asyncio
import gzip
from typing import Any

import pytest
from aiohttp import web
from tests.server.receiver import SECRET, Answer, Receiver, answering

from fastcollab import ConfigError, Gateway
from fastcollab.errors import RoomNotFound
from fastcollab.ot import ABSENT
from fastcollab.ports import LoadedDocument


@pytest.fixture
async def gateway(start_gateway, receiver: Receiver) -> Gateway:
    return await start_gateway(
        {
            "backend.load_url": receiver.url,
            "backend.secret": SECRET,
            "backend.timeout": 0.5,
            "documents.max_document_bytes": 10_000,
            "documents.max_operation_bytes": 1_000,
        }
    )


async def test_a_room_begins_with_what_the_back_end_has(gateway, receiver, clients) -> None:
    receiver.documents["plan"] = {"type": "json1", "data": {"todo": ["write"]}}
    receiver.documents["note"] = {"data": "grüß dich\n"}
    ada = await clients.enter(gateway, "ada")
    joined = await ada.join("plan")
    assert joined["documentState"]["type"] == "json1"
    assert joined["documentState"]["data"] == {"todo": ["write"]}
    assert joined["version"] == 0
    joined = await ada.join("note")
    assert (joined["documentState"]["type"], joined["documentState"]["data"]) == ("text", "grüß dich\n")
    assert await ada.operate([4, "!"], 0, roomId="note") == 1
    assert receiver.loads == [
        {"event": "load", "roomId": "plan", "documentType": "text"},
        {"event": "load", "roomId": "note", "documentType": "text"},
    ]


async def test_two_joins_at_once_load_once_and_a_document_that_there_is_is_not_loaded(
    gateway, receiver, clients
) -> None:
    async def slowly(request: dict[str, Any]) -> web.Response:
        await asyncio.sleep(0.2)
        return web.json_response({"data": "once"})

    receiver.on_load = slowly
    several = [await clients.enter(gateway, f"user {number}") for number in range(5)]
    for joined in await asyncio.gather(*(client.join("plan") for client in several)):
        assert joined["documentState"]["data"] == "once"
    for client in several:
        await client.leave("plan")
    assert gateway.room_count == 0
    receiver.on_load = answering(500)
    assert (await several[0].join("plan"))["documentState"]["data"] == "once"
    assert len(receiver.loads) == 1


async def test_a_type_that_was_not_asked_for_is_told(gateway, receiver, clients) -> None:
    receiver.documents["plan"] = {"type": "json1", "data": {}}
    ada = await clients.enter(gateway, "ada")
    details = await ada.refusal(3001, "join_room", {"roomId": "plan", "documentType": "rich-text"})
    assert details["documentType"] == "json1"
    assert receiver.loads == [{"event": "load", "roomId": "plan", "documentType": "rich-text"}]
    await ada.join("plan", documentType="json1")


async def test_no_content_is_an_empty_document(gateway, receiver, clients) -> None:
    receiver.documents["plan"] = None
    ada = await clients.enter(gateway, "ada")
    state = (await ada.join("plan", documentType="rich-text"))["documentState"]
    assert (state["type"], state["data"]) == ("rich-text", [])


async def test_R8_a_room_that_the_back_end_does_not_know_cannot_be_joined(gateway, receiver, clients) -> None:
    ada = await clients.enter(gateway, "ada")
    details = await ada.refusal(2001, "join_room", {"roomId": "plan"})
    assert details["roomId"] == "plan"
    assert gateway.room_count == 0
    assert await gateway._parts.documents.store.list() == []
    receiver.documents["plan"] = {"data": "now there is"}
    assert (await ada.join("plan"))["documentState"]["data"] == "now there is"


async def never(request: dict[str, Any]) -> web.Response:
    await asyncio.sleep(1.5)
    return web.json_response({"data": "too late"})


async def hangs_up(request: dict[str, Any]) -> web.Response:
    raise asyncio.CancelledError


def body(text: str | bytes, **headers: str) -> Answer:
    return answering(200, body=text.encode() if isinstance(text, str) else text, headers=headers)


@pytest.mark.parametrize(
    "answer",
    [
        answering(500),
        answering(401),
        answering(201, text='{"data": "x"}'),
        answering(302, headers={"Location": "/elsewhere"}),
        body(""),
        body("<html>"),
        body('{"data": "x"'),
        body('["x"]'),
        body('{"data": NaN}'),
        body(b'{"data": "\xff"}'),
        body("{}"),
        body('{"data": null}'),
        body('{"data": ["no text"]}'),
        body('{"data": "\\ud800"}'),
        body('{"type": 7, "data": "x"}'),
        body('{"type": "spreadsheet", "data": "x"}'),
        body('{"type": "rich-text", "data": [{"delete": 1}]}'),
        body('{"type": "json1", "data": ' + "[" * 300 + "]" * 300 + "}"),
        body('{"type": "json1", "data": ' + "[" * 9_000 + "]" * 9_000 + "}"),
        body('{"data": "' + "x" * 10_001 + '"}'),
        body('{"data": "' + "x" * 100_000 + '"}'),
        body(gzip.compress(b'{"data": "x"}'), **{"Content-Encoding": "gzip"}),
        never,
        hangs_up,
    ],
)
async def test_R8_an_answer_that_is_of_no_use_makes_nothing(gateway, receiver, clients, answer: Answer) -> None:
    receiver.on_load = answer
    ada = await clients.enter(gateway, "ada")
    details = await ada.refusal(5002, "join_room", {"roomId": "plan"})
    assert details["retryAfterMs"] > 0
    assert gateway.room_count == 0
    assert await gateway._parts.documents.store.list() == []
    receiver.on_load = body('{"data": "in the end"}')
    assert (await ada.join("plan"))["documentState"]["data"] == "in the end"


async def test_the_largest_documents_are_taken(gateway, receiver, clients) -> None:
    receiver.documents["plan"] = {"data": "x" * 10_000}
    ada = await clients.enter(gateway, "ada")
    assert (await ada.join("plan"))["documentState"]["data"] == "x" * 10_000


@pytest.mark.parametrize(("text", "data"), [('{"type": "json1", "data": null}', None), ('{"type": "json1"}', ABSENT)])
async def test_null_is_a_value_and_none_is_none(gateway, receiver, clients, text: str, data: Any) -> None:
    receiver.on_load = body(text)
    ada = await clients.enter(gateway, "ada")
    assert (await ada.join("plan"))["documentState"].get("data", ABSENT) is data


async def test_a_back_end_that_is_gone_and_comes_back(gateway, receiver, clients) -> None:
    receiver.documents["plan"] = {"data": "back again"}
    await receiver.stop()
    ada = await clients.enter(gateway, "ada")
    await ada.refusal(5002, "join_room", {"roomId": "plan"})
    await receiver.start()
    assert (await ada.join("plan"))["documentState"]["data"] == "back again"


async def test_R8_a_back_end_that_does_not_answer_is_left_alone_for_a_while(gateway, receiver, clients) -> None:
    receiver.on_load = answering(503)
    ada = await clients.enter(gateway, "ada")
    for _ in range(5):
        await ada.refusal(5002, "join_room", {"roomId": "plan"})
    details = await ada.refusal(5002, "join_room", {"roomId": "plan"})
    assert 0 < details["retryAfterMs"] <= 1_000
    assert len(receiver.loads) == 5
    receiver.on_load = body('{"data": "back again"}')
    await asyncio.sleep(details["retryAfterMs"] / 1000)
    assert (await ada.join("plan"))["documentState"]["data"] == "back again"
    receiver.on_load = answering(500)
    for number in range(10):
        await ada.refusal(5002, "join_room", {"roomId": f"plan {number}"})
    assert len(receiver.loads) == 16, "what is answered, is asked for"


async def test_a_wrong_signature_is_noticed(start_gateway, receiver, clients) -> None:
    gateway = await start_gateway({"backend.load_url": receiver.url, "backend.secret": SECRET[::-1]})
    receiver.documents["plan"] = {"data": "secret"}
    ada = await clients.enter(gateway, "ada")
    await ada.refusal(5002, "join_room", {"roomId": "plan"})
    assert (receiver.forged, receiver.loads) == (1, [])


async def test_stopping_does_not_wait_for_the_back_end(start_gateway, receiver, clients) -> None:
    gateway = await start_gateway({"backend.load_url": receiver.url, "backend.secret": SECRET, "backend.timeout": 60})

    end = asyncio.Event()

    async def for_ever(request: dict[str, Any]) -> web.Response:
        await end.wait()
        return web.Response()

    receiver.on_load = for_ever
    ada = await clients.enter(gateway, "ada")
    await ada.send("join_room", {"roomId": "plan"})
    await receiver.asked(1)
    async with asyncio.timeout(1.5):
        await gateway.stop()
    end.set()
    await ada.closed(4502)
    ada.take("error")


async def test_a_function_says_what_a_room_begins_with(start_gateway, clients) -> None:
    asked = []

    async def load(room_id: str, document_type: str) -> LoadedDocument | None:
        asked.append((room_id, document_type))
        match room_id:
            case "empty":
                return None
            case "gone":
                raise RoomNotFound("it was deleted on Friday")
            case "broken":
                raise KeyError("a fault of the user's")
            case "wrong":
                return LoadedDocument({"no": "text"})
            case "hangs":
                await asyncio.sleep(3600)
        return LoadedDocument({"room": room_id}, "json1")

    gateway = await start_gateway({"backend.timeout": 0.2}, load_document=load)
    ada = await clients.enter(gateway, "ada")
    assert (await ada.join("plan"))["documentState"]["data"] == {"room": "plan"}
    assert (await ada.join("empty"))["documentState"]["data"] == ""
    await ada.refusal(2001, "join_room", {"roomId": "gone"})
    for room in ("broken", "wrong", "hangs"):
        await ada.refusal(5002, "join_room", {"roomId": room})
    assert asked[:2] == [("plan", "text"), ("empty", "text")]
    assert [each.room_id for each in await gateway._parts.documents.store.list()] == ["empty", "plan"]


async def test_an_address_and_a_function_are_one_too_many(start_gateway) -> None:
    async def load(room_id: str, document_type: str) -> None:
        return None

    with pytest.raises(ConfigError, match=r"backend\.load_url"):
        await start_gateway({"backend.load_url": "http://127.0.0.1/", "backend.secret": SECRET}, load_document=load)
