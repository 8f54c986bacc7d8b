"""Cursor fan-out, side by side: the gateway, a plain C epoll loop, and naive relays. ``python -m benchmarks.fanout``

Each server runs alone with the same load generator, on the same core, in turns, so that what else the machine does
meets all alike. The figure to compare is the server's processor time per delivery, as a multiple of the C loop's, which
does the least work that any server has to (`peers/cursor_loop.c`). The gateway runs twice: as it is configured by
default, with a flush interval that adapts to the room, and with the fixed interval of the C loop.

Of several rounds the median counts. A server that needs all the time of its core that it can get is *saturated*: what
it would cost per delivery if it kept up is not known, and its latency says how long the run was. The relays, far off in
any case, have one round. A star marks figures of a run in which other programs held up the server or the generator.

The table goes to the standard output, and everything measured to ``benchmarks/results/fanout.json``.
"""

from __future__ import annotations

import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from fastcollab.bench.connect import LoadError
from fastcollab.bench.load import BARE_RELAY, LoadOptions, run_load
from fastcollab.bench.report import LoadReport
from fastcollab.bench.server import Cores, server_process

PEERS = Path(__file__).parent / "peers"
RESULTS = Path(__file__).parent / "results" / "fanout.json"
BUILD = Path(__file__).parent.parent / "build" / "benchmarks"

YARDSTICK = "C loop"
TICK_MS = 16.67
SATURATED = 0.9  # of the time that its core was free for it
DISTURBED_WAIT = 0.05  # of the time
DISTURBED_LATENESS_MS = 5.0  # of the generator, at the 99th percentile
SHAPES = {"1x100": (1, 100), "20x20": (20, 20), "1x10": (1, 10)}


@dataclass(frozen=True, slots=True)
class Contender:
    """A server of the comparison: the gateway with a flush interval (None: adaptive), or a peer's command.

    A naive peer sends each update by itself and queues without a bound.
    """

    command: tuple[str, ...] | None = None
    interval_ms: float | None = None
    naive: bool = False


def build_cursor_loop() -> Path:
    """Compiles the C loop if its source is newer than the program. LoadError without a C compiler."""
    source, program = PEERS / "cursor_loop.c", BUILD / "cursor_loop"
    if program.exists() and program.stat().st_mtime >= source.stat().st_mtime:
        return program
    compiler = os.environ.get("CC") or shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        raise LoadError("a C compiler is needed for the C loop: install one, or name it in the variable CC")
    BUILD.mkdir(parents=True, exist_ok=True)
    subprocess.run([*compiler.split(), "-O2", "-Wall", "-o", str(program), str(source)], check=True)
    return program


def contenders(interval_ms: float) -> dict[str, Contender]:
    """All servers by name, the yardstick first."""
    return {
        YARDSTICK: Contender((str(BUILD / "cursor_loop"), "0", str(interval_ms))),
        f"fastcollab, {interval_ms:g} ms": Contender(interval_ms=interval_ms),
        "fastcollab": Contender(),
        "picows relay": Contender((sys.executable, str(PEERS / "relay_picows.py")), naive=True),
        "websockets relay": Contender((sys.executable, str(PEERS / "relay_websockets.py")), naive=True),
    }


@contextmanager
def load_options(contender: Contender, rooms: int, members: int, seconds: float) -> Iterator[LoadOptions]:
    """Starts a peer, and yields what drives it; the gateway is started by the generator itself."""
    if contender.command is None:
        fanout = {"min_interval_ms": contender.interval_ms, "max_interval_ms": contender.interval_ms}
        config = {"fanout": {name: value for name, value in fanout.items() if value is not None}}
        yield LoadOptions(rooms, members, seconds=seconds, config=config)
        return
    with server_process(contender.command, core=Cores.available().server) as (pid, line):
        url = f"ws://{line.split()[-1]}"
        yield LoadOptions(rooms, members, seconds=seconds, urls=[url], server_pids=[pid], peer=BARE_RELAY)


def measure(name: str, contender: Contender, shape: str, seconds: float) -> LoadReport:
    rooms, members = SHAPES[shape]
    with load_options(contender, rooms, members, seconds) as options:
        report = run_load(options)
    if report.finals_missing and not contender.naive:
        raise LoadError(f"{name} lost {report.finals_missing} final updates in {shape}")
    return report


def saturated(report: LoadReport) -> bool:
    """Whether the server left final updates behind, or ran whenever its core was free for it."""
    assert report.server is not None
    return report.finals_missing > 0 or report.server.cpu_share > SATURATED * (1 - report.server.wait_share)


