"""What is agreed upon in `Sec-WebSocket-Extensions`: permessage-deflate (RFC 7692), and nothing else.

A client lists *offers*, the one that it likes best first; the first that can be accepted is. An offer with a
parameter that is unknown, comes twice or has a value that it may not have is declined, as RFC 7692 (section 7) asks,
and so is one for a window of 8 bits towards the client, which no deflate library makes. What is declined is answered
by silence, and the connection goes uncompressed. A header that is malformed offers nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

NAME = "permessage-deflate"
LARGEST_WINDOW = 15
#: RFC 7692 allows 8; but zlib makes 9 of it, and ISA-L refuses it.
SMALLEST_WINDOW_SENT = 9

_TOKEN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_PARAMETER = re.compile(rf'\s*;\s*({_TOKEN})(?:\s*=\s*(?:({_TOKEN})|"((?:[^"\\]|\\.)*)"))?')
_EXTENSION = re.compile(rf"\s*({_TOKEN})")
_SEPARATOR = re.compile(r"\s*(?:,\s*|$)")
_WINDOW = re.compile(r"[89]|1[0-5]")


class CompressionTerms(NamedTuple):
    """What the gateway allows: whether messages of either side may refer to earlier ones, and how large a window may be
    (its base-two logarithm).
    """

    server_context_takeover: bool = False
    client_context_takeover: bool = False
    window_bits: int = LARGEST_WINDOW


class Agreement(NamedTuple):
    """What holds for one connection, and the `header` that tells the client."""

    server_context_takeover: bool
    client_context_takeover: bool
    server_window_bits: int
    client_window_bits: int
    header: str


def negotiate(lines: Sequence[str], allowed: CompressionTerms) -> Agreement | None:
    """The agreement on the first acceptable offer in the lines of a `Sec-WebSocket-Extensions` header; None: there is
    none.
    """
    try:
        offers = list(_offers(",".join(lines)))
    except ValueError:
        return None
    agreements = (_accept(parameters, allowed) for name, parameters in offers if name.lower() == NAME)
    return next((agreement for agreement in agreements if agreement is not None), None)


def _accept(parameters: Sequence[tuple[str, str | None]], allowed: CompressionTerms) -> Agreement | None:
    given = dict(parameters)
    if len(given) < len(parameters):
        return None
    for name, value in parameters:
        match name:
            case "server_no_context_takeover" | "client_no_context_takeover":
                acceptable = value is None
            case "client_max_window_bits":
                acceptable = value is None or bool(_WINDOW.fullmatch(value))
            case "server_max_window_bits":
                acceptable = value is not None and bool(_WINDOW.fullmatch(value))
            case _:
                acceptable = False
        if not acceptable:
            return None
    server_bits = min(int(given.get("server_max_window_bits") or LARGEST_WINDOW), allowed.window_bits)
    if server_bits < SMALLEST_WINDOW_SENT:
        return None
    # A client that does not say that it knows this parameter cannot be told to use a smaller window.
    client_bits = LARGEST_WINDOW
    if "client_max_window_bits" in given:
        client_bits = min(int(given["client_max_window_bits"] or LARGEST_WINDOW), allowed.window_bits)
    server_keeps = allowed.server_context_takeover and "server_no_context_takeover" not in given
    client_keeps = allowed.client_context_takeover and "client_no_context_takeover" not in given
    header = [NAME]
    if not server_keeps:
        header.append("server_no_context_takeover")
    if not client_keeps:
        header.append("client_no_context_takeover")
    if "server_max_window_bits" in given or server_bits < LARGEST_WINDOW:
        header.append(f"server_max_window_bits={server_bits}")
    if client_bits < LARGEST_WINDOW:
        header.append(f"client_max_window_bits={client_bits}")
    return Agreement(server_keeps, client_keeps, server_bits, client_bits, "; ".join(header))


def _offers(text: str) -> Iterator[tuple[str, list[tuple[str, str | None]]]]:
    """Name and parameters of each extension in the header (RFC 6455, 9.1). Raises ValueError if it is malformed."""
    at = 0
    while at < len(text):
        if separator := _SEPARATOR.match(text, at):  # a list may have empty elements
            at = separator.end()
            continue
        extension = _EXTENSION.match(text, at)
        if extension is None:
            raise ValueError("an extension has no name")
        at = extension.end()
        parameters: list[tuple[str, str | None]] = []
        while parameter := _PARAMETER.match(text, at):
            name, value, quoted = parameter.groups()
            parameters.append((name, value if quoted is None else re.sub(r"\\(.)", r"\1", quoted)))
            at = parameter.end()
        separator = _SEPARATOR.match(text, at)
        if separator is None:
            raise ValueError("an extension has something behind its parameters")
        at = separator.end()
        yield extension[1], parameters
