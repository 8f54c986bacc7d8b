"""What nodes tell each other of a room, by way of the bus: JSON objects with their kind in `type`.

They are told at most once, and each by one node in order. Nothing depends on them for good: who has missed some finds
the same in the rosters and in the log. They are of this version of the gateway and the one before it only, since nodes
that are rolled run side by side: what is not understood is ignored.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec import UNSET, Raw, UnsetType

from fastcollab.core.document import Committed
from fastcollab.core.roster import Person
from fastcollab.messages import EventSent, PresenceData


class _Notice(msgspec.Struct, frozen=True, rename="camel", tag_field="type"):
    """`room` is the id of the room that it is about."""

    room: str


class Joined(_Notice, frozen=True, tag="joined"):
    """The user takes part through the node that tells, as this person; also if only what is shown of it has changed."""

    person: Person


class Parted(_Notice, frozen=True, tag="left"):
    """The user takes part through the node that tells no more."""

    user_id: str


class Showed(_Notice, frozen=True, tag="showed"):
    """The user's presence has changed."""

    user_id: str
    presence: PresenceData


class Announced(_Notice, frozen=True, tag="announced"):
    """An event for all in the room, or for one user (V2)."""

    name: str
    user_id: str
    numeric_id: int
    data: Raw | UnsetType = UNSET
    target: str | None = None

    def event(self) -> EventSent:
        return EventSent(self.name, self.user_id, self.numeric_id, self.data)


class Entries(_Notice, frozen=True, tag="committed", omit_defaults=True):
    """Operations were committed to the document of this epoch, which is at version `newest` now. The first of `entries`
    follows the one with this mark; without any, they are to be read from the log. Each has the fields of
    :class:`~fastcollab.core.document.Committed` in their order. `traceparents` has, by version, the places in traces of
    those that are part of one.
    """

    epoch: str
    newest: int
    mark: str = ""
    entries: list[tuple[int, Any, str, int, str, int, int, int]] = []
    traceparents: dict[int, str] = {}

    @classmethod
    def of(
        cls, room_id: str, epoch: str, mark: str, committed: Sequence[Committed], traceparents: dict[int, str]
    ) -> Entries:
        entries = [msgspec.structs.astuple(each) for each in committed]
        return cls(room_id, epoch, committed[-1].version, mark, entries, traceparents)

    def committed(self) -> list[Committed]:
        return [Committed(*values) for values in self.entries]


Notice = Joined | Parted | Showed | Announced | Entries

encode_notice = msgspec.json.Encoder().encode
_decoder = msgspec.json.Decoder(Notice)


def decode_notice(data: bytes) -> Notice:
    """Raises :class:`msgspec.MsgspecError` for what is no notice."""
    notice: Notice = _decoder.decode(data)
    return notice
