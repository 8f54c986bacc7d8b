"""JSON values as they are in Python: checked, copied, and compared as JavaScript would.

JavaScript knows one kind of number and keeps it apart from booleans: there ``1`` is ``1.0`` but not ``true``, and
integers beyond 2^53 are equal to their neighbours. Python has it the other way round in each point. Values pass
through unchanged all the same; only `same_value`, where an outcome depends on it, takes JavaScript's view.

Not every object that Python calls a list, dict, str or number is taken for one: subclasses may run code of their
own while an operation is half done. Nor is the key ``__proto__``, which JavaScript loses when it copies an object.
"""

from cpython.dict cimport (
    PyDict_CheckExact, PyDict_Copy, PyDict_DelItem, PyDict_GetItemWithError, PyDict_Next, PyDict_SetItem, PyDict_Size,
)
from cpython.float cimport PyFloat_AS_DOUBLE, PyFloat_CheckExact
from cpython.list cimport PyList_CheckExact, PyList_GET_ITEM, PyList_GET_SIZE, PyList_GetSlice
from cpython.long cimport PyLong_AsDouble, PyLong_CheckExact
from cpython.object cimport PyObject
from cpython.unicode cimport PyUnicode_CheckExact
from libc.math cimport isfinite
from libc.stdint cimport int64_t

from fastcollab.ot._unicode cimport has_surrogate

from fastcollab.ot.absent import ABSENT
from fastcollab.ot.errors import OperationError

cdef extern from "Python.h":
    # Sets no exception if the value is exactly an `int`.
    int64_t PyLong_AsLongLongAndOverflow(object value, int *overflow) noexcept
    # NULL for `items` takes the slice out.
    int PyList_SetSlice(object items, Py_ssize_t low, Py_ssize_t high, PyObject *new_items) except -1

cdef object LARGEST = (1 << 64) - 1


cdef object refusal(str reason, str argument, tuple path):
    """The error for `argument`; the reason names it if it is not simply the operation."""
    if argument != "operation":
        reason = f"in the argument {argument!r}: {reason}"
    return OperationError(reason, path)


cdef str flaw_in_name(str name):
    """What keeps the string from being a key of an object, or None."""
    if has_surrogate(name):
        return "text must not have lone surrogates"
    if name == "__proto__":
        return "the key '__proto__' is not allowed"
    return None


cdef str flaw_in(object value, Py_ssize_t room):
    """What keeps the value from being a JSON value of at most `room` levels, or None.

    No exception, since those who ask know better where the value is.
    """
    cdef int overflow = 0
    cdef Py_ssize_t at = 0
    cdef Py_ssize_t i
    cdef PyObject *key = NULL
    cdef PyObject *inner = NULL
    cdef str flaw = None
    if value is True or value is None or value is False:
        return None
    if PyUnicode_CheckExact(value):
        return "text must not have lone surrogates" if has_surrogate(value) else None
    if PyLong_CheckExact(value):
        PyLong_AsLongLongAndOverflow(value, &overflow)
        if overflow < 0 or (overflow > 0 and value > LARGEST):
            return "an integer must be representable in 64 bits"
        return None
    if PyFloat_CheckExact(value):
        return None if isfinite(PyFloat_AS_DOUBLE(value)) else "a number must be finite"
    if PyList_CheckExact(value):
        if room <= 0:
            return "the document would be nested too deeply"
        for i in range(PyList_GET_SIZE(value)):
            flaw = flaw_in(<object> PyList_GET_ITEM(value, i), room - 1)
            if flaw is not None:
                return flaw
        return None
    if PyDict_CheckExact(value):
        if room <= 0:
            return "the document would be nested too deeply"
        while PyDict_Next(value, &at, &key, &inner):
            if not PyUnicode_CheckExact(<object> key):
                return "the keys of an object must be strings"
            flaw = flaw_in_name(<str> <object> key)
            if flaw is None:
                flaw = flaw_in(<object> inner, room - 1)
            if flaw is not None:
                return flaw
        return None
    return f"a value must be JSON, not {type(value).__name__}"


cdef int check_value(object value, Py_ssize_t room) except -1:
    """Refuses what is no JSON value, or one of more than `room` levels."""
    cdef str flaw = flaw_in(value, room)
    if flaw is not None:
        raise OperationError(flaw)
    return 0


cdef inline bint is_container(object value) noexcept:
    return PyDict_CheckExact(value) or PyList_CheckExact(value)


