"""Messages: the schema of each type, what is told about one that does not fit, and the form of what goes out."""

import json
import math
import re
import uuid
from typing import Any, get_args

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET, Raw
from tests.builders import LIMITS, START, envelope

from fastcollab import messages
from fastcollab.errors import ErrorCode, InvalidMessage, RateLimited

# One payload of each type from clients, with all of its fields.
PAYLOADS: dict[str, dict[str, Any]] = {
    "connect": {"token": "a.b.c", "deviceId": "phone", "clientVersion": "1.2", "connectionId": "c1"},
    "refresh_token": {"token": "a.b.c"},
    "join_room": {"roomId": "plans", "lastSyncVersion": 4, "epoch": "e1", "documentType": "text"},
    "leave_room": {"roomId": "plans"},
    "activate_room": {"roomId": "plans"},
    "cursor_move": {"x": 1.5, "y": -2, "viewportX": 0, "viewportY": 640, "timestamp": 1000},
    "selection_change": {"ranges": [{"anchor": 0, "head": 5}], "color": "#ff0000", "version": 3},
    "presence_update": {"presence": {"status": "away", "data": {"typing": True}}},
    "operation": {"operation": ["a"], "version": 0, "checksum": "2e5a7dd1"},
    "get_document": {"version": 3},
    "get_history": {"after": 3, "limit": 50},
    "restore": {"version": 3},
    "event": {"name": "wave", "data": [1]},
    "batch": {"messages": [], "compressed": False},
    "ping": {"timestamp": 1000},
}

OPTIONAL = {
    "connect": {"connectionId"},
    "get_document": {"version"},
    "get_history": {"limit"},
    "join_room": {"lastSyncVersion", "epoch", "documentType"},
    "selection_change": {"version"},
    "operation": {"checksum"},
    "event": {"data"},
}

ROOM_IDS = [("", False), ("x" * 128, True), ("x" * 129, False), (" x", False), ("x ", False), ("x y", True)]
ROOM_IDS += [("👩" * 128, True), ("a\x00b", False), ("a\nb", False), ("a\n", False), ("\x85", False), (7, False)]
COORDINATES = [(2**24, True), (-(2**24), True), (2**24 + 1, False), (-(2**24) - 1, False), ("1", False), (None, False)]
TIMES = [(0, True), (0.5, True), (2**53 - 1, True), (2**53, False), (-1, False), (-0.5, False), (1e300, False)]
VERSIONS = [(0, True), (2**53 - 1, True), (2**53, False), (-1, False), (1.0, False), ("1", False), (True, False)]
COLORS = [(color, True) for color in ("#abc", "#abcd", "#a1b2c3", "#A1B2C3D4", "rebeccapurple", "rgb(1, 2, 3)")]
COLORS += [("rgba(1,2,3,.5)", True), ("hsl(120deg 100% 50% / 0.2)", True), ("x" * 32, True), ("x" * 33, False)]
COLORS += [(color, False) for color in ("", "#ab", "#abcde", "#ggg", "red;", "red\n", "url(x)", "rgb(var(--x))")]
COLORS += [("javascript:alert(1)", False), ("rgb(" + "1" * 64 + ")", True), ("rgb(" + "1" * 65 + ")", False)]
RANGE = {"anchor": 0, "head": 1}

