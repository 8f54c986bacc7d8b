"""Which connections are worth a look: what is amiss with one, in a word, and how badly.

A connection shows *signs*: how long it has been behind, how often it is refused. Each has a bound beyond which it is of
concern, and the sign that is furthest beyond its bound gives the concern its name. Bounds are such that a client which
keeps to the protocol stays below them on a bad network, and one that does harm is above them within seconds.
"""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple

#: How long (s) a connection may not take what it is sent.
MOST_BEHIND = 2.0
#: How many positions of others may be passed over, per second: three people who move.
MOST_SKIPPED = 180.0
#: How often a client may be refused by limits, and how many other errors it may be told, per minute.
MOST_REFUSALS = 60.0
MOST_ERRORS = 30.0
#: How long (ms) a round trip may take.
MOST_LATENCY = 500.0


class Concern(StrEnum):
    """What is amiss with a connection."""

    SLOW = "slow"  # it does not read what it is sent, or not as fast
    ABUSIVE = "abusive"  # limits refuse it again and again
    FAILING = "failing"  # what it sends is wrong again and again
    DISTANT = "distant"  # its round trips are long


class Signs(NamedTuple):
    """What is seen of a connection: for how long it has not taken what it is sent (s), positions that it was not sent
    for that (per second), refusals by limits and all errors (per minute), the newest round trip (ms; None: there is
    none yet).
    """

    behind: float = 0.0
    skipped: float = 0.0
    refusals: float = 0.0
    errors: float = 0.0
    latency: float | None = None


def severities(signs: Signs) -> dict[Concern, float]:
    """How far each sign is on its way to its bound, which is 1."""
    return {
        Concern.SLOW: max(signs.behind / MOST_BEHIND, signs.skipped / MOST_SKIPPED),
        Concern.ABUSIVE: signs.refusals / MOST_REFUSALS,
        # Refusals are errors too, but for pauses in which a connection is not read.
        Concern.FAILING: max(0.0, signs.errors - signs.refusals) / MOST_ERRORS,
        Concern.DISTANT: (signs.latency or 0.0) / MOST_LATENCY,
    }


def judge(signs: Signs) -> tuple[Concern | None, float]:
    """The concern, None if there is none, and how bad it is: from 1, its bound; below there is nothing to tell."""
    concern, severity = max(severities(signs).items(), key=lambda found: found[1])
    return (concern, severity) if severity >= 1 else (None, 0.0)
