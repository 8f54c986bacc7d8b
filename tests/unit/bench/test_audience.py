"""What a replay counts of the cursors that arrive, and of those that do not."""

import math
import struct

import pytest

from fastcollab.bench._audience import Audience
from fastcollab.bench._histogram import Histogram

FIRST = 100


def batch(*records: tuple[int, int], kind: int = 0x0101) -> bytes:
    """A batched frame of users by their places, and their timestamps."""
    body = b"".join(struct.pack(">IffIff", FIRST + user, 1.0, 2.0, time, math.nan, math.nan) for user, time in records)
    return struct.pack(">HHI", kind, len(records), 3) + body


@pytest.fixture
def audience() -> Audience:
    audience = Audience(3, FIRST, Histogram())
    audience.came(0, 10)
    audience.came(1, 10)
    return audience


def test_deliveries_are_counted_and_timed(audience: Audience) -> None:
    assert audience.sending(0, 100) == 100
    assert audience.sending(0, 100) == 101  # two cursors of one member are told apart
    assert audience.expected == 2
    assert audience.lacking() == 1
    audience.received(1, batch((0, 101)), 351)
    assert (audience.delivered, audience.lacking()) == (1, 0)
    assert audience.latency.maximum == 250


def test_what_is_not_newer_is_stale_and_what_is_not_of_the_room_foreign(audience: Audience) -> None:
    audience.received(1, batch((0, 50), (0, 50), (0, 49), (1, 60), (3, 70)), 100)
    assert (audience.delivered, audience.stale, audience.foreign) == (1, 2, 1)


@pytest.mark.parametrize("message", [b"", b"\1", batch((0, 1))[:-1], b"\0" + batch((0, 1)), batch((0, 1), kind=7)])
def test_what_is_no_batched_frame_is_malformed(audience: Audience, message: bytes) -> None:
    audience.received(1, message, 100)
    assert (audience.malformed, audience.delivered) == (1, 0)


def test_selections_are_no_deliveries(audience: Audience) -> None:
    audience.received(1, batch((0, 50), kind=0x0102), 100)
    assert (audience.malformed, audience.delivered) == (0, 0)


def test_what_did_not_reach_who_left_is_missing(audience: Audience) -> None:
    audience.sending(0, 100)
    audience.leaves(1, 2_000_000)
    assert audience.missing == 1
    assert audience.lacking() == 0


def test_what_was_sent_in_the_last_moment_need_not_arrive(audience: Audience) -> None:
    audience.sending(0, 100)
    audience.leaves(1, 200_000)
    assert audience.missing == 0


def test_who_came_later_need_not_have_what_was_sent_before(audience: Audience) -> None:
    audience.sending(0, 100)
    audience.came(2, 200)
    audience.received(1, batch((0, 100)), 200)
    assert audience.lacking() == 0
    audience.sending(0, 300)
    assert audience.lacking() == 2
    assert audience.expected == 3


def test_sizes_and_places_have_bounds() -> None:
    for size, first in ((0, 1), (10_001, 1), (2, 0xFFFFFFFF)):
        with pytest.raises(ValueError, match=r"cannot be replayed|do not fit"):
            Audience(size, first, Histogram())
    audience = Audience(2, 1, Histogram())
    for call in (audience.came, audience.leaves, audience.sending):
        with pytest.raises(IndexError):
            call(2, 0)
    with pytest.raises(IndexError):
        audience.received(2, batch((0, 1)), 0)
