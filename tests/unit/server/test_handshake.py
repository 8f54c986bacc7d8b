"""Which upgrade requests are granted, and with what the others are refused (H1 to H6)."""

from __future__ import annotations

from http import HTTPStatus

import pytest
from multidict import CIMultiDict
from picows import WSUpgradeRequest

from fastcollab.server.handshake import HandshakeSettings, Upgrade, UpgradeRefused, judge

Headers = list[tuple[str, str]]

UPGRADE: Headers = [
    ("Host", "localhost"),
    ("Upgrade", "websocket"),
    ("Connection", "Upgrade"),
    ("Sec-WebSocket-Version", "13"),
    ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
]


def request(path: bytes | str = b"/ws", headers: Headers = [], *, base: Headers = UPGRADE) -> WSUpgradeRequest:  # noqa: B006
    made = WSUpgradeRequest()
    made.method = b"GET"
    made.path = path.encode() if isinstance(path, str) else path
    made.version = b"HTTP/1.1"
    made.headers = CIMultiDict([*base, *headers])
    return made


def settings(**changes: object) -> HandshakeSettings:
    values: dict[str, object] = {"path": "/ws", "allowed_origins": ("*",), "allow_query_token": False}
    return HandshakeSettings(**(values | changes))  # type: ignore[arg-type]


def refusal(made: WSUpgradeRequest, by: HandshakeSettings) -> UpgradeRefused:
    with pytest.raises(UpgradeRefused) as refused:
        judge(made, by)
    assert refused.value.response().status == refused.value.status
    return refused.value


# --- H1: the path -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "target", ["/ws", "/ws?", "/ws?room=a&token=b", "http://localhost/ws", "HTTPS://localhost:1/ws?x=/y"]
)
def test_the_configured_path_is_granted(target: str) -> None:
    assert judge(request(target), settings()) == Upgrade(None, None)


@pytest.mark.parametrize(
    "target",
    [
        *("/", "*", "ws", "/WS", "/ws/", "/ws/x", "//ws", "/x?/ws", "?/ws", "/ws;a", "/%77s", "/./ws", "//host/ws"),
        *("//[", "http://[/", "http://localhost", "http:///x/ws", "ftp://localhost/ws"),
    ],
)
def test_any_other_path_is_not_found(target: str) -> None:
    assert refusal(request(target), settings()).status == HTTPStatus.NOT_FOUND


@pytest.mark.parametrize("target", ["/w\ts", "\0/ws", "/ws\0", "/ws?token=\0", "/ws\x7f", b"/ws\xff"])
def test_a_target_with_what_no_target_has_is_refused(target: str | bytes) -> None:
    assert refusal(request(target), settings()).status == HTTPStatus.BAD_REQUEST


def test_the_path_can_be_configured() -> None:
    elsewhere = settings(path="/collab/v1")
    assert judge(request("/collab/v1"), elsewhere) == Upgrade(None, None)
    assert refusal(request("/ws"), elsewhere).status == HTTPStatus.NOT_FOUND


@pytest.mark.parametrize("name", ["Host", "Origin", "Authorization", "Sec-WebSocket-Key", "sec-websocket-version"])
def test_what_may_come_once_is_refused_if_it_comes_twice(name: str) -> None:
    twice = request(headers=[(name, "13"), (name, "13")], base=[pair for pair in UPGRADE if pair[0] != name])
    refused = refusal(twice, settings())
    assert refused.status == HTTPStatus.BAD_REQUEST
    assert name.lower() in str(refused).lower()


# --- H2: the version, and what picows is too narrow about ------------------------------------------------------------


@pytest.mark.parametrize("version", ["12", "7", "8", "14", "0", "x", "", "013", "13, 8"])
def test_another_version_needs_an_upgrade(version: str) -> None:
    base = [header for header in UPGRADE if header[0] != "Sec-WebSocket-Version"]
    refused = refusal(request(headers=[("Sec-WebSocket-Version", version)], base=base), settings())
    assert refused.status == HTTPStatus.UPGRADE_REQUIRED
    assert refused.response().headers["Sec-WebSocket-Version"] == "13"


