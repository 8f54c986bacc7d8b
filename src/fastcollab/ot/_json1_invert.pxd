from fastcollab.ot._json1_subtypes cimport Subtypes

cdef object invert(object operation, object document, Subtypes subtypes)
