"""A client written from the specification alone: ``websockets``, ``struct`` and ``json``, nothing of the package.

It checks on arrival that every message has the shape that the protocol gives it, field by field, and that every
binary frame has one of the documented layouts. What arrives waits in an inbox, in order and with batches taken
apart, until a test asks for it. An ``error`` in the inbox that nobody asked for fails the test at its end.
"""

from __future__ import annotations

import asyncio
import json
import struct
import time
import uuid
from collections.abc import Callable, Iterable
from typing import Any

from tests.server.spec_shapes import BATCHED, CURSOR, Message, Record, parse_frame
from websockets.asyncio.client import ClientConnection
from websockets.asyncio.client import connect as websocket_connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Origin, Subprotocol

PATIENCE = 5.0


def envelope(type: str, payload: object, **fields: object) -> dict[str, Any]:  # noqa: A002
    """A message to the gateway; ``fields`` are further fields of the envelope, or replace one."""
    return {
        "id": str(uuid.uuid4()),
        "type": type,
        "version": 1,
        "timestamp": int(time.time() * 1000),
        "payload": payload,
        **fields,
    }


def cursor_frame(
    x: float,
    y: float,
    *,
    timestamp: int = 0,
    viewport: tuple[float, float] | None = None,
    user: int = 0,
    kind: int = CURSOR,
) -> bytes:
    """A binary frame to the gateway."""
    head = struct.pack("!HIffI", kind, user, x, y, timestamp)
    return head if viewport is None else head + struct.pack("!ff", *viewport)


def cursor_move(x: float, y: float, *, viewport: tuple[float, float] = (0, 0), timestamp: int = 0) -> dict[str, float]:
    """The payload of a ``cursor_move``."""
    return {"x": x, "y": y, "viewportX": viewport[0], "viewportY": viewport[1], "timestamp": timestamp}


