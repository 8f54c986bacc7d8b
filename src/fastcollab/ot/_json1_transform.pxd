"""Transformation of json1 operations, as trees."""

from fastcollab.ot._json1_tree cimport Arena, Node, Operation

cdef enum Kind:
    # As `fastcollab.ot.conflicts.ConflictKind` numbers them.
    NONE
    REMOVED
    COLLISION
    BLACK_HOLE

cdef struct Conflict:
    Kind kind
    Node *mine     # the parts of the two operations that make it
    Node *theirs

cdef bint transform(
    Arena *arena, const Operation *mine, const Operation *theirs, bint left, Operation *result, Conflict *conflict
) except -1
