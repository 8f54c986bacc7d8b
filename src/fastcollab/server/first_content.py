"""What a room begins with: content from the user's back end, which is believed no more than a client.

It is asked when the store has no document. What it gives must be a document of its type and no larger than one may
become; otherwise nothing is made, and whoever wanted to join is told to try again later.
"""

from __future__ import annotations

import asyncio
from typing import Any

from fastcollab import ot
from fastcollab.errors import RoomNotFound, ServiceUnavailable
from fastcollab.logs import get_logger
from fastcollab.ot.live import open_document
from fastcollab.ports import BackendFailed, LoadDocument, LoadedDocument

log = get_logger(__name__)

_RETRY_AFTER_MS = 1_000


class InvalidContent(ValueError):
    """Content that is no document of its type, or too large."""


def checked_content(type_name: str, content: Any, max_bytes: int) -> Any:
    """`content` as a document of that type; raises :class:`InvalidContent` if it cannot be one."""
    if (document_type := ot.types.get(type_name)) is None:
        raise InvalidContent(f"there is no document type {type_name!r}")
    if content is None:
        # To `create` this means an empty document; but in JSON it is a value.
        if type_name != "json1":
            raise InvalidContent(f"null is no document of type {type_name!r}")
        return None
    try:
        content = document_type.create(content)
    except ot.OperationError as error:
        raise InvalidContent(f"the content is no document of type {type_name!r}: {error}") from None
    if (size := open_document(document_type, content).size()) > max_bytes:
        raise InvalidContent(f"the content has {size} bytes, and a document at most {max_bytes}")
    return content


class FirstContent:
    """Asks `load`, for at most `timeout` seconds each time."""

    def __init__(self, load: LoadDocument, timeout: float, max_bytes: int) -> None:
        self._load = load
        self._timeout = timeout
        self._max_bytes = max_bytes
        self._under_way: set[asyncio.Task[LoadedDocument | None]] = set()

    async def of(self, room_id: str, document_type: str) -> tuple[str, Any]:
        """Type and content of the room's first document, where `document_type` was asked for.

        Raises :class:`RoomNotFound` if there is no such room, and :class:`ServiceUnavailable` if nobody can say.
        """
        try:
            loaded = await self._loaded(room_id, document_type)
            if loaded is None:
                return document_type, ot.types[document_type].create()
            found = loaded.type or document_type
            return found, checked_content(found, loaded.content, self._max_bytes)
        except RoomNotFound:
            raise RoomNotFound(f"there is no room {room_id!r}", roomId=room_id) from None
        except Exception as error:
            foreseen = isinstance(error, (TimeoutError, BackendFailed, InvalidContent, ServiceUnavailable))
            log.warning(
                "what a room begins with could not be loaded",
                room=room_id,
                error=str(error),
                exc_info=None if foreseen else error,
            )
            raise ServiceUnavailable(
                "what the room begins with cannot be loaded now", retryAfterMs=_RETRY_AFTER_MS
            ) from None

    def abandon(self) -> None:
        """Gives up what is under way: the gateway is stopping, and nobody waits for it any more."""
        for task in self._under_way:
            task.cancel()

    async def _loaded(self, room_id: str, document_type: str) -> LoadedDocument | None:
        async def load() -> LoadedDocument | None:
            return await self._load(room_id, document_type)

        task = asyncio.ensure_future(load())
        self._under_way.add(task)
        try:
            # A task of its own, since one that is cancelled must not take with it the one that waits for it.
            done, _ = await asyncio.wait([task], timeout=self._timeout)
        finally:
            self._under_way.discard(task)
            task.cancel()
        if not done:
            raise TimeoutError(f"there was no answer within {self._timeout:g} s")
        if task.cancelled():
            raise ServiceUnavailable("the gateway is stopping")
        return task.result()
