"""The gateway: what a program starts, asks and stops."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from types import TracebackType
from typing import ClassVar, Literal, Self

from prometheus_client.metrics_core import Metric

import fastcollab
from fastcollab.config import Config
from fastcollab.core.limit_guard import Excess
from fastcollab.engines import whereabouts
from fastcollab.errors import CloseCode, GatewayStopping
from fastcollab.logs import get_logger
from fastcollab.ports import (
    AskPermission,
    AskProfile,
    Disconnect,
    DocumentStore,
    LoadDocument,
    NodeInfo,
    Revocations,
    SaveDocument,
)
from fastcollab.server._listener import Connection
from fastcollab.server._pump import now_ns
from fastcollab.server.activity import load_of
from fastcollab.server.admin.api import admin_api
from fastcollab.server.admin.desk import Desk
from fastcollab.server.assembly import STORE_CLOSES, Assembly
from fastcollab.server.backend import Backend
from fastcollab.server.clock import unix_ms
from fastcollab.server.connection_metrics import ConnectionMetrics
from fastcollab.server.dispatcher import Dispatcher
from fastcollab.server.drain import Deadline, return_time
from fastcollab.server.errands import Errands
from fastcollab.server.metrics import Look, collect
from fastcollab.server.operations import OperationsPort

log = get_logger(__name__)

_ACCEPT_BACKLOG = 1024


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

    #: What carries messages and what hears them. An echo is put in their place to test all that is in front of it.
    _connection_type: ClassVar[type[Connection]] = Connection
    _dispatcher_type: ClassVar[type[Dispatcher]] = Dispatcher

    def __init__(
        self,
        config: Config,
        *,
        store: DocumentStore | None = None,
        revocations: Revocations | None = None,
        load_document: LoadDocument | None = None,
        save_document: SaveDocument | None = None,
        permission: AskPermission | None = None,
        profile: AskProfile | None = None,
        reuse_port: bool = False,
    ) -> None:
        """`store` keeps the documents, in place of the configured engine; it is closed with the gateway. `revocations`
        keeps what was revoked, in place of the engine, or of this process if there is a `store` of the program's own.
        With `reuse_port` gateways in other processes may listen on the same port, each with a share of the connections.

        Raises :class:`~fastcollab.config.ConfigError` if the configuration names no key to verify tokens with, or an
        address in place of which there is a function.
        """
        config.require_key()
        self.config = config
        backend = Backend(config, load=load_document, save=save_document, permission=permission, profile=profile)
        self._parts = Assembly(
            config,
            backend,
            store=store,
            revocations=revocations,
            connection_type=self._connection_type,
            dispatcher_type=self._dispatcher_type,
            describe=self.describe,
            return_time=self._return_time,
        )
        self._dispatcher = self._parts.dispatcher
        self._has_own_store = store is not None
        self._reuse_port = reuse_port
        self._started_at = unix_ms()
        self._server: asyncio.Server | None = None
        self._operations: OperationsPort | None = None
        self._closing: asyncio.Task[None] | None = None
        self._leaving = 0  # how many connections there were when it began to stop
        self._closed = asyncio.Event()

    async def start(self) -> None:
        """Begins to accept connections.

        Raises OSError if an address cannot be had, which is its `filename`, and :class:`~fastcollab.errors.StoreError`
        if the documents cannot.
        """
        parts = self._parts
        await parts.begin()
        try:
            if self.config.ops.port is not None:
                operations = self._make_operations_port()
                await operations.start()
                self._operations = operations
            self._server = await self._listen()
        except BaseException:
            if self._operations is not None:
                await self._operations.close()
            await parts.abandon()
            raise
        self._port: int = self._server.sockets[0].getsockname()[1]
        if not self._has_own_store:
            log.info("documents are kept", **whereabouts(self.config.engine))
        if self._operations is not None:
            log.info("operations are served", url=self._operations.url)
        parts.welcome()

    @property
    def port(self) -> int:
        """The TCP port that the gateway listens on, or has listened on."""
        assert self._server is not None, "the gateway has not been started"
        return self._port

    @property
    def url(self) -> str:
        """Where clients connect."""
        host = self.config.server.host
        scheme = "ws" if self._parts.certificates is None else "wss"
        return f"{scheme}://{f'[{host}]' if ':' in host else host}:{self.port}{self.config.server.path}"

    @property
    def operations_url(self) -> str | None:
        """Where the operations port is; None: there is none."""
        return None if self._operations is None else self._operations.url

    @property
    def connection_count(self) -> int:
        """How many connections there are, authenticated or not."""
        return len(self._dispatcher.connections)

    @property
    def room_count(self) -> int:
        """How many rooms are live."""
        return len(self._dispatcher.rooms)

    @property
    def faults(self) -> Sequence[str]:
        """What keeps this gateway from serving as it should, in words; nothing: it is ready."""
        faults = [] if self._parts.cluster is None else [*self._parts.cluster.faults]
        return [*faults, "the gateway is stopping"] if self._dispatcher.draining else faults

    def describe(self) -> NodeInfo:
        """What this node tells of itself."""
        connections = self._dispatcher.connections.values()
        users = {each.session.identity.user_id for each in connections if each.session.registered}
        return NodeInfo(
            node=self._parts.node,
            version=fastcollab.__version__,
            started_at=self._started_at,
            connections=len(connections),
            users=len(users),
            rooms=self.room_count,
            faults=self.faults,
            load=load_of(self._parts.activity.lately(now_ns())),
        )

    @property
    def excesses(self) -> Mapping[str, Excess]:
        """How often limits have been exceeded, by the limit's name in the configuration: ``connections_per_user``,
        ``rooms_per_user``, ``connections``, ``connection_rate``, ``operations`` and ``messages``. Those that never were
        are not in it.
        """
        return self._parts.guard.counts()

    def metrics(self) -> Iterator[Metric]:
        """What ``/metrics`` tells, as families of prometheus-client: for a registry of the program's own. Only of a
        gateway that has been started.
        """
        scheme = self.config.engine.url.partition(":")[0]
        engine = "its own" if self._has_own_store else scheme
        parts = self._parts
        return collect(Look(parts.dispatcher, parts.pump.meter, parts.tallies, parts.guard, self.faults, engine))

    async def _answer_metrics(self) -> Iterator[Metric]:
        return self.metrics()

    def connection_metrics(self, connection_id: str) -> ConnectionMetrics | None:
        """How a connection does, by its `connectionId`; None: it is not open here."""
        connection = self._dispatcher.connections.get(connection_id)
        return None if connection is None else ConnectionMetrics.of(connection)

    def all_connection_metrics(self) -> Iterator[tuple[str, ConnectionMetrics]]:
        """How each connection does that is open here now, by its `connectionId`."""
        for connection_id, connection in list(self._dispatcher.connections.items()):
            yield connection_id, ConnectionMetrics.of(connection)

    def renew_certificate(self) -> None:
        """Takes the certificate and its key from their files again, for new connections; without TLS does nothing."""
        if self._parts.certificates is not None:
            self._parts.certificates.reload()

    def close_soon(self) -> None:
        """Begins to stop: no new connections, and those that there are are asked to come back later."""
        if self._closing is None:
            self._dispatcher.draining = True
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

    @property
    def desk(self) -> Desk:
        """What the admin API of this gateway works with, once it has been started."""
        parts = self._parts
        errands = Errands(parts.dispatcher, parts.cluster)
        return Desk(parts.node, parts.dispatcher, parts.cluster, parts.revoker, errands, parts.activity, self.describe)

    def _make_operations_port(self) -> OperationsPort:
        return OperationsPort(
            self.config.ops,
            faults=lambda: self.faults,
            metrics=self._answer_metrics,
            parts=admin_api(self.config, self.desk),
        )

    async def _listen(self) -> asyncio.Server:
        server = self.config.server
        try:
            # The loop's own transports; those of aiofastnet are slower on uvloop here (docs/performance.md).
            return await asyncio.get_running_loop().create_server(
                self._parts.reception, server.host, server.port, backlog=_ACCEPT_BACKLOG, reuse_port=self._reuse_port
            )
        except OSError as error:
            error.filename = f"{server.host}:{server.port}"
            raise

    async def _drain(self) -> None:
        timeout = self.config.server.shutdown_timeout
        deadline = Deadline(timeout, reserve=min(timeout / 5, STORE_CLOSES))
        connections = self._dispatcher.connections
        await self._stop_listening()
        # What was read is committed and acknowledged, before anyone is sent away.
        await deadline.wait(self._dispatcher.committer.idle)
        self._parts.backend.hurry()
        for connection in list(connections.values()):
            self._dispatcher.dismiss(connection, self._stopping())
        await deadline.wait(self._dispatcher.all_closed)
        for connection in list(connections.values()):
            connection.abort()
        await self._dispatcher.all_closed.wait()
        await self._parts.end(deadline)
        if self._operations is not None:
            await self._operations.close()
        self._closed.set()

    async def _stop_listening(self) -> None:
        assert self._server is not None
        # Those whom the system has accepted already are taken in, to be told; the loop may take one in each round.
        for _ in range(_ACCEPT_BACKLOG):
            taken = self._parts.reception.taken
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            if self._parts.reception.taken == taken:
                break
        self._leaving = len(self._dispatcher.connections)
        self._server.close()

    def _stopping(self) -> GatewayStopping:
        """What a client is told, with a time of its own to come back (K2)."""
        return GatewayStopping("the gateway is stopping", retryAfterMs=int(self._return_time() * 1000))

    def _return_time(self) -> float:
        return return_time(self._leaving, self.config.server.reconnect_rate)

    async def disconnect_user(self, user_id: str, reason: str = "") -> None:
        """Closes all connections of a user, at all gateways that share the engine, with 4506: its clients do not come
        back by themselves, but may. (Who must not has to be revoked.)

        Raises :class:`~fastcollab.errors.ServiceUnavailable` if other gateways could not be told.
        """
        await self._disconnect("user", user_id, reason)

    async def disconnect(self, connection_id: str, reason: str = "") -> None:
        """Closes one connection, by its `connectionId`; as :meth:`disconnect_user`."""
        await self._disconnect("connection", connection_id, reason)

    async def _disconnect(self, kind: Literal["user", "connection"], subject: str, reason: str) -> None:
        if self._parts.cluster is None:
            self._dispatcher.obey(Disconnect(kind, subject, CloseCode.DISCONNECTED, reason))
        else:
            await self._parts.cluster.disconnect(kind, subject, CloseCode.DISCONNECTED, reason)

    async def revoke_token(self, token: str) -> int:
        """Revokes one token, which may be given itself or by its `jti`: its connections are ended, at all gateways that
        share the engine, and it is not accepted again (S12). Returns how many of this gateway's connections that were.

        Raises :class:`~fastcollab.errors.InvalidToken` for a token that is not good, ValueError for what cannot be a
        name, and :class:`~fastcollab.errors.ServiceUnavailable` as :meth:`~fastcollab.ports.Revocations.revoke` does.
        """
        return await self._parts.revoker.revoke_token(token)

    async def revoke_session(self, session_id: str) -> int:
        """Revokes the tokens of one login, by their `sid`; or, by its `connectionId`, a connection and its token. As
        :meth:`revoke_token`.
        """
        connection = self._dispatcher.connections.get(session_id)
        return await self._parts.revoker.revoke_session(session_id, None if connection is None else connection.session)

    async def revoke_user(self, user_id: str) -> int:
        """Revokes all tokens of a user that were issued before now, by their `iat`, and those that do not say when. As
        :meth:`revoke_token`.
        """
        return await self._parts.revoker.revoke_user(user_id)
