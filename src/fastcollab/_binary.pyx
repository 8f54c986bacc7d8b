"""Binary frames, and the batch in which a room gathers them.

A frame from a client is checked (:func:`check_frame`, rule B1) and becomes a *record* of 24 bytes, already in
the byte order and layout of the wire, with the sender's true number in it. Each participant has one
:class:`RecordSlot` per room and kind, which holds the newest record. The room's :class:`RecordBatch` gathers
the records of one flush side by side behind room for the headers, so that a batched frame needs no further
copy: the newest record of a slot overwrites the one that is there already (B8).

Time enters as an argument, in nanoseconds of a monotonic clock; nothing here reads a clock, sends, or allocates
a Python object for a record. The server's fan-out does the sending, between :meth:`begin_flush` and
:meth:`end_flush`.

In a room with participants at other nodes, what is put here of local ones is listed for them too (`outgoing`). Only the
slot is: its record is read when it leaves, so that the newest wins there as well. What comes from other nodes
(:meth:`put_record`) has been under their limits, and is never listed for others: it would go round in circles.

Four questions are answered here, because they need all three of slot, batch and time:

*When may the next flush leave?*  At once after a quiet spell, else one interval after the last one was due
(not: after it left, or late timers would add up).

*What if a client sends too often?*  Each slot runs a generic cell rate algorithm (ITU-T I.371): its theoretical
arrival time moves one period per record, and may run ahead of the clock by a tolerance. A record that comes too
early is *deferred*: it replaces the slot's newest record, and joins a batch when its time has come. So a flood
costs one record per period, and the last position always arrives (L1).

*What did a slow reader miss?*  Each slot knows the flush that last carried it. A member that was skipped since
flush n is owed the newest record of every slot whose last flush is n or later, and no more than that (B10).

*When may another node have it?*  At once when a record joins the batch, which is as often as the limit allows. Those
that replace it there are not under the limit: the last one of them follows with the flush. So another node is never
later than the members here, and gets at most two records of a slot per flush.
"""

from cpython.conversion cimport PyOS_double_to_string, PyOS_string_to_double
from cpython.mem cimport PyMem_Free, PyMem_Realloc
from libc.math cimport isnan
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memcpy

cdef uint32_t MAGNITUDE_LIMIT = 0x4B800000  # 2^24 as a float32; its bits order like the number
cdef uint32_t NOT_A_NUMBER = 0x7FC00000

_FAULTS = {
    FRAME_LENGTH: "a frame is 18 or 26 bytes long",
    FRAME_TYPE: "a frame is of type 1 (cursor) or 2 (selection)",
    FRAME_COORDINATE: "coordinates are finite and of magnitude at most 2^24",
    FRAME_OFFSET: "the ends of a selection are whole numbers from 0 to 2^24",
}


def fault_reason(int fault) -> str:
    """What a frame with this fault should have been, in words."""
    return _FAULTS[fault]


cdef inline bint is_coordinate(const uint8_t* data) noexcept nogil:
    # Infinity and NaN have the largest exponents, so that one comparison refuses them and what is too large.
    return (load_u32(data) & 0x7FFFFFFF) <= MAGNITUDE_LIMIT


cdef inline bint is_offset(const uint8_t* data) noexcept nogil:
    cdef float value = load_f32(data)
    return value >= 0 and value == <float> (<int64_t> value)


cdef FrameFault check_frame(const uint8_t* data, Py_ssize_t size) noexcept nogil:
    """Whether `size` bytes at `data` are a frame that a client may send (rules B1 and B4)."""
    cdef uint16_t kind
    if size != FRAME_SIZE and size != FRAME_SIZE_VIEWPORT:
        return FRAME_LENGTH
    kind = load_u16(data)
    if kind != CURSOR and kind != SELECTION:
        return FRAME_TYPE
    if not is_coordinate(data + 6) or not is_coordinate(data + 10):
        return FRAME_COORDINATE
    if size == FRAME_SIZE_VIEWPORT and not (is_coordinate(data + 18) and is_coordinate(data + 22)):
        return FRAME_COORDINATE
    if kind == SELECTION and not (is_offset(data + 6) and is_offset(data + 10)):
        return FRAME_OFFSET
    return FRAME_GOOD


