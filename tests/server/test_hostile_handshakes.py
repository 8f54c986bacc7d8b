"""Requests that are no valid upgrade, or only look as if they were not: rules H1, H2 and H5."""

from __future__ import annotations

import asyncio

import pytest
from tests.server.bystanders import Bystanders
from tests.server.clients import Clients, HasUrl
from tests.server.raw_client import upgrade_request

# Requests that must be refused: what differs from a good one, and the status.
BAD_REQUESTS: dict[str, tuple[dict[str, object], set[int]]] = {
    "POST": ({"method": "POST"}, {400, 405}),
    "HEAD": ({"method": "HEAD"}, {400, 405}),
    "lower-case method": ({"method": "get"}, {400, 405}),
    "no key": ({"headers": {"Sec-WebSocket-Key": None}}, {400}),
    "empty key": ({"headers": {"Sec-WebSocket-Key": ""}}, {400}),
    "short key": ({"headers": {"Sec-WebSocket-Key": "c2hvcnQ="}}, {400}),
    "long key": ({"headers": {"Sec-WebSocket-Key": "c2l4dGVlbiBieXRlcyBpdCBpcyBub3Q="}}, {400}),
    "key that is not base64": ({"headers": {"Sec-WebSocket-Key": "!" * 24}}, {400}),
    "no version": ({"headers": {"Sec-WebSocket-Version": None}}, {400, 426}),
    "version that is no number": ({"headers": {"Sec-WebSocket-Version": "thirteen"}}, {400, 426}),
    "no upgrade": ({"headers": {"Upgrade": None}}, {400, 426}),
    "another upgrade": ({"headers": {"Upgrade": "h2c"}}, {400, 426}),
    "no connection": ({"headers": {"Connection": None}}, {400}),
    "another connection": ({"headers": {"Connection": "keep-alive"}}, {400}),
    "NUL in the path": ({"target": "/ws\0"}, {400, 404}),
    "NUL in the query": ({"target": "/ws?\0"}, {400}),
    "control character in a header": ({"headers": {"Origin": "https://good.example\x01"}}, {400, 403}),
    "space in the path": ({"target": "/ws HTTP/1.1 x"}, {400, 404}),
    "empty path": ({"target": ""}, {400, 404}),
}


@pytest.mark.parametrize("bad", BAD_REQUESTS)
async def test_what_is_no_valid_upgrade_is_refused_H2(gateway: HasUrl, clients: Clients, bad: str) -> None:
    changes, statuses = BAD_REQUESTS[bad]
    client = await clients.dial(gateway)
    response = await client.request(upgrade_request(gateway.url, **changes))  # type: ignore[arg-type]
    assert response.status in statuses
    await client.everything()
    await clients.enter(gateway, "alice", "r")


GARBAGE: dict[str, bytes] = {
    "no request": b"hello\r\n\r\n",
    "a request without a version": b"GET /ws\r\n\r\n",
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "TLS": bytes.fromhex("16030100c5010000c10303") + b"\xaa" * 200 + b"\r\n\r\n",
    "zeros": b"\0" * 1000 + b"\r\n\r\n",
    "a header without a colon": b"GET /ws HTTP/1.1\r\nHost localhost\r\n\r\n",
    "a header that is folded": b"GET /ws HTTP/1.1\r\nHost: a\r\n b\r\n\r\n",
    "only line ends": b"\r\n\r\n\r\n\r\n",
    "not ASCII": "GÉT /wß HTTP/1.1\r\nHöst: ü\r\n\r\n".encode(),
    "another protocol": b"EHLO example.org\r\n\r\n",
}


@pytest.mark.parametrize("garbage", GARBAGE)
async def test_what_is_no_http_is_refused_H2(gateway: HasUrl, clients: Clients, garbage: str) -> None:
    client = await clients.dial(gateway)
    client.send(GARBAGE[garbage])
    answer = await client.everything()
    assert answer == b"" or answer.split()[1] in (b"400", b"404", b"405", b"426", b"505"), answer[:200]
    await clients.enter(gateway, "alice", "r")


async def test_an_old_version_of_http_is_refused_H2(gateway: HasUrl, clients: Clients) -> None:
    client = await clients.dial(gateway)
    response = await client.request(upgrade_request(gateway.url).replace(b"HTTP/1.1", b"HTTP/1.0"))
    assert response.status in (400, 505)


@pytest.mark.parametrize(
    "headers",
    [
        {"Connection": "keep-alive, Upgrade"},  # as Firefox sends it
        {"Connection": "upgrade", "Upgrade": "WebSocket"},
        {"Connection": "UPGRADE", "Upgrade": "WEBSOCKET"},
        {"Connection": "Upgrade ,keep-alive"},
        {"Sec-WebSocket-Extensions": "permessage-deflate; client_max_window_bits"},
        {"Sec-WebSocket-Extensions": "x-unknown; a=b, permessage-bzip2"},
        {"User-Agent": "x" * 2000, "Cookie": "a=b; c=d"},
    ],
)
async def test_an_unusual_request_that_is_valid_is_accepted_H2(
    gateway: HasUrl, clients: Clients, headers: dict[str, str]
) -> None:
    client = await clients.dial(gateway)
    response = await client.request(upgrade_request(gateway.url, headers))
    assert response.status == 101
    await client.alive()


async def test_the_case_of_header_names_and_space_around_values_say_nothing_H2(
    gateway: HasUrl, clients: Clients
) -> None:
    request = upgrade_request(gateway.url)
    for change in (request.replace(b"Sec-WebSocket", b"sec-websocket"), request.replace(b": ", b":   ")):
        client = await clients.dial(gateway)
        assert (await client.request(change)).status == 101
        await client.alive()


async def test_a_request_that_comes_byte_by_byte_H2(gateway: HasUrl, clients: Clients) -> None:
    client = await clients.dial(gateway)
    for byte in upgrade_request(gateway.url):
        client.send(bytes([byte]))
        await asyncio.sleep(0)
    assert (await client.response()).status == 101
    await client.alive()


@pytest.mark.parametrize("finished", [True, False])
@pytest.mark.parametrize("head", [b"GET /ws?" + b"x" * 20_000, b"GET /ws HTTP/1.1\r\nX-Long: " + b"x" * 20_000])
async def test_a_request_of_20_kb_is_refused_or_cut_off_H2(
    gateway: HasUrl, clients: Clients, head: bytes, finished: bool
) -> None:
    client = await clients.dial(gateway)
    client.send(head + (b"\r\n\r\n" if finished else b""))
    answer = await client.everything()
    assert answer == b"" or answer.split()[1] in (b"400", b"404", b"414", b"431"), answer[:200]
    await clients.enter(gateway, "alice", "r")


async def test_handshakes_that_do_not_end_are_ended_H2(gateway: HasUrl, clients: Clients) -> None:
    """Some say nothing, some stop halfway, some add a header now and then."""
    bystanders = await Bystanders.enter(gateway, clients, "r")
    request = upgrade_request(gateway.url)
    crew = [await clients.dial(gateway) for _ in range(20)]
    for index, client in enumerate(crew):
        client.send(request[: index * len(request) // 20])
    drip = await clients.dial(gateway)
    drip.send(request[:-2])
    ends = [asyncio.create_task(client.everything(within=15)) for client in (*crew, drip)]
    for _ in range(150):
        if ends[-1].done():
            break
        drip.send(b"X: y\r\n")
        await asyncio.sleep(0.1)
    await bystanders.notice_nothing()
    for answer in await asyncio.gather(*ends):
        assert b" 101 " not in answer
