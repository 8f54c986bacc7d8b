"""The gateway: everything put together, started, watched and stopped."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from types import TracebackType
from typing import TYPE_CHECKING, ClassVar, Literal, Self
from uuid import uuid4

from prometheus_client.metrics_core import Metric

import fastcollab
from fastcollab.config import Config, ConfigError, ConfigProblem, EngineConfig, TlsConfig
from fastcollab.core.document import Committed
from fastcollab.core.limit_guard import Excess, LimitGuard
from fastcollab.core.limits import SECOND
from fastcollab.core.permissions import Permission
from fastcollab.core.room import Room
from fastcollab.engines import Engine, open_engine
from fastcollab.engines.memory import MemoryRegistry, MemoryRevocations
from fastcollab.errors import CloseCode, GatewayStopping, ServiceUnavailable, StoreError
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
from fastcollab.server._fanout import FlushPacer
from fastcollab.server._listener import Connection
from fastcollab.server._outbox import Cork
from fastcollab.server._pump import Pump
from fastcollab.server._throttle import Throttle
from fastcollab.server.access import Access
from fastcollab.server.addresses import TrustedProxies
from fastcollab.server.admin.api import admin_api
from fastcollab.server.admin.desk import Desk
from fastcollab.server.arrival import ArrivalSettings, Reception
from fastcollab.server.auth import TokenVerifier
from fastcollab.server.backend import Backend
from fastcollab.server.certificates import Certificates
from fastcollab.server.clock import unix_ms
from fastcollab.server.cluster import Cluster
from fastcollab.server.committer import Committer
from fastcollab.server.connection_metrics import ConnectionMetrics
from fastcollab.server.dispatcher import Dispatcher
from fastcollab.server.documents import Documents
from fastcollab.server.drain import Deadline, return_time
from fastcollab.server.entrance import Entrance
from fastcollab.server.errands import Errands
from fastcollab.server.measured_store import MeasuredStore
from fastcollab.server.metrics import Look, collect
from fastcollab.server.operations import OperationsPort
from fastcollab.server.revoker import Revoker
from fastcollab.server.rooms import Rooms
from fastcollab.server.settings import (
    compression,
    document_limits,
    frames_per_second,
    nanoseconds,
    retention,
    room_settings,
    session_settings,
)
from fastcollab.server.tallies import Tallies
from fastcollab.server.tasks import Tasks
from fastcollab.server.upkeep import Upkeep
from fastcollab.server.validation import Validation
from fastcollab.server.webhooks import Webhooks
from fastcollab.tls import CertificateError

if TYPE_CHECKING:
    from fastcollab.server.jwks_source import JwksSource

log = get_logger(__name__)

_ACCEPT_BACKLOG = 1024
#: How long (s) the store has at least to write what it has and let go of its file.
_STORE_CLOSES = 1.0
#: How long (s) those have, when the gateway stops, who are in the middle of their handshake.
_LAST_HANDSHAKES = 1.0


def _tell_where_documents_are(engine: EngineConfig) -> None:
    if (redis := engine.redis) is not None:
        log.info("documents are kept", server=redis.where, durability=engine.redis_durability)
    elif (path := engine.sqlite_path or engine.valkey_directory) is not None:
        log.info("documents are kept", path=str(path.absolute()), durability=engine.file_durability)
    else:
        log.info("documents are kept in memory, and end with this process")


def _certificates(tls: TlsConfig) -> Certificates | None:
    """Those of the configuration, which has looked at the files; they may have changed since."""
    if tls.certificate_file is None or tls.key_file is None:
        return None
    try:
        return Certificates(tls.certificate_file, tls.key_file, tls.reload_interval)
    except CertificateError as error:
        raise ConfigError([ConfigProblem("tls.key_file", f"names {error}")]) from None


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
        self._store = store
        self._revocations = revocations
        self._reuse_port = reuse_port
        self._revoker: Revoker | None = None
        self._backend = Backend(config, load=load_document, save=save_document, permission=permission, profile=profile)
        self._server: asyncio.Server | None = None
        self._tasks = Tasks()
        self._closing: asyncio.Task[None] | None = None
        self._leaving = 0  # how many connections there were when it began to stop
        self._closed = asyncio.Event()
        self._keys: JwksSource | None = None
        if config.auth.jwks_url is not None:
            from fastcollab.server.jwks_source import JwksSource

            self._keys = JwksSource(config.auth)
        self._verifier = TokenVerifier(config.auth, self._keys)
        self._trusted = TrustedProxies(config.server.trusted_proxies, config.server.forwarded_header)
        self._certificates = _certificates(config.tls)
        self._compression = compression(config)
        self._cluster: Cluster | None = None
        self._operations: OperationsPort | None = None
        self._webhooks: Webhooks | None = None
        self._node = uuid4().hex
        self._started_at = unix_ms()
        self._access = Access(Permission.of_word(config.rooms.default_permission))
        self._guard = LimitGuard(config.limits.shadow)
        self._tallies = Tallies()
        self._cork = Cork()
        self._dispatcher = self._dispatcher_type(
            self._verifier,
            session_settings(config),
            access=self._access,
            default_document_type=config.rooms.default_document_type,
            guard=self._guard,
            cork=self._cork,
            tallies=self._tallies,
            grace_period=int(config.presence.grace_period * SECOND),
            run=self._tasks.run,
        )

    # --- life ---------------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Begins to accept connections.

        Raises OSError if an address cannot be had, which is its `filename`, and :class:`~fastcollab.errors.StoreError`
        if the documents cannot.
        """
        config = self.config
        engine = self._engine = await self._open_engine()
        store = MeasuredStore(engine.documents, self._tallies)
        if engine.watch is not None:
            engine.watch(self._tallies.redis_called)
        self._revocations = engine.revocations
        if engine.cluster is not None:
            self._node = engine.cluster.nodes.here
        self._pump = Pump(asyncio.get_running_loop(), self._cork)
        throttle = Throttle(self._pump, frames_per_second(config), config.limits.burst)
        dispatcher = self._dispatcher
        self._registry = dispatcher.registry = engine.registry
        dispatcher.validation = Validation(
            self._access,
            self._revocations,
            sessions=lambda: (connection.session for connection in list(dispatcher.connections.values())),
            carry_out=dispatcher.carry_out,
            run=self._tasks.run,
        )
        self._revoker = Revoker(config.auth, self._verifier, dispatcher.validation)
        self._backend.start()
        self._access.grants = self._backend.grants
        dispatcher.profiles = self._backend.profiles
        self.documents = dispatcher.documents = Documents(
            store,
            document_limits(config),
            retention(config),
            self._backend.first_content,
        )
        pacer = FlushPacer(nanoseconds(config.fanout.min_interval_ms), nanoseconds(config.fanout.max_interval_ms))
        dispatcher.committer = Committer(
            self.documents,
            carry_out=dispatcher.carry_out,
            run=self._tasks.run,
            retire=lambda room: dispatcher.rooms.retire(room),
            changed=self._changed,
            tallies=self._tallies,
            committed=None if engine.cluster is None else self._committed,
            when_read=self._pump.when_read,
        )
        if config.webhooks.url is not None:
            self._webhooks = dispatcher.webhooks = Webhooks(
                config.webhooks, self._node, lambda room_id: dispatcher.rooms.document(room_id)
            )
        if engine.cluster is not None:
            self._cluster = dispatcher.cluster = Cluster(
                engine.cluster,
                self._pump,
                pacer,
                store,
                dispatcher.committer,
                carry_out=dispatcher.carry_out,
                run=self._tasks.run,
                obey=dispatcher.obey,
                describe=self.describe,
                turned=None if self._webhooks is None else self._webhooks.turned,
            )
        dispatcher.rooms = Rooms(
            self.documents,
            room_settings(config),
            self._pump,
            pacer,
            nanoseconds(config.presence.cursor_interval_ms),
            carry_out=dispatcher.carry_out,
            send_updates=dispatcher.send_updates,
            run=self._tasks.run,
            deserted=self._deserted,
            cluster=self._cluster,
        )
        self._upkeep = Upkeep(
            config, dispatcher, self._guard, self.documents, self._revocations, self._tallies, run=self._tasks.run
        )
        entrance = Entrance(
            config,
            self._connection_type,
            dispatcher,
            pump=self._pump,
            throttle=throttle,
            compression=self._compression,
            guard=self._guard,
            tallies=self._tallies,
            trusted=self._trusted,
            return_time=self._return_time,
        )
        self._reception = Reception(
            ArrivalSettings(
                timeout=config.server.handshake_timeout,
                most=config.limits.handshakes,
                proxy_header=config.server.proxy_protocol,
                trusted=self._trusted,
            ),
            self._certificates,
            knock=entrance.knock,
            upgrade=entrance.protocol,
            refused=entrance.refused,
        )
        try:
            if self._keys is not None:
                await self._keys.start()
            if self._cluster is not None:
                await self._cluster.start()
            if config.ops.port is not None:
                errands = Errands(dispatcher, self._cluster)
                desk = Desk(dispatcher, self._cluster, self._revoker, errands, self.describe)
                operations = OperationsPort(
                    config.ops,
                    faults=lambda: self.faults,
                    metrics=self._answer_metrics,
                    parts=admin_api(config, desk),
                )
                await operations.start()
                self._operations = operations
            self._server = await self._listen()
        except BaseException:
            if self._operations is not None:
                await self._operations.close()
            self._pump.close()
            dispatcher.validation.close()
            if self._keys is not None:
                await self._keys.close()
            await self._backend.close(0)
            await self._close_webhooks(0)
            if self._cluster is not None:
                await self._cluster.close(0)
            await engine.close()
            raise
        if self._certificates is not None:
            self._certificates.watch()
        self._port: int = self._server.sockets[0].getsockname()[1]
        self._backend.begin_hand_back(self.documents, dispatcher.rooms.document)
        if self._store is None:
            _tell_where_documents_are(config.engine)
        if self._operations is not None:
            log.info("operations are served", url=self._operations.url)
        self._upkeep.start()

    @property
    def port(self) -> int:
        """The TCP port that the gateway listens on, or has listened on."""
        assert self._server is not None, "the gateway has not been started"
        return self._port

    @property
    def url(self) -> str:
        """Where clients connect."""
        host = self.config.server.host
        scheme = "ws" if self._certificates is None else "wss"
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
        faults = [] if self._cluster is None else [*self._cluster.faults]
        return [*faults, "the gateway is stopping"] if self._dispatcher.draining else faults

    def describe(self) -> NodeInfo:
        """What this node tells of itself."""
        connections = self._dispatcher.connections.values()
        users = {each.session.identity.user_id for each in connections if each.session.registered}
        return NodeInfo(
            node=self._node,
            version=fastcollab.__version__,
            started_at=self._started_at,
            connections=len(connections),
            users=len(users),
            rooms=self.room_count,
            faults=self.faults,
        )

    @property
    def excesses(self) -> Mapping[str, Excess]:
        """How often limits have been exceeded, by the limit's name in the configuration: ``connections_per_user``,
        ``rooms_per_user``, ``connections``, ``connection_rate``, ``operations`` and ``messages``. Those that never were
        are not in it.
        """
        return self._guard.counts()

    def metrics(self) -> Iterator[Metric]:
        """What ``/metrics`` tells, as families of prometheus-client: for a registry of the program's own. Only of a
        gateway that has been started.
        """
        scheme = self.config.engine.url.partition(":")[0]
        engine = scheme if self._store is None else "its own"
        return collect(Look(self._dispatcher, self._pump.meter, self._tallies, self._guard, self.faults, engine))

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
        if self._certificates is not None:
            self._certificates.reload()

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

    async def _open_engine(self) -> Engine:
        """The configured engine; or what there is in place of it."""
        if self._store is not None:
            revocations = self._revocations or MemoryRevocations()
            return Engine(self._store, MemoryRegistry(), revocations, closing=(self._store.close,))
        try:
            engine = await open_engine(self.config.engine)
        except ServiceUnavailable as error:
            raise StoreError(error.message) from error
        return engine if self._revocations is None else replace(engine, revocations=self._revocations)

    async def _listen(self) -> asyncio.Server:
        server = self.config.server
        try:
            # The loop's own transports; those of aiofastnet are slower on uvloop here (docs/performance.md).
            return await asyncio.get_running_loop().create_server(
                self._reception, server.host, server.port, backlog=_ACCEPT_BACKLOG, reuse_port=self._reuse_port
            )
        except OSError as error:
            error.filename = f"{server.host}:{server.port}"
            raise

    def _changed(self, room_id: str) -> None:
        self._backend.changed(room_id)
        if self._webhooks is not None:
            self._webhooks.changed(room_id)

    def _deserted(self, room_id: str) -> None:
        self._backend.deserted(room_id)
        if self._webhooks is not None:
            self._webhooks.deserted(room_id)

    def _committed(self, room: Room, mark: str, entries: Sequence[Committed]) -> None:
        if self._cluster is not None:
            self._cluster.committed(room, mark, entries)

    async def _drain(self) -> None:
        timeout = self.config.server.shutdown_timeout
        deadline = Deadline(timeout - min(timeout / 5, _STORE_CLOSES))
        connections = self._dispatcher.connections
        await self._stop_listening()
        # What was read is committed and acknowledged, before anyone is sent away.
        await deadline.wait(self._dispatcher.committer.idle)
        self._backend.hurry()
        for connection in list(connections.values()):
            self._dispatcher.dismiss(connection, self._stopping())
        await deadline.wait(self._dispatcher.all_closed)
        for connection in list(connections.values()):
            connection.abort()
        await self._dispatcher.all_closed.wait()
        self._dispatcher.validation.close()
        if self._keys is not None:
            await self._keys.close()
        await deadline.wait(self._reception.idle, _LAST_HANDSHAKES)
        self._reception.close()
        self._upkeep.close()
        if self._certificates is not None:
            self._certificates.cancel()
        await self._tasks.end(deadline.left / 2)
        self._dispatcher.committer.close()
        if self._cluster is not None:
            self._tasks.run(self._cluster.close(self.config.presence.grace_period))
            await self._tasks.end(deadline.left / 2)
        self._tasks.run(self._dispatcher.rooms.close())
        await self._tasks.end(deadline.left / 2)
        self._pump.close()
        self._compression.close()
        await asyncio.gather(self._backend.close(deadline.left), self._close_webhooks(deadline.left))
        self._tasks.run(self._engine.close())
        await self._tasks.end(max(deadline.left, _STORE_CLOSES))
        if self._operations is not None:
            await self._operations.close()
        self._closed.set()

    async def _close_webhooks(self, patience: float) -> None:
        if self._webhooks is not None:
            await self._webhooks.close(patience)

    async def _stop_listening(self) -> None:
        assert self._server is not None
        # Those whom the system has accepted already are taken in, to be told; the loop may take one in each round.
        for _ in range(_ACCEPT_BACKLOG):
            taken = self._reception.taken
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            if self._reception.taken == taken:
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
        if self._cluster is None:
            self._dispatcher.obey(Disconnect(kind, subject, CloseCode.DISCONNECTED, reason))
        else:
            await self._cluster.disconnect(kind, subject, CloseCode.DISCONNECTED, reason)

    # --- revocations --------------------------------------------------------------------------------------------------

    async def revoke_token(self, token: str) -> int:
        """Revokes one token, which may be given itself or by its `jti`: its connections are ended at once, and it is
        not accepted again (S12). Returns how many connections that were.

        Raises :class:`~fastcollab.errors.InvalidToken` for a token that is not good, ValueError for what cannot be a
        name, and :class:`~fastcollab.errors.ServiceUnavailable` as :meth:`~fastcollab.ports.Revocations.revoke` does.
        """
        return await self._started_revoker.revoke_token(token)

    async def revoke_session(self, session_id: str) -> int:
        """Revokes the tokens of one login, by their `sid`; or, by its `connectionId`, a connection that is open here,
        and its token. As :meth:`revoke_token`.
        """
        connection = self._dispatcher.connections.get(session_id)
        return await self._started_revoker.revoke_session(
            session_id, None if connection is None else connection.session
        )

    async def revoke_user(self, user_id: str) -> int:
        """Revokes all tokens of a user that were issued before now, by their `iat`, and those that do not say when. As
        :meth:`revoke_token`.
        """
        return await self._started_revoker.revoke_user(user_id)

    @property
    def _started_revoker(self) -> Revoker:
        assert self._revoker is not None, "the gateway has not been started"
        return self._revoker
