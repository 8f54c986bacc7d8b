"""The header of the PROXY protocol: what is read out of it, and that nothing else is taken for one."""

from __future__ import annotations

import struct
from ipaddress import IPv4Address, IPv6Address, ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastcollab.server.proxy_header import ProxyHeader, ProxyHeaderError, read_proxy_header

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
AGENT = b"GET /ws HTTP/1.1\r\n\r\n"

addresses = st.ip_addresses(v=4) | st.ip_addresses(v=6)
ports = st.integers(0, 65_535)


def line(
    source: object, target: object, source_port: object = 1, target_port: object = 2, family: str = "TCP4"
) -> bytes:
    return f"PROXY {family} {source} {target} {source_port} {target_port}\r\n".encode()


def block(command: int, family: int, body: bytes = b"", *, size: int | None = None) -> bytes:
    return SIGNATURE + struct.pack("!BBH", command, family, len(body) if size is None else size) + body


FOUR = ip_address("192.0.2.1").packed + ip_address("192.0.2.2").packed + struct.pack("!HH", 5, 6)
SIX = ip_address("2001:db8::1").packed + ip_address("2001:db8::2").packed + struct.pack("!HH", 5, 6)


@given(addresses, ports, ports, st.binary(max_size=40), st.data())
def test_a_line_names_the_client(
    source: IPv4Address | IPv6Address, source_port: int, target_port: int, behind: bytes, data: st.DataObject
) -> None:
    target = data.draw(st.ip_addresses(v=source.version))
    header = line(source, target, source_port, target_port, f"TCP{source.version}")
    assert len(header) <= 107
    assert read_proxy_header(header + behind) == ProxyHeader(source, len(header))
    assert [read_proxy_header(header[:size]) for size in range(len(header))] == [None] * len(header)


@given(addresses, ports, st.binary(max_size=100), st.binary(max_size=40), st.data())
def test_a_block_names_the_client_whatever_stands_behind_the_addresses(
    source: IPv4Address | IPv6Address, port: int, entries: bytes, behind: bytes, data: st.DataObject
) -> None:
    target = data.draw(st.ip_addresses(v=source.version))
    body = source.packed + target.packed + struct.pack("!HH", port, 443) + entries
    header = block(0x21, 0x11 if source.version == 4 else 0x21, body)
    assert read_proxy_header(header + behind) == ProxyHeader(source, len(header))
    assert [read_proxy_header(header[:size]) for size in range(len(header))] == [None] * len(header)


@pytest.mark.parametrize(
    "header",
    [
        b"PROXY UNKNOWN\r\n",
        b"PROXY UNKNOWN whatever it says\r\n",
        b"PROXY UNKNOWN " + b"f" * 91 + b"\r\n",  # 107 bytes
        block(0x20, 0x00),
        block(0x20, 0x11, FOUR),  # LOCAL: whatever it names
        block(0x20, 0xFF, b"x" * 2048),
        block(0x21, 0x00),
        block(0x21, 0x00, b"some entries"),
        block(0x21, 0x31, b"/run/proxy.sock".ljust(108, b"\0") * 2),
    ],
)
def test_a_header_without_a_client(header: bytes) -> None:
    assert read_proxy_header(header + AGENT) == ProxyHeader(None, len(header))


LINES: dict[str, bytes] = {
    "no header": AGENT,
    "TLS": b"\x16\x03\x01",
    "lower case": b"proxy TCP4 192.0.2.1 192.0.2.2 1 2\r\n",
    "another family": line("192.0.2.1", "192.0.2.2", family="UDP4"),
    "IPv6 for IPv4": line("::1", "::1"),
    "IPv4 for IPv6": line("192.0.2.1", "192.0.2.1", family="TCP6"),
    "a zone": line("fe80::1%eth0", "::1", family="TCP6"),
    "one address": b"PROXY TCP4 192.0.2.1 1 2\r\n",
    "one port": b"PROXY TCP4 192.0.2.1 192.0.2.2 1\r\n",
    "more": b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2 3\r\n",
    "two spaces": b"PROXY  TCP4 192.0.2.1 192.0.2.2 1 2\r\n",
    "nothing": b"PROXY \r\n",
    "zeros in front": line("192.0.02.1", "192.0.2.2"),
    "no address": line("example.org", "192.0.2.2"),
    "not ASCII": line("١.1.1.1", "192.0.2.2"),
    "bad target": line("192.0.2.1", "192.0.2.256"),
    "port too large": line("192.0.2.1", "192.0.2.2", 65_536),
    "port with a sign": line("192.0.2.1", "192.0.2.2", "+1"),
    "port with zeros": line("192.0.2.1", "192.0.2.2", "01"),
    "port with an underscore": line("192.0.2.1", "192.0.2.2", "1_0"),
    "empty port": line("192.0.2.1", "192.0.2.2", ""),
    "huge port": line("192.0.2.1", "192.0.2.2", 1, 10**30),
    "only LF": b"PROXY UNKNOWN\n",
    "CR within": b"PROXY UNKNOWN \r \r\n",
    "108 bytes": b"PROXY UNKNOWN " + b"f" * 92 + b"\r\n",
    "without end": b"PROXY UNKNOWN " + b"f" * 93,
}
BLOCKS: dict[str, bytes] = {
    "signature": b"\r\n\r\n\0\r\nQUIT ",
    "version 1": block(0x11, 0x11, FOUR),
    "version 3": block(0x31, 0x11, FOUR),
    "command": block(0x22, 0x11, FOUR),
    "UDP": block(0x21, 0x12, FOUR),
    "family": block(0x21, 0x41, FOUR),
    "short of IPv4": block(0x21, 0x11, FOUR[:-1]),
    "short of IPv6": block(0x21, 0x21, SIX[:-1]),
    "short of a path": block(0x21, 0x31, b"/" * 215),
    "too long": block(0x21, 0x11, FOUR, size=2049),
    "too long, LOCAL": block(0x20, 0x00, size=65_535),
}


@pytest.mark.parametrize("bad", [*LINES.values(), *BLOCKS.values()], ids=[*LINES, *BLOCKS])
def test_what_is_no_header_is_refused(bad: bytes) -> None:
    with pytest.raises(ProxyHeaderError):
        read_proxy_header(bad)


@given(
    st.binary(max_size=300) | st.builds(SIGNATURE.__add__, st.binary(max_size=300)) | st.binary().map(b"PROXY ".__add__)
)
def test_any_bytes_are_a_header_or_wait_for_more_or_are_refused(data: bytes) -> None:
    try:
        header = read_proxy_header(data)
    except ProxyHeaderError:
        # What is wrong does not become right by what comes after it.
        with pytest.raises(ProxyHeaderError):
            read_proxy_header(data + AGENT)
    else:
        assert header is None or 15 <= header.size <= len(data)
        assert header is not None or len(data) < 16 + 2048
