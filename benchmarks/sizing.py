"""How many gateways a Redis carries, and what many need: arithmetic on measured costs. ``python -m benchmarks.sizing``

A thousand nodes do not fit on one machine, but what they cost is the sum of few things, each of which can be measured
here: what Redis takes to publish a bundle and to deliver it to a node, what a node takes to publish and to hear one, a
beat when so many nodes live, a look at a room, an operation, and somebody who comes and goes. How often each happens
follows from how the nodes work together; `Demand` is that arithmetic. ``N`` nodes have ``R`` open rooms each, of which
``A`` are lively, and a room spans ``SPAN`` nodes and is on one of ``C`` channels at random. So a node hears
``H = C (1 - (1 - 1/C)^R)`` channels, one on which it says something is heard by ``h = SPAN + (N - SPAN) H / C`` nodes,
and at each flush, of which there are 60 a second at the most, it has something to say on ``C (1 - (1 - 1/C)^A)``
channels:

=========== ================================================= ======================
            a second                                          to
=========== ================================================= ======================
cursors     60 bundles for each node and channel with a       ``h`` nodes each
            lively room
probes      a bundle for each channel that is heard           ``h`` nodes each
beats       three in a lease for each node                    one, with ``N`` names
looks       one in 30 s for each room at a node               one, with the roster
operations  ``O`` in the rooms of each node                   ``SPAN`` nodes
visits      ``V`` at each node                                ``SPAN`` nodes
=========== ================================================= ======================

The last two do not grow with ``N``. An operation is one by itself, committed and told to a room of ten at two nodes; a
visit is a connection that is made, joins such a room, leaves it, and ends. What is not in it: the network.
"""

from __future__ import annotations

import asyncio
import json
import os
import platform
import socket
import statistics
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Annotated

import jwt
import typer
import uvloop
from rich.console import Console
from rich.table import Table
from tests.redis_servers import RedisServer

from benchmarks.cluster.contenders import Cluster, Meter, Usage, run_gateways, start_redis
from fastcollab._bundle import encode_bundle
from fastcollab.bench.connect import close_politely, open_connections
from fastcollab.bench.load import gateway_dial
from fastcollab.bench.process import cpu_seconds
from fastcollab.bench.server import Cores, Server, pinned
from fastcollab.client import CollaborativeClient
from fastcollab.config import EngineConfig
from fastcollab.core.roster import Person
from fastcollab.engines.redis.engine import open_redis
from fastcollab.engines.redis.names import Names

RESULTS = Path(__file__).parent / "results" / "sizing.json"
NAMES = Names("fastcollab")
ELSEWHERE = b"sizing".ljust(16)
HEARERS = 1, 50
NODES = 10, 100, 1000
ROOM = "load-0"
MEMBERS = 10

#: Rooms, lively rooms, and a second operations and visits, of each node.
SHAPES = {"quiet": (100, 0, 0.0, 0.1), "usual": (100, 20, 40.0, 1.0), "busy": (500, 200, 400.0, 10.0)}
Shape = tuple[int, int, float, float]
CLUSTERS = 10, 100, 1000
CHANNELS = 16, 512, 16_384
REDIS_CORES = 1, 20
MOST = 5_000

#: A core of Redis or of a node is full above this share, since what comes in bursts has to wait otherwise.
FULL = 0.5
LEASE, PERIOD, FLUSHES = 15.0, 30.0, 60.0
SPAN = 2


@dataclass(frozen=True, slots=True)
class Use:
    """What something takes: µs of processor time, of Redis and of all nodes that it concerns, commands, with those
    within scripts, and bytes between them.
    """

    redis: float
    nodes: float
    commands: float
    bytes: float


@dataclass(frozen=True, slots=True)
class Costs:
    """Measured, in µs of processor time."""

    publish: float  # of Redis, for a bundle that nobody hears
    deliver: float  # of Redis, for each node that hears it
    say: float  # of a node, for a bundle among many that leave together
    hear: float  # of a node, for a bundle that is not about its rooms
    beat: dict[int, float]  # of Redis, by the number of nodes
    look_redis: float
    look_node: float
    operation: Use
    visit: Use


