"""Where operations are in traces: rules TC1 to TC3."""

from __future__ import annotations

from typing import Any

import pytest
from tests.server.clients import Clients, HasUrl, settled
from tests.server.spec_client import SpecClient, envelope

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
GIVEN = f"00-{TRACE}-{SPAN}-01"


async def write(client: SpecClient, version: int, **payload: object) -> None:
    sent = await client.send("operation", {"operation": ["x"], "version": version, **payload}, roomId="r")
    await client.expect("ack", lambda payload: payload["messageId"] == sent)


async def told(client: SpecClient) -> dict[str, Any]:
    return (await client.expect("operation_broadcast")).payload


async def test_the_others_are_told_where_an_operation_is_in_a_trace_TC1(gateway: HasUrl, clients: Clients) -> None:
    alice = await clients.enter(gateway, "alice", "r")
    others = [await clients.enter(gateway, user, "r") for user in ("bob", "carol")]
    await settled(alice, *others)
    await write(alice, 0, traceparent=GIVEN)
    await write(alice, 1)
    for other in others:
        assert (await told(other))["traceparent"] == GIVEN
        assert "traceparent" not in await told(other)


@pytest.mark.parametrize(
    "given",
    [
        None,
        7,
        [GIVEN],
        {"traceparent": GIVEN},
        "",
        GIVEN.upper(),
        GIVEN[:-1],
        GIVEN + "0",
        GIVEN + "-more",
        GIVEN + "\n",
        " " + GIVEN,
        "ff" + GIVEN[2:],
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE}-{SPAN}-0x",
        f"01{GIVEN[2:]}-{'x' * 201}",
        f"01{GIVEN[2:]}-{'x' * 100_000}",
        f"01{GIVEN[2:]}-é",
        f"٠٠{GIVEN[2:]}",
    ],
    ids=lambda given: repr(given)[:60],
)
async def test_what_is_no_traceparent_counts_as_none_TC2(gateway: HasUrl, clients: Clients, given: object) -> None:
    alice = await clients.enter(gateway, "alice", "r")
    bob = await clients.enter(gateway, "bob", "r")
    await settled(alice, bob)
    await write(alice, 0, traceparent=given)
    assert "traceparent" not in await told(bob)


@pytest.mark.parametrize(
    ("given", "as_told"),
    [
        (f"00-{TRACE}-{SPAN}-00", f"00-{TRACE}-{SPAN}-00"),
        (f"00-{TRACE}-{SPAN}-03", f"00-{TRACE}-{SPAN}-03"),
        (f"00-{TRACE}-{SPAN}-ff", f"00-{TRACE}-{SPAN}-03"),
        (f"cc-{TRACE}-{SPAN}-01", GIVEN),
        (f"01-{TRACE}-{SPAN}-09-what-the-future-brings", GIVEN),
        (f"01-{TRACE}-{SPAN}-01-{'x' * 200}", GIVEN),
    ],
)
async def test_of_other_versions_and_flags_what_is_known_is_told_TC2(
    gateway: HasUrl, clients: Clients, given: str, as_told: str
) -> None:
    alice = await clients.enter(gateway, "alice", "r")
    bob = await clients.enter(gateway, "bob", "r")
    await settled(alice, bob)
    await write(alice, 0, traceparent=given)
    assert (await told(bob))["traceparent"] == as_told


async def test_who_was_not_there_is_told_of_no_trace_TC3(gateway: HasUrl, clients: Clients) -> None:
    alice = await clients.enter(gateway, "alice")
    epoch = (await alice.join("r"))["documentState"]["epoch"]
    await write(alice, 0, traceparent=GIVEN)
    bob = await clients.enter(gateway, "bob")
    await bob.join("r", lastSyncVersion=0, epoch=epoch)
    missed = await told(bob)
    assert (missed["transformedVersion"], "traceparent" in missed) == (1, False)
    asked = await bob.send("get_history", {"after": 0}, roomId="r")
    answer = await bob.expect("history", lambda payload: payload["messageId"] == asked)
    [entry] = answer.payload["operations"]
    assert "traceparent" not in entry


async def test_a_message_that_is_repeated_is_told_once_and_where_it_was_first_TC1_OT5(
    gateway: HasUrl, clients: Clients
) -> None:
    alice = await clients.enter(gateway, "alice", "r")
    bob = await clients.enter(gateway, "bob", "r")
    await settled(alice, bob)
    message = "3b241101-e2bb-4255-8caf-4136c566a962"
    for given in (GIVEN, f"00-{TRACE}-{'1' * 16}-01"):
        await alice.send("operation", {"operation": ["x"], "version": 0, "traceparent": given}, id=message, roomId="r")
    for _ in range(2):
        await alice.expect("ack", lambda payload: payload["messageId"] == message)
    assert (await told(bob))["traceparent"] == GIVEN
    await settled(alice, bob)
    assert not bob.take("operation_broadcast")


async def test_an_operation_in_a_batch_is_in_its_trace_TC1_D1(gateway: HasUrl, clients: Clients) -> None:
    alice = await clients.enter(gateway, "alice", "r")
    bob = await clients.enter(gateway, "bob", "r")
    await settled(alice, bob)
    operation = envelope("operation", {"operation": ["x"], "version": 0, "traceparent": GIVEN}, roomId="r")
    await alice.send("batch", {"messages": [operation], "compressed": False})
    assert (await told(bob))["traceparent"] == GIVEN
