"""A connection from when it is accepted to its upgrade request, in the order in which things come over the wire.

::

    accepted ──▶ PROXY header ──▶ TLS handshake ──▶ request head ──▶ picows
                 (if configured)  (if configured)

Here is what picows does not look at: who the client is, how long all of this may take together, how much of it there
may be, and how many such connections at a time (H7 to H10). When the head of a request is complete, the socket is the
gateway's and picows': picows parses the head and asks whether it is granted. What becomes no connection ends here, with
a status if there is someone who would understand it.

All arrivals read into one buffer, since whoever is given it has filled it before anyone else is asked. What an arrival
has read and not used it passes on: to TLS behind a PROXY header, and to picows behind, and with, the head.

A full house: of those under way the oldest makes room, if it has had its time. So clients that say nothing keep nobody
out, and a crowd that comes at once is not cut off by those that come behind it.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum, auto
from http import HTTPStatus
from typing import Any, cast

from fastcollab.logs import get_logger
from fastcollab.server.addresses import TrustedProxies, plain_address
from fastcollab.server.certificates import Certificates
from fastcollab.server.handshake import UpgradeRefused
from fastcollab.server.proxy_header import ProxyHeaderError, read_proxy_header

log = get_logger(__name__)

#: How large a request may be, up to its empty line (picows takes no more either), and its parts.
MAX_HEAD_BYTES = 16_379
MAX_REQUEST_LINE_BYTES = 8_192
MAX_HEADERS = 100
#: How long (s) a handshake may take in any case, even if others wait for its place.
_FAIR_TIME = 1.0
#: For how long (s) what a client still sends is thrown away, so that it can read why it was refused.
_LINGERS = 1.0
#: How long (s) a closed TLS connection has to take what was sent to it, and to say that it knows.
_SHUTDOWN_TIMEOUT = 5.0
_END = b"\r\n\r\n"


@dataclass(frozen=True, slots=True)
class ArrivalSettings:
    """`timeout` (s) is for all of an arrival; `most` is how many there may be at a time."""

    timeout: float
    most: int
    proxy_header: bool = False
    trusted: TrustedProxies = field(default_factory=TrustedProxies)


class Reception:
    """Makes a protocol for each connection that a listening socket accepts, and knows those that are under way.

    `upgrade` makes the protocol that goes on with a request, for a connection from that address (of the client, or of
    the last proxy). `knock` raises :class:`UpgradeRefused` if there may be no more from an address; it is called once
    for each connection that is not a trusted proxy's, before the costly part. `refused` is told of those that become no
    connection.
    """

    def __init__(
        self,
        settings: ArrivalSettings,
        certificates: Certificates | None,
        *,
        knock: Callable[[str], None],
        upgrade: Callable[[str], asyncio.BufferedProtocol],
        refused: Callable[[UpgradeRefused], None],
    ) -> None:
        self.settings = settings
        self.certificates = certificates
        self.knock = knock
        self.upgrade = upgrade
        self.refused = refused
        self.buffer = memoryview(bytearray(MAX_HEAD_BYTES + len(_END)))
        self.loop = asyncio.get_running_loop()
        #: How many there were in all.
        self.taken = 0
        #: In the order in which they have come.
        self._under_way: dict[Arrival, None] = {}
        #: Whether none is.
        self.idle = asyncio.Event()
        self.idle.set()

    def __call__(self) -> Arrival:
        self.taken += 1
        return Arrival(self)

    def __len__(self) -> int:
        return len(self._under_way)

    def close(self) -> None:
        """Cuts off those that are under way."""
        for arrival in list(self._under_way):
            arrival.abort()

    def begin(self, arrival: Arrival) -> None:
        """One more is under way. Raises :class:`UpgradeRefused` if it is one too many."""
        if len(self._under_way) >= self.settings.most:
            oldest = next(iter(self._under_way))
            if self.loop.time() - oldest.begun < _FAIR_TIME:
                raise UpgradeRefused(HTTPStatus.SERVICE_UNAVAILABLE, "too many handshakes at a time", Retry_After="1")
            oldest.refuse(_too_slow())
        self._under_way[arrival] = None
        self.idle.clear()

    def end(self, arrival: Arrival) -> None:
        self._under_way.pop(arrival, None)
        if not self._under_way:
            self.idle.set()


class _Stage(Enum):
    PROXY = auto()
    TLS = auto()
    REQUEST = auto()
    OVER = auto()  # refused: what comes is thrown away


class Arrival(asyncio.BufferedProtocol):
    """One connection under way."""

    _transport: asyncio.Transport

    def __init__(self, reception: Reception) -> None:
        self.begun = reception.loop.time()
        self._reception = reception
        self._address = ""
        self._stage = _Stage.REQUEST
        #: What was read and not used yet.
        self._unread = bytearray()
        self._timer: asyncio.TimerHandle | None = None
        self._tls: asyncio.Task[None] | None = None

    # --- called by the transport --------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        peer = transport.get_extra_info("peername")
        address = plain_address(peer[0]) if peer else None
        if address is None:  # it is gone already
            self.abort()
            return
        self._address = str(address)
        settings = self._reception.settings
        self._timer = self._reception.loop.call_later(settings.timeout, self._overdue)
        self._stage = _Stage.PROXY if settings.proxy_header else self._behind_proxy
        try:
            self._reception.begin(self)
        except UpgradeRefused as refusal:
            self.refuse(refusal)
            return
        if not settings.proxy_header:
            self._came_from(self._address)
        elif self._address not in settings.trusted:
            log.debug("a connection that is no trusted proxy's was cut off", address=self._address)
            self.abort()

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._reception.buffer

    def buffer_updated(self, nbytes: int) -> None:
        if self._stage is _Stage.OVER:
            return
        self._unread += self._reception.buffer[:nbytes]
        if self._stage is _Stage.PROXY:
            self._read_proxy_header()
        elif self._stage is _Stage.REQUEST:
            self._read_head(nbytes)

    def connection_lost(self, error: Exception | None) -> None:
        self._end()
        if self._tls is not None:
            self._tls.cancel()

    # --- the stages ---------------------------------------------------------------------------------------------------

    def _read_proxy_header(self) -> None:
        try:
            header = read_proxy_header(self._unread)
        except ProxyHeaderError as error:
            log.warning("a proxy was cut off: it sends no good PROXY header", address=self._address, problem=str(error))
            self.abort()
            return
        if header is not None:
            del self._unread[: header.size]
            address = None if header.source is None else plain_address(str(header.source))
            self._came_from(self._address if address is None else str(address))
            if self._stage is _Stage.REQUEST:
                self._read_head(len(self._unread))

    @property
    def _behind_proxy(self) -> _Stage:
        """What comes first, from the client."""
        return _Stage.REQUEST if self._reception.certificates is None else _Stage.TLS

    def _came_from(self, address: str) -> None:
        """The connection is from this address, be it a client or a proxy with a header of HTTP to come."""
        reception = self._reception
        self._address = address
        self._stage = self._behind_proxy
        if address not in reception.settings.trusted:
            try:
                reception.knock(address)
            except UpgradeRefused as refusal:
                # At once: neither a TLS handshake nor the place of an arrival is spent on it.
                self.refuse(refusal)
                return
        if reception.certificates is not None:
            # What waits in front of the socket counts as waiting to be encrypted then, and is seen.
            self._transport.set_write_buffer_limits(high=0)
            self._tls = reception.loop.create_task(self._begin_tls(reception.certificates.context))

    async def _begin_tls(self, context: ssl.SSLContext) -> None:
        loop = self._reception.loop
        # Once TLS is the transport's protocol, and before it begins: it keeps what it is given until then.
        loop.call_soon(self._pass_unread)
        try:
            transport = await loop.start_tls(
                self._transport,
                self,
                context,
                server_side=True,
                ssl_handshake_timeout=self._reception.settings.timeout,
                ssl_shutdown_timeout=_SHUTDOWN_TIMEOUT,
            )
        except (OSError, ssl.SSLError) as error:
            log.debug("a TLS handshake failed", address=self._address, problem=str(error))
            self.abort()
            return
        finally:
            self._tls = None
        if transport is None or transport.is_closing():
            self.abort()
            return
        self._transport = transport
        self._stage = _Stage.REQUEST
        # What came with the last bytes of the handshake may have been read already.
        self._read_head(len(self._unread))

    def _pass_unread(self) -> None:
        """Gives what was read to whoever is the transport's protocol now."""
        protocol = cast(asyncio.BufferedProtocol, self._transport.get_protocol())
        unread, self._unread = memoryview(self._unread), bytearray()
        while unread and not self._transport.is_closing():
            room = memoryview(protocol.get_buffer(len(unread)))
            taken = min(len(room), len(unread))
            room[:taken] = unread[:taken]
            unread = unread[taken:]
            protocol.buffer_updated(taken)

    def _read_head(self, news: int) -> None:
        """Looks whether the head is complete; `news` is how many bytes have come since it was looked at."""
        head = self._unread
        end = head.find(_END, max(0, len(head) - news - len(_END) + 1))
        size = len(head) if end < 0 else end
        line_end = head.find(b"\r\n", 0, MAX_REQUEST_LINE_BYTES + 2)
        if line_end < 0 and size > MAX_REQUEST_LINE_BYTES:
            self.refuse(_refusal(HTTPStatus.REQUEST_URI_TOO_LONG, "the request line is too long"))
        elif size > MAX_HEAD_BYTES:
            self.refuse(_too_large("the request's headers are too long"))
        elif end < 0:
            if head[:1] and not head[:1].isalpha():
                self.refuse(_refusal(HTTPStatus.BAD_REQUEST, "this is no HTTP; here is no TLS, if that was meant"))
        elif head.count(b"\r\n", 0, end) > MAX_HEADERS:
            self.refuse(_too_large("the request has too many headers"))
        else:
            self._hand_over()

    def _hand_over(self) -> None:
        self._end()
        websocket = self._reception.upgrade(self._address)
        self._transport.set_protocol(websocket)
        websocket.connection_made(self._transport)
        self._pass_unread()

    # --- the end ------------------------------------------------------------------------------------------------------

    def abort(self) -> None:
        """Cuts the connection off."""
        self._end()
        self._stage = _Stage.OVER
        if self._tls is not None:
            self._tls.cancel()
        self._transport.abort()

    def refuse(self, refusal: UpgradeRefused) -> None:
        """Answers with a status and ends the connection, or cuts it off, if no status would be understood."""
        self._reception.refused(refusal)
        if self._stage is not _Stage.REQUEST:
            self.abort()
            return
        self._end()
        self._stage = _Stage.OVER
        self._unread.clear()
        transport = self._transport
        transport.write(_answer(refusal))
        if transport.can_write_eof():
            # If it is closed with something unread, the client may lose the answer.
            transport.write_eof()
            self._timer = self._reception.loop.call_later(_LINGERS, transport.abort)
        else:
            transport.close()

    def _overdue(self) -> None:
        self.refuse(_too_slow())

    def _end(self) -> None:
        self._reception.end(self)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def _refusal(status: HTTPStatus, reason: str) -> UpgradeRefused:
    return UpgradeRefused(status, reason)


def _too_large(reason: str) -> UpgradeRefused:
    return UpgradeRefused(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, reason)


def _too_slow() -> UpgradeRefused:
    return UpgradeRefused(HTTPStatus.REQUEST_TIMEOUT, "the request took too long to arrive")


def _answer(refusal: UpgradeRefused) -> bytes:
    response: Any = refusal.response()
    response.headers["Connection"] = "close"
    return bytes(response.to_bytes())
