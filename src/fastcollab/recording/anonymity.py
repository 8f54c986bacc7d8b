"""Takes out of a recording who took part and what they wrote, and leaves what makes the same load.

Users become numbers, in the order in which they are first seen. The name of the room, names of users, and the data of
events and of presence are left out, statuses and texts are masked. Masking replaces each character by a letter that
takes as many bytes in UTF-8 and as many units in UTF-16, but leaves white space; so an operation, masked, does to a
document, masked, what it did before, and costs as much. What stays: times, cursors, positions and lengths, white space,
colours of users and selections, numbers and truth values in documents, keys of ``json1`` objects and of ``rich-text``
attributes, names of events, and epochs.
"""

from __future__ import annotations

import struct
from typing import Any

import msgspec
from msgspec import UNSET

from fastcollab.messages import PresenceData
from fastcollab.recording.file import Document, Entry, Event, Frame, Joined, Left, Operation, Presence

_BATCH_HEADER = 8
_RECORD = 24


class Anonymizer:
    """One recording; every entry passes through it, in order."""

    def __init__(self) -> None:
        self._users: dict[str, int] = {}
        self._numbers: dict[int, int] = {}  # by those in the frames
        self._type = ""

    def anonymous(self, entry: Entry) -> Entry:
        """The entry without what is personal."""
        match entry:
            case Document():
                self._type = entry.type
                return msgspec.structs.replace(entry, data=_masked_value(entry.data))
            case Joined():
                number = self._numbers[entry.number] = self._number(entry.user)
                presence = _masked_presence(entry.presence)
                return msgspec.structs.replace(entry, user=str(number), number=number, name="", presence=presence)
            case Left():
                return msgspec.structs.replace(entry, user=self._user(entry.user))
            case Presence():
                presence = _masked_presence(entry.presence)
                return msgspec.structs.replace(entry, user=self._user(entry.user), presence=presence)
            case Event():
                return msgspec.structs.replace(entry, user=self._user(entry.user), data=UNSET)
            case Operation():
                operation = self._masked_operation(entry.operation)
                return msgspec.structs.replace(entry, user=self._user(entry.user), operation=operation)
            case Frame():
                return msgspec.structs.replace(entry, frame=self._renumbered(entry.frame))
            case _:
                return entry

    def _number(self, user: str) -> int:
        return self._users.setdefault(user, len(self._users) + 1)

    def _user(self, user: str) -> str:
        return str(self._number(user))

    def _renumbered(self, frame: bytes) -> bytes:
        """A record of somebody of whom nothing else is known has the number 0, which is nobody's."""
        changed = bytearray(frame)
        for at in range(_BATCH_HEADER, len(frame), _RECORD):
            (number,) = struct.unpack_from(">I", frame, at)
            struct.pack_into(">I", changed, at, self._numbers.get(number, 0))
        return bytes(changed)

    def _masked_operation(self, operation: Any) -> Any:
        # The strings in an operation of the other types are text, or what was deleted, or values of attributes.
        return _masked_json1(operation) if self._type == "json1" else _masked_value(operation)


def _masked_presence(presence: PresenceData) -> PresenceData:
    status = masked(presence.status) if isinstance(presence.status, str) else presence.status
    data = UNSET if presence.data is UNSET else None
    return msgspec.structs.replace(presence, status=status, data=data)


def masked(text: str) -> str:
    """Other letters of the same width, and the same white space."""
    return "".join(map(_masked_character, text))


def _masked_character(character: str) -> str:
    if character.isspace():
        return character
    code = ord(character)
    return "x" if code < 0x80 else "ä" if code < 0x800 else "字" if code < 0x10000 else "😀"


def _masked_value(value: Any) -> Any:
    """A JSON value with its strings masked, but not its keys."""
    match value:
        case str():
            return masked(value)
        case list():
            return [_masked_value(each) for each in value]
        case dict():
            return {key: _masked_value(each) for key, each in value.items()}
        case _:
            return value


def _masked_json1(operation: Any) -> Any:
    """An operation of json1: a list's strings are keys on its path, and stay; an object is what is done there."""
    if isinstance(operation, list):
        return [each if isinstance(each, str) else _masked_json1(each) for each in operation]
    if not isinstance(operation, dict):
        return operation
    edited = _masked_json1 if operation.get("et") == "json1" else _masked_value
    # "e" is an operation of another type, whose name is "et"; everything else that has strings has values.
    masks = {"et": lambda name: name, "e": edited}
    return {key: masks.get(key, _masked_value)(value) for key, value in operation.items()}
