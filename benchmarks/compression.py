"""Compression: which library, and what it costs and saves in rooms. ``python -m benchmarks.compression``

*Libraries.* The same messages through zlib, zlib-ng and ISA-L, at the settings of the gateway's defaults, each
message by itself and with the history of those before it: how short they get, how long it takes, and what a
compressor or an inflater that is kept takes in memory. Each library is weighed in a process of its own.

*Rooms.* The load generator drives a gateway, in turns: without compression (``off``); with each batch compressed for
each member, with history (``history``); compressed once for all (``shared``); and agreed upon, but with batches left
alone (``text``). Its members compress their cursors where compression was agreed upon, as browsers do: that cannot be
declined, and is part of the price. What counts is bytes on the wire (of WebSocket frames, without TCP's and IP's
headers) and processor time of the server per delivered cursor.

The tables go to the standard output, and everything measured to ``benchmarks/results/compression.json``.
"""

from __future__ import annotations

import importlib
import json
import math
import os
import random
import struct
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from benchmarks.fanout import cpu_per_delivery, disturbed, median_report, saturated
from fastcollab.bench.load import LoadOptions, run_load
from fastcollab.bench.process import Memory
from fastcollab.bench.report import LoadReport

RESULTS = Path(__file__).parent / "results" / "compression.json"
LIBRARIES = {"zlib": "zlib", "zlib-ng": "zlib_ng.zlib_ng", "ISA-L": "isal.isal_zlib"}
LEVEL, MEMORY_LEVEL, WINDOW = 1, 8, 15
WEIGHED = 300  # compressors and inflaters
EMPTY_BLOCK = b"\0\0\xff\xff"

#: Members of a room, and updates a second of each: 500 at 60 Hz are more than a core delivers.
ROOMS = {"1x10": (10, 60.0), "1x100": (100, 60.0), "1x500": (500, 20.0)}
WAYS: dict[str, tuple[bool, dict[str, bool]]] = {
    "off": (False, {}),
    "shared": (True, {"cursors": True}),
    "history": (True, {"cursors": True, "server_context_takeover": True}),
    "text": (True, {"cursors": False}),
}


# --- what is compressed -----------------------------------------------------------------------------------------------


def _cursors(count: int, tick: int, chance: random.Random, *, pixels: bool) -> bytes:
    """A batched frame of people who move about: whole pixels without a viewport, or any coordinates with one."""
    data = struct.pack("!HHI", 0x0101, count, 3)
    for person in range(count):
        x = 960 + 400 * math.sin(tick / 30 + person)
        y = 540 + 300 * math.cos(tick / 23 + person * 1.7)
        viewport = (math.nan, math.nan) if pixels else (0.0, person * 640.25)
        position = (round(x), round(y)) if pixels else (x, y)
        stamp = 1_234_567 + 17 * tick + chance.randrange(17)
        data += struct.pack("!IffIff", 100_000 + person, *position, stamp, *viewport)
    return data


def _message(kind: str, payload: dict[str, Any], chance: random.Random) -> dict[str, Any]:
    unique = str(uuid.UUID(int=chance.getrandbits(128), version=4))
    return {
        "id": unique,
        "type": kind,
        "version": 1,
        "timestamp": 1_764_031_234_567 + chance.randrange(1000),
        "payload": payload,
        "roomId": "board-1",
    }


def _presence(count: int, tick: int, chance: random.Random) -> bytes:
    updates = []
    for person in range(count):
        cursor = {
            "x": round(960 + 400 * math.sin(tick / 30 + person), 1),
            "y": round(540 + 300 * math.cos(tick / 23 + person), 1),
        }
        payload = {"userId": f"user-{person}", "numericId": person, "presence": {"cursor": cursor}}
        updates.append(_message("presence_update", payload, chance))
    return json.dumps(_message("batch", {"messages": updates, "compressed": False}, chance)).encode()


def _operations(count: int, chance: random.Random, words: Sequence[str]) -> bytes:
    """Operations, as they are caught up with: each would be too short by itself."""
    broadcasts = [
        _message(
            "operation_broadcast",
            {
                "operation": [chance.randrange(4000), " ".join(chance.choices(words, k=3)), {"d": 3}],
                "userId": f"user-{chance.randrange(99)}",
                "numericId": chance.randrange(99),
                "messageId": str(uuid.UUID(int=chance.getrandbits(128), version=4)),
                "version": index,
                "transformedVersion": index + 1,
            },
            chance,
        )
        for index in range(count)
    ]
    return json.dumps(broadcasts).encode()


