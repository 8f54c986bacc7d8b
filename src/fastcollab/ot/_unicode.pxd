"""`str` as it is stored: its width, its code points, and how long it is in UTF-16."""

from cpython.object cimport PyObject

cdef extern from "Python.h":
    # Cython takes its own name for this C type to mean a `str` of one character; here it is a number.
    ctypedef unsigned int CodePoint "Py_UCS4"
    int PyUnicode_KIND(object text) noexcept
    void *PyUnicode_DATA(object text) noexcept
    CodePoint PyUnicode_READ(int kind, const void *data, Py_ssize_t index) noexcept
    Py_ssize_t PyUnicode_GET_LENGTH(object text) noexcept
    # Replaces *left by the concatenation, in place where *left has no other owner; NULL in *left on error.
    void PyUnicode_Append(PyObject **left, PyObject *right)


cdef inline bint has_surrogate(str text) noexcept:
    """Whether a code point of U+D800 to U+DFFF is in `text`."""
    cdef int kind = PyUnicode_KIND(text)
    cdef const void *data = PyUnicode_DATA(text)
    cdef Py_ssize_t i
    cdef bint found = False
    # A constant width and no branch in the loops, so that the compiler looks at many characters at once.
    if kind == 2:
        for i in range(PyUnicode_GET_LENGTH(text)):
            found |= PyUnicode_READ(2, data, i) >> 11 == 0xD800 >> 11
    elif kind == 4:
        for i in range(PyUnicode_GET_LENGTH(text)):
            found |= PyUnicode_READ(4, data, i) >> 11 == 0xD800 >> 11
    return found


cdef inline bint is_wide(str text) noexcept:
    """Whether `text` has code points beyond U+FFFF, each of which is two units in UTF-16."""
    return PyUnicode_KIND(text) == 4


cdef inline Py_ssize_t utf16_length(str text) noexcept:
    """How many UTF-16 units `text` is long: what JavaScript calls its length."""
    cdef Py_ssize_t length = PyUnicode_GET_LENGTH(text)
    cdef Py_ssize_t units = length
    cdef const void *data
    cdef Py_ssize_t i
    if is_wide(text):
        data = PyUnicode_DATA(text)
        for i in range(length):
            units += PyUnicode_READ(4, data, i) > 0xFFFF
    return units


cdef inline Py_ssize_t utf16_index(str text, Py_ssize_t start, Py_ssize_t units) noexcept:
    """The index of the code point that is `units` UTF-16 units behind the one at `start`.

    -1 if that is inside a surrogate pair or behind the end of the text.
    """
    cdef Py_ssize_t length = PyUnicode_GET_LENGTH(text)
    cdef const void *data
    if not is_wide(text):
        return start + units if units <= length - start else -1
    data = PyUnicode_DATA(text)
    while units > 0 and start < length:
        units -= 2 if PyUnicode_READ(4, data, start) > 0xFFFF else 1
        start += 1
    return start if units == 0 else -1
