"""How fast a connection is read: the limit behind all others (rule L3).

Whatever a client sends costs something, even what is refused. So each connection has a bucket of tokens, of which a
frame takes one, and more if it is long. Who has none left is not read for a while: what it goes on sending waits in its
socket, and when that is full, at the client, by TCP's own flow control. Nothing is refused, nothing is lost, and no
memory is taken. What was read together with the last frame is still carried out, so the tokens may go below zero.

A binary record costs a fraction of what a text costs, and is priced so: a client that sends cursors at the rate of its
mouse is not slowed down, since its cursors would come later and later.
"""

from libc.stdint cimport int64_t

from ._pump cimport Pump, Task

cdef double SECOND = 1e9
# What a pause is worth waking up for, in seconds' worth of tokens.
cdef double WORTHWHILE = 0.05


cdef class Throttle(Task):
    """Lets each connection send `rate` frames per second, and `burst` seconds' worth at once."""

    def __cinit__(self, Pump pump not None, double rate, double burst):
        self.pump = pump
        self.rate = rate / SECOND
        self.capacity = rate * burst
        self.waiting = {}

    cdef double filled(self, double tokens, int64_t elapsed) noexcept:
        """A connection's tokens, `elapsed` ns after it had so many."""
        return min(self.capacity, tokens + elapsed * self.rate)

    cdef int64_t enough_at(self, double tokens, int64_t now) noexcept:
        """When a connection that has so many now will have enough to be read again (ns)."""
        return now + <int64_t> ((self.rate * SECOND * WORTHWHILE - tokens) / self.rate)

    cdef int hold(self, object connection, double tokens, int64_t now) except -1:
        """Has the connection be read again (by `connection.unthrottle`) when there are tokens enough."""
        cdef int64_t due = self.enough_at(tokens, now)
        self.waiting[connection] = due
        self.pump.meter.throttled += 1
        self.pump.schedule(self, due)
        return 0

    cdef int let_go(self, object connection) except -1:
        """The connection has ended: nothing waits for its tokens any more."""
        self.waiting.pop(connection, None)
        return 0

    cdef int64_t run(self, int64_t now) except -2:
        cdef int64_t next_due = -1
        cdef int64_t due
        cdef dict waiting = self.waiting
        self.waiting = {}
        for connection, due in waiting.items():
            if due <= now:
                # What was read with the frame that was one too many has been paid for since.
                due = connection.unthrottle(now)
                if due <= now:
                    continue
            self.waiting[connection] = due
            if next_due < 0 or due < next_due:
                next_due = due
        return next_due
