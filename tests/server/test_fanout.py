"""Cursors on their way through a running gateway: who gets which, in which form, and what slow readers are spared."""

from __future__ import annotations

import asyncio
import base64
import json
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest
from tests.server.peers import (
    BATCHED,
    BINARY,
    CLOSE,
    CURSOR,
    PLAIN,
    SELECTION,
    TEXT,
    Peer,
    client,
    connection_of,
    envelope,
    masked,
    raw_client,
    small_socket,
)
from websockets.exceptions import ConnectionClosed

from fastcollab import Gateway
from fastcollab._binary import encode_frame
from fastcollab.server import dispatcher

GENEROUS = {
    "limits.operations": 10_000,
    "limits.messages": 10_000,
    "limits.connections_per_user": 100,
    "limits.cursor_updates": 100_000,
}

StartGateway = Callable[..., Awaitable[Gateway]]


@pytest.fixture(params=["pump", "event loop"])
async def gateway(request: pytest.FixtureRequest, start_gateway: StartGateway) -> Gateway:
    """A gateway whose sockets are read by the pump, or, as where there is no epoll, by the event loop."""
    gateway = await start_gateway(GENEROUS)
    if request.param == "event loop":
        gateway._parts.pump.close()
    return gateway


async def until(condition: Callable[[], bool], seconds: float = 5) -> None:
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.005)


# --- who gets what ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["batched", "plain", "json"])
async def test_everyone_gets_the_others_and_not_oneself(form: str, gateway: Gateway, make_token: Any) -> None:
    protocol = BATCHED if form == "batched" else PLAIN
    async with AsyncExitStack() as stack:
        peers: list[Peer] = [
            await stack.enter_async_context(client(gateway, make_token(str(number)), protocol=protocol, room="room"))
            for number in range(4)
        ]
        for step in range(1, 30):
            for peer in peers:
                if form == "json":
                    cursor = {"x": step, "y": peer.number, "viewportX": 1, "viewportY": 2, "timestamp": 5}
                    await peer.send("cursor_move", cursor)
                else:
                    await peer.move(step, peer.number, (1, 2) if step % 2 else None)
            await asyncio.sleep(0.002)
        for peer in peers:
            for other in peers:
                if other is not peer:
                    await peer.until_seen(other.number, 29)
        for peer in peers:
            await peer.settle()
            # In JSON until the first frame was sent, and the frames of the others may have been faster.
            binary = peer.seen if form == "json" else [one for one in peer.seen if one.form != "json"]
            assert {one.form for one in binary} == {form}
            assert {one.user for one in peer.seen} == {other.number for other in peers if other is not peer}
            assert all(one.y == one.user for one in peer.seen)
            for other in peers:
                xs = [one.x for one in binary if one.user == other.number]
                assert xs == sorted(xs)


async def test_plain_frames_are_of_the_active_room_and_json_of_the_others(gateway: Gateway, make_token: Any) -> None:
    """B5 and B7."""
    async with (
        client(gateway, make_token("1"), room="first") as one,
        client(gateway, make_token("2"), room="second") as two,
        client(gateway, make_token("3"), room="first") as both,
    ):
        await both.join("second")
        await one.move(1)
        await two.move(1, 0, (3, 4))
        for number, room in ((1, "first"), (2, "second")):
            assert (await both.until_seen(number, 1)).room == room
        await both.move(0)
        await both.settle()
        both.seen.clear()
        await one.move(2)
        await two.move(2, 0, (3, 4))
        assert (await both.until_seen(1, 2))[:2] == ("json", "first")
        assert (await both.until_seen(2, 2))[:2] == ("plain", None)
        await both.send("activate_room", {"roomId": "first"})
        await both.settle()
        await one.move(3)
        await two.move(3)
        assert (await both.until_seen(1, 3))[:2] == ("plain", None)
        assert (await both.until_seen(2, 3))[:2] == ("json", "second")
        await both.send("leave_room", {"roomId": "first"})
        await both.until("room_left")
        await two.move(4)
        assert (await both.until_seen(2, 4))[:2] == ("plain", None)


