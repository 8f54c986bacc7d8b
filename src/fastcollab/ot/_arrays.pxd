"""The arrays that operations are decoded into: short ones on the C stack, longer ones on the heap."""

from cpython.mem cimport PyMem_Malloc, PyMem_Realloc
from libc.string cimport memcpy


cdef inline void *grow(
    void *items, const void *inline_items, size_t item_size, Py_ssize_t count, Py_ssize_t *capacity, Py_ssize_t wanted
) except NULL:
    """Where the `count` items are once there is room for `wanted`, more than there was; they may have moved.

    The room is at least doubled, so that appending stays linear.
    """
    cdef Py_ssize_t room = max(wanted, 2 * capacity[0])
    cdef void *moved
    if items == inline_items:
        moved = PyMem_Malloc(room * item_size)
        if moved != NULL:
            memcpy(moved, inline_items, count * item_size)
    else:
        moved = PyMem_Realloc(items, room * item_size)
    if moved == NULL:
        raise MemoryError
    capacity[0] = room
    return moved
