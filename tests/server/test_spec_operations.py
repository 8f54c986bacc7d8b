"""Operations on the document of a room: rules OT1 to OT9."""

from __future__ import annotations

import asyncio
import random
import uuid
from typing import Any

import pytest
from tests.server.clients import Clients, HasUrl, StartGateway, settled
from tests.server.editor import Editor, checksum, converge, random_operation
from tests.server.reference_text import apply
from tests.server.spec_client import SpecClient
from tests.server.spec_shapes import CHECKSUM_FAILED, INVALID_OPERATION, VERSION_MISMATCH


async def write(client: SpecClient, *texts: str, version: int = 0) -> int:
    """Puts texts in front of the document, one operation each; returns the version after the last."""
    for text in texts:
        version = await client.operate([text], version)
    return version


async def text_of(client: SpecClient, room: str = "r") -> str:
    return str((await client.join(room))["documentState"]["data"])


# The document -----------------------------------------------------------------------------------------------


async def test_the_type_is_fixed_by_the_first_who_joins_OT1(gateway: HasUrl, clients: Clients) -> None:
    alice = await clients.enter(gateway, "alice")
    state = (await alice.join("r", documentType="text"))["documentState"]
    assert (state["type"], state["data"], state["version"]) == ("text", "", 0)
    bob = await clients.enter(gateway, "bob")
    await bob.refusal(INVALID_OPERATION, "join_room", {"roomId": "r", "documentType": "json1"})
    await bob.join("r", documentType="text")
    await bob.join("r")


async def test_positions_are_code_points_OT1(gateway: HasUrl, clients: Clients) -> None:
    alice = await clients.enter(gateway, "alice", "r")
    bob = await clients.enter(gateway, "bob", "r")
    await alice.operate(["a😀é\u0301b"], 0)
    await alice.operate([2, "|", 2, {"d": 1}, "\U0010ffff"], 1)
    assert await text_of(alice) == "a😀|é\u0301\U0010ffff"
    text = ""
    for _ in range(2):
        text = apply(text, (await bob.expect("operation_broadcast")).payload["operation"])
    assert text == "a😀|é\u0301\U0010ffff"


@pytest.mark.parametrize("text", ["\0", "\x01\x7f", "\u2028", '"\\', "\ufeff", "\ufffe", "\u202e", "</script>", "\r\n"])
async def test_text_comes_back_as_it_was_written_OT1(gateway: HasUrl, clients: Clients, text: str) -> None:
    alice = await clients.enter(gateway, "alice", "r")
    bob = await clients.enter(gateway, "bob", "r")
    await alice.operate([text], 0)
    assert (await bob.expect("operation_broadcast")).payload["operation"] == [text]
    assert await text_of(bob) == text


# Commit and transformation ----------------------------------------------------------------------------------


async def test_at_one_place_the_newcomer_goes_first_OT2(gateway: HasUrl, clients: Clients) -> None:
    alice = await clients.enter(gateway, "alice", "r")
    bob = await clients.enter(gateway, "bob", "r")
    await alice.operate(["earlier"], 0)
    await bob.operate(["later "], 0)
    assert await text_of(alice) == "later earlier"


async def test_an_operation_is_transformed_over_all_since_its_version_OT2_OT3(
    gateway: HasUrl, clients: Clients
) -> None:
    alice = await clients.enter(gateway, "alice", "r")
    bob = await clients.enter(gateway, "bob", "r")
    await alice.operate(["hello world"], 0)
    await alice.operate([5, ","], 1)
    await alice.operate([{"d": 1}, "H"], 2)
    for _ in range(3):
        await bob.expect("operation_broadcast")
    message_id = await bob.send("operation", {"operation": [6, {"d": 5}, "there"], "version": 1})
    ack = (await bob.expect("ack")).payload
    assert ack == {"messageId": message_id, "version": 4}
    broadcast = (await alice.expect("operation_broadcast")).payload
    assert apply("Hello, world", broadcast.pop("operation")) == "Hello, there"
    assert broadcast == {
        "userId": "bob",
        "numericId": bob.number,
        "messageId": message_id,
        "version": 1,
        "transformedVersion": 4,
    }
    await settled(alice, bob)
    assert not bob.take("operation_broadcast"), "the sender has the ack"
    assert await text_of(alice) == "Hello, there"


