"""The messages of the protocol: one schema for each type, and their form as JSON.

What comes in is checked by msgspec while it is parsed, against the ``Struct`` of its type; the rest of the package
meets only valid messages. What does not fit raises :class:`~fastcollab.errors.InvalidMessage` with the path of the
offending field (rule E1). What goes out is a payload ``Struct``, wrapped in an envelope by :func:`encode`.

Attribute names are the wire's in snake case: ``room_id`` is ``roomId``. Shapes and limits are those of
``docs/protocol.md``; limits that a deployment can change are checked where they are known, in ``core``.
"""

from __future__ import annotations

import ast
import re
from random import getrandbits
from typing import Annotated, Any, Literal, get_args

import msgspec
import orjson
from msgspec import UNSET, Meta, Raw, Struct, UnsetType

from fastcollab._json_depth import is_deeper
from fastcollab.errors import InvalidMessage, ProtocolError
from fastcollab.ot import ABSENT

PROTOCOL_VERSION = 1

#: Coordinates beyond this magnitude are refused: neighbouring whole numbers become one and the same float32 there.
MAX_COORDINATE = float(2**24)

#: Characters of a participant's status.
MAX_STATUS = 64

#: Lists and objects inside each other, the message itself being the first. Of what others get, and of what is stored,
#: no JSON parser has trouble with that.
MAX_DEPTH = 256

_MAX_SAFE_INTEGER = 2**53 - 1
_NAME_PATTERN = r"^(?!\s)[^\x00-\x1f\x7f-\x9f]+(?<!\s)\Z"
_UUID4_PATTERN = r"^[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-4[0-9a-fA-F]{3}-[89abAB][0-9a-fA-F]{3}-[0-9a-fA-F]{12}\Z"
_COLOR_PATTERN = (
    r"^(?:#(?:[0-9a-fA-F]{3,4}|[0-9a-fA-F]{6}|[0-9a-fA-F]{8})|[a-zA-Z]{1,32}"
    r"|(?:rgb|hsl)a?\([0-9.,%/ deg+-]{1,64}\))\Z"
)
_CHECKSUM_PATTERN = r"^[0-9a-f]{8}\Z"

MessageId = Annotated[str, Meta(pattern=_UUID4_PATTERN)]
RoomId = Annotated[str, Meta(min_length=1, max_length=128, pattern=_NAME_PATTERN)]
UserId = Annotated[str, Meta(min_length=1, max_length=128, pattern=_NAME_PATTERN)]
Color = Annotated[str, Meta(max_length=80, pattern=_COLOR_PATTERN)]
Checksum = Annotated[str, Meta(pattern=_CHECKSUM_PATTERN)]
DisplayName = Annotated[str, Meta(max_length=128)]
Token = Annotated[str, Meta(max_length=16_384)]
ShortText = Annotated[str, Meta(max_length=128)]
Version = Annotated[int, Meta(ge=0, le=_MAX_SAFE_INTEGER)]
Milliseconds = (
    Annotated[int, Meta(ge=0, le=_MAX_SAFE_INTEGER)] | Annotated[float, Meta(ge=0, le=float(_MAX_SAFE_INTEGER))]
)
Coordinate = Annotated[float, Meta(ge=-MAX_COORDINATE, le=MAX_COORDINATE)]
Offset = Annotated[int, Meta(ge=0, le=_MAX_SAFE_INTEGER)]
Position = Offset | Annotated[list[ShortText | Offset], Meta(max_length=64)]


class _Payload(Struct, rename="camel", frozen=True, omit_defaults=True):
    pass


# --- client to gateway ------------------------------------------------------------------------------------------------


class _Inbound(Struct, rename="camel", tag_field="type", kw_only=True, frozen=True):
    id: MessageId
    version: Literal[1]
    timestamp: Milliseconds
    session_id: ShortText | None = None
    room_id: RoomId | None = None
    target_user_id: UserId | None = None
    acknowledgment: bool = False


class ConnectPayload(_Payload, frozen=True):
    token: Token
    device_id: ShortText
    client_version: ShortText
    connection_id: ShortText | None = None


class Connect(_Inbound, tag="connect", frozen=True):
    payload: ConnectPayload


class RefreshTokenPayload(_Payload, frozen=True):
    token: Token


class RefreshToken(_Inbound, tag="refresh_token", frozen=True):
    payload: RefreshTokenPayload


class JoinRoomPayload(_Payload, frozen=True):
    room_id: RoomId
    last_sync_version: Version | None = None
    epoch: ShortText | None = None
    document_type: ShortText | None = None


