"""Rates, slow readers, and how failures are told: rules L1 to L4, X1 to X3, and H6."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import time
from pathlib import Path
from typing import Any, cast

import pytest
from tests.server.bystanders import Bystanders
from tests.server.clients import Clients, HasUrl, StartGateway, settled
from tests.server.raw_client import (
    BINARY,
    CLOSE,
    CONTINUATION,
    PING,
    PONG,
    TEXT,
    Frame,
    close_frame,
    frame,
    upgrade_request,
)
from tests.server.spec_client import SpecClient, cursor_frame, cursor_move, envelope
from tests.server.spec_shapes import INTERNAL_ERROR, RATE_LIMIT, Message
from websockets.exceptions import InvalidStatus

from fastcollab import Gateway, ot


@pytest.mark.parametrize("kind", ["operation", "event", "presence_update", "selection_change", "mixed"])
async def test_messages_over_the_rate_are_refused_L1(start_gateway: StartGateway, clients: Clients, kind: str) -> None:
    gateway = await start_gateway({"limits.operations": 5, "limits.messages": 6, "limits.burst": 2})
    limit = 5 if kind == "operation" else 6
    alice = await clients.enter(gateway, "alice", "r")
    bob = await clients.enter(gateway, "bob", "r")
    if kind != "operation":
        await asyncio.sleep(0.2)  # join_room was one message
    messages: dict[str, dict[str, Any]] = {
        "operation": {"operation": ["a"], "version": 0},
        "event": {"name": "e"},
        "presence_update": {"presence": {"status": "here"}},
        "selection_change": {"ranges": [], "color": "#fff"},
    }
    ids = []
    for index in range(2 * limit + 4):
        type_ = list(messages)[1 + index % 3] if kind == "mixed" else kind
        ids.append(await alice.send(type_, messages[type_], acknowledgment=True))
    errors: list[dict[str, Any]] = []
    carried_out: list[str] = []
    while len(errors) + len(carried_out) < len(ids):
        await alice.expect_any("ack", "error")
        carried_out += [message.payload["messageId"] for message in alice.take("ack")]
        errors += [message.payload for message in alice.take("error")]
    assert carried_out == ids[: len(carried_out)], "the first ones pass"
    assert 2 * limit - 1 <= len(carried_out) <= 2 * limit + 1
    for error in errors:
        details = error["details"]
        assert (error["code"], error["recoverable"]) == (RATE_LIMIT, True)
        assert (details["limit"], details["remaining"]) == (limit, 0)
        assert 0 < details["retryAfterMs"] <= 1000 / limit + 1
        assert details["messageId"] in ids
    await asyncio.sleep(errors[-1]["details"]["retryAfterMs"] / 1000)
    await alice.send(type_, messages[type_], acknowledgment=True)
    await alice.expect("ack")
    await bob.barrier()
    if kind == "operation":
        await asyncio.sleep(0.5)
        assert (await bob.join("r"))["documentState"]["version"] == len(carried_out) + 1


async def test_operations_and_messages_are_counted_apart_and_per_user_L1(
    start_gateway: StartGateway, clients: Clients
) -> None:
    gateway = await start_gateway({"limits.operations": 1, "limits.messages": 4, "limits.burst": 1})
    alice = await clients.enter(gateway, "alice", "r")
    other = await clients.enter(gateway, "alice", "r")
    bob = await clients.enter(gateway, "bob", "r")
    await alice.operate(["a"], 0)
    await other.send("operation", {"operation": ["b"], "version": 1})
    assert (await other.refused(RATE_LIMIT))["limit"] == 1
    await bob.operate(["c"], 1)
    await bob.barrier()


async def test_connecting_again_gives_no_more_L1(start_gateway: StartGateway, clients: Clients) -> None:
    gateway = await start_gateway({"limits.operations": 1, "limits.burst": 4})
    for _ in range(3):
        alice = await clients.enter(gateway, "alice", "r")
        outcome = [await alice.send("operation", {"operation": ["a"], "version": 0}) for _ in range(4)]
        answered: list[Message] = []
        while len(answered) < len(outcome):
            await alice.expect_any("ack", "error")
            answered += alice.take("ack", "error")
        await alice.close()
    assert all(message.type == "error" for message in answered)


@pytest.mark.parametrize(
    ("limit", "settings"),
    [
        ("operations", {"limits.operations": 1, "limits.burst": 1}),
        ("messages", {"limits.messages": 1, "limits.burst": 1}),
        ("connections_per_user", {"limits.connections_per_user": 1}),
        ("rooms_per_user", {"limits.rooms_per_user": 1}),
    ],
)
@pytest.mark.parametrize("shadow", [False, True])
async def test_a_limit_in_shadow_mode_counts_and_does_not_refuse_L4(
    start_gateway: StartGateway, clients: Clients, limit: str, settings: dict[str, object], shadow: bool
) -> None:
    if limit != "messages":
        settings = {"limits.messages": 1000, **settings}
    gateway = cast(Gateway, await start_gateway({**settings, "limits.shadow": [limit] if shadow else []}))
    alice = await clients.enter(gateway, "alice")
    for room in ("r", "s"):
        await alice.send("join_room", {"roomId": room}, acknowledgment=True)
    for index in range(3):
        await alice.send("operation", {"operation": ["a"], "version": index}, roomId="r")
    other = await clients.open(gateway, header_token=clients.token("alice"))
    await other.expect_any("connected", "error")
    other.take("error")
    await asyncio.sleep(0.1)
    alice.take("error")
    excess = gateway.excesses[limit]
    assert (excess.refused > 0, excess.let_through > 0) == (not shadow, shadow)


@pytest.mark.parametrize("shadow", [True, False])
async def test_the_number_of_connections_can_be_in_shadow_mode_H6_L4(
    start_gateway: StartGateway, clients: Clients, shadow: bool
) -> None:
    gateway = cast(
        Gateway, await start_gateway({"limits.connections": 1, "limits.shadow": ["connections"] if shadow else []})
    )
    await clients.enter(gateway, "alice")
    assert "connections" not in gateway.excesses
    if shadow:
        await clients.enter(gateway, "bob")
    else:
        with pytest.raises(InvalidStatus):
            await clients.open(gateway)
    assert gateway.excesses["connections"] == (not shadow, shadow)


async def test_who_sends_too_fast_is_read_more_slowly_and_loses_nothing_L3(
    start_gateway: StartGateway, clients: Clients
) -> None:
    gateway = await start_gateway({"limits.frames": 200, "limits.burst": 1, "limits.messages": 10_000})
    bystanders = await Bystanders.enter(gateway, clients, "r", "s")
    fast = await clients.raw(gateway, "fast", "t")
    began = time.monotonic()
    fast.send(*(frame(TEXT, json.dumps(envelope("ping", {"timestamp": index})).encode()) for index in range(600)))
    await bystanders.notice_nothing()
    pongs = [(await fast.message())["payload"]["timestamp"] for _ in range(600)]
    assert pongs == list(range(600))
    assert 1.8 < time.monotonic() - began < 4
    # Long messages count by their length, and binary records hardly.
    began = time.monotonic()
    fast.send(*[frame(TEXT, json.dumps(envelope("ping", {"timestamp": 1, "": "x" * 200_000})).encode())] * 5)
    for _ in range(5):
        await fast.message()
    assert 1.5 < time.monotonic() - began < 5
    await asyncio.sleep(1)
    began = time.monotonic()
    fast.send(*(frame(BINARY, cursor_frame(index, 0)) for index in range(1500)))
    await fast.alive()
    assert time.monotonic() - began < 0.5
    await bystanders.notice_nothing()


@pytest.mark.parametrize("kind", ["ping frame", "nonsense", "fragments"])
async def test_whatever_a_frame_is_it_counts_L3(start_gateway: StartGateway, clients: Clients, kind: str) -> None:
    gateway = await start_gateway({"limits.frames": 200, "limits.burst": 1})
    fast = await clients.raw(gateway, "fast", "t")
    await asyncio.sleep(0.1)
    began = time.monotonic()
    flood = {
        "ping frame": [frame(PING, b"x" * 100)] * 400,
        "nonsense": [frame(TEXT, b"{}".ljust(100)), frame(BINARY, b"x" * 100)] * 200,
        "fragments": [frame(TEXT, b"{".ljust(100), fin=False), frame(CONTINUATION, b"}".ljust(100))] * 200,
    }[kind]
    fast.send(*flood)
    await fast.alive()
    assert time.monotonic() - began > 0.8


async def test_a_connection_that_is_not_read_ends_all_the_same_L3(
    start_gateway: StartGateway, clients: Clients
) -> None:
    gateway = cast(Gateway, await start_gateway({"limits.frames": 50, "limits.burst": 1}))
    for index in range(20):
        fast = await clients.raw(gateway, f"fast {index}", "t")
        fast.send(*[frame(PING, b"x" * 100)] * 100)
        await asyncio.sleep(0)
        fast.abort()
    for _ in range(200):
        await asyncio.sleep(0.05)
        if not gateway.connection_count:
            return
    pytest.fail("a connection is still there")


async def test_the_messages_of_a_batch_are_counted_one_by_one_L1_D1(
    start_gateway: StartGateway, clients: Clients
) -> None:
    gateway = await start_gateway({"limits.messages": 5, "limits.burst": 1})
    alice = await clients.enter(gateway, "alice", "r")
    messages = [envelope("event", {"name": str(index)}, acknowledgment=True) for index in range(30)]
    await alice.send("batch", {"messages": messages, "compressed": False})
    answered: list[Message] = []
    while len(answered) < 30:
        await alice.expect_any("ack", "error")
        answered += alice.take("ack", "error")
    carried_out = [message for message in answered if message.type == "ack"]
    assert 3 <= len(carried_out) <= 7
    assert {message.payload["code"] for message in answered if message.type == "error"} == {RATE_LIMIT}


async def test_cursors_over_the_rate_are_not_refused_and_the_newest_arrives_L1(
    start_gateway: StartGateway, clients: Clients
) -> None:
    gateway = await start_gateway({"limits.cursor_updates": 20, "limits.messages": 10, "limits.burst": 1})
    alice = await clients.enter(gateway, "alice", "r")
    bob = await clients.enter(gateway, "bob", "r", batched=True)
    began = time.monotonic()
    count = 400
    for x in range(count):
        if x % 2:
            await alice.send("cursor_move", cursor_move(x, 0))
        else:
            await alice.send_frame(cursor_frame(x, 0))
        await asyncio.sleep(0.0025)
    seen: list[float] = []
    while not seen or seen[-1] != count - 1:
        seen.append((await bob.expect_record()).x)
    took = time.monotonic() - began
    assert seen == sorted(set(seen))
    assert len(seen) <= 20 * took + 20 + 2, "20 per second, and a second's worth at once"
    await settled(alice, bob)
    assert not alice.take("error")


async def test_cursors_are_limited_per_participant_L1(start_gateway: StartGateway, clients: Clients) -> None:
    """Two connections of one user share the rate; another user has its own."""
    gateway = await start_gateway({"limits.cursor_updates": 20, "limits.burst": 1})
    first = await clients.enter(gateway, "alice", "r")
    second = await clients.enter(gateway, "alice", "r")
    carol = await clients.enter(gateway, "carol", "r")
    bob = await clients.enter(gateway, "bob", "r", batched=True)
    began = time.monotonic()
    for x in range(200):
        await first.send_frame(cursor_frame(2 * x, 0))
        await second.send_frame(cursor_frame(2 * x + 1, 0))
        await asyncio.sleep(0.005)
    await carol.send_frame(cursor_frame(7, 7))
    await bob.expect_record(lambda record: record.user == carol.number, within=0.3)
    await asyncio.sleep(0.3)
    await settled(bob)
    took = time.monotonic() - began
    records = [record for record in bob.records if record.user == first.number]
    assert len(records) <= 20 * took + 20 + 2


@pytest.mark.parametrize("late", [False, True])
async def test_a_reader_that_does_not_read_is_closed_L2(
    start_gateway: StartGateway, clients: Clients, late: bool
) -> None:
    gateway = await start_gateway(
        {
            "client.max_outbound_bytes": 100_000,
            "client.max_message_bytes": 65_536,
            "presence.grace_period": 0.1,
            "limits.messages": 10_000,
        }
    )
    slow = await clients.dial(gateway, receive_buffer=4096)
    await slow.upgrade(gateway.url, clients.token("slow", rooms={"*": "write"}))
    await slow.join("r")
    slow.pause_reading()
    alice = await clients.enter(gateway, "alice", "r")
    bob = await clients.enter(gateway, "bob", "r")
    await alice.expect("user_joined")
    data = "x" * 50_000
    for _ in range(200):  # 10 MB: more than the kernel takes
        await alice.send("event", {"name": "e", "data": data})
        await bob.expect("event")
    if late:
        # A connection that does not even read its close frame is cut off.
        await bob.expect("user_left", within=15)
        alice.take("user_left")
        return
    slow.resume_reading()
    received = 0
    while (last := await slow.receive()) is not None and last.opcode != CLOSE:
        received += last.opcode == TEXT
    assert last is not None, "the connection ended without a close frame"
    assert last.close_code == 4503
    assert received < 200
    slow.send(close_frame(4503))
    await slow.ended()
    await bob.expect("user_left")


@pytest.mark.parametrize("seed", range(3))
async def test_what_waits_within_the_bound_is_delivered_whole_L2(gateway: HasUrl, clients: Clients, seed: int) -> None:
    """Messages of all sizes, short ones between long ones, while nobody reads."""
    slow = await clients.dial(gateway, receive_buffer=4096)
    await slow.upgrade(gateway.url, clients.token("slow", rooms={"*": "write"}))
    await slow.join("r")
    slow.pause_reading()
    alice = await clients.enter(gateway, "alice", "r")
    dice = random.Random(seed)
    sizes = [dice.choice((0, 100, 5000, 9000, 70_000, 200_000)) for _ in range(120)]
    assert 4_000_000 < sum(sizes) < 8_000_000
    for index, size in enumerate(sizes):
        await alice.send("event", {"name": str(index), "data": "x" * size})
    await alice.barrier()
    slow.resume_reading()
    received: list[tuple[str, int]] = []
    while len(received) < len(sizes):
        message = await slow.message()
        if message["type"] == "event":
            received.append((message["payload"]["name"], len(message["payload"]["data"])))
    assert received == [(str(index), size) for index, size in enumerate(sizes)]
    await slow.alive()


@pytest.mark.parametrize("kind", ["ping frame", "ping", "refused"])
async def test_answers_that_nobody_reads_do_not_pile_up_L2(
    start_gateway: StartGateway, clients: Clients, kind: str
) -> None:
    """One connection asks and asks and reads nothing; what waits for it is bounded, and nobody else notices."""
    gateway = await start_gateway(
        {
            "client.max_outbound_bytes": 100_000,
            "client.max_message_bytes": 65_536,
            "limits.messages": 1_000_000,
            "presence.grace_period": 0.1,
        }
    )
    bystanders = await Bystanders.enter(gateway, clients, "r", "s")
    eve = await clients.dial(gateway, receive_buffer=4096)
    await eve.upgrade(gateway.url, clients.token("eve", rooms={"*": "write"}))
    eve.pause_reading()
    question = {
        "ping frame": frame(PING, b"x" * 125),
        "ping": frame(TEXT, json.dumps(envelope("ping", {"timestamp": 1})).encode()),
        "refused": frame(TEXT, b"{}"),
    }[kind]
    before = resident_bytes()
    for _ in range(200):  # their answers are 25 MB and more
        eve.send(question * 1000)
        await asyncio.sleep(0)
    await bystanders.notice_nothing()
    assert resident_bytes() - before < 60_000_000  # of which what the test itself has yet to send is a part
    eve.send(frame(PING, b"the last"))
    eve.resume_reading()
    # The gateway either ceased to listen until it was listened to, or closed the connection.
    while (received := await eve.receive()) is not None and received != Frame(PONG, b"the last"):
        if received.opcode == CLOSE:
            assert received.close_code == 4503
            break
    assert received is not None
    eve.abort()
    await bystanders.notice_nothing()


def resident_bytes() -> int:
    """The memory of this process, which is the gateway's and the test's."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