async def test_all_other_connections_get_the_broadcast_OT3(gateway: HasUrl, clients: Clients) -> None:
    alice = await clients.enter(gateway, "alice", "r")
    own = await clients.enter(gateway, "alice", "r", "s")
    bob = await clients.enter(gateway, "bob", "r", batched=True)
    outside = await clients.enter(gateway, "carol", "s")
    await alice.operate(["a"], 0)
    for receiver in (own, bob):
        broadcast = await receiver.expect("operation_broadcast")
        assert (broadcast.room, broadcast.payload["userId"]) == ("r", "alice")
    await settled(alice, own, bob, outside)
    assert not alice.take("operation_broadcast")
    assert not outside.take()


async def test_versions_go_up_by_one_without_a_gap_OT3(gateway: HasUrl, clients: Clients) -> None:
    crew = [await clients.enter(gateway, name, "r") for name in ("alice", "bob", "carol", "dave")]
    for round_number in range(10):
        for client in crew:  # all against the version 0: nobody waits for an answer
            await client.send("operation", {"operation": [str(round_number)], "version": 0})
    for client in crew:
        versions: list[int] = []
        while len(versions) < 40:
            await client.expect_any("ack", "operation_broadcast")
            versions += [
                message.payload.get("transformedVersion") or message.payload["version"]
                for message in client.take("ack", "operation_broadcast")
            ]
        assert versions == list(range(1, 41))


async def test_an_operation_goes_to_the_room_that_it_names_OT3(gateway: HasUrl, clients: Clients) -> None:
    alice = await clients.enter(gateway, "alice", "r", "s")
    await alice.operate(["in r"], 0, roomId="r")
    await alice.operate(["in s"], 0)
    assert await text_of(alice, "r") == "in r"
    assert await text_of(alice, "s") == "in s"


async def test_an_empty_operation_is_a_version_too_OT3(gateway: HasUrl, clients: Clients) -> None:
    alice = await clients.enter(gateway, "alice", "r")
    assert await alice.operate([], 0) == 1
    await alice.operate(["a"], 1)
    assert await text_of(alice) == "a"


@pytest.mark.parametrize("seed", range(4))
async def test_writers_at_once_end_at_one_text_OT2_OT3_OT4(gateway: HasUrl, clients: Clients, seed: int) -> None:
    dice = random.Random(seed)
    crew = [await clients.enter(gateway, name, "r", batched=name == "bob") for name in ("alice", "bob", "carol")]
    editors = [await Editor.join(client, "r") for client in crew]
    edits = 0
    while edits < 150:
        editor = dice.choice(editors)
        match dice.randrange(4):
            case 0:
                await editor.receive()
            case 1:
                await asyncio.sleep(dice.choice((0, 0, 0.001, 0.005)))
            case _:
                await editor.edit(random_operation(dice, editor.text))
                edits += 1
    await converge(*editors)
    assert {editor.version for editor in editors} == {150}


# The same operation twice -----------------------------------------------------------------------------------


async def test_the_same_id_is_answered_with_the_first_result_OT5(gateway: HasUrl, clients: Clients) -> None:
    alice = await clients.enter(gateway, "alice", "r")
    bob = await clients.enter(gateway, "bob", "r")
    message_id = str(uuid.uuid4())
    assert await alice.operate(["once"], 0, id=message_id) == 1
    assert await bob.operate(["twice "], 1) == 2
    for version in (0, 2, 0):
        assert await alice.operate(["once"], version, id=message_id) == 1
    assert await alice.operate(["other text"], 2, id=message_id) == 1
    other_connection = await clients.enter(gateway, "alice", "r")
    assert await other_connection.operate(["once"], 0, id=message_id) == 1
    assert await text_of(bob) == "twice once"
    await settled(alice, bob)
    assert len(bob.take("operation_broadcast")) == 1
    assert await bob.operate(["thrice "], 2, id=message_id) == 3, "another user's id is another id"
    assert await alice.operate(["in s"], 0, id=message_id, roomId=await enter_also(alice, "s")) == 1