class JoinRoom(_Inbound, tag="join_room", frozen=True):
    payload: JoinRoomPayload


class RoomPayload(_Payload, frozen=True):
    room_id: RoomId


class LeaveRoom(_Inbound, tag="leave_room", frozen=True):
    payload: RoomPayload


class ActivateRoom(_Inbound, tag="activate_room", frozen=True):
    payload: RoomPayload


class CursorMovePayload(_Payload, frozen=True):
    x: Coordinate
    y: Coordinate
    viewport_x: Coordinate
    viewport_y: Coordinate
    timestamp: Milliseconds


class CursorMove(_Inbound, tag="cursor_move", frozen=True):
    payload: CursorMovePayload


class SelectionRange(_Payload, frozen=True):
    anchor: Position
    head: Position


class SelectionChangePayload(_Payload, frozen=True):
    ranges: Annotated[list[SelectionRange], Meta(max_length=100)]
    color: Color
    version: Version | None = None


class SelectionChange(_Inbound, tag="selection_change", frozen=True):
    payload: SelectionChangePayload


class OwnPresence(_Payload, frozen=True):
    status: Annotated[str, Meta(max_length=MAX_STATUS)] | UnsetType | None = UNSET
    data: Any = UNSET


class OwnPresencePayload(_Payload, frozen=True):
    presence: OwnPresence


class PresenceChange(_Inbound, tag="presence_update", frozen=True):
    payload: OwnPresencePayload


class OperationPayload(_Payload, frozen=True):
    operation: Any
    version: Version
    checksum: Checksum | None = None
    #: Whatever it is: one that is no traceparent counts as none (TC1).
    traceparent: Any = None


class Operation(_Inbound, tag="operation", frozen=True):
    payload: OperationPayload


class GetDocumentPayload(_Payload, frozen=True):
    version: Version | None = None


class GetDocument(_Inbound, tag="get_document", frozen=True):
    payload: GetDocumentPayload


class GetHistoryPayload(_Payload, frozen=True):
    after: Version
    limit: Annotated[int, Meta(ge=1, le=1000)] = 100


class GetHistory(_Inbound, tag="get_history", frozen=True):
    payload: GetHistoryPayload


class RestorePayload(_Payload, frozen=True):
    version: Version


class Restore(_Inbound, tag="restore", frozen=True):
    payload: RestorePayload


PastMessage = GetDocument | GetHistory | Restore
"""Messages about earlier versions of a document (PV1 to PV3)."""


class EventPayload(_Payload, frozen=True):
    name: Annotated[str, Meta(min_length=1, max_length=128)]
    data: Any = UNSET


class Event(_Inbound, tag="event", frozen=True):
    payload: EventPayload


class BatchPayload(_Payload, frozen=True):
    #: Each is parsed on its own, so that one that is malformed does not take the others with it (D1).
    messages: list[Raw]
    compressed: bool


class Batch(_Inbound, tag="batch", frozen=True):
    payload: BatchPayload


class PingPayload(_Payload, frozen=True):
    timestamp: Milliseconds


class Ping(_Inbound, tag="ping", frozen=True):
    payload: PingPayload


ClientMessage = (
    Connect
    | RefreshToken
    | JoinRoom
    | LeaveRoom
    | ActivateRoom
    | CursorMove
    | SelectionChange
    | PresenceChange
    | Operation
    | GetDocument
    | GetHistory
    | Restore
    | Event
    | Batch
    | Ping
)

_decoder: msgspec.json.Decoder[ClientMessage] = msgspec.json.Decoder(ClientMessage)


class _IdOnly(Struct):
    id: Any = None


_id_decoder = msgspec.json.Decoder(_IdOnly)

#: What a field must be whose pattern did not match, in words.
_EXPECTATIONS = {
    _UUID4_PATTERN: "a UUID v4",
    _NAME_PATTERN: "a name without control characters and without white space at its ends",
    _COLOR_PATTERN: "a CSS colour",
    _CHECKSUM_PATTERN: "eight lower-case hexadecimal digits",
}

#: A complaint may quote what the client wrote, so only its end says where.
_AT_PATH = re.compile(r"(.*) - at `\$\.?(.*?)`\Z", re.DOTALL)
_LONGEST_REASON = 120
_PATTERN_MISMATCH = re.compile(r"Expected `str` matching regex (.*)\Z")
_MISSING_FIELD = re.compile(r"Object missing required field `(\w+)`")


