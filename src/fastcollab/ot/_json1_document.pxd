from fastcollab.ot._json1_subtypes cimport Subtypes

cdef object apply(object document, object operation, Subtypes subtypes, bint share)
