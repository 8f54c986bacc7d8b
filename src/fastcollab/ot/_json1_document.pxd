from cpython.object cimport PyObject
from libc.stdint cimport int64_t

from fastcollab.ot._json1_subtypes cimport Subtypes

cdef object member(object container, PyObject *name, int64_t index)
cdef object apply(object document, object operation, Subtypes subtypes, bint share)
