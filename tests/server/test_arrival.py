"""Connections until their upgrade: bounds, time, proxies, and crowds that come and go (H6 to H10)."""

from __future__ import annotations

import asyncio
import gc
import ipaddress
import itertools
import resource
import socket
import struct
import time
from collections.abc import Awaitable, Callable
from urllib.parse import urlsplit

import pytest
from tests.server.bystanders import Bystanders
from tests.server.clients import Clients
from tests.server.conftest import GENEROUS, StartGateway, open_sockets, other_tasks
from tests.server.raw_client import PING, RawClient, frame, upgrade_request

from fastcollab import Config, Gateway

END = b"\r\n\r\n"
MOST = 16_379  # bytes in front of the empty line


def addresses(gateway: Gateway) -> set[str]:
    """Those of the gateway's connections."""
    return {connection.address for connection in gateway._dispatcher.connections.values()}


def under_way(gateway: Gateway) -> int:
    return len(gateway._parts.reception)


async def until(condition: Callable[[], bool], within: float = 5) -> None:
    async with asyncio.timeout(within):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.005)


# How large a request may be --------------------------------------------------------------------------------------


def padded(gateway: Gateway, size: int) -> bytes:
    """A good request of so many bytes in front of the empty line."""
    request = upgrade_request(gateway.url, {"X-Padding": ""})
    return request.replace(b"X-Padding: ", b"X-Padding: " + b"x" * (size - len(request) + len(END)))


async def test_a_request_may_have_16_kib_H7(gateway: Gateway, clients: Clients) -> None:
    client = await clients.dial(gateway)
    assert (await client.request(padded(gateway, MOST))).status == 101
    await client.alive()
    for finished in (True, False):
        client = await clients.dial(gateway)
        request = padded(gateway, MOST + 1)
        client.send(request if finished else request.removesuffix(END) + b"xxxxxx")
        assert (await client.everything()).startswith(b"HTTP/1.1 431 ")


async def test_a_request_may_have_100_headers_H7(gateway: Gateway, clients: Clients) -> None:
    usual = upgrade_request(gateway.url).count(b"\r\n") - 2
    for extra, status in ((100 - usual, 101), (101 - usual, 431)):
        client = await clients.dial(gateway)
        headers = {f"X-{index}": "y" for index in range(extra)}
        assert (await client.request(upgrade_request(gateway.url, headers))).status == status


async def test_a_request_line_may_have_8_kib_H7(gateway: Gateway, clients: Clients) -> None:
    room = 8192 - len("GET /ws? HTTP/1.1")
    for length, status in ((room, 101), (room + 1, 414)):
        client = await clients.dial(gateway)
        request = upgrade_request(gateway.url, target="/ws?" + "x" * length)
        assert (await client.request(request)).status == status
    unfinished = await clients.dial(gateway)
    unfinished.send(b"GET /ws?" + b"x" * 8200)
    assert (await unfinished.everything()).startswith(b"HTTP/1.1 414 ")


async def test_the_answer_arrives_although_the_client_goes_on_sending_H7(gateway: Gateway, clients: Clients) -> None:
    client = await clients.dial(gateway)
    client.send(b"GET /ws HTTP/1.1\r\nX: " + b"x" * 4_000_000)
    answer = await client.everything()
    assert answer.startswith(b"HTTP/1.1 431 ") and b"too long" in answer
    await until(lambda: not under_way(gateway))


async def test_what_comes_with_the_request_is_not_lost_H7(gateway: Gateway, clients: Clients) -> None:
    client = await clients.dial(gateway)
    client.send(upgrade_request(gateway.url) + frame(PING, b"early"))
    assert (await client.response()).status == 101
    received = await client.receive()
    assert received is not None and received.payload == b"early"


async def test_tls_where_there_is_none_is_told_H2(gateway: Gateway, clients: Clients) -> None:
    client = await clients.dial(gateway)
    client.send(bytes.fromhex("16030100c5010000c10303") + b"\xaa" * 100)
    assert (await client.everything(within=2)).startswith(b"HTTP/1.1 400 ")


# How long it may take --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sent", ["nothing", "half a request", "drops"])
async def test_a_slow_handshake_is_over_in_time_H8(start_gateway: StartGateway, clients: Clients, sent: str) -> None:
    gateway = await start_gateway({**GENEROUS, "server.handshake_timeout": 0.5})
    client = await clients.dial(gateway)
    began = time.monotonic()
    request = upgrade_request(gateway.url)[:-2]
    if sent == "half a request":
        client.send(request)
    end = asyncio.create_task(client.everything())
    while sent == "drops" and not end.done() and time.monotonic() < began + 3:
        client.send(b"X: y\r\n" if request == b"" else request)
        request = b""
        await asyncio.sleep(0.02)
    assert (await end).startswith(b"HTTP/1.1 408 ")
    assert 0.45 < time.monotonic() - began < 1.5
    assert not under_way(gateway)


