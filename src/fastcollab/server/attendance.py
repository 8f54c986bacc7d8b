"""Keeps the rosters that all nodes share as this node knows its own participants.

Who begins to take part here is entered in the roster before anybody is told, since the roster may be full; who ends is
taken out afterwards, in the background. If that fails, or nobody knows whether it was done, the room is *doubted*: its
whole list is declared again when it can be (:mod:`fastcollab.server.reconciler`). What is kept in the roster of this
node is remembered here, so that other nodes are told of exactly what has changed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any
from weakref import WeakValueDictionary

from fastcollab.core.notices import Joined, Notice, Parted
from fastcollab.core.room import Room
from fastcollab.core.roster import Person
from fastcollab.errors import ServiceUnavailable
from fastcollab.ports import Roster, Rosters

#: Of whoever is here already nobody asks whether there is room.
_NO_LIMIT = 2**31 - 1


class Attendance:
    """`live` gives the room with an id, if it is open here. `reading` is told when a roster begins to be read, and
    `read` is given what was read, or None. `tell` tells other nodes; `changed` is told of rooms, by id, whose roster
    this node has written, and `doubt` of those whose roster may not be as it should.
    """

    def __init__(
        self,
        rosters: Rosters,
        *,
        live: Callable[[str], Room | None],
        reading: Callable[[str], None],
        read: Callable[[str, Roster | None], None],
        tell: Callable[[Notice], None],
        doubt: Callable[[str], None],
        changed: Callable[[str], None],
        run: Callable[[Coroutine[Any, Any, None]], None],
    ) -> None:
        self._rosters = rosters
        self._live = live
        self._reading = reading
        self._read = read
        self._tell = tell
        self._doubt = doubt
        self._changed = changed
        self._run = run
        #: Who is in the roster of a room through this node, as far as is known; None: the others do not know as whom.
        self._entered: dict[str, dict[str, Person | None]] = {}
        #: One call about a room at a time, in the order in which they were begun.
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def enter(self, room_id: str, person: Person, limit: int = _NO_LIMIT) -> None:
        """Has the user take part here; raises :class:`~fastcollab.errors.RoomFull`."""
        async with self._lock(room_id):
            entered = self._entered.get(room_id, {})
            if entered.get(person.user_id) == person:
                return
            self._reading(room_id)
            roster = None
            try:
                roster = await self._rosters.enter(room_id, person, limit)
                self._entered.setdefault(room_id, {})[person.user_id] = person
            except ServiceUnavailable:
                self._doubt(room_id)
                raise
            finally:
                self._read(room_id, roster)
            self._changed(room_id)
            self._tell(Joined(room_id, person))

    def settle(self, room_id: str, user_id: str) -> None:
        """Who takes part here no more, or as another person, is soon known so."""
        self._run(self._settle(room_id, user_id))

    async def _settle(self, room_id: str, user_id: str) -> None:
        try:
            person = self._person(room_id, user_id)
            if person is not None:
                await self.enter(room_id, person)
                return
            async with self._lock(room_id):
                if user_id in self._entered.get(room_id, {}) and self._person(room_id, user_id) is None:
                    await self._rosters.leave(room_id, user_id)
                    self._changed(room_id)
                    self._forget(room_id, user_id)
                    self._tell(Parted(room_id, user_id))
        except ServiceUnavailable:
            self._doubt(room_id)

    async def declare(self, room_id: str) -> None:
        """Has the roster know exactly those of this node who take part, and reads it."""
        async with self._lock(room_id):
            room = self._live(room_id)
            participants = () if room is None else room.participants.values()
            persons = {who.user_id: who.person for who in participants if who.here}
            self._reading(room_id)
            roster = None
            try:
                roster = await self._rosters.declare(room_id, list(persons.values()))
            finally:
                self._read(room_id, roster)
            self._changed(room_id)
            known = self._entered.get(room_id, {})
            self._entered[room_id] = {**persons}
            for user_id in known.keys() - persons.keys():
                self._tell(Parted(room_id, user_id))
            for user_id, person in persons.items():
                # Who was not in the roster is not known to nodes that have read it.
                if known.get(user_id) != person or user_id in roster.new:
                    self._tell(Joined(room_id, person))
            if not persons:
                del self._entered[room_id]

    def dropped(self) -> None:
        """The other nodes may have taken all for gone who take part here: who is still there when a room is declared
        again, is told of again.
        """
        for entered in self._entered.values():
            entered.update(dict.fromkeys(entered))

    def _person(self, room_id: str, user_id: str) -> Person | None:
        """The user, if it takes part here."""
        room = self._live(room_id)
        participant = None if room is None else room.participants.get(user_id)
        return participant.person if participant is not None and participant.here else None

    def _forget(self, room_id: str, user_id: str) -> None:
        entered = self._entered[room_id]
        del entered[user_id]
        if not entered:
            del self._entered[room_id]

    def _lock(self, room_id: str) -> asyncio.Lock:
        return self._locks.setdefault(room_id, asyncio.Lock())
