"""Transformation of json1 operations with their conflicts resolved, as ot-json1's `transformNoConflict` does it.

`_json1_transform` stops at the first conflict and says which parts of the two operations make it. `resolve` adds to
one operation, or to both, the removal of what its part puts somewhere, and the transformation begins anew. In the
end the result must first of all take back what the resolutions have taken out of the other operation (`undone`).

All this happens in trees: an operation is read once and written once, whatever number of conflicts it has.
"""

from cpython.object cimport PyObject

from fastcollab.ot._json1_compose cimport compose
from fastcollab.ot._json1_form cimport check_slots, decode, encode
from fastcollab.ot._json1_subtypes cimport OTHER, Subtype, Subtypes
from fastcollab.ot._json1_transform cimport BLACK_HOLE, COLLISION, Conflict, transform as transform_trees
from fastcollab.ot._json1_tree cimport (
    Arena, Component, Node, Operation, along_path, begin, hand_over, has_drop, has_edit, is_empty, keep, merge,
    new_node, prune, release, set_removed,
)
from fastcollab.ot._json1_values cimport copy_value

from fastcollab.ot import conflicts
from fastcollab.ot.errors import OperationError

cdef object TRUE = True

# Each conflict between two operations costs a pass over both, so that their number has to have a bound.
MAX_CONFLICTS = 256

cdef struct Contest:
    # Two operations, while they are made to agree.
    Arena *arena        # of all below
    Arena *spare
    Operation mine
    Operation theirs
    Operation undone    # what the resolutions remove of what theirs did


cdef int write_removals(Arena *arena, const Node *node, Node *root) except -1:
    cdef const Node *child = node.first
    if has_drop(node.component) or has_edit(node.component):
        set_removed(arena, along_path(arena, root, node), <PyObject *> TRUE)
    while child != NULL:
        write_removals(arena, child, root)
        child = child.next
    return 0


cdef Operation removing_all_put(Arena *arena, const Node *part) except *:
    """The operation that removes everything that `part` drops, inserts or edits."""
    cdef Operation removal = Operation(new_node(arena, NULL, NULL, 0), 0)
    write_removals(arena, part, removal.root)
    return removal


cdef bint removes(const Node *part) noexcept:
    """Whether the part of a conflict, if it is not that of a move, is a remove: it is a single way down then."""
    while part.first != NULL:
        part = part.first
    return part.component.removed != NULL


cdef int normalize_edits(Arena *arena, Node *node) except -1:
    """Brings all edits into the normal form of their types, and takes out those that say nothing."""
    cdef Node *child = node.first
    cdef Component *component = node.component
    cdef Subtype subtype
    if has_edit(component):
        subtype = <Subtype> <object> component.subtype
        # Those of text have no other form that is well formed.
        if subtype.kind == OTHER:
            component.edit = keep(arena, subtype.normalize(<object> component.edit))
        if subtype.is_empty(<object> component.edit):
            component.subtype = component.edit = NULL
    while child != NULL:
        normalize_edits(arena, child)
        child = child.next
    return 0


cdef int extend(Arena *arena, Operation *operation, Operation *addition) except -1:
    """Makes the operation one with the addition, which follows it."""
    cdef Operation result
    if is_empty(operation.root):
        operation[0] = addition[0]
    elif prune(addition.root):
        compose(arena, operation, addition, &result)
        prune(result.root)
        check_slots(arena, &result, "operation")
        operation[0] = result
    return 0


