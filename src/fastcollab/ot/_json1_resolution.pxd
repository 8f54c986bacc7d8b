"""Transformation of json1 operations with their conflicts resolved."""

from fastcollab.ot._json1_subtypes cimport Subtypes

cdef tuple try_transform(object operation, object other, bint left, Subtypes subtypes)
cdef object transform(object operation, object other, bint left, Subtypes subtypes)
