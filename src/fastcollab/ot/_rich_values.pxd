from libc.stdint cimport int64_t


cdef struct Step:
    # One step of the way to a value, for errors: a link of a chain on the C stack, from the value outwards.
    const Step *outer
    void *key         # borrowed `str`, or NULL for an index
    Py_ssize_t index


cdef tuple path_to(const Step *step, str last=*)
cdef int64_t weigh(object value, const Step *at, int depth) except -1
cdef int64_t weigh_attributes(dict attributes, const Step *at) except -1
cdef object copy_value(object value)
cdef bint equal_values(object one, object other) except -1
cdef bint equal_attributes(object one, object other) except -1
cdef object compose_attributes(object first, object second, bint keep_null)
cdef object transform_attributes(object attributes, object other)
cdef object invert_attributes(dict attributes, object base)
cdef bint meets_null(dict attributes, object base) except -1
