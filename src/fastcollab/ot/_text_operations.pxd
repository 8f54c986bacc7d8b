"""Text operations as arrays of C structs, for the modules of the document type ``text``."""

from cpython.mem cimport PyMem_Free
from cpython.object cimport PyObject
from cpython.ref cimport Py_XDECREF, Py_XINCREF
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


cdef int reserve(Operation *operation, Py_ssize_t capacity) except -1
cdef int merge(Component *last, int64_t length, PyObject *text) except -1


cdef inline int push(Operation *operation, Kind kind, int64_t length, PyObject *text) except -1:
    """Adds a component that may not be merged with the last one. `text` is borrowed."""
    if operation.count == operation.capacity:
        reserve(operation, operation.count + 1)
    Py_XINCREF(text)
    operation.components[operation.count] = Component(kind, length, text)
    operation.count += 1
    return 0


cdef inline int append(Operation *operation, Kind kind, int64_t length, PyObject *text) except -1:
    """Adds a component, merged with the last one if that is of the same kind. `text` is borrowed."""
    if length == 0:
        return 0
    if operation.count and operation.components[operation.count - 1].kind == kind:
        return merge(&operation.components[operation.count - 1], length, text)
    return push(operation, kind, length, text)


cdef int decode(object value, Operation *operation, str argument, bint strict=*) except -1
cdef list encode(Operation *operation)
cdef int transform_into(Operation *result, Operation *operation, Operation *other, bint left) except -1
cdef int compose_into(Operation *result, Operation *first, Operation *second) except -1
