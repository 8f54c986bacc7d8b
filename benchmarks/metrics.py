"""What metrics cost: a gateway that counts its cursors beside itself, not counting. ``python -m benchmarks.metrics``

The gateway is built so that what is counted of cursors can be switched off while it runs (`peers/counting_switch.c`),
and the load generator drives it from another core. Several times a second it is switched; the figure is the ratio of
its processor times per delivery in two such turns. Two processes would not do: where memory comes to lie makes one
slower than the other by more than metrics cost, even if both are of the same build. One ratio is off by what other
programs leave in the caches, and by how many cursors happen to leave together; so there are many, and their median is
told. Its interval of confidence supposes nothing of how they are distributed.

The switch itself, which is not in what is built otherwise, costs the gateway the same in both states. What is counted
seldom, in Python, is not switched; nor does anybody ask for the metrics meanwhile.

The table goes to the standard output, and everything measured to ``benchmarks/results/metrics.json``.
"""

from __future__ import annotations

import json
import os
import platform
import signal
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from math import comb
from pathlib import Path
from typing import Annotated, Any
from urllib.request import urlopen

import typer
from rich.console import Console
from rich.table import Table

from benchmarks.fanout import SHAPES
from fastcollab.bench._load import Fleet
from fastcollab.bench.connect import LoadError
from fastcollab.bench.load import LoadOptions, connected_fleet
from fastcollab.bench.process import cpu_seconds
from fastcollab.bench.server import Cores, gateway

ROOT = Path(__file__).parent.parent
RESULTS = Path(__file__).parent / "results" / "metrics.json"
SWITCH = Path(__file__).parent / "peers" / "counting_switch.c"
BUILD = ROOT / "build" / "benchmarks"

CONFIDENCE = 0.95
#: As few values as have an interval of that confidence.
FEWEST = 6
WARMUP = 1.0
CHECK = 0.2
PATIENCE = 15.0
#: How long the last cursors may be under way, in seconds.
DRAIN = 3.0
FLUSHES = "fastcollab_flush_records_count "


@dataclass(frozen=True, slots=True)
class Pair:
    """What a delivery took in two turns that followed each other, in µs of processor time. Those of one `start` are of
    the same process.
    """

    start: int
    without: float
    counted: float

    @property
    def ratio(self) -> float:
        return self.counted / self.without


class Switched:
    """A gateway whose counting can be switched, with the fleet that drives it."""

    def __init__(self, fleet: Fleet, pid: int, operations_port: int) -> None:
        self._fleet = fleet
        self._pid = pid
        self._operations_port = operations_port

    def cost(self, seconds: float, counted: bool) -> float:
        """What a delivery takes, in µs of processor time, while cursors are sent for so many seconds, or as much longer
        as the machine lets the gateway wait. LoadError if that is long.
        """
        os.kill(self._pid, signal.SIGRTMIN + counted)
        cpu, delivered = cpu_seconds(self._pid), self._fleet.delivered
        latest = time.monotonic() + seconds + PATIENCE
        while self._fleet.delivered == delivered:
            if time.monotonic() > latest:
                raise LoadError(f"nothing is delivered; {self._fleet.disconnects} connections have ended")
            self._fleet.drive(seconds)
        return (cpu_seconds(self._pid) - cpu) / (self._fleet.delivered - delivered) * 1e6

    def check(self) -> None:
        """LoadError unless flushes are counted exactly when they should be."""
        told = [self._flushes()]
        for counted in (False, True):
            self.cost(CHECK, counted)
            told.append(self._flushes())
        if not told[0] == told[1] < told[2]:
            raise LoadError(f"counting is not switched: there were {told} flushes")

    def _flushes(self) -> int:
        """How many were counted, once all has arrived that was sent."""
        self._fleet.drain(DRAIN)
        if missing := self._fleet.finals_missing():
            raise LoadError(f"{missing} final updates were lost")
        with urlopen(f"http://127.0.0.1:{self._operations_port}/metrics", timeout=10) as answer:
            (line,) = (line for line in answer.read().decode().splitlines() if line.startswith(FLUSHES))
        return int(float(line.removeprefix(FLUSHES)))


def build() -> tuple[Path, Path]:
    """Builds package and switch, and returns where they lie."""
    library, switch = BUILD / "switched", BUILD / "counting_switch.so"
    subprocess.run(
        [sys.executable, "setup.py", "-q", "build", "--build-base", BUILD / "objects", "--build-lib", library],
        cwd=ROOT,
        env=os.environ | {"FASTCOLLAB_SWITCHED": "1"},
        check=True,
        stdout=subprocess.DEVNULL,
    )
    compiler = os.environ.get("CC", "cc").split()
    subprocess.run([*compiler, "-O2", "-Wall", "-shared", "-fPIC", "-o", switch, SWITCH], check=True)
    return library, switch


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


