from libc.stdint cimport int64_t

from ._pump cimport Pump, Task


cdef class Throttle(Task):
    cdef:
        Pump pump
        double rate                  # tokens per ns
        readonly double capacity
        dict waiting                 # connections that are not read, with when they will be (ns)

    cdef double filled(self, double tokens, int64_t elapsed) noexcept
    cdef int64_t enough_at(self, double tokens, int64_t now) noexcept
    cdef int hold(self, object connection, double tokens, int64_t now) except -1
    cdef int let_go(self, object connection) except -1
