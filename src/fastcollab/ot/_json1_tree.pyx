"""Operations of json1 as trees.

An operation is a tree that mirrors the document: keys lead down, and components say what happens where they lead
to. As JSON it is a list of keys with components between them; where the tree forks, the rest of the list is one
list for each branch, in the order of their keys::

    ["a", {"p": 0}, "x", {"es": [5, "!"]}]        a, and a.x below it
    [["list", 3, {"r": true}], ["z", {"d": 0}]]   list[3], and z

`decode` reads that form, and refuses every other; `encode` writes it. Between them a tree is made of `Node` structs
linked by pointers, with a `Component` where something happens. Nodes that lead nowhere may stand in a tree that is
being written: `encode` leaves them out, and nothing else looks at them.

Memory. All nodes and components of a call are in one `Arena`, on the stack as long as they are few, and go with
it: no node outlives the call, and none is freed before. The arena owns a reference to every Python object that a
node or component points to, since other code may run while an operation is half done (that of a registered type)
and might drop its own.

Order of keys: numbers, then strings, and strings by their UTF-16 units, in which JavaScript compares: so
characters beyond U+FFFF come before U+E000 to U+FFFF.
"""

from cpython.dict cimport PyDict_CheckExact, PyDict_Next, PyDict_Size
from cpython.list cimport PyList_CheckExact, PyList_GET_ITEM, PyList_GET_SIZE
from cpython.long cimport PyLong_CheckExact
from cpython.mem cimport PyMem_Calloc, PyMem_Free, PyMem_Malloc
from cpython.object cimport PyObject
from cpython.ref cimport Py_XDECREF, Py_XINCREF
from cpython.unicode cimport PyUnicode_CheckExact
from libc.stdint cimport int64_t

from fastcollab.ot._json1_subtypes cimport Subtype, Subtypes
from fastcollab.ot._json1_values cimport check_text, check_value, copy_value, refusal

from fastcollab.ot.absent import ABSENT
from fastcollab.ot.errors import OperationError

cdef extern from "Python.h":
    ctypedef unsigned int CodePoint "Py_UCS4"
    int PyUnicode_KIND(object text) noexcept
    void *PyUnicode_DATA(object text) noexcept
    CodePoint PyUnicode_READ(int kind, const void *data, Py_ssize_t index) noexcept
    Py_ssize_t PyUnicode_GET_LENGTH(object text) noexcept
    # Sets no exception if the value is exactly an `int`.
    int64_t PyLong_AsLongLongAndOverflow(object value, int *overflow) noexcept

# The largest index and slot: JavaScript's check is that of a signed integer of 32 bits.
cdef int64_t LARGEST_INDEX = (<int64_t> 1 << 31) - 1

cdef struct Step:
    # Where in the lists of an operation something is: innermost first.
    const Step *outer
    Py_ssize_t index
    Py_ssize_t nesting

cdef struct Counts:
    Py_ssize_t picks
    Py_ssize_t drops


# -- memory -------------------------------------------------------------------------------------------------

cdef inline void release_component(Component *component) noexcept:
    Py_XDECREF(component.removed)
    Py_XDECREF(component.inserted)
    Py_XDECREF(component.subtype)
    Py_XDECREF(component.edit)


cdef void release(Arena *arena) noexcept:
    cdef NodeBlock *nodes
    cdef ComponentBlock *components
    cdef Scratch *piece
    cdef Py_ssize_t i
    for i in range(arena.nodes_used):
        Py_XDECREF(arena.nodes[i].name)
    for i in range(arena.components_used):
        release_component(&arena.components[i])
    while arena.node_blocks != NULL:
        nodes = arena.node_blocks
        arena.node_blocks = nodes.next
        for i in range(nodes.used):
            Py_XDECREF(nodes.nodes[i].name)
        PyMem_Free(nodes)
    while arena.component_blocks != NULL:
        components = arena.component_blocks
        arena.component_blocks = components.next
        for i in range(components.used):
            release_component(&components.components[i])
        PyMem_Free(components)
    while arena.scratch != NULL:
        piece = arena.scratch
        arena.scratch = piece.next
        PyMem_Free(piece)


