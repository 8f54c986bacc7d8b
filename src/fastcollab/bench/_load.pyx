"""The load generator's inner loop: one thread, one epoll set, no Python object per frame.

A *fleet* is ``rooms × members`` WebSocket connections that others have opened and handed over by file descriptor. Each
member sends one masked cursor frame of 26 bytes per period. The members' phases are spread over the period, the rooms
interleaved, in steps of a *grid*: members of one step send together. A grid as long as the period makes everybody send
at once. What arrives is parsed where `recv` put it.

Every frame carries what is needed to judge its delivery, in fields that a gateway passes through:

* the *timestamp* is the time of sending, in microseconds since the fleet's start: the receiver's clock minus
  it is the latency;
* *y* is any number, which no compression makes shorter than people's coordinates would be;
* *x* is a sequence number, 1, 2, 3, …, exact in a float32 up to 2^24. A receiver remembers the newest it saw
  of each sender in its room. A gateway may replace an older update by a newer one before it sends, so a gap
  is legal; a sequence number that does not grow is not a delivery (``stale``); and the last update of every
  sender has to reach every other member of its room, or it is missing (`Fleet.finals_missing`).

Sending is open-loop: when a frame is due does not depend on what the server does, and a generator that falls behind
shows it in a histogram of its own (``lateness``). A socket that takes no more bytes skips the update (``blocked``), and
the sequence number goes to the next one.

The generator has to cost less than what it measures, and what costs most is to fall asleep and to be woken. So there is
the grid; and what arrives waits up to 0.2 ms to be read together with what arrives next. A latency may therefore be
0.2 ms too long, but never too short.

Connections that agreed to permessage-deflate are handed over with an inflater, and compress their cursors themselves,
as browsers do.

Members of a room may be spread over *nodes*, servers that tell each other: by turns, in the order of their places. A
delivery is then *within* a node or *across* two, and timed as such too. A server of another protocol may want a text
message before each cursor, which is sent with it in one piece (``preamble``).

The clock is CLOCK_MONOTONIC. Only Linux has epoll: elsewhere the module can be imported, and `Fleet` raises.
"""

import os
import sys

from cpython.exc cimport PyErr_CheckSignals
from libc.math cimport fmod
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memcpy

from fastcollab.bench._deflate cimport Inflater, deflate_fixed
from fastcollab.bench._fields cimport View, bits_of, contains, f32_at, part, u16_at, u32_at
from fastcollab.bench._histogram cimport Histogram
from fastcollab.bench._poller cimport (
    EAGAIN,
    EINTR,
    EWOULDBLOCK,
    MSG_DONTWAIT,
    MSG_NOSIGNAL,
    POLLER_AVAILABLE,
    errno,
    monotonic_ns,
    poller_add,
    poller_open,
    poller_remove,
    poller_wait,
    recv,
    send,
    sleep_ns,
)


cdef enum:
    FRAME_HEADER = 6            # of a masked frame with a payload of at most 125 bytes
    CURSOR_SIZE = 26
    CURSOR_SIZE_SHORT = 18      # without a viewport
    FRAME_SIZE = FRAME_HEADER + CURSOR_SIZE
    FRAME_MAX = FRAME_SIZE + CURSOR_SIZE // 8 + 4    # compressed
    PREAMBLE_MAX = 125          # of its text
    CONTROL_MAX = 125
    BATCH_HEADER = 8
    RECORD_SIZE = 24
    TYPE_CURSOR = 0x0001
    TYPE_CURSOR_BATCH = 0x0101
    COMPRESSED = 0x40           # in the first byte of a frame
    READ_SIZE = 1 << 18
    MESSAGE_MAX = 1 << 20       # a longer message from the server ends the connection
    SEQUENCE_MAX = 1 << 24
    GATHER_NS = 200_000         # how long arrivals may wait for others to be read with
    SECONDS_MAX = 1500          # 10,000 Hz for so long stays below SEQUENCE_MAX, and microseconds below 2^32
    EXCERPTS = 5
    EXCERPT_SIZE = 400
    EVENTS = 256

