"""Rooms, and who is in them."""

from __future__ import annotations

from collections.abc import Sequence
from http import HTTPStatus
from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, UnsetType
from msgspec.structs import replace

from fastcollab.core.permissions import Permission
from fastcollab.messages import RoomId, UserId
from fastcollab.ports import DocumentSummary, Permit
from fastcollab.server.admin.desk import Desk, merged, page
from fastcollab.server.admin.endpoint import Group
from fastcollab.server.admin.forms import After, Answer, InRoom, Limit, Parameters, Request
from fastcollab.server.admin.problems import Refused
from fastcollab.server.clock import unix_ms

group = Group("rooms")


class RoomSummary(Answer, frozen=True):
    """A room by its document. `oldest` is the version after which the log begins; `changedAt` (Unix time in ms) and
    `logBytes` are told by the store only. `participants` are those of the whole cluster; `openHere`: the
    gateway that answers has the room open.
    """

    room_id: str
    type: str
    epoch: str
    version: int
    oldest: int
    participants: int
    open_here: bool
    changed_at: int | UnsetType = UNSET
    log_bytes: int | UnsetType = UNSET


class RoomList(Answer, frozen=True):
    """`next` is to be given as `after` for what follows; without it there is no more."""

    rooms: Sequence[RoomSummary]
    next: str | UnsetType = UNSET


class RoomsAsked(Parameters, frozen=True):
    after: After = ""
    limit: Limit = 100
    which: Annotated[
        Literal["all", "live", "here"],
        Meta(
            description="all that have a document, those that somebody takes part in, or those open at the gateway "
            "that answers"
        ),
    ] = "all"


def _one_room(_asked: object, answers: Sequence[RoomSummary]) -> RoomSummary:
    """They have it from one store, and the newest answer tells the most."""
    newest = max(answers, key=lambda answer: answer.version)
    return replace(newest, open_here=any(answer.open_here for answer in answers))


def _one_list(asked: RoomsAsked, answers: Sequence[RoomList]) -> RoomList:
    rooms, following = merged(
        [(answer.rooms, answer.next) for answer in answers], asked.limit, lambda room: room.room_id
    )
    return RoomList([_one_room(asked, room) for room in rooms], following)


@group.add("GET", "/rooms", pooling=_one_list)
async def list_rooms(desk: Desk, asked: RoomsAsked) -> RoomList:
    """Rooms, in the order of their ids.

    Of `which=live` a page may have fewer rooms than `limit`, or none, though there are more: go on as long as there is
    a `next`.
    """
    if asked.which == "here":
        found, following = page(list(desk.dispatcher.rooms), asked.after, asked.limit)
        sizes = await desk.roster_sizes(found)
        open_rooms = zip(map(desk.room, found), sizes, strict=True)
        rooms = [
            RoomSummary(
                room.id,
                room.document.type.name,
                room.document.epoch,
                room.document.version,
                room.document.log_begins,
                size,
                True,
            )
            for room, size in open_rooms
            if room is not None
        ]
        return RoomList(rooms, following or UNSET)
    documents = await desk.dispatcher.documents.store.list(asked.after, asked.limit)
    sizes = await desk.roster_sizes([document.room_id for document in documents])
    rooms = [
        _summary(desk, document, size)
        for document, size in zip(documents, sizes, strict=True)
        if size or asked.which == "all"
    ]
    return RoomList(rooms, documents[-1].room_id if len(documents) == asked.limit else UNSET)


def _summary(desk: Desk, document: DocumentSummary, participants: int) -> RoomSummary:
    return RoomSummary(
        document.room_id,
        document.type,
        document.epoch,
        document.version,
        document.oldest,
        participants,
        desk.room(document.room_id) is not None,
        document.changed_at,
        document.log_bytes,
    )


@group.add("GET", "/rooms/{roomId}", HTTPStatus.NOT_FOUND, pooling=_one_room)
async def get_room(desk: Desk, asked: InRoom) -> RoomSummary:
    """One room."""
    stored = await desk.stored(asked.room_id)
    [participants] = await desk.roster_sizes([asked.room_id])
    return RoomSummary(
        asked.room_id,
        stored.type,
        stored.epoch,
        stored.newest,
        stored.oldest,
        participants,
        desk.room(asked.room_id) is not None,
    )


