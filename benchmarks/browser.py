"""A page among people who all move: frames a second, and where the page's time goes. ``python -m benchmarks.browser``

The dashboard is open in headless Chromium, which draws without a graphics card, and so on the same cores as everything
else. Rounds alternate between a page that nobody else is at, which shows what the machine can do, and one with `people`
who each move their cursor 60 times a second, from sockets in a process of their own that read nothing of what they get.

A frame is a call of `requestAnimationFrame`; it is late if it comes more than half an interval after its time. What
takes the page's thread over 50 ms is a long task, as browsers define it. Where the time goes is told twice: by a trace
of Chromium's threads, in processor time, and by a profile of the page's functions, whose names the build has kept.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import math
import multiprocessing
import os
import platform
import socket
import statistics
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

import typer
from playwright.async_api import CDPSession, async_playwright
from rich.console import Console
from rich.table import Table
from tests.browser.chromium import launch
from tests.browser.people import Company, Person, until
from tests.browser.venue import Venue, open_venue
from tests.durability.gateways import SECRET

from fastcollab._binary import encode_frame
from fastcollab.bench.connect import close_politely, masked_frame, open_connections
from fastcollab.bench.load import FIRST_USER, gateway_dial
from fastcollab.bench.server import Server
from fastcollab.demo.content import DASHBOARD

RESULTS = Path(__file__).parent / "results" / "browser.json"
DEMO = Path(__file__).parent.parent / "sdk" / "demo"
HZ = 60
WARMUP = 2.0  # seconds
TOP = 14
#: Of Chromium: the page's, that which puts its layers together, and that which draws them.
THREADS = ("CrRendererMain", "Compositor", "VizCompositorThread")
_CURSOR = 1

_FRAMES = """milliseconds => new Promise(resolve => {
  const long = [];
  const observer = new PerformanceObserver(list => long.push(...list.getEntries().map(entry => entry.duration)));
  observer.observe({ type: 'longtask' });
  const intervals = [];
  let before;
  const begun = performance.now();
  const step = now => {
    if (before !== undefined) intervals.push(now - before);
    before = now;
    if (performance.now() - begun < milliseconds) return requestAnimationFrame(step);
    observer.disconnect();
    resolve({ intervals, long });
  };
  requestAnimationFrame(step);
})"""


@dataclass(frozen=True, slots=True)
class Round:
    """Frames a second, the intervals between them (ms), the share of late ones, and how many tasks were long."""

    fps: float
    p50: float
    p99: float
    late: float
    long: int


def crowd(url: str, people: int, ready: Any, stop: Any) -> None:
    """`people` who move their cursors, until `stop` is set; a process of its own."""
    server = Server.at(url, None, SECRET)
    connections: list[socket.socket] = []
    dials = [gateway_dial(server, index, DASHBOARD) for index in range(people)]
    address = urlsplit(url)
    open_connections(
        (address.hostname or "", address.port or 0),
        dials,
        subprotocol="fastcollab.v1.batch",
        on_open=lambda _index, connection, _received, _inflater: connections.append(connection),
    )
    ready.set()
    started = time.monotonic()
    tick = 0
    while not stop.is_set():
        tick += 1
        for index, connection in enumerate(connections):
            angle = tick / HZ * (0.5 + index / people) + index
            x, y = 600 + 560 * math.sin(angle), 320 + 300 * math.cos(1.3 * angle + index)
            frame = encode_frame(_CURSOR, FIRST_USER + index, x, y, int(time.time() * 1000) % 2**32)
            with contextlib.suppress(BlockingIOError):
                connection.send(masked_frame(0x82, frame))
            with contextlib.suppress(BlockingIOError):
                while len(connection.recv(1 << 18)) == 1 << 18:
                    pass
        time.sleep(max(started + tick / HZ - time.monotonic(), 0))
    for connection in connections:
        close_politely(connection)


@asynccontextmanager
async def crowded(venue: Venue, person: Person, people: int) -> AsyncIterator[None]:
    """So many people are on the dashboard, and seen by the one at the page."""
    context = multiprocessing.get_context("spawn")
    ready, stop = context.Event(), context.Event()
    process = context.Process(target=crowd, args=(venue.gateways[0].url, people, ready, stop), daemon=True)
    process.start()
    try:
        await asyncio.to_thread(ready.wait, 30)
        await until("not everybody is seen", person.see("cursor").count, lambda count: count == people)
        yield
    finally:
        stop.set()
        await asyncio.to_thread(process.join, 10)
        process.kill()
    await until("somebody is still seen", person.see("cursor").count, lambda count: count == 0)


async def measure(person: Person, seconds: float) -> Round:
    await asyncio.sleep(WARMUP)
    seen = await person.page.evaluate(_FRAMES, seconds * 1000)
    intervals = sorted(seen["intervals"])
    return Round(
        fps=1000 * len(intervals) / sum(intervals),
        p50=intervals[len(intervals) // 2],
        p99=intervals[int(len(intervals) * 0.99)],
        late=sum(interval > 1500 / HZ for interval in intervals) / len(intervals),
        long=len(seen["long"]),
    )


async def traced(person: Person, seconds: float) -> dict[str, dict[str, float]]:
    """The processor time, in shares of a core, of threads of Chromium's and of what they did; some holds other."""
    browser = person.context.browser
    assert browser is not None
    await browser.start_tracing(page=person.page, categories=["toplevel", "devtools.timeline", "cc", "viz"])
    await asyncio.sleep(seconds)
    events = json.loads(await browser.stop_tracing())["traceEvents"]
    names = {event["tid"]: event["args"]["name"] for event in events if event["name"] == "thread_name"}
    taken: dict[str, Counter[str]] = {thread: Counter() for thread in THREADS}
    for event in events:
        if event["ph"] == "X" and (thread := names.get(event["tid"])) in taken:
            taken[thread][event["name"]] += event.get("tdur", 0)
    return {
        thread: {name: spent / seconds / 1e6 for name, spent in each.most_common(TOP)} for thread, each in taken.items()
    }


