"""The document type ``json1``: JSON values, with the operations of ot-json1 1.0.

A document is any JSON value, or `ABSENT`. An operation is None, which changes nothing, or a list of keys that lead
into the document, with components between them that say what happens where they lead to::

    ["chart", "title", {"es": [5, "!"]}]           edit a text (an operation of the type `text`)
    ["chart", "width", {"ena": 10}]                add to a number
    ["notes", 3, {"i": {"by": "ann"}}]             insert into a list
    ["notes", 3, {"r": true}]                      remove from it
    [["notes", 0, {"p": 0}], ["trash", 2, {"d": 0}]]   move: pick up in slot 0, drop from slot 0
    ["body", {"et": "rich-text", "e": [...]}]      edit a value of any other registered type

All picks and removes of an operation are done first, with the keys of the old document, then all drops, inserts and
edits, with the keys of the new one. Where an operation leads to several places, the list ends with one list for
each, in the order of their keys: numbers, then strings by their UTF-16 units.

This module has the type and what is simple about it. The rest is in modules of its own: operations as trees
(`_json1_tree`), JSON values (`_json1_values`), edits (`_json1_subtypes`), and the functions that are more than a
few lines (`_json1_document`, `_json1_transform`, `_json1_compose`, `_json1_invert`).
"""

from functools import partial

from cpython.dict cimport PyDict_CheckExact
from cpython.list cimport PyList_CheckExact
from cpython.long cimport PyLong_CheckExact
from cpython.object cimport PyObject
from cpython.unicode cimport PyUnicode_CheckExact

from fastcollab.ot cimport _json1_compose, _json1_document, _json1_invert, _json1_transform
from fastcollab.ot._json1_subtypes cimport Subtype, Subtypes
from fastcollab.ot._json1_tree cimport (
    MAX_DEPTH, NO_SLOT, Arena, Component, Node, Walk, along_path, begin, child_of, component_of, decode,
    decode_loose, encode, has_drop, has_edit, new_node, path_of, release, seek, set_inserted, set_removed,
    walk, write_edit,
)
from fastcollab.ot._json1_values cimport check_value, copy_value

from fastcollab.ot.absent import ABSENT
from fastcollab.ot.conflicts import Conflict, ConflictKind
from fastcollab.ot.errors import OperationError

cdef object TRUE = True

# What `check` lets through unless told otherwise.
DEFAULT_MAX_COMPONENTS = 1_000
# Each conflict between two operations costs a pass over both, so that their number has to have a bound, too.
MAX_CONFLICTS = 256


# The largest key of a path: an offset in a text.
cdef object MAX_OFFSET = (1 << 53) - 1


cdef bint is_left(str side) except -1:
    if side == "left":
        return True
    if side == "right":
        return False
    raise ValueError(f"side must be 'left' or 'right', not {side!r}")


# -- conflicts ----------------------------------------------------------------------------------------------

cdef int write_removes(Arena *arena, const Node *node, Node *root) except -1:
    cdef const Node *child = node.first
    if has_drop(node.component) or has_edit(node.component):
        set_removed(arena, along_path(arena, root, node), <PyObject *> TRUE)
    while child != NULL:
        write_removes(arena, child, root)
        child = child.next
    return 0


cdef object removing_all_put(object operation, Subtypes subtypes):
    """The operation that removes everything that `operation` drops, inserts or edits."""
    cdef Arena arena
    cdef Node *root
    begin(&arena)
    try:
        root = new_node(&arena, NULL, NULL, 0)
        write_removes(&arena, decode_loose(&arena, operation, subtypes), root)
        return encode(root)
    finally:
        release(&arena)


cdef bint removes(list part) except -1:
    """Whether the operation has a remove; the parts in a conflict have one at their end or none."""
    cdef object last = part[len(part) - 1]
    return PyDict_CheckExact(last) and "r" in last


cdef tuple resolution(object conflict, bint left, Subtypes subtypes):
    """What to do after each operation so that they no longer contradict each other."""
    cdef object kind = conflict.kind
    if kind is ConflictKind.BLACK_HOLE:
        return removing_all_put(conflict.operation, subtypes), removing_all_put(conflict.other, subtypes)
    if left if kind is ConflictKind.COLLISION else removes(conflict.operation):
        return None, removing_all_put(conflict.other, subtypes)
    return removing_all_put(conflict.operation, subtypes), None


# -- normal form --------------------------------------------------------------------------------------------

cdef Py_ssize_t renumber(dict slots, Py_ssize_t slot, set seen) except -1:
    if slot in seen:
        raise OperationError("a slot is used twice")
    seen.add(slot)
    return slots.setdefault(slot, len(slots))


