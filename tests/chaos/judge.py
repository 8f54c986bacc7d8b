"""What must hold of a cluster after faults, decided from what its clients were told and what Redis has; without I/O.

- The log has no gap, no operation twice, and leads to what is on every screen.
- On each connection versions go up by one (OT3), and what is told or acknowledged as a version of the epoch in which
  the document ends is what the log has there: one order, for everybody.
- What was acknowledged is in the log, once. Where a fault may lose operations, it may be missing only if the document
  has begun another epoch since, which clients are told; where none may be lost, the epoch never changes.
- Every edit is in the document once. Where operations may be lost, those may be missing that were acknowledged in an
  earlier epoch or handed back.
- Whoever gets the whole document gets what the log leads to.
- Refusals and losses of connections are the documented ones.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Sequence, Set
from dataclasses import dataclass, field
from typing import Any

from tests.chaos.history import Acknowledged, Joined, Lost, Record, Refused, Told, made_anew
from tests.durability.writers import marks_in

from fastcollab import ot
from fastcollab.core.document import Committed
from fastcollab.errors import CloseCode, ConnectionClosed, ErrorCode, HandshakeRefused, ProtocolError

#: How a connection may end when a gateway or the way to it is gone (`GOING_AWAY` is what a client says itself that has
#: had no answer to its pings), and when a gateway stops.
_LOSSES = {
    CloseCode.ABNORMAL,
    CloseCode.GOING_AWAY,
    CloseCode.SERVICE_UNAVAILABLE,
    CloseCode.SILENT,
    CloseCode.REPLACED,
}


@dataclass(frozen=True, slots=True)
class Log:
    """What Redis has of a room: the content at version `oldest`, and what follows."""

    type: str
    epoch: str
    oldest: int
    content: Any
    entries: Sequence[Committed]

    @property
    def newest(self) -> int:
        return self.oldest + len(self.entries)


@dataclass(slots=True)
class Screen:
    """What a writer sees at the end, and what became of the edits: each inserted a mark, used once."""

    record: Record
    epoch: str
    version: int
    content: Any
    written: set[str] = field(default_factory=set)
    saved: set[str] = field(default_factory=set)
    handed_back: set[str] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class Allowance:
    """What the fault excuses: that operations are lost, with a change of epoch; that people who are there are taken for
    gone, since the lease of their node has run out.
    """

    loss: bool = False
    absence: bool = False

    @property
    def codes(self) -> Collection[int]:
        mismatch = (ErrorCode.VERSION_MISMATCH,) if self.loss else ()
        return {ErrorCode.SERVICE_UNAVAILABLE, *mismatch}


def judge(log: Log, screens: Sequence[Screen], others: Sequence[Record], allowed: Allowance) -> list[str]:
    """What is wrong in one room, in words; nothing: all is well. `others` are records of clients that have left."""
    room = screens[0].record.room
    if broken := [f"{room}: {finding}" for finding in _log_findings(log)]:
        return broken  # nothing can be compared with it
    contents = _contents(log)
    findings = [*_document_findings(log, contents, screens, allowed)]
    for record in [*(screen.record for screen in screens), *others]:
        findings += [f"{record.name}: {finding}" for finding in _Reader(record, log, contents, allowed).findings()]
    return [f"{room}: {finding}" for finding in findings]


def judge_roster(name: str, seen: Set[str], there: Set[str]) -> list[str]:
    """What is wrong with whom one client sees in a room."""
    ghosts = [f"{name} sees {user}, who has gone" for user in sorted(seen - there)]
    return ghosts + [f"{name} does not see {user}" for user in sorted(there - seen)]


def lost(log: Log, screens: Sequence[Screen]) -> int:
    """How many acknowledged edits are not in the document."""
    there = set(marks_in(_contents(log)[log.newest]))
    return sum(len(screen.saved - there) for screen in screens)


def _contents(log: Log) -> dict[int, Any]:
    """The document at each version."""
    document_type = ot.types[log.type]
    contents = {log.oldest: log.content}
    for number, entry in enumerate(log.entries, log.oldest + 1):
        contents[number] = document_type.apply(contents[number - 1], entry.operation)
    return contents


def _log_findings(log: Log) -> Iterator[str]:
    if [entry.version for entry in log.entries] != list(range(log.oldest + 1, log.newest + 1)):
        yield "the log has a gap"
    for author, count in Counter(entry.author for entry in log.entries).items():
        if count > 1:
            yield f"{author} is in the log {count} times"


def _document_findings(
    log: Log, contents: dict[int, Any], screens: Sequence[Screen], allowed: Allowance
) -> Iterator[str]:
    content = contents[log.newest]
    for screen in screens:
        name = screen.record.name
        if (screen.epoch, screen.version) != (log.epoch, log.newest):
            yield f"{name} is at {screen.version} of {screen.epoch}, and the log at {log.newest} of {log.epoch}"
        elif screen.content != content:
            yield f"{name} sees another document than the log leads to"
        if screen.written != screen.saved | screen.handed_back:
            yield f"{name} has edits that were neither saved nor handed back"
        if screen.handed_back and not allowed.loss:
            yield f"{name} got {len(screen.handed_back)} edits back"
    marks = Counter(marks_in(content))
    written = set[str]().union(*(screen.written for screen in screens))
    for mark, count in marks.items():
        if count > 1:
            yield f"the edit {mark} is in the document {count} times"
    if strange := marks.keys() - written:
        yield f"nobody has written {sorted(strange)}"
    if not allowed.loss and (missing := written - marks.keys()):
        yield f"{len(missing)} edits are not in the document"


class _Reader:
    """Reads one client's history from its beginning."""

    def __init__(self, record: Record, log: Log, contents: dict[int, Any], allowed: Allowance) -> None:
        self._record = record
        self._log = log
        self._contents = contents
        self._allowed = allowed
        self._ids = {entry.version: entry.message_id for entry in log.entries}
        self._operations = {entry.version: entry.operation for entry in log.entries}
        self._epoch = ""
        self._expected: int | None = None  # None: nothing counts until the room is joined again

    def findings(self) -> Iterator[str]:
        for entry in self._record.entries:
            if made_anew(entry):
                self._expected = None
            match entry:
                case Joined():
                    yield from self._joined(entry)
                case Told():
                    yield from self._told(entry)
                case Acknowledged():
                    yield from self._acknowledged(entry)
                case Refused(code, _, message):
                    if code not in self._allowed.codes:
                        yield f"refused with {code}: {message}"
                case Lost(failure):
                    self._expected = None
                    if not _is_documented(failure):
                        yield f"lost its connection by {failure!r}"

    @property
    def _is_final(self) -> bool:
        """Whether the client is in the epoch in which the document ends."""
        return self._epoch == self._log.epoch

    def _joined(self, entry: Joined) -> Iterator[str]:
        if self._epoch and entry.epoch != self._epoch:
            if not self._allowed.loss:
                yield f"the document begins the epoch {entry.epoch}"
            if entry.recovered:
                yield "an epoch has changed, and the client is not told"
        self._epoch = entry.epoch
        self._expected = entry.version - entry.missed + 1
        known = self._contents.get(entry.version, entry.data)
        if self._is_final and not entry.recovered and entry.data != known:
            yield f"was given another document at version {entry.version} than the log leads to"

    def _told(self, entry: Told) -> Iterator[str]:
        if self._expected is None:
            return
        if entry.version != self._expected:
            yield f"was told version {entry.version}, and {self._expected} would be next"
        self._expected = entry.version + 1
        if self._is_final:
            yield from self._compared(entry.version, entry.message_id)
            if entry.operation != self._operations.get(entry.version, entry.operation):
                yield f"was told another operation as version {entry.version} than the log has"

    def _acknowledged(self, entry: Acknowledged) -> Iterator[str]:
        if self._expected is not None:
            if entry.version > self._expected:
                yield f"version {entry.version} was acknowledged, and {self._expected} would be next"
            self._expected = max(self._expected, entry.version + 1)
        if self._is_final:
            yield from self._compared(entry.version, entry.message_id)

    def _compared(self, version: int, message_id: str) -> Iterator[str]:
        if version > self._log.oldest and self._ids.get(version) != message_id:
            yield f"knows {message_id} as version {version}, where the log has {self._ids.get(version)}"


def _is_documented(failure: Exception) -> bool:
    match failure:
        case ConnectionClosed(code=code):
            return code in _LOSSES
        case HandshakeRefused(status=status):
            return status == 503
        case ProtocolError(code=code):
            return code == ErrorCode.SERVICE_UNAVAILABLE
    return isinstance(failure, (OSError, TimeoutError))
