"""Documents are handed back: debounced, again after failures, and the newest state in the end."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from aiohttp import web
from tests.server.receiver import SECRET, Receiver, answering, eventually

from fastcollab import ConfigError, Gateway
from fastcollab.engines.memory import MemoryDocuments
from fastcollab.ot import ABSENT
from fastcollab.ports import SavedDocument

Start = Callable[..., Awaitable[Gateway]]


@pytest.fixture
def start(start_gateway, receiver: Receiver) -> Start:
    """A gateway that hands back to the receiver; settings of `backend` by keyword."""

    async def start(**settings: object) -> Gateway:
        settings = {"save_url": receiver.url, "secret": SECRET, "save_delay": 0.3, "timeout": 1, **settings}
        limits = {"limits.operations": 1_000_000, "limits.connections_per_user": 100}
        return await start_gateway(limits | {f"backend.{name}": value for name, value in settings.items()})

    return start


def at(version: int) -> Callable[[dict[str, Any]], bool]:
    return lambda state: state["version"] == version


async def all_handed_back(gateway: Gateway) -> bool:
    return not await gateway._parts.documents.store.awaiting_hand_back()


async def test_a_document_is_handed_back_when_it_is_quiet(start, receiver, clients) -> None:
    gateway = await start()
    ada = await clients.enter(gateway, "ada")
    epoch = (await ada.join("plan"))["documentState"]["epoch"]
    for version in range(10):
        await ada.operate([f"{version}"], version)
    assert receiver.saves == []
    await receiver.saved("plan", at(10))
    (save,) = receiver.saves
    assert save == {
        "event": "save",
        "roomId": "plan",
        "type": "text",
        "version": 10,
        "epoch": epoch,
        "data": "9876543210",
    }
    assert receiver.forged == 0
    # What the back end has is not handed back again, neither now nor later.
    await ada.leave("plan")
    await asyncio.sleep(0.5)
    assert len(receiver.saves) == 1
    assert await all_handed_back(gateway)


async def test_who_never_pauses_is_handed_back_all_the_same(start, receiver, clients) -> None:
    gateway = await start(save_delay=0.4, save_max_delay=0.8)
    ada = await clients.enter(gateway, "ada", "plan")
    ended = time.monotonic() + 2.5
    version = 0
    while time.monotonic() < ended:
        version = await ada.operate(["x"], version)
        await asyncio.sleep(0.05)
    assert 2 <= len(receiver.saves) <= 4
    assert (await receiver.saved("plan", at(version)))["data"] == "x" * version


async def test_a_deserted_room_is_handed_back_at_once(start, receiver, clients) -> None:
    gateway = await start(save_delay=60, save_max_delay=60)
    ada = await clients.enter(gateway, "ada", "plan")
    await ada.operate(["x"], 0)
    await ada.leave("plan")
    assert (await receiver.saved("plan", at(1)))["data"] == "x"


async def test_nothing_is_handed_back_of_who_only_looks(start, receiver, clients) -> None:
    gateway = await start(save_delay=0)
    ada = await clients.enter(gateway, "ada", "plan")
    await ada.refusal(3001, "operation", {"operation": [7, "too far"], "version": 0})
    await ada.leave("plan")
    await asyncio.sleep(0.3)
    assert receiver.saves == []


async def test_a_document_that_does_not_exist_has_no_data(start, receiver, clients) -> None:
    gateway = await start(save_delay=0)
    ada = await clients.enter(gateway, "ada")
    await ada.join("plan", documentType="json1")
    await ada.operate([{"r": True}], 0)
    assert "data" not in await receiver.saved("plan", at(1))


async def test_one_at_a_time_of_a_document_and_a_few_of_all(start, receiver, clients) -> None:
    async def slowly(request: dict[str, Any]) -> web.Response:
        await asyncio.sleep(0.05)
        return await receiver.keep(request)

    receiver.on_save = slowly
    gateway = await start(save_delay=0, saves_at_once=3)
    rooms = [f"room {number}" for number in range(9)]
    ada = await clients.enter(gateway, "ada", *rooms)
    for version in range(20):
        await asyncio.gather(*(ada.operate([f"{version},"], version, roomId=room) for room in rooms))
    for room in rooms:
        assert (await receiver.saved(room, at(20)))["data"].startswith("19,18,")
    assert receiver.most_of_a_room_at_once == 1
    assert receiver.most_at_once == 3
    assert len(receiver.saves) < 9 * 20, "what changes while one is under way is handed back together"


async def test_a_back_end_that_refuses_gets_the_newest_state_in_the_end(start, receiver, clients) -> None:
    receiver.on_save = answering(503)
    gateway = await start(save_delay=0.05)
    ada = await clients.enter(gateway, "ada", "plan")
    await ada.operate(["a"], 0)
    await receiver.asked(1)
    for version in range(1, 5):
        await ada.operate(["b"], version)
        await asyncio.sleep(0.1)
    receiver.on_save = receiver.keep
    assert (await receiver.saved("plan", at(5)))["data"] == "bbbba"
    await eventually(lambda: all_handed_back(gateway))


async def test_a_back_end_that_dies_and_comes_back(start, receiver, clients) -> None:
    gateway = await start(save_delay=0.05)
    ada = await clients.enter(gateway, "ada", "plan", "wiki")
    await ada.operate(["a"], 0, roomId="plan")
    await receiver.saved("plan", at(1))
    await receiver.stop()
    await ada.operate(["b"], 1, roomId="plan")
    await ada.operate(["c"], 0, roomId="wiki")
    await ada.leave("wiki")
    await asyncio.sleep(0.5)
    assert await gateway._parts.documents.store.awaiting_hand_back() == ["plan", "wiki"]
    await receiver.start()
    await receiver.saved("plan", at(2))
    assert (await receiver.saved("wiki", at(1)))["data"] == "c"


async def test_an_answer_that_does_not_come_is_a_failure(start, receiver, clients) -> None:
    async def late(request: dict[str, Any]) -> web.Response:
        await asyncio.sleep(0.6)
        return await receiver.keep(request)

    receiver.on_save = late
    gateway = await start(save_delay=0, timeout=0.2)
    ada = await clients.enter(gateway, "ada", "plan")
    await ada.operate(["a"], 0)
    await receiver.asked(2)
    receiver.on_save = receiver.keep
    await receiver.saved("plan", at(1))


async def test_a_wrong_signature_is_noticed(start, receiver, clients) -> None:
    gateway = await start(save_delay=0, secret=SECRET[::-1])
    ada = await clients.enter(gateway, "ada", "plan")
    await ada.operate(["a"], 0)
    await receiver.noticed(lambda: receiver.forged > 0)
    assert receiver.saves == []


async def test_stopping_hands_back_what_is_left(start, receiver, clients) -> None:
    gateway = await start(save_delay=60, save_max_delay=60)
    rooms = [f"room {number}" for number in range(10)]
    ada = await clients.enter(gateway, "ada", *rooms)
    for room in rooms:
        await ada.operate(["a"], 0, roomId=room)
    await gateway.stop()
    for room in rooms:
        assert (await receiver.saved(room, at(1)))["data"] == "a"
    ada.take("error")


async def test_stopping_tries_again_what_has_failed(start, receiver, clients) -> None:
    receiver.on_save = answering(503)
    gateway = await start(save_delay=0)
    ada = await clients.enter(gateway, "ada", "plan")
    await ada.operate(["a"], 0)
    await receiver.asked(3)
    receiver.on_save = receiver.keep
    await gateway.stop()
    assert receiver.documents["plan"]["data"] == "a"  # type: ignore[index]
    ada.take("error")


async def test_stopping_waits_no_longer_than_it_may(start, receiver, clients) -> None:
    receiver.on_save = answering(503)
    gateway = await start(save_delay=0)
    ada = await clients.enter(gateway, "ada", "plan")
    await ada.operate(["a"], 0)
    begun = time.monotonic()
    await gateway.stop()
    assert 1.5 < time.monotonic() - begun < 2.5, "server.shutdown_timeout is 2"
    ada.take("error")


async def test_a_document_that_was_made_anew_is_handed_back(start, receiver, clients) -> None:
    gateway = await start(save_delay=0.05)
    ada = await clients.enter(gateway, "ada", "plan")
    await ada.operate(["a"], 0)
    await receiver.saved("plan", at(1))
    made = await gateway._parts.documents.store.replace("plan", "text", "imported")
    await ada.refusal(3002, "operation", {"operation": ["b"], "version": 1})
    ada.take("error")
    state = await receiver.saved("plan", at(0))
    assert (state["epoch"], state["data"]) == (made.epoch, "imported")


async def test_a_function_is_given_documents(start_gateway, clients) -> None:
    given: list[SavedDocument] = []
    refusing = True
    twice = asyncio.Event()

    async def save(document: SavedDocument) -> None:
        given.append(document)
        if len(given) == 2:
            twice.set()
        if refusing:
            raise KeyError("a fault of the user's")

    gateway = await start_gateway({"backend.save_delay": 0}, save_document=save)
    ada = await clients.enter(gateway, "ada")
    await ada.join("plan", documentType="json1")
    await ada.operate([{"r": True}], 0)
    await asyncio.wait_for(twice.wait(), 10)
    refusing = False
    await eventually(lambda: all_handed_back(gateway))
    newest = given[-1]
    assert (newest.room_id, newest.type, newest.version, newest.content) == ("plan", "json1", 1, ABSENT)

    with pytest.raises(ConfigError, match=r"backend\.save_url"):
        await start_gateway({"backend.save_url": "http://127.0.0.1/", "backend.secret": SECRET}, save_document=save)


async def test_without_a_back_end_nobody_asks_what_it_has(start_gateway, clients, monkeypatch) -> None:
    async def unasked(*arguments: object) -> None:
        raise AssertionError("nobody is to ask")

    for name in ("handed_back", "awaiting_hand_back"):
        monkeypatch.setattr(MemoryDocuments, name, unasked)
    gateway = await start_gateway()
    ada = await clients.enter(gateway, "ada", "plan")
    await ada.operate(["a"], 0)
    await ada.leave("plan")
    await gateway.stop()
    ada.take("error")
