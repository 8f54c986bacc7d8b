"""The relay: what the participants of a room see of those at other nodes, and the other way round.

Outwards, the rooms' batches list the slots of which other nodes are to have the record (:mod:`fastcollab._binary`). A
flush of the relay writes those of all rooms into *bundles* (:mod:`fastcollab._bundle`), one per channel of the bus, and
hands them to the bus in one call. It leaves at once after a quiet spell. After that a
:class:`~fastcollab.server._fanout.FlushPacer` says how long it waits: what a bundle costs, here, at the bus and at each
node that hears it, hardly depends on how much is in it, so that the interval grows with the number of bundles as that
of a room grows with the number of its members, from 1 to 16.67 ms. A *notice*, which tells of an operation or a
participant, waits for 1 ms at most.

Inwards, :meth:`Relay.receive` takes a bundle apart. A record goes into the slot of its participant and into the batch
of its room, and from there to the members like any other; rooms and participants that are not known here are passed
over. From the socket of a sender to that of a member at another node there is no Python object per record.

A user who is connected to two nodes is one participant at both, with one slot at each, so that a member is spared the
own record as ever (B9), and what came from another node is not sent back.

The bus may lose bundles. Each node numbers those that it publishes, by channel. A number that is missing, also before
the first one that is heard of a node, is told (`doubt`): whoever hears that reads again where things are kept. The last
one before a silence would not be missed, so an empty one follows it (:meth:`Relay.beat`), and another until one has
come back.

Bundles that come back to their own node tell that the bus works (`echoed`). To know it of a channel on which there is
nothing to say, a node publishes an empty bundle there too, but only if it has heard nothing from anybody since the last
beat: what others say shows as well that the channel is heard. So one node speaks for all, and what the probes of a
channel cost does not grow with the square of the number of nodes, as it would if each spoke for itself.
"""

import logging

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from cpython.mem cimport PyMem_Free, PyMem_Realloc
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.string cimport memcmp, memmove
from posix.time cimport CLOCK_REALTIME, clock_gettime, timespec

from .._binary cimport CURSOR, RECORD_SIZE, SELECTION, RecordBatch, RecordSlot, is_record, load_f32, load_u32
from .._bundle cimport (
    BUNDLE_HEADER_SIZE,
    MAX_NOTICE_SIZE,
    NODE_SIZE,
    NOTICE,
    BundleHeader,
    BundleWriter,
    Section,
    check_sections,
    read_header,
    read_section,
)
from ._fanout cimport Channel, FlushPacer, Outlet
from ._pump cimport Pump, Task, monotonic_ns

log = logging.getLogger(__name__)

#: A bundle that has become so large (bytes) is sent, and another one begun: a server has to hold it for each hearer.
cdef Py_ssize_t LARGE = 262_144


cdef uint64_t unix_us() noexcept nogil:
    cdef timespec now
    clock_gettime(CLOCK_REALTIME, &now)
    return <uint64_t> now.tv_sec * 1_000_000 + now.tv_nsec // 1000


cdef class Lane:
    """What is known of one channel of the bus, in both directions."""

    def __cinit__(self, int channel):
        self.channel = channel
        self.silent = True
        self.settled = True
        self.rooms = []
        self.notices = []
        self.heard = {}


