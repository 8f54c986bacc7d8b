"""The heartbeat of a process: reads many sockets in one go, then does what is due.

An event loop wakes up for each socket that becomes readable. With thousands of small frames per second that is what
costs: in a room of 100 at 60 Hz a quarter to two fifths of the processor time goes into going to sleep and waking up,
in a plain C loop no less than here, and a few percent into the code of all layers together (docs/performance.md). But
a cursor waits for the next flush of its room anyway, so its socket may as well be read a little later, together with
the others.

So the sockets of all connections are in an epoll set of the pump's own, and the event loop watches that set, as one
descriptor. While little comes in, the loop wakes the pump at once (*waiting*). When much comes in, the pump takes the
set off the loop and looks into it by a timer, every 1 to 4 ms, so that one look finds many sockets (*polling*); it goes
back when the flood ebbs. Only cursors make it so: who sends an operation waits for the answer, and would wait for the
look. What arrives is handed to the transport's protocol just as the event loop would: framing,
limits and the end of a connection remain where they were. A socket that fails or ends is given back to the loop, which
meets the end by itself.

Reading and flushing are one event: the tasks that reads make due (the flushes of rooms) run when all sockets have been
read, so that a flush takes along all that had arrived. So do functions that were asked for by `when_read`. There is one
timer for all tasks.

Where there is no epoll, the event loop reads the sockets and the pump is a timer only.
"""

import logging

from cpython.buffer cimport PyBUF_WRITABLE, PyBuffer_Release, PyObject_GetBuffer
from libc.errno cimport EAGAIN, EINTR, errno
from libc.stdint cimport int64_t, uint32_t
from posix.time cimport CLOCK_MONOTONIC, clock_gettime, timespec
from posix.unistd cimport close

from ._meter cimport Meter
from ._outbox cimport Cork

cdef extern from "sys/socket.h" nogil:
    ssize_t recv(int fd, void* buffer, size_t size, int flags)

cdef extern from "_epoll.h" nogil:
    ctypedef union epoll_data_t:
        int fd

    struct epoll_event:
        uint32_t events
        epoll_data_t data

    enum:
        EPOLLIN
        EPOLL_CTL_ADD
        EPOLL_CTL_DEL
        EPOLL_CLOEXEC

    int epoll_create1(int flags)
    int epoll_ctl(int epoll, int what, int fd, epoll_event* event)
    int epoll_wait(int epoll, epoll_event* events, int size, int timeout)

log = logging.getLogger(__name__)

cdef enum:
    EVENTS = 256             # sockets looked at per call of epoll_wait
    ROUNDS = 16              # of that, so that a flood cannot keep the process from its other work
    READS_PER_SOCKET = 16    # and none of it the other sockets

cdef int64_t SECOND = 1_000_000_000
# How much is read from a socket by one call, in bytes. picows doubles its buffer when a read fills it, and keeps it so:
# by larger reads a client that sends much would take memory for good, and have all that it sent carried out in one go.
cdef Py_ssize_t READ_AT_ONCE = 4096
# How long one socket may be read at a stretch. Whoever sends much gets as much of the process as there is, but in such
# pieces, and between them comes what is due for others.
cdef int64_t STRETCH = SECOND // 2000
# While polling, each look should find so many cursors, within these bounds.
cdef double CURSORS_PER_POLL = 16
cdef int64_t SHORTEST_POLL = SECOND // 1000
cdef int64_t LONGEST_POLL = SECOND // 250
# Cursors per second at which polling pays: below, a timer would wake up more often than the sockets do.
cdef double BUSY = 1_500
cdef double CALM = 1_000
cdef int64_t WINDOW = SECOND // 20


cdef int64_t monotonic_ns() noexcept nogil:
    cdef timespec now
    clock_gettime(CLOCK_MONOTONIC, &now)
    return <int64_t> now.tv_sec * SECOND + now.tv_nsec


def now_ns() -> int:
    """The clock of the pump: monotonic, in ns. Python's own is another one on some systems."""
    return monotonic_ns()


