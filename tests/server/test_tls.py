"""TLS on the gateway's own port: all that works without it, and certificates that are renewed while it runs."""

from __future__ import annotations

import asyncio
import signal
import socket
import ssl
import struct
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from tests.server.certificates import Authority, replace
from tests.server.clients import HasUrl
from tests.server.conftest import GENEROUS, MakeToken, StartGateway
from tests.server.gateway_process import serving
from tests.server.raw_client import PING, PONG, RawClient, frame, upgrade_request
from tests.server.test_arrival import PROXIED, addresses, proxy_block, under_way, until

from fastcollab import Config, ConfigError, Gateway
from fastcollab.client import CollaborativeClient


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority()


@pytest.fixture
def files(authority: Authority, tmp_path: Path) -> tuple[Path, Path]:
    certificate, key = tmp_path / "server.pem", tmp_path / "server.key"
    authority.issue(certificate, key, "first")
    return certificate, key


@pytest.fixture
def settings(files: tuple[Path, Path]) -> dict[str, object]:
    return {**GENEROUS, "tls.certificate_file": files[0], "tls.key_file": files[1]}


@pytest.fixture
def raw_clients() -> Iterator[list[RawClient]]:
    clients: list[RawClient] = []
    yield clients
    for client in clients:
        client.abort()


async def dial(
    gateway: Gateway,
    authority: Authority,
    clients: list[RawClient],
    *,
    before: bytes = b"",
    receive_buffer: int = 0,
    context: ssl.SSLContext | None = None,
) -> RawClient:
    """A TLS connection on which nothing was said yet, but for `before` in front of its handshake."""
    end = socket.socket()
    if receive_buffer:
        end.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    end.setblocking(False)
    loop = asyncio.get_running_loop()
    parts = urlsplit(gateway.url)
    await loop.sock_connect(end, (parts.hostname, parts.port))
    await loop.sock_sendall(end, before)
    client = RawClient(
        *await asyncio.open_connection(
            sock=end, ssl=context or authority.client_context(), server_hostname="127.0.0.1", limit=1 << 22
        )
    )
    clients.append(client)
    return client


def certificate_name(gateway: HasUrl, authority: Authority) -> str:
    """By what name the gateway is certified to a connection that is made now."""
    parts = urlsplit(gateway.url)
    with (
        socket.create_connection((parts.hostname, parts.port), timeout=5) as plain,
        authority.client_context().wrap_socket(plain, server_hostname="127.0.0.1") as secure,
    ):
        certificate = secure.getpeercert()
        assert certificate is not None
        return str(dict(entry[0] for entry in certificate["subject"])["commonName"])  # type: ignore[index,misc,arg-type]


async def name_now(gateway: HasUrl, authority: Authority) -> str:
    return await asyncio.get_running_loop().run_in_executor(None, certificate_name, gateway, authority)


async def becomes(gateway: HasUrl, authority: Authority, name: str) -> None:
    """Waits until the gateway has the certificate of this name."""
    async with asyncio.timeout(5):
        while await name_now(gateway, authority) != name:  # noqa: ASYNC110
            await asyncio.sleep(0.02)


def client(gateway: HasUrl, authority: Authority, token: str) -> CollaborativeClient:
    return CollaborativeClient(gateway.url, token, ssl_context=authority.client_context())


# What goes over it -----------------------------------------------------------------------------------------------


async def test_two_people_write_and_see_each_other(
    start_gateway: StartGateway, settings: dict[str, object], authority: Authority, make_token: MakeToken
) -> None:
    gateway = await start_gateway(settings)
    assert gateway.url.startswith("wss://127.0.0.1:")
    async with (
        client(gateway, authority, make_token("ada")) as ada,
        client(gateway, authority, make_token("bob")) as bob,
    ):
        one, two = [await each.join_room("r", "text") for each in (ada, bob)]
        seen = asyncio.get_running_loop().create_future()
        two.on("cursor", lambda participant: seen.done() or seen.set_result(participant.cursor))
        one.move_cursor(120, 80)
        cursor = await asyncio.wait_for(seen, 5)
        assert (cursor.x, cursor.y) == (120, 80)
        for step in range(50):
            one.insert(0, "a" * (1 + 5000 * (step % 2)))
            two.insert(0, "b")
            await asyncio.sleep(0)
        await asyncio.gather(one.saved(), two.saved())
        await until(lambda: one.text == two.text)
        assert one.text.count("b") == 50 and one.text.count("a") == 125_050
    await until(lambda: not gateway.connection_count)


