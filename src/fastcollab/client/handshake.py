"""The client's end of the WebSocket handshake: what it asks for, and what a refusal means (H1 to H6)."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import socket
import ssl
from collections.abc import Awaitable, Callable
from typing import NamedTuple

import picows

from fastcollab.client.compression import OFFER, MessageCompression
from fastcollab.client.socket import MessageSocket
from fastcollab.errors import CloseCode, ConnectionClosed, HandshakeRefused

Token = str | Callable[[], str | Awaitable[str]]

RESUME_PREFIX = "fastcollab.resume."


class HandshakeOptions(NamedTuple):
    """What is the same for every connection of a client; times in seconds."""

    url: str
    subprotocol: str
    device_id: str
    timeout: float
    heartbeat: float
    max_message_bytes: int
    ssl_context: ssl.SSLContext | None  # of wss; None: the system's certificate authorities are trusted
    compression: bool


async def fetch(token: Token) -> str:
    """The token, or what the function that it is returns."""
    if isinstance(token, str):
        return token
    fetched = token()
    return await fetched if inspect.isawaitable(fetched) else fetched


async def open_socket(
    messages: MessageSocket, options: HandshakeOptions, token: str | None, resumes: str | None
) -> None:
    """Opens a WebSocket; ``resumes`` is the id of an earlier connection whose place it takes.

    Raises HandshakeRefused, ConnectionClosed if the gateway hangs up, OSError and TimeoutError.
    """

    def listener(request: picows.WSUpgradeRequest, response: picows.WSUpgradeResponse) -> MessageSocket:
        granted = response.headers.get("Sec-WebSocket-Protocol")
        if granted != options.subprotocol:
            raise HandshakeRefused(response.status, f"subprotocol {granted}, and not {options.subprotocol}")
        agreed = response.headers.get("Sec-WebSocket-Extensions")
        if agreed is not None:
            try:
                if not options.compression:
                    raise ValueError(f"the extension {agreed!r} was not asked for")
                messages.compression = MessageCompression(agreed)
            except ValueError as error:
                raise HandshakeRefused(response.status, str(error)) from None
        return messages

    connection: socket.socket | None = None

    async def connect(url: picows.WSParsedURL) -> socket.socket:
        nonlocal connection
        connection = await _connect(url.host, url.port)
        return connection

    offered = options.subprotocol if resumes is None else f"{options.subprotocol}, {RESUME_PREFIX}{resumes}"
    headers = [("Sec-WebSocket-Protocol", offered)]
    if options.compression:
        headers.append(("Sec-WebSocket-Extensions", OFFER))
    if token is not None:
        headers.append(("Authorization", f"Bearer {token}"))
    try:
        _, connected = await picows.ws_connect(
            listener,
            options.url,
            extra_headers=headers,
            ssl_context=options.ssl_context,
            socket_factory=connect,
            max_frame_size=options.max_message_bytes,
            websocket_handshake_timeout=options.timeout,
            max_redirects=0,
            enable_auto_ping=True,
            auto_ping_idle_timeout=options.heartbeat,
            auto_ping_reply_timeout=options.heartbeat,
        )
    except asyncio.CancelledError:
        # picows leaves a connection open whose handshake is given up, and owns it: it ends when the peer seems to.
        if connection is not None:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        raise
    except picows.WSHandshakeError as error:
        if error.response is None:
            raise ConnectionClosed(CloseCode.ABNORMAL, str(error)) from error
        retry_after = error.response.headers.get("Retry-After", "")
        raise HandshakeRefused(
            error.response.status,
            (error.raw_body or b"").decode(errors="replace"),
            retry_after=float(retry_after) if retry_after.isdecimal() else None,
        ) from error
    if connected is None:  # what picows returns if the peer hangs up in the middle of the handshake
        raise ConnectionClosed(CloseCode.ABNORMAL, "closed during the handshake")


async def _connect(host: str, port: int) -> socket.socket:
    """A connection to the first address of the host that answers; raises the OSError of the last one otherwise."""
    loop = asyncio.get_running_loop()
    failure = OSError(f"{host} has no address")
    for family, kind, protocol, _, address in await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM):
        connection = socket.socket(family, kind, protocol)
        connection.setblocking(False)
        try:
            await loop.sock_connect(connection, address)
        except OSError as error:
            connection.close()
            failure = error
        except BaseException:
            connection.close()
            raise
        else:
            return connection
    raise failure