async def test_plain_frames_have_a_viewport_or_not(gateway: Gateway, make_token: Any) -> None:
    async with (
        client(gateway, make_token("1"), room="room") as sender,
        client(gateway, make_token("2"), room="room") as receiver,
    ):
        await receiver.move(0)
        await receiver.settle()
        await sender.move(1)
        assert await receiver.socket.recv() == encode_frame(CURSOR, 1, 1, 0, 0)
        await sender.move(2, 0, (3, 4))
        assert await receiver.socket.recv() == encode_frame(CURSOR, 1, 2, 0, 0, (3, 4))


async def test_batched_frames_are_of_all_rooms(gateway: Gateway, make_token: Any) -> None:
    """B6: without having sent a frame, too."""
    async with (
        client(gateway, make_token("1"), room="first") as one,
        client(gateway, make_token("2"), room="second") as two,
        client(gateway, make_token("3"), protocol=BATCHED) as both,
    ):
        handles = [(await both.join(room))["handle"] for room in ("first", "second")]
        await one.move(1)
        await two.move(1)
        assert [(await both.until_seen(number, 1))[:2] for number in (1, 2)] == [
            ("batched", handle) for handle in handles
        ]
        assert {one.form for one in both.seen} == {"batched"}


async def test_selections_come_as_frames_and_as_json(gateway: Gateway, make_token: Any) -> None:
    """B4. The JSON is built from what the room knows, which has to be the frame's by then."""
    async with (
        client(gateway, make_token("1", color="#abcdef"), room="room") as sender,
        client(gateway, make_token("2"), protocol=BATCHED, room="room") as batched,
        client(gateway, make_token("3"), room="room") as in_json,
    ):
        await batched.settle()
        for anchor in (4, 5):
            await sender.socket.send(encode_frame(SELECTION, 0, anchor, 9, 0))
            assert await batched.socket.recv() == bytes.fromhex("01020001 00000001 00000001") + struct.pack(
                ">ffIff", anchor, 9, 0, *[struct.unpack(">f", bytes.fromhex("7fc00000"))[0]] * 2
            )
            update = await in_json.until("presence_update")
            assert update["payload"]["presence"] == {
                "selection": {"ranges": [{"anchor": anchor, "head": 9}], "color": "#abcdef", "version": 0}
            }


async def test_a_change_to_frames_loses_no_cursor_that_was_to_come_as_json(
    start_gateway: StartGateway, make_token: Any
) -> None:
    gateway = await start_gateway(GENEROUS | {"presence.cursor_interval_ms": 60_000})
    async with (
        client(gateway, make_token("1"), room="room") as mover,
        client(gateway, make_token("2"), room="room") as changer,
    ):
        await mover.move(1)
        assert (await changer.until_seen(1, 1)).form == "json"
        await mover.move(2)  # to be told a minute from now, and flushed already
        await mover.settle()
        await asyncio.sleep(0.05)
        await changer.settle()
        assert [one.x for one in changer.seen] == [1]
        await changer.move(0)
        await changer.until_seen(1, 2)


async def test_a_change_to_json_loses_no_cursor_that_was_to_come_as_a_frame(
    start_gateway: StartGateway, make_token: Any
) -> None:
    gateway = await start_gateway(GENEROUS | {"fanout.min_interval_ms": 500, "fanout.max_interval_ms": 500})
    async with (
        client(gateway, make_token("1"), room="room") as mover,
        client(gateway, make_token("2"), room="room") as changer,
    ):
        for peer in (mover, changer):  # nobody is left who wants JSON
            await peer.move(0)
            await peer.settle()
        await mover.move(1)
        assert (await changer.until_seen(1, 1)).form == "plain"
        await mover.move(2)  # to be flushed half a second from now
        await mover.settle()
        await changer.join("elsewhere")
        assert (await changer.until_seen(1, 2)).form == "json"


async def test_who_joins_is_told_of_nothing_before_the_room(start_gateway: StartGateway, make_token: Any) -> None:
    gateway = await start_gateway(GENEROUS | {"presence.cursor_interval_ms": 60_000})
    async with (
        client(gateway, make_token("1"), room="room") as mover,
        client(gateway, make_token("2"), room="room") as in_json,
        client(gateway, make_token("3"), protocol=BATCHED) as joining,
    ):
        for x in (1, 2):
            await mover.move(x)
            await mover.settle()
        await joining.send("join_room", {"roomId": "room"})
        await joining.receive()
        assert [message["type"] for message in joining.messages] == ["room_joined"]
        [shown] = [who for who in joining.messages[0]["payload"]["participants"] if who["userId"] == "1"]
        assert shown["presence"]["cursor"] == {"x": 2, "y": 0}
        await in_json.settle()


