"""A gateway stops: what was taken in is stored, all are told when to come back, and nobody is waited for too long."""

from __future__ import annotations

import asyncio
import itertools
import json
import signal
import socket
import time
import uuid
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from tests.server.clients import Clients
from tests.server.conftest import GENEROUS, MakeToken, StartGateway
from tests.server.gateway_process import GatewayProcess, command, serving
from tests.server.raw_client import CLOSE, TEXT, RawClient, frame, upgrade_request
from tests.server.test_arrival import under_way, until

from fastcollab.client import CollaborativeClient

SERVICE_UNAVAILABLE = 5002


async def farewell(client: RawClient) -> int:
    """Waits until the client is sent away, and returns after how long (ms) it is to come back."""
    details = await client.refused(SERVICE_UNAVAILABLE)
    await client.closed(4502)
    return int(details["retryAfterMs"])


async def test_clients_are_told_to_come_back_at_times_of_their_own_K2(
    start_gateway: StartGateway, clients: Clients
) -> None:
    gateway = await start_gateway({**GENEROUS, "server.reconnect_rate": 20})
    crowd = [await clients.raw(gateway, f"user {number}", "r") for number in range(40)]
    crowd += [await clients.raw(gateway) for _ in range(20)]  # they have not said who they are
    gateway.close_soon()
    times = sorted([await farewell(client) for client in crowd])
    await gateway.wait_closed()
    assert times[0] >= 500 and times[-1] <= 500 + 60 / 20 * 1000
    assert times[-1] - times[0] > 1500 and len(set(times)) > 50


async def test_those_in_mid_handshake_are_told_H6(start_gateway: StartGateway, clients: Clients) -> None:
    gateway = await start_gateway(dict(GENEROUS))
    halfway = await clients.dial(gateway)
    request = upgrade_request(gateway.url)
    halfway.send(request[:-10])
    await until(lambda: under_way(gateway) == 1)
    gateway.close_soon()
    await asyncio.sleep(0.05)
    halfway.send(request[-10:])
    response = await halfway.response()
    assert response.status == 503 and 1 <= int(response.headers["retry-after"]) <= 2
    parts = urlsplit(gateway.url)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((parts.hostname, parts.port))
    await gateway.wait_closed()


async def test_those_whom_the_system_has_accepted_are_told_H6(start_gateway: StartGateway) -> None:
    gateway = await start_gateway(dict(GENEROUS))
    parts = urlsplit(gateway.url)
    # Nothing is awaited: the gateway does not know of them yet when it is told to stop.
    queue = [socket.create_connection((parts.hostname, parts.port)) for _ in range(50)]
    for connection in queue:
        connection.sendall(upgrade_request(gateway.url))
    assert not under_way(gateway)
    gateway.close_soon()
    await gateway.wait_closed()
    for connection in queue:
        with connection:
            assert connection.recv(1000).startswith(b"HTTP/1.1 503 ")


async def test_who_is_silent_in_the_middle_of_the_handshake_is_not_waited_for_K3(
    start_gateway: StartGateway, clients: Clients
) -> None:
    gateway = await start_gateway({**GENEROUS, "server.shutdown_timeout": 10})
    silent = await clients.dial(gateway)
    await until(lambda: under_way(gateway) == 1)
    began = time.monotonic()
    await gateway.stop()
    assert time.monotonic() - began < 2
    assert await silent.everything() == b""


async def test_an_operation_that_comes_too_late_is_refused_and_not_stored_K3(
    start_gateway: StartGateway, clients: Clients
) -> None:
    gateway = await start_gateway(dict(GENEROUS))
    client = await clients.raw(gateway, "ada", "r")
    gateway.close_soon()
    client.send_message("operation", {"operation": ["late"], "version": 0})
    details = await client.refused(SERVICE_UNAVAILABLE)
    assert details["retryAfterMs"]
    document = gateway._dispatcher.rooms.document("r")
    assert document is None or document.version == 0
    await gateway.wait_closed()


async def test_whatever_hangs_all_is_over_in_time_K3(start_gateway: StartGateway, clients: Clients) -> None:
    """The back end, and clients that do not answer, or do not read."""
    saving = asyncio.Event()

    async def never(document: object) -> None:
        saving.set()
        await asyncio.Event().wait()

    gateway = await start_gateway(
        {**GENEROUS, "server.shutdown_timeout": 2, "backend.save_delay": 0}, save_document=never
    )
    writer = await clients.raw(gateway, "ada", "r")
    deaf = await clients.raw(gateway, "bob", "r")
    deaf.pause_reading()
    writer.send_message("operation", {"operation": ["a" * 100_000], "version": 0})
    await asyncio.wait_for(saving.wait(), 5)
    began = time.monotonic()
    await gateway.stop()
    assert time.monotonic() - began < 2.5


async def test_the_package_s_client_comes_back_when_it_is_told_to_K2(
    start_gateway: StartGateway, make_token: MakeToken
) -> None:
    gateway = await start_gateway(dict(GENEROUS))
    retries: asyncio.Queue[float] = asyncio.Queue()
    async with CollaborativeClient(gateway.url, make_token("ada")) as client:
        client.on("reconnecting", lambda retry: retries.put_nowait(retry.delay))
        await gateway.stop()
        assert 0.5 <= await asyncio.wait_for(retries.get(), 5) <= 0.5 + 1 / 500 + 0.25


# Under load, as a process ----------------------------------------------------------------------------------------


