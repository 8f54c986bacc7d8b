"""How large JSON values are."""

cdef Py_ssize_t size_of(object value) except -1
cdef object growth(object old, object new)
