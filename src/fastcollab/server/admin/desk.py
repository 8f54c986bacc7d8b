"""What the handlers of the admin API work with: the parts of a gateway, and questions that several of them have."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from heapq import nsmallest
from typing import TypeVar

from msgspec import UNSET, UnsetType

from fastcollab.core.room import Room
from fastcollab.core.roster import RosterEntry
from fastcollab.errors import RoomNotFound
from fastcollab.ports import NodeInfo, Order, StoredDocument
from fastcollab.server.activity import Activity
from fastcollab.server.cluster import Cluster
from fastcollab.server.dispatcher import Dispatcher
from fastcollab.server.errands import Errands
from fastcollab.server.revoker import Revoker

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class Desk:
    """`node` is the id of this node, and `describe` says what else there is to be said of it; without a `cluster` it is
    the only one.
    """

    node: str
    dispatcher: Dispatcher
    cluster: Cluster | None
    revoker: Revoker
    errands: Errands
    activity: Activity
    describe: Callable[[], NodeInfo]

    async def give(self, order: Order) -> None:
        """Has all nodes do this; raises :class:`~fastcollab.errors.ServiceUnavailable` if they cannot be told."""
        if self.cluster is None:
            self.dispatcher.obey(order)
        else:
            await self.cluster.give(order)

    def room(self, room_id: str) -> Room | None:
        """The room, if it is open here."""
        return self.dispatcher.rooms.get(room_id)

    async def stored(self, room_id: str) -> StoredDocument:
        """The room's document as it is in the store; raises :class:`RoomNotFound`."""
        stored = await self.dispatcher.documents.store.load(room_id)
        if stored is None:
            raise RoomNotFound(f"there is no room {room_id!r}", roomId=room_id)
        return stored

    async def roster(self, room_id: str) -> Sequence[RosterEntry]:
        """Who takes part in the room, through whichever node."""
        if self.cluster is not None:
            return await self.cluster.roster(room_id)
        if (room := self.room(room_id)) is None:
            return []
        here = frozenset({self.node})
        return [RosterEntry(each.person, here, each.kept_presence()) for each in room.participants.values()]

    async def roster_sizes(self, room_ids: Sequence[str]) -> Sequence[int]:
        """How many users take part in each of these rooms."""
        if self.cluster is not None:
            return await self.cluster.roster_sizes(room_ids)
        rooms = map(self.room, room_ids)
        return [0 if room is None else len(room.participants) for room in rooms]


def page(names: Sequence[str], after: str, limit: int) -> tuple[list[str], str | None]:
    """The `limit` names that follow `after`, in order, and the last of them if there are more."""
    found = nsmallest(limit + 1, (name for name in names if name > after))
    return (found[:limit], found[limit - 1]) if len(found) > limit else (found, None)


def merged(
    pages: Sequence[tuple[Sequence[Item], str | UnsetType]], limit: int, name: Callable[[Item], str]
) -> tuple[list[list[Item]], str | UnsetType]:
    """One page of those of several gateways, each with its `next`: what they have of each name, in the order of names.

    No gateway has told what it has beyond its `next`, so that the page ends with the first of these.
    """
    told: dict[str, list[Item]] = {}
    for items, _ in pages:
        for item in items:
            told.setdefault(name(item), []).append(item)
    ends = min((following for _, following in pages if following is not UNSET), default=None)
    names = sorted(each for each in told if ends is None or each <= ends)
    following = names[limit - 1] if len(names) > limit else ends
    return [told[each] for each in names[:limit]], UNSET if following is None else following
