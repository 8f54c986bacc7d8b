"""The form of a recording: JSON Lines, in gzip if the file's name ends in ``.gz`` (docs/recording.md).

The first line is the `Header`, the last one, of a recording that was brought to its end, is `End`; each line in between
says what happened, and when: ``t``, in milliseconds from when the recorder joined the room, never less than in the line
before. A line is whole or it is not there. A recorder that is killed leaves a file that ends in the middle of a line,
or of a block of gzip, and is read up to the last line that is whole.

Cursors and selections are in the file as the gateway sends them, batched frames (B6) in Base64: 32 characters for a
cursor and 60 or so for a frame, before gzip.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, Self, TypeAlias

import msgspec
from msgspec import UNSET, Struct

from fastcollab._binary import decode_frames
from fastcollab._system import reason
from fastcollab.errors import FastcollabError
from fastcollab.messages import PresenceData

VERSION = 1
MAX_LINE = 64 * 2**20  # bytes; as much as a client accepts in a message

_CHUNK = 1 << 16
_GZIP = 16 + zlib.MAX_WBITS
_GZIP_MAGIC = b"\x1f\x8b"


class RecordingError(FastcollabError):
    """A file that is no recording, or is damaged; it says in which line."""


class Header(Struct, frozen=True, tag="recording", tag_field="kind", rename="camel"):
    """``version`` is that of the form, ``started_at`` a Unix time in ms; ``room`` is empty if it is anonymous."""

    version: int
    room: str
    started_at: int
    anonymous: bool = False


class _Entry(Struct, frozen=True, tag_field="kind", rename="camel"):
    t: float


class Document(_Entry, frozen=True, tag="document"):
    """The document as a whole: at the beginning, and where its operations could not be followed. A document that an
    operation has removed has no ``data``.
    """

    type: str
    version: int
    epoch: str
    data: Any = UNSET


class Joined(_Entry, frozen=True, tag="joined"):
    """A participant has come, or was there at the beginning; ``presence`` is what they show."""

    user: str
    number: int
    name: str
    color: str
    presence: PresenceData


class Left(_Entry, frozen=True, tag="left"):
    """A participant has gone."""

    user: str


class Frame(_Entry, frozen=True, tag="frame"):
    """Cursors, or selections that were made by frames: a batched frame, as received."""

    frame: bytes


class Presence(_Entry, frozen=True, tag="presence"):
    """What a participant shows, as far as it has changed."""

    user: str
    presence: PresenceData


class Event(_Entry, frozen=True, tag="event"):
    """An event to the whole room."""

    user: str
    name: str
    data: Any = UNSET


class Operation(_Entry, frozen=True, tag="operation"):
    """An operation as it was committed: written against version ``base``, and made into one that leads to ``version``
    from the one before.
    """

    user: str
    base: int
    version: int
    operation: Any


class Gap(_Entry, frozen=True, tag="gap"):
    """The recorder has lost its connection; of what happened from here to ``resumed`` only operations are known."""


class Resumed(_Entry, frozen=True, tag="resumed"):
    """The recorder is in the room again."""


class End(_Entry, frozen=True, tag="end"):
    """The recording was brought to its end."""


Entry: TypeAlias = Document | Joined | Left | Frame | Presence | Event | Operation | Gap | Resumed | End

_header_decoder = msgspec.json.Decoder(Header)
_entry_decoder = msgspec.json.Decoder(Entry)


class RecordingWriter:
    """Writes a recording as it comes; a context manager.

    What was written is in the hands of the system after ``flush``, which the owner calls now and then, and survives the
    end of the process from there on. RecordingError from any method if the file is there already, or cannot be written.
    """

    def __init__(self, path: Path, header: Header) -> None:
        self.path = path
        self.size = 0  # bytes in the file
        self._encoder = msgspec.json.Encoder()
        self._packer = zlib.compressobj(6, zlib.DEFLATED, _GZIP) if path.suffix == ".gz" else None
        try:
            self._file: BinaryIO = path.open("xb")
        except FileExistsError:
            raise RecordingError(f"{path} is there already, and is not overwritten") from None
        except OSError as error:
            raise self._failure(error) from None
        self._put(header)
        self.flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        try:
            if self._packer is not None:
                self._emit(self._packer.flush(zlib.Z_FINISH))
        finally:
            self._close()

    def write(self, entry: Entry) -> None:
        self._put(entry)

    def flush(self) -> None:
        """Gives the system all that was written, so that it can be read."""
        if self._packer is not None:
            self._emit(self._packer.flush(zlib.Z_SYNC_FLUSH))
        try:
            self._file.flush()
        except OSError as error:
            raise self._failure(error) from None

    def _put(self, line: Header | Entry) -> None:
        data = self._encoder.encode(line) + b"\n"
        self._emit(data if self._packer is None else self._packer.compress(data))

    def _emit(self, data: bytes) -> None:
        try:
            self._file.write(data)
        except OSError as error:
            raise self._failure(error) from None
        self.size += len(data)

    def _close(self) -> None:
        try:
            self._file.close()
        except OSError as error:
            raise self._failure(error) from None

    def _failure(self, error: OSError) -> RecordingError:
        return RecordingError(f"{self.path} cannot be written: {reason(error)}")


def read_recording(path: Path) -> tuple[Header, Iterator[tuple[int, Entry]]]:
    """The header of a recording, and its lines with their numbers, the second one of the file first.

    What follows the last whole line is left out, and there is no `End` then. RecordingError for a file that cannot be
    read or is no recording, at once or while its lines are read.
    """
    lines = _lines(path)
    first = next(lines, (1, b""))[1]
    try:
        header = _header_decoder.decode(first)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        raise RecordingError(f"{path} is no recording of fastcollab: its first line is no header of one") from None
    if header.version != VERSION:
        raise RecordingError(f"{path} is a recording of version {header.version}, and version {VERSION} is known here")
    return header, _entries(path, lines)


def _entries(path: Path, lines: Iterator[tuple[int, bytes]]) -> Iterator[tuple[int, Entry]]:
    before = 0.0
    ended = False
    for number, line in lines:
        try:
            if ended:
                raise ValueError("there is more after the end")
            entry = _entry_decoder.decode(line)
            if not before <= entry.t < math.inf:
                raise ValueError(f"the time {entry.t:g} is not after {before:g}, that of the line before")
            if isinstance(entry, Frame) and decode_frames(entry.frame)[1] is None:
                raise ValueError("its frame is not batched")
        except RecursionError:
            raise RecordingError(f"{path}, line {number}: it is nested too deeply") from None
        except (msgspec.MsgspecError, ValueError) as error:
            raise RecordingError(f"{path}, line {number}: {error}") from None
        before = entry.t
        ended = isinstance(entry, End)
        yield number, entry


def _lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """The whole lines of the file with their numbers, however it is packed."""
    rest = bytearray()
    number = 0
    for piece in _pieces(path):
        rest += piece
        *whole, last = rest.split(b"\n")
        for line in whole:
            number += 1
            yield number, bytes(line)
        rest = bytearray(last)
        if len(rest) > MAX_LINE:
            raise RecordingError(f"{path}, line {number + 1}: it is longer than {MAX_LINE} bytes")


def _pieces(path: Path) -> Iterator[bytes]:
    """The content, unpacked, a little at a time. Where a packed file breaks off, so does the content."""
    try:
        with path.open("rb") as file:
            start = file.read(len(_GZIP_MAGIC))
            file.seek(0)
            if start != _GZIP_MAGIC:
                while piece := file.read(_CHUNK):
                    yield piece
                return
            unpacker = zlib.decompressobj(_GZIP)
            while not unpacker.eof and (packed := unpacker.unconsumed_tail or file.read(_CHUNK)):
                yield unpacker.decompress(packed, _CHUNK)
    except zlib.error:
        raise RecordingError(f"{path} is damaged: it cannot be unpacked") from None
    except OSError as error:
        raise RecordingError(f"{path} cannot be read: {reason(error)}") from None
