"""The fan-out of a room: when its gathered records leave, and what each member gets.

The records lie in the room's :class:`~fastcollab._binary.RecordBatch` in the form in which they are sent. A
flush hands that one buffer to each member's socket: one `send` per member, no copy and no Python object per
record or member. A member's own record is left out by putting the last one in its place for the time of that
send.

When a flush leaves is a balance. At once is best for latency, and costs a `send` per member and update; once
per 16.67 ms is cheapest. :class:`FlushPacer` chooses an interval between those by the size of the room, since a
flush costs as many sends as there are members, and lengthens it for all rooms while flushing takes more than a
share of the process's time: latency is given away only where it buys something.

A batch that is long enough is compressed for the members that have agreed to it (`_deflate`): once for all of them,
the own record of each included, which B9 allows. :class:`Thrift` leaves rooms alone whose batches do not get shorter
by it.

Members in JSON mode get `presence_update` messages instead, built by the Python side (`send_updates`) at an
interval of their own.
"""

import logging

from cpython.buffer cimport PyBUF_READ
from cpython.bytes cimport PyBytes_AS_STRING
from cpython.memoryview cimport PyMemoryView_FromMemory
from libc.stdint cimport int64_t, uint64_t
from picows.picows cimport WSMsgType

from .._binary cimport BATCHED as BATCHED_FRAME
from .._binary cimport BATCH_HEADER_SIZE, RECORD_SIZE, RecordBatch, RecordSlot, store_u16, store_u32, write_plain
from ._deflate cimport Codec
from ._meter cimport COUNTED, Meter, Stream, count, rate
from ._outbox cimport Outbox, framed
from ._pump cimport Pump, Task, monotonic_ns

log = logging.getLogger(__name__)

MODE_JSON = JSON
MODE_PLAIN = PLAIN
MODE_BATCHED = BATCHED

cdef int64_t SECOND = 1_000_000_000
#: Of the WebSocket header of a plain frame.
cdef Py_ssize_t PLAIN_HEADER_SIZE = 2

#: What a compressed batch may take of its length to be worth the work, at both ends.
cdef double WORTHWHILE = 0.9
#: Flushes that a room is left alone for at most, whose batches do not get shorter: 17 s at 60 a second.
cdef int LONGEST_PAUSE = 1024


cdef class FlushPacer:
    """The interval between two flushes of a room, in ns: from `shortest` in rooms of up to 10 to `longest` in
    rooms of 100 and more.

    `account` is told of each flush. While flushes take more than 30 % of the time, measured over 100 ms, all
    intervals are stretched, up to `longest`; below 20 % they shrink again.
    """

    def __cinit__(self, int64_t shortest, int64_t longest):
        self.shortest = shortest
        self.longest = longest
        self.stretch = 1.0

    cdef int64_t interval(self, Py_ssize_t members) noexcept:
        cdef double growth = (members - 10) / 90.0
        cdef double interval = self.shortest
        if growth > 0:
            interval += growth * (self.longest - self.shortest)
        return <int64_t> min(interval * self.stretch, <double> self.longest)

    cdef void account(self, int64_t started, int64_t ended) noexcept:
        cdef int64_t window = ended - self.window_start
        cdef double share
        self.busy += ended - started
        if window < SECOND // 10:
            return
        share = <double> self.busy / window
        if share > 0.3:
            self.stretch *= min(share / 0.3, 2.0)
        elif share < 0.2:
            self.stretch *= 0.8
        self.stretch = max(1.0, min(self.stretch, <double> self.longest / max(self.shortest, 1)))
        self.window_start = ended
        self.busy = 0

    def interval_for(self, Py_ssize_t members) -> int:
        """The interval in a room of so many members, in ns."""
        return self.interval(members)

    def tell(self, int64_t started, int64_t ended) -> None:
        """Accounts for a flush that lasted from `started` to `ended`, in ns."""
        self.account(started, ended)