@dataclass(frozen=True, slots=True)
class Demand:
    """Of a cluster: bundles a second, and cores that are busy."""

    nodes: int
    channels: int
    rooms: int
    lively: int
    operations: float
    visits: float

    @property
    def heard(self) -> float:
        """Channels that a node hears."""
        return self._occupied(self.rooms)

    @property
    def hearers(self) -> float:
        """Nodes that hear a channel."""
        span = min(SPAN, self.nodes)
        return span + (self.nodes - span) * self.heard / self.channels

    @property
    def published(self) -> float:
        """Bundles a second, of all nodes."""
        probes = min(self.channels, self.nodes * self.heard)
        return self.nodes * self._occupied(self.lively) * FLUSHES + probes

    def bus_cores(self, costs: Costs) -> float:
        """Of Redis."""
        return self.published * (costs.publish + self.hearers * costs.deliver) / 1e6

    def kept_cores(self, costs: Costs) -> float:
        """Of Redis, for beats and looks."""
        beats = 3 * self.nodes / LEASE * beat_cost(costs, self.nodes)
        return (beats + self.nodes * self.rooms / PERIOD * costs.look_redis) / 1e6

    def people_cores(self, costs: Costs) -> float:
        """Of Redis, for operations and visits."""
        return self.nodes * (self.operations * costs.operation.redis + self.visits * costs.visit.redis) / 1e6

    def redis_cores(self, costs: Costs) -> float:
        """In all."""
        return self.bus_cores(costs) + self.kept_cores(costs) + self.people_cores(costs)

    def node_cores(self, costs: Costs) -> float:
        """Of each node, for what it says, hears and looks at, and for its share of operations and visits."""
        says = self.published / self.nodes * costs.say
        hears = self.published * self.hearers / self.nodes * costs.hear
        people = self.operations * costs.operation.nodes + self.visits * costs.visit.nodes
        return (says + hears + self.rooms / PERIOD * costs.look_node + people) / 1e6

    def _occupied(self, rooms: int) -> float:
        return self.channels * (1 - (1 - 1 / self.channels) ** rooms)


def beat_cost(costs: Costs, nodes: int) -> float:
    """By a line through what was measured: names are listed one by one."""
    (few, cheap), *_, (many, dear) = sorted(costs.beat.items())
    return max(0.0, cheap + (dear - cheap) * (nodes - few) / (many - few))


# --- measuring ----------------------------------------------------------------------------------------------------


@contextmanager
def _hearing(redis: RedisServer, channel: bytes, count: int) -> Iterator[list[socket.socket]]:
    with ExitStack() as cleanup:
        sockets = []
        for _ in range(count):
            hearer = cleanup.enter_context(socket.create_connection(("127.0.0.1", redis.port)))
            hearer.sendall(b"SSUBSCRIBE %b\r\n" % channel)
            hearer.recv(1000)
            sockets.append(hearer)
        yield sockets


def _publishing(channel: bytes, bundle: bytes) -> bytes:
    return b"*3\r\n$8\r\nSPUBLISH\r\n$%d\r\n%b\r\n$%d\r\n%b\r\n" % (len(channel), channel, len(bundle), bundle)


def _receive(connection: socket.socket, size: int) -> None:
    while size:
        got = len(connection.recv(size))
        if not got:
            raise ConnectionError("Redis hung up")
        size -= got


def publishing_cost(redis: RedisServer, pid: int, hearers: int) -> float:
    """Of Redis, in µs, for an ordinary bundle that so many hear; published ten at once, as by a node with ten rooms."""
    channel, times, at_once = NAMES.bus(0), 500, 10
    bundle = encode_bundle(ELSEWHERE, 1, 0, [(1, "a-room", 0, [bytes(24)] * 2)])
    message = b"*3\r\n$8\r\nsmessage\r\n$%d\r\n%b\r\n$%d\r\n%b\r\n" % (len(channel), channel, len(bundle), bundle)
    with (
        _hearing(redis, channel, hearers) as heard,
        socket.create_connection(("127.0.0.1", redis.port)) as publisher,
    ):
        began = cpu_seconds(pid)
        for _ in range(times):
            publisher.sendall(_publishing(channel, bundle) * at_once)
            _receive(publisher, at_once * len(b":%d\r\n" % hearers))
            for hearer in heard:
                _receive(hearer, at_once * len(message))
        return (cpu_seconds(pid) - began) / (times * at_once) * 1e6


