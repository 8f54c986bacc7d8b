"""The load generator: a server, a fleet of members who move their cursors, and a report of what arrived.

`run_load` starts a gateway of its own, or drives one that is running, or several whose rooms span them, or servers that
are no gateways. Server and generator are kept on different cores where there are two, so that neither takes the other's
time. The order of a run:

1. connections are opened and join their rooms;
2. warm-up: everybody sends, nothing is measured;
3. measured time: the server's processor time, deliveries and latencies count from here;
4. nobody sends any more, and the clock runs on until the last update of each member has reached all others.

`run_idle` opens connections that join nothing and say nothing, and weighs them.
"""

from __future__ import annotations

import math
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Any

import jwt

from fastcollab.bench._deflate import Inflater
from fastcollab.bench._load import Fleet
from fastcollab.bench.connect import Dial, close_politely, open_connections
from fastcollab.bench.cost import CostMeter
from fastcollab.bench.process import Memory
from fastcollab.bench.report import IdleReport, LoadReport, Percentiles
from fastcollab.bench.server import ConfigSections, Cores, Server, gateway, pinned, raise_file_limit

FIRST_USER = 1_000_001
_IDLE_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Peer:
    """What speaks another protocol than the gateway, but passes the same cursors on.

    `dial` says how to get into the room of a number, and `preamble` is the text message that has to go before each
    cursor, if there is one. Nobody asks for tokens.
    """

    name: str
    dial: Callable[[int], Dial]
    preamble: bytes = b""


#: Forwards what it gets to all whose path is the same.
BARE_RELAY = Peer("bare", lambda room: Dial(f"/room/{room}"))


@dataclass(frozen=True, slots=True)
class LoadOptions:
    """What `run_load` does. ValueError, naming the field, if a value makes no sense.

    `rooms`, `members`
        how many rooms, and members in each.
    `hz`, `grid`, `burst`
        updates per second of each member, spread over the period in steps of `grid` seconds, or all at once.
    `seconds`, `warmup`, `drain`
        measured time, time before it, and the longest wait for final updates after it.
    `plain`
        speak ``fastcollab.v1``, with a WebSocket message for each update, instead of ``fastcollab.v1.batch``.
    `compression`
        offer permessage-deflate, and compress cursors where it is agreed upon.
    `urls`, `server_pids`, `secret`
        drive servers that are running, instead of starting a gateway: their ``ws://`` addresses, over which the members
        of each room are spread by turns, their processes (for their cost, which is told in one sum; they have to be on
        this machine), and the secret that signs tokens for them.
    `peer`
        the servers at `urls` are no gateways, but these.
    `config`
        settings of the gateway that is started, by section: ``{"fanout": {"min_interval_ms": 5.0}}``.
    """

    rooms: int = 1
    members: int = 100
    hz: float = 60.0
    seconds: float = 10.0
    warmup: float = 1.0
    drain: float = 3.0
    grid: float = 0.002
    burst: bool = False
    plain: bool = False
    compression: bool = False
    urls: Sequence[str] = ()
    server_pids: Sequence[int] = ()
    secret: str | None = None
    peer: Peer | None = None
    config: ConfigSections = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not (self.rooms >= 1 and self.members >= 2):
            raise ValueError(f"rooms and members: at least 1 room of 2, not {self.rooms} of {self.members}")
        if not 0 < self.hz <= 10_000:
            raise ValueError(f"hz: above 0 and at most 10,000, not {self.hz}")
        if not (self.seconds > 0 and self.warmup >= 0 and self.drain >= 0):
            raise ValueError("seconds, warmup and drain: seconds above 0, the others not below")
        if self.peer is not None and not self.urls:
            raise ValueError("urls: a server that is no gateway is not started")
        if self.urls and self.peer is None and self.secret is None:
            raise ValueError("secret: tokens for the gateway at the url have to be signed")
        if len(self.urls) > self.members:
            raise ValueError(f"urls: {self.members} members cannot be spread over {len(self.urls)}")

    @property
    def subprotocol(self) -> str:
        return "fastcollab.v1" if self.plain else "fastcollab.v1.batch"