cdef class Thrift:
    """Whether a room's flushes are worth compressing. After one that was not, the next are left alone: one, then two,
    four and so on, until one is again.
    """

    cpdef bint tries(self) noexcept:
        """Whether the flush that begins is to be compressed."""
        if self.rest:
            self.rest -= 1
            return False
        return True

    cpdef bint pays(self, Py_ssize_t size, Py_ssize_t packed) noexcept:
        """Whether a batch of `size` bytes that is compressed to `packed` is worth it."""
        if packed < WORTHWHILE * size:
            self.pause = 0
            return True
        self.pause = min(max(1, 2 * self.pause), LONGEST_PAUSE)
        self.rest = self.pause
        return False


cdef class Member:
    """A session's membership in a room, as the fan-out sees it."""

    def __cinit__(self, object session, Channel channel not None, Outbox outbox not None,
                  RecordSlot cursor not None, RecordSlot selection not None, Mode mode):
        self.session = session
        self.channel = channel
        self.outbox = outbox
        self.cursor = cursor
        self.selection = selection
        self._mode = mode

    @property
    def mode(self):
        """In which form the member gets cursors: MODE_JSON, MODE_PLAIN or MODE_BATCHED."""
        return self._mode

    @mode.setter
    def mode(self, Mode mode):
        # A record in between must not be lost: one that was flushed already and is not told as JSON yet, or one
        # that is gathered and will be flushed past this member.
        cdef Channel channel = self.channel
        if self._mode == JSON and mode != JSON:
            channel.tell_changes(monotonic_ns())
            channel.json_members -= 1
            channel.list_changes()
        elif self._mode != JSON and mode == JSON:
            channel.json_members += 1
            channel.list_changes()
            channel.cursors.list_gathered()
            channel.selections.list_gathered()
        self._mode = mode

    cdef void owe(self, RecordBatch batch) noexcept:
        self.outbox.skipped += batch.count
        if batch is self.channel.cursors:
            if not self.owed_cursors:
                self.owed_cursors = batch.flushes
        elif not self.owed_selections:
            self.owed_selections = batch.flushes

    def accepts_updates(self, Py_ssize_t updates) -> bool:
        """Whether so many JSON updates may be sent now; if not, it is noted that the member is owed them."""
        if self.outbox.writable:
            return True
        self.outbox.skipped += updates
        self.owed_updates = True
        return False


cdef class Outlet:
    """Where a room's records go besides its members: to other nodes."""

    cdef int wake(self) except -1:
        """Something may have been listed in the room's batches for other nodes."""
        raise NotImplementedError


