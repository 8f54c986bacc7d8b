"""The user's back end over HTTP: signed POSTs ask what a room begins with, what a user may do there and how a user is
shown, and hand documents back.

The contract is told in ``docs/backend.md``. A signature covers the time and the body, so that a receiver can be sure
who sends it, that it is whole, and that it is not an old one that somebody sends again. The body says what is wanted,
so that a request for one purpose cannot be used for another.
"""

from __future__ import annotations

import hmac
import time
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar

import aiohttp
import msgspec
import orjson

from fastcollab.core.permissions import Permission
from fastcollab.errors import RoomNotFound
from fastcollab.messages import document_state
from fastcollab.ot import ABSENT
from fastcollab.ports import BackendDown, BackendFailed, Grant, LoadedDocument, Profile, SavedDocument

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from fastcollab.config import BackendConfig

TIMESTAMP = "Fastcollab-Timestamp"
SIGNATURE = "Fastcollab-Signature"

#: Connections to the back end.
_CONNECTIONS = 64
#: Bytes of an answer that has no document in it.
_MAX_SHORT_ANSWER = 65_536
#: What is said for a back end that does not answer itself, or that wants to be left alone.
_DOWN = frozenset(
    {
        HTTPStatus.TOO_MANY_REQUESTS,
        HTTPStatus.BAD_GATEWAY,
        HTTPStatus.SERVICE_UNAVAILABLE,
        HTTPStatus.GATEWAY_TIMEOUT,
    }
)


class _FirstContent(msgspec.Struct):
    """What a room begins with; without `data` a document that does not exist, where its type knows such."""

    type: str | None = None
    data: Any = ABSENT


class _Grant(msgspec.Struct, rename="camel"):
    permission: Literal["none", "read", "write", "admin"]
    ttl: Annotated[float, msgspec.Meta(ge=0)] | None = None
    max_participants: Annotated[int, msgspec.Meta(ge=0)] | None = None


_Answer = TypeVar("_Answer", _FirstContent, _Grant, Profile)


def sign(secret: str, timestamp: str, body: bytes) -> str:
    """The signature of a request: what a receiver computes as well, and compares."""
    return "v1=" + hmac.digest(secret.encode(), timestamp.encode() + b"." + body, "sha256").hex()


class SignedPosts:
    """Signed requests to the user's own programs. Made in a running event loop."""

    def __init__(self, secret: str) -> None:
        self._secret = secret
        self._http = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=_CONNECTIONS),
            # Whoever calls has a time limit of its own, for functions as well.
            timeout=aiohttp.ClientTimeout(total=None),
            headers={"User-Agent": "fastcollab", "Content-Type": "application/json", "Accept-Encoding": "identity"},
            # What is compressed could be much larger than it looks.
            auto_decompress=False,
            cookie_jar=aiohttp.DummyCookieJar(),
        )

    @asynccontextmanager
    async def post(self, url: str, request: dict[str, Any]) -> AsyncIterator[aiohttp.ClientResponse]:
        """The answer; raises :class:`BackendDown` if there is none."""
        body = orjson.dumps(request)
        timestamp = str(int(time.time()))
        headers = {TIMESTAMP: timestamp, SIGNATURE: sign(self._secret, timestamp, body)}
        try:
            # What is signed for one address is not sent to another.
            async with self._http.post(url, data=body, headers=headers, allow_redirects=False) as response:
                yield response
        except (aiohttp.ClientError, OSError) as error:
            # The text of such an error may have the address in it, and with it a password.
            raise BackendDown(f"the back end cannot be reached: {type(error).__name__}") from None

    async def close(self) -> None:
        await self._http.close()


class HttpBackend:
    """Made in a running event loop. Of a document, no more than `max_content` bytes are read."""

    def __init__(self, config: BackendConfig, max_content: int) -> None:
        assert config.secret is not None, "the configuration sees to that"
        self._posts = SignedPosts(config.secret.get_secret_value())
        self._load_url = config.load_url or ""
        self._save_url = config.save_url or ""
        self._permission_url = config.permission_url or ""
        self._profile_url = config.profile_url or ""
        self._max_content = max_content

    async def load(self, room_id: str, document_type: str) -> LoadedDocument | None:
        """As :data:`~fastcollab.ports.LoadDocument`."""
        request = {"event": "load", "roomId": room_id, "documentType": document_type}
        async with self._posts.post(self._load_url, request) as response:
            match response.status:
                case 200:
                    answer = await _read(response, _FirstContent, self._max_content)
                    return LoadedDocument(answer.data, answer.type)
                case 204:
                    return None
                case 404:
                    raise RoomNotFound(f"there is no room {room_id!r}")
                case status:
                    raise _unexpected(status)

    async def permission(self, user_id: str, room_id: str, claimed: Permission | None) -> Grant:
        """As :data:`~fastcollab.ports.AskPermission`."""
        request = {"event": "permission", "userId": user_id, "roomId": room_id}
        if claimed is not None:
            request["claimed"] = claimed.word
        async with self._posts.post(self._permission_url, request) as response:
            match response.status:
                case 200:
                    answer = await _read(response, _Grant, _MAX_SHORT_ANSWER)
                    return Grant(Permission.of_word(answer.permission), answer.ttl, answer.max_participants)
                case 403:
                    return Grant(Permission.NONE)
                case 404:
                    raise RoomNotFound(f"there is no room {room_id!r}")
                case status:
                    raise _unexpected(status)

    async def profile(self, user_id: str) -> Profile | None:
        """As :data:`~fastcollab.ports.AskProfile`."""
        async with self._posts.post(self._profile_url, {"event": "profile", "userId": user_id}) as response:
            match response.status:
                case 200:
                    return await _read(response, Profile, _MAX_SHORT_ANSWER)
                case 204 | 404:
                    return None
                case status:
                    raise _unexpected(status)

    async def save(self, document: SavedDocument) -> None:
        """As :data:`~fastcollab.ports.SaveDocument`."""
        state = document_state(document.type, document.version, document.epoch, document.content)
        request = {"event": "save", "roomId": document.room_id, **msgspec.to_builtins(state)}
        async with self._posts.post(self._save_url, request) as response:
            if not 200 <= response.status < 300:
                raise _unexpected(response.status)

    async def close(self) -> None:
        await self._posts.close()


def _unexpected(status: int) -> BackendFailed:
    return (BackendDown if status in _DOWN else BackendFailed)(f"the back end answered with {status}")


async def _read(response: aiohttp.ClientResponse, kind: type[_Answer], limit: int) -> _Answer:
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > limit:
            raise BackendFailed(f"the answer is longer than {limit} bytes")
    try:
        return msgspec.convert(orjson.loads(bytes(body)), kind)
    except ValueError as error:
        raise BackendFailed(f"the answer is not as it should be: {error}") from None
