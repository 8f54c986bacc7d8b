"""Arguments that several document types take, and how these are refused."""

from cpython.long cimport PyLong_CheckExact
from libc.stdint cimport int64_t

from fastcollab.ot.errors import OperationError


cdef bint is_left(str side) except -1:
    if side == "left":
        return True
    if side == "right":
        return False
    raise ValueError(f"side must be 'left' or 'right', not {side!r}")


cdef int64_t position_of(object position) except -1:
    """What `position` counts; refuses what is none."""
    cdef int64_t length
    if not PyLong_CheckExact(position):
        raise OperationError(f"a position must be an integer, not {type(position).__name__}")
    length = length_of(position)
    if length < 0:
        raise OperationError(f"a position must be an integer of 0 to {LONGEST}")
    return length


cdef object refusal(str reason, str argument, tuple path):
    """The error for `argument`; the reason names it if it is not simply the operation."""
    if argument != "operation":
        reason = f"in the argument {argument!r}: {reason}"
    return OperationError(reason, path)
