"""The form that operations of json1 have as JSON, read into trees and written from them.

As JSON an operation is a list of keys with components between them; where the tree forks, the rest of the list is
one list for each branch, in the order of their keys::

    ["a", {"p": 0}, "x", {"es": [5, "!"]}]        a, and a.x below it
    [["list", 3, {"r": true}], ["z", {"d": 0}]]   list[3], and z

`decode` reads that form, and refuses every other; `decode_loose` takes all that can be understood. `encode` writes it.
"""

from cpython.dict cimport PyDict_CheckExact, PyDict_Next, PyDict_Size
from cpython.list cimport PyList_CheckExact, PyList_GET_ITEM, PyList_GET_SIZE, PyList_New, PyList_SET_ITEM
from cpython.long cimport PyLong_CheckExact
from cpython.object cimport PyObject
from cpython.ref cimport Py_INCREF
from cpython.unicode cimport PyUnicode_CheckExact
from libc.stdint cimport int64_t

from fastcollab.ot._json1_subtypes cimport NUMBER, TEXT, Subtype, Subtypes
from fastcollab.ot._json1_tree cimport (
    NO_SLOT, Arena, Component, Node, Operation, child_of, component_of, keep, new_node, place_in_operation, prune,
    zeroed,
)
from fastcollab.ot._json1_values cimport copy_value, flaw_in, flaw_in_name, refusal
from fastcollab.ot._unicode cimport PyUnicode_DATA, PyUnicode_GET_LENGTH, PyUnicode_KIND, PyUnicode_READ

from fastcollab.ot.absent import ABSENT
from fastcollab.ot.errors import OperationError

cdef extern from "Python.h":
    # Sets no exception if the value is exactly an `int`.
    int64_t PyLong_AsLongLongAndOverflow(object value, int *overflow) noexcept

# The largest index and slot: JavaScript's check is that of a signed integer of 32 bits.
cdef int64_t LARGEST_INDEX = (<int64_t> 1 << 31) - 1

cdef struct Step:
    # Where in the lists of an operation something is: innermost first.
    const Step *outer
    Py_ssize_t index
    Py_ssize_t nesting

cdef struct Reader:
    Arena *arena
    PyObject *argument   # the name that the operation has as an argument
    PyObject *subtypes
    bint strict          # whether to take the form alone that `encode` writes
    Py_ssize_t picks     # met so far
    Py_ssize_t drops


# -- reading ------------------------------------------------------------------------------------------------

cdef object refused(const Reader *reader, str reason, const Step *step, str key=None, tuple inner=()):
    """The error for what is at that step, under `key` if it is within a component."""
    cdef list path = [] if key is None else [key]
    while step != NULL:
        path.append(step.index)
        step = step.outer
    path.reverse()
    return refusal(reason, <str> <object> reader.argument, (*path, *inner))


cdef inline int64_t natural(object value) noexcept:
    """The index or slot, or -1 if it is none."""
    cdef int overflow = 0
    cdef int64_t number
    if not PyLong_CheckExact(value):
        return -1
    number = PyLong_AsLongLongAndOverflow(value, &overflow)
    return -1 if overflow != 0 or number < 0 or number > LARGEST_INDEX else number


cdef inline char letter_of(object key) noexcept:
    """The only character of the `str`, or 0 if it is not one of ASCII."""
    if PyUnicode_GET_LENGTH(key) != 1 or PyUnicode_KIND(key) != 1:
        return 0
    return <char> PyUnicode_READ(1, PyUnicode_DATA(key), 0)


cdef PyObject *checked_value(Reader *reader, object value, Py_ssize_t depth, const Step *step, str key) except NULL:
    cdef str flaw = flaw_in(value, MAX_DEPTH - depth)
    if flaw is not None:
        raise refused(reader, flaw, step, key)
    return keep(reader.arena, value)


cdef str flaw_in_component(const Component *component):
    """What keeps the parts of the component from being together, or None."""
    if component.pick != NO_SLOT and component.removed != NULL:
        return "what is picked up cannot be removed too"
    if component.drop != NO_SLOT and component.inserted != NULL:
        return "only one thing can be put in one place"
    return None


cdef int hold_edit(
    Reader *reader, Component *component, Subtype subtype, object edit, const Step *step, str key
) except -1:
    if component.subtype != NULL:
        raise refused(reader, "a component has at most one edit", step)
    component.subtype = <PyObject *> subtype
    component.edit = keep(reader.arena, edit)
    if reader.strict:
        try:
            subtype.check(edit)
        except OperationError as error:
            raise refused(reader, error.reason, step, key, error.path) from None
    return 0


