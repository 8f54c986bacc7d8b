"""Fuzzes bundles: what goes between nodes, good, nearly good, or no bundle, into the relay of a node.

The property:

* What is no bundle is passed over as a whole, and nothing else comes of it: no exception, no record, no notice.
* Of one that is, each notice is told, and each good record of a participant that is known gets into the batch of its
  room, the last one of each.
"""

from __future__ import annotations

import logging
import struct
import sys
from array import array
from typing import Any

import atheris
from tests.relays import Node

from fastcollab._binary import encode_frame
from fastcollab._bundle import decode_bundle, encode_bundle
from fuzz.values import Source

CHANNEL = 3
ROOMS = ("a", "é")
NUMBERS = (1, 7, 2**32 - 1)
HERE, OTHER = b"this node".ljust(16), b"other node".ljust(16)
NO_VIEWPORT = bytes.fromhex("7fc000007fc00000")


@atheris.instrument_func
def make_record(source: Source) -> bytes:
    if source.maybe(6):
        return source.data(24).ljust(24, b"\x7f")
    viewport = (source.below(9), source.below(9)) if source.maybe(2) else None
    frame = encode_frame(1, source.choice([*NUMBERS, 2]), source.below(99), source.below(99), 5, viewport)
    return frame[2:] if viewport else frame[2:] + NO_VIEWPORT


@atheris.instrument_func
def make_bundle(source: Source, number: int) -> bytes:
    sections: list[Any] = []
    for _ in range(source.below(5)):
        if source.maybe(3):
            sections.append(source.data(12))
        else:
            records = [make_record(source) for _ in range(source.below(4))]
            sections.append((1 + source.below(2), source.choice([*ROOMS, "none"]), source.below(3), records))
    bundle = bytearray(encode_bundle(OTHER, number, 0, sections))
    for _ in range(source.below(3)):
        kind = source.below(3)
        at = source.below(len(bundle)) if bundle else 0
        if kind == 0 and bundle:
            bundle[at] = source.below(256)
        elif kind == 1:
            del bundle[at:]
        else:
            bundle[at:at] = source.data(6)
    return bytes(bundle)


def is_good(kind: int, record: bytes) -> bool:
    """Whether a client could have sent it (B1, B4)."""
    x, y, viewport_x, viewport_y = (struct.unpack(">f", record[at : at + 4])[0] for at in (4, 8, 16, 20))
    numbers = [x, y] if record[16:20] == NO_VIEWPORT[:4] else [x, y, viewport_x, viewport_y]
    if not all(abs(number) <= 2**24 for number in numbers):
        return False
    return kind == 1 or (x >= 0 and y >= 0 and x == int(x) and y == int(y))


class Model:
    """What a node has to make of bundles."""

    def __init__(self) -> None:
        self.heard: dict[bytes, int] = {}
        self.notices: list[bytes] = []
        self.settled = True
        self.records: dict[tuple[str, int], dict[int, bytes]] = {(room, kind): {} for room in ROOMS for kind in (1, 2)}

    @atheris.instrument_func
    def take(self, bundle: bytes) -> None:
        try:
            origin, number, _, sections = decode_bundle(array("B", bundle))
        except UnicodeDecodeError:
            # The relay does not read the names of rooms that it does not know.
            self.settled = False
            return
        except ValueError:
            return
        if origin == HERE or (origin in self.heard and number <= self.heard[origin]):
            return
        self.heard[origin] = number
        for section in sections:
            if isinstance(section, bytes):
                self.notices.append(section)
                continue
            kind, room_id, _, records = section
            for record in records:
                user = int.from_bytes(record[:4])
                if room_id in ROOMS and user in NUMBERS and is_good(kind, record):
                    self.records[room_id, kind][user] = record


@atheris.instrument_func
def judge(node: Node, model: Model) -> None:
    """Raises AssertionError unless the node has taken what is in the bundles, and no more."""
    assert [notice for _, _, notice in node.notices] == model.notices
    for (room_id, kind), records in model.records.items():
        room = node.rooms[room_id]
        frame = (room.cursors if kind == 1 else room.selections).flush(0)
        taken = {int.from_bytes(frame[at : at + 4]): frame[at : at + 24] for at in range(8, len(frame), 24)}
        assert taken == records


def main() -> None:
    logging.disable()

    def one_input(data: bytes) -> None:
        source = Source(data)
        node, model = Node(HERE), Model()
        for name in ROOMS:
            room = node.open(name, CHANNEL)
            for number in NUMBERS:
                room.add(number, remote=True)
        for number in range(1, 4):
            bundle = make_bundle(source, number)
            model.take(bundle)
            node.relay.receive(CHANNEL, bundle)
        if model.settled:
            judge(node, model)
        node.close()

    atheris.Setup(sys.argv, one_input)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
