"""The page for operators, at the root of the operations port: what the admin API tells, in a browser.

It is a program of the browser's (`sdk/admin`), which is the same for everybody and says nothing of the gateway: what it
shows it asks of the admin API, with a key that the operator types in. So it needs no key to be loaded.

What users call themselves is shown there, to somebody who may do everything. The headers have the browser run nothing
but what is served here, load nothing from elsewhere, and refuse to make text into HTML.
"""

from __future__ import annotations

from pathlib import Path

from aiohttp import web

#: Where `make demo` puts what the browser loads.
BUILT = Path(__file__).parent / "web"

_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self'",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
        "trusted-types 'none'",
    )
)
_HEADERS = {
    "Content-Security-Policy": _POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
#: The name of an asset has the hash of its content in it.
_LASTING = {**_HEADERS, "Cache-Control": "public, max-age=31536000, immutable"}
_PASSING = {**_HEADERS, "Cache-Control": "no-cache"}


def page(folder: Path = BUILT) -> list[web.RouteDef]:
    """The routes of the page that is built in this folder."""

    async def index(_request: web.Request) -> web.StreamResponse:
        return _file(folder / "index.html", _PASSING)

    async def asset(request: web.Request) -> web.StreamResponse:
        return _file(folder / "assets" / request.match_info["name"], _LASTING)

    return [web.get("/", index), web.get(r"/assets/{name:[\w-]+\.\w+}", asset)]


def _file(path: Path, headers: dict[str, str]) -> web.StreamResponse:
    if not path.is_file():
        raise web.HTTPNotFound(text="There is no such file; `make demo` builds the page.\n")
    return web.FileResponse(path, headers=headers)
