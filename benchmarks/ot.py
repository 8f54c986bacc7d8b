"""The document types beside the npm packages that they are twins of. ``python -m benchmarks.ot [-k TYPE_OR_WORK]``

Each piece of work is done by fastcollab, called from Python and timed by pytest-benchmark, and by Node, on the same
input and in turns within one run, so that what else the machine does meets both alike; the results must be equal. The
clock runs in each process around the work alone, which a round repeats until it has taken a while: the first time, all
that the other process had driven out of the processor's caches is missing. Node runs for a second before its first
round counts, so that its compiler is done; Python's garbage collector is told to leave the inputs alone, as a server
does with what lives long. The figure to compare is the ratio, how many times as fast as Node: each round has its own,
and the median of them counts.

The packages are those of the tests, installed from their lock file. The table goes to the standard output, and
everything measured to ``benchmarks/results/ot.json``; pytest-benchmark's options work as well.
"""

from __future__ import annotations

import gc
import json
import math
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import pytest
from pytest_benchmark.fixture import BenchmarkFixture
from rich.console import Console
from rich.table import Table
from tests import traces
from tests.generators import json1 as json1_cases
from tests.twins import twins

from fastcollab import ot
from fastcollab.ot.live import open_document

RESULTS = Path(__file__).parent / "results" / "ot.json"
NODE_WARM_UP_SECONDS = 1.0
WARM_UP_SECONDS = 0.1
ROUND_SECONDS = 0.02  # or as long as the work takes once
ROUNDS = 25

LATIN = "The quick brown fox jumps over the lazy dog, and then it rests. "
EMOJI = "Rooms 👩\u200d👧 and cursors 🖱 and documents 📄, all in one place 🎉. "
TEXT_LENGTH = 100_000


@dataclass(frozen=True, slots=True)
class Scenario:
    """A piece of work on inputs of a type; `operations` says how many, and `target` the ratio that is asked for."""

    name: str
    type_name: str
    work: str
    input: Any
    operations: int
    target: float


# --- the work, which peers/ot.mjs does too, name by name --------------------------------------------------------------


def transform(document_type: ot.DocumentType, pairs: list[Any]) -> Any:
    run = document_type.transform
    for a, b in pairs:
        result = run(a, b, "left")
    return result


def compose(document_type: ot.DocumentType, pairs: list[Any]) -> Any:
    run = document_type.compose
    for a, b in pairs:
        result = run(a, b)
    return result


def apply(document_type: ot.DocumentType, pairs: list[Any]) -> Any:
    run = document_type.apply
    for document, operation in pairs:
        result = run(document, operation)
    return result


def share(document_type: ot.DocumentType, pairs: list[Any]) -> Any:
    """As the package applies: the result has in common with the document what the operation leaves unchanged."""
    run: Any = document_type.apply
    for document, operation in pairs:
        result = run(document, operation, share=True)
    return result


def commit(document_type: ot.DocumentType, pairs: list[Any]) -> Any:
    """What a gateway does with each operation: it applies it to the document that it holds, and keeps the inverse."""
    for document, operation in pairs:
        live = open_document(document_type, document)
        live.apply(operation)
    return live.content()


def edit(document_type: ot.DocumentType, start_and_pairs: Any) -> Any:
    """What a gateway does with late operations: it holds the document, and needs the inverse of each."""
    start, pairs = start_and_pairs
    run = document_type.transform
    live = open_document(document_type, start)
    for a, b in pairs:
        live.apply(run(a, b, "left"))
    return live.content()


def replay(document_type: ot.DocumentType, start_and_edits: Any) -> Any:
    """A recorded session of two authors; `tests.traces` says how."""
    start, edits = start_and_edits
    run = document_type.transform
    live = open_document(document_type, start)
    unseen: tuple[list[Any], list[Any]] = ([], [])
    received = [0, 0]
    for each in edits:
        agent, operation = each["agent"], each["operation"]
        mine = unseen[agent]
        del mine[: each["seen"] - (received[agent] - len(mine))]
        for index, other in enumerate(mine):
            mine[index] = run(other, operation, "right")
            operation = run(operation, other, "left")
        live.apply(operation)
        received[1 - agent] += 1
        unseen[1 - agent].append(operation)
    return live.content()


