"""What must hold, checked while it happens: the referee sees every message where it is sent and where it arrives.

- Nobody is told of an operation that the store does not have: an acknowledgement names a version that is in the ledger
  under the same user and message id, and what is broadcast is what the ledger has at that version (OT3).
- An operation is committed once, whatever becomes of its message, and in the life of the document for which it was
  written (OT5, OT9).
- On each connection the versions go up by one (OT3), from where `room_joined` has set them; and the content that a
  client is given is the one that the log leads to.
- The gateway refuses nothing without a cause: a version that is in its history, a state that could have been recovered
  (OT6, OT9). So the operations that clients give up are those that nobody could have saved.
- Nobody is seen to leave who is there, or is still waited for (R7).
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from tests.simulation.devices import UNRESOLVED
from tests.simulation.gateway import GRACE
from tests.simulation.network import Message, Shell, Wire
from tests.simulation.storage import Ledger, Life

from fastcollab import ot
from fastcollab.core.document import Author, Committed
from fastcollab.errors import CloseCode, ErrorCode

#: How far an operation has come.
STAGES = ("sent", "arrived", "committed", "acknowledged", "known to be saved")


@dataclass
class Written:
    """An operation that a client has sent, at least once."""

    user: str
    epoch: str
    kind: str
    version: int  # the oldest against which it was sent
    stage: int = 0
    life: Life | None = None  # in which it was committed

    def reaches(self, stage: str) -> None:
        self.stage = max(self.stage, STAGES.index(stage))


@dataclass
class Line:
    """What the referee knows of one connection."""

    user: str
    newest: Written | None = None
    joins_sent: int = 0
    must_join: bool = False  # it knows that the document was made anew
    missed: int = 0  # operations that a recovery has announced and that have not arrived
    joins: list[Message] = field(default_factory=list)  # that have arrived and are not answered
    epoch: str = ""
    expected: int | None = None  # the version that must be the next; None: the client has to join again


class Referee:
    def __init__(self, ledger: Ledger, tally: Counter[str], clock: Any, window: int) -> None:
        self.ledger = ledger
        self.written: dict[str, Written] = {}
        self._tally = tally
        self._clock = clock
        self._window = window
        self._lines: dict[Wire, Line] = {}
        self._lost: dict[str, tuple[float, bool]] = {}  # when a user's last connection ended, and whether by a farewell
        ledger.on_append = self.committed

    def gateway_ended(self) -> None:
        self._lines.clear()
        self._lost.clear()

    # --- the client's side --------------------------------------------------------------------------------------------

    def dialled(self, wire: Wire) -> None:
        self._lines[wire] = Line(wire.shell.token or "")

    def client_sent(self, wire: Wire, message: Message) -> None:
        line, kind = self._lines.get(wire), message["type"]
        if line is None:
            return
        if kind == "join_room":
            line.joins_sent += 1
            line.must_join = False
        elif kind in ("operation", "restore"):
            assert not line.must_join, "who is told that the document is made anew joins before writing"
            known = self.written.get(message["id"])
            if known is None:
                known = Written(line.user, wire.epoch, kind, message["payload"]["version"])
                self.written[message["id"]] = known
            else:
                assert known.user == line.user
                self._tally["an operation is sent again"] += 1
            known.version = min(known.version, message["payload"]["version"])
            line.newest = known

    def client_received(self, wire: Wire, message: Message) -> None:
        line, kind, payload = self._lines.get(wire), message["type"], message["payload"]
        if kind == "ack" and payload["messageId"] in self.written:
            self.written[payload["messageId"]].reaches("known to be saved")
        if line is None:
            return
        if kind == "operation_broadcast":
            line.missed = max(0, line.missed - 1)
        elif kind == "error" and "messageId" not in payload.get("details", {}):
            line.must_join = not line.joins_sent
        elif kind == "room_joined":
            line.joins_sent -= 1
            line.missed = payload.get("recovery", {}).get("missed", 0)

    def cut(self, wire: Wire) -> None:
        """The connection is being lost: counts in which step of an exchange."""
        line = self._lines.get(wire)
        if line is None:
            return
        if line.joins_sent:
            self._tally["a connection is lost during join"] += 1
        if line.missed:
            self._tally["a connection is lost in the middle of a catch-up"] += 1
        if line.newest is not None:
            self._tally[f"a connection is lost when the operation is {STAGES[line.newest.stage]}"] += 1

    # --- the gateway's side -------------------------------------------------------------------------------------------

    def gateway_received(self, shell: Shell, message: Message) -> None:
        if message["type"] == "join_room":
            self._lines[shell.wire].joins.append(message)
        elif message["id"] in self.written:
            self.written[message["id"]].reaches("arrived")

    def committed(self, life: Life, entry: Committed) -> None:
        written = self.written.get(entry.message_id)
        if written is None:
            return  # it was not written in this gateway's rooms
        assert written.user == entry.user_id
        assert written.life is None, f"{entry.author} was committed in an earlier life of the document"
        assert written.epoch == life.epoch, f"{entry.author} was committed in a life for which it was not written"
        written.life = life
        written.reaches("committed")
        self._tally["a restore"] += written.kind == "restore"

    def gateway_sent(self, shell: Shell, message: Message) -> None:
        line = self._lines[shell.wire]
        judge = getattr(self, f"_{message['type']}", None)
        if judge is not None:
            judge(shell, line, message["payload"])

    def _connected(self, shell: Shell, line: Line, payload: Message) -> None:
        self._tally["a connection takes up a lost one"] += payload["resumed"]

    def _room_joined(self, shell: Shell, line: Line, payload: Message) -> None:
        state, recovery = payload["documentState"], payload.get("recovery", {})
        request = line.joins.pop(0)["payload"]
        life, version = self.ledger.of_epoch(state["epoch"]), state["version"]
        oldest = max(self.ledger.oldest, version - self._window) if life is self.ledger.life else version
        if recovery.get("recovered"):
            assert request["epoch"] == life.epoch and "data" not in state
            assert version == request["lastSyncVersion"] + recovery["missed"]
            self._tally["operations were missed and are caught up with"] += bool(recovery["missed"])
        else:
            assert state.get("data", ot.ABSENT) == life.contents[version], "the state is what the log leads to"
            if recovery.get("reason") == "epoch_changed":
                assert request.get("epoch") != life.epoch, "the document is in the life that the client knows"
            elif recovery:
                assert request["lastSyncVersion"] < oldest, "what was missed is in the history"
            self._tally[recovery.get("reason", "a client asks for the full state")] += 1
        line.epoch = life.epoch
        line.expected = version - recovery.get("missed", 0) + 1
        self._arrived(shell, line.user)

    def _operation_broadcast(self, shell: Shell, line: Line, payload: Message) -> None:
        if line.expected is None:
            return
        version = payload["transformedVersion"]
        assert version == line.expected, f"version {version} is sent, and {line.expected} would be next"
        entry = self.ledger.of_epoch(line.epoch).entries[version - 1]
        assert entry.message_id == payload["messageId"] and entry.operation == payload["operation"]
        if payload["userId"] == line.user and line.newest is self.written.get(payload["messageId"]):
            self._tally["an own operation is among those of others"] += 1
        line.expected += 1

    def _ack(self, shell: Shell, line: Line, payload: Message) -> None:
        if "version" not in payload:
            return
        author, version = Author(line.user, payload["messageId"]), payload["version"]
        written = self.written[author.message_id]
        if written.kind == "restore" and version == written.version:
            return  # nothing was to be undone
        lives = [life for life in self.ledger.lives if life.versions.get(author) == version]
        assert lives, f"{author} is acknowledged as version {version}, and the store does not have it there"
        written.reaches("acknowledged")
        if line.expected is None:
            return
        assert version <= line.expected, f"version {version} is acknowledged, and {line.expected} would be next"
        if version == line.expected:
            line.expected += 1
        else:
            self._tally["an operation is answered with its first result"] += 1

    def _error(self, shell: Shell, line: Line, payload: Message) -> None:
        code, details = payload["code"], payload.get("details", {})
        message_id = details.get("messageId")
        line.joins = [join for join in line.joins if join["id"] != message_id]
        written = self.written.get(message_id)
        if code == ErrorCode.VERSION_MISMATCH:
            if message_id is None:
                line.expected = None
                self._tally["the members are told that the document is made anew"] += 1
            elif written is not None:
                self._judge_mismatch(written)
        elif code == ErrorCode.INVALID_OPERATION:
            assert "limit" in details or UNRESOLVED in payload["message"], payload
            self._tally["an operation is refused"] += 1
        else:
            assert code == ErrorCode.SERVICE_UNAVAILABLE, payload

    def _judge_mismatch(self, written: Written) -> None:
        life = self.ledger.life
        if written.epoch == life.epoch:
            oldest = max(self.ledger.oldest, life.version - self._window)
            assert written.version < oldest, f"version {written.version} is refused, and {oldest} is in the history"
        self._tally["VERSION_MISMATCH"] += 1

    def gateway_closes(self, code: int) -> None:
        assert code == CloseCode.REPLACED, f"a good client's connection is closed with {code}"
        self._tally["a connection takes the place of one that is half open"] += 1

    # --- who is there -------------------------------------------------------------------------------------------------

    def _is_here(self, user: str, but: Shell | None = None) -> bool:
        shells = (wire.shell for wire, line in self._lines.items() if line.user == user)
        return any(shell.members and not shell.ended and shell is not but for shell in shells)

    def connection_ended(self, shell: Shell, farewell: bool) -> None:
        user = self._lines[shell.wire].user
        if shell.members and not self._is_here(user, but=shell):
            self._lost[user] = self._clock(), farewell

    def _arrived(self, shell: Shell, user: str) -> None:
        if user in self._lost and not self._is_here(user, but=shell):
            lost_at, farewell = self._lost.pop(user)
            self._tally["a user is back within the grace period"] += not farewell and self._clock() - lost_at < GRACE

    def _user_left(self, shell: Shell, line: Line, payload: Message) -> None:
        user = payload["participant"]["userId"]
        assert not self._is_here(user), "who is there has not left"
        lost_at, farewell = self._lost[user]
        assert farewell or self._clock() - lost_at >= GRACE - 1e-6, "who may come back has not left"
        self._tally["a user has left"] += 1
