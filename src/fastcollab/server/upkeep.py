"""What a gateway looks after from time to time: silent connections, tokens that have lived, what nobody needs, and
how well it keeps up.

There is one timer for all connections, since an idle one is to cost as little as can be.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from fastcollab.config import Config
from fastcollab.core.limit_guard import LimitGuard
from fastcollab.core.limits import SECOND
from fastcollab.core.session import SessionState
from fastcollab.errors import CloseCode
from fastcollab.logs import get_logger
from fastcollab.ports import Revocations
from fastcollab.server._pump import now_ns
from fastcollab.server.activity import INTERVAL, Activity
from fastcollab.server.clock import instant, unix_ms
from fastcollab.server.dispatcher import Dispatcher
from fastcollab.server.documents import Documents
from fastcollab.server.lookout import Lookout
from fastcollab.server.tallies import Tallies

log = get_logger(__name__)

#: How often (s) documents are looked through that nobody has written to.
_TIDY_INTERVAL = 3600.0
#: How often (ns) one that is not silent is pinged, to know its round-trip time.
_ROUND_TRIP_INTERVAL = 60 * SECOND
#: How often (s) it is looked how late the event loop is.
_LAG_INTERVAL = 0.25


class Upkeep:
    """Of the connections of `dispatcher`, and of what the stores keep. It begins with :meth:`start`."""

    def __init__(
        self,
        config: Config,
        dispatcher: Dispatcher,
        guard: LimitGuard,
        documents: Documents,
        revocations: Revocations,
        tallies: Tallies,
        activity: Activity,
        *,
        run: Callable[[Coroutine[Any, Any, None]], None],
    ) -> None:
        client, auth = config.client, config.auth
        self._heartbeat = int(client.heartbeat_interval * SECOND)
        self._connect_timeout = int(auth.connect_timeout * SECOND)
        shortest = min(client.heartbeat_interval, auth.connect_timeout, auth.validation_interval)
        self._interval = min(1.0, shortest / 4)
        self._dispatcher = dispatcher
        self._guard = guard
        self._documents = documents
        self._revocations = revocations
        self._tallies = tallies
        self._lookout = Lookout(tallies)
        self._activity = activity
        self._run = run
        self._sweeper: asyncio.TimerHandle | None = None
        self._tidier: asyncio.TimerHandle | None = None
        self._watcher: asyncio.TimerHandle | None = None
        self._keeper: asyncio.TimerHandle | None = None

    def start(self) -> None:
        self._sweep()
        self._tidy()
        self._watch_loop()
        self._keep()

    def close(self) -> None:
        for timer in (self._sweeper, self._tidier, self._watcher, self._keeper):
            if timer is not None:
                timer.cancel()

    def _sweep(self) -> None:
        """Looks after connections that say nothing: no token in time (S1), no sign of life (K1); and after tokens that
        have lived (S8, S10). And says what exceeds limits, and what else an operator has to know.
        """
        self._sweeper = asyncio.get_running_loop().call_later(self._interval, self._sweep)
        now = now_ns()
        for limit, excess in self._guard.news(now).items():
            log.warning("a limit was exceeded", limit=limit, **excess._asdict())
        for connection in list(self._dispatcher.connections.values()):
            silence = now - connection.silent_since
            if not connection.open:
                # Closed by its client, or by picows: what waits to be sent must not keep it for ever.
                self._dispatcher.closing(connection, False)
            elif connection.session.state is SessionState.NEW and now - connection.opened_at > self._connect_timeout:
                self._dispatcher.carry_out(connection.session.overdue())
            elif connection.session.due_at <= now:
                self._dispatcher.carry_out(connection.session.tick(instant()))
            elif silence > 2 * self._heartbeat:
                connection.close(CloseCode.SILENT, "no sign of life")
            elif (
                silence > self._heartbeat and not connection.probed
            ) or now - connection.pinged_at > _ROUND_TRIP_INTERVAL:
                connection.ping()
            connection.take_rates(now)
        self._lookout.look(self._dispatcher.connections.values(), now)

    def _watch_loop(self, due: int | None = None) -> None:
        """Looks how late the event loop is with what is due."""
        now = now_ns()
        if due is not None:
            self._tallies.loop_lag_seconds.observe(max(0, now - due) / 1e9)
        loop = asyncio.get_running_loop()
        self._watcher = loop.call_later(_LAG_INTERVAL, self._watch_loop, now + int(_LAG_INTERVAL * SECOND))

    def _keep(self) -> None:
        """Keeps what has been counted, to compare with."""
        self._keeper = asyncio.get_running_loop().call_later(INTERVAL, self._keep)
        self._activity.keep(now_ns())

    def _tidy(self) -> None:
        self._tidier = asyncio.get_running_loop().call_later(_TIDY_INTERVAL, self._tidy)
        self._run(self._documents.forget_unwritten(self._dispatcher.rooms.in_use()))
        self._run(self._revocations.forget(unix_ms()))
