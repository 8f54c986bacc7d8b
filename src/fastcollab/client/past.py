"""A document's past, as the gateway tells it (rules PV1 to PV3)."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, NamedTuple

from fastcollab.ot import ABSENT


class PastOperation(NamedTuple):
    """An operation of the history: it made ``version``, was written against ``written_against``, and was committed
    ``at``.
    """

    version: int
    operation: Any
    user_id: str
    message_id: str
    written_against: int
    at: datetime

    @classmethod
    def from_wire(cls, entry: dict[str, Any]) -> PastOperation:
        return cls(
            entry["transformedVersion"],
            entry["operation"],
            entry["userId"],
            entry["messageId"],
            entry["version"],
            datetime.fromtimestamp(entry["timestamp"] / 1000, UTC),
        )


def content_from_wire(state: dict[str, Any]) -> Any:
    """The content of a document; ``ot.ABSENT`` if an operation had removed it."""
    return state.get("data", ABSENT)
