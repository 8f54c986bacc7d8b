"""Compression of messages as permessage-deflate has it (RFC 7692).

A message is compressed by itself, or *with history*: with references into what was sent before on the same connection
(context takeover). History makes small messages much shorter. It also takes a compressor for each connection, and
each message has to be compressed for each connection anew. Without it a message to many is compressed once, the same
bytes go to all, and a connection costs nothing. So history is a setting, for each direction, and off unless
configured (docs/performance.md).

ISA-L compresses: of what was measured it makes messages shortest, in a third of zlib's time and memory. zlib
inflates: its inflaters are smaller, and it takes half the time for a cursor, which is what clients send most.

Inflation stops when a message gets longer than it may, so that a bomb costs the time and memory of a message that is
just too long. Without history each message gets an inflater of its own: one that is shared would let a client refer
to what others have sent.
"""

import asyncio
import zlib
from concurrent.futures import ThreadPoolExecutor

from cpython.bytes cimport PyBytes_FromStringAndSize

from isal import isal_zlib

#: What a sender leaves away at the end of a message: an empty block that is not compressed, but for its first bits.
cdef bytes EMPTY_BLOCK = b"\0\0\xff\xff"
#: The same and an empty last block. With that behind a message, an inflater knows whether the message was whole.
cdef bytes LAST_BLOCKS = EMPTY_BLOCK + b"\x03\0"
#: A message may be made of streams, each with a last block. Each costs an inflater, and is two bytes or more.
cdef int MOST_STREAMS = 64
cdef int LARGEST_WINDOW = 15

cdef object new_compressor = isal_zlib.compressobj
cdef object new_inflater = zlib.decompressobj
cdef int DEFLATED = isal_zlib.DEFLATED
cdef int SYNC_FLUSH = isal_zlib.Z_SYNC_FLUSH


cdef bytes deflated(compressor, message):
    """The message in the form in which it is sent."""
    cdef bytes data = compressor.compress(message) + compressor.flush(SYNC_FLUSH)
    return data[:len(data) - len(EMPTY_BLOCK)]


def deflated_alone(compressor, bytes message not None) -> bytes:
    """The message, compressed by a compressor that is used for nothing else. For threads."""
    return deflated(compressor, message)


cdef class Compression:
    """The settings of a gateway, and the threads on which it compresses large messages, at most `concurrency` at once.

    Sizes in bytes; `level` (0 to 3) and `memory_level` (1 to 9) are ISA-L's.
    """

    def __init__(self, *, Py_ssize_t threshold, Py_ssize_t large, int level, int memory_level, int concurrency,
                 bint cursors):
        self.threshold = threshold
        self.large = large
        self.level = level
        self.memory_level = memory_level
        self.concurrency = concurrency
        self.cursors = cursors
        self.codecs = {}

    def codec(self, agreement) -> Codec:
        """What compresses and inflates for a connection with this agreement; without history, connections share it."""
        if agreement.server_context_takeover or agreement.client_context_takeover:
            return Codec(self, agreement)
        codec = self.codecs.get(agreement)
        if codec is None:
            codec = self.codecs[agreement] = Codec(self, agreement)
        return codec

    def close(self) -> None:
        """Ends the threads; what they have not begun is given up."""
        if self.threads is not None:
            self.threads.shutdown(cancel_futures=True)
            self.threads = None

    cdef object compressor(self, int window_bits):
        return new_compressor(self.level, DEFLATED, -window_bits, self.memory_level)

    cdef object deflate_aside(self, bytes message, int window_bits):
        """A future of the message, compressed on a thread."""
        if self.threads is None:
            self.threads = ThreadPoolExecutor(self.concurrency, "fastcollab-deflate")
        return asyncio.get_running_loop().run_in_executor(
            self.threads, deflated_alone, self.compressor(window_bits), message)


cdef class Codec:
    """What compresses and inflates for one connection, or for all that keep no history."""

    def __cinit__(self, Compression compression not None, agreement):
        self.compression = compression
        self.window_bits = agreement.server_window_bits
        self.keeps_history = agreement.server_context_takeover
        self.client_keeps_history = agreement.client_context_takeover
        self.client_window_bits = agreement.client_window_bits

    cdef bytes deflate(self, message):
        """The message, compressed by itself."""
        return deflated(self.compression.compressor(self.window_bits), message)

    cdef bytes deflate_on(self, message):
        """The message, compressed with history. It must be sent, as the next compressed one of the connection."""
        if self.history is None:
            self.history = self.compression.compressor(self.window_bits)
        return deflated(self.history, message)

    cdef int forget(self) except -1:
        """Begins the history anew, since the client is sent something that is not in it."""
        self.history = None
        return 0

    cdef bytes inflate(self, const char* data, Py_ssize_t size, Py_ssize_t limit):
        """The message that these bytes are; None: it is longer than `limit`, and its client's history is lost.

        Raises zlib.error if they are not what a compressor makes.
        """
        cdef bytes ending = EMPTY_BLOCK if self.client_keeps_history else LAST_BLOCKS
        cdef bytes rest = PyBytes_FromStringAndSize(data, size) + ending
        cdef bytes message = b""
        cdef int window_bits = self.client_window_bits if self.client_keeps_history else LARGEST_WINDOW
        if not size:  # what some compressors make of an empty message
            return message
        inflater, self.inflater = self.inflater, None
        for _stream in range(MOST_STREAMS):
            if inflater is None:
                inflater = new_inflater(-window_bits)
            message += inflater.decompress(rest, limit + 1 - len(message))
            if len(message) > limit:
                return None
            if not inflater.eof:
                if not self.client_keeps_history:
                    raise zlib.error("the message breaks off")
                self.inflater = inflater
                return message
            rest = inflater.unused_data
            inflater = None
            if not rest or rest == ending:
                return message
        raise zlib.error("the message has too many streams")

    # --- the same from Python, for tests ---

    def pack(self, bytes message not None) -> bytes:
        """`deflate` or `deflate_on`."""
        return self.deflate_on(message) if self.keeps_history else self.deflate(message)

    def unpack(self, bytes data not None, Py_ssize_t limit):
        """`inflate`."""
        return self.inflate(data, len(data), limit)
