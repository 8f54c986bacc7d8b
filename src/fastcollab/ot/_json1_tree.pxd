"""Operations of json1 as trees of C structs; the ``.pyx`` tells how they are kept."""

from cpython.object cimport PyObject
from cpython.ref cimport Py_INCREF
from libc.stdint cimport int64_t

from fastcollab.ot._json1_subtypes cimport Subtype

cdef enum:
    NO_SLOT = -1

    # A call needs no memory from the heap as long as its trees fit into so many words: some seventy nodes.
    INLINE_WORDS = 512

cdef struct Component:
    Py_ssize_t pick     # the slot that what is here is moved into, or NO_SLOT
    Py_ssize_t drop     # the slot that is put here, or NO_SLOT
    PyObject *removed   # the value of "r", or NULL; borrowed from the arena, as are all below
    PyObject *inserted  # the value of "i", or NULL
    PyObject *subtype   # a Subtype, or NULL
    PyObject *edit      # of that subtype, or NULL
    bint marked         # for the use of whoever walks the tree

cdef struct Node:
    Node *parent        # NULL: the root
    Node *first         # the first child; children are in the order of their keys
    Node *next          # the next child of the parent
    Node *near          # the child that was last asked for in writing
    PyObject *name      # the key in an object, borrowed from the arena; NULL: the key is `index`
    int64_t index
    Component *component  # NULL: nothing happens here

cdef struct Place:
    # A place in a tree that is being written. Most lead nowhere, so it gets its node when something is written there.
    Place *outer
    PyObject *name
    int64_t index
    Node *node          # NULL: none as yet

cdef struct Block:
    Block *next

cdef struct Kept:
    Kept *next
    PyObject *object

cdef struct Arena:
    # Memory of all trees of one call; `begin` before use, `release` after.
    char *free          # from here on
    char *end           # up to here
    Block *blocks
    Kept *kept          # the Python objects that the trees point to
    int64_t[INLINE_WORDS] memory

cdef struct Operation:
    Node *root
    Py_ssize_t moves    # their slots are numbered from 0

cdef struct Walk:
    # A walk through the children of a node, in their order; see `seek`.
    Node *at
    int64_t passed      # how many of the children left behind counted
    bint mapped         # keys are shifted by what was passed
    bint drops          # drops count
    bint picks          # picks and removes count


cdef void *allocate_block(Arena *arena, size_t size) except NULL


cdef inline void begin(Arena *arena) noexcept:
    arena.free = <char *> arena.memory
    arena.end = <char *> (arena.memory + INLINE_WORDS)
    arena.blocks = NULL
    arena.kept = NULL


cdef inline void *allocate(Arena *arena, size_t size) except NULL:
    """Memory of `size` bytes, a multiple of 8, that goes with the arena."""
    cdef char *place = arena.free
    if size > <size_t> (arena.end - place):
        return allocate_block(arena, size)
    arena.free = place + size
    return place


cdef inline PyObject *keep(Arena *arena, object value) except NULL:
    """The object, to be pointed to from the arena's trees: it lives as long as they do."""
    cdef Kept *kept = <Kept *> allocate(arena, sizeof(Kept))
    kept[0] = Kept(arena.kept, <PyObject *> value)
    arena.kept = kept
    Py_INCREF(value)
    return <PyObject *> value


cdef inline Node *new_node(Arena *arena, Node *parent, PyObject *name, int64_t index) except NULL:
    """A node that no list of children has yet."""
    cdef Node *node = <Node *> allocate(arena, sizeof(Node))
    node[0] = Node(parent, NULL, NULL, NULL, name, index, NULL)
    return node


cdef inline Component *component_of(Arena *arena, Node *node) except NULL:
    """The node's component, which is made if there is none."""
    if node.component == NULL:
        node.component = <Component *> allocate(arena, sizeof(Component))
        node.component[0] = Component(NO_SLOT, NO_SLOT, NULL, NULL, NULL, NULL, False)
    return node.component


cdef inline int set_removed(Arena *arena, Node *node, PyObject *value) except -1:
    component_of(arena, node).removed = value
    return 0


cdef inline int set_inserted(Arena *arena, Node *node, PyObject *value) except -1:
    component_of(arena, node).inserted = value
    return 0


cdef inline int set_edit(Arena *arena, Node *node, PyObject *subtype, PyObject *edit) except -1:
    cdef Component *component = component_of(arena, node)
    component.subtype = subtype
    component.edit = edit
    return 0


cdef inline Component *component_at(const Node *node) noexcept:
    if node == NULL:
        return NULL
    return node.component


cdef inline Node *first_child(const Node *node) noexcept:
    if node == NULL:
        return NULL
    return node.first


cdef inline bint has_pick(const Component *component) noexcept:
    """Whether something leaves this place: it is picked up or removed."""
    return component != NULL and (component.pick != NO_SLOT or component.removed != NULL)


cdef inline bint has_drop(const Component *component) noexcept:
    """Whether something comes to this place: it is dropped or inserted."""
    return component != NULL and (component.drop != NO_SLOT or component.inserted != NULL)


cdef inline bint has_edit(const Component *component) noexcept:
    return component != NULL and component.subtype != NULL


cdef inline bint says_something(const Component *component) noexcept:
    # What is picked up for a move that turns out to be none leaves a component without content.
    return component != NULL and (has_pick(component) or has_drop(component) or has_edit(component))


cdef inline Walk walk(Node *node, bint mapped, bint drops, bint picks) noexcept:
    return Walk(first_child(node), 0, mapped, drops, picks)


cdef void release(Arena *arena) noexcept
cdef int hand_over(Arena *arena, Arena *heir) except -1
cdef void *zeroed(Arena *arena, size_t size) except NULL
cdef int compare(PyObject *name, int64_t index, const Node *node) noexcept
cdef Node *child_of(Arena *arena, Node *node, PyObject *name, int64_t index) except NULL
cdef Node *seek(Walk *walk, PyObject *name, int64_t index) noexcept
cdef list path_of(const Node *node)
cdef tuple place_in_operation(const Node *node, str key)
cdef Node *along_path(Arena *arena, Node *root, const Node *node) except NULL
cdef Node *copied(Arena *arena, Node *node, Node *parent) except NULL
cdef int merge(Arena *arena, Node *target, const Node *source) except -1
cdef bint is_empty(const Node *node) noexcept
cdef bint prune(Node *node) noexcept
cdef int write_edit(Arena *arena, Node *node, Subtype subtype, object edit) except -1


cdef inline Node *node_at(Arena *arena, Place *place) except NULL:
    """The node at the place, which is made if there is none."""
    if place.node == NULL:
        place.node = child_of(arena, node_at(arena, place.outer), place.name, place.index)
    return place.node
