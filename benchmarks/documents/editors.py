"""People who write documents together, at full speed or at a fixed rate: the load of ``benchmarks.documents``.

An *editor* is one connection to one document, and does what every client of an operational transformation does: it
holds the document as the server has confirmed it, has at most one operation in flight, and transforms that one over
what others have committed meanwhile. So each of its operations is valid at the version that it names. It shows its
document to nobody, so what costs a client most, its own copy ahead of the server's, is left out: the load generator
has one core for all of them.

An operation inserts or deletes one to four characters at a random place; which of both is a matter of chance, weighed
so that the document stays at some 4,000 characters. Who writes what is drawn from seeds, the same for every server.

`GatewayEditor` and `ShareEditor` are the two dialects; all else they share.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable
from typing import Any

import msgspec
from msgspec import Struct
from picows import WSCloseCode, WSFrame, WSListener, WSMsgType, WSTransport

from fastcollab import ot
from fastcollab.bench._histogram import Histogram
from fastcollab.bench.connect import LoadError
from fastcollab.messages import new_id
from fastcollab.ot.live import LiveDocument, open_document

SIZE = 4000  # of a document, in characters
LONGEST_EDIT = 4
PATIENCE = 20.0  # seconds for what the server has to answer
TEXT = ot.types["text"]
TEXT_URI = "http://sharejs.org/types/text-unicode"  # the type's name in ShareDB
LETTERS = "the quick brown fox jumps over the lazy dog " * 8

_encode = msgspec.json.Encoder().encode


class Editor(WSListener):
    """One connection. `failed` is called with an error that ends the run."""

    def __init__(self, document: str, seed: int, failed: Callable[[Exception], None]) -> None:
        self.document = document
        self.version = 0
        self.in_flight: Any = None
        #: How many operations it is to write; it writes the next as soon as none is in flight.
        self.due = 0.0
        self.live: LiveDocument = open_document(TEXT, "")
        self.latency = Histogram()  # µs, from submission to acknowledgement
        self._failed = failed
        self._random = random.Random(seed).random
        self._sent_at = 0
        self._answer: asyncio.Future[tuple[str, int]] | None = None
        self._transport: WSTransport | None = None

    def on_ws_connected(self, transport: WSTransport) -> None:
        self._transport = transport

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        try:
            if frame.msg_type == WSMsgType.TEXT:
                self.receive(frame.get_payload_as_memoryview())
            elif frame.msg_type == WSMsgType.CLOSE:
                raise LoadError(f"the server closed with {frame.get_close_code()}")
        except Exception as error:
            self._failed(error)

    def receive(self, data: memoryview) -> None:
        """Takes one message of the server."""
        raise NotImplementedError

    def send(self, message: dict[str, Any]) -> None:
        self.send_text(_encode(message))

    def send_text(self, text: bytes) -> None:
        assert self._transport is not None
        self._transport.send(WSMsgType.TEXT, text)

    def disconnect(self) -> None:
        assert self._transport is not None
        self._transport.send_close(WSCloseCode.OK)
        self._transport.disconnect()

    async def enter(self) -> None:
        """Joins the document, and takes the server's copy of it."""
        content, self.version = await self.ask()
        self.live = open_document(TEXT, content)

    async def found(self, content: str) -> None:
        """Gives the document, which this editor is the first in, its content."""
        self.submit([content])
        await self.settle()

    async def settle(self) -> None:
        """Waits until nothing is in flight."""
        async with asyncio.timeout(PATIENCE):
            while self.in_flight is not None:  # noqa: ASYNC110
                await asyncio.sleep(0.001)

    async def ask(self) -> tuple[str, int]:
        """The server's copy of the document, and its version."""
        self._answer = asyncio.get_running_loop().create_future()
        self.request_document()
        async with asyncio.timeout(PATIENCE):
            return await self._answer

    def answered(self, content: str, version: int) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_result((content, version))

    def write(self) -> None:
        """Submits the next operation, if one is due and none is in flight."""
        if self.in_flight is None and self.due >= 1:
            self.due -= 1
            self.submit(next_edit(self._random, self.live.size()))

    def submit(self, operation: Any) -> None:
        self.in_flight = operation
        self._sent_at = time.monotonic_ns()
        self.send_operation(operation)

    def request_document(self) -> None:
        raise NotImplementedError

    def send_operation(self, operation: Any) -> None:
        raise NotImplementedError

    def acknowledged(self, version: int) -> None:
        """The operation in flight makes `version`."""
        self._expect(version)
        self.latency.record((time.monotonic_ns() - self._sent_at) // 1000)
        self.live.apply(self.in_flight)
        self.in_flight = None
        self.write()

    def remote(self, operation: Any, version: int) -> None:
        """Another's operation makes `version`."""
        self._expect(version)
        self.live.apply(operation)
        if self.in_flight is not None:
            self.in_flight = TEXT.transform(self.in_flight, operation, "left")

    def _expect(self, version: int) -> None:
        if version != self.version + 1:
            raise LoadError(f"version {version} followed {self.version}")
        self.version = version


def next_edit(draw: Callable[[], float], size: int) -> Any:
    """An operation of someone who writes in a document of that size; `draw` gives numbers from 0 to 1."""
    length = 1 + int(draw() * LONGEST_EDIT)
    if 2 * size * draw() < SIZE:
        start = int(draw() * (len(LETTERS) - length))
        place, piece = int(draw() * (size + 1)), LETTERS[start : start + length]
        return [place, piece] if place else [piece]
    place = int(draw() * (size - length))
    return [place, {"d": length}] if place else [{"d": length}]


class _State(Struct):
    data: str = ""


class _Payload(Struct, rename="camel"):
    operation: Any = None
    version: int = 0
    transformed_version: int = 0
    document_state: _State | None = None
    message: str = ""


class _FromGateway(Struct):
    type: str
    payload: _Payload


class GatewayEditor(Editor):
    """Speaks fastcollab's protocol."""

    _decode = staticmethod(msgspec.json.Decoder(_FromGateway).decode)

    def request_document(self) -> None:
        self.send(self._envelope("join_room", {"roomId": self.document, "documentType": "text"}))

    def send_operation(self, operation: Any) -> None:
        payload = {"operation": operation, "version": self.version}
        self.send(self._envelope("operation", payload) | {"roomId": self.document})

    def receive(self, data: memoryview) -> None:
        message = self._decode(data)
        payload = message.payload
        match message.type:
            case "operation_broadcast":
                self.remote(payload.operation, payload.transformed_version)
            case "ack":
                self.acknowledged(payload.version)
            case "room_joined":
                assert payload.document_state is not None
                self.answered(payload.document_state.data, payload.version)
            case "error":
                raise LoadError(f"the gateway answered: {payload.message}")

    def _envelope(self, kind: str, payload: dict[str, Any]) -> dict[str, Any]:
        return {"id": new_id(), "type": kind, "version": 1, "timestamp": int(time.time() * 1000), "payload": payload}


class _FromShare(Struct):
    a: str
    v: int = -1
    src: str = ""
    id: str = ""
    op: Any = None
    data: dict[str, Any] | None = None
    error: Any = None


class ShareEditor(Editor):
    """Speaks ShareDB's protocol, in which an operation carries the version that it follows."""

    _decode = staticmethod(msgspec.json.Decoder(_FromShare).decode)
    _source = ""
    _sequence = 0

    def request_document(self) -> None:
        if not self._source:
            self.send({"a": "hs", "id": None, "protocol": 1, "protocolMinor": 2})
        self.send({"a": "f" if self._source else "s", "c": "documents", "d": self.document})

    async def found(self, content: str) -> None:
        self.in_flight = [content]
        self.send(self._operation() | {"create": {"type": TEXT_URI, "data": content}})
        await self.settle()

    def send_operation(self, operation: Any) -> None:
        self.send(self._operation() | {"op": operation})

    def receive(self, data: memoryview) -> None:
        message = self._decode(data)
        if message.error is not None:
            raise LoadError(f"ShareDB answered: {message.error}")
        if message.a == "op":
            if message.src == self._source:
                self.acknowledged(message.v + 1)
            elif message.v >= self.version:  # what the author missed comes as an answer, and as news
                self.remote(message.op, message.v + 1)
        elif message.a == "hs":
            self._source = message.id
        elif message.a in ("s", "f") and message.data is not None:
            self.answered(message.data.get("data", ""), message.data["v"])

    def _operation(self) -> dict[str, Any]:
        self._sequence += 1
        where = {"a": "op", "c": "documents", "d": self.document, "v": self.version}
        return where | {"src": self._source, "seq": self._sequence, "x": {}}