def decode(text: str | bytes | Raw) -> ClientMessage:
    """The message in ``text``.

    Raises :class:`InvalidMessage` if it is none; its ``details`` have ``path`` (of the offending field, such as
    ``payload.ranges[2].head``; empty: the message as a whole) and ``messageId`` where one can be read.
    """
    try:
        if is_deeper(text, MAX_DEPTH):
            raise InvalidMessage("the message is nested too deeply", path="", limit=MAX_DEPTH, **_message_id(text))
        return _decoder.decode(text)
    except msgspec.ValidationError as error:
        reason, path = explain(error)
        raise InvalidMessage(reason, path=path, **_message_id(text)) from None
    except (msgspec.DecodeError, UnicodeError) as error:
        raise InvalidMessage(f"the message is not valid JSON: {error}", path="") from None


def explain(error: msgspec.ValidationError) -> tuple[str, str]:
    """What msgspec says about data that do not fit their schema: what is wrong, and the path of the field where it
    is.
    """
    complaint = str(error)
    match = _AT_PATH.match(complaint)
    reason, path = match.groups() if match else (complaint, "")
    if missing := _MISSING_FIELD.search(reason):
        path = f"{path}.{missing[1]}" if path else missing[1]
    if mismatch := _PATTERN_MISMATCH.search(reason):
        reason = f"Expected {_EXPECTATIONS[ast.literal_eval(mismatch[1])]}"
    if len(reason) > _LONGEST_REASON:
        reason = reason[: _LONGEST_REASON - 1] + "…"
    return reason.replace("`", ""), path


def _message_id(text: str | bytes | Raw) -> dict[str, str]:
    try:
        found = _id_decoder.decode(text).id
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return {}
    return {"messageId": found} if isinstance(found, str) and len(found) <= 128 else {}


def pass_on(value: Any, path: str) -> Raw:
    """``value``, which the gateway does not look into, as the JSON in which others get it.

    Raises :class:`InvalidMessage` for what not every JSON parser takes: integers of more than 64 bits. ``path`` is the
    field that it came in.
    """
    try:
        return Raw(orjson.dumps(value))
    except TypeError as error:
        raise InvalidMessage(str(error), path=path) from None


# --- gateway to client ------------------------------------------------------------------------------------------------


class ServerPayload(_Payload, tag_field=None, frozen=True):
    """The payload of a message to a client; its type on the wire is in ``_TYPES``."""


class LimitsInForce(_Payload, frozen=True):
    """Per second: ``cursor_updates``, ``operations``, ``messages``; in seconds: ``burst``; counts and bytes: the
    rest.
    """

    cursor_updates: int
    operations: int
    messages: int
    burst: float
    connections: int
    rooms: int
    participants: int
    max_message_bytes: int
    max_operation_bytes: int
    max_messages_per_batch: int


class Connected(ServerPayload, frozen=True):
    connection_id: str
    user_id: str
    server_time: int
    numeric_id: int
    heartbeat_interval: int
    limits: LimitsInForce
    protocol: int
    resumed: bool


class TokenExpiring(ServerPayload, frozen=True):
    """The time is that of the token's `exp`, Unix time in ms."""

    expires_at: int


class TokenRefreshed(ServerPayload, frozen=True):
    """As :class:`TokenExpiring`, of the new token."""

    expires_at: int


class Cursor(_Payload, frozen=True):
    x: float
    y: float
    viewport_x: float | UnsetType = UNSET
    viewport_y: float | UnsetType = UNSET


class Selection(_Payload, frozen=True):
    ranges: list[SelectionRange]
    color: str
    version: int


class PresenceData(_Payload, frozen=True):
    """What is known, or what changed, of a participant's presence; ``None``: it was removed."""

    cursor: Cursor | UnsetType = UNSET
    selection: Selection | UnsetType | None = UNSET
    status: str | UnsetType | None = UNSET
    data: Any = UNSET


class Participant(_Payload, frozen=True):
    user_id: str
    numeric_id: int
    name: str
    color: str
    presence: PresenceData
    picture: str | UnsetType = UNSET


class DocumentState(_Payload, frozen=True):
    type: str
    version: int
    epoch: str
    data: Any = UNSET


def document_state(document_type: str, version: int, epoch: str, content: Any) -> DocumentState:
    """The state of a document with its content, of which there is none if an operation has removed it."""
    return DocumentState(document_type, version, epoch, UNSET if content is ABSENT else content)


class Recovery(_Payload, frozen=True):
    recovered: bool
    missed: int | UnsetType = UNSET
    reason: Literal["epoch_changed", "gap_trimmed"] | UnsetType = UNSET


class RoomJoined(ServerPayload, frozen=True):
    room_id: str
    handle: int
    participants: list[Participant]
    document_state: DocumentState
    version: int
    permission: str
    recovery: Recovery | UnsetType = UNSET