def hearing_cost() -> float:
    """Of a gateway, in µs, for a bundle about rooms that it does not have; they come at 5,000 a second."""
    rate, seconds, step = 5000, 3.0, 0.002
    channel = NAMES.bus(zlib.crc32(ROOM.encode()) % 16)
    cores = Cores.available()
    connections: list[socket.socket] = []
    with ExitStack() as cleanup:
        cluster = cleanup.enter_context(run_gateways("none", cores.server))
        cleanup.enter_context(pinned(cores.generator))
        server, pid = Server.at(cluster.urls[0], None, cluster.secret), cluster.pids[0]

        def keep(_: int, connection: socket.socket, __: bytes, ___: object) -> None:
            cleanup.callback(close_politely, connection)
            connections.append(connection)

        open_connections(
            (server.host, server.port), [gateway_dial(server, 0, ROOM)], subprotocol="fastcollab.v1.batch", on_open=keep
        )
        publisher = cleanup.enter_context(socket.create_connection(("127.0.0.1", cluster.redis.port)))
        began = cpu_seconds(pid)
        time.sleep(seconds)
        idle = cpu_seconds(pid) - began
        began, until, number = cpu_seconds(pid), time.monotonic() + seconds, 0
        while time.monotonic() < until:
            for _ in range(int(rate * step)):
                number += 1
                bundle = encode_bundle(ELSEWHERE, number, 0, [(1, "a-room", 0, [bytes(24)] * 2)])
                publisher.sendall(_publishing(channel, bundle))
            _receive(publisher, int(rate * step) * len(b":1\r\n"))
            time.sleep(step)
        return (cpu_seconds(pid) - began - idle) / number * 1e6


async def saying_cost(redis: RedisServer) -> float:
    """Of a node, in µs, for one of 30 bundles that leave together, with the replies."""
    times, at_once = 500, 30
    bundle = encode_bundle(ELSEWHERE, 1, 0, [(1, "a-room", 0, [bytes(24)] * 2)])
    engine = await open_redis(EngineConfig(url=redis.url, channels=at_once))
    assert engine.cluster is not None
    bus = engine.cluster.bus
    await bus.open(lambda _channel, _bundle: None, lambda _channels: None)
    began = time.process_time()
    for _ in range(times):
        bus.publish([(channel, bundle) for channel in range(at_once)])
        await asyncio.sleep(0.001)
    cost = (time.process_time() - began) / (times * at_once) * 1e6
    await bus.close()
    await engine.close()
    return cost


async def keeping_costs(redis: RedisServer, pid: int) -> tuple[dict[int, float], float, float]:
    """Of Redis for a beat, by the number of nodes, and of Redis and a node for a look at a room of ten; in µs."""
    times = 300
    engine = await open_redis(EngineConfig(url=redis.url))
    assert engine.cluster is not None
    beats = {}
    with redis.client() as client:
        for nodes in NODES:
            await engine.cluster.nodes.beat()
            leases = {f"{number:032x}.1": time.time() * 1000 + 3_600_000 for number in range(nodes - 1)}
            client.zadd(NAMES.cluster("leases"), leases)
            began = cpu_seconds(pid)
            for _ in range(times):
                beat = await engine.cluster.nodes.beat()
            beats[nodes] = (cpu_seconds(pid) - began) / times * 1e6
            assert len(beat.alive) == nodes
    persons = [Person(f"user-{number}", number + 1, f"User {number}", "#336699") for number in range(MEMBERS)]
    document = await engine.documents.create(ROOM, "text", "")
    began, own = cpu_seconds(pid), time.process_time()
    for _ in range(times):
        await engine.cluster.rosters.declare(ROOM, persons)
        await engine.documents.history(ROOM, document.epoch, document.version, mark=document.mark)
    looked = (cpu_seconds(pid) - began) / times * 1e6, (time.process_time() - own) / times * 1e6
    await engine.close()
    return beats, *looked


