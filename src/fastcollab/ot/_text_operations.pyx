"""Operations on plain text, decoded into arrays of C structs: reading, writing, transforming and composing them.

The document type (`_text.pyx`) tells what an operation is. Here one loop reads two arrays and appends to a third,
which merges neighbours of one kind. `transform_into` and `compose_into` differ only in which components of the two
consume the same characters:

    transform   both operations were made against one document: the skips and deletes of both walk through it
    compose     the second was made against the first one's result: skips and deletes of the second walk
                through skips and inserts of the first

All this is linear in the number of components.
"""

from cpython.dict cimport PyDict_CheckExact, PyDict_Next
from cpython.list cimport PyList_CheckExact, PyList_GET_ITEM, PyList_GET_SIZE, PyList_New, PyList_SET_ITEM
from cpython.long cimport PyLong_CheckExact
from cpython.object cimport PyObject
from cpython.ref cimport Py_CLEAR, Py_INCREF
from cpython.unicode cimport PyUnicode_CheckExact, PyUnicode_Substring
from libc.stdint cimport int64_t

from fastcollab.ot._arguments cimport LONGEST, length_of, refusal
from fastcollab.ot._arrays cimport grow
from fastcollab.ot._unicode cimport (
    PyUnicode_Append, PyUnicode_DATA, PyUnicode_GET_LENGTH, PyUnicode_KIND, PyUnicode_READ, has_surrogate,
)
from fastcollab.ot.errors import OperationError

cdef extern from "Python.h":
    # What `PyDict_Size` gives of what is known to be a dict, without a call.
    Py_ssize_t PyDict_GET_SIZE(object dictionary) noexcept

cdef str NO_LENGTH = f"a length must be a positive integer, at most {LONGEST}"

cdef struct Cursor:
    # A place in an operation: before the character `offset` of the component `index`.
    Operation *operation
    Py_ssize_t index
    int64_t offset


# -- the array of components --------------------------------------------------------------------------------

cdef int reserve(Operation *operation, Py_ssize_t capacity) except -1:
    """Makes room for `capacity` components."""
    if capacity > operation.capacity:
        operation.components = <Component *> grow(
            operation.components, operation.inline_components, sizeof(Component), operation.count,
            &operation.capacity, capacity
        )
    return 0


cdef int merge(Component *last, int64_t length, PyObject *text) except -1:
    """Adds to a component what continues it."""
    last.length += length
    if last.length > LONGEST:
        raise OperationError("the operation spans more characters than can be counted")
    if last.text == NULL:
        return 0
    if text != NULL:
        PyUnicode_Append(&last.text, text)
        if last.text == NULL:
            raise MemoryError
    else:
        # A delete that names its text, and one that does not: together they cannot.
        Py_CLEAR(last.text)
    return 0


cdef inline int append_part(Operation *operation, const Component *source, int64_t start, int64_t length) except -1:
    """Appends the `length` characters of `source` from `start` on, as a component of its kind."""
    if source.text == NULL or length == source.length:
        return append(operation, source.kind, length, source.text)
    part = PyUnicode_Substring(<object> source.text, <Py_ssize_t> start, <Py_ssize_t> (start + length))
    return append(operation, source.kind, length, <PyObject *> part)


cdef inline Component *current(const Cursor *cursor) noexcept:
    """The component that the cursor is in, or NULL behind the last one."""
    if cursor.index == cursor.operation.count:
        return NULL
    return &cursor.operation.components[cursor.index]


cdef inline void advance(Cursor *cursor, int64_t length) noexcept:
    """Moves over `length` characters, no more than the current component has left."""
    cursor.offset += length
    if cursor.offset == cursor.operation.components[cursor.index].length:
        cursor.index += 1
        cursor.offset = 0


cdef int append_rest(Operation *operation, Cursor *cursor) except -1:
    """Appends all that the cursor has not yet passed."""
    cdef Component *component = current(cursor)
    while component != NULL:
        append_part(operation, component, cursor.offset, component.length - cursor.offset)
        advance(cursor, component.length - cursor.offset)
        component = current(cursor)
    return 0


# -- between Python values and the array --------------------------------------------------------------------

cdef inline bint is_d(object key) noexcept:
    return (
        PyUnicode_CheckExact(key)
        and PyUnicode_GET_LENGTH(key) == 1
        and PyUnicode_READ(PyUnicode_KIND(key), PyUnicode_DATA(key), 0) == c"d"
    )


cdef int refuse_component(object value, str argument, Py_ssize_t index) except -1:
    """Raises what is wrong with a component that is none."""
    cdef object amount
    if PyLong_CheckExact(value):
        raise refusal(NO_LENGTH, argument, (index,))
    if PyUnicode_CheckExact(value):
        raise refusal("text must not have lone surrogates", argument, (index,))
    if not PyDict_CheckExact(value):
        raise refusal(
            f"a component must be an integer, a string or an object, not {type(value).__name__}", argument,
            (index,)
        )
    # Looking at the only entry runs no code of the key's type, which looking up "d" might.
    if PyDict_GET_SIZE(value) != 1 or not is_d(next(iter(value))):
        raise refusal('an object component must have exactly the key "d"', argument, (index,))
    amount = value["d"]
    if PyLong_CheckExact(amount):
        raise refusal(NO_LENGTH, argument, (index, "d"))
    if PyUnicode_CheckExact(amount):
        raise refusal("text must not have lone surrogates", argument, (index, "d"))
    raise refusal("a delete must have a length or the deleted text", argument, (index, "d"))


