"""Text operations as arrays of C structs, for the modules of the document type ``text``."""

from cpython.mem cimport PyMem_Free
from cpython.object cimport PyObject
from cpython.ref cimport Py_XDECREF
from libc.stdint cimport int64_t

cdef enum:
    # Operations of at most so many components need no memory from the heap. Typing makes two or three.
    INLINE_COMPONENTS = 8

cdef enum Kind:
    SKIP
    INSERT
    DELETE

cdef struct Component:
    Kind kind
    int64_t length  # in code points, at least 1
    PyObject *text  # owned str of that length; NULL for skips and for deletes that do not name their text

cdef struct Operation:
    # In normal form but for a trailing skip, which `encode` leaves out. `begin` before use, `release` after.
    Py_ssize_t count
    Py_ssize_t capacity
    Component *components  # `inline_components`, or memory from the heap
    Component[INLINE_COMPONENTS] inline_components


cdef inline void begin(Operation *operation) noexcept:
    operation.count = 0
    operation.capacity = INLINE_COMPONENTS
    operation.components = operation.inline_components


cdef inline void release(Operation *operation) noexcept:
    cdef Py_ssize_t i
    for i in range(operation.count):
        Py_XDECREF(operation.components[i].text)
    if operation.components != operation.inline_components:
        PyMem_Free(operation.components)


cdef int append(Operation *operation, Kind kind, int64_t length, PyObject *text) except -1
cdef int decode(object value, Operation *operation, str argument, bint strict=*) except -1
cdef list encode(Operation *operation)
cdef int transform_into(Operation *result, Operation *operation, Operation *other, bint left) except -1
cdef int compose_into(Operation *result, Operation *first, Operation *second) except -1