class RoomLeft(ServerPayload, frozen=True):
    room_id: str


class PermissionChanged(ServerPayload, frozen=True):
    room_id: str
    permission: str


class UserJoined(ServerPayload, frozen=True):
    room_id: str
    participant: Participant


class UserLeft(ServerPayload, frozen=True):
    room_id: str
    participant: Participant


class PresenceUpdate(ServerPayload, frozen=True):
    user_id: str
    numeric_id: int
    presence: PresenceData
    timestamp: int


class OperationBroadcast(ServerPayload, frozen=True):
    operation: Any
    user_id: str
    numeric_id: int
    message_id: str
    version: int
    transformed_version: int
    traceparent: str | UnsetType = UNSET


class Ack(ServerPayload, frozen=True):
    message_id: str
    version: int | UnsetType = UNSET


class DocumentSent(ServerPayload, frozen=True):
    message_id: str
    document_state: DocumentState


class PastOperation(_Payload, frozen=True):
    operation: Any
    user_id: str
    numeric_id: int
    message_id: str
    version: int
    transformed_version: int
    timestamp: int


class HistorySent(ServerPayload, frozen=True):
    message_id: str
    operations: list[PastOperation]
    oldest: int
    version: int


class EventSent(ServerPayload, frozen=True):
    name: str
    user_id: str
    numeric_id: int
    data: Any = UNSET


class Pong(ServerPayload, frozen=True):
    timestamp: int | float
    server_time: int


class ErrorSent(ServerPayload, frozen=True):
    code: int
    message: str
    recoverable: bool
    details: dict[str, Any] | UnsetType = UNSET

    @classmethod
    def of(cls, error: ProtocolError, message_id: str | None = None) -> ErrorSent:
        """The message that tells ``error``, as the answer to the message ``message_id``."""
        details = dict(error.details)
        if message_id is not None:
            details.setdefault("messageId", message_id)
        return cls(int(error.code), error.message, error.recoverable, details or UNSET)


class BatchSent(ServerPayload, frozen=True):
    messages: list[Raw]
    compressed: bool


_TYPES: dict[type[ServerPayload], str] = {
    Connected: "connected",
    TokenExpiring: "token_expiring",
    TokenRefreshed: "token_refreshed",
    RoomJoined: "room_joined",
    RoomLeft: "room_left",
    PermissionChanged: "permission_changed",
    UserJoined: "user_joined",
    UserLeft: "user_left",
    PresenceUpdate: "presence_update",
    OperationBroadcast: "operation_broadcast",
    Ack: "ack",
    DocumentSent: "document",
    HistorySent: "history",
    EventSent: "event",
    Pong: "pong",
    ErrorSent: "error",
    BatchSent: "batch",
}


_INBOUND_TYPES: dict[type[ClientMessage], str] = {kind: kind.__struct_config__.tag for kind in get_args(ClientMessage)}

#: The types of messages that a gateway can be sent, and that it sends, as they are on the wire.
INBOUND_TYPES = tuple(_INBOUND_TYPES.values())
OUTBOUND_TYPES = tuple(_TYPES.values())


def type_of(message: ClientMessage | ServerPayload) -> str:
    """The type of a message, as it is on the wire."""
    if isinstance(message, ServerPayload):
        return _TYPES[type(message)]
    return _INBOUND_TYPES[type(message)]


class _Outbound(Struct, rename="camel", frozen=True, omit_defaults=True):
    id: str
    type: str
    version: int
    timestamp: int
    payload: ServerPayload
    room_id: str | UnsetType = UNSET


def new_id() -> str:
    """A UUID v4 as text. Message ids tell messages apart and are no secret, so the generator need not be one for
    secrets.
    """
    bits = getrandbits(128)
    digits = bits.to_bytes(16).hex()
    # Two of the four bits that give way to the version make the variant.
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-{'89ab'[bits >> 76 & 3]}{digits[17:20]}-{digits[20:]}"


_encoder = msgspec.json.Encoder()


def encode(payload: ServerPayload, timestamp: int, room_id: str | None = None) -> bytes:
    """The message that carries ``payload``, as JSON; ``timestamp`` is Unix time in ms, ``room_id`` the room
    concerned.
    """
    return _encoder.encode(
        _Outbound(
            id=new_id(),
            type=_TYPES[type(payload)],
            version=PROTOCOL_VERSION,
            timestamp=timestamp,
            payload=payload,
            room_id=UNSET if room_id is None else room_id,
        )
    )
