"""What a replay of a recording does and says, worked out before anything is connected.

A *script* has the recorded users as *actors*, and what they do as *cues*, in the order of the recording. It has two
parts. What concerns the document and who is there, the *plot*, is played in order, each cue after the one before it.
Cursors are played by the clock alone, since a cursor waits for nobody.

Operations. A recording has them as they were committed: transformed over all that their author had not seen. To send
them so would ask less of the gateway than was asked when they were recorded, which had to transform them. So each is
taken back to where it was written: over the operations committed in between, from the last to the first, by
transformation over their inverses. That need not succeed, since transformation forgets: text that was deleted under an
author has no way back. But it can be checked: an operation that is what was recorded, once it is transformed forward
again as a gateway does it (OT2), is as good as the one that was written, and goes as far back as that is so. What is
not got back by this is sent against a later version, the latest of which always will do. The report says how many
operations the gateway had to transform when they were recorded, and how many it has to transform in the replay.

Versions. A new room begins with an empty document, so the recorded one is put there by an operation in the beginning.
Where the recording has the document anew (`recording.file.Document`), another operation puts it in the place of the one
before. So the operations of the script are numbered on their own: the first one makes version 1.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from msgspec import UNSET

from fastcollab import ot
from fastcollab._binary import decode_frames
from fastcollab.client.room import MAX_COORDINATE
from fastcollab.messages import PresenceData, Selection
from fastcollab.ot import ABSENT, DocumentType, OperationError, Side
from fastcollab.ot.live import LiveDocument, open_document
from fastcollab.recording import file
from fastcollab.recording.file import MAX_LINE, RecordingError, read_recording
from fastcollab.server.first_content import checked_content

#: Operations back to which an operation may be taken. People in a room are a few of them behind each other.
REACH = 200
CURSORS = 1  # as a type of frame; the other one is that of selections

_TEXT_PIECE = 100_000  # code points, so that the beginning of a long text is no operation that is too large

Viewport = tuple[float, float] | None


@dataclass(frozen=True, slots=True)
class Enter:
    """The actor joins the room."""


@dataclass(frozen=True, slots=True)
class Leave:
    """The actor leaves the room."""


@dataclass(frozen=True, slots=True)
class Point:
    """The actor shows a cursor that is known from its presence, and not from a frame."""

    x: float
    y: float
    viewport: Viewport


@dataclass(frozen=True, slots=True)
class Show:
    """The actor's status or data: the fields of ``presence_update``."""

    presence: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Select:
    """The actor selects: the payload of ``selection_change``, with ``version`` in terms of the script."""

    payload: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Say:
    """The actor sends an event to the room."""

    payload: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Write:
    """The actor sends an operation against version ``base``, which is to make ``version``."""

    operation: Any
    base: int
    version: int


Action = Enter | Leave | Point | Show | Select | Say | Write


@dataclass(frozen=True, slots=True)
class Cue:
    """What an actor does, ``at`` so many seconds from the beginning."""

    at: float
    actor: int
    action: Action


@dataclass(frozen=True, slots=True)
class Frames:
    """Frames that actors send at one moment: a kind (B4), and x, y and viewport of each."""

    at: float
    kind: int
    records: list[tuple[int, float, float, Viewport]]  # the first is the actor


@dataclass(slots=True)
class Script:
    """A replay. ``setting`` are the operations by which the document becomes what it was in the beginning, and ``cast``
    are the actors who are in the room then.
    """

    document_type: str
    setting: list[Any] = field(default_factory=list)
    cast: list[int] = field(default_factory=list)
    actors: list[str] = field(default_factory=list)  # their recorded user ids
    plot: list[Cue] = field(default_factory=list)
    frames: list[Frames] = field(default_factory=list)
    cursors: int = 0
    seconds: float = 0.0
    complete: bool = False  # whether the recording was brought to its end
    gaps: int = 0
    operations: int = 0
    transformed_then: int = 0  # operations that were written against another version than the one before theirs
    transformed_now: int = 0  # of these, in the replay
    content: Any = ABSENT  # of the document at the end


def load_script(path: Path) -> Script:
    """The script of a recording. RecordingError, with the line, if it is none, is damaged, or has nothing to replay."""
    _, lines = read_recording(path)
    reader: _Reader | None = None
    for number, entry in lines:
        try:
            if reader is None:
                if not isinstance(entry, file.Document):
                    raise ValueError("a recording begins with the document")
                reader = _Reader(entry)
            else:
                reader.read(entry)
        except ValueError as error:  # OperationError is one
            raise RecordingError(f"{path}, line {number}: {error}") from None
    if reader is None or not reader.script.actors:
        raise RecordingError(f"{path} has nothing to replay: nobody was there while it was recorded")
    return reader.finished()


