from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t

from .._binary cimport RecordBatch, RecordSlot
from .._bundle cimport BundleWriter, Section
from ._fanout cimport Channel, FlushPacer, Outlet
from ._pump cimport Pump, Task


cdef class Lane:
    cdef:
        int channel
        uint64_t number              # of the newest bundle that was published
        uint64_t echoed              # … and of the newest that came back
        bint beaten                  # there was one since the last beat
        bint silent                  # nothing was heard since then, from whichever node
        bint settled                 # the newest was empty, and has come back
        bint waits                   # in the relay's list
        list rooms                   # that have records to send
        list notices
        dict heard                   # by node: the number of its newest bundle


cdef class RoomRelay(Outlet):
    cdef:
        Relay relay                  # None: it is closed
        Lane lane
        bytes room_id                # UTF-8
        RecordBatch cursors, selections
        Channel fanout
        bint waits                   # in the lane's list
        bint heard                   # in the relay's list
        int64_t due                  # when what was heard is to be flushed, ns
        uint32_t* numbers            # of remote participants, in ascending order
        Py_ssize_t capacity
        list remote_cursors, remote_selections   # their slots, in the same order

    cdef int wake(self) except -1
    cdef Py_ssize_t find(self, uint32_t number) noexcept
    cdef bint is_at(self, Py_ssize_t index, uint32_t number) noexcept
    cdef int write(self, BundleWriter writer) except -1
    cdef int write_batch(self, BundleWriter writer, RecordBatch batch) except -1
    cdef int take(self, const Section* section) except -1


cdef class Relay(Task):
    cdef:
        bytes node
        Pump pump
        FlushPacer pacer
        object publish, notice, doubt, echoed, selected
        dict rooms                   # by id in UTF-8
        dict lanes                   # by channel
        list waiting                 # lanes that have something to send
        list heard                   # rooms that have something to flush
        BundleWriter writer
        int64_t next_flush, next_notices
        readonly bint closed

    cdef Lane lane(self, int channel)
    cdef int expect(self, Lane lane, int64_t due) except -1
    cdef int bundle(self, Lane lane, list bundles) except -1
    cdef int begin(self, Lane lane) except -1
    cdef int finish(self, Lane lane, list bundles) except -1
    cdef int send(self, list bundles) except -1
    cdef int account(self, Lane lane, bytes node, uint64_t number) except -1
