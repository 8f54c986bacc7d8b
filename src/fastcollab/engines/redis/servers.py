"""The servers as one: a command goes to the one that has its key, wherever that is now.

A command that was surely not carried out is sent again, to the right server, for as long as its time lasts: there was
no connection, or the server has said so. One of which that is not sure never is, since it could be carried out twice;
its caller learns that the outcome is not known. When nothing has been reachable for as long as a command waits, those
that come are refused at once, so that nobody waits for what everybody knows.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Sequence
from enum import IntEnum
from time import perf_counter
from typing import Any

import hiredis
from redis.crc import key_slot

from fastcollab.config import EngineConfig
from fastcollab.engines import Called
from fastcollab.engines.redis import faults
from fastcollab.engines.redis.checks import check_server
from fastcollab.engines.redis.confirmation import confirmation_of
from fastcollab.engines.redis.faults import FaultLog
from fastcollab.engines.redis.lapses import Lapses
from fastcollab.engines.redis.link import Address, L, Login, Refused, Word, ask, connect, connect_as, pack
from fastcollab.engines.redis.names import Names
from fastcollab.engines.redis.pipe import Confirmation, Pipe
from fastcollab.engines.redis.scripts import Script
from fastcollab.engines.redis.topology import Layout, Topology
from fastcollab.errors import StoreError
from fastcollab.logs import get_logger

log = get_logger(__name__)

#: Before a command is sent again that has met a fault that passes (s).
_PAUSE = 0.05


class Lane(IntEnum):
    """To each server there is a connection for each of these, so that queries do not wait for a disk, nor for what does
    not happen.
    """

    #: Durable commands, and what must come after them.
    COMMITS = 0
    QUERIES = 1
    #: Commands that wait for something to read: only these, and one at a time. When they end nobody waits for them.
    WAITING = 2


class Servers:
    """All servers of one configuration. Made by :meth:`open`."""

    def __init__(
        self,
        where: str,
        prefix: str,
        timeout: float,
        login: Login,
        topology: Topology,
        confirmation: Confirmation | None,
    ) -> None:
        self.prefix = prefix
        self.names = Names(prefix)
        self._timeout = timeout
        self._login = login
        self._topology = topology
        self._confirmation = confirmation
        self._loop = asyncio.get_running_loop()
        self._faults = FaultLog(where)
        self._layout = Layout(())
        self.lapses = Lapses(self.locate)
        self._pipes: dict[Address, tuple[Pipe, ...]] = {}
        self._watchers: list[Callable[[bool], None]] = []
        #: Of servers that are there no more.
        self._retired: set[Pipe] = set()
        self._finding: asyncio.Task[None] | None = None
        self._called: Called = _ignore
        self._under_way = 0
        self._idle = asyncio.Event()
        self._idle.set()
        self._closed = False

    @property
    def timeout(self) -> float:
        """For how long (s) a server may be silent."""
        return self._timeout

    @classmethod
    async def open(cls, config: EngineConfig) -> Servers:
        """Raises :class:`~fastcollab.errors.StoreError` if the servers cannot be reached, or not do what is asked."""
        url = config.redis
        assert url is not None, "the engine is a Redis"
        tls = ssl.create_default_context() if url.tls else None
        login = Login(url.username, url.password, url.database, tls)
        topology = Topology(url, login, config.timeout)
        servers = cls(url.where, config.prefix, config.timeout, login, topology, confirmation_of(config))
        try:
            servers._lay_out(await topology.find())
            for address in servers._layout.servers:
                link = await connect(address, login, config.timeout)
                try:
                    check_server(config, await ask(link, "INFO"))
                finally:
                    link.cut(ConnectionAbortedError("it is not needed any more"))
        except (OSError, Refused) as error:
            raise StoreError(f"the Redis at {url.where} cannot be used: {error or type(error).__name__}") from error
        except StoreError as error:
            raise StoreError(f"the Redis at {url.where} cannot be used: {error}") from None
        return servers

    def call(self, key: bytes, *command: Word, lane: Lane = Lane.QUERIES) -> asyncio.Future[Any]:
        """The reply to a command, from the server that has `key`: bytes, numbers, lists of these, None.

        Raises :class:`~fastcollab.errors.ServiceUnavailable`.
        """
        return self._begin(_Request(self, key, command, lane))

    def run(
        self,
        script: Script,
        keys: Sequence[bytes],
        *arguments: Word,
        lane: Lane = Lane.QUERIES,
        durable: bool = False,
        decode: Callable[[Any], Any] | None = None,
    ) -> asyncio.Future[Any]:
        """The reply to a script, as :meth:`call` has it, or what `decode` makes of it or raises. All keys must have the
        same hash tag. What is `durable` goes over :attr:`Lane.COMMITS`, and is answered when what it has written is as
        durable as is configured.
        """
        command = (b"EVALSHA", script.digest, len(keys), *keys, *arguments)
        lane = Lane.COMMITS if durable else lane
        return self._begin(_Request(self, keys[0], command, lane, script, durable, decode))

    def post(self, key: bytes, *command: Word) -> None:
        """Sends a command for whose reply nobody waits. If it fails that is logged, once for each fault."""
        self.call(key, *command).add_done_callback(_forget)

    def give_up(self) -> None:
        """Ends all connections: what is under way fails, and so does what is begun from now on."""
        self._closed = True
        if self._finding is not None:
            self._finding.cancel()
        for pipe in self._all_pipes():
            pipe.close()

    async def close(self) -> None:
        """Waits for what is under way, and ends all connections."""
        await self._idle.wait()
        self.give_up()
        if self._finding is not None:
            await asyncio.wait([self._finding])
        for pipe in self._all_pipes():
            await pipe.wait_closed()

    # --- for what has connections of its own to the same servers ------------------------------------------------------

    @property
    def database(self) -> int:
        """The number of the database that is used."""
        return self._login.database

    async def connect(self, make: Callable[[float], L], address: Address) -> L:
        """A connection of this kind. Raises OSError, and :class:`Refused`."""
        return await connect_as(make, address, self._login, self._timeout)

    def locate(self, key: bytes) -> Address | None:
        """The server that has the key, as far as is known."""
        slots = self._layout.slots
        if slots is None:
            return self._layout.servers[0]
        return slots[key_slot(key)]

    def follow(self, key: bytes, error: hiredis.ReplyError) -> bool:
        """Takes note of where the key is, as the error MOVED says; False: there are no others."""
        slots, slot = self._layout.slots, key_slot(key)
        if slots is None:
            return False
        owner, slots[slot] = slots[slot], self._address_in(error, key)
        if owner != slots[slot]:
            self.lapses.moved({slot})
        self.doubt()
        return True

    def watch(self, changed: Callable[[bool], None]) -> None:
        """Has `changed` called when other servers may have what these had; with True if they may be behind the same
        addresses.
        """
        self._watchers.append(changed)

    def watch_calls(self, called: Called) -> None:
        """Has `called` told of all commands but those that wait for something to read."""
        self._called = called

    def met(self, error: Exception) -> None:
        """Has the log told of a fault, unless it has been."""
        self._faults.met(error, self._loop.time())

    def doubt(self) -> None:
        """Has the servers found anew, if they can be others than before."""
        if self._topology.changes and self._finding is None and not self._closed:
            self._finding = self._loop.create_task(self._find())

    # --- where commands go --------------------------------------------------------------------------------------------

    def _begin(self, request: _Request) -> asyncio.Future[Any]:
        if request.lane is not Lane.WAITING:
            self._under_way += 1
            self._idle.clear()
        self.send(request)
        return request.future

    def send(self, request: _Request) -> None:
        """Sends the command to where its key is."""
        address = self.locate(request.key)
        if self._closed:
            request.fail(ConnectionAbortedError("the connections are closed"))
        elif address is None:
            self.doubt()
            self.send_later(request, ConnectionError("no server has the key"))
        else:
            self._pipe(address, request.lane).send(request)

    def send_later(self, request: _Request, error: Exception) -> None:
        """Sends the command again in a moment, if there is time; else it has failed for this reason."""
        if self._loop.time() + _PAUSE < request.deadline and not self._closed:
            self._loop.call_later(_PAUSE, self.send, request)
        else:
            request.fail(error)

    def _pipe(self, address: Address, lane: Lane) -> Pipe:
        lanes = self._pipes.get(address)
        if lanes is None:
            lanes = self._pipes[address] = tuple(
                Pipe(address, self._login, self._timeout, self.doubt, self.lapses.linked, confirmation)
                for confirmation in (self._confirmation, None, None)
            )
        return lanes[lane]

    def _all_pipes(self) -> list[Pipe]:
        return [*(pipe for lanes in self._pipes.values() for pipe in lanes), *self._retired]

    # --- what commands meet -------------------------------------------------------------------------------------------

    def refused(self, request: _Request, error: hiredis.ReplyError) -> None:
        """A server has answered with an error: it has not carried out the command."""
        code = faults.code_of(error)
        if code == "NOSCRIPT" and request.teach():
            self.send(request)
        elif code == "MOVED" and request.may_go_on():
            self._moved(request, error)
        elif code == "ASK" and request.may_go_on():
            # This time only, and only for who says that it knows so.
            pipe = self._pipe(self._address_in(error, request.key), request.lane)
            pipe.send(_Asking())
            pipe.send(request)
        elif code in faults.PASSING:
            if code == "READONLY":
                self._renew(request)
            elif code == "CLUSTERDOWN":
                self.doubt()
            self.send_later(request, error)
        else:
            request.fail(error)

    def _moved(self, request: _Request, error: hiredis.ReplyError) -> None:
        if self.follow(request.key, error):
            self.send(request)
        else:
            request.fail(error)

    def _address_in(self, error: hiredis.ReplyError, key: bytes) -> Address:
        """The address that a MOVED or ASK names."""
        host, _, port = str(error).split()[2].rpartition(":")
        if not host and (asked := self.locate(key)) is not None:
            host = asked.host
        return Address(host.strip("[]"), int(port))

    def _renew(self, request: _Request) -> None:
        """What is behind the address is not what it was."""
        if self._topology.changes:
            self.doubt()
        elif (address := self.locate(request.key)) is not None:
            for pipe in self._pipes[address]:
                pipe.renew()
            for changed in self._watchers:
                changed(True)

    def ended(self, request: _Request, error: Exception | None = None) -> None:
        """A command has come to its end: well, or by this error."""
        if request.lane is Lane.WAITING:
            return
        self._called(request.lane.name.lower(), perf_counter() - request.begun, error is not None)
        if error is not None:
            self._faults.met(error, self._loop.time())
        elif self._faults.current is not None:
            self._faults.over(self._loop.time())
        self._under_way -= 1
        if not self._under_way:
            self._idle.set()

    # --- which servers there are --------------------------------------------------------------------------------------

    async def _find(self) -> None:
        try:
            self._lay_out(await self._topology.find(tuple(self._layout.servers)))
        except (OSError, Refused) as error:
            log.debug("the servers of Redis could not be found", error=str(error))
        finally:
            # Not again at once: those who tell of a change may know of it before those who are asked.
            self._loop.call_later(_PAUSE, self._found)

    def _found(self) -> None:
        self._finding = None

    def _lay_out(self, layout: Layout) -> None:
        before, self._layout = self._layout, layout
        for changed in self._watchers:
            changed(False)
        if layout.slots is not None and before.slots is not None and layout.slots != before.slots:
            owners = enumerate(zip(before.slots, layout.slots, strict=True))
            self.lapses.moved({slot for slot, (owner, other) in owners if owner != other})
        elif layout.slots is None and before.servers and layout.servers != before.servers:
            self.lapses.replaced()
        for address in [address for address in self._pipes if address not in layout.servers]:
            for pipe in self._pipes.pop(address):
                pipe.retire()
                self._retired.add(pipe)
                # Whatever it is still owed has come by then, or never will.
                self._loop.call_later(2 * self._timeout, self._drop, pipe)

    def _drop(self, pipe: Pipe) -> None:
        if pipe in self._retired:
            self._retired.remove(pipe)
            pipe.close()


class _Request:
    """A command on its way, with the future of who waits for its reply."""

    __slots__ = (
        "_command",
        "_decode",
        "_hops",
        "_script",
        "_servers",
        "begun",
        "data",
        "deadline",
        "durable",
        "future",
        "key",
        "lane",
    )

    #: How often a command is told to go elsewhere, before it is clear that it goes in circles.
    _MOST_HOPS = 16

    def __init__(
        self,
        servers: Servers,
        key: bytes,
        command: tuple[Word, ...],
        lane: Lane,
        script: Script | None = None,
        durable: bool = False,
        decode: Callable[[Any], Any] | None = None,
    ) -> None:
        loop = servers._loop
        self.key = key
        self.lane = lane
        self.durable = durable
        self.data = pack(*command)
        self.future: asyncio.Future[Any] = loop.create_future()
        self.begun = perf_counter()
        self.deadline = loop.time() + servers._timeout
        self._servers = servers
        self._command = command
        self._script = script
        self._decode = decode
        self._hops = 0

    def teach(self) -> bool:
        """Has the whole script sent, which the server does not know; False: it has been already."""
        if self._script is None:
            return False
        self._command = (b"EVAL", self._script.source, *self._command[2:])
        self.data = pack(*self._command)
        self._script = None
        return True

    def may_go_on(self) -> bool:
        self._hops += 1
        return self._hops <= self._MOST_HOPS

    # --- called by the pipe -------------------------------------------------------------------------------------------

    def replied(self, reply: Any) -> None:
        if isinstance(reply, hiredis.ReplyError):
            self._servers.refused(self, reply)
            return
        if not self.future.done():
            try:
                self.future.set_result(reply if self._decode is None else self._decode(reply))
            except Exception as error:
                self.future.set_exception(error)
        self._servers.ended(self)

    def lost(self, error: Exception) -> None:
        self.fail(error, unknown=True)

    def unsent(self, error: Exception, hopeless: bool) -> None:
        if hopeless:
            self.fail(error)
        else:
            self._servers.send_later(self, error)

    def fail(self, error: Exception, *, unknown: bool = False) -> None:
        if not self.future.done():
            self.future.set_exception(faults.unavailable(error, unknown=unknown))
        self._servers.ended(self, error)


class _Asking:
    """Says that the next command has been sent here by the server that had its key."""

    data = pack("ASKING")
    durable = False

    def replied(self, reply: Any) -> None:
        pass

    def lost(self, error: Exception) -> None:
        pass

    def unsent(self, error: Exception, hopeless: bool) -> None:
        pass


def _ignore(_lane: str, _seconds: float, _failed: bool) -> None:
    """Nobody wants to know."""


def _forget(future: asyncio.Future[Any]) -> None:
    """Takes note of a failure that has been logged."""
    if not future.cancelled():
        future.exception()