# (type, path of a field, value, whether it is good), over every field that has a rule of its own.
FIELDS: list[tuple[str, str, Any, bool]] = [
    ("connect", "token", "x" * 16_384, True),
    ("connect", "token", "x" * 16_385, False),
    ("connect", "token", "", True),
    ("connect", "token", None, False),
    ("refresh_token", "token", "x" * 16_384, True),
    ("refresh_token", "token", "x" * 16_385, False),
    ("refresh_token", "token", None, False),
    ("connect", "deviceId", "x" * 128, True),
    ("connect", "deviceId", "x" * 129, False),
    ("connect", "clientVersion", "x" * 129, False),
    *(("join_room", "roomId", value, good) for value, good in ROOM_IDS),
    *(("leave_room", "roomId", value, good) for value, good in ROOM_IDS),
    *(("activate_room", "roomId", value, good) for value, good in ROOM_IDS),
    *(("join_room", "lastSyncVersion", value, good) for value, good in VERSIONS),
    ("join_room", "epoch", "x" * 128, True),
    ("join_room", "epoch", "x" * 129, False),
    ("join_room", "documentType", "x" * 129, False),
    *(
        ("cursor_move", field, value, good)
        for field in ("x", "y", "viewportX", "viewportY")
        for value, good in COORDINATES
    ),
    *(("cursor_move", "timestamp", value, good) for value, good in TIMES),
    *(("ping", "timestamp", value, good) for value, good in TIMES),
    *(("selection_change", "color", value, good) for value, good in COLORS),
    *(("selection_change", "version", value, good) for value, good in VERSIONS),
    ("selection_change", "ranges", [], True),
    ("selection_change", "ranges", [RANGE] * 100, True),
    ("selection_change", "ranges", [RANGE] * 101, False),
    ("selection_change", "ranges[0].anchor", 2**53 - 1, True),
    ("selection_change", "ranges[0].anchor", 2**53, False),
    ("selection_change", "ranges[0].anchor", -1, False),
    ("selection_change", "ranges[0].head", 1.5, False),
    ("selection_change", "ranges[0].head", "5", False),
    ("selection_change", "ranges[0].head", None, False),
    ("selection_change", "ranges[0].head", ["title", 0, 5], True),
    ("selection_change", "ranges[0].head", [0] * 64, True),
    ("selection_change", "ranges[0].head", [0] * 65, False),
    ("selection_change", "ranges[0].head[1]", -1, False),
    ("selection_change", "ranges[0].head[1]", "x" * 129, False),
    ("selection_change", "ranges[0].head[1]", 0.5, False),
    ("presence_update", "presence.status", "x" * 64, True),
    ("presence_update", "presence.status", "x" * 65, False),
    ("presence_update", "presence.status", None, True),
    ("presence_update", "presence.status", 5, False),
    ("presence_update", "presence", None, False),
    *(("operation", "version", value, good) for value, good in VERSIONS),
    ("operation", "checksum", "2e5a7dd1", True),
    ("operation", "checksum", "2E5A7DD1", False),
    ("operation", "checksum", "2e5a7dd", False),
    ("operation", "checksum", "2e5a7dd1\n", False),
    ("event", "name", "x" * 128, True),
    ("event", "name", "x" * 129, False),
    ("event", "name", "", False),
    ("batch", "messages", {}, False),
    ("batch", "compressed", 1, False),
]

# The same over the fields of the envelope.
ENVELOPE_FIELDS: list[tuple[str, Any, bool]] = [
    ("id", "5CAF60DD-DFCE-4A27-B43D-FC5862CDBD88", True),
    ("id", "5caf60dd-dfce-1a27-b43d-fc5862cdbd88", False),
    ("id", "5caf60dd-dfce-4a27-c43d-fc5862cdbd88", False),
    ("id", "5caf60dddfce4a27b43dfc5862cdbd88", False),
    ("id", "5caf60dd-dfce-4a27-b43d-fc5862cdbd88\n", False),
    ("id", "", False),
    ("id", 5, False),
    ("version", 2, False),
    ("version", "1", False),
    ("version", 1.0, False),
    *(("timestamp", value, good) for value, good in TIMES),
    ("sessionId", "x" * 128, True),
    ("sessionId", "x" * 129, False),
    ("sessionId", None, True),
    *(("roomId", value, good) for value, good in ROOM_IDS),
    *(("targetUserId", value, good) for value, good in ROOM_IDS),
    ("acknowledgment", True, True),
    ("acknowledgment", "yes", False),
    ("payload", None, False),
    ("payload", [], False),
    ("type", "pong", False),
    ("type", 5, False),
    ("type", "", False),
]


def refusal(text: str | bytes | Raw | dict[str, Any]) -> InvalidMessage:
    with pytest.raises(InvalidMessage) as caught:
        messages.decode(json.dumps(text) if isinstance(text, dict) else text)
    return caught.value


