"""Operations of json1 as trees.

An operation is a tree that mirrors the document: keys lead down, and components say what happens where they lead
to (`_json1_form` has its form as JSON). A tree is made of `Node` structs linked by pointers, with a `Component`
where something happens. Nodes that lead nowhere may stand in a tree that is being written: `prune` takes them out.

Memory. All nodes and components of a call are in one `Arena`, on the stack as long as they are few, and go with
it: no node outlives the call, and none is freed before. Trees own nothing: the arena keeps a reference to every
Python object that one of them points to, once, when it comes from outside (`keep`); from tree to tree they are
handed on as pointers. It has to keep them, since other code may run while an operation is half done (that of a
registered type) and might drop its own references.

Order of keys: numbers, then strings, and strings by their UTF-16 units, in which JavaScript compares: so
characters beyond U+FFFF come before U+E000 to U+FFFF.
"""

from cpython.mem cimport PyMem_Free, PyMem_Malloc
from cpython.object cimport PyObject
from cpython.ref cimport Py_DECREF
from libc.stdint cimport int64_t
from libc.string cimport memset

from fastcollab.ot._json1_subtypes cimport Subtype
from fastcollab.ot._unicode cimport CodePoint, PyUnicode_DATA, PyUnicode_GET_LENGTH, PyUnicode_KIND, PyUnicode_READ

# The bytes of a block from the heap, unless one thing needs more.
cdef size_t BLOCK_SIZE = 16_000


# -- memory -------------------------------------------------------------------------------------------------

cdef void *allocate_block(Arena *arena, size_t size) except NULL:
    """A new block, of which the first `size` bytes are given."""
    cdef size_t room = max(BLOCK_SIZE, size)
    cdef Block *block = <Block *> PyMem_Malloc(sizeof(Block) + room)
    if block == NULL:
        raise MemoryError
    block.next = arena.blocks
    arena.blocks = block
    arena.free = <char *> (block + 1) + size
    arena.end = <char *> (block + 1) + room
    return block + 1


cdef void *zeroed(Arena *arena, size_t size) except NULL:
    """Zeroed memory of at least `size` bytes that goes with the arena."""
    cdef void *memory = allocate(arena, (size + 7) // 8 * 8)
    memset(memory, 0, size)
    return memory


cdef void release(Arena *arena) noexcept:
    cdef Kept *kept = arena.kept
    cdef Block *block
    # What runs when an object goes knows nothing of the arena.
    while kept != NULL:
        Py_DECREF(<object> kept.object)
        kept = kept.next
    arena.kept = NULL
    while arena.blocks != NULL:
        block = arena.blocks
        arena.blocks = block.next
        PyMem_Free(block)


cdef int hand_over(Arena *arena, Arena *heir) except -1:
    """Lets `heir` keep what `arena` keeps, since its trees point to that, and empties `arena`."""
    cdef Kept *kept
    cdef Kept *copy
    while arena.kept != NULL:
        kept = arena.kept
        copy = <Kept *> allocate(heir, sizeof(Kept))
        copy[0] = Kept(heir.kept, kept.object)
        heir.kept = copy
        arena.kept = kept.next
    release(arena)
    begin(arena)
    return 0


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


# -- writing ------------------------------------------------------------------------------------------------

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
    cdef const Component *written = source.component
    cdef Component *component
    cdef const Node *child = source.first
    if says_something(written):
        component = component_of(arena, target)
        if written.pick != NO_SLOT:
            component.pick = written.pick
        if written.drop != NO_SLOT:
            component.drop = written.drop
        if written.removed != NULL:
            component.removed = written.removed
        if written.inserted != NULL:
            component.inserted = written.inserted
        if written.subtype != NULL:
            component.subtype = written.subtype
            component.edit = written.edit
    while child != NULL:
        merge(arena, child_of(arena, target, child.name, child.index), child)
        child = child.next
    return 0


cdef int write_edit(Arena *arena, Node *node, Subtype subtype, object edit) except -1:
    """Writes the edit, unless it says nothing."""
    if not subtype.is_empty(edit):
        set_edit(arena, node, <PyObject *> subtype, keep(arena, edit))
    return 0
