"""Socket.IO as the load generators speak it, over WebSocket alone.

Engine.IO 4 puts a digit before each text, and Socket.IO 5 another one: ``0{…}`` opens, ``40`` enters the main name
space, ``42["event", …]`` is an event, ``427[…]`` one that is to be acknowledged, with ``437[]``. Binary data is taken
out of its event, which then begins with ``451-``, and follows in a frame of its own. The server asks for signs of life
every 25 s and wants them within 20; a run is over before that, so none are given.
"""

from __future__ import annotations

import time
from collections.abc import Generator
from typing import Any

import msgspec

from benchmarks.documents.editors import Editor
from fastcollab.bench.connect import Dial, Inbox, LoadError, Sending, masked_frame
from fastcollab.bench.load import Peer

PATH = "/socket.io/?EIO=4&transport=websocket"
_TEXT = 0x81


def _joining(room: str) -> bytes:
    return b"420" + msgspec.json.encode(["join", room])


def _dial(room: int) -> Dial:
    def greeting(inbox: Inbox, send: Sending) -> Generator[None, None, None]:
        for said, answer in ((b"", b"0{"), (b"40", b"40{"), (_joining(f"load-{room}"), b"430")):
            if said:
                send(masked_frame(_TEXT, said))
            first, content = yield from inbox.frame()
            if first != _TEXT or not content.startswith(answer):
                raise LoadError(f"Socket.IO answered {content[:100]!r}")

    return Dial(PATH, greeting=greeting)


#: For cursors.
PEER = Peer("Socket.IO", _dial, preamble=b'451-["cursor",{"_placeholder":true,"num":0}]')


class SocketioEditor(Editor):
    """Sends operations that are passed on and acknowledged, and no more: nothing orders them, so there is no version
    but how many have come by, and copies are neither kept nor compared.
    """

    _sequence = 0

    async def found(self, content: str) -> None:
        """There is nobody to keep it."""

    async def ask(self) -> tuple[str, int]:
        if self._answer is None:
            return await super().ask()
        return self.live.content(), self.version

    def request_document(self) -> None:
        """Is done when the server has opened the connection."""

    def send_operation(self, operation: Any) -> None:
        self._sequence += 1
        event = ["operation", [self.document, self._sequence, operation]]
        self.send_text(f"42{self._sequence}".encode() + msgspec.json.encode(event))

    def receive(self, data: memoryview) -> None:
        text = bytes(data)
        if text.startswith(b"42"):
            self.version += 1
        elif text.startswith(b"430"):
            self.answered("", 0)
        elif text.startswith(b"43"):
            self.version += 1
            self.latency.record((time.monotonic_ns() - self._sent_at) // 1000)
            self.in_flight = None
            self.write()
        elif text.startswith(b"40{"):
            self.send_text(_joining(self.document))
        elif text.startswith(b"0{"):
            self.send_text(b"40")
        else:
            raise LoadError(f"Socket.IO answered {text[:100]!r}")
