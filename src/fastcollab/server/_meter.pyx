"""What is counted where much happens, so cheaply that it always is.

A count is a number in a C field, and a histogram an array of them: to count a delivery costs an addition. Nothing is
made of them until somebody asks, who reads them all (:mod:`fastcollab.server.metrics`). There is one `Meter` for each
gateway, which its pump has for all that read and send by it.

What happens seldom is counted in Python (:mod:`fastcollab.server.tallies`); its histograms are of this kind, too.

The *rates* of a connection are moving averages: every time that they are taken, what was since the last time counts for
the more, the longer that was. So a connection needs no memory of its past, and one that is idle costs a comparison.
"""

from libc.math cimport INFINITY, expm1
from libc.stdint cimport int64_t

#: The bounds of all histograms of times, in seconds. A flush is due within 16.7 ms, two in a row within 33.4.
TIMES = (0.0001, 0.0003, 0.001, 0.002, 0.004, 0.008, 0.017, 0.034, 0.067, 0.125, 0.25, 0.5, 1.0, 5.0)
#: Those of numbers of records.
SIZES = (1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1000.0)

# Over which time (s) rates are averaged: as in the client, messages and bytes over a shorter one than errors.
cdef double WINDOW = 10
cdef double ERROR_WINDOW = 60


cdef class Histogram:
    """How often a value was at most each of `bounds`, which ascend; there may be up to 16."""

    def __cinit__(self, bounds):
        if not 0 < len(bounds) <= MOST_BOUNDS or list(bounds) != sorted(set(bounds)):
            raise ValueError(f"bounds are up to {MOST_BOUNDS} ascending numbers, not {bounds!r}")
        self.size = len(bounds)
        for index, bound in enumerate(bounds):
            self.limits[<int> index] = bound

    cdef void add(self, double value) noexcept:
        cdef int bucket = 0
        while bucket < self.size and value > self.limits[bucket]:
            bucket += 1
        self.counts[bucket] += 1
        self.sum += value

    def observe(self, double value) -> None:
        """Counts a value."""
        self.add(value)

    @property
    def count(self) -> int:
        """How many values there were."""
        cdef int64_t seen = 0
        cdef int bucket
        for bucket in range(self.size + 1):
            seen += self.counts[bucket]
        return seen

    def buckets(self) -> list:
        """Each bound, at last infinity, with how many values were not greater."""
        cdef int64_t seen = 0
        cdef int bucket
        cdef list found = []
        for bucket in range(self.size + 1):
            seen += self.counts[bucket]
            found.append((self.limits[bucket] if bucket < self.size else INFINITY, seen))
        return found


cdef class Stream:
    """What goes one way."""


cdef class Meter:
    """What the compiled parts of a gateway count."""

    def __cinit__(self):
        self.cursors_received, self.selections_received = Stream(), Stream()
        self.cursors_sent, self.selections_sent = Stream(), Stream()
        self.bundles_received, self.bundles_sent = Stream(), Stream()
        self.flush_records = Histogram(SIZES)
        self.flush_seconds = Histogram(TIMES)
        self.fanout_seconds = Histogram(TIMES)
        self.bus_seconds = Histogram(TIMES)
        self.ping_seconds = Histogram(TIMES)


cdef void take_rates(Rates* rates, int64_t now, int64_t messages, int64_t received, int64_t sent, int errors) noexcept:
    """Takes the rates anew: per second, of errors per minute."""
    cdef double elapsed = (now - rates.at) / 1e9
    cdef double weight, error_weight
    if elapsed <= 0:
        return
    rates.at = now
    if messages == rates.messages and received == rates.received and not (rates.received_rate or rates.sent_rate
                                                                          or rates.error_rate):
        return
    # Of one that is young all of its life counts alike.
    cdef double share = elapsed * 1e9 / (now - rates.since)
    weight = max(share, -expm1(-elapsed / WINDOW))
    error_weight = max(share, -expm1(-elapsed / ERROR_WINDOW))
    rates.message_rate += <float> (weight * ((messages - rates.messages) / elapsed - rates.message_rate))
    rates.received_rate += <float> (weight * ((received - rates.received) / elapsed - rates.received_rate))
    rates.sent_rate += <float> (weight * ((sent - rates.sent) / elapsed - rates.sent_rate))
    rates.error_rate += <float> (error_weight * (60 * (errors - rates.errors) / elapsed - rates.error_rate))
    rates.messages = messages
    rates.received = received
    rates.sent = sent
    rates.errors = errors
