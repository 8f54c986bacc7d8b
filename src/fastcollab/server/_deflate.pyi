from typing import final

from .extensions import Agreement

@final
class Compression:
    threshold: int
    large: int
    cursors: bool
    def __init__(
        self, *, threshold: int, large: int, level: int, memory_level: int, concurrency: int, cursors: bool
    ) -> None: ...
    def codec(self, agreement: Agreement) -> Codec: ...
    def close(self) -> None: ...

@final
class Codec:
    compression: Compression
    window_bits: int
    keeps_history: bool
    def __init__(self, compression: Compression, agreement: Agreement) -> None: ...
    def pack(self, message: bytes) -> bytes: ...
    def unpack(self, data: bytes, limit: int) -> bytes | None: ...