def with_field(payload: dict[str, Any], path: str, value: Any) -> dict[str, Any]:
    """A copy of the payload with another value at the path, such as `ranges[0].head[1]`."""
    changed: dict[str, Any] = json.loads(json.dumps(payload))
    *way, last = [int(step) if step.isdecimal() else step for step in re.findall(r"\w+", path)]
    place: Any = changed
    for step in way:
        if not isinstance(place[step], dict | list):
            place[step] = ["title", 0]
        place = place[step]
    place[last] = value
    return changed


class TestSchema:
    def test_every_type_has_a_payload_here(self) -> None:
        tags = {kind.__struct_config__.tag for kind in get_args(messages.ClientMessage)}
        assert tags == PAYLOADS.keys()

    @pytest.mark.parametrize("kind", PAYLOADS)
    def test_e1_a_message_with_all_fields_is_taken(self, kind: str) -> None:
        told = envelope(kind, PAYLOADS[kind], sessionId="s", roomId="plans", targetUserId="bob", acknowledgment=True)
        message = messages.decode(json.dumps(told))
        # Written as JSON again it is the same message: no field was lost, renamed or converted.
        assert json.loads(msgspec.json.encode(message)) == {**told, "type": kind}

    @pytest.mark.parametrize("kind", PAYLOADS)
    def test_e1_each_field_of_a_payload_is_required_unless_optional(self, kind: str) -> None:
        for field in PAYLOADS[kind]:
            told = envelope(kind, {name: value for name, value in PAYLOADS[kind].items() if name != field})
            if field in OPTIONAL.get(kind, ()):
                messages.decode(json.dumps(told))
            else:
                assert refusal(told).details == {"path": f"payload.{field}", "messageId": told["id"]}

    @pytest.mark.parametrize("field", ["type", "version", "timestamp", "payload"])
    def test_e1_each_field_of_the_envelope_is_required(self, field: str) -> None:
        told = envelope("ping", PAYLOADS["ping"])
        del told[field]
        assert refusal(told).details == {"path": field, "messageId": told["id"]}

    def test_e1_without_an_id_none_is_repeated(self) -> None:
        told = envelope("ping", PAYLOADS["ping"])
        del told["id"]
        assert refusal(told).details == {"path": "id"}

    @pytest.mark.parametrize(("kind", "path", "value", "good"), FIELDS)
    def test_e1_the_path_names_the_offending_field(self, kind: str, path: str, value: Any, good: bool) -> None:
        told = envelope(kind, with_field(PAYLOADS[kind], path, value))
        if good:
            messages.decode(json.dumps(told))
        else:
            error = refusal(told)
            assert error.code is ErrorCode.INVALID_OPERATION
            assert error.recoverable
            assert error.details == {"path": f"payload.{path}", "messageId": told["id"]}

    @pytest.mark.parametrize(("field", "value", "good"), ENVELOPE_FIELDS)
    def test_e1_the_envelope_is_checked_too(self, field: str, value: Any, good: bool) -> None:
        told = envelope("ping", PAYLOADS["ping"], **{field: value})
        if good:
            messages.decode(json.dumps(told))
        else:
            assert refusal(told).details["path"] == field

    def test_e1_the_example_of_the_rule(self) -> None:
        told = envelope("selection_change", {"ranges": [RANGE, RANGE, {"anchor": 0, "head": "x"}], "color": "red"})
        assert refusal(told).details["path"] == "payload.ranges[2].head"

    @pytest.mark.parametrize("field", ["viewportX", "viewport_x"])
    def test_names_are_the_wires_and_not_pythons(self, field: str) -> None:
        payload = {"x": 0, "y": 0, "viewportY": 0, "timestamp": 0, field: 0}
        if field == "viewportX":
            messages.decode(json.dumps(envelope("cursor_move", payload)))
        else:
            assert refusal(envelope("cursor_move", payload)).details["path"] == "payload.viewportX"


class TestUnknown:
    def test_e2_unknown_fields_are_ignored_at_any_depth(self) -> None:
        payload = {"ranges": [{**RANGE, "kind": "word"}], "color": "red", "shape": "box"}
        message = messages.decode(json.dumps(envelope("selection_change", payload, traceId="t")))
        assert isinstance(message, messages.SelectionChange)
        assert message.payload.ranges == [messages.SelectionRange(0, 1)]

    @pytest.mark.parametrize(
        "kind", ["nonsense", "connected", "error", "Ping", "a - at `$.payload.x`", "x'\n - at `$.y"]
    )
    def test_e2_unknown_types_are_refused_with_path_type(self, kind: str) -> None:
        assert refusal(envelope(kind, {})).details["path"] == "type"

    def test_a_refusal_does_not_repeat_a_long_type(self) -> None:
        assert len(refusal(envelope("x" * 100_000, {})).message) <= 200