@contextmanager
def driven(library: Path, switch: Path, shape: str) -> Iterator[Switched]:
    rooms, members = SHAPES[shape]
    port = free_port()
    python = ("env", f"PYTHONPATH={library}", f"LD_PRELOAD={switch}", sys.executable)
    with gateway({"ops": {"port": port}}, core=Cores.available().server, python=python) as server:
        assert server.pid is not None  # it was started here
        options = LoadOptions(rooms, members, urls=[server.url], server_pids=[server.pid], secret=server.secret)
        with connected_fleet(options) as (fleet, _):
            yield Switched(fleet, server.pid, port)


def compare(gateway: Switched, start: int, pairs: int, seconds: float) -> Iterator[Pair]:
    gateway.cost(WARMUP, True)
    for turn in range(pairs):
        # Either comes first as often as the other one.
        order = (True, False) if turn % 2 else (False, True)
        costs = {counted: gateway.cost(seconds, counted) for counted in order}
        yield Pair(start, costs[False], costs[True])
    gateway.check()


def median_interval(values: Sequence[float]) -> tuple[float, float]:
    """Between which two of the values the true median is, with CONFIDENCE or more: each is below it or above it as a
    coin falls.
    """
    ordered, rank, tail = sorted(values), 0, 0.0
    while (tail := tail + comb(len(ordered), rank) / 2 ** len(ordered)) <= (1 - CONFIDENCE) / 2:
        rank += 1
    return ordered[rank - 1], ordered[-rank]


def summary(pairs: Sequence[Pair]) -> dict[str, Any]:
    ratios = [pair.ratio for pair in pairs]
    return {
        "cpu_us_per_delivery_without": statistics.median(pair.without for pair in pairs),
        "cpu_us_per_delivery": statistics.median(pair.counted for pair in pairs),
        "ratio": statistics.median(ratios),
        "ratio_interval": median_interval(ratios),
    }


def as_table(results: dict[str, list[Pair]]) -> Table:
    table = Table(title=f"without metrics and with them, in µs per delivery; {CONFIDENCE:.0%} confidence")
    for column in ("rooms", "pairs", "without", "with", "ratio", "interval"):
        table.add_column(column, justify="left" if column == "rooms" else "right")
    for shape, pairs in results.items():
        found = summary(pairs)
        low, high = found["ratio_interval"]
        costs = (f"{found[name]:.3f}" for name in ("cpu_us_per_delivery_without", "cpu_us_per_delivery"))
        table.add_row(shape, str(len(pairs)), *costs, f"{found['ratio']:.3f}", f"{low:.3f} to {high:.3f}")
    return table


def as_json(results: dict[str, list[Pair]], seconds: float) -> str:
    system = {"system": platform.system(), "machine": platform.machine(), "python": platform.python_version()}
    shapes = {shape: {**summary(pairs), "pairs": [asdict(pair) for pair in pairs]} for shape, pairs in results.items()}
    return json.dumps({**system, "cores": os.cpu_count(), "seconds": seconds, "shapes": shapes}, indent=2)


def main(
    shape: Annotated[list[str] | None, typer.Option(help=f"Only this shape: {', '.join(SHAPES)}.")] = None,
    seconds: Annotated[float, typer.Option(help="How long a turn is.")] = 0.15,
    starts: Annotated[int, typer.Option(min=1, help="How often the gateway is started.")] = 4,
    pairs: Annotated[int, typer.Option(min=FEWEST, help="Pairs of turns of each start.")] = 200,
) -> None:
    """Compare a gateway that counts its cursors with itself, not counting."""
    console = Console()
    if unknown := [name for name in shape or [] if name not in SHAPES]:
        raise typer.BadParameter(f"no such shape: {', '.join(unknown)}")
    with console.status("building"):
        built = build()
    results: dict[str, list[Pair]] = {}
    for each in shape or SHAPES:
        results[each] = []
        for start in range(starts):
            with console.status(f"{each}: start {start + 1} of {starts}"), driven(*built, each) as switched:
                results[each].extend(compare(switched, start, pairs, seconds))
        RESULTS.write_text(as_json(results, seconds) + "\n")
    console.print(as_table(results))
    console.print(f"written: {RESULTS.relative_to(ROOT)}")


if __name__ == "__main__":
    typer.run(main)
