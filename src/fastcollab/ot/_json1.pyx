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
(`_json1_tree`), their form as JSON (`_json1_form`), JSON values (`_json1_values`), edits (`_json1_subtypes`), and the
functions that are more than a few lines (`_json1_document`, `_json1_transform` with `_json1_resolution`,
`_json1_compose`, `_json1_invert`).
"""

from cpython.list cimport PyList_CheckExact
from cpython.long cimport PyLong_CheckExact
from cpython.object cimport PyObject
from cpython.unicode cimport PyUnicode_CheckExact

from fastcollab.ot cimport _json1_compose, _json1_document, _json1_invert, _json1_resolution
from fastcollab.ot._json1_form cimport MAX_DEPTH, decode, decode_loose, encode
from fastcollab.ot._json1_subtypes cimport Subtype, Subtypes
from fastcollab.ot._json1_tree cimport (
    NO_SLOT, Arena, Component, Node, Operation, Walk, begin, has_edit, keep, path_of, release, seek, walk,
)
from fastcollab.ot._json1_values cimport ABSENT, check_value, copy_value

from fastcollab.ot.errors import OperationError

# What `check` lets through unless told otherwise.
DEFAULT_MAX_COMPONENTS = 1_000

# The largest key of a path: an offset in a text.
cdef object MAX_OFFSET = (1 << 53) - 1


cdef bint is_left(str side) except -1:
    if side == "left":
        return True
    if side == "right":
        return False
    raise ValueError(f"side must be 'left' or 'right', not {side!r}")


# -- normal form --------------------------------------------------------------------------------------------

cdef Py_ssize_t renumbered(dict slots, Py_ssize_t slot, set seen) except -1:
    if slot in seen:
        raise OperationError("a slot is used twice")
    seen.add(slot)
    return slots.setdefault(slot, len(slots))


cdef int normalize_below(Arena *arena, Node *node, dict slots, set picked, set dropped) except -1:
    cdef Component *component = node.component
    cdef Node *child = node.first
    cdef Subtype subtype
    if component != NULL:
        if component.subtype != NULL:
            subtype = <Subtype> <object> component.subtype
            edit = subtype.normalize(<object> component.edit)
            subtype.check(edit)
            component.edit = keep(arena, edit)
            if subtype.is_empty(edit):
                component.subtype = component.edit = NULL
        if component.pick != NO_SLOT:
            component.pick = renumbered(slots, component.pick, picked)
        if component.drop != NO_SLOT:
            component.drop = renumbered(slots, component.drop, dropped)
    while child != NULL:
        normalize_below(arena, child, slots, picked, dropped)
        child = child.next
    return 0


cdef object normalize(object operation, Subtypes subtypes):
    cdef Arena arena
    cdef Node *root
    cdef set picked = set()
    cdef set dropped = set()
    begin(&arena)
    try:
        root = decode_loose(&arena, operation, subtypes)
        normalize_below(&arena, root, {}, picked, dropped)
        if picked != dropped:
            raise OperationError("what is picked up must be dropped, and nothing else")
        return encode(root)
    finally:
        release(&arena)


cdef object compose(object first, object second, Subtypes subtypes):
    cdef Arena arena
    cdef Operation earlier
    cdef Operation later
    cdef Operation result
    begin(&arena)
    try:
        decode(&arena, &earlier, first, "first", subtypes)
        decode(&arena, &later, second, "second", subtypes)
        if first is None:
            return copy_value(second)
        if second is None:
            return copy_value(first)
        _json1_compose.compose(&arena, &earlier, &later, &result)
        return encode(result.root)
    finally:
        release(&arena)


cdef object invert(object operation, object document, Subtypes subtypes):
    cdef Arena arena
    cdef Operation decoded
    cdef Operation inverse
    begin(&arena)
    try:
        decode(&arena, &decoded, operation, "operation", subtypes)
        if operation is None:
            return None
        _json1_invert.invert(&arena, &decoded, document, &inverse)
        return encode(inverse.root)
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

    #: Sums of floats round: what is added and taken away again need not be gone to the last digit.
    inverts_exactly = False

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
        cdef Operation decoded
        begin(&arena)
        try:
            decode(&arena, &decoded, operation, "operation", self.subtypes)
            if count_components(decoded.root) > max_components:
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
        return _json1_resolution.try_transform(operation, other, is_left(side), self.subtypes)

    def open(self, content):
        """`content` as a live document (`fastcollab.ot.live`); its contents share what has not changed."""
        return _json1_document.open_document(content, self.subtypes)

    def transform(self, operation, other, str side not None):
        """`operation`, made against the document before `other`, rewritten to follow `other`.

        Conflicts are resolved: of two things put into one place, that of the left side stays; what is removed by
        one operation is removed with all that the other does to it; and what both move into each other is removed.
        Two kinds of pairs are refused: with more than 256 conflicts (`_json1_resolution.MAX_CONFLICTS`), and a few
        that edit what they move into each other, from which the npm package never returns.
        """
        return _json1_resolution.transform(operation, other, is_left(side), self.subtypes)

    def compose(self, first, second):
        """One operation that does what `first` and then `second` do."""
        return compose(first, second, self.subtypes)

    def invert(self, operation, document):
        """The operation that undoes `operation`, of which `document` is the document before it."""
        return invert(operation, document, self.subtypes)

    def transform_position(self, position, operation, str side not None="left"):
        """Where `position`, a path as `check_position` takes it, leads after the operation; None: it is gone.

        A path follows what it leads to. Only for an offset within an edited value, its last key, the side counts.
        """
        cdef Arena arena
        cdef Operation decoded
        is_left(side)
        self.check_position(position)
        begin(&arena)
        try:
            decode(&arena, &decoded, operation, "operation", self.subtypes)
            return moved_path(decoded.root, position.copy(), side)
        finally:
            release(&arena)

    def normalize(self, operation):
        """The operation in normal form: slots in the order in which they appear, no edit that says nothing.

        Takes more than the other methods do: branches of a single key, keys in any order, and slots of any number.
        """
        return normalize(operation, self.subtypes)