async def test_what_is_upgraded_in_time_stays_H8(start_gateway: StartGateway, clients: Clients) -> None:
    gateway = await start_gateway({**GENEROUS, "server.handshake_timeout": 0.2})
    client = await clients.enter(gateway, "alice", "r")
    await asyncio.sleep(0.5)
    await client.barrier()


async def test_a_crowd_that_comes_at_once_is_bounded_H8(start_gateway: StartGateway, clients: Clients) -> None:
    gateway = await start_gateway({**GENEROUS, "limits.handshakes": 3})
    first = [await clients.dial(gateway) for _ in range(3)]
    await until(lambda: under_way(gateway) == 3)
    late = await clients.dial(gateway)
    response = await late.request(upgrade_request(gateway.url))
    assert response.status == 503
    assert int(response.headers["retry-after"]) >= 1
    assert (await first[0].request(upgrade_request(gateway.url))).status == 101
    again = await clients.dial(gateway)
    assert (await again.request(upgrade_request(gateway.url))).status == 101


async def test_who_takes_long_makes_room_H8(start_gateway: StartGateway, clients: Clients) -> None:
    gateway = await start_gateway({**GENEROUS, "limits.handshakes": 3})
    slow = [await clients.dial(gateway) for _ in range(3)]
    await asyncio.sleep(1.1)
    for _ in range(10):
        await clients.enter(gateway, "alice", "r")
    assert (await slow[0].everything()).startswith(b"HTTP/1.1 408 ")
    assert (await slow[2].request(upgrade_request(gateway.url))).status == 101


async def test_handshakes_are_no_connections_H6(start_gateway: StartGateway, clients: Clients) -> None:
    gateway = await start_gateway({**GENEROUS, "limits.connections": 1})
    for _ in range(5):
        await clients.dial(gateway)
    await clients.enter(gateway, "alice", "r")
    response = await (await clients.dial(gateway)).request(upgrade_request(gateway.url))
    assert response.status == 503


# Who has come ----------------------------------------------------------------------------------------------------


async def test_the_address_is_that_of_the_connection_H10(gateway: Gateway, clients: Clients) -> None:
    await clients.raw(gateway, "alice", headers={"X-Forwarded-For": "192.0.2.1", "Forwarded": "for=192.0.2.1"})
    assert addresses(gateway) == {"127.0.0.1"}


async def test_a_trusted_proxy_says_whose_request_it_is_H10(start_gateway: StartGateway, clients: Clients) -> None:
    gateway = await start_gateway({"server.trusted_proxies": "127.0.0.0/8"})
    await clients.raw(gateway, "alice", headers={"X-Forwarded-For": "203.0.113.9, 192.0.2.1, 127.0.0.2"})
    assert addresses(gateway) == {"192.0.2.1"}


PROXIED = {"server.proxy_protocol": True, "server.trusted_proxies": "127.0.0.1"}


def proxy_block(client: str, *, entries: bytes = b"", command: int = 0x21) -> bytes:
    packed = ipaddress.ip_address(client).packed
    body = packed * 2 + struct.pack("!HH", 50_000, 443) + entries
    family = 0x11 if len(packed) == 4 else 0x21
    return b"\r\n\r\n\0\r\nQUIT\n" + struct.pack("!BBH", command, family, len(body)) + body


