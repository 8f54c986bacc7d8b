"""The package's own client in the simulated world: all of it but its WebSocket."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from random import Random
from types import SimpleNamespace
from typing import Any
from unittest import mock
from uuid import UUID

from tests.generators import json1
from tests.simulation.devices import ROOM, UNRESOLVED, Author
from tests.simulation.network import Letter, Network, Wire, deliver
from tests.simulation.world import Machine

from fastcollab.client import CollaborativeClient, document, link, reconnection, rejoining, requests
from fastcollab.client.reconnection import ReconnectPolicy
from fastcollab.client.room import Room
from fastcollab.client.status import Status
from fastcollab.client.synchronizer import Rejection
from fastcollab.errors import (
    CloseCode,
    ConnectionClosed,
    FastcollabError,
    InvalidMessage,
    ServiceUnavailable,
    VersionMismatch,
)
from fastcollab.server import clock, dispatcher

#: Numbers whose sums are exact. Others round, and then it matters in which steps one adds: copies may differ in the
#: last digit until a checksum shows it.
EXACT_NUMBERS = [0, 1, -1, 7, 0.5, -2.25, 1e10, 2**31]


class _Socket:
    """The place of `client.socket.MessageSocket`."""

    is_writable = True

    def __init__(self, handler: Any, max_size: int) -> None:
        self.machine: Machine = asyncio.get_running_loop()  # type: ignore[assignment]
        self.wire: Wire | None = None
        self._handler = handler
        self._closed: ConnectionClosed | None = None

    @property
    def epoch(self) -> str:
        room = self._handler.rooms.get(ROOM)
        return "" if room is None else room.document.epoch

    async def open(self, network: Network, token: str, resumes: str | None) -> None:
        self.wire = network.dial(self, token, resumes)

    async def drain(self) -> None:
        pass

    def send_text(self, payload: bytes) -> None:
        if self._closed is not None or self.wire is None:
            raise ConnectionClosed(CloseCode.ABNORMAL, "not connected")
        self.wire.send(payload)

    def close(self, code: int, reason: str = "") -> None:
        """The farewell; the gateway's answer to it is not waited for."""
        self._end(ConnectionClosed(code, reason))

    def abort(self) -> None:
        self._end(ConnectionClosed(CloseCode.ABNORMAL, "given up"))

    def received(self, letter: Letter) -> None:
        self._handler.text_received(letter.text)

    def closed(self, code: int) -> None:
        if self._closed is None:
            self._closed = ConnectionClosed(code)
            self._handler.connection_closed(self, self._closed)

    def _end(self, reason: ConnectionClosed) -> None:
        if self._closed is None:
            self._closed = reason
            if self.wire is not None:
                self.wire.say_farewell(reason.code)
            self.machine.call_soon(self._handler.connection_closed, self, reason)


class PackageDevice:
    """The package's own client."""

    def __init__(self, network: Network, user: str, document_type: str) -> None:
        self.machine = Machine(network.world)
        self.user = user
        self.room: Room | None = None
        self._world = network.world
        self._type_name = document_type
        self._client: CollaborativeClient | None = None
        self._is_coming = True
        self.machine.run(self._come())

    @property
    def content(self) -> Any:
        assert self.room is not None
        return self.room.document.content

    @property
    def version(self) -> int:
        return -1 if self.room is None else self.room.document.version

    @property
    def epoch(self) -> str:
        return "" if self.room is None else self.room.document.epoch

    @property
    def in_step(self) -> bool:
        return self.room is not None and self.room.status in (Status.CONNECTED, Status.SAVED, Status.SAVING)

    @property
    def saved(self) -> bool:
        return self.in_step and self.room is not None and not self.room.document.pending

    @property
    def people(self) -> set[str]:
        return set() if self.room is None else set(self.room.participants)

    def edit(self, author: Author) -> None:
        if self.room is not None:
            self.room.edit(author(self.content))

    def undo(self) -> None:
        if self.room is not None and self.room.undo() is not None:
            self._world.tally["an undo"] += 1

    def leave(self) -> None:
        if not self._is_coming:
            self._is_coming = True
            self.machine.run(self._go_and_come_back())

    def lose(self, noticed_above: float, noticed_below: float) -> None:
        socket: Any = None if self._client is None else self._client._socket
        if socket is not None and socket.wire is not None:
            socket.wire.cut(noticed_above=noticed_above, noticed_below=noticed_below)

    async def _come(self) -> None:
        if self._client is None:
            every = self._world.random.choice((0, 1, 5))
            policy = ReconnectPolicy(base=0.1, cap=1.0)
            self._client = CollaborativeClient("ws://gateway", self.user, reconnect=policy, checksum_every=every)
            self._client.on("closed", self._closed)
        while not await self._has_joined(self._client):  # noqa: ASYNC110 - nothing announces a gateway
            await asyncio.sleep(self._world.random.uniform(0.0, 0.4))
        self._is_coming = False

    async def _has_joined(self, client: CollaborativeClient) -> bool:
        try:
            if client.status is Status.CLOSED:
                await client.connect()
            room = await client.join_room(ROOM, self._type_name)
        except (OSError, ConnectionClosed, ServiceUnavailable):
            return False
        if self.room is None:
            self.room = room
            room.on("rejected", self._rejected)
            room.on("error", self._failed)
        return True

    async def _go_and_come_back(self) -> None:
        assert self._client is not None
        await self._client.disconnect()
        await asyncio.sleep(self._world.random.uniform(0.0, 0.5))
        await self._come()

    def _closed(self, reason: ConnectionClosed) -> None:
        assert self._is_coming, f"the client has given up: {reason}"

    def _failed(self, error: FastcollabError) -> None:
        # A second answer to an operation, of which another connection has brought the first, is of no interest.
        if not isinstance(error, ServiceUnavailable | VersionMismatch | InvalidMessage):
            raise error

    def _rejected(self, rejection: Rejection) -> None:
        error = rejection.error
        is_expected = isinstance(error, VersionMismatch | InvalidMessage) or UNRESOLVED in str(error)
        assert is_expected, f"operations are given up because of {error!r}"
        self._world.tally[f"operations are given up by the package's client: {type(error).__name__}"] += 1


@contextlib.contextmanager
def inhabited(network: Network) -> Iterator[None]:
    """The package's modules live in the network's world: its clock, its dice, its sockets."""
    world = network.world

    async def open_socket(socket: Any, options: Any, token: str, resumes: str | None) -> None:
        await socket.open(network, token, resumes)

    def dice() -> Random:
        return Random(world.random.random())

    def new_id() -> UUID:
        return UUID(int=world.random.getrandbits(128), version=4)

    with contextlib.ExitStack() as stack:
        for module, name, stand_in in (
            (clock, "now_ns", lambda: int(world.now * 1e9)),
            (clock, "time", SimpleNamespace(time_ns=lambda: int(world.unix * 1e9))),
            (dispatcher, "deliver", deliver),
            (link, "open_socket", open_socket),
            (link, "MessageSocket", _Socket),
            (link, "uuid4", new_id),
            (requests, "uuid4", new_id),
            (document, "uuid4", new_id),
            (json1, "NUMBERS", EXACT_NUMBERS),
            (reconnection, "Random", dice),
            (rejoining, "Random", dice),
        ):
            stack.enter_context(mock.patch.object(module, name, stand_in))
        yield