async def test_who_does_not_trust_the_authority_does_not_connect(
    start_gateway: StartGateway, settings: dict[str, object], make_token: MakeToken
) -> None:
    gateway = await start_gateway(settings)
    with pytest.raises(ssl.SSLCertVerificationError):
        async with client(gateway, Authority(), make_token("ada")):
            pass
    with pytest.raises(ssl.SSLCertVerificationError):
        async with CollaborativeClient(gateway.url, make_token("ada")):
            pass
    await until(lambda: not under_way(gateway))


async def test_the_close_handshake_both_ways(
    start_gateway: StartGateway,
    settings: dict[str, object],
    authority: Authority,
    make_token: MakeToken,
    raw_clients: list[RawClient],
) -> None:
    gateway = await start_gateway(settings)
    ada, bob = [await dial(gateway, authority, raw_clients) for _ in range(2)]
    for each, user in ((ada, "ada"), (bob, "bob")):
        await each.upgrade(gateway.url, make_token(user))
    ada.send(frame(PING, b"alive"))
    received = await ada.receive()
    assert received is not None and (received.opcode, received.payload) == (PONG, b"alive")
    ada.send(frame(8, b"\x03\xe8"))
    received = await ada.receive()
    assert received is not None and received.close_code == 1000
    assert await ada.receive() is None
    gateway.close_soon()
    details = await bob.refused(5002)
    assert details["retryAfterMs"] >= 500
    await bob.closed(4502)
    await gateway.wait_closed()


async def test_a_reader_that_stops_is_shown_no_past_and_has_no_more_than_its_bound_L2_B10(
    start_gateway: StartGateway,
    settings: dict[str, object],
    authority: Authority,
    make_token: MakeToken,
    raw_clients: list[RawClient],
) -> None:
    gateway = await start_gateway(
        {**settings, "client.max_message_bytes": 65_536, "client.max_outbound_bytes": 131_072}
    )
    slow = await dial(gateway, authority, raw_clients, receive_buffer=4096)
    await slow.upgrade(gateway.url, make_token("slow"), {"Sec-WebSocket-Protocol": "fastcollab.v1.batch"})
    await slow.join("r")
    (connection,) = gateway._dispatcher.connections.values()
    async with client(gateway, authority, make_token("ada")) as ada:
        room = await ada.join_room("r", "text")
        slow.pause_reading()
        # Cursors alone never let it be closed, and wait in the sockets at most.
        began = time.monotonic()
        step = 0
        while connection.outbox.writable and time.monotonic() < began + 20:
            step += 1
            room.move_cursor(step % 1000, step)
            room.insert(0, "x" * 4000)
            await asyncio.sleep(0.001)
        assert not connection.outbox.writable
        held = connection.outbox.backlog
        for step in range(500):
            room.move_cursor(step, 7777)
            await asyncio.sleep(0.001)
        assert connection.outbox.backlog - held < 20_000
        slow.resume_reading()
        last = 0.0
        async with asyncio.timeout(10):
            while last != step:
                received = await slow.receive()
                assert received is not None
                if received.opcode == 2 and received.payload[:2] == b"\x01\x01":
                    x, y = struct.unpack_from("!ff", received.payload, 12)
                    last = x if y == 7777 else last
        await until(lambda: connection.outbox.writable)
        # Operations wait for it up to its bound.
        slow.pause_reading()
        most = 0
        began = time.monotonic()
        while gateway.connection_count == 2 and time.monotonic() < began + 20:
            room.insert(0, "y" * 20_000)
            most = max(most, connection.outbox.backlog)
            await asyncio.sleep(0.001)
        assert gateway.connection_count == 1, "the slow one was closed"
        assert 65_536 < most < 131_072 + 65_536


