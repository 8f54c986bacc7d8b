"""permessage-deflate (RFC 7692) at the client's end (Z1 to Z5).

Long messages to the gateway are compressed, each by itself; cursors are not, since they get no shorter. What the
gateway sends may refer to its earlier messages, if it is configured so.
"""

from __future__ import annotations

import zlib

OFFER = "permessage-deflate; client_no_context_takeover"

_THRESHOLD = 1024
_LEVEL = 1
_WINDOW = -15  # raw deflate data, in the largest window
_EMPTY_BLOCK = b"\0\0\xff\xff"
#: What the gateway may agree to. A window that is smaller than the largest makes no difference here.
_NO_HISTORY = "server_no_context_takeover"
_UNDERSTOOD = {"client_no_context_takeover", _NO_HISTORY, "server_max_window_bits"}


class TooLong(Exception):
    """A message that is longer than it may be."""


class MessageCompression:
    """What was agreed upon for one connection."""

    def __init__(self, agreed: str) -> None:
        """``agreed`` is the gateway's answer to ``OFFER``; raises ValueError if it is another extension, or not
        understood.
        """
        name, *parameters = (part.strip() for part in agreed.split(";"))
        names = {parameter.partition("=")[0].strip() for parameter in parameters}
        if name != "permessage-deflate" or not names <= _UNDERSTOOD:
            raise ValueError(f"the extension {agreed!r} was not asked for")
        self._keeps_history = _NO_HISTORY not in names
        self._inflater = zlib.decompressobj(_WINDOW)

    def compress(self, message: bytes) -> bytes | None:
        """The message as it is sent compressed; None: that would not be shorter."""
        if len(message) < _THRESHOLD:
            return None
        compressor = zlib.compressobj(_LEVEL, wbits=_WINDOW)
        packed = compressor.compress(message) + compressor.flush(zlib.Z_SYNC_FLUSH)
        return packed.removesuffix(_EMPTY_BLOCK) if len(packed) - len(_EMPTY_BLOCK) < len(message) else None

    def inflate(self, packed: bytes, max_size: int) -> bytes:
        """The message that was sent compressed. Raises TooLong, and zlib.error if it is corrupt."""
        if not self._keeps_history:
            self._inflater = zlib.decompressobj(_WINDOW)
        message = self._inflater.decompress(packed + _EMPTY_BLOCK, max_size + 1)
        if len(message) > max_size:
            raise TooLong
        return message