cdef int write_normal(
    Arena *arena, const Node *node, Node *writes, dict slots, set picked, set dropped
) except -1:
    cdef const Component *component = node.component
    cdef const Node *child = node.first
    cdef Subtype subtype
    cdef object edit
    if component != NULL:
        if component.subtype != NULL:
            subtype = <Subtype> <object> component.subtype
            edit = subtype.normalize(<object> component.edit)
            subtype.check(edit)
            write_edit(arena, writes, subtype, edit, False)
        if component.removed != NULL:
            set_removed(arena, writes, component.removed)
        if component.pick != NO_SLOT:
            component_of(arena, writes).pick = renumber(slots, component.pick, picked)
        if component.inserted != NULL:
            set_inserted(arena, writes, component.inserted)
        if component.drop != NO_SLOT:
            component_of(arena, writes).drop = renumber(slots, component.drop, dropped)
    while child != NULL:
        write_normal(arena, child, child_of(arena, writes, child.name, child.index), slots, picked, dropped)
        child = child.next
    return 0


cdef object normalize(object operation, Subtypes subtypes):
    cdef Arena arena
    cdef Node *root
    cdef set picked = set()
    cdef set dropped = set()
    begin(&arena)
    try:
        root = new_node(&arena, NULL, NULL, 0)
        write_normal(&arena, decode_loose(&arena, operation, subtypes), root, {}, picked, dropped)
        if picked != dropped:
            raise OperationError("what is picked up must be dropped, and nothing else")
        return encode(root)
    finally:
        release(&arena)


# -- positions ----------------------------------------------------------------------------------------------

cdef Node *drop_of(Node *node, Py_ssize_t slot) noexcept:
    cdef Node *child = node.first
    cdef Node *found
    if node.component != NULL and node.component.drop == slot:
        return node
    while child != NULL:
        found = drop_of(child, slot)
        if found != NULL:
            return found
        child = child.next
    return NULL


cdef Node *step(Walk *children, list path, Py_ssize_t at) except? NULL:
    """The child under the key at that place of the path, as `seek` gives it."""
    cdef object key = path[at]
    if PyUnicode_CheckExact(key):
        return seek(children, <PyObject *> key, 0)
    return seek(children, NULL, key)


cdef object moved_path(Node *root, list path, str side):
    """Where the path leads after the operation, or None if what was there is gone."""
    cdef Node *node = root
    cdef Component *component
    cdef Walk children
    cdef Subtype subtype
    cdef Py_ssize_t slot = NO_SLOT
    cdef Py_ssize_t picked_at = 0
    cdef Py_ssize_t i = 0
    cdef bint removed = False
    # Through the picks: is it removed, or part of something that is moved? What was picked up innermost counts.
    while node != NULL:
        component = node.component
        if component != NULL:
            if component.removed != NULL:
                removed = True
            elif component.pick != NO_SLOT:
                removed = False
                slot = component.pick
                picked_at = i
        if i == len(path):
            break
        children = walk(node, False, False, True)
        node = step(&children, path, i)
        if PyLong_CheckExact(path[i]):
            path[i] -= children.passed
        i += 1
    if removed:
        return None
    # Through the drops: from the place where it is dropped, or from the root.
    node = root
    i = 0
    if slot != NO_SLOT:
        node = drop_of(root, slot)
        start = path_of(node)
        i = len(start)
        path = start + path[picked_at:]
    while node != NULL and i < len(path):
        if has_edit(node.component):
            if PyLong_CheckExact(path[i]):
                subtype = <Subtype> <object> node.component.subtype
                path[i] = subtype.transform_position(path[i], <object> node.component.edit, side)
            break
        children = walk(node, True, True, False)
        node = step(&children, path, i)
        if PyLong_CheckExact(path[i]):
            path[i] += children.passed
        i += 1
    return path


# -- the type -----------------------------------------------------------------------------------------------

cdef Py_ssize_t count_components(const Node *node) noexcept:
    cdef const Node *child = node.first
    cdef Py_ssize_t count = node.component != NULL
    while child != NULL:
        count += count_components(child)
        child = child.next
    return count


