"""A store that takes its time, or fails: what people in a room notice of it (rules OT3, OT5, OT10, E5)."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Sequence
from typing import Any

import pytest
from tests.server.clients import Clients, HasUrl
from tests.server.conftest import GENEROUS, StartGateway
from tests.server.spec_shapes import INTERNAL_ERROR, SERVICE_UNAVAILABLE

from fastcollab import Gateway
from fastcollab.core.document import Author, Committed
from fastcollab.engines.memory import MemoryDocuments
from fastcollab.errors import ServiceUnavailable
from fastcollab.ports import StoredDocument

#: Hardly any history is held in memory, so that the store is asked for it.
FORGETFUL = {"documents.cached_operations": 1, "documents.cached_bytes": 1}


class ReluctantDocuments(MemoryDocuments):
    """A store whose appends wait for `gate`. While `fails` it refuses, and with `loses_answers` after having stored."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = asyncio.Event()
        self.gate.set()
        self.history_gate = asyncio.Event()
        self.history_gate.set()
        self.history_read = asyncio.Event()
        self.batches: list[int] = []
        self.fails = False
        self.loses_answers = False

    async def append(self, room_id: str, epoch: str, entries: Sequence[Committed], mark: str = "") -> None:
        self.batches.append(len(entries))
        await self.gate.wait()
        if self.fails:
            raise ServiceUnavailable("the disk is full", retryAfterMs=50)
        await super().append(room_id, epoch, entries)
        if self.loses_answers:
            self.loses_answers = False
            raise ServiceUnavailable("the store does not answer", retryAfterMs=50)

    async def history(
        self,
        room_id: str,
        epoch: str,
        after: int,
        up_to: int | None = None,
        limit: int | None = None,
        *,
        mark: str = "",
    ) -> list[Committed]:
        entries = await super().history(room_id, epoch, after, up_to, limit)
        self.history_read.set()
        await self.history_gate.wait()
        return entries

    async def load(self, room_id: str, version: int | None = None) -> StoredDocument | None:
        if self.fails:
            raise ServiceUnavailable("the disk cannot be read", retryAfterMs=50)
        return await super().load(room_id, version)


@pytest.fixture
def store() -> ReluctantDocuments:
    return ReluctantDocuments()


@pytest.fixture
async def gateway(start_gateway: StartGateway, store: ReluctantDocuments) -> Gateway:
    return await start_gateway(dict(GENEROUS), store=store)


async def test_nobody_hears_of_an_operation_before_it_is_stored_OT3(
    gateway: HasUrl, clients: Clients, store: ReluctantDocuments
) -> None:
    alice, bob = [await clients.enter(gateway, user, "r") for user in ("alice", "bob")]
    store.gate.clear()
    await alice.send("operation", {"operation": ["a"], "version": 0})
    await alice.barrier()
    carol = await clients.enter(gateway, "carol")
    joined = await carol.join("r")
    assert (joined["version"], joined["documentState"]["data"]) == (0, "")
    await bob.barrier()
    assert alice.take("ack") == bob.take("operation_broadcast") == []
    store.gate.set()
    assert (await alice.expect("ack")).payload["version"] == 1
    for client in (bob, carol):
        assert (await client.expect("operation_broadcast")).payload["transformedVersion"] == 1


async def test_what_comes_while_a_batch_is_stored_is_the_next_one(
    gateway: HasUrl, clients: Clients, store: ReluctantDocuments
) -> None:
    writers = [await clients.enter(gateway, f"user {index}", "r") for index in range(5)]
    store.gate.clear()
    await writers[0].send("operation", {"operation": ["a"], "version": 0})
    await writers[0].barrier()
    for writer in writers[1:]:
        await writer.send("operation", {"operation": ["b"], "version": 0})
        await writer.barrier()
    store.gate.set()
    versions = {(await writer.expect("ack")).payload["version"] for writer in writers}
    assert versions == {1, 2, 3, 4, 5}
    assert store.batches == [1, 4]


async def test_rooms_do_not_wait_for_each_other(gateway: HasUrl, clients: Clients, store: ReluctantDocuments) -> None:
    alice = await clients.enter(gateway, "alice", "slow", "other")
    store.gate.clear()
    await alice.send("operation", {"operation": ["a"], "version": 0}, roomId="slow")
    await alice.send("operation", {"operation": ["a"], "version": 0}, roomId="other")
    await alice.barrier()
    assert store.batches == [1, 1]
    store.gate.set()