async def test_who_sends_faster_than_is_carried_out_waits(
    start_gateway: StartGateway,
    settings: dict[str, object],
    authority: Authority,
    make_token: MakeToken,
    raw_clients: list[RawClient],
) -> None:
    """Its socket is not read while its inbox is long, and read again when that is short."""
    gateway = await start_gateway({**settings, "rooms.default_document_type": "text"})
    ada = await dial(gateway, authority, raw_clients)
    await ada.upgrade(gateway.url, make_token("ada"))
    ada.send_message("join_room", {"roomId": "r"})
    for _ in range(500):
        ada.send_message("ping", {"timestamp": 1})
    types = [(await ada.message())["type"] for _ in range(501)]
    assert types == ["room_joined"] + ["pong"] * 500


# What does not become a connection -------------------------------------------------------------------------------


async def test_a_status_is_told_over_tls_H7_H8(
    start_gateway: StartGateway, settings: dict[str, object], authority: Authority, raw_clients: list[RawClient]
) -> None:
    gateway = await start_gateway({**settings, "server.handshake_timeout": 0.5})
    large, slow, lost = [await dial(gateway, authority, raw_clients) for _ in range(3)]
    large.send(b"GET /ws HTTP/1.1\r\nX: " + b"x" * 20_000)
    assert (await large.everything()).startswith(b"HTTP/1.1 431 ")
    assert (await lost.request(upgrade_request(gateway.url, target="/other"))).status == 404
    assert (await slow.everything()).startswith(b"HTTP/1.1 408 ")
    assert not under_way(gateway)


