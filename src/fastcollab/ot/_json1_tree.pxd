"""Operations of json1 as trees of C structs; the ``.pyx`` tells how they are kept."""

from cpython.object cimport PyObject
from libc.stdint cimport int64_t

from fastcollab.ot._json1_subtypes cimport Subtype, Subtypes

cdef enum:
    NO_SLOT = -1

    # How deep an operation may reach into a document, and how deep a document may be. Encoders of JSON give up at
    # about 250 levels, and a document travels within a message.
    MAX_DEPTH = 200

    # An operation of at most so many nodes and components needs no memory from the heap.
    INLINE_NODES = 28
    INLINE_COMPONENTS = 12
    BLOCK = 120

cdef struct Component:
    Py_ssize_t pick     # the slot that what is here is moved into, or NO_SLOT
    Py_ssize_t drop     # the slot that is put here, or NO_SLOT
    PyObject *removed   # the value of "r", or NULL; owned, as are all below
    PyObject *inserted  # the value of "i", or NULL
    PyObject *subtype   # a Subtype, or NULL
    PyObject *edit      # of that subtype, or NULL
    bint marked         # for the use of whoever walks the tree

cdef struct Node:
    Node *parent        # NULL: the root
    Node *first         # the first child; children are in the order of their keys
    Node *next          # the next child of the parent
    Node *near          # the child that was last asked for in writing
    PyObject *name      # the key in an object; NULL: the key is `index`
    int64_t index
    Component *component  # NULL: nothing happens here

cdef struct NodeBlock:
    NodeBlock *next
    Py_ssize_t used
    Node[BLOCK] nodes

cdef struct ComponentBlock:
    ComponentBlock *next
    Py_ssize_t used
    Component[BLOCK] components

cdef struct Scratch:
    Scratch *next

cdef struct Arena:
    # Memory of all trees of one call; `begin` before use, `release` after.
    Py_ssize_t nodes_used
    Py_ssize_t components_used
    NodeBlock *node_blocks
    ComponentBlock *component_blocks
    Scratch *scratch
    Node[INLINE_NODES] nodes
    Component[INLINE_COMPONENTS] components

cdef struct Walk:
    # A walk through the children of a node, in their order; see `seek`.
    Node *at
    int64_t passed      # how many of the children left behind counted
    bint mapped         # keys are shifted by what was passed
    bint drops          # drops count
    bint picks          # picks and removes count


cdef inline void begin(Arena *arena) noexcept:
    arena.nodes_used = 0
    arena.components_used = 0
    arena.node_blocks = NULL
    arena.component_blocks = NULL
    arena.scratch = NULL


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


cdef inline Walk walk(Node *node, bint mapped, bint drops, bint picks) noexcept:
    cdef Walk children = Walk(NULL, 0, mapped, drops, picks)
    if node != NULL:
        children.at = node.first
    return children


cdef void release(Arena *arena) noexcept
cdef void *scratch(Arena *arena, size_t size) except NULL
cdef Node *new_node(Arena *arena, Node *parent, PyObject *name, int64_t index) except NULL
cdef Component *component_of(Arena *arena, Node *node) except NULL
cdef int compare(PyObject *name, int64_t index, const Node *node) noexcept
cdef Node *child_of(Arena *arena, Node *node, PyObject *name, int64_t index) except NULL
cdef Node *seek(Walk *walk, PyObject *name, int64_t index) noexcept
cdef Node *decode(Arena *arena, object operation, str argument, Subtypes subtypes, Py_ssize_t *slots) except NULL
cdef Node *decode_loose(Arena *arena, object operation, Subtypes subtypes) except NULL
cdef object encode(Node *root)
cdef list path_of(const Node *node)
cdef tuple place_in_operation(const Node *node, str key)
cdef Node *along_path(Arena *arena, Node *root, const Node *node) except NULL
cdef Node *copied(Arena *arena, Node *node, Node *parent) except NULL
cdef int merge(Arena *arena, Node *target, const Node *source) except -1
cdef bint is_empty(const Node *node) noexcept
cdef int write_edit(Arena *arena, Node *node, Subtype subtype, object edit, bint keep_empty) except -1
cdef int set_removed(Arena *arena, Node *node, PyObject *value) except -1
cdef int set_inserted(Arena *arena, Node *node, PyObject *value) except -1
