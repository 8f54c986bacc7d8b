"""Clients for tests of a running gateway: one that keeps to the protocol, and one that does what it is told, frame by
frame.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import socket
import struct
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

from websockets.asyncio.client import ClientConnection, connect
from websockets.typing import Subprotocol

from fastcollab import Gateway
from fastcollab._binary import decode_frames, encode_frame
from fastcollab.server._listener import Connection

CURSOR, SELECTION = 1, 2
PLAIN, BATCHED = "fastcollab.v1", "fastcollab.v1.batch"

TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10


def envelope(kind: str, payload: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """A message of a client."""
    made = {"id": str(uuid.uuid4()), "type": kind, "version": 1, "timestamp": time.time_ns() // 1_000_000}
    return made | {"payload": payload} | fields


def masked(opcode: int, payload: bytes = b"", *, fin: bool = True) -> bytes:
    """A WebSocket frame of a client, masked with zeros."""
    first = opcode | (0x80 if fin else 0)
    size = len(payload)
    if size < 126:
        header = struct.pack(">BB", first, 0x80 | size)
    elif size < 2**16:
        header = struct.pack(">BBH", first, 0x80 | 126, size)
    else:
        header = struct.pack(">BBQ", first, 0x80 | 127, size)
    return header + bytes(4) + payload


class Seen(NamedTuple):
    """One cursor or selection as it arrived: `form` is "json", "plain" or "batched"."""

    form: str
    room: str | int | None
    user: int
    x: float
    y: float


class Peer:
    """A client with what it has received so far, sorted: `messages` are JSON without batches, `seen` are cursors."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket
        self.messages: list[dict[str, Any]] = []
        self.seen: list[Seen] = []
        self.number = -1

    async def send(self, kind: str, payload: dict[str, Any], **fields: Any) -> str:
        """Sends a message and returns its id."""
        made = envelope(kind, payload, **fields)
        await self.socket.send(json.dumps(made))
        return str(made["id"])

    async def move(self, x: float, y: float = 0, viewport: tuple[float, float] | None = None) -> None:
        await self.socket.send(encode_frame(CURSOR, 0, x, y, 0, viewport))

    async def receive(self) -> None:
        """Takes one WebSocket message."""
        data = await self.socket.recv()
        if isinstance(data, str):
            message = json.loads(data)
            for part in message["payload"]["messages"] if message["type"] == "batch" else [message]:
                self.messages.append(part)
                if "cursor" in part["payload"].get("presence", {}):
                    cursor = part["payload"]["presence"]["cursor"]
                    number = part["payload"]["numericId"]
                    self.seen.append(Seen("json", part["roomId"], number, cursor["x"], cursor["y"]))
            return
        _, handle, records = decode_frames(data)
        form = "plain" if handle is None else "batched"
        self.seen += [Seen(form, handle, user, x, y) for user, x, y, _, _ in records]

    async def until(self, kind: str, **payload: Any) -> dict[str, Any]:
        """The next message of this type with these values in its payload; those before it are dropped."""
        async with asyncio.timeout(10):
            while True:
                while self.messages:
                    message = self.messages.pop(0)
                    if message["type"] == kind and payload.items() <= message["payload"].items():
                        return message
                    assert message["type"] != "error", message
                await self.receive()

    async def until_seen(self, user: int, x: float) -> Seen:
        """Waits for a cursor; those before it stay in `seen`."""
        async with asyncio.timeout(10):
            while True:
                for one in self.seen:
                    if one.user == user and one.x == x:
                        return one
                await self.receive()

    async def settle(self) -> None:
        """Takes all that the gateway has sent by now, and has everything carried out that was sent to it."""
        mark = time.time_ns()
        await self.send("ping", {"timestamp": mark // 1000})
        await self.until("pong", timestamp=mark // 1000)

    async def join(self, room: str) -> dict[str, Any]:
        await self.send("join_room", {"roomId": room})
        return dict((await self.until("room_joined", roomId=room))["payload"])


@asynccontextmanager
async def client(
    gateway: Gateway, token: str, *, protocol: str | None = PLAIN, room: str | None = None, **options: Any
) -> AsyncIterator[Peer]:
    """A client that is connected, and in a room."""
    headers = {"Authorization": f"Bearer {token}"}
    subprotocols = None if protocol is None else [Subprotocol(protocol)]
    settings: dict[str, Any] = {
        "max_size": None,
        "compression": None,
        "ping_interval": None,
        "close_timeout": 0.5,
        **options,
    }
    async with connect(gateway.url, additional_headers=headers, subprotocols=subprotocols, **settings) as socket:
        peer = Peer(socket)
        peer.number = (await peer.until("connected"))["payload"]["numericId"]
        if room is not None:
            await peer.join(room)
        yield peer


def small_socket(gateway: Gateway) -> socket.socket:
    """A socket that is connected to the gateway and takes little before it is read."""
    made = socket.socket()
    made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    made.connect(("127.0.0.1", gateway.port))
    made.setblocking(False)
    return made


def connection_of(gateway: Gateway, user: str) -> Connection:
    """The gateway's side of the user's only connection."""
    [found] = [
        connection
        for connection in gateway._dispatcher.connections.values()
        if connection.session.authenticated and connection.session.identity.user_id == user
    ]
    return found


class RawClient:
    """A TCP connection after the upgrade: nothing is answered by itself."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def read_frame(self) -> tuple[int, bytes]:
        """Opcode and payload of the gateway's next frame; raises IncompleteReadError at the end of the stream."""
        first, second = await asyncio.wait_for(self.reader.readexactly(2), 10)
        size = second
        if size == 126:
            [size] = struct.unpack(">H", await self.reader.readexactly(2))
        elif size == 127:
            [size] = struct.unpack(">Q", await self.reader.readexactly(8))
        return first & 0x0F, await self.reader.readexactly(size)

    async def read_message(self, kind: str) -> dict[str, Any]:
        """The next text message, which has to be of this type."""
        opcode, payload = await self.read_frame()
        assert opcode == TEXT, (opcode, payload)
        message = json.loads(payload)
        assert message["type"] == kind, message
        return dict(message["payload"])

    def send(self, kind: str, payload: dict[str, Any], **fields: Any) -> None:
        self.writer.write(masked(TEXT, json.dumps(envelope(kind, payload, **fields)).encode()))


@asynccontextmanager
async def raw_client(gateway: Gateway, token: str | None = None) -> AsyncIterator[RawClient]:
    """A connection that does nothing by itself."""
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
    lines = [
        f"GET {gateway.config.server.path} HTTP/1.1",
        "Host: localhost",
        "Connection: Upgrade",
        "Upgrade: websocket",
        "Sec-WebSocket-Version: 13",
        f"Sec-WebSocket-Key: {base64.b64encode(os.urandom(16)).decode()}",
    ]
    if token is not None:
        lines.append(f"Authorization: Bearer {token}")
    writer.write("\r\n".join([*lines, "", ""]).encode())
    head = await reader.readuntil(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 101 "), head
    try:
        yield RawClient(reader, writer)
    finally:
        writer.transport.abort()
