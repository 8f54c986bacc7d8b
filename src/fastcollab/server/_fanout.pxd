from libc.stdint cimport int64_t, uint64_t

from .._binary cimport RecordBatch, RecordSlot
from ._deflate cimport Codec
from ._meter cimport Pace, Stream
from ._outbox cimport Outbox
from ._pump cimport Pump, Task


cdef enum Mode:
    JSON = 0       # presence_update messages
    PLAIN = 1      # frames as in the specification, one WebSocket message each
    BATCHED = 2    # batched frames


cdef class FlushPacer:
    cdef:
        readonly int64_t shortest, longest
        readonly double stretch
        int64_t window_start, busy

    cdef int64_t interval(self, Py_ssize_t members) noexcept
    cdef void account(self, int64_t started, int64_t ended) noexcept


cdef class Thrift:
    cdef:
        int rest                     # flushes that are left alone from now on
        int pause                    # how many were, the last time

    cpdef bint tries(self) noexcept
    cpdef bint pays(self, Py_ssize_t size, Py_ssize_t packed) noexcept


cdef class Member:
    cdef:
        readonly object session
        readonly Channel channel
        Outbox outbox
        RecordSlot cursor, selection
        Mode _mode
        uint64_t owed_cursors        # first flush that was not sent to this member; 0: none was missed
        uint64_t owed_selections
        bint owed_updates            # JSON updates were not sent

    cdef inline RecordSlot slot(self, RecordBatch batch):
        return self.cursor if batch is self.channel.cursors else self.selection

    cdef void owe(self, RecordBatch batch) noexcept


cdef class Outlet:
    cdef int wake(self) except -1


cdef class Channel(Task):
    cdef:
        readonly object room
        RecordBatch cursors, selections
        FlushPacer pacer
        Thrift thrift
        bint packs                   # the flush under way may be compressed
        dict packed                  # the newest flush, compressed, by window; None: it does not pay
        list members
        Py_ssize_t json_members
        Pump pump
        object send_updates
        int64_t update_interval, next_update
        Outlet outlet                # to other nodes; None: there are none
        readonly bint closed
        Pace pace                    # of cursors here, at whichever node, as often as they are flushed, and to members

    cdef int64_t put(self, Member member, bint is_cursor, const unsigned char* frame, Py_ssize_t size,
                     int64_t now) except -1
    cdef int list_changes(self) except -1
    cdef int tell_changes(self, int64_t now) except -1
    cdef int flush(self, RecordBatch batch, int64_t now) except -1
    cdef void measure(self, RecordBatch batch, int64_t began, int64_t ended, int64_t delivered) noexcept
    cdef Stream stream(self, RecordBatch batch)
    cdef int send_to(self, Member member, RecordBatch batch, Stream sent) except -1
    cdef bytes packed_for(self, Member member, RecordBatch batch)
    cdef int catch_up_batch(self, Member member, RecordBatch batch, uint64_t owed) except -1
