from libc.stdint cimport int64_t

from fastcollab.ot._rich_operation cimport Operation


cdef int transform_into(Operation *result, Operation *operation, Operation *other, bint left) except -1
cdef int compose_into(Operation *result, Operation *first, Operation *second) except -1
cdef int invert_into(Operation *result, Operation *operation, Operation *document) except -1
cdef int check_span(const Operation *operation, int64_t length) except -1
