"""The gateway: everything put together, started, watched and stopped."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Coroutine
from http import HTTPStatus
from types import TracebackType
from typing import Any, Self

from picows import WSUpgradeRequest, WSUpgradeResponse, WSUpgradeResponseWithListener, ws_create_server

from fastcollab.config import Config, EngineConfig
from fastcollab.core.limits import SECOND
from fastcollab.core.permissions import Permission
from fastcollab.core.session import SessionState
from fastcollab.engines import open_documents
from fastcollab.engines.memory import MemoryRegistry
from fastcollab.errors import CloseCode, GatewayStopping
from fastcollab.logs import get_logger
from fastcollab.ports import AskPermission, AskProfile, DocumentStore, LoadDocument, SaveDocument
from fastcollab.server._fanout import FlushPacer
from fastcollab.server._listener import Connection
from fastcollab.server._outbox import Cork
from fastcollab.server._pump import Pump, now_ns
from fastcollab.server.access import Access
from fastcollab.server.auth import TokenVerifier
from fastcollab.server.backend import Backend
from fastcollab.server.committer import Committer
from fastcollab.server.dispatcher import Dispatcher
from fastcollab.server.documents import Documents
from fastcollab.server.handshake import HandshakeSettings, UpgradeRefused, judge
from fastcollab.server.rooms import Rooms
from fastcollab.server.settings import (
    compression,
    compression_terms,
    document_limits,
    nanoseconds,
    retention,
    room_settings,
    session_settings,
)

log = get_logger(__name__)

#: How long (s) an upgrade request may take to arrive.
_HANDSHAKE_TIMEOUT = 10.0
_ACCEPT_BACKLOG = 1024
#: How long (s) a step may take that begins when the time for all of them is over.
_LAST_STEP = 0.01
#: How long (s) the store has at least to write what it has and let go of its file.
_STORE_CLOSES = 1.0
#: How often (s) documents are looked through that nobody has written to.
_TIDY_INTERVAL = 3600.0


def _tell_where_documents_are(engine: EngineConfig) -> None:
    if engine.sqlite_path is None:
        log.info("documents are kept in memory, and end with this process")
    else:
        log.info("documents are kept", file=str(engine.sqlite_path.absolute()), durability=engine.durability)


class _PicowsLogger(logging.LoggerAdapter[logging.Logger]):
    """What picows logs. Not a `Logger` itself, of which picows would make another for each connection.

    What it calls errors are clients that break the WebSocket protocol, of which there may be as many as an
    attacker likes.
    """

    def error(self, msg: object, *args: object, **kwargs: Any) -> None:
        self.debug(msg, *args, **kwargs)

    def info(self, msg: object, *args: object, **kwargs: Any) -> None:
        self.debug(msg, *args, **kwargs)


class Gateway:
    """A gateway for one process, configured once.

    ::

        async with Gateway(Config(auth={"secret": "…"})) as gateway:
            print(gateway.url)
            await gateway.wait_closed()

    It runs on the event loop on which it is started; uvloop is the fast one.

    A back end that is in the same program gives functions, as many of them as it likes, in place of the addresses in
    ``config.backend``: `load_document` says what a room begins with, and `save_document` is given documents when they
    have changed; `permission` says what a user may do in a room, and `profile` how a user is shown.
    """

    def __init__(
        self,
        config: Config,
        *,
        store: DocumentStore | None = None,
        load_document: LoadDocument | None = None,
        save_document: SaveDocument | None = None,
        permission: AskPermission | None = None,
        profile: AskProfile | None = None,
    ) -> None:
        """`store` keeps the documents, in place of the configured engine; it is closed with the gateway.

        Raises :class:`~fastcollab.config.ConfigError` if the configuration names no key to verify tokens with, or an
        address in place of which there is a function.
        """
        config.require_key()
        self.config = config
        self._store = store
        self._backend = Backend(config, load=load_document, save=save_document, permission=permission, profile=profile)
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._sweeper: asyncio.TimerHandle | None = None
        self._tidier: asyncio.TimerHandle | None = None
        self._closing: asyncio.Task[None] | None = None
        self._draining = False
        self._closed = asyncio.Event()
        self._handshake = HandshakeSettings(
            path=config.server.path,
            allowed_origins=config.client.allowed_origins,
            allow_query_token=config.auth.allow_query_token,
            compression=compression_terms(config),
        )
        self._compression = compression(config)
        self._registry = MemoryRegistry()
        self._access = Access(Permission.of_word(config.rooms.default_permission))
        self._cork = Cork()
        self._dispatcher = Dispatcher(
            self._registry,
            TokenVerifier(config.auth),
            session_settings(config),
            access=self._access,
            default_document_type=config.rooms.default_document_type,
            cork=self._cork,
            grace_period=int(config.presence.grace_period * SECOND),
            run=self._run,
        )

    # --- life ---------------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Begins to accept connections.

        Raises OSError if the address cannot be had, and :class:`~fastcollab.errors.StoreError` if the documents cannot.
        """
        config = self.config
        store = self._store or await open_documents(config.engine)
        self._pump = Pump(asyncio.get_running_loop(), self._cork)
        dispatcher = self._dispatcher
        self._backend.start()
        self._access.grants = self._backend.grants
        dispatcher.profiles = self._backend.profiles
        self.documents = dispatcher.documents = Documents(
            store,
            document_limits(config),
            retention(config),
            self._backend.first_content,
        )
        dispatcher.rooms = Rooms(
            self.documents,
            room_settings(config),
            self._pump,
            FlushPacer(nanoseconds(config.fanout.min_interval_ms), nanoseconds(config.fanout.max_interval_ms)),
            nanoseconds(config.presence.cursor_interval_ms),
            carry_out=dispatcher.carry_out,
            send_updates=dispatcher.send_updates,
            run=self._run,
            deserted=self._backend.deserted,
        )
        dispatcher.committer = Committer(
            self.documents,
            carry_out=dispatcher.carry_out,
            run=self._run,
            retire=dispatcher.rooms.retire,
            changed=self._backend.changed,
            when_read=self._pump.when_read,
        )
        try:
            self._server = await ws_create_server(
                self._accept,
                config.server.host,
                config.server.port,
                websocket_handshake_timeout=_HANDSHAKE_TIMEOUT,
                logger_name=_PicowsLogger(logging.getLogger("picows"), {}),
                enable_auto_pong=False,
                # A frame up to twice as long as a message may be is read, so that its sender can be told (E7).
                max_frame_size=2 * config.client.max_message_bytes,
                read_buffer_init_size=config.client.read_buffer_bytes,
                backlog=_ACCEPT_BACKLOG,
                # The loop's own transports; those of aiofastnet are slower on uvloop here (docs/performance.md).
                use_aiofastnet=False,
            )
        except BaseException:
            self._pump.close()
            await self._backend.close(0)
            await store.close()
            raise
        self._backend.begin_hand_back(self.documents, dispatcher.rooms.document)
        if self._store is None:
            _tell_where_documents_are(config.engine)
        self._sweep()
        self._tidy()

    @property
    def port(self) -> int:
        """The TCP port that the gateway listens on."""
        assert self._server is not None, "the gateway has not been started"
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    @property
    def url(self) -> str:
        """Where clients connect."""
        host = self.config.server.host
        return f"ws://{f'[{host}]' if ':' in host else host}:{self.port}{self.config.server.path}"

    @property
    def connection_count(self) -> int:
        """How many connections there are, authenticated or not."""
        return len(self._dispatcher.connections)

    @property
    def room_count(self) -> int:
        """How many rooms are live."""
        return len(self._dispatcher.rooms)

    def close_soon(self) -> None:
        """Begins to stop: no new connections, and those that there are are asked to come back later."""
        if self._closing is None:
            self._draining = self._dispatcher.draining = True
            self._closing = asyncio.get_running_loop().create_task(self._drain())

    async def wait_closed(self) -> None:
        """Waits until the gateway has stopped, after :meth:`close_soon`."""
        await self._closed.wait()

    async def stop(self) -> None:
        """Stops, and returns when everything has ended."""
        self.close_soon()
        await self.wait_closed()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.stop()

    async def _drain(self) -> None:
        assert self._server is not None
        connections = self._dispatcher.connections
        self._server.close()
        # What was read is committed and acknowledged, before anyone is sent away.
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._dispatcher.committer.idle.wait(), self.config.server.shutdown_timeout)
        self._backend.hurry()
        for connection in list(connections.values()):
            self._dispatcher.dismiss(connection, GatewayStopping("the gateway is stopping"))
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._dispatcher.all_closed.wait(), self.config.server.shutdown_timeout)
        for connection in list(connections.values()):
            connection.abort()
        await self._dispatcher.all_closed.wait()
        for timer in (self._sweeper, self._tidier):
            if timer is not None:
                timer.cancel()
        patience = self.config.server.shutdown_timeout
        await self._end_tasks(patience)
        self._dispatcher.committer.close()
        self._run(self._dispatcher.rooms.close())
        await self._end_tasks(patience)
        self._pump.close()
        self._compression.close()
        await self._backend.close(patience)
        self._run(self.documents.store.close())
        await self._end_tasks(max(patience, _STORE_CLOSES))
        self._closed.set()

    async def _end_tasks(self, patience: float) -> None:
        """Waits for what is under way. A store that does not answer must not keep the process: what it has not
        confirmed was not acknowledged.
        """
        clock = asyncio.get_running_loop().time
        deadline = clock() + patience
        while self._tasks:
            # The end of one may be the beginning of another.
            _, stuck = await asyncio.wait(self._tasks, timeout=max(_LAST_STEP, deadline - clock()))
            if clock() >= deadline:
                for task in stuck:
                    task.cancel()

    def _run(self, coroutine: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._ran)

    def _ran(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("a background step failed", exc_info=error)

    # --- connections --------------------------------------------------------------------------------------------------

    def _accept(self, request: WSUpgradeRequest) -> WSUpgradeResponseWithListener:
        try:
            self._check_capacity()
            upgrade = judge(request, self._handshake)
        except UpgradeRefused as refusal:
            return WSUpgradeResponseWithListener(refusal.response(), None)
        except Exception:
            # picows would put the exception's text into its answer.
            log.exception("an upgrade request could not be judged")
            response = WSUpgradeResponse.create_error_response(HTTPStatus.INTERNAL_SERVER_ERROR)
            return WSUpgradeResponseWithListener(response, None)
        client = self.config.client
        connection = Connection(
            self._dispatcher,
            self._pump,
            upgrade.batched,
            upgrade.token,
            upgrade.previous,
            client.max_message_bytes,
            client.max_outbound_bytes,
            upgrade.compression and self._compression.codec(upgrade.compression),
        )
        return WSUpgradeResponseWithListener(upgrade.response(), connection)

    def _check_capacity(self) -> None:
        limit = self.config.limits.connections
        if self._draining:
            raise UpgradeRefused(HTTPStatus.SERVICE_UNAVAILABLE, "the gateway is stopping", Retry_After="5")
        if limit and len(self._dispatcher.connections) >= limit:
            raise UpgradeRefused(HTTPStatus.SERVICE_UNAVAILABLE, "the gateway is full", Retry_After="30")

    def _tidy(self) -> None:
        self._tidier = asyncio.get_running_loop().call_later(_TIDY_INTERVAL, self._tidy)
        self._run(self.documents.forget_unwritten(self._dispatcher.rooms.in_use()))

    def _sweep(self) -> None:
        """Looks after connections that say nothing: no token in time (S1), no sign of life (K1)."""
        heartbeat = int(self.config.client.heartbeat_interval * SECOND)
        connect_timeout = int(self.config.auth.connect_timeout * SECOND)
        interval = min(1.0, self.config.client.heartbeat_interval / 4, self.config.auth.connect_timeout / 4)
        self._sweeper = asyncio.get_running_loop().call_later(interval, self._sweep)
        now = now_ns()
        for connection in list(self._dispatcher.connections.values()):
            silence = now - connection.last_heard
            if not connection.open:
                # Closed by its client, or by picows: what waits to be sent must not keep it for ever.
                self._dispatcher.closing(connection, False)
            elif connection.session.state is SessionState.NEW and now - connection.opened_at > connect_timeout:
                self._dispatcher.carry_out(connection.session.overdue())
            elif silence > 2 * heartbeat:
                connection.close(CloseCode.SILENT, "no sign of life")
            elif silence > heartbeat and not connection.probed:
                connection.ping()