class TestMalformed:
    @pytest.mark.parametrize("text", ["", "{", "nonsense", '{"id": NaN}', "[1,", "\x00", '{"id": "\\ud800"}'])
    def test_e1_what_is_no_json_is_refused_as_a_whole(self, text: str) -> None:
        assert refusal(text).details == {"path": ""}

    @pytest.mark.parametrize("text", ["null", "1", '"ping"', "[]", "true"])
    def test_e1_what_is_no_object_is_refused_as_a_whole(self, text: str) -> None:
        assert refusal(text).details == {"path": ""}

    def test_bytes_that_are_no_utf8_are_refused(self) -> None:
        told = envelope("event", {"name": "?"})
        text = json.dumps(told).encode().replace(b"?", b"\xff")
        assert refusal(text).details == {"path": ""}

    @pytest.mark.parametrize("levels", [2_000, 200_000])
    def test_nesting_that_would_exhaust_the_stack_is_refused(self, levels: int) -> None:
        text = json.dumps(envelope("event", {"name": "deep", "data": "?"})).replace('"?"', "[" * levels + "]" * levels)
        assert refusal(text).details["path"] == ""

    def test_numbers_that_json_cannot_carry_are_refused(self) -> None:
        text = json.dumps(envelope("event", {"name": "big", "data": "?"})).replace('"?"', "1e400")
        assert refusal(text).details["path"] == "payload.data"

    def test_of_a_key_given_twice_the_last_one_counts(self) -> None:
        text = json.dumps(envelope("ping", {"timestamp": 1}))
        message = messages.decode(text[:-1] + ', "payload": {"timestamp": 2}}')
        assert isinstance(message, messages.Ping)
        assert message.payload.timestamp == 2

    @pytest.mark.parametrize(("found", "repeated"), [("not a UUID", True), ("x" * 128, True), ("x" * 129, False)])
    def test_e1_an_id_is_repeated_where_one_can_be_read(self, found: str, repeated: bool) -> None:
        details = refusal(envelope("ping", {"timestamp": 1}, id=found)).details
        assert details == {"path": "id", **({"messageId": found} if repeated else {})}

    @given(st.binary() | st.text(st.characters(exclude_categories=["Cs"])))
    def test_nothing_but_a_refusal_comes_of_noise(self, text: bytes | str) -> None:
        refusal(text)

    @given(
        st.sampled_from(sorted(PAYLOADS)),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
            lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(["x", "roomId", "ranges"]), inner),
        ),
    )
    def test_a_payload_of_another_shape_is_refused_where_it_is(self, kind: str, payload: Any) -> None:
        text = msgspec.json.encode(envelope(kind, payload))
        try:
            messages.decode(text)
        except InvalidMessage as error:
            assert error.details["path"].startswith("payload")


class TestPassOn:
    @pytest.mark.parametrize(
        "value", [None, True, 1.5, -(2**63), 2**64 - 1, "<b>\u2028\x00", [], {"a": [{}, None]}, "\U0001f469"]
    )
    def test_json_comes_out_as_it_went_in(self, value: Any) -> None:
        assert json.loads(bytes(messages.pass_on(value, "payload.data"))) == value

    @pytest.mark.parametrize("value", [2**64, -(2**63) - 1, [2**70], "\ud800"])
    def test_what_not_every_parser_takes_is_refused(self, value: Any) -> None:
        with pytest.raises(InvalidMessage) as caught:
            messages.pass_on(value, "payload.data")
        assert caught.value.details == {"path": "payload.data"}

    @pytest.mark.parametrize(("levels", "good"), [(254, True), (255, False)])
    def test_levels_are_bounded(self, levels: int, good: bool) -> None:
        value: list[Any] = []
        for _ in range(levels - 1):
            value = [value]
        if good:
            assert json.loads(bytes(messages.pass_on(value, ""))) == value
        else:
            with pytest.raises(InvalidMessage):
                messages.pass_on(value, "")