cdef object copy_value(object value):
    """The value with lists and dicts of its own."""
    cdef Py_ssize_t at = 0
    cdef Py_ssize_t i
    cdef PyObject *key = NULL
    cdef PyObject *inner = NULL
    cdef list items
    cdef dict members
    # Copied in one go and then gone through: most members are no containers and stay as they are.
    if PyDict_CheckExact(value):
        members = PyDict_Copy(value)
        while PyDict_Next(value, &at, &key, &inner):
            if is_container(<object> inner):
                members[<object> key] = copy_value(<object> inner)
        return members
    if PyList_CheckExact(value):
        items = PyList_GetSlice(value, 0, PyList_GET_SIZE(value))
        for i in range(PyList_GET_SIZE(items)):
            if is_container(<object> PyList_GET_ITEM(items, i)):
                items[i] = copy_value(<object> PyList_GET_ITEM(items, i))
        return items
    return value


cdef bint is_number(object value) noexcept:
    return PyLong_CheckExact(value) or PyFloat_CheckExact(value)


cdef double as_double(object value) except? -1.0:
    return PyFloat_AS_DOUBLE(value) if PyFloat_CheckExact(value) else PyLong_AsDouble(value)


cdef bint same_value(object left, object right) except -1:
    """Whether two values that have been checked are equal in JavaScript."""
    cdef Py_ssize_t at = 0
    cdef Py_ssize_t i
    cdef PyObject *key = NULL
    cdef PyObject *inner = NULL
    cdef PyObject *other
    if left is right:
        return True
    if is_number(left):
        return is_number(right) and as_double(left) == as_double(right)
    if PyUnicode_CheckExact(left):
        return PyUnicode_CheckExact(right) and (<str> left) == (<str> right)
    if PyList_CheckExact(left):
        if not PyList_CheckExact(right) or PyList_GET_SIZE(left) != PyList_GET_SIZE(right):
            return False
        for i in range(PyList_GET_SIZE(left)):
            if not same_value(<object> PyList_GET_ITEM(left, i), <object> PyList_GET_ITEM(right, i)):
                return False
        return True
    if PyDict_CheckExact(left):
        if not PyDict_CheckExact(right) or PyDict_Size(left) != PyDict_Size(right):
            return False
        while PyDict_Next(left, &at, &key, &inner):
            other = PyDict_GetItemWithError(right, <object> key)
            if other == NULL or not same_value(<object> inner, <object> other):
                return False
        return True
    return False


cdef Py_ssize_t depth_of(object value, Py_ssize_t limit) except -1:
    """How many levels of lists and dicts there are; counting stops beyond `limit`."""
    cdef Py_ssize_t deepest = 0
    cdef Py_ssize_t at = 0
    cdef Py_ssize_t i
    cdef PyObject *key = NULL
    cdef PyObject *inner = NULL
    if PyList_CheckExact(value):
        if limit <= 0:
            return 1
        for i in range(PyList_GET_SIZE(value)):
            deepest = max(deepest, depth_of(<object> PyList_GET_ITEM(value, i), limit - 1))
        return deepest + 1
    if PyDict_CheckExact(value):
        if limit <= 0:
            return 1
        while PyDict_Next(value, &at, &key, &inner):
            deepest = max(deepest, depth_of(<object> inner, limit - 1))
        return deepest + 1
    return 0


cdef object member(object container, PyObject *name, int64_t index):
    """What is in the list or dict under that key, or ABSENT."""
    cdef PyObject *value
    if name == NULL:
        if PyList_CheckExact(container) and 0 <= index < PyList_GET_SIZE(container):
            return <object> PyList_GET_ITEM(container, index)
        return ABSENT
    if PyDict_CheckExact(container):
        value = PyDict_GetItemWithError(container, <object> name)
        if value != NULL:
            return <object> value
    return ABSENT


cdef object shallow_copy(object value):
    """A list or dict of its own with the same members; any other value as it is."""
    if PyDict_CheckExact(value):
        return PyDict_Copy(value)
    if PyList_CheckExact(value):
        return PyList_GetSlice(value, 0, PyList_GET_SIZE(value))
    return value


cdef int set_member(object container, PyObject *name, int64_t index, object value) except -1:
    """Replaces what `member` finds in the list or dict, or takes it out if `value` is ABSENT."""
    if name == NULL:
        if value is ABSENT:
            PyList_SetSlice(container, index, index + 1, NULL)
        else:
            (<list> container)[index] = value
    elif value is ABSENT:
        PyDict_DelItem(container, <object> name)
    else:
        PyDict_SetItem(container, <object> name, value)
    return 0