# Errors -----------------------------------------------------------------------------------------------------


async def test_an_error_says_whether_the_connection_goes_on_X1_X3(
    start_gateway: StartGateway, clients: Clients
) -> None:
    gateway = await start_gateway({"limits.connections_per_user": 1})
    alice = await clients.enter(gateway, "alice")
    await alice.send("teleport", {})
    assert (await alice.expect("error")).payload["recoverable"] is True
    await alice.barrier()
    for token, code, close_code in (("nonsense", 1001, 4101), (clients.token("alice"), 1002, 4102)):
        other = await clients.open(gateway, header_token=token)
        error = (await other.expect("error")).payload
        assert (error["code"], error["recoverable"]) == (code, False)
        await other.closed(close_code)
        family, number = divmod(code, 1000)
        assert close_code == 4000 + 100 * family + number


async def test_a_clients_farewell_is_answered_X3(gateway: HasUrl, clients: Clients) -> None:
    alice = await clients.enter(gateway, "alice", "r")
    await alice.close(1000)
    assert alice.close_code == 1000


class Broken:
    """A type of document with a bug: everything is as for text, but for one operation that makes it fall over."""

    name = "broken"
    open = None  # no live documents of its own: they would be those of text, which work

    def __getattr__(self, name: str) -> Any:
        return getattr(ot.types["text"], name)

    def apply(self, document: Any, operation: Any) -> Any:
        if "crash" in operation:
            raise RuntimeError("a bug in a document type")
        return ot.types["text"].apply(document, operation)


