"""What a user may do in a room, as the claim `rooms` of a token says it (rules P1 and P2)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import IntEnum
from fnmatch import translate
from functools import lru_cache

from fastcollab.errors import NoPermission


class Permission(IntEnum):
    """Each includes those before it."""

    NONE = 0
    READ = 1
    WRITE = 2
    ADMIN = 3

    @property
    def word(self) -> str:
        """The permission as it is written in tokens and messages."""
        return self.name.lower()

    @classmethod
    def of_word(cls, word: str) -> Permission:
        """The permission that `word` names; raises ValueError if it names none."""
        try:
            return cls[word.upper()]
        except KeyError:
            raise ValueError(f"{word!r} is none of none, read, write, admin") from None

    def require(self, needed: Permission, deed: str) -> None:
        """Raises :class:`NoPermission` unless this permission includes `needed`; `deed` says what was tried."""
        if self < needed:
            raise NoPermission(f"{deed} needs the permission {needed.word!r}", needed=needed.word, granted=self.word)


@lru_cache(maxsize=4096)
def _matcher(pattern: str) -> re.Pattern[str]:
    return re.compile(translate(pattern))


def granted(rooms: Mapping[str, Permission], room_id: str) -> Permission:
    """The most generous permission of all patterns in `rooms` that match."""
    return max(
        (permission for pattern, permission in rooms.items() if _matcher(pattern).match(room_id)),
        default=Permission.NONE,
    )
