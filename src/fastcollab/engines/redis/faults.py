"""What can be wrong with Redis or the way to it, and how it is told.

A client hears in a few words what is wrong and when to try again; what Redis says is for the log, once per fault and
not per command that meets it.
"""

from __future__ import annotations

import re

from fastcollab.engines.redis.link import Refused
from fastcollab.errors import ServiceUnavailable
from fastcollab.logs import get_logger

log = get_logger(__name__)

RETRY_AFTER_MS = 1_000

#: What the first word of an error says. A script whose command is refused has changed nothing: the first one that
#: writes is refused, or none.
_REASONS = {
    "OOM": "it is full",
    "MISCONF": "it cannot write to its disk",
    "NOREPLICAS": "it has too few replicas",
    "READONLY": "it is a replica, and none was found that is not",
    "LOADING": "it is loading its data",
    "MASTERDOWN": "it has lost its master",
    "BUSY": "it is busy with a script",
    "CLUSTERDOWN": "its cluster is down",
    "TRYAGAIN": "it is moving the keys",
    "NOAUTH": "it asks for a password",
    "WRONGPASS": "it does not take the password",
    "NOPERM": "it does not permit what is needed",
    "UNBLOCKED": "it has become a replica",
}

#: A fault is over when nothing has failed for so long (s): some commands may succeed while others do not.
_CALM = 5.0

#: These pass: the same command may be carried out in a moment, here or elsewhere.
PASSING = frozenset({"READONLY", "LOADING", "MASTERDOWN", "BUSY", "CLUSTERDOWN", "TRYAGAIN"})

#: How a script tells the error of a command in it, in versions before 7.
_IN_SCRIPT = re.compile(r"^ERR Error running script .*?@user_script: ?\d+: -?([A-Z]+) ")


class NotConfirmed(Exception):
    """Something was written, and may not be durable."""


def code_of(error: Exception) -> str:
    """The first word of an error reply, which is its code."""
    text = str(error)
    found = _IN_SCRIPT.match(text)
    return found[1] if found else text.partition(" ")[0]


def reason_of(error: Exception) -> str:
    """What is wrong, in the words of a sentence that begins with Redis."""
    if isinstance(error, TimeoutError):
        return "it does not answer"
    if isinstance(error, OSError):
        return "it cannot be reached"
    if isinstance(error, NotConfirmed):
        return "it does not confirm in time"
    if isinstance(error, Refused):
        return "it does not let us in"
    return _REASONS.get(code_of(error), "it refuses a command")


def unavailable(error: Exception, *, unknown: bool = False) -> ServiceUnavailable:
    """The error for whoever has called; `unknown`: it cannot be said whether the command was carried out."""
    outcome = ", and whether it has done what it was to do is not known" if unknown else ""
    return ServiceUnavailable(f"Redis cannot be used: {reason_of(error)}{outcome}", retryAfterMs=RETRY_AFTER_MS)


class FaultLog:
    """Tells the log when a fault begins and when it is over."""

    def __init__(self, where: str) -> None:
        self._where = where
        #: What is wrong now; None: nothing.
        self.current: str | None = None
        self._met_at = 0.0

    def met(self, error: Exception, now: float) -> None:
        """At the time `now` (s)."""
        self._met_at = now
        if self.current != (current := reason_of(error)):
            self.current = current
            log.error(f"Redis cannot be used: {current}", redis=self._where, error=str(error))

    def over(self, now: float) -> None:
        if self.current is not None and now - self._met_at > _CALM:
            self.current = None
            log.info("Redis can be used again", redis=self._where)
