"""Rooms whose document is of the type ``json1``, through a running gateway."""

from __future__ import annotations

import json
import struct
import time
import uuid
from typing import Any

from websockets.asyncio.client import ClientConnection, connect


async def tell(client: ClientConnection, kind: str, payload: dict[str, Any], **fields: Any) -> str:
    identifier = str(uuid.uuid4())
    message = {"id": identifier, "type": kind, "version": 1, "timestamp": int(time.time() * 1000), "payload": payload}
    await client.send(json.dumps({**message, **fields}))
    return identifier


async def hear(client: ClientConnection, kind: str) -> dict[str, Any]:
    """The payload of the next message of that type; those of other types are left out."""
    while True:
        message: dict[str, Any] = json.loads(await client.recv())
        parts = message["payload"]["messages"] if message["type"] == "batch" else [message]
        for part in parts:
            if part["type"] == kind:
                return dict(part["payload"])


async def join(gateway: Any, token: str) -> ClientConnection:
    client = await connect(gateway.url, additional_headers={"Authorization": f"Bearer {token}"})
    await tell(client, "join_room", {"roomId": "board", "documentType": "json1"})
    return client


async def test_two_clients_write_one_json_document(start_gateway: Any, make_token: Any) -> None:
    gateway = await start_gateway({"rooms.default_document_type": "json1"})
    ann, bob = await join(gateway, make_token("ann")), await join(gateway, make_token("bob"))
    try:
        for client in (ann, bob):
            state = (await hear(client, "room_joined"))["documentState"]
            assert (state["type"], state["data"], state["version"]) == ("json1", {}, 0)

        await tell(ann, "operation", {"operation": ["title", {"i": "Plan"}], "version": 0})
        assert (await hear(ann, "ack"))["version"] == 1
        assert (await hear(bob, "operation_broadcast"))["operation"] == ["title", {"i": "Plan"}]

        await tell(bob, "operation", {"operation": ["items", {"i": []}], "version": 0})
        assert (await hear(bob, "ack"))["version"] == 2
        await tell(bob, "operation", {"operation": ["title", {"es": ["A ", "B "]}], "version": 2})
        refused = await hear(bob, "error")
        assert refused["details"]["path"] == "payload.operation[1].es[1]"

        selection = {"ranges": [{"anchor": ["title", 0], "head": ["title", 4]}], "color": "red"}
        await tell(ann, "selection_change", selection)
        shown = (await hear(bob, "presence_update"))["presence"]["selection"]
        assert shown["ranges"] == selection["ranges"]
        await tell(ann, "selection_change", {"ranges": [{"anchor": ["title", 0], "head": 4}], "color": "red"})
        assert (await hear(ann, "error"))["details"]["path"] == "payload.ranges[0].head"
        # A frame has room for numbers only (B4).
        await ann.send(struct.pack(">HIffI", 2, 0, 1, 2, 0))
        assert (await hear(ann, "error"))["details"]["path"] == "frame"
    finally:
        await ann.close()
        await bob.close()