class TestNewId:
    def test_ids_are_uuids_of_version_4_and_differ(self) -> None:
        ids = {messages.new_id() for _ in range(1000)}
        assert len(ids) == 1000
        for text in ids:
            parsed = uuid.UUID(text)
            assert (parsed.version, parsed.variant, str(parsed)) == (4, uuid.RFC_4122, text)

    def test_all_other_bits_are_random(self) -> None:
        ones, zeros = 0, 2**128 - 1
        for _ in range(200):
            number = uuid.UUID(messages.new_id()).int
            ones |= number
            zeros &= number
        # In 200 ids each free bit was 0 once and 1 once; version and variant never change.
        assert ones == 2**128 - 1 - (0xB << 76) - (1 << 62)
        assert zeros == (4 << 76) + (2 << 62)


PARTICIPANT = messages.Participant("ada", 1, "Ada", "#c92a2a", messages.PresenceData())
PARTICIPANT_SENT = {"userId": "ada", "numericId": 1, "name": "Ada", "color": "#c92a2a", "presence": {}}

# One message of each type to clients, and the payload that it must have on the wire.
SENT: dict[str, tuple[messages.ServerPayload, dict[str, Any]]] = {
    "connected": (
        messages.Connected("c", "ada", 5, 1, 25_000, LIMITS, 1, False),
        {
            "connectionId": "c",
            "userId": "ada",
            "serverTime": 5,
            "numericId": 1,
            "heartbeatInterval": 25_000,
            "limits": {
                "cursorUpdates": 60,
                "operations": 30,
                "messages": 120,
                "burst": 2.0,
                "connections": 5,
                "rooms": 10,
                "participants": 500,
                "maxMessageBytes": 1_048_576,
                "maxOperationBytes": 1_048_576,
                "maxMessagesPerBatch": 100,
            },
            "protocol": 1,
            "resumed": False,
        },
    ),
    "room_joined": (
        messages.RoomJoined("plans", 3, [PARTICIPANT], messages.DocumentState("text", 2, "e"), 2, "write"),
        {
            "roomId": "plans",
            "handle": 3,
            "participants": [PARTICIPANT_SENT],
            "documentState": {"type": "text", "version": 2, "epoch": "e"},
            "version": 2,
            "permission": "write",
        },
    ),
    "room_left": (messages.RoomLeft("plans"), {"roomId": "plans"}),
    "user_joined": (messages.UserJoined("plans", PARTICIPANT), {"roomId": "plans", "participant": PARTICIPANT_SENT}),
    "user_left": (messages.UserLeft("plans", PARTICIPANT), {"roomId": "plans", "participant": PARTICIPANT_SENT}),
    "presence_update": (
        messages.PresenceUpdate("ada", 1, messages.PresenceData(cursor=messages.Cursor(1.5, -2), status=None), 5),
        {"userId": "ada", "numericId": 1, "presence": {"cursor": {"x": 1.5, "y": -2}, "status": None}, "timestamp": 5},
    ),
    "document": (
        messages.DocumentSent("m", messages.DocumentState("text", 3, "e1", "é")),
        {"messageId": "m", "documentState": {"type": "text", "version": 3, "epoch": "e1", "data": "é"}},
    ),
    "history": (
        messages.HistorySent("m", [messages.PastOperation(["é"], "ada", 1, "n", 2, 4, 5)], 1, 4),
        {
            "messageId": "m",
            "operations": [
                {
                    "operation": ["é"],
                    "userId": "ada",
                    "numericId": 1,
                    "messageId": "n",
                    "version": 2,
                    "transformedVersion": 4,
                    "timestamp": 5,
                }
            ],
            "oldest": 1,
            "version": 4,
        },
    ),
    "operation_broadcast": (
        messages.OperationBroadcast([5, "é"], "ada", 1, "m", 2, 4),
        {
            "operation": [5, "é"],
            "userId": "ada",
            "numericId": 1,
            "messageId": "m",
            "version": 2,
            "transformedVersion": 4,
        },
    ),
    "token_expiring": (messages.TokenExpiring(5), {"expiresAt": 5}),
    "token_refreshed": (messages.TokenRefreshed(5), {"expiresAt": 5}),
    "permission_changed": (
        messages.PermissionChanged("plans", "read"),
        {"roomId": "plans", "permission": "read"},
    ),
    "ack": (messages.Ack("m", 4), {"messageId": "m", "version": 4}),
    "event": (
        messages.EventSent("wave", "ada", 1, messages.pass_on({"a": None}, "")),
        {"name": "wave", "userId": "ada", "numericId": 1, "data": {"a": None}},
    ),
    "pong": (messages.Pong(1.5, 5), {"timestamp": 1.5, "serverTime": 5}),
    "error": (
        messages.ErrorSent.of(RateLimited("too many", limit=30), "m"),
        {"code": 1003, "message": "too many", "recoverable": True, "details": {"limit": 30, "messageId": "m"}},
    ),
    "batch": (
        messages.BatchSent([Raw(b'{"a":1}'), Raw(b"2")], compressed=False),
        {"messages": [{"a": 1}, 2], "compressed": False},
    ),
}


