"""A way to one server that stays, over connections that do not.

It carries the commands of many callers at once. Those given in one turn of the event loop leave with one write, and all
are under way together. A command leaves once: if the connection ends before its reply, its caller is told so, and that
nobody knows what has become of it. One that has not left is handed back, since it may be sent again, or elsewhere.

*Durable* commands are not answered before what they have written is on the disk, or with replicas, which a command that
waits (``WAITAOF``, ``WAIT``) says of all that its connection has written. The server reads nothing more of the
connection while it waits. So there is one for all that left together, and what comes meanwhile leaves together when it
has been answered: the slower the disk, the larger the groups.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Protocol

import hiredis

from fastcollab.engines.redis.lapses import identity_of
from fastcollab.engines.redis.link import Address, Link, Login, Refused, Waiting, Word, connect, pack

#: Between attempts to connect, seconds: the first pause, and the longest.
_PAUSE = 0.05
_LONGEST_PAUSE = 1.0


class Request(Waiting, Protocol):
    """A command with whoever waits for its reply."""

    @property
    def data(self) -> bytes:
        """The command as it goes over the wire."""
        ...

    @property
    def durable(self) -> bool: ...

    def unsent(self, error: Exception, hopeless: bool) -> None:
        """It was not sent, and will not be by this pipe. `hopeless`: nor would it be soon."""
        ...


class Confirmation(Protocol):
    """What durable commands wait for."""

    @property
    def command(self) -> tuple[Word, ...]: ...

    def doubt(self, reply: Any) -> Exception | None:
        """Why the reply to `command` does not confirm what was written; None: it does."""
        ...


class Pipe:
    """To one server. `timeout` is for connecting, and for replies (s). `down` is called when there is no connection any
    more, and with each attempt that has failed; `linked` when there is one, before anything is sent over it, with the
    identity of who answers. `confirmation` None: the server's memory is durable enough.
    """

    def __init__(
        self,
        address: Address,
        login: Login,
        timeout: float,
        down: Callable[[], None],
        linked: Callable[[Address, bytes], None],
        confirmation: Confirmation | None = None,
    ) -> None:
        self.address = address
        #: Since when there has been no connection, in the loop's time; None: there is one, or has not been asked for.
        self.down_since: float | None = None
        self._loop = asyncio.get_running_loop()
        self._login = login
        self._timeout = timeout
        self._down = down
        self._linked = linked
        self._confirmation = confirmation
        self._link: Link | None = None
        self._unlinked = asyncio.Event()
        self._unlinked.set()
        self._connecting: asyncio.Task[None] | None = None
        self._error: Exception = ConnectionError("there is no connection yet")
        self._outbox: list[Request] = []
        self._flushing = False
        self._confirming = False
        self._renewing = False
        self._closed = False

    def send(self, request: Request) -> None:
        """Sends the command when this turn of the loop is over, or when there is a connection. While there has been
        none for longer than `timeout`, it is handed back at once.
        """
        if self._closed:
            request.unsent(ConnectionAbortedError("the connection is closed"), False)
        elif self.down_since is not None and self._loop.time() - self.down_since > self._timeout:
            request.unsent(self._error, True)
        else:
            self._outbox.append(request)
            if not self._flushing:
                self._flushing = True
                self._loop.call_soon(self._flush)

    def renew(self) -> None:
        """Goes on with another connection, when the replies have come that are under way on this one."""
        self._renewing = True
        self._flush()

    def retire(self) -> None:
        """Hands back what has not been sent. The connection stays until :meth:`close`, for replies that are due."""
        self._closed = True
        self._hand_back(ConnectionAbortedError("the connection is closed"))

    def close(self) -> None:
        """Ends the connection, and hands back what has not been sent."""
        self._closed = True
        if self._connecting is not None:
            self._connecting.cancel()
        if self._link is not None:
            self._link.cut(ConnectionAbortedError("the connection is closed"))
        self._hand_back(ConnectionAbortedError("the connection is closed"))

    async def wait_closed(self) -> None:
        """Waits, after :meth:`close`, until nothing is left of it."""
        if self._connecting is not None:
            await asyncio.wait([self._connecting])
        await self._unlinked.wait()

    def _flush(self) -> None:
        self._flushing = False
        link = self._link
        if link is None:
            self._connect()
            return
        if self._confirming or link.error is not None:
            return
        if self._renewing:
            if link.is_idle:
                link.cut(ConnectionAbortedError("the connection is made anew"))
            return
        outbox, self._outbox = self._outbox, []
        if not outbox:
            return
        data = [request.data for request in outbox]
        waiting: list[Waiting] = []
        if self._confirmation is not None and any(request.durable for request in outbox):
            group = _Group(self, self._confirmation)
            waiting += (_Written(request, group) if request.durable else request for request in outbox)
            waiting.append(group)
            data.append(pack(*self._confirmation.command))
            self._confirming = True
        else:
            waiting += outbox
        link.send(data[0] if len(data) == 1 else b"".join(data), waiting)

    def confirmed(self) -> None:
        """The server has answered what it was asked to wait for."""
        self._confirming = False
        self._flush()

    # --- connections --------------------------------------------------------------------------------------------------

    def _connect(self) -> None:
        if self._connecting is None and not self._closed:
            self._connecting = self._loop.create_task(self._keep_connecting())

    async def _keep_connecting(self) -> None:
        pause = _PAUSE
        while True:
            try:
                link, identity = await self._reach()
            except (OSError, Refused) as error:
                self._is_down(error)
                await asyncio.sleep(pause)
                pause = min(2 * pause, _LONGEST_PAUSE)
            else:
                break
        self._connecting = None
        if link.error is not None:
            self._ended(link.error)
            return
        link.ended = self._ended
        self._link = link
        self._unlinked.clear()
        self.down_since = None
        self._renewing = self._confirming = False
        self._linked(self.address, identity)
        self._flush()

    async def _reach(self) -> tuple[Link, bytes]:
        link = await connect(self.address, self._login, self._timeout)
        try:
            return link, await identity_of(link)
        except BaseException:
            link.cut(ConnectionAbortedError("it is not used"))
            raise

    def _ended(self, error: Exception) -> None:
        self._link = None
        self._unlinked.set()
        if not self._closed:
            self._is_down(error)
            self._connect()

    def _is_down(self, error: Exception) -> None:
        self._error = error
        if self.down_since is None:
            self.down_since = self._loop.time()
        self._hand_back(error)
        self._down()

    def _hand_back(self, error: Exception) -> None:
        outbox, self._outbox = self._outbox, []
        for request in outbox:
            request.unsent(error, False)


class _Group:
    """Durable commands that left together, and wait for what they have written to be so."""

    def __init__(self, pipe: Pipe, confirmation: Confirmation) -> None:
        self._pipe = pipe
        self._confirmation = confirmation
        self.written: list[tuple[Request, Any]] = []

    def replied(self, reply: Any) -> None:
        doubt = self._confirmation.doubt(reply)
        for request, answer in self.written:
            if doubt is None:
                request.replied(answer)
            else:
                request.lost(doubt)
        self._pipe.confirmed()

    def lost(self, error: Exception) -> None:
        for request, _ in self.written:
            request.lost(error)


class _Written:
    """A durable command, whose reply is kept until it is confirmed."""

    __slots__ = ("_group", "_request")

    def __init__(self, request: Request, group: _Group) -> None:
        self._request = request
        self._group = group

    def replied(self, reply: Any) -> None:
        if isinstance(reply, hiredis.ReplyError):
            self._request.replied(reply)
        else:
            self._group.written.append((self._request, reply))

    def lost(self, error: Exception) -> None:
        self._request.lost(error)