cdef inline bint read_amount(object value, Component *component) noexcept:
    """Reads a length, or text with its length, borrowed; False if `value` is neither."""
    if PyLong_CheckExact(value):
        component.text = NULL
        component.length = length_of(value)
        return component.length >= 0
    if not PyUnicode_CheckExact(value) or has_surrogate(value):
        return False
    component.text = <PyObject *> value
    component.length = PyUnicode_GET_LENGTH(value)
    return True


cdef inline bint read_component(object value, Component *component) noexcept:
    """Reads a component, with `text` borrowed; an empty one has length 0. False if `value` is none."""
    cdef PyObject *key = NULL
    cdef PyObject *inner = NULL
    cdef Py_ssize_t at = 0
    if not PyDict_CheckExact(value):
        component.kind = SKIP if PyLong_CheckExact(value) else INSERT
        return read_amount(value, component)
    component.kind = DELETE
    # Reading the only entry runs no code of the key's type, which looking up "d" might.
    return (
        PyDict_GET_SIZE(value) == 1
        and PyDict_Next(value, &at, &key, &inner)
        and is_d(<object> key)
        and read_amount(<object> inner, component)
    )


cdef int decode(object value, Operation *operation, str argument, bint strict=True) except -1:
    """Reads an operation into `operation`, which has begun; if `strict`, refuses all but normal form."""
    cdef Component component = Component(SKIP, 0, NULL)
    cdef Py_ssize_t i
    cdef Py_ssize_t count
    cdef int64_t before = 0  # characters that the operation spans in the document before it,
    cdef int64_t after = 0   # and in the document after it
    if not PyList_CheckExact(value):
        raise refusal(f"an operation must be a list of components, not {type(value).__name__}", argument, ())
    count = PyList_GET_SIZE(value)
    reserve(operation, count)
    for i in range(count):
        if not read_component(<object> PyList_GET_ITEM(value, i), &component):
            refuse_component(<object> PyList_GET_ITEM(value, i), argument, i)
        if component.kind != INSERT:
            before += component.length
        if component.kind != DELETE:
            after += component.length
        if before > LONGEST or after > LONGEST:
            raise refusal("the operation spans more characters than can be counted", argument, (i,))
        if not strict:
            append(operation, component.kind, component.length, component.text)
            continue
        if component.length == 0:
            raise refusal("a component must not be empty", argument, (i,))
        if i and operation.components[i - 1].kind == component.kind:
            raise refusal("neighbouring components of one kind must be merged", argument, (i,))
        push(operation, component.kind, component.length, component.text)
    if strict and count and operation.components[count - 1].kind == SKIP:
        raise refusal("the last component must not be a skip", argument, (count - 1,))
    return 0


cdef object encode_component(const Component *component):
    if component.kind == SKIP:
        return component.length
    if component.kind == INSERT:
        return <object> component.text
    if component.text != NULL:
        return {"d": <object> component.text}
    return {"d": component.length}


cdef list encode(Operation *operation):
    """The operation as a new list, without a trailing skip."""
    cdef Py_ssize_t count = operation.count
    cdef Py_ssize_t i
    cdef object value
    cdef list result
    if count and operation.components[count - 1].kind == SKIP:
        count -= 1
    result = PyList_New(count)
    for i in range(count):
        value = encode_component(&operation.components[i])
        Py_INCREF(value)
        PyList_SET_ITEM(result, i, value)
    return result


# -- the two walks ------------------------------------------------------------------------------------------

cdef int transform_into(Operation *result, Operation *operation, Operation *other, bint left) except -1:
    cdef Cursor cursor = Cursor(operation, 0, 0)
    cdef Component *mine
    cdef Component *theirs
    cdef int64_t rest
    cdef int64_t step
    cdef Py_ssize_t i
    reserve(result, operation.count + other.count)
    for i in range(other.count):
        theirs = &other.components[i]
        if theirs.kind == INSERT:
            mine = current(&cursor)
            if left and mine != NULL and mine.kind == INSERT:
                append_part(result, mine, 0, mine.length)
                advance(&cursor, mine.length)
            append(result, SKIP, theirs.length, NULL)
            continue
        rest = theirs.length
        while rest:
            mine = current(&cursor)
            if mine == NULL:
                return 0  # all that could follow is skips
            if mine.kind == INSERT:
                append_part(result, mine, 0, mine.length)
                advance(&cursor, mine.length)
                continue
            step = min(rest, mine.length - cursor.offset)
            if theirs.kind == SKIP:
                append_part(result, mine, cursor.offset, step)
            advance(&cursor, step)
            rest -= step
    return append_rest(result, &cursor)


cdef int compose_into(Operation *result, Operation *first, Operation *second) except -1:
    cdef Cursor cursor = Cursor(first, 0, 0)
    cdef Component *earlier
    cdef Component *later
    cdef int64_t offset
    cdef int64_t step
    cdef Py_ssize_t i
    reserve(result, first.count + second.count)
    for i in range(second.count):
        later = &second.components[i]
        if later.kind == INSERT:
            append_part(result, later, 0, later.length)
            continue
        offset = 0
        while offset < later.length:
            earlier = current(&cursor)
            if earlier == NULL:
                append_part(result, later, offset, later.length - offset)
                break
            if earlier.kind == DELETE:
                append_part(result, earlier, 0, earlier.length)
                advance(&cursor, earlier.length)
                continue
            step = min(later.length - offset, earlier.length - cursor.offset)
            if later.kind == SKIP:
                append_part(result, earlier, cursor.offset, step)
            elif earlier.kind == SKIP:
                append_part(result, later, offset, step)
            # Otherwise what the first inserted the second deletes: nothing is left of either.
            advance(&cursor, step)
            offset += step
    return append_rest(result, &cursor)