# --- slow readers -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["batched", "plain", "json"])
async def test_a_slow_reader_is_shown_the_newest_and_no_past(form: str, gateway: Gateway, make_token: Any) -> None:
    """B10."""
    # Sockets that are accepted take this over, so that little is on its way that nobody can take back.
    gateway._server.sockets[0].setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    protocol = BATCHED if form == "batched" else PLAIN
    async with (
        client(gateway, make_token("slow"), protocol=protocol, sock=small_socket(gateway), max_queue=1) as slow,
        client(gateway, make_token("1"), protocol=BATCHED) as one,
        client(gateway, make_token("2"), protocol=BATCHED) as two,
        client(gateway, make_token("3"), protocol=BATCHED) as idle,
    ):
        for peer in (slow, one, two, idle):
            await peer.join("room")
        if form == "plain":
            await slow.move(0)
            await slow.settle()
        await idle.move(77)
        await slow.until_seen(3, 77)
        outbox = connection_of(gateway, "slow").outbox
        backlogs = []
        steps = 0
        while steps < 4000 or outbox.writable:
            steps += 1
            await one.move(steps)
            await two.move(-steps)
            if steps % 10 == 0:
                await asyncio.sleep(0.002)
                backlogs.append(outbox.backlog)
            assert steps < 50_000, "the slow reader could not be slowed down"
        await one.settle()
        await two.settle()
        assert not outbox.writable
        # What a socket has taken in part must be sent to its end; more must not wait.
        assert max(backlogs) < 8192
        assert outbox.backlog < 8192

        slow.seen.clear()
        await slow.until_seen(1, steps)
        await slow.until_seen(2, -steps)
        await slow.settle()
        ours = [abs(one.x) for one in slow.seen if one.user == 1]
        assert ours == sorted(ours)
        assert len(ours) < steps / 2
        theirs = [abs(one.x) for one in slow.seen if one.user == 2]
        assert theirs == sorted(theirs)
        # Who did not move is not shown again to who has missed nothing of it.
        if form != "json":
            assert not [one for one in slow.seen if one.user == 3]
        assert {one.form for one in slow.seen} == {form}
        # And from here on it is up to date like everyone.
        assert outbox.writable
        await one.move(0.5)
        await slow.until_seen(1, 0.5)


async def test_who_lets_messages_wait_is_closed(start_gateway: StartGateway, make_token: Any) -> None:
    """L2."""
    gateway = await start_gateway(GENEROUS | {"client.max_outbound_bytes": 65_536, "client.max_message_bytes": 16_384})
    gateway._server.sockets[0].setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    async with (
        client(gateway, make_token("slow"), sock=small_socket(gateway), max_queue=1, room="room") as slow,
        client(gateway, make_token("1"), room="room") as sender,
    ):
        connection = connection_of(gateway, "slow")
        sent = 0
        async with asyncio.timeout(10):
            while connection.open:
                sent += 1
                await sender.send("event", {"name": "much", "data": "x" * 4000})
                await sender.settle()
                assert connection.outbox.backlog <= 65_536 + 200
        received = 0
        with pytest.raises(ConnectionClosed) as closed:
            while True:
                await slow.until("event")
                received += 1
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 4503
        assert 8 < received < sent
        # The sender is none the worse for it.
        await sender.settle()


async def test_who_says_goodbye_and_does_not_read_is_gone_all_the_same(
    gateway: Gateway, make_token: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dispatcher, "_CLOSE_TIMEOUT", 0.2)
    gateway._server.sockets[0].setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    async with raw_client(gateway, make_token("slow")) as slow, client(gateway, make_token("1"), room="room") as sender:
        slow.send("join_room", {"roomId": "room"})
        await sender.until("user_joined")
        slow.writer.transport.pause_reading()
        connection = connection_of(gateway, "slow")
        while connection.outbox.backlog < 100_000:
            await sender.send("event", {"name": "much", "data": "x" * 50_000})
            await sender.settle()
        slow.writer.write(masked(CLOSE, (1000).to_bytes(2, "big")))
        await until(lambda: gateway.connection_count == 1)
        await sender.until("user_left")


# --- many at once -----------------------------------------------------------------------------------------------------

MOVERS = 40


