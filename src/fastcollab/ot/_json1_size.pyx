"""How large JSON values are, and by how much one is larger than another that it shares most with.

A document is bounded in size, so that its size must be known after each operation; to encode it for that would cost as
much as the document is large. But it shares with the one before it all that the operation left unchanged, as the same
objects. So it is enough to walk where they differ: down the changed members, past the others by their identity. Only
what was put in or taken out is encoded.
"""

from cpython.dict cimport PyDict_CheckExact
from cpython.list cimport PyList_CheckExact
from cpython.unicode cimport PyUnicode_CheckExact

import orjson

from fastcollab.ot._json1_values cimport ABSENT

cdef object json = orjson.dumps


cdef Py_ssize_t size_of(object document) except -1:
    """The bytes that a document takes as JSON in UTF-8, or a text as such; 0 if there is none."""
    if document is ABSENT:
        return 0
    return len((<str> document).encode() if PyUnicode_CheckExact(document) else json(document))


cdef object growth(object old, object new):
    """By how many bytes of JSON in UTF-8 `new` takes more than `old`."""
    if old is new:
        return 0
    if PyDict_CheckExact(old) and PyDict_CheckExact(new):
        return growth_of_object(old, new)
    if PyList_CheckExact(old) and PyList_CheckExact(new):
        return growth_of_list(old, new)
    return <Py_ssize_t> len(json(new)) - <Py_ssize_t> len(json(old))


cdef object growth_of_object(dict old, dict new):
    cdef Py_ssize_t grown = commas(len(new)) - commas(len(old))
    cdef Py_ssize_t kept = 0
    cdef object before
    for key, value in new.items():
        before = old.get(key, ABSENT)
        if before is ABSENT:
            grown += len(json(key)) + 1 + len(json(value))
        else:
            kept += 1
            if before is not value:
                grown += <Py_ssize_t> growth(before, value)
    if kept < len(old):
        for key, value in old.items():
            if key not in new:
                grown -= len(json(key)) + 1 + len(json(value))
    return grown


cdef object growth_of_list(list old, list new):
    cdef Py_ssize_t old_end = len(old)
    cdef Py_ssize_t new_end = len(new)
    cdef Py_ssize_t grown = commas(new_end) - commas(old_end)
    cdef Py_ssize_t start = 0
    cdef Py_ssize_t index
    while start < old_end and start < new_end and old[start] is new[start]:
        start += 1
    while start < old_end and start < new_end and old[old_end - 1] is new[new_end - 1]:
        old_end -= 1
        new_end -= 1
    if old_end == new_end:
        for index in range(start, old_end):
            grown += <Py_ssize_t> growth(old[index], new[index])
        return grown
    for index in range(start, old_end):
        grown -= len(json(old[index]))
    for index in range(start, new_end):
        grown += len(json(new[index]))
    return grown


cdef Py_ssize_t commas(Py_ssize_t members) noexcept:
    return max(0, members - 1)