cdef int resolve(Contest *contest, const Conflict *conflict, bint left) except -1:
    """Takes one conflict out of the two operations."""
    cdef Operation mine = Operation(NULL, 0)    # what is to be removed of what mine does, or NULL
    cdef Operation theirs = Operation(NULL, 0)
    cdef Arena *arena = contest.arena
    if conflict.kind == BLACK_HOLE:
        mine = removing_all_put(arena, conflict.mine)
        theirs = removing_all_put(arena, conflict.theirs)
    elif left if conflict.kind == COLLISION else removes(conflict.mine):
        theirs = removing_all_put(arena, conflict.theirs)
    else:
        mine = removing_all_put(arena, conflict.mine)
    if (mine.root == NULL or is_empty(mine.root)) and (theirs.root == NULL or is_empty(theirs.root)):
        raise OperationError("the two operations contradict each other beyond resolution")
    if mine.root != NULL:
        extend(arena, &contest.mine, &mine)
    if theirs.root != NULL:
        extend(arena, &contest.theirs, &theirs)
        extend(arena, &contest.undone, &theirs)
    return 0


cdef int copy_to(Arena *arena, Operation *operation) except -1:
    cdef Node *root = new_node(arena, NULL, NULL, 0)
    merge(arena, root, operation.root)
    operation.root = root
    return 0


cdef int move_on(Contest *contest) except -1:
    """Goes on in the spare arena, so that the memory of what is no longer needed can go."""
    cdef Arena *arena = contest.spare
    copy_to(arena, &contest.mine)
    copy_to(arena, &contest.theirs)
    copy_to(arena, &contest.undone)
    hand_over(contest.arena, arena)
    contest.spare = contest.arena
    contest.arena = arena
    return 0


cdef bint compete(Contest *contest, bint left, Operation *result, Conflict *conflict) except -1:
    """Transforms mine as it is by now; see `transform_trees`."""
    if is_empty(contest.mine.root) or is_empty(contest.theirs.root):
        result[0] = contest.mine
        return True
    return transform_trees(contest.arena, &contest.mine, &contest.theirs, left, result, conflict)


cdef object settle(Contest *contest, bint left):
    """Mine, rewritten to follow theirs, with all conflicts resolved."""
    cdef Operation result
    cdef Conflict conflict
    cdef Py_ssize_t rounds = 0
    if transform_trees(contest.arena, &contest.mine, &contest.theirs, left, &result, &conflict):
        return encode(result.root)
    normalize_edits(contest.arena, contest.mine.root)
    normalize_edits(contest.arena, contest.theirs.root)
    contest.undone = Operation(new_node(contest.arena, NULL, NULL, 0), 0)
    while True:
        resolve(contest, &conflict, left)
        if rounds == MAX_CONFLICTS:
            raise OperationError(f"the two operations have more than {MAX_CONFLICTS} conflicts")
        rounds += 1
        if contest.arena.blocks != NULL:
            move_on(contest)
        if compete(contest, left, &result, &conflict):
            check_slots(contest.arena, &result, "operation")
            extend(contest.arena, &contest.undone, &result)
            return encode(contest.undone.root)


cdef object transform(object operation, object other, bint left, Subtypes subtypes):
    """The operation, rewritten to follow `other`."""
    cdef Arena arena
    cdef Arena spare
    cdef Contest contest
    begin(&arena)
    begin(&spare)
    contest.arena = &arena
    contest.spare = &spare
    try:
        decode(&arena, &contest.mine, operation, "operation", subtypes)
        decode(&arena, &contest.theirs, other, "other", subtypes)
        if operation is None or other is None:
            return copy_value(operation)
        return settle(&contest, left)
    finally:
        release(&arena)
        release(&spare)


cdef tuple try_transform(object operation, object other, bint left, Subtypes subtypes):
    """The operation rewritten to follow `other`, and None; or None and the first conflict."""
    cdef Arena arena
    cdef Operation mine
    cdef Operation theirs
    cdef Operation result
    cdef Conflict conflict
    begin(&arena)
    try:
        decode(&arena, &mine, operation, "operation", subtypes)
        decode(&arena, &theirs, other, "other", subtypes)
        if operation is None or other is None:
            return copy_value(operation), None
        if transform_trees(&arena, &mine, &theirs, left, &result, &conflict):
            return encode(result.root), None
        kind = conflicts.ConflictKind(conflict.kind)
        return None, conflicts.Conflict(kind, encode(conflict.mine), encode(conflict.theirs))
    finally:
        release(&arena)
