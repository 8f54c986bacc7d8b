"""Shapes that more than one endpoint has."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from fastcollab.messages import RoomId


class Parameters(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """What path and query say."""


class Request(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """A body."""


class Answer(msgspec.Struct, frozen=True, rename="camel"):
    """The body of an answer. What it does not say is left out."""


After = Annotated[str, Meta(max_length=128, description="what follows this one in order; empty: from the beginning")]
Limit = Annotated[int, Meta(ge=1, le=1000, description="how many at most")]


class InRoom(Parameters, frozen=True):
    room_id: RoomId