async def people_costs(cluster: Cluster) -> tuple[Use, Use]:
    """For an operation, and for a visit, in a room of ten at two nodes."""
    times, rest = 300, 2.0
    assert cluster.secret is not None
    secret = cluster.secret

    def client(number: int) -> CollaborativeClient:
        token = jwt.encode({"sub": str(number + 1), "exp": int(time.time()) + 3600}, secret, "HS256")
        return CollaborativeClient(cluster.urls[number % len(cluster.urls)], token)

    members = [client(number) for number in range(MEMBERS)]
    for member in members:
        await member.connect()
    rooms = [await member.join_room(ROOM, "text") for member in members]

    async def operations() -> None:
        for number in range(times):
            await rooms[number % 2].submit(["x"])

    async def visits() -> None:
        for number in range(times):
            async with client(MEMBERS + number) as visitor:
                await visitor.join_room(ROOM)
                await visitor.leave_room(ROOM)

    found = []
    for work in (operations, visits):
        meter = Meter(cluster)
        with meter:
            began = time.monotonic()
            await work()
            await asyncio.sleep(rest)  # What is done afterwards belongs to it.
            seconds = time.monotonic() - began
        used = meter.usage
        with meter:
            await asyncio.sleep(rest)
        found.append(_use(used, meter.usage, seconds / rest, times))
    for member in members:
        await member.disconnect()
    return found[0], found[1]


def _use(used: Usage, idle: Usage, stretch: float, times: int) -> Use:
    """Of one of so many, without what there would have been anyway, which was measured for a shorter time."""

    def each(figure: Callable[[Usage], float]) -> float:
        return (figure(used) - stretch * figure(idle)) / times

    return Use(
        each(lambda usage: usage.redis_cpu_seconds * 1e6),
        each(lambda usage: usage.server_cpu_seconds * 1e6),
        each(lambda usage: sum(usage.redis_commands.values())),
        each(lambda usage: usage.redis_bytes_in + usage.redis_bytes_out),
    )


def measure() -> Costs:
    cores = Cores.available()
    with start_redis(cores.server) as redis, pinned(cores.generator):
        assert redis.process is not None
        pid = redis.process.pid
        few, many = (publishing_cost(redis, pid, hearers) for hearers in HEARERS)
        say = uvloop.run(saying_cost(redis))
        beats, look_redis, look_node = uvloop.run(keeping_costs(redis, pid))
    with run_gateways("none", cores.server) as cluster, pinned(cores.generator):
        people = uvloop.run(people_costs(cluster))
    deliver = (many - few) / (HEARERS[1] - HEARERS[0])
    return Costs(few - deliver, deliver, say, hearing_cost(), beats, look_redis, look_node, *people)


# --- telling ------------------------------------------------------------------------------------------------------


def largest(costs: Costs, channels: int, shape: Shape, redis_cores: float) -> int:
    """The most nodes with which neither Redis nor a node is full."""
    nodes = 1
    for step in (1000, 100, 10, 1):
        while True:
            demand = Demand(nodes + step, channels, *shape)
            if demand.redis_cores(costs) > redis_cores * FULL or demand.node_cores(costs) > FULL or nodes + step > MOST:
                break
            nodes += step
    return nodes


def costs_table(costs: Costs) -> Table:
    table = Table("", "µs", title="What was measured, processor time")
    table.add_row("Redis: to publish a bundle", f"{costs.publish:.2f}")
    table.add_row("Redis: to deliver it to a node", f"{costs.deliver:.2f}")
    table.add_row("node: to publish one of 30", f"{costs.say:.2f}")
    table.add_row("node: to hear a bundle", f"{costs.hear:.2f}")
    for nodes, cost in costs.beat.items():
        table.add_row(f"Redis: a beat, {nodes} nodes", f"{cost:.0f}")
    table.add_row("Redis: a look at a room of 10", f"{costs.look_redis:.0f}")
    table.add_row("node: a look at a room of 10", f"{costs.look_node:.0f}")
    for name, use in (("an operation", costs.operation), ("a visit", costs.visit)):
        table.add_row(f"Redis: {name}, {use.commands:.1f} commands, {use.bytes:,.0f} bytes", f"{use.redis:.0f}")
        table.add_row(f"two nodes together: {name}", f"{use.nodes:.0f}")
    return table


