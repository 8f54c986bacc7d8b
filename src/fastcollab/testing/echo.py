"""A gateway that sends every message back: what suites of WebSocket conformance cases need.

It is the gateway up to where messages get their meaning: the same listening socket, upgrade, connections and outboxes,
with the same settings. Only texts are not parsed, and binary messages are no records; both go back by the way
that answers and cursors take. It asks for no token, so it should listen where nobody else comes.
"""

from __future__ import annotations

from typing import ClassVar

from fastcollab.config import Config
from fastcollab.server._listener import Connection
from fastcollab.server.dispatcher import Dispatcher
from fastcollab.server.gateway import Gateway
from fastcollab.testing._echo import EchoConnection

#: How long (s) a connection may be open: it counts as one that has not sent its token yet.
_PATIENCE = 300.0
#: Frames per second that are read of one connection.
_UNLIMITED = 10_000_000


class _EchoDispatcher(Dispatcher):
    def text(self, connection: Connection, message: str) -> None:
        self._send_encoded([connection.session], message.encode())


class EchoGateway(Gateway):
    """An echo for messages of up to `max_message_bytes`; everything else is as the configuration has it by default, but
    for `settings`, by dotted key.

    ::

        async with EchoGateway(max_message_bytes=2**24) as echo:
            print(echo.url)
    """

    _connection_type: ClassVar[type[Connection]] = EchoConnection
    _dispatcher_type: ClassVar[type[Dispatcher]] = _EchoDispatcher

    def __init__(self, *, max_message_bytes: int, **settings: object) -> None:
        super().__init__(
            Config.load(
                None,
                {
                    "auth.secret": "nobody signs a token for an echo",
                    "auth.connect_timeout": _PATIENCE,
                    "server.port": 0,
                    "engine.url": "memory://",
                    "limits.frames": _UNLIMITED,
                    "limits.connection_rate": 0,
                    "client.max_message_bytes": max_message_bytes,
                    # A client may send as much as two messages before it reads.
                    "client.max_outbound_bytes": max(4 * max_message_bytes, 2**16),
                    **settings,
                },
            )
        )
