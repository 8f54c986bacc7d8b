"""Participants and their presence, relayed no more often than people can follow (rules V1 to V5).

A participant is a user in a room, through however many connections. What a participant shows comes in three
kinds, each with an interval of its own: cursors, which live in record slots since they are the hot path;
selections; and `status` with `data`. The last two go through a :class:`Debouncer`: at once after a quiet spell,
then at most once per interval with the newest value of each field.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from msgspec import UNSET

from fastcollab import _binary, messages
from fastcollab.core.instant import Instant
from fastcollab.core.roster import Person

if TYPE_CHECKING:
    from fastcollab.core.session import Session


class Participant:
    """A user in a room, through connections here and through other nodes.

    `sessions` is empty while the user is away and may still come back (R7), and of one who is on other nodes only; of
    these `nodes` has the ids.
    """

    __slots__ = (
        "absent_since",
        "cursor",
        "data",
        "nodes",
        "person",
        "selection",
        "selection_frame",
        "sessions",
        "status",
    )

    def __init__(self, person: Person) -> None:
        self.person = person
        self.sessions: list[Session] = []
        self.absent_since: int | None = None
        self.nodes: set[str] = set()
        self.cursor = _binary.RecordSlot(person.user_id, person.numeric_id)
        self.selection_frame = _binary.RecordSlot(person.user_id, person.numeric_id)
        self.selection: messages.Selection | None = None
        self.status: str | None = None
        self.data: Any = None

    @property
    def user_id(self) -> str:
        return self.person.user_id

    @property
    def here(self) -> bool:
        """Whether the user takes part through this node, be it as one who is away and awaited back."""
        return bool(self.sessions) or self.absent_since is not None

    def description(self) -> messages.Participant:
        """The participant with all that is known of its presence."""
        presence = self.kept_presence()
        if (cursor := cursor_of(self.cursor)) is not None:
            presence["cursor"] = cursor
        return messages.Participant(
            user_id=self.person.user_id,
            numeric_id=self.person.numeric_id,
            name=self.person.name,
            color=self.person.color,
            presence=messages.PresenceData(**presence),
            picture=UNSET if self.person.picture is None else self.person.picture,
        )

    def kept_presence(self) -> dict[str, Any]:
        """What is known of its presence but the cursor, by field of :class:`~fastcollab.messages.PresenceData`."""
        known: dict[str, Any] = {"selection": self.selection, "status": self.status, "data": self.data}
        return {field: value for field, value in known.items() if value is not None}

    def update(self, changes: dict[str, Any], now: Instant) -> messages.PresenceUpdate:
        """The message that tells `changes`, by field of :class:`~fastcollab.messages.PresenceData`."""
        return messages.PresenceUpdate(
            user_id=self.person.user_id,
            numeric_id=self.person.numeric_id,
            presence=messages.PresenceData(**changes),
            timestamp=now.unix,
        )


def cursor_of(slot: _binary.RecordSlot) -> messages.Cursor | None:
    """The slot's newest record as JSON clients get it; None: there is none."""
    position = slot.position()
    if position is None:
        return None
    x, y, viewport_x, viewport_y = position
    if viewport_x is None or viewport_y is None:
        return messages.Cursor(x, y)
    return messages.Cursor(x, y, viewport_x, viewport_y)


class Debouncer:
    """Lets each participant's changes pass once per `interval` (ns), the newest value of each field winning.

    Nothing is lost but values that newer ones have replaced: what is held back is due as soon as its interval is over.
    """

    __slots__ = ("_held", "_interval", "_passed_at")

    def __init__(self, interval: int) -> None:
        self._interval = interval
        self._passed_at: dict[Participant, int] = {}
        self._held: dict[Participant, dict[str, Any]] = {}

    def offer(self, participant: Participant, changes: dict[str, Any], now: int) -> bool:
        """Whether the changes may pass now; if not they are held back, over those that are held already."""
        if participant not in self._held:
            passed_at = self._passed_at.get(participant)
            if passed_at is None or now - passed_at >= self._interval:
                self._passed_at[participant] = now
                return True
        self._held.setdefault(participant, {}).update(changes)
        return False

    def due(self, now: int) -> list[tuple[Participant, dict[str, Any]]]:
        """Takes out what may pass by now."""
        ready = [who for who in self._held if now - self._passed_at[who] >= self._interval]
        for who in ready:
            self._passed_at[who] = now
        return [(who, self._held.pop(who)) for who in ready]

    def next_due(self) -> int | None:
        """When something that is held back may pass (ns); None: nothing is."""
        return min((self.due_at(who) for who in self._held), default=None)

    def due_at(self, participant: Participant) -> int:
        """When what is held back of this participant may pass (ns)."""
        return self._passed_at[participant] + self._interval

    def withdraw(self, participant: Participant) -> None:
        """Drops what is held of a participant, because something newer was told in another way."""
        self._held.pop(participant, None)

    def forget(self, participant: Participant) -> None:
        """Drops what is held of a participant who has left."""
        self._held.pop(participant, None)
        self._passed_at.pop(participant, None)
