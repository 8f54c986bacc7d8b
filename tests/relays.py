"""Nodes with a relay and rooms, on an event loop whose time passes when a test says so."""

from __future__ import annotations

import asyncio
from array import array
from collections.abc import Callable
from typing import Any, cast

from tests.builders import text_document

from fastcollab._binary import RecordSlot, decode_frames, encode_frame
from fastcollab.core.room import Room, RoomSettings
from fastcollab.server._fanout import Channel, FlushPacer
from fastcollab.server._outbox import Cork
from fastcollab.server._pump import Pump, now_ns
from fastcollab.server._relay import Relay

#: So long (ns) that nothing becomes due by itself while a test runs.
SHORTEST = 1_000 * 10**9
LONGEST = 100 * SHORTEST

Record = tuple[float, float, int, tuple[float, float] | None]


class Timer:
    def __init__(self, due: float, function: Callable[[], object]) -> None:
        self.due = due
        self.function = function
        self.cancelled = False

    def cancel(self) -> None:
        self.cancelled = True


class ManualLoop:
    """As much of an event loop as a pump needs. Timers go off when :meth:`fire` is called, and never otherwise; the
    pump takes the time for the one for which the timer was set.
    """

    def __init__(self) -> None:
        self.timers: list[Timer] = []
        self.soon: list[Callable[[], object]] = []
        self.now = 0.0

    def add_reader(self, fd: int, function: Callable[[], object]) -> None: ...

    def remove_reader(self, fd: int) -> None: ...

    def call_soon(self, function: Callable[[], object]) -> None:
        self.soon.append(function)

    def call_later(self, delay: float, function: Callable[[], object]) -> Timer:
        timer = Timer(now_ns() / 1e9 + delay, function)
        self.timers.append(timer)
        return timer

    def run(self) -> None:
        """What is due now."""
        while self.soon:
            self.soon.pop(0)()
        for timer in [timer for timer in self.timers if timer.due <= now_ns() / 1e9]:
            self._go_off(timer)

    def fire(self) -> bool:
        """Has the next timer go off, whenever it would; whether there was one."""
        self.run()
        self.timers = [timer for timer in self.timers if not timer.cancelled]
        if not self.timers:
            return False
        self._go_off(min(self.timers, key=lambda timer: timer.due))
        self.run()
        return True

    def _go_off(self, timer: Timer) -> None:
        self.timers.remove(timer)
        if not timer.cancelled:
            timer.function()


class RoomHere:
    """A room of a node, with its participants by number. What it has flushed is in `shown`, by kind and number."""

    def __init__(self, node: Node, room_id: str, channel: int, settings: RoomSettings) -> None:
        self.room = Room(room_id, 1, text_document(), settings)
        self.cursors, self.selections = self.room.cursors, self.room.selections
        self.fanout = Channel(self.room, node.pump, node.pacer, lambda *_: None, 0)
        self.relay = node.relay.open(room_id, channel, self.cursors, self.selections, self.fanout)
        self.slots: dict[int, tuple[RecordSlot, RecordSlot]] = {}

    def add(self, number: int, *, local: bool = False, remote: bool = False) -> None:
        if number not in self.slots:
            self.slots[number] = RecordSlot(f"user {number}", number), RecordSlot(f"user {number}", number)
            self.cursors.add_slot(self.slots[number][0])
            self.selections.add_slot(self.slots[number][1])
        if local:
            self.relay.add_local(*self.slots[number])
        if remote:
            self.relay.add_remote(*self.slots[number])

    def move(self, number: int, x: float, viewport: tuple[float, float] | None = None) -> None:
        """The participant's cursor, as from one of its connections here."""
        frame = array("B", encode_frame(1, 0, x, -x, 7, viewport))
        self.fanout.expect(self.cursors.put_frame(self.slots[number][0], frame, now_ns()))

    def select(self, number: int, anchor: int, head: int) -> None:
        frame = array("B", encode_frame(2, 0, anchor, head, 7))
        self.fanout.expect(self.selections.put_frame(self.slots[number][1], frame, now_ns()))

    def cursor(self, number: int) -> float | None:
        position = self.slots[number][0].position()
        return None if position is None else position[0]

    def selection(self, number: int) -> tuple[float, float] | None:
        position = self.slots[number][1].position()
        return None if position is None else position[:2]


class Node:
    """One node. `published`, `notices`, `doubts`, `echoes` and `selections` have what its relay has told.

    With a `loop` it lives in real time, and with `publish` its bundles go there.
    """

    def __init__(
        self,
        name: bytes,
        settings: RoomSettings | None = None,
        loop: asyncio.AbstractEventLoop | None = None,
        publish: Callable[[list[tuple[int, bytes]]], object] | None = None,
    ) -> None:
        self.name = name
        self.loop = ManualLoop()
        self.pump = Pump(loop or cast("asyncio.AbstractEventLoop", self.loop), Cork())
        self.pacer = FlushPacer(SHORTEST, LONGEST) if loop is None else FlushPacer(1_000_000, 16_670_000)
        self.settings = settings or RoomSettings()
        self.rooms: dict[str, RoomHere] = {}
        self.published: list[list[tuple[int, bytes]]] = []
        self.notices: list[tuple[int, bytes, bytes]] = []
        self.doubts: list[tuple[int, bytes]] = []
        self.echoes: list[tuple[int, int, int]] = []
        self.selections: list[tuple[Room, RecordSlot, int, int, int]] = []
        self.relay = Relay(
            name,
            self.pump,
            self.pacer,
            publish=publish or self.published.append,
            notice=self._record(self.notices),
            doubt=self._record(self.doubts),
            echoed=self._record(self.echoes),
            selected=self._record(self.selections),
        )

    def _record(self, told: list[Any]) -> Callable[..., None]:
        return lambda *arguments: told.append(arguments)

    def open(self, room_id: str, channel: int, *, shared: bool = True) -> RoomHere:
        room = self.rooms[room_id] = RoomHere(self, room_id, channel, self.settings)
        room.relay.shared = shared
        return room

    def take(self) -> list[tuple[int, bytes]]:
        """The bundles that were published since the last call."""
        bundles = [bundle for flush in self.published for bundle in flush]
        self.published.clear()
        return bundles

    def hear(self, bundles: list[tuple[int, bytes]]) -> None:
        for channel, bundle in bundles:
            self.relay.receive(channel, bundle)
        self.loop.run()

    def close(self) -> None:
        self.relay.close()
        for room in self.rooms.values():
            room.fanout.close()
        self.pump.close()


def records(batched: bytes) -> dict[int, Record]:
    """What is in a batched frame, by number."""
    return {user: (x, y, time, viewport) for user, x, y, time, viewport in decode_frames(array("B", batched))[2]}