async def enter_also(client: SpecClient, room: str) -> str:
    await client.join(room)
    return room


async def test_the_same_id_at_once_is_applied_once_OT5(gateway: HasUrl, clients: Clients) -> None:
    alice = await clients.enter(gateway, "alice", "r")
    message_id = str(uuid.uuid4())
    for _ in range(5):
        await alice.send("operation", {"operation": ["a"], "version": 0}, id=message_id)
    for _ in range(5):
        assert (await alice.expect("ack")).payload == {"messageId": message_id, "version": 1}
    assert await text_of(alice) == "a"


async def test_an_id_in_the_other_case_is_another_id_OT5(gateway: HasUrl, clients: Clients) -> None:
    alice = await clients.enter(gateway, "alice", "r")
    message_id = "ABCDEF12-3456-4789-ABCD-EF1234567890"
    assert await alice.operate(["a"], 0, id=message_id) == 1
    assert await alice.operate(["b"], 1, id=message_id.lower()) == 2


async def test_an_operation_that_was_refused_may_be_sent_again_OT5_OT7(gateway: HasUrl, clients: Clients) -> None:
    alice = await clients.enter(gateway, "alice", "r")
    message_id = str(uuid.uuid4())
    await alice.refusal(INVALID_OPERATION, "operation", {"operation": [5, "a"], "version": 0}, id=message_id)
    assert await alice.operate(["a"], 0, id=message_id) == 1


# Versions ---------------------------------------------------------------------------------------------------


async def test_a_version_that_is_not_there_yet_is_refused_OT6(gateway: HasUrl, clients: Clients) -> None:
    alice = await clients.enter(gateway, "alice", "r")
    await write(alice, "a", "b")
    for version in (3, 2**31, 2**53 - 1):
        payload = {"operation": ["c"], "version": version}
        details = await alice.refusal(VERSION_MISMATCH, "operation", payload)
        assert (details["version"], details["oldest"]) == (2, 0)
    assert await text_of(alice) == "ba"


async def test_a_version_out_of_the_history_is_refused_OT6(start_gateway: StartGateway, clients: Clients) -> None:
    gateway = await start_gateway({"documents.history_operations": 5})
    alice = await clients.enter(gateway, "alice", "r")
    await write(alice, *"abcdefgh")
    details = await alice.refusal(VERSION_MISMATCH, "operation", {"operation": ["x"], "version": 0})
    assert details["version"] == 8
    oldest = details["oldest"]
    assert 1 <= oldest <= 3
    await alice.refusal(VERSION_MISMATCH, "operation", {"operation": ["x"], "version": oldest - 1})
    assert await alice.operate(["y"], oldest) == 9
    assert await text_of(alice) == "yhgfedcba"


async def test_a_late_operation_is_carried_over_a_thousand_others_OT2_OT6(gateway: HasUrl, clients: Clients) -> None:
    alice = await clients.enter(gateway, "alice", "r")
    await alice.operate(["|"], 0)
    for version in range(1, 1001):
        await alice.send("operation", {"operation": ["a"], "version": version})
    await alice.expect("ack", lambda payload: payload["version"] == 1001)
    alice.take("ack")
    assert await alice.operate([1, "late"], 1) == 1002
    assert await text_of(alice) == "a" * 1000 + "|late"


# What is no operation ---------------------------------------------------------------------------------------