async def test_what_cannot_be_stored_is_refused_and_leaves_no_trace_OT10(
    gateway: HasUrl, clients: Clients, store: ReluctantDocuments
) -> None:
    alice, bob = [await clients.enter(gateway, user, "r") for user in ("alice", "bob")]
    await alice.operate(["kept"], 0)
    store.fails = True
    sent = [await alice.send("operation", {"operation": [text], "version": 1}) for text in ("x", "y")]
    for message_id in sent:
        details = await alice.refused(SERVICE_UNAVAILABLE, message_id)
        assert details["retryAfterMs"] == 50
    store.fails = False
    again = {"operation": ["x"], "version": 1}
    await alice.send("operation", again, id=sent[0])
    assert (await alice.expect("ack")).payload == {"messageId": sent[0], "version": 2}
    told = [(await bob.expect("operation_broadcast")).payload for _ in range(2)]
    assert [payload["transformedVersion"] for payload in told] == [1, 2]
    rejoined = await bob.join("r")
    assert rejoined["documentState"]["data"] == "xkept"


async def test_an_operation_of_which_the_answer_was_lost_is_committed_once_OT5_OT10(
    gateway: HasUrl, clients: Clients, store: ReluctantDocuments
) -> None:
    alice, bob = [await clients.enter(gateway, user, "r") for user in ("alice", "bob")]
    store.loses_answers = True
    message_id = await alice.send("operation", {"operation": ["a"], "version": 0})
    await alice.refused(SERVICE_UNAVAILABLE, message_id)
    # Another's operation meets the log where it is, and brings the gateway up to it: Alice hears of hers like all.
    assert await bob.operate(["b"], 0) == 2
    for client in (alice, bob):
        told = (await client.expect("operation_broadcast")).payload
        assert (told["messageId"], told["transformedVersion"]) == (message_id, 1)
    assert (await alice.expect("operation_broadcast")).payload["transformedVersion"] == 2
    await alice.send("operation", {"operation": ["a"], "version": 0}, id=message_id)
    assert (await alice.expect("ack")).payload == {"messageId": message_id, "version": 1}
    assert (await alice.join("r"))["documentState"]["data"] == "ba"


async def test_a_join_is_answered_after_the_operations_sent_before_E5(
    gateway: HasUrl, clients: Clients, store: ReluctantDocuments
) -> None:
    alice = await clients.enter(gateway, "alice", "r")
    store.gate.clear()
    await alice.send("operation", {"operation": ["a"], "version": 0})
    await alice.send("join_room", {"roomId": "r"})
    await asyncio.sleep(0.05)
    assert alice.take("ack", "room_joined") == []
    store.gate.set()
    await alice.expect("room_joined", lambda payload: payload["documentState"]["data"] == "a")
    assert [message.type for message in alice.take()] == ["ack"]


async def test_a_join_is_answered_after_the_operations_refused_before_E5(
    gateway: HasUrl, clients: Clients, store: ReluctantDocuments
) -> None:
    gate = asyncio.Event()

    async def results(*_: object) -> dict[Author, int]:
        await gate.wait()
        return {}

    store.results = results  # type: ignore[method-assign]
    alice = await clients.enter(gateway, "alice", "r")
    message_id = await alice.send("operation", {"operation": ["a"], "version": 99})
    await alice.send("join_room", {"roomId": "r"})
    await asyncio.sleep(0.05)
    assert alice.take("error", "room_joined") == []
    gate.set()
    await alice.expect("room_joined")
    await alice.refused(3002, message_id)


async def test_a_room_that_cannot_be_opened_is_told_OT10(
    gateway: HasUrl, clients: Clients, store: ReluctantDocuments
) -> None:
    alice = await clients.enter(gateway, "alice")
    store.fails = True
    await alice.refusal(SERVICE_UNAVAILABLE, "join_room", {"roomId": "r"})
    store.fails = False
    await alice.join("r")


async def test_who_leaves_meanwhile_has_written_all_the_same_OT3(
    gateway: HasUrl, clients: Clients, store: ReluctantDocuments
) -> None:
    alice = await clients.enter(gateway, "alice", "r")
    store.gate.clear()
    await alice.send("operation", {"operation": ["a"], "version": 0})
    await alice.barrier()
    await alice.close()
    store.gate.set()
    bob = await clients.enter(gateway, "bob")
    if not (await bob.join("r"))["version"]:
        await bob.expect("operation_broadcast")
    assert (await bob.join("r"))["documentState"]["data"] == "a"


