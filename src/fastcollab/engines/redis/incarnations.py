"""Which life of a node has written something.

A node that was taken for dead may have been asleep, and go on: its id stays, and it enters everywhere anew. What it
wrote before may be removed at that moment, or even later, by whoever buries it. So what a node writes bears its
*incarnation*, the id with the number of its life behind a dot, and what is buried is one incarnation, never its
successor. Scripts find the node of an incarnation before the last dot.
"""

from __future__ import annotations

from uuid import uuid4


class Incarnation:
    """That of this process. Its node has an id that no other ever has: 32 hexadecimal digits."""

    __slots__ = ("_life", "node")

    def __init__(self) -> None:
        self.node = uuid4().hex
        self._life = 1

    def __str__(self) -> str:
        return f"{self.node}.{self._life}"

    @property
    def following(self) -> str:
        """What this is to be called if the node has been taken for dead."""
        return f"{self.node}.{self._life + 1}"

    def follow(self) -> None:
        self._life += 1


def node_of(incarnation: str) -> str:
    """The id of the node."""
    return incarnation.rpartition(".")[0]