NOT_OPERATIONS: list[tuple[Any, str | None]] = [
    (None, ""),
    ("a", ""),
    (5, ""),
    ({}, ""),
    ({"d": 1}, ""),
    ([None], "[0]"),
    ([True], "[0]"),
    ([0, "a"], "[0]"),
    ([-1, "a"], "[0]"),
    ([1.5, "a"], "[0]"),
    ([1e30, "a"], "[0]"),
    ([2**70, "a"], "[0]"),
    ([[]], "[0]"),
    ([{}], "[0]"),
    ([{"d": 0}], "[0]"),
    ([{"d": -1}], "[0]"),
    ([{"d": ""}], "[0]"),
    ([{"d": None}], "[0]"),
    ([{"d": True}], "[0]"),
    ([{"i": "a"}], "[0]"),
    ([{"d": 2**63}], "[0]"),
    ([""], "[0]"),
    ([1, None], "[1]"),
    ([1, "a", {"d": "xyz"}, []], "[3]"),
    ([4, "beyond"], None),
    ([{"d": 4}], None),
    ([1, {"d": 3}], None),
    ([2**62, "a"], None),
]


@pytest.mark.parametrize(("operation", "place"), NOT_OPERATIONS)
async def test_what_is_no_operation_on_the_document_is_refused_OT7(
    gateway: HasUrl, clients: Clients, operation: Any, place: str | None
) -> None:
    alice = await clients.enter(gateway, "alice", "r")
    bob = await clients.enter(gateway, "bob", "r")
    await alice.operate(["abc"], 0)
    details = await alice.refusal(INVALID_OPERATION, "operation", {"operation": operation, "version": 1})
    assert details["path"].startswith("payload.operation" + (place or ""))
    await settled(alice, bob)
    assert len(bob.take("operation_broadcast")) == 1
    state = (await bob.join("r"))["documentState"]
    assert (state["data"], state["version"]) == ("abc", 1)


@pytest.mark.parametrize(
    ("operation", "normal"),
    [
        (["x", "y"], ["xy"]),
        ([1, 1, "x"], [2, "x"]),
        ([{"d": 1}, {"d": 1}], [{"d": 2}]),
        (["x", 2], ["x"]),
        ([3], []),
        ([1, {"d": 1}, 1], [1, {"d": 1}]),
    ],
)
async def test_an_operation_that_is_not_in_normal_form_is_refused_or_put_into_it_OT2_OT7(
    gateway: HasUrl, clients: Clients, operation: Any, normal: Any
) -> None:
    """Others transform over what is broadcast: two inserts in a row would each contend for the place by itself."""
    alice = await clients.enter(gateway, "alice", "r")
    bob = await clients.enter(gateway, "bob", "r")
    await alice.operate(["abc"], 0)
    await bob.expect("operation_broadcast")
    await alice.send("operation", {"operation": operation, "version": 1})
    await alice.expect_any("ack", "error")
    await settled(alice, bob)
    if alice.take("error"):
        assert not bob.take("operation_broadcast")
    else:
        (broadcast,) = bob.take("operation_broadcast")
        assert broadcast.payload["operation"] == normal


async def test_a_misfit_against_an_old_version_changes_nothing_OT7(gateway: HasUrl, clients: Clients) -> None:
    """It has to fit the document at its own version, whatever the document has become since."""
    alice = await clients.enter(gateway, "alice", "r")
    await write(alice, "abc", "more ")
    await alice.refusal(INVALID_OPERATION, "operation", {"operation": [4, "x"], "version": 1})
    assert await alice.operate([3, "x"], 1) == 3
    assert await text_of(alice) == "more abcx"


async def test_an_operation_may_be_so_large_OT7(start_gateway: StartGateway, clients: Clients) -> None:
    gateway = await start_gateway({"documents.max_operation_bytes": 100})
    alice = await clients.enter(gateway, "alice", "r")
    fits = "x" * 96  # ["…"] takes 100
    assert await alice.operate([fits], 0) == 1
    for text in (fits + "x", "é" * 49, "x" * 10_000):
        await alice.refusal(INVALID_OPERATION, "operation", {"operation": [text], "version": 1})
    assert await text_of(alice) == fits