def test_a_request_without_a_version_is_left_to_the_check_of_the_upgrade() -> None:
    base = [header for header in UPGRADE if header[0] != "Sec-WebSocket-Version"]
    assert judge(request(base=base), settings()) == Upgrade(None, None)


@pytest.mark.parametrize(
    "lines", [["keep-alive, Upgrade"], ["UPGRADE"], ["keep-alive", "upgrade"], [" , upgrade ,close"]]
)
def test_a_connection_header_may_be_a_list(lines: list[str]) -> None:
    base = [header for header in UPGRADE if header[0] != "Connection"]
    made = request(headers=[("Connection", line) for line in lines], base=base)
    judge(made, settings())
    assert made.headers.getall("Connection") == ["Upgrade"]


@pytest.mark.parametrize("line", ["keep-alive", "", "upgraded", "no upgrade"])
def test_a_connection_header_that_asks_for_nothing_stays(line: str) -> None:
    base = [header for header in UPGRADE if header[0] != "Connection"]
    made = request(headers=[("Connection", line)], base=base)
    judge(made, settings())
    assert made.headers.getall("Connection") == [line]


# --- H3: subprotocols -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("lines", "chosen"),
    [
        (["fastcollab.v1"], "fastcollab.v1"),
        (["fastcollab.v1.batch"], "fastcollab.v1.batch"),
        (["fastcollab.v1, fastcollab.v1.batch"], "fastcollab.v1"),
        (["fastcollab.v1.batch, fastcollab.v1"], "fastcollab.v1.batch"),
        (["fastcollab.v1.batch", "fastcollab.v1"], "fastcollab.v1.batch"),
        (["graphql-ws ,,fastcollab.v1 "], "fastcollab.v1"),
        (["chat", "fastcollab.v9, fastcollab.v1.batch"], "fastcollab.v1.batch"),
        (["fastcollab.token.abc, fastcollab.v1"], "fastcollab.v1"),
    ],
)
def test_the_first_known_subprotocol_is_taken_and_echoed(lines: list[str], chosen: str) -> None:
    upgrade = judge(request(headers=[("Sec-WebSocket-Protocol", line) for line in lines]), settings())
    assert upgrade.subprotocol == chosen
    assert upgrade.batched == (chosen == "fastcollab.v1.batch")
    response = upgrade.response()
    assert response.status == HTTPStatus.SWITCHING_PROTOCOLS
    assert response.headers["Sec-WebSocket-Protocol"] == chosen


@pytest.mark.parametrize("headers", [[], [("Sec-WebSocket-Protocol", "")], [("Sec-WebSocket-Protocol", " , ")]])
def test_who_asks_for_no_subprotocol_gets_the_plain_one_and_no_header(headers: Headers) -> None:
    upgrade = judge(request(headers=headers), settings())
    assert upgrade == Upgrade(None, None)
    assert not upgrade.batched
    assert "Sec-WebSocket-Protocol" not in upgrade.response().headers


@pytest.mark.parametrize(
    "offered", ["fastcollab.v2", "FASTCOLLAB.V1", "chat, graphql-ws", "fastcollab.token.abc", "fastcollab.v1.batch.x"]
)
def test_who_asks_only_for_unknown_subprotocols_is_refused(offered: str) -> None:
    refused = refusal(request(headers=[("Sec-WebSocket-Protocol", offered)]), settings())
    assert refused.status == HTTPStatus.BAD_REQUEST


# --- H4: the token ----------------------------------------------------------------------------------------------------

OFFERED = ("Sec-WebSocket-Protocol", "fastcollab.v1, fastcollab.token.offered")