cdef class RoomRelay(Outlet):
    """The records of one room on their way to other nodes and from there. Made by :meth:`Relay.open`."""

    def __cinit__(self, Relay relay not None, Lane lane not None, bytes room_id not None,
                  RecordBatch cursors not None, RecordBatch selections not None, Channel fanout not None):
        self.relay = relay
        self.lane = lane
        self.room_id = room_id
        self.cursors = cursors
        self.selections = selections
        self.fanout = fanout
        self.remote_cursors = []
        self.remote_selections = []

    def __dealloc__(self):
        PyMem_Free(self.numbers)

    def close(self) -> None:
        """Ends it: nothing more leaves, and what comes is skipped. May be called again."""
        if self.relay is not None:
            self.shared = False
            self.fanout.outlet = None
            del self.relay.rooms[self.room_id]
            self.relay = None

    # --- outwards ---

    @property
    def shared(self) -> bool:
        """Whether other nodes have participants in the room, so that what is put here is for them too."""
        return self.cursors.relayed

    @shared.setter
    def shared(self, bint shared):
        cdef RecordBatch batch
        for batch in (self.cursors, self.selections):
            batch.relayed = shared and self.relay is not None
            if not batch.relayed:
                batch.take_outgoing()

    def add_local(self, RecordSlot cursor not None, RecordSlot selection not None) -> None:
        """Has the records of a participant that are put here go to other nodes."""
        cursor.local = selection.local = True

    def remove_local(self, RecordSlot cursor not None, RecordSlot selection not None) -> None:
        """Undoes :meth:`add_local`."""
        cursor.local = selection.local = False

    def announce(self) -> None:
        """Has all records that are known of local participants go into the next bundle."""
        self.cursors.list_known()
        self.selections.list_known()
        self.wake()

    cdef int wake(self) except -1:
        if not self.waits and (self.cursors.outgoing or self.selections.outgoing):
            self.waits = True
            self.lane.rooms.append(self)
            self.relay.expect(self.lane, self.relay.next_flush)
        return 0

    cdef int write(self, BundleWriter writer) except -1:
        """Writes what waits."""
        self.waits = False
        self.write_batch(writer, self.cursors)
        self.write_batch(writer, self.selections)
        return 0

    cdef int write_batch(self, BundleWriter writer, RecordBatch batch) except -1:
        cdef RecordSlot slot
        cdef bint begun = False
        cdef uint64_t version = 0
        if not batch.outgoing:
            return 0
        for slot in batch.take_outgoing():
            if not slot.known or slot.foreign:
                continue
            # A section is of one version; nearly always all selections of a bundle are.
            if not begun or slot.version != version:
                if begun:
                    writer.end_records()
                begun = True
                version = slot.version
                writer.begin_records(batch.kind, self.room_id, version)
            writer.add_record(slot.record)
        if begun:
            writer.end_records()
        return 0

    # --- inwards ---

    def add_remote(self, RecordSlot cursor not None, RecordSlot selection not None) -> None:
        """Has a participant's records be taken from other nodes; raises ValueError if there is one of that number."""
        cdef Py_ssize_t count = len(self.remote_cursors)
        cdef Py_ssize_t index = self.find(cursor.numeric_id)
        cdef uint32_t* grown
        if self.is_at(index, cursor.numeric_id):
            raise ValueError(f"there is a remote participant of number {cursor.numeric_id} already")
        if count == self.capacity:
            grown = <uint32_t*> PyMem_Realloc(self.numbers, max(8, 2 * count) * sizeof(uint32_t))
            if grown == NULL:
                raise MemoryError
            self.numbers = grown
            self.capacity = max(8, 2 * count)
        memmove(self.numbers + index + 1, self.numbers + index, (count - index) * sizeof(uint32_t))
        self.numbers[index] = cursor.numeric_id
        self.remote_cursors.insert(index, cursor)
        self.remote_selections.insert(index, selection)

    def remove_remote(self, RecordSlot cursor not None, RecordSlot selection not None) -> None:
        """Undoes :meth:`add_remote`; raises ValueError if there was none of these slots."""
        cdef Py_ssize_t index = self.find(cursor.numeric_id)
        cdef Py_ssize_t count = len(self.remote_cursors)
        if (not self.is_at(index, cursor.numeric_id) or self.remote_cursors[index] is not cursor
                or self.remote_selections[index] is not selection):
            raise ValueError(f"there is no such remote participant of number {cursor.numeric_id}")
        memmove(self.numbers + index, self.numbers + index + 1, (count - index - 1) * sizeof(uint32_t))
        del self.remote_cursors[index]
        del self.remote_selections[index]

    cdef Py_ssize_t find(self, uint32_t number) noexcept:
        """Where the number is among those of remote participants, or would be."""
        cdef Py_ssize_t low = 0
        cdef Py_ssize_t high = len(self.remote_cursors)
        cdef Py_ssize_t middle
        while low < high:
            middle = (low + high) >> 1
            if self.numbers[middle] < number:
                low = middle + 1
            else:
                high = middle
        return low

    cdef inline bint is_at(self, Py_ssize_t index, uint32_t number) noexcept:
        return index < len(self.remote_cursors) and self.numbers[index] == number

    cdef int take(self, const Section* section) except -1:
        """Takes the records of a section, those of participants that are known."""
        cdef RecordBatch batch = self.cursors if section.kind == CURSOR else self.selections
        cdef list slots = self.remote_cursors if section.kind == CURSOR else self.remote_selections
        cdef const uint8_t* record
        cdef RecordSlot slot
        cdef Py_ssize_t at, index
        cdef int64_t due
        for at in range(0, section.size, RECORD_SIZE):
            record = section.body + at
            index = self.find(load_u32(record))
            if not self.is_at(index, load_u32(record)) or not is_record(batch.kind, record):
                continue
            slot = <RecordSlot> slots[index]
            if batch.kind == SELECTION:
                # Told first, since what is put may be sent on at once.
                try:
                    self.relay.selected(self.fanout.room, slot, <int> load_f32(record + 4),
                                        <int> load_f32(record + 8), section.version)
                except Exception:
                    log.exception(
                        "a selection of another node could not be taken",
                        extra={"fields": {"room_id": self.fanout.room.id}},
                    )
                    continue
                if self.relay is None:
                    return 0
            if slot.batch is not batch:
                continue
            due = batch.put_record(slot, record)
            if not self.heard:
                self.heard = True
                self.due = due
                if not self.relay.heard:
                    self.relay.pump.when_read(self.relay.flush_heard)
                self.relay.heard.append(self)
            elif due < self.due:
                self.due = due
        return 0


