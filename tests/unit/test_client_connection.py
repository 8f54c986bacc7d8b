"""The client's own behaviour, against a server that says exactly what a test wants.

The server speaks the protocol only as far as a test makes it; ``tests/server/test_client.py`` is about the real one.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import struct
from collections.abc import AsyncIterator
from http import HTTPStatus
from typing import Any

import pytest
from tests.unit.scripted_server import TIMEOUT, Peer, ScriptedServer, envelope, error, until
from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed as PeerConnectionClosed
from websockets.http11 import Response

from fastcollab import errors
from fastcollab.checksums import checksum
from fastcollab.client import CollaborativeClient, Room
from fastcollab.client.events import EventStream


@pytest.fixture
async def server() -> AsyncIterator[ScriptedServer]:
    async with ScriptedServer().running() as running:
        yield running


@pytest.fixture
async def client(server: ScriptedServer) -> AsyncIterator[CollaborativeClient]:
    async with CollaborativeClient(server.url, "token", reconnect=False) as connected:
        yield connected


@pytest.fixture
async def peer(server: ScriptedServer, client: CollaborativeClient) -> Peer:
    return await server.peers.get()


@pytest.fixture
async def room(client: CollaborativeClient, peer: Peer) -> Room:
    """A joined room with the text ``hello`` at version 5."""
    room, _ = await asyncio.gather(client.join_room("room"), peer.answer_join("hello", 5))
    return room


async def closed_with(client: CollaborativeClient) -> errors.ConnectionClosed:
    async with asyncio.timeout(TIMEOUT):
        return await client.closed


# Connecting


async def test_the_token_goes_into_the_handshake(client: CollaborativeClient, server: ScriptedServer) -> None:
    """H3, H4"""
    headers = server.requests[0].headers
    assert headers["Authorization"] == "Bearer token"
    assert headers["Sec-WebSocket-Protocol"] == "fastcollab.v1.batch"
    assert client.session.user_id == "me"


async def test_the_token_goes_into_a_connect_message(server: ScriptedServer) -> None:
    """S4"""
    server.welcomes = False
    client = CollaborativeClient(server.url, lambda: "token", handshake_token=False, batch=False, device_id="desk")
    connecting = asyncio.ensure_future(client.connect())
    peer = await server.peers.get()
    message = await peer.expect("connect")
    assert message["payload"] == {"token": "token", "deviceId": "desk", "clientVersion": "0.1.0"}
    await peer.welcome()
    await connecting
    assert "Authorization" not in server.requests[0].headers
    assert server.requests[0].headers["Sec-WebSocket-Protocol"] == "fastcollab.v1"
    await client.disconnect()


async def test_a_refusal_of_the_token_is_raised_by_connect(server: ScriptedServer) -> None:
    """S3: the error says nothing of a message, since the handshake is none."""
    server.welcomes = False
    client = CollaborativeClient(server.url, "token")
    connecting = asyncio.ensure_future(client.connect())
    peer = await server.peers.get()
    await peer.send("error", error(1001, recoverable=False))
    await peer.websocket.close(4101, "bad token")
    with pytest.raises(errors.InvalidToken, match="because"):
        await connecting
    assert not client.is_connected


async def test_a_close_before_connected_is_raised_by_connect(server: ScriptedServer) -> None:
    server.welcomes = False
    connecting = asyncio.ensure_future(CollaborativeClient(server.url, "token").connect())
    await (await server.peers.get()).websocket.close(4502, "draining")
    with pytest.raises(errors.ConnectionClosed) as caught:
        await connecting
    assert (caught.value.code, caught.value.reason) == (4502, "draining")


async def test_silence_instead_of_connected_is_a_timeout(server: ScriptedServer) -> None:
    server.welcomes = False
    client = CollaborativeClient(server.url, "token", connect_timeout=0.05)
    with pytest.raises(TimeoutError):
        await client.connect()
    server.welcomes = True
    await client.connect()  # and another attempt is free
    await client.disconnect()


async def test_a_refused_upgrade_tells_its_status(server: ScriptedServer) -> None:
    """H6"""
    headers = Headers({"Retry-After": "30", "Content-Length": "4"})
    server.answer = Response(HTTPStatus.SERVICE_UNAVAILABLE, "Service Unavailable", headers, b"full")
    with pytest.raises(errors.HandshakeRefused, match="full") as caught:
        await CollaborativeClient(server.url, "token").connect()
    assert (caught.value.status, caught.value.retry_after) == (503, 30)


async def test_another_subprotocol_is_not_accepted(server: ScriptedServer) -> None:
    """H3"""
    server.subprotocol = None
    with pytest.raises(errors.HandshakeRefused, match="subprotocol") as caught:
        await CollaborativeClient(server.url, "token").connect()
    assert caught.value.status == 101


async def test_a_server_that_hangs_up_in_the_handshake() -> None:
    async with await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(errors.ConnectionClosed) as caught:
            await CollaborativeClient(f"ws://127.0.0.1:{port}/ws", "token").connect()
    assert caught.value.code == 1006
    with pytest.raises(ConnectionRefusedError):
        await CollaborativeClient(f"ws://127.0.0.1:{port}/ws", "token").connect()


async def test_calls_without_a_connection() -> None:
    client = CollaborativeClient("ws://127.0.0.1:9/ws", "token")
    for call in (client.ping, lambda: client.join_room("room")):
        with pytest.raises(errors.ConnectionClosed, match="not connected"):
            await call()
    await client.disconnect()


async def test_disconnecting_while_connecting(server: ScriptedServer) -> None:
    server.welcomes = False
    for pause in (0.0, 0.02):  # before and after the WebSocket is open
        client = CollaborativeClient(server.url, "token")
        connecting = asyncio.ensure_future(client.connect())
        await asyncio.sleep(pause)
        await client.disconnect()
        with pytest.raises(errors.ConnectionClosed):
            await connecting
        assert not client.is_connected
        assert client.closed.done()


async def test_connecting_twice_is_a_mistake(client: CollaborativeClient) -> None:
    with pytest.raises(RuntimeError, match="already"):
        await client.connect()


# The WebSocket


async def test_disconnect_says_good_bye(client: CollaborativeClient, peer: Peer) -> None:
    """R7"""
    await client.disconnect()
    assert (await closed_with(client)).code == 1000
    await peer.websocket.wait_closed()
    assert peer.websocket.close_code == 1000


@pytest.mark.parametrize(
    ("code", "reason", "seen"), [(4101, "bäd token", 4101), (1001, "", 1001), (1000, "", 1000), (1005, "", 1005)]
)
async def test_a_close_by_the_gateway_is_answered_and_told(
    client: CollaborativeClient, peer: Peer, code: int, reason: str, seen: int
) -> None:
    """X3"""
    told: list[errors.ConnectionClosed] = []
    client.on("closed", told.append)
    pinging = asyncio.ensure_future(client.ping())
    await peer.expect("ping")
    if code == 1005:
        peer.websocket.transport.write(b"\x88\x00")
    else:
        await peer.websocket.close(code, reason)
    closed = await closed_with(client)
    assert (closed.code, closed.reason) == (seen, reason)
    assert [(one.code, one.reason) for one in told] == [(seen, reason)]
    with pytest.raises(errors.ConnectionClosed):
        await pinging
    await peer.websocket.wait_closed()
    assert peer.websocket.close_code == (1000 if code == 1005 else code)


async def test_a_lost_connection_is_1006(client: CollaborativeClient, peer: Peer) -> None:
    peer.websocket.transport.abort()
    assert (await closed_with(client)).code == 1006


async def test_pings_are_answered(client: CollaborativeClient, peer: Peer) -> None:
    """K1"""
    async with asyncio.timeout(TIMEOUT):
        await (await peer.websocket.ping(b"alive?"))


async def test_a_silent_gateway_is_given_up(server: ScriptedServer) -> None:
    client = CollaborativeClient(server.url, "token", heartbeat=0.04, reconnect=False)
    await client.connect()
    peer = await server.peers.get()
    peer.websocket.transport.pause_reading()
    assert (await closed_with(client)).code == 1001
    peer.websocket.transport.abort()


async def test_fragments_are_put_together(client: CollaborativeClient, peer: Peer) -> None:
    """Wherever they are cut: between the bytes of a character, and with a ping in between."""
    events = client.events("error")
    message = json.dumps(envelope("error", error(2001) | {"message": "žluťoučký 🐎"}), ensure_ascii=False).encode()
    cut = message.index("🐎".encode()) + 2
    write = peer.websocket.transport.write
    write(frame(0x01, message[:10]) + frame(0x00, message[10:cut]))
    write(frame(0x89, b"ping"))
    write(frame(0x80, message[cut:]))
    assert (await anext(events)).value.message == "žluťoučký 🐎"
    await peer.websocket.send([json.dumps(envelope("error", error(2002)))])
    assert isinstance((await anext(events)).value, errors.RoomFull)


def frame(first: int, payload: bytes) -> bytes:
    if len(payload) < 126:
        return bytes([first, len(payload)]) + payload
    return bytes([first, 126]) + struct.pack(">H", len(payload)) + payload


BREACHES = {
    "text that is not UTF-8": (frame(0x81, b'{"type": "\xff"}'), 1007),
    "text that is not UTF-8, in fragments": (frame(0x01, b'{"type": "\xc3') + frame(0x80, b'("}'), 1007),
    "text that is no JSON": (frame(0x81, b"{"), 1002),
    "JSON that is no envelope": (frame(0x81, b"[]"), 1002),
    "an envelope without payload": (frame(0x81, b'{"type": "room_joined"}'), 1002),
    "a room that was never joined": (frame(0x81, b'{"type": "room_joined", "payload": {"roomId": "x"}}'), 1002),
    "a binary message that is no frame": (frame(0x82, b"xyz"), 1002),
    "a continuation of nothing": (frame(0x80, b"x"), 1002),
    "a message within a fragmented one": (frame(0x01, b"x") + frame(0x81, b"{}"), 1002),
    "a reserved bit": (frame(0xC1, b"{}"), 1002),
    "a masked frame": (b"\x81\x82\0\0\0\0{}", 1002),
    "a frame that is too long": (b"\x82\x7e" + struct.pack(">H", 5000), 1009),
    "a message that is too long": (frame(0x01, b"x" * 3000) + frame(0x80, b"x" * 3000), 1009),
}


@pytest.mark.parametrize("breach", BREACHES)
async def test_a_gateway_that_breaks_the_protocol_is_left(server: ScriptedServer, breach: str) -> None:
    payload, code = BREACHES[breach]
    asyncio.get_running_loop().set_exception_handler(lambda *_: None)  # where the cause is reported
    client = CollaborativeClient(server.url, "token", max_message_bytes=4000)
    await client.connect()
    peer = await server.peers.get()
    peer.websocket.transport.write(payload + frame(0x81, json.dumps(envelope("pong", {})).encode()))
    assert (await closed_with(client)).code == code
    with contextlib.suppress(PeerConnectionClosed):
        await peer.receive()
    assert peer.websocket.close_code == code


async def test_what_cannot_be_understood_is_reported(client: CollaborativeClient, peer: Peer) -> None:
    reports: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: reports.append(context))
    await peer.websocket.send('{"type": "pong"}')
    await closed_with(client)
    assert isinstance(reports[0]["exception"], KeyError)


# Answers and errors


@pytest.mark.parametrize(
    "kind",
    [
        errors.ConnectionLimit,
        errors.RateLimited,
        errors.RoomNotFound,
        errors.RoomFull,
        errors.NoPermission,
        errors.InvalidMessage,
        errors.VersionMismatch,
        errors.ChecksumFailed,
        errors.InternalError,
        errors.ServiceUnavailable,
    ],
)
async def test_an_error_is_raised_by_the_call_that_caused_it(
    client: CollaborativeClient, peer: Peer, kind: type[errors.ProtocolError]
) -> None:
    """X2"""
    first, second = (asyncio.ensure_future(client.join_room(name)) for name in ("first", "second"))
    await peer.expect("join_room")
    message = await peer.expect("join_room")
    await peer.refuse(message, kind.code, "second", limit=10)
    with pytest.raises(kind, match="because") as caught:
        await second
    assert type(caught.value) is kind
    assert caught.value.details["limit"] == 10
    assert not first.done()
    first.cancel()


async def test_an_unauthenticated_message_and_an_unknown_code(client: CollaborativeClient, peer: Peer) -> None:
    stream = client.events("error")
    await peer.send("error", error(1001))
    await peer.send("error", error(6001))
    assert type((await anext(stream)).value) is errors.NotAuthenticated
    unknown = (await anext(stream)).value
    assert type(unknown) is errors.InternalError
    assert unknown.details["code"] == 6001


async def test_errors_for_which_no_call_waits(client: CollaborativeClient, peer: Peer, room: Room) -> None:
    told: list[Any] = []
    client.on("error", lambda error: told.append(("client", error)))
    room.on("error", lambda error: told.append(("room", error)))
    await peer.send("error", error(3001, path="frame"))
    await peer.send("error", error(1003), "room")
    await until(lambda: len(told) == 2)
    assert [(where, type(error)) for where, error in told] == [
        ("client", errors.InvalidMessage),
        ("room", errors.RateLimited),
    ]


async def test_errors_that_nobody_hears_are_logged(
    client: CollaborativeClient, peer: Peer, caplog: pytest.LogCaptureFixture
) -> None:
    await peer.send("error", error(5001))
    await until(lambda: "InternalError" in caplog.text)


async def test_answers_come_in_the_order_of_the_questions(client: CollaborativeClient, peer: Peer) -> None:
    """E5: also to a question whose asker is gone."""
    impatient, patient = asyncio.ensure_future(client.ping()), asyncio.ensure_future(client.ping())
    await peer.expect("ping")
    await peer.expect("ping")
    impatient.cancel()
    await peer.send("pong", {"timestamp": 0, "serverTime": 0})
    await asyncio.sleep(0.01)
    assert not patient.done()
    await peer.send("pong", {"timestamp": 0, "serverTime": 0})
    assert 0 < await patient < TIMEOUT * 1000


async def test_a_batch_is_its_messages(client: CollaborativeClient, peer: Peer, room: Room) -> None:
    """D1"""
    events = room.events("participant_left", "event")
    you = {"userId": "you", "numericId": 2, "name": "You", "color": "#000", "presence": {}}
    messages = [
        envelope("event", {"name": "bye", "userId": "you", "numericId": 2}, "room"),
        envelope("user_left", {"roomId": "room", "participant": you}, "room"),
    ]
    await peer.send("batch", {"messages": messages, "compressed": False})
    assert [(await anext(events)).name for _ in messages] == ["event", "participant_left"]
    assert list(room.participants) == ["me"]


async def test_types_of_a_newer_gateway_are_ignored(client: CollaborativeClient, peer: Peer, room: Room) -> None:
    await peer.send("sparkle", {"stars": 3})
    await peer.send("sparkle", {"stars": 3}, "room")
    pinging = asyncio.ensure_future(client.ping())
    await peer.expect("ping")
    await peer.send("pong", {"timestamp": 0, "serverTime": 0})
    await pinging


async def test_a_handler_that_fails_disturbs_nobody(client: CollaborativeClient, peer: Peer) -> None:
    reports: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: reports.append(context))
    told: list[str] = []

    def fail(_: Any) -> None:
        raise LookupError("in a handler")

    async def fail_later(_: Any) -> None:
        await asyncio.sleep(0)
        raise LookupError("in a coroutine")

    async def tell(error: errors.ProtocolError) -> None:
        told.append(error.message)

    for handler in (fail, fail_later, tell):
        client.on("error", handler)
    await peer.send("error", error(5001))
    await until(lambda: len(reports) == 2)
    assert {str(report["exception"]) for report in reports} == {"in a handler", "in a coroutine"}
    assert told == ["because"]
    client.off("error", fail)
    with pytest.raises(ValueError, match="no handler"):
        client.off("error", fail)


async def test_a_stream_that_nobody_reads_is_bounded() -> None:
    stream = EventStream(2, lambda _: None)
    for number in range(5):
        stream.push(number)  # type: ignore[arg-type]
    stream.close()
    assert [event async for event in stream] == [3, 4]
    assert stream.dropped == 3


async def test_a_stream_can_be_read_by_several_and_given_up(client: CollaborativeClient, peer: Peer) -> None:
    stream = client.events("error")
    gone, stays = (asyncio.ensure_future(anext(stream)) for _ in range(2))
    await asyncio.sleep(0)
    gone.cancel()
    await peer.send("error", error(2001))
    assert type((await stays).value) is errors.RoomNotFound
    stream.close()
    assert not client.is_observed("error")


# The document


async def test_operations_are_sent_one_at_a_time(peer: Peer, room: Room) -> None:
    """OT4"""
    room.insert(5, "!")
    room.insert(6, "?")
    room.insert(7, "?")
    first = await peer.expect("operation")
    assert first["payload"] == {"operation": [5, "!"], "version": 5}
    assert first["roomId"] == "room"
    saving = asyncio.ensure_future(room.saved())
    await peer.acknowledge(first, version=6)
    second = await peer.expect("operation")
    assert second["payload"] == {"operation": [6, "??"], "version": 6}
    assert not saving.done()
    await peer.acknowledge(second, version=7)
    await saving
    assert room.text == "hello!??"


async def test_submit_returns_the_version(peer: Peer, room: Room) -> None:
    submitted = [asyncio.ensure_future(room.submit([5, letter])) for letter in "ab"]
    first = await peer.expect("operation")
    await peer.broadcast(["oh, "], 6)
    await peer.acknowledge(first, version=7)
    second = await peer.expect("operation")
    assert second["payload"] == {"operation": [9, "b"], "version": 7}
    await peer.acknowledge(second, version=8)
    assert await asyncio.gather(*submitted) == [7, 8]
    assert room.text == "oh, helloba"


async def test_an_acknowledgement_of_something_else_is_ignored(peer: Peer, room: Room) -> None:
    room.insert(5, "!")
    sent = await peer.expect("operation")
    await peer.send("ack", {"messageId": "of another", "version": 3}, "room")
    await peer.send("ack", {"messageId": "of what the program has sent by itself"}, "room")
    await peer.acknowledge(sent, version=6)
    await room.saved()
    assert room.document.version == 6


@pytest.mark.parametrize("gap", ["broadcast", "acknowledgement"])
async def test_after_a_gap_the_room_is_joined_again(peer: Peer, room: Room, gap: str) -> None:
    """OT3, OT9: what comes until the answer is there is part of the answer."""
    room.insert(5, "!")
    sent = await peer.expect("operation")
    if gap == "broadcast":
        await peer.broadcast([9, "x"], 7)
        await peer.acknowledge(sent, version=8)
    else:
        await peer.acknowledge(sent, version=8)
        await peer.broadcast([9, "x"], 9)
    assert room.text == "hello!"
    request = await peer.answer_join(
        version=8,
        documentState={"type": "text", "version": 8, "epoch": "e1"},
        recovery={"recovered": True, "missed": 3},
    )
    assert request == {"roomId": "room", "lastSyncVersion": 5, "epoch": "e1"}
    await peer.broadcast(["oh, "], 6)
    await peer.broadcast([9, "x"], 7)
    room.insert(0, ">")  # waits for what was missed
    await peer.broadcast([9, "!"], 8, message_id=sent["id"])
    following = await peer.expect("operation")
    assert following["payload"] == {"operation": [">"], "version": 8, "checksum": checksum("oh, hello!x")}
    await peer.acknowledge(following, version=9)
    await room.saved()
    assert room.text == ">oh, hello!x"


async def test_what_a_recovery_repeats_is_applied_once(client: CollaborativeClient, peer: Peer, room: Room) -> None:
    """R2, OT9: operations that came between the question and the answer are part of both."""
    joining = asyncio.ensure_future(client.join_room("room"))
    request = await peer.expect("join_room")
    assert request["payload"]["lastSyncVersion"] == 5
    await peer.broadcast(["a"], 6)
    await until(lambda: room.text == "ahello")
    state = {"type": "text", "version": 7, "epoch": "e1"}
    answer = {"roomId": "room", "handle": 3, "participants": [], "documentState": state, "permission": "write"}
    await peer.send("room_joined", answer | {"recovery": {"recovered": True, "missed": 2}}, "room")
    await peer.broadcast(["a"], 6)
    await peer.broadcast(["b"], 7)
    assert await joining is room
    await until(lambda: room.document.version == 7)
    assert room.text == "bahello"


@pytest.mark.parametrize("kind", [errors.VersionMismatch, errors.ChecksumFailed])
async def test_when_the_copies_have_parted_the_full_state_is_asked_for(
    peer: Peer, room: Room, kind: type[errors.ProtocolError]
) -> None:
    """OT6, OT8"""
    events = room.events("rejected", "reset")
    waiting = [asyncio.ensure_future(room.submit([5, letter])) for letter in "ab"]
    sent = await peer.expect("operation")
    await peer.refuse(sent, kind.code, "room", version=9, oldest=8)
    request = await peer.answer_join("another text", 9)
    assert request == {"roomId": "room"}
    for submitted in waiting:
        with pytest.raises(kind):
            await submitted
    rejection, reset = await anext(events), await anext(events)
    assert rejection.value.operations == ([5, "a"], [5, "b"])
    assert isinstance(rejection.value.error, kind)
    assert reset.value is room.document
    assert (room.text, room.document.version) == ("another text", 9)


async def test_a_room_that_cannot_be_joined_again_keeps_nobody_waiting(peer: Peer, room: Room) -> None:
    told = room.events("error")
    waiting = asyncio.ensure_future(room.submit([5, "!"]))
    await peer.refuse(await peer.expect("operation"), errors.VersionMismatch.code, "room")
    await peer.refuse(await peer.expect("join_room"), errors.NoPermission.code, "room")
    with pytest.raises(errors.NoPermission):
        await waiting
    assert isinstance((await anext(told)).value, errors.NoPermission)
    assert room.document.pending == ([5, "!"],)


async def test_a_checksum_of_the_same_version_keeps_what_is_pending(peer: Peer, room: Room) -> None:
    room.insert(5, "!")
    sent = await peer.expect("operation")
    await peer.refuse(sent, errors.ChecksumFailed.code, "room")
    await peer.answer_join("HELLO", 5)
    again = await peer.expect("operation")
    assert (again["id"], again["payload"]) == (sent["id"], sent["payload"])
    await peer.acknowledge(again, version=6)
    await room.saved()
    assert room.text == "HELLO!"


@pytest.mark.parametrize("kind", [errors.RateLimited, errors.ServiceUnavailable])
async def test_a_refusal_that_passes_is_tried_again(peer: Peer, room: Room, kind: type[errors.ProtocolError]) -> None:
    """L1, OT5: with the same id, as the operation reads by then."""
    submitted = asyncio.ensure_future(room.submit([5, "!"]))
    sent = await peer.expect("operation")
    await peer.refuse(sent, kind.code, "room", limit=30, remaining=0, retryAfterMs=30)
    await peer.broadcast(["oh, "], 6)
    started = asyncio.get_running_loop().time()
    again = await peer.expect("operation")
    assert asyncio.get_running_loop().time() - started > 0.02
    assert (again["id"], again["payload"]) == (sent["id"], {"operation": [9, "!"], "version": 6})
    await peer.acknowledge(again, version=7)
    assert await submitted == 7


async def test_a_refusal_for_good_is_undone_and_the_rest_is_sent(peer: Peer, room: Room) -> None:
    """OT7"""
    changes = room.events("operation", "rejected")
    first, second = (asyncio.ensure_future(room.submit(operation)) for operation in ([5, " world"], ["oh, "]))
    sent = await peer.expect("operation")
    await peer.refuse(sent, errors.InvalidMessage.code, "room", path="payload.operation[1]")
    with pytest.raises(errors.InvalidMessage):
        await first
    following = await peer.expect("operation")
    assert following["payload"] == {"operation": ["oh, "], "version": 5}
    await peer.acknowledge(following, version=6)
    assert await second == 6
    assert room.text == "oh, hello"
    assert (await anext(changes)).value == ([9, {"d": " world"}], None, 5, None)
    assert (await anext(changes)).value.operations == ([5, " world"],)


async def test_a_reconnect_resumes_the_room(server: ScriptedServer, client: CollaborativeClient, peer: Peer) -> None:
    """OT5, OT9"""
    room, _ = await asyncio.gather(client.join_room("room"), peer.answer_join("hello", 5))
    waiting = asyncio.ensure_future(room.submit([5, "!"]))
    sent = await peer.expect("operation")
    peer.websocket.transport.abort()
    with pytest.raises(errors.ConnectionClosed):
        await waiting
    room.insert(0, ">")
    await client.connect()
    peer = await server.peers.get()
    joining = asyncio.ensure_future(client.join_room("room"))
    request = await peer.answer_join(
        version=6,
        documentState={"type": "text", "version": 6, "epoch": "e1"},
        recovery={"recovered": True, "missed": 1},
    )
    assert request == {"roomId": "room", "lastSyncVersion": 5, "epoch": "e1"}
    assert await joining is room
    await peer.broadcast(["oh, "], 6)
    again = await peer.expect("operation")
    assert again["id"] == sent["id"]
    assert again["payload"] == {"operation": [9, "!"], "version": 6, "checksum": checksum("oh, hello")}
    await peer.acknowledge(again, version=7)
    following = await peer.expect("operation")
    assert following["payload"] == {"operation": [">"], "version": 7}


async def test_another_epoch_hands_back_what_was_pending(
    server: ScriptedServer, client: CollaborativeClient, peer: Peer
) -> None:
    """OT9"""
    room, _ = await asyncio.gather(client.join_room("room"), peer.answer_join("hello", 5))
    room.insert(5, "!")
    peer.websocket.transport.abort()
    await closed_with(client)
    rejected: list[Any] = []
    room.on("rejected", rejected.append)
    await client.connect()
    peer = await server.peers.get()
    state = {"type": "text", "data": "", "version": 0, "epoch": "e2"}
    recovery = {"recovered": False, "reason": "epoch_changed"}
    joining = asyncio.ensure_future(client.join_room("room"))
    await peer.answer_join(documentState=state, recovery=recovery)
    await joining
    assert [rejection.operations for rejection in rejected] == [([5, "!"],)]
    assert (room.text, room.document.epoch) == ("", "e2")


async def test_operations_keep_to_the_rate_that_the_gateway_names(client: CollaborativeClient, peer: Peer) -> None:
    """L1: after the burst, the rest is composed."""
    client.session.limits.update(operations=50, burst=0.06)  # three at once, then one every 20 ms
    room, _ = await asyncio.gather(client.join_room("room"), peer.answer_join())
    loop = asyncio.get_running_loop()
    arrivals = []
    typing = asyncio.ensure_future(type_slowly(room, 100))
    while room.document.version == 0 or room.document.pending or not typing.done():
        message = await peer.expect("operation")
        arrivals.append(loop.time())
        await peer.acknowledge(message, version=len(arrivals))
        await until(lambda: room.document.version == len(arrivals))
        await asyncio.sleep(0.001)
    assert room.text == "x" * 100
    assert len(arrivals) <= 3 + (arrivals[-1] - arrivals[0]) * 50 + 1


async def type_slowly(room: Room, count: int) -> None:
    for _ in range(count):
        room.insert(0, "x")
        await asyncio.sleep(0.001)


# Cursors and selections


async def test_cursors_are_throttled_and_the_newest_arrives(peer: Peer, room: Room) -> None:
    loop = asyncio.get_running_loop()
    started = loop.time()
    for x in range(60):
        room.move_cursor(x, 0)
        await asyncio.sleep(0.001)
    moving = loop.time() - started
    frames = []
    while not frames or struct.unpack(">f", frames[-1][6:10])[0] != 59:
        frames.append(await peer.receive())
    assert len(frames) <= moving * 60 + 2
    assert all(len(frame) == 18 for frame in frames)


@pytest.mark.parametrize("coordinate", [float("nan"), float("inf"), 2.0**24 + 2, -(2.0**25)])
async def test_coordinates_that_the_gateway_would_refuse(room: Room, coordinate: float) -> None:
    """B1"""
    with pytest.raises(ValueError, match="between"):
        room.move_cursor(coordinate, 0)
    with pytest.raises(ValueError, match="between"):
        room.move_cursor(0, 0, (0, coordinate))


async def test_frames_of_another_room_are_preceded_by_its_activation(
    client: CollaborativeClient, peer: Peer, room: Room
) -> None:
    """R3"""
    other, _ = await asyncio.gather(client.join_room("other"), peer.answer_join(handle=4))
    other.move_cursor(1, 1)
    assert isinstance(await peer.receive(), bytes)  # the room joined last is the active one
    room.move_cursor(2, 2)
    activation = await peer.expect("activate_room")
    assert activation["payload"] == {"roomId": "room"}
    assert isinstance(await peer.receive(), bytes)
    await peer.acknowledge(activation)
    await asyncio.sleep(0.02)
    room.move_cursor(3, 3)
    assert isinstance(await peer.receive(), bytes)


async def test_a_cursor_waits_while_the_gateway_does_not_read(
    client: CollaborativeClient, peer: Peer, room: Room
) -> None:
    assert client._socket is not None
    client._socket.pause_writing()
    room.move_cursor(1, 1)
    room.move_cursor(2, 2)
    await asyncio.sleep(0.02)
    client._socket.resume_writing()
    frame = await peer.receive()
    assert struct.unpack(">ff", frame[6:14]) == (2, 2)


async def test_frames_show_cursors_and_selections_of_the_others(peer: Peer, room: Room) -> None:
    """B4, B6, B9: the own record is ignored, and so is one of a participant who is not there."""
    moved: list[str] = []
    room.on("cursor", lambda participant: moved.append(participant.user_id))
    nan = float("nan")
    records = [(1, 9, 9, 9, nan, nan), (2, 1.5, -2, 1000, 0, 640), (99, 9, 9, 9, nan, nan)]
    body = b"".join(struct.pack(">IffIff", *record) for record in records)
    await peer.websocket.send(struct.pack(">HHI", 0x0101, 3, 3) + body)
    await peer.websocket.send(struct.pack(">HHI", 0x0101, 1, 77) + struct.pack(">IffIff", 2, 8, 8, 8, 8, 8))
    await peer.websocket.send(struct.pack(">HHI", 0x0102, 1, 3) + struct.pack(">IffIff", 2, 4, 1, 0, nan, nan))
    you = room.participants["you"]
    await until(lambda: you.selection is not None)
    assert moved == ["you"]
    assert room.cursors == {"you": (2, 1.5, -2, 1000, (0, 640))}
    assert you.selection == (((4, 1),), "#000")


async def test_presence_updates_change_only_what_they_name(peer: Peer, room: Room) -> None:
    """V1"""
    events = room.events("cursor", "selection", "presence")
    you = room.participants["you"]
    for presence in (
        {"cursor": {"x": 1, "y": 2}, "status": "away", "data": [1]},
        {"selection": {"ranges": [{"anchor": 1, "head": 2}], "color": "#123", "version": 5}},
        {"status": None, "selection": None},
    ):
        update = {"userId": "you", "numericId": 2, "presence": presence, "timestamp": 7}
        await peer.send("presence_update", update, "room")
    names = {(await anext(events)).name for _ in range(2)}
    assert names == {"cursor", "presence"}
    assert (await anext(events)).name == "selection"
    names = {(await anext(events)).name for _ in range(2)}
    assert names == {"selection", "presence"}
    assert you.cursor == (2, 1, 2, 7, None)
    assert (you.selection, you.status, you.data) == (None, None, [1])


async def test_a_selection_is_told_in_a_version_that_others_know(peer: Peer, room: Room) -> None:
    """V5"""
    room.insert(0, "oh, ")
    await peer.expect("operation")
    selecting = asyncio.ensure_future(room.select([(4, 9)], "#abc"))
    message = await peer.expect("selection_change")
    assert message["payload"] == {"ranges": [{"anchor": 0, "head": 5}], "color": "#abc", "version": 5}
    await peer.acknowledge(message)
    await selecting


async def test_leaving_ends_what_waits_for_the_room(client: CollaborativeClient, peer: Peer, room: Room) -> None:
    """R5"""
    stream = room.events("cursor")
    leaving = asyncio.ensure_future(client.leave_room("room"))
    await peer.expect("leave_room")
    await peer.send("room_left", {"roomId": "room"}, "room")
    await leaving
    assert [event async for event in stream] == []
    assert client.rooms == {}
    room.move_cursor(1, 1)
    room.insert(0, "x")
    pinging = asyncio.ensure_future(client.ping())
    await peer.expect("ping")  # and nothing before it
    pinging.cancel()