cdef class Channel(Task):
    """One room's fan-out; as a task of `pump` it runs when something of the room is due.

    `send_updates(channel, members, changed)` is called to send JSON updates: to `members`, of what has changed,
    or with `changed` false of all that is known. `update_interval` (ns) is the least time between two such
    calls for changes.
    """

    def __cinit__(self, object room, Pump pump not None, FlushPacer pacer not None, object send_updates,
                  int64_t update_interval):
        self.room = room
        self.cursors = room.cursors
        self.selections = room.selections
        self.pump = pump
        self.pacer = pacer
        self.thrift = Thrift()
        self.packed = {}
        self.send_updates = send_updates
        self.update_interval = update_interval
        self.members = []

    def add(self, object session, Outbox outbox not None,
            RecordSlot cursor not None, RecordSlot selection not None, Mode mode) -> Member:
        """Takes a member in. It must be told all that is known of the others; from here on it is sent changes."""
        cdef Member member = Member(session, self, outbox, cursor, selection, mode)
        self.members.append(member)
        if mode == JSON:
            self.json_members += 1
            self.list_changes()
        return member

    def remove(self, Member member not None) -> None:
        """Takes a member out."""
        self.members.remove(member)
        if member._mode == JSON:
            self.json_members -= 1
            self.list_changes()

    def close(self) -> None:
        """Ends the fan-out; nothing is sent from here on."""
        self.closed = True
        self.pump.forget(self)

    cdef int list_changes(self) except -1:
        """Has the batches list changes as long as anyone wants them."""
        self.cursors.lists_changes = self.selections.lists_changes = self.json_members > 0
        if not self.json_members:
            self.cursors.take_changes()
            self.selections.take_changes()
        return 0

    cdef int tell_changes(self, int64_t now) except -1:
        """Sends what has changed as JSON."""
        if self.cursors.changed or self.selections.changed:
            self.next_update = now + self.update_interval
            self.send_updates(self, self.json_mode_members(), True)
        return 0

    def json_mode_members(self) -> list:
        """The members in JSON mode."""
        cdef Member member
        return [member for member in self.members if member._mode == JSON]

    # --- when ---

    cdef int64_t put(self, Member member, bint is_cursor, const unsigned char* frame, Py_ssize_t size,
                     int64_t now) except -1:
        """Takes a frame that has been checked and came at `now`, and returns when it is due (ns), for `expect`."""
        cdef int64_t due
        if is_cursor:
            due = self.cursors.put(member.cursor, frame, size, now)
        else:
            due = self.selections.put(member.selection, frame, size, now)
            if self.outlet is not None:
                member.selection.version = self.room.document.version
        if self.outlet is not None:
            self.outlet.wake()
        return due

    def expect(self, int64_t due) -> None:
        """Something was put into the room's batches; it is due at `due` (ns)."""
        if self.outlet is not None:
            self.outlet.wake()
        self.pump.schedule(self, due)

    cdef int64_t run(self, int64_t now) except -2:
        """Flushes what is due, and returns when the rest is."""
        cdef int64_t next_due = -1
        cdef RecordBatch batch
        if self.closed:
            return -1
        for batch in (self.cursors, self.selections):
            due = batch.next_due()
            if due is not None and due <= now:
                self.flush(batch, now)
                due = batch.next_due()
            if due is not None and (next_due < 0 or due < next_due):
                next_due = due
        if self.json_members and (self.cursors.changed or self.selections.changed):
            if self.next_update <= now:
                self.tell_changes(now)
            elif next_due < 0 or self.next_update < next_due:
                next_due = self.next_update
        return next_due

    # --- what ---

    cdef int flush(self, RecordBatch batch, int64_t now) except -1:
        cdef int64_t due = batch.begin_flush(now)
        cdef Member member
        cdef bint plain_framed = False
        cdef int64_t interval
        cdef int64_t began = monotonic_ns() if COUNTED else now
        cdef int64_t ended
        cdef Stream sent = self.stream(batch)
        cdef int64_t before = sent.records
        if batch.count and len(self.members) > self.json_members:
            self.packs = self.thrift.tries()
            self.packed.clear()
            for member in self.members:
                if member._mode == JSON or not member.outbox.is_open():
                    continue
                if not member.outbox.writable:
                    member.owe(batch)
                    continue
                if member._mode == PLAIN and not plain_framed:
                    batch.frame_plain()
                    plain_framed = True
                try:
                    self.send_to(member, batch, sent)
                except Exception:
                    # The transport is closing under us; the others must not suffer. Its end is reported by itself.
                    log.debug(
                        "a member's socket refused a flush",
                        exc_info=True,
                        extra={"fields": {"connection_id": member.session.connection_id, "room_id": self.room.id}},
                    )
        interval = self.pacer.interval(len(self.members)) if batch is self.cursors else 0
        ended = monotonic_ns()
        if COUNTED:
            self.measure(batch, began, ended, sent.records - before)
        batch.end_flush(due, now, interval)
        self.pacer.account(now, ended)
        if self.outlet is not None:
            self.outlet.wake()
        return 0

    cdef void measure(self, RecordBatch batch, int64_t began, int64_t ended, int64_t delivered) noexcept:
        """Counts a flush, by which so many records were sent."""
        cdef Meter meter = self.pump.meter
        if delivered:
            meter.flushed(batch.count, (ended - began) / 1e9, (ended - batch.since) / 1e9 if batch.since else -1.0)
        if batch.count and batch is self.cursors:
            count(&self.pace, ended, batch.count, delivered)

    cdef Stream stream(self, RecordBatch batch):
        """Where it is counted what is sent of the batch."""
        return self.pump.meter.cursors_sent if batch is self.cursors else self.pump.meter.selections_sent

    cdef int send_to(self, Member member, RecordBatch batch, Stream sent) except -1:
        """Sends the batch that is being flushed to a member, without the member's own record."""
        cdef RecordSlot own = member.slot(batch)
        cdef Py_ssize_t records = batch.count - (own.index >= 0)
        cdef Py_ssize_t size
        cdef unsigned char* frame
        cdef bytes packed = None
        if not records:
            return 0
        if self.packs and member.outbox.codec is not None and member._mode == BATCHED:
            packed = self.packed_for(member, batch)
        if packed is not None:
            member.outbox.send_raw(PyBytes_AS_STRING(packed), len(packed), 1)
            size = BATCH_HEADER_SIZE + batch.count * RECORD_SIZE
        elif member._mode == PLAIN:
            frame = batch.plain_frames_without(own, &size) if own.index >= 0 else batch.plain_frames(&size)
            member.outbox.send_raw(<char*> frame, size, records)
            size -= records * PLAIN_HEADER_SIZE
        elif own.index >= 0:
            frame = batch.batched_frame_without(own, &size)
            try:
                member.outbox.send_frame(<char*> frame, size)
            finally:
                batch.restore(own)
        else:
            frame = batch.batched_frame(&size)
            member.outbox.send_frame(<char*> frame, size)
        sent.add(records if member._mode == PLAIN else 1, size, records)
        return 0

    cdef bytes packed_for(self, Member member, RecordBatch batch):
        """The batch that is being flushed as a compressed frame; None: it is too short, or does not get shorter."""
        cdef Codec codec = member.outbox.codec
        cdef Py_ssize_t size
        cdef unsigned char* frame = batch.batched_frame(&size)
        cdef bytes packed
        if not codec.compression.cursors or size < codec.compression.threshold:
            return None
        message = PyMemoryView_FromMemory(<char*> frame, size, PyBUF_READ)
        if codec.keeps_history:
            packed = codec.deflate_on(message)
            if not self.thrift.pays(size, len(packed)):
                codec.forget()
                self.packs = False
                return None
            return framed(WSMsgType.BINARY, packed, True)
        if codec.window_bits not in self.packed:
            packed = codec.deflate(message)
            pays = self.thrift.pays(size, len(packed))
            self.packed[codec.window_bits] = framed(WSMsgType.BINARY, packed, True) if pays else None
        return self.packed[codec.window_bits]

    def paces(self, int64_t now) -> tuple:
        """How many cursors moved per second, and how many of their positions were sent to members in frames, over about
        the last ten seconds; `now` in ns.
        """
        return rate(&self.pace, self.pace.moved, now), rate(&self.pace, self.pace.delivered, now)

    def catch_up(self, Member member not None) -> None:
        """Sends what a member has missed while it was not writable: the newest record of each user, once.

        If catching up with another room has made it not writable again, it remains owed.
        """
        if not member.outbox.writable:
            return
        cdef uint64_t owed_cursors = member.owed_cursors
        cdef uint64_t owed_selections = member.owed_selections
        cdef bint owed_updates = member.owed_updates
        member.owed_cursors = member.owed_selections = 0
        member.owed_updates = False
        if member._mode == JSON:
            if owed_updates or owed_cursors or owed_selections:
                self.send_updates(self, [member], False)
            return
        if owed_cursors or owed_updates:
            self.catch_up_batch(member, self.cursors, owed_cursors)
        if owed_selections or owed_updates:
            self.catch_up_batch(member, self.selections, owed_selections)

    cdef int catch_up_batch(self, Member member, RecordBatch batch, uint64_t owed) except -1:
        cdef list slots = batch.missed_since(owed, member.slot(batch))
        cdef RecordSlot slot
        cdef Stream sent = self.stream(batch)
        cdef bytearray data
        cdef unsigned char header[BATCH_HEADER_SIZE]
        cdef unsigned char frame[32]
        cdef Py_ssize_t size
        if not slots or not member.outbox.is_open():
            return 0
        data = bytearray()
        if member._mode == BATCHED:
            store_u16(header, BATCHED_FRAME | batch.kind)
            store_u16(header + 2, <unsigned short> len(slots))
            store_u32(header + 4, batch.handle)
            data += header[:BATCH_HEADER_SIZE]
            for slot in slots:
                data += slot.record[:RECORD_SIZE]
            member.outbox.send_binary(bytes(data))
            sent.add(1, len(data), len(slots))
        else:
            for slot in slots:
                size = write_plain(frame, batch.kind, slot)
                data += frame[:size]
            member.outbox.send_raw(data, len(data), len(slots))
            sent.add(len(slots), len(data) - len(slots) * PLAIN_HEADER_SIZE, len(slots))
        return 0
