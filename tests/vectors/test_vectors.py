"""The examples in ``tests/vectors`` are ours to the byte, and those of the TypeScript client are understood."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.vectors.made import PYTHON, TRACEPARENT, TYPESCRIPT, dumped, python_vectors

from fastcollab import messages, ot
from fastcollab._binary import decode_frames
from fastcollab.checksums import canonical_json, checksum
from fastcollab.messages import Operation
from fastcollab.trace_context import canonical


@pytest.fixture(scope="module")
def typescript() -> dict[str, Any]:
    vectors: dict[str, Any] = json.loads(TYPESCRIPT.read_text(encoding="utf-8"))
    return vectors


def test_our_examples_are_current() -> None:
    current = dumped(python_vectors())
    assert PYTHON.read_text(encoding="utf-8") == current, "`python -m tests.vectors` writes them anew"


def test_frames_of_the_typescript_client(typescript: dict[str, Any]) -> None:
    assert len(typescript["frames"]) > 3
    for frame in typescript["frames"]:
        kind, handle, [record] = decode_frames(bytes.fromhex(frame["hex"]))
        said = frame["record"]
        viewport = (said["viewportX"], said["viewportY"]) if "viewportX" in said else None
        assert (kind, handle) == (frame["kind"], None)
        assert record == (said["user"], said["x"], said["y"], said["timestamp"], viewport)


def test_messages_of_the_typescript_client(typescript: dict[str, Any]) -> None:
    """One of each type that the protocol has, but for batches, which the client does not send."""
    kinds = {type(messages.decode(text)).__struct_config__.tag for text in typescript["messages"]}
    assert kinds == {
        *("connect", "refresh_token", "join_room", "leave_room", "activate_room", "cursor_move", "selection_change"),
        *("presence_update", "operation", "event", "get_document", "get_history", "restore", "ping"),
    }


def test_traces_of_the_typescript_client_TC1(typescript: dict[str, Any]) -> None:
    [operation] = [
        decoded for text in typescript["messages"] if isinstance(decoded := messages.decode(text), Operation)
    ]
    assert canonical(operation.payload.traceparent) == TRACEPARENT


def test_checksums_of_the_typescript_client(typescript: dict[str, Any]) -> None:
    assert len(typescript["checksums"]) > 5
    for example in typescript["checksums"]:
        assert canonical_json(example["value"]).decode() == example["canonical"]
        assert checksum(example["value"]) == example["checksum"]


@pytest.mark.parametrize("name", ["text", "json1", "rich-text"])
def test_operations_of_the_typescript_client(typescript: dict[str, Any], name: str) -> None:
    """Two people have written at once; both ways around lead to one document, there and here (OT2)."""
    document_type = ot.types[name]
    assert len(typescript["documents"][name]) > 2
    for case in typescript["documents"][name]:
        document, a, b = case["document"], case["a"], case["b"]
        left = document_type.apply(document_type.apply(document, b), document_type.transform(a, b, "left"))
        right = document_type.apply(document_type.apply(document, a), document_type.transform(b, a, "right"))
        assert left == right == case["both"]
        assert document_type.invert(a, document) == case["inverse"]