cdef class Relay(Task):
    """Gathers the records and notices of all rooms into bundles, and takes those of other nodes apart.

    `node` is this node's id, 16 bytes. `pacer` says how long records wait, by the number of bundles of a flush. The
    functions are described in the interface; an exception in one of them is logged, and no more.
    """

    def __cinit__(self, bytes node not None, Pump pump not None, FlushPacer pacer not None, *,
                  publish, notice, doubt, echoed, selected):
        if len(node) != NODE_SIZE:
            raise ValueError(f"the id of a node is {NODE_SIZE} bytes long, not {len(node)}")
        self.node = node
        self.pump = pump
        self.pacer = pacer
        self.publish = publish
        self.notice = notice
        self.doubt = doubt
        self.echoed = echoed
        self.selected = selected
        self.rooms = {}
        self.lanes = {}
        self.waiting = []
        self.heard = []
        self.writer = BundleWriter()

    def open(self, str room_id not None, int channel, RecordBatch cursors not None,
             RecordBatch selections not None, Channel fanout not None) -> RoomRelay:
        """Relays a room; raises ValueError if it is relayed already."""
        cdef bytes name = room_id.encode()
        if name in self.rooms:
            raise ValueError(f"the room {room_id!r} is relayed already")
        cdef RoomRelay room = RoomRelay(self, self.lane(channel), name, cursors, selections, fanout)
        self.rooms[name] = room
        fanout.outlet = room
        return room

    def close(self) -> None:
        """Sends what waits, and ends."""
        if self.closed:
            return
        self.pump.forget(self)
        self.next_flush = 0
        self.run(monotonic_ns())
        self.closed = True
        for room in list(self.rooms.values()):
            room.close()

    cdef Lane lane(self, int channel):
        cdef Lane lane = self.lanes.get(channel)
        if lane is None:
            lane = self.lanes[channel] = Lane(channel)
        return lane

    # --- outwards ---

    def tell(self, int channel, bytes notice not None) -> None:
        """Has a notice go out; raises ValueError if it is too large."""
        cdef Lane lane = self.lane(channel)
        if PyBytes_GET_SIZE(notice) > MAX_NOTICE_SIZE:
            raise ValueError(f"a notice of {len(notice)} bytes is too large: at most {MAX_NOTICE_SIZE}")
        if not self.closed:
            lane.notices.append(notice)
            self.expect(lane, self.next_notices)

    def beat(self, channels) -> None:
        """Publishes an empty bundle on each of the channels that are silent, or of which the last was not one that came
        back, unless something was published there since the last call.
        """
        cdef Lane lane
        cdef list bundles = []
        if self.closed:
            return
        for channel in channels:
            lane = self.lane(channel)
            if not lane.beaten and (lane.silent or not lane.settled):
                self.begin(lane)
                self.finish(lane, bundles)
            lane.beaten = False
            lane.silent = True
        self.send(bundles)

    def owes_echo(self, int channel) -> bool:
        """Whether the newest bundle that was published on the channel has not come back."""
        cdef Lane lane = self.lane(channel)
        return lane.echoed < lane.number

    cdef int expect(self, Lane lane, int64_t due) except -1:
        """Something on the lane is to leave at `due` (ns)."""
        if not lane.waits:
            lane.waits = True
            self.waiting.append(lane)
        self.pump.schedule(self, due)
        return 0

    cdef int64_t run(self, int64_t now) except -2:
        """Sends what is due: all that waits; or, when records are to wait longer, what is on lanes with notices."""
        cdef list bundles = []
        cdef list waiting = self.waiting
        cdef Lane lane
        cdef bint all_due = now >= self.next_flush
        cdef bint notices_due = now >= self.next_notices
        cdef int64_t due
        cdef int64_t next_due = -1
        cdef int64_t started = monotonic_ns()
        self.waiting = []
        for lane in waiting:
            if all_due or (notices_due and lane.notices):
                lane.waits = False
                self.bundle(lane, bundles)
            else:
                self.waiting.append(lane)
                due = self.next_notices if lane.notices else self.next_flush
                if next_due < 0 or due < next_due:
                    next_due = due
        if not bundles:
            return next_due
        self.next_notices = now + self.pacer.shortest
        if all_due:
            self.next_flush = now + self.pacer.interval(len(bundles))
        self.send(bundles)
        self.pacer.account(started, monotonic_ns())
        return next_due

    cdef int bundle(self, Lane lane, list bundles) except -1:
        """Writes what waits on the lane into a bundle, or several if it is much."""
        cdef RoomRelay room
        cdef bytes notice
        cdef list notices = lane.notices
        cdef list rooms = lane.rooms
        lane.notices = []
        lane.rooms = []
        self.begin(lane)
        for notice in notices:
            if self.writer.size >= LARGE:
                self.finish(lane, bundles)
                self.begin(lane)
            self.writer.add_notice(notice)
        for room in rooms:
            if self.writer.size >= LARGE:
                self.finish(lane, bundles)
                self.begin(lane)
            room.write(self.writer)
        if not self.writer.is_empty():
            self.finish(lane, bundles)
        return 0

    cdef int begin(self, Lane lane) except -1:
        return self.writer.begin(<const uint8_t*> PyBytes_AS_STRING(self.node), lane.number + 1, unix_us())

    cdef int finish(self, Lane lane, list bundles) except -1:
        cdef bytes bundle
        lane.number += 1
        lane.beaten = True
        lane.settled = False
        bundle = self.writer.finish()
        self.pump.meter.bundles_sent.add(1, PyBytes_GET_SIZE(bundle), 0)
        bundles.append((lane.channel, bundle))
        return 0

    cdef int send(self, list bundles) except -1:
        if bundles:
            try:
                self.publish(bundles)
            except Exception:
                log.exception("bundles could not be published")
        return 0

    # --- inwards ---

    def receive(self, int channel, bytes bundle not None) -> None:
        """Takes a bundle that was heard on the channel."""
        cdef const uint8_t* data = <const uint8_t*> PyBytes_AS_STRING(bundle)
        cdef Py_ssize_t size = PyBytes_GET_SIZE(bundle)
        cdef Py_ssize_t at = BUNDLE_HEADER_SIZE
        cdef BundleHeader header
        cdef Section section
        cdef Lane lane
        cdef RoomRelay room
        cdef bint own
        if self.closed:
            return
        try:
            read_header(data, size, &header)
            own = memcmp(header.node, PyBytes_AS_STRING(self.node), NODE_SIZE) == 0
            if not own:
                check_sections(data, size)
        except ValueError as error:
            log.warning("what was heard on channel %d is no bundle: %s", channel, error)
            return
        lane = self.lane(channel)
        lane.silent = False
        if own:
            lane.echoed = header.number
            lane.settled = header.number == lane.number and size == BUNDLE_HEADER_SIZE
            self.pump.meter.bus_seconds.add(<int64_t> (unix_us() - header.time) / 1e6)
            try:
                self.echoed(channel, header.number, header.time)
            except Exception:
                log.exception("a bundle that came back could not be taken")
            return
        self.pump.meter.bundles_received.add(1, size, 0)
        node = <bytes> header.node[:NODE_SIZE]
        if not self.account(lane, node, header.number):
            return
        while at < size and not self.closed:
            at = read_section(data, size, at, &section)
            if section.kind == NOTICE:
                try:
                    self.notice(channel, node, <bytes> section.body[:section.size])
                except Exception:
                    log.exception("a notice of another node could not be taken")
            elif section.kind == CURSOR or section.kind == SELECTION:
                room = self.rooms.get(<bytes> section.room[:section.room_size])
                if room is not None and room.lane is lane:
                    room.take(&section)

    cdef int account(self, Lane lane, bytes node, uint64_t number) except -1:
        """Whether this bundle is newer than the last one of the node; tells if there should have been others in
        between, or before the first.
        """
        cdef uint64_t last = lane.heard.get(node, 0)
        if number <= last:
            return False
        lane.heard[node] = number
        if number != last + 1:
            self.pump.meter.gaps += 1
            try:
                self.doubt(lane.channel, node)
            except Exception:
                log.exception("a doubt could not be told")
        return True

    def flush_heard(self) -> None:
        """Flushes the rooms that have something of other nodes, as soon as each may be: when all that had arrived is in
        their batches.
        """
        cdef RoomRelay room
        cdef list heard = self.heard
        self.heard = []
        for room in heard:
            room.heard = False
            if not room.fanout.closed:
                self.pump.enqueue(room.fanout, room.due)
        if not self.closed:
            self.pump.run_due(monotonic_ns())

    def forget_others(self, nodes) -> None:
        """Forgets the numbers of all nodes but these."""
        cdef Lane lane
        for lane in self.lanes.values():
            for node in lane.heard.keys() - nodes:
                del lane.heard[node]

    def forget_channel(self, int channel) -> None:
        """Forgets the numbers of all nodes on a channel."""
        self.lane(channel).heard.clear()