async def profile(devtools: CDPSession, seconds: float) -> dict[str, float]:
    """The share of the time in which each function of the page was the innermost, the largest first."""
    await devtools.send("Profiler.enable")
    await devtools.send("Profiler.setSamplingInterval", {"interval": 200})
    await devtools.send("Profiler.start")
    await asyncio.sleep(seconds)
    found = (await devtools.send("Profiler.stop"))["profile"]
    names = {node["id"]: node["callFrame"]["functionName"] or "(anonymous)" for node in found["nodes"]}
    taken: Counter[str] = Counter()
    for sample, microseconds in zip(found["samples"], found["timeDeltas"], strict=True):
        taken[names[sample]] += microseconds
    total = sum(taken.values())
    return {name: spent / total for name, spent in taken.most_common(TOP)}


async def run(people: int, seconds: float, rounds: int, web: Path) -> dict[str, Any]:
    measured: dict[str, list[Round]] = {"alone": [], "crowd": []}
    async with async_playwright() as playwright, open_venue(web) as venue:
        browser = await launch(playwright)
        company = Company(browser, venue)
        person = await company.enter()
        devtools = await person.context.new_cdp_session(person.page)
        shares: dict[str, float] = {}
        traces: dict[str, Any] = {}
        for turn in range(rounds):
            measured["alone"].append(await measure(person, seconds))
            async with crowded(venue, person, people):
                measured["crowd"].append(await measure(person, seconds))
                if turn == rounds - 1:
                    traces["crowd"] = await traced(person, seconds)
                    shares = await profile(devtools, seconds)
        traces["alone"] = await traced(person, seconds)
        version = browser.version
        await company.leave()
        await browser.close()
    return {
        "people": people,
        "seconds": seconds,
        "machine": {"cores": os.cpu_count(), "system": platform.platform(), "chromium": version},
        "rounds": {where: [asdict(each) for each in found] for where, found in measured.items()},
        "threads": traces,
        "profile": shares,
    }


def show(console: Console, results: dict[str, Any]) -> None:
    table = Table(title=f"{results['people']} people at {HZ} Hz, medians")
    formats = {"fps": "{:.1f}", "p50": "{:.1f}", "p99": "{:.1f}", "late": "{:.1%}", "long": "{:g}"}
    for column in ("", *formats):
        table.add_column(column, justify="right" if column else "left")
    for where, rounds in results["rounds"].items():
        middle = {column: statistics.median(each[column] for each in rounds) for column in formats}
        table.add_row(where, *(form.format(middle[column]) for column, form in formats.items()))
    console.print(table)
    for thread in THREADS:
        console.print(f"\n{thread}: processor time, alone and with the others")
        alone, crowd = (results["threads"][where][thread] for where in ("alone", "crowd"))
        for name, share in crowd.items():
            console.print(f"{alone.get(name, 0):6.1%} {share:6.1%}  {name}", highlight=False)
    console.print("\nFunctions of the page")
    for name, share in results["profile"].items():
        console.print(f"{share:6.1%}  {name}", highlight=False)


def main(
    people: Annotated[int, typer.Option(min=1, help="People beside the one at the page.")] = 100,
    seconds: Annotated[float, typer.Option(min=1, help="Measured time of one round.")] = 5.0,
    rounds: Annotated[int, typer.Option(min=1, help="Rounds of each kind.")] = 5,
) -> None:
    """Measure how smooth a page stays among people who move."""
    with tempfile.TemporaryDirectory() as web:
        subprocess.run(
            ["npx", "vite", "build", "--minify", "false", "--outDir", web, "--logLevel", "warn"], cwd=DEMO, check=True
        )
        results = asyncio.run(run(people, seconds, rounds, Path(web)))
    show(Console(), results)
    RESULTS.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    typer.run(main)
