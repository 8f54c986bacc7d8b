"""A log-linear histogram of whole numbers, for latencies in microseconds."""

from libc.stdint cimport uint64_t
from libc.stdlib cimport calloc, free

cdef enum:
    STEPS = 128         # buckets per power of two
    BITS = 40           # of the greatest value that has a bucket of its own
    BUCKETS = (BITS - 6) * STEPS

cdef uint64_t LIMIT = <uint64_t> 1 << BITS


cdef class Histogram:
    """Counts of whole numbers from 0 to 2^40: below 256 exactly, above in buckets 1/128 of their value wide.

    Each power of two from 256 on is divided into 128 buckets of equal width. Greater values than 2^40 share
    the last bucket. A percentile is the upper edge of its bucket, but never above the greatest value
    recorded.
    """

    def __cinit__(self) -> None:
        self._counts = <uint64_t *> calloc(BUCKETS, sizeof(uint64_t))
        if self._counts is NULL:
            raise MemoryError

    def __dealloc__(self) -> None:
        free(self._counts)

    cdef void add(self, uint64_t value) noexcept nogil:
        cdef uint64_t octave = 0
        if value > self.maximum:
            self.maximum = value
        if value >= LIMIT:
            value = LIMIT - 1
        while value >> octave >= 2 * STEPS:
            octave += 1
        # Within octave k the top eight bits run from 128 to 255; in octave 0, from 0.
        self._counts[octave * STEPS + (value >> octave)] += 1
        self.count += 1
        self._sum += value

    def record(self, value: int) -> None:
        """Counts one value; OverflowError if it is negative or above 2^64."""
        self.add(value)

    def percentile(self, share: float) -> int:
        """A value that at least `share` (0 to 1) of the values do not exceed; 0 if there are none."""
        cdef uint64_t bucket, octave, seen = 0
        if not 0 <= share <= 1:
            raise ValueError(f"a percentile needs a share from 0 to 1, not {share}")
        if self.count == 0:
            return 0
        needed = max(1, share * self.count)
        for bucket in range(<uint64_t> BUCKETS):
            seen += self._counts[bucket]
            if seen >= needed:
                break
        octave = 0 if bucket < 2 * STEPS else bucket // STEPS - 1
        return min(self.maximum, ((bucket - octave * STEPS + 1) << octave) - 1)

    @property
    def mean(self) -> float:
        """The mean of the values, 0.0 if there are none."""
        return <double> self._sum / self.count if self.count else 0.0