async def test_a_document_may_be_so_large_OT7(start_gateway: StartGateway, clients: Clients) -> None:
    gateway = await start_gateway({"documents.max_document_bytes": 1000, "documents.max_operation_bytes": 1000})
    alice = await clients.enter(gateway, "alice", "r")
    bob = await clients.enter(gateway, "bob", "r")
    assert await alice.operate(["x" * 900], 0) == 1
    await alice.refusal(INVALID_OPERATION, "operation", {"operation": ["y" * 200], "version": 1})
    # Two that fit alone and not together: the second one is refused for what it would make of the document.
    assert await alice.operate(["y" * 60], 1) == 2
    await bob.refusal(INVALID_OPERATION, "operation", {"operation": ["z" * 60], "version": 1})
    assert await bob.operate([{"d": 500}, "z" * 60], 1) == 3
    state = (await alice.join("r"))["documentState"]
    assert (len(state["data"]), state["version"]) == (520, 3)


# Checksums --------------------------------------------------------------------------------------------------


async def test_a_checksum_of_the_document_at_that_version_OT8(gateway: HasUrl, clients: Clients) -> None:
    assert checksum("abc") == "2e5a7dd1"
    alice = await clients.enter(gateway, "alice", "r")
    await alice.operate(["abc"], 0, checksum=checksum(""))
    await alice.operate([3, "d"], 1, checksum="2e5a7dd1")
    for wrong in ("2e5a7dd1", "00000000", checksum("abc ")):
        payload = {"operation": ["x"], "version": 2, "checksum": wrong}
        await alice.refusal(CHECKSUM_FAILED, "operation", payload)
    assert await text_of(alice) == "abcd"


@pytest.mark.parametrize(
    "text",
    ["é😀\u2028", '"quoted" \\ / </script>', "\0\x01\x1f\x7f\b\t\n\f\r", "\ufeff\uffff", "\x80\x9f\u00ad"],
)
async def test_the_checksum_is_of_canonical_json_OT8(gateway: HasUrl, clients: Clients, text: str) -> None:
    alice = await clients.enter(gateway, "alice", "r")
    await alice.operate([text], 0)
    assert await alice.operate([], 1, checksum=checksum(text)) == 2


async def test_the_checksum_of_an_older_version_counts_for_that_one_OT8(gateway: HasUrl, clients: Clients) -> None:
    alice = await clients.enter(gateway, "alice", "r")
    await write(alice, "one", "two")
    payload = {"operation": [3, "!"], "version": 1, "checksum": checksum("twoone")}
    await alice.refusal(CHECKSUM_FAILED, "operation", payload)
    assert await alice.operate([3, "!"], 1, checksum=checksum("one")) == 3
    assert await text_of(alice) == "twoone!"


# Recovery ---------------------------------------------------------------------------------------------------


async def test_what_was_missed_follows_one_by_one_OT9(gateway: HasUrl, clients: Clients) -> None:
    alice = await clients.enter(gateway, "alice", "r")
    bob = await clients.enter(gateway, "bob", "r")
    epoch = bob.rooms["r"]["documentState"]["epoch"]
    await write(alice, "a")
    own_id = str(uuid.uuid4())
    await bob.operate(["b"], 1, id=own_id)
    await write(alice, "c", version=2)
    await bob.abort()
    await write(alice, "d", version=3)
    for since in (0, 1, 3, 4):
        bob = await clients.enter(gateway, "bob")
        joined = await bob.join("r", lastSyncVersion=since, epoch=epoch)
        assert joined["recovery"] == {"recovered": True, "missed": 4 - since}
        assert "data" not in joined["documentState"]
        assert joined["version"] == joined["documentState"]["version"] == 4
        missed = [(await bob.expect("operation_broadcast")).payload for _ in range(4 - since)]
        assert [one["transformedVersion"] for one in missed] == list(range(since + 1, 5))
        text = "dcba"[4 - since :]
        for one in missed:
            text = apply(text, one["operation"])
        assert text == "dcba"
        assert (own_id in [one["messageId"] for one in missed]) == (since < 2)
        await bob.barrier()
        assert not bob.take("operation_broadcast")


