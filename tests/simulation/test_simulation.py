"""Thousands of schedules, and the proof that they would find what is wrong.

`SIMULATION_SEEDS` says how many; `make simulate` goes on from there for as long as one likes.
"""

from __future__ import annotations

import logging
import os
from collections import Counter
from collections.abc import Iterator

import pytest
from tests.simulation.__main__ import SEEDS, report
from tests.simulation.schedule import Schedule, simulate

#: What must have happened, so that nobody takes the absence of an accident for its survival.
RARE = (
    "AlreadyCommitted",
    "LogMoved",
    "VERSION_MISMATCH",
    "a connection is lost during join",
    "a connection is lost in the middle of a catch-up",
    "a connection is lost when the operation is acknowledged",
    "a connection is lost when the operation is arrived",
    "a connection is lost when the operation is committed",
    "a connection is lost when the operation is known to be saved",
    "a connection is lost when the operation is sent",
    "a connection takes the place of one that is half open",
    "a connection takes up a lost one",
    "a crash with an append done",
    "a crash with an append not done",
    "a restore",
    "a result that only the store knew",
    "a room is deserted and opened again",
    "a snapshot while operations are being stored",
    "a user has left",
    "a user is back within the grace period",
    "an operation is answered with its first result",
    "an operation is refused",
    "an operation is sent again",
    "an operation is sent again by another connection",
    "an operation is sent twice on a connection",
    "an own operation is among those of others",
    "an undo",
    "append failed and was done",
    "append failed and was not done",
    "epoch_changed",
    "gap_trimmed",
    "history brought back from the store",
    "operations are given up by the package's client: InvalidMessage",
    "operations are given up by the package's client: VersionMismatch",
    "operations are given up: epoch_changed",
    "operations are given up: gap_trimmed",
    "operations are given up: refused",
    "operations were missed and are caught up with",
    "snapshot failed and was done",
    "snapshot failed and was not done",
    "the document is of type json1",
    "the document is of type rich-text",
    "the document is of type text",
    "the document is replaced",
    "the members are told that the document is made anew",
)


@pytest.fixture(autouse=True)
def no_logs() -> Iterator[None]:
    """What the gateway has to say of a store that fails is of no interest here."""
    logging.disable()
    yield
    logging.disable(logging.NOTSET)


def test_no_schedule_loses_anything_or_parts_the_copies(capsys: pytest.CaptureFixture[str]) -> None:
    seeds = int(os.environ.get("SIMULATION_SEEDS", SEEDS))
    tally: Counter[str] = Counter()
    for seed in range(seeds):
        tally += simulate(seed)
    with capsys.disabled():
        print(f"\n{report(tally, seeds)}")
    if seeds >= SEEDS:
        assert [what for what in RARE if not tally[what]] == []


def test_a_seed_is_one_schedule() -> None:
    def run(seed: int) -> tuple[Counter[str], list[str], float]:
        schedules: list[Schedule] = []
        tally = simulate(seed, schedules.append)
        (schedule,) = schedules
        messages = [entry.message_id for life in schedule.ledger.lives for entry in life.entries]
        return tally, messages, schedule.world.now

    for seed in range(20):
        assert run(seed) == run(seed)
