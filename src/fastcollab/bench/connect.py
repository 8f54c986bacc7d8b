"""Opens the connections of a load run: many at once, on plain sockets, without an event loop of their own.

One connection's way from the TCP handshake to the room is a generator, `_conversation`, which sends as it
goes and yields where it has to wait for more bytes. `open_connections` holds a bounded number of them on one
selector. When a conversation has ended, its socket and what was read too far belong to the caller.
"""

from __future__ import annotations

import base64
import errno
import hashlib
import os
import selectors
import socket
import sys
import time
import uuid
from collections.abc import Callable, Generator, Iterable
from contextlib import suppress
from dataclasses import dataclass

import orjson

from fastcollab.bench._deflate import Inflater

_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_TEXT = 0x81
_COMPRESSED_TEXT = 0xC1
_CLOSE = 0x88
_LOOPBACK_ADDRESSES = 32
#: What browsers offer.
_OFFER = "permessage-deflate; client_max_window_bits"


class LoadError(RuntimeError):
    """A load run could not be set up, or its server broke the protocol before the run began."""


#: Sends bytes over the connection.
Sending = Callable[[bytes], None]


class Inbox:
    """What was received and not yet used. Its generators yield while they wait for more."""

    def __init__(self) -> None:
        self.data = bytearray()
        #: Of what is compressed; None: compression was not agreed upon.
        self.inflater: Inflater | None = None

    def take(self, size: int) -> Generator[None, None, bytes]:
        while len(self.data) < size:
            yield
        taken = bytes(self.data[:size])
        del self.data[:size]
        return taken

    def until(self, separator: bytes, limit: int) -> Generator[None, None, bytes]:
        while (end := self.data.find(separator)) < 0:
            if len(self.data) > limit:
                raise LoadError(f"the server's answer does not end within {limit} bytes")
            yield
        return (yield from self.take(end + len(separator)))

    def frame(self) -> Generator[None, None, tuple[int, bytes]]:
        """The next frame's first byte and payload."""
        first, size = yield from self.take(2)
        if size & 0x80:
            raise LoadError("the server masks its frames")
        if size >= 126:
            size = int.from_bytes((yield from self.take(2 if size == 126 else 8)), "big")
        return first, (yield from self.take(size))


#: What is said on a connection to a server of another protocol, from the upgrade to the room.
Greeting = Callable[[Inbox, Sending], Generator[None, None, None]]


@dataclass(frozen=True, slots=True)
class Dial:
    """One connection to open.

    With a token the server is a gateway, which has to say `connected` for the user with this number; then the
    connection joins `room`, if there is one. Without one it is another server, which is spoken to as `greeting` says; a
    bare relay needs no words, since its path names the room.
    """

    path: str
    token: str | None = None
    number: int = 0
    room: str | None = None
    greeting: Greeting | None = None


def masked_frame(first: int, payload: bytes) -> bytes:
    """A client's frame. The masking key is 0: what is measured is not hidden from proxies."""
    size = len(payload)
    if size < 126:
        header = bytes([first, 0x80 | size])
    elif size < 65536:
        header = bytes([first, 0x80 | 126]) + size.to_bytes(2, "big")
    else:
        header = bytes([first, 0x80 | 127]) + size.to_bytes(8, "big")
    return header + bytes(4) + payload


def close_politely(connection: socket.socket) -> None:
    """Sends a CLOSE frame with code 1000, as far as the socket takes it, and closes the socket."""
    with suppress(OSError):
        connection.send(masked_frame(_CLOSE, (1000).to_bytes(2, "big")))
    connection.close()


def _conversation(
    dial: Dial,
    host: str,
    subprotocol: str,
    inbox: Inbox,
    send: Sending,
    without_history: Inflater | None,
) -> Generator[None, None, None]:
    key = base64.b64encode(os.urandom(16))
    fields = [
        f"GET {dial.path} HTTP/1.1",
        f"Host: {host}",
        "Upgrade: websocket",
        "Connection: Upgrade",
        f"Sec-WebSocket-Key: {key.decode()}",
        "Sec-WebSocket-Version: 13",
        f"Sec-WebSocket-Protocol: {subprotocol}",
    ]
    if without_history is not None:
        fields.append(f"Sec-WebSocket-Extensions: {_OFFER}")
    if dial.token is not None:
        fields.append(f"Authorization: Bearer {dial.token}")
    send("\r\n".join([*fields, "", ""]).encode())

    status, *answer = (yield from inbox.until(b"\r\n\r\n", 16384)).decode("latin-1").split("\r\n")
    headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in answer)}
    accept = base64.b64encode(hashlib.sha1(key + _GUID).digest()).decode()
    if " 101" not in status or headers.get("sec-websocket-accept") != accept:
        raise LoadError(f"the server refused the upgrade: {status}")
    if dial.token is None:
        if dial.greeting is not None:
            yield from dial.greeting(inbox, send)
        return
    if headers.get("sec-websocket-protocol") != subprotocol:
        raise LoadError(f"the server does not speak {subprotocol}")

    if without_history is not None and (agreed := headers.get("sec-websocket-extensions")) is not None:
        inbox.inflater = without_history if "server_no_context_takeover" in agreed else Inflater(history=True)

    payload = yield from _await_message(inbox, "connected")
    if payload.get("numericId") != dial.number:
        raise LoadError(f"user {dial.number} was given the number {payload.get('numericId')}")
    if dial.room is not None:
        join = {
            "id": str(uuid.uuid4()),
            "type": "join_room",
            "version": 1,
            "timestamp": int(time.time() * 1000),
            "payload": {"roomId": dial.room},
        }
        send(masked_frame(_TEXT, orjson.dumps(join)))
        yield from _await_message(inbox, "room_joined")


