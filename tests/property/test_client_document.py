"""Many clients and a gateway in one process, without sockets or time: every schedule must end with equal documents.

A schedule is made from a seed: who edits what, which message is read next, who loses the connection and what was under
way with it, when the gateway forgets history, restarts in a new epoch, or refuses an operation. Every insertion is a
character that is used only once, so that the final text shows whether something was lost or applied twice.
"""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass, field
from random import Random
from typing import Any

import pytest

from fastcollab import ot
from fastcollab.client import ClientDocument
from fastcollab.client.document import Submission

TEXT = ot.types["text"]
SEEN: Counter[str] = Counter()  # how often a rare turn was taken, over all schedules
FIRST_MARK = 0x4E00  # the marks are code points from here on
SCHEDULES_PER_TEST = 250


def marks_in(operation: list[Any]) -> list[str]:
    """The characters that an operation inserts."""
    return [mark for component in operation if isinstance(component, str) for mark in component]


@dataclass
class SimulatedGateway:
    """The other half: transforms what comes on the left of what was committed, and knows ids that it has seen."""

    content: str = ""
    epoch: str = "epoch 0"
    history: list[tuple[list[Any], str]] = field(default_factory=list)  # operation and message id, by version
    oldest: int = 0
    committed: dict[str, int] = field(default_factory=dict)
    refused: set[str] = field(default_factory=set)

    @property
    def version(self) -> int:
        return len(self.history)

    def commit(self, submission: Submission) -> int | None:
        """The version that the operation makes; None if it is too old to be transformed."""
        message_id, operation, version = submission
        if message_id in self.committed:
            SEEN["resent although committed"] += 1
            return self.committed[message_id]
        if version < self.oldest:
            return None
        assert version <= self.version
        for other, _ in self.history[version:]:
            operation = TEXT.transform(operation, other, "left")
        self.content = TEXT.apply(self.content, operation)
        self.history.append((operation, message_id))
        self.committed[message_id] = self.version
        return self.version

    def restart(self, number: int) -> None:
        """What is in the document survives; how it came there does not."""
        self.epoch = f"epoch {number}"
        self.history = []
        self.committed = {}
        self.oldest = 0


@dataclass
class Site:
    """A client: its document, an editor that is told only of changes, and the two directions of its connection."""

    document: ClientDocument
    editor: str
    to_gateway: deque[Submission] = field(default_factory=deque)
    from_gateway: deque[tuple[Any, ...]] = field(default_factory=deque)
    connected: bool = True
    joined: bool = True  # the gateway has answered to joining the room
    missed: int = 0
    refused: list[str] = field(default_factory=list)  # marks that must not be in the text
    given_up: list[str] = field(default_factory=list)  # marks that may be in it

    def send(self, submission: Submission | None) -> None:
        if submission is not None and self.joined and not self.missed:
            self.to_gateway.append(submission)

    def receive(self) -> None:
        match self.from_gateway.popleft():
            case "ack", message_id, version:
                in_flight = self.document.in_flight
                if in_flight is not None and in_flight.message_id == message_id:
                    self.send(self.document.acknowledged(version))
            case "operation", operation, message_id, version:
                in_flight = self.document.in_flight
                if in_flight is not None and in_flight.message_id == message_id:
                    SEEN["acknowledged by a recovery" if self.missed else "acknowledged by another connection"] += 1
                    following = self.document.acknowledged(version)
                    self.send(following if self.missed != 1 else None)
                else:
                    self.editor = TEXT.apply(self.editor, self.document.remote(operation, version))
                if self.missed:
                    self.missed -= 1
                    if not self.missed:
                        self.send(self.document.in_flight)
            case "refused", _:
                SEEN["refused with a buffer"] += len(self.document.pending) == 2
                refusal = self.document.refused()
                self.editor = TEXT.apply(self.editor, refusal.change)
                self.refused += marks_in(refusal.operation)
                self.send(refusal.next)
            case "recovered", missed:
                self.joined = True
                self.missed = missed
                SEEN["resent"] += not missed and self.document.in_flight is not None
                self.send(self.document.in_flight)
            case "full state", content, version, epoch:
                self.joined = True
                pending = self.document.pending
                in_flight, *rest = self.document.resync(content, version, epoch) or [[]]
                SEEN["kept across a full state"] += bool(pending) and pending == self.document.pending
                SEEN["given up"] += bool(in_flight)
                self.given_up += marks_in(in_flight)
                self.refused += [mark for operation in rest for mark in marks_in(operation)]
                self.editor = self.document.content
                self.send(self.document.in_flight)
        assert self.editor == self.document.content


