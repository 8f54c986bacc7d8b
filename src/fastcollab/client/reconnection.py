"""After a connection was lost: whether to try again, and when. Without sockets, and told the time by the caller.

Whether is the protocol's to say: the table of close codes (X3), and what a refused upgrade means in HTTP. Where nobody
answers, or no token can be had, that may pass.

When is exponential backoff with full jitter: before the n-th attempt a random time from nothing to ``base * 2**n``, at
most ``cap``. When a gateway restarts, all its clients are lost in one moment; spread over the whole interval they come
back in an even stream, where equal delays would bring them all at once, again and again. A time that the gateway asks
for is waited first, and the jitter comes on top.

A connection that does not hold is no better than an attempt that fails, so it takes `HOLDS` seconds of connection for
the delays to start small again.
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from fastcollab.errors import (
    CloseCode,
    ConnectionClosed,
    HandshakeRefused,
    InternalError,
    InvalidToken,
    ProtocolError,
    RateLimited,
    ServiceUnavailable,
)

HOLDS = 5.0  # seconds after which a connection counts as a good one
PRIVATE_CODES = 4000  # close codes from here on are the protocol's own
PASSING_STATUSES = frozenset({408, 425, 429})  # of HTTP, beside all from 500 on


@dataclass(frozen=True, slots=True)
class ReconnectPolicy:
    """How long to go on trying: times in seconds, None for ever.

    ``max_attempts`` bounds the attempts in a row, ``give_up_after`` the time since the loss at which the last of them
    begins.
    """

    base: float = 0.25
    cap: float = 30.0
    max_attempts: int | None = None
    give_up_after: float | None = None

    def jitter(self, attempt: int, random: Random) -> float:
        """The delay before the attempt with this number, counted from 0."""
        return random.uniform(0.0, min(self.cap, self.base * 2.0 ** min(attempt, 64)))


class Reconnection:
    """One client's losses and attempts. ``fresh_tokens``: a token that was refused can be replaced by another."""

    def __init__(self, policy: ReconnectPolicy, *, fresh_tokens: bool, random: Random | None = None) -> None:
        self._policy = policy
        self._fresh_tokens = fresh_tokens
        self._random = random or Random()
        self._attempts = 0
        self._lost_at = 0.0
        self._connected_at: float | None = None

    def connected(self, now: float) -> None:
        self._connected_at = now

    def failed(self, failure: Exception, now: float) -> float | None:
        """The connection was lost, or was not made: how long to wait before the next attempt; None: give up."""
        if self._connected_at is not None and now - self._connected_at >= HOLDS:
            self._attempts = 0
        self._connected_at = None
        if not self._attempts:
            self._lost_at = now
        policy = self._policy
        if not may_pass(failure, fresh_tokens=self._fresh_tokens):
            return None
        if policy.max_attempts is not None and self._attempts >= policy.max_attempts:
            return None
        delay = retry_after(failure) + policy.jitter(self._attempts, self._random)
        if policy.give_up_after is not None and now + delay - self._lost_at > policy.give_up_after:
            return None
        self._attempts += 1
        return delay


def may_pass(failure: Exception, *, fresh_tokens: bool) -> bool:
    """Whether another attempt may succeed where this one failed, or where the connection was lost."""
    match failure:
        case ConnectionClosed(code=CloseCode.INVALID_TOKEN) | InvalidToken():
            return fresh_tokens
        case ConnectionClosed(code=code):
            return _reconnects(code)
        case HandshakeRefused(status=status):
            return status >= 500 or status in PASSING_STATUSES
        case ProtocolError():
            return isinstance(failure, (RateLimited, InternalError, ServiceUnavailable))
    return True


def retry_after(failure: Exception) -> float:
    """How long the gateway asks to be left alone, in seconds."""
    match failure:
        case ConnectionClosed() | HandshakeRefused():
            return failure.retry_after or 0.0
        case ProtocolError():
            return float(failure.details.get("retryAfterMs", 0)) / 1000
    return 0.0


def as_closed(failure: Exception) -> ConnectionClosed:
    """What those are told who waited for a connection that is given up."""
    match failure:
        case ConnectionClosed():
            return failure
        case InvalidToken():
            return ConnectionClosed(CloseCode.INVALID_TOKEN, failure.message)
    return ConnectionClosed(CloseCode.ABNORMAL, str(failure) or type(failure).__name__)


def _reconnects(code: int) -> bool:
    try:
        return CloseCode(code).reconnect
    except ValueError:
        # Codes of RFC 6455 that a gateway does not send are a proxy's, which restarts or has lost it. Of a newer
        # gateway's own codes nobody here knows what they ask for.
        return code < PRIVATE_CODES
