"""The user's back end over HTTP: what a room begins with is asked for, and documents are handed back, by signed POSTs.

The contract is told in ``docs/backend.md``. A signature covers the time and the body, so that a receiver can be sure
who sends it, that it is whole, and that it is not an old one that somebody sends again. The body says what is wanted,
so that a request for one purpose cannot be used for the other.
"""

from __future__ import annotations

import hmac
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import aiohttp
import msgspec
import orjson

from fastcollab.errors import RoomNotFound
from fastcollab.messages import document_state
from fastcollab.ot import ABSENT
from fastcollab.ports import BackendFailed, LoadedDocument, SavedDocument

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from fastcollab.config import BackendConfig

TIMESTAMP = "Fastcollab-Timestamp"
SIGNATURE = "Fastcollab-Signature"

#: Connections to the back end.
_CONNECTIONS = 64


class _Answer(msgspec.Struct):
    """What a room begins with; without `data` a document that does not exist, where its type knows such."""

    type: str | None = None
    data: Any = ABSENT


def sign(secret: str, timestamp: str, body: bytes) -> str:
    """The signature of a request: what a receiver computes as well, and compares."""
    return "v1=" + hmac.digest(secret.encode(), timestamp.encode() + b"." + body, "sha256").hex()


class HttpBackend:
    """Made in a running event loop. An answer longer than `max_answer` bytes is not read."""

    def __init__(self, config: BackendConfig, max_answer: int) -> None:
        assert config.secret is not None, "the configuration sees to that"
        self._secret = config.secret.get_secret_value()
        self._load_url = config.load_url or ""
        self._save_url = config.save_url or ""
        self._max_answer = max_answer
        self._http = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=_CONNECTIONS),
            # Whoever calls has a time limit of its own, for functions as well.
            timeout=aiohttp.ClientTimeout(total=None),
            headers={"User-Agent": "fastcollab", "Content-Type": "application/json", "Accept-Encoding": "identity"},
            # What is compressed could be much larger than it looks.
            auto_decompress=False,
            cookie_jar=aiohttp.DummyCookieJar(),
        )

    async def load(self, room_id: str, document_type: str) -> LoadedDocument | None:
        """As :data:`~fastcollab.ports.LoadDocument`."""
        request = {"event": "load", "roomId": room_id, "documentType": document_type}
        async with self._post(self._load_url, request) as response:
            match response.status:
                case 200:
                    answer = _decode(await self._read(response))
                    return LoadedDocument(answer.data, answer.type)
                case 204:
                    return None
                case 404:
                    raise RoomNotFound(f"there is no room {room_id!r}")
                case status:
                    raise BackendFailed(f"the back end answered with {status}")

    async def save(self, document: SavedDocument) -> None:
        """As :data:`~fastcollab.ports.SaveDocument`."""
        state = document_state(document.type, document.version, document.epoch, document.content)
        request = {"event": "save", "roomId": document.room_id, **msgspec.to_builtins(state)}
        async with self._post(self._save_url, request) as response:
            if not 200 <= response.status < 300:
                raise BackendFailed(f"the back end answered with {response.status}")

    async def close(self) -> None:
        await self._http.close()

    @asynccontextmanager
    async def _post(self, url: str, request: dict[str, Any]) -> AsyncIterator[aiohttp.ClientResponse]:
        body = orjson.dumps(request)
        timestamp = str(int(time.time()))
        headers = {TIMESTAMP: timestamp, SIGNATURE: sign(self._secret, timestamp, body)}
        try:
            # What is signed for one address is not sent to another.
            async with self._http.post(url, data=body, headers=headers, allow_redirects=False) as response:
                yield response
        except (aiohttp.ClientError, OSError) as error:
            # The text of such an error may have the address in it, and with it a password.
            raise BackendFailed(f"the back end cannot be reached: {type(error).__name__}") from None

    async def _read(self, response: aiohttp.ClientResponse) -> bytes:
        body = bytearray()
        async for chunk in response.content.iter_any():
            body += chunk
            if len(body) > self._max_answer:
                raise BackendFailed(f"the answer is longer than {self._max_answer} bytes")
        return bytes(body)


def _decode(body: bytes) -> _Answer:
    try:
        return msgspec.convert(orjson.loads(body), _Answer)
    except ValueError as error:
        raise BackendFailed(f"the answer is not as it should be: {error}") from None
