"""Composition of json1 operations, as trees."""

from fastcollab.ot._json1_tree cimport Arena, Operation

cdef int compose(Arena *arena, const Operation *first, const Operation *second, Operation *result) except -1