cdef bint is_record(uint16_t kind, const uint8_t* data) noexcept nogil:
    """Whether `RECORD_SIZE` bytes at `data` are a record that `check_frame` has let pass at another node."""
    if not is_coordinate(data + 4) or not is_coordinate(data + 8):
        return False
    if load_u32(data + 16) != NOT_A_NUMBER and not (is_coordinate(data + 16) and is_coordinate(data + 20)):
        return False
    return kind == CURSOR or (is_offset(data + 4) and is_offset(data + 8))


cdef object shortest(float value):
    """The number with the fewest digits that is the same float32: 0.1, where the float32's own value is
    0.10000000149.
    """
    # Not by printf and strtof, which write and expect a comma where the locale says so.
    cdef char* text
    cdef double candidate = value
    cdef int digits
    for digits in range(6, 10):
        text = PyOS_double_to_string(value, b"g", digits, 0, NULL)
        try:
            candidate = PyOS_string_to_double(text, NULL, NULL)
        finally:
            PyMem_Free(text)
        if <float> candidate == value:
            break
    return candidate


cdef class RecordSlot:
    """A participant's newest record of one kind in one room."""

    def __cinit__(self, user_id: str, uint32_t numeric_id):
        self.user_id = user_id
        self.numeric_id = numeric_id
        self.index = -1

    def position(self):
        """`(x, y, viewport_x, viewport_y)` of the newest record, the last two None if it has none; None: there is
        no record.
        """
        if not self.known:
            return None
        cdef float viewport_x = load_f32(self.record + 16)
        if isnan(viewport_x):
            return shortest(load_f32(self.record + 4)), shortest(load_f32(self.record + 8)), None, None
        return (
            shortest(load_f32(self.record + 4)),
            shortest(load_f32(self.record + 8)),
            shortest(viewport_x),
            shortest(load_f32(self.record + 20)),
        )


