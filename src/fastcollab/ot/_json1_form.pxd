"""The form that operations of json1 have as JSON, read and written."""

from fastcollab.ot._json1_subtypes cimport Subtypes
from fastcollab.ot._json1_tree cimport Arena, Node, Operation

cdef enum:
    # How deep an operation may reach into a document, and how deep a document may be. Encoders of JSON give up at
    # about 250 levels, and a document travels within a message.
    MAX_DEPTH = 200

cdef int decode(Arena *arena, Operation *decoded, object operation, str argument, Subtypes subtypes) except -1
cdef Node *decode_loose(Arena *arena, object operation, Subtypes subtypes) except NULL
cdef int check_slots(Arena *arena, const Operation *operation, str argument) except -1
cdef object encode(Node *root)
