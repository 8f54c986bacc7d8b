"""The handshake, and how a connection becomes a user: rules H1 to H6 and S1 to S6."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import time
from collections.abc import Callable

import jwt
import pytest
from tests.server.clients import Clients, HasUrl, StartGateway
from tests.server.raw_client import RawClient, upgrade_request
from tests.server.spec_client import SpecClient, cursor_frame
from tests.server.spec_shapes import BATCHED, CONNECTION_LIMIT, INVALID_TOKEN, PLAIN
from websockets.exceptions import InvalidStatus

MakeToken = Callable[..., str]


async def status_of(gateway: HasUrl, request: bytes) -> int:
    """The status of the answer to the bytes of a request."""
    async with await RawClient.dial(gateway.url) as client:
        return (await client.request(request)).status


# The request ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("target", ["/", "/w", "/ws/", "/wsx", "/WS", "/ws/../ws", "//ws", "/metrics"])
async def test_any_other_path_is_not_found_H1(gateway: HasUrl, target: str) -> None:
    assert await status_of(gateway, upgrade_request(gateway.url, target=target)) == 404


async def test_the_path_is_configured_and_a_query_is_no_part_of_it_H1(start_gateway: StartGateway) -> None:
    gateway = await start_gateway({"server.path": "/collaborate"})
    assert await status_of(gateway, upgrade_request(gateway.url, target="/ws")) == 404
    assert await status_of(gateway, upgrade_request(gateway.url, target="/collaborate?a=b")) == 101


async def test_the_answer_proves_that_the_key_was_read_H2(gateway: HasUrl) -> None:
    key = base64.b64encode(b"sixteen bytes it").decode()
    async with await RawClient.dial(gateway.url) as client:
        response = await client.request(upgrade_request(gateway.url, {"Sec-WebSocket-Key": key}))
        digest = hashlib.sha1(f"{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11".encode()).digest()
        assert response.status == 101
        assert response.headers["sec-websocket-accept"] == base64.b64encode(digest).decode()
        assert response.headers["upgrade"].lower() == "websocket"
        assert response.headers["connection"].lower() == "upgrade"
        assert "sec-websocket-protocol" not in response.headers
        await client.alive()


@pytest.mark.parametrize("version", ["0", "7", "8", "12", "14", "99"])
async def test_another_version_is_told_the_right_one_H2(gateway: HasUrl, version: str) -> None:
    async with await RawClient.dial(gateway.url) as client:
        response = await client.request(upgrade_request(gateway.url, {"Sec-WebSocket-Version": version}))
    assert response.status == 426
    assert response.headers["sec-websocket-version"] == "13"


@pytest.mark.parametrize(
    ("asked", "answer"),
    [
        (PLAIN, PLAIN),
        (BATCHED, BATCHED),
        (f"{BATCHED}, {PLAIN}", BATCHED),
        (f"{PLAIN},{BATCHED}", PLAIN),
        (f"chat, {BATCHED} ,{PLAIN}", BATCHED),
        (f"fastcollab.v2, {PLAIN}", PLAIN),
    ],
)
async def test_the_first_known_subprotocol_is_taken_H3(gateway: HasUrl, asked: str, answer: str) -> None:
    async with await RawClient.dial(gateway.url) as client:
        response = await client.request(upgrade_request(gateway.url, {"Sec-WebSocket-Protocol": asked}))
        assert (response.status, response.headers.get("sec-websocket-protocol")) == (101, answer)


@pytest.mark.parametrize("asked", ["chat", "fastcollab.v2", "FASTCOLLAB.V1", "fastcollab.v1.batch.x", "a, b"])
async def test_only_unknown_subprotocols_are_refused_H3(gateway: HasUrl, asked: str) -> None:
    assert await status_of(gateway, upgrade_request(gateway.url, {"Sec-WebSocket-Protocol": asked})) == 400


async def test_several_headers_list_the_subprotocols_too_H3(gateway: HasUrl) -> None:
    request = upgrade_request(gateway.url, {"Sec-WebSocket-Protocol": "chat"})
    request = request[:-2] + f"Sec-WebSocket-Protocol: {PLAIN}\r\n\r\n".encode()
    assert await status_of(gateway, request) == 101


async def test_a_token_comes_as_a_header_H4(gateway: HasUrl, clients: Clients) -> None:
    alice = await clients.open(gateway, header_token=clients.token("alice"))
    assert (await alice.await_connected())["userId"] == "alice"
    assert alice.subprotocol is None


@pytest.mark.parametrize("protocol", [PLAIN, BATCHED])
@pytest.mark.parametrize("token_first", [False, True])
async def test_a_token_comes_as_a_subprotocol_and_is_not_echoed_H4(
    gateway: HasUrl, clients: Clients, protocol: str, token_first: bool
) -> None:
    entries = [protocol, f"fastcollab.token.{clients.token('alice')}"]
    alice = await clients.open(gateway, subprotocols=entries[:: -1 if token_first else 1])
    assert (await alice.await_connected())["userId"] == "alice"
    assert alice.subprotocol == protocol


async def test_a_token_entry_names_no_protocol_H4(gateway: HasUrl, clients: Clients) -> None:
    entry = f"fastcollab.token.{clients.token('alice')}"
    assert await status_of(gateway, upgrade_request(gateway.url, {"Sec-WebSocket-Protocol": entry})) == 400


async def test_a_token_in_the_query_is_not_looked_at_H4(gateway: HasUrl, clients: Clients) -> None:
    url = f"{gateway.url}?token={clients.token('alice')}"
    client = await SpecClient.open(url)
    await client.barrier()
    assert not client.inbox
    await client.close()


async def test_a_token_in_the_query_is_looked_at_if_allowed_H4(start_gateway: StartGateway, clients: Clients) -> None:
    gateway = await start_gateway({"auth.allow_query_token": True})
    client = await SpecClient.open(f"{gateway.url}?a=b&token={clients.token('alice')}")
    assert (await client.await_connected())["userId"] == "alice"
    await client.close()


async def test_an_unknown_origin_is_forbidden_H5(start_gateway: StartGateway, clients: Clients) -> None:
    gateway = await start_gateway({"client.allowed_origins": ["https://good.example"]})
    for origin in (
        "https://evil.example",
        "http://good.example",
        "https://good.example.evil.example",
        "null",
    ):
        with pytest.raises(InvalidStatus) as refusal:
            await SpecClient.open(gateway.url, origin=origin)
        assert refusal.value.response.status_code == 403
    for allowed in ("https://good.example", None):
        client = await clients.open(gateway, origin=allowed, header_token=clients.token("alice"))
        await client.await_connected()


async def test_a_full_gateway_is_unavailable_H6(start_gateway: StartGateway, clients: Clients) -> None:
    gateway = await start_gateway({"limits.connections": 2})
    first = await clients.enter(gateway, "alice")
    await clients.enter(gateway, "bob")
    with pytest.raises(InvalidStatus) as refusal:
        await SpecClient.open(gateway.url)
    assert refusal.value.response.status_code == 503
    assert int(refusal.value.response.headers["Retry-After"]) >= 0
    await first.close()
    await clients.enter(gateway, "carol")


# Authentication ---------------------------------------------------------------------------------------------


def signed_otherwise(token: str, key: str | None, algorithm: str) -> str:
    """The claims of a good token, signed with another key or not at all."""
    claims = jwt.decode(token, options={"verify_signature": False})
    return jwt.encode(claims, key, algorithm)  # type: ignore[arg-type]


def forged(token: str) -> str:
    """A good token whose claims were changed after it was signed."""
    header, _, signature = token.split(".")
    claims = jwt.decode(token, options={"verify_signature": False}) | {"sub": "mallory"}
    return ".".join((header, jwt.encode(claims, "k" * 32, "HS256").split(".")[1], signature))


BAD_TOKENS: dict[str, Callable[[MakeToken], str]] = {
    "no JWT": lambda make: "nonsense",
    "empty parts": lambda make: "..",
    "cut off": lambda make: make("eve")[:-10],
    "expired": lambda make: make("eve", exp=int(time.time()) - 3600),
    "not valid yet": lambda make: make("eve", nbf=int(time.time()) + 3600),
    "wrong key": lambda make: signed_otherwise(make("eve"), "another secret, as long as it must be", "HS256"),
    "algorithm none": lambda make: signed_otherwise(make("eve"), None, "none"),
    "forged claims": lambda make: forged(make("eve")),
    "no user": lambda make: make(""),
    "long user": lambda make: make("e" * 129),
    "white space before": lambda make: make(" eve"),
    "white space after": lambda make: make("eve\u3000"),
    "control character": lambda make: make("e\nve"),
    "NUL": lambda make: make("e\0ve"),
    "user is a number": lambda make: make(7),
    "no expiry": lambda make: make("eve", exp=None),
}


@pytest.mark.parametrize("bad", BAD_TOKENS)
@pytest.mark.parametrize("way", ["header", "subprotocol"])
async def test_a_bad_token_in_the_handshake_is_told_over_the_open_socket_S2_S3(
    gateway: HasUrl, clients: Clients, bad: str, way: str
) -> None:
    token = BAD_TOKENS[bad](clients.token)
    if way == "header":
        eve = await clients.open(gateway, header_token=token)
    else:
        eve = await clients.open(gateway, subprotocols=[PLAIN, f"fastcollab.token.{token}"])
    error = (await eve.expect("error")).payload
    assert (error["code"], error["recoverable"]) == (INVALID_TOKEN, False)
    await eve.closed(4101)


@pytest.mark.parametrize("bad", ["empty", *BAD_TOKENS])
async def test_a_bad_token_in_connect_does_not_authenticate_S1_S2_S4_X1(
    gateway: HasUrl, clients: Clients, bad: str
) -> None:
    token = BAD_TOKENS[bad](clients.token) if bad != "empty" else ""
    eve = await clients.open(gateway)
    message_id = await eve.send("connect", {"token": token, "deviceId": "d", "clientVersion": "1"})
    error = (await eve.expect("error")).payload
    assert error["code"] == INVALID_TOKEN
    assert error["details"]["messageId"] == message_id
    if error["recoverable"]:
        await eve.refusal(INVALID_TOKEN, "join_room", {"roomId": "r"})
        assert (await eve.connect(clients.token("eve")))["userId"] == "eve"
    else:
        await eve.closed(4101)


async def test_issuer_and_audience_are_required_where_configured_S2(
    start_gateway: StartGateway, clients: Clients
) -> None:
    gateway = await start_gateway({"auth.issuer": "https://id.example", "auth.audience": "fastcollab"})
    for claims in (
        {},
        {"iss": "https://id.example"},
        {"aud": "fastcollab"},
        {"iss": "https://other.example", "aud": "fastcollab"},
        {"iss": "https://id.example", "aud": "something-else"},
    ):
        eve = await clients.open(gateway, header_token=clients.token("eve", **claims))
        await eve.refused(INVALID_TOKEN)
        await eve.closed(4101)
    good = clients.token("alice", iss="https://id.example", aud=["other", "fastcollab"])
    alice = await clients.open(gateway, header_token=good)
    assert (await alice.await_connected())["userId"] == "alice"


async def test_the_longest_user_id_and_name_are_taken_as_they_are_S2(gateway: HasUrl, clients: Clients) -> None:
    user, name = "é" * 128, "😀" * 128
    long = await clients.enter(gateway, user, "r", claims={"name": name, "color": "#0080ff"})
    assert long.connected["userId"] == user
    (participant,) = long.rooms["r"]["participants"]
    assert (participant["userId"], participant["name"], participant["color"]) == (user, name, "#0080ff")


@pytest.mark.parametrize(
    "claims",
    [
        {"name": "n" * 129},
        {"name": 7},
        {"color": "red; background: url(https://evil.example)"},
        {"color": "<script>"},
        {"color": 7},
        {"rooms": "write"},
        {"rooms": {"*": "root"}},
        {"rooms": ["*"]},
    ],
)
async def test_a_token_with_claims_of_the_wrong_shape_is_refused_S2(
    gateway: HasUrl, clients: Clients, claims: dict[str, object]
) -> None:
    eve = await clients.open(gateway, header_token=clients.token("eve", **claims))
    await eve.refused(INVALID_TOKEN)
    await eve.closed(4101)


@pytest.mark.parametrize(
    ("type", "payload"),
    [
        ("join_room", {"roomId": "r"}),
        ("leave_room", {"roomId": "r"}),
        ("cursor_move", {"x": 0, "y": 0, "viewportX": 0, "viewportY": 0, "timestamp": 0}),
        ("operation", {"operation": ["a"], "version": 0}),
        ("event", {"name": "e"}),
    ],
)
async def test_a_new_connection_may_only_connect_and_ping_S1(
    gateway: HasUrl,
    clients: Clients,
    type: str,  # noqa: A002
    payload: dict[str, object],
) -> None:
    nobody = await clients.open(gateway)
    await nobody.barrier()
    await nobody.refusal(INVALID_TOKEN, type, payload)
    assert (await nobody.connect(clients.token("alice")))["userId"] == "alice"


async def test_a_new_connection_may_not_send_frames_S1(gateway: HasUrl, clients: Clients) -> None:
    nobody = await clients.open(gateway)
    await nobody.send_frame(cursor_frame(1, 2))
    await nobody.refused(INVALID_TOKEN)
    await nobody.barrier()


async def test_without_a_token_in_time_the_connection_ends_S1(start_gateway: StartGateway, clients: Clients) -> None:
    gateway = await start_gateway({"auth.connect_timeout": 0.3})
    nobody = await clients.open(gateway)
    somebody = await clients.open(gateway)
    await somebody.connect(clients.token("alice"))
    began = time.monotonic()
    while nobody.close_code is None and time.monotonic() < began + 5:
        await nobody.send("ping", {"timestamp": 0})  # a client that talks is not thereby known
        await asyncio.sleep(0.05)
    await nobody.closed(4101)
    assert 0.2 < time.monotonic() - began < 1.5
    error = (await nobody.expect("error")).payload
    assert (error["code"], error["recoverable"]) == (INVALID_TOKEN, False)
    await somebody.barrier()


async def test_connected_says_who_and_how_much_S3(start_gateway: StartGateway, clients: Clients) -> None:
    gateway = await start_gateway(
        {
            "limits.cursor_updates": 61,
            "limits.operations": 31,
            "limits.messages": 121,
            "limits.burst": 3,
            "limits.connections_per_user": 6,
            "limits.rooms_per_user": 11,
            "rooms.max_participants": 501,
            "client.max_message_bytes": 65536,
            "documents.max_operation_bytes": 4096,
            "rooms.max_messages_per_batch": 101,
        }
    )
    alice = await clients.enter(gateway, "alice")
    assert alice.connected["limits"] == {
        "cursorUpdates": 61,
        "operations": 31,
        "messages": 121,
        "burst": 3,
        "connections": 6,
        "rooms": 11,
        "participants": 501,
        "maxMessageBytes": 65536,
        "maxOperationBytes": 4096,
        "maxMessagesPerBatch": 101,
    }
    assert alice.connected["resumed"] is False
    assert abs(alice.connected["serverTime"] / 1000 - time.time()) < 60
    assert alice.connected["heartbeatInterval"] > 0


async def test_connect_restates_device_and_version_S4(gateway: HasUrl, clients: Clients) -> None:
    alice = await clients.enter(gateway, "alice")
    first = alice.connected
    for token in ("", clients.token("alice")):
        again = await alice.connect(token)
        assert (again["connectionId"], again["userId"]) == (first["connectionId"], "alice")
        assert again["numericId"] == first["numericId"]


async def test_a_token_for_another_user_changes_nothing_S4(gateway: HasUrl, clients: Clients) -> None:
    alice = await clients.enter(gateway, "alice", "r")
    payload = {"token": clients.token("bob"), "deviceId": "d", "clientVersion": "1"}
    await alice.refusal(INVALID_TOKEN, "connect", payload)
    bad = {"token": "nonsense", "deviceId": "d", "clientVersion": "1"}
    await alice.refusal(INVALID_TOKEN, "connect", bad)
    assert (await alice.connect(""))["userId"] == "alice"
    assert [one["userId"] for one in (await alice.join("r"))["participants"]] == ["alice"]


@pytest.mark.parametrize("way", ["header", "message"])
async def test_one_connection_too_many_is_closed_S5(start_gateway: StartGateway, clients: Clients, way: str) -> None:
    gateway = await start_gateway({"limits.connections_per_user": 2})
    first = await clients.enter(gateway, "alice")
    second = await clients.enter(gateway, "alice")
    await clients.enter(gateway, "bob")
    third = await clients.open(gateway, header_token=clients.token("alice") if way == "header" else None)
    if way == "message":
        await third.send("connect", {"token": clients.token("alice"), "deviceId": "d", "clientVersion": "1"})
    error = (await third.expect("error")).payload
    assert (error["code"], error["recoverable"]) == (CONNECTION_LIMIT, False)
    await third.closed(4102)
    await second.barrier()
    await first.close()
    fourth = await clients.enter(gateway, "alice")
    assert fourth.connected["userId"] == "alice"


@pytest.mark.parametrize("user", ["0", "7", "4294967295"])
async def test_a_decimal_user_is_its_own_number_S6(gateway: HasUrl, clients: Clients, user: str) -> None:
    assert (await clients.enter(gateway, user)).number == int(user)


async def test_each_user_has_a_number_of_its_own_S6(gateway: HasUrl, clients: Clients) -> None:
    users = ["7", "007", "+7", "7.0", "-7", "\uff14", "4294967296", "alice", "Alice", "bob"]
    numbers = [(await clients.enter(gateway, user)).number for user in users]
    assert len(set(numbers)) == len(users)
    assert numbers[0] == 7


async def test_a_number_that_is_taken_is_not_given_again_S6(gateway: HasUrl, clients: Clients) -> None:
    alice = await clients.enter(gateway, "alice")
    other = await clients.enter(gateway, str(alice.number))
    assert other.number != alice.number
    again = await clients.enter(gateway, str(alice.number))
    assert again.number == other.number


async def test_a_user_who_comes_back_has_the_same_number_S6(gateway: HasUrl, clients: Clients) -> None:
    numbers = {}
    for user in ("alice", "bob", "carol"):
        client = await clients.enter(gateway, user)
        numbers[user] = client.number
        assert (await clients.enter(gateway, user)).number == client.number
        await client.close()
    for user in ("carol", "alice", "bob"):
        assert (await clients.enter(gateway, user)).number == numbers[user]
