"""Fuzzes the upgrade request: requests that are good, nearly good, or no HTTP, in pieces of any size.

The property:

* A request is answered once, with one complete head, and with a status that is meant: never with 500.
* It is granted only if it is a WebSocket request by an independent reading (RFC 6455, 4.2.1). `Sec-WebSocket-Accept`
  is then right, the subprotocol one that was offered, and what follows is frames. A good request is granted.
* A request that is refused ends the connection. No answer of the gateway's own has the token in it.
"""

from __future__ import annotations

import base64
import hashlib
import sys
import time
from dataclasses import dataclass

import atheris
import jwt

from fastcollab import Config, Gateway
from fuzz import edge
from fuzz.values import Source

SECRET = "a secret of the fuzz targets, and of nobody else"
ORIGIN = "https://app.example.com"
GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
REFUSALS = {400, 403, 404, 408, 414, 426, 429, 431, 503}
HEADERS_SENT = {
    "connection", "content-length", "content-type", "date", "retry-after", "sec-websocket-accept",
    "sec-websocket-extensions", "sec-websocket-protocol", "sec-websocket-version", "server", "upgrade",
}  # fmt: skip
PROTOCOLS = ("fastcollab.v1", "fastcollab.v1.batch")
TOKEN = jwt.encode({"sub": "ada", "exp": time.time() + 86_400}, SECRET, "HS256")


@dataclass(frozen=True, slots=True)
class Response:
    status: int
    headers: dict[str, str]  # names in lower case
    rest: bytes


def read_response(sent: bytes) -> Response:
    """The head that the gateway has sent, which must be a good one, and what follows."""
    head, blank, rest = sent.partition(b"\r\n\r\n")
    assert blank, "a head breaks off"
    lines = head.decode("ascii").split("\r\n")
    version, status, _ = lines[0].split(" ", 2)
    assert version == "HTTP/1.1", lines[0]
    headers: dict[str, str] = {}
    for line in lines[1:]:
        name, colon, value = line.partition(":")
        assert colon and name.lower() in HEADERS_SENT and name.lower() not in headers, line
        assert not any(character < " " for character in value), line
        headers[name.lower()] = value.strip()
    return Response(int(status), headers, rest)


def values_of(head: bytes, wanted: str) -> list[str]:
    """The values of all lines of the request that have a header of this name."""
    found = []
    for line in head.split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        if name.strip().lower() == wanted.encode():
            found.append(value.strip().decode("latin-1"))
    return found


def elements_of(head: bytes, wanted: str) -> list[str]:
    return [element.strip() for value in values_of(head, wanted) for element in value.split(",")]


@atheris.instrument_func
def judge_granted(request: bytes, response: Response) -> None:
    """Raises AssertionError unless this request may be answered so."""
    head = request.partition(b"\r\n\r\n")[0]
    method, target, version = head.split(b"\r\n")[0].split(b" ")
    assert (method, version) == (b"GET", b"HTTP/1.1"), "not a request for an upgrade"
    assert b"/ws" in target, "another path"
    assert "websocket" in [each.lower() for each in elements_of(head, "upgrade")]
    assert "upgrade" in [each.lower() for each in elements_of(head, "connection")]
    assert "13" in values_of(head, "sec-websocket-version")
    assert all(origin.lower() == ORIGIN for origin in values_of(head, "origin")[:1]), "a foreign origin"
    (key,) = values_of(head, "sec-websocket-key")
    assert len(base64.b64decode(key)) == 16, key
    accept = base64.b64encode(hashlib.sha1((key + GUID).encode()).digest()).decode()
    assert response.headers["sec-websocket-accept"] == accept
    protocol = response.headers.get("sec-websocket-protocol")
    offered = elements_of(head, "sec-websocket-protocol")
    assert protocol is None or (protocol in PROTOCOLS and protocol in offered), protocol
    if "sec-websocket-extensions" in response.headers:
        assert any("permessage-deflate" in each.lower() for each in values_of(head, "sec-websocket-extensions"))
    edge.frames(response.rest)


