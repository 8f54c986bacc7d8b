from libc.stdint cimport uint8_t

from fastcollab.bench._fields cimport View


cdef class Inflater:
    cdef:
        object decompressor          # with the history; None: none is kept
        bytes packed                 # the last message, as it came and inflated
        bytes message

    cdef View inflate(self, View packed) noexcept
    cdef int _inflate(self, View packed) except -1


cdef inline size_t deflate_fixed(uint8_t *target, const uint8_t *data, size_t size) noexcept nogil:
    """Writes `data` as a compressed message in the fixed Huffman code (RFC 1951, 3.2.6), without references: what a
    browser makes of a cursor, nearly. `target` has room for an eighth more than `size`, and 4 bytes. Returns its size.
    """
    cdef uint8_t *start = target
    cdef unsigned int bits = 0b010      # not the last block; fixed code. The first bit written is the lowest.
    cdef int count = 3
    cdef int length, k
    cdef unsigned int code
    cdef size_t i
    for i in range(size):
        length = 8 if data[i] < 144 else 9
        code = 0x30 + data[i] if data[i] < 144 else 0x190 + data[i] - 144
        for k in range(length):         # of a code, the first bit written is the highest
            bits |= (code >> (length - 1 - k) & 1) << (count + k)
        count += length
        while count >= 8:
            target[0] = <uint8_t> bits
            target += 1
            bits >>= 8
            count -= 8
    # The end of the block is seven zeros, and the empty block that a sender leaves away begins with three more.
    count += 7 + 3
    while count > 0:
        target[0] = <uint8_t> bits
        target += 1
        bits >>= 8
        count -= 8
    return target - start