@pytest.fixture
def broken_type(monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setitem(ot._types, "broken", Broken())
    return "broken"


async def test_a_fault_of_the_gateway_is_told_and_changes_nothing_X1_X2(
    gateway: HasUrl, clients: Clients, broken_type: str, caplog: pytest.LogCaptureFixture
) -> None:
    alice = await clients.enter(gateway, "alice")
    bob = await clients.enter(gateway, "bob")
    await alice.join("r", documentType=broken_type)
    await bob.join("r")
    await alice.operate(["fine"], 0)
    await bob.expect("operation_broadcast")
    await alice.send("operation", {"operation": ["crash"], "version": 1})
    error = (await alice.expect("error")).payload
    assert error["code"] == INTERNAL_ERROR
    assert "messageId" in error["details"]
    assert "bug" not in error["message"], "what went wrong inside is for the log"
    if not error["recoverable"]:
        await alice.closed(4501)
        alice = await clients.enter(gateway, "alice", "r")
    await settled(bob)
    assert not bob.take("operation_broadcast")
    assert await bob.operate(["still "], 1) == 2
    state = (await alice.join("r"))["documentState"]
    assert (state["data"], state["version"]) == ("still fine", 2)
    assert "a bug in a document type" in caplog.text
    caplog.clear()  # its traceback holds the session and the room


async def test_a_gateway_that_drains_takes_nobody_and_sends_all_away_H6_X3(
    start_gateway: StartGateway, clients: Clients
) -> None:
    gateway = await start_gateway({})
    alice = await clients.enter(gateway, "alice", "r")
    nobody = await clients.open(gateway)
    stubborn = await clients.raw(gateway, "stubborn", "r")
    late = await clients.dial(gateway)
    await alice.operate(["text"], 0)
    url = gateway.url
    request = upgrade_request(url)
    gateway.close_soon()  # type: ignore[attr-defined]
    for client in (alice, nobody):
        await client.closed(4502)
        (error,) = client.take("error")
        assert (error.payload["code"], error.payload["recoverable"]) == (5002, False)
    # Who was connecting is told to come back; nobody connects any more.
    answer = b""
    with contextlib.suppress(ConnectionError):
        late.send(request)
        answer = await late.everything()
    assert answer == b"" or b" 503 " in answer.splitlines()[0]
    with pytest.raises((OSError, InvalidStatus)):
        await SpecClient.open(url)
    # One that does not answer the close is not waited for without end.
    async with asyncio.timeout(10):
        await gateway.stop()  # type: ignore[attr-defined]
    while (received := await stubborn.receive()) is not None:
        assert received.opcode in (TEXT, CLOSE)