def replacement(document_type: str, before: Any, after: Any) -> list[Any]:
    """Operations, one after the other, that make the document `after` of `before`. ValueError for an unknown type."""
    if before == after:
        return []
    match document_type:
        case "text":
            pieces = [after[at : at + _TEXT_PIECE] for at in range(0, len(after), _TEXT_PIECE)] or [""]
            removal: list[Any] = [{"d": len(before)}] if before else []
            first = ot.types["text"].normalize([pieces[0], *removal])
            return [first, *([at * _TEXT_PIECE, piece] for at, piece in enumerate(pieces[1:], 1))]
        case "json1":
            removed = {} if before is ABSENT else {"r": True}
            return [[removed if after is ABSENT else {**removed, "i": after}]]
        case "rich-text":
            length = sum(_length(each) for each in before)
            return [ot.types["rich-text"].normalize([*after, *([{"delete": length}] if length else [])])]
        case _:
            raise ValueError(f"documents of type {document_type!r} cannot be replayed")


def _checked(x: float, y: float, viewport: Viewport) -> tuple[float, float, Viewport]:
    """ValueError for coordinates that a gateway refuses (B1)."""
    for coordinate in (x, y, *(viewport or ())):
        if not abs(coordinate) <= MAX_COORDINATE:  # nor is NaN
            raise ValueError(f"the coordinate {coordinate} does not lie between -2**24 and 2**24")
    return x, y, viewport


def _length(insert: dict[str, Any]) -> int:
    """Of what Quill counts in: UTF-16 units of text, and one for anything else."""
    text = insert["insert"]
    return len(text.encode("utf-16-le")) // 2 if isinstance(text, str) else 1


def taken_back(document_type: DocumentType, operation: Any, committed: Iterable[tuple[Any, Any]]) -> tuple[Any, int]:
    """`operation` as it was before it was transformed over the `committed` ones, as far as that can be told.

    `committed` are operations and what undoes them, the newest first. Returns the operation and how many of them it has
    been taken back over.
    """
    count = 0
    for other, inverse in committed:
        earlier = _before(document_type, operation, other, inverse)
        if earlier is None:
            break
        operation = earlier
        count += 1
    return operation, count


def _before(document_type: DocumentType, operation: Any, other: Any, inverse: Any) -> Any:
    """What becomes `operation` when it is transformed over `other`; None if that is not found."""
    sides: tuple[Side, Side] = ("left", "right")
    for side in sides:
        try:
            earlier = document_type.transform(operation, inverse, side)
            if document_type.transform(earlier, other, "left") == operation:
                return earlier
        except OperationError:
            continue
    return None


