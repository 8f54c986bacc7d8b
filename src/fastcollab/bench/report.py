"""What a load run found, as data, as JSON and as a table for people."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

from rich.table import Table

from fastcollab.bench._histogram import Histogram
from fastcollab.bench.process import Memory


@dataclass(frozen=True, slots=True)
class Percentiles:
    """Of a time, in milliseconds, to at most 1 % of its value."""

    p50: float
    p90: float
    p99: float
    max: float

    @classmethod
    def of(cls, microseconds: Histogram) -> Percentiles:
        p50, p90, p99 = (microseconds.percentile(share) / 1000 for share in (0.5, 0.9, 0.99))
        return cls(p50, p90, p99, microseconds.maximum / 1000)

    def __str__(self) -> str:
        return f"p50 {self.p50:.2f}  p90 {self.p90:.2f}  p99 {self.p99:.2f}  max {self.max:.2f} ms"


@dataclass(frozen=True, slots=True)
class ServerCost:
    """What the server, or all servers together, used while measured; user and system time are to the clock tick."""

    cpu_seconds: float
    user_seconds: float
    system_seconds: float
    cpu_share: float  # of one core
    wait_share: float  # of the time, in which the server was ready to run and something else had its core
    cpu_us_per_delivery: float | None  # None: nothing was delivered
    memory_before: Memory
    memory_after: Memory

    def add_to(self, table: Table) -> None:
        """The figures that people ask for first, as rows."""
        if self.cpu_us_per_delivery is not None:
            table.add_row("server CPU per delivery", f"{self.cpu_us_per_delivery:.3f} µs")
        table.add_row("server CPU", f"{self.cpu_share:.1%} of a core, waited for it {self.wait_share:.1%}")
        table.add_row("server memory", f"{_mib(self.memory_before.rss)} before, {_mib(self.memory_after.rss)} after")


@dataclass(frozen=True, slots=True)
class LoadReport:
    """One load run.

    The measured time begins after the warm-up and ends when every final update has arrived, or when the wait
    for them is over; deliveries and processor time are of this time. Latencies are of the updates sent in it.
    The other counts are of the whole run, from the first update.
    """

    rooms: int
    members: int
    hz: float
    nodes: int  # servers over which the members of each room were spread
    protocol: str
    burst: bool
    seconds: float  # measured time
    drain_seconds: float  # of these, after the last update was sent
    deliveries: int
    deliveries_per_second: float
    latency_ms: Percentiles
    latency_within_ms: Percentiles | None  # of these, between members at one server; None: there is but one
    latency_across_ms: Percentiles | None  # … and from one server to another
    updates_sent: int
    coalesced_or_lost: int  # updates times (members - 1), less deliveries
    finals_missing: int  # pairs of members whose last update did not arrive
    stale: int  # records not newer than one delivered before
    foreign: int  # records of users who are not in the room
    malformed: int
    disconnects: int
    close_codes: list[int]
    error_messages: int
    errors: list[str]  # the first of them
    updates_blocked: int  # not sent since the server did not read
    lateness_ms: Percentiles  # of the generator: from when an update was due to when it was sent
    generator_cpu_share: float  # of one core
    received_bytes: int
    server: ServerCost | None  # None: the process is not known

    @property
    def sound(self) -> bool:
        """Whether nothing was lost and nothing went wrong."""
        faults = (self.finals_missing, self.stale, self.foreign, self.malformed, self.disconnects)
        return not any(faults) and not self.error_messages

    def as_json(self) -> str:
        """All of it, as one JSON object."""
        return json.dumps(asdict(self), indent=2)

    def as_table(self) -> Table:
        """The figures that people ask for first."""
        table = Table(
            "",
            "",
            title=f"{self.rooms} × {self.members} members at {self.hz:g} Hz, {self.protocol}"
            + (f", over {self.nodes} nodes" if self.nodes > 1 else ""),
            show_header=False,
        )
        lateness = self.lateness_ms
        table.add_row("measured", f"{self.seconds:.2f} s, {self.drain_seconds:.3f} s of it after the last update")
        table.add_row("deliveries", f"{self.deliveries:,}, {self.deliveries_per_second:,.0f} a second")
        latencies = {
            "latency": self.latency_ms,
            "… within a node": self.latency_within_ms,
            "… across nodes": self.latency_across_ms,
        }
        for name, each in latencies.items():
            if each is not None:
                table.add_row(name, str(each))
        if self.server is not None:
            self.server.add_to(table)
        table.add_row("generator CPU", f"{self.generator_cpu_share:.1%} of a core, late by p99 {lateness.p99:.2f} ms")
        table.add_row("updates sent", f"{self.updates_sent:,}, and {self.updates_blocked:,} held back")
        table.add_row("coalesced or lost", f"{self.coalesced_or_lost:,}")
        table.add_row("final updates missing", f"{self.finals_missing:,}")
        faults = {
            "stale": self.stale,
            "foreign": self.foreign,
            "malformed": self.malformed,
            "disconnected": self.disconnects,
            "error messages": self.error_messages,
        }
        for name, count in faults.items():
            if count:
                table.add_row(name, f"[red]{count:,}[/]")
        for error in self.errors:
            table.add_row("", error)
        return table


@dataclass(frozen=True, slots=True)
class IdleReport:
    """What idle connections cost the server."""

    connections: int
    lost: int  # of these, closed by the server before the end
    open_seconds: float
    memory_before: Memory
    memory_after: Memory

    @property
    def bytes_per_connection(self) -> float:
        """Growth of the server's private memory for each connection."""
        return (self.memory_after.private - self.memory_before.private) / self.connections

    @property
    def sound(self) -> bool:
        """Whether all connections lived to the end."""
        return not self.lost

    def as_json(self) -> str:
        """All of it, as one JSON object."""
        return json.dumps({**asdict(self), "bytes_per_connection": self.bytes_per_connection}, indent=2)

    def as_table(self) -> Table:
        """The figures that people ask for first."""
        table = Table("", "", title=f"{self.connections:,} idle connections", show_header=False)
        table.add_row("opened in", f"{self.open_seconds:.1f} s")
        for name in ("rss", "pss", "private"):
            before, after = getattr(self.memory_before, name), getattr(self.memory_after, name)
            table.add_row(f"server memory, {name}", f"{_mib(before)} before, {_mib(after)} after")
        table.add_row("for each connection", f"{self.bytes_per_connection / 1024:.1f} KiB")
        if self.lost:
            table.add_row("closed by the server", f"[red]{self.lost:,}[/]")
        return table


def _mib(size: int) -> str:
    return f"{size / 2**20:.1f} MiB"
