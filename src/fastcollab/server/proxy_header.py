"""The header of the PROXY protocol, versions 1 and 2, without I/O.

A proxy that passes a TCP connection on as it is says in front of it whose connection it is (HAProxy's
``doc/proxy-protocol.txt``): version 1 in a line of text, version 2 in a block with its length.

Whatever the specification leaves no room for is an error, and as early as it shows: a number with leading zeros, an
address of the other family, a version or a command that does not exist. The entries (TLV) behind the addresses of
version 2 are passed over.
"""

from __future__ import annotations

from ipaddress import AddressValueError, IPv4Address, IPv6Address
from typing import NamedTuple

_LINE_BEGINS = b"PROXY "
_BLOCK_BEGINS = b"\r\n\r\n\0\r\nQUIT\n"
_LONGEST_LINE = 107
_FAMILIES: dict[bytes, type[IPv4Address] | type[IPv6Address]] = {b"TCP4": IPv4Address, b"TCP6": IPv6Address}
_BLOCK_HEAD = 16
#: Proxies add some tens or hundreds of bytes to the addresses; the format would allow for 65,535.
_LONGEST_BLOCK = 2048

_LOCAL, _PROXY = 0x20, 0x21
_UNSPECIFIED, _TCP4, _TCP6, _UNIX_STREAM = 0x00, 0x11, 0x21, 0x31
#: Bytes that the addresses and ports of a family take.
_ADDRESSES = {_UNSPECIFIED: 0, _TCP4: 12, _TCP6: 36, _UNIX_STREAM: 216}


class ProxyHeaderError(Exception):
    """What came is no header of the PROXY protocol."""


class ProxyHeader(NamedTuple):
    """`source` is the address of the client; None if the connection is the proxy's own, or that of someone without an
    IP address. The header takes `size` bytes.
    """

    source: IPv4Address | IPv6Address | None
    size: int


def read_proxy_header(data: bytes | bytearray) -> ProxyHeader | None:
    """The header that the bytes begin with; None as long as it is not complete. Raises :class:`ProxyHeaderError`."""
    is_line = data[:1] == b"P"
    beginning = _LINE_BEGINS if is_line else _BLOCK_BEGINS
    if data[: len(beginning)] != beginning[: len(data)]:
        raise ProxyHeaderError("there is no PROXY header")
    return _read_line(data) if is_line else _read_block(data)


def _read_line(data: bytes | bytearray) -> ProxyHeader | None:
    end = data.find(b"\n", 0, _LONGEST_LINE)
    if end < 0:
        if len(data) >= _LONGEST_LINE:
            raise ProxyHeaderError("the PROXY header is too long")
        return None
    line = bytes(data[: end - 1])
    if data[end - 1 : end] != b"\r" or b"\r" in line:
        raise ProxyHeaderError("the PROXY header does not end in CR LF")
    _, family, *fields = line.split(b" ")
    if family == b"UNKNOWN":
        return ProxyHeader(None, end + 1)  # whatever the rest says
    kind = _FAMILIES.get(family)
    if kind is None or len(fields) != 4:
        raise ProxyHeaderError("the PROXY header does not name two addresses of TCP and their ports")
    source, _ = [_address(kind, field) for field in fields[:2]]
    for field in fields[2:]:
        _check_port(field)
    return ProxyHeader(source, end + 1)


def _read_block(data: bytes | bytearray) -> ProxyHeader | None:
    if len(data) < _BLOCK_HEAD:
        return None
    command, family, size = data[12], data[13], int.from_bytes(data[14:16], "big")
    if command not in (_LOCAL, _PROXY):
        raise ProxyHeaderError("the PROXY header is of an unknown version or command")
    if size > _LONGEST_BLOCK:
        raise ProxyHeaderError("the PROXY header is too long")
    if command == _PROXY and size < _ADDRESSES.get(family, _LONGEST_BLOCK + 1):
        raise ProxyHeaderError("the PROXY header does not name two addresses of TCP and their ports")
    source: IPv4Address | IPv6Address | None = None
    if len(data) < _BLOCK_HEAD + size:
        return None
    if command == _PROXY and family == _TCP4:
        source = IPv4Address(bytes(data[16:20]))
    elif command == _PROXY and family == _TCP6:
        source = IPv6Address(bytes(data[16:32]))
    return ProxyHeader(source, _BLOCK_HEAD + size)


def _address(kind: type[IPv4Address] | type[IPv6Address], field: bytes) -> IPv4Address | IPv6Address:
    try:
        address = kind(field.decode("ascii"))
    except (AddressValueError, UnicodeDecodeError) as error:
        raise ProxyHeaderError("the PROXY header has an address that is none") from error
    if isinstance(address, IPv6Address) and address.scope_id is not None:
        raise ProxyHeaderError("the PROXY header has an address with a zone")
    return address


def _check_port(field: bytes) -> None:
    if not field.isdigit() or len(field) > 5 or (field[:1] == b"0" and len(field) > 1) or int(field) > 65_535:
        raise ProxyHeaderError("the PROXY header has a port that is none")