cdef void *scratch(Arena *arena, size_t size) except NULL:
    """Zeroed memory of `size` bytes that goes with the arena."""
    # Two headers' room keeps what follows aligned for any struct.
    cdef Scratch *piece = <Scratch *> PyMem_Calloc(1, 2 * sizeof(Scratch) + size)
    if piece == NULL:
        raise MemoryError
    piece.next = arena.scratch
    arena.scratch = piece
    return &piece[2]


cdef Node *new_node(Arena *arena, Node *parent, PyObject *name, int64_t index) except NULL:
    """A node that no list of children has yet."""
    cdef NodeBlock *block
    cdef Node *node
    if arena.nodes_used < INLINE_NODES:
        node = &arena.nodes[arena.nodes_used]
        arena.nodes_used += 1
    else:
        block = arena.node_blocks
        if block == NULL or block.used == BLOCK:
            block = <NodeBlock *> PyMem_Malloc(sizeof(NodeBlock))
            if block == NULL:
                raise MemoryError
            block.next = arena.node_blocks
            block.used = 0
            arena.node_blocks = block
        node = &block.nodes[block.used]
        block.used += 1
    Py_XINCREF(name)
    node[0] = Node(parent, NULL, NULL, NULL, name, index, NULL)
    return node


cdef Component *component_of(Arena *arena, Node *node) except NULL:
    """The node's component, which is made if there is none."""
    cdef ComponentBlock *block
    cdef Component *component
    if node.component != NULL:
        return node.component
    if arena.components_used < INLINE_COMPONENTS:
        component = &arena.components[arena.components_used]
        arena.components_used += 1
    else:
        block = arena.component_blocks
        if block == NULL or block.used == BLOCK:
            block = <ComponentBlock *> PyMem_Malloc(sizeof(ComponentBlock))
            if block == NULL:
                raise MemoryError
            block.next = arena.component_blocks
            block.used = 0
            arena.component_blocks = block
        component = &block.components[block.used]
        block.used += 1
    component[0] = Component(NO_SLOT, NO_SLOT, NULL, NULL, NULL, NULL, False)
    node.component = component
    return component


# -- keys and places ----------------------------------------------------------------------------------------

cdef inline int64_t utf16_rank(CodePoint character) noexcept:
    """A number by which characters are ordered as their UTF-16 units are."""
    return character + 0x110000 if 0xE000 <= character <= 0xFFFF else character


cdef int compare_names(str left, str right) noexcept:
    cdef int left_kind = PyUnicode_KIND(left)
    cdef int right_kind = PyUnicode_KIND(right)
    cdef const void *left_data = PyUnicode_DATA(left)
    cdef const void *right_data = PyUnicode_DATA(right)
    cdef Py_ssize_t left_length = PyUnicode_GET_LENGTH(left)
    cdef Py_ssize_t right_length = PyUnicode_GET_LENGTH(right)
    cdef CodePoint one
    cdef CodePoint other
    cdef Py_ssize_t i
    for i in range(min(left_length, right_length)):
        one = PyUnicode_READ(left_kind, left_data, i)
        other = PyUnicode_READ(right_kind, right_data, i)
        if one != other:
            return -1 if utf16_rank(one) < utf16_rank(other) else 1
    return (left_length > right_length) - (left_length < right_length)


cdef int compare(PyObject *name, int64_t index, const Node *node) noexcept:
    """The key before (-1), at (0) or behind (1) that of the node."""
    if name == NULL:
        if node.name != NULL:
            return -1
        return (index > node.index) - (index < node.index)
    if node.name == NULL:
        return 1
    if name == node.name:
        return 0
    return compare_names(<str> <object> name, <str> <object> node.name)


cdef Node *child_of(Arena *arena, Node *node, PyObject *name, int64_t index) except NULL:
    """The child under that key, which is made if there is none."""
    cdef Node *before = NULL
    cdef Node *at = node.first
    cdef Node *child
    cdef int order
    if node.near != NULL:
        order = compare(name, index, node.near)
        if order == 0:
            return node.near
        if order > 0:
            before = node.near
            at = before.next
    while at != NULL:
        order = compare(name, index, at)
        if order == 0:
            node.near = at
            return at
        if order < 0:
            break
        before = at
        at = at.next
    child = new_node(arena, node, name, index)
    child.next = at
    if before == NULL:
        node.first = child
    else:
        before.next = child
    node.near = child
    return child


