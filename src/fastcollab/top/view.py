"""What of the scene is looked at, and in which order; keys make of one view another. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any


class Pane(StrEnum):
    OVERVIEW = "overview"
    NODES = "nodes"
    ROOMS = "rooms"
    CONNECTIONS = "connections"
    LATENCIES = "latencies"


PANES = tuple(Pane)

#: By what items may be in order: the greatest first, and names from the beginning of the alphabet.
Order = tuple[str, Callable[[Any], Any]]


ORDERS: Mapping[Pane, Sequence[Order]] = {
    Pane.NODES: (
        ("node", lambda seen: seen.info.node),
        ("cpu", lambda seen: -seen.load.cpu),
        ("connections", lambda seen: -seen.info.connections),
        ("cursors", lambda seen: -seen.load.deliveries),
        ("operations", lambda seen: -seen.load.operations),
    ),
    Pane.ROOMS: (
        # By what their members are sent.
        ("sent", lambda seen: -seen.room.sent),
        ("cursors", lambda seen: -seen.room.cursors),
        ("operations", lambda seen: -seen.room.operations),
        ("people", lambda seen: -seen.room.participants),
        ("room", lambda seen: seen.room.room_id),
    ),
    Pane.CONNECTIONS: (
        # As each node has told them: the worst first.
        ("concern", lambda seen: not seen.concern),
        ("bytes out", lambda seen: -seen.metrics.bandwidth.outbound),
        ("waiting", lambda seen: -seen.waiting),
        ("round trip", lambda seen: -(seen.metrics.latency or 0)),
        ("refused", lambda seen: -sum(seen.refusals.values())),
        ("user", lambda seen: seen.user_id or ""),
    ),
    Pane.LATENCIES: (
        ("name", lambda seen: (seen.name, seen.node)),
        ("p99", lambda seen: -seen.latency.p99),
    ),
}


@dataclass(frozen=True, slots=True)
class View:
    """`chosen` is the place of the order that each pane has; `paused`: the picture stands still."""

    pane: Pane = Pane.OVERVIEW
    chosen: Mapping[Pane, int] = field(default_factory=dict)
    paused: bool = False
    over: bool = False

    def order(self, pane: Pane) -> Order:
        """In which order the items of a pane are."""
        return ORDERS[pane][self.chosen.get(pane, 0)]

    def press(self, key: str) -> View:
        """The view after a key; one that means nothing changes nothing."""
        place = PANES.index(self.pane)
        match key:
            case "q" | "Q":
                return replace(self, over=True)
            case " " | "p":
                return replace(self, paused=not self.paused)
            case "\t" | "right" | "l":
                return replace(self, pane=PANES[(place + 1) % len(PANES)])
            case "left" | "h":
                return replace(self, pane=PANES[place - 1])
            case "s" if self.pane in ORDERS:
                following = (self.chosen.get(self.pane, 0) + 1) % len(ORDERS[self.pane])
                return replace(self, chosen={**self.chosen, self.pane: following})
            case _ if key.isdecimal() and 1 <= int(key) <= len(PANES):
                return replace(self, pane=PANES[int(key) - 1])
        return self
