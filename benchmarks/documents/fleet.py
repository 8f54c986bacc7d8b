"""Editors on their documents, and what it costs a server to serve them.

The order of a run:

1. each document is founded by its first editor, and the others enter;
2. warm-up: all write, nothing is measured;
3. measured time: the server's processor time and the operations count from here;
4. nobody writes any more, and the clock runs on until every editor has every operation of its document;
5. every copy is compared with the server's.
"""

from __future__ import annotations

import asyncio
import gc
import math
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import TypeVar

from picows import ws_connect

from benchmarks.documents.editors import LETTERS, PATIENCE, SIZE, Editor
from fastcollab.bench._histogram import Histogram
from fastcollab.bench.connect import LoadError
from fastcollab.bench.process import cpu_seconds, wait_seconds
from fastcollab.bench.report import Percentiles

T = TypeVar("T")

STEP = 0.002  # seconds between two looks at who is to write, at a fixed rate
TEXT = (LETTERS * (SIZE // len(LETTERS) + 1))[:SIZE]


@dataclass(frozen=True, slots=True)
class Work:
    """How many documents with how many editors each, and how many operations a second each writes (None: the next as
    soon as the last is acknowledged)."""

    documents: int
    members: int
    rate: float | None = None

    def __str__(self) -> str:
        pace = "at full speed" if self.rate is None else f"{self.rate:g} operations/s each"
        documents = f"{self.documents} documents" if self.documents > 1 else "1 document"
        return f"{documents}, {self.members} client{'s' * (self.members > 1)} each, {pace}"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A server to be driven, or several with the same documents: the dialect, and the headers with which the client of
    a number introduces itself. Clients are spread over the addresses by turns.
    """

    editor: type[Editor]
    urls: Sequence[str]
    pids: Sequence[int]
    headers: Callable[[int], Mapping[str, str]]


@dataclass(frozen=True, slots=True)
class Report:
    """One run; processor time is that of the whole process, or of all together, user and system."""

    operations: int
    operations_per_second: float
    cpu_us_per_operation: float
    cpu_share: float  # of one core
    wait_share: float  # of the time, in which the server was ready to run and something else had its core
    commit_ms: Percentiles  # from submission to acknowledgement
    generator_cpu_share: float  # of one core
    seconds: float


class Fleet:
    """The editors of all documents. An error that one of them meets ends whatever is awaited here."""

    def __init__(self, endpoint: Endpoint, work: Work) -> None:
        self._endpoint = endpoint
        self._work = work
        self._failure: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._documents: list[list[Editor]] = []

    async def open(self) -> None:
        """Connects everybody and founds the documents."""
        for document in range(self._work.documents):
            editors: list[Editor] = []
            self._documents.append(editors)
            for member in range(self._work.members):
                number = document * self._work.members + member
                editors.append(await connect(self._endpoint, f"document-{document}", number, self._fail))
                await self._watch(editors[-1].enter())
                if member == 0:
                    await self._watch(editors[0].found(TEXT))

    async def drive(self, seconds: float) -> None:
        """Has everybody write."""
        if self._work.rate is None:
            self._set_due(math.inf)
            await self._watch(asyncio.sleep(seconds))
            return
        began = last = time.monotonic()
        while last < began + seconds:
            await self._watch(asyncio.sleep(STEP))
            now = time.monotonic()
            for editor in self._editors:
                editor.due += (now - last) * self._work.rate
                editor.write()
            last = now

    def spread(self) -> None:
        """At a fixed rate, has everybody write at another moment."""
        count = len(self._editors)
        for index, editor in enumerate(self._editors):
            editor.due = index / count

    def time(self) -> Histogram:
        """From here on, commits are timed in one histogram."""
        latency = Histogram()
        for editor in self._editors:
            editor.latency = latency
        return latency

    async def drain(self) -> None:
        """Nobody writes any more; waits until everybody has everything."""
        self._set_due(0)
        async with asyncio.timeout(PATIENCE):
            while not all(map(_at_rest, self._documents)):
                await self._watch(asyncio.sleep(0.001))

    async def check(self) -> None:
        """Compares every copy with the server's. LoadError if one differs."""
        for editors in self._documents:
            content, version = await self._watch(editors[0].ask())
            for editor in editors:
                if (editor.version, editor.live.content()) != (version, content):
                    raise LoadError(f"a copy of {editor.document} is not what the server has")

    def close(self) -> None:
        for editor in self._editors:
            editor.disconnect()

    @property
    def committed(self) -> int:
        """How many operations there have been."""
        return sum(max(editor.version for editor in editors) for editors in self._documents)

    @property
    def _editors(self) -> list[Editor]:
        return [editor for editors in self._documents for editor in editors]

    def _set_due(self, operations: float) -> None:
        for editor in self._editors:
            editor.due = operations
            editor.write()

    def _fail(self, error: Exception) -> None:
        if not self._failure.done():
            self._failure.set_exception(error)

    async def _watch(self, step: Awaitable[T]) -> T:
        task = asyncio.ensure_future(step)
        await asyncio.wait((task, self._failure), return_when=asyncio.FIRST_COMPLETED)
        if self._failure.done():
            task.cancel()
            self._failure.result()
        return await task


async def connect(endpoint: Endpoint, document: str, number: int, failed: Callable[[Exception], None]) -> Editor:
    """An editor, connected as the client of that number."""
    url = endpoint.urls[number % len(endpoint.urls)]
    _, editor = await ws_connect(
        lambda: endpoint.editor(document, number, failed), url, extra_headers=endpoint.headers(number)
    )
    assert isinstance(editor, Editor)
    return editor


def _at_rest(editors: list[Editor]) -> bool:
    return len({editor.version for editor in editors}) == 1 and all(editor.in_flight is None for editor in editors)


async def run(
    endpoint: Endpoint,
    work: Work,
    seconds: float,
    warmup: float,
    while_measured: AbstractContextManager[object] | None = None,
) -> Report:
    """Drives a server. LoadError if it answers with an error, loses an operation, or spoils a copy.

    `while_measured` is entered when the measured time begins, and left when it ends.
    """
    fleet = Fleet(endpoint, work)
    await fleet.open()
    gc.collect()
    gc.freeze()
    fleet.spread()
    await fleet.drive(warmup)
    latency = fleet.time()
    with while_measured or nullcontext():
        committed, began, own_cpu = fleet.committed, time.monotonic(), time.process_time()
        cpu, waited = sum(map(cpu_seconds, endpoint.pids)), sum(map(wait_seconds, endpoint.pids))
        await fleet.drive(seconds)
        await fleet.drain()
        cpu = sum(map(cpu_seconds, endpoint.pids)) - cpu
        waited = sum(map(wait_seconds, endpoint.pids)) - waited
        own_cpu, elapsed = time.process_time() - own_cpu, time.monotonic() - began
    operations = fleet.committed - committed
    await fleet.check()
    fleet.close()
    gc.unfreeze()
    return Report(
        operations=operations,
        operations_per_second=operations / elapsed,
        cpu_us_per_operation=cpu / operations * 1e6,
        cpu_share=cpu / elapsed,
        wait_share=waited / elapsed,
        commit_ms=Percentiles.of(latency),
        generator_cpu_share=own_cpu / elapsed,
        seconds=elapsed,
    )
