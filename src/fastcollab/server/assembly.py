"""A gateway's parts, put together: who knows whom, what begins first, and what ends last.

A part is given others, or functions to call, and does not know where they come from; this is the only module that knows
all of them. The dispatcher stands in the middle, so it is made first and is given the others as they are made: what can
be made at once is, so that a configuration that cannot hold is refused before anything has begun, and the rest when
there is an engine.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING
from uuid import uuid4

from fastcollab.config import Config
from fastcollab.core.document import Committed
from fastcollab.core.limit_guard import LimitGuard
from fastcollab.core.limits import SECOND
from fastcollab.core.permissions import Permission
from fastcollab.core.room import Room
from fastcollab.engines import Engine, open_engine
from fastcollab.engines.memory import MemoryRegistry, MemoryRevocations
from fastcollab.errors import ServiceUnavailable, StoreError
from fastcollab.ports import DocumentStore, NodeInfo, Revocations
from fastcollab.server._fanout import FlushPacer
from fastcollab.server._listener import Connection
from fastcollab.server._outbox import Cork
from fastcollab.server._pump import Pump
from fastcollab.server._throttle import Throttle
from fastcollab.server.access import Access
from fastcollab.server.activity import Activity
from fastcollab.server.addresses import TrustedProxies
from fastcollab.server.arrival import ArrivalSettings, Reception
from fastcollab.server.auth import TokenVerifier
from fastcollab.server.backend import Backend
from fastcollab.server.certificates import Certificates
from fastcollab.server.cluster import Cluster
from fastcollab.server.committer import Committer
from fastcollab.server.dispatcher import Dispatcher
from fastcollab.server.documents import Documents
from fastcollab.server.drain import Deadline
from fastcollab.server.entrance import Entrance
from fastcollab.server.measured_store import MeasuredStore
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

if TYPE_CHECKING:
    from fastcollab.server.jwks_source import JwksSource
    from fastcollab.server.tracing import Tracing

#: How long (s) the store has at least to write what it has and let go of its file.
STORE_CLOSES = 1.0
#: How long (s) those have, when the gateway stops, who are in the middle of their handshake.
_LAST_HANDSHAKES = 1.0


class Assembly:
    """The parts of one gateway. `store` and `revocations` stand in place of the engine's; `describe` says what there is
    to be said of this node, and `return_time` when (s from now) a client that is turned away is to come back.

    Raises :class:`~fastcollab.config.ConfigError` if the certificate of the configuration cannot be used.
    """

    # From `begin` on.
    engine: Engine
    pump: Pump
    activity: Activity
    documents: Documents
    revoker: Revoker
    reception: Reception
    cluster: Cluster | None = None
    webhooks: Webhooks | None = None
    tracing: Tracing | None = None

    def __init__(
        self,
        config: Config,
        backend: Backend,
        *,
        store: DocumentStore | None,
        revocations: Revocations | None,
        connection_type: type[Connection],
        dispatcher_type: type[Dispatcher],
        describe: Callable[[], NodeInfo],
        return_time: Callable[[], float],
    ) -> None:
        self.config = config
        self.backend = backend
        self.node = uuid4().hex
        self.tasks = Tasks()
        self.guard = LimitGuard(config.limits.shadow)
        self.tallies = Tallies()
        self.certificates = Certificates.of(config.tls)
        self._store = store
        self._revocations = revocations
        self._connection_type = connection_type
        self._describe = describe
        self._return_time = return_time
        self._keys: JwksSource | None = None
        if config.auth.jwks_url is not None:
            from fastcollab.server.jwks_source import JwksSource

            self._keys = JwksSource(config.auth)
        self._verifier = TokenVerifier(config.auth, self._keys)
        self._trusted = TrustedProxies(config.server.trusted_proxies, config.server.forwarded_header)
        self._compression = compression(config)
        self._access = Access(Permission.of_word(config.rooms.default_permission))
        self._cork = Cork()
        self.dispatcher = dispatcher_type(
            self._verifier,
            session_settings(config),
            access=self._access,
            default_document_type=config.rooms.default_document_type,
            guard=self.guard,
            cork=self._cork,
            tallies=self.tallies,
            grace_period=int(config.presence.grace_period * SECOND),
            run=self.tasks.run,
        )

    async def begin(self) -> None:
        """Opens the engine, makes the other parts, and has those begin that others wait for; or undoes it all.

        Raises :class:`~fastcollab.errors.StoreError` if the documents cannot be had.
        """
        self.engine = await self._open_engine()
        self._make_parts()
        try:
            if self._keys is not None:
                await self._keys.start()
            if self.cluster is not None:
                await self.cluster.start()
        except BaseException:
            await self.abandon()
            raise

    def welcome(self) -> None:
        """Begins with what is done beside, now that clients come."""
        if self.certificates is not None:
            self.certificates.watch()
        self.backend.begin_hand_back(self.documents, self.dispatcher.rooms.document)
        self._upkeep.start()

    async def abandon(self) -> None:
        """Undoes :meth:`begin`, when no client has come."""
        self.pump.close()
        self.dispatcher.validation.close()
        if self._keys is not None:
            await self._keys.close()
        await self.backend.close(0)
        await self._close_webhooks(0)
        if self.cluster is not None:
            await self.cluster.close(0)
        if self.tracing is not None:
            await self.tracing.close(Deadline(0))
        await self.engine.close()

    async def end(self, deadline: Deadline) -> None:
        """Ends all parts, when no client is left: those first that give others something to do."""
        self.dispatcher.validation.close()
        if self._keys is not None:
            await self._keys.close()
        await deadline.wait(self.reception.idle, _LAST_HANDSHAKES)
        self.reception.close()
        self._upkeep.close()
        if self.certificates is not None:
            self.certificates.cancel()
        await self.tasks.end(deadline.left / 2)
        self.dispatcher.committer.close()
        if self.cluster is not None:
            self.tasks.run(self.cluster.close(self.config.presence.grace_period))
            await self.tasks.end(deadline.left / 2)
        self.tasks.run(self.dispatcher.rooms.close())
        await self.tasks.end(deadline.left / 2)
        self.pump.close()
        self._compression.close()
        await asyncio.gather(self.backend.close(deadline.left), self._close_webhooks(deadline.left))
        if self.tracing is not None:
            await self.tracing.close(deadline)
        self.tasks.run(self.engine.close(deadline.left_in_all))
        await self.tasks.end(max(deadline.left_in_all, STORE_CLOSES))

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

    def _make_parts(self) -> None:
        config, engine, dispatcher = self.config, self.engine, self.dispatcher
        store = MeasuredStore(engine.documents, self.tallies)
        if engine.watch is not None:
            engine.watch(self.tallies.redis_called)
        if engine.cluster is not None:
            self.node = engine.cluster.nodes.here
        if config.tracing.enabled:
            from fastcollab.server.tracing import Tracing

            self.tracing = dispatcher.tracing = Tracing(config.tracing, self.node)
        self.pump = Pump(asyncio.get_running_loop(), self._cork)
        self.activity = Activity(dispatcher, self.pump.meter, self.tallies, self.guard)
        throttle = Throttle(self.pump, frames_per_second(config), config.limits.burst)
        dispatcher.registry = engine.registry
        dispatcher.validation = Validation(
            self._access,
            engine.revocations,
            sessions=lambda: (connection.session for connection in list(dispatcher.connections.values())),
            carry_out=dispatcher.carry_out,
            run=self.tasks.run,
            leeway=int(config.auth.leeway * 1000),
        )
        self.revoker = Revoker(config.auth, self._verifier, dispatcher.validation)
        self.backend.start()
        self._access.grants = self.backend.grants
        dispatcher.profiles = self.backend.profiles
        self.documents = dispatcher.documents = Documents(
            store,
            document_limits(config),
            retention(config),
            self.backend.first_content,
        )
        pacer = FlushPacer(nanoseconds(config.fanout.min_interval_ms), nanoseconds(config.fanout.max_interval_ms))
        dispatcher.committer = Committer(
            self.documents,
            carry_out=dispatcher.carry_out if self.tracing is None else self.tracing.answering(dispatcher.carry_out),
            run=self.tasks.run,
            retire=lambda room: dispatcher.rooms.retire(room),
            changed=self._changed,
            tallies=self.tallies,
            committed=None if engine.cluster is None else self._committed,
            tracing=self.tracing,
            when_read=self.pump.when_read,
        )
        if config.webhooks.url is not None:
            self.webhooks = dispatcher.webhooks = Webhooks(
                config.webhooks, self.node, lambda room_id: dispatcher.rooms.document(room_id)
            )
        if engine.cluster is not None:
            self.cluster = dispatcher.cluster = Cluster(
                engine.cluster,
                self.pump,
                pacer,
                store,
                dispatcher.committer,
                carry_out=dispatcher.carry_out,
                run=self.tasks.run,
                obey=dispatcher.obey,
                describe=self._describe,
                turned=None if self.webhooks is None else self.webhooks.turned,
            )
        dispatcher.rooms = Rooms(
            self.documents,
            room_settings(config),
            self.pump,
            pacer,
            nanoseconds(config.presence.cursor_interval_ms),
            carry_out=dispatcher.carry_out,
            send_updates=dispatcher.send_updates,
            run=self.tasks.run,
            deserted=self._deserted,
            cluster=self.cluster,
        )
        self._upkeep = Upkeep(
            config,
            dispatcher,
            self.guard,
            self.documents,
            engine.revocations,
            self.tallies,
            self.activity,
            run=self.tasks.run,
        )
        entrance = Entrance(
            config,
            self._connection_type,
            dispatcher,
            pump=self.pump,
            throttle=throttle,
            compression=self._compression,
            guard=self.guard,
            tallies=self.tallies,
            trusted=self._trusted,
            return_time=self._return_time,
        )
        self.reception = Reception(
            ArrivalSettings(
                timeout=config.server.handshake_timeout,
                most=config.limits.handshakes,
                proxy_header=config.server.proxy_protocol,
                trusted=self._trusted,
            ),
            self.certificates,
            knock=entrance.knock,
            upgrade=entrance.protocol,
            refused=entrance.refused,
        )

    def _changed(self, room_id: str) -> None:
        self.backend.changed(room_id)
        if self.webhooks is not None:
            self.webhooks.changed(room_id)

    def _deserted(self, room_id: str) -> None:
        self.backend.deserted(room_id)
        if self.webhooks is not None:
            self.webhooks.deserted(room_id)

    def _committed(self, room: Room, mark: str, entries: Sequence[Committed], traceparents: dict[int, str]) -> None:
        if self.cluster is not None:
            self.cluster.committed(room, mark, entries, traceparents)

    async def _close_webhooks(self, patience: float) -> None:
        if self.webhooks is not None:
            await self.webhooks.close(patience)
