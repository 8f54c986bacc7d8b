"""The admin API of several workers as that of one gateway.

::

    request ──▶ keys ──▶ pool ──┬──▶ one of them: what concerns the cluster
                                └──▶ each of them: what is of one node ──▶ pooling ──▶ answer

Keys are asked for here, once. What does not fit is refused here too, so that a worker is asked only what it can answer.

**Who dies.** What a worker had is gone with it: where all are asked, its part is left out. Where one is asked, another
is asked in its place if nothing can have been done yet, or if it makes no difference that it is asked for twice; else
nobody knows what was done, and whoever asks is told so. One that is there and does not answer has connections all the
same, and a list without them would be wrong: that is a 503 too.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from http import HTTPStatus

import msgspec
from aiohttp import web

from fastcollab.config import Config
from fastcollab.errors import ServiceUnavailable
from fastcollab.server.admin.api import behind_keys, max_body
from fastcollab.server.admin.branch import Branch, Told, Untold
from fastcollab.server.admin.endpoint import Endpoint, read_body

#: When (ms) whoever was not answered is to ask again.
_RETRY_AFTER_MS = 1000


class Pool:
    """Asks workers; `serving` are those of the moment."""

    def __init__(self, config: Config, serving: Callable[[], Sequence[Branch]]) -> None:
        self._ops = config.ops
        self._serving = serving
        self._max_body = max_body(config)
        self._turn = 0

    def api(self) -> Mapping[str, web.Application]:
        """The API, by the beginning of its path; without a key to it there is none."""
        return behind_keys(self._ops, self._answer)

    async def _answer(self, endpoint: Endpoint, request: web.Request) -> web.StreamResponse:
        asked = endpoint.asked(request)
        if endpoint.pooling is None:
            return (await self._ask_one(endpoint, request)).response()
        told = await self._ask_all(request)
        for each in told:
            if each.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
                return each.response()
        found = [
            msgspec.json.decode(each.body, type=endpoint.result) for each in told if each.status == endpoint.status
        ]
        return endpoint.response(endpoint.pooling(asked, found)) if found else told[0].response()

    async def _ask_one(self, endpoint: Endpoint, request: web.Request) -> Told:
        body = None if endpoint.body is None else await read_body(request, self._max_body)
        serving = self._serving()
        self._turn += 1
        for number in range(len(serving)):
            branch = serving[(self._turn + number) % len(serving)]
            try:
                return await branch.ask(request.method, request.rel_url, request.content_type, body)
            except Untold as error:
                if error.begun and request.method != "GET":
                    raise _unavailable("a worker has ended, or does not answer: it may be done or not") from None
        raise _unavailable("no worker answers")

    async def _ask_all(self, request: web.Request) -> list[Told]:
        """What those say that are there; raises ServiceUnavailable if one of them does not, or if none is."""
        asking = (branch.ask("GET", request.rel_url, "", None) for branch in self._serving())
        told = []
        for answer in await asyncio.gather(*asking, return_exceptions=True):
            if isinstance(answer, Told):
                told.append(answer)
            elif not isinstance(answer, Untold):
                raise answer
            elif answer.silent:
                raise _unavailable("a worker does not answer")
        if not told:
            raise _unavailable("no worker answers")
        return told


def _unavailable(why: str) -> ServiceUnavailable:
    return ServiceUnavailable(why, retryAfterMs=_RETRY_AFTER_MS)
