"""A room: who is in it, what they show, and the one document they write.

A *member* is a session, one connection; a *participant* is a user, with as many members as the user has
connections here (R6). A participant outlives the last of its members by a grace period, so that a lost
connection that comes back is not seen as a departure and an arrival (R7). Where several nodes have the room open,
participants may be here, elsewhere, or both; what other nodes tell of theirs comes by :mod:`fastcollab.core.elsewhere`.

Operations wait in a queue (:mod:`fastcollab.core.commits`) until the shell has had a batch of them stored: then, and
not before, their senders are acknowledged and the others are told.

Every method takes the time and returns effects; none waits. What is due later (debounced presence, the end of a
grace period) is asked for by :meth:`Room.next_due` and done by :meth:`Room.tick`. Cursors go around this module
on their hot path: the server puts binary records straight into `cursors` and `selections`, under the same rules
as :meth:`Room.move` does for those that come as JSON.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from msgspec import UNSET

from fastcollab import _binary, messages
from fastcollab.core.commits import CommitQueue, Errand, Refusal
from fastcollab.core.display import display_text
from fastcollab.core.document import Author, Committed, Document, Submission
from fastcollab.core.effects import Answer, Commit, Effect, Entered, Flush, Left, Placed, Relay, Send, Wake
from fastcollab.core.instant import Instant
from fastcollab.core.limits import SECOND
from fastcollab.core.notices import Announced, Joined, Showed
from fastcollab.core.permissions import Permission
from fastcollab.core.presence import Debouncer, Participant, cursor_of
from fastcollab.core.recovery import catch_up
from fastcollab.core.roster import Person
from fastcollab.core.selections import bound_version, newest
from fastcollab.errors import InvalidMessage, NoPermission, ProtocolError, RoomFull, VersionMismatch
from fastcollab.ot import ABSENT, OperationError
from fastcollab.trace_context import NO_TRACES, canonical

if TYPE_CHECKING:
    from fastcollab.core.session import Identity, Session

CURSOR = 1
SELECTION = 2

#: After so many versions all selections are moved on, so that what moves them is still in memory.
_SELECTIONS_MOVED_EVERY = 64


@dataclass(frozen=True, slots=True)
class RoomSettings:
    """Limits and intervals of rooms; intervals in ns, `cursor_burst` in seconds' worth of cursors."""

    max_participants: int = 500
    max_data_bytes: int = 4096
    grace_period: int = 10 * SECOND
    selection_interval: int = SECOND // 10
    update_interval: int = SECOND // 2
    cursor_updates: int = 60
    cursor_burst: float = 2.0
    max_recovery_bytes: int = 4_194_304
    max_queued_bytes: int = 8_388_608