@dataclass(frozen=True, slots=True)
class IdleOptions:
    """What `run_idle` does: how many connections, and to which server, as in `LoadOptions`."""

    connections: int = 5000
    url: str | None = None
    server_pid: int | None = None
    secret: str | None = None
    config: ConfigSections = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.connections < 1:
            raise ValueError(f"connections: at least 1, not {self.connections}")
        if self.url is not None and (self.server_pid is None or self.secret is None):
            raise ValueError("server_pid and secret: both are needed to weigh connections to the server at the url")


def run_load(options: LoadOptions, while_measured: AbstractContextManager[object] | None = None) -> LoadReport:
    """Drives a server as `options` say. LoadError if it cannot be started, reached, or be spoken to.

    `while_measured` is entered when the measured time begins, and left when it ends.
    """
    with connected_fleet(options) as (fleet, pids):
        return _measure(fleet, pids, options, while_measured or nullcontext())


@contextmanager
def connected_fleet(options: LoadOptions) -> Iterator[tuple[Fleet, Sequence[int]]]:
    """A fleet whose members are in their rooms, and the processes of the servers that they are connected to, as far as
    these are known. It is to be driven within. LoadError as in `run_load`.
    """
    count = options.rooms * options.members
    raise_file_limit(count + 256)
    cores = Cores.available()
    grid = 1 / options.hz if options.burst else min(options.grid, 1 / options.hz)
    preamble = options.peer.preamble if options.peer is not None else b""
    nodes = max(1, len(options.urls))
    fleet = Fleet(options.rooms, options.members, options.hz, FIRST_USER, grid, nodes, preamble)
    with ExitStack() as cleanup:
        if options.urls:
            servers = [Server.at(url, None, options.secret) for url in options.urls]
            pids = options.server_pids
        else:
            servers = [cleanup.enter_context(gateway(_load_config(options), core=cores.server))]
            pids = [server.pid for server in servers if server.pid is not None]
        cleanup.enter_context(pinned(cores.generator))
        for node, server in enumerate(servers):
            _connect(fleet, server, [index for index in range(count) if fleet.node_of(index) == node], options, cleanup)
        yield fleet, pids