async def test_what_comes_while_catching_up_comes_after_OT9(gateway: HasUrl, clients: Clients) -> None:
    alice = await clients.enter(gateway, "alice", "r")
    epoch = alice.rooms["r"]["documentState"]["epoch"]
    await write(alice, *["x"] * 200)
    bob = await clients.enter(gateway, "bob")
    await bob.send("join_room", {"roomId": "r", "lastSyncVersion": 0, "epoch": epoch})
    for version in range(200, 220):
        await alice.send("operation", {"operation": ["y"], "version": version})
    await bob.expect("operation_broadcast", lambda payload: payload["transformedVersion"] == 220)
    joined = await bob.expect("room_joined")
    versions = [one.payload["transformedVersion"] for one in bob.take("operation_broadcast")]
    assert versions == list(range(1, 220))
    assert joined.payload["version"] == joined.payload["recovery"]["missed"]


@pytest.mark.parametrize("epoch", [None, "", "another life"])
async def test_versions_of_another_epoch_say_nothing_OT9(gateway: HasUrl, clients: Clients, epoch: str | None) -> None:
    alice = await clients.enter(gateway, "alice", "r")
    await write(alice, "a", "b")
    payload: dict[str, object] = {"lastSyncVersion": 1} | ({} if epoch is None else {"epoch": epoch})
    joined = await alice.join("r", **payload)
    assert joined["recovery"] == {"recovered": False, "reason": "epoch_changed"}
    assert joined["documentState"]["data"] == "ba"
    assert joined["version"] == 2


async def test_a_gap_that_is_trimmed_gets_the_full_state_OT9(start_gateway: StartGateway, clients: Clients) -> None:
    gateway = await start_gateway({"documents.history_operations": 5})
    alice = await clients.enter(gateway, "alice", "r")
    epoch = alice.rooms["r"]["documentState"]["epoch"]
    await write(alice, *"abcdefgh")
    joined = await alice.join("r", lastSyncVersion=0, epoch=epoch)
    assert joined["recovery"] == {"recovered": False, "reason": "gap_trimmed"}
    assert joined["documentState"]["data"] == "hgfedcba"
    joined = await alice.join("r", lastSyncVersion=5, epoch=epoch)
    assert joined["recovery"] == {"recovered": True, "missed": 3}


async def test_a_version_from_the_future_is_not_recovered_OT9(gateway: HasUrl, clients: Clients) -> None:
    alice = await clients.enter(gateway, "alice", "r")
    epoch = alice.rooms["r"]["documentState"]["epoch"]
    joined = await alice.join("r", lastSyncVersion=1, epoch=epoch)
    assert joined["recovery"]["recovered"] is False
    assert joined["documentState"]["data"] == ""


@pytest.mark.parametrize("seed", range(3))
async def test_writers_who_lose_their_connections_end_at_one_text_OT4_OT5_OT9(
    gateway: HasUrl, clients: Clients, seed: int
) -> None:
    """The connection goes at any moment, with an operation in flight that was or was not committed."""
    dice = random.Random(seed)
    names = ("alice", "bob", "carol")
    editors = [await Editor.join(await clients.enter(gateway, name), "r") for name in names]
    losses = 0
    for step in range(300):
        index = dice.randrange(3)
        editor = editors[index]
        if step % 15 == 14:
            await asyncio.sleep(dice.choice((0, 0, 0.002)))
            await editor.client.abort()
            await editor.resume(await clients.enter(gateway, names[index]))
            losses += 1
        elif dice.random() < 0.5:
            await editor.edit(random_operation(dice, editor.text))
        else:
            await asyncio.sleep(0)
            await editor.receive()
    await converge(*editors)
    assert losses == 20
