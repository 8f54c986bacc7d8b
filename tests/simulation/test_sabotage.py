"""The simulation finds what it is there to find: each rule, once broken, makes schedules fail.

Also what was really broken: `FOUND` names the schedules that led to a fix.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from typing import Any
from uuid import uuid4

import pytest
from tests.simulation.schedule import SimulationFailed, simulate

from fastcollab import client
from fastcollab.client.document import ClientDocument, Submission
from fastcollab.core.commits import CommitQueue
from fastcollab.core.document import Document
from fastcollab.core.permissions import Permission
from fastcollab.core.room import Room
from fastcollab.engines import memory
from fastcollab.server import documents
from fastcollab.server.committer import Committer
from fastcollab.server.rooms import _Live

Sabotage = Callable[[pytest.MonkeyPatch], None]

FOUND = [
    ("an operation for an earlier life of the document was committed in the next", 1022),
    ("an operation that came while history was fetched for another could not be transformed", 389),
    ("an operation too old for the history hid another for which it had to be fetched", 1182),
    ("history was fetched of a document that another process had made anew", 1506),
    ("a client entered a room that was deserted, and forgotten, while its history was fetched", 656),
    ("a restore followed a version that the room had not seen yet", 171),
    ("an operation was acknowledged before those that had come before it were told", 123876),
    ("the client wrote on when it was told that the document was made anew", 3),
]


@pytest.fixture(autouse=True)
def no_logs() -> Iterator[None]:
    """What the gateway has to say of its own faults is of no interest here."""
    logging.disable()
    yield
    logging.disable(logging.NOTSET)


@pytest.mark.parametrize("seed", [pytest.param(seed, id=name) for name, seed in FOUND])
def test_what_was_found(seed: int) -> None:
    simulate(seed)


class WrongSide:
    """A document type that transforms newcomers as if they were on the right."""

    def __init__(self, document_type: Any) -> None:
        self._type = document_type

    def __getattr__(self, name: str) -> Any:
        return getattr(self._type, name)

    def transform(self, operation: Any, other: Any, side: str) -> Any:
        return self._type.transform(operation, other, "right")


def newcomers_go_last(patch: pytest.MonkeyPatch) -> None:
    type_of = documents._type
    patch.setattr(documents, "_type", lambda stored: WrongSide(type_of(stored)))


def acknowledged_before_stored(patch: pytest.MonkeyPatch) -> None:
    async def append(self: Committer, room: Room, batch: Any) -> None:
        try:
            self._carry_out(room.committed())
        finally:
            if batch.appending is not None:
                await batch.appending

    patch.setattr(Committer, "_append", append)


def results_are_forgotten(patch: pytest.MonkeyPatch) -> None:
    stage = Document.stage

    def forgetful(self: Document, submission: Any, unix: int) -> int:
        self._results.clear()
        return stage(self, submission, unix)

    patch.setattr(Document, "stage", forgetful)
    patch.setattr(memory._Kept, "known_of", lambda self, authors: {})


def what_failed_is_kept(patch: pytest.MonkeyPatch) -> None:
    def fail(self: CommitQueue) -> Any:
        failed = [(session, submission) for session, submission, _ in self._batch]
        self.document.commit()
        self._batch = []
        return failed

    patch.setattr(CommitQueue, "fail", fail)


def snapshots_are_of_what_is_staged(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Document, "take_snapshot", lambda self: (self.version, self._live.content()))


def a_new_id_for_each_attempt(patch: pytest.MonkeyPatch) -> None:
    def in_flight(self: ClientDocument) -> Submission | None:
        if not self._message_id:
            return None
        self._message_id = str(uuid4())
        return Submission(self._message_id, self._in_flight, self.version)

    patch.setattr(ClientDocument, "in_flight", property(in_flight))


def lives_are_confused(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(
        Room, "require_writer", lambda self, session, what: self.members[session].require(Permission.WRITE, what)
    )


def rooms_are_entered_dead(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(_Live, "holders", property(lambda live: 0, lambda live, holders: None))


def notices_are_ignored(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(client.Room, "made_anew", lambda self, error: None)


@pytest.mark.parametrize(
    ("sabotage", "first"),
    [
        (newcomers_go_last, 0),
        (acknowledged_before_stored, 0),
        (results_are_forgotten, 0),
        (what_failed_is_kept, 0),
        (snapshots_are_of_what_is_staged, 0),
        (a_new_id_for_each_attempt, 0),
        (lives_are_confused, 1378),
        (rooms_are_entered_dead, 656),
        (notices_are_ignored, 0),
    ],
)
def test_what_is_broken_is_found(sabotage: Sabotage, first: int, monkeypatch: pytest.MonkeyPatch) -> None:
    sabotage(monkeypatch)
    with pytest.raises(SimulationFailed, match=r"python -m tests\.simulation --seed \d+"):
        for seed in range(first, first + 100):
            simulate(seed)
