from libc.stdint cimport int64_t

from ._meter cimport Meter
from ._outbox cimport Cork


cdef int64_t monotonic_ns() noexcept nogil


cdef class Task:
    cdef:
        int64_t due          # ns; meaningful while queued
        bint queued

    cdef int64_t run(self, int64_t now) except -2


cdef class Pump:
    cdef:
        object loop
        readonly Cork cork           # is in while sockets are read
        readonly Meter meter         # counts what is read and sent by it
        int sockets                  # an epoll set of all sockets that are read here; -1: there is no epoll
        dict sources                 # by file descriptor: (get_buffer, buffer_updated, transport)
        list queue                   # tasks that wait for their time
        object timer
        int64_t timer_due
        bint reading                 # sockets are being read: tasks wait until all are
        list after_reading           # functions that are called then
        readonly bint polling        # sockets are read by the timer, not when they become readable
        int64_t next_poll, poll_interval
        int64_t counted_since        # start of the window in which cursors are counted
        Py_ssize_t cursors           # counted by those who take them in

    cdef bint enqueue(self, Task task, int64_t due)
    cdef int schedule(self, Task task, int64_t due) except -1
    cdef int run_due(self, int64_t now) except -1
    cdef int arm(self, int64_t due, int64_t now) except -1
    cdef int read_sockets(self) except -1
    cdef int call_after_reading(self) except -1
    cdef int read_one(self, int fd) except -1
    cdef int choose_mode(self, int64_t now) except -1