cdef Node *seek(Walk *walk, PyObject *name, int64_t index) noexcept:
    """Walks up to the child under that key, and gives it if it is there. Keys must come in their order.

    Children that count (`drops`, `picks`) add to `passed` when they are left behind. In a walk that is `mapped`,
    indices are less by what was passed before, and a child that counts is no match: what it brings was not there
    in the numbering that the keys are in.
    """
    cdef Node *node
    cdef bint counts
    cdef int64_t position
    while walk.at != NULL:
        node = walk.at
        counts = (walk.drops and has_drop(node.component)) or (walk.picks and has_pick(node.component))
        if name == NULL:
            if node.name != NULL:
                return NULL
            position = node.index - walk.passed if walk.mapped else node.index
            if position > index:
                return NULL
            if position == index and not (walk.mapped and counts):
                return node
        elif node.name != NULL:
            if name == node.name:
                return node
            position = compare_names(<str> <object> name, <str> <object> node.name)
            if position < 0:
                return NULL
            if position == 0:
                return node
        if counts and node.name == NULL:
            walk.passed += 1
        walk.at = node.next
    return NULL


cdef list path_of(const Node *node):
    """The keys that lead from the root to the node."""
    cdef list path = []
    while node.parent != NULL:
        path.append(<object> node.name if node.name != NULL else node.index)
        node = node.parent
    path.reverse()
    return path


cdef list position_of(const Node *node):
    """Where in the lists of the operation the node's key is."""
    cdef const Node *sibling
    cdef list position
    cdef Py_ssize_t last
    if node.parent == NULL:
        return [-1]
    position = position_of(node.parent)
    last = position.pop() + 1 + (node.parent.component != NULL)
    sibling = node.parent.first
    if sibling.next == NULL:
        position.append(last)
        return position
    while sibling != node:
        last += 1
        sibling = sibling.next
    position.append(last)
    position.append(0)
    return position


cdef tuple place_in_operation(const Node *node, str key):
    """Where the value under `key` in the node's component is, as `OperationError.path`; key None: the component."""
    cdef list position = position_of(node)
    position.append(position.pop() + 1)
    if key is not None:
        position.append(key)
    return tuple(position)


# -- reading ------------------------------------------------------------------------------------------------

cdef tuple steps(const Step *step, object key=None):
    cdef list path = [] if key is None else [key]
    while step != NULL:
        path.append(step.index)
        step = step.outer
    path.reverse()
    return tuple(path)


cdef inline int64_t natural(object value) noexcept:
    """The index or slot, or -1 if it is none."""
    cdef int overflow = 0
    cdef int64_t number
    if not PyLong_CheckExact(value):
        return -1
    number = PyLong_AsLongLongAndOverflow(value, &overflow)
    return -1 if overflow != 0 or number < 0 or number > LARGEST_INDEX else number


cdef int check_value_at(object value, Py_ssize_t depth, str argument, const Step *step, str key) except -1:
    try:
        check_value(value, MAX_DEPTH - depth)
    except OperationError as error:
        raise refusal(error.reason, argument, steps(step, key)) from None
    return 0


cdef int check_edit(Subtype subtype, object edit, str argument, const Step *step, str key) except -1:
    try:
        subtype.check(edit)
    except OperationError as error:
        raise refusal(error.reason, argument, (*steps(step, key), *error.path)) from None
    return 0