cdef class Json1Type:
    """JSON values, with the operations of ot-json1 1.0; `fastcollab.ot.DocumentType` states the laws.

    `registry` maps names to the document types that edits may be of. Results equal those of the npm package, with
    numbers added as JavaScript adds them. Refused, with `OperationError`, though it lets them pass: edits that are
    not in normal form, the key ``__proto__`` in values, lone surrogates, and numbers that JSON cannot carry.
    """

    cdef Subtypes subtypes

    def __init__(self, registry):
        self.subtypes = Subtypes(registry)

    @property
    def name(self):
        return "json1"

    def create(self, initial=None):
        """The document `initial`, by default an empty object; `ABSENT` for a document that is yet to be inserted."""
        if initial is None:
            return {}
        if initial is not ABSENT:
            check_value(initial, MAX_DEPTH)
        return copy_value(initial)

    def check(self, operation, *, Py_ssize_t max_components=DEFAULT_MAX_COMPONENTS):
        """Raises `OperationError` unless `operation` is well formed and has at most `max_components` components.

        An operation reaches at most 200 levels deep into a document, values that it inserts included; that limit
        every method has, while the number of components is looked at here only.
        """
        cdef Arena arena
        cdef Py_ssize_t moves
        begin(&arena)
        try:
            if count_components(decode(&arena, operation, "operation", self.subtypes, &moves)) > max_components:
                raise OperationError(f"an operation has at most {max_components} components")
        finally:
            release(&arena)

    def check_position(self, position):
        """Raises `OperationError` unless `position` is a path: a list of keys, of which the last may be an offset."""
        cdef Py_ssize_t i
        if not PyList_CheckExact(position):
            raise OperationError(f"a position must be a list of keys, not {type(position).__name__}")
        if len(position) > MAX_DEPTH + 1:
            raise OperationError(f"a position has at most {MAX_DEPTH + 1} keys")
        for i in range(len(position)):
            key = position[i]
            if PyUnicode_CheckExact(key):
                check_value(key, 0)
            elif not PyLong_CheckExact(key) or not 0 <= key <= MAX_OFFSET:
                raise OperationError("a key must be a string, or an integer of at least 0", (i,))

    def apply(self, document, operation, *, bint share=False):
        """The document after the operation.

        With `share`, the result has lists and dicts in common with `document`, all that the operation leaves
        unchanged: for those who never change a document in place.
        """
        return _json1_document.apply(document, operation, self.subtypes, share)

    def try_transform(self, operation, other, str side not None):
        """`operation` rewritten to follow `other`, and None; or None and the first `Conflict` of the two."""
        outcome = _json1_transform.try_transform(operation, other, is_left(side), self.subtypes)
        return (None, outcome) if type(outcome) is Conflict else (outcome, None)

    def open(self, content):
        """`content` as a live document (`fastcollab.ot.live`); its contents share what has not changed."""
        from fastcollab.ot.live import WholeDocument

        return WholeDocument(self, content, partial(self.apply, share=True))

    def transform(self, operation, other, str side not None):
        """`operation`, made against the document before `other`, rewritten to follow `other`.

        Conflicts are resolved: of two things put into one place, that of the left side stays; what is removed by
        one operation is removed with all that the other does to it; and what both move into each other is removed.
        Two kinds of pairs are refused: with more than `MAX_CONFLICTS` conflicts, and a few that edit what they move
        into each other, from which the npm package never returns.
        """
        cdef bint left = is_left(side)
        cdef Py_ssize_t rounds = 0
        cdef object undone = None  # what the resolutions remove of what `other` did
        outcome = _json1_transform.try_transform(operation, other, left, self.subtypes)
        while type(outcome) is Conflict:
            mine, theirs = resolution(outcome, left, self.subtypes)
            if mine is None and theirs is None:
                raise OperationError("the two operations contradict each other beyond resolution")
            if rounds == MAX_CONFLICTS:
                raise OperationError(f"the two operations have more than {MAX_CONFLICTS} conflicts")
            operation = normalize(operation, self.subtypes)
            if mine is not None:
                operation = self.compose(operation, mine)
            other = normalize(other, self.subtypes)
            if theirs is not None:
                other = self.compose(other, theirs)
                undone = self.compose(undone, theirs)
            rounds += 1
            outcome = _json1_transform.try_transform(operation, other, left, self.subtypes)
        return outcome if rounds == 0 else self.compose(undone, outcome)

    def compose(self, first, second):
        """One operation that does what `first` and then `second` do."""
        return _json1_compose.compose(first, second, self.subtypes)

    def invert(self, operation, document):
        """The operation that undoes `operation`, of which `document` is the document before it."""
        return _json1_invert.invert(operation, document, self.subtypes)

    def transform_position(self, position, operation, str side not None="left"):
        """Where `position`, a path as `check_position` takes it, leads after the operation; None: it is gone.

        A path follows what it leads to. Only for an offset within an edited value, its last key, the side counts.
        """
        cdef Arena arena
        cdef Py_ssize_t moves
        is_left(side)
        self.check_position(position)
        begin(&arena)
        try:
            return moved_path(decode(&arena, operation, "operation", self.subtypes, &moves), position.copy(), side)
        finally:
            release(&arena)

    def normalize(self, operation):
        """The operation in normal form: slots in the order in which they appear, no edit that says nothing.

        Takes more than the other methods do: branches of a single key, keys in any order, and slots of any number.
        """
        return normalize(operation, self.subtypes)
