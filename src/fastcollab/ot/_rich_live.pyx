"""A document of rich text that changes in place.

`RichTextType.apply` copies the document, all of its components, at each operation. Most operations change a place or
two of a long document, so a `LiveRichText` looks only at the components that lie between the first and the last unit
that the operation changes, and at those that touch these, with which others may have to be merged. They are taken for
a document of its own; what the operation makes of them takes their place in the list. No component is ever changed, so
that the list can be handed out by copying no more than itself.
"""

from array import array

from cpython cimport array as c_array
from cpython.list cimport PyList_GET_SIZE, PyList_GetSlice, PyList_SetSlice
from libc.stdint cimport int64_t

import orjson

from fastcollab.ot._rich_operation cimport (
    RETAIN, Component, Operation, append, begin, decode, decode_document, encode, release,
)
from fastcollab.ot._rich_walks cimport check_span, compose_into, invert_into

cdef object json = orjson.dumps


cdef object lengths_of(const Operation *document):
    """The lengths of the components, as an array."""
    cdef Py_ssize_t i
    return array("q", [document.components[i].length for i in range(document.count)])


cdef int64_t json_size_of(list components) except -1:
    """The bytes that the components take as JSON, with a comma behind each."""
    return len(json(components)) - 1 if PyList_GET_SIZE(components) else 0


cdef class LiveRichText:
    """A document of rich text that operations change in place; see `fastcollab.ot.live.LiveDocument`."""

    cdef list _components       # the document
    cdef c_array.array _lengths  # of each component, in UTF-16 units
    cdef int64_t _length        # their sum
    cdef int64_t _json_size     # of the components, with a comma behind each

    def __init__(self, content not None):
        cdef Operation document
        begin(&document)
        try:
            decode_document(content, &document)
            self._components = encode(&document)
            self._lengths = lengths_of(&document)
            self._length = document.after
        finally:
            release(&document)
        self._json_size = json_size_of(self._components)

    def content(self):
        """The document; its components must not be changed."""
        return PyList_GetSlice(self._components, 0, PyList_GET_SIZE(self._components))

    def size(self):
        """The bytes that the document takes as JSON in UTF-8, its brackets included."""
        return 2 + self._json_size - (1 if self._json_size else 0)

    def apply(self, operation):
        """Changes the document, and gives the operation that undoes it.

        Raises OperationError, and then the document is as it was.
        """
        cdef Operation decoded
        cdef Operation touched
        cdef Operation changed
        cdef Operation inverse
        begin(&decoded)
        begin(&touched)
        begin(&changed)
        begin(&inverse)
        try:
            decode(operation, &decoded, "operation")
            check_span(&decoded, self._length)
            return self._apply(&decoded, &touched, &changed, &inverse)
        finally:
            release(&decoded)
            release(&touched)
            release(&changed)
            release(&inverse)

    cdef object _apply(self, Operation *operation, Operation *touched, Operation *changed, Operation *inverse):
        cdef long long *lengths = self._lengths.data.as_longlongs
        cdef Py_ssize_t count = PyList_GET_SIZE(self._components)
        cdef Py_ssize_t first = 0
        cdef Py_ssize_t stop
        cdef int64_t start = 0    # of the component `first`
        cdef int64_t end          # of the one before `stop`
        cdef int64_t kept = 0     # before the first change
        cdef Component *component
        cdef list before
        cdef list after
        cdef object inverted
        cdef int64_t json_size
        if operation.count:
            component = &operation.components[0]
            if component.kind == RETAIN and <object> component.attributes is None:
                kept = component.length
        while first < count and start + lengths[first] < kept:
            start += lengths[first]
            first += 1
        stop = first
        end = start
        while stop < count and end <= operation.before:
            end += lengths[stop]
            stop += 1
        before = PyList_GetSlice(self._components, first, stop)
        decode_document(before, touched)
        if start:
            # The retain may be of no length now: it keeps its place, for errors that count the components.
            operation.components[0].length -= start
            append(inverse, RETAIN, start, None, None)
        compose_into(changed, touched, operation)
        invert_into(inverse, operation, touched)
        after = encode(changed)
        inverted = encode(inverse)
        json_size = self._json_size - json_size_of(before) + json_size_of(after)
        self._lengths[first:stop] = lengths_of(changed)
        PyList_SetSlice(self._components, first, stop, after)
        self._json_size = json_size
        self._length += operation.after - operation.before
        return inverted
