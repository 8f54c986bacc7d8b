"""Makes ``data/two-authors.json.gz``: two simulated authors who write one text at the same time.

    python -m tests.make_session

The same seed always gives the same file. The authors type word by word, correct themselves, delete words,
replace a word everywhere, and use emoji of several code points and combining marks. They look up from their
own typing from time to time, at a part of what the other has done meanwhile; and they often write at the same
place, so that the final text depends on the side rule.
"""

import gzip
import json
from random import Random
from typing import Any

from tests.traces import OWN_SESSION, Author, Operation, Session, edits, operation_of, replay

from fastcollab import ot

SEED = 20_240_229
TRANSACTIONS = 4_000
VOCABULARY = (
    "the team agrees to measure before it changes anything and writes down what it found "
    "größer naïve façade Привет мир 漢字 仮名 e\u0301te\u0301 n\u0303andu\u0301 \U0001d54f\U0001d550 "
    "👍 👩\u200d👩\u200d👧\u200d👦 🏳\ufe0f\u200d🌈 ☕ 🇪🇺 "
    "tomorrow we ship the second room, then rest."
)
WORDS = VOCABULARY.split()

text: Any = ot.types["text"]
Patch = tuple[int, int, str]


class Typist:
    """One author: a view of the text, a cursor in it, and a habit of looking up only now and then."""

    def __init__(self, random: Random) -> None:
        self.random = random
        self.view = ""
        self.cursor = 0
        self.to_type = ""
        self.author = Author()
        self.seen = 0

    def look_up(self) -> None:
        """Sees some more of what the other did."""
        for operation in self.author.unseen[: self.random.randint(0, len(self.author.unseen))]:
            self.view = text.apply(self.view, operation)
            self.cursor = text.transform_position(self.cursor, operation)
            self.seen += 1
        self.author.see(self.seen)

    def next_patches(self) -> list[Patch]:
        """What the author does next, as patches against the view."""
        if self.to_type:
            character, self.to_type = self.to_type[0], self.to_type[1:]
            return [(self.cursor, 0, character)]
        choice = self.random.random()
        if choice < 0.70:
            self.to_type = self.random.choice(WORDS) + self.random.choice(("", " ", " ", " ", "\n"))
            return self.next_patches()
        if choice < 0.80 and self.cursor:
            return [(self.cursor - 1, 1, "")]
        if choice < 0.88 and self.cursor:
            start = self.view.rfind(" ", 0, max(self.cursor - 1, 0)) + 1
            return [(start, self.cursor - start, "")]
        if choice < 0.90 and (places := self._places_of(self.random.choice(WORDS[:8]))):
            # From the end, so that no replacement moves the places of those to come.
            return [(place, length, self.random.choice(WORDS)) for place, length in reversed(places)]
        # Both authors like to write at the beginning and at the end.
        self.cursor = self.random.choice((0, len(self.view), self.random.randint(0, len(self.view))))
        return [(self.cursor, 0, self.random.choice(("•", "-", "👉")))]

    def _places_of(self, word: str) -> list[tuple[int, int]]:
        places: list[tuple[int, int]] = []
        at = self.view.find(word)
        while at >= 0 and len(places) < 3:
            places.append((at, len(word)))
            at = self.view.find(word, at + len(word))
        return places

    def do(self, patches: list[Patch]) -> Operation:
        """Applies the patches to the view; returns them as an operation against all that was received."""
        operation = operation_of(patches)
        self.view = text.apply(self.view, operation)
        self.cursor = text.transform_position(self.cursor, operation, "right")
        return self.author.write(operation)


def make_session() -> Session:
    random = Random(SEED)
    typists = Typist(random), Typist(random)
    indices: tuple[list[int], list[int]] = [], []  # of each author's transactions
    knows = [0, 0]  # how many of the other's an author knows through the parents recorded so far
    knowledge: list[int] = []  # by transaction: how many of the other author's its author had seen
    transactions: list[dict[str, Any]] = []
    agent = 0
    while len(transactions) < TRANSACTIONS:
        if random.random() < 0.25:
            agent = 1 - agent
        typist, mine, theirs = typists[agent], indices[agent], indices[1 - agent]
        if random.random() < 0.15:
            typist.look_up()
        parents = mine[-1:]
        if typist.seen > knows[agent]:
            newest = theirs[typist.seen - 1]
            # Whoever has seen the other's newest has seen what the other had seen by then.
            parents = [newest] if knowledge[newest] == len(mine) else sorted([*parents, newest])
            knows[agent] = typist.seen
        patches = typist.next_patches()
        typists[1 - agent].author.receive(typist.do(patches))
        mine.append(len(transactions))
        knowledge.append(typist.seen)
        transactions.append({"parents": parents, "agent": agent, "patches": patches})
    session = Session("", "", transactions)
    if [edit.seen for edit in edits(session)] != knowledge:
        raise AssertionError("the parents do not tell what the authors had seen")
    return Session("", replay(session), transactions)


def main() -> None:
    session = make_session()
    record = {
        "kind": "concurrent",
        "numAgents": 2,
        "startContent": session.start,
        "endContent": session.end,
        "txns": session.transactions,
    }
    packed = json.dumps(record, ensure_ascii=False, separators=(",", ":")).encode()
    OWN_SESSION.parent.mkdir(exist_ok=True)
    OWN_SESSION.write_bytes(gzip.compress(packed, mtime=0))


if __name__ == "__main__":
    main()