class TestEncode:
    def test_every_type_to_clients_is_here(self) -> None:
        kinds = set(messages.ServerPayload.__subclasses__())
        assert kinds == {type(payload) for payload, _ in SENT.values()}

    @pytest.mark.parametrize("kind", SENT)
    def test_e3_the_envelope_is_that_of_the_protocol(self, kind: str) -> None:
        payload, expected = SENT[kind]
        told = json.loads(messages.encode(payload, START.unix, "plans"))
        assert uuid.UUID(told.pop("id")).version == 4
        assert told == {"type": kind, "version": 1, "timestamp": START.unix, "roomId": "plans", "payload": expected}

    def test_e3_what_concerns_no_room_names_none(self) -> None:
        assert "roomId" not in json.loads(messages.encode(messages.Pong(1, 2), 3))

    def test_what_is_unset_is_left_out_and_what_was_removed_is_null(self) -> None:
        def presence(**fields: Any) -> Any:
            update = messages.PresenceUpdate("ada", 1, messages.PresenceData(**fields), 5)
            return json.loads(messages.encode(update, 5))["payload"]["presence"]

        assert presence() == {}
        assert presence(selection=None, data=None) == {"selection": None, "data": None}
        selection = messages.Selection([messages.SelectionRange(0, ["a", 1])], "red", 3)
        assert presence(selection=selection) == {
            "selection": {"ranges": [{"anchor": 0, "head": ["a", 1]}], "color": "red", "version": 3}
        }
        assert presence(cursor=messages.Cursor(0, 0, 0, 0))["cursor"] == {
            "x": 0,
            "y": 0,
            "viewportX": 0,
            "viewportY": 0,
        }

    def test_ack_without_a_version_and_error_without_details(self) -> None:
        assert json.loads(messages.encode(messages.Ack("m"), 5))["payload"] == {"messageId": "m"}
        error = messages.ErrorSent.of(RateLimited("too many"))
        assert error.details is UNSET
        assert json.loads(messages.encode(error, 5))["payload"].keys() == {"code", "message", "recoverable"}

    def test_x2_an_id_that_the_error_has_itself_is_kept(self) -> None:
        error = messages.ErrorSent.of(InvalidMessage("no", messageId="inner"), "outer")
        assert error.details == {"messageId": "inner"}

    def test_ids_differ_from_message_to_message(self) -> None:
        first, second = (json.loads(messages.encode(messages.Pong(1, 2), 3))["id"] for _ in range(2))
        assert first != second

    @pytest.mark.parametrize("kind", ["event", "operation"])
    def test_data_from_one_client_reaches_another_unchanged(self, kind: str) -> None:
        data = {"deep": [[1, "x\u0000\u2028"], {"": math.pi}], "n": None}
        sent: messages.ServerPayload = messages.OperationBroadcast(data, "ada", 1, "m", 0, 1)
        if kind == "event":
            sent = messages.EventSent("wave", "ada", 1, messages.pass_on(data, ""))
        payload = json.loads(messages.encode(sent, 5))["payload"]
        assert payload["data" if kind == "event" else "operation"] == data