def _connect(fleet: Fleet, server: Server, members: Sequence[int], options: LoadOptions, cleanup: ExitStack) -> None:
    """Connects these members of the fleet to the server; `cleanup` closes their connections."""

    def attach(turn: int, connection: socket.socket, received: bytes, inflater: Inflater | None) -> None:
        cleanup.callback(close_politely, connection)
        fleet.attach(members[turn], connection.fileno(), received, inflater)

    open_connections(
        (server.host, server.port),
        [_member_dial(options.peer, server, index, index // options.members) for index in members],
        subprotocol=options.subprotocol,
        on_open=attach,
        compression=options.compression,
        while_waiting=fleet.poll,
    )


def run_idle(options: IdleOptions) -> IdleReport:
    """Opens connections, leaves them alone, and reports the server's memory. LoadError as in `run_load`."""
    raise_file_limit(options.connections + 256)
    cores = Cores.available()
    connections: list[socket.socket] = []
    with ExitStack() as cleanup:
        server = cleanup.enter_context(_idle_server(options, cores.server))
        cleanup.enter_context(pinned(cores.generator))
        assert server.pid is not None  # IdleOptions and gateway() see to it.

        def keep(_: int, connection: socket.socket, __: bytes, ___: object) -> None:
            cleanup.callback(close_politely, connection)
            connections.append(connection)

        before, began = Memory.of(server.pid), time.monotonic()
        open_connections(
            (server.host, server.port),
            [gateway_dial(server, index, room=None) for index in range(options.connections)],
            subprotocol="fastcollab.v1.batch",
            on_open=keep,
        )
        opened = time.monotonic() - began
        time.sleep(_IDLE_SECONDS)
        after = Memory.of(server.pid)
        return IdleReport(options.connections, sum(map(_has_ended, connections)), opened, before, after)


def _load_config(options: LoadOptions) -> ConfigSections:
    """Settings that let the load through where it exceeds what the default configuration is for."""
    needed: dict[str, dict[str, Any]] = {
        "limits": {"cursor_updates": max(60, math.ceil(options.hz))},
        "presence": {"cursor_interval_ms": min(16.67, 1000 / options.hz)},
        "rooms": {"max_participants": max(500, options.members)},
    }
    for section, settings in options.config.items():
        needed.setdefault(section, {}).update(settings)
    return needed


@contextmanager
def _idle_server(options: IdleOptions, core: int | None) -> Iterator[Server]:
    if options.url is None:
        with gateway(options.config, core=core) as server:
            yield server
        return
    yield Server.at(options.url, options.server_pid, options.secret)


def gateway_dial(server: Server, index: int, room: str | None) -> Dial:
    """The connection of a user of its own to a gateway."""
    number = FIRST_USER + index
    return Dial(server.path, load_token(server, number), number, room)


def load_token(server: Server, number: int) -> str:
    """A token for the user of this number, with which two hours may be spent in every room of a gateway."""
    claims = {"sub": str(number), "exp": int(time.time()) + 7200, "rooms": {"*": "write"}}
    return jwt.encode(claims, server.secret or "", "HS256")


def _member_dial(peer: Peer | None, server: Server, index: int, room: int) -> Dial:
    return gateway_dial(server, index, f"load-{room}") if peer is None else peer.dial(room)


def _has_ended(connection: socket.socket) -> bool:
    """Whether the server has closed it; what it may have sent before is read and thrown away."""
    try:
        while connection.recv(65536):
            pass
    except BlockingIOError:
        return False
    except OSError:
        pass
    return True


def _measure(
    fleet: Fleet, pids: Sequence[int], options: LoadOptions, while_measured: AbstractContextManager[object]
) -> LoadReport:
    fleet.drive(options.warmup)
    fleet.start_measuring()
    with while_measured:
        meter = CostMeter(pids) if pids else None
        delivered, own_cpu, began = fleet.delivered, time.process_time(), time.monotonic()
        fleet.drive(options.seconds)
        drained = fleet.drain(options.drain)
        seconds, own_cpu = time.monotonic() - began, time.process_time() - own_cpu
        deliveries = fleet.delivered - delivered
        cost = meter.read(seconds, deliveries) if meter is not None else None
    spread = fleet.nodes > 1
    return LoadReport(
        rooms=fleet.rooms,
        members=fleet.members,
        hz=fleet.hz,
        nodes=fleet.nodes,
        protocol=options.peer.name if options.peer is not None else options.subprotocol,
        burst=options.burst,
        seconds=seconds,
        drain_seconds=drained,
        deliveries=deliveries,
        deliveries_per_second=deliveries / seconds,
        latency_ms=Percentiles.of(fleet.latency),
        latency_within_ms=Percentiles.of(fleet.latency_within) if spread else None,
        latency_across_ms=Percentiles.of(fleet.latency_across) if spread else None,
        updates_sent=fleet.sent,
        coalesced_or_lost=fleet.expected - fleet.delivered,
        finals_missing=fleet.finals_missing(),
        stale=fleet.stale,
        foreign=fleet.foreign,
        malformed=fleet.malformed,
        disconnects=fleet.disconnects,
        close_codes=fleet.close_codes,
        error_messages=fleet.error_messages,
        errors=[text.decode(errors="replace") for text in fleet.errors],
        updates_blocked=fleet.blocked,
        lateness_ms=Percentiles.of(fleet.lateness),
        generator_cpu_share=own_cpu / seconds,
        received_bytes=fleet.received_bytes,
        server=cost,
    )