class Simulation:
    def __init__(self, seed: int, document_type: ot.DocumentType = TEXT, *, deletions: bool) -> None:
        self.random = Random(seed)
        self.deletions = deletions
        self.gateway = SimulatedGateway()
        self.marks = 0
        self.restarts = 0
        self.ids = 0
        self.late: deque[Submission] = deque()  # was on its way when its connection was lost, and arrives nevertheless
        self.sites = [
            Site(ClientDocument(document_type, "", 0, self.gateway.epoch, new_id=self.new_id), "")
            for _ in range(self.random.randint(2, 5))
        ]

    def new_id(self) -> str:
        self.ids += 1
        return f"id {self.ids}"

    def run(self, steps: int) -> None:
        actions = [self.edit] * 6 + [self.read_uplink] * 6 + [self.read_downlink] * 8 + [self.disconnect]
        actions += [self.reconnect] * 2 + [self.read_late]
        trouble = self.random.choice([[], [self.trim], [self.restart], [self.trim, self.restart]])
        for _ in range(steps):
            # Troubles make histories short-lived; with too many of them nothing else would be tested.
            action = self.random.choice(trouble) if trouble and self.random.random() < 0.01 else None
            (action or self.random.choice(actions))(self.random.choice(self.sites))
        self.settle()

    def settle(self) -> None:
        for site in self.sites:
            self.reconnect(site)
        while self.late or any(site.to_gateway or site.from_gateway for site in self.sites):
            for site in self.sites:
                self.read_late(site)
                self.read_uplink(site)
                self.read_downlink(site)

    def edit(self, site: Site) -> None:
        length = len(site.document.content)
        position = self.random.randint(0, length)
        operation: list[Any]
        if self.deletions and length and self.random.random() < 0.4:
            position = self.random.randrange(length)
            operation = [position, {"d": self.random.randint(1, min(3, length - position))}]
        else:
            marks = "".join(chr(FIRST_MARK + self.marks + i) for i in range(self.random.randint(1, 3)))
            self.marks += len(marks)
            operation = [position, marks]
        operation = TEXT.normalize(operation)
        site.editor = TEXT.apply(site.editor, operation)
        site.send(site.document.edit(operation))
        assert site.editor == site.document.content

    def read_uplink(self, site: Site) -> None:
        if not site.to_gateway:
            return
        submission = site.to_gateway.popleft()
        before = self.gateway.version
        if submission.message_id not in self.gateway.committed and self.random.random() < 0.03:
            self.gateway.refused.add(submission.message_id)
        if submission.message_id in self.gateway.refused:
            site.from_gateway.append(("refused", submission.message_id))
            return
        version = self.gateway.commit(submission)
        if version is None:  # the client joins again
            self.join(site, recover=False)
            return
        site.from_gateway.append(("ack", submission.message_id, version))
        if self.gateway.version > before:
            self.broadcast([other for other in self.sites if other is not site])

    def read_late(self, _: Site) -> None:
        if self.late:
            before = self.gateway.version
            submission = self.late.popleft()
            if submission.message_id not in self.gateway.refused:
                self.gateway.commit(submission)
            if self.gateway.version > before:
                self.broadcast(self.sites)

    def broadcast(self, sites: list[Site]) -> None:
        operation, message_id = self.gateway.history[-1]
        for site in sites:
            if site.connected:
                site.from_gateway.append(("operation", operation, message_id, self.gateway.version))

    def read_downlink(self, site: Site) -> None:
        if site.from_gateway:
            site.receive()

    def disconnect(self, site: Site) -> None:
        """What is under way to the client is lost, and what is under way to the gateway may be."""
        site.connected = site.joined = False
        site.missed = 0
        if self.random.random() < 0.5:
            self.late += site.to_gateway
        site.to_gateway.clear()
        site.from_gateway.clear()

    def reconnect(self, site: Site) -> None:
        if not site.connected:
            site.connected = True
            self.join(site, recover=True)

    def join(self, site: Site, *, recover: bool) -> None:
        gateway, document = self.gateway, site.document
        same_life = document.epoch == gateway.epoch and gateway.oldest <= document.version
        if recover and same_life:
            missed = gateway.history[document.version :]
            site.from_gateway.append(("recovered", len(missed)))
            for version, (operation, message_id) in enumerate(missed, document.version + 1):
                site.from_gateway.append(("operation", operation, message_id, version))
        else:
            site.from_gateway.append(("full state", gateway.content, gateway.version, gateway.epoch))

    def trim(self, _: Site) -> None:
        self.gateway.oldest = self.random.randint(self.gateway.oldest, self.gateway.version)

    def restart(self, _: Site) -> None:
        self.restarts += 1
        for site in self.sites:
            self.disconnect(site)
        self.late.clear()
        self.gateway.restart(self.restarts)

    def check(self) -> None:
        for site in self.sites:
            assert not site.document.pending
            assert site.document.content == site.document.confirmed == site.editor == self.gateway.content
            assert site.document.version == self.gateway.version
        ids = [message_id for _, message_id in self.gateway.history]
        assert len(ids) == len(set(ids))
        text = self.gateway.content
        assert len(set(text)) == len(text)
        refused = {mark for site in self.sites for mark in site.refused}
        assert not refused.intersection(text)
        if not self.deletions:
            given_up = {mark for site in self.sites for mark in site.given_up}
            expected = {chr(FIRST_MARK + i) for i in range(self.marks)} - refused - given_up
            assert expected <= set(text)