@pytest.mark.parametrize("sent", [b"", b"\x16\x03\x01", upgrade_request("ws://localhost/ws"), b"\0" * 20_000])
async def test_a_tls_handshake_that_is_none_or_too_slow_is_cut_off_H8(
    start_gateway: StartGateway, settings: dict[str, object], sent: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    gateway = await start_gateway({**settings, "server.handshake_timeout": 0.3})
    began = time.monotonic()
    async with await RawClient.dial(gateway.url) as plain:
        plain.send(sent)
        assert b"HTTP" not in await plain.everything(within=2)
    assert time.monotonic() - began < 1
    await until(lambda: not under_way(gateway))
    assert not caplog.text


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1_1 is deprecated:DeprecationWarning")
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_1, ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_versions_before_1_2_are_refused(
    start_gateway: StartGateway,
    settings: dict[str, object],
    authority: Authority,
    raw_clients: list[RawClient],
    version: ssl.TLSVersion,
    caplog: pytest.LogCaptureFixture,
) -> None:
    gateway = await start_gateway(settings)
    context = authority.client_context()
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.minimum_version = context.maximum_version = version
    if version >= ssl.TLSVersion.TLSv1_2:
        await dial(gateway, authority, raw_clients, context=context)
        return
    caplog.set_level("DEBUG", "fastcollab.server.arrival")
    with pytest.raises((ssl.SSLError, ConnectionError)):
        await dial(gateway, authority, raw_clients, context=context)
    await until(lambda: not under_way(gateway))
    assert "UNSUPPORTED_PROTOCOL" in str([record.__dict__ for record in caplog.records])


@pytest.mark.parametrize("moment", ["before", "during", "after"])
async def test_many_that_open_and_vanish_leave_nothing_H8(
    start_gateway: StartGateway, settings: dict[str, object], authority: Authority, moment: str
) -> None:
    gateway = await start_gateway(settings)
    parts = urlsplit(gateway.url)
    context = authority.client_context()

    def crowd() -> None:
        for _ in range(200):
            with socket.create_connection((parts.hostname, parts.port), timeout=5) as connection:
                if moment == "during":
                    connection.sendall(b"\x16\x03\x01\x02\x00\x01")
                elif moment == "after":
                    context.wrap_socket(connection, server_hostname="127.0.0.1").close()

    await asyncio.get_running_loop().run_in_executor(None, crowd)
    await until(lambda: not under_way(gateway))


async def test_who_comes_too_often_is_cut_off_before_the_handshake_H9(
    start_gateway: StartGateway, settings: dict[str, object], authority: Authority, raw_clients: list[RawClient]
) -> None:
    gateway = await start_gateway({**settings, "limits.connection_rate": 1, "limits.burst": 3})
    for _ in range(3):
        await (await dial(gateway, authority, raw_clients)).upgrade(gateway.url)
    with pytest.raises((ssl.SSLError, ConnectionError)):
        for _ in range(20):
            await dial(gateway, authority, raw_clients)
    async with await RawClient.dial(gateway.url) as plain:
        assert await plain.everything(within=1) == b"", "not even the handshake is waited for"
    await asyncio.sleep(1.1)
    await (await dial(gateway, authority, raw_clients)).upgrade(gateway.url)


async def test_who_comes_too_often_through_a_proxy_is_told_over_tls_H9(
    start_gateway: StartGateway, settings: dict[str, object], authority: Authority, raw_clients: list[RawClient]
) -> None:
    rate = {"limits.connection_rate": 1, "limits.burst": 1, "server.trusted_proxies": "127.0.0.1"}
    gateway = await start_gateway({**settings, **rate})
    for expected in (101, 429):
        raw = await dial(gateway, authority, raw_clients)
        response = await raw.request(upgrade_request(gateway.url, {"X-Forwarded-For": "192.0.2.1"}))
        assert response.status == expected


# Behind a proxy --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("header", [b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n", proxy_block("192.0.2.1")])
async def test_the_proxy_header_comes_before_the_handshake_H10(
    start_gateway: StartGateway,
    settings: dict[str, object],
    authority: Authority,
    raw_clients: list[RawClient],
    header: bytes,
) -> None:
    gateway = await start_gateway({**settings, **PROXIED})
    raw = await dial(gateway, authority, raw_clients, before=header)
    await raw.upgrade(gateway.url)
    assert addresses(gateway) == {"192.0.2.1"}


async def test_the_header_and_the_handshake_may_come_together_H10(
    start_gateway: StartGateway, settings: dict[str, object], authority: Authority
) -> None:
    """One segment with the header and the beginning of TLS: nothing of the latter is lost."""
    gateway = await start_gateway({**settings, **PROXIED})
    parts = urlsplit(gateway.url)
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    secure = authority.client_context().wrap_bio(incoming, outgoing, server_hostname="127.0.0.1")
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    first = proxy_block("192.0.2.1")
    async with asyncio.timeout(5):
        while True:
            try:
                secure.do_handshake()
                break
            except ssl.SSLWantReadError:
                writer.write(first + outgoing.read())
                first = b""
                incoming.write(await reader.read(65_536))
        secure.write(upgrade_request(gateway.url))
        writer.write(outgoing.read())
        await until(lambda: addresses(gateway) == {"192.0.2.1"})
    writer.transport.abort()


# Renewal ---------------------------------------------------------------------------------------------------------


async def test_a_renewed_certificate_is_taken_by_itself(
    start_gateway: StartGateway,
    settings: dict[str, object],
    files: tuple[Path, Path],
    authority: Authority,
    make_token: MakeToken,
) -> None:
    gateway = await start_gateway({**settings, "tls.reload_interval": 0.05})
    async with client(gateway, authority, make_token("ada")) as ada:
        assert await name_now(gateway, authority) == "first"
        authority.issue(*files, "second")
        await becomes(gateway, authority, "second")
        await ada.ping()  # who was there is still there


@pytest.mark.parametrize("broken", ["half of it", "no certificate", "gone"])
async def test_a_renewal_that_is_none_leaves_the_certificate_that_there_was(
    start_gateway: StartGateway,
    settings: dict[str, object],
    files: tuple[Path, Path],
    authority: Authority,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    broken: str,
) -> None:
    gateway = await start_gateway({**settings, "tls.reload_interval": 0.05})
    other, key = tmp_path / "other.pem", tmp_path / "other.key"
    authority.issue(other, key, "second")
    if broken == "half of it":
        replace(files[0], other.read_bytes())
    elif broken == "no certificate":
        replace(files[0], b"an error page")
    else:
        files[1].unlink()
    await until(lambda: "could not be renewed" in caplog.text)
    assert await name_now(gateway, authority) == "first"
    await asyncio.sleep(0.2)
    assert caplog.text.count("could not be renewed") == 1, "it is told once, not at each look"
    caplog.clear()
    replace(files[0], other.read_bytes())
    replace(files[1], key.read_bytes())
    await becomes(gateway, authority, "second")
    caplog.clear()


async def test_sighup_renews_the_certificate_of_a_process(
    files: tuple[Path, Path], authority: Authority, tmp_path: Path, make_token: MakeToken
) -> None:
    settings = (f"tls.certificate_file={files[0]}", f"tls.key_file={files[1]}", "tls.reload_interval=0")
    async with serving(tmp_path / "documents.db", *settings) as gateway:
        assert gateway.url.startswith("wss://")
        assert await name_now(gateway, authority) == "first"
        authority.issue(*files, "second")
        assert await name_now(gateway, authority) == "first"
        gateway.tell(signal.SIGHUP)
        await becomes(gateway, authority, "second")
        async with client(gateway, authority, make_token("ada")) as ada:
            await ada.ping()
        assert await gateway.end() == 0


# What is wrong is told -------------------------------------------------------------------------------------------


def problem(**tls: object) -> str:
    with pytest.raises(ConfigError) as caught:
        Config(tls=tls)
    (found,) = caught.value.problems
    return str(found)


def test_files_that_cannot_be_used_are_told_by_key(
    files: tuple[Path, Path], authority: Authority, tmp_path: Path
) -> None:
    certificate, key = files
    Config(tls={"certificate_file": certificate, "key_file": key})
    empty, other, locked = tmp_path / "empty", tmp_path / "other.key", tmp_path / "locked.key"
    empty.touch()
    authority.issue(tmp_path / "other.pem", other, "other")
    authority.issue(tmp_path / "locked.pem", locked, "locked", password=b"secret")
    for settings, key_, words in (
        ({"certificate_file": certificate}, "key_file", "must be set"),
        ({"key_file": key}, "key_file", "tls.certificate_file is not"),
        ({"certificate_file": tmp_path / "none", "key_file": key}, "certificate_file", "cannot be read"),
        ({"certificate_file": key, "key_file": key}, "certificate_file", "no certificate in PEM form"),
        ({"certificate_file": certificate, "key_file": empty}, "key_file", "no private key in PEM form"),
        ({"certificate_file": certificate, "key_file": certificate}, "key_file", "no private key in PEM form"),
        ({"certificate_file": certificate, "key_file": other}, "key_file", "is not the key of the certificate"),
        ({"certificate_file": tmp_path / "locked.pem", "key_file": locked}, "key_file", "is encrypted"),
    ):
        message = problem(**settings)
        assert message.startswith(f"tls.{key_} ") and words in message, message
    replace(other, b"-----BEGIN PRIVATE KEY-----\nnonsense\n-----END PRIVATE KEY-----\n")
    assert "cannot be used with" in problem(certificate_file=certificate, key_file=other)


async def test_one_file_may_have_both(
    start_gateway: StartGateway, settings: dict[str, object], files: tuple[Path, Path], authority: Authority
) -> None:
    both = files[0].with_name("both.pem")
    both.write_bytes(files[1].read_bytes() + files[0].read_bytes())
    gateway = await start_gateway({**settings, "tls.certificate_file": both, "tls.key_file": both})
    assert await name_now(gateway, authority) == "first"
