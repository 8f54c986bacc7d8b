from fastcollab.ot._json1_subtypes cimport Subtypes

cdef object compose(object first, object second, Subtypes subtypes)
