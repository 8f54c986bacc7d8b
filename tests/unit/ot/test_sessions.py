"""Whole recorded sessions must end at exactly their recorded text."""

from dataclasses import dataclass, field
from random import Random
from typing import Any

import pytest
from tests import traces
from tests.traces import Author, Edit, Operation, Session

from fastcollab import ot

text: Any = ot.types["text"]


def published(name: str) -> Session:
    path = traces.find(name)
    if path is None:
        pytest.skip(f"the trace {name} is not on this machine")
    return traces.load(path)


@pytest.fixture(scope="module")
def own_session() -> Session:
    return traces.load(traces.OWN_SESSION)


def test_our_own_session_of_two_authors_ends_at_its_text(own_session: Session) -> None:
    assert len(own_session.transactions) == 4_000
    assert traces.replay(own_session) == own_session.end


def test_a_published_session_of_two_authors_ends_at_its_text() -> None:
    session = published("friendsforever")
    assert traces.replay(session) == session.end


def test_a_published_session_of_one_author_ends_at_its_text() -> None:
    session = published("sveltecomponent")
    assert traces.replay(session) == session.end


def test_a_wrong_side_does_not_end_at_the_text(own_session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    class OtherSides:
        """Text whose incoming operations are on the right."""

        apply = staticmethod(text.apply)

        @staticmethod
        def transform(operation: Operation, other: Operation, side: ot.Side) -> Operation:
            return text.transform(operation, other, "right" if side == "left" else "left")

    edits = traces.edits(own_session)
    monkeypatch.setattr(traces, "edits", lambda session: edits)
    monkeypatch.setattr(traces, "text", OtherSides)
    try:
        end = traces.replay(own_session)
    except ot.OperationError:
        return
    assert end != own_session.end


@dataclass
class Server:
    """The gateway's half: one order of operations."""

    content: str = ""
    history: list[Operation] = field(default_factory=list)
    authors: list[int] = field(default_factory=list)

    def commit(self, agent: int, operation: Operation, version: int) -> None:
        for other in self.history[version:]:
            operation = text.transform(operation, other, "left")
        self.content = text.apply(self.content, operation)
        self.history.append(operation)
        self.authors.append(agent)


@dataclass
class Client:
    """The client's half, with one operation in flight at most; it receives only when it is told to."""

    agent: int
    server: Server
    content: str = ""
    version: int = 0
    in_flight: Operation | None = None
    author: Author = field(default_factory=Author)

    def submit(self, edit: Edit) -> None:
        while self.author.received < edit.seen:
            self.receive()
        self.author.see(edit.seen)
        self.in_flight = self.author.write(edit.operation)
        self.content = text.apply(self.content, self.in_flight)
        self.server.commit(self.agent, self.in_flight, self.version)
        while self.in_flight is not None:
            self.receive()

    def receive(self) -> None:
        operation: Any = self.server.history[self.version]
        own = self.server.authors[self.version] == self.agent
        self.version += 1
        if own:
            self.in_flight = None
            return
        if self.in_flight is not None:
            pending = self.in_flight
            self.in_flight = text.transform(pending, operation, "left")
            operation = text.transform(operation, pending, "right")
        self.content = text.apply(self.content, operation)
        self.author.receive(operation)


@pytest.mark.parametrize("seed", range(3))
def test_two_clients_with_any_delays_end_at_the_text(own_session: Session, seed: int) -> None:
    random = Random(seed)
    server = Server()
    clients = Client(0, server), Client(1, server)
    late = 0
    for edit in traces.edits(own_session):
        client = clients[edit.agent]
        while client.version < len(server.history) and random.random() < 0.3:
            client.receive()
        late += client.version < len(server.history)
        client.submit(edit)
    for client in clients:
        while client.version < len(server.history):
            client.receive()
    assert late > 500  # or nothing was put to the test
    assert clients[0].content == clients[1].content == server.content == own_session.end


def test_what_cannot_be_replayed_is_refused() -> None:
    patches = [[0, 0, "a"]]
    with pytest.raises(ValueError, match="third author"):
        traces.edits(Session("", "", [{"patches": patches, "parents": [], "agent": 2}]))
    first = {"patches": patches, "parents": [], "agent": 0}
    with pytest.raises(ValueError, match="had not seen all of their own"):
        traces.edits(Session("", "", [first, first]))
    with pytest.raises(ValueError, match="cannot see 1"):
        Author().see(1)
