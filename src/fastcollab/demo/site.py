"""The page of the demonstration, over HTTP: what the browser loads, tokens for its visitors, and the size of the crowd.

Whoever can reach this address gets a token; so it is bound to the loopback interface, and answers to no other name,
lest a page from elsewhere asks under a name that leads here. What changes something is accepted from the page itself.
"""

from __future__ import annotations

import re
import secrets
import socket
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from random import choice
from typing import Any, TypeVar

import msgspec
from aiohttp import web

from fastcollab.demo.crowd import Crowd
from fastcollab.demo.people import COLORS, Persona

#: Where `make demo` puts what the browser loads.
BUILT = Path(__file__).parent / "web"

_Shape = TypeVar("_Shape", bound=msgspec.Struct)
_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_ADJECTIVES = "Quiet Brave Swift Gentle Merry Clever Sunny Bold Calm Lucky Keen Jolly"
_ANIMALS = "Badger Heron Otter Lynx Robin Hare Fox Wren Beaver Finch Marten Owl"
_USER_ID = re.compile(r"guest-[0-9a-f]{8}")
_COLOR = re.compile(r"#[0-9a-f]{6}")
_LAST_REQUESTS = 0.5  # seconds
_BODY = 4096  # bytes
_FOREVER = "public, max-age=31536000, immutable"


class Visitor(msgspec.Struct, rename="camel"):
    """Who asks for a token: who they were before, if the page remembers that, and at which gateway they want to be."""

    user_id: str | None = None
    name: str | None = None
    color: str | None = None
    gateway: int | None = None


class People(msgspec.Struct):
    count: int


class Site:
    """Serves the folder `web` on `listening`. `gateways` are their addresses, `token` signs one for a visitor."""

    def __init__(
        self,
        web_folder: Path,
        listening: socket.socket,
        gateways: Sequence[str],
        token: Callable[[Persona], str],
        crowd: Crowd,
    ) -> None:
        self._listening = listening
        self._gateways = gateways
        self._token = token
        self._crowd = crowd
        self._index = web_folder / "index.html"
        self._visits = 0
        self._policy = "; ".join(
            (
                "default-src 'none'",
                "script-src 'self'",
                "style-src 'self' 'unsafe-inline'",  # the editors set styles of their own
                "img-src 'self' data:",
                "font-src 'self'",
                f"connect-src 'self' {' '.join(url.removesuffix('/ws') for url in gateways)}",
                "base-uri 'none'",
                "form-action 'none'",
                "frame-ancestors 'none'",
            )
        )
        application = web.Application(middlewares=[self._guard], client_max_size=_BODY)
        application.on_response_prepare.append(self._add_headers)
        application.router.add_get("/", self._page)
        application.router.add_static("/assets", web_folder / "assets")
        application.router.add_post("/demo/token", self._enter)
        application.router.add_get("/demo/people", self._tell_people)
        application.router.add_post("/demo/people", self._change_people)
        self._runner = web.AppRunner(
            application, access_log=None, handle_signals=False, shutdown_timeout=_LAST_REQUESTS
        )

    async def start(self) -> None:
        await self._runner.setup()
        await web.SockSite(self._runner, self._listening).start()

    async def close(self) -> None:
        await self._runner.cleanup()

    async def _page(self, _request: web.Request) -> web.StreamResponse:
        return web.FileResponse(self._index)

    async def _enter(self, request: web.Request) -> web.StreamResponse:
        visitor = await _body(request, Visitor)
        index = self._visits % len(self._gateways) if visitor.gateway is None else visitor.gateway
        if not 0 <= index < len(self._gateways):
            raise _bad_request(f"there is no gateway {index}")
        self._visits += 1
        guest = _guest(visitor)
        answer = {
            "url": self._gateways[index],
            "token": self._token(guest),
            "user": {"userId": guest.user_id, "name": guest.name, "color": guest.color},
        }
        return _json(answer)

    async def _tell_people(self, _request: web.Request) -> web.StreamResponse:
        return _json({"count": len(self._crowd)})

    async def _change_people(self, request: web.Request) -> web.StreamResponse:
        people = await _body(request, People)
        try:
            await self._crowd.resize(people.count)
        except ValueError as error:
            raise _bad_request(str(error)) from None
        return _json({"count": len(self._crowd)})

    @web.middleware
    async def _guard(self, request: web.Request, handler: _Handler) -> web.StreamResponse:
        own = origins(self._listening)
        if f"http://{request.host}" not in own:
            raise web.HTTPMisdirectedRequest(text="This is not a name of the demonstration.")
        if request.method == "POST" and request.headers.get("Origin", own[0]) not in own:
            raise web.HTTPForbidden(text="Another page may not ask for this.")
        return await handler(request)

    async def _add_headers(self, request: web.Request, response: web.StreamResponse) -> None:
        # The name of an asset has the hash of its content in it.
        lasts = request.path.startswith("/assets/") and response.status in (200, 206, 304)
        response.headers["Cache-Control"] = _FOREVER if lasts else "no-cache"
        response.headers["Content-Security-Policy"] = self._policy
        response.headers["X-Content-Type-Options"] = "nosniff"
        response.headers["Referrer-Policy"] = "no-referrer"


def origins(listening: socket.socket) -> tuple[str, ...]:
    """Those of the page that is served there, the one to show first."""
    port = listening.getsockname()[1]
    return f"http://127.0.0.1:{port}", f"http://localhost:{port}"


def _guest(visitor: Visitor) -> Persona:
    """Who somebody was before, as far as it is known, and otherwise somebody new."""
    user_id, name, color = visitor.user_id, visitor.name, visitor.color
    if user_id is not None and not _USER_ID.fullmatch(user_id):
        raise _bad_request(f"userId is guest- and 8 hexadecimal digits, not {user_id!r}")
    if name is not None and not 0 < len(name.strip()) <= 40:
        raise _bad_request("name has 1 to 40 characters")
    if color is not None and not _COLOR.fullmatch(color):
        raise _bad_request(f"color is #rrggbb, not {color!r}")
    return Persona(
        user_id or f"guest-{secrets.token_hex(4)}",
        name.strip() if name else f"{choice(_ADJECTIVES.split())} {choice(_ANIMALS.split())}",
        color or choice(COLORS),
    )


async def _body(request: web.Request, shape: type[_Shape]) -> _Shape:
    if request.content_type != "application/json":
        raise web.HTTPUnsupportedMediaType(text="The body has to be application/json.")
    try:
        return msgspec.json.decode(await request.read(), type=shape)
    except msgspec.MsgspecError as error:
        raise _bad_request(str(error)) from None


def _bad_request(reason: str) -> web.HTTPBadRequest:
    return web.HTTPBadRequest(text=msgspec.json.encode({"error": reason}).decode(), content_type="application/json")


def _json(answer: Any) -> web.Response:
    return web.Response(body=msgspec.json.encode(answer), content_type="application/json")
