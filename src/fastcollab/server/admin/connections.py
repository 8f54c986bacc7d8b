"""Connections: those of this gateway told, and those of all nodes ended."""

from __future__ import annotations

from collections.abc import Sequence
from http import HTTPStatus
from typing import Annotated, Literal

from msgspec import UNSET, Meta, UnsetType

from fastcollab.core.limits import SECOND
from fastcollab.errors import CloseCode
from fastcollab.messages import RoomId, ShortText, UserId
from fastcollab.ports import Disconnect
from fastcollab.server._listener import Connection
from fastcollab.server.admin.desk import Desk, merged, page
from fastcollab.server.admin.endpoint import Group, Nothing
from fastcollab.server.admin.forms import After, Answer, Limit, Parameters, Request
from fastcollab.server.admin.problems import Refused
from fastcollab.server.clock import instant
from fastcollab.server.connection_metrics import ConnectionMetrics

group = Group("connections")

ConnectionId = Annotated[str, Meta(min_length=1, max_length=128)]


class RoomOfConnection(Answer, frozen=True):
    room_id: str
    permission: str


class ConnectionFound(Answer, frozen=True):
    """An open connection. In seconds: `age`, and `silentFor`, how long nothing has come from it. `state` is new until a
    token was accepted; from then on it has a user and `expiresAt`, when its token ends (Unix time in ms). `waiting` is
    how many bytes it has not read yet, and `metrics` the specification's. The active room is the last one.
    """

    connection_id: str
    node: str
    state: str
    address: str
    age: float
    silent_for: float
    batched: bool
    sends_binary: bool
    resumed: bool
    waiting: int
    metrics: ConnectionMetrics
    rooms: Sequence[RoomOfConnection]
    user_id: str | UnsetType = UNSET
    numeric_id: int | UnsetType = UNSET
    name: str | UnsetType = UNSET
    expires_at: int | UnsetType = UNSET


class ConnectionList(Answer, frozen=True):
    """`next` is to be given as `after` for what follows; without it there is no more."""

    connections: Sequence[ConnectionFound]
    next: str | UnsetType = UNSET


class ConnectionsAsked(Parameters, frozen=True):
    after: After = ""
    limit: Limit = 100
    user_id: Annotated[UserId, Meta(description="only those of this user")] | UnsetType = UNSET
    room_id: Annotated[RoomId, Meta(description="only those in this room")] | UnsetType = UNSET


class OneConnection(Parameters, frozen=True):
    connection_id: ConnectionId


def _one_list(asked: ConnectionsAsked, answers: Sequence[ConnectionList]) -> ConnectionList:
    pages = [(answer.connections, answer.next) for answer in answers]
    found, following = merged(pages, asked.limit, lambda connection: connection.connection_id)
    return ConnectionList([connection for [connection] in found], following)


def _who_has_it(_asked: OneConnection, answers: Sequence[ConnectionFound]) -> ConnectionFound:
    """A connection is at one gateway."""
    return answers[0]


@group.add("GET", "/connections", pooling=_one_list)
async def list_connections(desk: Desk, asked: ConnectionsAsked) -> ConnectionList:
    """The connections of the gateway that answers, in the order of their ids.

    Those of other gateways are told by these.
    """
    connections = desk.dispatcher.connections
    meant = [
        connection_id
        for connection_id, connection in connections.items()
        if (asked.user_id is UNSET or connection.session.is_of(asked.user_id))
        and (asked.room_id is UNSET or asked.room_id in connection.session.rooms)
    ]
    found, following = page(meant, asked.after, asked.limit)
    return ConnectionList([_found(desk, connections[each]) for each in found], following or UNSET)


@group.add("GET", "/connections/{connectionId}", HTTPStatus.NOT_FOUND, pooling=_who_has_it)
async def get_connection(desk: Desk, asked: OneConnection) -> ConnectionFound:
    """One connection of the gateway that answers."""
    connection = desk.dispatcher.connections.get(asked.connection_id)
    if connection is None:
        raise Refused(HTTPStatus.NOT_FOUND, f"this gateway has no connection {asked.connection_id!r}")
    return _found(desk, connection)


class Farewell(Request, frozen=True):
    """`reason` is told in the close frame, as far as it fits: 123 bytes."""

    reason: ShortText = ""


class OneUser(Parameters, frozen=True):
    user_id: UserId


@group.add("POST", "/connections/{connectionId}/disconnect", status=HTTPStatus.ACCEPTED)
async def disconnect(desk: Desk, asked: OneConnection, body: Farewell) -> None:
    """Closes a connection with 4506, at whichever node it is.

    Its client does not come back by itself, but may. That there is no such connection is no error.
    """
    await desk.give(Disconnect("connection", asked.connection_id, CloseCode.DISCONNECTED, body.reason))


@group.add("POST", "/users/{userId}/disconnect", status=HTTPStatus.ACCEPTED)
async def disconnect_user(desk: Desk, asked: OneUser, body: Farewell) -> None:
    """Closes all connections of a user with 4506, at whichever nodes they are."""
    await desk.give(Disconnect("user", asked.user_id, CloseCode.DISCONNECTED, body.reason))


class Revocation(Request, frozen=True):
    """Of kind token a token itself or its `jti`; of kind session the `sid` of tokens or the id of a connection; of kind
    user the user's id.
    """

    kind: Literal["token", "session", "user"]
    subject: Annotated[str, Meta(min_length=1, max_length=16_384)]


@group.add("POST", "/revocations", HTTPStatus.UNPROCESSABLE_ENTITY, status=HTTPStatus.ACCEPTED)
async def revoke(desk: Desk, _asked: Nothing, body: Revocation) -> None:
    """Revokes a token, the tokens of a login, or all of a user's that were issued until now.

    It is accepted nowhere again, and connections with such a token end, at whichever nodes they are.
    """
    try:
        match body.kind:
            case "token":
                await desk.revoker.revoke_token(body.subject)
            case "session":
                connection = desk.dispatcher.connections.get(body.subject)
                session = None if connection is None else connection.session
                await desk.revoker.revoke_session(body.subject, session)
            case "user":
                await desk.revoker.revoke_user(body.subject)
    except ValueError as error:
        raise Refused(HTTPStatus.UNPROCESSABLE_ENTITY, str(error)) from None


def _found(desk: Desk, connection: Connection) -> ConnectionFound:
    session, now = connection.session, instant().monotonic
    identity = session.identity if session.registered else None
    return ConnectionFound(
        session.connection_id,
        desk.node,
        session.state.value,
        connection.address,
        (now - connection.opened_at) / SECOND,
        max(0, now - connection.silent_since) / SECOND,
        connection.batched,
        connection.sends_binary,
        session.resumed,
        connection.outbox.backlog,
        ConnectionMetrics.of(connection),
        [RoomOfConnection(room.id, room.members[session].word) for room in session.rooms.values()],
        UNSET if identity is None else identity.user_id,
        UNSET if identity is None else identity.numeric_id,
        UNSET if identity is None else identity.name,
        UNSET if identity is None else int(identity.token.expires_at * 1000),
    )