@asynccontextmanager
async def flood(gateway: Gateway, make_token: Any) -> AsyncIterator[list[Peer]]:
    """Many connections that send all the time, each in a room of its own; ends when the body does."""
    async with AsyncExitStack() as stack:
        movers: list[Peer] = [
            await stack.enter_async_context(client(gateway, make_token(f"mover {n}"), protocol=BATCHED, room=f"{n}"))
            for n in range(MOVERS)
        ]
        moved = masked(BINARY, encode_frame(CURSOR, 0, 1, 1, 1))

        async def move() -> None:
            while True:
                for mover in movers:
                    mover.socket.transport.write(moved)
                await asyncio.sleep(0.002)

        moving = asyncio.create_task(move())
        try:
            await until(lambda: gateway._parts.pump.polling)
            yield movers
            assert not moving.done()
        finally:
            moving.cancel()
            await asyncio.gather(moving, return_exceptions=True)


async def test_the_pump_polls_while_many_are_busy_and_stops_when_they_are_not(
    start_gateway: StartGateway, make_token: Any
) -> None:
    gateway = await start_gateway(GENEROUS)
    assert not gateway._parts.pump.polling
    async with (
        client(gateway, make_token("1"), protocol=BATCHED, room="room") as one,
        client(gateway, make_token("2"), protocol=BATCHED, room="room") as two,
    ):
        for round_ in range(3):
            async with flood(gateway, make_token):
                for x in range(5):
                    await one.move(x)
                    await two.until_seen(1, x)
                    await two.settle()
                    two.seen.clear()
                assert gateway._parts.pump.polling
            await until(lambda: not gateway._parts.pump.polling)
            await one.move(100 + round_)
            await two.until_seen(1, 100 + round_)


@pytest.mark.parametrize("end", ["reset", "closed", "half-closed", "goodbye"])
async def test_an_end_is_noticed_while_polling(end: str, start_gateway: StartGateway, make_token: Any) -> None:
    gateway = await start_gateway(GENEROUS | {"presence.grace_period": 0.05})
    async with client(gateway, make_token("witness"), room="room") as witness, flood(gateway, make_token):
        count = gateway.connection_count
        async with raw_client(gateway, make_token("leaver")) as leaver:
            await leaver.read_message("connected")
            leaver.send("join_room", {"roomId": "room"})
            await witness.until("user_joined")
            leaver.writer.write(masked(BINARY, encode_frame(CURSOR, 0, 1, 1, 1)))
            await witness.settle()
            assert gateway.connection_count == count + 1
            assert gateway._parts.pump.polling
            transport = leaver.writer.transport
            if end == "reset":
                linger = struct.pack("ii", 1, 0)
                transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                transport.abort()
            elif end == "closed":
                transport.abort()
            elif end == "half-closed":
                transport.write_eof()
            else:
                leaver.writer.write(masked(CLOSE, (1000).to_bytes(2, "big")))
            await until(lambda: gateway.connection_count == count)
            assert gateway._parts.pump.polling
            assert (await witness.until("user_left"))["payload"]["participant"]["userId"] == "leaver"
            if end in ("half-closed", "goodbye"):
                await asyncio.wait_for(leaver.reader.read(), 5)
                assert leaver.reader.at_eof()
    await until(lambda: not gateway._parts.pump.polling)


async def test_a_big_operation_arrives_while_polling(start_gateway: StartGateway, make_token: Any) -> None:
    gateway = await start_gateway(GENEROUS)
    text = "".join(f"line {number:08}\n" for number in range(65_000))  # 0.91 MB
    async with (
        client(gateway, make_token("1"), room="room") as writer,
        client(gateway, make_token("2"), room="room") as reader,
        flood(gateway, make_token),
    ):
        for version in range(3):
            await until(lambda: gateway._parts.pump.polling)  # the text itself keeps the process from it for a while
            await writer.send("operation", {"operation": [text], "version": version}, acknowledgment=True)
            assert (await writer.until("ack"))["payload"]["version"] == version + 1
            assert (await reader.until("operation_broadcast"))["payload"]["operation"] == [text]