def disturbed(report: LoadReport) -> bool:
    """Whether other programs took time from the server or the generator."""
    assert report.server is not None
    return report.server.wait_share > DISTURBED_WAIT or report.lateness_ms.p99 > DISTURBED_LATENESS_MS


def cpu_per_delivery(report: LoadReport) -> float:
    assert report.server is not None
    if report.server.cpu_us_per_delivery is None:
        raise LoadError("nothing was delivered")
    return report.server.cpu_us_per_delivery


def median_report(reports: list[LoadReport]) -> LoadReport:
    """The report whose processor time per delivery is the (lower) median."""
    return sorted(reports, key=cpu_per_delivery)[(len(reports) - 1) // 2]


def as_table(shape: str, reports: dict[str, list[LoadReport]]) -> Table:
    rooms, members = SHAPES[shape]
    table = Table(title=f"{rooms} room{'s' * (rooms > 1)} of {members}, 60 Hz each")
    for column in ("server", "µs/delivery", "to C loop", "core", "deliveries/s", "p50 ms", "p99 ms", "generator"):
        table.add_column(column, justify="left" if column == "server" else "right")
    yardstick = median_report(reports[YARDSTICK]) if YARDSTICK in reports else None
    for name, rounds in reports.items():
        report = median_report(rounds)
        assert report.server is not None
        arrived = report.latency_ms.max > 0  # anything that was sent in the measured time
        table.add_row(
            name + " *" * disturbed(report),
            f"{cpu_per_delivery(report):.3f}",
            f"{cpu_per_delivery(report) / cpu_per_delivery(yardstick):.2f}" if yardstick else "",
            "saturated" if saturated(report) else f"{report.server.cpu_share:.0%}",
            f"{report.deliveries_per_second:,.0f}",
            f"{statistics.median(each.latency_ms.p50 for each in rounds):.2f}" if arrived else "",
            f"{statistics.median(each.latency_ms.p99 for each in rounds):.2f}" if arrived else "",
            f"{report.generator_cpu_share:.0%}",
        )
    return table


def as_json(results: dict[str, dict[str, list[LoadReport]]]) -> str:
    shapes: dict[str, dict[str, object]] = {}
    for shape, reports in results.items():
        yardstick = cpu_per_delivery(median_report(reports[YARDSTICK])) if YARDSTICK in reports else None
        shapes[shape] = {}
        for name, rounds in reports.items():
            cost = cpu_per_delivery(median_report(rounds))
            shapes[shape][name] = {
                "cpu_us_per_delivery": cost,
                "ratio_to_yardstick": cost / yardstick if yardstick else None,
                "saturated": saturated(median_report(rounds)),
                "disturbed": disturbed(median_report(rounds)),
                "rounds": [asdict(report) for report in rounds],
            }
    system = {"system": platform.system(), "machine": platform.machine(), "python": platform.python_version()}
    return json.dumps({**system, "cores": os.cpu_count(), "yardstick": YARDSTICK, "shapes": shapes}, indent=2)


def main(
    only: Annotated[list[str] | None, typer.Option(help="Only servers whose name contains this.")] = None,
    shape: Annotated[list[str] | None, typer.Option(help=f"Only this shape: {', '.join(SHAPES)}.")] = None,
    seconds: Annotated[float, typer.Option(help="Measured time of one run.")] = 3.0,
    rounds: Annotated[int, typer.Option(min=1, help="Runs of the C loop and the gateway.")] = 3,
    interval_ms: Annotated[float, typer.Option(help="The fixed flush interval.")] = TICK_MS,
) -> None:
    """Compare the fan-out of the gateway with a plain C loop and naive relays."""
    console = Console()
    console.width = max(console.width, 110)
    unknown = [name for name in shape or [] if name not in SHAPES]
    chosen = {
        name: contender
        for name, contender in contenders(interval_ms).items()
        if not only or any(part.lower() in name.lower() for part in only)
    }
    if unknown or not chosen:
        raise typer.BadParameter(f"no such shape or server: {', '.join(unknown or only or [])}")
    if YARDSTICK in chosen:
        build_cursor_loop()
    results: dict[str, dict[str, list[LoadReport]]] = {}
    for each in shape or SHAPES:
        reports = results[each] = {name: [] for name in chosen}
        for turn in range(rounds):
            for name, contender in chosen.items():
                if turn == 0 or not contender.naive:
                    with console.status(f"{each}: {name}, round {turn + 1}"):
                        reports[name].append(measure(name, contender, each, seconds))
        console.print(as_table(each, reports))
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(as_json(results) + "\n")
    console.print(f"written: {RESULTS.relative_to(Path.cwd()) if RESULTS.is_relative_to(Path.cwd()) else RESULTS}")


if __name__ == "__main__":
    typer.run(main)