def _await_message(inbox: Inbox, kind: str) -> Generator[None, None, dict[str, object]]:
    """The payload of the next message of this type; those about others who join are passed over."""
    while True:
        first, content = yield from inbox.frame()
        if first == _CLOSE:
            raise LoadError(f"the server closed with {int.from_bytes(content[:2], 'big')} before `{kind}`")
        if first == _COMPRESSED_TEXT and inbox.inflater is not None:
            first, content = _TEXT, inbox.inflater.inflated(content)
        if first == _TEXT:
            message = orjson.loads(content)
            if message["type"] == kind:
                payload: dict[str, object] = message["payload"]
                return payload
            if message["type"] == "error":
                raise LoadError(f"the server answered with an error instead of `{kind}`: {message['payload']}")


def _connect(address: tuple[str, int], source: str | None) -> socket.socket:
    """Begins to connect, from a loopback address of the caller's choice: each has ports of its own."""
    family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
    connection = socket.socket(family, socket.SOCK_STREAM)
    try:
        connection.setblocking(False)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if source is not None:
            connection.bind((source, 0))
        failure = connection.connect_ex(address)
        if failure not in (0, errno.EINPROGRESS):
            raise OSError(failure, os.strerror(failure))
    except BaseException:
        connection.close()
        raise
    return connection


def open_connections(
    address: tuple[str, int],
    dials: Iterable[Dial],
    *,
    subprotocol: str,
    on_open: Callable[[int, socket.socket, bytes, Inflater | None], None],
    compression: bool = False,
    while_waiting: Callable[[], None] = lambda: None,
    at_once: int = 64,
    timeout: float = 10.0,
) -> None:
    """Opens all connections, `at_once` at a time, and hands each to `on_open(index, socket, received, inflater)`.

    The sockets are non-blocking and become the callee's; `received` is what was read beyond the end of the
    conversation, and `inflater` what inflates if `compression` was offered and agreed upon. `while_waiting` is called
    between the steps. Raises LoadError if the server refuses or takes longer than `timeout` seconds for one
    connection, and OSError if it cannot be reached; the connections in the making are closed.
    """
    host = f"{address[0]}:{address[1]}"
    # Only Linux answers for all of 127.0.0.0/8.
    local = sys.platform == "linux" and address[0].startswith("127.")
    waiting = enumerate(dials)
    exhausted = False
    without_history = Inflater(history=False) if compression else None
    with selectors.DefaultSelector() as selector:

        def start(index: int, dial: Dial) -> None:
            connection = _connect(address, f"127.0.0.{1 + index % _LOOPBACK_ADDRESSES}" if local else None)
            inbox = Inbox()
            conversation = _conversation(dial, host, subprotocol, inbox, connection.sendall, without_history)
            state = (index, inbox, conversation, time.monotonic() + timeout)
            selector.register(connection, selectors.EVENT_WRITE, state)

        def step(key: selectors.SelectorKey) -> None:
            connection: socket.socket = key.fileobj  # type: ignore[assignment]
            index, inbox, conversation, _ = key.data
            if key.events == selectors.EVENT_WRITE:
                if failure := connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
                    raise OSError(failure, f"cannot connect to {host}: {os.strerror(failure)}")
                selector.modify(connection, selectors.EVENT_READ, key.data)
            elif received := connection.recv(65536):
                inbox.data += received
            else:
                raise LoadError("the server hung up during the handshake")
            try:
                next(conversation)
            except StopIteration:
                selector.unregister(connection)
                on_open(index, connection, bytes(inbox.data), inbox.inflater)

        try:
            while True:
                while not exhausted and len(selector.get_map()) < at_once:
                    following = next(waiting, None)
                    if following is None:
                        exhausted = True
                    else:
                        start(*following)
                if not selector.get_map():
                    return
                for key, _ in selector.select(timeout=0.1):
                    step(key)
                while_waiting()
                now = time.monotonic()
                if any(now > key.data[3] for key in selector.get_map().values()):
                    raise LoadError(f"a connection was not ready after {timeout:g} s")
        finally:
            for key in list(selector.get_map().values()):
                key.fileobj.close()  # type: ignore[union-attr]
