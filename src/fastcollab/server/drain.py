"""When a gateway stops: how its time is divided, and when its clients come back.

All of a gateway's clients are lost in one moment. If they all came back in one, they would be as many handshakes, joins
and documents at once as the gateway, or the one that takes its place, never sees otherwise. So each is told a time of
its own, and they come in an even stream.
"""

from __future__ import annotations

import asyncio
import contextlib
import random

#: When the first come back (s): not before another process can be there.
_FIRST_RETURN = 0.5
#: Within how long (s) all are told to come, however many they are.
_LONGEST_SPREAD = 30.0


class Deadline:
    """A time (s from now) that several steps have together; `reserve` seconds of it are for the last one.

    A step that fails to end takes half of what is left at most, so that those after it still have their turn.
    """

    def __init__(self, seconds: float, reserve: float = 0.0) -> None:
        self._clock = asyncio.get_running_loop().time
        self._at = self._clock() + seconds
        self._reserve = reserve

    @property
    def left(self) -> float:
        """Seconds until the last step has to begin, or 0."""
        return max(0.0, self.left_in_all - self._reserve)

    @property
    def left_in_all(self) -> float:
        """Seconds until the end of the last step, or 0."""
        return max(0.0, self._at - self._clock())

    async def wait(self, event: asyncio.Event, at_most: float = float("inf")) -> None:
        """Waits for the event, for a step's share of the time or `at_most` seconds, whichever is less."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(event.wait(), min(self.left / 2, at_most))


def return_time(clients: int, rate: float) -> float:
    """After how long (s) one of so many clients is to come back, if that is to be `rate` of them per second."""
    return _FIRST_RETURN + random.uniform(0, min(clients / rate, _LONGEST_SPREAD))
