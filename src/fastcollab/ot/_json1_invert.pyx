"""Inversion of json1 operations: the operation that takes one back.

A pick becomes a drop and a drop a pick, in the same places: what an operation picks up is numbered as in the old
document, which is where its inverse drops. A remove becomes the insert of what was removed, which the old document
tells, and an insert a remove. Edits take more: an operation has them where they end up, its inverse where the
edited values came from.

1. `find_removed`: what each remove removes, less what is picked up from within it.
2. `invert_edits`: the inverse of each edit, with the value before it. Edits of what is inserted need none.
3. `write_reversed`: all but the edits.
4. `write_edits`: the inverted edits, at the places that the values came from.
"""

cimport cython
from libc.stdint cimport int64_t

from fastcollab.ot._json1_subtypes cimport Subtype
from fastcollab.ot._json1_tree cimport (
    NO_SLOT, Arena, Component, Node, Operation, Walk, child_of, component_of, has_drop, has_edit, has_pick, keep, merge,
    new_node, place_in_operation, seek, set_edit, set_inserted, set_removed, walk, zeroed,
)
from fastcollab.ot._json1_values cimport ABSENT, member, set_member, shallow_copy

from fastcollab.ot.errors import OperationError

cdef struct Move:
    Node *pick
    Node *edits   # the inverted edits within what is moved


