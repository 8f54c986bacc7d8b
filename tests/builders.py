"""Sessions, rooms and messages for tests of the core, made as the server makes them.

Messages are decoded from JSON, so that a test cannot hand the core what no client could. Time is what a test says:
`at(1.5)` is the instant one and a half seconds after `START`.
"""

import json
from typing import Any, TypeVar

from fastcollab import messages, ot
from fastcollab.core.document import Committed, Document, DocumentLimits, Submission
from fastcollab.core.effects import Commit, Effect, Send
from fastcollab.core.instant import Instant
from fastcollab.core.limit_guard import LimitGuard, UserRates
from fastcollab.core.limits import SECOND
from fastcollab.core.permissions import Permission
from fastcollab.core.revocation import TokenMarks
from fastcollab.core.room import Room, RoomSettings
from fastcollab.core.session import Identity, Session, SessionSettings

START = Instant(monotonic=1_000 * SECOND, unix=1_700_000_000_000)

LIMITS = messages.LimitsInForce(
    cursor_updates=60,
    operations=30,
    messages=120,
    burst=2.0,
    connections=5,
    rooms=10,
    participants=500,
    max_message_bytes=1_048_576,
    max_operation_bytes=1_048_576,
    max_messages_per_batch=100,
)

Kind = TypeVar("Kind")


def at(seconds: float) -> Instant:
    return Instant(START.monotonic + round(seconds * SECOND), START.unix + round(seconds * 1000))


def envelope(kind: str, payload: Any, /, **fields: Any) -> dict[str, Any]:
    """A message as a client writes it; `fields` add to its envelope or replace what is in it."""
    return {
        "id": messages.new_id(),
        "type": kind,
        "version": 1,
        "timestamp": START.unix,
        "payload": payload,
        **fields,
    }


def message(kind: str, payload: Any, /, **fields: Any) -> Any:
    """The same, decoded."""
    return messages.decode(json.dumps(envelope(kind, payload, **fields)))


def marks(user_id: str = "ada", **others: Any) -> TokenMarks:
    """What a token of the user, an hour before it expires, can be revoked by; `others` replace some of it."""
    now = START.unix / 1000
    return TokenMarks(user_id, f"token of {user_id}", None, now, now + 3600)._replace(**others)


def identity(user_id: str = "ada", numeric_id: int | None = None, name: str | None = None) -> Identity:
    number = sum(user_id.encode()) if numeric_id is None else numeric_id
    return Identity(user_id, number, name or user_id.title(), "#c92a2a", None, marks(user_id))


def new_session(limits: messages.LimitsInForce = LIMITS, rates: UserRates | None = None) -> Session:
    """A session that has not said who it is; with rates of its own, unless it shares some."""
    settings = SessionSettings(limits, heartbeat_interval=25_000)
    return Session(messages.new_id(), settings, rates or UserRates(limits, LimitGuard()))


def session_of(
    user_id: str = "ada",
    numeric_id: int | None = None,
    limits: messages.LimitsInForce = LIMITS,
    rates: UserRates | None = None,
) -> Session:
    """A session that was authenticated."""
    session = new_session(limits, rates)
    session.verified(identity(user_id, numeric_id), None, START)
    return session


def text_document(content: str = "", limits: DocumentLimits | None = None) -> Document:
    return Document(ot.types["text"], limits or DocumentLimits(), content)


def submit(document: Document, submission: Submission, now: Instant = START) -> Committed | int:
    """Has the document commit the operation, with a store that never fails; a repetition gives its version."""
    version = document.stage(submission, now.unix)
    committed = document.commit()
    return committed[0] if committed else version


def commit(room: Room, now: Instant = START) -> list[Effect]:
    """Has the room commit what waits, with a store that never fails."""
    refusals = room.commits.stage(now.unix)
    return room.committed() + room.refused(refusals, {})


def new_room(room_id: str = "plans", settings: RoomSettings | None = None, document: Document | None = None) -> Room:
    return Room(room_id, 7, document or text_document(), settings or RoomSettings())


def enter(
    room: Room, session: Session, now: Instant = START, permission: Permission = Permission.WRITE, **request: Any
) -> list[Effect]:
    """Has the session join the room; `request` are fields of the payload of `join_room`."""
    joining = message("join_room", {"roomId": room.id, **request})
    return room.enter(session, permission, joining.payload, now)


def room_of(*sessions: Session, settings: RoomSettings | None = None, document: Document | None = None) -> Room:
    """A room that all of the sessions have joined."""
    room = new_room(settings=settings, document=document)
    for session in sessions:
        enter(room, session)
    return room


def tell(session: Session, kind: str, payload: Any, now: Instant = START, **fields: Any) -> list[Effect]:
    """Has the session receive a message, and what it commits be committed."""
    text = json.dumps(envelope(kind, payload, **fields))
    return receive(session, messages.decode(text), len(text.encode()), now)


def receive(session: Session, told: Any, size: int = 100, now: Instant = START) -> list[Effect]:
    """The same with a message of that size."""
    effects: list[Effect] = []
    for effect in session.receive(told, size, now):
        effects += commit(effect.room, now) if isinstance(effect, Commit) else [effect]
    return effects


def submission(operation: Any, version: int, message_id: str = "", **fields: Any) -> Submission:
    """An operation of Ada's."""
    known: dict[str, Any] = {"user_id": "ada", "numeric_id": 1, "size": len(json.dumps(operation)), **fields}
    return Submission(message_id=message_id or messages.new_id(), operation=operation, version=version, **known)


def received(effects: list[Effect], session: Session) -> list[messages.ServerPayload]:
    """The payloads that the effects send to the session, in order."""
    return [effect.payload for effect in effects if isinstance(effect, Send) and session in effect.recipients]


def only(kind: type[Kind], effects: list[Effect], session: Session) -> Kind:
    """The one payload that the effects send to the session, which is of this kind."""
    (payload,) = received(effects, session)
    assert isinstance(payload, kind)
    return payload


def effects_of(kind: type[Kind], effects: list[Effect]) -> list[Kind]:
    return [effect for effect in effects if isinstance(effect, kind)]