cdef class Task:
    """Something that a pump runs when it is due."""

    cdef int64_t run(self, int64_t now) except -2:
        """Does what is due at `now`, and returns when there is more to do (ns), or -1: nothing, as things are."""
        raise NotImplementedError


cdef class Pump:
    """Reads the sockets of a process and runs its tasks, on the event loop `loop`. `cork` is put in while it reads, so
    that what many sockets bring for one leaves together.
    """

    def __cinit__(self, object loop, Cork cork not None):
        self.loop = loop
        self.cork = cork
        self.meter = Meter()
        self.sources = {}
        self.queue = []
        self.after_reading = []
        self.sockets = epoll_create1(EPOLL_CLOEXEC)
        if self.sockets >= 0:
            loop.add_reader(self.sockets, self._on_readable)

    def close(self) -> None:
        """Stops. The sockets must have been removed before."""
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None
        if self.sockets >= 0:
            if not self.polling:
                self.loop.remove_reader(self.sockets)
            close(self.sockets)
            self.sockets = -1
        self.sources.clear()
        self.queue.clear()

    # --- sockets ---

    def add(self, object transport) -> int:
        """Reads the transport's socket from now on, in the place of the event loop.

        Returns the descriptor by which to :meth:`remove` it, or -1 if the loop goes on reading: where there is no
        epoll, or the transport is encrypted, so that what comes out of the socket is not for its protocol.
        """
        cdef epoll_event event
        cdef int fd
        if self.sockets < 0 or transport.get_extra_info("ssl_object") is not None:
            return -1
        fd = transport.get_extra_info("socket").fileno()
        protocol = transport.get_protocol()
        event.events = EPOLLIN
        event.data.fd = fd
        transport.pause_reading()
        if epoll_ctl(self.sockets, EPOLL_CTL_ADD, fd, &event) < 0:
            transport.resume_reading()
            return -1
        self.sources[fd] = (protocol.get_buffer, protocol.buffer_updated, transport)
        return fd

    def remove(self, int fd) -> None:
        """Reads this socket no longer; the event loop does not either, until it is told to."""
        if self.sources.pop(fd, None) is not None:
            epoll_ctl(self.sockets, EPOLL_CTL_DEL, fd, NULL)

    def when_read(self, object function) -> None:
        """Calls the function when all sockets are read that are being read, before what was sent meanwhile leaves; in
        the next round of the loop, if none are.
        """
        if self.reading:
            self.after_reading.append(function)
        else:
            self.loop.call_soon(function)

    def _on_readable(self):
        cdef int64_t now = monotonic_ns()
        self.read_sockets()
        self.run_due(now)
        self.choose_mode(now)

    cdef int read_sockets(self) except -1:
        cdef epoll_event events[EVENTS]
        cdef int ready, index, _round
        self.reading = True
        self.cork.hold()
        try:
            for _round in range(ROUNDS):
                ready = epoll_wait(self.sockets, events, EVENTS, 0)
                for index in range(ready):
                    self.read_one(events[index].data.fd)
                if ready < EVENTS:
                    break
        finally:
            self.reading = False
            self.call_after_reading()
            self.cork.release()
        return 0

    cdef int call_after_reading(self) except -1:
        cdef list functions
        if self.after_reading:
            functions, self.after_reading = self.after_reading, []
            for function in functions:
                try:
                    function()
                except Exception:
                    log.exception("what has been read could not be carried out")
        return 0

    cdef int read_one(self, int fd) except -1:
        """Reads what a socket has, and hands it to the protocol of its transport."""
        cdef Py_buffer buffer
        cdef Py_ssize_t count, size
        cdef int attempt, failure
        cdef int64_t began = 0
        for attempt in range(READS_PER_SOCKET):
            if attempt == 1:
                began = monotonic_ns()
            elif attempt and monotonic_ns() - began > STRETCH:
                return 0
            # Whoever is told of data may close connections, this one included.
            source = self.sources.get(fd)
            if source is None:
                return 0
            try:
                PyObject_GetBuffer(source[0](-1), &buffer, PyBUF_WRITABLE)
                size = min(buffer.len, READ_AT_ONCE)
                count = recv(fd, buffer.buf, size, 0)
                failure = errno if count < 0 else 0
                PyBuffer_Release(&buffer)
                if count > 0:
                    source[1](count)
                elif failure != EAGAIN and failure != EINTR:
                    self.give_back(fd, source[2])
            except Exception:
                log.exception("a connection's data could not be handled")
                self.remove(fd)
                source[2].abort()
                return 0
            if count < size:
                return 0
        return 0

    def give_back(self, int fd, object transport) -> None:
        """Lets the event loop read the socket again, to meet its end or its error in the usual way."""
        self.remove(fd)
        if not transport.is_closing():
            transport.resume_reading()

    cdef int choose_mode(self, int64_t now) except -1:
        """Waits or polls, by how many cursors came in the last window."""
        cdef int64_t elapsed = now - self.counted_since
        cdef int64_t interval
        cdef double rate
        if elapsed < WINDOW:
            return 0
        rate = <double> self.cursors * SECOND / elapsed
        self.counted_since = now
        self.cursors = 0
        if not self.polling and rate > BUSY:
            self.polling = True
            self.loop.remove_reader(self.sockets)
            self.next_poll = now + SHORTEST_POLL
            self.arm(self.next_poll, now)
        elif self.polling and rate < CALM:
            self.polling = False
            self.loop.add_reader(self.sockets, self._on_readable)
        if self.polling:
            interval = <int64_t> (CURSORS_PER_POLL / rate * SECOND)
            self.poll_interval = max(SHORTEST_POLL, min(interval, LONGEST_POLL))
        return 0

    # --- tasks ---

    cdef bint enqueue(self, Task task, int64_t due):
        """Has the task run at `due` (ns), when `run_due` is called next; whether it was not to run by then already."""
        if task.queued:
            if task.due <= due:
                return False
        else:
            task.queued = True
            self.queue.append(task)
        task.due = due
        return True

    cdef int schedule(self, Task task, int64_t due) except -1:
        """Has the task run at `due` (ns), or earlier if it is queued for that; at once if that is now."""
        cdef int64_t now
        if not self.enqueue(task, due) or self.reading:
            return 0
        now = monotonic_ns()
        if due <= now:
            self.run_due(now)
        else:
            self.arm(due, now)
        return 0

    def forget(self, Task task not None) -> None:
        """Takes a task out of the queue."""
        if task.queued:
            task.queued = False
            self.queue.remove(task)

    cdef int run_due(self, int64_t now) except -1:
        """Runs the tasks whose time has come, and sets the timer for the others."""
        cdef list queue = self.queue
        cdef Task task
        cdef int64_t due
        cdef int64_t next_due = -1
        if queue:
            self.queue = []
            for task in queue:
                if not task.queued:
                    continue
                if task.due <= now:
                    task.queued = False
                    try:
                        due = task.run(now)
                    except Exception:
                        log.exception("a task of the pump failed")
                        continue
                    if due < 0:
                        continue
                    if task.queued:
                        # What it did has made something due again.
                        task.due = min(task.due, due)
                        continue
                    task.due = due
                    task.queued = True
                self.queue.append(task)
            for task in self.queue:
                if next_due < 0 or task.due < next_due:
                    next_due = task.due
        if self.polling:
            next_due = self.next_poll if next_due < 0 else min(next_due, self.next_poll)
        if next_due >= 0:
            self.arm(next_due, now)
        return 0

    cdef int arm(self, int64_t due, int64_t now) except -1:
        if self.timer is not None:
            if self.timer_due <= due:
                return 0
            self.timer.cancel()
        self.timer_due = due
        self.timer = self.loop.call_later(max(0, due - now) / 1e9, self._on_timer)
        return 0

    def _on_timer(self):
        # A timer of the loop may be a little early by this clock, which must not cost another round.
        cdef int64_t now = max(monotonic_ns(), self.timer_due)
        self.timer = None
        if self.polling:
            # A flush that is due takes along what has come in until now: else an update could miss it, and be
            # replaced by the next one before the following flush.
            self.read_sockets()
            self.choose_mode(now)
            self.next_poll = now + self.poll_interval
        self.run_due(now)