class Room:
    """One room with its document. `handle` names it in batched frames."""

    def __init__(self, room_id: str, handle: int, document: Document, settings: RoomSettings) -> None:
        self.id = room_id
        self.handle = handle
        self.document = document
        self.commits = CommitQueue(document, settings.max_queued_bytes)
        self.members: dict[Session, Permission] = {}
        #: The members that know an earlier life of the document, and have to join again before they write.
        self._outdated: set[Session] = set()
        self.participants: dict[str, Participant] = {}
        period = SECOND // settings.cursor_updates
        self.cursors = _binary.RecordBatch(CURSOR, handle, period, int(SECOND * settings.cursor_burst))
        self.selections = _binary.RecordBatch(SELECTION, handle, settings.selection_interval)
        self._settings = settings
        self._selection_changes = Debouncer(settings.selection_interval)
        self._presence_changes = Debouncer(settings.update_interval)
        self._absent: set[Participant] = set()
        self._selections_version = document.version

    @property
    def deserted(self) -> bool:
        """Nobody is here, nobody is awaited back, and nothing is on its way into the document."""
        return not (self.members or self._absent or self.commits)

    def limit(self, max_participants: int | None) -> int:
        """How many participants the room takes, if it has a limit of its own (R9)."""
        limit = self._settings.max_participants
        return limit if max_participants is None else min(limit, max_participants)

    # --- coming and going ---------------------------------------------------------------------------------------------

    def enter(
        self,
        session: Session,
        permission: Permission,
        request: messages.JoinRoomPayload,
        now: Instant,
        max_participants: int | None = None,
    ) -> list[Effect]:
        """Makes the session a member; or, if it is one, tells it the full state afresh (R2). `max_participants` is the
        room's own limit, if it has one (R9).
        """
        permission.require(Permission.READ, "joining the room")
        self.check_document_type(request.document_type)
        user_id = session.identity.user_id
        limit = self.limit(max_participants)
        if user_id not in self.participants and len(self.participants) >= limit:
            raise RoomFull("the room is full", limit=limit)
        effects = self._dismiss_outnumbered(session.identity)
        arriving = user_id not in self.participants
        participant = self.admit(session.identity.person)
        was_here = participant.here
        if session not in self.members:
            participant.sessions.append(session)
        participant.absent_since = None
        self._absent.discard(participant)
        self.members[session] = permission
        self._outdated.discard(session)
        session.entered(self)
        effects += [Entered(session, self), *self._welcome(session, permission, request)]
        if arriving:
            effects.append(self.tell_joined(participant))
        if not was_here:
            effects.append(Placed(self, participant))
        return effects

    def leave(self, session: Session) -> list[Effect]:
        """Ends the session's membership because its user wants so."""
        effects = self._remove_member(session)
        effects.append(Send([session], messages.RoomLeft(self.id), self.id))
        participant = self.participants[session.identity.user_id]
        if not participant.sessions:
            effects += self._end_participation(participant)
        return effects

    def introduce(self, session: Session) -> list[Effect]:
        """The member has another token: its name and colour are those of the participant."""
        participant, person = self._participant(session), session.identity.person
        if participant.person == person:
            return []
        participant.person = person
        return [Relay(self, Joined(self.id, person))]

    def permit(self, session: Session, permission: Permission, reason: str = "lost") -> list[Effect]:
        """The member has this permission from now on; one that may not even read has to leave (S11).

        Operations that were taken before are carried out: their sender had the right to them. `reason` is for the
        details of the error.
        """
        if permission < Permission.READ:
            words = "is lost" if reason == "lost" else "could not be confirmed"
            error = NoPermission(f"the permission to be in the room {words}", roomId=self.id, reason=reason)
            return [Send([session], messages.ErrorSent.of(error), self.id), *self.leave(session)]
        if permission is self.members[session]:
            return []
        self.members[session] = permission
        return [Send([session], messages.PermissionChanged(self.id, permission.word), self.id)]

    def lose(self, session: Session, farewell: bool, now: Instant) -> list[Effect]:
        """Ends the membership of a session whose connection is gone. Without a farewell its user may still come
        back.
        """
        effects = self._remove_member(session)
        participant = self.participants[session.identity.user_id]
        if not participant.sessions:
            if farewell or not self._settings.grace_period:
                effects += self._end_participation(participant)
            else:
                participant.absent_since = now.monotonic
                self._absent.add(participant)
                effects.append(Wake(self, self._away_until(participant)))
        return effects

    def check_document_type(self, asked: str | None) -> None:
        """Raises :class:`InvalidMessage` if another type is asked for than the document has."""
        if asked is not None and asked != self.document.type.name:
            raise InvalidMessage(
                f"the room's document is of type {self.document.type.name!r}",
                path="payload.documentType",
                documentType=self.document.type.name,
            )

    def _dismiss_outnumbered(self, arrival: Identity) -> list[Effect]:
        """Ends the participation of who is away and has lost the number to the arrival, or comes back with another.

        A number is held for as long as its user is connected (S6): while a participant is away it may be given to
        someone else, and within a room, where records name their users by it, there must be no two of them.
        """
        effects: list[Effect] = []
        for absent in list(self._absent):
            if (absent.user_id == arrival.user_id) != (absent.person.numeric_id == arrival.numeric_id):
                effects += self._end_participation(absent)
        return effects

    def admit(self, person: Person) -> Participant:
        """The participant with this user, who is shown as this person from now on."""
        participant = self.participants.get(person.user_id)
        if participant is None:
            participant = self.participants[person.user_id] = Participant(person)
            self.cursors.add_slot(participant.cursor)
            self.selections.add_slot(participant.selection_frame)
        participant.person = person
        return participant

    def tell_joined(self, participant: Participant) -> Send:
        """Tells the members of a participant that they did not know."""
        joined = messages.UserJoined(self.id, self._describe(participant))
        return Send(self._members_but(participant), joined, self.id)

    def _end_participation(self, participant: Participant) -> list[Effect]:
        """The user takes part here no more."""
        participant.absent_since = None
        self._absent.discard(participant)
        effects: list[Effect] = [Placed(self, participant)]
        if not participant.nodes:
            effects += self.dismiss(participant)
        return effects

    def dismiss(self, participant: Participant) -> list[Effect]:
        """The user takes part nowhere any more: tells the members."""
        del self.participants[participant.user_id]
        self.cursors.remove_slot(participant.cursor)
        self.selections.remove_slot(participant.selection_frame)
        self._selection_changes.forget(participant)
        self._presence_changes.forget(participant)
        left = messages.UserLeft(self.id, self._describe(participant))
        return [Send(list(self.members), left, self.id)]

    def _remove_member(self, session: Session) -> list[Effect]:
        del self.members[session]
        self._outdated.discard(session)
        self.participants[session.identity.user_id].sessions.remove(session)
        session.left(self)
        return [Left(session, self)]

    def _welcome(self, session: Session, permission: Permission, request: messages.JoinRoomPayload) -> Iterable[Effect]:
        """`room_joined` with the whole state; or with as little as the client has missed (OT9)."""
        document = self.document
        recovery, missed = catch_up(document, request, self._settings.max_recovery_bytes)
        content = document.content if missed is None else ABSENT
        state = messages.document_state(document.type.name, document.version, document.epoch, content)
        yield Send(
            [session],
            messages.RoomJoined(
                room_id=self.id,
                handle=self.handle,
                participants=[self._describe(participant) for participant in self.participants.values()],
                document_state=state,
                version=document.version,
                permission=permission.word,
                recovery=recovery,
            ),
            self.id,
        )
        for entry in missed or ():
            yield Send([session], broadcast(entry), self.id)

    def _describe(self, participant: Participant) -> messages.Participant:
        self.move_selection(participant)
        return participant.description()

    # --- presence -----------------------------------------------------------------------------------------------------

    def move(self, session: Session, cursor: messages.CursorMovePayload, now: Instant) -> list[Effect]:
        """Takes a cursor that came as JSON."""
        due = self.cursors.put_cursor(
            self._participant(session).cursor,
            cursor.x,
            cursor.y,
            int(cursor.timestamp) & 0xFFFFFFFF,
            cursor.viewport_x,
            cursor.viewport_y,
            now.monotonic,
        )
        return [Flush(self, due)]

    def select(self, session: Session, change: messages.SelectionChangePayload, now: Instant) -> list[Effect]:
        """Takes a selection that came as JSON; it is bound to the version that it names (V5)."""
        version = bound_version(change, self.document)
        participant = self._participant(session)
        participant.selection = messages.Selection(change.ranges, change.color, version)
        # An older one that came as a frame, and may still be waiting, must not follow this one.
        self.selections.withdraw(participant.selection_frame)
        return self._relay(self._selection_changes, participant, {"selection": participant.selection}, now)

    def select_by_frame(self, session: Session, anchor: int, head: int) -> None:
        """Takes note of a selection that comes as a frame, which the server puts into `selections` itself (B4)."""
        try:
            self.document.type.check_position(anchor)
        except OperationError:
            kind = self.document.type.name
            raise InvalidMessage(f"positions in a document of type {kind!r} are no numbers", path="frame") from None
        participant = self._participant(session)
        selected = messages.SelectionRange(anchor, head)
        version = self.document.version
        participant.selection = messages.Selection([selected], participant.person.color, version)
        # Nor must an older one that came as JSON follow this one.
        self._selection_changes.withdraw(participant)

    def show(self, session: Session, presence: messages.OwnPresence, now: Instant) -> list[Effect]:
        """Takes `status` and `data` of a participant."""
        participant = self._participant(session)
        changes: dict[str, Any] = {}
        if presence.data is not UNSET:
            data = messages.pass_on(presence.data, "payload.presence.data")
            size = len(bytes(data))
            if size > self._settings.max_data_bytes:
                raise InvalidMessage(
                    "presence data is too large",
                    path="payload.presence.data",
                    limit=self._settings.max_data_bytes,
                    size=size,
                )
            participant.data = None if presence.data is None else data
            changes["data"] = participant.data
        if presence.status is not UNSET:
            status = presence.status
            if status is not None:
                status = display_text(status, messages.MAX_STATUS)
            participant.status = changes["status"] = status
        return self._relay(self._presence_changes, participant, changes, now) if changes else []

    def announce(self, session: Session, message: messages.Event) -> list[Effect]:
        """Relays an event to the others, or to one user's connections here (V2)."""
        data = message.payload.data
        event = messages.EventSent(
            name=message.payload.name,
            user_id=session.identity.user_id,
            numeric_id=session.identity.numeric_id,
            data=data if data is UNSET else messages.pass_on(data, "payload.data"),
        )
        relayed = Announced(self.id, event.name, event.user_id, event.numeric_id, event.data, message.target_user_id)
        if message.target_user_id is None:
            others = [member for member in self.members if member is not session]
            return [Send(others, event, self.id), Relay(self, relayed)]
        target = self.participants.get(message.target_user_id)
        if target is None or not (target.sessions or target.nodes):
            raise InvalidMessage(f"{message.target_user_id!r} is not in the room", path="targetUserId")
        effects: list[Effect] = [Send(list(target.sessions), event, self.id)]
        if target.nodes:
            effects.append(Relay(self, relayed))
        return effects

    def record_updates(self, now: Instant) -> list[tuple[Participant, messages.PresenceUpdate]]:
        """What has changed in cursors and selection frames since the last call, for connections that get JSON."""
        changes: dict[str, dict[str, Any]] = {}
        for slot in self.cursors.take_changes():
            changes[slot.user_id] = {"cursor": cursor_of(slot)}
        for slot in self.selections.take_changes():
            selection = self.move_selection(self.participants[slot.user_id])
            changes.setdefault(slot.user_id, {})["selection"] = selection
        return [
            (participant, participant.update(changed, now))
            for participant, changed in ((self.participants[user_id], changed) for user_id, changed in changes.items())
        ]

    def known_records(self, now: Instant) -> list[tuple[Participant, messages.PresenceUpdate]]:
        """Every cursor and selection that is known, for a connection that has missed some."""
        updates = []
        for participant in self.participants.values():
            selection = self.move_selection(participant)
            known: dict[str, Any] = {"cursor": cursor_of(participant.cursor), "selection": selection}
            known = {field: value for field, value in known.items() if value is not None}
            if known:
                updates.append((participant, participant.update(known, now)))
        return updates

    def _relay(
        self, debouncer: Debouncer, participant: Participant, changes: dict[str, Any], now: Instant
    ) -> list[Effect]:
        if debouncer.offer(participant, changes, now.monotonic):
            return self._tell(participant, changes, now)
        return [Wake(self, debouncer.due_at(participant))]

    def _tell(self, participant: Participant, changes: dict[str, Any], now: Instant) -> list[Effect]:
        """Tells everybody of changes of a participant that is here."""
        if "selection" in changes:
            # Others may have written while it was held back.
            changes = {**changes, "selection": self.move_selection(participant)}
        update = participant.update(changes, now)
        relayed = Showed(self.id, participant.user_id, update.presence)
        return [Send(self._members_but(participant), update, self.id), Relay(self, relayed, participant)]

    def tell_changes(self, participant: Participant, changes: dict[str, Any], now: Instant) -> Send:
        """Tells the members of changes of a participant that is elsewhere."""
        return Send(self._members_but(participant), participant.update(changes, now), self.id)

    def _participant(self, session: Session) -> Participant:
        return self.participants[session.identity.user_id]

    def _members_but(self, participant: Participant) -> list[Session]:
        return [member for member in self.members if member not in participant.sessions]

    # --- the document -------------------------------------------------------------------------------------------------

    def submit(self, session: Session, message: messages.Operation, size: int) -> list[Effect]:
        """Takes an operation, to be committed when its turn has come (OT3)."""
        self.require_writer(session, "an operation")
        payload = message.payload
        submission = Submission(
            session.identity.user_id,
            session.identity.numeric_id,
            message.id,
            payload.operation,
            payload.version,
            size,
            payload.checksum,
            traceparent=canonical(payload.traceparent),
        )
        self.commits.add(session, submission)
        return [Commit(self)]

    def require_writer(self, session: Session, what: str) -> None:
        """Raises :class:`~fastcollab.errors.NoPermission` unless the member may write, and :class:`VersionMismatch` if
        the versions that it speaks of are those of an earlier life of the document (OT6).
        """
        self.members[session].require(Permission.WRITE, what)
        if session in self._outdated:
            raise _made_anew(self.document)

    def committed(self) -> list[Effect]:
        """The batch is stored: acknowledges each operation, and tells the others (OT3)."""
        effects: list[Effect] = []
        for sender, submission, version, entry in self.commits.commit():
            if entry is not None:
                others = [member for member in self.members if member is not sender or submission.made_here]
                if others:
                    effects.append(Send(others, broadcast(entry, submission.traceparent), self.id))
            effects.append(self._answer(sender, submission, version))
        if self.document.version - self._selections_version >= _SELECTIONS_MOVED_EVERY:
            self._selections_version = self.document.version
            for participant in self.participants.values():
                self.move_selection(participant)
        return effects

    def refused(self, refusals: Iterable[Refusal], results: Mapping[Author, int]) -> list[Effect]:
        """Tells the senders of operations why these were refused; but those of which the store knows that they were
        committed, long ago, are acknowledged (OT5).
        """
        self.commits.refused()
        effects: list[Effect] = []
        for sender, submission, error in refusals:
            effects.append(self._answer(sender, submission, results.get(submission.author, error)))
        return effects

    def failed(self, error: ProtocolError) -> list[Effect]:
        """The batch could not be stored: tells its senders."""
        return [self._answer(sender, submission, error) for sender, submission in self.commits.fail()]

    def _answer(self, sender: Session | Errand, submission: Submission, result: int | ProtocolError) -> Effect:
        """Tells the sender what became of an operation: its version, or why it was refused."""
        if isinstance(sender, Errand):
            return Answer(sender, result)
        payload: messages.ServerPayload = (
            messages.Ack(submission.message_id, result)
            if isinstance(result, int)
            else messages.ErrorSent.of(result, submission.message_id)
        )
        return Send([sender], payload, self.id)

    def followed(self, entries: Iterable[Committed], traceparents: Mapping[int, str] = NO_TRACES) -> list[Effect]:
        """Another process has committed operations to the document, which has them now: tells the members. Those that
        are part of a trace are there according to `traceparents`, by version.
        """
        return [
            Send(list(self.members), broadcast(entry, traceparents.get(entry.version)), self.id) for entry in entries
        ]

    def renewed(self, document: Document) -> list[Effect]:
        """Another process has made the document anew: tells the members that what they have is no more (OT6)."""
        made_anew = _made_anew(document)
        effects = self.failed(made_anew)
        self.document = document
        self.commits = CommitQueue(document, self._settings.max_queued_bytes)
        self._outdated.update(self.members)
        self._selections_version = document.version
        for participant in self.participants.values():
            participant.selection = None
        return [*effects, Send(list(self.members), messages.ErrorSent.of(made_anew), self.id)]

    def move_selection(self, participant: Participant) -> messages.Selection | None:
        """The participant's selection in the newest version; what is too old to be moved there is gone."""
        if participant.selection is not None:
            participant.selection = newest(participant.selection, self.document, participant.user_id)
        return participant.selection

    # --- time ---------------------------------------------------------------------------------------------------------

    def tick(self, now: Instant) -> list[Effect]:
        """Does what is due by now."""
        effects: list[Effect] = []
        for debouncer in (self._selection_changes, self._presence_changes):
            for participant, changes in debouncer.due(now.monotonic):
                effects += self._tell(participant, changes, now)
        for participant in [absent for absent in self._absent if self._away_until(absent) <= now.monotonic]:
            effects += self._end_participation(participant)
        return effects

    def next_due(self) -> int | None:
        """When :meth:`tick` has something to do (ns); None: not as things are."""
        dues = [self._selection_changes.next_due(), self._presence_changes.next_due()]
        dues += [self._away_until(participant) for participant in self._absent]
        return min((due for due in dues if due is not None), default=None)

    def _away_until(self, participant: Participant) -> int:
        assert participant.absent_since is not None
        return participant.absent_since + self._settings.grace_period


def broadcast(entry: Committed, traceparent: str | None = None) -> messages.OperationBroadcast:
    """The message that tells of a committed operation, with its place in a trace if it is part of one."""
    return messages.OperationBroadcast(
        operation=entry.operation,
        user_id=entry.user_id,
        numeric_id=entry.numeric_id,
        message_id=entry.message_id,
        version=entry.written_against,
        transformed_version=entry.version,
        traceparent=UNSET if traceparent is None else traceparent,
    )


def _made_anew(document: Document) -> VersionMismatch:
    return VersionMismatch("the document was made anew", version=document.version, oldest=document.oldest)