class SpecClient:
    """One connection; what no test has asked for yet is in ``inbox``, and what came binary in ``records``."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        self._arrived = asyncio.Event()
        self._batches = 0
        self._frames = 0
        self._records_seen = 0
        self._fault: BaseException | None = None
        self._reader = asyncio.create_task(self._read())
        self.inbox: list[Message] = []
        self.records: list[Record] = []
        self.connected: dict[str, Any] = {}
        self.rooms: dict[str, dict[str, Any]] = {}

    @classmethod
    async def open(
        cls,
        url: str,
        *,
        header_token: str | None = None,
        subprotocols: Iterable[str] = (),
        origin: str | None = None,
    ) -> SpecClient:
        """The open WebSocket; nothing is sent and nothing awaited beyond the handshake."""
        socket = await websocket_connect(
            url,
            additional_headers={"Authorization": f"Bearer {header_token}"} if header_token is not None else None,
            subprotocols=[Subprotocol(name) for name in subprotocols] or None,
            origin=Origin(origin) if origin is not None else None,
            compression=None,
            ping_interval=None,
            max_size=None,
            proxy=None,
            close_timeout=PATIENCE,
        )
        return cls(socket)

    @property
    def subprotocol(self) -> str | None:
        return self._socket.subprotocol

    @property
    def number(self) -> int:
        """The user's number in binary frames."""
        return int(self.connected["numericId"])

    def __repr__(self) -> str:
        last = [f"{message.type} {message.payload}" for message in self.inbox[-5:]]
        return f"{self.connected.get('userId')} has {len(self.inbox)} messages, last {last}; {self.records[-3:]}"

    async def _read(self) -> None:
        try:
            async for data in self._socket:
                if isinstance(data, str):
                    self._take_in(json.loads(data), None)
                else:
                    self._frames += 1
                    records = parse_frame(data, self._frames, batched=self.subprotocol == BATCHED)
                    self.records += records
                    self._records_seen += len(records)
                self._arrived.set()
        except ConnectionClosed:
            pass
        except BaseException as fault:
            self._fault = fault
            raise
        finally:
            self._arrived.set()

    def _take_in(self, data: object, batch: int | None) -> None:
        message = Message.checked(data, batch, self._records_seen)
        if message.type != "batch":
            self.inbox.append(message)
            return
        assert batch is None, "a batch in a batch"
        self._batches += 1
        for inner in message.payload["messages"]:
            self._take_in(inner, self._batches)

    # Sending

    async def send_text(self, text: str | bytes) -> None:
        await self._socket.send(text, text=True)

    async def send_fragments(self, *fragments: str) -> None:
        await self._socket.send(fragments)

    async def send_frame(self, data: bytes) -> None:
        await self._socket.send(data)

    async def send(self, type: str, payload: object, **fields: object) -> str:  # noqa: A002
        """Sends a message and returns its id."""
        message = envelope(type, payload, **fields)
        await self.send_text(json.dumps(message))
        return str(message["id"])

    # Receiving

    async def _until(self, found: Callable[[], Any], what: str, within: float) -> Any:
        try:
            async with asyncio.timeout(within):
                while True:
                    if (result := found()) is not None:
                        return result
                    if self._fault is not None:
                        raise AssertionError(f"no {what}: {self._fault}") from self._fault
                    assert not self._reader.done(), f"closed with {self.close_code} before {what}; {self}"
                    self._arrived.clear()
                    await self._arrived.wait()
        except TimeoutError:
            raise AssertionError(f"no {what} within {within} s; {self}") from None

    async def expect(
        self,
        type: str,  # noqa: A002
        where: Callable[[dict[str, Any]], bool] | None = None,
        *,
        room: str | None = None,
        within: float = PATIENCE,
    ) -> Message:
        """Takes the first message of the type and room whose payload passes; others stay in the inbox."""

        def found() -> Message | None:
            for index, message in enumerate(self.inbox):
                if (
                    message.type == type
                    and (room is None or message.room == room)
                    and (where is None or where(message.payload))
                ):
                    return self.inbox.pop(index)
            return None

        result = await self._until(found, type, within)
        assert isinstance(result, Message)
        return result

    async def expect_any(self, *types: str, within: float = PATIENCE) -> None:
        """Waits until a message of one of the types is in the inbox, and leaves it there."""
        await self._until(
            lambda: True if any(message.type in types for message in self.inbox) else None,
            " or ".join(types),
            within,
        )

    async def expect_record(self, where: Callable[[Record], bool] | None = None, *, within: float = PATIENCE) -> Record:
        """Takes the first binary record that passes; those before it are dropped, those after it stay."""

        def found() -> Record | None:
            for index, record in enumerate(self.records):
                if where is None or where(record):
                    del self.records[: index + 1]
                    return record
            return None

        result = await self._until(found, "record", within)
        assert isinstance(result, Record)
        return result

    def take(self, *types: str) -> list[Message]:
        """Takes all messages of these types, or of any type, that have arrived."""
        taken = [message for message in self.inbox if not types or message.type in types]
        self.inbox = [message for message in self.inbox if message not in taken]
        return taken

    async def barrier(self) -> None:
        """Returns when all that was sent before is carried out, and all that it led to here has arrived."""
        stamp = time.monotonic_ns() & (1 << 52) - 1
        await self.send("ping", {"timestamp": stamp})
        await self.expect("pong", lambda payload: payload["timestamp"] == stamp)

    async def refused(self, code: int, message_id: str | None = None) -> dict[str, Any]:
        """Takes the next ``error``, which has this code and answers this message; returns its details."""
        error = (await self.expect("error")).payload
        assert error["code"] == code, error
        assert error["message"], error
        details = error.get("details", {})
        assert isinstance(details, dict)
        if message_id is not None:
            assert details["messageId"] == message_id, error
            assert error["recoverable"] is True, error
        return details

    async def refusal(self, code: int, type: str, payload: object, **fields: object) -> dict[str, Any]:  # noqa: A002
        """Sends a message that is refused with this code while the connection lives; returns the details."""
        details = await self.refused(code, await self.send(type, payload, **fields))
        await self.barrier()
        return details

    async def closed(self, *codes: int, within: float = PATIENCE) -> int:
        """Waits until the gateway has closed the connection, with one of the codes."""
        async with asyncio.timeout(within):
            await asyncio.wait([self._reader])
        code = self.close_code
        assert code is not None
        assert not codes or code in codes, f"closed with {code}, not with one of {codes}"
        return code

    @property
    def close_code(self) -> int | None:
        return self._socket.close_code

    # The steps of a session

    async def connect(self, token: str, **fields: object) -> dict[str, Any]:
        """Sends ``connect`` and takes ``connected``."""
        await self.send("connect", {"token": token, "deviceId": "device-1", "clientVersion": "1.0"}, **fields)
        return await self.await_connected()

    async def await_connected(self) -> dict[str, Any]:
        self.connected = (await self.expect("connected")).payload
        return self.connected

    async def join(self, room: str, **payload: object) -> dict[str, Any]:
        """Joins a room and returns what ``room_joined`` carries."""
        await self.send("join_room", {"roomId": room, **payload})
        message = await self.expect("room_joined", room=room)
        assert message.payload["roomId"] == room
        self.rooms[room] = message.payload
        return message.payload

    async def leave(self, room: str) -> None:
        await self.send("leave_room", {"roomId": room})
        left = await self.expect("room_left", room=room)
        assert left.payload == {"roomId": room}

    async def operate(self, operation: object, version: int, **fields: Any) -> int:
        """Sends an operation and returns the document's version after it, from the ``ack``."""
        checksum = fields.pop("checksum", None)
        payload = {"operation": operation, "version": version} | ({"checksum": checksum} if checksum else {})
        message_id = await self.send("operation", payload, **fields)
        ack = await self.expect("ack", lambda payload: payload["messageId"] == message_id)
        return int(ack.payload["version"])

    async def close(self, code: int = 1000) -> None:
        """Says farewell, and waits for the gateway's half of it."""
        await self._socket.close(code)
        await asyncio.wait([self._reader])

    async def abort(self) -> None:
        """The connection is lost: the TCP stream ends without a close frame."""
        self._socket.transport.abort()
        await asyncio.wait([self._reader])

    def check(self) -> None:
        """Fails if a message was not of its shape, or an error has come that nobody asked for."""
        if self._fault is not None:
            raise AssertionError(str(self._fault)) from self._fault
        errors = [message.payload for message in self.inbox if message.type == "error"]
        assert not errors, errors
