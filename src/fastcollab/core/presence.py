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

if TYPE_CHECKING:
    from fastcollab.core.session import Identity, Session


class Participant:
    """A user in a room. `sessions` is empty while the user is away and may still come back (R7)."""

    __slots__ = (
        "absent_since",
        "cursor",
        "data",
        "identity",
        "selection",
        "selection_frame",
        "sessions",
        "status",
    )

    def __init__(self, identity: Identity) -> None:
        self.identity = identity
        self.sessions: list[Session] = []
        self.absent_since: int | None = None
        self.cursor = _binary.RecordSlot(identity.user_id, identity.numeric_id)
        self.selection_frame = _binary.RecordSlot(identity.user_id, identity.numeric_id)
        self.selection: messages.Selection | None = None
        self.status: str | None = None
        self.data: Any = None

    @property
    def user_id(self) -> str:
        return self.identity.user_id

    def description(self) -> messages.Participant:
        """The participant with all that is known of its presence."""
        known: dict[str, Any] = {"selection": self.selection, "status": self.status, "data": self.data}
        presence = {field: value for field, value in known.items() if value is not None}
        if (cursor := cursor_of(self.cursor)) is not None:
            presence["cursor"] = cursor
        return messages.Participant(
            user_id=self.identity.user_id,
            numeric_id=self.identity.numeric_id,
            name=self.identity.name,
            color=self.identity.color,
            presence=messages.PresenceData(**presence),
            picture=UNSET if self.identity.picture is None else self.identity.picture,
        )

    def update(self, changes: dict[str, Any], now: Instant) -> messages.PresenceUpdate:
        """The message that tells `changes`, by field of :class:`~fastcollab.messages.PresenceData`."""
        return messages.PresenceUpdate(
            user_id=self.identity.user_id,
            numeric_id=self.identity.numeric_id,
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
