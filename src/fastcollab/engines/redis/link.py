"""One connection to a server: commands go out, replies come back in the same order.

It is on asyncio's transports and hiredis' parser itself. redis-py has one command at a time under way on a connection,
and a task or two for each, which costs several times what a command costs here.
"""

from __future__ import annotations

import asyncio
import ssl
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol, TypeVar, cast

import hiredis

from fastcollab.errors import FastcollabError

#: What commands are made of.
Word = bytes | str | int | float


def pack(*command: Word) -> bytes:
    """A command as it goes over the wire."""
    packed: bytes = hiredis.pack_command(command)  # type: ignore[arg-type] # It takes tuples of any length.
    return packed


class Refused(FastcollabError):
    """The server can be reached and does not take us in: a wrong password, a database that it does not have."""


class Address(NamedTuple):
    """Of a server: host and port, or the path of a socket and 0."""

    host: str
    port: int

    def __str__(self) -> str:
        if not self.port:
            return self.host
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class Login(NamedTuple):
    """How to begin on a connection."""

    username: str | None = None
    password: str | None = None
    database: int = 0
    tls: ssl.SSLContext | None = None

    def __repr__(self) -> str:
        return "<login>"

    @property
    def commands(self) -> list[tuple[str, *tuple[Word, ...]]]:
        commands: list[tuple[str, *tuple[Word, ...]]] = []
        if self.password is not None:
            commands.append(("AUTH", self.username or "default", self.password))
        if self.database:
            commands.append(("SELECT", self.database))
        # A process that stands still takes connections all the same, and only an answer says that it does not.
        return [*commands, ("PING",)]


class Waiting(Protocol):
    """Waits for the reply to a command that was sent."""

    def replied(self, reply: Any) -> None:
        """`reply` may be a :class:`hiredis.ReplyError`."""
        ...

    def lost(self, error: Exception) -> None:
        """The connection has ended before the reply: nobody knows whether the command was carried out."""
        ...


class Link(asyncio.Protocol):
    """A connection; :func:`connect` makes it. `ended` is called once when it has ended, after all who waited.

    A server that owes a reply and has said nothing for `timeout` seconds ends it.
    """

    def __init__(self, timeout: float) -> None:
        self.ended: Callable[[Exception], None] | None = None
        #: Why it has ended, or is about to.
        self.error: Exception | None = None
        self._loop = asyncio.get_running_loop()
        self._timeout = timeout
        self._reader = hiredis.Reader()
        self._waiting: deque[Waiting] = deque()
        self._heard = 0.0
        self._watch: asyncio.TimerHandle | None = None
        self._transport: asyncio.Transport | None = None

    @property
    def is_idle(self) -> bool:
        return not self._waiting

    @property
    def backlog(self) -> int:
        """Bytes that wait for the server to read."""
        return 0 if self._transport is None else self._transport.get_write_buffer_size()

    def send(self, data: bytes, waiting: Sequence[Waiting]) -> None:
        """Sends commands, for each of which one waits. The connection must not have ended."""
        if not self._waiting:
            self._heard = self._loop.time()
            if self._watch is None:
                self._watch = self._loop.call_later(self._timeout, self._look)
        self._waiting.extend(waiting)
        if self._transport is not None:
            self._transport.write(data)

    def cut(self, error: Exception) -> None:
        """Ends it at once."""
        if self.error is None:
            self.error = error
        if self._transport is not None:
            self._transport.abort()

    def _look(self) -> None:
        """Looks whether the server is silent."""
        self._watch = None
        if not self._waiting:
            return
        silent = self._loop.time() - self._heard
        if silent >= self._timeout:
            self.cut(TimeoutError(f"no answer for {self._timeout:g} s"))
        else:
            self._watch = self._loop.call_later(self._timeout - silent, self._look)

    def pushed(self, push: list[Any]) -> None:
        """The server says something that it was not asked, which it does when it was asked to do so."""
        raise hiredis.ProtocolError

    # --- called by the transport --------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's are none by their class.
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self._heard = self._loop.time()
        reader, waiting = self._reader, self._waiting
        try:
            reader.feed(data)
            while (reply := reader.gets()) is not False:
                if type(reply) is hiredis.PushNotification:
                    self.pushed(reply)
                elif not waiting:
                    raise hiredis.ProtocolError
                else:
                    waiting.popleft().replied(reply)
        except hiredis.ProtocolError:
            self.cut(ConnectionError("what answers there is no Redis"))

    def connection_lost(self, error: Exception | None) -> None:
        if self._watch is not None:
            self._watch.cancel()
        if self.error is None:
            self.error = error or ConnectionResetError("the connection was closed")
        while self._waiting:
            self._waiting.popleft().lost(self.error)
        if self.ended is not None:
            self.ended(self.error)


L = TypeVar("L", bound=Link)


async def connect(address: Address, login: Login, patience: float) -> Link:
    """A connection to a server that answers, within `patience` seconds, which is how long it may be silent later too.

    Raises OSError, as TimeoutError is, if there is none, and :class:`Refused`.
    """
    return await connect_as(Link, address, login, patience)


async def connect_as(make: Callable[[float], L], address: Address, login: Login, patience: float) -> L:
    """The same with a connection of another kind, which `make` makes with this patience."""
    loop = asyncio.get_running_loop()
    link: L | None = None
    try:
        async with asyncio.timeout(patience):
            if address.port:
                _, link = await loop.create_connection(
                    lambda: make(patience), address.host, address.port, ssl=login.tls
                )
            else:
                _, link = await loop.create_unix_connection(lambda: make(patience), address.host)
            for name, *arguments in login.commands:
                reply = await ask(link, name, *arguments)
                # One that is loading, or whose master is gone, says so to each command in its turn.
                if isinstance(reply, hiredis.ReplyError) and not str(reply).startswith(("LOADING", "MASTERDOWN")):
                    raise Refused(f"{name} is refused: {reply}")
    except BaseException as error:
        if link is not None:
            link.cut(ConnectionAbortedError("it is not used"))
        if isinstance(error, TimeoutError):
            raise TimeoutError(f"no answer for {patience:g} s") from None
        raise
    return link


async def ask(link: Link, *command: Word) -> Any:
    """The reply to one command, which may be a :class:`hiredis.ReplyError`. Raises OSError if there is none."""
    if link.error is not None:
        raise link.error
    answer = _Answer()
    link.send(pack(*command), (answer,))
    return await answer.future


class _Answer:
    """Someone who waits for a reply."""

    def __init__(self) -> None:
        self.future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

    def replied(self, reply: Any) -> None:
        if not self.future.done():
            # An error that is a value: hiredis makes it an exception so that whoever likes may raise it.
            self.future.set_result(reply)

    def lost(self, error: Exception) -> None:
        if not self.future.done():
            self.future.set_exception(error)
