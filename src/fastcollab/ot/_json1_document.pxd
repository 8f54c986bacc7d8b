"""Documents of json1."""

from fastcollab.ot._json1_subtypes cimport Subtypes

cdef class LiveJson:
    cdef object document
    cdef object measured     # a content that the document had, and how many bytes it took
    cdef Py_ssize_t bytes
    cdef Subtypes subtypes

cdef object apply(object document, object operation, Subtypes subtypes, bint share)
cdef LiveJson open_document(object content, Subtypes subtypes)