cdef class RecordBatch:
    """What one room sends at its next flush: the newest record of each slot that changed.

    `kind` is CURSOR or SELECTION, `handle` the room's. `period` and `tolerance`, in ns, bound each slot's rate;
    0: no bound.
    """

    def __cinit__(self, uint16_t kind, uint32_t handle, int64_t period=0, int64_t tolerance=0):
        self.kind = kind
        self.handle = handle
        self.period = period
        self.tolerance = tolerance
        self.slots = []
        self.gathered = []
        self.waiting = []
        self.changed = []
        self.outgoing = []

    def __dealloc__(self):
        PyMem_Free(self.buffer)
        PyMem_Free(self.plain)

    # --- slots ---

    def add_slot(self, RecordSlot slot not None) -> None:
        """Takes a participant's slot in. Slots come and go with their participants, not with each record.

        Raises ValueError if the slot is in a batch already.
        """
        if slot.batch is not None:
            raise ValueError("the slot is in a batch already")
        if len(self.slots) >= self.capacity:
            self._reserve(max(8, 2 * self.capacity))
        self.slots.append(slot)
        slot.batch = self

    def remove_slot(self, RecordSlot slot not None) -> None:
        """Forgets a slot, and what of it has not been flushed; raises ValueError if it is not in the batch."""
        self.slots.remove(slot)
        slot.batch = None
        self._drop(slot)

    def withdraw(self, RecordSlot slot not None) -> None:
        """Forgets the slot's record, which something newer has replaced that is no record; it may have new ones."""
        slot.known = False
        self._drop(slot)

    cdef int _drop(self, RecordSlot slot) except -1:
        """Takes back what of the slot has not been flushed."""
        if slot.index >= 0:
            self._drop_gathered(slot)
        if slot.deferred:
            self.waiting.remove(slot)
            slot.deferred = False
        if slot.listed:
            self.changed.remove(slot)
            slot.listed = False
        if slot.outgoing:
            self.outgoing.remove(slot)
            slot.outgoing = False
        slot.replaced = False
        return 0

    cdef int _reserve(self, Py_ssize_t records) except -1:
        cdef uint8_t* grown = <uint8_t*> PyMem_Realloc(
            self.buffer, HEADROOM + BATCH_HEADER_SIZE + records * RECORD_SIZE)
        if grown == NULL:
            raise MemoryError
        self.buffer = grown
        self.capacity = records
        return 0

    cdef inline uint8_t* _record_at(self, Py_ssize_t index) noexcept:
        return self.buffer + HEADROOM + BATCH_HEADER_SIZE + index * RECORD_SIZE

    cdef int _drop_gathered(self, RecordSlot slot) except -1:
        cdef Py_ssize_t last = self.count - 1
        cdef RecordSlot moved = <RecordSlot> self.gathered[last]
        if moved is not slot:
            memcpy(self._record_at(slot.index), self._record_at(last), RECORD_SIZE)
            moved.index = slot.index
            self.gathered[slot.index] = moved
        self.gathered.pop()
        slot.index = -1
        self.count = last
        if not last:
            self.since = 0
        return 0

    # --- gathering ---

    cdef int64_t put(self, RecordSlot slot, const uint8_t* frame, Py_ssize_t size, int64_t now) except -1:
        """Takes a frame that `check_frame` has passed as the newest of `slot`, and returns when it should be
        flushed (ns).

        That time is `now` or earlier if it may leave at once. Raises ValueError if `slot` was not added: the
        buffer has room for those that were.
        """
        cdef int64_t early
        if slot.batch is not self:
            raise ValueError("the slot is not in the batch")
        store_u32(slot.record, slot.numeric_id)
        if size == FRAME_SIZE_VIEWPORT:
            memcpy(slot.record + 4, frame + 6, 20)
        else:
            memcpy(slot.record + 4, frame + 6, 12)
            store_u32(slot.record + 16, NOT_A_NUMBER)
            store_u32(slot.record + 20, NOT_A_NUMBER)
        slot.known = True
        slot.foreign = False
        if slot.index >= 0:
            memcpy(self._record_at(slot.index), slot.record, RECORD_SIZE)
            self._list_change(slot)
            slot.replaced = self.relayed
            return self.next_flush
        if self.period:
            early = slot.theoretical_arrival - self.tolerance
            if now < early:
                if not slot.deferred:
                    slot.deferred = True
                    self.waiting.append(slot)
                return max(early, self.next_flush)
        self._charge(slot, now)
        self.gather(slot)
        if not self.since:
            self.since = now
        self.list_outgoing(slot)
        return self.next_flush

    cdef int64_t put_record(self, RecordSlot slot, const uint8_t* record) except -1:
        """Takes a record that came from another node, and that `is_record`, as the newest of `slot`, and returns when
        it should be flushed (ns), like `put`.
        """
        if slot.batch is not self:
            raise ValueError("the slot is not in the batch")
        memcpy(slot.record + 4, record + 4, RECORD_SIZE - 4)
        store_u32(slot.record, slot.numeric_id)
        slot.known = slot.foreign = True
        if slot.index >= 0:
            memcpy(self._record_at(slot.index), slot.record, RECORD_SIZE)
            self._list_change(slot)
        else:
            self.gather(slot)
        return self.next_flush

    cdef inline void _charge(self, RecordSlot slot, int64_t now) noexcept:
        slot.theoretical_arrival = max(slot.theoretical_arrival, now) + self.period

    cdef int gather(self, RecordSlot slot) except -1:
        memcpy(self._record_at(self.count), slot.record, RECORD_SIZE)
        slot.index = self.count
        self.gathered.append(slot)
        self.count += 1
        self._list_change(slot)
        return 0

    cdef int _list_change(self, RecordSlot slot) except -1:
        if self.lists_changes and not slot.listed:
            slot.listed = True
            self.changed.append(slot)
        return 0

    cdef int list_gathered(self) except -1:
        """Lists what is gathered as changed, for a connection that gets JSON from now on, and no flush."""
        cdef RecordSlot slot
        for slot in self.gathered:
            self._list_change(slot)
        return 0

    cdef int list_outgoing(self, RecordSlot slot) except -1:
        """Has other nodes get the slot's record, if there are any and it is not from one of them."""
        if self.relayed and slot.local and not slot.foreign and not slot.outgoing:
            slot.outgoing = True
            self.outgoing.append(slot)
        return 0

    cdef int list_known(self) except -1:
        """Has other nodes get every record that is known here and not from one of them."""
        cdef RecordSlot slot
        for slot in self.slots:
            if slot.known:
                self.list_outgoing(slot)
        return 0

    cdef list take_outgoing(self):
        """The slots of which other nodes are to have the record now. Those of which a newer one has come from another
        node meanwhile (`foreign`) are to be passed over.
        """
        cdef RecordSlot slot
        cdef list taken = self.outgoing
        self.outgoing = []
        for slot in taken:
            slot.outgoing = slot.replaced = False
        return taken

    def take_changes(self) -> list:
        """The slots that changed since the last call, for those connections that get records as JSON."""
        cdef RecordSlot slot
        taken = self.changed
        self.changed = []
        for slot in taken:
            slot.listed = False
        return taken

    # --- flushing ---

    cdef int64_t begin_flush(self, int64_t now) except -1:
        """Gathers what was deferred until now, frames the batch, and returns the time at which this flush was due.

        Until `end_flush` the batch must not be changed.
        """
        cdef RecordSlot slot
        cdef list waiting = self.waiting
        if waiting:
            self.waiting = []
            for slot in waiting:
                if slot.index < 0 and now < slot.theoretical_arrival - self.tolerance:
                    self.waiting.append(slot)
                    continue
                slot.deferred = False
                if slot.index < 0:
                    self._charge(slot, now)
                    self.gather(slot)
                    self.list_outgoing(slot)
        if self.count:
            self.flushes += 1
            for slot in self.gathered:
                slot.last_flush = self.flushes
                if slot.replaced:
                    slot.replaced = False
                    self.list_outgoing(slot)
            store_u16(self.buffer + HEADROOM, BATCHED | self.kind)
            store_u32(self.buffer + HEADROOM + 4, self.handle)
        return self.next_flush

    cdef uint8_t* batched_frame(self, Py_ssize_t* size) noexcept:
        """The batched frame, with HEADROOM bytes in front that may be written to."""
        store_u16(self.buffer + HEADROOM + 2, <uint16_t> self.count)
        size[0] = BATCH_HEADER_SIZE + self.count * RECORD_SIZE
        return self.buffer + HEADROOM

    cdef uint8_t* batched_frame_without(self, RecordSlot slot, Py_ssize_t* size) noexcept:
        """The same frame without the record of `slot`, which must be in it: the last record takes its place until
        `restore`.

        So the one buffer serves every member, and leaving out a member's own record copies 24 bytes and not the batch.
        """
        memcpy(self._record_at(slot.index), self._record_at(self.count - 1), RECORD_SIZE)
        store_u16(self.buffer + HEADROOM + 2, <uint16_t> (self.count - 1))
        size[0] = BATCH_HEADER_SIZE + (self.count - 1) * RECORD_SIZE
        return self.buffer + HEADROOM

    cdef void restore(self, RecordSlot slot) noexcept:
        memcpy(self._record_at(slot.index), slot.record, RECORD_SIZE)

    cdef int frame_plain(self) except -1:
        """Lays the batch out as plain frames, each with its WebSocket header (binary, final, unmasked)."""
        cdef RecordSlot slot
        cdef Py_ssize_t needed = self.count * (2 + FRAME_SIZE_VIEWPORT)
        cdef uint8_t* grown
        if needed > self.plain_capacity:
            grown = <uint8_t*> PyMem_Realloc(self.plain, 2 * needed)
            if grown == NULL:
                raise MemoryError
            self.plain = grown
            self.plain_capacity = needed
        self.plain_size = 0
        for slot in self.gathered:
            self.plain_size += write_plain(self.plain + self.plain_size, self.kind, slot)
        return 0

    cdef uint8_t* plain_frames(self, Py_ssize_t* size) noexcept:
        """The frames that `frame_plain` laid out."""
        size[0] = self.plain_size
        return self.plain

    cdef uint8_t* plain_frames_without(self, RecordSlot slot, Py_ssize_t* size) noexcept:
        """The same frames without that of `slot`, which must be in the batch; they are good until the next call."""
        cdef uint8_t* copy = self.plain + self.plain_capacity
        cdef Py_ssize_t start = 0
        cdef Py_ssize_t end
        for _index in range(slot.index):
            start += 2 + self.plain[start + 1]
        end = start + 2 + self.plain[start + 1]
        memcpy(copy, self.plain, start)
        memcpy(copy + start, self.plain + end, self.plain_size - end)
        size[0] = self.plain_size - (end - start)
        return copy

    cdef int end_flush(self, int64_t due, int64_t now, int64_t interval) except -1:
        """Empties the batch; the next flush is due one `interval` (ns) after this one was, or after `now` if it is
        long late.
        """
        cdef RecordSlot slot
        for slot in self.gathered:
            slot.index = -1
        self.gathered.clear()
        self.count = 0
        self.since = 0
        self.next_flush = (due if now - due < interval else now) + interval
        return 0

    def next_due(self):
        """When the next flush is due (ns) because of records that are gathered or deferred; None: there are none."""
        cdef RecordSlot slot
        if self.count:
            return self.next_flush
        if not self.waiting:
            return None
        return max(self.next_flush, min([
            (<RecordSlot> slot).theoretical_arrival - self.tolerance for slot in self.waiting]))

    def missed_since(self, uint64_t flush, RecordSlot own) -> list:
        """The slots but `own` of which a record left in flush number `flush` or later."""
        cdef RecordSlot slot
        return [slot for slot in self.slots if slot.last_flush >= flush and slot.known and slot is not own]

    # --- the same from Python, for what is not hot and for tests ---

    def put_frame(self, RecordSlot slot not None, const uint8_t[::1] frame not None, int64_t now) -> int:
        """`put` for a frame in a buffer; raises ValueError if it is none of this batch's kind, or `slot` was not
        added.
        """
        cdef Py_ssize_t size = frame.shape[0]
        cdef FrameFault fault = check_frame(&frame[0], size) if size else FRAME_LENGTH
        if fault == FRAME_GOOD and load_u16(&frame[0]) != self.kind:
            fault = FRAME_TYPE
        if fault != FRAME_GOOD:
            raise ValueError(_FAULTS[fault])
        return self.put(slot, &frame[0], size, now)

    def put_cursor(self, RecordSlot slot not None, float x, float y, uint32_t timestamp,
                   float viewport_x, float viewport_y, int64_t now) -> int:
        """`put` for a cursor that came as JSON; the coordinates have been checked."""
        cdef uint8_t frame[FRAME_SIZE_VIEWPORT]
        store_f32(frame + 6, x)
        store_f32(frame + 10, y)
        store_u32(frame + 14, timestamp)
        store_f32(frame + 18, viewport_x)
        store_f32(frame + 22, viewport_y)
        return self.put(slot, frame, FRAME_SIZE_VIEWPORT, now)

    def put_foreign(self, RecordSlot slot not None, const uint8_t[::1] record not None) -> int:
        """`put_record` for a record in a buffer; raises ValueError if it is none of this kind, or `slot` was not
        added.
        """
        if record.shape[0] != RECORD_SIZE or not is_record(self.kind, &record[0]):
            raise ValueError("no record of this kind")
        return self.put_record(slot, &record[0])

    def flush(self, int64_t now, int64_t interval=0) -> bytes:
        """One whole flush: the batched frame, empty if nothing was gathered."""
        cdef Py_ssize_t size
        cdef uint8_t* frame
        cdef int64_t due = self.begin_flush(now)
        cdef bytes result = b""
        if self.count:
            frame = self.batched_frame(&size)
            result = frame[:size]
        self.end_flush(due, now, interval)
        return result


