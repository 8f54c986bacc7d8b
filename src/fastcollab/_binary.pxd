from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memcpy


cdef enum:
    CURSOR = 1
    SELECTION = 2
    BATCHED = 0x0100         # or-ed to the kind in a batched frame's type
    FRAME_SIZE = 18          # type, user, x, y, timestamp
    FRAME_SIZE_VIEWPORT = 26
    RECORD_SIZE = 24         # user, x, y, timestamp, viewport x, viewport y
    BATCH_HEADER_SIZE = 8    # type, count, room handle
    HEADROOM = 16            # what a WebSocket frame header may need in front, rounded up


cdef enum FrameFault:
    FRAME_GOOD = 0
    FRAME_LENGTH = 1
    FRAME_TYPE = 2
    FRAME_COORDINATE = 3
    FRAME_OFFSET = 4


# The only places that touch bytes of a frame; the caller has checked that `offset + width` lies inside.

cdef inline uint16_t load_u16(const uint8_t* data) noexcept nogil:
    return <uint16_t> ((<uint16_t> data[0] << 8) | data[1])


cdef inline uint32_t load_u32(const uint8_t* data) noexcept nogil:
    return ((<uint32_t> data[0] << 24) | (<uint32_t> data[1] << 16)
            | (<uint32_t> data[2] << 8) | <uint32_t> data[3])


cdef inline void store_u16(uint8_t* data, uint16_t value) noexcept nogil:
    data[0] = <uint8_t> (value >> 8)
    data[1] = <uint8_t> value


cdef inline void store_u32(uint8_t* data, uint32_t value) noexcept nogil:
    data[0] = <uint8_t> (value >> 24)
    data[1] = <uint8_t> (value >> 16)
    data[2] = <uint8_t> (value >> 8)
    data[3] = <uint8_t> value


cdef inline float load_f32(const uint8_t* data) noexcept nogil:
    cdef uint32_t bits = load_u32(data)
    cdef float value
    memcpy(&value, &bits, 4)
    return value


cdef inline void store_f32(uint8_t* data, float value) noexcept nogil:
    cdef uint32_t bits
    memcpy(&bits, &value, 4)
    store_u32(data, bits)


cdef FrameFault check_frame(const uint8_t* data, Py_ssize_t size) noexcept nogil
cdef bint is_record(uint16_t kind, const uint8_t* data) noexcept nogil
cdef Py_ssize_t write_plain(uint8_t* target, uint16_t kind, RecordSlot slot) noexcept


cdef class RecordBatch


cdef class RecordSlot:
    cdef:
        readonly object user_id
        readonly uint32_t numeric_id
        RecordBatch batch         # that it was added to; None: to none
        uint8_t record[RECORD_SIZE]
        Py_ssize_t index          # in what its batch has gathered; -1: not in it
        bint known                # there was a record at all
        bint deferred             # over the rate limit; its newest record waits for its time
        bint listed               # in the batch's list of changes for JSON connections
        bint local                # records that are put are for other nodes too
        bint foreign              # the newest record came from another node
        bint outgoing             # in the batch's list for other nodes
        bint replaced             # the record of this flush is newer than what was listed for other nodes
        uint64_t version          # of the document, when a selection was put
        int64_t theoretical_arrival  # of the generic cell rate algorithm, ns
        uint64_t last_flush       # number of the flush that last carried a record of it


cdef class RecordBatch:
    cdef:
        readonly uint16_t kind
        uint32_t handle
        int64_t period            # between two records of one slot, ns; 0: no limit
        int64_t tolerance         # how far a slot may run ahead of its period, ns
        uint8_t* buffer           # HEADROOM, then one batched frame
        Py_ssize_t capacity       # in records
        readonly Py_ssize_t count
        uint8_t* plain            # the same records as plain frames with their WebSocket headers; then as much again
        Py_ssize_t plain_capacity
        Py_ssize_t plain_size
        list slots                # all slots of the room
        list gathered             # slots whose record is in the buffer, in its order
        list waiting              # slots that are deferred
        list changed              # slots that changed since take_changes()
        list outgoing             # slots of which other nodes are to have the record, in a relayed room
        int64_t since             # when the oldest record that is gathered was put here, ns; 0: none was
        readonly uint64_t flushes
        readonly int64_t next_flush   # no flush before, ns
        public bint lists_changes     # whether anyone wants take_changes()
        bint relayed              # whether there are other nodes that want `outgoing`

    cdef int _reserve(self, Py_ssize_t records) except -1
    cdef uint8_t* _record_at(self, Py_ssize_t index) noexcept
    cdef int list_gathered(self) except -1
    cdef int list_outgoing(self, RecordSlot slot) except -1
    cdef int list_known(self) except -1
    cdef list take_outgoing(self)
    cdef int _list_change(self, RecordSlot slot) except -1
    cdef int _drop(self, RecordSlot slot) except -1
    cdef int _drop_gathered(self, RecordSlot slot) except -1
    cdef void _charge(self, RecordSlot slot, int64_t now) noexcept
    cdef int64_t put(self, RecordSlot slot, const uint8_t* frame, Py_ssize_t size, int64_t now) except -1
    cdef int64_t put_record(self, RecordSlot slot, const uint8_t* record) except -1
    cdef int gather(self, RecordSlot slot) except -1
    cdef int64_t begin_flush(self, int64_t now) except -1
    cdef uint8_t* batched_frame(self, Py_ssize_t* size) noexcept
    cdef uint8_t* batched_frame_without(self, RecordSlot slot, Py_ssize_t* size) noexcept
    cdef void restore(self, RecordSlot slot) noexcept
    cdef int frame_plain(self) except -1
    cdef uint8_t* plain_frames(self, Py_ssize_t* size) noexcept
    cdef uint8_t* plain_frames_without(self, RecordSlot slot, Py_ssize_t* size) noexcept
    cdef int end_flush(self, int64_t due, int64_t now, int64_t interval) except -1