HEADERS: dict[str, tuple[bytes, str]] = {
    "version 1": (b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n", "192.0.2.1"),
    "version 1, IPv6": (b"PROXY TCP6 2001:db8::1 2001:db8::2 1 2\r\n", "2001:db8::1"),
    "version 1, unknown": (b"PROXY UNKNOWN\r\n", "127.0.0.1"),
    "version 2": (proxy_block("192.0.2.1"), "192.0.2.1"),
    "version 2, IPv6": (proxy_block("2001:db8::1"), "2001:db8::1"),
    "version 2, mapped": (proxy_block("::ffff:192.0.2.1"), "192.0.2.1"),
    "version 2, entries": (proxy_block("192.0.2.1", entries=b"\xea\0\x04vpce" * 100), "192.0.2.1"),
    "version 2, local": (proxy_block("192.0.2.1", command=0x20), "127.0.0.1"),
}


@pytest.mark.parametrize("kind", HEADERS)
@pytest.mark.parametrize("pieces", [1, 7, 10_000])
async def test_a_proxy_says_whose_connection_it_is_H10(
    start_gateway: StartGateway, clients: Clients, kind: str, pieces: int
) -> None:
    gateway = await start_gateway(PROXIED)
    header, expected = HEADERS[kind]
    stream = header + upgrade_request(gateway.url)
    client = await clients.dial(gateway)
    for start in range(0, len(stream), pieces):
        client.send(stream[start : start + pieces])
        await asyncio.sleep(0)
    assert (await client.response()).status == 101
    await client.alive()
    assert addresses(gateway) == {expected}


@pytest.mark.parametrize(
    "beginning",
    [b"", b"PROXY TCP4 192.0.2.1 192.0.2.2 1\r\n", b"PROXY " + b"x" * 200, b"\r\n\r\n\0\r\nQUIT\n" + b"\xff" * 8],
)
async def test_without_a_good_header_a_proxy_is_cut_off_H10(
    start_gateway: StartGateway, clients: Clients, beginning: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    gateway = await start_gateway(PROXIED)
    client = await clients.dial(gateway)
    client.send(beginning + upgrade_request(gateway.url))
    assert await client.everything() == b""
    assert "sends no good PROXY header" in caplog.text
    assert not under_way(gateway)


async def test_a_proxy_that_says_nothing_is_cut_off_in_time_H8_H10(
    start_gateway: StartGateway, clients: Clients
) -> None:
    gateway = await start_gateway({**PROXIED, "server.handshake_timeout": 0.2})
    for sent in (b"", b"PROXY TCP4 192."):
        client = await clients.dial(gateway)
        client.send(sent)
        assert await client.everything(within=2) == b""


async def test_a_header_of_anybody_else_is_not_taken_H10(start_gateway: StartGateway, clients: Clients) -> None:
    gateway = await start_gateway({**PROXIED, "server.trusted_proxies": "192.0.2.7"})
    for beginning in (b"", HEADERS["version 1"][0], HEADERS["version 2"][0]):
        client = await clients.dial(gateway)
        client.send(beginning + upgrade_request(gateway.url))
        assert await client.everything() == b""
    other = await start_gateway()
    client = await clients.dial(other)
    client.send(HEADERS["version 1"][0] + upgrade_request(other.url))
    assert (await client.everything()).startswith(b"HTTP/1.1 400 ")


async def test_behind_a_header_other_proxies_are_believed_as_far_as_they_are_trusted_H10(
    start_gateway: StartGateway, clients: Clients
) -> None:
    gateway = await start_gateway({**PROXIED, "server.trusted_proxies": "127.0.0.1,10.0.0.0/8"})
    for proxy, expected in (("10.0.0.1", "203.0.113.9"), ("192.0.2.1", "192.0.2.1")):
        client = await clients.dial(gateway)
        request = upgrade_request(gateway.url, {"X-Forwarded-For": "203.0.113.9"})
        client.send(proxy_block(proxy) + request)
        assert (await client.response()).status == 101
        await client.alive()
        assert addresses(gateway) == {expected}
        client.abort()
        await until(lambda: not addresses(gateway))


# How often -------------------------------------------------------------------------------------------------------

RATE = 1
BURST = 5
RATED = {**GENEROUS, "limits.connection_rate": RATE, "limits.burst": BURST}


async def status(gateway: Gateway, clients: Clients, before: bytes = b"", **headers: str) -> int:
    client = await clients.dial(gateway)
    client.send(before)
    return (await client.request(upgrade_request(gateway.url, headers))).status


async def refused_in_time(attempt: Callable[[], Awaitable[int]]) -> None:
    """As many attempts succeed as may come at once, and as the time that they take allows for, however long it is."""
    began = time.monotonic()
    granted = 0
    while (answer := await attempt()) == 101:
        granted += 1
    assert answer == 429
    assert BURST <= granted <= BURST + RATE * (time.monotonic() - began)


async def test_one_address_may_connect_so_often_H9(start_gateway: StartGateway, clients: Clients) -> None:
    gateway = await start_gateway(RATED)
    await refused_in_time(lambda: status(gateway, clients))
    # Another address does not notice.
    parts = urlsplit(gateway.url)
    with socket.create_connection((parts.hostname, parts.port), source_address=("127.0.0.2", 0)) as other:
        other.setblocking(False)
        loop = asyncio.get_running_loop()
        await loop.sock_sendall(other, upgrade_request(gateway.url))
        assert (await loop.sock_recv(other, 1000)).startswith(b"HTTP/1.1 101 ")
    await asyncio.sleep(1 / RATE + 0.1)
    assert await status(gateway, clients) == 101


async def test_who_comes_too_often_is_told_when_to_come_again_H9(start_gateway: StartGateway, clients: Clients) -> None:
    gateway = await start_gateway({**GENEROUS, "limits.connection_rate": 1, "limits.burst": 1})
    responses = [await (await clients.dial(gateway)).request(upgrade_request(gateway.url)) for _ in range(2)]
    while responses[-1].status == 101:
        responses.append(await (await clients.dial(gateway)).request(upgrade_request(gateway.url)))
    assert (responses[-1].status, responses[-1].headers["retry-after"]) == (429, "1")


async def test_in_shadow_nobody_comes_too_often_H9_L4(start_gateway: StartGateway, clients: Clients) -> None:
    gateway = await start_gateway({**RATED, "limits.shadow": "connection_rate"})
    assert [await status(gateway, clients) for _ in range(3 * BURST)] == [101] * 3 * BURST


async def test_behind_a_proxy_clients_are_counted_and_not_the_proxy_H9_H10(
    start_gateway: StartGateway, clients: Clients
) -> None:
    gateway = await start_gateway({**RATED, "server.trusted_proxies": "127.0.0.1"})
    for number in range(20):
        assert await status(gateway, clients, **{"X-Forwarded-For": f"192.0.2.{number}"}) == 101
        assert await status(gateway, clients) == 101  # the proxy's own
    # What a client has written before does not make it another one.
    forged = itertools.count()
    await refused_in_time(
        lambda: status(gateway, clients, **{"X-Forwarded-For": f"10.0.0.{next(forged)}, 198.51.100.7"})
    )


async def test_a_network_of_ipv6_counts_as_one_H9(start_gateway: StartGateway, clients: Clients) -> None:
    gateway = await start_gateway({**RATED, **PROXIED})
    host = itertools.count(1)
    await refused_in_time(lambda: status(gateway, clients, proxy_block(f"2001:db8:0:7::{next(host)}")))
    assert await status(gateway, clients, proxy_block("2001:db8:0:8::6")) == 101


async def test_an_office_behind_one_address_comes_back_at_once_H9(
    start_gateway: StartGateway, clients: Clients
) -> None:
    gateway = await start_gateway({**GENEROUS, "limits.connection_rate": Config().limits.connection_rate})
    assert await asyncio.gather(*(status(gateway, clients) for _ in range(300))) == [101] * 300


# Crowds that come and go -----------------------------------------------------------------------------------------

CROWD = 1000


def dialled(gateway: Gateway) -> socket.socket:
    parts = urlsplit(gateway.url)
    return socket.create_connection((parts.hostname, parts.port), timeout=5)


def vanish(connection: socket.socket, *, reset: bool) -> None:
    if reset:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


@pytest.mark.parametrize("reset", [False, True])
@pytest.mark.parametrize("moment", ["before", "during", "after"])
async def test_a_thousand_connections_that_open_and_vanish_leave_nothing_H8(
    gateway: Gateway, clients: Clients, moment: str, reset: bool
) -> None:
    bystanders = await Bystanders.enter(gateway, clients, "r")
    request = upgrade_request(gateway.url)
    sent = {"before": b"", "during": request[:-9], "after": request}[moment]

    def is_over() -> bool:
        return not under_way(gateway) and gateway.connection_count == here and open_sockets() <= sockets

    loop = asyncio.get_running_loop()
    here, sockets, tasks = gateway.connection_count, open_sockets(), other_tasks()
    await loop.run_in_executor(None, _crowd_in_thread, gateway, sent, moment, reset)
    await bystanders.notice_nothing()
    await until(is_over)
    gc.collect()
    objects, memory = len(gc.get_objects()), _memory()
    for _ in range(2):
        await loop.run_in_executor(None, _crowd_in_thread, gateway, sent, moment, reset)
        await bystanders.notice_nothing()
    await until(is_over)
    gc.collect()
    assert len(gc.get_objects()) - objects < CROWD / 2
    assert _memory() - memory < 2 << 20
    assert other_tasks() <= tasks


def _crowd_in_thread(gateway: Gateway, sent: bytes, moment: str, reset: bool) -> None:
    for index in range(CROWD):
        connection = dialled(gateway)
        connection.sendall(sent)
        if moment == "after" and index % 2:
            connection.recv(4096)  # half of them have seen that they are connected
        vanish(connection, reset=reset)


def _memory() -> int:
    """The most that this process has had in memory, bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


async def test_a_client_that_ends_its_half_is_let_go_H8(gateway: Gateway) -> None:
    async with await RawClient.dial(gateway.url) as client:
        client.send(b"GET /ws HTTP/1.1\r\n")
        client.send_eof()
        assert await client.everything() == b""
    await until(lambda: not under_way(gateway))
