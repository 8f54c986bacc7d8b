"""permessage-deflate (RFC 7692), as a load generator needs it: cheap.

A gateway that compresses a broadcast once sends the same bytes to all. So an inflater without history, which all
connections share, remembers the last message, and inflates it only when other bytes come.
"""

import zlib

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from libc.stdint cimport uint8_t
from libc.string cimport memcmp

from fastcollab.bench._fields cimport View

cdef bytes EMPTY_BLOCK = b"\0\0\xff\xff"
cdef Py_ssize_t MESSAGE_MAX = 1 << 24


cdef class Inflater:
    """Inflates the messages of one connection, or with `history` false of many. A message may have 16 MiB."""

    def __cinit__(self, bint history):
        self.decompressor = zlib.decompressobj(-15) if history else None
        self.packed = self.message = b""

    cdef View inflate(self, View packed) noexcept:
        """The message, which is good until the next call. Its data are NULL if it cannot be inflated."""
        if self.decompressor is not None or packed.size != <size_t> len(self.packed) or memcmp(
                PyBytes_AS_STRING(self.packed), packed.data, packed.size):
            try:
                self._inflate(packed)
            except zlib.error:
                self.packed = b""
                return View(NULL, 0)
        return View(<const uint8_t *> PyBytes_AS_STRING(self.message), <size_t> len(self.message))

    cdef int _inflate(self, View packed) except -1:
        cdef bytes data = PyBytes_FromStringAndSize(<const char *> packed.data, <Py_ssize_t> packed.size)
        decompressor = self.decompressor
        if decompressor is None:
            decompressor = zlib.decompressobj(-15)
        self.message = decompressor.decompress(data + EMPTY_BLOCK, MESSAGE_MAX)
        if decompressor.unconsumed_tail:
            raise zlib.error("the message is too long")
        self.packed = data
        return 0

    def inflated(self, bytes packed not None) -> bytes:
        """The message; raises zlib.error if it cannot be inflated."""
        self._inflate(View(<const uint8_t *> PyBytes_AS_STRING(packed), <size_t> len(packed)))
        return self.message


def deflated_fixed(bytes data not None) -> bytes:
    """The data as a compressed message in the fixed Huffman code."""
    cdef bytes target = PyBytes_FromStringAndSize(NULL, len(data) + len(data) // 8 + 4)
    cdef size_t size = deflate_fixed(
        <uint8_t *> PyBytes_AS_STRING(target), <const uint8_t *> PyBytes_AS_STRING(data), <size_t> len(data))
    return target[:<Py_ssize_t> size]
