"""A room under any traffic: people come, go, get lost and come back, write, show themselves, and time passes.

The machine plays the server: it carries out effects, keeps the one timer that `Wake` asks for and the one that
`Flush` asks for, and encodes what is sent. It plays the store too, which may be slow, so that people come, go and write
while a batch is on its way there, and may fail. Each connection has a client of its own behind an inbox of any length,
which keeps its copy of the document, of the participants and of what they show, as the protocol tells it to. So a
message too few, too many, too early or too late shows itself in one of the copies.
"""

import json
from collections import deque
from typing import Any

import hypothesis.strategies as st
import msgspec
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from tests.builders import LIMITS, envelope, message, new_room, session_of, text_document

from fastcollab import _binary, messages, ot
from fastcollab.core.document import Committed, DocumentLimits
from fastcollab.core.effects import Commit, Effect, Entered, Flush, Left, Send, Wake
from fastcollab.core.instant import Instant
from fastcollab.core.limits import SECOND
from fastcollab.core.permissions import Permission
from fastcollab.core.room import RoomSettings
from fastcollab.core.session import Session
from fastcollab.errors import ErrorCode, NoPermission, ProtocolError, ServiceUnavailable

text: Any = ot.types["text"]

GRACE = 10 * SECOND
USERS = {"ada": 1, "bob": 2, "eve": 3}
PLENTY = msgspec.structs.replace(LIMITS, operations=10**6, messages=10**6)
INDEX = st.integers(0, 100)


class Client:
    """One of a user's devices. It outlives its connections, as the document on the screen does."""

    def __init__(self, user_id: str) -> None:
        self.user_id = user_id
        self.session: Session | None = None
        self.inbox: deque[dict[str, Any]] = deque()
        self.unanswered = 0  # joins of which it has not read `room_joined`
        self.content = ""
        self.version = 0
        self.epoch: str | None = None
        self.pending: tuple[str, Any] | None = None  # the id and the operation that are not yet acknowledged
        self.people: dict[str, dict[str, Any]] = {}
        self.parted = False  # its document has to be had afresh

    @property
    def welcome(self) -> bool:
        """Whether it may write: it knows the state that it writes against (OT4)."""
        return self.session is not None and not self.unanswered

    def read(self) -> None:
        told = self.inbox.popleft()
        assert told["roomId"] == "plans"
        getattr(self, "on_" + told["type"])(told["payload"])

    def on_room_joined(self, payload: dict[str, Any]) -> None:
        self.unanswered -= 1
        self.people = {who["userId"]: who["presence"] for who in payload["participants"]}
        assert self.user_id in self.people
        assert len(self.people) == len(payload["participants"])
        state = payload["documentState"]
        if payload.get("recovery", {}).get("recovered"):
            assert state["epoch"] == self.epoch
            assert "data" not in state
        else:
            self.content, self.version, self.epoch = state["data"], payload["version"], state["epoch"]
            self.pending = None
            self.parted = False

    def on_room_left(self, payload: dict[str, Any]) -> None:
        raise AssertionError("who leaves reads no more")

    def on_user_joined(self, payload: dict[str, Any]) -> None:
        who = payload["participant"]
        assert who["userId"] not in self.people
        self.people[who["userId"]] = who["presence"]

    def on_user_left(self, payload: dict[str, Any]) -> None:
        del self.people[payload["participant"]["userId"]]

    def on_presence_update(self, payload: dict[str, Any]) -> None:
        assert payload["userId"] != self.user_id
        shown = self.people[payload["userId"]]
        for field, value in payload["presence"].items():
            shown[field] = value
            if value is None:
                del shown[field]

    def on_error(self, payload: dict[str, Any]) -> None:
        if self.pending is not None and payload["details"]["messageId"] == self.pending[0]:
            # What could not be stored may be sent again, what is too old may not.
            self.parted = payload["code"] == ErrorCode.VERSION_MISMATCH

    def on_ack(self, payload: dict[str, Any]) -> None:
        if self.pending is not None and payload["messageId"] == self.pending[0]:
            self.version += 1
            assert payload["version"] == self.version
            self.pending = None
        else:
            assert payload["version"] <= self.version

    def on_operation_broadcast(self, payload: dict[str, Any]) -> None:
        if payload["transformedVersion"] <= self.version:
            return  # known already: it was on its way when the client joined again
        self.version += 1
        assert payload["transformedVersion"] == self.version
        operation = payload["operation"]
        if self.pending is not None:
            message_id, own = self.pending
            if payload["messageId"] == message_id:
                self.pending = None
                return
            self.pending = message_id, text.transform(own, operation, "left")
            operation = text.transform(operation, own, "right")
        self.content = text.apply(self.content, operation)


