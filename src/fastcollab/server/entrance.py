"""The entrance: which upgrade requests become connections, and what these are made with.

An arrival (:mod:`fastcollab.server.arrival`) knocks, so that an address has no more attempts than it may (H9), and
hands its socket to a protocol of picows, which asks here when it has parsed the request's head. Who has come through a
trusted proxy is known only then (H10), and knocks then. A request is let in if the gateway goes on and has room for one
more (H6), and if the handshake is good (:mod:`fastcollab.server.handshake`).
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from functools import partial
from http import HTTPStatus
from typing import Any

from picows import WSAutoPingStrategy, WSUpgradeRequest, WSUpgradeResponse, WSUpgradeResponseWithListener
from picows.picows import WSProtocol  # type: ignore[attr-defined]

from fastcollab.config import Config
from fastcollab.core.limit_guard import LimitGuard
from fastcollab.core.limits import RateTable, address_key
from fastcollab.errors import RateLimited
from fastcollab.logs import get_logger
from fastcollab.server._deflate import Compression
from fastcollab.server._listener import Connection
from fastcollab.server._pump import Pump, now_ns
from fastcollab.server._throttle import Throttle
from fastcollab.server.addresses import TrustedProxies
from fastcollab.server.dispatcher import Dispatcher
from fastcollab.server.handshake import HandshakeSettings, UpgradeRefused, judge
from fastcollab.server.settings import compression_terms
from fastcollab.server.tallies import Tallies

log = get_logger(__name__)

#: From how many addresses connections are counted at a time; beyond, the one is forgotten that was seen longest ago.
_ADDRESSES = 100_000


class _PicowsLogger(logging.LoggerAdapter[logging.Logger]):
    """What picows logs. Not a `Logger` itself, of which picows would make another for each connection.

    What it calls errors are clients that break the WebSocket protocol, of which there may be as many as an
    attacker likes.
    """

    def error(self, msg: object, *args: object, **kwargs: Any) -> None:
        self.debug(msg, *args, **kwargs)

    def info(self, msg: object, *args: object, **kwargs: Any) -> None:
        self.debug(msg, *args, **kwargs)


class Entrance:
    """Makes connections of `connection_type`, which `dispatcher` hears and `pump` reads.

    `return_time` says after how long (s) one is to come back who is not let in because the gateway stops.
    """

    def __init__(
        self,
        config: Config,
        connection_type: type[Connection],
        dispatcher: Dispatcher,
        *,
        pump: Pump,
        throttle: Throttle,
        compression: Compression,
        guard: LimitGuard,
        tallies: Tallies,
        trusted: TrustedProxies,
        return_time: Callable[[], float],
    ) -> None:
        self._client = config.client
        self._connection_type = connection_type
        self._dispatcher = dispatcher
        self._pump = pump
        self._throttle = throttle
        self._compression = compression
        self._guard = guard
        self._tallies = tallies
        self._trusted = trusted
        self._return_time = return_time
        self._most = config.limits.connections
        rate = config.limits.connection_rate
        self._attempts = (
            RateTable("connections from one address", rate, config.limits.burst, _ADDRESSES) if rate else None
        )
        self._handshake = HandshakeSettings(
            path=config.server.path,
            allowed_origins=config.client.allowed_origins,
            allow_query_token=config.auth.allow_query_token,
            compression=compression_terms(config),
        )
        self._picows_logger = _PicowsLogger(logging.getLogger("picows"), {})

    def knock(self, address: str) -> None:
        """One more connection is from this address. Raises :class:`UpgradeRefused` if that is one too many (H9)."""
        if self._attempts is None:
            return
        try:
            self._attempts.take(address_key(address), now_ns())
        except RateLimited as error:
            seconds = str(math.ceil(error.details["retryAfterMs"] / 1000))
            refusal = UpgradeRefused(HTTPStatus.TOO_MANY_REQUESTS, error.message, Retry_After=seconds)
            self._guard.refuse("connection_rate", refusal)

    def refused(self, refusal: UpgradeRefused) -> None:
        """A request will not become a connection."""
        self._tallies.refused_upgrades[refusal.status] += 1

    def protocol(self, peer: str) -> WSProtocol:
        """What goes on with a request that has come from `peer`."""
        return WSProtocol(
            host_port=None,
            ws_path=None,
            is_client_side=False,
            ws_listener_factory=partial(self._accept, peer),
            logger=self._picows_logger,
            disconnect_on_exception=True,
            websocket_handshake_timeout=None,  # the request is there
            enable_auto_ping=False,
            auto_ping_idle_timeout=None,
            auto_ping_reply_timeout=None,
            auto_ping_strategy=WSAutoPingStrategy.PING_WHEN_IDLE,
            enable_auto_pong=False,
            # A frame up to twice as long as a message may be is read, so that its sender can be told (E7).
            max_frame_size=2 * self._client.max_message_bytes,
            extra_headers=None,
            read_buffer_init_size=self._client.read_buffer_bytes,
        )

    def _accept(self, peer: str, request: WSUpgradeRequest) -> WSUpgradeResponseWithListener:
        try:
            address = self._trusted.client(peer, request.headers)
            if address != peer:
                self.knock(address)
            self._check_capacity()
            upgrade = judge(request, self._handshake)
        except UpgradeRefused as refusal:
            self.refused(refusal)
            return WSUpgradeResponseWithListener(refusal.response(), None)
        except Exception:
            # picows would put the exception's text into its answer.
            log.exception("an upgrade request could not be judged")
            response = WSUpgradeResponse.create_error_response(HTTPStatus.INTERNAL_SERVER_ERROR)
            return WSUpgradeResponseWithListener(response, None)
        connection = self._connection_type(
            self._dispatcher,
            self._pump,
            upgrade.batched,
            upgrade.token,
            upgrade.previous,
            self._client.max_message_bytes,
            self._client.max_outbound_bytes,
            self._throttle,
            upgrade.compression and self._compression.codec(upgrade.compression),
        )
        connection.address = address
        return WSUpgradeResponseWithListener(upgrade.response(), connection)

    def _check_capacity(self) -> None:
        if self._dispatcher.draining:
            seconds = str(math.ceil(self._return_time()))
            raise UpgradeRefused(HTTPStatus.SERVICE_UNAVAILABLE, "the gateway is stopping", Retry_After=seconds)
        if self._most and len(self._dispatcher.connections) >= self._most:
            full = UpgradeRefused(HTTPStatus.SERVICE_UNAVAILABLE, "the gateway is full", Retry_After="30")
            self._guard.refuse("connections", full)
