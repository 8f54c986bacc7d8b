"""The ports in the memory of one process: nothing outlives it, and nothing has to be installed.

Documents stay when their rooms are deserted, for as long as the process lives; who needs them bounded or
durable takes another engine.
"""

from __future__ import annotations

from hashlib import blake2b

from fastcollab import ot
from fastcollab.core.document import Document, HistoryLimits
from fastcollab.errors import ConnectionLimit

_NUMBERS = 2**32


class MemoryRegistry:
    """Connections and numbers of the users of one process.

    A user whose id is no number is given one by a hash of the id, and the next free one if another user holds
    that: so it is most often the same again, in this process and in the next, and nothing has to be remembered
    of users who have gone.
    """

    def __init__(self) -> None:
        self._connections: dict[str, set[str]] = {}
        self._numbers: dict[str, int] = {}
        self._holders: dict[int, str] = {}

    def __len__(self) -> int:
        return sum(map(len, self._connections.values()))

    async def register(self, user_id: str, connection_id: str, limit: int) -> int:
        connections = self._connections.get(user_id, set())
        if len(connections) >= limit:
            raise ConnectionLimit("too many connections of this user", limit=limit)
        if user_id not in self._numbers:
            number = self._free_number(user_id)
            self._numbers[user_id] = number
            self._holders[number] = user_id
        connections.add(connection_id)
        self._connections[user_id] = connections
        return self._numbers[user_id]

    async def unregister(self, user_id: str, connection_id: str) -> None:
        connections = self._connections.get(user_id)
        if connections is None:
            return
        connections.discard(connection_id)
        if not connections:
            del self._connections[user_id]
            del self._holders[self._numbers.pop(user_id)]

    def _free_number(self, user_id: str) -> int:
        number = own_number(user_id)
        if number is None:
            number = int.from_bytes(blake2b(user_id.encode(), digest_size=4).digest())
        while number in self._holders:
            number = (number + 1) % _NUMBERS
        return number


def own_number(user_id: str) -> int | None:
    """The number that the id itself is: a decimal uint32 without leading zeros; None: it is none."""
    if not (user_id.isascii() and user_id.isdecimal() and len(user_id) <= 10):
        return None
    number = int(user_id)
    return number if number < _NUMBERS and str(number) == user_id else None


class MemoryDocuments:
    """Documents in memory."""

    def __init__(self, limits: HistoryLimits) -> None:
        self._limits = limits
        self._documents: dict[str, Document] = {}

    async def open(self, room_id: str, document_type: str) -> Document:
        document = self._documents.get(room_id)
        if document is None:
            document = Document(ot.types[document_type], self._limits)
            self._documents[room_id] = document
        return document

    async def close(self, room_id: str) -> None:
        # A document that was never written says no more than a new one.
        document = self._documents.get(room_id)
        if document is not None and document.version == 0:
            del self._documents[room_id]
