"""How fast the document type ``text`` is, called from Python.

    python -m pytest benchmarks/micro/test_ot_text.py

pytest-benchmark gives seconds for one call; where a call does many operations, ``operations`` in the extra
information says how many.
"""

from random import Random
from typing import Any

import pytest
from pytest_benchmark.fixture import BenchmarkFixture
from tests import traces

from fastcollab import ot

text: Any = ot.types["text"]

DOCUMENT_LENGTH = 100_000
LATIN = "The quick brown fox jumps over the lazy dog, and then it rests. "
CYRILLIC = "Съешь ещё этих мягких французских булок, да выпей же чаю. "
EMOJI = "Rooms 👩\u200d👧 and cursors 🖱 and documents 📄, all in one place 🎉. "


def small_pairs(count: int) -> list[tuple[list[Any], list[Any]]]:
    """Pairs of operations such as typing makes: one insert or delete somewhere in the document."""
    random = Random(7)

    def small() -> list[Any]:
        position = random.randrange(1, DOCUMENT_LENGTH - 8)
        return [position, random.choice(("a", "é", "word ", {"d": 1}, {"d": 4}))]

    return [(small(), small()) for _ in range(count)]


def scattered(document: str, edits: int, seed: int) -> list[Any]:
    """One operation with many edits all over the document, such as replacing a word everywhere."""
    random = Random(seed)
    operation: list[Any] = []
    for _ in range(edits):
        operation += [random.randrange(1, len(document) // edits - 8), {"d": random.randrange(1, 6)}, "word"]
    return operation


def test_transform_of_small_operations(benchmark: BenchmarkFixture) -> None:
    pairs = small_pairs(1_000)
    transform = text.transform
    benchmark.extra_info["operations"] = len(pairs)

    @benchmark
    def transform_all() -> None:
        for operation, other in pairs:
            transform(operation, other, "left")


def test_compose_of_typing(benchmark: BenchmarkFixture) -> None:
    typed = [[5_000 + index, "x"] for index in range(1_000)]
    benchmark.extra_info["operations"] = len(typed)

    def compose_all() -> list[Any]:
        buffer: list[Any] = []
        for operation in typed:
            buffer = text.compose(buffer, operation)
        return buffer

    assert benchmark(compose_all) == [5_000, "x" * 1_000]


@pytest.mark.parametrize("sentence", [LATIN, CYRILLIC, EMOJI], ids=["latin", "cyrillic", "emoji"])
def test_transform_and_apply_on_100_000_characters(benchmark: BenchmarkFixture, sentence: str) -> None:
    document = (sentence * (DOCUMENT_LENGTH // len(sentence) + 1))[:DOCUMENT_LENGTH]
    pairs = small_pairs(100)
    benchmark.extra_info["operations"] = len(pairs)

    @benchmark
    def transform_and_apply_all() -> None:
        for operation, other in pairs:
            text.apply(document, text.transform(operation, other, "left"))


def test_transform_of_a_hundred_edits_over_another_hundred(benchmark: BenchmarkFixture) -> None:
    document = LATIN * 200
    operation, other = scattered(document, 100, 1), scattered(document, 100, 2)
    result = benchmark(text.transform, operation, other, "left")
    by_other = text.apply(text.apply(document, other), result)
    assert by_other == text.apply(text.apply(document, operation), text.transform(other, operation, "right"))


@pytest.mark.parametrize("name", ["two-authors", "friendsforever", "sveltecomponent"])
def test_replay_of_a_session(benchmark: BenchmarkFixture, name: str) -> None:
    path = traces.OWN_SESSION if name == "two-authors" else traces.find(name)
    if path is None:
        pytest.skip(f"the trace {name} is not on this machine")
    session = traces.load(path)
    benchmark.extra_info["operations"] = len(session.transactions)
    assert benchmark(traces.replay, session) == session.end
