"""Arguments that several document types take, and read alike: lengths, positions and sides."""

from libc.stdint cimport int64_t

cdef extern from *:
    """
    /* The largest length or position: the largest integer that JavaScript counts exactly. */
    #define LONGEST ((int64_t) 9007199254740991)

    /* An `int` that is neither negative nor longer than one digit of CPython's, as nearly all lengths are; or -1. */
    static inline int64_t short_length(PyObject *value) {
    #if PY_VERSION_HEX >= 0x030C0000
        if (PyUnstable_Long_IsCompact((PyLongObject *) value))
            return PyUnstable_Long_CompactValue((PyLongObject *) value);
    #else
        if (Py_SIZE(value) == 1)
            return ((PyLongObject *) value)->ob_digit[0];
    #endif
        return -1;
    }
    """
    const int64_t LONGEST
    int64_t short_length(object value) noexcept

cdef extern from "Python.h":
    # Sets no exception if the value is exactly an `int`.
    int64_t PyLong_AsLongLongAndOverflow(object value, int *overflow) noexcept


cdef inline int64_t length_of(object value) noexcept:
    """The length that the `int` is (0 included), or -1 if it is none that JavaScript can count."""
    cdef int overflow = 0
    cdef int64_t length = short_length(value)
    if length >= 0:
        return length
    length = PyLong_AsLongLongAndOverflow(value, &overflow)
    if overflow != 0 or length > LONGEST or length < 0:
        return -1
    return length


cdef bint is_left(str side) except -1
cdef int64_t position_of(object position) except -1
cdef object refusal(str reason, str argument, tuple path)