async def test_connections_that_come_and_go_while_polling_do_not_get_mixed_up(
    start_gateway: StartGateway, make_token: Any
) -> None:
    """File descriptors are used again at once."""
    gateway = await start_gateway(GENEROUS | {"presence.grace_period": 0})
    async with (
        client(gateway, make_token("witness"), protocol=BATCHED, room="room") as witness,
        flood(gateway, make_token),
    ):
        for number in range(60):
            async with client(gateway, make_token(str(number)), protocol=BATCHED, room="room") as passer:
                await passer.move(number + 0.5)
                await witness.until_seen(number, number + 0.5)
                if number % 3 == 0:
                    passer.socket.transport.abort()
        witness.seen.clear()
        await until(lambda: gateway.connection_count == MOVERS + 1)
        await witness.settle()
        assert witness.seen == []


# --- order ------------------------------------------------------------------------------------------------------------


async def test_messages_behind_a_join_are_carried_out_in_order(gateway: Gateway, make_token: Any) -> None:
    """E5: five hundred of them, sent at once, are more than an inbox holds."""
    async with raw_client(gateway) as sender:
        sender.send("connect", {"token": make_token("1"), "deviceId": "d", "clientVersion": "1"})
        sender.send("join_room", {"roomId": "room"})
        for number in range(500):
            sender.send("ping", {"timestamp": number})
        await sender.read_message("connected")
        assert (await sender.read_message("room_joined"))["roomId"] == "room"
        for number in range(500):
            assert (await sender.read_message("pong"))["timestamp"] == number


async def test_joins_in_a_row_are_carried_out_in_order(gateway: Gateway, make_token: Any) -> None:
    """Each is a step that takes time, with all the rest waiting behind it, in the inbox and in the socket."""
    async with raw_client(gateway, make_token("1")) as sender:
        await sender.read_message("connected")
        for number in range(400):
            sender.send("join_room", {"roomId": f"room {number % 7}"})
            sender.send("ping", {"timestamp": number})
        for number in range(400):
            assert (await sender.read_message("room_joined"))["roomId"] == f"room {number % 7}"
            assert (await sender.read_message("pong"))["timestamp"] == number
        # It is still read, however often reading was paused.
        await asyncio.sleep(0.05)
        sender.send("ping", {"timestamp": 7})
        assert (await sender.read_message("pong"))["timestamp"] == 7


async def test_a_batch_behind_a_join_is_carried_out_in_order(gateway: Gateway, make_token: Any) -> None:
    def batch(number: int) -> dict[str, Any]:
        join = envelope("join_room", {"roomId": f"room {number}"})
        pings = [envelope("ping", {"timestamp": 100 * number + count}) for count in range(99)]
        return {"messages": [join, *pings], "compressed": False}

    async with raw_client(gateway, make_token("1")) as sender:
        await sender.read_message("connected")
        for number in range(8):
            sender.send("batch", batch(number))
        for number in range(8):
            assert (await sender.read_message("room_joined"))["roomId"] == f"room {number}"
            for count in range(99):
                assert (await sender.read_message("pong"))["timestamp"] == 100 * number + count


