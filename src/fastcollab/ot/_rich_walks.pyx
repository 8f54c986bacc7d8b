"""The walks through two operations of rich text at once: transform, compose, and invert.

They differ in which components of the two consume the same units:

    transform   both operations were made against one document: the retains and deletes of both walk through it
    compose     the second was made against the first one's result: retains and deletes of the second walk through
                retains and inserts of the first
    invert      the same, with a document for the first
"""

from libc.stdint cimport int64_t

from fastcollab.ot._rich_operation cimport (
    DELETE, RETAIN, Component, Cursor, Operation, advance, append, append_next, append_rest, current, is_insert,
    left_in, misfit,
)
from fastcollab.ot._rich_values cimport compose_attributes, invert_attributes, meets_null, transform_attributes
from fastcollab.ot.errors import OperationError


cdef int transform_into(Operation *result, Operation *operation, Operation *other, bint left) except -1:
    """Appends the operation as it is after `other`, on the left side or the right."""
    cdef Cursor cursor = Cursor(operation, 0, 0, 0)
    cdef Component *mine
    cdef Component *theirs
    cdef int64_t rest
    cdef int64_t step
    cdef Py_ssize_t i
    for i in range(other.count):
        theirs = &other.components[i]
        rest = theirs.length
        if is_insert(theirs.kind):
            mine = current(&cursor)
            while left and mine != NULL and is_insert(mine.kind):
                append_next(result, &cursor, mine.length, <object> mine.attributes)
                mine = current(&cursor)
            append(result, RETAIN, rest, None, None)
            continue
        while rest:
            mine = current(&cursor)
            if mine == NULL:
                return 0  # all that could follow is plain retains
            if is_insert(mine.kind):
                append_next(result, &cursor, mine.length, <object> mine.attributes)
                continue
            step = min(rest, left_in(&cursor))
            rest -= step
            if theirs.kind == DELETE:
                advance(&cursor, step)
            elif left:
                append_next(result, &cursor, step, <object> mine.attributes)
            else:
                append_next(result, &cursor, step,
                            transform_attributes(<object> mine.attributes, <object> theirs.attributes))
    return append_rest(result, &cursor)


cdef int compose_into(Operation *result, Operation *first, Operation *second) except -1:
    """Appends what `first` and then `second` do; where `first` is a document, that is the document after it."""
    cdef Cursor cursor = Cursor(first, 0, 0, 0)
    cdef Py_ssize_t i = 0
    try:
        for i in range(second.count):
            compose_component(result, &cursor, &second.components[i])
    except OperationError as error:
        raise misfit(error.reason, second, i) from None
    return append_rest(result, &cursor)


cdef inline int compose_component(Operation *result, Cursor *cursor, const Component *later) except -1:
    """Appends `later` and what it passes of the first operation, over which the cursor goes."""
    cdef int64_t rest = later.length
    cdef int64_t step
    cdef Component *earlier
    if is_insert(later.kind):
        return append(result, later.kind, rest, <object> later.content, <object> later.attributes)
    while rest:
        earlier = current(cursor)
        if earlier == NULL:
            return append(result, later.kind, rest, None, <object> later.attributes)
        if earlier.kind == DELETE:
            append_next(result, cursor, left_in(cursor), None)
            continue
        step = min(rest, left_in(cursor))
        rest -= step
        if later.kind == RETAIN:
            append_next(result, cursor, step, compose_attributes(
                <object> earlier.attributes, <object> later.attributes, earlier.kind == RETAIN))
            continue
        if earlier.kind == RETAIN:
            append(result, DELETE, step, None, None)
        # Otherwise what the first inserted the second deletes: nothing is left of either.
        advance(cursor, step)
    return 0


cdef int invert_into(Operation *result, Operation *operation, Operation *document) except -1:
    """Appends what undoes the operation. The document reaches as far as it: `check_span` has passed."""
    cdef Cursor cursor = Cursor(document, 0, 0, 0)
    cdef Py_ssize_t i = 0
    try:
        for i in range(operation.count):
            invert_component(result, &cursor, &operation.components[i])
    except OperationError as error:
        raise misfit(error.reason, operation, i) from None
    return 0


cdef inline int invert_component(Operation *result, Cursor *cursor, const Component *component) except -1:
    """Appends what undoes the component, where the cursor goes over what it passes of the document."""
    cdef int64_t rest = component.length
    cdef int64_t step
    cdef Component *base
    if is_insert(component.kind):
        return append(result, DELETE, rest, None, None)
    while rest:
        base = current(cursor)
        step = min(rest, left_in(cursor))
        rest -= step
        if component.kind == DELETE:
            append_next(result, cursor, step, <object> base.attributes)
        elif <object> component.attributes is None:
            append(result, RETAIN, step, None, None)
            advance(cursor, step)
        elif meets_null(<dict> component.attributes, <object> base.attributes):
            append_next(result, cursor, step, <object> base.attributes)
            append(result, DELETE, step, None, None)
        else:
            append(result, RETAIN, step, None,
                   invert_attributes(<dict> component.attributes, <object> base.attributes))
            advance(cursor, step)
    return 0


cdef int check_span(const Operation *operation, int64_t length) except -1:
    """Refuses an operation that reaches beyond the end of a document of that length."""
    cdef int64_t position = 0
    cdef Py_ssize_t i
    if operation.before <= length:
        return 0
    for i in range(operation.count):
        if not is_insert(operation.components[i].kind):
            position += operation.components[i].length
            if position > length:
                raise misfit(f"the operation goes beyond the document's end, at {length}", operation, i)
    return 0
