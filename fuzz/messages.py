"""Fuzzes messages and binary frames of clients that have been let in: valid, nearly valid, and anything else.

There are three rooms, one for each document type. Two clients send what the fuzzer makes; a third is in all rooms and
only listens. The property:

* All that is sent to anyone has the form that the specification gives it, and no error is the gateway's own fault.
* Each operation and each request gets its answer: an ack, what was asked for, or an error that names it.
* The rooms stay consistent: who listens sees versions without a gap, and has, by applying what it is told, the same
  document and the same participants in the end as one who joins then.
* When all have gone, nothing is left.
"""

from __future__ import annotations

import json
import struct
import sys
import time
from typing import Any

import atheris
import jwt
from tests.server.spec_shapes import INTERNAL_ERROR, Message, parse_frame

from fastcollab import Config, Gateway, messages, ot
from fastcollab.engines.memory import MemoryDocuments
from fastcollab.errors import InvalidMessage
from fastcollab.ot import ABSENT
from fuzz import edge, values
from fuzz.edge import BINARY, CLOSE, TEXT
from fuzz.values import Source

SECRET = "a secret of the fuzz targets, and of nobody else"
ROOMS = {"t": "text", "j": "json1", "r": "rich-text"}
OPERATIONS = {"text": values.text_operation, "json1": values.json1_operation, "rich-text": values.rich_operation}
MOST_STEPS = 12
#: Seconds in which everything has been said: flushes, and updates that are debounced.
SOON = 1.0


class _Store(MemoryDocuments):
    """Documents that can be forgotten, so that each input finds the same."""

    def forget(self) -> None:
        self._documents.clear()


def token(user: str, **claims: Any) -> str:
    return jwt.encode({"sub": user, "exp": time.time() + 86_400, **claims}, SECRET, "HS256")


TOKENS = {
    "ada": token("ada", rooms={"*": "admin"}),
    "7": token("7", rooms={"t": "read", "*": "write"}, name="Seven"),
    "olga": token("olga"),
}
#: With which a client may take the place of its own: with fewer rights, and for a time that is short or over.
OTHER_TOKENS = [
    *TOKENS.values(), token("ada", rooms={"t": "read"}), token("7", rooms={}), token("7", exp=time.time() - 1), "a.b.c",
]  # fmt: skip


def envelope(kind: str, payload: Any, **fields: Any) -> dict[str, Any]:
    return {"id": messages.new_id(), "type": kind, "version": 1, "timestamp": 1, "payload": payload, **fields}


class Client:
    """A connection of a user. `heard`: all that it was told, in order, with batches taken apart; `answered`: the ids of
    the messages that were answered.
    """

    def __init__(self, gateway: edge.Edge, user: str, **headers: str) -> None:
        self.wire = gateway.open(Authorization=f"Bearer {TOKENS[user]}", **headers)
        self.batched = bool(headers)
        self.heard: list[Message] = []
        self.answered: set[str] = set()
        self.closed = False
        self._gateway = gateway

    def say(self, message: Any) -> None:
        self.send(TEXT, json.dumps(message).encode())

    def send(self, opcode: int, payload: bytes) -> None:
        self._gateway.send(self.wire, edge.frame(opcode, payload))

    def hear(self) -> None:
        """Takes in what has been sent, and checks its form."""
        for frame in edge.frames(bytes(self.wire.sent)):
            if frame.opcode == TEXT:
                self._take(json.loads(frame.payload))
            elif frame.opcode == BINARY:
                parse_frame(frame.payload, 0, batched=self.batched)
            elif frame.opcode == CLOSE:
                self.closed = True
                assert frame.close_code >= 4000, frame
        self.wire.sent.clear()

    def _take(self, content: Any) -> None:
        message = Message.checked(content, None, 0)
        assert message.payload.get("code") != INTERNAL_ERROR, content
        if message.type == "batch":
            for inner in message.payload["messages"]:
                self._take(inner)
            return
        self.heard.append(message)
        about = message.payload if "messageId" in message.payload else message.payload.get("details", {})
        if message.type != "operation_broadcast" and "messageId" in about:
            self.answered.add(about["messageId"])


class Copy:
    """What one who listens knows of a room."""

    def __init__(self, joined: Message) -> None:
        state = joined.payload["documentState"]
        self._type = ot.types[state["type"]]
        self.version: int = state["version"]
        self.content: Any = state.get("data", ABSENT)
        self.participants = {each["userId"] for each in joined.payload["participants"]}

    def follow(self, message: Message) -> None:
        payload = message.payload
        if message.type == "operation_broadcast":
            assert payload["transformedVersion"] == self.version + 1, "a gap between versions"
            self.content = self._type.apply(self.content, payload["operation"])
            self.version += 1
        elif message.type == "user_joined":
            assert payload["participant"]["userId"] not in self.participants, "someone came twice"
            self.participants.add(payload["participant"]["userId"])
        elif message.type == "user_left":
            self.participants.remove(payload["participant"]["userId"])


