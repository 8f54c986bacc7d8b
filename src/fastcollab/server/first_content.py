"""What a room begins with: content from the user's back end, which is believed no more than a client.

It is asked when the store has no document. What it gives must be a document of its type and no larger than one may
become; otherwise nothing is made, and whoever wanted to join is told to try again later.
"""

from __future__ import annotations

from typing import Any

from fastcollab import ot
from fastcollab.errors import RoomNotFound, ServiceUnavailable
from fastcollab.logs import get_logger
from fastcollab.ot.live import open_document
from fastcollab.ports import BackendFailed, LoadDocument
from fastcollab.server.inquiry import RETRY_AFTER_MS, Inquiry, NotAsked

log = get_logger(__name__)


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
    """Asks `load` by `inquiry`. No content may have more than `max_bytes`."""

    def __init__(self, load: LoadDocument, inquiry: Inquiry, max_bytes: int) -> None:
        self._load = load
        self._inquiry = inquiry
        self._max_bytes = max_bytes

    async def of(self, room_id: str, document_type: str) -> tuple[str, Any]:
        """Type and content of the room's first document, where `document_type` was asked for.

        Raises :class:`RoomNotFound` if there is no such room, and :class:`ServiceUnavailable` if nobody can say.
        """
        try:
            loaded = await self._inquiry.ask(lambda: self._load(room_id, document_type))
            if loaded is None:
                return document_type, ot.types[document_type].create()
            found = loaded.type or document_type
            return found, checked_content(found, loaded.content, self._max_bytes)
        except RoomNotFound:
            raise RoomNotFound(f"there is no room {room_id!r}", roomId=room_id) from None
        except NotAsked:
            raise
        except Exception as error:
            foreseen = isinstance(error, (BackendFailed, InvalidContent))
            log.warning(
                "what a room begins with could not be loaded",
                room_id=room_id,
                error=str(error),
                exc_info=None if foreseen else error,
            )
            raise ServiceUnavailable(
                "what the room begins with cannot be loaded now", retryAfterMs=RETRY_AFTER_MS
            ) from None
