"""How users are shown, as a back end has it: over HTTP and from functions (rules P5 and P6)."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from aiohttp import web
from tests.server.receiver import SECRET, Answer, Receiver, answering
from tests.server.spec_client import SpecClient

from fastcollab import Gateway
from fastcollab.ports import Profile

CLAIMS = {"name": "Ada of the token", "color": "#111111", "picture": "https://token.example/ada.png"}
TOKEN = {**CLAIMS, "rooms": {"*": "write"}}


@pytest.fixture
async def gateway(start_gateway, receiver: Receiver) -> Gateway:
    return await start_gateway(
        {
            "backend.profile_url": receiver.url,
            "backend.secret": SECRET,
            "backend.profile_timeout": 0.3,
            "limits.connections_per_user": 200,
        }
    )


def shown(client: SpecClient) -> dict[str, Any]:
    """How the client's user is shown, of what a profile has."""
    (found,) = (each for each in client.rooms["r"]["participants"] if each["numericId"] == client.number)
    return {name: found[name] for name in ("name", "color", "picture") if name in found}


async def test_P5_what_the_back_end_has_counts_and_not_the_claims(gateway, receiver, clients) -> None:
    receiver.profiles["ada"] = {"name": "Ada L.", "color": "teal", "picture": "https://example.com/ada.png"}
    bob = await clients.enter(gateway, "bob", "r")
    ada = await clients.enter(gateway, "ada", "r", claims=TOKEN)
    assert shown(ada) == receiver.profiles["ada"]
    arrived = (await bob.expect("user_joined")).payload["participant"]
    assert (arrived["name"], arrived["picture"]) == ("Ada L.", "https://example.com/ada.png")
    assert receiver.profiles_asked == [{"event": "profile", "userId": user} for user in ("bob", "ada")]


@pytest.mark.parametrize(
    ("profile", "differs"),
    [
        ({}, {}),
        ({"name": "Ada"}, {"name": "Ada"}),
        ({"name": None, "color": "#222"}, {"color": "#222"}),
        ({"name": "<b>A</b>da\u202e & <script>x</script>Co"}, {"name": "Ada & Co"}),
        ({"name": "<b></b>", "color": "url(x)", "picture": "javascript:alert(1)"}, {}),
        ({"name": "x" * 200}, {"name": "x" * 128}),
        ({"picture": "http://example.com/a.png", "more": [1]}, {}),
    ],
)
async def test_P5_P6_fields_count_one_by_one(gateway, receiver, clients, profile: dict[str, Any], differs: Any) -> None:
    receiver.profiles["ada"] = profile
    ada = await clients.enter(gateway, "ada", "r", claims=TOKEN)
    assert shown(ada) == CLAIMS | differs


async def late(request: dict[str, Any]) -> web.Response:
    await asyncio.sleep(0.6)
    return web.json_response({"name": "too late"})


async def hangs_up(request: dict[str, Any]) -> web.Response:
    raise asyncio.CancelledError


def body(text: str) -> Answer:
    return answering(200, body=text.encode())


@pytest.mark.parametrize(
    "answer",
    [
        *(answering(status) for status in (201, 204, 401, 403, 404, 500, 503)),
        answering(302, headers={"Location": "/documents"}),
        *map(body, ("", "<html>", "null", "[]", '{"name": 7}', '{"name": "\\ud800"}', '{"color": ["red"]}')),
        body('{"name": "A", "x": "' + "x" * 65_536 + '"}'),
        body("[" * 9_000),
        late,
        hangs_up,
    ],
)
async def test_P5_a_profile_that_cannot_be_had_keeps_nobody_out(gateway, receiver, clients, answer: Answer) -> None:
    receiver.on_profile = answer
    loop = asyncio.get_running_loop()
    began = loop.time()
    ada = await clients.enter(gateway, "ada", "r", claims=TOKEN)
    assert loop.time() - began < 0.9
    assert shown(ada) == CLAIMS
    assert len(receiver.profiles_asked) == 1


