"""Who takes part in a room, as nodes tell each other and as the others in the room see it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec


class Person(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """A user as the others in a room see it."""

    user_id: str
    numeric_id: int
    name: str
    color: str
    picture: str | None = None


class RosterEntry(msgspec.Struct, frozen=True):
    """A participant of a room in the whole cluster: the nodes through which it takes part, and what was last kept of
    its presence, JSON values by field of :class:`~fastcollab.messages.PresenceData`.
    """

    person: Person
    nodes: frozenset[str]
    presence: Mapping[str, Any]
