"""The simulated participants: as many as somebody wants at the moment."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable

from fastcollab.client import CollaborativeClient
from fastcollab.demo.people import Simulated

#: That many are more than one page shows with pleasure.
LARGEST = 200


class Crowd:
    """Simulated participants, none at first; `client` makes the client of each, by its number from 0 on."""

    def __init__(self, client: Callable[[int], CollaborativeClient]) -> None:
        self._client = client
        self._living: list[tuple[Simulated, asyncio.Task[None]]] = []
        self._changing = asyncio.Lock()

    def __len__(self) -> int:
        return len(self._living)

    async def resize(self, count: int) -> None:
        """Has so many of them, the newest ones leaving first. Raises ValueError unless these are 0 to `LARGEST`."""
        if not 0 <= count <= LARGEST:
            raise ValueError(f"there can be 0 to {LARGEST} simulated participants, not {count}")
        async with self._changing:
            while len(self._living) < count:
                number = len(self._living)
                person = Simulated(number, self._client(number))
                await person.enter()
                self._living.append((person, asyncio.create_task(person.live())))
            while len(self._living) > count:
                person, living = self._living.pop()
                living.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await living
                await person.client.disconnect()

    async def watch(self) -> None:
        """Runs until it is cancelled; raises what one of them has failed with, as soon as it has."""
        while True:
            for _, living in self._living:
                if living.done():
                    living.result()
            await asyncio.sleep(0.5)