class Writer:
    """Writes at full speed, and notes what was acknowledged and how it was sent away."""

    def __init__(self, client: RawClient, room: str, marks: itertools.count[int]) -> None:
        self.room = room
        self.acknowledged: set[str] = set()
        self.sent: set[str] = set()
        self.retry_after: int | None = None
        self._client = client
        self._marks = marks

    async def write(self) -> None:
        """Writes until it is sent away, by an error and a close."""
        version = 0
        message_id = self._send(version)
        mark = self._mark
        while True:
            received = await self._client.receive()
            assert received is not None, "the connection ended without a close frame"
            if received.opcode == CLOSE:
                assert received.close_code == 4502
                self._client.send(frame(CLOSE, received.payload))
                return
            if received.opcode != TEXT:
                continue
            message = json.loads(received.payload)
            payload = message["payload"]
            if message["type"] == "operation_broadcast":
                version = payload["transformedVersion"]
            elif message["type"] == "ack" and payload["messageId"] == message_id:
                self.acknowledged.add(mark)
                version = payload["version"]
                message_id = self._send(version)
                mark = self._mark
            elif message["type"] == "error":
                assert payload["code"] == SERVICE_UNAVAILABLE
                if not payload["recoverable"]:
                    self.retry_after = payload["details"]["retryAfterMs"]

    def _send(self, version: int) -> str:
        self._mark = f"<{next(self._marks)}>"
        self.sent.add(self._mark)
        message_id = str(uuid.uuid4())
        self._client.send_json(
            {
                "id": message_id,
                "type": "operation",
                "version": 1,
                "timestamp": 0,
                "roomId": self.room,
                "payload": {"operation": [self._mark], "version": version},
            }
        )
        return message_id


ROOMS = ("red", "green", "blue")
TIMEOUT = 4


async def under_load(gateway: GatewayProcess, make_token: MakeToken, marks: itertools.count[int]) -> list[Writer]:
    """Writers in several rooms, and some who hinder the gateway; it is told to stop in the middle of it all."""
    clients: list[RawClient] = []
    writers: list[Writer] = []
    for room, name in itertools.product(ROOMS, ("ada", "bob", "eve")):
        client = await RawClient.open(gateway.url, make_token(f"{name} in {room}"))
        clients.append(client)
        await client.join(room)
        writers.append(Writer(client, room, marks))
    deaf = await RawClient.dial(gateway.url, receive_buffer=4096)
    await deaf.upgrade(gateway.url, make_token("deaf"))
    await deaf.join("red")
    deaf.pause_reading()
    halfway, silent = [await RawClient.dial(gateway.url) for _ in range(2)]
    halfway.send(upgrade_request(gateway.url)[:-9])
    try:
        async with asyncio.TaskGroup() as tasks:
            for writer in writers:
                tasks.create_task(writer.write())
            await asyncio.sleep(0.7)
            began = time.monotonic()
            assert await gateway.end(signal.SIGTERM) == 0
            assert time.monotonic() - began < TIMEOUT
    finally:
        for client in (*clients, deaf, halfway, silent):
            client.abort()
    return writers


async def test_sigterm_under_load_loses_nothing_that_was_acknowledged_K2_K3_OT3(
    tmp_path: Path, make_token: MakeToken
) -> None:
    """Again and again on one file, with a back end that does not answer."""
    hanging = socket.create_server(("127.0.0.1", 0))
    address = f"http://127.0.0.1:{hanging.getsockname()[1]}/"
    store = tmp_path / "documents.db"
    settings = [f"{key}={value}" for key, value in GENEROUS.items()]
    settings += [f"server.shutdown_timeout={TIMEOUT}", "server.reconnect_rate=3"]
    settings += [f"backend.save_url={address}", "backend.save_delay=0.1", f"backend.secret={'s' * 32}"]
    marks = itertools.count()
    writers: list[Writer] = []
    try:
        for _ in range(3):
            async with serving(store, *settings) as gateway:
                writers += await under_load(gateway, make_token, marks)
    finally:
        hanging.close()
    assert all(writer.retry_after is not None for writer in writers), "each was told when to come back"
    times = [writer.retry_after or 0 for writer in writers]
    assert min(times) >= 500 and max(times) - min(times) > 1000
    for room in ROOMS:
        shown = command("show", room, "--engine", f"sqlite:{store}")
        assert shown.returncode == 0, shown.stderr
        own = [writer for writer in writers if writer.room == room]
        acknowledged = set[str]().union(*(writer.acknowledged for writer in own))
        assert len(acknowledged) > 50
        for mark in set[str]().union(*(writer.sent for writer in own)):
            count = shown.stdout.count(mark)
            assert count == 1 if mark in acknowledged else count <= 1, mark


@pytest.mark.parametrize("second", [signal.SIGTERM, signal.SIGINT])
async def test_a_second_signal_ends_the_process_at_once(
    tmp_path: Path, make_token: MakeToken, second: signal.Signals
) -> None:
    async with serving(tmp_path / "documents.db", "server.shutdown_timeout=60") as gateway:
        deaf = await RawClient.open(gateway.url, make_token("deaf"))
        deaf.pause_reading()
        began = time.monotonic()
        ending = asyncio.create_task(gateway.end(signal.SIGTERM))
        await asyncio.sleep(0.3)
        assert not ending.done()
        await gateway.end(second)
        await ending
        assert time.monotonic() - began < 3
        deaf.abort()