# --- what is sent -----------------------------------------------------------------------------------------------------


@atheris.instrument_func
def make_room(source: Source) -> Any:
    return source.choice([*ROOMS, *ROOMS, "x", "", " t", "a" * 129, "../t", "t\x00", None]) if source.maybe(3) else "t"


@atheris.instrument_func
def make_range(source: Source) -> Any:
    position = source.choice([source.below(6), source.below(6), ["a", source.below(3)], -1, 2**53, 1.5, None])
    return {"anchor": position, "head": position if source.maybe(2) else source.below(6)}


@atheris.instrument_func
def make_version(source: Source, step: int) -> int:
    """Most often one that there is: no more has been committed than there were steps."""
    return source.below(source.choice([1, 1, 2, step + 3]))


@atheris.instrument_func
def make_payload(source: Source, kind: str, document_type: str, step: int) -> Any:
    if kind in ("connect", "refresh_token"):
        given = {"token": source.choice([*OTHER_TOKENS, source.text(5)])}
        return given if kind == "refresh_token" else given | {"deviceId": "d", "clientVersion": "1"}
    if kind in ("join_room", "leave_room", "activate_room"):
        payload: dict[str, Any] = {"roomId": make_room(source)}
        if kind == "join_room" and source.maybe(3):
            payload |= {"lastSyncVersion": source.below(4), "epoch": source.text(3)}
        if kind == "join_room" and source.maybe(4):
            payload["documentType"] = source.choice([*ROOMS.values(), "none"])
        return payload
    if kind == "cursor_move":
        numbers = [0, 1.5, -3, 1e300, 2**24, 2**70, -(2.0**24)]
        return {name: source.choice(numbers) for name in ("x", "y", "viewportX", "viewportY", "timestamp")}
    if kind == "selection_change":
        color = source.choice(["#fff", "red", "rgb(1,2,3)", "<b>", ""])
        ranges = [make_range(source) for _ in range(source.below(4))]
        return {
            "ranges": ranges,
            "color": color,
            **({"version": make_version(source, step)} if source.maybe(2) else {}),
        }
    if kind == "presence_update":
        return {"presence": {"status": source.choice(["busy", None, "x" * 65]), "data": values.value(source, 2)}}
    if kind == "operation":
        payload = {"operation": OPERATIONS[document_type](source), "version": make_version(source, step)}
        if source.maybe(6):
            payload["checksum"] = source.choice(["00000000", "2e5a7dd1", "x"])
        return payload
    if kind in ("get_document", "restore"):
        return {"version": make_version(source, step)}
    if kind == "get_history":
        return {"after": make_version(source, step), "limit": source.choice([1, 2, 1000, 0])}
    if kind == "event":
        return {"name": source.choice(["a", "", source.text(4)]), "data": values.value(source, 2)}
    return {"timestamp": source.choice([0, 1.5, -1, 2**53])}


KINDS = (
    "operation", "operation", "operation", "join_room", "leave_room", "activate_room", "cursor_move",
    "selection_change", "presence_update", "get_document", "get_history", "restore", "event", "ping", "connect",
    "refresh_token",
)  # fmt: skip


@atheris.instrument_func
def make_message(source: Source, step: int, earlier: list[str], depth: int = 1) -> Any:
    if depth and source.maybe(10):
        inner = [make_message(source, step, earlier, 0) for _ in range(source.below(5))]
        return envelope("batch", {"messages": inner, "compressed": source.maybe(4)}, acknowledgment=source.maybe(2))
    kind = source.choice(KINDS)
    room = source.choice(list(ROOMS))
    document_type = source.choice(list(OPERATIONS)) if source.maybe(10) else ROOMS[room]
    message = envelope(kind, make_payload(source, kind, document_type, step), roomId=room)
    if source.maybe(10):
        message["roomId"] = make_room(source)
    if source.maybe(8):
        message["targetUserId"] = source.choice([*TOKENS, "nobody", 7])
    if source.maybe(8):
        message["acknowledgment"] = True
    if earlier and source.maybe(8):
        message["id"] = source.choice(earlier)
    if source.maybe(10):
        message[source.choice([*message, source.text(4)])] = values.value(source, 2)
    if source.maybe(16):
        del message[source.choice(list(message))]
    return message


def as_json(source: Source, message: Any) -> bytes:
    text = json.dumps(message, default=repr, ensure_ascii=source.maybe(2))
    return text.encode("utf-8", "surrogatepass" if source.maybe(8) else "replace")


