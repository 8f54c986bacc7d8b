"""Recorded editing sessions, and how to replay them through operational transformation.

A session is JSON, compressed with gzip: ``{startContent, endContent, txns: [{patches, parents, agent}]}``. A
transaction is what an author did at once: patches ``[position, deleted, inserted]``, each against the text
that the one before it left, positions in code points. ``parents`` are the indices of the newest transactions
that the author had seen, and ``agent`` is the author; sessions of one author have neither. The order of the
transactions is an order in which a server may have committed them.

What an author saw. At each transaction, an author's text holds all of the author's own transactions and a
first part of the other's, so the causal order of two authors comes down to one number: how many of the
other's transactions had been seen. `edits` gives it, with each transaction as an operation against the text
that the author saw.

Why a client needs help with it. A client of the gateway learns of its own operation's commitment only after
it has received all that was committed before, while the author on the record typed on without having seen
that. To replay the record exactly, what a client has received and what its author has seen must be two
things. `Author` keeps what lies between: it takes in what the client receives, shows it to the author when
the record says so, and turns what the author writes into an operation against the client's text. So a session
is replayed in memory like this, by `replay`::

    for edit in edits(session):
        author = authors[edit.agent]
        author.see(edit.seen)
        operation = author.write(edit.operation)
        document = text.apply(document, operation)      # the server's, and that of the author's client
        authors[1 - edit.agent].receive(operation)      # at once, or later, but before it has to be seen

And through a gateway with two clients like this. The edits go in order, each when the one before it is
acknowledged, so that the gateway commits them in the order of the record. What a client receives may arrive
with any delay, so long as nothing is lost::

    for edit in edits(session):
        author = authors[edit.agent]
        wait until author.received >= edit.seen
        author.see(edit.seen)
        submit author.write(edit.operation) with this author's client, wait until it is acknowledged

    whenever a remote operation changes a client's text:
        its author.receive(the operation as it changed that text)

Both end at ``endContent``.
"""

import gzip
import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fastcollab import ot

text: Any = ot.types["text"]

OWN_SESSION = Path(__file__).parent / "data" / "two-authors.json.gz"
"""A session of two authors that is always there; ``make_session.py`` made it."""

Operation = list[Any]


def find(name: str) -> Path | None:
    """The file of the published trace `name` in the folder that FASTCOLLAB_TRACES names, if it is there."""
    default = Path(__file__).parents[2] / "shared" / "traces"
    path = Path(os.environ.get("FASTCOLLAB_TRACES", default)) / f"{name}.json.gz"
    return path if path.exists() else None


@dataclass(frozen=True)
class Edit:
    """One transaction: `operation` is against the author's text, with `seen` of the other's edits in it."""

    agent: int
    operation: Operation
    seen: int


@dataclass(frozen=True)
class Session:
    """A recorded session of one author or two."""

    start: str
    end: str
    transactions: list[dict[str, Any]]


def load(path: Path) -> Session:
    with gzip.open(path, "rt", encoding="utf-8") as file:
        record = json.load(file)
    return Session(record.get("startContent", ""), record["endContent"], record["txns"])


def operation_of(patches: list[tuple[int, int, str]]) -> Operation:
    """One operation that does what the patches do one after the other."""
    operation: Operation = []
    for position, deleted, inserted in patches:
        operation = text.compose(operation, text.normalize([position, inserted, {"d": deleted}]))
    return operation


def edits(session: Session) -> list[Edit]:
    """The transactions of a session in their order, each with what its author had seen.

    Raises ValueError if there are more than two authors, or if one had not seen a transaction of their own.
    """
    result: list[Edit] = []
    clocks: list[tuple[int, int]] = []  # by transaction: how many of each author's had happened before or with it
    written = [0, 0]
    for index, transaction in enumerate(session.transactions):
        agent = transaction.get("agent", 0)
        if agent not in (0, 1):
            raise ValueError(f"transaction {index} is by a third author")
        parents = transaction.get("parents", [index - 1] if index else [])
        seen = [max((clocks[parent][author] for parent in parents), default=0) for author in (0, 1)]
        if seen[agent] != written[agent]:
            raise ValueError(f"the author of transaction {index} had not seen all of their own")
        result.append(Edit(agent, operation_of(transaction["patches"]), seen[1 - agent]))
        written[agent] += 1
        seen[agent] += 1
        clocks.append((seen[0], seen[1]))
    return result


@dataclass
class Author:
    """What lies between the text of a client, with all that was received, and the text that its author sees.

    `received` counts edits of the other author; `unseen` leads from the author's text to the client's.
    """

    received: int = 0
    unseen: list[Operation] = field(default_factory=list)

    def receive(self, operation: Operation) -> None:
        """The client's text changed by `operation`, one edit of the other author."""
        self.received += 1
        self.unseen.append(operation)

    def see(self, count: int) -> None:
        """From now on the author's text has the first `count` edits of the other author in it."""
        new = count - (self.received - len(self.unseen))
        if not 0 <= new <= len(self.unseen):
            raise ValueError(f"{self.received} edits were received, {len(self.unseen)} are unseen: cannot see {count}")
        del self.unseen[:new]

    def write(self, operation: Operation) -> Operation:
        """`operation`, written against the author's text, as it is against the client's.

        What the author had not seen is committed, or will be before this operation: so this one is on the
        left.
        """
        for index, other in enumerate(self.unseen):
            self.unseen[index] = text.transform(other, operation, "right")
            operation = text.transform(operation, other, "left")
        return operation


def replay(session: Session) -> str:
    """The text at the end of a session, computed through operational transformation."""
    document = session.start
    authors = Author(), Author()
    for edit in edits(session):
        author = authors[edit.agent]
        author.see(edit.seen)
        operation = author.write(edit.operation)
        document = text.apply(document, operation)
        authors[1 - edit.agent].receive(operation)
    return document
