"""One gateway that is asked, and why it does not answer."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, NamedTuple, TypeVar
from urllib.parse import urlsplit

import aiohttp
import msgspec

from fastcollab._system import reason
from fastcollab.errors import FastcollabError
from fastcollab.ports import NodeInfo
from fastcollab.server.admin import PREFIX
from fastcollab.server.admin.activity_forms import ActivityFound
from fastcollab.server.admin.nodes import NodeList

Shape = TypeVar("Shape")

#: How long (s) an answer may take.
PATIENCE = 5.0


class Unanswered(FastcollabError):
    """A gateway has not answered, for a reason; one that is `final` will not go away by asking again."""

    def __init__(self, url: str, why: str, *, final: bool = False) -> None:
        super().__init__(f"{url} {why}")
        self.url = url
        self.why = why
        self.final = final


class Answer(NamedTuple):
    """What goes on at a gateway, and which nodes there are."""

    activity: ActivityFound
    nodes: NodeList

    @property
    def own(self) -> Sequence[NodeInfo]:
        """The gateway's own nodes: itself, or its workers."""
        return self.activity.workers or [self.activity.node]


class Source:
    """The operations port at `url`, asked over `http`, which knows the key."""

    def __init__(self, http: aiohttp.ClientSession, url: str) -> None:
        self.url = url
        self._http = http

    async def ask(self) -> Answer:
        """Raises :class:`Unanswered`."""
        try:
            async with asyncio.timeout(PATIENCE):
                return Answer(await self._get("/activity", ActivityFound), await self._get("/nodes", NodeList))
        except TimeoutError:
            raise Unanswered(self.url, f"does not answer within {PATIENCE:g} s") from None
        except aiohttp.ClientConnectorError as error:
            raise Unanswered(self.url, f"cannot be reached: {reason(error.os_error)}") from None
        except aiohttp.ClientError:
            raise Unanswered(self.url, "breaks off, or does not speak HTTP") from None

    async def _get(self, path: str, shape: type[Shape]) -> Shape:
        async with self._http.get(f"{self.url.rstrip('/')}{PREFIX}{path}", allow_redirects=False) as response:
            if response.status == 401:
                raise Unanswered(self.url, "refuses the key", final=True)
            if response.status == 404:
                raise Unanswered(self.url, "has no admin API that tells this; is ops.api_keys set there?", final=True)
            if response.status != 200:
                raise Unanswered(self.url, f"answers with {response.status}")
            body = await response.read()
        try:
            return msgspec.json.decode(body, type=shape)
        except msgspec.DecodeError:
            raise Unanswered(self.url, "answers what this version does not understand", final=True) from None


def open_http(key: str) -> aiohttp.ClientSession:
    """A session that shows the key."""
    options: dict[str, Any] = {"headers": {"Authorization": f"Bearer {key}"}}
    return aiohttp.ClientSession(**options)


def check_url(url: str) -> None:
    """Raises ValueError if that is no address of an operations port."""
    try:
        parts = urlsplit(url)
        is_good = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        is_good = False
    if not is_good or not url.isprintable():
        raise ValueError(f"{url!r} is no address such as http://127.0.0.1:8081")
    if parts.username is not None or parts.password is not None:
        raise ValueError("an address has no user and password in it")