cdef int decode_component(
    Arena *arena, Node *node, dict value, Py_ssize_t depth, Counts *counts, const Step *step, str argument,
    Subtypes subtypes, bint strict,
) except -1:
    cdef Component *component
    cdef Py_ssize_t at = 0
    cdef PyObject *key_pointer = NULL
    cdef PyObject *inner = NULL
    cdef object type_name = ABSENT
    cdef object general = ABSENT
    cdef Subtype subtype = None
    cdef object item
    cdef str key
    cdef int64_t slot
    if node.component != NULL:
        raise refusal("a place has at most one component", argument, steps(step))
    component = component_of(arena, node)
    if strict and PyDict_Size(value) == 0:
        raise refusal("a component must not be empty", argument, steps(step))
    while PyDict_Next(value, &at, &key_pointer, &inner):
        if not PyUnicode_CheckExact(<object> key_pointer):
            raise refusal("the keys of a component must be strings", argument, steps(step))
        key = <str> <object> key_pointer
        item = <object> inner
        if key == "p" or key == "d":
            slot = natural(item)
            if slot < 0:
                raise refusal("a slot must be an integer, at least 0", argument, steps(step, key))
            if key == "p":
                component.pick = slot
                counts.picks += 1
            else:
                component.drop = slot
                counts.drops += 1
        elif key == "r" or key == "i":
            check_value_at(item, depth, argument, step, key)
            Py_XINCREF(inner)
            if key == "r":
                Py_XDECREF(component.removed)
                component.removed = inner
            else:
                Py_XDECREF(component.inserted)
                component.inserted = inner
        elif key == "et":
            type_name = item
        elif key == "e":
            general = item
        elif key == "es" or key == "ena":
            if component.subtype != NULL:
                raise refusal("a component has at most one edit", argument, steps(step))
            subtype = subtypes.text if key == "es" else subtypes.number
            if strict:
                check_edit(subtype, item, argument, step, key)
            hold_edit(component, subtype, item)
        else:
            raise refusal(f"a component has no {key!r}", argument, steps(step))
    if type_name is not ABSENT or general is not ABSENT:
        if component.subtype != NULL:
            raise refusal("a component has at most one edit", argument, steps(step))
        if type_name is ABSENT or general is ABSENT:
            raise refusal("'e' and 'et' go together", argument, steps(step))
        subtype = subtypes.find(type_name)
        if subtype is None:
            raise refusal("there is no document type of this name", argument, steps(step, "et"))
        # Edits of json1 within edits of json1 would let it call itself without an end.
        check_value_at(general, depth, argument, step, "e")
        if strict:
            check_edit(subtype, general, argument, step, "e")
        hold_edit(component, subtype, general)
    if component.pick != NO_SLOT and component.removed != NULL:
        raise refusal("what is picked up cannot be removed too", argument, steps(step))
    if component.drop != NO_SLOT and component.inserted != NULL:
        raise refusal("only one thing can be put in one place", argument, steps(step))
    return 0


cdef void hold_edit(Component *component, Subtype subtype, object edit) noexcept:
    cdef PyObject *old_subtype = component.subtype
    cdef PyObject *old_edit = component.edit
    component.subtype = <PyObject *> subtype
    component.edit = <PyObject *> edit
    Py_XINCREF(component.subtype)
    Py_XINCREF(component.edit)
    Py_XDECREF(old_subtype)
    Py_XDECREF(old_edit)