async def test_an_inbox_is_bounded(gateway: Gateway, make_token: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is beyond waits in the socket, also after an inbox that was filled by a batch and not by the socket."""
    documents = gateway._dispatcher.rooms._documents
    open_document = documents.open
    asked, answer = asyncio.Event(), asyncio.Event()

    async def open_slowly(room_id: str, document_type: str) -> Any:
        if room_id == "far away":
            asked.set()
            await answer.wait()
        return await open_document(room_id, document_type)

    monkeypatch.setattr(documents, "open", open_slowly)
    pings = 20_000
    async with raw_client(gateway, make_token("1")) as sender:
        await sender.read_message("connected")
        for room in ("first", "second"):
            inside = [envelope("join_room", {"roomId": room}), *[envelope("ping", {"timestamp": 0}) for _ in range(99)]]
            sender.send("batch", {"messages": inside, "compressed": False})
            await sender.read_message("room_joined")
            for _ in range(99):
                await sender.read_message("pong")
        sender.send("join_room", {"roomId": "far away"})
        for number in range(pings):
            sender.send("ping", {"timestamp": number})
        await asked.wait()
        await asyncio.sleep(0.2)
        inbox = connection_of(gateway, "1").inbox
        assert inbox is not None
        waiting = len(inbox)
        answer.set()
        assert 64 <= waiting < 1000
        assert (await sender.read_message("room_joined"))["roomId"] == "far away"
        for number in range(pings):
            assert (await sender.read_message("pong"))["timestamp"] == number


async def test_who_is_refused_with_much_in_the_inbox_is_closed_in_order(gateway: Gateway) -> None:
    async with raw_client(gateway) as sender:
        sender.send("connect", {"token": "forged", "deviceId": "d", "clientVersion": "1"})
        for number in range(500):
            sender.send("ping", {"timestamp": number})
        assert (await sender.read_message("error"))["code"] == 1001
        opcode, payload = await sender.read_frame()
        assert (opcode, payload[:2]) == (CLOSE, (4101).to_bytes(2, "big"))
        # The answer is behind what nobody reads any more, and is found.
        sender.writer.write(masked(CLOSE, payload[:2]))
        assert await asyncio.wait_for(sender.reader.read(), 2) == b""


async def test_the_size_of_an_operation_is_counted_in_bytes(start_gateway: StartGateway, make_token: Any) -> None:
    gateway = await start_gateway(GENEROUS | {"documents.max_operation_bytes": 4096})
    async with raw_client(gateway, make_token("1")) as sender:
        await sender.read_message("connected")
        sender.send("join_room", {"roomId": "room"})
        await sender.read_message("room_joined")
        for text, fits in (("x" * 3000, True), ("é" * 1800, True), ("é" * 3000, False), ("💥" * 1500, False)):
            message = envelope("operation", {"operation": [text], "version": int(not fits) * 2 or int(text[0] == "é")})
            sender.writer.write(masked(TEXT, json.dumps(message, ensure_ascii=False).encode()))
            if fits:
                await sender.read_message("ack")
            else:
                assert (await sender.read_message("error"))["code"] == 3001


async def test_who_leaves_while_a_token_is_looked_at_is_forgotten(
    start_gateway: StartGateway, make_token: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    gateway = await start_gateway({"limits.connections_per_user": 1})
    registry = gateway._dispatcher.registry
    register = registry.register
    asked = asyncio.Event()

    async def register_slowly(user_id: str, connection_id: str, limit: int) -> int:
        asked.set()
        await asyncio.sleep(0.1)
        return await register(user_id, connection_id, limit)

    async with client(gateway, make_token("ada")):
        monkeypatch.setattr(registry, "register", register_slowly)
        for user in ("ada", "eve"):  # one that is refused then, and one that is not
            asked.clear()
            async with raw_client(gateway, make_token(user)):
                await asked.wait()
            await until(lambda: gateway.connection_count == 1)
            await asyncio.sleep(0.15)
        assert len(registry) == 1
    assert [record for record in caplog.records if record.levelname == "ERROR"] == []


async def test_a_fault_of_the_registry_is_told(
    start_gateway: StartGateway, make_token: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    gateway = await start_gateway()

    async def fail(user_id: str, connection_id: str, limit: int) -> int:
        raise OSError("the registry cannot be reached")

    monkeypatch.setattr(gateway._dispatcher.registry, "register", fail)
    async with raw_client(gateway, make_token("ada")) as peer:
        error = await peer.read_message("error")
        assert error["code"] == 5001
        assert "registry" not in error["message"]
        assert "a token could not be verified" in caplog.text
        caplog.clear()  # the records keep the session
        monkeypatch.undo()
        peer.send("connect", {"token": make_token("ada"), "deviceId": "d", "clientVersion": "1"})
        await peer.read_message("connected")


@pytest.mark.parametrize("token", ["[" * 12_000, "\udcff", "é", "." * 5])
async def test_a_token_that_is_none_is_answered(token: str, start_gateway: StartGateway) -> None:
    gateway = await start_gateway()
    async with raw_client(gateway) as peer:
        if token.startswith("["):
            token = base64.urlsafe_b64encode(token.encode()).decode().rstrip("=") + ".e30.e30"
        if token.isprintable():
            peer.send("connect", {"token": token, "deviceId": "d", "clientVersion": "1"})
            assert (await peer.read_message("error"))["code"] == 1001
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
    key = base64.b64encode(bytes(16)).decode()
    writer.write(
        "GET /ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
        f"Sec-WebSocket-Key: {key}\r\nAuthorization: Bearer {token[:9000]}\r\n\r\n".encode(errors="surrogateescape")
    )
    await reader.readuntil(b"\r\n\r\n")
    assert b'"code":1001' in await asyncio.wait_for(reader.read(400), 5)
    writer.transport.abort()
