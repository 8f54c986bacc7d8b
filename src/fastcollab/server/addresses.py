"""Whose connection it is: the address of the client, behind however many proxies.

A proxy writes into a header who has asked it, and a client can write anything into that header before. So what it says
is believed hop by hop, from the right: each address is what the hop after it has seen, and counts only if that hop is
one of the trusted proxies. The first that is not is the client's. What stands further left was written by it, or by
proxies of its own, and is not even parsed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Literal

from multidict import CIMultiDict

#: The headers of which one is looked at. A proxy that writes one of them lets the other pass, as its client wrote it.
ForwardedHeader = Literal["x-forwarded-for", "forwarded"]

#: An address, in brackets if it is one of IPv6, and maybe a port.
_NODE = re.compile(r"\[(?P<six>[0-9A-Fa-f:.]+)\](?::\w+)?|(?P<four>[0-9.]+)(?::\w+)?|(?P<bare>[0-9A-Fa-f:.]+)")
#: The element of ``Forwarded`` (RFC 7239) that says for whom; no value in it that a proxy writes has a comma or quotes.
_PAIR = re.compile(r'\s*([A-Za-z-]+)=("[^"\\]*"|[^\s";,]*)\s*')


def plain_address(text: str) -> IPv4Address | IPv6Address | None:
    """The address in its one form: without a zone, and of IPv4 if it is that, written in IPv6. None: it is none."""
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return (isinstance(address, IPv6Address) and address.ipv4_mapped) or address


class TrustedProxies:
    """The proxies that are believed, by network (``10.0.0.0/8``) or address, and the header that they write."""

    def __init__(self, networks: Iterable[str] = (), header: ForwardedHeader = "x-forwarded-for") -> None:
        """Raises ValueError if one of `networks` is none."""
        self._networks = [ip_network(network) for network in networks]
        self._header = header

    def __contains__(self, address: str) -> bool:
        if not self._networks:
            return False
        plain = plain_address(address)
        return plain is not None and any(plain in network for network in self._networks)

    def client(self, peer: str, headers: CIMultiDict[str]) -> str:
        """The client's address, of a request that has come from `peer`."""
        address = peer
        if address not in self:
            return address
        for hop in reversed(_elements(headers.getall(self._header, []))):
            before = _forwarded_for(hop) if self._header == "forwarded" else hop.strip()
            known = None if before is None else _node(before)
            if known is None:
                break  # a proxy that does not say, or says it in words of its own: it answers for its client
            address = known
            if address not in self:
                break
        return address


def _elements(lines: Sequence[str]) -> list[str]:
    return [element for element in ",".join(lines).split(",") if element.strip()]


def _forwarded_for(element: str) -> str | None:
    node = None
    for pair in element.split(";"):
        found = _PAIR.fullmatch(pair)
        if found is None:
            return None
        if found[1].lower() == "for":
            node = found[2].strip('"')
    return node


def _node(text: str) -> str | None:
    found = _NODE.fullmatch(text)
    if found is None:
        return None
    address = plain_address(found["six"] or found["four"] or found["bare"])
    return None if address is None else str(address)
