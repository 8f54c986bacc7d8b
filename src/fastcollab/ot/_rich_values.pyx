"""The JSON values in rich text: the attributes of text, and embeds.

Attributes are an object of named formats. In an operation, a value of ``null`` takes the format away; all other
values, whatever they hold, are set as a whole. "No attributes" is ``None`` here, and never an empty object.

Quill's own code has these rules in JavaScript, and the two must agree on every value. So numbers are compared as
JavaScript compares them (by their value as a double: ``1`` equals ``1.0``, and no boolean equals a number), and
names are refused that JavaScript's objects inherit: there, ``attributes["constructor"]`` is a function whether or not
anybody has set it, and the attribute is lost.
"""

from cpython.dict cimport PyDict_CheckExact, PyDict_Contains, PyDict_Copy, PyDict_GetItemWithError, PyDict_Next
from cpython.dict cimport PyDict_SetItem, PyDict_Size
from cpython.float cimport PyFloat_AS_DOUBLE, PyFloat_CheckExact
from cpython.list cimport PyList_CheckExact, PyList_GET_ITEM, PyList_GET_SIZE
from cpython.long cimport PyLong_AsDouble, PyLong_CheckExact
from cpython.object cimport PyObject
from cpython.unicode cimport PyUnicode_CheckExact
from libc.math cimport isfinite
from libc.stdint cimport int64_t

from fastcollab.ot._unicode cimport PyUnicode_GET_LENGTH, has_surrogate, utf16_length
from fastcollab.ot.errors import OperationError

cdef extern from "Python.h":
    # Sets no exception if the value is exactly an `int`.
    int64_t PyLong_AsLongLongAndOverflow(object value, int *overflow) noexcept

cdef object LARGEST = (1 << 64) - 1

# How deep lists and objects may be inside each other. A format is seldom deeper than one, and an embed than three.
cdef int DEEPEST = 64
MAX_DEPTH = DEEPEST

cdef frozenset INHERITED = frozenset([
    "__defineGetter__", "__defineSetter__", "__lookupGetter__", "__lookupSetter__", "__proto__", "constructor",
    "hasOwnProperty", "isPrototypeOf", "propertyIsEnumerable", "toLocaleString", "toString", "valueOf",
])
cdef Py_ssize_t SHORTEST_INHERITED = min(len(name) for name in INHERITED)


# -- checking -----------------------------------------------------------------------------------------------

cdef tuple path_to(const Step *step, str last=None):
    """The path from the operation to the value at `step`, or to what is under `last` in it."""
    cdef list path = [] if last is None else [last]
    while step != NULL:
        path.append(<object> step.key if step.key != NULL else step.index)
        step = step.outer
    path.reverse()
    return tuple(path)


cdef int64_t weigh_string(str text, const Step *at) except -1:
    if has_surrogate(text):
        raise OperationError("text must not have lone surrogates", path_to(at))
    return utf16_length(text)


cdef int64_t weigh_key(object key, const Step *at) except -1:
    if not PyUnicode_CheckExact(key):
        raise OperationError(f"a key must be a string, not {type(key).__name__}", path_to(at))
    if has_surrogate(key):
        raise OperationError("a key must not have lone surrogates", path_to(at))
    if PyUnicode_GET_LENGTH(key) == 9 and key == "__proto__":
        raise OperationError("a key must not be '__proto__', which JavaScript does not keep", path_to(at))
    return utf16_length(key)


cdef int64_t weigh(object value, const Step *at, int depth) except -1:
    """Refuses what is no JSON value, and gives its weight: one, and one for each UTF-16 unit of text in it.

    `depth` is how many lists and objects are around the value.
    """
    cdef Step inner
    cdef PyObject *key = NULL
    cdef PyObject *item = NULL
    cdef Py_ssize_t i = 0
    cdef int overflow = 0
    cdef int64_t weight = 1
    if PyUnicode_CheckExact(value):
        return weight + weigh_string(value, at)
    if value is None or value is True or value is False:
        return weight
    if PyLong_CheckExact(value):
        PyLong_AsLongLongAndOverflow(value, &overflow)
        if overflow < 0 or (overflow > 0 and value > LARGEST):
            raise OperationError("an integer must be representable in 64 bits", path_to(at))
        return weight
    if PyFloat_CheckExact(value):
        if not isfinite(PyFloat_AS_DOUBLE(value)):
            raise OperationError("a number must be finite", path_to(at))
        return weight
    if not PyList_CheckExact(value) and not PyDict_CheckExact(value):
        raise OperationError(f"{type(value).__name__} is no type of JSON", path_to(at))
    if depth >= DEEPEST:
        raise OperationError(f"values must not be nested deeper than {DEEPEST}", path_to(at))
    inner.outer = at
    inner.key = NULL
    inner.index = 0
    if PyList_CheckExact(value):
        for i in range(PyList_GET_SIZE(value)):
            inner.index = i
            weight += weigh(<object> PyList_GET_ITEM(value, i), &inner, depth + 1)
        return weight
    while PyDict_Next(value, &i, &key, &item):
        weight += weigh_key(<object> key, at)
        inner.key = <void *> key
        weight += weigh(<object> item, &inner, depth + 1)
    return weight


cdef int64_t weigh_attributes(dict attributes, const Step *at) except -1:
    """Refuses what are no attributes, and gives their weight as `weigh` does; they may be empty."""
    cdef PyObject *key = NULL
    cdef PyObject *item = NULL
    cdef Py_ssize_t i = 0
    cdef int64_t weight = 1
    cdef Step inner
    inner.outer = at
    inner.index = 0
    while PyDict_Next(attributes, &i, &key, &item):
        weight += weigh_key(<object> key, at)
        if PyUnicode_GET_LENGTH(<object> key) >= SHORTEST_INHERITED and <object> key in INHERITED:
            raise OperationError(
                f"an attribute must not be named {<object> key!r}, which every object of JavaScript has", path_to(at)
            )
        inner.key = <void *> key
        weight += weigh(<object> item, &inner, 1)
    return weight


