from collections.abc import Callable
from typing import Any, final

from .._binary import RecordSlot
from ..core.room import Room
from ..core.session import Session
from ._outbox import Outbox
from ._pump import Pump, Task

MODE_JSON: int
MODE_PLAIN: int
MODE_BATCHED: int

@final
class FlushPacer:
    shortest: int
    longest: int
    stretch: float
    def __init__(self, shortest: int, longest: int) -> None: ...
    def interval_for(self, members: int) -> int: ...
    def tell(self, started: int, ended: int) -> None: ...

@final
class Thrift:
    def tries(self) -> bool: ...
    def pays(self, size: int, packed: int) -> bool: ...

@final
class Member:
    session: Session
    channel: Channel
    mode: int
    def accepts_updates(self, updates: int) -> bool: ...

@final
class Channel(Task):
    room: Room
    closed: bool
    def __init__(
        self,
        room: Room,
        pump: Pump,
        pacer: FlushPacer,
        send_updates: Callable[[Channel, list[Member], bool], Any],
        update_interval: int,
    ) -> None: ...
    def add(self, session: Session, outbox: Outbox, cursor: RecordSlot, selection: RecordSlot, mode: int) -> Member: ...
    def remove(self, member: Member) -> None: ...
    def close(self) -> None: ...
    def json_mode_members(self) -> list[Member]: ...
    def paces(self, now: int) -> tuple[float, float]: ...
    def expect(self, due: int) -> None: ...
    def catch_up(self, member: Member) -> None: ...