def payloads() -> dict[str, list[bytes]]:
    """Messages by what they are; always the same."""
    chance = random.Random(1)
    words = ["".join(chance.choices("etaoinshrdlucmfw", k=chance.randint(2, 9))) for _ in range(2000)]
    prose = " ".join(chance.choices(words, k=20_000))[:100_000]
    return {
        "100 cursors, whole pixels": [_cursors(100, tick, chance, pixels=True) for tick in range(50)],
        "100 cursors, any numbers": [_cursors(100, tick, chance, pixels=False) for tick in range(50)],
        "50 presence updates": [_presence(50, tick, chance) for tick in range(50)],
        "5 operations": [_operations(5, chance, words) for _ in range(50)],
        "a document of 100 KB": [json.dumps({"data": prose}).encode()] * 5,
        "1 cursor of a client": [_cursors(1, tick, chance, pixels=False)[6:] for tick in range(50)],
    }


# --- libraries --------------------------------------------------------------------------------------------------------


def _best(deed: Callable[[], object], count: int) -> float:
    """Microseconds for one of `count`, in the quickest of some rounds."""
    times = []
    for _ in range(9):
        began = time.perf_counter()
        deed()
        times.append(time.perf_counter() - began)
    return min(times) / count * 1e6


def measure_library(module: Any, messages: list[bytes]) -> dict[str, float]:
    def alone() -> list[bytes]:
        packed = []
        for message in messages:
            compressor = module.compressobj(LEVEL, module.DEFLATED, -WINDOW, MEMORY_LEVEL)
            packed.append(compressor.compress(message) + compressor.flush(module.Z_SYNC_FLUSH))
        return packed

    def on() -> list[bytes]:
        compressor = module.compressobj(LEVEL, module.DEFLATED, -WINDOW, MEMORY_LEVEL)
        return [compressor.compress(message) + compressor.flush(module.Z_SYNC_FLUSH) for message in messages]

    packed = alone()

    def inflate() -> list[bytes]:
        return [module.decompressobj(-WINDOW).decompress(data, 1 << 20) for data in packed]

    assert inflate() == messages
    assert all(data.endswith(EMPTY_BLOCK) for data in packed)
    size, count = sum(map(len, messages)), len(messages)
    return {
        "bytes": size / count,
        "ratio_alone": sum(map(len, packed)) / size,
        "ratio_history": sum(map(len, on())) / size,
        "compress_us": _best(alone, count),
        "inflate_us": _best(inflate, count),
    }


def weigh_library(name: str) -> dict[str, float]:
    """KiB of private memory of a compressor and of an inflater that have had a message; for a fresh process."""
    module = importlib.import_module(name)
    message = payloads()["50 presence updates"][0]

    def compressor() -> Any:
        made = module.compressobj(LEVEL, module.DEFLATED, -WINDOW, MEMORY_LEVEL)
        made.compress(message)
        made.flush(module.Z_SYNC_FLUSH)
        return made

    def inflater() -> Any:
        made = module.decompressobj(-WINDOW)
        made.decompress(packed)
        return made

    other = module.compressobj(LEVEL, module.DEFLATED, -WINDOW, MEMORY_LEVEL)
    packed = other.compress(message) + other.flush(module.Z_SYNC_FLUSH)
    found = {}
    kept = []
    for what, make in (("compressor_kib", compressor), ("inflater_kib", inflater)):
        before = Memory.of(os.getpid()).private
        kept += [make() for _ in range(WEIGHED)]
        found[what] = (Memory.of(os.getpid()).private - before) / WEIGHED / 1024
    return found


def _weigh_elsewhere(module: str) -> dict[str, float]:
    command = [sys.executable, "-m", "benchmarks.compression", "--weigh", module]
    weighed: dict[str, float] = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    return weighed