cdef int decode_part(
    Arena *arena, Node *node, list part, Py_ssize_t depth, Counts *counts, const Step *outer, str argument,
    Subtypes subtypes, bint strict,
) except -1:
    """Reads one list, which starts at `node`."""
    cdef Step step
    cdef Node *start = node
    cdef Node *last
    cdef object item
    cdef int64_t index
    cdef Py_ssize_t branches = 0
    cdef Py_ssize_t i
    cdef bint after_key = outer == NULL
    step.outer = outer
    step.nesting = 1 if outer == NULL else outer.nesting + 1
    if PyList_GET_SIZE(part) == 0:
        raise refusal("a list in an operation must not be empty", argument, steps(outer))
    # `i` runs to the size as it is at the time: the checks of registered types may run code of anyone.
    i = 0
    while i < PyList_GET_SIZE(part):
        step.index = i
        item = <object> PyList_GET_ITEM(part, i)
        i += 1
        if PyList_CheckExact(item):
            if strict and node == start and outer != NULL and i == 1:
                raise refusal("a branch must start with its key", argument, steps(&step))
            branches += 1
            if step.nesting > MAX_DEPTH:
                raise refusal("the operation is nested too deeply", argument, steps(&step))
            last = node.near
            decode_part(arena, node, item, depth, counts, &step, argument, subtypes, strict)
            # A branch makes one new child, which must be behind the one before it.
            if strict and branches > 1 and (last == node.near or last.next != node.near):
                raise refusal("branches must be in the order of their keys", argument, steps(&step))
            after_key = False
            continue
        if PyDict_CheckExact(item):
            if strict and not after_key:
                raise refusal("a component must follow its key", argument, steps(&step))
            if not strict and PyDict_Size(item) == 0:
                continue
            decode_component(arena, node, item, depth, counts, &step, argument, subtypes, strict)
            after_key = False
            continue
        if branches and strict:
            raise refusal("nothing but branches can follow a branch", argument, steps(&step))
        if depth >= MAX_DEPTH:
            raise refusal("the operation is nested too deeply", argument, steps(&step))
        depth += 1
        if PyUnicode_CheckExact(item):
            if (<str> item) == "__proto__":
                raise refusal("the key '__proto__' is not allowed", argument, steps(&step))
            try:
                check_text(item)
            except OperationError as error:
                raise refusal(error.reason, argument, steps(&step)) from None
            node = child_of(arena, node, <PyObject *> item, 0)
        else:
            index = natural(item)
            if index < 0:
                raise refusal("a key must be a string, or an integer of at least 0", argument, steps(&step))
            node = child_of(arena, node, NULL, index)
        after_key = True
    if strict:
        if branches == 1:
            raise refusal("a single branch must not be a list of its own", argument, steps(outer))
        if after_key:
            raise refusal("an operation must not end with a key", argument, steps(outer))
    return 0


cdef int count_slot(char *seen, Py_ssize_t slots, Py_ssize_t slot, const Node *node, str key, str argument) except -1:
    if slot >= slots:
        raise refusal("slots must be numbered from 0 without a gap, and each be picked up and dropped once",
                      argument, place_in_operation(node, key))
    if seen[slot]:
        raise refusal("a slot is used twice", argument, place_in_operation(node, key))
    seen[slot] = 1
    return 0


cdef int count_slots(char *picked, char *dropped, Py_ssize_t slots, const Node *node, str argument) except -1:
    cdef const Node *child = node.first
    if node.component != NULL:
        if node.component.pick != NO_SLOT:
            count_slot(picked, slots, node.component.pick, node, "p", argument)
        if node.component.drop != NO_SLOT:
            count_slot(dropped, slots, node.component.drop, node, "d", argument)
    while child != NULL:
        count_slots(picked, dropped, slots, child, argument)
        child = child.next
    return 0


cdef Node *decode(Arena *arena, object operation, str argument, Subtypes subtypes, Py_ssize_t *slots) except NULL:
    """The operation as a tree; `slots` becomes the number of its moves. None is a tree with a root alone."""
    cdef Node *root = new_node(arena, NULL, NULL, 0)
    cdef Counts counts = Counts(0, 0)
    cdef char *seen
    slots[0] = 0
    if operation is None:
        return root
    if not PyList_CheckExact(operation):
        raise refusal(f"an operation must be a list or None, not {type(operation).__name__}", argument, ())
    decode_part(arena, root, operation, 0, &counts, NULL, argument, subtypes, True)
    if counts.picks != counts.drops:
        raise refusal("what is picked up must be dropped, and nothing else", argument, ())
    if counts.picks:
        slots[0] = counts.picks
        seen = <char *> scratch(arena, 2 * counts.picks)
        count_slots(seen, &seen[counts.picks], counts.picks, root, argument)
    return root


cdef Node *decode_loose(Arena *arena, object operation, Subtypes subtypes) except NULL:
    """The operation as a tree, if it can be understood; its slots and edits are not checked."""
    cdef Node *root = new_node(arena, NULL, NULL, 0)
    cdef Counts counts = Counts(0, 0)
    if operation is None:
        return root
    if not PyList_CheckExact(operation):
        raise refusal(f"an operation must be a list or None, not {type(operation).__name__}", "operation", ())
    if PyList_GET_SIZE(operation):
        decode_part(arena, root, operation, 0, &counts, NULL, "operation", subtypes, False)
    return root


# -- writing ------------------------------------------------------------------------------------------------

