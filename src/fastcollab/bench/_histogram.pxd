from libc.stdint cimport uint64_t


cdef class Histogram:
    cdef uint64_t *_counts
    cdef uint64_t _sum
    cdef readonly uint64_t count
    cdef readonly uint64_t maximum

    cdef void add(self, uint64_t value) noexcept nogil
