"""Bounds-checked access to the big-endian fields of a frame.

A read past the end gives 0. Lengths are checked before, so it does not happen: this is the second net.
"""

from libc.stdint cimport uint8_t, uint16_t, uint32_t
from libc.string cimport memcpy


cdef struct View:
    const uint8_t *data
    size_t size


cdef inline View part(View view, size_t start, size_t size) noexcept nogil:
    """`size` bytes from `start`; empty where the view does not hold them."""
    if start > view.size or size > view.size - start:
        return View(view.data, 0)
    return View(view.data + start, size)


cdef inline uint16_t u16_at(View view, size_t at) noexcept nogil:
    if at + 2 > view.size:
        return 0
    return <uint16_t> (view.data[at] << 8 | view.data[at + 1])


cdef inline uint32_t u32_at(View view, size_t at) noexcept nogil:
    if at + 4 > view.size:
        return 0
    return <uint32_t> u16_at(view, at) << 16 | u16_at(view, at + 2)


cdef inline float f32_at(View view, size_t at) noexcept nogil:
    cdef uint32_t bits = u32_at(view, at)
    cdef float value
    memcpy(&value, &bits, sizeof(value))
    return value


cdef inline uint32_t bits_of(float value) noexcept nogil:
    cdef uint32_t bits
    memcpy(&bits, &value, sizeof(bits))
    return bits


cdef inline bint contains(View text, View word) noexcept nogil:
    cdef size_t at, i
    if word.size > text.size:
        return False
    for at in range(text.size - word.size + 1):
        for i in range(word.size):
            if text.data[at + i] != word.data[i]:
                break
        else:
            return True
    return False