def demand_table(costs: Costs, name: str, shape: Shape) -> Table:
    rooms, lively, operations, visits = shape
    title = (
        f"{name}: {rooms} rooms at each node, {lively} lively, {operations:g} operations and {visits:g} visits a second"
    )
    table = Table(title=title)
    shares = ("bus", "beats, looks", "people", "node")
    columns = ("nodes", "channels", "heard", "hearers", "published/s", "delivered/s", *shares)
    for column in columns:
        table.add_column(column, justify="right")
    for nodes in CLUSTERS:
        for channels in CHANNELS:
            demand = Demand(nodes, channels, *shape)
            table.add_row(
                f"{nodes:,}",
                f"{channels:,}",
                f"{demand.heard:,.0f}",
                f"{demand.hearers:,.1f}",
                f"{demand.published:,.0f}",
                f"{demand.published * demand.hearers:,.0f}",
                f"{demand.bus_cores(costs):,.2f}",
                f"{demand.kept_cores(costs):,.2f}",
                f"{demand.people_cores(costs):,.2f}",
                f"{demand.node_cores(costs):.0%}",
            )
    return table


def limits_table(costs: Costs) -> Table:
    table = Table(title=f"The most nodes, if no core is to be busy for more than {FULL:.0%}")
    table.add_column("")
    for channels in CHANNELS:
        for cores in REDIS_CORES:
            table.add_column(f"{channels:,} channels, {cores} Redis", justify="right")
    for name, shape in SHAPES.items():
        each = [largest(costs, channels, shape, cores) for channels in CHANNELS for cores in REDIS_CORES]
        table.add_row(name, *(f"{nodes:,}" + "+" * (nodes >= MOST) for nodes in each))
    return table


def main(
    again: Annotated[bool, typer.Option(help="Measure anew; else what was measured last is told.")] = True,
    rounds: Annotated[int, typer.Option(min=1, help="Of each figure the median counts.")] = 3,
) -> None:
    """Measure what grows with the number of nodes, and work out how far it goes."""
    console = Console()
    console.width = max(console.width, 130)
    if again:
        found = [measure() for _ in range(rounds)]
        costs = median_of(found)
        system = {"system": platform.system(), "machine": platform.machine(), "python": platform.python_version()}
        kept = {**system, "cores": os.cpu_count(), "costs": asdict(costs), "rounds": list(map(asdict, found))}
        RESULTS.write_text(json.dumps(kept, indent=2) + "\n")
    else:
        told = json.loads(RESULTS.read_text())["costs"]
        beat = {int(nodes): cost for nodes, cost in told["beat"].items()}
        uses = {name: Use(**told[name]) for name in ("operation", "visit")}
        costs = Costs(**{**told, "beat": beat, **uses})
    console.print(costs_table(costs))
    for name, shape in SHAPES.items():
        console.print(demand_table(costs, name, shape))
    console.print(limits_table(costs))


def median_of(found: list[Costs]) -> Costs:
    """Figure by figure."""
    single = {
        name: statistics.median(getattr(costs, name) for costs in found)
        for name in ("publish", "deliver", "say", "hear", "look_redis", "look_node")
    }
    beat = {nodes: statistics.median(costs.beat[nodes] for costs in found) for nodes in NODES}
    return Costs(
        **single,
        beat=beat,
        operation=_median_use([costs.operation for costs in found]),
        visit=_median_use([costs.visit for costs in found]),
    )


def _median_use(found: list[Use]) -> Use:
    return Use(*(statistics.median(getattr(use, each.name) for use in found) for each in fields(Use)))


if __name__ == "__main__":
    typer.run(main)
