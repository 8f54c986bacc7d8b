"""A WebSocket client that can lie: bytes on a TCP socket, every field of a frame in the hands of the test."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import socket
import struct
import time
import uuid
import zlib
from collections.abc import Awaitable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, TypeVar
from urllib.parse import urlsplit

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA
PATIENCE = 5.0

T = TypeVar("T")


def frame(
    opcode: int,
    payload: bytes = b"",
    *,
    fin: bool = True,
    rsv: int = 0,
    masked: bool = True,
    claimed_length: int | None = None,
) -> bytes:
    """One frame as in RFC 6455, section 5.2; ``claimed_length`` is written in place of the true length."""
    length = len(payload) if claimed_length is None else claimed_length
    head = bytes([fin << 7 | rsv << 4 | opcode])
    mask_bit = masked << 7
    if length < 126:
        head += bytes([mask_bit | length])
    elif length < 1 << 16:
        head += struct.pack("!BH", mask_bit | 126, length)
    else:
        head += struct.pack("!BQ", mask_bit | 127, length)
    if not masked:
        return head + payload
    key = os.urandom(4)
    return head + key + bytes(byte ^ key[i & 3] for i, byte in enumerate(payload))


def deflated(message: bytes, *, level: int = 6, window_bits: int = 15) -> bytes:
    """The message as RFC 7692 has it, without history."""
    compressor = zlib.compressobj(level, wbits=-window_bits)
    return (compressor.compress(message) + compressor.flush(zlib.Z_SYNC_FLUSH)).removesuffix(b"\0\0\xff\xff")


def inflated(data: bytes, *, window_bits: int = 15) -> bytes:
    """The message that was compressed without history."""
    return zlib.decompressobj(-window_bits).decompress(data + b"\0\0\xff\xff")


def close_frame(code: int, reason: bytes = b"") -> bytes:
    return frame(CLOSE, struct.pack("!H", code) + reason)


def upgrade_request(
    url: str,
    headers: Mapping[str, str | None] | None = None,
    *,
    method: str = "GET",
    target: str | None = None,
) -> bytes:
    """An upgrade request with these headers in place of the usual ones; None leaves one out."""
    parts = urlsplit(url)
    complete: dict[str, str | None] = {
        "Host": parts.netloc,
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Key": base64.b64encode(os.urandom(16)).decode(),
        "Sec-WebSocket-Version": "13",
    }
    complete |= headers or {}
    lines = [f"{method} {parts.path if target is None else target} HTTP/1.1"]
    lines += [f"{name}: {value}" for name, value in complete.items() if value is not None]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


@dataclass(frozen=True)
class Frame:
    opcode: int
    payload: bytes
    compressed: bool = False

    @property
    def close_code(self) -> int:
        return int.from_bytes(self.payload[:2], "big")


@dataclass(frozen=True)
class Response:
    status: int
    headers: dict[str, str]  # names in lower case


class RawClient:
    """A TCP connection to the gateway; ``open`` also goes through the handshake."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        #: What the gateway has agreed to in `Sec-WebSocket-Extensions`.
        self.extensions = ""

    @classmethod
    async def dial(cls, url: str, *, receive_buffer: int = 0) -> RawClient:
        """A TCP connection; ``receive_buffer`` bounds what the kernel takes in while nobody reads, in bytes."""
        parts = urlsplit(url)
        end = socket.socket()
        if receive_buffer:
            end.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        end.setblocking(False)
        await asyncio.get_running_loop().sock_connect(end, (parts.hostname, parts.port))
        return cls(*await asyncio.open_connection(sock=end, limit=1 << 22))

    @classmethod
    async def open(cls, url: str, token: str | None = None, headers: Mapping[str, str] | None = None) -> RawClient:
        """A WebSocket connection; with a token it is an authenticated one, past its ``connected``."""
        client = await cls.dial(url)
        await client.upgrade(url, token, headers)
        return client

    async def upgrade(self, url: str, token: str | None = None, headers: Mapping[str, str] | None = None) -> None:
        """The handshake; with a token, up to the ``connected`` after it."""
        authorization = {} if token is None else {"Authorization": f"Bearer {token}"}
        response = await self.request(upgrade_request(url, {**(headers or {}), **authorization}))
        assert response.status == 101, response
        self.extensions = response.headers.get("sec-websocket-extensions", "")
        if token is not None:
            assert (await self.message())["type"] == "connected"

    async def __aenter__(self) -> RawClient:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.abort()

    def abort(self) -> None:
        """The connection is gone without a word."""
        self._writer.transport.abort()

    def send(self, *parts: bytes) -> None:
        self._writer.write(b"".join(parts))

    async def drain(self, within: float = PATIENCE) -> None:
        async with asyncio.timeout(within):
            await self._writer.drain()

    def send_json(self, message: object) -> None:
        self.send(frame(TEXT, json.dumps(message).encode()))

    def send_message(self, kind: str, payload: object) -> None:
        self.send_json(
            {
                "id": str(uuid.uuid4()),
                "type": kind,
                "version": 1,
                "timestamp": time.time() * 1000,
                "payload": payload,
            }
        )

    async def join(self, room: str) -> None:
        self.send_message("join_room", {"roomId": room})
        while (await self.message())["type"] != "room_joined":
            pass

    def send_eof(self) -> None:
        self._writer.write_eof()

    def pause_reading(self) -> None:
        """From here on nothing is taken off the socket."""
        self._writer.transport.pause_reading()  # type: ignore[attr-defined]

    def resume_reading(self) -> None:
        self._writer.transport.resume_reading()  # type: ignore[attr-defined]

    async def request(self, head: bytes) -> Response:
        self.send(head)
        return await self.response()

    async def response(self) -> Response:
        lines = (await self._in_time(self._reader.readuntil(b"\r\n\r\n"))).decode("latin-1").split("\r\n")
        headers = {}
        for line in filter(None, lines[1:]):
            name, _, value = line.partition(":")
            headers[name.strip().lower()] = value.strip()
        return Response(int(lines[0].split()[1]), headers)

    async def receive(self, within: float = PATIENCE) -> Frame | None:
        """The next frame, checked for what a server may send; None at the end of the stream."""
        try:
            async with asyncio.timeout(within):
                first, second = await self._reader.readexactly(2)
                compressed = bool(first & 0x40) and bool(self.extensions) and first & 0x0F in (TEXT, BINARY)
                assert first & 0x70 == compressed << 6, "the server set a reserved bit"
                assert first & 0x80, "the server sent a fragment"
                assert not second & 0x80, "the server masked a frame"
                length = second & 0x7F
                if length == 126:
                    length = int.from_bytes(await self._reader.readexactly(2), "big")
                elif length == 127:
                    length = int.from_bytes(await self._reader.readexactly(8), "big")
                return Frame(first & 0x0F, await self._reader.readexactly(length), compressed)
        except (asyncio.IncompleteReadError, ConnectionError):
            return None

    async def message(self) -> dict[str, Any]:
        """The next text message; what else arrives before it is passed over, but for a close."""
        while True:
            received = await self.receive()
            assert received is not None, "the connection ended"
            assert received.opcode != CLOSE, f"closed: {received}"
            if received.opcode == TEXT:
                message = json.loads(inflated(received.payload) if received.compressed else received.payload)
                assert isinstance(message, dict)
                return message

    async def refused(self, code: int) -> dict[str, Any]:
        """Waits for an ``error`` of this code, and returns its details."""
        while True:
            message = await self.message()
            if message["type"] == "error":
                assert message["payload"]["code"] == code, message
                details = message["payload"].get("details", {})
                assert isinstance(details, dict)
                return details

    async def closed(self, *codes: int) -> Frame:
        """Waits for the close frame, which has one of the codes, and for the end of the stream after it."""
        while True:
            received = await self.receive()
            assert received is not None, "the connection ended without a close frame"
            if received.opcode == CLOSE:
                break
        assert not codes or received.close_code in codes, f"closed with {received.close_code}, not with {codes}"
        self.send(frame(CLOSE, received.payload))
        await self.ended()
        return received

    async def ended(self) -> None:
        """Waits for the end of the stream; no frame may come before it."""
        assert (received := await self.receive()) is None, f"received {received} after the end"

    async def everything(self, within: float = PATIENCE) -> bytes:
        """All bytes up to the end of the stream."""
        try:
            async with asyncio.timeout(within):
                return await self._reader.read()
        except ConnectionError:
            return b""

    async def answers(self, within: float = PATIENCE) -> list[Frame]:
        """What came before the answer to a ``ping`` message: all that was sent before is carried out then (E5)."""
        stamp = int.from_bytes(os.urandom(6), "big")
        self.send_message("ping", {"timestamp": stamp})
        before: list[Frame] = []
        while True:
            received = await self.receive(within)
            assert received is not None, "the connection ended"
            assert received.opcode != CLOSE, f"closed with {received.close_code}: {received.payload[2:]!r}"
            if received.opcode == TEXT and json.loads(received.payload)["payload"].get("timestamp") == stamp:
                return before
            before.append(received)

    async def alive(self) -> list[Frame]:
        """Pings, and returns what came before the pong."""
        token = os.urandom(8)
        self.send(frame(PING, token))
        before: list[Frame] = []
        while True:
            received = await self.receive()
            assert received is not None, "the connection ended"
            assert received.opcode != CLOSE, f"closed with {received.close_code}: {received.payload[2:]!r}"
            if received == Frame(PONG, token):
                return before
            before.append(received)

    async def _in_time(self, awaitable: Awaitable[T]) -> T:
        async with asyncio.timeout(PATIENCE):
            return await awaitable