cdef enum Opcode:
    CONTINUATION = 0x0
    TEXT = 0x1
    BINARY = 0x2
    CLOSE = 0x8
    PING = 0x9
    PONG = 0xA


cdef inline void put_field(uint8_t *cursor, size_t at, uint32_t value) noexcept nogil:
    """Writes a field of four bytes."""
    cdef size_t i
    if at + 4 > CURSOR_SIZE:
        return
    for i in range(4):
        cursor[at + i] = <uint8_t> (value >> (24 - 8 * i))


cdef inline float scattered(uint32_t number) noexcept nogil:
    """A coordinate below 1000 that has all its digits, another one for each number."""
    return <float> (number * <uint32_t> 2654435761) / 4294967.296


cdef struct Member:
    int fd                      # -1: not attached, or the connection has ended
    uint32_t index              # in the fleet
    uint32_t node               # where it is connected
    uint32_t sent               # the sequence number of its last update
    size_t unsent               # bytes at the end of `frame` that the socket has not taken yet
    uint8_t cursor[CURSOR_SIZE]
    uint8_t frame[FRAME_HEADER + PREAMBLE_MAX + FRAME_MAX]    # the cursor as a masked frame, ready to send
    size_t frame_size
    bint compresses
    uint8_t *partial            # an incomplete frame, as received
    size_t partial_size
    size_t partial_capacity


