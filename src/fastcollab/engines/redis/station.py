"""One server as the bus has it: the channels that are there, and the connection over which they go (:mod:`.bus`)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import hiredis
from redis.crc import key_slot

from fastcollab.engines.redis.faults import code_of
from fastcollab.engines.redis.link import Address, Link, Refused, Waiting, ask, pack
from fastcollab.engines.redis.servers import Servers
from fastcollab.logs import get_logger

if TYPE_CHECKING:
    from fastcollab.engines.redis.bus import RedisBus

log = get_logger(__name__)

#: Bytes that may wait for a server to read them; bundles beyond that are dropped.
LARGEST_BACKLOG = 8_388_608

#: Between attempts to connect (s): the first pause, and the longest.
_PAUSE = 0.05
_LONGEST_PAUSE = 1.0

_MESSAGES = frozenset({b"smessage", b"message"})
_JOINED = frozenset({b"ssubscribe", b"subscribe"})
_LEFT = frozenset({b"sunsubscribe", b"unsubscribe"})


class Channel:
    """One channel. `station` is the server that has it, by what is known."""

    __slots__ = ("asked", "heads", "heard", "heard_before", "name", "number", "slot", "station", "waiting", "wanted")

    def __init__(self, number: int, name: bytes) -> None:
        self.number = number
        self.name = name
        self.slot = key_slot(name)
        #: What stands in front of the length of a bundle, in a command that publishes it: plain, and sharded.
        self.heads = [
            b"*3\r\n$%d\r\n%b\r\n$%d\r\n%b\r\n$" % (len(verb), verb, len(name), name)
            for verb in (b"PUBLISH", b"SPUBLISH")
        ]
        self.station: Station | None = None
        self.wanted = False
        #: Whether the server has been asked to let it be heard, and whether it has said that it is.
        self.asked = False
        self.heard = False
        self.heard_before = False
        #: Done when it is heard.
        self.waiting: asyncio.Future[None] | None = None


class Station:
    """One server, and the connection to it."""

    def __init__(self, bus: RedisBus, servers: Servers, address: Address) -> None:
        self.address = address
        self.channels: set[Channel] = set()
        #: None: there is no connection.
        self.link: _BusLink | None = None
        #: Whether the server knows sharded channels.
        self.sharded = False
        #: Why there is no connection.
        self.error: Exception = ConnectionError("there is no connection yet")
        self._bus = bus
        self._servers = servers
        self._loop = asyncio.get_running_loop()
        self._linked = asyncio.Event()
        self._linked_at = 0.0
        self._dropping = False
        self._published = _Published(self)
        self._connecting: asyncio.Task[None] | None = self._loop.create_task(self._keep_connecting())
        self._unlinked = asyncio.Event()
        self._unlinked.set()
        self._closed = False

    @property
    def age(self) -> float:
        """Of the connection, seconds; 0: there is none."""
        return 0.0 if self.link is None else self._loop.time() - self._linked_at

    async def is_linked(self, patience: float) -> bool:
        """Whether there is a connection within this time (s)."""
        try:
            async with asyncio.timeout(patience):
                await self._linked.wait()
        except TimeoutError:
            return False
        return True

    def publish(self, data: bytes, count: int) -> None:
        """Sends so many commands, unless too much waits already."""
        link = self.link
        if link is None or link.error is not None:
            return
        if link.backlog > LARGEST_BACKLOG:
            if not self._dropping:
                self._dropping = True
                log.warning("bundles are dropped, since Redis does not read them", redis=str(self.address))
            return
        self._dropping = False
        link.send(data, [self._published] * count)

    def join(self, channel: Channel) -> None:
        """Asks the server to let the channel be heard, if there is a connection."""
        if self.link is not None and self.link.error is None:
            channel.asked = True
            verb = "SSUBSCRIBE" if self.sharded else "SUBSCRIBE"
            self.link.send(pack(verb, channel.name), (_Joining(self._bus, channel, self),))

    def part(self, channel: Channel) -> None:
        """The channel is to be heard there no more."""
        if channel.asked and self.link is not None and self.link.error is None:
            verb = "SUNSUBSCRIBE" if self.sharded else "UNSUBSCRIBE"
            self.link.send(pack(verb, channel.name), (_Parting(channel.name),))
        channel.asked = channel.heard = False

    def refused(self, error: hiredis.ReplyError) -> None:
        """A bundle was not published."""
        if code_of(error) == "MOVED":
            self._bus.moved(error)
        else:
            self._servers.met(error)

    def pushed(self, push: list[Any], link: _BusLink) -> None:
        kind = push[0]
        if kind in _MESSAGES:
            self._bus.heard(push[1], push[2])
        elif kind in _JOINED:
            link.answered(push)
        elif kind in _LEFT and not link.answers_parting(push):
            self._bus.expelled(push[1], self)

    # --- connections --------------------------------------------------------------------------------------------------

    def renew(self) -> None:
        """Makes the connection anew, if there is one."""
        if self.link is not None:
            self._linked.clear()
            self.link.cut(ConnectionAbortedError("the connection is made anew"))

    def close(self) -> None:
        self._closed = True
        if self._connecting is not None:
            self._connecting.cancel()
        if self.link is not None:
            self.link.cut(ConnectionAbortedError("the connection is closed"))

    async def wait_closed(self) -> None:
        """Waits, after :meth:`close`, until nothing is left of it."""
        if self._connecting is not None:
            await asyncio.wait([self._connecting])
        await self._unlinked.wait()

    def when_closed(self, told: Callable[[], None]) -> None:
        self._loop.create_task(self.wait_closed()).add_done_callback(lambda _: told())

    async def _keep_connecting(self) -> None:
        pause = _PAUSE
        while True:
            try:
                link = await self._connect()
            except (OSError, Refused) as error:
                self.error = error
                self._servers.met(error)
                self._servers.doubt()
                await asyncio.sleep(pause)
                pause = min(2 * pause, _LONGEST_PAUSE)
            else:
                break
        self._connecting = None
        self._linked_at = self._loop.time()
        self.link = link
        self._unlinked.clear()
        self._linked.set()
        link.ended = self._ended
        for channel in list(self.channels):
            self._bus.join(channel)

    async def _connect(self) -> _BusLink:
        link = await self._servers.connect(lambda timeout: _BusLink(timeout, self), self.address)
        try:
            [info] = await self._ask(link, "COMMAND", "INFO", "SSUBSCRIBE")
            self.sharded = bool(info)
            await self._ask(link, "HELLO", 3)
        except BaseException:
            link.cut(ConnectionAbortedError("it is not used"))
            raise
        if link.error is not None:
            raise link.error
        return link

    async def _ask(self, link: Link, *command: str | int) -> Any:
        reply = await ask(link, *command)
        if isinstance(reply, hiredis.ReplyError):
            raise Refused(f"{command[0]} is refused: {reply}")
        return reply

    def _ended(self, error: Exception) -> None:
        self.link = None
        self.error = error
        self._linked.clear()
        self._unlinked.set()
        for channel in self.channels:
            channel.asked = channel.heard = False
        if not self._closed:
            if not isinstance(error, ConnectionAbortedError):
                self._servers.met(error)
            self._servers.doubt()
            self._connecting = self._loop.create_task(self._keep_connecting())


class _BusLink(Link):
    """The connection of a station, on which something comes that was not asked for."""

    def __init__(self, timeout: float, station: Station) -> None:
        super().__init__(timeout)
        self._station = station

    def pushed(self, push: list[Any]) -> None:
        self._station.pushed(push, self)

    def answered(self, push: list[Any]) -> None:
        """What has come is the reply to the oldest command."""
        self._waiting.popleft().replied(push)

    def answers_parting(self, push: list[Any]) -> bool:
        """Whether what has come is the reply to a command that the channel be heard no more, and not news."""
        oldest = self._waiting[0] if self._waiting else None
        if isinstance(oldest, _Parting) and oldest.name == push[1]:
            self.answered(push)
            return True
        return False


class _Joining:
    """Waits for a channel to be heard."""

    def __init__(self, bus: RedisBus, channel: Channel, station: Station) -> None:
        self._bus = bus
        self._channel = channel
        self._station = station

    def replied(self, reply: Any) -> None:
        if not isinstance(reply, hiredis.ReplyError):
            self._bus.joined(self._channel, self._station)
            return
        self._station.refused(reply)
        self._bus.join_later(self._channel, self._station)

    def lost(self, error: Exception) -> None:
        """It is asked again by the next connection."""


class _Parting:
    """Waits for a channel to be heard no more."""

    def __init__(self, name: bytes) -> None:
        self.name = name

    def replied(self, reply: Any) -> None:
        """An error says that it is not heard there anyway."""

    def lost(self, error: Exception) -> None:
        """Nor is it then."""


class _Published(Waiting):
    """Waits for replies that have something to say only if they are errors."""

    def __init__(self, station: Station) -> None:
        self._station = station

    def replied(self, reply: Any) -> None:
        if isinstance(reply, hiredis.ReplyError):
            self._station.refused(reply)

    def lost(self, error: Exception) -> None:
        """It is at most once."""
