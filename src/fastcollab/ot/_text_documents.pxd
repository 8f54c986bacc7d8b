"""What an operation does to a text: to a whole `str`, and to one in chunks that changes in place."""

from fastcollab.ot._text_operations cimport Operation

cdef int check_document(object document) except -1
cdef str apply_to(str document, Operation *operation)
cdef int invert_into(Operation *result, Operation *operation, str document) except -1
