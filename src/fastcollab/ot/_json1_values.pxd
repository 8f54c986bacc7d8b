"""JSON values of Python, as JavaScript sees them."""

from cpython.object cimport PyObject
from libc.stdint cimport int64_t

cdef object ABSENT

cdef int check_value(object value, Py_ssize_t room) except -1
cdef str flaw_in(object value, Py_ssize_t room)
cdef str flaw_in_name(str name)
cdef object copy_value(object value)
cdef bint same_value(object left, object right) except -1
cdef Py_ssize_t depth_of(object value, Py_ssize_t limit) except -1
cdef object refusal(str reason, str argument, tuple path)
cdef object member(object container, PyObject *name, int64_t index)
cdef object shallow_copy(object value)
cdef int set_member(object container, PyObject *name, int64_t index, object value) except -1
