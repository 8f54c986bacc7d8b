from collections.abc import Sequence
from typing import final

TIMES: tuple[float, ...]
SIZES: tuple[float, ...]

@final
class Histogram:
    sum: float
    def __init__(self, bounds: Sequence[float]) -> None: ...
    @property
    def count(self) -> int: ...
    def observe(self, value: float) -> None: ...
    def copy(self) -> Histogram: ...
    def since(self, earlier: Histogram | None) -> Histogram: ...
    def quantile(self, share: float) -> float | None: ...
    def buckets(self) -> list[tuple[float, int]]: ...

@final
class Stream:
    messages: int
    bytes: int
    records: int

@final
class Meter:
    cursors_received: Stream
    selections_received: Stream
    cursors_sent: Stream
    selections_sent: Stream
    bundles_received: Stream
    bundles_sent: Stream
    gaps: int
    throttled: int
    received_bytes: int
    sent_bytes: int
    bus_seconds: Histogram
    ping_seconds: Histogram
    @property
    def flush_records(self) -> Histogram: ...
    @property
    def flush_seconds(self) -> Histogram: ...
    @property
    def fanout_seconds(self) -> Histogram: ...
