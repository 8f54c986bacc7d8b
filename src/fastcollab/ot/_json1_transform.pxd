from fastcollab.ot._json1_subtypes cimport Subtypes

cdef object try_transform(object operation, object other, bint left, Subtypes subtypes)