@pytest.mark.parametrize(
    ("headers", "token"),
    [
        ([("Authorization", "Bearer abc")], "abc"),
        ([("Authorization", "bearer  abc ")], "abc"),
        ([("authorization", "BEARER abc")], "abc"),
        ([("Authorization", "Basic abc")], None),
        ([("Authorization", "Bearer")], None),
        ([("Authorization", "Bearer   ")], None),
        ([("Authorization", "Bearerabc")], None),
        ([OFFERED], "offered"),
        ([OFFERED, ("Authorization", "Bearer abc")], "abc"),
        ([OFFERED, ("Authorization", "Basic abc")], "offered"),
        (
            [("Sec-WebSocket-Protocol", "fastcollab.token.a.b-c_d"), ("Sec-WebSocket-Protocol", "fastcollab.v1")],
            "a.b-c_d",
        ),
        ([("Sec-WebSocket-Protocol", "fastcollab.v1, FASTCOLLAB.TOKEN.abc")], None),
    ],
)
def test_a_token_is_found_in_the_handshake(headers: Headers, token: str | None) -> None:
    upgrade = judge(request("/ws?token=query", headers), settings())
    assert upgrade.token == token
    assert "token" not in str(upgrade.response().headers)


def test_an_empty_token_is_a_token() -> None:
    """So that it is refused, and not taken for a connection that is yet to send one."""
    upgrade = judge(request(headers=[("Sec-WebSocket-Protocol", "fastcollab.v1, fastcollab.token.")]), settings())
    assert upgrade.token == ""


@pytest.mark.parametrize(
    ("target", "token"),
    [
        ("/ws?token=abc", "abc"),
        ("/ws?a=b&token=a%2Eb&token=c", "a.b"),
        ("/ws?token=", None),
        ("/ws?Token=abc", None),
        ("/ws?token=%ff", "\ufffd"),
        ("/ws", None),
    ],
)
def test_a_token_in_the_query_is_looked_at_only_if_that_is_allowed(target: str, token: str | None) -> None:
    assert judge(request(target), settings(allow_query_token=True)).token == token
    assert judge(request(target), settings()).token is None
    assert judge(request(target, [("Authorization", "Bearer abc")]), settings(allow_query_token=True)).token == "abc"


# --- H5: the origin ---------------------------------------------------------------------------------------------------

ALLOWED = ("https://app.example.com", "https://*.example.org", "http://localhost:*", "http://[::1]:3000")


@pytest.mark.parametrize(
    "origin",
    [
        *("https://app.example.com", "HTTPS://App.Example.com", "https://a.example.org", "https://a.b.example.org"),
        *("http://localhost:3000", "http://[::1]:3000"),
    ],
)
def test_an_allowed_origin_is_let_through(origin: str) -> None:
    assert judge(request(headers=[("Origin", origin)]), settings(allowed_origins=ALLOWED)) == Upgrade(None, None)


@pytest.mark.parametrize(
    "origin",
    [
        *("http://app.example.com", "https://app.example.com:8443", "https://app.example.com.evil.net", "null", ""),
        *(
            "https://example.org",
            "https://evilexample.org",
            "http://localhost",
            "https://app-example.com",
            "http://:3000",
        ),
        "https://app.example.com https://evil.net",
    ],
)
def test_another_origin_is_forbidden(origin: str) -> None:
    refused = refusal(request(headers=[("Origin", origin)]), settings(allowed_origins=ALLOWED))
    assert refused.status == HTTPStatus.FORBIDDEN


def test_who_has_no_origin_is_no_browser() -> None:
    assert judge(request(), settings(allowed_origins=ALLOWED)) == Upgrade(None, None)


@pytest.mark.parametrize("origin", ["https://anywhere.example", "null"])
def test_every_origin_can_be_allowed(origin: str) -> None:
    assert judge(request(headers=[("Origin", origin)]), settings()) == Upgrade(None, None)


# --- H6 and the order of the checks -----------------------------------------------------------------------------------


def test_a_refusal_names_its_headers_as_http_does() -> None:
    response = UpgradeRefused(HTTPStatus.SERVICE_UNAVAILABLE, "the gateway is full", Retry_After="30").response()
    assert response.status == HTTPStatus.SERVICE_UNAVAILABLE
    assert response.headers["Retry-After"] == "30"
    assert response.body == b"the gateway is full\n"


def test_the_path_is_judged_before_anything_else() -> None:
    headers = [("Origin", "https://evil.net"), ("Sec-WebSocket-Protocol", "chat")]
    assert refusal(request("/", headers), settings(allowed_origins=ALLOWED)).status == HTTPStatus.NOT_FOUND
