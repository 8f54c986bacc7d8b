"""A server that says exactly what a test wants: it speaks the protocol only as far as the test makes it."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.http11 import Request, Response

TIMEOUT = 5.0
LIMITS = {"cursorUpdates": 60, "operations": 30, "messages": 120, "burst": 2}


class Peer:
    """The server's end of one connection."""

    def __init__(self, websocket: ServerConnection) -> None:
        self.websocket = websocket

    async def receive(self) -> Any:
        """The next message: an envelope, or the bytes of a frame."""
        async with asyncio.timeout(TIMEOUT):
            message = await self.websocket.recv()
        return json.loads(message) if isinstance(message, str) else message

    async def expect(self, kind: str) -> dict[str, Any]:
        envelope: dict[str, Any] = await self.receive()
        assert envelope["type"] == kind
        return envelope

    async def send(self, kind: str, payload: dict[str, Any], room: str | None = None) -> None:
        await self.websocket.send(json.dumps(envelope(kind, payload, room)))

    async def refuse(self, message: dict[str, Any], code: int, room: str | None = None, **details: Any) -> None:
        details["messageId"] = message["id"]
        await self.send("error", error(code, **details), room)

    async def welcome(self) -> None:
        session = {"connectionId": "c1", "userId": "me", "numericId": 1, "serverTime": 0, "protocol": 1}
        session |= {"heartbeatInterval": 25_000, "resumed": False, "limits": LIMITS}
        await self.send("connected", session)

    async def answer_join(self, text: str = "", version: int = 0, **changes: Any) -> dict[str, Any]:
        """Answers the ``join_room`` that comes next, and returns its payload."""
        request = (await self.expect("join_room"))["payload"]
        state = {"type": "text", "data": text, "version": version, "epoch": "e1"}
        me = {"userId": "me", "numericId": 1, "name": "Me", "color": "#fff", "presence": {}}
        you = {"userId": "you", "numericId": 2, "name": "You", "color": "#000", "presence": {}}
        answer = {"roomId": request["roomId"], "handle": 3, "participants": [me, you], "documentState": state}
        answer |= {"version": version, "permission": "write"} | changes
        await self.send("room_joined", answer, request["roomId"])
        return request

    async def broadcast(self, operation: list[Any], version: int, message_id: str = "theirs") -> None:
        """An operation by the other one."""
        payload = {"operation": operation, "userId": "you", "numericId": 2, "messageId": message_id}
        await self.send("operation_broadcast", payload | {"version": 0, "transformedVersion": version}, "room")

    async def acknowledge(self, message: dict[str, Any], **payload: Any) -> None:
        await self.send("ack", {"messageId": message["id"], **payload}, message.get("roomId"))


class ScriptedServer:
    """Accepts connections, and hands over the server's end of each."""

    def __init__(self) -> None:
        self.peers: asyncio.Queue[Peer] = asyncio.Queue()
        self.requests: list[Request] = []
        self.welcomes = True
        self.answer: Response | None = None
        self.subprotocol: str | None = "as asked"
        self.hold: asyncio.Event | None = None  # until which handshakes are not answered
        self._over = asyncio.Event()

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[ScriptedServer]:
        def select(_: ServerConnection, asked: Any) -> Any:
            return asked[0] if self.subprotocol == "as asked" else self.subprotocol

        server: Server
        async with serve(
            self._serve, "127.0.0.1", 0, process_request=self._process, select_subprotocol=select, compression=None
        ) as server:
            self.url = f"ws://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}/ws"
            yield self
            self._over.set()

    async def _process(self, _: ServerConnection, request: Request) -> Response | None:
        self.requests.append(request)
        if self.hold is not None:
            await self.hold.wait()
        return self.answer

    async def _serve(self, websocket: ServerConnection) -> None:
        peer = Peer(websocket)
        if self.welcomes:
            await peer.welcome()
        self.peers.put_nowait(peer)
        await self._over.wait()


def envelope(kind: str, payload: dict[str, Any], room: str | None = None) -> dict[str, Any]:
    message = {"id": "0", "type": kind, "version": 1, "timestamp": 0, "payload": payload}
    return message if room is None else message | {"roomId": room}


def error(code: int, recoverable: bool = True, **details: Any) -> dict[str, Any]:
    return {"code": code, "message": "because", "details": details, "recoverable": recoverable}


async def until(condition: Any) -> None:
    async with asyncio.timeout(TIMEOUT):
        while not condition():  # noqa: ASYNC110 - nothing announces it
            await asyncio.sleep(0.001)