cdef inline bint says_something(const Component *component) noexcept:
    # What is picked up for a move that turns out to be none leaves a component without content.
    return component != NULL and (has_pick(component) or has_drop(component) or has_edit(component))


cdef bint is_empty(const Node *node) noexcept:
    """Whether nothing happens at the node or below it."""
    cdef const Node *child = node.first
    if says_something(node.component):
        return False
    while child != NULL:
        if not is_empty(child):
            return False
        child = child.next
    return True


cdef bint prune(Node *node) noexcept:
    """Takes out of the tree what leads nowhere; tells whether anything is left."""
    cdef Node **link = &node.first
    while link[0] != NULL:
        if prune(link[0]):
            link = &link[0].next
        else:
            link[0] = link[0].next
    if not says_something(node.component):
        node.component = NULL
    return node.component != NULL or node.first != NULL


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
        if subtype.name == "text-unicode":
            result["es"] = copy_value(<object> component.edit)
        elif subtype.name == "number":
            result["ena"] = <object> component.edit
        else:
            result["et"] = subtype.name
            result["e"] = copy_value(<object> component.edit)
    return result


cdef int encode_into(list part, const Node *node) except -1:
    cdef const Node *child
    cdef list branch
    while True:
        if node.parent != NULL:
            part.append(<object> node.name if node.name != NULL else node.index)
        if node.component != NULL:
            part.append(encode_component(node.component))
        if node.first == NULL:
            return 0
        if node.first.next != NULL:
            break
        node = node.first
    child = node.first
    while child != NULL:
        branch = []
        encode_into(branch, child)
        part.append(branch)
        child = child.next
    return 0


cdef object encode(Node *root):
    """The tree as a new list, or None if nothing happens in it. Takes out of the tree what leads nowhere."""
    cdef list result
    if not prune(root):
        return None
    result = []
    encode_into(result, root)
    return result


cdef Node *along_path(Arena *arena, Node *root, const Node *node) except NULL:
    """The place in the tree of `root` that has the same path as `node` has in its own."""
    if node.parent == NULL:
        return root
    return child_of(arena, along_path(arena, root, node.parent), node.name, node.index)


cdef Node *copied(Arena *arena, Node *node, Node *parent) except NULL:
    """The tree below `node` as it is now, with the same components: what is written to them shows in both."""
    cdef Node *copy = new_node(arena, parent, node.name, node.index)
    cdef Node **link = &copy.first
    cdef Node *child = node.first
    copy.component = node.component
    while child != NULL:
        link[0] = copied(arena, child, copy)
        link = &link[0].next
        child = child.next
    return copy


cdef int merge(Arena *arena, Node *target, const Node *source) except -1:
    """Writes all that is in the tree of `source` into that of `target`."""
    cdef Component *component
    cdef const Node *child = source.first
    if says_something(source.component):
        component = component_of(arena, target)
        if source.component.pick != NO_SLOT:
            component.pick = source.component.pick
        if source.component.drop != NO_SLOT:
            component.drop = source.component.drop
        if source.component.removed != NULL:
            set_removed(arena, target, source.component.removed)
        if source.component.inserted != NULL:
            set_inserted(arena, target, source.component.inserted)
        if source.component.subtype != NULL:
            hold_edit(component, <Subtype> <object> source.component.subtype, <object> source.component.edit)
    while child != NULL:
        merge(arena, child_of(arena, target, child.name, child.index), child)
        child = child.next
    return 0


cdef int write_edit(Arena *arena, Node *node, Subtype subtype, object edit, bint keep_empty) except -1:
    """Writes the edit, unless it says nothing."""
    if keep_empty or not subtype.is_empty(edit):
        hold_edit(component_of(arena, node), subtype, edit)
    return 0


cdef int set_removed(Arena *arena, Node *node, PyObject *value) except -1:
    cdef Component *component = component_of(arena, node)
    Py_XINCREF(value)
    Py_XDECREF(component.removed)
    component.removed = value
    return 0


cdef int set_inserted(Arena *arena, Node *node, PyObject *value) except -1:
    cdef Component *component = component_of(arena, node)
    Py_XINCREF(value)
    Py_XDECREF(component.inserted)
    component.inserted = value
    return 0
