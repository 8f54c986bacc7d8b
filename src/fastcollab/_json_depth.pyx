"""How deep JSON text is nested, found out before anything is built from it (rule X4).

Parsers are recursive, and each has a bound of its own, or none but the end of the stack. A look at the brackets costs
about a nanosecond a byte, less where there are strings, needs no memory, and makes one bound that holds for all that
read the text afterwards. It takes any text: brackets in strings do not count, and what is no JSON is the parser's
business.
"""

from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.unicode cimport PyUnicode_AsUTF8AndSize
from libc.string cimport memchr


cdef Py_ssize_t end_of_string(const unsigned char *text, Py_ssize_t at, Py_ssize_t size) noexcept nogil:
    """Behind the quotation mark that ends the string which begins at `at`, or the end of the text."""
    cdef const unsigned char *mark
    cdef Py_ssize_t end
    cdef Py_ssize_t backslash
    while True:
        mark = <const unsigned char *> memchr(text + at, c'"', size - at)
        if mark == NULL:
            return size
        end = mark - text
        backslash = end
        while backslash > at and text[backslash - 1] == c'\\':
            backslash -= 1
        at = end + 1
        if (end - backslash) % 2 == 0:
            return at


cdef bint nested_deeper(const unsigned char *text, Py_ssize_t size, Py_ssize_t limit) noexcept nogil:
    cdef Py_ssize_t at = 0
    cdef Py_ssize_t depth = 0
    cdef unsigned char byte
    while at < size:
        byte = text[at]
        at += 1
        if byte == c'"':
            at = end_of_string(text, at, size)
        elif byte == c'[' or byte == c'{':
            depth += 1
            if depth > limit:
                return True
        elif byte == c']' or byte == c'}':
            depth -= 1
    return False


def is_deeper(text, Py_ssize_t limit):
    """Whether the JSON text, a string or bytes in UTF-8, has more than `limit` lists and objects inside each other.

    Raises UnicodeEncodeError for a string with lone surrogates, which is no JSON.
    """
    cdef Py_ssize_t size
    cdef const char *characters
    cdef Py_buffer buffer
    if isinstance(text, str):
        # A string keeps this form, so that the parser, which asks for it too, gets it for nothing.
        characters = PyUnicode_AsUTF8AndSize(text, &size)
        return nested_deeper(<const unsigned char *> characters, size, limit)
    PyObject_GetBuffer(text, &buffer, PyBUF_SIMPLE)
    try:
        return nested_deeper(<const unsigned char *> buffer.buf, buffer.len, limit)
    finally:
        PyBuffer_Release(&buffer)
