"""What other nodes tell of a room: its participants there, and what these do.

Who takes part through which node is a set of pairs, so that it does no harm to be told of one twice. A participant is
known to the members as long as it takes part anywhere: they hear `user_joined` of the first pair and `user_left` of the
last one. A roster, as it was read from where all nodes keep it, replaces what was told before, if it is whole.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec
from msgspec import UNSET

from fastcollab.core.effects import Effect, Placed, Send
from fastcollab.core.instant import Instant
from fastcollab.core.notices import Announced, Joined, Parted, Showed
from fastcollab.core.presence import Participant
from fastcollab.core.room import Room
from fastcollab.core.roster import Person, RosterEntry
from fastcollab.messages import PresenceData, Selection, SelectionRange


def nodes_of(room: Room) -> set[str]:
    """The other nodes through which somebody takes part."""
    return set().union(*(participant.nodes for participant in room.participants.values()))


def joined(room: Room, node: str, person: Person) -> list[Effect]:
    """The user takes part through that node, as this person."""
    known = person.user_id in room.participants
    participant = room.admit(person)
    if node in participant.nodes:
        return []
    participant.nodes.add(node)
    effects: list[Effect] = [Placed(room, participant)]
    return effects if known else [*effects, room.tell_joined(participant)]


def parted(room: Room, node: str, user_id: str) -> list[Effect]:
    """The user takes part through that node no more."""
    participant = room.participants.get(user_id)
    if participant is None or node not in participant.nodes:
        return []
    participant.nodes.discard(node)
    effects: list[Effect] = [Placed(room, participant)]
    if not (participant.here or participant.nodes):
        effects += room.dismiss(participant)
    return effects


def gone(room: Room, node: str) -> list[Effect]:
    """The node is dead: nobody takes part through it."""
    there = [participant for participant in room.participants.values() if node in participant.nodes]
    return [effect for participant in there for effect in parted(room, node, participant.user_id)]


def followed(roster: Iterable[RosterEntry], told: Iterable[tuple[str, Joined | Parted | Showed]]) -> list[RosterEntry]:
    """A roster with who came and went, by node, while it was being read: it may be older than that, and nobody is to be
    seen to leave, and to come again, for that.
    """
    entries = {entry.person.user_id: entry for entry in roster}
    for node, notice in told:
        match notice:
            case Joined(person=person):
                known = entries.get(person.user_id, RosterEntry(person, frozenset(), {}))
                entries[person.user_id] = msgspec.structs.replace(known, person=person, nodes=known.nodes | {node})
            case Parted(user_id=user_id) if user_id in entries:
                left = entries.pop(user_id)
                if nodes := left.nodes - {node}:
                    entries[user_id] = msgspec.structs.replace(left, nodes=nodes)
    return list(entries.values())


def reconciled(
    room: Room, entries: Iterable[RosterEntry], here: str, now: Instant, *, whole: bool = True
) -> list[Effect]:
    """The roster has been read; `here` is this node, whose participants the room knows best itself. Of one that is not
    `whole`, what is missing says nothing, nor does what is kept of those who are known.
    """
    effects: list[Effect] = []
    roster = {entry.person.user_id: entry for entry in entries}
    for participant in list(room.participants.values()) if whole else ():
        entry = roster.get(participant.user_id)
        for node in participant.nodes - (entry.nodes if entry else frozenset()):
            effects += parted(room, node, participant.user_id)
    for user_id, entry in roster.items():
        is_known = user_id in room.participants
        for node in entry.nodes - {here}:
            # Of who is here too, what is shown is as it is here.
            present = room.participants.get(user_id)
            person = present.person if present is not None and present.here else entry.person
            effects += joined(room, node, person)
        present = room.participants.get(user_id)
        if present is not None and not present.here and (whole or not is_known):
            kept = msgspec.convert(entry.presence, PresenceData)
            if changes := _differing(present, kept):
                effects.append(room.tell_changes(present, changes, now))
    return effects


def showed(room: Room, user_id: str, presence: PresenceData, now: Instant) -> list[Effect]:
    """The user's presence has changed."""
    participant = room.participants.get(user_id)
    if participant is None:
        return []
    changes: dict[str, Any] = {}
    for field in ("selection", "status", "data"):
        value = getattr(presence, field)
        # A node that has met another tells it all; what the members know already is no change.
        if value is not UNSET and value != getattr(participant, field):
            setattr(participant, field, value)
            changes[field] = value
    if "selection" in changes:
        # One that came as a frame, and may still be waiting, must not follow this one.
        room.selections.withdraw(participant.selection_frame)
        changes["selection"] = room.move_selection(participant)
    return [room.tell_changes(participant, changes, now)] if changes else []


def selected(room: Room, user_id: str, anchor: int, head: int, version: int) -> None:
    """The user has selected something by a frame, which the server puts into `selections` itself."""
    if (participant := room.participants.get(user_id)) is not None:
        color = participant.person.color
        participant.selection = Selection([SelectionRange(anchor, head)], color, version)


def announced(room: Room, notice: Announced) -> list[Effect]:
    """An event for all in the room, or for one user's connections here (V2)."""
    recipients: Sequence[Any] = list(room.members)
    if notice.target is not None:
        target = room.participants.get(notice.target)
        recipients = [] if target is None else list(target.sessions)
    return [Send(recipients, notice.event(), room.id)]


def unkept(here: Iterable[Participant], entries: Iterable[RosterEntry]) -> list[Participant]:
    """Those of who is `here` whose presence is not in the roster, which has been read, as it is shown."""
    presences = {entry.person.user_id: entry.presence for entry in entries}
    return [
        participant
        for participant in here
        if (kept := presences.get(participant.user_id)) is not None and _is_behind(kept, participant.kept_presence())
    ]


def _is_behind(kept: Mapping[str, Any], shown: Mapping[str, Any]) -> bool:
    # Selections move along with the document, and those that come as frames are not kept each time.
    selection_lost = "selection" in shown and "selection" not in kept
    return selection_lost or any(kept.get(field) != shown.get(field) for field in ("status", "data"))


def _differing(participant: Participant, kept: PresenceData) -> dict[str, Any]:
    """Has the participant show what was kept of it; returns what is not as it was."""
    known = participant.kept_presence()
    changes: dict[str, Any] = {}
    for field in ("status", "data", "selection"):
        value = getattr(kept, field)
        value = None if value is UNSET else value
        # A selection may have been moved along here, and one that came as a frame is not kept at all.
        if field == "selection" and (value is None or participant.selection is not None):
            continue
        if value != known.get(field):
            setattr(participant, field, value)
            changes[field] = value
    return changes
