"""The array of components that an operation of rich text is decoded into; `_rich_operation.pyx` tells how it works."""

from cpython.mem cimport PyMem_Free
from cpython.object cimport PyObject
from cpython.ref cimport Py_DECREF
from libc.stdint cimport int64_t

cdef enum:
    # Operations of at most so many components need no memory from the heap. Typing makes two or three.
    INLINE_COMPONENTS = 8

cdef enum Kind:
    RETAIN
    TEXT
    EMBED
    DELETE

cdef struct Component:
    Kind kind
    int64_t length         # in UTF-16 units, at least 1
    PyObject *content      # owned: the `str` or the embed's `dict`, else None
    PyObject *attributes   # owned: a `dict` that is not empty, or None

cdef struct Operation:
    # In normal form but for a trailing retain, which `encode` leaves out. `begin` before use, `release` after.
    Py_ssize_t count
    Py_ssize_t capacity
    Component *components  # `inline_components`, or memory from the heap
    int64_t before         # units that it spans in the document before it, once decoded
    int64_t after          # and in the document after it
    int64_t size           # what DEFAULT_MAX_SIZE bounds, once decoded
    bint wrapped           # whether the list came in {"ops": ...}
    Component[INLINE_COMPONENTS] inline_components

cdef struct Cursor:
    # A place in an operation: `offset` units into the component `index`, which in its text is the code point `point`.
    Operation *operation
    Py_ssize_t index
    int64_t offset
    Py_ssize_t point


cdef inline void begin(Operation *operation) noexcept:
    operation.count = 0
    operation.capacity = INLINE_COMPONENTS
    operation.components = operation.inline_components
    operation.before = 0
    operation.after = 0
    operation.size = 0
    operation.wrapped = False


cdef inline void release(Operation *operation) noexcept:
    cdef Py_ssize_t i
    for i in range(operation.count):
        Py_DECREF(<object> operation.components[i].content)
        Py_DECREF(<object> operation.components[i].attributes)
    if operation.components != operation.inline_components:
        PyMem_Free(operation.components)


cdef inline bint is_insert(Kind kind) noexcept:
    return kind == TEXT or kind == EMBED


cdef inline Component *current(const Cursor *cursor) noexcept:
    """The component that the cursor is in, or NULL behind the last one."""
    if cursor.index == cursor.operation.count:
        return NULL
    return &cursor.operation.components[cursor.index]


cdef inline int64_t left_in(const Cursor *cursor) noexcept:
    """How many units of the current component the cursor has not passed."""
    return cursor.operation.components[cursor.index].length - cursor.offset


cdef int append(Operation *operation, Kind kind, int64_t length, object content, object attributes) except -1
cdef int advance(Cursor *cursor, int64_t length) except -1
cdef int append_next(Operation *result, Cursor *cursor, int64_t length, object attributes) except -1
cdef int append_rest(Operation *result, Cursor *cursor) except -1
cdef object misfit(str reason, const Operation *operation, Py_ssize_t index)
cdef list components_of(object value, str argument, bint *wrapped)
cdef int decode(object value, Operation *operation, str argument, bint strict=*, int64_t most_attributes=*) except -1
cdef int decode_document(object value, Operation *document, bint strict=*) except -1
cdef list encode(Operation *operation)