class _Reader:
    """Makes a script of the lines of a recording. ValueError for a line that does not go with those before."""

    def __init__(self, first: file.Document) -> None:
        if first.type not in ot.types:
            raise ValueError(f"the document type {first.type!r} is unknown")
        self.script = Script(first.type)
        self._type = ot.types[first.type]
        self._actors: dict[str, int] = {}
        self._numbers: dict[int, int] = {}  # actors by those in the frames
        self._present: set[int] = set()
        self._version = 0  # in terms of the script
        self._recorded = 0  # the recorded version that this is
        self._committed: deque[tuple[Any, Any]] = deque(maxlen=REACH)  # with inverses, the newest first
        self._document: LiveDocument = open_document(self._type, self._type.create())
        self.script.setting = self._replaced(first)

    def read(self, entry: file.Entry) -> None:
        self.script.seconds = at = entry.t / 1000
        match entry:
            case file.Frame():
                self._frame(at, entry.frame)
            case file.Operation():
                self._operation(at, entry)
            case file.Presence():
                self._presence(at, self._actor(entry.user), entry.presence)
            case file.Event():
                data = {} if entry.data is UNSET else {"data": entry.data}
                self._play(at, self._actor(entry.user), Say({"name": entry.name, **data}))
            case file.Joined():
                actor = self._numbers[entry.number] = self._actor(entry.user)
                if not at:
                    self._present.add(actor)
                    self.script.cast.append(actor)
                self._enter(at, actor)
                self._presence(at, actor, entry.presence)
            case file.Left():
                actor = self._actor(entry.user)
                if actor in self._present:
                    self._present.discard(actor)
                    self.script.plot.append(Cue(at, actor, Leave()))
            case file.Document():
                self._anew(at, entry)
            case file.Gap():
                self.script.gaps += 1
            case file.End():
                self.script.complete = True
            case file.Resumed():
                pass

    def finished(self) -> Script:
        self.script.content = self._document.content()
        return self.script

    def _actor(self, user: str) -> int:
        if user not in self._actors:
            self._actors[user] = len(self._actors)
            self.script.actors.append(user)
        return self._actors[user]

    def _enter(self, at: float, actor: int) -> None:
        if actor not in self._present:
            self._present.add(actor)
            self.script.plot.append(Cue(at, actor, Enter()))

    def _play(self, at: float, actor: int, action: Action) -> None:
        """Adds a cue, for which the actor has to be in the room: somebody may have come while nobody was looking."""
        self._enter(at, actor)
        self.script.plot.append(Cue(at, actor, action))

    def _frame(self, at: float, frame: bytes) -> None:
        kind, _, records = decode_frames(frame)
        played = []
        for number, x, y, _, viewport in records:
            actor = self._numbers.get(number)
            if actor is not None and actor in self._present:
                played.append((actor, *_checked(x, y, viewport)))
        if played:
            self.script.frames.append(Frames(at, kind, played))
            if kind == CURSORS:
                self.script.cursors += len(played)

    def _presence(self, at: float, actor: int, presence: PresenceData) -> None:
        if presence.cursor is not UNSET:
            cursor = presence.cursor
            viewport = None
            if cursor.viewport_x is not UNSET and cursor.viewport_y is not UNSET:
                viewport = cursor.viewport_x, cursor.viewport_y
            self._play(at, actor, Point(*_checked(cursor.x, cursor.y, viewport)))
            self.script.cursors += 1
        if presence.selection is not UNSET:
            self._play(at, actor, Select(self._selection(presence.selection)))
        shown = {"status": presence.status, "data": presence.data}
        if fields := {name: value for name, value in shown.items() if value is not UNSET}:
            self._play(at, actor, Show(fields))

    def _selection(self, selection: Selection | None) -> dict[str, Any]:
        """Whose selection is gone selects nothing."""
        if selection is None:
            return {"ranges": [], "color": "black", "version": self._version}
        ranges = [{"anchor": each.anchor, "head": each.head} for each in selection.ranges]
        version = self._version + selection.version - self._recorded
        return {"ranges": ranges, "color": selection.color, "version": min(max(version, 0), self._version)}

    def _operation(self, at: float, entry: file.Operation) -> None:
        if entry.version != self._recorded + 1:
            raise ValueError(f"version {entry.version} does not follow version {self._recorded}")
        if not 0 <= entry.base < entry.version:
            raise ValueError(f"an operation that makes version {entry.version} is not written against {entry.base}")
        self._type.check(entry.operation)
        missed = entry.version - 1 - entry.base
        newest_first = (self._committed[index] for index in range(min(missed, len(self._committed))))
        operation, back = taken_back(self._type, entry.operation, newest_first)
        inverse = self._document.apply(entry.operation)
        self._committed.appendleft((entry.operation, inverse))
        base = self._version - back
        self._recorded += 1
        self._version += 1
        self.script.operations += 1
        self.script.transformed_then += missed > 0
        self.script.transformed_now += back > 0
        self._play(at, self._actor(entry.user), Write(operation, base, self._version))

    def _anew(self, at: float, entry: file.Document) -> None:
        if entry.type != self._type.name:
            raise ValueError(f"the document's type is {entry.type!r}, and was {self._type.name!r} before")
        before = self._version
        operations = self._replaced(entry)
        if not self._actors:
            self.script.setting += operations
            return
        for base, operation in enumerate(operations, before):
            self._play(at, min(self._present, default=0), Write(operation, base, base + 1))

    def _replaced(self, entry: file.Document) -> list[Any]:
        """The operations that make the document what the line says."""
        content = checked_content(entry.type, ABSENT if entry.data is UNSET else entry.data, MAX_LINE)
        operations = replacement(self._type.name, self._document.content(), content)
        for operation in operations:
            self._document.apply(operation)
        self._version += len(operations)
        self._recorded = entry.version
        self._committed.clear()
        return operations
