"""The types of edits within a json1 document, called subtypes.

Two are part of json1: numbers (``ena``: the edit is added) and text (``es``: the edit is an operation of the type
``text``, which JavaScript knows as text-unicode). Every other registered type can be named with ``et``.

Numbers are added as JavaScript adds them: what is not exact there, beyond 2^53, is not made exact here.
"""

from cpython.float cimport PyFloat_CheckExact
from cpython.list cimport PyList_CheckExact, PyList_GET_SIZE
from cpython.long cimport PyLong_CheckExact
from cpython.unicode cimport PyUnicode_CheckExact
from libc.math cimport isfinite

from fastcollab.ot._text import TextType
from fastcollab.ot.absent import ABSENT
from fastcollab.ot.errors import OperationError

cdef object EXACT = 1 << 53
# The names under which JavaScript's registry has the type of `es`.
cdef tuple TEXT_NAMES = ("text-unicode", "http://sharejs.org/types/text-unicode")


cdef bint is_number(object value) noexcept:
    return PyLong_CheckExact(value) or PyFloat_CheckExact(value)


cdef object as_javascript(object number):
    """The number as JavaScript would write it: whole ones without a fraction, large ones rounded."""
    cdef double rounded
    if PyLong_CheckExact(number) and -EXACT <= number <= EXACT:
        return number
    rounded = number
    if -EXACT <= rounded <= EXACT and rounded == int(rounded):
        return int(rounded)
    return rounded


cdef object add(object left, object right):
    cdef double total
    if PyLong_CheckExact(left) and PyLong_CheckExact(right) and -EXACT <= left <= EXACT and -EXACT <= right <= EXACT:
        return as_javascript(left + right)
    total = <double> left + <double> right
    if not isfinite(total):
        raise OperationError("the sum is too large for a number")
    return as_javascript(total)


cdef class Subtype:
    """One type of edits. `type` is a `DocumentType`, or None for numbers."""

    cdef int check(self, object edit) except -1:
        if self.kind == NUMBER:
            if not is_number(edit):
                raise OperationError(f"a number is added, not {type(edit).__name__}")
            if PyLong_CheckExact(edit):
                if not -(1 << 63) <= edit < 1 << 64:
                    raise OperationError("an integer must be representable in 64 bits")
            elif not isfinite(edit):
                raise OperationError("a number must be finite")
            return 0
        self.type.check(edit)
        return 0

    cdef bint is_empty(self, object edit) except -1:
        """Whether the edit says nothing and is left out. An `ena` of 0 is kept, as JavaScript keeps it."""
        if self.kind == NUMBER:
            return False
        if self.kind == TEXT:
            return PyList_CheckExact(edit) and PyList_GET_SIZE(edit) == 0
        return edit is None

    cdef object apply(self, object value, object edit):
        if self.kind != NUMBER:
            if value is ABSENT:
                raise OperationError("there is nothing to edit")
            return self.type.apply(value, edit)
        if not is_number(value):
            raise OperationError("a number is added to what is no number")
        return add(value, edit)

    cdef object transform(self, object edit, object other, str side):
        return edit if self.kind == NUMBER else self.type.transform(edit, other, side)

    cdef object compose(self, object first, object second):
        return add(first, second) if self.kind == NUMBER else self.type.compose(first, second)

    cdef object invert(self, object edit, object value):
        if self.kind == NUMBER:
            return as_javascript(-edit)
        if value is ABSENT:
            raise OperationError("there is nothing to edit")
        return self.type.invert(edit, value)

    cdef object normalize(self, object edit):
        return edit if self.kind == NUMBER else self.type.normalize(edit)

    cdef object transform_position(self, object position, object edit, str side):
        return position if self.kind == NUMBER else self.type.transform_position(position, edit, side)


cdef Subtype make(str name, Kind kind, object document_type):
    cdef Subtype subtype = Subtype.__new__(Subtype)
    subtype.name = name
    subtype.kind = kind
    subtype.type = document_type
    return subtype


cdef class Subtypes:
    """The subtypes by name; `registry` maps the names of all document types to them, and may grow."""

    def __init__(self, registry):
        self.registry = registry
        self.text = make("text-unicode", TEXT, TextType())
        self.number = make("number", NUMBER, None)
        self.known = {"number": self.number}
        for name in TEXT_NAMES:
            self.known[name] = self.text

    cdef Subtype find(self, object name):
        """The subtype of that name, or None."""
        if not PyUnicode_CheckExact(name):
            return None
        if name not in self.known:
            if name not in self.registry:
                return None
            self.known[name] = make(name, OTHER, self.registry[name])
        return self.known[name]