async def test_a_room_that_was_left_is_joined_while_its_last_operation_is_stored_E5(
    gateway: HasUrl, clients: Clients, store: ReluctantDocuments
) -> None:
    alice = await clients.enter(gateway, "alice", "r")
    store.gate.clear()
    await alice.send("operation", {"operation": ["a"], "version": 0})
    await alice.send("leave_room", {"roomId": "r"})
    await alice.send("join_room", {"roomId": "r"})
    await alice.expect("room_left")
    store.gate.set()
    joined = await alice.expect("room_joined")
    assert [message.type for message in alice.take()] == ["ack"]
    assert joined.payload["documentState"]["data"] == "a"
    assert await alice.operate([1, "b"], 1) == 2


async def test_the_last_one_leaves_while_another_joins(
    start_gateway: StartGateway, clients: Clients, store: ReluctantDocuments
) -> None:
    gateway = await start_gateway({**GENEROUS, **FORGETFUL}, store=store)
    alice, bob = await clients.enter(gateway, "alice", "r"), await clients.enter(gateway, "bob")
    for version in range(5):
        await alice.operate(["a"], version)
    store.history_gate.clear()
    epoch = alice.rooms["r"]["documentState"]["epoch"]
    await bob.send("join_room", {"roomId": "r", "lastSyncVersion": 0, "epoch": epoch})
    await store.history_read.wait()
    await alice.leave("r")
    store.history_gate.set()
    assert (await bob.expect("room_joined")).payload["recovery"] == {"recovered": True, "missed": 5}
    assert await bob.operate(["b"], 5) == 6
    await alice.join("r")
    assert await alice.operate(["c"], 6) == 7
    bob.take()


async def test_what_others_write_while_a_version_is_brought_back_stays_PV3(
    gateway: HasUrl, clients: Clients, store: ReluctantDocuments
) -> None:
    alice, bob = [await clients.enter(gateway, user, "r") for user in ("alice", "bob")]
    await alice.operate(["draft"], 0)
    await alice.operate([5, " and more"], 1)
    store.history_gate.clear()
    await alice.send("restore", {"version": 1})
    await store.history_read.wait()
    await bob.operate(["> "], 2)
    store.history_gate.set()
    await alice.expect("ack", lambda payload: payload["version"] == 4)
    assert (await bob.join("r"))["documentState"]["data"] == "> draft"


async def test_stopping_waits_for_what_is_on_its_way_OT3(
    gateway: Gateway, clients: Clients, store: ReluctantDocuments
) -> None:
    alice = await clients.enter(gateway, "alice", "r")
    store.gate.clear()
    await alice.send("operation", {"operation": ["a"], "version": 0})
    await alice.barrier()
    gateway.close_soon()
    late = await alice.send("operation", {"operation": ["b"], "version": 0})
    details: Any = await alice.refused(SERVICE_UNAVAILABLE, late)
    assert details["retryAfterMs"]
    store.gate.set()
    assert (await alice.expect("ack")).payload["version"] == 1
    await alice.refused(SERVICE_UNAVAILABLE)
    await alice.closed(4502)
    await gateway.wait_closed()


@pytest.mark.parametrize("call", ["append", "snapshot", "history", "close"])
async def test_stopping_does_not_wait_for_a_store_that_does_not_answer(
    start_gateway: StartGateway, clients: Clients, store: ReluctantDocuments, call: str
) -> None:
    async def never(*_: object, **__: object) -> None:
        await asyncio.Event().wait()

    patience = {"server.shutdown_timeout": 0.1, "documents.snapshot_operations": 10}
    gateway = await start_gateway({**GENEROUS, **FORGETFUL, **patience}, store=store)
    alice = await clients.enter(gateway, "alice", "r")
    for version in range(3):
        await alice.operate(["a"], version)
    setattr(store, call, never)
    await alice.send("operation", {"operation": ["a"], "version": 0 if call == "history" else 3})
    await alice.barrier()
    async with asyncio.timeout(4):
        await gateway.stop()
    alice.take()


async def test_stopping_survives_a_fault_of_the_store(
    start_gateway: StartGateway, store: ReluctantDocuments, caplog: pytest.LogCaptureFixture
) -> None:
    async def fail() -> None:
        raise RuntimeError("a fault")

    store.close = fail  # type: ignore[method-assign]
    gateway = await start_gateway(dict(GENEROUS), store=store)
    async with asyncio.timeout(2):
        await gateway.stop()
    assert "a background step failed" in caplog.text
    caplog.clear()


