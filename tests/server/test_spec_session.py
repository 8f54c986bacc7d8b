"""A whole session of two users, from the handshake to the farewell, as the specification tells it.

The rules one by one, with all that they refuse, are in the ``test_spec_*`` modules beside this one.
"""

from __future__ import annotations

import asyncio

import pytest
from tests.server.clients import Clients, HasUrl, settled
from tests.server.editor import Editor, checksum, converge
from tests.server.spec_client import SpecClient, cursor_frame, cursor_move, envelope
from tests.server.spec_shapes import BATCHED, INVALID_OPERATION, PLAIN, SELECTION, VERSION_MISMATCH


async def opened(gateway: HasUrl, clients: Clients, user: str, way: str) -> SpecClient:
    """A connection that was authenticated in one of the three ways; bob's has batched frames."""
    token = clients.token(user, rooms={"dash-*": "write"}, name=user.title())
    protocol = BATCHED if user == "bob" else PLAIN
    if way == "header":
        client = await clients.open(gateway, header_token=token, subprotocols=[protocol])
    elif way == "subprotocol":
        client = await clients.open(gateway, subprotocols=[protocol, f"fastcollab.token.{token}"])
    else:
        client = await clients.open(gateway, subprotocols=[protocol])
        await client.connect(token)
        return client
    await client.await_connected()
    return client


@pytest.mark.parametrize("ways", [("header", "message"), ("message", "subprotocol"), ("subprotocol", "header")])
async def test_a_whole_session(gateway: HasUrl, clients: Clients, ways: tuple[str, str]) -> None:
    alice = await opened(gateway, clients, "alice", ways[0])
    bob = await opened(gateway, clients, "bob", ways[1])
    assert alice.connected["userId"] == "alice"
    assert alice.connected["protocol"] == 1
    assert alice.number != bob.number

    # They join, and learn of each other.
    ours = await Editor.join(alice, "dash-1")
    theirs = await Editor.join(bob, "dash-1")
    newcomer = (await alice.expect("user_joined", room="dash-1")).payload["participant"]
    assert (newcomer["userId"], newcomer["numericId"], newcomer["name"]) == ("bob", bob.number, "Bob")
    assert len(bob.rooms["dash-1"]["participants"]) == 2

    # Cursors, both ways, as messages and as frames.
    await alice.send("cursor_move", cursor_move(10.5, 20, viewport=(0, 640), timestamp=1000))
    record = await bob.expect_record()
    assert (record.user, record.x, record.y, record.viewport) == (alice.number, 10.5, 20, (0, 640))
    assert (record.handle, record.timestamp) == (bob.rooms["dash-1"]["handle"], 1000)
    await bob.send_frame(cursor_frame(1.5, -2, timestamp=1000))
    update = (await alice.expect("presence_update")).payload
    assert (update["userId"], update["presence"]) == ("bob", {"cursor": {"x": 1.5, "y": -2}})
    await alice.send_frame(cursor_frame(3, 4))
    await bob.expect_record(lambda record: (record.x, record.y) == (3, 4))
    await bob.send_frame(cursor_frame(5, 6, viewport=(7, 8)))
    record = await alice.expect_record()
    assert (record.user, record.x, record.y, record.viewport) == (bob.number, 5, 6, (7, 8))

    # They write at one place at once.
    await ours.edit(["Hello"])
    await theirs.edit(["World"])
    text = await converge(ours, theirs)
    assert text in ("HelloWorld", "WorldHello")
    await ours.edit([5, ", "])
    await theirs.edit([{"d": 1}, "!"])
    await converge(ours, theirs)

    # What they select and what they are doing.
    await alice.send(
        "selection_change",
        {"ranges": [{"anchor": 0, "head": 3}], "color": "#ff8800", "version": ours.version},
        acknowledgment=True,
    )
    await alice.expect("ack")
    selection = (await bob.expect("presence_update")).payload["presence"]["selection"]
    assert selection == {"ranges": [{"anchor": 0, "head": 3}], "color": "#ff8800", "version": ours.version}
    await bob.send_frame(cursor_frame(2, 4, kind=SELECTION))
    record = await alice.expect_record()
    assert (record.kind, record.x, record.y) == (SELECTION, 2, 4)
    await bob.send("presence_update", {"presence": {"status": "reviewing", "data": {"page": 3}}})
    presence = (await alice.expect("presence_update")).payload["presence"]
    assert presence == {"status": "reviewing", "data": {"page": 3}}

    # Events, to all and to one; a batch of messages; a ping.
    await bob.send("event", {"name": "wave", "data": [1, 2]})
    assert (await alice.expect("event")).payload["data"] == [1, 2]
    messages = [
        envelope("event", {"name": "in a batch"}),
        envelope("cursor_move", cursor_move(9, 9)),
        envelope("ping", {"timestamp": 12345}),
        envelope("operation", {"operation": ["> "], "version": ours.version, "checksum": checksum(ours.text)}),
    ]
    await bob.send("batch", {"messages": messages, "compressed": False})
    assert (await alice.expect("event")).payload["name"] == "in a batch"
    assert (await bob.expect("pong")).payload["timestamp"] == 12345
    assert (await alice.expect_record(lambda record: record.x == 9)).user == bob.number
    ack = (await bob.expect("ack")).payload
    assert ack == {"messageId": messages[3]["id"], "version": ours.version + 1}
    await ours.catch_up(ours.version + 1)
    assert ours.text == (await alice.join("dash-1"))["documentState"]["data"]

    # What goes wrong is told to its sender alone.
    await alice.refusal(INVALID_OPERATION, "cursor_move", {"x": "left"})
    await alice.refusal(VERSION_MISMATCH, "operation", {"operation": ["x"], "version": 999})

    # A second room beside the first.
    await alice.join("dash-2")
    await bob.join("dash-2")
    await alice.expect("user_joined", room="dash-2")
    await alice.send("activate_room", {"roomId": "dash-1"})
    await alice.send("event", {"name": "to the first"})
    assert (await bob.expect("event")).room == "dash-1"
    await bob.leave("dash-2")
    await alice.expect("user_left", room="dash-2")

    # Alice's connection is lost, and she comes back for what she missed; nobody noticed.
    await settled(alice, bob)
    bob.take()
    await alice.abort()
    version = ours.version
    assert await bob.operate(["Ps. "], version) == version + 1
    await asyncio.sleep(0.05)
    alice = await opened(gateway, clients, "alice", "header")
    joined = await ours.resume(alice)
    assert joined["recovery"]["missed"] == 1
    assert ours.text.startswith("Ps. ")
    await settled(alice, bob)
    assert not bob.take("user_joined", "user_left")

    # A farewell.
    await alice.close(1000)
    left = await bob.expect("user_left", room="dash-1", within=2)
    assert left.payload["participant"]["userId"] == "alice"
    assert [one["userId"] for one in (await bob.join("dash-1"))["participants"]] == ["bob"]
