"""A gateway without sockets, and a wire to it on which every byte is the target's.

The gateway is whole, from the protocol that a listening socket makes for a connection to the documents in memory; only
the sockets are not there. It runs on the event loop of the simulation, whose time passes when a target says so: so an
input costs a millisecond or few, and what comes of it hangs on the input, not on the machine.

What no target may find, whatever it sends: an exception that reaches the event loop, or an error in the log. Each is
raised as the target's own failure.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import atheris
from tests.simulation.world import Machine, World

from fastcollab import Gateway
from fuzz.values import Source

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA
MOST_PIECES = 40
KEY = "dGhlIHNhbXBsZSBub25jZQ=="


class _Loop(Machine):
    """An event loop whose one server is asked for its connections."""

    accept: Callable[[], Any]

    async def create_server(self, factory: Callable[[], Any], *_: Any, **__: Any) -> Any:  # type: ignore[override]
        self.accept = factory
        return SimpleNamespace(close=lambda: None, sockets=[_NoSocket()])


class _Findings(logging.Handler):
    """Makes a failure of what is logged as an error."""

    def __init__(self, world: World) -> None:
        super().__init__(logging.ERROR)
        self._world = world

    def emit(self, record: logging.LogRecord) -> None:
        error = record.exc_info[1] if record.exc_info else None
        self._world.failure = self._world.failure or error or AssertionError(record.getMessage())


class _NoSocket:
    """In the place of a socket, for those who set its options."""

    def fileno(self) -> int:
        return -1

    def getsockname(self) -> tuple[str, int]:
        return "127.0.0.1", 2

    def setsockopt(self, *_: Any) -> None:
        pass

    def getsockopt(self, *_: Any) -> int:
        return 0


class Wire(asyncio.Transport):
    """A connection to the gateway. `head` is the answer to the upgrade, and `sent` what the gateway has sent besides;
    `ended`: it has been closed, by either side.
    """

    def __init__(self, loop: _Loop, protocol: Any) -> None:
        super().__init__()
        self.head = b""
        self.sent = bytearray()
        self.ended = False
        self._loop = loop
        self._protocol = protocol
        self._unread = bytearray()
        self._reading = True
        self._closing = False

    # --- the target's end ---------------------------------------------------------------------------------------------

    def receive(self, data: bytes) -> None:
        """Hands over bytes, as the event loop would: as many at a time as the protocol wants."""
        self._unread += data
        while self._unread and self._reading and not self._closing:
            buffer = self._protocol.get_buffer(-1)
            assert len(buffer) > 0, "there is no room for what comes in"
            count = min(len(buffer), len(self._unread))
            buffer[:count] = self._unread[:count]
            del self._unread[:count]
            self._protocol.buffer_updated(count)

    # --- the gateway's end --------------------------------------------------------------------------------------------

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        # As an encrypted connection has it: what is sent comes here, and does not go around to the socket.
        known = {"socket": _NoSocket(), "ssl_object": self, "peername": ("127.0.0.1", 1), "sockname": ("127.0.0.1", 2)}
        return known.get(name, default)

    def get_protocol(self) -> Any:
        return self._protocol

    def set_protocol(self, protocol: Any) -> None:
        self._protocol = protocol

    def write(self, data: Any) -> None:
        if not self._closing:
            self.sent += data

    def get_write_buffer_size(self) -> int:
        return 0

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        pass

    def can_write_eof(self) -> bool:
        return False

    def pause_reading(self) -> None:
        self._reading = False

    def resume_reading(self) -> None:
        self._reading = True
        self._loop.call_soon(self.receive, b"")

    def is_closing(self) -> bool:
        return self._closing

    def close(self) -> None:
        if not self._closing:
            self._closing = True
            self._loop.call_soon(self._lost)

    abort = close

    def _lost(self) -> None:
        self.ended = True
        self._protocol.connection_lost(None)


class Edge:
    """A running gateway."""

    def __init__(self, make: Callable[[], Gateway]) -> None:
        self.world = World(0)
        self._loop = _Loop(self.world)
        logging.getLogger().addHandler(_Findings(self.world))
        self.gateway = make()
        self._loop.run(self.gateway.start())
        self.world.pass_time(1.0)

    def connect(self) -> Wire:
        """A connection on which nothing has been sent yet."""
        protocol: list[Any] = []
        self.do(lambda: protocol.append(self._loop.accept()))
        wire = Wire(self._loop, protocol[0])
        self.do(protocol[0].connection_made, wire)
        return wire

    def open(self, **headers: str) -> Wire:
        """A connection that has been upgraded."""
        wire = self.connect()
        self.send(wire, upgrade_request(**headers))
        wire.head, _, wire.sent[:] = bytes(wire.sent).partition(b"\r\n\r\n")
        assert wire.head.split()[1] == b"101", wire.head
        return wire

    def send(self, wire: Wire, data: bytes) -> None:
        """The gateway reads this from the wire, and does what is to be done at once."""
        self.do(wire.receive, data)

    def end(self, *wires: Wire) -> None:
        """The connections are gone, and nothing may be left of them."""
        for wire in wires:
            self.do(wire.close)
        self.world.pass_time(1.0)
        assert all(wire.ended for wire in wires)
        assert self.gateway.connection_count == 0, "a connection outlives its socket"
        assert self.gateway.room_count == 0, "a room outlives its people"

    def do(self, function: Callable[..., object], *arguments: Any) -> None:
        """Runs the function on the event loop, and all that it makes due at once."""
        self._loop.call_soon(function, *arguments)
        self.world.pass_time(0.0)


@atheris.instrument_func
def pieces(source: Source, stream: bytes) -> list[bytes]:
    """The bytes in pieces of any size, as a network may deliver them."""
    found: list[bytes] = []
    while stream:
        size = len(stream)
        if len(found) < MOST_PIECES:
            size = 1 + source.below(source.choice([1, 4, 16, 300, 100_000]))
        found.append(stream[:size])
        stream = stream[size:]
    return found


def upgrade_request(**headers: str) -> bytes:
    """A good one, with these headers besides."""
    lines = ["GET /ws HTTP/1.1", "Host: a", "Upgrade: websocket", "Connection: Upgrade", f"Sec-WebSocket-Key: {KEY}"]
    lines += ["Sec-WebSocket-Version: 13", *(f"{name.replace('_', '-')}: {value}" for name, value in headers.items())]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


def frame(
    opcode: int, payload: bytes = b"", *, fin: bool = True, rsv: int = 0, mask: bytes | None = b"\x05\x60\x97\xfa"
) -> bytes:
    """A frame of a client."""
    size = len(payload)
    length = bytes([size]) if size < 126 else b"\x7e" + size.to_bytes(2) if size < 2**16 else b"\x7f" + size.to_bytes(8)
    head = bytes([fin << 7 | rsv << 4 | opcode, length[0] | (0 if mask is None else 0x80)]) + length[1:]
    if mask is None:
        return head + payload
    return head + mask + masked(payload, mask)


def masked(payload: bytes, mask: bytes) -> bytes:
    """The payload with the mask put on, or taken off."""
    size = len(payload)
    pattern = (mask * (size // 4 + 1))[:size]
    return (int.from_bytes(payload) ^ int.from_bytes(pattern)).to_bytes(size)


@dataclass(frozen=True, slots=True)
class Frame:
    """What the gateway has sent. `packed`: its payload is compressed."""

    opcode: int
    payload: bytes
    packed: bool = False

    @property
    def close_code(self) -> int:
        return int.from_bytes(self.payload[:2])


def frames(sent: bytes) -> list[Frame]:
    """The frames in what the gateway has sent, each of which must be whole and one that a server may send."""
    found: list[Frame] = []
    at = 0
    while at < len(sent):
        first, second = sent[at : at + 2]
        assert first & 0xB0 == 0x80, "a reserved bit, or a fragment"
        opcode, size, at = first & 0x0F, second, at + 2
        assert opcode in (TEXT, BINARY, CLOSE, PING, PONG)
        if size >= 126:
            width = 2 if size == 126 else 8
            assert size < 128 and opcode < CLOSE, "a masked frame, or a control frame that is too long"
            size, at = int.from_bytes(sent[at : at + width]), at + width
            assert size >= (126 if width == 2 else 2**16), "a length in more bytes than it needs"
        assert at + size <= len(sent), "a frame breaks off"
        assert not found or found[-1].opcode != CLOSE, "a frame behind a close frame"
        payload = bytes(sent[at : at + size])
        if opcode == CLOSE:
            assert len(payload) >= 2 and may_be_sent(int.from_bytes(payload[:2])), payload
            payload[2:].decode()
        packed = bool(first & 0x40)
        if opcode == TEXT and not packed:
            payload.decode()
        found.append(Frame(opcode, payload, packed))
        at += size
    return found


def may_be_sent(code: int) -> bool:
    """Whether a close frame may have this code (RFC 6455, 7.4, and the registry of codes)."""
    return code in range(1000, 1004) or code in range(1007, 1015) or code in range(3000, 5000)
