"""Byte-exact examples of what both languages have to agree upon: made here, and checked by the TypeScript client.

``python.json`` has frames, codes, checksums, messages and answers of the document types. ``python -m tests.vectors``
writes it; a test says when that is due. ``typescript.json`` goes the other way: the TypeScript client's tests write it,
and ``test_vectors.py`` reads it.
"""

from __future__ import annotations

import json
import re
import struct
from pathlib import Path
from random import Random
from typing import Any

from msgspec import Raw
from tests.generators import json1, rich_text, text
from tests.twins.twins import Refused, answers

from fastcollab import messages, ot
from fastcollab._binary import RecordBatch, RecordSlot, encode_frame
from fastcollab.checksums import canonical_json, checksum
from fastcollab.errors import CloseCode, ErrorCode

FOLDER = Path(__file__).parent
PYTHON = FOLDER / "python.json"
TYPESCRIPT = FOLDER / "typescript.json"

CASES = 12  # of each document type; tests/twins compares thousands
ID = "0b9d4f5e-7a39-4dd2-8b4e-1f3c92f5a0aa"
TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

CURSORS = [
    (7, 1.5, -2.0, 1000, None),
    (7, 1.5, -2.0, 1000, (0.0, 640.0)),
    (2**32 - 1, 2.0**24, -(2.0**24), 2**32 - 1, (-0.5, 2.0**24)),
    (0, 0.10000000149011612, 1e-38, 0, None),
]
VALUES: list[Any] = [
    "abc",
    "",
    None,
    {},
    [],
    {"b": 1, "a": [True, False, None]},
    [0, -0.0, 1.0, 0.1, 1e21, 1e-7, 2**53, 2**63, 5e-324, 1.7976931348623157e308, -1.5],
    {"10": 1, "9": 2, "": 3, "é": 4, "\uff5e": 5, "\U0001f600": 6},
    '"\\\b\f\n\r\t\x00\x1f\x7f\u2028👩\U0010ffff',
    {"nested": {"list": [[[]], [{}]]}},
]


def python_vectors() -> dict[str, Any]:
    return {
        "frames": [frame(*cursor) for cursor in CURSORS],
        "batches": [batch(kind) for kind in (1, 2)],
        "errorCodes": {code.name: int(code) for code in ErrorCode},
        "closeCodes": {code.name: {"code": int(code), "reconnect": code.reconnect} for code in CloseCode},
        "checksums": [
            {"value": value, "canonical": canonical_json(value).decode(), "checksum": checksum(value)}
            for value in VALUES
        ],
        "absent": checksum(ot.ABSENT),
        "session": session(),
        "text": [case("text", text.case, seed) for seed in range(CASES)],
        "json1": [case("json1", json1.case, seed) for seed in range(CASES)],
        "rich-text": [case("rich-text", rich_text.case, seed) for seed in range(CASES)],
    }


def frame(user: int, x: float, y: float, timestamp: int, viewport: tuple[float, float] | None) -> dict[str, Any]:
    record = {"user": user, "x": x, "y": y, "timestamp": timestamp}
    if viewport is not None:
        record |= {"viewportX": viewport[0], "viewportY": viewport[1]}
    return {"kind": 1, "record": record, "hex": encode_frame(1, user, x, y, timestamp, viewport).hex()}


def batch(kind: int) -> dict[str, Any]:
    """What the gateway makes of the frames of one flush."""
    made = RecordBatch(kind, 3)
    records = []
    for user, (_, x, y, timestamp, viewport) in enumerate(CURSORS, 1):
        slot = RecordSlot(f"user-{user}", user)
        made.add_slot(slot)
        whole = (float(user), float(user + 5)) if kind == 2 else (x, y)
        assert made.put_frame(slot, encode_frame(kind, 0, *whole, timestamp, viewport), 0) == 0
        record = {"user": user, "x": whole[0], "y": whole[1], "timestamp": timestamp}
        if viewport is not None:
            record |= {"viewportX": viewport[0], "viewportY": viewport[1]}
        records.append(record)
    data = made.flush(0)
    assert struct.unpack(">HHI", data[:8]) == (0x0100 | kind, len(records), 3)
    return {"kind": kind, "handle": 3, "records": records, "hex": data.hex()}


def session() -> list[str]:
    """What a gateway says to a client of user 7 who joins room ``r``, in its order: the client's tests play it."""
    limits = messages.LimitsInForce(60, 30, 120, 2.0, 5, 10, 500, 2**20, 2**20, 100)
    selection = messages.Selection([messages.SelectionRange(1, 2)], "#00f", 3)
    ada = messages.Participant("ada", 7, "Ada", "#f00", messages.PresenceData(status="here"))
    ben = messages.Participant("ben", 8, "Ben", "#00f", messages.PresenceData(messages.Cursor(1.5, 2)), "https://b/")
    cursor = messages.PresenceData(messages.Cursor(3, 4, 0, 640))
    said: list[tuple[messages.ServerPayload, str | None]] = [
        (messages.Connected("c", "ada", 1, 7, 20_000, limits, 1, False), None),
        (messages.RoomJoined("r", 3, [ada], messages.document_state("text", 3, "e", "abc"), 3, "write"), "r"),
        (messages.UserJoined("r", ben), "r"),
        (
            messages.PresenceUpdate("ben", 8, messages.PresenceData(selection=selection, status="idle", data=[1]), 5),
            "r",
        ),
        (messages.OperationBroadcast(["x"], "ben", 8, ID, 3, 4, TRACEPARENT), "r"),
        (messages.EventSent("wave", "ben", 8, {"hand": "left"}), "r"),
        (messages.PermissionChanged("r", "read"), "r"),
        (messages.TokenExpiring(60_000), None),
        (messages.ErrorSent(1003, "too fast", True, {"limit": 30}), "r"),
        (messages.BatchSent([Raw(encoded(messages.PresenceUpdate("ben", 8, cursor, 6), "r"))], False), None),
        (messages.PresenceUpdate("ben", 8, messages.PresenceData(selection=None, status=None, data=None), 7), "r"),
        (messages.UserLeft("r", ben), "r"),
        (messages.RoomLeft("r"), "r"),
    ]
    return [encoded(payload, room_id) for payload, room_id in said]


def encoded(payload: messages.ServerPayload, room_id: str | None) -> str:
    """The message as the gateway writes it, but for its random id."""
    return re.sub(r'^{"id":"[0-9a-f-]{36}"', f'{{"id":"{ID}"', messages.encode(payload, 1, room_id).decode())


def case(name: str, generate: Any, seed: int) -> dict[str, Any]:
    """The first case from the seed on that everybody can answer, with our answers."""
    for attempt in range(100):
        made = generate(Random(f"{name} {seed} {attempt}"))
        said = answers(ot.types[name], made)
        # A json1 document within a json1 document is for the comparison of the types themselves.
        is_answered = not any(isinstance(answer, Refused) or answer is ot.ABSENT for answer in said.values())
        if is_answered and "document" in made and '"json1"' not in json.dumps(made):
            return {**made, "answers": {question: said[question] for question in sorted(said)}}
    raise AssertionError(f"no case of {name}")


def dumped(vectors: dict[str, Any]) -> str:
    """As JSON, with a line for each example."""
    lines = [
        f"{json.dumps(name)}: [\n  {f',{chr(10)}  '.join(map(json.dumps, made))}\n ]"
        if isinstance(made, list)
        else f"{json.dumps(name)}: {json.dumps(made)}"
        for name, made in vectors.items()
    ]
    return "{\n " + ",\n ".join(lines) + "\n}\n"