cdef int decode_component(Reader *reader, Node *node, object value, Py_ssize_t depth, const Step *step) except -1:
    cdef Component *component
    cdef Subtypes subtypes = <Subtypes> <object> reader.subtypes
    cdef Subtype subtype
    cdef Py_ssize_t at = 0
    cdef PyObject *key = NULL
    cdef PyObject *inner = NULL
    cdef object type_name = ABSENT
    cdef object general = ABSENT
    cdef char letter
    cdef str flaw
    if node.component != NULL:
        raise refused(reader, "a place has at most one component", step)
    if reader.strict and PyDict_Size(value) == 0:
        raise refused(reader, "a component must not be empty", step)
    component = component_of(reader.arena, node)
    while PyDict_Next(value, &at, &key, &inner):
        if not PyUnicode_CheckExact(<object> key):
            raise refused(reader, "the keys of a component must be strings", step)
        letter = letter_of(<object> key)
        if letter == c"p":
            component.pick = natural(<object> inner)
            if component.pick < 0:
                raise refused(reader, "a slot must be an integer, at least 0", step, "p")
            reader.picks += 1
        elif letter == c"d":
            component.drop = natural(<object> inner)
            if component.drop < 0:
                raise refused(reader, "a slot must be an integer, at least 0", step, "d")
            reader.drops += 1
        elif letter == c"r":
            component.removed = checked_value(reader, <object> inner, depth, step, "r")
        elif letter == c"i":
            component.inserted = checked_value(reader, <object> inner, depth, step, "i")
        elif letter == c"e":
            general = <object> inner
        elif (<str> <object> key) == "es":
            hold_edit(reader, component, subtypes.text, <object> inner, step, "es")
        elif (<str> <object> key) == "ena":
            hold_edit(reader, component, subtypes.number, <object> inner, step, "ena")
        elif (<str> <object> key) == "et":
            type_name = <object> inner
        else:
            raise refused(reader, f"a component has no {<str> <object> key!r}", step)
    if type_name is not ABSENT or general is not ABSENT:
        if type_name is ABSENT or general is ABSENT:
            raise refused(reader, "'e' and 'et' go together", step)
        subtype = subtypes.find(type_name)
        if subtype is None:
            raise refused(reader, "there is no document type of this name", step, "et")
        # Edits of json1 within edits of json1 would let it call itself without an end.
        checked_value(reader, general, depth, step, "e")
        hold_edit(reader, component, subtype, general, step, "e")
    flaw = flaw_in_component(component)
    if flaw is not None:
        raise refused(reader, flaw, step)
    return 0


cdef Node *decode_key(Reader *reader, Node *node, object key, const Step *step) except NULL:
    """The node below `node` that the key leads to."""
    cdef str flaw
    cdef int64_t index
    if PyUnicode_CheckExact(key):
        flaw = flaw_in_name(key)
        if flaw is not None:
            raise refused(reader, flaw, step)
        return child_of(reader.arena, node, keep(reader.arena, key), 0)
    index = natural(key)
    if index < 0:
        raise refused(reader, "a key must be a string, or an integer of at least 0", step)
    return child_of(reader.arena, node, NULL, index)


cdef int decode_part(Reader *reader, Node *node, object part, Py_ssize_t depth, const Step *outer) except -1:
    """Reads one list, which starts at `node`."""
    cdef Step step = Step(outer, 0, 1 if outer == NULL else outer.nesting + 1)
    cdef Node *start = node
    cdef Node *last
    cdef object item
    cdef Py_ssize_t branches = 0
    cdef bint strict = reader.strict
    cdef bint after_key = outer == NULL
    if PyList_GET_SIZE(part) == 0:
        raise refused(reader, "a list in an operation must not be empty", outer)
    # The size is asked for each time: the checks of registered types may run code of anyone.
    while step.index < PyList_GET_SIZE(part):
        item = <object> PyList_GET_ITEM(part, step.index)
        if PyDict_CheckExact(item):
            if strict and not after_key:
                raise refused(reader, "a component must follow its key", &step)
            if strict or PyDict_Size(item):
                decode_component(reader, node, item, depth, &step)
                after_key = False
        elif PyList_CheckExact(item):
            if strict and node == start and outer != NULL and step.index == 0:
                raise refused(reader, "a branch must start with its key", &step)
            branches += 1
            if step.nesting > MAX_DEPTH:
                raise refused(reader, "the operation is nested too deeply", &step)
            last = node.near
            decode_part(reader, node, item, depth, &step)
            # A branch makes one new child, which must be behind the one before it.
            if strict and branches > 1 and (last == node.near or last.next != node.near):
                raise refused(reader, "branches must be in the order of their keys", &step)
            after_key = False
        else:
            if branches and strict:
                raise refused(reader, "nothing but branches can follow a branch", &step)
            if depth >= MAX_DEPTH:
                raise refused(reader, "the operation is nested too deeply", &step)
            depth += 1
            node = decode_key(reader, node, item, &step)
            after_key = True
        step.index += 1
    if strict:
        if branches == 1:
            raise refused(reader, "a single branch must not be a list of its own", outer)
        if after_key:
            raise refused(reader, "an operation must not end with a key", outer)
    return 0