# -- copying and comparing ----------------------------------------------------------------------------------

cdef inline bint is_container(object value) noexcept:
    return PyDict_CheckExact(value) or PyList_CheckExact(value)


cdef object copy_value(object value):
    """A copy that shares no list and no object with `value`."""
    cdef PyObject *key = NULL
    cdef PyObject *item = NULL
    cdef Py_ssize_t i = 0
    cdef dict copied
    if PyDict_CheckExact(value):
        copied = PyDict_Copy(value)
        while PyDict_Next(value, &i, &key, &item):
            if is_container(<object> item):
                PyDict_SetItem(copied, <object> key, copy_value(<object> item))
        return copied
    if PyList_CheckExact(value):
        return [copy_value(inner) for inner in <list> value]
    return value


cdef inline bint is_number(object value) noexcept:
    return PyLong_CheckExact(value) or PyFloat_CheckExact(value)


cdef inline double as_double(object number) except? -1:
    return PyFloat_AS_DOUBLE(number) if PyFloat_CheckExact(number) else PyLong_AsDouble(number)


cdef bint equal_values(object one, object other) except -1:
    """Whether two JSON values are equal to JavaScript; the order of keys does not count."""
    cdef PyObject *key = NULL
    cdef PyObject *item = NULL
    cdef PyObject *counterpart
    cdef Py_ssize_t i = 0
    if one is other:
        return True
    if PyUnicode_CheckExact(one):
        return PyUnicode_CheckExact(other) and <str> one == <str> other
    if is_number(one):
        return is_number(other) and as_double(one) == as_double(other)
    if PyList_CheckExact(one):
        if not PyList_CheckExact(other) or PyList_GET_SIZE(one) != PyList_GET_SIZE(other):
            return False
        for i in range(PyList_GET_SIZE(one)):
            if not equal_values(<object> PyList_GET_ITEM(one, i), <object> PyList_GET_ITEM(other, i)):
                return False
        return True
    if not PyDict_CheckExact(one) or not PyDict_CheckExact(other) or PyDict_Size(one) != PyDict_Size(other):
        return False
    while PyDict_Next(one, &i, &key, &item):
        counterpart = PyDict_GetItemWithError(other, <object> key)
        if counterpart == NULL or not equal_values(<object> item, <object> counterpart):
            return False
    return True


cdef bint equal_attributes(object one, object other) except -1:
    """Whether two pieces of text have the same attributes; each is an object or ``None``."""
    return one is other or (one is not None and other is not None and equal_values(one, other))


# -- the calculus of attributes -----------------------------------------------------------------------------
#
# What these give may share values with their arguments: it is copied when an operation is encoded.

cdef object or_none(dict attributes):
    return attributes if PyDict_Size(attributes) else None


cdef object compose_attributes(object first, object second, bint keep_null):
    """The attributes of what has `first` once `second` is set on it.

    `keep_null` says that they are set on kept text, where "take away" must be remembered, and not on an insert,
    where it is done.
    """
    cdef PyObject *key = NULL
    cdef PyObject *value = NULL
    cdef Py_ssize_t i = 0
    cdef dict both
    if second is None:
        return first
    if first is None and keep_null:
        return second
    both = {}
    while PyDict_Next(second, &i, &key, &value):
        if keep_null or <object> value is not None:
            PyDict_SetItem(both, <object> key, <object> value)
    if first is not None:
        i = 0
        while PyDict_Next(first, &i, &key, &value):
            if not PyDict_Contains(second, <object> key):
                PyDict_SetItem(both, <object> key, <object> value)
    return or_none(both)


cdef object transform_attributes(object attributes, object other):
    """What is left of `attributes` where `other`, set on the same text, takes precedence."""
    cdef PyObject *key = NULL
    cdef PyObject *value = NULL
    cdef Py_ssize_t i = 0
    cdef dict left
    if attributes is None or other is None:
        return attributes
    left = {}
    while PyDict_Next(attributes, &i, &key, &value):
        if not PyDict_Contains(other, <object> key):
            PyDict_SetItem(left, <object> key, <object> value)
    return or_none(left)


cdef object invert_attributes(dict attributes, object base):
    """What takes text that had `base` back to it once `attributes` were set on it."""
    cdef PyObject *key = NULL
    cdef PyObject *value = NULL
    cdef PyObject *changed
    cdef Py_ssize_t i = 0
    cdef dict inverse = {}
    if base is not None:
        while PyDict_Next(base, &i, &key, &value):
            changed = PyDict_GetItemWithError(attributes, <object> key)
            # JavaScript compares objects and lists by identity: what is set anew counts as a change.
            if changed != NULL and (is_container(<object> value) or not equal_values(<object> value, <object> changed)):
                PyDict_SetItem(inverse, <object> key, <object> value)
        i = 0
    while PyDict_Next(attributes, &i, &key, &value):
        if base is None or not PyDict_Contains(base, <object> key):
            PyDict_SetItem(inverse, <object> key, None)
    return or_none(inverse)


cdef bint meets_null(dict attributes, object base) except -1:
    """Whether `attributes` change one that is ``null`` in `base`: no attributes can set it to that again."""
    cdef PyObject *key = NULL
    cdef PyObject *value = NULL
    cdef Py_ssize_t i = 0
    if base is not None:
        while PyDict_Next(base, &i, &key, &value):
            if <object> value is None and PyDict_Contains(attributes, <object> key):
                return True
    return False
