"""The way to the admin API of a worker: a socket in a directory that only whoever runs ``serve`` may enter.

Both ends are here. Nobody asks a worker for a key: who reaches the socket has shown it to the supervisor, or is the
user whose processes these are.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple

from aiohttp import ClientConnectorError, ClientError, ClientSession, ClientTimeout, UnixConnector, web
from yarl import URL

from fastcollab.server.admin import PREFIX

#: How long (s) a request that is under way has when the worker ends.
_LAST_REQUESTS = 1.0
#: What a problem's headers tell besides its body.
_KEPT_HEADERS = ("Content-Type", "Retry-After", "Allow")


@asynccontextmanager
async def branch_open(application: web.Application, path: Path) -> AsyncIterator[None]:
    """Has the API answered at this socket, which is there no more afterwards. Raises OSError, which names the socket as
    what it is about (`filename`).
    """
    whole = web.Application()
    whole.add_subapp(PREFIX, application)
    runner = web.AppRunner(whole, access_log=None, handle_signals=False, shutdown_timeout=_LAST_REQUESTS)
    await runner.setup()
    try:
        try:
            # One that a worker has left which was killed is taken away by the event loop.
            await web.UnixSite(runner, path).start()
        except OSError as error:
            error.filename = str(path)
            raise
        yield
    finally:
        await runner.cleanup()
        path.unlink(missing_ok=True)  # noqa: ASYNC240 - it is one call to the system


class Told(NamedTuple):
    """What a worker has answered."""

    status: int
    headers: dict[str, str]
    body: bytes

    def response(self) -> web.Response:
        return web.Response(status=self.status, headers=self.headers, body=self.body)


class Untold(Exception):
    """There is no answer. `begun`: the worker may have carried out what it was asked for; `silent`: it is there, and
    has not answered in time.
    """

    def __init__(self, *, begun: bool, silent: bool) -> None:
        super().__init__()
        self.begun = begun
        self.silent = silent


class Branch:
    """A worker's API, asked for an answer within `patience` seconds."""

    def __init__(self, path: Path, patience: float) -> None:
        self._http = ClientSession(
            connector=UnixConnector(str(path)), timeout=ClientTimeout(total=patience), auto_decompress=False
        )

    async def ask(self, method: str, url: URL, content_type: str, body: bytes | None) -> Told:
        """What is answered to this request, by path and query of `url`; raises :class:`Untold`."""
        headers = {} if body is None else {"Content-Type": content_type}
        there = URL.build(
            scheme="http", host="worker", path=url.raw_path, query_string=url.raw_query_string, encoded=True
        )
        try:
            async with self._http.request(method, there, headers=headers, data=body) as response:
                kept = {name: response.headers[name] for name in _KEPT_HEADERS if name in response.headers}
                return Told(response.status, kept, await response.read())
        except TimeoutError:
            raise Untold(begun=True, silent=True) from None
        except ClientError as error:
            raise Untold(begun=not isinstance(error, ClientConnectorError), silent=False) from None

    async def close(self) -> None:
        await self._http.close()
