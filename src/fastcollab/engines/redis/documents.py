"""The document store: each document a few keys with one hash tag, and each call a script or a few commands.

``scripts/_life.lua`` says what the keys are. What scripts are kept from is work without bound, since nothing else is
served meanwhile: the log is read in pages and trimmed in portions, and contents, which may be large, come and go by
themselves under keys of their own, of which scripts know only the names. A content is put there for a while first, and
stays when a script has taken note of it.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Callable, Collection, Sequence
from functools import lru_cache, partial
from typing import Any

from cachetools import TTLCache

from fastcollab.config import EngineConfig
from fastcollab.core.document import Author, Committed
from fastcollab.engines.redis.faults import RETRY_AFTER_MS
from fastcollab.engines.redis.link import Word
from fastcollab.engines.redis.mending import Found, Verdict, epoch_after, epoch_name, judge
from fastcollab.engines.redis.rows import (
    author_key,
    decode_content,
    decode_entry,
    encode_content,
    encode_entry,
    mark_of,
)
from fastcollab.engines.redis.scripts import Script, load
from fastcollab.engines.redis.servers import Servers
from fastcollab.errors import ServiceUnavailable, VersionMismatch
from fastcollab.ports import AlreadyCommitted, DocumentSummary, LogMoved, Retention, StoredDocument

_APPEND = load("append", "_page")
_CREATE = load("create", "_life")
_DELETE = load("delete", "_life")
_FORGET = load("forget", "_life")
_HANDED_BACK = load("handed_back")
_HISTORY = load("history", "_page")
_LOAD = load("load", "_page")
_PEEK = load("peek", "_page")
_RENEW = load("renew")
_RESTORE = load("restore", "_life")
_RESULTS = load("results")
_SNAPSHOT = load("snapshot", "_life", "_page")

#: How long (ms) a content waits for the script that takes note of it.
_CONTENT_WAITS = 600_000

#: How long (ms) it is remembered that a document was deleted: longer than anyone has a room open without a word to the
#: store, and no longer than for ever.
_REMEMBER_DELETED = 30 * 86_400_000

#: How often a call begins anew because the document was changed under it.
_ATTEMPTS = 10

#: Of how many rooms the names of keys are kept.
_KEYS_KEPT = 16_384

#: For how long (s) others are first before one asks for its turn, and how long (s) one waits whose turn it is not.
_LONG, _PAUSE = 0.5, 0.02
#: Of how many rooms it is remembered that others were before, and how long (s).
_OVERTAKEN_KEPT, _REMEMBER_OVERTAKEN = 1024, 30.0

#: How many calls about different rooms are under way at once.
_AT_ONCE = 256


class RedisDocuments:
    """The documents in one Redis. Made by :meth:`open`, or on servers that others use too; it closes them."""

    def __init__(self, servers: Servers, clock: Callable[[], float] = time.time) -> None:
        self._servers = servers
        self._names = servers.names
        self._clock = clock
        #: By room, since when others have been first, until one has appended.
        self._overtaken: TTLCache[str, float] = TTLCache(_OVERTAKEN_KEPT, _REMEMBER_OVERTAKEN, clock)
        #: The name under which its turn is kept.
        self._who = secrets.token_hex(8)
        # To make them costs as much as all else of an append that is not in C.
        self._keys_of_append = lru_cache(_KEYS_KEPT)(self._make_keys_of_append)

    @classmethod
    async def open(cls, config: EngineConfig, clock: Callable[[], float] = time.time) -> RedisDocuments:
        """Raises :class:`~fastcollab.errors.StoreError`."""
        return cls(await Servers.open(config), clock)

    # --- reading ------------------------------------------------------------------------------------------------------

    async def load(self, room_id: str, version: int | None = None) -> StoredDocument | None:
        keys = self._names.room(room_id, "document", "log", "snapshots")
        around = self._names.around(room_id, "content")
        wanted = "" if version is None else version
        for _ in range(_ATTEMPTS):
            kind, *reply = await self._servers.run(_LOAD, keys, wanted, *around)
            if kind == b"none":
                return None
            if kind == b"gap":
                raise _not_in_log(*reply)
            document_type, epoch, oldest, newest, base, token, content, before, *encoded = reply
            if content is None:
                content = await self._servers.call(keys[0], "GET", token.join(around))
            entries = [decode_entry(each) for each in encoded]
            try:
                entries += await self._pages(room_id, epoch, int(base) + len(entries), newest)
            except (LogMoved, VersionMismatch):
                continue
            if content is not None:
                return StoredDocument(
                    document_type.decode(),
                    epoch.decode(),
                    int(oldest),
                    int(base),
                    decode_content(content),
                    entries,
                    mark_of(before),
                )
        raise ServiceUnavailable(f"the document of {room_id!r} cannot be read", retryAfterMs=RETRY_AFTER_MS)

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
        if limit is not None:
            up_to = after + limit if up_to is None else min(up_to, after + limit)
        return await self._pages(room_id, epoch.encode(), after, up_to, mark)

    async def _pages(
        self, room_id: str, epoch: bytes, after: int, up_to: int | None, mark: str | None = None
    ) -> list[Committed]:
        """The entries after that version; without a `mark` (None) it is known that there is `after`."""
        keys = self._names.room(room_id, "document", "log")
        entries: list[Committed] = []
        while mark is not None or up_to is None or after < up_to:
            kind, *reply = await self._servers.run(_HISTORY, keys, epoch, after, "" if up_to is None else up_to)
            if kind == b"moved":
                raise _moved(room_id, after, epoch.decode())
            if kind == b"gap":
                raise _not_in_log(*reply)
            # What is written while pages are read is not waited for.
            up_to, before, *encoded = reply
            if mark and mark_of(before) != mark:
                raise _moved(room_id, after, epoch.decode())
            mark = None
            entries += map(decode_entry, encoded)
            after += len(encoded)
        return entries

    async def results(self, room_id: str, epoch: str, authors: Sequence[Author]) -> dict[Author, int]:
        if not authors:
            return {}
        keys = self._names.room(room_id, "document", "results")
        versions = await self._servers.run(_RESULTS, keys, epoch, *map(author_key, authors))
        return {author: version for author, version in zip(authors, versions, strict=False) if version}

    # --- writing ------------------------------------------------------------------------------------------------------

    def append(self, room_id: str, epoch: str, entries: Sequence[Committed], mark: str = "") -> asyncio.Future[None]:
        keys = self._keys_of_append(room_id)
        begun = self._clock()
        turn = "overtaken" if begun - self._overtaken.get(room_id, begun) > _LONG else ""
        arguments: list[Word] = [room_id, epoch, entries[0].version, mark, entries[-1].mark, self._who, turn]
        for entry in entries:
            arguments += (encode_entry(entry), author_key(entry.author), entry.size)
        decode = partial(self._appended, begun, room_id, epoch, entries, mark)
        return self._servers.run(_APPEND, keys, *arguments, durable=True, decode=decode)

    def _appended(
        self, begun: float, room_id: str, epoch: str, entries: Sequence[Committed], mark: str, reply: Any
    ) -> None:
        """Raises what the reply to an append says."""
        if reply == 1:
            self._overtaken.pop(room_id, None)
            return
        kind, *rest = reply
        if kind == b"known":
            pairs = zip(rest[::2], rest[1::2], strict=True)
            raise AlreadyCommitted({entries[index].author: version for index, version in pairs})
        error = _moved(room_id, entries[0].version - 1, epoch)
        if kind == b"turn":
            error.pause = _PAUSE
            raise error
        self._overtaken.setdefault(room_id, begun)
        if rest and (not mark or mark_of(rest[0]) == mark):
            error.entries = [decode_entry(each) for each in rest[1:]]
        raise error

    def _make_keys_of_append(self, room_id: str) -> Sequence[bytes]:
        return (
            *self._names.room(room_id, "document", "log", "results"),
            *self._names.beside(room_id, "unwritten", "unsaved"),
        )

    async def create(self, room_id: str, document_type: str, content: Any) -> StoredDocument:
        for _ in range(_ATTEMPTS):
            if (made := await self._make("create", room_id, document_type, content)) is not None:
                return made
            if (document := await self.load(room_id)) is not None:
                return document
        raise ServiceUnavailable(f"the document of {room_id!r} cannot be made", retryAfterMs=RETRY_AFTER_MS)

    async def replace(self, room_id: str, document_type: str, content: Any) -> StoredDocument:
        made = await self._make("replace", room_id, document_type, content)
        assert made is not None, "whatever there is is replaced"
        return made

    async def _make(self, mode: str, room_id: str, document_type: str, content: Any) -> StoredDocument | None:
        """The document that was made; None: there is one already."""
        key, token = await self._put_content(room_id, content)
        arguments = (mode, document_type, epoch_name(), token, self._unix())
        outcome, *epoch = await self._run_on_life(_CREATE, room_id, *arguments, more_keys=(key,), durable=True)
        if outcome == b"exists":
            return None
        _check_content(outcome)
        return StoredDocument(document_type, epoch[0].decode(), 0, 0, content, [])

    async def snapshot(self, room_id: str, epoch: str, version: int, content: Any, retention: Retention) -> int:
        key, token = await self._put_content(room_id, content)
        now = self._unix()
        since = max(0.0, now - retention.seconds * 1000)
        remembered_since = now - retention.results_seconds * 1000
        kept = (retention.operations, retention.bytes, since, remembered_since, now)
        oldest, more = await self._run_on_life(_SNAPSHOT, room_id, epoch, version, token, *kept, more_keys=(key,))
        while more:
            _, more = await self._run_on_life(_SNAPSHOT, room_id, epoch, version, "", *kept)
        return int(oldest)

    async def delete(self, room_id: str) -> bool:
        (deleted,) = await self._run_on_life(_DELETE, room_id, _REMEMBER_DELETED, durable=True)
        return bool(deleted)

    async def handed_back(self, room_id: str, epoch: str, version: int) -> None:
        keys = (*self._names.room(room_id, "document"), *self._names.beside(room_id, "unsaved"))
        await self._servers.run(_HANDED_BACK, keys, room_id, epoch, version)

    async def mend(self, room_id: str, known: StoredDocument, recent: Sequence[Committed]) -> bool:
        keys = self._names.room(room_id, "document", "log", "gone")
        for _ in range(_ATTEMPTS):
            found = Found.from_reply(await self._servers.run(_PEEK, keys, known.version))
            match judge(found, known, recent):
                case Verdict.NOTHING:
                    return False
                case Verdict.RENEW:
                    mended = await self._renew(room_id, found)
                case Verdict.RESTORE:
                    mended = await self._restore(room_id, found, known, recent)
            if mended:
                return True
        raise ServiceUnavailable(f"the document of {room_id!r} cannot be mended", retryAfterMs=RETRY_AFTER_MS)

    async def _renew(self, room_id: str, found: Found) -> bool:
        """False: it has been changed meanwhile."""
        assert found.epoch is not None
        keys = (*self._names.room(room_id, "document"), *self._names.beside(room_id, "unsaved"))
        epoch = epoch_after(found.epoch)
        return bool(await self._servers.run(_RENEW, keys, room_id, found.epoch, epoch, durable=True))

    async def _restore(self, room_id: str, found: Found, known: StoredDocument, recent: Sequence[Committed]) -> bool:
        """False: it has been changed meanwhile."""
        key, token = await self._put_content(room_id, known.content)
        was = (
            found.epoch or "",
            "" if found.epoch is None else found.version,
            "" if found.gone is None else found.gone,
        )
        becomes = (
            epoch_after(known.epoch, found.epoch, gone=found.gone),
            known.type,
            known.version,
            token,
            self._unix(),
        )
        # Results of the same history stay true.
        of_same = int(known.epoch in (found.epoch, found.mended_epoch))
        results: list[Word] = []
        for entry in recent:
            results += (author_key(entry.author), entry.version)
        arguments = (*was, *becomes, known.epoch, known.mark, of_same, *results)
        (outcome,) = await self._run_on_life(_RESTORE, room_id, *arguments, more_keys=(key,), durable=True)
        if outcome == b"changed":
            return False
        _check_content(outcome)
        return True

    # --- all rooms ----------------------------------------------------------------------------------------------------

    async def list(self, after: str = "", limit: int = 1_000) -> list[DocumentSummary]:
        summaries: list[DocumentSummary] = []
        while len(summaries) < limit:
            rooms = await self._page_of("documents", after, limit - len(summaries))
            if not rooms:
                break
            found = await self._gather(self._summary, rooms)
            summaries += [summary for summary in found if summary is not None]
            after = rooms[-1]
        return summaries

    async def awaiting_hand_back(self, after: str = "", limit: int = 1_000) -> Sequence[str]:
        return await self._page_of("unsaved", after, limit)

    async def forget_unwritten(self, before: int, keep: Collection[str]) -> int:
        forgotten = 0
        for key in self._names.shared("unwritten"):
            stay = 0
            while members := await self._servers.call(
                key, "ZRANGEBYSCORE", key, "-inf", f"({before}", "LIMIT", stay, _AT_ONCE
            ):
                rooms = [room_id for room_id in map(bytes.decode, members) if room_id not in keep]
                outcomes = await self._gather(partial(self._forget, before), rooms)
                forgotten += sum(outcomes)
                stay += len(members) - sum(outcomes)
        return forgotten

    async def close(self) -> None:
        await self._servers.close()

    async def _forget(self, before: int, room_id: str) -> int:
        (forgotten,) = await self._run_on_life(_FORGET, room_id, before, more_keys=(self._names.roster(room_id),))
        return int(forgotten)

    async def _summary(self, room_id: str) -> DocumentSummary | None:
        (key,) = self._names.room(room_id, "document")
        fields = ("type", "epoch", "version", "oldest", "mark", "created_at", "bytes", "base")
        values = await self._servers.call(key, "HMGET", key, *fields)
        if values[0] is None:
            return None
        document_type, epoch, *numbers = map(bytes.decode, values)
        version, oldest, mark, created_at, size, base = numbers
        # What is before the log was counted up to the entry that made the oldest version.
        trimmed = 0 if oldest == base else await self._bytes_up_to(room_id, oldest)
        changed_at = mark.partition(":")[0] or created_at
        return DocumentSummary(
            room_id, document_type, epoch, int(version), int(oldest), int(changed_at), int(size) - trimmed
        )

    async def _bytes_up_to(self, room_id: str, version: str) -> int:
        (key,) = self._names.room(room_id, "log")
        found = await self._servers.call(key, "XRANGE", key, f"{version}-0", f"{version}-0")
        return int(found[0][1][3]) if found else 0

    async def _page_of(self, kind: str, after: str, limit: int) -> Sequence[str]:
        """The first names after `after` of those that all rooms share, in order."""
        keys = self._names.shared(kind)
        found: list[bytes] = []
        begin = b"(" + after.encode()
        # A few from each, since they are spread evenly; what is beyond the end of any may have something before it.
        each = max(16, limit // 32)
        while len(found) < limit:
            asked = [self._servers.call(key, "ZRANGEBYLEX", key, begin, "+", "LIMIT", 0, each) for key in keys]
            portions = await asyncio.gather(*asked)
            ends = [portion[-1] for portion in portions if len(portion) == each]
            end = min(ends, default=None)
            found += sorted(name for portion in portions for name in portion if end is None or name <= end)
            if end is None:
                break
            begin = b"(" + end
        return [name.decode() for name in found[:limit]]

    # --- helpers ------------------------------------------------------------------------------------------------------

    async def _put_content(self, room_id: str, content: Any) -> tuple[bytes, bytes]:
        """Puts a content where a script finds it, and returns the key and the token in its name."""
        token = secrets.token_hex(8).encode()
        key = token.join(self._names.around(room_id, "content"))
        await self._servers.call(key, "SET", key, encode_content(content), "PX", _CONTENT_WAITS)
        return key, token

    async def _run_on_life(
        self,
        script: Script,
        room_id: str,
        *arguments: Word,
        durable: bool = False,
        more_keys: Sequence[bytes] = (),
    ) -> Sequence[Any]:
        """Runs a script that is about all that a document consists of."""
        keys = [
            *self._names.room(room_id, "document", "log", "results", "snapshots", "eras", "gone"),
            *self._names.beside(room_id, "documents", "unwritten", "unsaved"),
            *more_keys,
        ]
        around = self._names.around(room_id, "content")
        reply: Sequence[Any]
        left_behind, *reply = await self._servers.run(script, keys, room_id, *around, *arguments, durable=durable)
        for token in left_behind:
            self._servers.post(key := token.join(around), "UNLINK", key)
        return reply

    async def _gather(self, function: Callable[[str], Any], rooms: Sequence[str]) -> Sequence[Any]:
        """What the function gives for each room, some at once."""
        results: list[Any] = []
        for begin in range(0, len(rooms), _AT_ONCE):
            results += await asyncio.gather(*map(function, rooms[begin : begin + _AT_ONCE]))
        return results

    def _unix(self) -> int:
        return int(self._clock() * 1000)


def _moved(room_id: str, version: int, epoch: str) -> LogMoved:
    return LogMoved(f"the log of {room_id!r} is not at version {version} of epoch {epoch}")


def _not_in_log(version: bytes, oldest: bytes) -> VersionMismatch:
    return VersionMismatch("the version is not in the log", version=int(version), oldest=int(oldest))


def _check_content(outcome: bytes) -> None:
    """Raises if the content that was put there was lost before a script took note of it."""
    if outcome == b"lost":
        raise ServiceUnavailable("Redis has lost a content", retryAfterMs=RETRY_AFTER_MS)
