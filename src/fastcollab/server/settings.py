"""From the configuration, in the units of people, to what the parts of a gateway are made with."""

from __future__ import annotations

import math

from fastcollab.config import Config
from fastcollab.core.document import DocumentLimits
from fastcollab.core.limits import SECOND
from fastcollab.core.room import RoomSettings
from fastcollab.core.session import SessionSettings
from fastcollab.messages import LimitsInForce
from fastcollab.ports import Retention
from fastcollab.server._deflate import Compression
from fastcollab.server.extensions import CompressionTerms

_MILLISECOND = 1_000_000


def nanoseconds(milliseconds: float) -> int:
    return int(milliseconds * _MILLISECOND)


def session_settings(config: Config) -> SessionSettings:
    return SessionSettings(
        limits=LimitsInForce(
            cursor_updates=config.limits.cursor_updates,
            operations=config.limits.operations,
            messages=config.limits.messages,
            burst=config.limits.burst,
            connections=config.limits.connections_per_user,
            rooms=config.limits.rooms_per_user,
            participants=config.rooms.max_participants,
            max_message_bytes=config.client.max_message_bytes,
            max_operation_bytes=config.documents.max_operation_bytes,
            max_messages_per_batch=config.rooms.max_messages_per_batch,
        ),
        heartbeat_interval=int(config.client.heartbeat_interval * 1000),
        expiry_notice=int(config.auth.expiry_notice * 1000),
        expiry_leeway=int(config.auth.leeway * 1000),
        validation_interval=int(config.auth.validation_interval * SECOND),
    )


def frames_per_second(config: Config) -> int:
    """How fast a connection is read (L3)."""
    limits = config.limits
    return limits.frames or 3 * (limits.operations + limits.messages)


def room_settings(config: Config) -> RoomSettings:
    return RoomSettings(
        max_participants=config.rooms.max_participants,
        max_data_bytes=config.presence.max_data_bytes,
        grace_period=int(config.presence.grace_period * SECOND),
        selection_interval=nanoseconds(config.presence.selection_interval_ms),
        update_interval=nanoseconds(config.presence.update_interval_ms),
        cursor_updates=config.limits.cursor_updates,
        cursor_burst=config.limits.burst,
        # Half of what may wait for a connection: more would end it, and it would ask for the same again.
        max_recovery_bytes=config.client.max_outbound_bytes // 2,
    )


def document_limits(config: Config) -> DocumentLimits:
    documents = config.documents
    return DocumentLimits(
        operations=documents.history_operations,
        cached_operations=documents.cached_operations,
        cached_bytes=documents.cached_bytes,
        snapshot_operations=documents.snapshot_operations,
        snapshot_bytes=documents.snapshot_bytes,
        max_operation_bytes=documents.max_operation_bytes,
        max_document_bytes=documents.max_document_bytes,
    )


def retention(config: Config) -> Retention:
    documents = config.documents
    return Retention(
        documents.history_operations,
        documents.history_bytes,
        seconds=documents.history_seconds or math.inf,
        results_seconds=documents.results_seconds,
    )


def compression_terms(config: Config) -> CompressionTerms | None:
    """What clients may agree to; None: nothing is compressed."""
    compression = config.compression
    if not compression.enabled:
        return None
    return CompressionTerms(
        compression.server_context_takeover, compression.client_context_takeover, compression.window_bits
    )


def compression(config: Config) -> Compression:
    section = config.compression
    return Compression(
        threshold=section.threshold,
        large=section.large_bytes,
        level=section.level,
        memory_level=section.memory_level,
        concurrency=section.concurrency,
        cursors=section.cursors,
    )
