"""Rooms that span two gateways, beside Socket.IO with its Redis adapter. ``python -m benchmarks.cluster``

Two servers and the Valkey between them share one core, the generator has the other: no speed record, but what the same
work takes on either side, and what the way over Redis adds. The members of each room are spread over both servers. All
that is compared takes turns, and of the rounds the median counts, figure by figure.

*Latency*: cursors at 60 Hz in one room; between members at one server and from one to the other, in the same run where
the room is large enough, in runs that take turns where it is of two.

*Fan-out*: 100 rooms of 10. What all servers and Redis use for a delivered cursor; what Redis does for it. *Not sent on*
are updates that a newer one has overtaken, or that Socket.IO has dropped: it drops what is volatile for a connection
that still has something to write, the last position of a user as well.

*Operations*: editors of texts who submit the next operation when the last is acknowledged (`benchmarks.documents`).
Socket.IO has no documents: its servers pass the same operations on and acknowledge them. Nothing orders, transforms or
stores them, so its figures are those of the transport alone, and no two copies would be the same.

*Workers*: one process against two of ``serve --workers``, on the same Valkey, with the same fan-out and the same
editors. They are on all cores, one of which the generator has too. So on a machine with two cores what counts is the
time that each delivery takes, and not how many there are a second.

The tables go to the standard output, and everything measured to ``benchmarks/results/cluster.json``.
"""

from __future__ import annotations

import json
import os
import platform
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import typer
import uvloop
from rich.console import Console
from rich.table import Table

from benchmarks.cluster.contenders import CONTENDERS, GATEWAYS, PEERS, Cluster, Meter, Usage, run_workers
from benchmarks.documents.fleet import Report as OperationsReport
from benchmarks.documents.fleet import Work, run
from fastcollab.bench.load import LoadOptions, run_load
from fastcollab.bench.report import LoadReport, Percentiles
from fastcollab.bench.server import Cores, pinned

RESULTS = Path(__file__).parent.parent / "results" / "cluster.json"
LATENCY_HZ = 60.0
FANOUT = 100, 10  # rooms, members
FANOUT_HZ = [1.0, 10.0]
#: What servers send to Redis while they are driven.
SENT = ("evalsha", "eval", "spublish", "waitaof", "xread")
DOCUMENTS = {"1 document, 10 clients": (1, 10), "100 documents, 2 clients each": (100, 2)}
WORKERS = 1, 2
WORKERS_HZ = [10.0, 30.0]
WORKERS_DOCUMENTS = 100, 2


@dataclass(frozen=True, slots=True)
class Run:
    """One run: the generator's report, and what the servers and Redis have used meanwhile for each of its `count`
    deliveries or operations.
    """

    report: LoadReport | OperationsReport
    usage: Usage
    count: int

    @property
    def seconds(self) -> float:
        return self.report.seconds

    @property
    def server_us(self) -> float:
        return self.usage.server_cpu_seconds / self.count * 1e6

    @property
    def redis_us(self) -> float:
        return self.usage.redis_cpu_seconds / self.count * 1e6

    @property
    def commands(self) -> int:
        return sum(self.usage.redis_commands.values())

    @property
    def redis_bytes(self) -> int:
        return self.usage.redis_bytes_in + self.usage.redis_bytes_out

    @property
    def latency(self) -> Percentiles:
        return self.report.latency_ms if isinstance(self.report, LoadReport) else self.report.commit_ms

    @property
    def calls(self) -> int:
        """Commands that servers have sent, without those that scripts have carried out."""
        return sum(self.usage.redis_commands.get(name, 0) for name in SENT)

    @property
    def not_sent_on(self) -> float:
        """The share of updates that did not reach a member who should see them."""
        report = self.report
        if not isinstance(report, LoadReport):
            return 0.0
        return report.coalesced_or_lost / (report.updates_sent * (report.members - 1))


Runs = Mapping[str, Sequence[Run]]


def median(runs: Sequence[Run], figure: Callable[[Run], float]) -> float:
    return statistics.median(map(figure, runs))


def drive_cursors(cluster: Cluster, rooms: int, members: int, hz: float, seconds: float, urls: Sequence[str]) -> Run:
    meter = Meter(cluster)
    options = LoadOptions(
        rooms,
        members,
        hz=hz,
        seconds=seconds,
        urls=urls,
        server_pids=cluster.pids,
        secret=cluster.secret,
        peer=cluster.peer,
    )
    report = run_load(options, meter)
    return Run(report, meter.usage, report.deliveries)


def drive_editors(cluster: Cluster, work: Work, seconds: float) -> Run:
    meter = Meter(cluster)
    with pinned(Cores.available().generator):
        report = uvloop.run(run(cluster.endpoint, work, seconds, 1.0, meter))
    return Run(report, meter.usage, report.operations)


def measure_latency(rounds: int, seconds: float) -> dict[str, list[Run]]:
    """Of rooms of two, at one server and spread over both, and of one of ten."""
    runs: dict[str, list[Run]] = {}
    for _ in range(rounds):
        for name in (GATEWAYS, PEERS):
            with CONTENDERS[name](Cores.available().server) as cluster:
                for members, urls in ((2, cluster.urls[:1]), (2, cluster.urls), (10, cluster.urls)):
                    key = f"{name}, room of {members}" + ", at one server" * (len(urls) == 1)
                    found = drive_cursors(cluster, 1, members, LATENCY_HZ, seconds, urls)
                    runs.setdefault(key, []).append(found)
    return runs


