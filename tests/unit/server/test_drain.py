"""How the time for stopping is divided, and when clients come back."""

from __future__ import annotations

import asyncio
import time

import pytest

from fastcollab.server.drain import Deadline, return_time


async def test_steps_that_do_not_end_leave_time_for_those_after_them() -> None:
    never = asyncio.Event()
    deadline = Deadline(1)
    for _ in range(3):
        left, step = deadline.left, time.monotonic()
        await deadline.wait(never)
        took = time.monotonic() - step
        # Half of what was left; a machine that is busy may be late.
        assert left * 0.48 < took < left * 0.5 + 0.3
        assert deadline.left == pytest.approx(max(0, left - took), abs=0.01)


async def test_a_step_that_ends_gives_its_time_to_the_others() -> None:
    done = asyncio.Event()
    done.set()
    deadline = Deadline(10)
    await deadline.wait(done)
    assert deadline.left > 9.9
    began = time.monotonic()
    await deadline.wait(asyncio.Event(), at_most=0.05)
    assert time.monotonic() - began < 1


async def test_a_time_that_is_over_is_none() -> None:
    deadline = Deadline(0)
    await deadline.wait(asyncio.Event())
    assert deadline.left == 0


async def test_the_last_step_has_what_is_in_reserve() -> None:
    deadline = Deadline(10, reserve=2)
    assert 7.9 < deadline.left <= 8
    assert 9.9 < deadline.left_in_all <= 10
    assert Deadline(1, reserve=2).left == 0


@pytest.mark.parametrize(("clients", "spread"), [(1000, 2.0), (10, 0.02), (10**6, 30.0)])
def test_clients_come_back_in_an_even_stream_K2(clients: int, spread: float) -> None:
    times = sorted(return_time(clients, 500) - 0.5 for _ in range(4000))
    assert times[0] >= 0 and times[-1] <= spread
    for quarter in (1, 2, 3):
        assert times[1000 * quarter] == pytest.approx(spread * quarter / 4, rel=0.15)
