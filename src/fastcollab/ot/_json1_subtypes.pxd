"""The types of edits within a json1 document."""

cdef enum Kind:
    NUMBER
    TEXT
    OTHER


cdef class Subtype:
    cdef readonly str name
    cdef Kind kind
    cdef object type

    cdef int check(self, object edit) except -1
    cdef bint is_empty(self, object edit) except -1
    cdef object apply(self, object value, object edit)
    cdef object transform(self, object edit, object other, str side)
    cdef object compose(self, object first, object second)
    cdef object invert(self, object edit, object value)
    cdef object normalize(self, object edit)
    cdef object transform_position(self, object position, object edit, str side)


cdef class Subtypes:
    cdef object registry
    cdef dict known
    cdef readonly Subtype text
    cdef readonly Subtype number

    cdef Subtype find(self, object name)