def measure_fanout(rounds: int, seconds: float) -> dict[str, list[Run]]:
    runs: dict[str, list[Run]] = {}
    for _ in range(rounds):
        for hz in FANOUT_HZ:
            for name in (GATEWAYS, PEERS):
                with CONTENDERS[name](Cores.available().server) as cluster:
                    found = drive_cursors(cluster, *FANOUT, hz, seconds, cluster.urls)
                    runs.setdefault(f"{name}, {hz:g} Hz", []).append(found)
    return runs


def measure_operations(rounds: int, seconds: float) -> dict[str, list[Run]]:
    runs: dict[str, list[Run]] = {}
    for _ in range(rounds):
        for shape, (documents, members) in DOCUMENTS.items():
            for name, contender in CONTENDERS.items():
                with contender(Cores.available().server) as cluster:
                    found = drive_editors(cluster, Work(documents, members), seconds)
                    runs.setdefault(f"{shape}: {name}", []).append(found)
    return runs


def measure_workers(rounds: int, seconds: float) -> dict[str, list[Run]]:
    runs: dict[str, list[Run]] = {}
    for _ in range(rounds):
        for count in WORKERS:
            workers = f"{count} worker{'s' * (count > 1)}"
            for hz in WORKERS_HZ:
                with run_workers(count) as cluster:
                    found = drive_cursors(cluster, *FANOUT, hz, seconds, cluster.urls)
                runs.setdefault(f"cursors at {hz:g} Hz, {workers}", []).append(found)
            with run_workers(count) as cluster:
                found = drive_editors(cluster, Work(*WORKERS_DOCUMENTS), seconds)
            runs.setdefault(f"operations, {workers}", []).append(found)
    return dict(sorted(runs.items()))


def latency_table(runs: Runs) -> Table:
    table = Table(title=f"Latency of cursors at {LATENCY_HZ:g} Hz, ms")
    for column in ("", "within p50", "within p99", "across p50", "across p99"):
        table.add_column(column, justify="right" if column else "left")
    for name, rounds in runs.items():
        reports = [run.report for run in rounds if isinstance(run.report, LoadReport)]
        cells: list[str] = []
        for each in zip(*map(_within_and_across, reports), strict=True):
            times = [time for time in each if time is not None]
            cells += [f"{statistics.median(time.p50 for time in times):.2f}" if times else ""]
            cells += [f"{statistics.median(time.p99 for time in times):.2f}" if times else ""]
        table.add_row(name, *cells)
    return table


def _within_and_across(report: LoadReport) -> tuple[Percentiles | None, Percentiles | None]:
    if report.latency_across_ms is None:
        return report.latency_ms, None
    return report.latency_within_ms if report.members > 2 else None, report.latency_across_ms


def usage_table(title: str, unit: str, runs: Runs) -> Table:
    table = Table(title=title)
    table.add_column("")
    columns: dict[str, tuple[Callable[[Run], float], str]] = {
        f"{unit}/s": (lambda run: run.count / run.seconds, ",.0f"),
        "not sent on": (lambda run: run.not_sent_on, ".0%"),
        "servers µs": (lambda run: run.server_us, ".2f"),
        "Redis µs": (lambda run: run.redis_us, ".2f"),
        "calls": (lambda run: run.calls / run.count, ".3f"),
        "commands": (lambda run: run.commands / run.count, ".3f"),
        "bytes": (lambda run: run.redis_bytes / run.count, ",.0f"),
        "calls/s": (lambda run: run.calls / run.seconds, ",.0f"),
        "MB/s": (lambda run: run.redis_bytes / 1e6 / run.seconds, ".2f"),
        "p50 ms": (lambda run: run.latency.p50, ".2f"),
        "p99 ms": (lambda run: run.latency.p99, ".2f"),
    }
    for name in columns:
        table.add_column(name, justify="right")
    for name, rounds in runs.items():
        table.add_row(name, *(format(median(rounds, figure), form) for figure, form in columns.values()))
    return table


def main(
    only: Annotated[str, typer.Option(help="Only `latency`, `fanout`, `operations` or `workers`.")] = "",
    rounds: Annotated[int, typer.Option(min=1, help="Runs of each server.")] = 5,
    seconds: Annotated[float, typer.Option(help="Measured time of one run.")] = 3.0,
) -> None:
    """Measure rooms that span two gateways, beside Socket.IO with its Redis adapter."""
    console = Console()
    console.width = max(console.width, 130)
    parts: dict[str, Callable[[int, float], dict[str, list[Run]]]] = {
        "latency": measure_latency,
        "fanout": measure_fanout,
        "operations": measure_operations,
        "workers": measure_workers,
    }
    if only and only not in parts:
        raise typer.BadParameter(f"there is no part {only}")
    tables: dict[str, Callable[[Runs], Table]] = {
        "latency": latency_table,
        "fanout": lambda runs: usage_table("100 rooms of 10, for each delivered cursor", "cursors", runs),
        "operations": lambda runs: usage_table("Operations at full speed, for each", "operations", runs),
        "workers": lambda runs: usage_table("Workers: 100 rooms of 10, and 100 documents", "done", runs),
    }
    results: dict[str, dict[str, list[Run]]] = {}
    for name, measure in parts.items():
        if only in ("", name):
            results[name] = measure(rounds, seconds)
            console.print(tables[name](results[name]))
    system = {"system": platform.system(), "machine": platform.machine(), "python": platform.python_version()}
    told = {part: {name: list(map(asdict, runs)) for name, runs in found.items()} for part, found in results.items()}
    # A part that was not measured stays as it was.
    before = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    RESULTS.write_text(json.dumps({**before, **system, "cores": os.cpu_count(), **told}, indent=2) + "\n")
    console.print(f"written: {RESULTS.relative_to(Path.cwd()) if RESULTS.is_relative_to(Path.cwd()) else RESULTS}")


if __name__ == "__main__":
    typer.run(main)