cdef class Fleet:
    """``rooms × members`` connections that send cursors at `hz` and check what they receive.

    A member's index is ``room * members + its place in the room``, its user id in the binary frames is
    `first_user` plus that index. It is connected to node ``place % nodes``. Before each cursor goes the text message
    `preamble`, if it is not empty. Connections are handed over open, upgraded and joined, with `attach`; the
    file descriptors stay the caller's to close. Then, in this order: `drive` to warm up, `start_measuring`,
    `drive`, `drain`.

    Raises ValueError for sizes out of range and OSError where there is no epoll.
    """

    cdef readonly uint32_t rooms
    cdef readonly uint32_t members
    cdef readonly uint32_t first_user
    cdef readonly uint32_t nodes
    cdef readonly double hz

    cdef readonly uint64_t sent                 # updates sent
    cdef readonly uint64_t blocked              # updates not sent since the socket was full
    cdef readonly uint64_t delivered            # newer updates of another member of the room
    cdef readonly uint64_t own                  # a member's own updates, given back to it
    cdef readonly uint64_t stale                # updates not newer than one delivered before
    cdef readonly uint64_t foreign              # records of users that are not in the room
    cdef readonly uint64_t received_bytes
    cdef readonly uint64_t binary_messages
    cdef readonly uint64_t text_messages
    cdef readonly uint64_t error_messages       # text messages that contain "error" in quotes
    cdef readonly uint64_t malformed            # messages that break the protocol
    cdef readonly uint64_t disconnects          # connections that ended before the run did
    cdef readonly Histogram latency             # microseconds, of updates sent since measuring began
    cdef readonly Histogram latency_within      # of these, of members at the same node, if there are several
    cdef readonly Histogram latency_across      # … and of members at another
    cdef readonly Histogram lateness            # microseconds, from when a frame was due to when it was sent

    cdef Member *_members
    cdef uint32_t _count
    cdef uint32_t *_newest                      # [receiver index * members + sender's place in the room]
    cdef uint8_t *_inbox                        # the incomplete frame of before, and what recv put behind it
    cdef int _poller
    cdef int64_t _start_ns                      # 0 until the first update
    cdef int64_t _until_ns
    cdef double _period_ns
    cdef double _grid_ns
    cdef size_t _lead                           # bytes of a frame before those of the cursor
    cdef uint64_t _slot                         # number of the next update of the fleet
    cdef uint32_t _measure_from_us
    cdef uint8_t _excerpts[EXCERPTS][EXCERPT_SIZE]
    cdef size_t _excerpt_sizes[EXCERPTS]
    cdef size_t _excerpt_count
    cdef uint16_t _close_codes[EXCERPTS]
    cdef size_t _close_code_count
    cdef list _inflaters                        # by member; None: compression was not agreed upon

    def __cinit__(self, rooms: int, members: int, hz: float, first_user: int, grid: float = 0.001,
                  nodes: int = 1, preamble: bytes = b"") -> None:
        cdef uint32_t index
        self._poller = -1
        if rooms < 1 or members < 1 or rooms * members > 100_000 or rooms * members * members > 100_000_000:
            raise ValueError(f"{rooms} rooms of {members} members are more than a fleet can be, or none")
        if not 0 < hz <= 10_000:
            raise ValueError(f"the rate must be above 0 and at most 10,000 Hz, not {hz}")
        if not 1e-6 <= grid <= 1 / hz * (1 + 1e-9):
            raise ValueError(f"the grid must be at least a microsecond and at most a period of {1 / hz} s, not {grid}")
        if not 0 <= first_user <= 0xFFFFFFFF - rooms * members:
            raise ValueError(f"user ids from {first_user} on do not fit into 32 bits")
        if not 1 <= nodes <= members:
            raise ValueError(f"rooms of {members} members cannot be spread over {nodes} nodes")
        if len(preamble) > PREAMBLE_MAX:
            raise ValueError(f"a preamble of {len(preamble)} bytes is too long: at most {PREAMBLE_MAX}")
        if not POLLER_AVAILABLE:
            raise OSError(f"the load generator needs epoll, which {sys.platform} does not have")
        self.rooms, self.members, self.hz, self.first_user = rooms, members, hz, first_user
        self._count = rooms * members
        self._period_ns = 1e9 / hz
        self._grid_ns = grid * 1e9
        self.nodes = nodes
        self._lead = FRAME_HEADER + len(preamble) if preamble else 0
        self._clear_histograms()
        self._members = <Member *> calloc(self._count, sizeof(Member))
        self._newest = <uint32_t *> calloc(<size_t> self._count * self.members, sizeof(uint32_t))
        self._inbox = <uint8_t *> malloc(MESSAGE_MAX + READ_SIZE)
        if self._members is NULL or self._newest is NULL or self._inbox is NULL:
            raise MemoryError
        self._poller = poller_open()
        if self._poller < 0:
            raise OSError(errno, os.strerror(errno))
        for index in range(self._count):
            self._members[index].fd = -1
            self._members[index].index = index
            self._members[index].node = index % self.members % self.nodes
            self._prepare_cursor(&self._members[index], preamble)
        self._inflaters = [None] * self._count

    def __dealloc__(self) -> None:
        cdef uint32_t index
        if self._members is not NULL:
            for index in range(self._count):
                free(self._members[index].partial)
        free(self._members)
        free(self._newest)
        free(self._inbox)
        if self._poller >= 0:
            os.close(self._poller)

    cdef int _prepare_cursor(self, Member *member, bytes preamble) except -1:
        cdef uint32_t key = (member.index + 1) * <uint32_t> 2654435761
        cdef const uint8_t *text = preamble
        if self._lead:
            member.frame[0] = 0x80 | TEXT
            member.frame[1] = 0x80 | <uint8_t> len(preamble)    # the key stays 0
            memcpy(member.frame + FRAME_HEADER, text, len(preamble))
        memcpy(member.frame + self._lead + 2, &key, 4)
        member.cursor[1] = TYPE_CURSOR
        put_field(member.cursor, 2, self.first_user + member.index)
        put_field(member.cursor, 18, bits_of(100.0))
        put_field(member.cursor, 22, bits_of(scattered(member.index)))
        return 0

    cdef int _clear_histograms(self) except -1:
        self.latency, self.lateness = Histogram(), Histogram()
        self.latency_within, self.latency_across = Histogram(), Histogram()
        return 0

    # What the caller does.

    def attach(self, index: int, fd: int, received: bytes = b"", inflater: Inflater | None = None) -> None:
        """Hands over member `index`'s connection: a non-blocking socket, upgraded and joined.

        `received` is what was read from it and not yet used; `inflater` is of a connection with compression. ValueError
        if the member has a connection.
        """
        member = self._member(index)
        if member.fd >= 0:
            raise ValueError(f"member {index} has a connection")
        if poller_add(self._poller, fd, member.index) < 0:
            raise OSError(errno, os.strerror(errno))
        member.fd = fd
        member.compresses = inflater is not None
        self._inflaters[index] = inflater
        self.feed(index, received)

    def node_of(self, index: int) -> int:
        """The node that member `index` is connected to."""
        return self._member(index).node

    def feed(self, index: int, data: bytes) -> None:
        """Takes `data` for member `index` as if just received; ValueError if it is more than 256 KiB."""
        cdef const uint8_t[::1] view = data
        member = self._member(index)
        if len(data) > READ_SIZE:
            raise ValueError(f"{len(data)} bytes are more than one read can bring")
        if len(data):
            memcpy(self._inbox + self._restore_partial(member), &view[0], len(data))
            self._take(member, len(data), self._elapsed_us())

    def poll(self) -> None:
        """Reads what has arrived, without waiting and without sending."""
        with nogil:
            self._receive_ready(0)

    def start_measuring(self) -> None:
        """From here on, updates count for the latencies and `lateness`."""
        self._measure_from_us = self._elapsed_us()
        self._clear_histograms()

    def drive(self, seconds: float) -> None:
        """Sends and receives for `seconds`, following on from the last call without a gap."""
        cdef int64_t until_ns
        if not 0 <= seconds or (self._until_ns - self._start_ns) / 1e9 + seconds > SECONDS_MAX:
            raise ValueError(f"a run takes from 0 to {SECONDS_MAX} s in all; {seconds} s more is too much")
        if self._start_ns == 0:
            self._start_ns = self._until_ns = monotonic_ns()
        until_ns = self._until_ns + <int64_t> (seconds * 1e9)
        while self._until_ns < until_ns:
            PyErr_CheckSignals()
            self._until_ns = min(until_ns, self._until_ns + 100_000_000)
            with nogil:
                self._drive_until(self._until_ns)

    def drain(self, seconds: float) -> float:
        """Receives until every final update has arrived, for at most `seconds`. Returns how long it took."""
        cdef int64_t began_ns = monotonic_ns()
        cdef int64_t now_ns = began_ns
        while self.finals_missing() and now_ns - began_ns < seconds * 1e9:
            PyErr_CheckSignals()
            with nogil:
                self._finish_sending()
                self._receive_ready(1_000_000)
            now_ns = monotonic_ns()
        return (now_ns - began_ns) / 1e9

    def finals_missing(self) -> int:
        """In how many pairs of members of one room the one has not got the last update of the other."""
        cdef uint64_t missing = 0
        cdef uint32_t index, place, first
        for index in range(self._count):
            first = index - index % self.members
            for place in range(self.members):
                if first + place != index:
                    missing += self._newest[index * self.members + place] != self._members[first + place].sent
        return missing

    def newest(self, receiver: int, sender: int) -> int:
        """The newest sequence number that `receiver` got of `sender`, a member of its room; 0 for none."""
        first = self._member(receiver).index // self.members
        if self._member(sender).index // self.members != first:
            raise ValueError(f"members {receiver} and {sender} are not in one room")
        return self._newest[<uint32_t> receiver * self.members + <uint32_t> sender % self.members]

    @property
    def expected(self) -> int:
        """How many deliveries there would be if each update reached each other member of its room."""
        return self.sent * (self.members - 1)

    @property
    def errors(self) -> list[bytes]:
        """The beginnings of the first text messages that look like errors."""
        return [bytes(self._excerpts[i][:self._excerpt_sizes[i]]) for i in range(self._excerpt_count)]

    @property
    def close_codes(self) -> list[int]:
        """The codes of the first CLOSE frames; 1005 stands for none."""
        return [self._close_codes[i] for i in range(self._close_code_count)]

    cdef Member *_member(self, object index) except NULL:
        if not 0 <= index < self._count:
            raise IndexError(f"the fleet has {self._count} members, none with index {index}")
        return &self._members[<uint32_t> index]

    # Sending.

    cdef inline uint32_t _elapsed_us(self) noexcept nogil:
        """Since the first update; 0 before it."""
        return <uint32_t> ((monotonic_ns() - self._start_ns) // 1000) if self._start_ns else 0

    cdef inline int64_t _due_ns(self, uint64_t slot) noexcept nogil:
        """When the update with this number is due: its member's phase, in whole steps of the grid, in its round."""
        cdef double phase_ns = <double> (slot % self._count) / self._count * self._period_ns
        phase_ns -= fmod(phase_ns, self._grid_ns)
        return self._start_ns + <int64_t> (slot // self._count * self._period_ns + phase_ns)

    cdef void _drive_until(self, int64_t until_ns) noexcept nogil:
        cdef int64_t horizon_ns, now_ns
        cdef uint64_t slot
        cdef uint32_t key
        while True:
            slot = self._slot
            horizon_ns = min(self._send_due(until_ns), until_ns)
            now_ns = monotonic_ns()
            if now_ns >= until_ns:
                return
            if slot == self._slot and poller_wait(self._poller, &key, 1, horizon_ns - now_ns) == 0:
                continue
            now_ns = monotonic_ns()
            if now_ns < horizon_ns:
                sleep_ns(min(GATHER_NS, horizon_ns - now_ns))
            while self._receive_ready(0, until_ns) == EVENTS:
                pass

    cdef int64_t _send_due(self, int64_t until_ns) noexcept nogil:
        """Sends what is due by now and before `until_ns`. Returns when the next update is due."""
        cdef int64_t now_ns = monotonic_ns()
        cdef int64_t due_ns = self._due_ns(self._slot)
        cdef uint32_t turn
        while due_ns <= now_ns and due_ns < until_ns:
            turn = <uint32_t> (self._slot % self._count)
            self._send_update(&self._members[turn % self.rooms * self.members + turn // self.rooms])
            self.lateness.add(<uint64_t> (now_ns - due_ns) // 1000)
            self._slot += 1
            due_ns = self._due_ns(self._slot)
            now_ns = monotonic_ns()
        return due_ns

    cdef void _send_update(self, Member *member) noexcept nogil:
        if member.fd < 0:
            return
        if member.unsent == 0:
            put_field(member.cursor, 6, bits_of(<float> (member.sent + 1)))
            put_field(member.cursor, 10, bits_of(scattered(member.sent * self._count + member.index)))
            put_field(member.cursor, 14, self._elapsed_us())
            self._frame_cursor(member)
            member.unsent = member.frame_size
            self._send_rest(member)
            if member.unsent < member.frame_size:
                member.sent += 1
                self.sent += 1
                return
            member.unsent = 0
        else:
            self._send_rest(member)
        self.blocked += 1

    cdef void _frame_cursor(self, Member *member) noexcept nogil:
        """Writes the frame of the cursor; its key is in there already."""
        cdef uint8_t *frame = member.frame + self._lead
        cdef uint8_t *payload = frame + FRAME_HEADER
        cdef size_t size = CURSOR_SIZE
        cdef size_t i
        if member.compresses:
            size = deflate_fixed(payload, member.cursor, CURSOR_SIZE)
        else:
            memcpy(payload, member.cursor, CURSOR_SIZE)
        for i in range(size):
            payload[i] ^= frame[2 + (i & 3)]
        frame[0] = 0x80 | BINARY | (COMPRESSED if member.compresses else 0)
        frame[1] = 0x80 | <uint8_t> size
        member.frame_size = self._lead + FRAME_HEADER + size

    cdef void _send_rest(self, Member *member) noexcept nogil:
        """Errors other than a full socket show up at the next recv."""
        cdef ssize_t taken = send(member.fd, member.frame + member.frame_size - member.unsent, member.unsent,
                                  MSG_NOSIGNAL | MSG_DONTWAIT)
        if taken > 0:
            member.unsent -= <size_t> taken

    cdef void _finish_sending(self) noexcept nogil:
        cdef uint32_t index
        for index in range(self._count):
            if self._members[index].unsent and self._members[index].fd >= 0:
                self._send_rest(&self._members[index])

    # Receiving.

    cdef int _receive_ready(self, int64_t timeout_ns, int64_t until_ns=0) noexcept nogil:
        """One recv from each readable socket; in between, updates that are due before `until_ns` are sent.

        Returns how many sockets were readable.
        """
        cdef uint32_t keys[EVENTS]
        cdef int ready = poller_wait(self._poller, keys, EVENTS, timeout_ns)
        cdef int i
        cdef ssize_t got
        cdef size_t kept
        cdef Member *member
        for i in range(ready):
            member = &self._members[keys[i]]
            kept = self._restore_partial(member)
            got = recv(member.fd, self._inbox + kept, READ_SIZE, MSG_DONTWAIT)
            if got > 0:
                self._take(member, <size_t> got, self._elapsed_us())
            elif got == 0 or (errno != EAGAIN and errno != EWOULDBLOCK and errno != EINTR):
                self._lose(member)
            if until_ns:
                self._send_due(until_ns)
        return ready

    cdef size_t _restore_partial(self, Member *member) noexcept nogil:
        """Puts the incomplete frame of before at the start of the inbox; what is received goes behind it."""
        if member.partial_size:
            memcpy(self._inbox, member.partial, member.partial_size)
        return member.partial_size

    cdef void _take(self, Member *member, size_t got, uint32_t now_us) noexcept nogil:
        """Consumes the frames in the inbox, which holds the member's incomplete frame and `got` new bytes
        behind it.
        """
        cdef View rest = View(self._inbox, member.partial_size + got)
        cdef size_t used
        self.received_bytes += got
        while rest.size:
            used = self._take_frame(member, rest, now_us)
            if used == 0:
                break
            rest = part(rest, used, rest.size - used)
        if rest.size > MESSAGE_MAX:
            self._break_off(member)
            rest.size = 0
        if rest.size > member.partial_capacity:
            free(member.partial)
            member.partial = <uint8_t *> malloc(rest.size)
            member.partial_capacity = rest.size if member.partial else 0
            if member.partial is NULL:
                self._lose(member)
                rest.size = 0
        if rest.size:
            memcpy(member.partial, rest.data, rest.size)
        member.partial_size = rest.size

    cdef size_t _take_frame(self, Member *member, View data, uint32_t now_us) noexcept nogil:
        """Takes one WebSocket frame from the start of `data`. Returns its size; 0 if it is not complete.

        A frame that breaks the protocol ends the connection, and takes all of `data` with it.
        """
        cdef size_t header = 2
        cdef uint64_t size
        cdef View payload
        cdef uint8_t opcode
        cdef bint compressed
        if data.size < 2:
            return 0
        opcode = data.data[0] & 0x0F
        compressed = data.data[0] & COMPRESSED and member.compresses and opcode in (TEXT, BINARY)
        size = data.data[1] & 0x7F
        if size == 126:
            header = 4
        elif size == 127:
            header = 10
        if data.size < header:
            return 0
        if header == 4:
            size = u16_at(data, 2)
        elif header == 10:
            size = <uint64_t> u32_at(data, 2) << 32 | u32_at(data, 6)
        # A server does not mask, compresses what was agreed upon, and fragments were not.
        if data.data[0] & 0xF0 != (0x80 | COMPRESSED if compressed else 0x80) or data.data[1] & 0x80 or (
                size > MESSAGE_MAX - 10) or (
                opcode >= CLOSE and size > CONTROL_MAX):
            self._break_off(member)
            return data.size
        if data.size < header + size:
            return 0
        payload = part(data, header, <size_t> size)
        if compressed:
            payload = self._inflate(member, payload)
            if payload.data == NULL:
                self._break_off(member)
                return data.size
        if opcode == BINARY:
            self.binary_messages += 1
            self._take_binary(member, payload, now_us)
        elif opcode == TEXT:
            self._take_text(payload)
        elif opcode == PING:
            self._answer_ping(member, payload)
        elif opcode == CLOSE:
            if self._close_code_count < EXCERPTS:
                self._close_codes[self._close_code_count] = u16_at(payload, 0) if payload.size >= 2 else 1005
                self._close_code_count += 1
            self._lose(member)
            return data.size
        elif opcode != PONG:
            self._break_off(member)
            return data.size
        return header + <size_t> size

    cdef View _inflate(self, Member *member, View payload) noexcept nogil:
        with gil:
            return (<Inflater> self._inflaters[member.index]).inflate(payload)

    cdef void _take_binary(self, Member *member, View payload, uint32_t now_us) noexcept nogil:
        cdef uint16_t kind = u16_at(payload, 0)
        cdef size_t i
        cdef size_t count = u16_at(payload, 2)
        if kind == TYPE_CURSOR_BATCH and payload.size == BATCH_HEADER + count * RECORD_SIZE:
            for i in range(count):
                self._take_record(member, part(payload, BATCH_HEADER + i * RECORD_SIZE, RECORD_SIZE), now_us)
        elif kind == TYPE_CURSOR and (payload.size == CURSOR_SIZE or payload.size == CURSOR_SIZE_SHORT):
            self._take_record(member, part(payload, 2, payload.size - 2), now_us)
        else:
            self.malformed += 1

    cdef inline void _take_record(self, Member *member, View record, uint32_t now_us) noexcept nogil:
        """A record is user, x, y, timestamp and, here unread, the viewport."""
        cdef uint32_t room_start = member.index - member.index % self.members
        cdef uint32_t place = u32_at(record, 0) - self.first_user - room_start
        cdef float x = f32_at(record, 4)
        cdef uint32_t sent_us = u32_at(record, 12)
        cdef uint32_t took_us
        cdef uint32_t *newest
        if place >= self.members:
            self.foreign += 1
        elif not 0 < x <= SEQUENCE_MAX:
            self.malformed += 1
        elif room_start + place == member.index:
            self.own += 1
        else:
            newest = &self._newest[<size_t> member.index * self.members + place]
            if <uint32_t> x <= newest[0]:
                self.stale += 1
                return
            newest[0] = <uint32_t> x
            self.delivered += 1
            if sent_us < self._measure_from_us:
                return
            took_us = now_us - sent_us if now_us > sent_us else 0
            self.latency.add(took_us)
            if self.nodes == 1:
                return
            if place % self.nodes == member.node:
                self.latency_within.add(took_us)
            else:
                self.latency_across.add(took_us)

    cdef void _take_text(self, View payload) noexcept nogil:
        cdef size_t kept
        self.text_messages += 1
        if not contains(payload, View(<const uint8_t *> b'"error"', 7)):
            return
        self.error_messages += 1
        if self._excerpt_count < EXCERPTS:
            kept = min(payload.size, <size_t> EXCERPT_SIZE)
            memcpy(self._excerpts[self._excerpt_count], payload.data, kept)
            self._excerpt_sizes[self._excerpt_count] = kept
            self._excerpt_count += 1

    cdef void _answer_ping(self, Member *member, View payload) noexcept nogil:
        """A pong with the key 0 is masked as the protocol wants it. A full socket, or a half-sent cursor,
        gets none.
        """
        cdef uint8_t frame[FRAME_HEADER + CONTROL_MAX]
        if member.fd < 0 or member.unsent:
            return
        frame[0] = 0x80 | PONG
        frame[1] = 0x80 | <uint8_t> payload.size
        frame[2] = frame[3] = frame[4] = frame[5] = 0
        memcpy(frame + FRAME_HEADER, payload.data, payload.size)
        send(member.fd, frame, FRAME_HEADER + payload.size, MSG_NOSIGNAL | MSG_DONTWAIT)

    cdef void _break_off(self, Member *member) noexcept nogil:
        self.malformed += 1
        self._lose(member)

    cdef void _lose(self, Member *member) noexcept nogil:
        if member.fd >= 0:
            poller_remove(self._poller, member.fd)
            member.fd = -1
        self.disconnects += 1
