"""The bus between nodes, over Pub/Sub.

To each server that has channels there is one connection, on which the node both publishes and hears: in RESP3, where
what is heard comes between the replies. So a server that answers can also be heard, and one that does not is noticed by
the replies that it owes. Bundles that are published at once leave with one write, and nobody waits for their replies,
which only have something to say if they are errors.

Where the server knows *sharded* channels (7.0), these are used: in a Cluster such a channel is on the server that has
the slot of its name, and no other hears of it. Before, a Cluster tells every message to all of its servers. When a
slot moves to another server, the old one expels those who hear its channels, and answers to those who publish where it
is now (``MOVED``).

Everything here may be lost (it is at most once): what is published while there is no connection, what is on the way
when a connection ends, and what the server does not read, since no more waits for it than `LARGEST_BACKLOG`. What may
have been missed by a hearer is told when the channel is heard again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Sequence

import hiredis

from fastcollab.engines.redis.faults import unavailable
from fastcollab.engines.redis.link import Address
from fastcollab.engines.redis.servers import Servers
from fastcollab.engines.redis.station import Channel, Station

#: Before a channel is asked for again (s) that a server does not let be heard.
_PAUSE = 0.05
#: How old a connection is (s) that is made anew because the server may be another one.
_OLD = 1.0


class RedisBus:
    """The :class:`~fastcollab.ports.Bus` of these servers, with so many channels; it is to be closed before them."""

    def __init__(self, servers: Servers, channels: int) -> None:
        self._servers = servers
        # All databases of a server have the same channels.
        database = b":%d" % servers.database if servers.database else b""
        self._channels = [Channel(number, servers.names.bus(number) + database) for number in range(channels)]
        self._by_name = {channel.name: channel for channel in self._channels}
        self._stations: dict[Address, Station] = {}
        #: Stations that nothing goes to any more, until their connections have ended.
        self._leaving: set[Station] = set()
        self._heard: Callable[[int, bytes], None]
        self._lost: Callable[[Collection[int]], None]
        self._missed: set[int] = set()
        self._loop = asyncio.get_running_loop()
        self._closed = False

    @property
    def channels(self) -> int:
        """How many there are."""
        return len(self._channels)

    async def open(self, heard: Callable[[int, bytes], None], lost: Callable[[Collection[int]], None]) -> None:
        """Begins, when all servers can be reached that have channels.

        Raises :class:`~fastcollab.errors.ServiceUnavailable` if they cannot.
        """
        self._heard, self._lost = heard, lost
        self._servers.watch(self._changed)
        for number, channel in enumerate(self._channels):
            self._place(channel)
            if channel.station is None:
                await self.close()
                raise unavailable(ConnectionError(f"no server has the channel {number}"))
        stations = list(self._stations.values())
        await self._all_linked()
        for station in stations:
            if station.link is None:
                await self.close()
                raise unavailable(station.error)

    async def hear(self, channel: int) -> None:
        """Hears the channel from when this returns.

        Raises :class:`~fastcollab.errors.ServiceUnavailable` if that cannot be had in time; then it is as before.
        """
        found = self._channel(channel)
        if found.heard:
            return
        found.wanted = True
        if found.waiting is None:
            found.waiting = self._loop.create_future()
            self.join(found)
        try:
            async with asyncio.timeout(self._servers.timeout):
                await asyncio.shield(found.waiting)
        except TimeoutError:
            error = unavailable(TimeoutError() if found.station is None else found.station.error)
            self._leave(found, error)
            raise error from None

    async def ignore(self, channel: int) -> None:
        """Hears the channel no longer."""
        self._leave(self._channel(channel), unavailable(ConnectionAbortedError()))

    def publish(self, bundles: Sequence[tuple[int, bytes]]) -> None:
        """Sends bundles; they are lost where there is no connection, or too much waits for it."""
        parts: dict[Station, list[bytes]] = {}
        for number, bundle in bundles:
            channel = self._channel(number)
            station = channel.station
            if station is None or station.link is None:
                continue
            if station not in parts:
                parts[station] = []
            parts[station] += (channel.heads[station.sharded], b"%d\r\n" % len(bundle), bundle, b"\r\n")
        for station, pieces in parts.items():
            station.publish(b"".join(pieces), len(pieces) // 4)

    async def renew(self) -> None:
        """Makes its connections anew, and returns when they are there, or have not come in time."""
        for station in self._stations.values():
            station.renew()
        await self._all_linked()

    async def close(self) -> None:
        """Ends all connections."""
        self._closed = True
        for channel in self._channels:
            self._leave(channel, unavailable(ConnectionAbortedError()))
        stations = [*self._stations.values(), *self._leaving]
        for station in stations:
            station.close()
        for station in stations:
            await station.wait_closed()

    # --- where channels are -------------------------------------------------------------------------------------------

    def _channel(self, number: int) -> Channel:
        if not 0 <= number < len(self._channels):
            raise ValueError(f"there are {len(self._channels)} channels, and none has the number {number}")
        return self._channels[number]

    async def _all_linked(self) -> None:
        """Waits until there is a connection to every server, or there could have been."""
        waiting = [station.is_linked(self._servers.timeout) for station in self._stations.values()]
        await asyncio.gather(*waiting)

    def _place(self, channel: Channel) -> None:
        """Has the channel go to the server that has it now."""
        address = self._servers.locate(channel.name)
        if address is None:
            # It will be told when that has changed.
            self._servers.doubt()
            return
        old = channel.station
        if old is not None and old.address == address:
            return
        if old is not None:
            old.part(channel)
            old.channels.discard(channel)
            if not old.channels:
                self._give_up(old)
        station = self._stations.get(address)
        if station is None:
            station = self._stations[address] = Station(self, self._servers, address)
        station.channels.add(channel)
        channel.station = station
        self.join(channel)

    def _give_up(self, station: Station) -> None:
        del self._stations[station.address]
        station.close()
        self._leaving.add(station)
        station.when_closed(lambda: self._leaving.discard(station))

    def _changed(self, renewed: bool) -> None:
        """Other servers may have the channels; or the same may be others: `renewed`."""
        if self._closed:
            return
        for channel in self._channels:
            self._place(channel)
        if renewed:
            for station in self._stations.values():
                if station.age > _OLD:
                    station.renew()

    def moved(self, error: hiredis.ReplyError) -> None:
        """A server has said that it has not the slot of a channel (``MOVED slot address``)."""
        slot = int(str(error).split()[1])
        for channel in self._channels:
            if channel.slot == slot and self._servers.follow(channel.name, error):
                self._place(channel)

    # --- hearing ------------------------------------------------------------------------------------------------------

    def join(self, channel: Channel) -> None:
        """Asks the channel's server to let it be heard, if it is wanted and there is a connection."""
        if channel.wanted and not channel.asked and channel.station is not None:
            channel.station.join(channel)

    def _leave(self, channel: Channel, error: Exception) -> None:
        """It is wanted no more; who waits for it is told this error."""
        channel.wanted = channel.heard_before = False
        if channel.waiting is not None:
            channel.waiting.set_exception(error)
            channel.waiting.exception()  # maybe nobody waits any more
            channel.waiting = None
        if channel.station is not None:
            channel.station.part(channel)

    def joined(self, channel: Channel, station: Station) -> None:
        """The server has said that the channel is heard there."""
        if channel.station is not station or not channel.asked:
            return
        if channel.heard_before and not channel.heard:
            if not self._missed:
                self._loop.call_soon(self._tell_lost)
            self._missed.add(channel.number)
        channel.heard = channel.heard_before = True
        if channel.waiting is not None:
            channel.waiting.set_result(None)
            channel.waiting = None

    def join_later(self, channel: Channel, station: Station) -> None:
        """The server does not let the channel be heard, or not any more: asks again in a moment, wherever it is."""
        if channel.station is station:
            channel.asked = channel.heard = False
            self._servers.doubt()
            self._loop.call_later(_PAUSE, self._join_again, channel)

    def _join_again(self, channel: Channel) -> None:
        if not self._closed:
            self._place(channel)
            self.join(channel)

    def heard(self, name: bytes, bundle: bytes) -> None:
        channel = self._by_name.get(name)
        if channel is not None and channel.wanted:
            self._heard(channel.number, bundle)

    def expelled(self, name: bytes, station: Station) -> None:
        channel = self._by_name.get(name)
        if channel is not None:
            self.join_later(channel, station)

    def _tell_lost(self) -> None:
        missed, self._missed = self._missed, set()
        if not self._closed:
            self._lost(missed)
