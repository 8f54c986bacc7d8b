"""What is counted where much happens, so cheaply that it always is.

A count is a number in a C field, and a histogram an array of them: to count a delivery costs an addition. Nothing is
made of them until somebody asks, who reads them all (:mod:`fastcollab.server.metrics`). There is one `Meter` for each
gateway, which its pump has for all that read and send by it.

What happens seldom is counted in Python (:mod:`fastcollab.server.tallies`); its histograms are of this kind, too.

Flushes are noted one after the other, and counted when there are many of them or somebody asks: a small room wakes the
gateway for one flush, whose histograms would have to be fetched from memory each time.

The *rates* of a connection are moving averages: every time that they are taken, what was since the last time counts for
the more, the longer that was. So a connection needs no memory of its past, and one that is idle costs a comparison.

The *pace* of a room is taken without a timer, since there may be very many rooms: what was counted fades as time goes
by, when something is added and when somebody asks. A room in which nothing moves costs nothing at all.

What a histogram has of late is what it has now without what it had then (:meth:`Histogram.since`): whoever keeps a copy
from time to time (:mod:`fastcollab.server.activity`) can say how quick things are now.
"""

from libc.math cimport INFINITY, exp, expm1
from libc.stdint cimport int64_t

#: The bounds of all histograms of times, in seconds. A flush is due within 16.7 ms, two in a row within 33.4.
TIMES = (0.0001, 0.0003, 0.001, 0.002, 0.004, 0.008, 0.017, 0.034, 0.067, 0.125, 0.25, 0.5, 1.0, 5.0)
#: Those of numbers of records.
SIZES = (1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1000.0)

# Over which time (s) rates are averaged: as in the client, messages and bytes over a shorter one than errors.
cdef double WINDOW = 10
cdef double ERROR_WINDOW = 60
# For how long (ns) what a room moves is added up before it fades: a hundredth of the window.
cdef int64_t PACE_STEP = 100_000_000


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

    def copy(self) -> Histogram:
        """What was counted so far."""
        return self.since(None)

    def since(self, Histogram earlier) -> Histogram:
        """What was counted after `earlier`, which is a copy of this one; None: all."""
        cdef Histogram found = Histogram.__new__(Histogram, (INFINITY,))
        cdef int bucket
        found.size = self.size
        found.limits = self.limits
        found.counts = self.counts
        found.sum = self.sum
        if earlier is not None:
            found.sum -= earlier.sum
            for bucket in range(self.size + 1):
                found.counts[bucket] -= earlier.counts[bucket]
        return found

    def quantile(self, double share) -> float:
        """A value that a share (0 to 1) of the values do not exceed, taken to lie evenly between two bounds. Of what
        exceeds all bounds the last bound is told. None: there are no values.
        """
        cdef double wanted
        cdef double below = 0
        cdef int64_t seen = 0
        cdef int bucket
        if not 0 <= share <= 1:
            raise ValueError(f"a quantile needs a share from 0 to 1, not {share}")
        wanted = share * self.count
        for bucket in range(self.size):
            if self.counts[bucket] and seen + self.counts[bucket] >= wanted:
                return below + (self.limits[bucket] - below) * (wanted - seen) / self.counts[bucket]
            seen += self.counts[bucket]
            below = self.limits[bucket]
        return below if self.counts[self.size] else None

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
        self.of_records = Histogram(SIZES)
        self.of_seconds = Histogram(TIMES)
        self.of_delays = Histogram(TIMES)
        self.bus_seconds = Histogram(TIMES)
        self.ping_seconds = Histogram(TIMES)

    @property
    def flush_records(self) -> Histogram:
        """How many records flushes had."""
        self.settle()
        return self.of_records

    @property
    def flush_seconds(self) -> Histogram:
        """How long they took."""
        self.settle()
        return self.of_seconds

    @property
    def fanout_seconds(self) -> Histogram:
        """How old the oldest record of each was when it had been sent."""
        self.settle()
        return self.of_delays

    cdef void settle(self) noexcept:
        """Counts the flushes that have been noted."""
        cdef int index
        for index in range(self.untold):
            self.of_records.add(self.flushes[index].records)
            self.of_seconds.add(self.flushes[index].seconds)
            if self.flushes[index].delay >= 0:
                self.of_delays.add(self.flushes[index].delay)
        self.untold = 0


cdef void take_rates(Rates* rates, int64_t now, Amount amount) noexcept:
    """Takes the rates anew: per second, of errors and refusals per minute."""
    cdef double elapsed = (now - rates.at) / 1e9
    cdef double share, weight, slow_weight
    if elapsed <= 0:
        return
    rates.at = now
    if (amount.messages == rates.then.messages and amount.received == rates.then.received
            and amount.skipped == rates.then.skipped and amount.refusals == rates.then.refusals
            and not (rates.received_rate or rates.sent_rate or rates.skip_rate
                     or rates.error_rate or rates.refusal_rate)):
        return
    # Of one that is young all of its life counts alike.
    share = elapsed * 1e9 / (now - rates.since)
    weight = max(share, -expm1(-elapsed / WINDOW))
    slow_weight = max(share, -expm1(-elapsed / ERROR_WINDOW))
    approach(&rates.message_rate, weight, (amount.messages - rates.then.messages) / elapsed)
    approach(&rates.received_rate, weight, (amount.received - rates.then.received) / elapsed)
    approach(&rates.sent_rate, weight, (amount.sent - rates.then.sent) / elapsed)
    approach(&rates.skip_rate, weight, (amount.skipped - rates.then.skipped) / elapsed)
    approach(&rates.error_rate, slow_weight, 60 * (amount.errors - rates.then.errors) / elapsed)
    approach(&rates.refusal_rate, slow_weight, 60 * (amount.refusals - rates.then.refusals) / elapsed)
    rates.then = amount


cdef inline void approach(float* average, double weight, double newest) noexcept:
    average[0] += <float> (weight * (newest - average[0]))


cdef void count(Pace* pace, int64_t now, Py_ssize_t moved, int64_t delivered) noexcept:
    """Counts what has moved and was delivered, at `now` (ns)."""
    cdef double left
    if not pace.since:
        pace.since = pace.at = now
    if now - pace.at > PACE_STEP:
        left = exp((pace.at - now) / (1e9 * WINDOW))
        pace.moved *= left
        pace.delivered *= left
        pace.at = now
    pace.moved += moved
    pace.delivered += delivered


cdef double rate(const Pace* pace, double level, int64_t now) noexcept:
    """How many there are per second, over about the last ten, of those of which `level` is left."""
    cdef double age = max(1.0, (now - pace.since) / 1e9)
    # What is left of one event per second that has gone on for `age` seconds.
    return level * exp((pace.at - now) / (1e9 * WINDOW)) / (-WINDOW * expm1(-age / WINDOW))