def simulate(seed: int, document_type: ot.DocumentType = TEXT) -> None:
    simulation = Simulation(seed, document_type, deletions=seed % 2 == 0)
    try:
        simulation.run(steps=simulation.random.randint(20, 150))
        simulation.check()
    except Exception as error:
        error.add_note(f"seed {seed}")
        raise


@pytest.mark.parametrize("block", range(16))
def test_all_copies_converge_and_every_operation_is_applied_once(block: int) -> None:
    """OT2 to OT6 and OT9, under disconnects at any moment."""
    for seed in range(block * SCHEDULES_PER_TEST, (block + 1) * SCHEDULES_PER_TEST):
        simulate(seed)


def test_the_schedules_take_the_rare_turns() -> None:
    for seed in range(SCHEDULES_PER_TEST):
        simulate(seed)
    turns = {
        "resent",
        "resent although committed",
        "acknowledged by a recovery",
        "acknowledged by another connection",
        "refused with a buffer",
        "given up",
    }
    assert not {turn: SEEN[turn] for turn in turns if SEEN[turn] < 10}


class ConfusableText:
    """The type ``text``; ``confused``, it takes left for right."""

    def __init__(self, confused: bool) -> None:
        self.confused = confused

    def __getattr__(self, name: str) -> Any:
        return getattr(TEXT, name)

    def transform(self, operation: Any, other: Any, side: ot.Side) -> Any:
        if self.confused:
            side = "left" if side == "right" else "right"
        return TEXT.transform(operation, other, side)


def test_a_client_that_confuses_the_sides_is_caught() -> None:
    failures = 0
    for seed in range(50):
        simulate(seed, ConfusableText(confused=False))
        try:
            simulate(seed, ConfusableText(confused=True))
        except (AssertionError, ot.OperationError):
            failures += 1
    assert failures > 25