class RoomMachine(RuleBasedStateMachine):
    @initialize(history=st.integers(3, 12), slow=st.booleans())
    def open(self, history: int, slow: bool) -> None:
        self.now = 1_000 * SECOND
        self.room = new_room(
            settings=RoomSettings(cursor_updates=20, cursor_burst=0.1),
            document=text_document(limits=DocumentLimits(operations=history)),
        )
        self.room.cursors.lists_changes = self.room.selections.lists_changes = True
        self.timer: int | None = None
        self.flush_timer: int | None = None
        self.clients: list[Client] = []
        self.online: dict[Session, Client] = {}
        self.away: dict[str, int] = {}  # users who may come back, and when they were lost
        self.truth: dict[str, dict[str, Any]] = {}  # what each participant has shown last
        self.expected: dict[Session, int] = {}  # the version that must be the next to be sent there
        self.asked: dict[Session, int | None] = {}  # the version from which a join asked for what was missed
        self.results: dict[str, int] = {}
        self.permissions: dict[Session, Permission] = {}
        self.log: list[Committed] = []
        self.slow = slow  # whether the store takes its time
        self.busy = False

    # --- the server -----------------------------------------------------------------------------------------------

    @property
    def instant(self) -> Instant:
        return Instant(self.now, self.now // 1_000_000)

    def carry_out(self, effects: list[Effect]) -> None:
        for effect in effects:
            match effect:
                case Send(recipients, payload, room_id):
                    assert len(set(recipients)) == len(recipients)
                    for session in recipients:
                        self.send(session, payload, room_id)
                case Wake(_, due):
                    self.timer = due if self.timer is None else min(self.timer, due)
                case Commit():
                    self.commit()
                case Flush(_, due):
                    self.flush_timer = due if self.flush_timer is None else min(self.flush_timer, due)
                case Entered(session, _):
                    assert session in self.online
                case Left(session, _):
                    assert session not in self.room.members

    def send(self, session: Session, payload: messages.ServerPayload, room_id: str | None) -> None:
        if isinstance(payload, messages.RoomLeft):
            assert session not in self.online
            return
        if isinstance(payload, messages.RoomJoined):
            asked = self.asked[session]
            recovered = payload.recovery and payload.recovery.recovered
            assert not recovered or asked is not None
            self.expected[session] = (asked if recovered and asked is not None else payload.version) + 1
        elif isinstance(payload, messages.OperationBroadcast):
            self.expect(session, payload.message_id, payload.transformed_version)
        elif isinstance(payload, messages.Ack):
            assert isinstance(payload.version, int)
            if payload.message_id in self.results:
                assert payload.version == self.results[payload.message_id]
            else:
                self.results[payload.message_id] = payload.version
                if session in self.online:
                    self.expect(session, payload.message_id, payload.version)
        elif isinstance(payload, messages.ErrorSent):
            assert payload.code in (ErrorCode.VERSION_MISMATCH, ErrorCode.SERVICE_UNAVAILABLE)
        if session not in self.online:
            assert isinstance(payload, messages.Ack | messages.ErrorSent)  # to who has gone meanwhile
            return
        self.online[session].inbox.append(json.loads(messages.encode(payload, self.instant.unix, room_id)))

    def commit(self) -> None:
        """Has the store asked for what waits, unless it is busy."""
        if self.room.commits and not self.busy:
            self.busy = True
            self.carry_out(self.room.refused(self.room.commits.stage(self.instant.unix), {}))
            if not self.slow:
                self.store_answers(fails=False)

    @precondition(lambda self: self.busy)
    @rule(fails=st.sampled_from([False, False, True]))
    def store_answers(self, fails: bool) -> None:
        self.busy = False
        if fails:
            self.carry_out(self.room.failed(ServiceUnavailable("the store is gone")))
        else:
            self.log += self.room.document.staged
            self.carry_out(self.room.committed())
        self.commit()

    def expect(self, session: Session, message_id: str, version: int) -> None:
        """To each connection, each version goes once and in order (OT3), as the same message to all."""
        assert version == self.expected[session]
        self.expected[session] += 1

    def pass_time(self, until: int) -> None:
        """Lets the timers go off in their order, each when it is due."""
        while True:
            due = min((due for due in (self.timer, self.flush_timer) if due is not None), default=until + 1)
            if due > until:
                break
            self.now = max(self.now, due)
            if due == self.timer:
                self.timer = None
                self.carry_out(self.room.tick(self.instant))
                self.timer = self.room.next_due()
            else:
                self.flush()
        self.now = until
        for user_id, since in list(self.away.items()):
            if since + GRACE <= self.now:
                del self.away[user_id], self.truth[user_id]

    def flush(self) -> None:
        numbers = {who.person.numeric_id for who in self.room.participants.values()}
        for batch in (self.room.cursors, self.room.selections):
            if frame := batch.flush(self.now, SECOND // 1_000):
                records = _binary.decode_frames(frame)[2]
                senders = [record[0] for record in records]
                assert len(set(senders)) == len(senders)
                assert numbers.issuperset(senders)
        for who, update in self.room.record_updates(self.instant):
            others = [session for session in self.online if session.identity.user_id != who.user_id]
            self.carry_out([Send(others, update, self.room.id)])
        dues = [due for due in (self.room.cursors.next_due(), self.room.selections.next_due()) if due is not None]
        self.flush_timer = min(dues, default=None)

    def receive(self, client: Client, kind: str, payload: Any, **fields: Any) -> None:
        assert client.session is not None
        told = json.dumps(envelope(kind, payload, **fields))
        self.carry_out(client.session.receive(messages.decode(told), len(told), self.instant))

    # --- people ---------------------------------------------------------------------------------------------------

    def pick(self, index: int, joined: bool, welcome: bool = False) -> Client | None:
        found = [who for who in self.clients if (who.session is not None) is joined and (who.welcome or not welcome)]
        return found[index % len(found)] if found else None

    def join(self, client: Client, permission: Permission, recover: bool) -> None:
        if client.session is None:
            client.session = session_of(client.user_id, USERS[client.user_id], PLENTY)
            client.inbox.clear()
        session = client.session
        while self.room.commits.has(session):
            self.store_answers(fails=False)
        request = {"roomId": "plans"}
        if recover and client.epoch is not None:
            request |= {"lastSyncVersion": client.version, "epoch": client.epoch}  # type: ignore[dict-item]
        self.online[session] = client
        self.asked[session] = client.version if "epoch" in request else None
        self.permissions[session] = permission
        self.truth.setdefault(client.user_id, {})
        self.away.pop(client.user_id, None)
        payload = message("join_room", request).payload
        client.unanswered += 1
        self.carry_out(self.room.enter(session, permission, payload, self.instant))

    def part(self, client: Client) -> None:
        assert client.session is not None
        del self.online[client.session]
        client.session = None
        client.unanswered = 0
        client.inbox.clear()

    def gone(self, client: Client) -> None:
        if all(other.session is None or other.user_id != client.user_id for other in self.clients):
            del self.truth[client.user_id]

    @precondition(lambda self: len(self.clients) < 5)
    @rule(
        user_id=st.sampled_from(sorted(USERS)), permission=st.sampled_from([Permission.WRITE] * 4 + [Permission.READ])
    )
    def arrive(self, user_id: str, permission: Permission) -> None:
        client = Client(user_id)
        self.clients.append(client)
        self.join(client, permission, recover=False)

    @rule(index=INDEX, recover=st.booleans())
    def join_again(self, index: int, recover: bool) -> None:
        if client := self.pick(index, joined=True):
            self.join(client, Permission.WRITE, recover)

    @rule(index=INDEX, recover=st.booleans())
    def come_back(self, index: int, recover: bool) -> None:
        if client := self.pick(index, joined=False):
            self.join(client, Permission.WRITE, recover)

    @rule(index=INDEX)
    def leave(self, index: int) -> None:
        if client := self.pick(index, joined=True):
            session = client.session
            assert session is not None
            self.part(client)
            self.carry_out(session.receive(message("leave_room", {"roomId": "plans"}), 100, self.instant))
            assert session.rooms == {}
            self.gone(client)

    @rule(index=INDEX, farewell=st.booleans())
    def lose(self, index: int, farewell: bool) -> None:
        if client := self.pick(index, joined=True):
            session = client.session
            assert session is not None
            self.part(client)
            self.carry_out(session.closed(farewell, self.instant))
            if farewell:
                self.gone(client)
            elif all(other.user_id != client.user_id for other in self.online.values()):
                self.away[client.user_id] = self.now

    @rule(index=INDEX, count=st.integers(1, 5))
    def read(self, index: int, count: int) -> None:
        if client := self.pick(index, joined=True):
            for _ in range(min(count, len(client.inbox))):
                client.read()
            if client.parted:
                assert client.session is not None
                self.join(client, self.permissions[client.session], recover=False)

    @rule(milliseconds=st.sampled_from([1, 20, 60, 100, 300, 500, 4_000, 11_000]))
    def wait(self, milliseconds: int) -> None:
        self.pass_time(self.now + milliseconds * SECOND // 1_000)

    # --- what they do ---------------------------------------------------------------------------------------------

    @rule(index=INDEX, data=st.data())
    def write(self, index: int, data: st.DataObject) -> None:
        client = self.pick(index, joined=True, welcome=True)
        if client is None or client.pending is not None:
            return
        place = data.draw(st.integers(0, len(client.content)))
        length = data.draw(st.integers(0, min(3, len(client.content) - place)))
        operation = text.normalize(
            [place, data.draw(st.text("abé👩", max_size=3)), *([{"d": length}] if length else [])]
        )
        client.pending = messages.new_id(), operation
        client.content = text.apply(client.content, operation)
        self.submit(client)

    @rule(index=INDEX)
    def write_again(self, index: int) -> None:
        """Sends what is not acknowledged once more, as a client does that has come back."""
        client = self.pick(index, joined=True, welcome=True)
        if client is not None and client.pending is not None:
            self.submit(client)

    def submit(self, client: Client) -> None:
        assert client.pending is not None and client.session is not None
        message_id, operation = client.pending
        before = self.room.document.version
        try:
            self.receive(client, "operation", {"operation": operation, "version": client.version}, id=message_id)
        except NoPermission:
            assert self.permissions[client.session] is Permission.READ
            assert self.room.document.version == before
            self.join(client, self.permissions[client.session], recover=False)

    @rule(
        index=INDEX,
        status=st.none() | st.text("ab", max_size=2),
        data=st.none() | st.integers(0, 5),
        kind=st.integers(1, 3),
    )
    def show(self, index: int, status: str | None, data: int | None, kind: int) -> None:
        if client := self.pick(index, joined=True):
            presence = {**({"status": status} if kind & 1 else {}), **({"data": data} if kind & 2 else {})}
            self.receive(client, "presence_update", {"presence": presence})
            self.truth[client.user_id].update(presence)

    @rule(index=INDEX, head=st.integers(0, 9))
    def select(self, index: int, head: int) -> None:
        if client := self.pick(index, joined=True):
            ranges = [{"anchor": 0, "head": head}]
            self.receive(client, "selection_change", {"ranges": ranges, "color": "red"})
            version = self.room.document.version
            self.truth[client.user_id]["selection"] = {"ranges": ranges, "color": "red", "version": version}

    @rule(index=INDEX, head=st.integers(0, 9))
    def select_by_frame(self, index: int, head: int) -> None:
        if client := self.pick(index, joined=True):
            assert client.session is not None
            self.room.select_by_frame(client.session, 0, head)
            slot = self.room.participants[client.user_id].selection_frame
            due = self.room.selections.put_frame(slot, _binary.encode_frame(2, 99, 0, head, 0), self.now)
            self.carry_out([Flush(self.room, due)])
            self.truth[client.user_id]["selection"] = {
                "ranges": [{"anchor": 0, "head": head}],
                "color": client.session.identity.color,
                "version": self.room.document.version,
            }

    @rule(index=INDEX, x=st.integers(-5, 5))
    def move(self, index: int, x: int) -> None:
        if client := self.pick(index, joined=True):
            cursor = {"x": x, "y": 0.1, "viewportX": 0, "viewportY": 0}
            self.receive(client, "cursor_move", {**cursor, "timestamp": 5})
            self.truth[client.user_id]["cursor"] = cursor

    @rule(index=INDEX)
    def announce(self, index: int) -> None:
        """An event to someone who is not there is refused, and nothing changes."""
        if client := self.pick(index, joined=True):
            assert client.session is not None
            told = message("event", {"name": "wave"}, targetUserId="nobody")
            try:
                client.session.receive(told, 100, self.instant)
            except ProtocolError as error:
                assert error.details["path"] == "targetUserId"
            else:
                raise AssertionError("there is no such user")

    # --- what must hold -------------------------------------------------------------------------------------------

    @invariant()
    def members_are_the_connections(self) -> None:
        assert set(self.room.members) == set(self.online)
        for session in self.online:
            assert session.active_room is self.room

    @invariant()
    def participants_are_who_is_here_or_may_come_back(self) -> None:
        here = {client.user_id for client in self.online.values()}
        assert set(self.room.participants) == here | set(self.away) == set(self.truth)
        assert here.isdisjoint(self.away)
        for user_id, participant in self.room.participants.items():
            sessions = [session for session, client in self.online.items() if client.user_id == user_id]
            assert sorted(map(id, participant.sessions)) == sorted(map(id, sessions))
        assert self.room.deserted is (not self.truth and not self.room.commits)

    @invariant()
    def batches_have_the_slots_of_the_participants(self) -> None:
        participants = self.room.participants.values()
        for batch, slots in (
            (self.room.cursors, [who.cursor for who in participants]),
            (self.room.selections, [who.selection_frame for who in participants]),
        ):
            known = {slot for slot in slots if slot.position() is not None}
            assert set(batch.missed_since(0, None)) == known

    @invariant()
    def what_is_due_is_waited_for(self) -> None:
        if (due := self.room.next_due()) is not None:
            assert self.timer is not None
            assert self.timer <= due
        for batch in (self.room.cursors, self.room.selections):
            if (due := batch.next_due()) is not None:
                assert self.flush_timer is not None
                assert self.flush_timer <= due

    def teardown(self) -> None:
        if not hasattr(self, "room"):
            return
        # Everyone reads to the end, sends what is not acknowledged, and time passes until nothing is due.
        self.slow = False
        if self.busy:
            self.store_answers(fails=False)
        for _ in range(3):
            self.pass_time(self.now + 2 * GRACE)
            for client in self.online.values():
                while client.inbox:
                    client.read()
                if client.parted:
                    assert client.session is not None
                    self.join(client, self.permissions[client.session], recover=False)
                elif client.pending is not None:
                    self.submit(client)
        assert self.timer is None and self.flush_timer is None
        newest = {
            user_id: {field: value for field, value in shown.items() if value is not None}
            for user_id, shown in self.truth.items()
        }
        for client in self.online.values():
            assert client.pending is None and not client.inbox
            assert (client.content, client.version) == (self.room.document.content, self.room.document.version)
            assert client.people.keys() == newest.keys()
            for user_id in newest.keys() - {client.user_id}:
                assert self.moved(client.people[user_id], user_id) == self.moved(newest[user_id], user_id)
        for client in list(self.online.values()):
            assert client.session is not None
            session = client.session
            self.part(client)
            self.carry_out(session.closed(farewell=True, now=self.instant))
        self.nothing_is_left()

    def moved(self, shown: dict[str, Any], user_id: str) -> dict[str, Any]:
        """What is shown, with the selection where it is in the newest version."""
        if (selection := shown.get("selection")) is None:
            return {field: value for field, value in shown.items() if field != "selection"}
        ranges = [(selected["anchor"], selected["head"]) for selected in selection["ranges"]]
        for entry in self.log[selection["version"] :]:
            side = "right" if entry.user_id == user_id else "left"
            ranges = [
                (
                    text.transform_position(anchor, entry.operation, side),
                    text.transform_position(head, entry.operation, side),
                )
                for anchor, head in ranges
            ]
        return shown | {"selection": (ranges, selection["color"])}

    def nothing_is_left(self) -> None:
        room = self.room
        assert room.deserted
        assert room.next_due() is None
        assert not room.members and not room._absent
        for debouncer in (room._selection_changes, room._presence_changes):
            assert not debouncer._held and not debouncer._passed_at
        for batch in (room.cursors, room.selections):
            assert batch.missed_since(0, None) == []
            assert batch.next_due() is None
            assert batch.flush(self.now) == b""
        assert room.record_updates(self.instant) == room.known_records(self.instant) == []


class TestRooms(RoomMachine.TestCase):  # type: ignore[misc]
    settings = settings(max_examples=300, stateful_step_count=60, deadline=None)
