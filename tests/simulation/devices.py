"""Clients that are written from docs/protocol.md alone, and know nothing of `fastcollab.client`.

`NaiveDevice` keeps a copy of the document, and its operations one by one. `Parrot` is another device of a user, which
keeps nothing and repeats what the user has sent elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID

import orjson
from tests.simulation.network import Letter, Message, Network, Wire
from tests.simulation.world import Machine

from fastcollab import ot
from fastcollab.checksums import checksum
from fastcollab.errors import CloseCode, ErrorCode

ROOM = "plans"

#: What operations of json1 may be, very seldom; then one of them is refused.
UNRESOLVED = "contradict each other beyond resolution"

#: Makes an operation for the content.
Author = Callable[[Any], Any]


class Device:
    """What all devices that speak the protocol by hand have in common: they dial until somebody answers, and join."""

    def __init__(self, network: Network, user: str, document_type: str) -> None:
        self.machine = Machine(network.world)
        self.user = user
        self.epoch = ""
        self._network = network
        self._world = network.world
        self._type_name = document_type
        self._wire: Wire | None = None
        self._connection_id: str | None = None
        self._dialling = False
        self._is_joined = False
        self._joins: list[str] = []  # the ids of those that are not answered
        self.dial()

    def dial(self) -> None:
        self._dialling = False
        try:
            takes_up = self._connection_id if self._world.happens(0.5) else None
            self._wire = self._network.dial(self, self.user, takes_up)
        except OSError:
            self._dial_later()

    def closed(self, code: int) -> None:
        assert code in (CloseCode.ABNORMAL, CloseCode.REPLACED), f"a good client's connection was closed with {code}"
        self._wire = None
        self._is_joined = False
        self._joins.clear()
        self._dial_later()

    def leave(self) -> None:
        """Says farewell, and is back a little later."""
        if self._wire is not None:
            self._wire.say_farewell(CloseCode.NORMAL)
            self.closed(CloseCode.ABNORMAL)

    def lose(self, noticed_above: float, noticed_below: float) -> None:
        if self._wire is not None:
            self._wire.cut(noticed_above=noticed_above, noticed_below=noticed_below)

    def received(self, letter: Letter) -> None:
        message = letter.message
        if (take := getattr(self, f"_on_{message['type']}", None)) is not None:
            take(message["payload"])

    def _dial_later(self) -> None:
        if not self._dialling:
            self._dialling = True
            self.machine.call_later(self._world.random.uniform(0.0, 0.4), self.dial)

    def _send(self, kind: str, payload: Any, message_id: str | None = None) -> None:
        if self._wire is None:
            return
        told = {"id": message_id or self._new_id(), "type": kind, "version": 1, "timestamp": 0, "payload": payload}
        if kind not in ("connect", "join_room"):
            told["roomId"] = ROOM
        self._wire.send(orjson.dumps(told))

    def _new_id(self) -> str:
        return str(UUID(int=self._world.random.getrandbits(128), version=4))

    def _join(self) -> None:
        self._joins.append(self._new_id())
        self._send("join_room", self._join_request(), self._joins[-1])

    def _later(self, payload: Message, deed: Callable[[], None]) -> None:
        """Does it when the gateway has asked for, unless the connection is another one by then."""
        wire = self._wire
        delay = payload["details"]["retryAfterMs"] / 1000
        self.machine.call_later(delay, lambda: deed() if self._wire is wire else None)

    def _join_request(self) -> dict[str, Any]:
        return {"roomId": ROOM, "documentType": self._type_name}

    def _on_connected(self, payload: Message) -> None:
        self._connection_id = payload["connectionId"]
        self._join()

    def _on_room_joined(self, payload: Message) -> None:
        self._joins.pop(0)
        self._is_joined = True

    def _on_error(self, payload: Message) -> None:
        if payload["details"].get("messageId") in self._joins:
            assert payload["code"] == ErrorCode.SERVICE_UNAVAILABLE, payload
            self._joins.remove(payload["details"]["messageId"])
            self._later(payload, self._join)


class NaiveDevice(Device):
    """A copy of the document, as docs/protocol.md tells a client to keep it."""

    def __init__(self, network: Network, user: str, document_type: str) -> None:
        self.type = ot.types[document_type]
        self.content: Any = None
        self.version = -1
        self.people: set[str] = set()
        self._confirmed: Any = None  # the content at `version`
        self._pending: list[tuple[str, Any]] = []  # with the id of each; they lead from there to `content`
        self._sent_id = ""
        self._missed = 0
        super().__init__(network, user, document_type)

    @property
    def in_step(self) -> bool:
        return self._is_joined and self.version >= 0 and not self._joins and not self._missed

    @property
    def saved(self) -> bool:
        return self.in_step and not self._pending

    def edit(self, author: Author) -> None:
        if self.version < 0:
            return
        operation = self.type.normalize(author(self.content))
        self.content = self.type.apply(self.content, operation)
        self._pending.append((self._new_id(), operation))
        self._send_next()

    def restore(self) -> None:
        if self.in_step:
            back = self._world.random.randint(0, 8)
            self._send("restore", {"version": max(0, self.version - back)})

    def repeat(self) -> None:
        """Sends what is under way again, for no reason."""
        if self._sent_id and self.in_step:
            self._world.tally["an operation is sent twice on a connection"] += 1
            self._send_operation()

    def closed(self, code: int) -> None:
        self._sent_id = ""
        self._missed = 0
        super().closed(code)

    def _join_request(self) -> dict[str, Any]:
        request = super()._join_request()
        if not self._pending and self._world.happens(0.1):
            self.version = -1  # for the full state, until which nothing can be written
        if self.version >= 0:
            request |= {"lastSyncVersion": self.version, "epoch": self.epoch}
        return request

    def _on_room_joined(self, payload: Message) -> None:
        super()._on_room_joined(payload)
        self.people = {who["userId"] for who in payload["participants"]}
        state, recovery = payload["documentState"], payload.get("recovery", {})
        if recovery.get("recovered"):
            assert state["epoch"] == self.epoch
            self._missed = recovery["missed"]
        else:
            if self._pending:
                assert "reason" in recovery, "operations may not be given up without a reason"
                self._world.tally[f"operations are given up: {recovery['reason']}"] += 1
            self.content = self._confirmed = state.get("data", ot.ABSENT)
            self.version, self.epoch = state["version"], state["epoch"]
            self._pending.clear()
            self._missed = 0
        self._sent_id = ""
        self._send_next()

    def _on_operation_broadcast(self, payload: Message) -> None:
        self._missed = max(0, self._missed - 1)
        version, operation = payload["transformedVersion"], payload["operation"]
        if version <= self.version or self._joins:
            pass  # known, or in the state that the answer to the join brings
        elif self._pending and self._pending[0][0] == payload["messageId"]:
            self._committed(version)
        else:
            assert version == self.version + 1, f"version {version} after {self.version}"
            self._confirmed = self.type.apply(self._confirmed, operation)
            self.version = version
            try:
                for index, (message_id, own) in enumerate(self._pending):
                    self._pending[index] = message_id, self.type.transform(own, operation, "left")
                    operation = self.type.transform(operation, own, "right")
            except ot.OperationError as error:
                assert UNRESOLVED in error.reason
                self._begin_again()
                return
            self.content = self.type.apply(self.content, operation)
        self._send_next()

    def _on_ack(self, payload: Message) -> None:
        if self._pending and payload["messageId"] == self._pending[0][0] and not self._joins:
            self._committed(payload["version"])
            self._send_next()

    def _on_error(self, payload: Message) -> None:
        super()._on_error(payload)
        code, message_id = payload["code"], payload["details"].get("messageId")
        own = bool(self._sent_id) and message_id == self._sent_id
        if code == ErrorCode.VERSION_MISMATCH and (own or message_id is None):
            self._sent_id = ""
            if not self._joins:  # otherwise the answer is on its way
                self._join()
        elif code == ErrorCode.INVALID_OPERATION and own:
            self._world.tally["operations are given up: refused"] += 1
            self._begin_again()
        elif code == ErrorCode.SERVICE_UNAVAILABLE and own:
            self._later(payload, lambda: self._try_again(message_id))

    def _on_user_joined(self, payload: Message) -> None:
        self.people.add(payload["participant"]["userId"])

    def _on_user_left(self, payload: Message) -> None:
        self.people.discard(payload["participant"]["userId"])

    def _committed(self, version: int) -> None:
        """The operation in flight has become this version."""
        assert version == self.version + 1, f"version {version} after {self.version}"
        _, operation = self._pending.pop(0)
        self._confirmed = self.type.apply(self._confirmed, operation)
        self.version = version
        self._sent_id = ""

    def _begin_again(self) -> None:
        """What is pending was made for a document that will never be."""
        self._pending.clear()
        self.version = -1
        self._sent_id = ""
        self._join()

    def _try_again(self, message_id: str) -> None:
        if self._sent_id == message_id:
            self._sent_id = ""
            self._send_next()

    def _send_next(self) -> None:
        if self.in_step and self._pending and not self._sent_id:
            self._sent_id = self._pending[0][0]
            self._send_operation()

    def _send_operation(self) -> None:
        message_id, operation = self._pending[0]
        payload = {"operation": operation, "version": self.version}
        if self._world.happens(0.2):
            payload["checksum"] = checksum(self._confirmed)
        self._send("operation", payload, message_id)


class Parrot(Device):
    """A device that keeps no copy, and sends again what its user has sent from another."""

    def repeat(self) -> None:
        said = self._network.said.get(self.user, [])
        if not self._is_joined or self._wire is None or self._joins or not said:
            return
        epoch, text = self._world.random.choice(said[-3:])
        if epoch == self.epoch:
            self._world.tally["an operation is sent again by another connection"] += 1
            self._wire.send(text)

    def _on_room_joined(self, payload: Message) -> None:
        super()._on_room_joined(payload)
        self.epoch = payload["documentState"]["epoch"]

    def _on_error(self, payload: Message) -> None:
        super()._on_error(payload)
        if payload["code"] == ErrorCode.VERSION_MISMATCH and self._wire is not None:
            self._join()
