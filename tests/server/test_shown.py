"""What users are shown of each other is cleaned, and what they write is not (rules P5 and P6)."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.server.clients import Clients, HasUrl, settled
from tests.server.spec_client import SpecClient

EVIL = "<script>alert('🦆')</script>"
#: What a sanitiser would like to change.
WRITTEN = f"a{EVIL}b <b>&amp; \u202e&lt;</b> e\u0301 \u200b\u0000\r\n\t  <img src=x onerror=alert(1)>"


def own(client: SpecClient, room: str = "r") -> dict[str, Any]:
    (found,) = (each for each in client.rooms[room]["participants"] if each["numericId"] == client.number)
    return dict(found)


async def test_markup_in_a_name_reaches_nobody_P6(gateway: HasUrl, clients: Clients) -> None:
    bob = await clients.enter(gateway, "bob", "r")
    claims = {"name": f"E{EVIL}ve\u202e <b>&</b> Co", "picture": "javascript:alert(1)", "color": "#fff"}
    eve = await clients.enter(gateway, "eve", "r", claims={**claims, "rooms": {"*": "write"}})
    arrived = (await bob.expect("user_joined")).payload["participant"]
    assert arrived == own(eve)
    assert arrived["name"] == "Eve & Co"
    assert "picture" not in arrived


async def test_an_id_is_passed_on_as_it_is_and_shown_without_markup_P5_P6(gateway: HasUrl, clients: Clients) -> None:
    for user, name in ((f"eve{EVIL}", "eve"), (EVIL, "?"), ("\u200beve", "eve")):
        eve = await clients.enter(gateway, user, "r")
        assert eve.connected["userId"] == user
        assert (own(eve)["userId"], own(eve)["name"]) == (user, name)


async def test_a_picture_of_the_token_is_shown_P5(gateway: HasUrl, clients: Clients) -> None:
    claims = {"picture": "https://example.com/ada.png", "rooms": {"*": "write"}}
    ada = await clients.enter(gateway, "ada", "r", claims=claims)
    assert own(ada)["picture"] == "https://example.com/ada.png"


@pytest.mark.parametrize("picture", [None, 7, {"url": "https://a.b/"}, "http://a.b/c.png", "x" * 5_000])
async def test_what_is_no_picture_keeps_nobody_out_P5(gateway: HasUrl, clients: Clients, picture: object) -> None:
    ada = await clients.enter(gateway, "ada", "r", claims={"picture": picture, "rooms": {"*": "write"}})
    assert "picture" not in own(ada)


async def test_a_status_is_shown_without_markup_P6(gateway: HasUrl, clients: Clients) -> None:
    bob = await clients.enter(gateway, "bob", "r")
    eve = await clients.enter(gateway, "eve", "r")
    await eve.send("presence_update", {"presence": {"status": f"on{EVIL} <i>leave</i> <3\u202e", "data": WRITTEN}})
    presence = (await bob.expect("presence_update")).payload["presence"]
    assert presence == {"status": "on leave <3", "data": WRITTEN}
    await bob.join("r")
    (seen,) = (each for each in bob.rooms["r"]["participants"] if each["userId"] == "eve")
    assert seen["presence"] == presence
    for status, shown in (("<b></b>", ""), (None, None)):
        await eve.send("presence_update", {"presence": {"status": status}})
        assert (await bob.expect("presence_update")).payload["presence"] == {"status": shown}


@pytest.mark.parametrize(
    ("kind", "operation", "content"),
    [
        ("text", [WRITTEN], WRITTEN),
        ("json1", [WRITTEN, {"i": {WRITTEN: [WRITTEN]}}], {WRITTEN: {WRITTEN: [WRITTEN]}}),
        (
            "rich-text",
            [{"insert": WRITTEN, "attributes": {"link": "javascript:alert(1)"}}, {"insert": {"html": WRITTEN}}],
            [{"insert": WRITTEN, "attributes": {"link": "javascript:alert(1)"}}, {"insert": {"html": WRITTEN}}],
        ),
    ],
)
async def test_documents_are_not_altered_P6(
    start_gateway: Any, clients: Clients, tmp_path: Any, kind: str, operation: Any, content: Any
) -> None:
    settings = {"engine.url": f"sqlite:{tmp_path}/documents.db"}
    gateway = await start_gateway(settings)
    bob = await clients.enter(gateway, "bob")
    await bob.join("r", documentType=kind)
    eve = await clients.enter(gateway, "eve")
    await eve.join("r", documentType=kind)
    await eve.operate(operation, 0)
    assert (await bob.expect("operation_broadcast")).payload["operation"] == operation
    await gateway.stop()
    for client in (bob, eve):
        client.take("error", "user_joined")
    again = await clients.enter(await start_gateway(settings), "ada")
    data = (await again.join("r"))["documentState"]["data"]
    assert json.dumps(data, ensure_ascii=False).encode() == json.dumps(content, ensure_ascii=False).encode()


async def test_events_are_not_altered_P6(gateway: HasUrl, clients: Clients) -> None:
    bob = await clients.enter(gateway, "bob", "r")
    eve = await clients.enter(gateway, "eve", "r")
    await eve.send("event", {"name": EVIL, "data": {WRITTEN: WRITTEN}})
    event = (await bob.expect("event")).payload
    assert (event["name"], event["data"]) == (EVIL, {WRITTEN: WRITTEN})
    await settled(eve, bob)
