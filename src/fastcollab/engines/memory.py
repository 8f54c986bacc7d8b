"""The ports in the memory of one process: nothing outlives it, and nothing has to be installed.

Documents stay when their rooms are deserted, for as long as the process lives; who needs them durable takes another
engine.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Sequence
from functools import partial
from hashlib import blake2b
from typing import Any

from fastcollab.core.document import Author, Committed, new_epoch
from fastcollab.core.revocation import Revocation, TokenMarks
from fastcollab.errors import ConnectionLimit, RateLimited, VersionMismatch
from fastcollab.ports import AlreadyCommitted, DocumentSummary, LogMoved, Retention, Settled, StoredDocument, TakenUp

#: How many numbers of users there are.
NUMBERS = 2**32


class MemoryRegistry:
    """Connections and numbers of the users of one process.

    A user whose id is no number is given one by a hash of the id, and the next free one if another user holds
    that: so it is most often the same again, in this process and in the next, and nothing has to be remembered
    of users who have gone.
    """

    def __init__(self) -> None:
        #: Of each user the connections, with the rooms that they are in.
        self._connections: dict[str, dict[str, set[str]]] = {}
        self._numbers: dict[str, int] = {}
        self._holders: dict[int, str] = {}

    def __len__(self) -> int:
        return sum(map(len, self._connections.values()))

    async def register(self, user_id: str, connection_id: str, limit: int) -> int:
        connections = self._connections.get(user_id, {})
        if len(connections) >= limit:
            raise ConnectionLimit("too many connections of this user", limit=limit, remaining=0)
        if user_id not in self._numbers:
            number = self._free_number(user_id)
            self._numbers[user_id] = number
            self._holders[number] = user_id
        connections[connection_id] = set()
        self._connections[user_id] = connections
        return self._numbers[user_id]

    async def unregister(self, user_id: str, connection_id: str, resumable: float = 0) -> None:
        connections = self._connections.get(user_id)
        if connections is None:
            return
        connections.pop(connection_id, None)
        if not connections:
            del self._connections[user_id]
            del self._holders[self._numbers.pop(user_id)]

    async def take_up(self, user_id: str, connection_id: str) -> TakenUp:
        return TakenUp(False)

    async def enter(self, user_id: str, connection_id: str, room_id: str, limit: int) -> None:
        connections = self._connections.get(user_id, {})
        rooms = connections.get(connection_id)
        if rooms is None:
            return
        others = set().union(*connections.values()) - {room_id}
        if len(others) >= limit:
            raise RateLimited(f"a user may be in {limit} rooms", limit=limit, remaining=0)
        rooms.add(room_id)

    async def leave(self, user_id: str, connection_id: str, room_id: str) -> None:
        self._connections.get(user_id, {}).get(connection_id, set()).discard(room_id)

    def spread(self, user_id: str) -> int:
        return 1

    def _free_number(self, user_id: str) -> int:
        number = preferred_number(user_id)
        while number in self._holders:
            number = (number + 1) % NUMBERS
        return number


def preferred_number(user_id: str) -> int:
    """The number that a user gets if no other has it."""
    number = own_number(user_id)
    return int.from_bytes(blake2b(user_id.encode(), digest_size=4).digest()) if number is None else number


def own_number(user_id: str) -> int | None:
    """The number that the id itself is: a decimal uint32 without leading zeros; None: it is none."""
    if not (user_id.isascii() and user_id.isdecimal() and len(user_id) <= 10):
        return None
    number = int(user_id)
    return number if number < NUMBERS and str(number) == user_id else None


class MemoryRevocations:
    """Revocations that are forgotten with the process, by what they are about."""

    def __init__(self, known: Iterable[Revocation] = ()) -> None:
        self._known: dict[tuple[str, str], Revocation] = {(each.kind, each.subject): each for each in known}
        self._subscribers: list[Callable[[Revocation], None]] = []

    def __len__(self) -> int:
        return len(self._known)

    def all(self) -> list[Revocation]:
        """All that are known."""
        return list(self._known.values())

    async def revoke(self, revocation: Revocation) -> None:
        self.add(revocation)

    async def is_revoked(self, token: TokenMarks) -> bool:
        named = (("token", token.token_id), ("user", token.user_id), ("session", token.login))
        found = (self._known.get((kind, name)) for kind, name in named if name is not None)
        return any(revocation is not None and revocation.covers(token) for revocation in found)

    def subscribe(self, told: Callable[[Revocation], None]) -> Callable[[], None]:
        self._subscribers.append(told)
        return partial(self._subscribers.remove, told)

    async def forget(self, now: int) -> None:
        self._known = {
            key: revocation
            for key, revocation in self._known.items()
            if revocation.until is None or revocation.until >= now
        }

    def add(self, revocation: Revocation) -> Revocation:
        """What is known of its subject from now on."""
        key = (revocation.kind, revocation.subject)
        earlier = self._known.get(key)
        known = self._known[key] = revocation if earlier is None else earlier.joined_with(revocation)
        for told in tuple(self._subscribers):
            told(known)
        return known


class MemoryDocuments:
    """A document store that forgets everything with the process. It has no durability, and every promise else."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._documents: dict[str, _Kept] = {}
        self._clock = clock

    async def load(self, room_id: str, version: int | None = None) -> StoredDocument | None:
        kept = self._documents.get(room_id)
        return None if kept is None else kept.at(kept.version if version is None else version)

    async def create(self, room_id: str, document_type: str, content: Any) -> StoredDocument:
        kept = self._documents.get(room_id)
        if kept is None:
            kept = self._documents[room_id] = _Kept(document_type, content, self._unix())
        return kept.at(kept.version)

    def append(self, room_id: str, epoch: str, entries: Sequence[Committed], mark: str = "") -> Settled:
        kept = self._documents.get(room_id)
        if kept is None or kept.epoch != epoch or entries[0].version != kept.version + 1:
            first = entries[0].version
            return Settled(LogMoved(f"the log of {room_id!r} is not at version {first - 1} of epoch {epoch}"))
        by_author = {entry.author: entry for entry in entries}
        if known := kept.known_of(by_author):
            return Settled(AlreadyCommitted(known))
        kept.log += entries
        kept.results.update(by_author)
        return Settled()

    async def history(
        self,
        room_id: str,
        epoch: str,
        after: int,
        up_to: int | None = None,
        limit: int | None = None,
        *,
        mark: str = "",
    ) -> list[Committed]:
        kept = self._documents.get(room_id)
        if kept is None or kept.epoch != epoch:
            raise LogMoved(f"the document of {room_id!r} is not in epoch {epoch}")
        kept.check(after)
        entries = kept.log[after - kept.oldest : (kept.version if up_to is None else up_to) - kept.oldest]
        return entries if limit is None else entries[:limit]

    async def mend(self, room_id: str, known: StoredDocument, recent: Sequence[Committed]) -> bool:
        return False

    async def results(self, room_id: str, epoch: str, authors: Sequence[Author]) -> dict[Author, int]:
        kept = self._documents.get(room_id)
        if kept is None or kept.epoch != epoch:
            return {}
        return kept.known_of(authors)

    async def snapshot(self, room_id: str, epoch: str, version: int, content: Any, retention: Retention) -> int:
        kept = self._documents.get(room_id)
        if kept is None or kept.epoch != epoch:
            return version
        if kept.oldest <= version <= kept.version:
            kept.snapshots[version] = content
        kept.trim(retention, self._unix())
        return kept.oldest

    async def replace(self, room_id: str, document_type: str, content: Any) -> StoredDocument:
        kept = self._documents[room_id] = _Kept(document_type, content, self._unix(), replaced=True)
        return kept.at(0)

    async def delete(self, room_id: str) -> bool:
        return self._documents.pop(room_id, None) is not None

    async def list(self, after: str = "", limit: int = 1_000) -> list[DocumentSummary]:
        rooms = sorted(room_id for room_id in self._documents if room_id > after)
        return [self._documents[room_id].summary(room_id) for room_id in rooms[:limit]]

    async def forget_unwritten(self, before: int, keep: Collection[str]) -> int:
        unwritten = [
            room_id
            for room_id, kept in self._documents.items()
            if not (kept.version or kept.replaced) and kept.created_at < before and room_id not in keep
        ]
        for room_id in unwritten:
            del self._documents[room_id]
        return len(unwritten)

    async def handed_back(self, room_id: str, epoch: str, version: int) -> None:
        kept = self._documents.get(room_id)
        if kept is not None and kept.epoch == epoch:
            kept.handed_back = max(kept.handed_back, version)

    async def awaiting_hand_back(self, after: str = "", limit: int = 1_000) -> Sequence[str]:
        awaiting = [room_id for room_id, kept in self._documents.items() if kept.version > kept.handed_back]
        return sorted(room_id for room_id in awaiting if room_id > after)[:limit]

    async def close(self) -> None:
        pass

    def _unix(self) -> int:
        return int(self._clock() * 1000)


