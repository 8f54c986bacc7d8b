"""What one client has sent and been told, in order: the evidence that the `judge` looks at."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any, NamedTuple

from tests.durability.gateways import token_of

from fastcollab import ot
from fastcollab.client import CollaborativeClient, ReconnectPolicy
from fastcollab.client.session import Retry
from fastcollab.errors import ErrorCode

#: Seconds of silence after which a client pings its gateway, and after which again it gives it up; and what it has to
#: connect.
SILENCE = 2.0
CONNECT_TIMEOUT = 5.0


class Joined(NamedTuple):
    """`room_joined`. `data` is `ot.ABSENT` where only what was missed follows."""

    epoch: str
    version: int
    missed: int
    recovered: bool
    data: Any


class Told(NamedTuple):
    """`operation_broadcast`."""

    message_id: str
    version: int
    operation: Any


class Acknowledged(NamedTuple):
    """`ack` of an operation."""

    message_id: str
    version: int


class Refused(NamedTuple):
    """`error`; without an id it answers no message."""

    code: int
    message_id: str | None
    message: str


class Lost(NamedTuple):
    """The connection was lost, or not made."""

    failure: Exception


Entry = Joined | Told | Acknowledged | Refused | Lost


@dataclass(slots=True)
class Record:
    """The history of one client in one room."""

    name: str
    room: str
    entries: list[Entry]

    @property
    def losses(self) -> int:
        return sum(isinstance(entry, Lost) for entry in self.entries)


class RecordingClient(CollaborativeClient):
    """The package's client, which writes down what passes; it is in one room."""

    def __init__(self, url: str, user: str, record: Record, *, reconnect: ReconnectPolicy | bool = True) -> None:
        super().__init__(
            url,
            token_of(user),
            connect_timeout=CONNECT_TIMEOUT,
            heartbeat=SILENCE,
            reconnect=reconnect,
            checksum_every=10,
        )
        self.record = record
        #: When (s, monotonic) a lost connection was there again.
        self.returns: list[float] = []
        self.on("reconnecting", self._lost_it)

    def _lost_it(self, retry: Retry) -> None:
        self.record.entries.append(Lost(retry.failure))

    def _reconnected(self) -> None:
        self.returns.append(time.monotonic())
        super()._reconnected()

    def _dispatch(self, message: dict[str, Any]) -> None:
        entry = entry_of(message["type"], message["payload"])
        if entry is not None:
            self.record.entries.append(entry)
        super()._dispatch(message)


def entry_of(kind: str, payload: dict[str, Any]) -> Entry | None:
    match kind:
        case "room_joined":
            state, recovery = payload["documentState"], payload.get("recovery", {})
            recovered = recovery.get("recovered", False)
            return Joined(
                state["epoch"],
                state["version"],
                recovery.get("missed", 0),
                recovered,
                state.get("data", ot.ABSENT),
            )
        case "operation_broadcast":
            return Told(payload["messageId"], payload["transformedVersion"], payload["operation"])
        case "ack" if "version" in payload:
            return Acknowledged(payload["messageId"], payload["version"])
        case "error":
            return Refused(payload["code"], payload.get("details", {}).get("messageId"), payload["message"])
    return None


def made_anew(entry: Entry) -> bool:
    """Whether the client is told that the document goes on in another epoch (OT6)."""
    return isinstance(entry, Refused) and entry.code == ErrorCode.VERSION_MISMATCH and entry.message_id is None
