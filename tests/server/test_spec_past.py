"""Earlier versions of documents: seen, listed, and brought back (rules PV1 to PV3)."""

from __future__ import annotations

import time
from typing import Any

import pytest
from tests.server.clients import Clients, HasUrl, StartGateway
from tests.server.conftest import GENEROUS
from tests.server.spec_client import SpecClient
from tests.server.spec_shapes import NO_PERMISSION, ROOM_NOT_FOUND, VERSION_MISMATCH

TYPES: dict[str, list[Any]] = {
    "text": [["one"], [3, " two"], [{"d": 4}], ["zero "]],
    "json1": [["a", {"i": [1]}], ["a", 0, {"ena": 2}], [["a", {"p": 0}], ["b", {"d": 0}]], ["b", {"r": True}]],
    "rich-text": [
        [{"insert": "one\n"}],
        [{"retain": 3, "attributes": {"bold": True}}],
        [{"delete": 2}],
        [{"insert": {"image": "a"}}],
    ],
}


async def ask(client: SpecClient, question: str, answer: str, **payload: object) -> dict[str, Any]:
    message_id = await client.send(question, payload)
    return (await client.expect(answer, lambda answered: answered["messageId"] == message_id)).payload


async def written(client: SpecClient, room: str, document_type: str) -> tuple[list[Any], list[Any]]:
    """Writes four versions; returns all that there were, the empty one included, and the operations."""
    joined = await client.join(room, documentType=document_type)
    contents = [joined["documentState"]["data"]]
    operations = TYPES[document_type]
    for version, operation in enumerate(operations):
        await client.operate(operation, version)
        contents.append((await ask(client, "get_document", "document"))["documentState"]["data"])
    return contents, operations


@pytest.mark.parametrize("document_type", TYPES)
async def test_every_version_can_be_had_PV1(gateway: HasUrl, clients: Clients, document_type: str) -> None:
    alice = await clients.enter(gateway, "alice")
    contents, _ = await written(alice, "r", document_type)
    for version, content in enumerate(contents):
        state = (await ask(alice, "get_document", "document", version=version))["documentState"]
        assert state == {
            "type": document_type,
            "version": version,
            "epoch": alice.rooms["r"]["documentState"]["epoch"],
            "data": content,
        }


@pytest.mark.parametrize("version", [1, 2**53 - 1])
async def test_a_version_that_is_not_there_yet_PV1_PV3(gateway: HasUrl, clients: Clients, version: int) -> None:
    alice = await clients.enter(gateway, "alice", "r")
    for question in ("get_document", "restore"):
        assert await alice.refusal(VERSION_MISMATCH, question, {"version": version})
    assert await alice.refusal(VERSION_MISMATCH, "get_history", {"after": version})


async def test_the_history_says_who_wrote_what_and_when_PV2(gateway: HasUrl, clients: Clients) -> None:
    alice = await clients.enter(gateway, "alice", "r")
    bob = await clients.enter(gateway, "bob", "r")
    before = time.time() * 1000
    await alice.operate(["a"], 0)
    await bob.operate(["b"], 0)
    told = await ask(bob, "get_history", "history", after=0)
    assert (told["oldest"], told["version"]) == (0, 2)
    assert [
        (past["userId"], past["operation"], past["version"], past["transformedVersion"]) for past in told["operations"]
    ] == [("alice", ["a"], 0, 1), ("bob", ["b"], 0, 2)]
    assert all(before - 1000 < past["timestamp"] < before + 60_000 for past in told["operations"])
    page = await ask(alice, "get_history", "history", after=1, limit=1)
    assert [past["transformedVersion"] for past in page["operations"]] == [2]
    assert (await ask(alice, "get_history", "history", after=2))["operations"] == []


async def test_a_page_of_large_operations_is_bounded_PV2(gateway: HasUrl, clients: Clients) -> None:
    alice = await clients.enter(gateway, "alice", "r")
    for version in range(5):
        await alice.operate(["x" * 400_000], version)
    pages, after = [], 0
    while after < 5:
        operations = (await ask(alice, "get_history", "history", after=after))["operations"]
        pages.append(len(operations))
        after = operations[-1]["transformedVersion"]
    assert pages == [2, 2, 1]


@pytest.mark.parametrize("version", range(4))
@pytest.mark.parametrize("document_type", TYPES)
async def test_a_version_is_brought_back_for_all_PV3(
    gateway: HasUrl, clients: Clients, document_type: str, version: int
) -> None:
    alice = await clients.enter(gateway, "alice")
    contents, _ = await written(alice, "r", document_type)
    bob = await clients.enter(gateway, "bob", "r")
    message_id = await alice.send("restore", {"version": version})
    for client in (alice, bob):
        broadcast = (await client.expect("operation_broadcast", room="r")).payload
        assert (broadcast["userId"], broadcast["messageId"]) == ("alice", message_id)
        assert broadcast["transformedVersion"] == 5
    ack = (await alice.expect("ack")).payload
    assert ack == {"messageId": message_id, "version": 5}
    restored = (await ask(bob, "get_document", "document"))["documentState"]
    assert (restored["version"], restored["data"]) == (5, contents[version])
    # It is an operation as all others, and can be taken back as they can.
    await alice.send("restore", {"version": 4})
    await bob.expect("operation_broadcast")
    assert (await ask(bob, "get_document", "document"))["documentState"]["data"] == contents[4]


async def test_where_nothing_was_done_since_nothing_is_to_be_done_PV3(gateway: HasUrl, clients: Clients) -> None:
    alice = await clients.enter(gateway, "alice", "r")
    bob = await clients.enter(gateway, "bob", "r")
    await alice.operate(["a"], 0)
    await bob.expect("operation_broadcast")
    message_id = await alice.send("restore", {"version": 1})
    assert (await alice.expect("ack")).payload == {"messageId": message_id, "version": 1}
    await bob.barrier()
    assert bob.take("operation_broadcast") == []


async def test_bringing_back_needs_write_and_looking_does_not_PV3(gateway: HasUrl, clients: Clients) -> None:
    alice = await clients.enter(gateway, "alice", "r")
    await alice.operate(["a"], 0)
    reader = await clients.enter(gateway, "bob", "r", claims={"rooms": {"*": "read"}})
    assert (await ask(reader, "get_document", "document", version=0))["documentState"]["data"] == ""
    await reader.refusal(NO_PERMISSION, "restore", {"version": 0})
    stranger = await clients.enter(gateway, "eve")
    for question, payload in (("get_document", {}), ("get_history", {"after": 0}), ("restore", {"version": 0})):
        await stranger.refusal(ROOM_NOT_FOUND, question, payload)


async def test_what_was_trimmed_cannot_be_seen_PV1_PV2(start_gateway: StartGateway, clients: Clients) -> None:
    """The log is trimmed at snapshots, so that it reaches back a little further than it must."""
    settings = {"documents.history_operations": 20, "documents.snapshot_operations": 10}
    gateway = await start_gateway(GENEROUS | settings)
    alice = await clients.enter(gateway, "alice", "r")
    for version in range(60):
        await alice.operate(["x"], version)
    details = await alice.refusal(VERSION_MISMATCH, "get_history", {"after": 0})
    assert details["version"] == 60
    assert 20 <= details["oldest"] <= 40
    await alice.refusal(VERSION_MISMATCH, "get_document", {"version": 0})
    state = (await ask(alice, "get_document", "document", version=details["oldest"]))["documentState"]
    assert state["data"] == "x" * details["oldest"]
