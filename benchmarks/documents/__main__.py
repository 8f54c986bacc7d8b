"""Operations on shared documents: the gateway beside ShareDB. ``python -m benchmarks.documents``

Each server runs alone on one core, with the same editors on another (`editors.py`), in turns, so that what else the
machine does meets all alike. The figure to compare is the server's processor time per committed operation, user and
system, as a share of ShareDB's (`peers/sharedb`, from npm by its lock file). Of several rounds the median counts.

Every work is done twice: *at full speed*, where each client submits its next operation when the last is acknowledged,
which says how much a server can take and lets it do much at once; and at the *rate* of people who type, where it
cannot.

The gateway runs in memory and, durable, on a file in the directory for temporary files, which should be on a disk like
that of a server. Then it is measured what documents cost that are opened, or open (`keeping.py`).

The table goes to the standard output, and everything measured to ``benchmarks/results/documents.json``.
"""

from __future__ import annotations

import json
import os
import platform
import statistics
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
import uvloop
from rich.console import Console
from rich.table import Table

from benchmarks.documents.contenders import CONTENDERS, YARDSTICK
from benchmarks.documents.fleet import Report, Work, run
from benchmarks.documents.keeping import OpenDocuments, Opening, open_documents, openings
from fastcollab.bench.server import Cores, pinned

RESULTS = Path(__file__).parent.parent / "results" / "documents.json"
TYPING = 5.0  # operations per second of one who types
SHAPES = {"1x1": (1, 1), "1x10": (1, 10), "1x30": (1, 30), "100x1": (100, 1), "100x3": (100, 3)}
DISTURBED_WAIT = 0.05  # of the time


def cost(reports: list[Report]) -> float:
    """The median processor time per operation, in µs."""
    return statistics.median(report.cpu_us_per_operation for report in reports)


def ratio(name: str, results: dict[str, list[Report]]) -> float | None:
    """The median over the rounds of the cost beside ShareDB's in the same round; None without ShareDB."""
    if not (yardstick := results.get(YARDSTICK)):
        return None
    pairs = zip(results[name], yardstick, strict=True)
    return statistics.median(ours.cpu_us_per_operation / theirs.cpu_us_per_operation for ours, theirs in pairs)


def measure(name: str, work: Work, seconds: float, warmup: float) -> Report:
    cores = Cores.available()
    with CONTENDERS[name](cores.server) as endpoint, pinned(cores.generator):
        return uvloop.run(run(endpoint, work, seconds, warmup))


def as_table(work: Work, results: dict[str, list[Report]]) -> Table:
    table = Table(title=str(work))
    columns = ("server", "µs/operation", f"to {YARDSTICK}", "operations/s", "core", "p50 ms", "p99 ms", "generator")
    for column in columns:
        table.add_column(column, justify="left" if column == "server" else "right")
    for name, reports in results.items():
        share = ratio(name, results)
        disturbed = statistics.median(report.wait_share for report in reports) > DISTURBED_WAIT
        table.add_row(
            name + " *" * disturbed,
            f"{cost(reports):.1f}",
            "" if share is None else f"{share:.2f}",
            f"{statistics.median(report.operations_per_second for report in reports):,.0f}",
            f"{statistics.median(report.cpu_share for report in reports):.0%}",
            f"{statistics.median(report.commit_ms.p50 for report in reports):.2f}",
            f"{statistics.median(report.commit_ms.p99 for report in reports):.2f}",
            f"{statistics.median(report.generator_cpu_share for report in reports):.0%}",
        )
    return table


def as_json(
    everything: dict[Work, dict[str, list[Report]]], openings: list[Opening], documents: list[OpenDocuments]
) -> str:
    works = [
        {
            **asdict(work),
            "servers": {
                name: {
                    "cpu_us_per_operation": cost(reports),
                    "ratio_to_yardstick": ratio(name, results),
                    "rounds": [asdict(report) for report in reports],
                }
                for name, reports in results.items()
            },
        }
        for work, results in everything.items()
    ]
    system = {"system": platform.system(), "machine": platform.machine(), "python": platform.python_version()}
    kept = {"openings": list(map(asdict, openings)), "open_documents": list(map(asdict, documents))}
    return json.dumps({**system, "cores": os.cpu_count(), "yardstick": YARDSTICK, "works": works, **kept}, indent=2)


def main(
    only: Annotated[list[str] | None, typer.Option(help="Only servers whose name contains this.")] = None,
    shape: Annotated[list[str] | None, typer.Option(help=f"Only this shape: {', '.join(SHAPES)}.")] = None,
    pace: Annotated[str, typer.Option(help="Only `full` speed, or only at the `rate` of people.")] = "",
    seconds: Annotated[float, typer.Option(help="Measured time of one run.")] = 3.0,
    warmup: Annotated[float, typer.Option(help="Seconds of load before it.")] = 2.0,
    rounds: Annotated[int, typer.Option(min=1, help="Runs of each server.")] = 3,
    keeping: Annotated[bool, typer.Option(help="Whether documents are opened, and kept open.")] = True,
) -> None:
    """Compare the cost of operations on shared documents with ShareDB's."""
    console = Console()
    console.width = max(console.width, 110)
    names = [name for name in CONTENDERS if not only or any(part.lower() in name.lower() for part in only)]
    unknown = [name for name in shape or [] if name not in SHAPES]
    if unknown or not names:
        raise typer.BadParameter(f"no such shape or server: {', '.join(unknown or only or [])}")
    paces: dict[str, list[float | None]] = {"full": [None], "rate": [TYPING], "": [None, TYPING]}
    everything: dict[Work, dict[str, list[Report]]] = {}
    for rate in paces[pace]:
        for each in shape or SHAPES:
            work = Work(*SHAPES[each], rate)
            results = everything[work] = {name: [] for name in names}
            for turn in range(rounds):
                for name in names:
                    with console.status(f"{work}: {name}, round {turn + 1}"):
                        results[name].append(measure(name, work, seconds, warmup))
            console.print(as_table(work, results))
    opened = openings() if keeping else []
    for opening in opened:
        where = "with" if opening.snapshot else "without"
        console.print(
            f"{opening.operations:,} operations {where} a snapshot: read in {opening.load_ms:.1f} ms, "
            f"open in {opening.open_ms:.1f} ms"
        )
    documents = open_documents() if keeping else []
    for each in documents:
        console.print(f"{each.server}: {each.bytes_per_document / 1024:.1f} KiB for an open document of {each.size} B")
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(as_json(everything, opened, documents) + "\n")
    console.print(f"written: {RESULTS.relative_to(Path.cwd()) if RESULTS.is_relative_to(Path.cwd()) else RESULTS}")


if __name__ == "__main__":
    typer.run(main)