cdef Py_ssize_t write_plain(uint8_t* target, uint16_t kind, RecordSlot slot) noexcept:
    """Writes a slot's record as one plain frame with its WebSocket header; `target` has room for 28 bytes. Returns
    the bytes written.
    """
    cdef Py_ssize_t size = FRAME_SIZE if isnan(load_f32(slot.record + 16)) else FRAME_SIZE_VIEWPORT
    target[0] = 0x82
    target[1] = <uint8_t> size
    store_u16(target + 2, kind)
    memcpy(target + 4, slot.record, size - 2)
    return size + 2


# --- whole frames as bytes, for clients and tests ---


def encode_frame(int kind, uint32_t user, float x, float y, uint32_t timestamp, viewport=None) -> bytes:
    """A frame of 18 bytes, or 26 with `viewport`, a pair of numbers. `kind` is 1 (cursor) or 2 (selection)."""
    cdef uint8_t frame[FRAME_SIZE_VIEWPORT]
    store_u16(frame, <uint16_t> kind)
    store_u32(frame + 2, user)
    store_f32(frame + 6, x)
    store_f32(frame + 10, y)
    store_u32(frame + 14, timestamp)
    if viewport is None:
        return frame[:FRAME_SIZE]
    store_f32(frame + 18, viewport[0])
    store_f32(frame + 22, viewport[1])
    return frame[:FRAME_SIZE_VIEWPORT]