async def test_a_document_that_was_made_anew_is_had_afresh_OT6(
    gateway: HasUrl, clients: Clients, store: ReluctantDocuments
) -> None:
    alice, bob = [await clients.enter(gateway, user, "r") for user in ("alice", "bob")]
    await alice.operate(["old"], 0)
    await bob.expect("operation_broadcast")
    await store.replace("r", "text", "imported")
    message_id = await alice.send("operation", {"operation": [3, "!"], "version": 1})
    await alice.refused(3002, message_id)
    for client in (alice, bob):
        assert "messageId" not in await client.refused(3002)
        joined = await client.join("r", lastSyncVersion=1, epoch=client.rooms["r"]["documentState"]["epoch"])
        assert joined["recovery"] == {"recovered": False, "reason": "epoch_changed"}
        assert joined["documentState"]["data"] == "imported"
    await alice.operate([8, "!"], 0)
    assert (await bob.expect("operation_broadcast")).payload["transformedVersion"] == 1


async def test_an_older_operation_comes_while_the_history_is_fetched_for_another(
    start_gateway: StartGateway, clients: Clients, store: ReluctantDocuments
) -> None:
    gateway = await start_gateway({**GENEROUS, **FORGETFUL}, store=store)
    alice, bob = [await clients.enter(gateway, user, "r") for user in ("alice", "bob")]
    for version in range(9):
        await alice.operate(["a"], version)
    store.history_gate.clear()
    await alice.send("operation", {"operation": ["late"], "version": 5})
    await store.history_read.wait()
    await bob.send("operation", {"operation": ["later"], "version": 1})
    await bob.barrier()
    store.history_gate.set()
    assert (await alice.expect("ack")).payload["version"] == 10
    assert (await bob.expect("ack")).payload["version"] == 11
    bob.take()


async def test_history_that_is_gone_with_the_document_OT6_OT9(
    start_gateway: StartGateway, clients: Clients, store: ReluctantDocuments
) -> None:
    gateway = await start_gateway({**GENEROUS, **FORGETFUL}, store=store)
    alice, bob = await clients.enter(gateway, "alice", "r"), await clients.enter(gateway, "bob")
    for version in range(5):
        await alice.operate(["a"], version)
    await store.replace("r", "text", "imported")
    epoch = alice.rooms["r"]["documentState"]["epoch"]
    joined = await bob.join("r", lastSyncVersion=0, epoch=epoch)
    assert joined["recovery"] == {"recovered": False, "reason": "gap_trimmed"}
    late = await alice.send("operation", {"operation": ["late"], "version": 0})
    await alice.refused(3002, late)
    for client in (alice, bob):
        assert "messageId" not in await client.refused(3002)
        assert (await client.join("r"))["documentState"]["data"] == "imported"


async def test_a_fault_of_the_store_while_it_is_asked_for_results_is_told(
    gateway: HasUrl, clients: Clients, store: ReluctantDocuments, caplog: pytest.LogCaptureFixture
) -> None:
    async def fail(*_: object) -> dict[Author, int]:
        raise RuntimeError("a fault")

    alice = await clients.enter(gateway, "alice", "r")
    store.results = fail  # type: ignore[method-assign]
    message_id = await alice.send("operation", {"operation": ["a"], "version": 99})
    await alice.refused(INTERNAL_ERROR, message_id)
    assert await alice.operate(["a"], 0) == 1
    assert "could not be looked up" in caplog.text
    caplog.clear()  # with what it holds of the traceback


async def test_a_store_that_was_put_back_to_an_older_state_is_followed_OT6(
    gateway: HasUrl, clients: Clients, store: ReluctantDocuments
) -> None:
    alice, bob = [await clients.enter(gateway, user, "r") for user in ("alice", "bob")]
    await alice.operate(["a"], 0)
    backup = copy.deepcopy(store._documents)
    for version in (1, 2):
        await alice.operate(["a"], version)
    store._documents = backup
    message_id = await alice.send("operation", {"operation": ["b"], "version": 3})
    await alice.refused(3002, message_id)
    bob.take("operation_broadcast")
    for client in (alice, bob):
        assert "messageId" not in await client.refused(3002)
        joined = await client.join("r", lastSyncVersion=3, epoch=client.rooms["r"]["documentState"]["epoch"])
        assert joined["documentState"]["data"] == "a"
    await alice.operate(["b"], 1)
    assert (await bob.expect("operation_broadcast")).payload["transformedVersion"] == 2
