"""What the replay of a recording found, as data, as JSON and as a table for people."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

from rich.table import Table

from fastcollab.bench.report import Percentiles, ServerCost
from fastcollab.logs import printable


@dataclass(frozen=True, slots=True)
class OperationsReport:
    """What became of the operations, in all rooms together. Latencies count from when one was first sent."""

    recorded: int  # in the recording, times rooms
    acknowledged: int
    unsent: int  # since one before was refused, or its user was gone
    retried: int  # sent again after a refusal that passes
    transformed_then: int  # that the gateway had to transform when they were recorded, times rooms
    transformed_now: int  # of these, in the replay
    ack_latency_ms: Percentiles
    broadcasts: int
    broadcast_latency_ms: Percentiles
    missing: int  # pairs of operations and participants that were not told of them
    version_gaps: int  # acks and broadcasts whose version did not follow the one before
    documents_differ: int  # rooms whose document at the end is not the recorded one


@dataclass(frozen=True, slots=True)
class ReplayReport:
    """One replay. All counts and times are of the whole of it, from the first cue until all has arrived."""

    recording: str
    complete: bool  # whether the recording was brought to its end
    gaps: int  # times that the recorder was away
    copies: int  # rooms
    users: int  # of each
    speed: float
    nodes: int  # servers over which the users of each room were spread
    protocol: str
    seconds: float
    drain_seconds: float  # of these, after the last cue
    deliveries: int  # cursors
    deliveries_per_second: float
    latency_ms: Percentiles
    updates_sent: int
    updates_blocked: int  # not sent since the server did not read, or the user was not in the room
    coalesced_or_lost: int  # updates times others in the room, less deliveries
    finals_missing: int  # pairs of participants of whom the one did not get the other's last update
    stale: int  # records not newer than one delivered before
    foreign: int  # records of users who are not in the room
    malformed: int
    operations: OperationsReport
    disconnects: int
    close_codes: dict[int, int]  # how often each
    error_messages: int
    errors: list[str]  # the first of them
    lateness_ms: Percentiles  # of the replay: from when something was due to when it was sent
    generator_cpu_share: float  # of one core
    received_bytes: int
    server: ServerCost | None  # None: the process is not known

    @property
    def sound(self) -> bool:
        """Whether nothing was lost, nothing went wrong, and all documents are the recorded one."""
        operations = self.operations
        faults = (self.finals_missing, self.stale, self.foreign, self.malformed, self.disconnects, self.error_messages)
        parted = (operations.unsent, operations.missing, operations.version_gaps, operations.documents_differ)
        return not any(faults) and not any(parted)

    def as_json(self) -> str:
        """All of it, as one JSON object."""
        return json.dumps(asdict(self), indent=2)

    def as_table(self) -> Table:
        """The figures that people ask for first."""
        title = f"{printable(self.recording)}: {self.copies} × {self.users} users, {self.speed:g} times as fast"
        table = Table("", "", title=title + (f", over {self.nodes} nodes" if self.nodes > 1 else ""), show_header=False)
        operations = self.operations
        table.add_row("measured", f"{self.seconds:.2f} s, {self.drain_seconds:.3f} s of it after the last cue")
        if not self.complete or self.gaps:
            broken = "" if self.complete else "it breaks off; "
            table.add_row("the recording", f"{broken}the recorder was away {self.gaps:,} times")
        table.add_row("deliveries", f"{self.deliveries:,}, {self.deliveries_per_second:,.0f} a second")
        table.add_row("latency", str(self.latency_ms))
        if operations.recorded:
            transformed = f"{operations.transformed_now:,}, and {operations.transformed_then:,} when they were recorded"
            table.add_row("operations", f"{operations.acknowledged:,} of {operations.recorded:,} acknowledged")
            table.add_row("… until the ack", str(operations.ack_latency_ms))
            table.add_row("… until the broadcast", str(operations.broadcast_latency_ms))
            table.add_row("… that were transformed", transformed)
        if self.server is not None:
            self.server.add_to(table)
        table.add_row(
            "generator CPU", f"{self.generator_cpu_share:.1%} of a core, late by p99 {self.lateness_ms.p99:.2f} ms"
        )
        table.add_row("updates sent", f"{self.updates_sent:,}, and {self.updates_blocked:,} held back")
        table.add_row("coalesced or lost", f"{self.coalesced_or_lost:,}")
        table.add_row("final updates missing", f"{self.finals_missing:,}")
        table.add_row("documents at the end", f"{self.copies - operations.documents_differ:,} as recorded")
        faults = {
            "documents that differ": operations.documents_differ,
            "operations not sent": operations.unsent,
            "operations missing": operations.missing,
            "gaps in the versions": operations.version_gaps,
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
            table.add_row("", printable(error))
        return table
