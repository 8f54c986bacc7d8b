"""Log events say which connection, room and operation they are about."""

from __future__ import annotations

from typing import Any

import pytest
from tests.server.clients import Clients
from tests.server.spec_shapes import INTERNAL_ERROR

from fastcollab import Gateway
from fastcollab.core.document import Document
from fastcollab.core.room import Room

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
OPERATION = {"operation": ["x"], "version": 0, "traceparent": f"00-{TRACE}-{SPAN}-01"}


def fails(*_arguments: Any) -> Any:
    raise ZeroDivisionError


def fields(caplog: pytest.LogCaptureFixture, event: str) -> dict[str, Any]:
    [record] = [record for record in caplog.records if record.getMessage() == event]
    caplog.clear()  # its traceback would keep the connection alive
    return dict(record.fields)  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("part", "method", "event"),
    [
        (Room, "submit", "a message could not be carried out"),
        (Document, "stage", "an operation could not be carried out"),
    ],
)
async def test_of_an_operation_that_meets_a_fault(
    gateway: Gateway,
    clients: Clients,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    part: type,
    method: str,
    event: str,
) -> None:
    alice = await clients.enter(gateway, "alice", "r")
    monkeypatch.setattr(part, method, fails)
    for given in (OPERATION, OPERATION | {"traceparent": "none"}):
        sent = await alice.send("operation", given)  # to the active room
        await alice.refused(INTERNAL_ERROR, sent)
        [(connection_id, _)] = gateway.all_connection_metrics()
        trace = {"trace_id": TRACE, "span_id": SPAN} if given is OPERATION else {}
        assert fields(caplog, event) == {
            "connection_id": connection_id,
            "room_id": "r",
            "message_id": sent,
            **trace,
        }


async def test_of_a_room_that_cannot_be_opened(
    gateway: Gateway, clients: Clients, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    alice = await clients.enter(gateway, "alice")
    monkeypatch.setattr(Room, "enter", fails)
    sent = await alice.send("join_room", {"roomId": "closed"})
    await alice.refused(INTERNAL_ERROR, sent)
    [(connection_id, _)] = gateway.all_connection_metrics()
    about = {"connection_id": connection_id, "room_id": "closed", "message_id": sent}
    assert fields(caplog, "a step could not be carried out") == about
