"""What a client knows of its connections."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple, Self


class Session(NamedTuple):
    """What ``connected`` says. ``limits`` has the protocol's names; ``heartbeat_interval`` is in seconds.

    ``resumed``: the gateway still knew the connection that was lost, and this one has taken its place.
    """

    connection_id: str
    user_id: str
    numeric_id: int
    limits: dict[str, Any]
    heartbeat_interval: float
    resumed: bool

    @classmethod
    def from_wire(cls, payload: dict[str, Any]) -> Self:
        return cls(
            payload["connectionId"],
            payload["userId"],
            payload["numericId"],
            payload["limits"],
            payload["heartbeatInterval"] / 1000,
            payload["resumed"],
        )


class Retry(NamedTuple):
    """The connection is going to be made again in ``delay`` seconds; ``failure`` is why the last one ended."""

    failure: Exception
    delay: float


@dataclass(slots=True)
class Traffic:
    """What a client has received since it was made."""

    messages: int = 0  # WebSocket messages
    bytes: int = 0  # of their payloads
    cursors: int = 0  # records in binary frames
    operations: int = 0  # of others
