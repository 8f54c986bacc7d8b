"""Who of a room has got which cursors: a replay's count of deliveries, without a Python object per record.

The *audience* of a room are its members, by their places from 0 on; the number of each in the binary frames is
`first_user` plus its place. Each cursor that is sent carries the time of sending in its timestamp, which a gateway
passes through, in microseconds from a start that the caller chooses, and later than that of the same member's cursor
before. So the timestamp tells how long the delivery took, and which of two cursors of one member is the newer. As in
`_load`, a gateway may replace a cursor by a newer one before it sends, so one that is left out is legal, one that is
not newer than what was delivered is *stale*, and the last one has to arrive.

The last one is asked for where it must have arrived: at members who were in the room before it was sent and still are,
of a sender who still is, too. What was sent in the moment before somebody left need not be delivered.
"""

from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free

from fastcollab.bench._fields cimport View, part, u16_at, u32_at
from fastcollab.bench._histogram cimport Histogram


cdef enum:
    BATCH_HEADER = 8
    RECORD_SIZE = 24
    TYPE_CURSOR_BATCH = 0x0101
    TYPE_SELECTION_BATCH = 0x0102
    SETTLED_US = 1_000_000      # after so long a cursor has arrived, or will not


cdef class Audience:
    """The members of one room, `size` of them, of whom nobody is there yet; `latency` is added to.

    Raises ValueError if there are more than 10,000, or fewer than one.
    """

    cdef readonly uint32_t size
    cdef readonly uint32_t first_user
    cdef readonly uint64_t sent
    cdef readonly uint64_t expected             # deliveries, if the gateway replaced no cursor by a newer one
    cdef readonly uint64_t delivered
    cdef readonly uint64_t missing              # last cursors that should have arrived at those who left
    cdef readonly uint64_t stale
    cdef readonly uint64_t foreign              # records of users that are not in the room
    cdef readonly uint64_t malformed            # messages
    cdef readonly Histogram latency             # microseconds

    cdef uint32_t _present
    cdef uint32_t *_since                       # by member, in µs: since when it is in the room; 0: it is not
    cdef uint32_t *_last                        # by member: when its last cursor was sent; 0: none was, since it came
    cdef uint32_t *_newest                      # [receiver * size + sender]: the newest cursor that has arrived

    def __cinit__(self, size: int, first_user: int, latency: Histogram) -> None:
        if not 1 <= size <= 10_000:
            raise ValueError(f"a room of {size} members cannot be replayed")
        if not 0 <= first_user <= 0xFFFFFFFF - size:
            raise ValueError(f"user ids from {first_user} on do not fit into 32 bits")
        self.size, self.first_user, self.latency = size, first_user, latency
        self._since = <uint32_t *> calloc(size, sizeof(uint32_t))
        self._last = <uint32_t *> calloc(size, sizeof(uint32_t))
        self._newest = <uint32_t *> calloc(<size_t> size * size, sizeof(uint32_t))
        if self._since is NULL or self._last is NULL or self._newest is NULL:
            raise MemoryError

    def __dealloc__(self) -> None:
        free(self._since)
        free(self._last)
        free(self._newest)

    def came(self, member: int, now_us: int) -> None:
        """The member has joined the room, and is told of what is sent from now on."""
        self._check(member)
        if not self._since[member]:
            self._present += 1
        self._since[member] = max(1, now_us)
        self._last[member] = 0

    def leaves(self, member: int, now_us: int) -> None:
        """The member is about to leave the room: what it and the others have not got of each other is counted."""
        cdef uint32_t other
        self._check(member)
        if not self._since[member]:
            return
        for other in range(self.size):
            self.missing += self._lacks(member, other, now_us) + self._lacks(other, member, now_us)
        self._since[member] = 0
        self._present -= 1

    def sending(self, member: int, now_us: int) -> int:
        """The member sends a cursor; returns the timestamp to send with it."""
        cdef uint32_t timestamp
        self._check(member)
        timestamp = max(1, now_us, <uint64_t> self._last[member] + 1)
        self._last[member] = timestamp
        self.sent += 1
        if self._present:
            self.expected += self._present - 1
        return timestamp

    def lacking(self) -> int:
        """In how many pairs of members who are in the room the one has not got the last cursor of the other."""
        cdef uint64_t lacking = 0
        cdef uint32_t receiver, sender
        for receiver in range(self.size):
            for sender in range(self.size):
                lacking += self._lacks(receiver, sender, 0xFFFFFFFF)
        return lacking

    def received(self, member: int, message: bytes, now_us: int) -> None:
        """The member has received a binary message."""
        cdef const uint8_t[::1] data = message
        cdef View view
        cdef uint32_t receiver = member
        cdef uint32_t now = now_us
        cdef size_t count, i
        cdef uint16_t kind
        self._check(member)
        if len(message) < BATCH_HEADER:
            self.malformed += 1
            return
        view = View(&data[0], len(message))
        kind, count = u16_at(view, 0), u16_at(view, 2)
        if kind not in (TYPE_CURSOR_BATCH, TYPE_SELECTION_BATCH) or view.size != BATCH_HEADER + count * RECORD_SIZE:
            self.malformed += 1
        elif kind == TYPE_CURSOR_BATCH:
            with nogil:
                for i in range(count):
                    self._take(receiver, part(view, BATCH_HEADER + i * RECORD_SIZE, RECORD_SIZE), now)

    cdef void _take(self, uint32_t receiver, View record, uint32_t now_us) noexcept nogil:
        """A record is user, x, y, timestamp and the viewport."""
        cdef uint32_t sender = u32_at(record, 0) - self.first_user
        cdef uint32_t sent_us = u32_at(record, 12)
        cdef uint32_t *newest
        if sender >= self.size:
            self.foreign += 1
        elif sender != receiver:
            newest = &self._newest[<size_t> receiver * self.size + sender]
            if sent_us <= newest[0]:
                self.stale += 1
                return
            newest[0] = sent_us
            self.delivered += 1
            self.latency.add(now_us - sent_us if now_us > sent_us else 0)

    cdef bint _lacks(self, uint32_t receiver, uint32_t sender, uint32_t now_us) noexcept nogil:
        """Whether the receiver has not got the sender's last cursor, which it should have by now."""
        cdef uint32_t last = self._last[sender]
        cdef uint32_t since = self._since[receiver]
        if receiver == sender or not since or not self._since[sender] or last <= since:
            return False
        if now_us - last < SETTLED_US:
            return False
        return self._newest[<size_t> receiver * self.size + sender] < last

    cdef int _check(self, member: int) except -1:
        if not 0 <= member < self.size:
            raise IndexError(f"there is no member {member}")
        return 0