class ParticipantFound(Answer, frozen=True):
    """A user in a room, through these nodes. `connections` are the ids of those at the gateway that answers;
    `presence` is what it shows (selection, status, data), but for its cursor.
    """

    user_id: str
    numeric_id: int
    name: str
    color: str
    nodes: Sequence[str]
    connections: Sequence[str]
    presence: dict[str, Any]
    picture: str | UnsetType = UNSET


class Participants(Answer, frozen=True):
    participants: Sequence[ParticipantFound]


def _all_participants(_asked: InRoom, answers: Sequence[Participants]) -> Participants:
    """They are in the roster, which each has read, but for their connections, which each knows of its own."""
    found: dict[str, ParticipantFound] = {}
    for answer in answers:
        for each in answer.participants:
            known = found.setdefault(each.user_id, replace(each, connections=()))
            found[each.user_id] = replace(known, connections=[*known.connections, *each.connections])
    return Participants([found[user_id] for user_id in sorted(found)])


@group.add("GET", "/rooms/{roomId}/participants", pooling=_all_participants)
async def list_participants(desk: Desk, asked: InRoom) -> Participants:
    """Who takes part in a room, through whichever node.

    One who has lost the connection and may still come back is among them. In a room that does not exist nobody takes
    part.
    """
    room = desk.room(asked.room_id)
    here = {} if room is None else room.participants
    found = []
    for entry in await desk.roster(asked.room_id):
        person = entry.person
        participant = here.get(person.user_id)
        sessions = () if participant is None else participant.sessions
        found.append(
            ParticipantFound(
                person.user_id,
                person.numeric_id,
                person.name,
                person.color,
                sorted(entry.nodes),
                [session.connection_id for session in sessions],
                dict(entry.presence),
                person.picture or UNSET,
            )
        )
    return Participants(sorted(found, key=lambda participant: participant.user_id))


class Event(Request, frozen=True):
    """`userId` is whom it comes from, by default service; `targetUserId` the only one who is told."""

    name: Annotated[str, Meta(min_length=1, max_length=128)]
    data: Any = UNSET
    user_id: UserId = "service"
    target_user_id: UserId | UnsetType = UNSET


@group.add(
    "POST", "/rooms/{roomId}/events", HTTPStatus.NOT_FOUND, HTTPStatus.UNPROCESSABLE_ENTITY, status=HTTPStatus.ACCEPTED
)
async def publish_event(desk: Desk, asked: InRoom, body: Event) -> None:
    """Tells an event to all in a room, or to one user there, through whichever node.

    At most once: who is away is not told later. One for a user who is not in the room is refused.
    """
    target = body.target_user_id or None
    if target is not None:
        present = {entry.person.user_id for entry in await desk.roster(asked.room_id)}
        if target not in present:
            raise Refused(HTTPStatus.NOT_FOUND, f"{target!r} is not in the room")
    await desk.errands.announce(asked.room_id, body.user_id, body.name, body.data, target)


class UserInRoom(Parameters, frozen=True):
    room_id: RoomId
    user_id: UserId


class PermissionGiven(Request, frozen=True):
    """`seconds` is for how long it holds."""

    permission: Literal["none", "read", "write", "admin"]
    seconds: Annotated[int, Meta(ge=1, le=86_400)]


@group.add("PUT", "/rooms/{roomId}/permissions/{userId}", status=HTTPStatus.ACCEPTED)
async def set_permission(desk: Desk, asked: UserInRoom, body: PermissionGiven) -> None:
    """Says what a user may do in a room for a while, whatever tokens and the back end say.

    It takes effect on open connections at once, and on those that come later, to whichever node. A gateway that has no
    Redis forgets it when it ends. What is to hold for good has to be changed where permissions come from.
    """
    until = unix_ms() + body.seconds * 1000
    await desk.give(Permit(asked.room_id, asked.user_id, Permission.of_word(body.permission), until))
