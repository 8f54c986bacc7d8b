"""What is counted of what happens seldom enough to be counted in Python: a message, an error, the end of a connection.

Cursors are not; :mod:`fastcollab.server._meter` has them. What is counted here costs an entry in a dictionary, whose
keys are few and known: types of messages, codes, names of limits, never who or where.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection
from functools import partial

from fastcollab import messages
from fastcollab.core.session import Session
from fastcollab.server._meter import TIMES, Histogram

#: The types of what is no message: text that fits no schema, a frame that is none, what is too long.
INVALID = "invalid"


class Amounts:
    """How many messages of which type there were, and how many bytes they had before compression."""

    __slots__ = ("bytes", "messages")

    def __init__(self) -> None:
        self.messages: Counter[str] = Counter()
        self.bytes: Counter[str] = Counter()

    def add(self, kind: str, size: int, count: int = 1) -> None:
        """Counts so many messages, of `size` bytes each."""
        self.messages[kind] += count
        self.bytes[kind] += size * count


class Tallies:
    """Those of one gateway, since it was made."""

    def __init__(self) -> None:
        self.received = Amounts()
        self.sent = Amounts()
        #: Errors that clients were told, by code.
        self.errors: Counter[int] = Counter()
        #: What became of clients that came back to a document: "recovered", or why not (OT9).
        self.recoveries: Counter[str] = Counter()
        #: … and to a connection: "resumed" or "unknown" (S7).
        self.resumptions: Counter[str] = Counter()
        self.opened = 0
        #: Connections that have ended, by the code of the close frame that came first.
        self.closed: Counter[int] = Counter()
        #: Upgrade requests that were refused, by HTTP status.
        self.refused_upgrades: Counter[int] = Counter()
        #: Operations that were committed, by document type.
        self.operations: Counter[str] = Counter()
        self.commit_seconds = Histogram(TIMES)
        self.loop_lag_seconds = Histogram(TIMES)
        #: How long calls took, by their names.
        self.store_seconds: defaultdict[str, Histogram] = defaultdict(partial(Histogram, TIMES))
        self.redis_seconds: defaultdict[str, Histogram] = defaultdict(partial(Histogram, TIMES))
        #: Calls that were not answered as they should be.
        self.store_failures: Counter[str] = Counter()
        self.redis_failures: Counter[str] = Counter()

    def sending(self, recipients: Collection[Session], payload: messages.ServerPayload, size: int) -> None:
        """Each of these is sent this message."""
        self.sent.add(messages.type_of(payload), size, len(recipients))
        if isinstance(payload, messages.ErrorSent):
            self.errors[payload.code] += len(recipients)
            for session in recipients:
                if session.shell is not None:
                    session.shell.errors += 1
        elif isinstance(payload, messages.RoomJoined) and isinstance(payload.recovery, messages.Recovery):
            self.recoveries[payload.recovery.reason or "recovered"] += 1

    def redis_called(self, lane: str, seconds: float, failed: bool) -> None:
        """A command has had its reply, or will have none; `lane` is what it went over."""
        self.redis_seconds[lane].observe(seconds)
        self.redis_failures[lane] += failed