def compare_libraries(console: Console) -> dict[str, Any]:
    results: dict[str, Any] = {"messages": {}, "memory": {}}
    for what, messages in payloads().items():
        table = Table(title=f"{what}, {sum(map(len, messages)) / len(messages):,.0f} bytes")
        for column in ("library", "alone", "with history", "compress µs", "inflate µs"):
            table.add_column(column, justify="left" if column == "library" else "right")
        found = results["messages"][what] = {
            name: measure_library(importlib.import_module(module), messages) for name, module in LIBRARIES.items()
        }
        for name, figures in found.items():
            table.add_row(
                name,
                f"{figures['ratio_alone']:.0%}",
                f"{figures['ratio_history']:.0%}",
                f"{figures['compress_us']:.1f}",
                f"{figures['inflate_us']:.1f}",
            )
        console.print(table)
    table = Table("library", "compressor KiB", "inflater KiB", title="Memory of one that is kept")
    for name, module in LIBRARIES.items():
        weight = results["memory"][name] = _weigh_elsewhere(module)
        table.add_row(name, f"{weight['compressor_kib']:.0f}", f"{weight['inflater_kib']:.0f}")
    console.print(table)
    return results


# --- rooms ------------------------------------------------------------------------------------------------------------


def bytes_per_delivery(report: LoadReport) -> float:
    """Of the whole run, as the bytes are counted."""
    delivered = report.updates_sent * (report.members - 1) - report.coalesced_or_lost
    return report.received_bytes / delivered


def compare_rooms(console: Console, shapes: Sequence[str], seconds: float, rounds: int) -> dict[str, Any]:
    results: dict[str, Any] = {}
    for shape in shapes:
        members, hz = ROOMS[shape]
        reports: dict[str, list[LoadReport]] = {way: [] for way in WAYS}
        for turn in range(rounds):
            for way, (compression, settings) in WAYS.items():
                with console.status(f"{shape}: {way}, round {turn + 1}"):
                    options = LoadOptions(
                        1, members, hz, seconds, compression=compression, config={"compression": settings}
                    )
                    reports[way].append(run_load(options))
        table = Table(title=f"1 room of {members}, {hz:g} Hz each")
        for column in ("compression", "bytes/delivery", "to off", "µs/delivery", "to off", "core", "p50 ms", "p99 ms"):
            table.add_column(column, justify="left" if column == "compression" else "right")
        off = median_report(reports["off"])
        results[shape] = {}
        for way, runs in reports.items():
            report = median_report(runs)
            assert report.server is not None
            size, cost = bytes_per_delivery(report), cpu_per_delivery(report)
            figures = {
                "bytes_per_delivery": size,
                "bytes_to_off": size / bytes_per_delivery(off),
                "cpu_us_per_delivery": cost,
                "cpu_to_off": cost / cpu_per_delivery(off),
                "saturated": saturated(report),
                "disturbed": disturbed(report),
            }
            results[shape][way] = {**figures, "rounds": [asdict(run) for run in runs]}
            table.add_row(
                way + " *" * disturbed(report),
                f"{size:.1f}",
                f"{figures['bytes_to_off']:.2f}",
                f"{cost:.3f}",
                f"{figures['cpu_to_off']:.2f}",
                "saturated" if saturated(report) else f"{report.server.cpu_share:.0%}",
                f"{report.latency_ms.p50:.2f}",
                f"{report.latency_ms.p99:.2f}",
            )
        console.print(table)
    return results


def main(
    shape: Annotated[list[str] | None, typer.Option(help=f"Only this room: {', '.join(ROOMS)}.")] = None,
    seconds: Annotated[float, typer.Option(help="Measured time of one run.")] = 3.0,
    rounds: Annotated[int, typer.Option(min=1, help="Runs of each way.")] = 3,
    weigh: Annotated[str, typer.Option(help="Only weigh this module, and print JSON.", hidden=True)] = "",
) -> None:
    """Compare libraries for compression, and rooms with and without it."""
    if weigh:
        typer.echo(json.dumps(weigh_library(weigh)))
        return
    if unknown := [name for name in shape or [] if name not in ROOMS]:
        raise typer.BadParameter(f"no such room: {', '.join(unknown)}")
    console = Console()
    console.width = max(console.width, 110)
    results = {
        "libraries": compare_libraries(console),
        "rooms": compare_rooms(console, shape or list(ROOMS), seconds, rounds),
    }
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(results, indent=2) + "\n")
    console.print(f"written: {RESULTS.relative_to(Path.cwd()) if RESULTS.is_relative_to(Path.cwd()) else RESULTS}")


if __name__ == "__main__":
    typer.run(main)