@atheris.instrument_func
def make_record(source: Source) -> bytes:
    if source.maybe(8):
        return source.data(30)
    numbers = [0.0, 1.0, -5.5, 2.0**24, 3e38, float("inf"), float("nan")]
    fields = (source.choice([0, 7, 2**32 - 1]), source.choice(numbers), source.choice(numbers), source.below(2**32))
    record = struct.pack("!HIffI", source.choice([1, 2, 1, 2, 0, 0x0101]), *fields)
    return record + (struct.pack("!ff", source.choice(numbers), source.choice(numbers)) if source.maybe(2) else b"")


STRANGE_TEXTS = [
    b"",
    b"{}",
    b"[]",
    b"null",
    b"[" * 3000,
    b'{"id":' * 1500,
    b'{"type":"ping"}',
    b"\xef\xbb\xbf{}",
    b"1e999",
]


@atheris.instrument_func
def talk(source: Source, gateway: edge.Edge, clients: list[Client]) -> set[tuple[Client, str]]:
    """Sends what the source says, and returns who is to get an answer to which message."""
    owed: set[tuple[Client, str]] = set()
    ids: list[str] = []
    for step in range(MOST_STEPS):
        if source.used_up():
            break
        client = source.choice(clients)
        kind = source.below(12)
        if kind == 10:
            client.send(BINARY, make_record(source))
        elif kind == 11:
            client.send(TEXT, source.choice(STRANGE_TEXTS) if source.maybe(2) else source.text(40).encode())
        else:
            data = as_json(source, make_message(source, step, ids))
            ids += expect_answer(data, client, owed)
            client.send(TEXT, data)
        if source.maybe(4):
            gateway.world.pass_time(source.choice([0.001, 0.02, 0.6]))
    return owed


def expect_answer(data: bytes, client: Client, owed: set[tuple[Client, str]]) -> list[str]:
    """Notes that the client waits for an answer to this, if it is a message that has one. Its id, if it can be seen."""
    try:
        message = messages.decode(data)
    except InvalidMessage as error:
        found = error.details.get("messageId")
        if isinstance(found, str):
            owed.add((client, found))
        return []
    if isinstance(message, messages.Operation | messages.GetDocument | messages.GetHistory | messages.Restore):
        owed.add((client, message.id))
    return [message.id]


def judge(clients: list[Client], listener: Client, late: Client, owed: set[tuple[Client, str]]) -> None:
    """Raises AssertionError unless everyone has been told the truth."""
    for client, message_id in owed:
        assert client.closed or message_id in client.answered, ("no answer", message_id)
    copies: dict[str, Copy] = {}
    for message in listener.heard:
        if message.type == "room_joined":
            copies[message.payload["roomId"]] = Copy(message)
        elif message.room in copies:
            copies[message.room].follow(message)
    assert copies.keys() == ROOMS.keys()
    for message in late.heard:
        if message.type == "room_joined":
            now, copy = Copy(message), copies[message.payload["roomId"]]
            assert now.version == copy.version, "versions differ"
            assert now.content == copy.content, ("documents differ", now.content, copy.content)
            assert now.participants == copy.participants, "participants differ"


def make_gateway(store: _Store) -> Gateway:
    plenty = 1_000_000
    overrides: dict[str, object] = {
        "auth.secret": SECRET,
        "engine.url": "memory://",
        "presence.grace_period": 0,
        "limits.connection_rate": 0,
        "limits.operations": plenty,
        "limits.messages": plenty,
        "limits.cursor_updates": plenty,
        "limits.connections_per_user": plenty,
    }
    return Gateway(Config.load(None, overrides), store=store)


def main() -> None:
    store = _Store()
    gateway = edge.Edge(lambda: make_gateway(store))

    def enter(user: str, rooms: list[str], **headers: str) -> Client:
        client = Client(gateway, user, **headers)
        for room in rooms:
            client.say(envelope("join_room", {"roomId": room, "documentType": ROOMS[room]}))
        gateway.world.pass_time(0.0)
        return client

    def one_input(data: bytes) -> None:
        listener = enter("olga", list(ROOMS))
        clients = [enter("ada", list(ROOMS)), enter("7", list(ROOMS), Sec_WebSocket_Protocol="fastcollab.v1.batch")]
        owed = talk(Source(data), gateway, clients)
        gateway.world.pass_time(SOON)
        late = enter("olga", list(ROOMS))
        for client in (listener, *clients, late):
            client.hear()
        judge(clients, listener, late, owed)
        gateway.end(*(client.wire for client in (listener, *clients, late)))
        store.forget()

    atheris.Setup(sys.argv, one_input)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