class _Kept:
    """One document: snapshots by version, and the log after the oldest of them."""

    def __init__(self, document_type: str, content: Any, created_at: int, *, replaced: bool = False) -> None:
        self.type = document_type
        self.replaced = replaced
        self.handed_back = -1 if replaced else 0
        self.epoch = new_epoch()
        self.created_at = created_at
        self.oldest = 0
        self.snapshots = {0: content}
        self.log: list[Committed] = []
        self.results: dict[Author, Committed] = {}

    @property
    def version(self) -> int:
        return self.oldest + len(self.log)

    def check(self, version: int) -> None:
        if not self.oldest <= version <= self.version:
            raise VersionMismatch("the version is not in the log", version=self.version, oldest=self.oldest)

    def at(self, version: int) -> StoredDocument:
        self.check(version)
        base = max(known for known in self.snapshots if known <= version)
        entries = self.log[base - self.oldest : version - self.oldest]
        return StoredDocument(self.type, self.epoch, self.oldest, base, self.snapshots[base], entries)

    def known_of(self, authors: Iterable[Author]) -> dict[Author, int]:
        return {author: self.results[author].version for author in authors if author in self.results}

    def summary(self, room_id: str) -> DocumentSummary:
        changed_at = self.log[-1].committed_at if self.log else self.created_at
        size = sum(entry.size for entry in self.log)
        return DocumentSummary(room_id, self.type, self.epoch, self.version, self.oldest, changed_at, size)

    def trim(self, retention: Retention, unix: int) -> None:
        """Trims the log at the newest snapshot that leaves what is to be kept."""
        wanted, size = self.version, 0
        for entry in reversed(self.log):
            size += entry.size
            if (
                self.version - entry.version >= retention.operations
                or size > retention.bytes
                or entry.committed_at < unix - retention.seconds * 1000
            ):
                break
            wanted = entry.version - 1
        oldest = max(known for known in self.snapshots if known <= wanted)
        del self.log[: oldest - self.oldest]
        self.oldest = oldest
        self.snapshots = {version: content for version, content in self.snapshots.items() if version >= oldest}
        remembered_since = unix - retention.results_seconds * 1000
        self.results = {
            author: entry
            for author, entry in self.results.items()
            if entry.version > oldest or entry.committed_at >= remembered_since
        }
