"""Inversion of json1 operations, as trees."""

from fastcollab.ot._json1_tree cimport Arena, Operation

cdef int invert(Arena *arena, Operation *operation, object document, Operation *result) except -1
