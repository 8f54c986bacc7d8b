"""Settings of what people do together: rooms, presence, cursors and documents."""

from typing import Literal

from pydantic import Field, ValidationInfo, field_validator

from fastcollab.config.section import Section, at_least


class RoomsConfig(Section):
    """Rooms and what may be done in them."""

    default_document_type: Literal["json1", "rich-text", "text"] = "json1"
    """Type of a room's document where the first to join names none."""

    default_permission: Literal["none", "read", "write", "admin"] = "write"
    """What the holder of a token without a `rooms` claim may do in every room."""

    max_participants: int = Field(default=500, ge=1, le=65_535)
    """Participants of one room."""

    max_messages_per_batch: int = Field(default=100, ge=1, le=10_000)
    """Messages in one `batch` of a client."""


class PresenceConfig(Section):
    """How participants see each other."""

    grace_period: float = Field(default=10.0, ge=0, le=3600)
    """Seconds for which a participant who lost connection counts as present."""

    cursor_interval_ms: float = Field(default=16.67, ge=0, le=60_000)
    """Least time between two cursor updates of one participant, milliseconds."""

    selection_interval_ms: float = Field(default=100.0, ge=0, le=60_000)
    """Least time between two selections of one participant, milliseconds."""

    update_interval_ms: float = Field(default=500.0, ge=0, le=60_000)
    """Least time between two other updates of one participant, milliseconds."""

    max_data_bytes: int = Field(default=4096, ge=0, le=1_048_576)
    """Largest `data` of a participant's presence, bytes of JSON."""


class FanoutConfig(Section):
    """How often a room's gathered cursor updates are sent out; larger rooms take longer intervals."""

    min_interval_ms: float = Field(default=1.0, gt=0, le=1000)
    """Time between two flushes of the smallest rooms, milliseconds."""

    max_interval_ms: float = Field(default=16.67, gt=0, le=1000)
    """Time between two flushes of the largest rooms, milliseconds."""

    @field_validator("max_interval_ms")
    @classmethod
    def _check_order(cls, interval: float, info: ValidationInfo) -> float:
        return at_least(interval, info, "min_interval_ms", "fanout")


class DocumentsConfig(Section):
    """Shared documents and their history."""

    history_operations: int = Field(default=10_000, ge=1, le=10_000_000)
    """Latest operations kept of a document; a client that missed more gets the whole document."""

    history_bytes: int = Field(default=67_108_864, ge=1, le=1_099_511_627_776)
    """Bytes of the latest operations kept of a document, fewer than `history_operations` if they are large."""

    history_seconds: int = Field(default=0, ge=0, le=3_153_600_000)
    """Seconds after which operations are no longer kept, even if they are few; 0: no limit."""

    results_seconds: int = Field(default=86_400, ge=0, le=31_536_000)
    """Seconds for which an operation sent twice is recognised, at least."""

    cached_operations: int = Field(default=1_000, ge=1, le=10_000_000)
    """Latest operations of an open document that are held in memory; older ones are asked of the engine."""

    cached_bytes: int = Field(default=1_048_576, ge=1, le=1_099_511_627_776)
    """Bytes of these operations, fewer than `cached_operations` if they are large."""

    snapshot_operations: int = Field(default=1_000, ge=1, le=1_000_000)
    """Operations after which the engine is given a snapshot, so that opening the document begins there."""

    snapshot_bytes: int = Field(default=262_144, ge=1, le=1_099_511_627_776)
    """Bytes of operations after which it is given one earlier, unless the document is larger than they are."""

    max_operation_bytes: int = Field(default=1_048_576, ge=1, le=268_435_456)
    """Largest operation, bytes of JSON."""

    max_document_bytes: int = Field(default=16_777_216, ge=1, le=1_073_741_824)
    """Largest document, bytes: of a text in UTF-8, of any other as JSON."""

    @field_validator("max_document_bytes")
    @classmethod
    def _check_document(cls, size: int, info: ValidationInfo) -> int:
        return at_least(size, info, "max_operation_bytes", "documents")
