"""What becomes of events when a gateway is killed before it could tell them: as `docs/webhooks.md` says."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

from tests.server.clients import Clients
from tests.server.gateway_process import serving
from tests.server.receiver import SECRET, Receiver, answering


def of_room(events: list[dict[str, Any]]) -> list[tuple[str, int | None]]:
    return [(event["event"], event.get("version")) for event in events if event.get("roomId") == "r"]


async def test_events_of_a_gateway_that_is_killed_are_lost_and_documents_are_not(
    clients: Clients, receiver: Receiver, tmp_path: Path
) -> None:
    store = tmp_path / "documents.db"
    hooks = [f"webhooks.url={receiver.url}", f"webhooks.secret={SECRET}", "webhooks.document_delay=0"]
    saves = [f"backend.save_url={receiver.url}", f"backend.secret={SECRET}", "backend.save_delay=0"]

    # It is killed in the middle: one event was tried, others wait behind it.
    receiver.on_event = answering(503)
    receiver.on_save = answering(503)
    async with serving(store, *hooks, *saves) as first:
        ada = await clients.enter(first, "ada", "r")
        assert await ada.operate(["one"], 0) == 1
        await receiver.noticed(lambda: ("room_occupied", None) in of_room(receiver.events))
        assert await first.end(signal.SIGKILL) == -signal.SIGKILL
    receiver.on_event = answering(204)
    receiver.on_save = receiver.keep
    tried = {event["id"] for event in receiver.events}
    receiver.events.clear()
    receiver.saves.clear()

    async with serving(store, *hooks, *saves) as second:
        # The state of the document is handed over, though nobody has opened it.
        assert (await receiver.saved("r", lambda state: state["version"] == 1))["data"] == "one"
        assert receiver.events == []
        # With the next change the receiver is told of all that it has missed of the document.
        ada = await clients.enter(second, "ada", "r")
        assert await ada.operate(["two "], 1) == 2
        await receiver.noticed(lambda: ("document_changed", 2) in of_room(receiver.events))
        assert of_room(receiver.events) == [("room_occupied", None), ("document_changed", 2)]
        assert not tried & {event["id"] for event in receiver.events}
        assert await second.end() == 0
    ada.take("error")
