"""Composition of json1 operations: one operation that does what two do one after the other.

The picks of the first are made in the old document and the drops of the second in the new one: they stay as they
are. What lies between, the drops of the first and the picks of the second, is in the document between the two, and
has to go: `cross` walks through it, carries drops forward to the new document and picks back to the old one, and
joins what meets there. A move into a move becomes one move; what is inserted and then picked up is inserted where it
is dropped; what is inserted and then removed is nothing at all.
"""

cimport cython
from cpython.dict cimport PyDict_CheckExact
from cpython.list cimport PyList_CheckExact
from cpython.object cimport PyObject
from libc.stdint cimport int64_t

from fastcollab.ot._json1_subtypes cimport Subtype
from fastcollab.ot._json1_tree cimport (
    NO_SLOT, Arena, Component, Node, Operation, Place, Walk, compare, component_at, component_of, first_child,
    has_drop, has_edit, has_pick, keep, merge, new_node, node_at, place_in_operation, seek, set_edit, set_inserted,
    set_removed, walk, write_edit, zeroed,
)
from fastcollab.ot._json1_values cimport ABSENT, member, refusal, set_member, shallow_copy

cdef object TRUE = True

cdef struct Earlier:
    # What is known of one move of the first operation.
    Node *pick
    Py_ssize_t out       # the move of the result that it is part of, or NO_SLOT
    Node *pick_writes    # what the result picks up or removes within what was moved

cdef struct Later:
    # What is known of one move of the second operation.
    Node *drop
    Py_ssize_t out
    Node *drop_writes    # what the result puts into what was moved


