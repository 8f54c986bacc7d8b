"""When a process that has died is started again, and when there is no sense in that.

One that dies now and then is started again at once. One that cannot live would be started for ever, at the cost of
everything else on the machine, and with nobody the wiser: so each death within a minute of others doubles the wait, and
if there are too many of them, whoever looks after the process gives up, and says so.
"""

from __future__ import annotations

from collections import deque

#: What counts as one row of deaths (s).
_WINDOW = 60.0
#: How many deaths in a row there may be.
MOST_DEATHS = 8
#: The first wait (s), and the longest.
_FIRST_WAIT = 0.1
_LONGEST_WAIT = 5.0


class Revival:
    """What is to be known about the earlier deaths of one process."""

    def __init__(self) -> None:
        self._deaths: deque[float] = deque()

    def died(self, now: float) -> float | None:
        """The process has died at the time `now` (s, by any clock that only goes forward): after how long (s) it is to
        be started again. None: not any more.
        """
        deaths = self._deaths
        while deaths and now - deaths[0] >= _WINDOW:
            deaths.popleft()
        deaths.append(now)
        if len(deaths) > MOST_DEATHS:
            return None
        return min(_FIRST_WAIT * 2.0 ** (len(deaths) - 1), _LONGEST_WAIT)