def decode_frames(const uint8_t[::1] data not None):
    """A binary message from the gateway, plain or batched, as `(kind, handle, records)`.

    `handle` is None for a plain frame. Each record is `(user, x, y, timestamp, viewport)` with `viewport` a
    pair of floats or None. Raises ValueError for anything else.
    """
    cdef Py_ssize_t size = data.shape[0]
    cdef Py_ssize_t index
    cdef uint16_t kind
    cdef const uint8_t* start
    cdef list records
    if size < BATCH_HEADER_SIZE:
        raise ValueError(f"{size} bytes are too few for a frame")
    start = &data[0]
    kind = load_u16(start)
    if kind & BATCHED:
        if size != BATCH_HEADER_SIZE + load_u16(start + 2) * RECORD_SIZE:
            raise ValueError(f"a batched frame of {load_u16(start + 2)} records is not {size} bytes long")
        records = [
            read_record(start + BATCH_HEADER_SIZE + index * RECORD_SIZE, True) for index in range(load_u16(start + 2))]
        return check_kind(kind ^ BATCHED), load_u32(start + 4), records
    if size != FRAME_SIZE and size != FRAME_SIZE_VIEWPORT:
        raise ValueError(f"a frame is 18 or 26 bytes long, not {size}")
    return check_kind(kind), None, [read_record(start + 2, size == FRAME_SIZE_VIEWPORT)]


cdef uint16_t check_kind(uint16_t kind) except 0:
    if kind != CURSOR and kind != SELECTION:
        raise ValueError(f"frame type {kind:#x} is unknown")
    return kind


cdef tuple read_record(const uint8_t* data, bint may_have_viewport):
    cdef float viewport_x = load_f32(data + 16) if may_have_viewport else float("nan")
    return (
        load_u32(data),
        load_f32(data + 4),
        load_f32(data + 8),
        load_u32(data + 12),
        None if isnan(viewport_x) else (viewport_x, load_f32(data + 20)),
    )