@cython.final
cdef class Inversion:
    """One inversion, while it goes on."""

    cdef Arena *arena
    cdef Move *moves
    cdef list values    # what each move moves, as it was in the document
    cdef bint any_edits

    cdef object find_removed(self, Node *node, object value):
        """What is left of `value` when all is picked up."""
        cdef Component *component = node.component
        cdef Node *child = node.first
        cdef object inner
        cdef object outcome
        cdef int64_t index
        cdef int64_t gone = 0
        cdef bint copied = False
        if component != NULL and component.pick != NO_SLOT:
            self.moves[component.pick].pick = node
            self.values[component.pick] = value
        while child != NULL:
            index = child.index - gone
            inner = member(value, child.name, index)
            outcome = self.find_removed(child, inner)
            if outcome is not inner:
                if not copied:
                    value = shallow_copy(value)
                    copied = True
                set_member(value, child.name, index, outcome)
                gone += outcome is ABSENT
            child = child.next
        if not has_pick(component):
            return value
        if value is ABSENT:
            raise OperationError("there is nothing here to pick up or remove", place_in_operation(node, None))
        if component.removed != NULL:
            component.removed = keep(self.arena, value)
        return ABSENT

    cdef int invert_edits(self, Node *pick, Node *drop, object value, bint inserted) except -1:
        """Replaces edits by their inverses, and marks them. `value` is what was here in the document."""
        cdef Component *component = drop.component
        cdef Node *child = drop.first
        cdef Node *child_pick
        cdef Walk pick_walk
        cdef int64_t drops = 0
        cdef int64_t middle
        if component != NULL:
            if component.inserted != NULL:
                inserted = True
            elif component.drop != NO_SLOT:
                value = self.values[component.drop]
                pick = self.moves[component.drop].pick
                inserted = False
            if has_edit(component) and not inserted:
                self.invert_edit(drop, value)
        pick_walk = walk(pick, True, False, True)
        while child != NULL:
            middle = child.index - drops
            child_pick = seek(&pick_walk, child.name, middle)
            self.invert_edits(child_pick, child, member(value, child.name, middle + pick_walk.passed), inserted)
            drops += has_drop(child.component)
            child = child.next
        return 0

    cdef int invert_edit(self, Node *drop, object value) except -1:
        cdef Component *component = drop.component
        cdef Subtype subtype = <Subtype> <object> component.subtype
        try:
            inverse = subtype.invert(<object> component.edit, value)
        except OperationError as error:
            raise OperationError(error.reason, (*place_in_operation(drop, None), *error.path)) from None
        component.edit = keep(self.arena, inverse)
        component.marked = self.any_edits = True
        return 0

    cdef object write_reversed(self, const Node *node, Node *writes, object literal):
        """`literal`: the value here if it is part of an insert, else ABSENT.

        Returns what the edits and removes within the operation have made of it, or ABSENT: nothing new.
        """
        cdef const Component *component = node.component
        cdef const Node *child = node.first
        cdef Subtype subtype
        cdef object outcome
        cdef int64_t index
        cdef int64_t drops = 0
        cdef bint changed = False
        if component != NULL:
            if component.pick != NO_SLOT:
                component_of(self.arena, writes).drop = component.pick
            if component.removed != NULL:
                set_inserted(self.arena, writes, component.removed)
            if component.drop != NO_SLOT:
                component_of(self.arena, writes).pick = component.drop
                literal = ABSENT
            if component.inserted != NULL:
                literal = <object> component.inserted
            if has_edit(component) and not component.marked:
                subtype = <Subtype> <object> component.subtype
                literal = subtype.apply(literal, <object> component.edit)
                changed = True
        while child != NULL:
            index = child.index - drops
            outcome = self.write_reversed(
                child, child_of(self.arena, writes, child.name, child.index), member(literal, child.name, index)
            )
            drops += has_drop(child.component)
            if literal is not ABSENT and outcome is not ABSENT:
                if not changed:
                    literal = shallow_copy(literal)
                    changed = True
                set_member(literal, child.name, index, outcome)
            child = child.next
        if component != NULL and component.inserted != NULL:
            set_removed(self.arena, writes, keep(self.arena, literal))
            return ABSENT
        return literal if changed else ABSENT

    cdef int write_edits(self, Node *pick, const Node *drop, Node *writes) except -1:
        cdef const Component *component = drop.component
        cdef const Node *child = drop.first
        cdef Node *child_pick
        cdef Walk pick_walk
        cdef int64_t drops = 0
        cdef int64_t middle
        if component != NULL:
            if component.drop != NO_SLOT:
                pick = self.moves[component.drop].pick
                writes = self.moves[component.drop].edits = new_node(self.arena, NULL, NULL, 0)
            if component.marked and not (<Subtype> <object> component.subtype).is_empty(<object> component.edit):
                set_edit(self.arena, writes, component.subtype, component.edit)
        pick_walk = walk(pick, True, False, True)
        while child != NULL:
            middle = child.index - drops
            child_pick = seek(&pick_walk, child.name, middle)
            self.write_edits(
                child_pick, child, child_of(self.arena, writes, child.name, middle + pick_walk.passed)
            )
            drops += has_drop(child.component)
            child = child.next
        return 0

    cdef int place_moved_edits(self, const Node *node, Node *writes) except -1:
        cdef const Node *child = node.first
        if node.component != NULL and node.component.pick != NO_SLOT:
            if self.moves[node.component.pick].edits != NULL:
                merge(self.arena, writes, self.moves[node.component.pick].edits)
        while child != NULL:
            self.place_moved_edits(child, child_of(self.arena, writes, child.name, child.index))
            child = child.next
        return 0

    cdef int run(self, Node *operation, object document, Node *root) except -1:
        """Writes the inverse at `root`."""
        self.find_removed(operation, document)
        self.invert_edits(operation, operation, document, False)
        self.write_reversed(operation, root, ABSENT)
        if self.any_edits:
            self.write_edits(operation, operation, root)
            self.place_moved_edits(operation, root)
        return 0


cdef int invert(Arena *arena, Operation *operation, object document, Operation *result) except -1:
    """Makes `result` of the operation, whose tree is used up: what it removes and edits is replaced in it."""
    cdef Inversion inversion = Inversion.__new__(Inversion)
    inversion.arena = arena
    if operation.moves:
        inversion.moves = <Move *> zeroed(arena, operation.moves * sizeof(Move))
        inversion.values = [ABSENT] * operation.moves
    result.root = new_node(arena, NULL, NULL, 0)
    result.moves = operation.moves
    inversion.run(operation.root, document, result.root)
    return 0