cdef Node *read(Reader *reader, object operation) except NULL:
    cdef Node *root = new_node(reader.arena, NULL, NULL, 0)
    if operation is None:
        return root
    if not PyList_CheckExact(operation):
        raise refused(reader, f"an operation must be a list or None, not {type(operation).__name__}", NULL)
    if reader.strict or PyList_GET_SIZE(operation):
        decode_part(reader, root, operation, 0, NULL)
    return root


cdef int decode(Arena *arena, Operation *decoded, object operation, str argument, Subtypes subtypes) except -1:
    """Reads the operation as a tree. None is a tree with a root alone."""
    cdef Reader reader = Reader(arena, <PyObject *> argument, <PyObject *> subtypes, True, 0, 0)
    decoded.root = read(&reader, operation)
    decoded.moves = reader.picks
    if reader.picks != reader.drops:
        raise refused(&reader, "what is picked up must be dropped, and nothing else", NULL)
    return check_slots(arena, decoded, argument)


cdef Node *decode_loose(Arena *arena, object operation, Subtypes subtypes) except NULL:
    """The operation as a tree, if it can be understood; its slots and edits are not checked."""
    cdef Reader reader = Reader(arena, <PyObject *> "operation", <PyObject *> subtypes, False, 0, 0)
    return read(&reader, operation)


cdef int check_slot(char *seen, Py_ssize_t moves, Py_ssize_t slot, const Node *node, str key, str argument) except -1:
    if slot >= moves:
        raise refusal("slots must be numbered from 0 without a gap, and each be picked up and dropped once",
                      argument, place_in_operation(node, key))
    if seen[slot]:
        raise refusal("a slot is used twice", argument, place_in_operation(node, key))
    seen[slot] = 1
    return 0


cdef int check_slots_below(
    char *picked, char *dropped, Py_ssize_t moves, const Node *node, str argument
) except -1:
    cdef const Node *child = node.first
    cdef const Component *component = node.component
    cdef str flaw
    if component != NULL:
        if component.pick != NO_SLOT:
            check_slot(picked, moves, component.pick, node, "p", argument)
        if component.drop != NO_SLOT:
            check_slot(dropped, moves, component.drop, node, "d", argument)
        flaw = flaw_in_component(component)
        if flaw is not None:
            raise refusal(flaw, argument, place_in_operation(node, None))
    while child != NULL:
        check_slots_below(picked, dropped, moves, child, argument)
        child = child.next
    return 0


cdef int check_slots(Arena *arena, const Operation *operation, str argument) except -1:
    """Refuses an operation unless each slot, from 0 to the number of its moves, is picked up and dropped once."""
    cdef char *seen
    if operation.moves:
        seen = <char *> zeroed(arena, 2 * operation.moves)
        check_slots_below(seen, seen + operation.moves, operation.moves, operation.root, argument)
    return 0


# -- writing ------------------------------------------------------------------------------------------------

cdef dict encode_component(const Component *component):
    cdef dict result = {}
    cdef Subtype subtype
    if component.removed != NULL:
        result["r"] = copy_value(<object> component.removed)
    if component.pick != NO_SLOT:
        result["p"] = component.pick
    if component.inserted != NULL:
        result["i"] = copy_value(<object> component.inserted)
    if component.drop != NO_SLOT:
        result["d"] = component.drop
    if component.subtype != NULL:
        subtype = <Subtype> <object> component.subtype
        if subtype.kind == TEXT:
            result["es"] = copy_value(<object> component.edit)
        elif subtype.kind == NUMBER:
            result["ena"] = <object> component.edit
        else:
            result["et"] = subtype.name
            result["e"] = copy_value(<object> component.edit)
    return result


cdef inline void fill(list part, Py_ssize_t *at, object item) noexcept:
    Py_INCREF(item)
    PyList_SET_ITEM(part, at[0], item)
    at[0] += 1


cdef list encode_part(const Node *start):
    """The list of `start` and all below it."""
    cdef const Node *node = start
    cdef const Node *branch
    cdef Py_ssize_t size = 0
    cdef Py_ssize_t at = 0
    cdef list part
    # As long as there is one way down, all goes into one list; it ends at a leaf or a fork.
    while True:
        size += (node.parent != NULL) + (node.component != NULL)
        if node.first == NULL or node.first.next != NULL:
            break
        node = node.first
    branch = node.first
    while branch != NULL:
        size += 1
        branch = branch.next
    part = PyList_New(size)
    node = start
    while True:
        if node.name != NULL:
            fill(part, &at, <object> node.name)
        elif node.parent != NULL:
            fill(part, &at, node.index)
        if node.component != NULL:
            fill(part, &at, encode_component(node.component))
        if node.first == NULL or node.first.next != NULL:
            break
        node = node.first
    branch = node.first
    while branch != NULL:
        fill(part, &at, encode_part(branch))
        branch = branch.next
    return part


cdef object encode(Node *root):
    """The tree as a new list, or None if nothing happens in it. Takes out of the tree what leads nowhere."""
    return encode_part(root) if prune(root) else None