WORKS: dict[str, Callable[[ot.DocumentType, Any], Any]] = {
    "transform": transform,
    "compose": compose,
    "apply": apply,
    "share": share,
    "commit": commit,
    "edit": edit,
    "replay": replay,
}


# Their input is a list of pairs, each by itself; the result of the last one is given.
BY_PAIRS = ("transform", "compose", "apply", "share", "commit")


def results(scenario: Scenario) -> list[Any]:
    """The result of each operation, or of all if they follow each other."""
    work, document_type = WORKS[scenario.work], ot.types[scenario.type_name]
    inputs = [[pair] for pair in scenario.input] if scenario.work in BY_PAIRS else [scenario.input]
    return [work(document_type, each) for each in inputs]


# --- the inputs -------------------------------------------------------------------------------------------------------


def small_text(random: Random, length: int) -> Any:
    """An operation such as typing makes: one insert or delete somewhere in the text."""
    return [random.randrange(1, length - 2_000), random.choice(("a", "é", "word ", {"d": 1}, {"d": 4}))]


def scattered_text(random: Random, length: int, edits: int) -> Any:
    """An operation with many edits, such as replacing a word everywhere."""
    operation: list[Any] = []
    for _ in range(edits):
        operation += [random.randrange(1, length // edits - 8), {"d": random.randrange(1, 6)}, "word"]
    return operation


def text_scenarios() -> Iterator[Scenario]:
    random = Random(7)
    pairs = [(small_text(random, TEXT_LENGTH), small_text(random, TEXT_LENGTH)) for _ in range(1_000)]
    yield Scenario("transform, small", "text", "transform", pairs, 1_000, 1)
    for alphabet, sentence in (("Latin", LATIN), ("emoji", EMOJI)):
        document = (sentence * (TEXT_LENGTH // len(sentence) + 1))[:TEXT_LENGTH]
        yield Scenario(f"transform and apply, 100 KB {alphabet}", "text", "edit", (document, pairs[:200]), 200, 10)
    many = [(scattered_text(random, TEXT_LENGTH, 100), scattered_text(random, TEXT_LENGTH, 100)) for _ in range(20)]
    yield Scenario("transform, 100 edits over 100", "text", "transform", many, 20, 5)
    yield Scenario("compose, small", "text", "compose", pairs, 1_000, 1)
    for name in ("two-authors", "friendsforever", "sveltecomponent"):
        path = traces.OWN_SESSION if name == "two-authors" else traces.find(name)
        if path is None:
            continue
        session = traces.load(path)
        edits = [
            {"agent": each.agent, "operation": each.operation, "seen": each.seen} for each in traces.edits(session)
        ]
        yield Scenario(f"replay, {name}", "text", "replay", (session.start, edits), len(edits), 10)


def dashboard() -> dict[str, Any]:
    """A document such as a dashboard's: a title, and widgets with places, texts and data."""
    return {
        "title": "Sales, this week",
        "widgets": [
            {
                "id": f"widget-{index}",
                "kind": "chart",
                "at": {"x": 40 * index, "y": 25 * index, "width": 320, "height": 200},
                "title": f"Widget {index}",
                "data": [index, index + 1, index + 2],
            }
            for index in range(40)
        ],
    }


def small_json1(random: Random) -> Any:
    """What one gesture does: a widget is dragged, renamed, counted up, moved in the list, removed or added."""
    index = random.randrange(39)
    return random.choice(
        (
            ["widgets", index, "at", ["x", {"r": True, "i": random.randrange(900)}], ["y", {"r": True, "i": 7}]],
            ["widgets", index, "title", {"es": [random.randrange(1, 8), "x"]}],
            ["widgets", index, "data", random.randrange(3), {"ena": 1}],
            ["widgets", [index, {"p": 0}], [39, {"d": 0}]],
            ["widgets", index, {"r": True}],
            ["widgets", index, {"i": {"id": "new", "kind": "note", "at": {"x": 0, "y": 0}}}],
        )
    )


def json1_scenarios() -> Iterator[Scenario]:
    random = Random(8)
    json1 = ot.types["json1"]
    document = dashboard()
    pairs = [(small_json1(random), small_json1(random)) for _ in range(500)]
    yield Scenario("transform, gestures on a dashboard", "json1", "transform", pairs, 500, 3)
    applied = [(document, a) for a, _ in pairs]
    yield Scenario("apply to a copy, gestures on a dashboard", "json1", "apply", applied, 500, 3)
    yield Scenario("apply and share, gestures on a dashboard", "json1", "share", applied, 500, 3)
    yield Scenario("apply and invert, live, gestures on a dashboard", "json1", "commit", applied, 500, 3)
    following = [(a, json1.transform(b, a, "left")) for a, b in pairs]
    yield Scenario("compose, gestures on a dashboard", "json1", "compose", following, 500, 3)
    # Without what JSON cannot say: documents that do not exist.
    cases = [each for each in (json1_cases.case(random) for _ in range(300)) if "document" in each]
    cases = [each for each in cases if json1.apply(each["document"], each["a"]) is not ot.ABSENT]
    count = len(cases)
    yield Scenario("transform, generated", "json1", "transform", [(c["a"], c["b"]) for c in cases], count, 3)
    applied = [(c["document"], c["a"]) for c in cases]
    yield Scenario("apply to a copy, generated", "json1", "apply", applied, count, 3)
    yield Scenario("apply and share, generated", "json1", "share", applied, count, 3)
    yield Scenario("apply and invert, live, generated", "json1", "commit", applied, count, 3)
    yield Scenario("compose, generated", "json1", "compose", [(c["a"], c["c"]) for c in cases], count, 3)


def small_delta(random: Random) -> Any:
    """Typing or deleting, or a word made bold."""
    edits: list[Any] = [
        [{"insert": "x"}],
        [{"delete": 2}],
        [{"insert": "👩", "attributes": {"bold": True}}],
        [{"retain": 8, "attributes": {"bold": True}}],
    ]
    edit = random.choice(edits)
    return [{"retain": random.randrange(1, 4_000)}, *edit]


def scattered_delta(random: Random, edits: int) -> Any:
    """Every so often a word replaced, or its colour changed."""
    operation: list[Any] = []
    for _ in range(edits):
        operation.append({"retain": random.randrange(2, 30)})
        operation += random.choice(
            (
                [{"insert": "word"}, {"delete": 4}],
                [{"retain": 5, "attributes": {"color": random.choice(("red", None))}}],
            )
        )
    return operation


def rich_text_scenarios() -> Iterator[Scenario]:
    random = Random(9)
    pairs = [(small_delta(random), small_delta(random)) for _ in range(500)]
    yield Scenario("transform, small", "rich-text", "transform", pairs, 500, 2)
    yield Scenario("compose, small", "rich-text", "compose", pairs, 500, 2)
    many = [(scattered_delta(random, 100), scattered_delta(random, 100)) for _ in range(20)]
    yield Scenario("transform, 100 edits over 100", "rich-text", "transform", many, 20, 2)
    yield Scenario("compose, 100 edits over 100", "rich-text", "compose", many, 20, 2)


# --- measuring --------------------------------------------------------------------------------------------------------


class Node:
    """The process of ``peers/ot.mjs``."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def begin(self, scenario: Scenario) -> Any:
        """Sets the work, and gives its results as `results` does."""
        request = {
            "type": scenario.type_name,
            "work": scenario.work,
            "input": scenario.input,
            "byPairs": scenario.work in BY_PAIRS,
        }
        return json.loads(self._ask(json.dumps(request)))

    def round(self, times: int) -> int:
        """Does the work so many times, and gives the nanoseconds that it took."""
        return int(self._ask(str(times)))

    def _ask(self, line: str) -> str:
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()
        if not (answer := self._process.stdout.readline()):
            raise RuntimeError("the process of the published packages ended; its error is above")
        return answer


def times_in_a_round(do: Callable[[int], object], seconds: float) -> int:
    """How often the work has to be done for a round, after doing it for some seconds."""
    begun = time.monotonic()
    times = 0
    while (passed := time.monotonic() - begun) < seconds:
        do(1)
        times += 1
    return math.ceil(times * ROUND_SECONDS / passed)


@dataclass(frozen=True, slots=True)
class Result:
    """Nanoseconds for one operation, by fastcollab and by Node, in each round."""

    rounds: list[tuple[float, float]]

    @property
    def fastcollab_ns(self) -> float:
        return statistics.median(ours for ours, _ in self.rounds)

    @property
    def node_ns(self) -> float:
        return statistics.median(theirs for _, theirs in self.rounds)

    @property
    def ratio(self) -> float:
        return statistics.median(theirs / ours for ours, theirs in self.rounds)


Measured = list[tuple[Scenario, Result]]


@pytest.fixture(scope="module")
def node() -> Iterator[Node]:
    command = [str(twins.install()), str(Path(__file__).parent / "peers" / "ot.mjs")]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, encoding="utf-8") as process:
        assert process.stdin is not None
        try:
            yield Node(process)
        finally:
            process.stdin.close()
            process.wait(timeout=10)


@pytest.fixture(scope="module")
def measured(request: pytest.FixtureRequest) -> Iterator[Measured]:
    """Where the results go to, which are written at the end."""
    rows: Measured = []
    yield rows
    version = subprocess.run([twins.install(), "--version"], capture_output=True, text=True, check=True).stdout.strip()
    RESULTS.write_text(as_json(rows, version) + "\n")
    with request.config.pluginmanager.getplugin("capturemanager").global_and_fixture_disabled():
        console = Console()
        console.width = max(console.width, 100)
        console.print("\n", as_table(rows), f"\nwritten: {RESULTS.relative_to(Path(__file__).parents[1])}", sep="")


@pytest.mark.parametrize(
    "scenario",
    [*text_scenarios(), *json1_scenarios(), *rich_text_scenarios()],
    ids=lambda scenario: f"{scenario.type_name} {scenario.name}",
)
def test_the_type_beside_its_twin(
    scenario: Scenario, node: Node, measured: Measured, benchmark: BenchmarkFixture
) -> None:
    document_type = ot.types[scenario.type_name]
    work = WORKS[scenario.work]

    def do(times: int) -> None:
        for _ in range(times):
            work(document_type, scenario.input)

    assert twins.same(results(scenario), node.begin(scenario))
    theirs_times = times_in_a_round(node.round, NODE_WARM_UP_SECONDS)
    times = times_in_a_round(do, WARM_UP_SECONDS)
    gc.collect()
    gc.freeze()
    theirs: list[float] = []

    def let_node_go_first() -> None:
        theirs.append(node.round(theirs_times) / theirs_times / scenario.operations)

    benchmark.pedantic(do, (times,), setup=let_node_go_first, rounds=ROUNDS)
    ours = [seconds * 1e9 / times / scenario.operations for seconds in benchmark.stats.stats.data]
    result = Result(list(zip(ours, theirs, strict=True)))
    benchmark.extra_info.update(operations=times * scenario.operations, ratio=result.ratio)
    measured.append((scenario, result))


def as_table(measured: Measured) -> Table:
    table = Table(title="One operation, and how many times as fast as Node")
    for column in ("type", "work", "fastcollab µs", "Node µs", "ratio", "asked for"):
        table.add_column(column, justify="left" if column in ("type", "work") else "right")
    for scenario, result in measured:
        table.add_row(
            scenario.type_name,
            scenario.name,
            f"{result.fastcollab_ns / 1_000:,.3f}",
            f"{result.node_ns / 1_000:,.3f}",
            f"{result.ratio:,.1f}" + " " * (result.ratio >= scenario.target) + "!" * (result.ratio < scenario.target),
            f"{scenario.target:g}",
        )
    return table


def as_json(measured: Measured, node_version: str) -> str:
    system = {"system": platform.system(), "machine": platform.machine(), "cores": os.cpu_count()}
    versions = {"python": platform.python_version(), "node": node_version}
    figures = [
        {
            "type": scenario.type_name,
            "work": scenario.name,
            "operations": scenario.operations,
            "fastcollab_ns": round(result.fastcollab_ns, 1),
            "node_ns": round(result.node_ns, 1),
            "ratio": round(result.ratio, 2),
            "target": scenario.target,
            "rounds_ns": [[round(figure, 1) for figure in each] for each in result.rounds],
        }
        for scenario, result in measured
    ]
    return json.dumps({**system, **versions, "results": figures}, indent=2)


if __name__ == "__main__":
    sys.exit(pytest.main([__file__, "--benchmark-quiet", *sys.argv[1:]]))
