from libc.stdint cimport int64_t


# True, and no more than that to the compiler; only a build that is to show what counting costs can do without it
# (FASTCOLLAB_SWITCHED in setup.py).
cdef extern from *:
    """
    #ifdef FASTCOLLAB_SWITCHED
    extern volatile int fastcollab_counted;  /* benchmarks/peers/counting_switch.c */
    #define FASTCOLLAB_COUNTED fastcollab_counted
    #else
    #define FASTCOLLAB_COUNTED 1
    #endif
    """
    const bint COUNTED "FASTCOLLAB_COUNTED"


cdef enum:
    MOST_BOUNDS = 16
    UNTOLD = 64                           # flushes that wait to be counted


cdef struct FlushSeen:
    double records, seconds
    double delay                          # of its oldest record, in seconds; negative: of none


cdef class Histogram:
    cdef:
        double limits[MOST_BOUNDS]
        int64_t counts[MOST_BOUNDS + 1]   # by bucket; the last is of what exceeds all bounds
        int size
        readonly double sum

    cdef void add(self, double value) noexcept


cdef class Stream:
    cdef:
        readonly int64_t messages
        readonly int64_t bytes            # of their payloads, before compression
        readonly int64_t records          # in them

    cdef inline void add(self, Py_ssize_t messages, Py_ssize_t size, Py_ssize_t records) noexcept:
        if COUNTED:
            self.messages += messages
            self.bytes += size
            self.records += records


cdef class Meter:
    cdef:
        readonly Stream cursors_received, selections_received
        readonly Stream cursors_sent, selections_sent
        readonly Stream bundles_received, bundles_sent
        readonly int64_t gaps             # after which bundles of another node were missing
        readonly int64_t throttled        # pauses in which a connection was not read
        readonly int64_t received_bytes, sent_bytes   # of connections that have ended, as they came and went
        readonly Histogram bus_seconds, ping_seconds
        Histogram of_records, of_seconds, of_delays
        FlushSeen flushes[UNTOLD]
        int untold

    cdef inline void flushed(self, double records, double seconds, double delay) noexcept:
        cdef FlushSeen* flush = &self.flushes[self.untold]
        flush.records, flush.seconds, flush.delay = records, seconds, delay
        self.untold += 1
        if self.untold == UNTOLD:
            self.settle()

    cdef void settle(self) noexcept


cdef struct Amount:
    int64_t messages, received, sent, skipped
    int errors, refusals


cdef struct Rates:
    int64_t since                         # when the first message could come, ns
    int64_t at                            # when they were taken, ns
    Amount then                           # how much there was then
    float message_rate, received_rate, sent_rate, skip_rate, error_rate, refusal_rate


cdef void take_rates(Rates* rates, int64_t now, Amount amount) noexcept


cdef struct Pace:
    int64_t since                         # when the first was counted, ns
    int64_t at                            # up to when it has faded, ns
    double moved, delivered               # what is left of all of them


cdef void count(Pace* pace, int64_t now, Py_ssize_t moved, int64_t delivered) noexcept
cdef double rate(const Pace* pace, double level, int64_t now) noexcept