@cython.final
@cython.freelist(8)
cdef class Composition:
    """One composition, while it goes on."""

    cdef Arena *arena
    cdef Earlier *earlier
    cdef Later *later
    cdef Py_ssize_t earlier_moves
    cdef Py_ssize_t later_moves
    cdef Py_ssize_t moves       # of the result so far

    cdef int make_slots(self) except -1:
        cdef Py_ssize_t slot
        if self.earlier_moves:
            self.earlier = <Earlier *> zeroed(self.arena, self.earlier_moves * sizeof(Earlier))
            for slot in range(self.earlier_moves):
                self.earlier[slot].out = NO_SLOT
        if self.later_moves:
            self.later = <Later *> zeroed(self.arena, self.later_moves * sizeof(Later))
            for slot in range(self.later_moves):
                self.later[slot].out = NO_SLOT
        return 0

    cdef void find_picks(self, Node *node) noexcept:
        cdef Node *child = node.first
        if node.component != NULL and node.component.pick != NO_SLOT:
            self.earlier[node.component.pick].pick = node
        while child != NULL:
            self.find_picks(child)
            child = child.next

    cdef void find_drops(self, Node *node) noexcept:
        cdef Node *child = node.first
        if node.component != NULL and node.component.drop != NO_SLOT:
            self.later[node.component.drop].drop = node
        while child != NULL:
            self.find_drops(child)
            child = child.next

    cdef object cross(
        self, Node *pick1, Node *drop1, Node *pick2, Node *drop2, object literal, bint parent_removed,
        Place *drops, Place *picks,
    ):
        """One place of the document between, and all below it; at least one of `drop1` and `pick2` is there.

        `pick1` is the same place in the picks of the first operation and `drop2` in the drops of the second, or
        NULL. `literal` is the value here if it is part of what the first inserted, else ABSENT. Drops of the
        result are written at `drops`, picks at `picks`. Returns what has become of the literal.
        """
        cdef Component *component1 = component_at(drop1)
        cdef Component *component2 = component_at(pick2)
        cdef Component *component
        cdef Py_ssize_t slot1 = component1.drop if component1 != NULL else NO_SLOT
        cdef Py_ssize_t slot2 = component2.pick if component2 != NULL else NO_SLOT
        cdef bint removed = component2 != NULL and component2.removed != NULL
        cdef bint inserted = component1 != NULL and component1.inserted != NULL
        cdef bint children_removed = (parent_removed or removed) and slot2 == NO_SLOT
        cdef Place moved_drops
        cdef Place moved_picks
        cdef Place *insertion = NULL
        cdef object value = literal
        # Where the second puts what is here.
        if slot2 != NO_SLOT:
            drop2 = self.later[slot2].drop
            self.later[slot2].drop_writes = new_node(self.arena, NULL, NULL, 0)
            moved_drops = Place(NULL, NULL, 0, self.later[slot2].drop_writes)
            drops = &moved_drops
        elif removed:
            drop2 = NULL
        else:
            component = component_at(drop2)
            if component != NULL and component.drop != NO_SLOT:
                drop2 = NULL
        # Where the first took it from.
        if slot1 != NO_SLOT:
            pick1 = self.earlier[slot1].pick
            self.earlier[slot1].pick_writes = new_node(self.arena, NULL, NULL, 0)
            moved_picks = Place(NULL, NULL, 0, self.earlier[slot1].pick_writes)
            picks = &moved_picks
            if not children_removed:
                self.earlier[slot1].out = self.moves
                component_of(self.arena, node_at(self.arena, drops)).drop = self.moves
                self.moves += 1
            elif parent_removed and not removed:
                set_removed(self.arena, node_at(self.arena, picks), <PyObject *> TRUE)
        elif inserted:
            pick1 = NULL
        else:
            component = component_at(pick1)
            if component != NULL and component.pick != NO_SLOT:
                pick1 = NULL
        if inserted:
            value = <object> component1.inserted
        if (slot2 != NO_SLOT and value is not ABSENT) or (
            slot2 == NO_SLOT and inserted and not parent_removed and not removed
        ):
            insertion = drops
        if slot2 != NO_SLOT:
            if value is ABSENT:
                if slot1 != NO_SLOT:
                    self.later[slot2].out = self.earlier[slot1].out
                else:
                    self.later[slot2].out = self.moves
                    self.moves += 1
                component_of(self.arena, node_at(self.arena, picks)).pick = self.later[slot2].out
        elif removed and value is ABSENT:
            set_removed(self.arena, node_at(self.arena, picks), component2.removed)
        self.join_edits(drop1, drop2, children_removed, drops)
        value = self.cross_children(pick1, drop1, pick2, drop2, value, children_removed, drops, picks)
        if insertion != NULL:
            set_inserted(self.arena, node_at(self.arena, insertion), keep(self.arena, value))
        elif not parent_removed and not removed and slot2 == NO_SLOT:
            return value
        return ABSENT

    cdef int join_edits(self, Node *drop1, Node *drop2, bint removed, Place *drops) except -1:
        cdef Component *one = component_at(drop1)
        cdef Component *other = component_at(drop2)
        cdef bint first = not removed and has_edit(one)
        cdef bint second = has_edit(other)
        cdef Subtype subtype
        if second:
            other.marked = True
        if first and second:
            if one.subtype != other.subtype:
                raise refusal("the two operations edit one value as different types", "second",
                              place_in_operation(drop2, None))
            subtype = <Subtype> <object> one.subtype
            return write_edit(
                self.arena, node_at(self.arena, drops), subtype,
                subtype.compose(<object> one.edit, <object> other.edit),
            )
        if first:
            self.pass_on_edit(one, drops)
        elif second:
            self.pass_on_edit(other, drops)
        return 0

    cdef int pass_on_edit(self, const Component *component, Place *drops) except -1:
        """Writes the edit of the component as it is, unless it says nothing."""
        if not (<Subtype> <object> component.subtype).is_empty(<object> component.edit):
            set_edit(self.arena, node_at(self.arena, drops), component.subtype, component.edit)
        return 0

    cdef object cross_children(
        self, Node *pick1, Node *drop1, Node *pick2, Node *drop2, object literal, bint removed,
        Place *drops, Place *picks,
    ):
        cdef Node *next1 = first_child(drop1)
        cdef Node *next2 = first_child(pick2)
        cdef Node *child1
        cdef Node *child2
        cdef Node *child_pick
        cdef Node *child_drop
        cdef Node *named
        cdef Place child_drops
        cdef Place child_picks
        cdef Walk pick_walk = walk(pick1, True, False, True)
        cdef Walk drop_walk = walk(drop2, True, True, False)
        cdef int64_t drops1 = 0   # of the first before the child
        cdef int64_t picks2 = 0   # of the second
        cdef int64_t gone = 0     # items that the literal has lost
        cdef int64_t pick_index
        cdef int64_t drop_index
        cdef int64_t index
        cdef int order
        cdef bint in_literal = PyList_CheckExact(literal) or PyDict_CheckExact(literal)
        cdef bint copied = False
        cdef object inner
        cdef object outcome
        while next1 != NULL or next2 != NULL:
            child1 = next1
            child2 = next2
            if child1 != NULL and child2 != NULL:
                order = compare(child1.name, child1.index, child2)
                if order < 0:
                    child2 = NULL
                elif order > 0:
                    child1 = NULL
            named = child1 if child1 != NULL else child2
            pick_index = drop_index = index = named.index
            if named.name == NULL:
                drop_index = index - picks2
                child_drop = seek(&drop_walk, NULL, drop_index)
                drop_index += drop_walk.passed
                pick_index = index - drops1
                child_pick = seek(&pick_walk, NULL, pick_index)
                if has_drop(component_at(child_drop)):
                    child_pick = NULL
                pick_index += pick_walk.passed
                index -= gone
                if pick_index < 0 or drop_index < 0:
                    raise refusal("the operation does not fit the one before it", "second", ())
                if has_drop(component_at(child1)):
                    drops1 += 1
                    gone += 1
                elif has_pick(component_at(child2)) and not removed:
                    gone += 1
                if has_pick(component_at(child2)):
                    picks2 += 1
            else:
                child_pick = seek(&pick_walk, named.name, 0)
                child_drop = seek(&drop_walk, named.name, 0)
            inner = ABSENT
            if in_literal and not has_drop(component_at(child1)):
                inner = member(literal, named.name, index)
            child_drops = Place(drops, named.name, drop_index, NULL)
            child_picks = Place(picks, named.name, pick_index, NULL)
            outcome = self.cross(
                child_pick, child1, child2, child_drop, inner, removed, &child_drops, &child_picks
            )
            if in_literal and not removed and outcome is not inner:
                if not copied:
                    literal = shallow_copy(literal)
                    copied = True
                if inner is ABSENT:
                    raise refusal("the operation does not fit the one before it", "second", ())
                set_member(literal, named.name, index, outcome)
            if child1 != NULL:
                next1 = next1.next
            if child2 != NULL:
                next2 = next2.next
        return literal

    cdef int write_earlier_picks(self, const Node *node, Place *writes) except -1:
        cdef Place below
        cdef const Node *child = node.first
        cdef Component *component = node.component
        cdef Earlier *move
        if component != NULL:
            if component.pick != NO_SLOT:
                move = &self.earlier[component.pick]
                if move.out != NO_SLOT:
                    component_of(self.arena, node_at(self.arena, writes)).pick = move.out
                if move.pick_writes != NULL:
                    merge(self.arena, node_at(self.arena, writes), move.pick_writes)
            elif component.removed != NULL:
                set_removed(self.arena, node_at(self.arena, writes), component.removed)
        while child != NULL:
            below = Place(writes, child.name, child.index, NULL)
            self.write_earlier_picks(child, &below)
            child = child.next
        return 0

    cdef int write_later_drops(self, const Node *node, Place *writes) except -1:
        cdef Place below
        cdef const Node *child = node.first
        cdef Component *component = node.component
        cdef Later *move
        if component != NULL:
            if component.drop != NO_SLOT:
                move = &self.later[component.drop]
                if move.out != NO_SLOT:
                    component_of(self.arena, node_at(self.arena, writes)).drop = move.out
                if move.drop_writes != NULL:
                    merge(self.arena, node_at(self.arena, writes), move.drop_writes)
            elif component.inserted != NULL:
                set_inserted(self.arena, node_at(self.arena, writes), component.inserted)
            if has_edit(component) and not component.marked:
                self.pass_on_edit(component, writes)
        while child != NULL:
            below = Place(writes, child.name, child.index, NULL)
            self.write_later_drops(child, &below)
            child = child.next
        return 0

    cdef int run(self, Node *first, Node *second, Node *root) except -1:
        """Writes the result at `root`."""
        cdef Place drops = Place(NULL, NULL, 0, root)
        cdef Place picks = Place(NULL, NULL, 0, new_node(self.arena, NULL, NULL, 0))
        self.make_slots()
        if self.earlier_moves:
            self.find_picks(first)
        if self.later_moves:
            self.find_drops(second)
        self.cross(first, first, second, second, ABSENT, False, &drops, &picks)
        # In a tree of their own until now: their keys are in another order than those of the drops met with them.
        merge(self.arena, root, picks.node)
        self.write_earlier_picks(first, &drops)
        self.write_later_drops(second, &drops)
        return 0


cdef int compose(Arena *arena, const Operation *first, const Operation *second, Operation *result) except -1:
    """Makes `result` of both. They must not be used again: it has their parts, and they its marks."""
    cdef Composition composition = Composition.__new__(Composition)
    composition.arena = arena
    composition.earlier_moves = first.moves
    composition.later_moves = second.moves
    result.root = new_node(arena, NULL, NULL, 0)
    composition.run(first.root, second.root, result.root)
    result.moves = composition.moves
    return 0
