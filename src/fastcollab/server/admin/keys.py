"""Who may use the admin API: whoever has one of its keys.

A key is all or nothing, so that what is said of a wrong one is only that it is wrong. Keys are compared by their
digests, all of them each time: how long that takes says neither which one a guess comes near to nor how long it is.
"""

from __future__ import annotations

import hashlib
import hmac

from fastcollab.config import OpsConfig
from fastcollab.core.limits import TokenBucket
from fastcollab.errors import InvalidToken

#: How many wrong keys are answered as such in a second, and for how many seconds' worth at once. A right one is always
#: let in: else whoever guesses could keep out those who need not.
_GUESSES, _BURST = 10, 2.0


class Keys:
    """Those of the configuration. Without any there is no API."""

    def __init__(self, config: OpsConfig) -> None:
        self._names = {_digest(key): name for name, key in config.named_keys()}
        self._guesses = TokenBucket("wrong keys", _GUESSES, _BURST)
        self._full_at = 0

    def __bool__(self) -> bool:
        return bool(self._names)

    def name(self, authorization: str | None, now: int) -> str:
        """The name of the key in this header, at `now` (ns, monotonic).

        Raises :class:`InvalidToken`, and :class:`~fastcollab.errors.RateLimited` if there were many wrong ones.
        """
        scheme, _, key = (authorization or "").partition(" ")
        given, found = _digest(key.strip()), None
        for digest, name in self._names.items():
            if hmac.compare_digest(digest, given):
                found = name
        if found is None or scheme.lower() != "bearer":
            self._full_at = self._guesses.take(self._full_at, now)
            raise InvalidToken("a key is needed: Authorization: Bearer KEY")
        return found


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode(errors="surrogateescape")).digest()