async def test_P5_without_name_and_colour_the_id_counts(gateway, receiver, clients) -> None:
    ada = await clients.enter(gateway, "ada", "r")
    assert shown(ada)["name"] == "ada"
    assert shown(ada)["color"].startswith("#")


async def test_P5_a_profile_is_asked_for_once_by_many_and_kept(gateway, receiver, clients) -> None:
    async def slowly(request: dict[str, Any]) -> web.Response:
        await asyncio.sleep(0.2)
        return web.json_response({"name": "Ada"})

    receiver.on_profile = slowly
    many = await asyncio.gather(*(clients.enter(gateway, "ada") for _ in range(50)))
    await many[0].connect(clients.token("ada"))
    await clients.enter(gateway, "ada")
    assert len(receiver.profiles_asked) == 1
    assert shown_name(await many[0].join("r")) == "Ada"


def shown_name(joined: dict[str, Any]) -> str:
    (participant,) = joined["participants"]
    return str(participant["name"])


async def test_P5_a_profile_is_kept_for_its_time(start_gateway, receiver, clients) -> None:
    gateway = await start_gateway(
        {"backend.profile_url": receiver.url, "backend.secret": SECRET, "backend.profile_ttl": 0.3}
    )
    receiver.profiles["ada"] = {"name": "Ada"}
    ada = await clients.enter(gateway, "ada", "r")
    receiver.profiles["ada"] = {"name": "Ada L."}
    await clients.enter(gateway, "ada")
    assert len(receiver.profiles_asked) == 1
    await asyncio.sleep(0.4)
    await ada.connect(clients.token("ada"))
    assert shown_name(await ada.join("r")) == "Ada L."


async def test_P5_a_back_end_that_is_down_delays_few(gateway, receiver, clients) -> None:
    receiver.on_profile = late
    for number in range(5):
        await clients.enter(gateway, f"user {number}")
    loop = asyncio.get_running_loop()
    began = loop.time()
    for number in range(5, 15):
        await clients.enter(gateway, f"user {number}")
    assert loop.time() - began < 0.3
    assert len(receiver.profiles_asked) == 5
    receiver.on_profile = receiver.show
    receiver.profiles["ada"] = {"name": "Ada L."}
    await asyncio.sleep(1)
    ada = await clients.enter(gateway, "ada", "r")
    assert shown(ada)["name"] == "Ada L."


async def test_P5_who_leaves_meanwhile_leaves_nothing(gateway, receiver, clients) -> None:
    receiver.on_profile = late
    many = [await clients.open(gateway, header_token=clients.token("ada")) for _ in range(3)]
    await receiver.asked(1)
    for client in many:
        await client.close()
    await asyncio.sleep(0.5)
    assert gateway.connection_count == 0
    await clients.enter(gateway, "ada", "r")


async def test_a_function_says_how_users_are_shown_P5(start_gateway, clients) -> None:
    async def profile(user_id: str) -> Any:
        match user_id:
            case "nobody":
                return None
            case "broken":
                raise KeyError("a fault of the user's")
            case "wrong":
                return {"name": "no profile"}
            case "odd":
                return Profile(name="Odd", color=7, picture=7)  # type: ignore[arg-type]
            case "odder":
                return Profile(name=7)  # type: ignore[arg-type]
            case "hangs":
                await asyncio.sleep(3600)
        return Profile(f"{user_id.title()} <i>of the function</i>", "#333333", "https://example.com/x.png")

    gateway = await start_gateway({"backend.profile_timeout": 0.2}, profile=profile)
    ada = await clients.enter(gateway, "ada", "r", claims=TOKEN)
    assert shown(ada) == {"name": "Ada of the function", "color": "#333333", "picture": "https://example.com/x.png"}
    for user in ("nobody", "broken", "wrong", "hangs", "odder"):
        assert shown(await clients.enter(gateway, user, "r", claims=TOKEN)) == CLAIMS
    assert shown(await clients.enter(gateway, "odd", "r", claims=TOKEN)) == {**CLAIMS, "name": "Odd"}
