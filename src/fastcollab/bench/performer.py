"""One recorded user in a replay: a connection that says what it is told to, and notes what comes back.

It stands on the `Link` of the client, which has the handshake, pings and requests, and not on the client itself: that
would transform operations over what has arrived, compose those that wait, and hold back what comes too fast. Here the
recorded message goes out, against the recorded version, and it is for the gateway to transform it.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any, TypeVar
from uuid import uuid4

from fastcollab._binary import encode_frame
from fastcollab.bench._audience import Audience
from fastcollab.bench._histogram import Histogram
from fastcollab.bench.script import CURSORS, Viewport
from fastcollab.client.connection import MAX_MESSAGE_BYTES
from fastcollab.client.handshake import HandshakeOptions
from fastcollab.client.link import Link
from fastcollab.client.reconnection import retry_after
from fastcollab.client.requests import error_from_wire
from fastcollab.errors import CloseCode, ConnectionClosed, RateLimited, ServiceUnavailable

SUBPROTOCOL = "fastcollab.v1.batch"

_Answer = TypeVar("_Answer")

_EXCERPTS = 5
_RETRY_DELAY = 1.0  # seconds, where a refusal that passes does not say how long
_PATIENCE = 30.0  # seconds without an answer after which there is no use in waiting


@dataclass(slots=True)
class Tally:
    """What all performers of a replay have seen together; times in microseconds."""

    #: On the monotonic clock; that of uvloop goes by whole milliseconds.
    started: float = field(default_factory=time.monotonic)
    latency: Histogram = field(default_factory=Histogram)  # of cursors
    ack_latency: Histogram = field(default_factory=Histogram)
    broadcast_latency: Histogram = field(default_factory=Histogram)
    lateness: Histogram = field(default_factory=Histogram)  # from when something was due to when it was sent
    retried: int = 0  # operations, for a refusal that passes
    broadcasts: int = 0
    version_gaps: int = 0  # acks and broadcasts that did not follow the version before
    blocked: int = 0  # cursors that were not sent, since the gateway did not read, or their user was not in the room
    disconnects: int = 0
    close_codes: Counter[int] = field(default_factory=Counter)
    error_messages: int = 0
    errors: list[str] = field(default_factory=list)  # the first of them
    written: dict[str, int] = field(default_factory=dict)  # when operations were sent, by their message ids

    def begin(self) -> None:
        """What was done until now was preparation, and does not count."""
        self.started = time.monotonic()
        self.ack_latency = Histogram()
        self.retried = 0
        self.written.clear()

    def now_us(self) -> int:
        return int((time.monotonic() - self.started) * 1e6)

    def failed(self, error: Exception | str) -> None:
        self.error_messages += 1
        if len(self.errors) < _EXCERPTS:
            self.errors.append(str(error) or type(error).__name__)


class Performer(Link):
    """A user in one room, at `place` in its audience. `number` is that of the user, which the token says."""

    def __init__(
        self, url: str, token: str, room_id: str, document_type: str, audience: Audience, place: int, tally: Tally
    ) -> None:
        options = HandshakeOptions(url, SUBPROTOCOL, "replay", 10.0, 20.0, MAX_MESSAGE_BYTES, None, compression=False)
        super().__init__(options, token, None, token_in_handshake=True)
        self.present = False
        self.version = 0  # of the document, as far as this user has been told
        self.received_bytes = 0
        self._room_id = room_id
        self._document_type = document_type
        self._audience = audience
        self._place = place
        self._tally = tally
        self._answers: dict[str, asyncio.Future[int]] = {}  # to operations, by their message ids
        self._says_good_bye = False

    # What the script says

    async def enter(self) -> None:
        """Joins the room; raises the refusal."""
        payload = {"roomId": self._room_id, "documentType": self._document_type}
        await self._answered(self._ask("join_room", payload, "room_joined", self._room_id).future)

    async def leave(self) -> None:
        """Leaves the room."""
        self._audience.leaves(self._place, self._tally.now_us())
        self.present = False
        await self._answered(self._ask("leave_room", {"roomId": self._room_id}, "room_left", self._room_id).future)

    def point(self, kind: int, x: float, y: float, viewport: Viewport) -> None:
        """Sends a cursor, or a selection, as a frame of that kind, unless the connection takes no more."""
        if self._socket is None or not self._socket.is_writable or not self.present:
            self._tally.blocked += 1
            return
        now = self._tally.now_us()
        timestamp = self._audience.sending(self._place, now) if kind == CURSORS else now
        self._socket.send_binary(encode_frame(kind, 0, x, y, timestamp, viewport))

    def tell(self, kind: str, payload: dict[str, Any]) -> None:
        """Sends a message that needs no answer; raises ConnectionClosed."""
        self.send(kind, payload, room_id=self._room_id)

    async def write(self, operation: Any, base: int) -> int:
        """Sends an operation until the gateway has taken it, and returns the version that it made.

        Raises the refusal, if it does not pass, and ConnectionClosed.
        """
        message_id = str(uuid4())
        self._tally.written[message_id] = sent = self._tally.now_us()
        while True:
            answer: asyncio.Future[int] = asyncio.get_running_loop().create_future()
            self._answers[message_id] = answer
            payload = {"operation": operation, "version": base}
            try:
                self.send("operation", payload, room_id=self._room_id, message_id=message_id)
                version = await self._answered(answer)
            except (RateLimited, ServiceUnavailable) as refusal:
                self._tally.retried += 1
                await asyncio.sleep(retry_after(refusal) or _RETRY_DELAY)
            else:
                self._tally.ack_latency.record(self._tally.now_us() - sent)
                return version
            finally:
                self._answers.pop(message_id, None)

    async def document(self) -> dict[str, Any]:
        """The document as the gateway has it (``DocumentState``), after joining the room, if this user is not there."""
        if not self.present:
            await self.enter()
        answer = await self._answered(self._ask("get_document", {}, "document", self._room_id).future)
        state: dict[str, Any] = answer["documentState"]
        return state

    async def go(self) -> None:
        """Says good-bye."""
        self._says_good_bye = True
        await self.disconnect()

    async def _answered(self, future: asyncio.Future[_Answer]) -> _Answer:
        async with asyncio.timeout(_PATIENCE):
            return await future

    # What comes back

    def binary_received(self, payload: bytes) -> None:
        self.received_bytes += len(payload)
        self._audience.received(self._place, payload, self._tally.now_us())

    def text_received(self, payload: bytes) -> None:
        self.received_bytes += len(payload)
        super().text_received(payload)

    def _dispatch(self, message: dict[str, Any]) -> None:
        kind, payload = message["type"], message["payload"]
        match kind:
            case "batch":
                for member in payload["messages"]:
                    self._dispatch(member)
            case "operation_broadcast":
                self._broadcast_received(payload)
            case "ack":
                self._acknowledged(payload)
            case "error":
                self._error_received(payload)
            case "connected":
                self._connected(payload)
            case "room_joined":
                self.present = True
                self.version = payload["version"]
                self._audience.came(self._place, self._tally.now_us())
                self._requests.answer(kind, self._room_id, payload)
            case "room_left":
                self._requests.answer(kind, self._room_id, payload)
            case "document":
                self._requests.acknowledge(payload["messageId"], payload)

    def _acknowledged(self, payload: dict[str, Any]) -> None:
        answer = self._answers.get(payload["messageId"])
        if answer is not None and not answer.done():
            self._advance(payload["version"])
            answer.set_result(payload["version"])

    def _broadcast_received(self, payload: dict[str, Any]) -> None:
        self._advance(payload["transformedVersion"])
        self._tally.broadcasts += 1
        sent = self._tally.written.get(payload["messageId"])
        if sent is not None:
            self._tally.broadcast_latency.record(self._tally.now_us() - sent)

    def _advance(self, version: int) -> None:
        self._tally.version_gaps += version != self.version + 1
        self.version = version

    def _error_received(self, payload: dict[str, Any]) -> None:
        error = error_from_wire(payload)
        message_id = error.details.get("messageId", "")
        if self._session is None:
            message_id = self._requests.oldest_id or message_id  # the token in the handshake has no id
        answer = self._answers.get(message_id)
        if answer is not None and not answer.done():
            answer.set_exception(error)
        elif not self._requests.refuse(message_id, error):
            self._tally.failed(error)

    def _ended(self, reason: ConnectionClosed) -> None:
        if self.present:
            self._audience.leaves(self._place, self._tally.now_us())
            self.present = False
        if not self._says_good_bye and reason.code != CloseCode.ABNORMAL:
            self._tally.close_codes[reason.code] += 1
        self._tally.disconnects += not self._says_good_bye
        for answer in self._answers.values():
            if not answer.done():
                answer.set_exception(ConnectionClosed(reason.code, reason.reason))

    def _reconnected(self) -> None:
        """Never: a connection that is lost is not made again, but counted."""

    def _interrupted(self) -> None:
        """Never, for the same reason."""

    def _connection_ended(self) -> None:
        """There is nothing that belongs to a connection alone."""