LINES = {
    "Host": ["a", "", "a\x00b"],
    "Upgrade": ["websocket", "WebSocket", "h2c", "websocket, h2c", ""],
    "Connection": ["Upgrade", "keep-alive, Upgrade", "close", "upgrade,"],
    "Sec-WebSocket-Key": [edge.KEY, "", "short", edge.KEY + "A", "*" * 24, "é" * 16],
    "Sec-WebSocket-Version": ["13", "8", "", "13, 8", "٣"],
    "Origin": [ORIGIN, ORIGIN.upper(), "null", "https://evil.example", "https://app.example.com.evil.example", "["],
    "Authorization": [f"Bearer {TOKEN}", "Bearer", "bearer x.y.z", "Basic QQ==", f"Bearer {TOKEN[:-1]}"],
    "Sec-WebSocket-Protocol": [
        "fastcollab.v1", "fastcollab.v1.batch", f"fastcollab.v1.batch, fastcollab.token.{TOKEN}", "other", ",,",
        "fastcollab.resume.x, fastcollab.v1",
    ],
    "Sec-WebSocket-Extensions": [
        "permessage-deflate", "permessage-deflate; client_max_window_bits; server_max_window_bits=9", 'x; y="', ";;,,",
        'permessage-deflate; server_max_window_bits="8"', "permessage-deflate; a=b, permessage-deflate",
    ],
    "X-Forwarded-For": ["1.2.3.4", "::1, unknown", ""],
    "Transfer-Encoding": ["chunked"],
    "Content-Length": ["5", "-1", "x"],
    "Cookie": ["a=b", "x" * 20_000],
}  # fmt: skip
NEEDED = ("Host", "Upgrade", "Connection", "Sec-WebSocket-Key", "Sec-WebSocket-Version")


@atheris.instrument_func
def make_request(source: Source) -> tuple[bytes, bool]:
    """The bytes of a request, and whether it is a good one."""
    if source.maybe(20):
        return source.rest(), False
    good = True
    start = "GET /ws HTTP/1.1"
    if source.maybe(4):
        method = source.choice(["GET", "POST", "get", "", source.text(3)])
        target = source.choice(
            ["/ws", "/", "/ws?token=x", "/ws/", "http://a/ws", "//ws", "*", "/ws#", "/ws\x00", source.text(4)]
        )
        version = source.choice(["HTTP/1.1", "HTTP/1.0", "HTTP/2.0", "HTTP/1.1 ", "", source.text(3)])
        start, good = f"{method} {target} {version}", False
    lines = []
    for name in [*NEEDED, *(source.choice(list(LINES)) for _ in range(source.below(6)))]:
        value = LINES[name][0]
        if source.maybe(6):
            value, good = source.choice([*LINES[name], source.text(5), source.data(5).decode("latin-1")]), False
        if source.maybe(12):
            name, good = source.choice([name.upper(), name + " ", " " + name, source.text(3), ""]), False
        lines.append(f"{name}: {value}")
        good = good and name in ("Origin", "Authorization", *NEEDED) and sum(name + ":" in each for each in lines) == 1
    newline = "\r\n"
    if source.maybe(16):
        newline, good = source.choice(["\n", "\r", "\r\n\r\n", "\r\n ", "\x00"]), False
    text = newline.join([start, *lines, "", ""])
    request = text.encode("utf-8" if source.maybe(2) else "latin-1", "replace")
    if source.maybe(4):
        request += source.choice([edge.frame(edge.PING, b"x"), edge.frame(edge.TEXT, b"{}"), source.data(20)])
    if source.maybe(12):
        request, good = request[: source.below(len(request))], False
    return request, good


@atheris.instrument_func
def judge(request: bytes, good: bool, wire: edge.Wire) -> None:
    """Raises AssertionError unless what was sent is an answer to the request."""
    if not wire.sent:
        assert b"\r\n\r\n" not in request or wire.ended, "a request was not answered"
        assert not good
        return
    response = read_response(bytes(wire.sent))
    # picows refuses a malformed head with 400, and quotes the line of it.
    assert response.status == 400 or TOKEN.encode() not in wire.sent, "a token was sent back"
    if response.status == 101:
        judge_granted(request, response)
        return
    assert not good, response
    assert response.status in REFUSALS, response
    assert int(response.headers.get("content-length", len(response.rest))) == len(response.rest), response
    assert wire.ended, "the connection goes on"


def make_gateway() -> Gateway:
    overrides: dict[str, object] = {
        "auth.secret": SECRET,
        "engine.url": "memory://",
        "client.allowed_origins": [ORIGIN],
        "limits.connection_rate": 0,
    }
    return Gateway(Config.load(None, overrides))


def main() -> None:
    gateway = edge.Edge(make_gateway)

    def one_input(data: bytes) -> None:
        source = Source(data)
        request, good = make_request(source)
        wire = gateway.connect()
        for piece in edge.pieces(source, request):
            gateway.send(wire, piece)
        gateway.world.pass_time(2.0)
        judge(request, good, wire)
        gateway.end(wire)

    atheris.Setup(sys.argv, one_input)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
